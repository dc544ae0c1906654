/*
 * Holding a node and letting it follow again, for a client of the control socket: one half on the
 * loop, one on a worker.
 */
#include "control/answers.h"

#include "admin/pinning.h"
#include "core/loop.h"

#include <stdlib.h>

struct pin_job {
	struct pin_job *next;
	struct admin_answers *answers;
	struct client *client; /* NULL: it went away; the pin counts all the same */
	struct identity *identity;
	struct pinning pinning;
	int rc;
	struct err err;
};

static void work(void *arg)
{
	struct pin_job *job = arg;

	job->rc = pinning_run(&job->pinning, job->answers->home, job->identity, &job->err);
}

static void job_end(struct pin_job *job)
{
	struct pin_job **link = &job->answers->pin_jobs;

	while (*link != job)
		link = &(*link)->next;
	*link = job->next;
	key_go_on(job->answers);
	pinning_clear(&job->pinning);
	identity_free(job->identity);
	free(job);
}

static void done(void *arg)
{
	struct pin_job *job = arg;
	struct admin_answers *answers = job->answers;

	/* a daemon that stops meanwhile tells it at its next start */
	if (job->rc == 0 && answers->serve) {
		serve_pinned(answers->serve, &job->pinning.pin, &job->pinning.raw);
		admin_changed(answers);
	}
	if (job->client && job->rc == 0)
		client_answer(job->client, pinning_json(&job->pinning));
	else if (job->client)
		client_refuse(job->client, job->err.code, job->err.text);
	job_end(job);
}

static void begin(struct admin_answers *answers, struct client *client,
		  const struct pinning *pinning)
{
	struct pin_job *job = mem_new(1, sizeof(*job));

	*job = (struct pin_job){.next = answers->pin_jobs,
				.answers = answers,
				.client = client,
				.identity = identity_copy(answers->identity),
				.pinning = *pinning};
	answers->pin_jobs = job;
	loop_work(answers->loop, work, done, job);
}

void pin_answer(struct admin_answers *answers, struct client *client, const json_t *request)
{
	struct pinning_wish wish = {.host = answers->host};
	struct pinning pinning;
	struct err err;

	if (json_unpack((json_t *)request, "{s:s, s?s, s?s}", "node", &wish.node, "rev", &wish.rev,
			"reason", &wish.reason) != 0) {
		client_refuse(client, ERR_CORRUPT, "the request is not complete");
	} else if (answers->key_job) {
		client_refuse(client, ERR_RETRY, "the cluster's keys are being changed: try again");
	} else if (pinning_begin(serve_registry(answers->serve), serve_pins(answers->serve), &wish,
				 &pinning, &err) != 0) {
		client_refuse(client, err.code, err.text);
	} else if (pinning.needless) {
		client_answer(client, pinning_json(&pinning));
		pinning_clear(&pinning);
	} else {
		begin(answers, client, &pinning);
	}
}

void pin_client_gone(struct admin_answers *answers, const struct client *client)
{
	for (struct pin_job *job = answers->pin_jobs; job; job = job->next)
		if (job->client == client)
			job->client = NULL;
}
