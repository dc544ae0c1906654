/*
 * activate: whatever var/node/current leads to, if it verifies, becomes what runs here: its plain
 * copy is published, etc/activate.d is run, then etc/health.d until it holds, and run/ records it.
 * When that fails for a new release, current is swapped back and the release is burnt; the swap
 * back is activated like any.
 */
#include "node/steps.h"

#include "core/fs.h"
#include "core/log.h"
#include "core/loop.h"
#include "node/heal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BOOT_ID "/proc/sys/kernel/random/boot_id"
enum { BOOT_ID_SIZE = 36 };

/* One activation under way. */
struct activation {
	struct runtime *runtime;
	char name[REVISION_NAME_MAX];
	bool back; /* to what was active: a hook that fails is told, nothing more */
	bool refresh; /* of what is active: only its plain copy may have changed */
	bool by_hand; /* another hand moved current there: it counts as a rollback on this node */
	/* no plain copy could be made of it, which is not its fault: it may work later */
	bool unready;
	char *plain;  /* its plain copy, or NULL */
	bool same;    /* which is the one that is there */
	struct node_state known;
	struct settings settings; /* of the revision */
	int rc;
	struct err err;
	struct oid release, source;
	uint64_t sequence;
	char *record; /* what run/ is to say */
	bool mended;  /* the revision was not as it must be, and was made anew */
	struct expected *expected; /* what it and its plain copy must hold; NULL: not known */
};

/* "REVISION BOOT-ID\n", a new string. */
static char *record_text(const char *name)
{
	char id[BOOT_ID_SIZE + 1] = "unknown";
	int fd = open(BOOT_ID, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, id, BOOT_ID_SIZE);

	if (n > 0)
		id[n] = '\0';
	if (fd >= 0)
		(void)close(fd); /* only read */
	return text_format("%s %s\n", name, id);
}

static bool is_recorded(const struct home *home, const char *record)
{
	struct buf text;
	struct err err;
	bool same;

	buf_init(&text, REVISION_NAME_MAX + BOOT_ID_SIZE + 2);
	same = fs_read(home->run_fd, ACTIVATED_FILE, &text, &err) == 0 &&
	       strcmp(buf_text(&text), record) == 0;
	buf_clear(&text);
	return same;
}

/* At current, if it moved while it could not be looked at. */
static void look_again(struct runtime *runtime)
{
	if (!runtime->look_again || runtime->stopping)
		return;
	runtime->look_again = false;
	activate_look(runtime);
}

static void activation_end(struct activation *activation)
{
	struct runtime *runtime = activation->runtime;

	if (runtime->stopping)
		cycle_activated(runtime, activation->name, false);
	runtime->activation = NULL;
	runtime->unclean = true;
	expected_free(activation->expected);
	free(activation->record);
	free(activation->plain);
	free(activation);
	look_again(runtime);
	cycle_consider(runtime);
	clean_later(runtime);
	if (!runtime->active[0] && !runtime->stopping)
		report_changed(runtime); /* it is not booting any more */
	runtime_release(runtime);
}

/* --- copies that are not needed any more --- */

static void on_clean_work(void *arg)
{
	plain_clean(&((struct runtime *)arg)->plain);
}

void clean_done(struct runtime *runtime)
{
	runtime->busy--;
	runtime->cleaning = false;
	look_again(runtime);
	cycle_consider(runtime);
	runtime_release(runtime);
}

static void on_clean_done(void *arg)
{
	clean_done(arg);
}

void clean_later(struct runtime *runtime)
{
	if (!runtime->unclean || runtime->cleaning || runtime->cycle || runtime->activation ||
	    runtime->stopping)
		return;
	runtime->unclean = false;
	runtime->cleaning = true;
	runtime->busy++;
	loop_work(runtime->loop, on_clean_work, on_clean_done, runtime);
}

void activate_retry(struct runtime *runtime)
{
	swap_retry(runtime);
	if (runtime->put_off) {
		runtime->put_off = false;
		activate_look(runtime);
	}
}

static bool is_held_at(const struct runtime *runtime, const char *name)
{
	const struct hold *hold = node_state_hold(&runtime->state);

	return hold && strcmp(hold->release, name) == 0;
}

/*
 * What is told as refused, at STEP (static text); what was asked for on this node is only told to
 * whoever asked.
 */
