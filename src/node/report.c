/* report: what this node is and has, told to the admin, to whoever asks, and to its own disk. */
#include "node/steps.h"

#include "core/fs.h"
#include "core/log.h"
#include "core/loop.h"
#include "node/heal.h"

#include <stdlib.h>
#include <string.h>

static const struct {
	const char *word;
	bool serving;
} words[] = {
#define X(name, serving) {#name, serving},
	NODE_STATES(X)
#undef X
};

static enum node_state_word word_of(const struct runtime *runtime)
{
	if (runtime->stopping)
		return NODE_STOPPING;
	if (!runtime->active[0])
		return runtime->activation ? NODE_BOOTING
		       : runtime->broken   ? NODE_ERROR
					   : NODE_IDLE;
	return link_up(runtime->link) && !link_waits(runtime->link) ? NODE_RUNNING : NODE_WAITING;
}

void report_changed(struct runtime *runtime)
{
	enum node_state_word word = word_of(runtime);

	if (word != runtime->word)
		log_info("report", runtime->name, "%s -> %s", words[runtime->word].word,
			 words[word].word);
	runtime->word = word;
	link_report(runtime->link);
	runtime->changed(runtime->arg);
}

/* The ids of the secret keys it holds: who rotates must know that nobody is left behind. */
static void report_keys(const struct runtime *runtime, struct control_message *message)
{
	char *scope = scope_of(runtime->state.chain.role);
	struct buf ids;

	buf_init(&ids, LIMIT_SECRET_KEYS * SEAL_ID_HEX_SIZE);
	keyring_put_ids(runtime->ring, scope, &ids);
	if (ids.len)
		control_add(message, "secret-keys", buf_text(&ids));
	buf_clear(&ids);
	free(scope);
}

const struct refusal *report_refusal(const struct runtime *runtime)
{
	const struct refusal *const all[] = {&runtime->refusal, &runtime->hold_refusal,
					     &runtime->pin_refusal};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i]->step)
			return all[i];
	return NULL;
}

static const char *held_by(const struct runtime *runtime, const struct hold *hold)
{
	return hold == &runtime->state.here ? "node" : "admin";
}

static void report_hold(const struct runtime *runtime, struct control_message *message)
{
	const struct hold *hold = node_state_hold(&runtime->state);

	if (runtime->state.pin_sequence)
		control_add_number(message, "pin-sequence", runtime->state.pin_sequence);
	if (!hold)
		return;
	control_add(message, "held-by", held_by(runtime, hold));
	control_add(message, "held-release", hold->release);
	control_add_number(message, "held-since", (uint64_t)hold->since);
	control_add(message, "held-reason", hold->reason);
}

static void report_rejected(const struct refusal *refusal, struct control_message *message)
{
	char hex[OID_HEX_SIZE];

	if (!oid_is_zero(&refusal->release))
		control_add(message, "rejected-release", oid_hex(&refusal->release, hex));
	control_add_number(message, "rejected-sequence", refusal->sequence);
	control_add(message, "rejected-step", refusal->step);
	control_add(message, "rejected-reason", refusal->reason);
}

void report_tell(struct runtime *runtime, struct control_message *message)
{
	const struct chain_state *chain = &runtime->state.chain;
	const struct refusal *refusal = report_refusal(runtime);
	unsigned drift = atomic_load(&runtime->drift);
	char hex[OID_HEX_SIZE];

	control_add(message, "name", runtime->name);
	control_add(message, "role", chain->role);
	control_add(message, "version", PACKAGE_VERSION);
	control_add(message, "state", words[runtime->word].word);
	control_add(message, "packs", "yes");
	report_keys(runtime, message);
	if (chain->has_accepted)
		control_add(message, "accepted", oid_hex(&chain->accepted, hex));
	if (runtime->active[0]) {
		control_add(message, "deployed", runtime->active);
		control_add_number(message, "sequence", runtime->active_sequence);
	}
	if (drift)
		control_add_number(message, "drift", drift);
	report_hold(runtime, message);
	if (refusal)
		report_rejected(refusal, message);
}

static void on_pruned(void *arg)
{
	struct cycle *cycle = arg;
	struct runtime *runtime = cycle->runtime;

	runtime->busy--;
	/* the release runs all the same, and the next one tries again */
	if (cycle->rc != 0)
		log_warning("report", cycle->name, "old revisions could not be removed: %s",
			    cycle->err.text);
	if (runtime->tidy)
		tidy_look(runtime->tidy);
	cycle_step_done(cycle, 0, NULL);
}

static void on_prune(void *arg)
{
	struct cycle *cycle = arg;

	cycle->rc = revision_prune(cycle->runtime->home, &cycle->known,
				   cycle->settings.keep_revisions, cycle->name, &cycle->err);
}

void report_step(struct cycle *cycle)
{
	/*
	 * the activation told it and has the state written; this is where the log says that all is
	 * done
	 */
	log_info("report", cycle->runtime->name, "runs %.12s", cycle->name);
	/* here, while nothing is staged: no other cycle begins before this one ends */
	cycle->runtime->busy++;
	loop_work(cycle->runtime->loop, on_prune, on_pruned, cycle);
}

/* --- the state on the disk --- */

struct saving {
	struct runtime *runtime;
	char *state;
	char *record; /* for run/, or NULL */
	struct err err;
	int rc;
};

