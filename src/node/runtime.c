/* A runtime node, from its start to its stop: see runtime.h. */
#include "node/steps.h"

#include "core/fs.h"
#include "core/log.h"
#include "node/heal.h"
#include "node/quarantine.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NODE_KEY "node/node.key"

/* --- the link's calls --- */

static void on_tell(void *arg, struct control_message *message)
{
	report_tell(arg, message);
}

/*
 * An admin restored from an older copy, or one that wants this node back on an older release:
 * never.
 */
static bool is_offered_older(const struct runtime *runtime)
{
	return runtime->head_known && runtime->head_sequence > 0 &&
	       runtime->state.chain.has_accepted &&
	       runtime->head_sequence < runtime->state.chain.sequence;
}

static void refuse_older(struct runtime *runtime)
{
	char reason[256];

	(void)snprintf(
		reason, sizeof(reason),
		"the admin is behind this node: it offers sequence %llu, accepted here is %llu",
		(unsigned long long)runtime->head_sequence,
		(unsigned long long)runtime->state.chain.sequence); /* fits */
	refusal_set(&runtime->refusal, &runtime->head, runtime->head_sequence, "verify", reason);
}

void refusal_forget(struct runtime *runtime)
{
	runtime->refusal.step = NULL;
	if (is_offered_older(runtime))
		refuse_older(runtime);
}

static void on_head(void *arg, struct news *news)
{
	struct runtime *runtime = arg;
	char hex[OID_HEX_SIZE];

	runtime->head_known = true;
	runtime->head = news->release;
	runtime->head_sequence = news->sequence;
	if (news->pack.len) {
		news_clear(&runtime->news);
		runtime->news = *news;
		buf_init(&news->pack, 0); /* it is taken */
	}
	if (news->sequence && strcmp(runtime->active, oid_hex(&news->release, hex)) == 0 &&
	    runtime->refusal.step) {
		runtime->refusal.step = NULL; /* what was refused is not offered any more */
		report_changed(runtime);
	}
	if (is_offered_older(runtime)) {
		refuse_older(runtime);
		(void)oid_hex(&news->release, hex);
		hex[12] = '\0';
		log_error("verify", hex, "release refused, kept what is active: %s",
			  runtime->refusal.reason);
		report_changed(runtime);
	}
	pin_offered(runtime, news->pin[0] ? news->pin : NULL);
	cycle_consider(runtime);
}

static void on_link(void *arg, bool up, const char *reason)
{
	struct runtime *runtime = arg;

	join_linked(runtime, reason);
	if (!up)
		runtime->head_known = runtime->pin_waits = false;
	report_changed(runtime);
}

static void on_fetched(void *arg)
{
	fetch_pumped(arg);
}

static const struct link_calls link_calls = {
	.tell = on_tell,
	.head = on_head,
	.changed = on_link,
	.fetched = on_fetched,
};

void runtime_link(struct runtime *runtime, const struct cluster *cluster,
		  const struct keystore *keystore)
{
	runtime->link = link_new(runtime->loop, cluster->host, cluster->port, keystore,
				 runtime->key, &link_calls, runtime);
}

/* --- start --- */

/* A start in another cluster or role, or with the state lost: nothing of before counts any more. */
static int begin_anew(const struct home *home, struct err *err)
{
	/* the state goes last: until then a kill in between begins anew again */
	static const char *const paths[] = {"node/current", "node/replica.git", "node/revisions",
					    "node/state"};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (fs_remove_tree(home->var_fd, paths[i], err) != 0)
			return -1;
	return 0;
}

/* A last configuration that was made anew, or that current does not lead to any more. */
static int settle_mended(const struct home *home, const struct start *start, struct err *err)
{
	struct revision there;
	struct err unsound;
	int rc = 0;

	if (revision_read(home, start->revision.name, &start->state, &there, &unsound) == 0)
		revision_clear(&there);
	else
		rc = mend_write(home, &start->revision, err);
	return rc == 0 ? revision_swap(home, start->revision.name, err) : rc;
}

/* Removes what a kill left; nothing runs yet. */
static int clean(const struct home *home, const struct start *start, struct err *err)
{
	int rc = quarantine_remove(home, err);

	if (rc == 0)
		rc = replica_clean(home, err);
	if (rc == 0)
		rc = revision_clean(home, &start->state, start->settings.keep_revisions, err);
	if (rc == 0)
		rc = fs_remove_temporary(home->var_fd, "node", err);
	return rc;
}

/*
 * What is of the same cluster and role serves on, whatever else changed: it is written with the
 * next change.
 */
static int write_state(const struct home *home, const struct start *start, const char *text,
		       struct err *err)
{
	if (node_state_write(text, home, err) == 0)
		return 0;
	if (!start->before || start->anew || start->from_init || !start->has_revision)
		return -1;
	log_warning("init", "state", "cannot be written now: %s", err->text);
	return 0;
}

