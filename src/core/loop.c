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
