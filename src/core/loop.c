/* The loop: see loop.h. */
#include "core/loop.h"

#include "core/text.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/random.h>

struct job {
	uv_work_t request;
	void (*work)(void *arg);
	void (*done)(void *arg);
	void *arg;
};

static size_t jobs; /* not done: of the one loop, and touched by it alone */

static void on_work(uv_work_t *request)
{
	struct job *job = request->data;

	job->work(job->arg);
}

static void on_done(uv_work_t *request, int status)
{
	struct job *job = request->data;
	void (*done)(void *) = job->done;
	void *arg = job->arg;

	(void)status; /* nothing cancels a job */
	free(job);
	jobs--;
	done(arg);
}

void loop_work(uv_loop_t *loop, void (*work)(void *arg), void (*done)(void *arg), void *arg)
{
	struct job *job = mem_new(1, sizeof(*job));
	int rc;

	*job = (struct job){.work = work, .done = done, .arg = arg};
	job->request.data = job;
	rc = uv_queue_work(loop, &job->request, on_work, on_done);
	assert(rc == 0); /* fails only without a function */
	jobs++;
}

/* --- one thing for many, by all threads --- */

enum {
	SPREAD_CHUNK = 8,   /* items that a thread takes at once */
	SPREAD_HELPERS = 3, /* worker threads: libuv has four, and one is left for what comes */
};

/* Its user waits for the calls, not for the jobs: one that starts late finds nothing to do. */
struct spread {
	void (*each)(void *arg, size_t i);
	void *arg;
	size_t count;
	size_t users; /* jobs that are not done, and the caller; touched by the loop alone */
	uv_mutex_t lock;
	uv_cond_t left;
	size_t next;   /* the first item that nobody took */
	size_t inside; /* helpers that are at their items */
};

/* Takes items until all are taken. HELPER: one that the caller waits for. */
static void spread_run(struct spread *spread, bool helper)
{
	uv_mutex_lock(&spread->lock);
	spread->inside += helper;
	while (spread->next < spread->count) {
		size_t i = spread->next;
		size_t end = spread->count - i > SPREAD_CHUNK ? i + SPREAD_CHUNK : spread->count;

		spread->next = end;
		uv_mutex_unlock(&spread->lock);
		for (; i < end; i++)
			spread->each(spread->arg, i);
		uv_mutex_lock(&spread->lock);
	}
	spread->inside -= helper;
	if (helper && spread->inside == 0)
		uv_cond_signal(&spread->left);
	uv_mutex_unlock(&spread->lock);
}

static void spread_help(void *arg)
{
	spread_run(arg, true);
}

static void spread_leave(void *arg)
{
	struct spread *spread = arg;

	if (--spread->users > 0)
		return;
	uv_cond_destroy(&spread->left);
	uv_mutex_destroy(&spread->lock);
	free(spread);
}

void loop_spread(uv_loop_t *loop, size_t count, void (*each)(void *arg, size_t i), void *arg)
{
	size_t helpers = uv_available_parallelism() - 1;
	struct spread *spread = mem_new(1, sizeof(*spread));

	*spread = (struct spread){.each = each, .arg = arg, .count = count, .users = 1};
	if (uv_mutex_init(&spread->lock) != 0 || uv_cond_init(&spread->left) != 0)
		abort(); /* only without memory */
	if (helpers > SPREAD_HELPERS)
		helpers = SPREAD_HELPERS;
	for (; helpers > 0 && count > helpers * SPREAD_CHUNK; helpers--) {
		spread->users++;
		loop_work(loop, spread_help, spread_leave, spread);
	}
	spread_run(spread, false);
	uv_mutex_lock(&spread->lock);
	while (spread->inside > 0) /* each is at its last items */
		uv_cond_wait(&spread->left, &spread->lock);
	uv_mutex_unlock(&spread->lock);
	spread_leave(spread);
}

/* --- the end --- */

static void on_handle(uv_handle_t *handle, void *arg)
{
	(void)handle;
	++*(size_t *)arg;
}

bool loop_run_out(uv_loop_t *loop)
{
	while (uv_loop_alive(loop)) {
		size_t handles = 0;

		uv_walk(loop, on_handle, &handles);
		if (handles == 0 && jobs == 0)
			return false;
		(void)uv_run(loop, UV_RUN_ONCE); /* that something is left is asked above */
	}
	return true;
}

uint64_t loop_now(void)
{
	return uv_hrtime() / 1000000;
}

uint32_t loop_random(uint32_t limit)
{
	uint32_t value = 0;

	if (getrandom(&value, sizeof(value), 0) != sizeof(value))
		abort();
	return limit ? value % limit : 0;
}