/* Puts on the disk what the start decided: the state, and a revision made of etc/init. */
static int settle(const struct home *home, struct start *start, struct err *err)
{
	char *text = node_state_format(&start->state);
	struct err left;
	int rc = fs_keep_dirs(home->var_fd, "node", 0700, err);

	if (rc == 0 && start->anew)
		rc = begin_anew(home, err);
	/* a node serves on when its disk is full: nothing is written that is there */
	if (rc == 0 && (start->anew || !start->before || strcmp(text, start->before) != 0))
		rc = write_state(home, start, text, err);
	free(text);
	if (rc == 0 && start->from_init)
		rc = init_settle(home, start, err);
	if (rc == 0 && start->mended && !start->from_init && settle_mended(home, start, &left) != 0)
		log_error("init", start->revision.name, "cannot be restored now: %s", left.text);
	/* nor must anything be removed for it to serve */
	if (rc == 0 && clean(home, start, &left) != 0)
		log_warning("init", home->var, "what a stop left cannot be removed now: %s",
			    left.text);
	/* nor must there be a bundle: the admin has what is in it */
	if (rc == 0 && seed_replica(home, &start->state, &left) != 0)
		log_warning("init", home->etc, "no bundle can be taken now: %s", left.text);
	return rc;
}

/* Tells that RELEASE is burnt, if it is. */
static void tell_burnt(struct runtime *runtime, struct refusal *refusal, const struct oid *release)
{
	const struct state_entry *entry = node_state_find(&runtime->state, release);

	if (entry && entry->verdict == VERDICT_BURNT)
		refusal_set(refusal, &entry->release, entry->sequence, burnt_step(entry),
			    entry->reason ? entry->reason : "it is burnt");
}

void hold_refusal_renew(struct runtime *runtime)
{
	const struct hold *hold = node_state_hold(&runtime->state);
	struct oid release;

	runtime->hold_refusal.step = NULL;
	if (hold && oid_parse(hold->release, &release) == 0)
		tell_burnt(runtime, &runtime->hold_refusal, &release);
}

/* What is burnt, and newest or held at, is told after a start too. */
static void restore_refusal(struct runtime *runtime)
{
	const struct chain_state *chain = &runtime->state.chain;
	const struct refusal *held = &runtime->hold_refusal;

	hold_refusal_renew(runtime);
	if (chain->has_accepted && !(held->step && oid_equal(&held->release, &chain->accepted)))
		tell_burnt(runtime, &runtime->refusal, &chain->accepted);
}

static void take_start(struct runtime *runtime, struct start *start)
{
	runtime->ring = start->ring;
	start->ring = NULL;
	runtime->state = start->state;
	start->state = (struct node_state){0};
	restore_refusal(runtime);
}

int runtime_start(uv_loop_t *loop, const struct home *home, const struct runtime_options *options,
		  struct proc *proc, void (*changed)(void *arg), void *arg, struct runtime **out,
		  struct err *err)
{
	struct start start;
	struct plain plain;
	struct runtime *runtime;
	int rc;

	if (plain_init(&plain, home, options->role, options->plain_group, err) != 0 ||
	    init_find(home, options, &start, err) != 0)
		return -1;
	if (start.from_init && plain_check(&plain, &start.revision.files, err) != 0) {
		start_clear(&start);
		return -1;
	}
	start_tell(home, options, &start);
	runtime = mem_new(1, sizeof(*runtime));
	*runtime = (struct runtime){.loop = loop,
				    .home = home,
				    .proc = proc,
				    .changed = changed,
				    .arg = arg,
				    .busy = 1};
	runtime->plain = plain;
	buf_init(&runtime->pin, PIN_RAW_MAX);
	memcpy(runtime->name, options->name, strlen(options->name) + 1);
	(void)uv_timer_init(loop, &runtime->retry); /* never fails */
	runtime->retry.data = runtime;
	(void)uv_timer_init(loop, &runtime->poll); /* never fails */
	runtime->poll.data = runtime;
	runtime->handles = 2;
	rc = settle(home, &start, err);
	if ((start.before || start.rebuilt) &&
	    faccessat(home->var_fd, NODE_KEY, F_OK, AT_SYMLINK_NOFOLLOW) != 0)
		log_warning("init", runtime->name,
			    "its key is gone: it is another node for the admin from here on");
	if (rc == 0)
		rc = static_key_load(home->var_fd, NODE_KEY, &runtime->key, err);
	/* what the start found and restored */
	atomic_init(&runtime->drift, (unsigned)start.rebuilt + (unsigned)start.mended);
	take_start(runtime, &start);
	runtime->tidy = replica_tidy(loop, home);
	heal_start(runtime);
	if (rc == 0)
		watch_start(runtime);
	if (rc != 0) {
		start_clear(&start);
		runtime_stop(runtime);
		return -1;
	}
	activate_look(runtime); /* what it serves comes before the admin */
	join_start(runtime, &start.file, &start.active, options->cluster != NULL);
	start_clear(&start);
	report_changed(runtime);
	*out = runtime;
	return 0;
}

