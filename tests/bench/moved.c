/*
 * moved FOLDER NAME [FOLDER NAME]...: tells when a file of that name is renamed into its folder, or
 * written there, a line each: which pair (from 0), and the time of CLOCK_MONOTONIC in nanoseconds.
 * All are looked at by one process with one clock, so that two lines may be subtracted. Says
 * "ready" when it watches.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

enum { PAIRS_MAX = 8 };

struct pair {
	int watch;
	const char *name;
};

static void tell(const struct pair *pairs, int count, const struct inotify_event *event)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* there is such a clock */
	for (int i = 0; i < count; i++)
		if (pairs[i].watch == event->wd && event->len > 0 &&
		    strcmp(pairs[i].name, event->name) == 0)
			printf("%d %lld\n", i, (long long)now.tv_sec * 1000000000 + now.tv_nsec);
}

int main(int argc, char **argv)
{
	_Alignas(struct inotify_event) char bytes[64 << 10];
	struct pair pairs[PAIRS_MAX];
	int fd = inotify_init1(IN_CLOEXEC), count = 0;
	ssize_t n;

	if (argc < 3 || argc % 2 == 0 || argc > 2 * PAIRS_MAX + 1) {
		fputs("usage: moved FOLDER NAME [FOLDER NAME]...\n", stderr);
		return 2;
	}
	for (int i = 1; i < argc; i += 2, count++) {
		pairs[count] = (struct pair){
			.watch = inotify_add_watch(fd, argv[i], IN_MOVED_TO | IN_CLOSE_WRITE),
			.name = argv[i + 1]};
		if (pairs[count].watch < 0) {
			perror(argv[i]);
			return 1;
		}
	}
	puts("ready");
	while (fflush(stdout) == 0 && (n = read(fd, bytes, sizeof(bytes))) > 0)
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *event = (const void *)(bytes + at);

			tell(pairs, count, event);
			at += (ssize_t)(sizeof(*event) + event->len);
		}
	return 1;
}
