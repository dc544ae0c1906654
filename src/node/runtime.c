/* A runtime node, from its start to its stop: see runtime.h. */
#include "node/steps.h"

#include "core/fs.h"
#include "core/log.h"
#include "node/quarantine.h"

#include <stdlib.h>
#include <string.h>

#define NODE_KEY "node/node.key"

/* --- the link's calls --- */

static void on_tell(void *arg, struct control_message *message)
{
	report_tell(arg, message);
}

static void on_head(void *arg, const struct oid *release, uint64_t sequence)
{
	struct runtime *runtime = arg;
	const struct chain_state *chain = &runtime->state.chain;

	runtime->head_known = true;
	runtime->head = *release;
	runtime->head_sequence = sequence;
	if (chain->has_accepted && sequence < chain->sequence)
		log_error("fetch", runtime->name,
			  "the admin is behind this node (sequence %llu, accepted here %llu): kept what is active",
			  (unsigned long long)sequence, (unsigned long long)chain->sequence);
	cycle_consider(runtime);
}

static void on_link(void *arg, bool up, const char *reason)
{
	struct runtime *runtime = arg;

	(void)reason; /* the link logged it */
	if (!up)
		runtime->head_known = false;
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
	static const char *const paths[] = {"node/current", "node/replica.git", "node/revisions", "node/state"};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (fs_remove_tree(home->var_fd, paths[i], err) != 0)
			return -1;
	return 0;
}

/* Puts on the disk what the start decided: the state, and a revision made of etc/init. */
static int settle(const struct home *home, const struct start *start, struct err *err)
{
	struct node_state before;
	bool anew;
	char *text;
	int rc;

	if (fs_make_dirs(home->var_fd, "node", 0700, err) != 0 || node_state_load(&before, home, err) != 0)
		return -1;
	anew = before.known && (memcmp(before.chain.cluster_id, start->state.chain.cluster_id,
				       CLUSTER_ID_SIZE) != 0 ||
				strcmp(before.chain.role, start->state.chain.role) != 0);
	node_state_clear(&before);
	rc = anew ? begin_anew(home, err) : 0;
	text = node_state_format(&start->state);
	if (rc == 0)
		rc = node_state_write(text, home, err);
	free(text);
	if (rc == 0 && start->from_init)
		rc = revision_write(home, start->revision.name, &start->revision.files, NULL, 0, err);
	if (rc == 0 && start->from_init)
		rc = revision_swap(home, start->revision.name, err);
	if (rc == 0)
		rc = quarantine_remove(home, err);
	return rc;
}

static void take_start(struct runtime *runtime, struct start *start)
{
	runtime->state = start->state;
	start->state = (struct node_state){0};
	if (start->has_cluster) {
		runtime->cluster = start->cluster;
		runtime->keystore = start->keystore;
		start->keystore = NULL;
		start->has_cluster = false;
	}
}

int runtime_start(uv_loop_t *loop, const struct home *home, const struct runtime_options *options,
		  struct proc *proc, void (*changed)(void *arg), void *arg, struct runtime **out,
		  struct err *err)
{
	struct start start;
	struct runtime *runtime;
	int rc;

	if (init_find(home, options, &start, err) != 0)
		return -1;
	runtime = mem_new(1, sizeof(*runtime));
	*runtime = (struct runtime){
		.loop = loop, .home = home, .proc = proc, .changed = changed, .arg = arg, .busy = 1};
	memcpy(runtime->name, options->name, strlen(options->name) + 1);
	(void)uv_timer_init(loop, &runtime->retry); /* never fails */
	runtime->retry.data = runtime;
	runtime->handles = 1;
	rc = settle(home, &start, err);
	if (rc == 0)
		rc = static_key_load(home->var_fd, NODE_KEY, &runtime->key, err);
	take_start(runtime, &start);
	start_clear(&start);
	if (rc == 0)
		rc = watch_start(runtime, err);
	if (rc != 0) {
		runtime_stop(runtime);
		return -1;
	}
	activate_look(runtime); /* what it serves comes before the admin */
	if (runtime->keystore)
		runtime->link = link_new(loop, runtime->cluster.host, runtime->cluster.port,
					 runtime->keystore, runtime->key, &link_calls, runtime);
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
	char *what;

	if (init_find(home, options, &start, err) != 0)
		return -1;
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

void runtime_reload(struct runtime *runtime)
{
	if (runtime->refusal.sequence) {
		const struct state_entry *entry = node_state_find(&runtime->state, &runtime->refusal.release);

		/* what was burnt stays so until `muster resume --here` */
		if (!entry || entry->verdict != VERDICT_BURNT)
			runtime->refusal.sequence = 0;
	}
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
	static_key_free(runtime->key);
	free(runtime->record);
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
	inotify_free(runtime->watch);
	uv_close((uv_handle_t *)&runtime->retry, on_timer_close);
}
