/* What is asked for on this node: a rollback, which holds, and a resume. One at a time. */
#include "node/steps.h"

#include "core/log.h"
#include "core/loop.h"
#include "node/hold.h"

#include <stdlib.h>
#include <string.h>

enum wish_stage { WISH_SEARCHED, WISH_FOUND, WISH_DEPLOYED, WISH_SAVED };

struct wish {
	struct runtime *runtime;
	enum wish_stage stage; /* what is under way; found: it waits for its turn */
	runtime_answer_fn *fn; /* NULL: nobody waits for it any more */
	void *arg;
	char *rev; /* NULL: a resume */
	char reason[PIN_REASON_MAX + 1];
	char name[REVISION_NAME_MAX]; /* what REV means */
	struct node_state known;      /* for the worker */
	bool holds;		      /* the hold here is its own */
	struct hold before;	      /* and this was before */
	json_t *answer;		      /* of a resume, or NULL */
	int rc;
	struct err err;
};

void wish_free(struct runtime *runtime)
{
	struct wish *wish = runtime->wish;

	if (!wish)
		return;
	runtime->wish = NULL;
	json_decref(wish->answer);
	free(wish->rev);
	free(wish);
}

/* The place for a wish; NULL: there is none, and that was answered. */
static struct wish *wish_new(struct runtime *runtime, runtime_answer_fn *fn, void *arg)
{
	struct err err;

	if (runtime->wish || runtime->stopping) {
		(void)err_set(&err, ERR_RETRY, "%s",
			      runtime->stopping ? "the daemon stops"
						: "another rollback or resume is under way here: "
						  "try again when it is done");
		fn(arg, NULL, &err);
		return NULL;
	}
	runtime->wish = mem_new(1, sizeof(*runtime->wish));
	runtime->wish->runtime = runtime;
	runtime->wish->fn = fn;
	runtime->wish->arg = arg;
	return runtime->wish;
}

/* Takes over ANSWER. The wish is gone first: whoever is answered may ask again at once. */
static void answer(struct runtime *runtime, json_t *text, const struct err *err)
{
	runtime_answer_fn *fn = runtime->wish->fn;
	void *arg = runtime->wish->arg;

	wish_free(runtime);
	if (fn)
		fn(arg, text, err);
	else
		json_decref(text);
}

static uint64_t sequence_of(struct runtime *runtime, const char *name)
{
	const struct state_entry *entry = NULL;
	struct oid release;

	if (oid_parse(name, &release) == 0)
		entry = node_state_find(&runtime->state, &release);
	return entry ? entry->sequence : 0;
}

void wish_end(struct runtime *runtime, const struct err *err)
{
	struct wish *wish = runtime->wish;
	json_t *done = NULL;

	if (err && wish->holds) {
		runtime->state.here = wish->before;
		hold_refusal_renew(runtime);
		report_save(runtime);
	}
	if (!err) {
		done = json_pack("{s:s, s:I}", "release", wish->name, "sequence",
				 (json_int_t)sequence_of(runtime, wish->name));
		log_notice("hold", wish->name, "held at it until muster resume --here: %s",
			   runtime->state.here.reason);
	}
	answer(runtime, done, err);
	report_changed(runtime);
}

bool wish_failed(struct runtime *runtime, const char *name, const char *step, const char *reason)
{
	struct cycle *cycle = runtime->cycle;
	struct err err;

	if (!cycle || !cycle->is_wish || !runtime->wish || strcmp(runtime->wish->name, name) != 0)
		return false;
	(void)err_set(&err, ERR_REFUSED, "%.12s failed at %s, and what was active is so again: %s",
		      name, step, reason);
	wish_end(runtime, &err);
	return true;
}

void wish_hold(struct runtime *runtime)
{
	struct wish *wish = runtime->wish;

	wish->before = runtime->state.here;
	wish->holds = true;
	hold_set(&runtime->state.here, wish->name, wish->reason);
	runtime->hold_refusal.step = NULL;
}

