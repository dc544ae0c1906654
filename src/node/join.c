/* Which cluster a node talks to: see join.h. */
#include "node/join.h"

#include "core/limits.h"
#include "core/log.h"
#include "core/loop.h"
#include "node/steps.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Where a cluster configuration comes from. */
#define PLACES(X)                                                                                  \
	X(MIXED, "the address in etc/init with the newer keystore of the configuration")           \
	X(FILE, "etc/init")                                                                        \
	X(REVISION, "the configuration")                                                           \
	X(JOINED, "the configuration that worked before")

enum place {
#define X(name, text) PLACE_##name,
	PLACES(X)
#undef X
	PLACE_COUNT
};

static const char *const place_texts[] = {
#define X(name, text) text,
	PLACES(X)
#undef X
};

/* What was told last of something, so that it is told once. */
struct told {
	char text[512];
};

struct join {
	uv_timer_t settle; /* after a change in etc/init */
	struct runtime *runtime;
	bool fixed;
	struct point points[PLACE_COUNT];
	char revision[REVISION_NAME_MAX]; /* that PLACE_REVISION is of */
	/* the different ones there are, in the order in which they are tried */
	enum place order[PLACE_COUNT];
	size_t count;
	size_t at;		/* in ORDER, what the link is pointed to */
	struct point preferred; /* copies: of the first, */
	struct point current;	/* and of what the link is pointed to */
	bool up;
	bool repointing; /* the link is closed from here */
	bool tried;
	struct told down[PLACE_COUNT];	    /* why each led to no admin */
	/* of etc/init: that it cannot be read, differs, is of another cluster */
	struct told init, difference, file;
	bool looking;
	unsigned again; /* what is to be looked at after that */
};

/* --- points --- */

static struct point point_copy(const struct point *point)
{
	return (struct point){
		.cluster = {.host = text_copy(point->cluster.host), .port = point->cluster.port},
		.keystore = keystore_copy(point->keystore),
	};
}

/*
 * Whether both lead to the same place with a key of the same epoch. That the role's own keystore
 * takes over from one for any role is no reason to join anew.
 */
static bool point_same(const struct point *a, const struct point *b)
{
	return a->keystore && b->keystore && a->cluster.port == b->cluster.port &&
	       strcmp(a->cluster.host, b->cluster.host) == 0 &&
	       a->keystore->epoch == b->keystore->epoch &&
	       memcmp(a->keystore->cluster_id, b->keystore->cluster_id, CLUSTER_ID_SIZE) == 0 &&
	       memcmp(a->keystore->admin_public, b->keystore->admin_public, KEY_SIZE) == 0;
}

static void point_take(struct point *to, struct point *from)
{
	point_clear(to);
	*to = *from;
	*from = (struct point){.keystore = NULL};
}

/* A node that is pointed elsewhere by hand takes a new key epoch all the same. */
static void mix(struct join *join)
{
	const struct point *file = join->points + PLACE_FILE,
			   *revision = join->points + PLACE_REVISION;
	struct point mixed;

	point_clear(join->points + PLACE_MIXED);
	if (!file->keystore || !revision->keystore ||
	    revision->keystore->epoch <= file->keystore->epoch)
		return;
	mixed = point_copy(file);
	keystore_free(mixed.keystore);
	mixed.keystore = keystore_copy(revision->keystore);
	point_take(join->points + PLACE_MIXED, &mixed);
}

static void list_one(struct join *join, enum place place)
{
	if (!join->points[place].keystore)
		return;
	for (size_t i = 0; i < join->count; i++)
		if (point_same(join->points + join->order[i], join->points + place))
			return;
	join->order[join->count++] = place;
}

static void list(struct join *join)
{
	static const enum place by_hand[] = {PLACE_MIXED, PLACE_FILE, PLACE_REVISION, PLACE_JOINED};
	static const enum place by_release[] = {PLACE_REVISION, PLACE_JOINED, PLACE_FILE,
						PLACE_MIXED};
	const enum place *order = join->runtime->state.init_wins ? by_hand : by_release;

	mix(join);
	join->count = 0;
	for (size_t i = 0; i < PLACE_COUNT; i++)
		list_one(join, order[i]);
}

