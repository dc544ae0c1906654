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
