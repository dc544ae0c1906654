/*
 * Changes of the cluster's keys for a client of the control socket: the work on a worker with a
 * copy of the identity, the swap on the loop, then a publication. A change of the release key has
 * an end as well, once every branch has moved.
 */
#include "control/answers.h"

#include "admin/audit.h"
#include "admin/keys.h"
#include "admin/show.h"
#include "core/limits.h"
#include "core/log.h"
#include "core/loop.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STOPS "the daemon stops; what is left is done at its next start"

struct key_job {
	struct admin_answers *answers;
	struct client *client; /* NULL: none, or it went away; the change counts all the same */
	const struct change *change;
	uid_t uid;		   /* who asks */
	struct identity *identity; /* a copy, which the work changes */
	bool ending; /* the release key: the branches have moved */
	struct keys_epoch epoch;
	uint32_t ended;
	json_t *cut_off, *publication;
	struct keys_pins pins;
	int rc;
	struct err err;
};

struct change {
	const char *name;
	int (*work)(struct key_job *job, const struct keys_by *by); /* on a worker */
	/* on the loop, with the new identity; ends the job some time */
	void (*done)(struct key_job *job);
};

static void job_end(struct key_job *job)
{
	job->answers->key_job = NULL;
	identity_free(job->identity);
	json_decref(job->cut_off);
	json_decref(job->publication);
	keys_pins_clear(&job->pins);
	free(job);
}

/* Takes ANSWER. */
static void job_answer(struct key_job *job, json_t *answer)
{
	if (job->client)
		client_answer(job->client, answer);
	else
		json_decref(answer);
	job_end(job);
}

static void job_refuse(struct key_job *job, const struct err *err)
{
	if (job->client)
		client_refuse(job->client, err->code, err->text);
	else
		log_warning("keys", "cluster", "%s", err->text);
	job_end(job);
}

static void work(void *arg)
{
	struct key_job *job = arg;
	char *who = audit_user(job->uid);
	const struct keys_by by = {.who = who, .host = job->answers->host};

	job->rc = job->change->work(job, &by);
	free(who);
}

void own_cluster(const struct admin_answers *answers, const char *role, struct cluster *out)
{
	struct keystore *keystore = keystore_for(answers->identity, role);
	struct buf text;

	buf_init(&text, LIMIT_SMALL_FILE);
	keystore_format(keystore, &text);
	keystore_free(keystore);
	*out = (struct cluster){.host = text_copy("127.0.0.1"),
				.port = serve_port(answers->serve),
				.keystore = text_copy(buf_text(&text))};
	crypto_wipe(text.data, text.len);
	buf_clear(&text);
}

/* What is on the disk counts, also after a failure half-way. */
static void take_identity(struct admin_answers *answers, const struct identity *identity)
{
	struct cluster own;

	identity_assign(answers->identity, identity);
	if (!answers->runtime || !answers->serve)
		return;
	own_cluster(answers, answers->own_role, &own);
	runtime_own_cluster(answers->runtime, &own);
	cluster_clear(&own);
}

static void done(void *arg)
{
	struct key_job *job = arg;

	take_identity(job->answers, job->identity);
	if (job->rc != 0)
		job_refuse(job, &job->err);
	else
		job->change->done(job);
}

static void begin(struct key_job *job)
{
	loop_work(job->answers->loop, work, done, job);
}

/* The change is made, and so is the publication that carries it, or why it was not. */
static void on_published(void *arg, const struct publication *publication, const struct err *err)
{
	struct key_job *job = arg;

	if (!publication) {
		struct err why = *err;

		(void)err_prefix(&why,
				 "the keys are changed, and what follows is tried again later");
		job_refuse(job, &why);
		return;
	}
	job->publication = show_publication(publication);
	if (job->answers->identity->release_count > 1 && !publication->refused && job->ending) {
		key_go_on(job->answers);
	} else {
		json_t *answer = job->ending ? keys_release_json(job->answers->identity, 0,
								 json_incref(job->publication))
					     : keys_epoch_json(job->answers->identity, &job->epoch,
							       json_incref(job->publication));

		job_answer(job, answer);
	}
}

