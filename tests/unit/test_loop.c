/*
 * One thing for many, by all threads: each once, all done when the call is over, late helpers
 * harmless.
 */
#include "core/loop.h"
#include "core/text.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

enum { MANY = 5000, POOL = 4 }; /* libuv's threads, when nobody says otherwise */

struct marks {
	unsigned counts[MANY]; /* not atomic: each is one call's */
	atomic_uint calls;
	atomic_uint elsewhere; /* calls that were not on the loop's thread */
	uv_thread_t loop_thread;
	bool wait; /* the loop's own calls wait until a helper has come */
};

static void mark(void *arg, size_t i)
{
	struct marks *marks = arg;
	uv_thread_t self = uv_thread_self();
	uint64_t end = loop_now() + 10000;

	marks->counts[i]++;
	atomic_fetch_add(&marks->calls, 1);
	if (!uv_thread_equal(&self, &marks->loop_thread))
		atomic_fetch_add(&marks->elsewhere, 1);
	while (marks->wait && atomic_load(&marks->elsewhere) == 0 && loop_now() < end)
		;
}

static struct marks *marks_new(void)
{
	struct marks *marks = mem_new(1, sizeof(*marks));

	marks->loop_thread = uv_thread_self();
	return marks;
}

static void spread_and_look(uv_loop_t *loop, size_t count)
{
	struct marks *marks = marks_new();

	loop_spread(loop, count, mark, marks);
	assert_int_equal(atomic_load(&marks->calls), count);
	for (size_t i = 0; i < MANY; i++)
		assert_int_equal(marks->counts[i], i < count);
	free(marks); /* helpers that start now must not find it */
}

static void test_counts(void **state)
{
	static const size_t counts[] = {0, 1, 7, 8, 9, 16, 25, 100, MANY};
	uv_loop_t loop;

	(void)state;
	assert_int_equal(uv_loop_init(&loop), 0);
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		spread_and_look(&loop, counts[i]);
		/* while helpers of before may not have started */
		spread_and_look(&loop, counts[i]);
	}
	assert_true(loop_run_out(&loop));
	assert_int_equal(uv_loop_close(&loop), 0);
}

static void test_helpers(void **state)
{
	struct marks *marks = marks_new();
	uv_loop_t loop;

	(void)state;
	if (uv_available_parallelism() < 2)
		skip();
	marks->wait = true;
	assert_int_equal(uv_loop_init(&loop), 0);
	loop_spread(&loop, MANY, mark, marks);
	assert_true(atomic_load(&marks->elsewhere) > 0);
	assert_int_equal(atomic_load(&marks->calls), MANY);
	assert_true(loop_run_out(&loop));
	assert_int_equal(uv_loop_close(&loop), 0);
	free(marks);
}

static uv_sem_t held;
static unsigned ended;

static void hold(void *arg)
{
	(void)arg;
	uv_sem_wait(&held);
}

static void end(void *arg)
{
	(void)arg;
	ended++;
}

/* All workers are at something long: the loop does not wait for them. */
static void test_busy_workers(void **state)
{
	uv_loop_t loop;

	(void)state;
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(uv_sem_init(&held, 0), 0);
	for (int i = 0; i < POOL; i++)
		loop_work(&loop, hold, end, NULL);
	spread_and_look(&loop, MANY);
	assert_int_equal(ended, 0);
	for (int i = 0; i < POOL; i++)
		uv_sem_post(&held);
	assert_true(loop_run_out(&loop));
	assert_int_equal(ended, POOL);
	uv_sem_destroy(&held);
	assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_helpers),
		cmocka_unit_test(test_busy_workers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
