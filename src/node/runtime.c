/* A runtime node, from its start to its stop: see runtime.h. */
#include "node/steps.h"

#include "core/fs.h"
#include "core/log.h"
#include "node/heal.h"
#include "node/quarantine.h"

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

/* An admin restored from an older copy, or one that wants this node back on an older release: never. */
static void refuse_older(struct runtime *runtime)
{
	char reason[256], hex[OID_HEX_SIZE];

	(void)snprintf(reason, sizeof(reason),
		       "the admin is behind this node: it offers sequence %llu, accepted here is %llu",
		       (unsigned long long)runtime->head_sequence,
		       (unsigned long long)runtime->state.chain.sequence); /* fits */
	(void)oid_hex(&runtime->head, hex);
	hex[12] = '\0';
	log_error("verify", hex, "release refused, kept what is active: %s", reason);
	refusal_set(&runtime->refusal, &runtime->head, runtime->head_sequence, "verify", reason);
	report_changed(runtime);
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
	if (news->sequence && runtime->state.chain.has_accepted &&
	    news->sequence < runtime->state.chain.sequence)
		refuse_older(runtime);
	pin_offered(runtime, news->pin[0] ? news->pin : NULL);
	cycle_consider(runtime);
}

static void on_link(void *arg, bool up, const char *reason)
{
	struct runtime *runtime = arg;

	(void)reason; /* the link logged it */
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

/* --- start --- */

/* A start in another cluster or role, or with the state lost: nothing of before counts any more. */
static int begin_anew(const struct home *home, struct err *err)
{
	/* the state goes last: until then a kill in between begins anew again */
	static const char *const paths[] = {"node/current", "node/replica.git", "node/revisions", "node/state"};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (fs_remove_tree(home->var_fd, paths[i], err) != 0)
			return -1;
	return 0;
}

/* A sound revision of that name stays as it is: current may lead to it. */
static int settle_init(const struct home *home, const struct start *start, struct err *err)
{
	struct revision there;
	struct err unsound;
	int rc = 0;

	if (revision_read(home, start->revision.name, &start->state, &there, &unsound) == 0)
		revision_clear(&there);
	else
		rc = revision_write(home, start->revision.name, &start->revision.files, NULL, 0, err);
	return rc == 0 ? revision_swap(home, start->revision.name, err) : rc;
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

/* Puts on the disk what the start decided: the state, and a revision made of etc/init. */
static int settle(const struct home *home, struct start *start, struct err *err)
{
	char *text = node_state_format(&start->state);
	struct err left;
	int rc = fs_make_dirs(home->var_fd, "node", 0700, err);

	if (rc == 0 && start->anew)
		rc = begin_anew(home, err);
	/* a node serves on when its disk is full: nothing is written that is there */
	if (rc == 0 && (start->anew || !start->before || strcmp(text, start->before) != 0))
		rc = node_state_write(text, home, err);
	free(text);
	if (rc == 0 && start->from_init)
		rc = settle_init(home, start, err);
	if (rc == 0 && start->mended && !start->from_init && settle_mended(home, start, &left) != 0)
		log_error("init", start->revision.name, "cannot be restored now: %s", left.text);
	/* nor must anything be removed for it to serve */
	if (rc == 0 && clean(home, start, &left) != 0)
		log_warning("init", home->var, "what a stop left cannot be removed now: %s", left.text);
	/* nor must there be a bundle: the admin has what is in it */
	if (rc == 0 && seed_replica(home, &start->state, &left) != 0)
		log_warning("init", home->etc, "no bundle can be taken now: %s", left.text);
	return rc;
}

/* What is burnt, and newest or held at, is told after a start too. */
static void restore_refusal(struct runtime *runtime)
{
	const struct chain_state *chain = &runtime->state.chain;
	const struct hold *hold = node_state_hold(&runtime->state);
	char name[OID_HEX_SIZE];

	for (size_t i = 0; i < runtime->state.log_count; i++) {
		const struct state_entry *entry = runtime->state.log + i;
		const char *reason = entry->reason ? entry->reason : "it is burnt";

		if (entry->verdict != VERDICT_BURNT)
			continue;
		if (hold && strcmp(hold->release, oid_hex(&entry->release, name)) == 0)
			refusal_set(&runtime->hold_refusal, &entry->release, entry->sequence, burnt_step(entry),
				    reason);
		else if (chain->has_accepted && oid_equal(&chain->accepted, &entry->release))
			refusal_set(&runtime->refusal, &entry->release, entry->sequence, burnt_step(entry), reason);
	}
}

static void take_start(struct runtime *runtime, struct start *start)
{
	runtime->ring = start->ring;
	start->ring = NULL;
	runtime->state = start->state;
	start->state = (struct node_state){0};
	restore_refusal(runtime);
	if (start->has_cluster) {
		runtime->cluster = start->cluster;
		runtime->keystore = start->keystore;
		start->keystore = NULL;
		start->has_cluster = false;
	}
}

static void open_link(struct runtime *runtime)
{
	runtime->link = link_new(runtime->loop, runtime->cluster.host, runtime->cluster.port,
				 runtime->keystore, runtime->key, &link_calls, runtime);
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
	runtime = mem_new(1, sizeof(*runtime));
	*runtime = (struct runtime){
		.loop = loop, .home = home, .proc = proc, .changed = changed, .arg = arg, .busy = 1};
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
		log_warning("init", runtime->name, "its key is gone: it is another node for the admin from here on");
	if (rc == 0)
		rc = static_key_load(home->var_fd, NODE_KEY, &runtime->key, err);
	/* what the start found and restored */
	atomic_init(&runtime->drift, (unsigned)start.rebuilt + (unsigned)start.mended);
	take_start(runtime, &start);
	start_clear(&start);
	runtime->tidy = replica_tidy(loop, home);
	heal_start(runtime);
	if (rc == 0)
		watch_start(runtime);
	if (rc != 0) {
		runtime_stop(runtime);
		return -1;
	}
	activate_look(runtime); /* what it serves comes before the admin */
	if (runtime->keystore)
		open_link(runtime);
	else
		log_notice("init", runtime->name, "there is no cluster configuration: serving without an admin");
	report_changed(runtime);
	*out = runtime;
	return 0;
}

int runtime_check(const struct home *home, const struct runtime_options *options, char **verdict,
		  struct err *err)
{
	struct start start;
	struct plain plain;
	char *what;

	if (plain_init(&plain, home, options->role, options->plain_group, err) != 0 ||
	    init_find(home, options, &start, err) != 0)
		return -1;
	if (start.has_revision && plain_check(&plain, &start.revision.files, err) != 0) {
		start_clear(&start);
		return -1;
	}
	what = start.from_init	      ? text_copy("the configuration in etc/init")
	       : start.has_revision ? text_format("its last configuration %.12s, sequence %llu",
						  start.revision.name,
						  (unsigned long long)start.revision.release.sequence)
				    : text_copy("nothing until the admin gives it a release");
	*verdict = text_format("role %s would serve %s%s%s", options->role, what,
			       start.has_cluster ? "; admin " : "; no admin",
			       start.has_cluster ? start.cluster.host : "");
	free(what);
	start_clear(&start);
	return 0;
}

/* Joins the cluster that a revision tells, once its keystore can be opened. */
static void find_cluster(struct runtime *runtime)
{
	const struct chain_state *chain = &runtime->state.chain;
	struct revision revision;
	char name[REVISION_NAME_MAX];
	struct err err;
	int rc;

	if (runtime->keystore || revision_current(runtime->home, name, &err) != 0 ||
	    revision_read(runtime->home, name, &runtime->state, &revision, &err) != 0)
		return;
	rc = revision_cluster(&revision, runtime->ring, chain->role, &runtime->cluster, &runtime->keystore,
			      &err);
	if (rc == 0 && memcmp(runtime->keystore->cluster_id, chain->cluster_id, CLUSTER_ID_SIZE) == 0) {
		open_link(runtime);
	} else if (rc == 0) {
		keystore_free(runtime->keystore);
		runtime->keystore = NULL;
		cluster_clear(&runtime->cluster);
	} else if (err.code != ERR_GONE) {
		log_error("init", "cluster", "the last configuration's is not used: %s", err.text);
	}
	revision_clear(&revision);
}

/* etc/secret as it is now; what cannot be used leaves what there was. */
static void reload_keys(struct runtime *runtime)
{
	struct keyring *ring;
	struct err err;

	if (keyring_load(runtime->home, &ring, &err) != 0) {
		log_error("init", "secret", "not read again: %s", err.text);
		return;
	}
	keyring_free(runtime->ring);
	runtime->ring = ring;
	find_cluster(runtime);
	report_changed(runtime);
}

static void forget_refusal(struct runtime *runtime, struct refusal *refusal)
{
	const struct state_entry *entry = node_state_find(&runtime->state, &refusal->release);

	if (!entry || entry->verdict != VERDICT_BURNT)
		refusal->step = NULL;
}

void runtime_reload(struct runtime *runtime)
{
	reload_keys(runtime);
	/* what was burnt stays so until `muster resume --here` */
	forget_refusal(runtime, &runtime->refusal);
	forget_refusal(runtime, &runtime->hold_refusal);
	runtime->refresh = true;
	activate_look(runtime);
	cycle_consider(runtime);
}

/* --- stop --- */

void runtime_release(struct runtime *runtime)
{
	if (!runtime->stopping || runtime->busy > 0 || runtime->handles > 0)
		return;
	if (runtime->cycle || runtime->activation)
		return; /* whatever is under way frees itself and calls again */
	node_state_clear(&runtime->state);
	if (runtime->keystore)
		cluster_clear(&runtime->cluster);
	keystore_free(runtime->keystore);
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

void runtime_stop(struct runtime *runtime)
{
	if (!runtime || runtime->stopping)
		return;
	runtime->stopping = true;
	runtime->busy--; /* the one of the start */
	report_changed(runtime);
	link_free(runtime->link);
	runtime->link = NULL;
	tidy_free(runtime->tidy);
	runtime->tidy = NULL;
	inotify_free(runtime->watch);
	runtime->watch = NULL;
	heal_stop(runtime);
	uv_close((uv_handle_t *)&runtime->poll, on_timer_close);
	health_stop(runtime);
	uv_close((uv_handle_t *)&runtime->retry, on_timer_close);
}
