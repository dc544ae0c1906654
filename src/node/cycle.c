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
	/* only what this node is held at passes this step, while it is held or about to be */
	bool deploys;
	/* it passed: what must be on the disk before anything follows from it */
	void (*passed)(struct cycle *cycle);
};

static void cycle_accepted(struct cycle *cycle);
static void cycle_vetted(struct cycle *cycle);

static const struct step steps[] = {
	{"fetch", NULL, fetch_step, false, NULL},
	{"verify", verify_step, NULL, false, cycle_accepted},
	{"check", check_step, NULL, true, NULL},
	{"stage", stage_step, NULL, true, NULL},
	{"vet", NULL, vet_step, true, cycle_vetted},
	{"swap", swap_step, NULL, true, NULL},
	{"activate", NULL, activate_step, false, NULL},
	{"report", NULL, report_step, false, NULL},
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
	(void)uv_timer_start(&runtime->retry, on_retry, WAIT_BACKOFF_MIN + loop_random(limit),
			     0); /* never fails */
}

void refusal_set(struct refusal *refusal, const struct oid *release, uint64_t sequence,
		 const char *step, const char *reason)
{
	*refusal = (struct refusal){.release = *release, .sequence = sequence, .step = step};
	memcpy(refusal->reason, reason, strnlen(reason, sizeof(refusal->reason) - 1));
	reason_clean(refusal->reason);
}

/* The release is refused: told, and not tried again before a start, SIGHUP or another release. */
static void refuse(struct cycle *cycle, const char *step, const char *reason)
{
	struct runtime *runtime = cycle->runtime;
	struct state_entry *entry = node_state_find(&runtime->state, &cycle->target);

	if (cycle->is_hold) {
		refusal_set(&runtime->hold_refusal, &cycle->target, cycle->release.sequence, step,
			    reason);
		return;
	}
	refusal_set(&runtime->refusal, &cycle->target,
		    cycle->release.sequence ? cycle->release.sequence : runtime->head_sequence,
		    step, reason);
	if (entry && (entry->verdict == VERDICT_ACCEPTED || entry->verdict == VERDICT_PAST))
		entry_verdict(entry, VERDICT_REJECTED, step, reason);
}

/* Whoever wished it is told, and nothing is tried again. */
static void wish_fail(struct cycle *cycle, const char *step, const struct err *err)
{
	struct err why = *err;

	(void)err_prefix(&why, "%.12s is refused at %s, and nothing was changed", cycle->name,
			 step);
	log_error(step, cycle->name, "no rollback to it, kept what is active: %s", err->text);
	wish_end(cycle->runtime, &why);
}

static void cycle_fail(struct cycle *cycle, const char *step, const struct err *err)
{
	struct runtime *runtime = cycle->runtime;
	char release[OID_HEX_SIZE];

	(void)oid_hex(&cycle->target, release);
	release[12] = '\0';
	if (cycle->is_wish) {
		wish_fail(cycle, step, err);
	} else if (err->code == ERR_REFUSED || err->code == ERR_CORRUPT) {
		log_error(step, release, "release refused, kept what is active: %s", err->text);
		refuse(cycle, step, err->text);
	} else {
		log_warning(step, release, "failed, tried again later: %s", err->text);
		retry_later(runtime);
	}
	report_changed(runtime);
	cycle_end(cycle);
}

/* Whether it neither runs nor was refused or burnt here. */
static bool is_new(struct runtime *runtime, const struct oid *release)
{
	const struct state_entry *entry = node_state_find(&runtime->state, release);
	char active[OID_HEX_SIZE];

	if (strcmp(runtime->active, oid_hex(release, active)) == 0)
		return false;
	if (runtime->refusal.step && oid_equal(&runtime->refusal.release, release))
		return false;
	return !entry || entry->verdict != VERDICT_BURNT;
}