int runtime_check(const struct home *home, const struct runtime_options *options, char **verdict,
		  struct err *err)
{
	struct start start;
	struct plain plain;
	const struct point *admin;
	char *what;

	if (plain_init(&plain, home, options->role, options->plain_group, err) != 0 ||
	    init_find(home, options, &start, err) != 0)
		return -1;
	if (start.has_revision && plain_check(&plain, &start.revision.files, err) != 0) {
		start_clear(&start);
		return -1;
	}
	start_tell(home, options, &start);
	what = start.from_init ? text_copy("the configuration in etc/init")
	       : start.has_revision
		       ? text_format("its last configuration %.12s, sequence %llu",
				     start.revision.name,
				     (unsigned long long)start.revision.release.sequence)
		       : text_copy("nothing until the admin gives it a release");
	admin = start.active.keystore && !start.state.init_wins && !options->cluster ? &start.active
										     : &start.file;
	*verdict = text_format("role %s would serve %s%s%s", options->role, what,
			       admin->keystore ? "; admin " : "; no admin",
			       admin->keystore ? admin->cluster.host : "");
	free(what);
	start_clear(&start);
	return 0;
}

static bool is_of_burnt(struct runtime *runtime, const struct refusal *refusal)
{
	const struct state_entry *entry = node_state_find(&runtime->state, &refusal->release);

	return entry && entry->verdict == VERDICT_BURNT;
}

void runtime_reload(struct runtime *runtime)
{
	runtime->reloading = true;
	join_look(runtime, JOIN_ALL);
}

void runtime_reloaded(struct runtime *runtime)
{
	runtime->reloading = false;
	/* what was burnt stays so until `muster resume --here` */
	if (!is_of_burnt(runtime, &runtime->refusal))
		refusal_forget(runtime);
	if (!is_of_burnt(runtime, &runtime->hold_refusal))
		runtime->hold_refusal.step = NULL;
	report_changed(runtime);
	runtime->refresh = true;
	activate_look(runtime);
	cycle_consider(runtime);
}

bool runtime_reloading(const struct runtime *runtime)
{
	return runtime->reloading;
}

bool runtime_settled(const struct runtime *runtime)
{
	if (runtime->stopping || runtime->word == NODE_BOOTING)
		return false;
	if (runtime->active[0] || !runtime->link)
		return true;
	if (!link_up(runtime->link))
		return join_tried(runtime);
	return runtime->head_known && !runtime->cycle && !runtime->activation;
}

/* --- stop --- */

void runtime_release(struct runtime *runtime)
{
	if (!runtime->stopping || runtime->busy > 0 || runtime->handles > 0)
		return;
	if (runtime->cycle || runtime->activation)
		return; /* whatever is under way frees itself and calls again */
	node_state_clear(&runtime->state);
	join_free(runtime->join);
	keyring_free(runtime->ring);
	static_key_free(runtime->key);
	news_clear(&runtime->news);
	buf_clear(&runtime->pin);
	wish_free(runtime);
	free(runtime->record);
	heal_free(runtime->heal);
	free(runtime);
}

static void on_timer_close(uv_handle_t *handle)
{
	struct runtime *runtime = handle->data;

	runtime->handles--;
	runtime_release(runtime);
}

void runtime_own_cluster(struct runtime *runtime, const struct cluster *own)
{
	struct point point = {.cluster = {.host = text_copy(own->host), .port = own->port}};
	struct err err;
	int rc = keystore_parse(own->keystore, &point.keystore, &err);

	assert(rc == 0); /* this process made it */
	(void)rc;
	if (runtime->stopping)
		point_clear(&point);
	else
		join_own(runtime, &point);
}

void runtime_stop(struct runtime *runtime)
{
	if (!runtime || runtime->stopping)
		return;
	runtime->stopping = true;
	runtime->busy--; /* the one of the start */
	report_changed(runtime);
	link_free(runtime->link);
	runtime->link = NULL;
	join_stop(runtime);
	tidy_free(runtime->tidy);
	runtime->tidy = NULL;
	inotify_free(runtime->watch);
	runtime->watch = NULL;
	heal_stop(runtime);
	uv_close((uv_handle_t *)&runtime->poll, on_timer_close);
	health_stop(runtime);
	uv_close((uv_handle_t *)&runtime->retry, on_timer_close);
}