/* --- the link --- */

static void tell_once(struct told *told, enum log_level level, const char *step, const char *object,
		      const char *text)
{
	if (strncmp(told->text, text, sizeof(told->text) - 1) == 0)
		return;
	memset(told->text, 0, sizeof(told->text));
	memcpy(told->text, text, strnlen(text, sizeof(told->text) - 1));
	log_at(level, step, object, "%s", text);
}

static void point_to(struct join *join, size_t at, bool now)
{
	struct runtime *runtime = join->runtime;
	struct point old = join->current, *to = &join->current;

	join->at = at;
	*to = point_copy(join->points + join->order[at]);
	if (!runtime->link) {
		runtime_link(runtime, &to->cluster, to->keystore);
	} else {
		join->repointing = true;
		link_point(runtime->link, to->cluster.host, to->cluster.port, to->keystore, now);
		join->repointing = false;
	}
	point_clear(&old);
}

/* What led to the admin is remembered by the revision that has it: that is kept as long. */
static void remember(struct join *join)
{
	if (join->up && !join->fixed && point_same(&join->current, join->points + PLACE_REVISION))
		memcpy(join->runtime->state.joined, join->revision, sizeof(join->revision));
}

/*
 * The points changed: goes to the first if it is another than it was, or if the one in use is gone.
 */
static void choose(struct join *join)
{
	const struct point *first;
	size_t at = 0;

	list(join);
	if (join->count == 0)
		return; /* what is in use was good; nothing says anything else */
	first = join->points + join->order[0];
	while (at < join->count && !point_same(join->points + join->order[at], &join->current))
		at++;
	if (point_same(first, &join->preferred) && at < join->count) {
		join->at = at;
	} else if (at == 0) {
		join->at = 0;
	} else {
		if (join->current.keystore)
			log_notice("join", first->cluster.host,
				   "port %u is where the admin is now, says %s",
				   first->cluster.port, place_texts[join->order[0]]);
		memset(join->down, 0, sizeof(join->down));
		point_to(join, 0, true);
	}
	first = join->points + join->order[0];
	point_clear(&join->preferred);
	join->preferred = point_copy(first);
	remember(join);
}

static void came_up(struct join *join)
{
	const struct point *first = join->points + join->order[0];

	join->up = join->tried = true;
	if (join->count > 0 && join->at > 0 && join->at < join->count)
		log_warning("join", join->current.cluster.host,
			    "the admin is reached on port %u as %s says; not on %s port %u, as %s "
			    "says: %s",
			    join->current.cluster.port, place_texts[join->order[join->at]],
			    first->cluster.host, first->cluster.port, place_texts[join->order[0]],
			    join->down[join->order[0]].text);
	memset(join->down + join->order[join->at], 0, sizeof(*join->down));
	remember(join);
}

void join_linked(struct runtime *runtime, const char *reason)
{
	struct join *join = runtime->join;
	struct told *told = join->down + join->order[join->at];
	bool was_up = join->up;
	char *text;

	if (!reason) {
		came_up(join);
		return;
	}
	join->up = false;
	if (join->repointing)
		return;
	join->tried = true;
	text = text_format("no admin: %s", reason);
	if (was_up)
		memset(told, 0, sizeof(*told));
	tell_once(told, LOG_LEVEL_WARNING, "link", join->current.cluster.host, text);
	free(text);
	/* what was up is dialled again first */
	if (!was_up && join->count > 1)
		point_to(join, (join->at + 1) % join->count, false);
}

/* --- looking again --- */

/* Whether etc/init counts while the node runs: no admin and no release says what to serve. */
static bool may_load(const struct runtime *runtime)
{
	return !runtime->link && !runtime->state.chain.has_accepted && !runtime->join->fixed;
}