/*
 * Whether it may come to run here. A pin that is not judged yet may hold this node elsewhere. What
 * was fetched may be another release than the admin named: one that was burnt here is not to run
 * again for that.
 */
static bool may_deploy(const struct cycle *cycle)
{
	const struct runtime *runtime = cycle->runtime;
	const struct hold *hold = node_state_hold(&runtime->state);

	if (cycle->is_wish)
		return true;
	if (runtime->wish || runtime->pin_waits || runtime->pin_unsaved)
		return false;
	if (hold)
		return cycle->is_hold && strcmp(hold->release, cycle->name) == 0;
	return !cycle->is_hold && is_new(cycle->runtime, &cycle->target);
}

static void cycle_next(struct cycle *cycle)
{
	struct runtime *runtime = cycle->runtime;

	if (++cycle->step == STEP_COUNT || (cycle->refill && cycle->step > STEP_VERIFY)) {
		runtime->retries = 0;
		if (cycle->is_wish)
			wish_end(runtime, NULL);
		cycle_end(cycle);
	} else if (steps[cycle->step].deploys && !may_deploy(cycle)) {
		log_info(steps[cycle->step].name, runtime->name,
			 "not deployed: this node is held or about to be, or had it before");
		runtime->retries = 0;
		report_changed(runtime);
		cycle_end(cycle);
	} else {
		cycle_run_step(cycle);
	}
}

/*
 * The state is saved, then the cycle goes on: what was decided must be on the disk before anything
 * follows from it.
 */
static void cycle_save(struct cycle *cycle)
{
	cycle->known = cycle->runtime->state;
	cycle->runtime->save_waiter = cycle;
	report_save(cycle->runtime);
}

/*
 * verify passed: the release is accepted, whatever comes of it. What is on the disk was so long
 * ago.
 */
static void cycle_accepted(struct cycle *cycle)
{
	struct runtime *runtime = cycle->runtime;
	bool again = cycle->refill && node_state_accepted(&runtime->state, &cycle->target);
	struct state_entry *entry;

	if (cycle->release.sequence) {
		entry = node_state_note(&runtime->state, &cycle->target, cycle->release.sequence);
		entry->sequence = cycle->release.sequence;
		entry->source = cycle->release.source;
		if (!cycle->is_hold && !again && entry->verdict != VERDICT_ACTIVE &&
		    entry->verdict != VERDICT_BURNT)
			entry_verdict(entry, VERDICT_ACCEPTED, "", NULL);
	}
	if (!cycle->is_hold)
		runtime->state.chain = cycle->chain;
	/* the one refused before is not offered any more */
	if (!cycle->is_hold && oid_equal(&runtime->head, &cycle->target) &&
	    !oid_equal(&runtime->refusal.release, &cycle->target))
		runtime->refusal.step = NULL;
	cycle_save(cycle);
}

/* vet passed, the last step that refuses: what is wished holds from here on, also after a kill. */
static void cycle_vetted(struct cycle *cycle)
{
	if (cycle->is_wish) {
		wish_hold(cycle->runtime);
		cycle_save(cycle);
	} else {
		cycle_next(cycle);
	}
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
	if (cycle->over) {
		cycle_end(cycle);
		return;
	}
	if (rc != 0) {
		cycle_fail(cycle, step->name, err);
		return;
	}
	if (step->passed)
		step->passed(cycle);
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
	cycle->swaps |= step->work == swap_step;
	if (step->start) {
		step->start(cycle);
		return;
	}
	cycle->runtime->busy++;
	loop_work(cycle->runtime->loop, on_work, on_done, cycle);
}

/*
 * Whether the admin's newest release is to be taken up now: while this node is held, it is only to
 * be accepted.
 */
