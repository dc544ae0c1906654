/* Guarded memory for many small secrets. */
#include "crypto/key.h"
#include "crypto/slab.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int is_zero(const uint8_t *data, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (data[i])
			return 0;
	return 1;
}

static void test_items(void **state)
{
	enum { ITEMS = 3000 }; /* some chunks of each size */
	static const size_t sizes[] = {1, 15, 16, 17, 80, 1000, 40000};
	static uint8_t *items[ITEMS];

	(void)state;
	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		struct slab *slab = slab_new(sizes[s]);
		size_t count = sizes[s] > 1000 ? 10 : ITEMS;

		for (size_t i = 0; i < count; i++) {
			items[i] = slab_take(slab);
			assert_int_equal((uintptr_t)items[i] % 16, 0);
			assert_true(is_zero(items[i], sizes[s]));
			memset(items[i], (int)(i % 255 + 1), sizes[s]);
		}
		/* none lies within another */
		for (size_t i = 0; i < count; i++)
			for (size_t j = 0; j < sizes[s]; j++)
				assert_int_equal(items[i][j], i % 255 + 1);
		for (size_t i = 0; i < count; i++)
			slab_give(slab, items[i]);
		slab_free(slab);
	}
}

static void test_reuse(void **state)
{
	struct slab *slab = slab_new(100);
	uint8_t *first = slab_take(slab), *second = slab_take(slab), *again;

	(void)state;
	memset(first, 0xff, 100);
	memset(second, 0xee, 100);
	slab_give(slab, NULL);
	slab_give(slab, first);
	assert_true(is_zero(first + sizeof(void *), 100 - sizeof(void *)));
	again = slab_take(slab);
	assert_ptr_equal(again, first);
	assert_true(is_zero(again, 100));
	assert_int_equal(second[0], 0xee);
	slab_give(slab, again);
	slab_give(slab, second);
	slab_free(slab);
	slab_free(NULL);
}

/* Runs WHAT in a child and gives the signal it died of, or 0. */
static int death_of(void (*what)(void))
{
	pid_t pid = fork();
	int status = 0;

	assert_true(pid >= 0);
	if (pid == 0) {
		const struct rlimit none = {0};

		(void)setrlimit(RLIMIT_CORE, &none); /* only spares a file */
		if (!freopen("/dev/null", "w", stderr))
			_exit(1);
		what();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void free_with_item_taken(void)
{
	struct slab *slab = slab_new(32);

	(void)slab_take(slab);
	slab_free(slab);
}

static void give_foreign(void)
{
	struct slab *slab = slab_new(32);
	char *foreign = calloc(1, 32);

	(void)slab_take(slab);
	slab_give(slab, foreign);
}

static void give_middle(void)
{
	struct slab *slab = slab_new(32);
	uint8_t *item = slab_take(slab);

	slab_give(slab, item + 16);
}

static void give_too_many(void)
{
	struct slab *slab = slab_new(32);
	void *item = slab_take(slab);

	slab_give(slab, item);
	slab_give(slab, item);
}

static void test_misuse(void **state)
{
	(void)state;
	assert_int_equal(death_of(free_with_item_taken), SIGABRT);
	assert_int_equal(death_of(give_foreign), SIGABRT);
	assert_int_equal(death_of(give_middle), SIGABRT);
	assert_int_equal(death_of(give_too_many), SIGABRT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_items),
		cmocka_unit_test(test_reuse),
		cmocka_unit_test(test_misuse),
	};

	crypto_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