static void tell_failed(struct activation *activation, bool was_asked, const char *step,
			const char *reason)
{
	struct runtime *runtime = activation->runtime;
	struct state_entry *entry = node_state_find(&runtime->state, &activation->release);
	struct refusal *refusal =
		is_held_at(runtime, activation->name) ? &runtime->hold_refusal : &runtime->refusal;

	/*
	 * without a record it did not even verify: it is made anew. First: the reason may be the
	 * entry's own
	 */
	if (!was_asked && activation->record && (entry || refusal == &runtime->hold_refusal))
		refusal_set(refusal, &activation->release, activation->sequence, step, reason);
	if (entry && !activation->unready)
		entry_verdict(entry, VERDICT_BURNT, step, reason);
}

/* STEP is static text. */
static void activation_failed(struct activation *activation, const char *step, const char *reason)
{
	struct runtime *runtime = activation->runtime;
	bool was_asked =
		activation->by_hand || wish_failed(runtime, activation->name, step, reason);

	log_error(step, activation->name, "failed: %s", reason);
	if (activation->refresh) {
		activation_end(activation); /* what was there before stays */
		return;
	}
	tell_failed(activation, was_asked, step, reason);
	swap_back(runtime, activation->name);
	report_save(runtime);
	report_changed(runtime);
	cycle_activated(runtime, activation->name, false);
	activation_end(activation);
}

/* Nothing but what is known of it. */
static void activation_unchanged(struct activation *activation)
{
	heal_expect(activation->runtime, activation->expected);
	activation->expected = NULL;
	activation_end(activation);
}

static void hold_by_hand(struct runtime *runtime, const char *name)
{
	hold_set(&runtime->state.here, name, "var/node/current was moved by hand");
	log_notice("activate", name, "moved there by hand: held at it until muster resume --here");
}

static void activation_done(struct activation *activation)
{
	struct runtime *runtime = activation->runtime;
	struct state_entry *entry = node_state_find(&runtime->state, &activation->release);

	heal_expect(runtime, activation->expected);
	activation->expected = NULL;
	if (activation->refresh) {
		log_notice("activate", activation->name, "its plain copy was renewed");
		activation_end(activation);
		return;
	}
	for (size_t i = 0; i < runtime->state.log_count; i++)
		if (runtime->state.log[i].verdict == VERDICT_ACTIVE)
			entry_verdict(runtime->state.log + i, VERDICT_PAST, "", NULL);
	if (entry) {
		entry_verdict(entry, VERDICT_ACTIVE, "", NULL);
		entry->activated_at = text_now();
	}
	memcpy(runtime->active, activation->name, sizeof(runtime->active));
	memcpy(runtime->state.active, activation->name, sizeof(runtime->state.active));
	runtime->broken = false;
	runtime->active_source = activation->source;
	runtime->active_sequence = activation->sequence;
	runtime->active_since = text_now();
	runtime->reactivate = false;
	if (activation->by_hand)
		hold_by_hand(runtime, activation->name);
	if (runtime->refusal.sequence < activation->sequence ||
	    (runtime->head_known && oid_equal(&runtime->head, &activation->release)))
		refusal_forget(runtime);
	if (is_held_at(runtime, activation->name))
		runtime->hold_refusal.step = NULL;
	free(runtime->record);
	runtime->record = activation->record; /* written with the state */
	activation->record = NULL;
	log_notice("activate", activation->name, "active, sequence %llu",
		   (unsigned long long)activation->sequence);
	report_save(runtime);
	report_changed(runtime);
	join_activated(runtime);
	cycle_activated(runtime, activation->name, true);
	activation_end(activation);
}

/*
 * Whether current leads elsewhere by now: then it is neither active nor to blame, and what is there
 * has its turn.
 */
static bool is_overtaken(const struct activation *activation)
{
	struct runtime *runtime = activation->runtime;
	char name[REVISION_NAME_MAX];
	struct err err;

	if (revision_current(runtime->home, name, &err) == 0 && strcmp(name, activation->name) == 0)
		return false;
	log_warning("activate", activation->name, "current was moved on meanwhile");
	runtime->look_again = true;
	return true;
}

/* What the hooks of a STEP said decides. */
static void conclude(struct activation *activation, const char *step,
		     const struct proc_result *result)
{
	if (activation->runtime->stopping || is_overtaken(activation)) {
		/* run/ does not record it: made up for at the next start */
		activation_end(activation);
	} else if (result->ok || activation->back || activation->refresh) {
		if (!result->ok)
			log_error(step, activation->name, "%s: %s",
				  activation->back ? "after the swap back"
						   : "with the new plain copy",
				  result->text);
		activation_done(activation);
	} else {
		activation_failed(activation, step, result->text);
	}
}

static char **activation_env(const struct activation *activation)
{
	const struct runtime *runtime = activation->runtime;
	char *current = activation->plain ? home_run(runtime->home, PLAIN_CURRENT) : NULL;
	char source[OID_HEX_SIZE];
	char **env = hook_env(runtime, activation->name, activation->sequence,
			      oid_hex(&activation->source, source), runtime->active, current);

	free(current);
	return env;
}