static bool head_wanted(struct runtime *runtime)
{
	const struct chain_state *chain = &runtime->state.chain;

	if (!runtime->head_known || runtime->head_sequence == 0 || !is_new(runtime, &runtime->head))
		return false;
	if (node_state_hold(&runtime->state) && chain->has_accepted &&
	    oid_equal(&runtime->head, &chain->accepted))
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
	return !refusal->step || !oid_equal(&refusal->release, &runtime->head) ||
	       (strcmp(refusal->step, "fetch") != 0 && strcmp(refusal->step, "verify") != 0);
}

/*
 * The newest release accepted, which was held back or cut short: the replica has it, so there need
 * be no admin.
 */
static bool accepted_wanted(struct runtime *runtime)
{
	const struct chain_state *chain = &runtime->state.chain;
	const struct state_entry *entry = node_state_find(&runtime->state, &chain->accepted);

	return chain->has_accepted && runtime->active[0] && entry &&
	       entry->verdict != VERDICT_REJECTED && is_new(runtime, &chain->accepted);
}

static bool hold_wanted(struct runtime *runtime, const struct hold *hold)
{
	const struct state_entry *entry = NULL;
	struct oid release;

	if (oid_parse(hold->release, &release) == 0)
		entry = node_state_find(&runtime->state, &release);
	return strcmp(hold->release, runtime->active) != 0 && !runtime->hold_refusal.step &&
	       !(entry && entry->verdict == VERDICT_BURNT);
}

static struct cycle *cycle_new(struct runtime *runtime)
{
	struct cycle *cycle = mem_new(1, sizeof(*cycle));

	cycle->runtime = runtime;
	cycle->chain = runtime->state.chain;
	cycle->known = runtime->state;
	cycle->ring = keyring_copy(runtime->ring);
	cycle->fd = -1;
	buf_init(&cycle->raw, LIMIT_COMMIT_SIZE);
	runtime->cycle = cycle;
	return cycle;
}

void cycle_hold(struct runtime *runtime, const char *name, bool is_wish)
{
	struct cycle *cycle = cycle_new(runtime);

	cycle->is_hold = true;
	cycle->is_wish = is_wish;
	memcpy(cycle->name, name, strlen(name) + 1);
	(void)oid_parse(name, &cycle->target); /* zero for one from etc/init */
	cycle_run_step(cycle);
}

/* REFILL: only the replica needs it. */
static void cycle_take(struct runtime *runtime, const struct oid *release, bool refill)
{
	struct cycle *cycle = cycle_new(runtime);

	cycle->refill = refill;
	cycle->asked = cycle->target = *release;
	cycle_run_step(cycle);
}

void cycle_consider(struct runtime *runtime)
{
	const struct hold *hold;

	/* an activation under way may burn the very release */
	if (runtime->cycle || runtime->cleaning || runtime->stopping || runtime->activation ||
	    runtime->swapping || wish_consider(runtime) || pin_consider(runtime) ||
	    uv_is_active((uv_handle_t *)&runtime->retry))
		return;
	hold = node_state_hold(&runtime->state);
	/*
	 * a pin that waits lets nothing be deployed: it waits for the newest release, and for the
	 * replica
	 */
	if (hold && !runtime->pin_waits && hold_wanted(runtime, hold))
		cycle_hold(runtime, hold->release, false);
	else if (head_wanted(runtime))
		cycle_take(runtime, &runtime->head, false);
	else if (refill_wanted(runtime))
		cycle_take(runtime, &runtime->head, true);
	else if (!hold && !runtime->pin_waits && accepted_wanted(runtime))
		cycle_take(runtime, &runtime->state.chain.accepted, false);
}

bool cycle_swapped(const struct runtime *runtime, const char *name)
{
	const struct cycle *cycle = runtime->cycle;

	return cycle && cycle->swaps && strcmp(cycle->name, name) == 0;
}

void cycle_activated(struct runtime *runtime, const char *name, bool ok)
{
	struct cycle *cycle = runtime->cycle;
	struct err err;

	if (!ok && cycle_swapped(runtime, name))
		cycle->over = steps[cycle->step].work == swap_step;
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
