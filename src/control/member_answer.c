/*
 * Membership for a client of the control socket: decided on the loop, then synced, then noted on a
 * worker, then answered.
 */
#include "control/answers.h"

#include "admin/audit.h"
#include "admin/members.h"
#include "core/loop.h"

#include <stdlib.h>

struct member_job {
	struct member_job *next;
	struct admin_answers *answers;
	struct client *client; /* NULL: it went away; what it asked for is done all the same */
	uid_t uid;
	struct member member;
	int rc;
	struct err err;
};

static void work(void *arg)
{
	struct member_job *job = arg;
	char *who = audit_user(job->uid);
	struct err err;
	int rc = member_settle(&job->member, job->answers->home, who, &err);

	if (rc != 0 && job->rc == 0)
		job->err = err;
	job->rc |= rc;
	free(who);
}

static void job_end(struct member_job *job)
{
	struct member_job **link = &job->answers->member_jobs;

	while (*link != job)
		link = &(*link)->next;
	*link = job->next;
	free(job);
}

static void done(void *arg)
{
	struct member_job *job = arg;

	if (job->answers->serve) {
		member_done(&job->member, job->answers->serve);
		admin_changed(job->answers);
	}
	if (job->rc != 0)
		(void)err_prefix(&job->err, "it is in force, but not all of it is on the disk: run "
					    "this again when that is mended");
	if (job->client && job->rc == 0)
		client_answer(job->client, member_json(&job->member));
	else if (job->client) /* GONE would be the daemon */
		client_refuse(job->client, job->err.code == ERR_GONE ? ERR_RETRY : job->err.code,
			      job->err.text);
	job_end(job);
}

static void on_flushed(void *arg, int rc, const struct err *err)
{
	struct member_job *job = arg;

	job->rc = rc;
	if (rc != 0)
		job->err = *err;
	loop_work(job->answers->loop, work, done, job);
}

static void begin(struct admin_answers *answers, struct client *client, const struct member *member)
{
	struct member_job *job = mem_new(1, sizeof(*job));

	*job = (struct member_job){.next = answers->member_jobs,
				   .answers = answers,
				   .client = client,
				   .uid = client_uid(client),
				   .member = *member};
	answers->member_jobs = job;
	registry_flush(serve_registry(answers->serve), on_flushed, job);
}

void member_answer(struct admin_answers *answers, struct client *client, const json_t *request)
{
	struct member_wish wish = {.act = MEMBER_NONE};
	struct member member;
	const char *act = "";
	struct err err;

	if (json_unpack((json_t *)request, "{s:s, s:s, s?s}", "act", &act, "node", &wish.node,
			"key", &wish.key) == 0)
		wish.act = member_act_of(act);
	if (wish.act == MEMBER_NONE)
		client_refuse(client, ERR_CORRUPT, "the request is not complete");
	else if (member_change(answers->serve, answers->identity, &wish, &member, &err) != 0)
		client_refuse(client, err.code, err.text);
	else
		begin(answers, client, &member);
}

void member_client_gone(struct admin_answers *answers, const struct client *client)
{
	for (struct member_job *job = answers->member_jobs; job; job = job->next)
		if (job->client == client)
			job->client = NULL;
}