struct look {
	struct runtime *runtime;
	unsigned what;
	char role[NAME_MAX_LEN + 1];
	char name[REVISION_NAME_MAX];	/* the active revision; "": where current leads */
	char joined[REVISION_NAME_MAX]; /* the one that worked; "": none, or it is known */
	/* the log, for the worker: its reasons are not to be read */
	struct node_state known;
	struct keyring *ring;
	struct given given;
	struct point revision, before;
	bool load; /* what etc/init holds is to be served: there is no admin to have it from */
	char loaded[REVISION_NAME_MAX];
	int keys_rc, init_rc, load_rc, revision_rc;
	struct err keys_err, init_err, load_err, revision_err;
};

static int read_revision(struct look *look, const char *name, struct point *out, struct err *err)
{
	struct revision revision;
	int rc;

	if (revision_read(look->runtime->home, name, &look->known, &revision, err) != 0)
		return -1;
	rc = revision_cluster(&revision, look->ring, look->role, out, err);
	revision_clear(&revision);
	if (rc == 0 &&
	    memcmp(out->keystore->cluster_id, look->known.chain.cluster_id, CLUSTER_ID_SIZE) != 0) {
		point_clear(out);
		rc = err_set(err, ERR_REFUSED, "it is of another cluster");
	}
	return rc;
}

static void on_look_work(void *arg)
{
	struct look *look = arg;
	const struct home *home = look->runtime->home;
	struct keyring *ring;
	struct err err;

	if (look->what & JOIN_KEYS) {
		look->keys_rc = keyring_load(home, &ring, &look->keys_err);
		if (look->keys_rc == 0) {
			keyring_free(look->ring);
			look->ring = ring;
		}
	}
	if (look->what & JOIN_INIT)
		look->init_rc = given_read(home, look->role, &look->given, &look->init_err);
	if (look->what & JOIN_INIT && look->init_rc == 0 && look->load && look->given.doc)
		look->load_rc = init_load(home, look->role, look->ring, &look->known, &look->given,
					  look->loaded, &look->load_err);
	if (look->what & JOIN_REVISION) {
		look->revision_rc =
			look->name[0] ? 0 : revision_current(home, look->name, &look->revision_err);
		if (look->revision_rc == 0)
			look->revision_rc = read_revision(look, look->name, &look->revision,
							  &look->revision_err);
	}
	if (look->joined[0] && read_revision(look, look->joined, &look->before, &err) != 0)
		log_debug("join", look->joined, "%s", err.text);
}

static void take_keys(struct join *join, struct look *look)
{
	struct runtime *runtime = join->runtime;

	if (look->keys_rc != 0) {
		log_error("init", "secret", "not read again: %s", look->keys_err.text);
		return;
	}
	keyring_free(runtime->ring);
	runtime->ring = look->ring;
	look->ring = NULL;
}

/* A cluster file of another cluster does nothing to a node that runs. */
static bool is_ours(struct join *join, const struct keystore *keystore)
{
	static const uint8_t none[CLUSTER_ID_SIZE];
	const uint8_t *id = join->runtime->state.chain.cluster_id;

	if (memcmp(id, none, CLUSTER_ID_SIZE) == 0 ||
	    memcmp(id, keystore->cluster_id, CLUSTER_ID_SIZE) == 0)
		return true;
	tell_once(&join->file, LOG_LEVEL_ERROR, "init", "cluster",
		  "the cluster file in etc/init is of another cluster and is ignored while this "
		  "node runs: a start with "
		  "--force-reload adopts it");
	return false;
}

