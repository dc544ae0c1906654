/* A node's cycle: the one table of its steps, and what a failure in each means. */
#include "node/steps.h"

#include "core/limits.h"
#include "core/log.h"
#include "core/loop.h"
#include "node/heal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct step {
	const char *name;
	int (*work)(struct cycle *cycle, struct err *err); /* on a worker thread */
	void (*start)(struct cycle *cycle);		   /* on the loop */
};

static const struct step steps[] = {
	{"fetch", NULL, fetch_step},
	{"verify", verify_step, NULL},
	{"check", check_step, NULL},
	{"stage", stage_step, NULL},
	{"vet", NULL, vet_step},
	{"swap", swap_step, NULL},
	{"activate", NULL, activate_step},
	{"report", NULL, report_step},
};

enum { STEP_COUNT = sizeof(steps) / sizeof(steps[0]), STEP_VERIFY = 1 };

static void cycle_run_step(struct cycle *cycle);

static void cycle_free(struct cycle *cycle)
{
	release_clear(&cycle->release);
	fileset_clear(&cycle->files);
	buf_clear(&cycle->raw);
	buf_clear(&cycle->pack);
	repo_free(cycle->quarantine);
	free(cycle->plain);
	keyring_free(cycle->ring);
	free(cycle);
}

/* The cycle is over; what came meanwhile is looked at. */
static void cycle_end(struct cycle *cycle)
{
	struct runtime *runtime = cycle->runtime;

	runtime->cycle = NULL;
	runtime->unclean |= cycle->plain != NULL;
	/* what could not be restored may be by now */
	if (cycle->refill)
		heal_hint(runtime, HEAL_COPY | HEAL_REPLICA);
	cycle_free(cycle);
	cycle_consider(runtime);
	clean_later(runtime);
}

static void on_retry(uv_timer_t *timer)
{
	struct runtime *runtime = timer->data;

	if (runtime->unsaved)
		report_save(runtime);
	activate_retry(runtime);
	cycle_consider(runtime);
}

void retry_later(struct runtime *runtime)
{
	uint32_t limit = WAIT_BACKOFF_MAX;

	if (runtime->stopping || uv_is_active((uv_handle_t *)&runtime->retry))
		return;
	if (runtime->retries < 7)
		limit = WAIT_BACKOFF_MIN << runtime->retries;
	runtime->retries++;
	(void)uv_timer_start(&runtime->retry, on_retry, WAIT_BACKOFF_MIN + loop_random(limit), 0); /* never fails */
}

void refusal_set(struct runtime *runtime, const struct oid *release, uint64_t sequence, const char *step,
		 const char *reason)
{
	struct refusal *refusal = &runtime->refusal;

	*refusal = (struct refusal){.release = *release, .sequence = sequence, .step = step};
	memcpy(refusal->reason, reason, strnlen(reason, sizeof(refusal->reason) - 1));
	reason_clean(refusal->reason);
}

/* The release is refused: told, and not tried again before a start, SIGHUP or another release. */
static void refuse(struct cycle *cycle, const char *step, const char *reason)
{
	struct runtime *runtime = cycle->runtime;
	struct state_entry *entry = node_state_find(&runtime->state, &cycle->target);

	refusal_set(runtime, &cycle->target,
		    cycle->release.sequence ? cycle->release.sequence : runtime->head_sequence, step, reason);
	if (entry && entry->verdict == VERDICT_ACCEPTED)
		entry_verdict(entry, VERDICT_REJECTED, step, reason);
}

static void cycle_fail(struct cycle *cycle, const char *step, const struct err *err)
{
	struct runtime *runtime = cycle->runtime;
	char release[OID_HEX_SIZE];

	(void)oid_hex(&cycle->target, release);
	release[12] = '\0';
	if (err->code == ERR_REFUSED || err->code == ERR_CORRUPT) {
		log_error(step, release, "release refused, kept what is active: %s", err->text);
		refuse(cycle, step, err->text);
	} else {
		log_warning(step, release, "failed, tried again later: %s", err->text);
		retry_later(runtime);
	}
	report_changed(runtime);
	cycle_end(cycle);
}

/* verify passed: the release is accepted, whatever comes of it. */
static void cycle_accepted(struct cycle *cycle)
{
	struct runtime *runtime = cycle->runtime;
	bool again = cycle->refill && node_state_accepted(&runtime->state, &cycle->target);
	struct state_entry *entry;

	runtime->state.chain = cycle->chain;
	entry = node_state_note(&runtime->state, &cycle->target);
	entry->sequence = cycle->release.sequence;
	entry->source = cycle->release.source;
	if (!again && entry->verdict != VERDICT_ACTIVE && entry->verdict != VERDICT_BURNT)
		entry_verdict(entry, VERDICT_ACCEPTED, "", NULL);
	cycle->known = runtime->state;
	/* what was accepted must be on the disk before anything follows from it */
	runtime->save_waiter = cycle;
	report_save(runtime);
}