static void publish(struct key_job *job)
{
	struct err err;

	if (job->answers->admin) {
		admin_publish(job->answers->admin, NULL, on_published, job);
		return;
	}
	(void)err_set(&err, ERR_RETRY, STOPS);
	job_refuse(job, &err);
}

/* --- epochs --- */

static int rotate_epoch(struct key_job *job, const struct keys_by *by)
{
	return keys_add_epoch(job->answers->home, job->identity, by, &job->epoch, &job->err);
}

static int retire_epoch(struct key_job *job, const struct keys_by *by)
{
	job->ended = job->identity->roots[job->identity->root_count - 1].epoch;
	return keys_end_epoch(job->answers->home, job->identity, by, &job->err);
}

static void epoch_retired(struct key_job *job)
{
	if (job->answers->serve) {
		job->cut_off =
			keys_cut_off(serve_registry(job->answers->serve), job->answers->identity);
		serve_keys_changed(job->answers->serve);
	}
	job_answer(job,
		   keys_ended_json(job->answers->identity, job->ended, json_incref(job->cut_off)));
}

/* --- the release key --- */

/* One that a kill interrupted goes on. */
static int rotate_release(struct key_job *job, const struct keys_by *by)
{
	if (job->identity->release_count > 1)
		return 0;
	return keys_add_release(job->answers->home, job->identity, by, &job->err);
}

static void release_rotated(struct key_job *job)
{
	job->ending = true;
	publish(job);
}

static int end_release(struct key_job *job, const struct keys_by *by)
{
	return keys_end_release(job->answers->home, job->identity, by, &job->pins, &job->err);
}

static void release_ended(struct key_job *job)
{
	for (size_t i = 0; i < job->pins.count && job->answers->serve; i++)
		serve_pinned(job->answers->serve, &job->pins.list[i].pin, &job->pins.list[i].raw);
	job_answer(job, keys_release_json(job->answers->identity, job->pins.count,
					  json_incref(job->publication)));
}

static const struct change changes[] = {
	{"rotate-epoch", rotate_epoch, publish},
	{"retire-epoch", retire_epoch, epoch_retired},
	{"rotate-release", rotate_release, release_rotated},
};
static const struct change last_change = {"end-release", end_release, release_ended};

static struct key_job *job_new(struct admin_answers *answers, struct client *client,
			       const struct change *change)
{
	struct key_job *job = mem_new(1, sizeof(*job));

	*job = (struct key_job){.answers = answers,
				.client = client,
				.change = change,
				.uid = client ? client_uid(client) : getuid(),
				.identity = identity_copy(answers->identity)};
	answers->key_job = job;
	return job;
}

void key_go_on(struct admin_answers *answers)
{
	struct key_job *job = answers->key_job;

	if (job && job->publication && job->change != &last_change &&
	    (!answers->admin || !answers->serve)) {
		struct err err;

		(void)err_set(&err, ERR_RETRY, STOPS);
		job_refuse(job, &err);
		return;
	}
	/*
	 * a pin that is being made may be signed by the old key: it is signed again with the others
	 */
	if (!answers->admin || !answers->serve || answers->identity->release_count < 2 ||
	    answers->pin_jobs)
		return;
	if (job && (!job->publication || !job->ending || job->change == &last_change))
		return;
	if (!job && !admin_state(answers->admin)->has_published)
		return;
	if (!job)
		job = job_new(answers, NULL, &last_change);
	job->change = &last_change;
	begin(job);
}

void key_answer(struct admin_answers *answers, struct client *client, const json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "change"));

	if (answers->key_job) {
		client_refuse(client, ERR_RETRY,
			      "another change of the keys is under way: try again");
		return;
	}
	for (size_t i = 0; name && i < sizeof(changes) / sizeof(changes[0]); i++)
		if (strcmp(changes[i].name, name) == 0) {
			begin(job_new(answers, client, changes + i));
			return;
		}
	client_refuse(
		client, ERR_REFUSED,
		"the daemon does not know this change of keys: is it older than this program?");
}

void key_client_gone(struct admin_answers *answers, const struct client *client)
{
	if (answers->key_job && answers->key_job->client == client)
		answers->key_job->client = NULL;
}