static void on_healthy(void *arg, const struct proc_result *result)
{
	conclude(arg, "health", result);
}

static void on_activated(void *arg, const struct proc_result *result)
{
	struct activation *activation = arg;
	struct runtime *runtime = activation->runtime;

	runtime->busy--;
	if (result->ok && !runtime->stopping)
		health_run(runtime, activation->name, &activation->settings,
			   activation_env(activation), on_healthy, activation);
	else
		conclude(activation, "activate", result);
}

static void run_hooks(struct activation *activation)
{
	struct runtime *runtime = activation->runtime;
	char *folder = home_etc(runtime->home, "activate.d"), **env = activation_env(activation);

	runtime->busy++;
	proc_run(runtime->proc,
		 &(struct proc_call){.step = "activate",
				     .folder = folder,
				     .env = env,
				     .limit_ms = activation->settings.hook_timeout * 1000},
		 on_activated, activation);
	hook_env_free(env);
	free(folder);
}

/* --- the plain copy --- */

/* Whether the service has been told of just this already, and no hook is to run. */
static bool is_quiet(const struct activation *activation)
{
	const struct runtime *runtime = activation->runtime;

	if (runtime->active[0]) /* as when nothing but a secret's sealed form changed */
		return activation->same && !activation->back;
	/* at start, when its hooks ran since the boot */
	return (activation->same || !activation->plain) &&
	       is_recorded(runtime->home, activation->record);
}

static void on_publish_work(void *arg)
{
	struct activation *activation = arg;

	activation->rc = activation->same ? 0
					  : plain_publish(&activation->runtime->plain,
							  activation->plain, &activation->err);
	activation->unready = activation->rc != 0;
}

/*
 * The disk, not the release: what runs goes on, and current is looked at again after the back-off.
 */
static bool put_off(struct activation *activation)
{
	struct runtime *runtime = activation->runtime;
	enum err_code code = activation->err.code;

	if (!activation->unready || code == ERR_REFUSED || code == ERR_CORRUPT)
		return false;
	log_warning("activate", activation->name, "no plain copy, tried again later: %s",
		    activation->err.text);
	runtime->refresh |= activation->refresh;
	runtime->put_off = true;
	retry_later(runtime);
	activation_end(activation);
	return true;
}

static void on_publish_done(void *arg)
{
	struct activation *activation = arg;

	activation->runtime->busy--;
	if (activation->runtime->stopping)
		activation_end(activation);
	else if (activation->rc != 0 && put_off(activation))
		return;
	else if (activation->rc != 0)
		activation_failed(activation, "activate", activation->err.text);
	else if (is_quiet(activation))
		activation_done(activation);
	else
		run_hooks(activation);
}

static void publish_plain(struct activation *activation)
{
	activation->runtime->busy++;
	loop_work(activation->runtime->loop, on_publish_work, on_publish_done, activation);
}

/* --- an activation --- */

/*
 * At a start after a kill before the swap back, or when it was moved there by hand: what its
 * activation failed of, or NULL.
 */
static const struct state_entry *burnt_before(struct runtime *runtime,
					      const struct activation *activation)
{
	const struct state_entry *entry = node_state_find(&runtime->state, &activation->release);

	if (activation->back || !entry || entry->verdict != VERDICT_BURNT)
		return NULL;
	return entry;
}

/* On a worker: what current leads to must verify, whoever swapped. */
static void on_work(void *arg)
{
	struct activation *activation = arg;
	struct revision revision;

	activation->rc =
		mend_revision(activation->runtime->home, activation->name, &activation->known,
			      &revision, &activation->mended, &activation->err);
	if (activation->rc != 0)
		return;
	activation->expected = expected_new(&revision);
	activation->release = revision.oid;
	activation->source = revision.release.source;
	activation->sequence = revision.release.sequence;
	activation->settings = settings_of_slice(&revision.files);
	activation->record = record_text(activation->name);
	activation->rc =
		plain_prepare(&activation->runtime->plain, &revision.files, &activation->plain,
			      &activation->same, &activation->expected->plain, &activation->err);
	activation->unready = activation->rc != 0;
	if (activation->plain)
		activation->expected->plain_path = text_copy(activation->plain);
	revision_clear(&revision);
}

/*
 * At a start whose secret or parameters are of no use any more: what was activated since the
 * machine started is still there for the service, and stays.
 */