static void cycle_next(struct cycle *cycle)
{
	if (++cycle->step == STEP_COUNT || (cycle->refill && cycle->step > STEP_VERIFY)) {
		cycle->runtime->retries = 0;
		cycle_end(cycle);
		return;
	}
	cycle_run_step(cycle);
}

/* True when the daemon stops: the cycle is gone. */
static bool cycle_stopped(struct cycle *cycle)
{
	if (!cycle->runtime->stopping)
		return false;
	cycle->runtime->cycle = NULL;
	runtime_release(cycle->runtime);
	cycle_free(cycle);
	return true;
}

void cycle_saved(struct cycle *cycle, int rc, const struct err *err)
{
	if (cycle_stopped(cycle))
		return;
	if (rc != 0)
		cycle_fail(cycle, steps[cycle->step].name, err);
	else
		cycle_next(cycle);
}

void cycle_step_done(struct cycle *cycle, int rc, const struct err *err)
{
	const struct step *step = steps + cycle->step;

	assert(cycle->runtime->cycle == cycle);
	if (cycle_stopped(cycle))
		return;
	if (rc != 0) {
		cycle_fail(cycle, step->name, err);
		return;
	}
	if (cycle->step == STEP_VERIFY)
		cycle_accepted(cycle);
	else
		cycle_next(cycle);
}

static void on_work(void *arg)
{
	struct cycle *cycle = arg;

	cycle->err = (struct err){0};
	cycle->rc = steps[cycle->step].work(cycle, &cycle->err);
}

static void on_done(void *arg)
{
	struct cycle *cycle = arg;

	cycle->runtime->busy--;
	cycle_step_done(cycle, cycle->rc, &cycle->err);
}

static void cycle_run_step(struct cycle *cycle)
{
	const struct step *step = steps + cycle->step;

	log_debug(step->name, cycle->runtime->name, "begins");
	if (step->start) {
		step->start(cycle);
		return;
	}
	cycle->runtime->busy++;
	loop_work(cycle->runtime->loop, on_work, on_done, cycle);
}

/* Whether the admin's newest release is to be taken up now. */
static bool wanted(struct runtime *runtime)
{
	const struct chain_state *chain = &runtime->state.chain;
	const struct state_entry *entry = node_state_find(&runtime->state, &runtime->head);
	char active[OID_HEX_SIZE];

	if (!runtime->head_known || runtime->head_sequence == 0)
		return false;
	if (strcmp(runtime->active, oid_hex(&runtime->head, active)) == 0)
		return false;
	if (runtime->refusal.sequence && oid_equal(&runtime->refusal.release, &runtime->head))
		return false;
	if (entry && entry->verdict == VERDICT_BURNT)
		return false;
	/* an admin restored from an older copy: never back */
	return !chain->has_accepted || runtime->head_sequence >= chain->sequence;
}

/* Whether the replica was lost and the admin has all of it. */
static bool refill_wanted(struct runtime *runtime)
{
	const struct chain_state *chain = &runtime->state.chain;
	const struct refusal *refusal = &runtime->refusal;

	if (!atomic_load(&runtime->replica_lost) || !runtime->head_known || !chain->has_accepted ||
	    runtime->head_sequence < chain->sequence)
		return false;
	/* what does not even verify is not what was lost */
	return !refusal->sequence || !oid_equal(&refusal->release, &runtime->head) ||
	       (strcmp(refusal->step, "fetch") != 0 && strcmp(refusal->step, "verify") != 0);
}

void cycle_consider(struct runtime *runtime)
{
	struct cycle *cycle;
	bool take;

	/* an activation under way may burn the very release */
	if (runtime->cycle || runtime->cleaning || runtime->stopping || runtime->activation ||
	    runtime->swapping || uv_is_active((uv_handle_t *)&runtime->retry))
		return;
	take = wanted(runtime);
	if (!take && !refill_wanted(runtime))
		return;
	cycle = mem_new(1, sizeof(*cycle));
	cycle->runtime = runtime;
	cycle->refill = !take;
	cycle->asked = cycle->target = runtime->head;
	cycle->chain = runtime->state.chain;
	cycle->known = runtime->state;
	cycle->ring = keyring_copy(runtime->ring);
	cycle->fd = -1;
	buf_init(&cycle->raw, LIMIT_COMMIT_SIZE);
	runtime->cycle = cycle;
	cycle_run_step(cycle);
}

void cycle_activated(struct runtime *runtime, const char *name, bool ok)
{
	struct cycle *cycle = runtime->cycle;
	struct err err;

	if (!cycle || steps[cycle->step].start != activate_step || cycle_stopped(cycle))
		return;
	if (strcmp(cycle->name, name) != 0) {
		if (runtime->look_again)
			return; /* its turn is next */
		(void)err_set(&err, ERR_RETRY, "another hand moved var/node/current away from it");
		cycle_step_done(cycle, -1, &err);
	} else if (ok) {
		cycle_step_done(cycle, 0, NULL);
	} else {
		cycle_end(cycle); /* told already, and the release is burnt */
	}
}
