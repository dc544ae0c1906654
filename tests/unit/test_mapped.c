/* Files that are cut short while they are mapped: what reads finds zeros, what writes is ended. */
#include "repo_fixture.h"

#include "core/mapped.h"
#include "repo/pack.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { PAGES = 3 };

/* A file of PAGES pages of 'x', mapped; then it has BYTES. */
static uint8_t *map_and_cut(int protection, off_t bytes, size_t *size)
{
	int fd = memfd_create("mapped", MFD_CLOEXEC);
	uint8_t *at;

	*size = PAGES * (size_t)sysconf(_SC_PAGESIZE);
	assert_true(fd >= 0 && ftruncate(fd, (off_t)*size) == 0);
	at = mmap(NULL, *size, protection, MAP_SHARED, fd, 0);
	assert_true(at != MAP_FAILED);
	for (size_t i = 0; i < *size; i++)
		assert_int_equal(pwrite(fd, "x", 1, (off_t)i), 1);
	assert_int_equal(ftruncate(fd, bytes), 0);
	(void)close(fd);
	return at;
}

static void reads_as_zeros(void **state)
{
	volatile uint8_t *at;
	size_t size;

	(void)state;
	mapped_setup(); /* CMocka has a handler of its own for each test */
	at = map_and_cut(PROT_READ, 10, &size);
	assert_int_equal(at[9], 'x');
	assert_int_equal(at[10], 0);
	errno = EDOM;
	for (size_t i = 11; i < size; i++)
		assert_int_equal(at[i], 0);
	assert_int_equal(errno, EDOM);
	assert_int_equal(at[0], 'x');
	assert_int_equal(munmap((void *)at, size), 0);
}

/* How a child ended that did ACT; without a core. */
static int ended_by(void (*act)(void))
{
	const struct rlimit none = {0, 0};
	int status = 0;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		(void)setrlimit(RLIMIT_CORE, &none); /* a courtesy */
		act();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void write_behind_the_end(void)
{
	size_t size;
	uint8_t *at = map_and_cut(PROT_READ | PROT_WRITE, 0, &size);

	signal(SIGSEGV, SIG_DFL); /* a sanitizer has one of its own */
	((volatile uint8_t *)at)[size - 1] = 'y';
}

static void raise_it(void)
{
	(void)raise(SIGBUS); /* not for a page: comes back to no instruction */
	(void)raise(SIGBUS);
}

/* A page of this program, which another file is mapped over and cut. */
static void read_own_page(void)
{
	static uint8_t own[2 << 16] __attribute__((aligned(1 << 16)));
	int fd = memfd_create("own", MFD_CLOEXEC);

	if (ftruncate(fd, 1 << 16) != 0 ||
	    mmap(own, 1 << 16, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) != own ||
	    ftruncate(fd, 0) != 0)
		_exit(1);
	_exit(*(volatile uint8_t *)own);
}

static void ends_what_it_cannot_mend(void **state)
{
	(void)state;
	mapped_setup();
	assert_int_equal(ended_by(write_behind_the_end), SIGSEGV);
	assert_int_equal(ended_by(raise_it), SIGBUS);
	assert_int_equal(ended_by(read_own_page), SIGBUS);
}

/* Within mapped_begin and mapped_end writing goes on, and that it was for nothing is told. */
static void writes_are_told(void **state)
{
	size_t size;
	uint8_t *at;

	(void)state;
	mapped_setup();
	mapped_begin();
	at = map_and_cut(PROT_READ | PROT_WRITE, 10, &size);
	((volatile uint8_t *)at)[5] = 'y';
	assert_false(mapped_end());
	mapped_begin();
	((volatile uint8_t *)at)[size - 1] = 'y';
	assert_true(mapped_end());
	mapped_begin();
	assert_false(mapped_end());
	assert_int_equal(munmap(at, size), 0);
	assert_int_equal(ended_by(write_behind_the_end), SIGSEGV);
}

/* A pack that comes in, of which something was lost on the way. */
static void a_pack_that_comes_in(void **state)
{
	struct fixture *f = *state;
	struct pack_sink *sink;
	struct oid chain[2];
	struct buf pack;
	size_t size;
	uint8_t *at;

	put_chain(f, 2, chain);
	buf_init(&pack, 1 << 20);
	must(pack_build(f->repo, chain + 1, NULL, &pack, err));
	mapped_setup();
	must(pack_sink_new(f->repo, &sink, err));
	must(pack_sink_put(sink, pack.data, pack.len, err));
	at = map_and_cut(PROT_READ | PROT_WRITE, 0, &size);
	((volatile uint8_t *)at)[0] = 'y';
	must_fail(pack_sink_end(sink, true, err), ERR_NONE, "cut short");
	must(pack_put(f->repo, pack.data, pack.len, err)); /* the next is none the worse for it */
	assert_int_equal(munmap(at, size), 0);
	buf_clear(&pack);
}

/* What it is for: a pack that is cut short after libgit2 mapped it. */
static void a_pack_that_is_cut(void **state)
{
	enum { COUNT = 40 };
	struct fixture *f = *state;
	struct pack_writer *w;
	struct oid chain[COUNT];
	struct repo *repo;
	struct buf raw;
	struct err why;
	int failed = 0;

	git_setup(); /* for its handler, see above */
	must(pack_writer_new(f->repo, &w, err));
	put_chain(f, COUNT, chain);
	must(pack_writer_finish(w, err));
	pack_writer_free(w);
	must(repo_open(f->path, &repo, err));
	buf_init(&raw, 64 << 10);
	must(repo_commit_raw(repo, chain, &raw, err)); /* it is mapped now */
	sh(f->path, "truncate -s 100 objects/pack/*.pack");
	for (size_t i = 0; i < COUNT; i++) {
		buf_reset(&raw);
		failed += repo_commit_raw(repo, chain + i, &raw, &why) != 0;
	}
	assert_true(failed > 0);
	buf_clear(&raw);
	repo_free(repo);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_as_zeros),
		cmocka_unit_test(ends_what_it_cannot_mend),
		cmocka_unit_test(writes_are_told),
		cmocka_unit_test_setup_teardown(a_pack_that_comes_in, fixture_setup,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(a_pack_that_is_cut, fixture_setup,
						fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