bool wish_consider(struct runtime *runtime)
{
	struct wish *wish = runtime->wish;

	if (!wish || wish->stage != WISH_FOUND || runtime->judging || runtime->pin_unsaved)
		return wish != NULL;
	if (strcmp(wish->name, runtime->active) == 0) {
		/* it runs: it only is to stay */
		wish->stage = WISH_SAVED;
		wish_hold(runtime);
		report_save(runtime);
	} else {
		wish->stage = WISH_DEPLOYED;
		cycle_hold(runtime, wish->name, true);
	}
	return true;
}

void wish_saved(struct runtime *runtime, int rc, const struct err *err)
{
	struct wish *wish = runtime->wish;
	json_t *done;

	if (!wish || wish->stage != WISH_SAVED || runtime->stopping)
		return;
	if (rc != 0 || wish->rev) {
		wish_end(runtime, rc != 0 ? err : NULL);
	} else {
		done = wish->answer;
		wish->answer = NULL;
		answer(runtime, done, NULL);
	}
	cycle_consider(runtime);
}

/* --- rollback --- */

static void on_work(void *arg)
{
	struct wish *wish = arg;

	wish->rc = hold_find(wish->runtime->home, &wish->known, wish->rev, wish->name, &wish->err);
}

static void on_done(void *arg)
{
	struct wish *wish = arg;
	struct runtime *runtime = wish->runtime;
	struct err err = wish->err;

	runtime->busy--;
	if (runtime->stopping) {
		runtime_release(runtime);
		return;
	}
	if (wish->rc != 0)
		answer(runtime, NULL, &err);
	else
		wish->stage = WISH_FOUND;
	cycle_consider(runtime);
}

void runtime_rollback(struct runtime *runtime, const char *rev, const char *reason,
		      runtime_answer_fn *fn, void *arg)
{
	struct wish *wish = wish_new(runtime, fn, arg);

	if (!wish)
		return;
	wish->rev = text_copy(rev);
	pin_reason(reason, wish->reason);
	wish->known = runtime->state;
	wish->stage = WISH_SEARCHED;
	fetch_give_up(runtime); /* it may take long, and the way back is not to wait for an admin */
	runtime->busy++;
	loop_work(runtime->loop, on_work, on_done, wish);
}

/* --- resume --- */

static unsigned forget_burnt(struct runtime *runtime)
{
	unsigned count = 0;

	for (size_t i = 0; i < runtime->state.log_count; i++) {
		struct state_entry *entry = runtime->state.log + i;

		if (entry->verdict != VERDICT_BURNT)
			continue;
		entry_verdict(entry, entry->activated_at ? VERDICT_PAST : VERDICT_ACCEPTED, "",
			      NULL);
		count++;
	}
	refusal_forget(runtime);
	runtime->hold_refusal.step = NULL;
	return count;
}

void runtime_resume(struct runtime *runtime, runtime_answer_fn *fn, void *arg)
{
	struct wish *wish = wish_new(runtime, fn, arg);
	struct node_state *state = &runtime->state;
	bool here = state->here.release[0] != '\0';
	const char *pinned = state->pinned.release[0] ? state->pinned.release : NULL;

	if (!wish)
		return;
	wish->answer = json_pack("{s:b, s:i, s:s?}", "ended", here, "forgotten",
				 (int)forget_burnt(runtime), "pinned", pinned);
	wish->before = state->here;
	wish->holds = true;
	state->here = (struct hold){.since = 0};
	if (here)
		log_notice("hold", runtime->name, "the hold made here is ended%s",
			   pinned ? ": the admin's pin counts again" : "");
	wish->stage = WISH_SAVED;
	report_save(runtime);
	report_changed(runtime);
}

void runtime_forget(struct runtime *runtime, const void *arg)
{
	if (runtime->wish && runtime->wish->arg == arg)
		runtime->wish->fn = NULL;
}