static void take_file(struct join *join, struct point *file)
{
	struct node_state *state = &join->runtime->state;
	char digest[STATE_DIGEST_MAX];

	if (file->keystore && !is_ours(join, file->keystore))
		return;
	memset(&join->file, 0, sizeof(join->file));
	point_take(join->points + PLACE_FILE, file);
	if (!join->points[PLACE_FILE].keystore)
		return;
	cluster_digest(&join->points[PLACE_FILE].cluster, digest);
	if (strcmp(digest, state->init_digest) == 0)
		return;
	memcpy(state->init_digest, digest, sizeof(digest));
	state->init_wins = join->points[PLACE_REVISION].keystore != NULL;
	chain_begin(&state->chain, join->points[PLACE_FILE].keystore);
	log_notice("init", "cluster", "the cluster file in etc/init is new: admin %s port %u",
		   join->points[PLACE_FILE].cluster.host, join->points[PLACE_FILE].cluster.port);
	report_save(join->runtime);
}

/* What SIGHUP read is what a start would have: its activation follows. */
static void take_loaded(struct join *join, struct look *look)
{
	struct node_state *state = &join->runtime->state;

	if (look->load_rc != 0)
		log_error("init", "", "not read again: %s", look->load_err.text);
	if (!look->loaded[0])
		return;
	if (strcmp(look->loaded, look->name) != 0) /* by now it may be active */
		log_notice("init", look->loaded, "etc/init is read again and counts from now on");
	initdir_marks_clear(&state->init_marks);
	state->init_marks = look->given.marks;
	look->given.marks = (struct initdir_marks){.known = false};
	memset(&join->difference, 0, sizeof(join->difference));
	report_save(join->runtime);
}

static void tell_difference(struct join *join, const struct initdir_marks *marks)
{
	const struct runtime *runtime = join->runtime;
	char *difference = initdir_difference(&runtime->state.init_marks, marks), *text;

	if (!difference) {
		memset(&join->difference, 0, sizeof(join->difference));
		return;
	}
	text = text_format("etc/init differs from what was loaded first, and is not activated %s: "
			   "%s",
			   may_load(runtime) ? "before SIGHUP" : "while this node runs",
			   difference);
	tell_once(&join->difference, LOG_LEVEL_WARNING, "init", "", text);
	free(text);
	free(difference);
}

static void take_init(struct join *join, struct look *look)
{
	if (look->init_rc != 0)
		tell_once(&join->init, LOG_LEVEL_ERROR, "init", "", look->init_err.text);
	else
		memset(&join->init, 0, sizeof(join->init));
	if (look->loaded[0] || look->load_rc != 0)
		take_loaded(join, look);
	else
		tell_difference(join, &look->given.marks);
	if (look->init_rc == 0)
		take_file(join, &look->given.point);
}

static void take_revision(struct join *join, struct look *look)
{
	struct point *old = join->points + PLACE_REVISION;

	if (look->revision_rc != 0) {
		if (look->revision_err.code != ERR_GONE)
			log_error("init", "cluster", "the last configuration's is not used: %s",
				  look->revision_err.text);
		return;
	}
	/* until the new one has led to the admin, the old one that did stays at hand */
	if (strcmp(join->runtime->state.joined, join->revision) == 0 && old->keystore &&
	    !point_same(old, &look->revision))
		point_take(join->points + PLACE_JOINED, old);
	point_take(old, &look->revision);
	memcpy(join->revision, look->name, sizeof(join->revision));
}

static void look_free(struct look *look)
{
	keyring_free(look->ring);
	given_clear(&look->given);
	point_clear(&look->revision);
	point_clear(&look->before);
	free(look);
}

static void on_looked(void *arg)
{
	struct look *look = arg;
	struct runtime *runtime = look->runtime;
	struct join *join = runtime->join;
	unsigned again = join->again, what = look->what;
	bool linked = runtime->link != NULL;

	runtime->busy--;
	join->looking = false;
	join->again = 0;
	if (runtime->stopping) {
		look_free(look);
		runtime_release(runtime);
		return;
	}
	if (what & JOIN_KEYS)
		take_keys(join, look);
	if (what & JOIN_INIT)
		take_init(join, look);
	if (what & JOIN_REVISION)
		take_revision(join, look);
	if (look->before.keystore && !join->points[PLACE_JOINED].keystore)
		point_take(join->points + PLACE_JOINED, &look->before);
	look_free(look);
	choose(join);
	if (again)
		join_look(runtime, again);
	if (!linked && runtime->link)
		report_changed(runtime);
	if (what & JOIN_KEYS)
		runtime_reloaded(runtime);
}