static bool is_kept(struct activation *activation)
{
	const struct runtime *runtime = activation->runtime;

	if (activation->rc == 0 || activation->err.code != ERR_REFUSED || !activation->record ||
	    runtime->active[0] || !is_recorded(runtime->home, activation->record) ||
	    faccessat(runtime->home->run_fd, PLAIN_CURRENT, F_OK, 0) != 0)
		return false;
	log_error("activate", activation->name, "its plain copy stays as it was: %s",
		  activation->err.text);
	return true;
}

static void on_done(void *arg)
{
	struct activation *activation = arg;
	struct runtime *runtime = activation->runtime;
	const struct state_entry *burnt =
		activation->rc == 0 ? burnt_before(runtime, activation) : NULL;

	runtime->busy--;
	if (activation->mended)
		heal_drift(runtime, activation->name, "was damaged, and is restored");
	/* what a cycle swapped to verified when it was staged */
	if (activation->rc != 0 && !activation->unready && !runtime->cycle)
		heal_drift(runtime, "var/node/current", activation->err.text);
	if (runtime->stopping || is_overtaken(activation))
		activation_end(activation);
	else if (activation->rc != 0 && put_off(activation))
		return;
	else if (is_kept(activation))
		activation_done(activation);
	else if (activation->rc != 0)
		activation_failed(activation, "activate", activation->err.text);
	else if (burnt)
		activation_failed(activation, burnt_step(burnt),
				  burnt->reason ? burnt->reason : "it is burnt");
	else if (activation->refresh && (activation->same || !activation->plain))
		activation_unchanged(activation);
	else
		publish_plain(activation);
}

/* Neither this daemon made current lead there nor, as far as can be told, the one before. */
static bool is_by_hand(const struct runtime *runtime, const char *name)
{
	const struct chain_state *chain = &runtime->state.chain;
	char accepted[OID_HEX_SIZE];

	if (strcmp(name, runtime->active) == 0 || cycle_swapped(runtime, name) ||
	    is_held_at(runtime, name))
		return false;
	/* forward to the newest is no rollback; at a start it was swapped and not yet activated */
	if (!node_state_hold(&runtime->state) && chain->has_accepted &&
	    strcmp(name, oid_hex(&chain->accepted, accepted)) == 0)
		return false;
	/* made of etc/init: at a start, or by SIGHUP while there is no release */
	if (text_starts(name, "init-") && (!runtime->active[0] || !chain->has_accepted))
		return false;
	return runtime->active[0] ||
	       (runtime->state.active[0] && strcmp(name, runtime->state.active) != 0);
}

void activate_look(struct runtime *runtime)
{
	struct activation *activation;
	char name[REVISION_NAME_MAX];
	struct err err = {0};
	bool back;

	if (runtime->stopping)
		return;
	if (runtime->activation || runtime->cleaning) {
		runtime->look_again = true;
		return;
	}
	/*
	 * current still leads to what has just failed: with its plain copy there it would pass
	 * without a hook
	 */
	if (runtime->swapping || runtime->unswapped)
		return;
	if (revision_current(runtime->home, name, &err) != 0) {
		if (err.code == ERR_GONE && !runtime->active[0] && !runtime->state.active[0])
			return;
		if (runtime->swapping)
			return; /* it is on its way back */
		heal_drift(runtime, "var/node/current", err.text);
		swap_back(runtime, "");
		return;
	}
	back = runtime->reactivate && strcmp(name, runtime->back) == 0;
	if (strcmp(name, runtime->active) == 0 && !back && !runtime->refresh) {
		cycle_activated(runtime, name, true);
		return;
	}
	activation = mem_new(1, sizeof(*activation));
	activation->runtime = runtime;
	/*
	 * what ran before a reboot is not burnt because a hook fails now: the service may not be up
	 * yet
	 */
	activation->back = back ||
			   (!runtime->active[0] && strcmp(name, runtime->state.active) == 0);
	activation->refresh =
		runtime->refresh && !activation->back && strcmp(name, runtime->active) == 0;
	runtime->refresh = false;
	activation->by_hand =
		!activation->back && !activation->refresh && is_by_hand(runtime, name);
	activation->known = runtime->state;
	memcpy(activation->name, name, sizeof(name));
	runtime->activation = activation;
	if (!runtime->active[0])
		report_changed(runtime);
	runtime->busy++;
	loop_work(runtime->loop, on_work, on_done, activation);
}

/* --- the step of the cycle: it waits for what the watch started --- */

void activate_step(struct cycle *cycle)
{
	/*
	 * an event that was lost, or came before the step began, does not leave the cycle waiting
	 */
	if (strcmp(cycle->runtime->active, cycle->name) == 0)
		cycle_step_done(cycle, 0, NULL);
	else
		activate_look(cycle->runtime);
}