static void on_work(void *arg)
{
	struct saving *saving = arg;
	const struct home *home = saving->runtime->home;
	struct err err;

	saving->rc = node_state_write(saving->state, home, &saving->err);
	/* without it the hooks run once more at the next start, and that is all */
	if (saving->record && fs_write_atomic(home->run_fd, ACTIVATED_FILE, saving->record,
					      strlen(saving->record), 0600, &err) != 0)
		log_warning("report", "", "%s", err.text);
}

static void on_done(void *arg)
{
	struct saving *saving = arg;
	struct runtime *runtime = saving->runtime;
	struct cycle *waiter = runtime->save_waiter;

	runtime->saving = false;
	runtime->unsaved = saving->rc != 0;
	if (saving->rc == 0)
		heal_saved(runtime, saving->state);
	if (saving->rc != 0 && !waiter)
		log_error("report", runtime->name, "written again later: %s", saving->err.text);
	if (saving->rc != 0)
		retry_later(runtime);
	if (runtime->save_again) {
		runtime->save_again = false;
		report_save(runtime);
	} else {
		runtime->save_waiter = NULL;
		wish_saved(runtime, saving->rc, &saving->err);
		pin_saved(runtime, saving->rc);
		if (waiter) /* last: it may have more to save */
			cycle_saved(waiter, saving->rc, &saving->err);
	}
	runtime->busy--;
	runtime_release(runtime);
	free(saving->state);
	free(saving->record);
	free(saving);
}

void report_save(struct runtime *runtime)
{
	struct saving *saving;

	if (runtime->saving) {
		runtime->save_again = true;
		return;
	}
	saving = mem_new(1, sizeof(*saving));
	saving->runtime = runtime;
	saving->state = node_state_format(&runtime->state);
	saving->record = runtime->record;
	runtime->record = NULL;
	runtime->saving = true;
	runtime->busy++;
	loop_work(runtime->loop, on_work, on_done, saving);
}

/* --- documents --- */

static json_t *time_json(int64_t seconds)
{
	char text[TEXT_TIME_MAX];

	return seconds ? json_string(text_time(seconds, text)) : json_null();
}

static json_t *oid_json(const struct oid *oid)
{
	char hex[OID_HEX_SIZE];

	return oid_is_zero(oid) ? json_null() : json_string(oid_hex(oid, hex));
}

static json_t *refusal_json(const struct refusal *refusal)
{
	if (!refusal)
		return json_null();
	return json_pack("{s:o, s:I, s:s, s:s}", "release", oid_json(&refusal->release), "sequence",
			 (json_int_t)refusal->sequence, "step", refusal->step, "reason",
			 refusal->reason);
}

static json_t *held_json(const struct runtime *runtime)
{
	const struct hold *hold = node_state_hold(&runtime->state);

	if (!hold)
		return json_null();
	return json_pack("{s:s, s:s, s:o, s:s}", "by", held_by(runtime, hold), "release",
			 hold->release, "since", time_json(hold->since), "reason", hold->reason);
}

static json_t *admin_json(const struct runtime *runtime)
{
	const struct cluster *cluster = join_cluster(runtime);
	const char *reason = link_reason(runtime->link);
	char key[KEY_FINGERPRINT_SIZE];
	json_t *why;

	if (!cluster)
		return json_null();
	why = *reason ? json_string(reason) : json_null();
	if (!why) /* it quotes the admin, which may say any bytes */
		why = json_string("its reason is not text");
	return json_pack("{s:s, s:i, s:b, s:b, s:o, s:o, s:s}", "host", cluster->host, "port",
			 cluster->port, "connected", link_up(runtime->link), "approved",
			 link_up(runtime->link) && !link_waits(runtime->link), "reason", why,
			 "lastContact", time_json(link_contact(runtime->link)), "key",
			 key_fingerprint(runtime->key->public, key));
}

json_t *runtime_status(const struct runtime *runtime)
{
	bool serving = words[runtime->word].serving;

	return json_pack(
		"{s:s, s:s, s:s, s:b, s:b, s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:I, s:s}", "name",
		runtime->name, "role", runtime->state.chain.role, "nodeState",
		words[runtime->word].word, "isReady", serving, "isServing", serving,
		"transactionId", runtime->active[0] ? json_string(runtime->active) : json_null(),
		"sequence", (json_int_t)runtime->active_sequence, "source",
		oid_json(&runtime->active_source), "activatedAt", time_json(runtime->active_since),
		"admin", admin_json(runtime), "held", held_json(runtime), "rejected",
		refusal_json(report_refusal(runtime)), "drift",
		(json_int_t)atomic_load(&runtime->drift), "version", PACKAGE_VERSION);
}

json_t *runtime_log(const struct runtime *runtime)
{
	json_t *out = json_array();

	for (size_t i = 0; i < runtime->state.log_count; i++) {
		const struct state_entry *entry = runtime->state.log + i;
		json_t *row = json_pack(
			"{s:I, s:o, s:o, s:o, s:s, s:s?}", "sequence", (json_int_t)entry->sequence,
			"release", oid_json(&entry->release), "source", oid_json(&entry->source),
			"activatedAt", time_json(entry->activated_at), "verdict",
			verdict_word(entry->verdict), "reason", entry->reason);

		(void)json_array_append_new(out, row); /* only out of memory */
	}
	return out;
}
