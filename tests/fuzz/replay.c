/*
 * Runs a harness over its corpus with any compiler: each file, its truncations and some of its
 * single bit flips. With arguments it runs those files alone, as a program that libFuzzer made
 * does.
 */
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#pragma weak LLVMFuzzerInitialize

/* Of the sanitizers, where they are linked: called before they end the process. */
void __sanitizer_set_death_callback(void (*callback)(void));
#pragma weak __sanitizer_set_death_callback

enum {
	FILE_MAX = 1 << 20,
	CUTS_MAX = 400,    /* truncations of one file: all of a small one, else evenly spread */
	FLIPS_MAX = 400,   /* bit flips of one file, likewise */
	TIME_MAX_MS = 5000 /* no more variants after that: a slow machine, or valgrind */
};

static char current[512]; /* what is running, for whoever reads the log of a crash */
static unsigned long runs, left_out;

static void tell_current(void)
{
	if (write(STDERR_FILENO, current, strlen(current)) < 0)
		return; /* nowhere else to tell it */
}

static void on_signal(int number)
{
	tell_current();
	(void)signal(number, SIG_DFL);
	(void)raise(number);
}

static int64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* never fails for this clock */
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* In memory of exactly its size, so that a sanitizer sees one byte too many. */
static void run(const char *path, const char *what, size_t where, const uint8_t *data, size_t size)
{
	uint8_t *copy = mem_new(size, 1);

	if (size)
		memcpy(copy, data, size);
	(void)snprintf(current, sizeof(current), "it happened with %.400s, %s %zu\n", path, what,
		       where);
	(void)LLVMFuzzerTestOneInput(copy, size);
	free(copy);
	runs++;
}

/* The same, while there is time. */
static void run_variant(const char *path, const char *what, size_t where, const uint8_t *data,
			size_t size, int64_t until)
{
	if (now_ms() < until)
		run(path, what, where, data, size);
	else
		left_out++;
}

/* The I-th of COUNT places that are spread over SIZE. */
static size_t spread(size_t i, size_t count, size_t size)
{
	return (size_t)((uint64_t)i * size / count);
}

static void run_variants(const char *path, uint8_t *data, size_t size, int64_t until)
{
	size_t cuts = size < CUTS_MAX ? size : CUTS_MAX;
	size_t flips = 8 * size < FLIPS_MAX ? 8 * size : FLIPS_MAX;

	for (size_t i = 0; i < cuts; i++) {
		size_t n = spread(i, cuts, size);

		run_variant(path, "cut to this many bytes:", n, data, n, until);
	}
	for (size_t i = 0; i < flips; i++) {
		size_t bit = spread(i, flips, 8 * size);

		if (flips < 8 * size) /* a regular step would always meet the same bits of a byte */
			bit = bit / 8 * 8 + i * 5 % 8;
		data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		run_variant(path, "this bit flipped:", bit, data, size, until);
		data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static int read_file(const char *path, uint8_t *data, size_t *size)
{
	FILE *file = fopen(path, "rb");

	if (!file) {
		(void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	*size = fread(data, 1, FILE_MAX, file);
	(void)fclose(file); /* only read */
	return 0;
}

static int is_input(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/*
 * The files of the folder as they are, or their variants, each file's for its share of the time.
 * The number of files.
 */
static int run_folder(const char *folder, uint8_t *data, bool variants)
{
	struct dirent **entries = NULL;
	int count = scandir(folder, &entries, is_input, alphasort), done = 0;

	for (int i = 0; i < count; i++) {
		char *path = text_format("%s/%s", folder, entries[i]->d_name);
		size_t size;

		if (read_file(path, data, &size) == 0) {
			done++;
			if (variants)
				run_variants(path, data, size, now_ms() + TIME_MAX_MS / count);
			else
				run(path, "its size:", size, data, size);
		}
		free(path);
		free(entries[i]);
	}
	free(entries);
	return done == count ? count : -1;
}

static int run_corpus(const char *program, uint8_t *data)
{
	const char *name = strrchr(program, '/'), *prefix;
	char *folder;
	int count;

	name = name ? name + 1 : program;
	prefix = strstr(name, "fuzz_"); /* not always at the start: libtool and debuggers rename */
	folder = text_format(TEST_SRCDIR "/tests/fuzz/corpus/%s", prefix ? prefix + 5 : name);
	count = run_folder(folder, data, false);
	if (count > 0)
		count = run_folder(folder, data, true);
	if (count <= 0)
		(void)fprintf(stderr, "%s: no corpus to be read\n", folder);
	else
		(void)printf("%d files, %lu inputs, %lu left out for lack of time\n", count, runs,
			     left_out);
	free(folder);
	return count > 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	uint8_t *data = mem_new(FILE_MAX, 1);
	int rc = 0;

	(void)signal(SIGABRT, on_signal);
	(void)signal(SIGALRM, on_signal);
	if (__sanitizer_set_death_callback)
		__sanitizer_set_death_callback(tell_current);
	else
		(void)signal(SIGSEGV, on_signal);
	(void)alarm(120); /* an input that makes it hang */
	if (LLVMFuzzerInitialize)
		(void)LLVMFuzzerInitialize(&argc, &argv);
	if (argc < 2)
		rc = run_corpus(argv[0], data);
	for (int i = 1; i < argc; i++) {
		size_t size;

		if (read_file(argv[i], data, &size) == 0)
			run(argv[i], "its size:", size, data, size);
		else
			rc = 1;
	}
	free(data);
	return rc;
}
