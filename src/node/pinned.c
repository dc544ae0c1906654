/*
 * The admin's pins: judged on a worker once the release that came with one is, and on the disk
 * before anything follows.
 */
#include "node/steps.h"

#include "core/log.h"
#include "core/loop.h"
#include "crypto/encode.h"
#include "node/hold.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static_assert((PIN_RAW_MAX + 2) / 3 * 4 <= CONTROL_VALUE_MAX,
	      "a pin in base64 fits a value of a message");

struct judging {
	struct runtime *runtime;
	struct node_state known;
	struct buf raw;
	struct pin pin;
	bool fresh;
	int rc;
	struct err err;
};

/* Kept is what holds, or does not; the same again is silent. */
static void pin_refused(struct runtime *runtime, const struct oid *release, const char *reason)
{
	struct refusal *refusal = &runtime->pin_refusal, before = *refusal;

	refusal_set(refusal, release, 0, "verify", reason);
	if (before.step && strcmp(before.reason, refusal->reason) == 0)
		return;
	log_error("verify", runtime->name, "pin refused, kept what is active: %s", reason);
	report_changed(runtime);
}

static void pin_good(struct runtime *runtime)
{
	if (!runtime->pin_refusal.step)
		return;
	runtime->pin_refusal.step = NULL;
	report_changed(runtime);
}

void pin_offered(struct runtime *runtime, const char *text)
{
	static const struct oid none;

	buf_reset(&runtime->pin);
	runtime->pin_waits = false;
	if (!text)
		pin_good(runtime); /* what was refused is not offered any more */
	else if (decode_base64(text, strlen(text), &runtime->pin) != 0)
		pin_refused(runtime, &none, "pin: is no base64, or larger than a pin");
	else
		runtime->pin_waits = true;
}

/* It counts from now on, also after a restart. */
static void pin_take(struct runtime *runtime, const struct pin *pin)
{
	struct node_state *state = &runtime->state;
	char release[OID_HEX_SIZE];

	(void)oid_hex(&pin->release, release);
	state->pin_sequence = pin->sequence;
	state->pinned = (struct hold){.since = 0};
	if (pin->hold)
		hold_set(&state->pinned, release, pin->reason);
	if (!state->here.release[0])
		hold_refusal_renew(runtime);
	log_notice("verify", runtime->name, "pin %llu of the admin: %s%.12s%s",
		   (unsigned long long)pin->sequence, pin->hold ? "held at " : "follows again",
		   pin->hold ? release : "",
		   state->here.release[0] ? ", once the hold made here is ended" : "");
	runtime->pin_unsaved = true;
	report_save(runtime);
	report_changed(runtime);
}

static void on_work(void *arg)
{
	struct judging *judging = arg;

	judging->rc = hold_accept(judging->runtime->home, &judging->known, judging->runtime->name,
				  judging->raw.data, judging->raw.len, &judging->pin,
				  &judging->fresh, &judging->err);
}

static void judge_end(struct judging *judging)
{
	struct runtime *runtime = judging->runtime;
	const struct err *err = &judging->err;
	struct pin pin;
	struct err unread;

	if (judging->rc == 0) {
		pin_good(runtime);
		if (judging->fresh)
			pin_take(runtime, &judging->pin);
	} else if (err->code == ERR_REFUSED || err->code == ERR_CORRUPT) {
		if (pin_parse(judging->raw.data, judging->raw.len, &pin, &unread) != 0)
			pin = (struct pin){.sequence = 0};
		pin_refused(runtime, &pin.release, err->text);
	} else {
		log_warning("verify", runtime->name, "pin not judged, tried again later: %s",
			    err->text);
		runtime->pin_waits |= runtime->pin.len > 0;
		retry_later(runtime);
	}
}

static void on_done(void *arg)
{
	struct judging *judging = arg;
	struct runtime *runtime = judging->runtime;

	runtime->busy--;
	runtime->judging = false;
	if (!runtime->stopping)
		judge_end(judging);
	buf_clear(&judging->raw);
	free(judging);
	cycle_consider(runtime);
	runtime_release(runtime);
}

/*
 * A pin may be signed by the keys of a release that this node is still to accept, and name one
 * before that.
 */
static bool head_is_judged(const struct runtime *runtime)
{
	const struct chain_state *chain = &runtime->state.chain;

	return chain->has_accepted &&
	       (runtime->head_sequence <= chain->sequence ||
		(runtime->refusal.step && oid_equal(&runtime->refusal.release, &runtime->head)));
}

bool pin_consider(struct runtime *runtime)
{
	struct judging *judging;

	if (runtime->judging || runtime->pin_unsaved)
		return true;
	if (!runtime->pin_waits || !head_is_judged(runtime) ||
	    atomic_load(&runtime->replica_lost) || uv_is_active((uv_handle_t *)&runtime->retry))
		return false;
	judging = mem_new(1, sizeof(*judging));
	judging->runtime = runtime;
	judging->known = runtime->state;
	buf_init(&judging->raw, PIN_RAW_MAX);
	buf_put(&judging->raw, runtime->pin.data, runtime->pin.len);
	runtime->pin_waits = false;
	runtime->judging = true;
	runtime->busy++;
	loop_work(runtime->loop, on_work, on_done, judging);
	return true;
}

void pin_saved(struct runtime *runtime, int rc)
{
	if (!runtime->pin_unsaved || rc != 0)
		return; /* what could not be written is written again */
	runtime->pin_unsaved = false;
	cycle_consider(runtime);
}