void join_look(struct runtime *runtime, unsigned what)
{
	struct join *join = runtime->join;
	const struct node_state *state = &runtime->state;
	const char *name = join->revision;
	struct look *look;

	if (join->fixed)
		what &= JOIN_KEYS;
	if (join->looking) {
		join->again |= what;
		return;
	}
	look = mem_new(1, sizeof(*look));
	look->runtime = runtime;
	look->what = what;
	look->load = what & JOIN_KEYS && may_load(runtime);
	look->ring = keyring_copy(runtime->ring);
	look->known = *state;
	memcpy(look->role, state->chain.role, sizeof(look->role));
	memcpy(look->name, runtime->active, sizeof(look->name));
	if (what & JOIN_REVISION && look->name[0])
		name = look->name;
	if (!join->fixed && !join->points[PLACE_JOINED].keystore &&
	    strcmp(state->joined, name) != 0)
		memcpy(look->joined, state->joined, sizeof(look->joined));
	join->looking = true;
	runtime->busy++;
	loop_work(runtime->loop, on_look_work, on_looked, look);
}

void join_activated(struct runtime *runtime)
{
	struct join *join = runtime->join;

	if (!join->fixed && strcmp(join->revision, runtime->active) != 0)
		join_look(runtime, JOIN_REVISION);
}

void join_own(struct runtime *runtime, struct point *file)
{
	struct join *join = runtime->join;

	assert(join->fixed);
	point_take(join->points + PLACE_FILE, file);
	choose(join);
}

static void on_settled(uv_timer_t *timer)
{
	join_look(((struct join *)timer->data)->runtime, JOIN_INIT);
}

void join_init_changed(struct runtime *runtime)
{
	/* files that are copied there come one after the other */
	if (!runtime->join->fixed && !runtime->stopping)
		(void)uv_timer_start(&runtime->join->settle, on_settled, WAIT_SETTLE,
				     0); /* never fails */
}

/* --- life --- */

void join_start(struct runtime *runtime, struct point *file, struct point *revision, bool fixed)
{
	struct join *join = mem_new(1, sizeof(*join));
	struct err err;

	runtime->join = join;
	join->runtime = runtime;
	join->fixed = fixed;
	(void)uv_timer_init(runtime->loop, &join->settle); /* never fails */
	join->settle.data = join;
	runtime->handles++;
	point_take(join->points + PLACE_FILE, file);
	if (!fixed)
		point_take(join->points + PLACE_REVISION, revision);
	if (!join->points[PLACE_REVISION].keystore ||
	    revision_current(runtime->home, join->revision, &err) != 0)
		join->revision[0] = '\0';
	choose(join);
	if (!runtime->link)
		log_notice("init", runtime->name,
			   "there is no cluster configuration: serving without an admin");
	/* the one that worked before, if it is another */
	if (!fixed && runtime->state.joined[0] &&
	    strcmp(runtime->state.joined, join->revision) != 0)
		join_look(runtime, 0);
}

const struct cluster *join_cluster(const struct runtime *runtime)
{
	const struct join *join = runtime->join;

	return join && join->current.keystore ? &join->current.cluster : NULL;
}

bool join_tried(const struct runtime *runtime)
{
	return runtime->join->tried;
}

static void on_closed(uv_handle_t *handle)
{
	struct runtime *runtime = ((struct join *)handle->data)->runtime;

	runtime->handles--;
	runtime_release(runtime);
}

void join_stop(struct runtime *runtime)
{
	if (runtime->join)
		uv_close((uv_handle_t *)&runtime->join->settle, on_closed);
}

void join_free(struct join *join)
{
	if (!join)
		return;
	for (size_t i = 0; i < PLACE_COUNT; i++)
		point_clear(join->points + i);
	point_clear(&join->preferred);
	point_clear(&join->current);
	free(join);
}
