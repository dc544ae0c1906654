/*
 * What another hand changes is noticed, told and restored: see heal.h. An event is a hint; a worker
 * looks and compares.
 */
#include "node/heal.h"

#include "core/fs.h"
#include "core/limits.h"
#include "core/log.h"
#include "core/loop.h"
#include "node/steps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHANGES                                                                                    \
	(IN_MODIFY | IN_ATTRIB | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |             \
	 IN_DELETE_SELF | IN_MOVE_SELF)

/*
 * looks in a row that find something before the pauses grow: a script that goes from file to file
 */
enum { AT_ONCE = 8 };

struct heal {
	struct runtime *runtime;
	uv_timer_t timer;
	struct expected *expected; /* NULL: nothing is active */
	struct expected *next;	   /* came while that was looked at */
	unsigned hints;
	unsigned row; /* looks that found something, one after the other */
	bool looking;
	atomic_bool stop;
	bool state_known;
	uint8_t state[DIGEST_SIZE]; /* of the state as it was written last */
	bool key_told;
	/* what was told and is not restored yet: the same drift still */
	char revision_told[1024], plain_told[1024];
};

/* One look, and what it found. */
struct look {
	struct heal *heal;
	unsigned what;
	struct node_state known; /* for the worker: its reasons are not to be read */
	uint8_t state[DIGEST_SIZE];
	/* what is not so; NONE: it is as it must be */
	struct err revision, plain, state_file, replica;
	bool no_key;
	struct err failed; /* a restoration that could not be */
};

struct expected *expected_new(const struct revision *revision)
{
	struct expected *expected = mem_new(1, sizeof(*expected));

	memcpy(expected->name, revision->name, sizeof(expected->name));
	manifest_of(&revision->files, &expected->revision);
	if (revision->raw)
		manifest_add(&expected->revision, "release", revision->raw, revision->raw_size);
	return expected;
}

void expected_free(struct expected *expected)
{
	if (!expected)
		return;
	manifest_clear(&expected->revision);
	manifest_clear(&expected->plain);
	free(expected->plain_path);
	free(expected);
}

/* --- telling --- */

void heal_drift(struct runtime *runtime, const char *path, const char *what)
{
	(void)atomic_fetch_add(&runtime->drift, 1);
	log_warning("watch", path, "changed by another hand: %s", what);
	report_changed(runtime);
}

void heal_replica_lost(struct runtime *runtime)
{
	(void)atomic_fetch_add(&runtime->drift, 1);
	atomic_store(&runtime->replica_lost, true);
}

void heal_saved(struct runtime *runtime, const char *text)
{
	if (!runtime->heal)
		return;
	digest_bytes(text, strlen(text), runtime->heal->state);
	runtime->heal->state_known = true;
}

/* --- watching --- */

/* One that is not there is what the look finds. */
static int watch_folder(struct runtime *runtime, const char *path, int which, uint32_t mask,
			struct err *err)
{
	struct err why;

	if (inotify_add(runtime->watch, path, mask, which, &why) == 0 || why.code != ERR_FULL)
		return 0;
	return err_set(err, why.code, "%s", why.text);
}

static int watch_tree(struct runtime *runtime, const char *path, const struct manifest *manifest,
		      struct err *err)
{
	int rc = watch_folder(runtime, path, WATCH_COPY, CHANGES, err);

	for (size_t i = 0; rc == 0 && i < manifest->count; i++) {
		char *below;

		if (manifest->entries[i].mode != MANIFEST_FOLDER)
			continue;
		below = text_format("%s/%s", path, manifest->entries[i].path);
		rc = watch_folder(runtime, below, WATCH_COPY, CHANGES, err);
		free(below);
	}
	return rc;
}

static int watch_replica(struct runtime *runtime, struct err *err)
{
	static const struct {
		const char *folder;
		int which;
		uint32_t mask;
	} folders[] = {
		{"node/replica.git", WATCH_REPLICA,
		 IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | IN_MOVE_SELF},
		{"node/replica.git/objects", WATCH_REPLICA, IN_DELETE | IN_MOVED_FROM},
		{"node/replica.git/objects/pack", WATCH_PACKS,
		 IN_MODIFY | IN_DELETE | IN_MOVED_FROM},
	};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof(folders) / sizeof(folders[0]); i++) {
		char *path = home_var(runtime->home, folders[i].folder);

		rc = watch_folder(runtime, path, folders[i].which, folders[i].mask, err);
		free(path);
	}
	return rc;
}

int heal_watch(struct runtime *runtime, struct err *err)
{
	const struct expected *expected = runtime->heal ? runtime->heal->expected : NULL;
	int rc;

	if (!runtime->watch)
		return 0; /* told already */
	inotify_drop(runtime->watch, WATCH_COPY);
	rc = watch_replica(runtime, err);
	if (rc == 0 && expected) {
		char *path =
			text_format("%s/node/revisions/%s", runtime->home->var, expected->name);

		rc = watch_tree(runtime, path, &expected->revision, err);
		free(path);
	}
	if (rc == 0 && expected && expected->plain_path)
		rc = watch_tree(runtime, expected->plain_path, &expected->plain, err);
	return rc;
}

void heal_event(struct runtime *runtime, int which, const char *name, uint32_t mask)
{
	if (which < 0) {
		heal_hint(runtime, HEAL_ALL);
	} else if (which == WATCH_NODE) {
		if (strcmp(name, "state") == 0 || strcmp(name, "node.key") == 0)
			heal_hint(runtime, HEAL_STATE);
		else if (strcmp(name, "revisions") == 0)
			heal_hint(runtime, HEAL_COPY);
		else if (strcmp(name, "replica.git") == 0)
			heal_hint(runtime, HEAL_QUICK);
	} else if (which == WATCH_RUN) {
		if (strcmp(name, PLAIN_CURRENT) == 0 || strcmp(name, "plain") == 0)
			heal_hint(runtime, HEAL_COPY);
	} else if (which == WATCH_COPY) {
		/*
		 * no more of these before the look: whoever writes in a loop costs no more than
		 * that
		 */
		inotify_drop(runtime->watch, WATCH_COPY);
		heal_hint(runtime, HEAL_COPY);
	} else if (which == WATCH_PACKS && (mask & IN_MODIFY)) {
		/* packs come here by a rename: nobody writes into one */
		if (text_ends(name, ".pack") || text_ends(name, ".idx"))
			heal_hint(runtime, HEAL_REPLICA);
	} else if (which == WATCH_PACKS || which == WATCH_REPLICA) {
		heal_hint(runtime, HEAL_QUICK);
	}
}

/* --- the worker --- */

static void compare(const char *folder, int at, const struct manifest *manifest, struct err *out)
{
	int fd = -1;

	if (fs_open_dir(at, folder, &fd, out) == 0) {
		(void)manifest_check(manifest, fd, out);
		(void)close(fd); /* only read */
	} else {
		(void)err_set(out, ERR_CORRUPT, "is gone");
	}
	/* what cannot be read now is no change */
	if (out->code != ERR_CORRUPT && out->code != ERR_DENIED)
		out->code = ERR_NONE;
}

static void look_copy(struct look *look, const struct expected *expected)
{
	const struct home *home = look->heal->runtime->home;
	char *folder = text_format("node/revisions/%s", expected->name), target[512];

	compare(folder, home->var_fd, &expected->revision, &look->revision);
	free(folder);
	if (!expected->plain_path)
		return;
	if (fs_read_link(home->run_fd, PLAIN_CURRENT, target, sizeof(target), NULL) != 0)
		(void)err_set(&look->plain, ERR_CORRUPT, "the link is gone");
	else if (strcmp(target, expected->plain_path) != 0)
		(void)err_set(&look->plain, ERR_CORRUPT, "the link leads elsewhere");
	else
		compare(expected->plain_path, AT_FDCWD, &expected->plain, &look->plain);
}

/* In place of what was written last. */
static int read_state(const struct home *home, uint8_t out[static DIGEST_SIZE])
{
	struct err why;
	struct buf text;
	int rc;

	buf_init(&text, LIMIT_SMALL_FILE);
	rc = fs_read(home->var_fd, "node/state", &text, &why);
	digest_bytes(text.data, text.len, out);
	buf_clear(&text);
	return rc;
}

static void look_state(struct look *look)
{
	const struct home *home = look->heal->runtime->home;
	uint8_t digest[DIGEST_SIZE];

	if (read_state(home, digest) != 0)
		(void)err_set(&look->state_file, ERR_CORRUPT, "is gone");
	else if (memcmp(digest, look->state, sizeof(digest)) != 0)
		(void)err_set(&look->state_file, ERR_CORRUPT, "was edited");
	look->no_key = faccessat(home->var_fd, "node/node.key", F_OK, AT_SYMLINK_NOFOLLOW) != 0;
}

static void look_replica(struct look *look)
{
	struct heal *heal = look->heal;
	const struct home *home = heal->runtime->home;
	const struct chain_state *chain = &look->known.chain;

	if (!chain->has_accepted || atomic_load(&heal->runtime->replica_lost))
		return;
	if (look->what & HEAL_REPLICA)
		(void)replica_check(home, chain, &heal->stop, &look->replica);
	else if (!replica_has(home, chain))
		(void)err_set(&look->replica, ERR_GONE, "its releases are gone");
	if (look->replica.code != ERR_CORRUPT && look->replica.code != ERR_REFUSED)
		look->replica.code = look->replica.code == ERR_GONE ? ERR_GONE : ERR_NONE;
}

static void on_look(void *arg)
{
	struct look *look = arg;

	if ((look->what & HEAL_COPY) && look->heal->expected)
		look_copy(look, look->heal->expected);
	if (look->what & HEAL_STATE)
		look_state(look);
	if (look->what & (HEAL_QUICK | HEAL_REPLICA))
		look_replica(look);
}

/* --- restoring --- */

static void restore_revision(struct look *look)
{
	const struct home *home = look->heal->runtime->home;
	struct revision revision;
	bool mended;

	if (mend_revision(home, look->heal->expected->name, &look->known, &revision, &mended,
			  &look->failed) != 0)
		return;
	/* its files are right, but something else is there, or others may write them */
	look->failed.code = ERR_NONE;
	if (!mended)
		(void)mend_write(home, &revision, &look->failed);
	revision_clear(&revision);
}

static void on_mend(void *arg)
{
	struct look *look = arg;
	struct err left = {.code = ERR_NONE};

	if (look->revision.code != ERR_NONE)
		restore_revision(look);
	if (look->replica.code != ERR_NONE && replica_remove(look->heal->runtime->home, &left) != 0)
		log_error("watch", "var/node/replica.git", "damaged, and cannot be removed: %s",
			  left.text);
}

static void look_end(struct look *look)
{
	free(look);
}

static void renew_plain(struct runtime *runtime)
{
	runtime->refresh = true;
	activate_look(runtime);
}

static void on_mended(void *arg)
{
	struct look *look = arg;
	struct heal *heal = look->heal;
	struct runtime *runtime = heal->runtime;

	heal->looking = false;
	if (look->failed.code != ERR_NONE)
		log_error("watch", heal->expected->name, "cannot be restored now: %s",
			  look->failed.text);
	else if (look->revision.code != ERR_NONE)
		log_notice("watch", heal->expected->name, "restored");
	if (!runtime->stopping) {
		if (look->failed.code == ERR_NONE)
			heal->revision_told[0] = '\0';
		else
			heal->hints |= HEAL_REPLICA; /* what should have had it */
		if (look->plain.code != ERR_NONE)
			runtime->refresh = runtime->look_again = true;
		heal_expect(runtime, NULL);
		/*
		 * the folders are others now: watched, and looked at once more; what could not be
		 * is tried again
		 */
		heal_hint(runtime, HEAL_COPY);
	}
	clean_done(runtime);
	look_end(look);
}

/* Something between two local copies: what is there is of neither. */
static bool is_moving(const struct runtime *runtime)
{
	return runtime->activation || runtime->cleaning || runtime->swapping ||
	       runtime->reactivate || runtime->look_again || runtime->put_off;
}

static void tell_once(struct runtime *runtime, const char *path, const struct err *what,
		      char told[static 1024])
{
	if (what->code == ERR_NONE || strcmp(told, what->text) == 0)
		return;
	heal_drift(runtime, path, what->text);
	memcpy(told, what->text, sizeof(what->text));
}

static void tell(struct look *look)
{
	struct heal *heal = look->heal;
	struct runtime *runtime = heal->runtime;
	char *path =
		heal->expected ? text_format("var/node/revisions/%s", heal->expected->name) : NULL;

	tell_once(runtime, path, &look->revision, heal->revision_told);
	tell_once(runtime, "run/current", &look->plain, heal->plain_told);
	if (look->state_file.code != ERR_NONE)
		heal_drift(runtime, "var/node/state", look->state_file.text);
	if (look->replica.code != ERR_NONE) {
		atomic_store(&runtime->replica_lost, true);
		heal_drift(runtime, "var/node/replica.git", look->replica.text);
	}
	if (look->no_key && !heal->key_told)
		log_warning("watch", "var/node/node.key",
			    "removed by another hand: the next start makes a new one, and this "
			    "is another node for the admin from then on");
	heal->key_told = look->no_key;
	free(path);
}

static void restore(struct look *look)
{
	struct heal *heal = look->heal;
	struct runtime *runtime = heal->runtime;

	if (look->state_file.code != ERR_NONE)
		report_save(runtime);
	if (look->revision.code != ERR_NONE || look->replica.code != ERR_NONE) {
		heal->looking = true;
		runtime->cleaning = true; /* nothing else touches the local copy or the replica */
		runtime->busy++;
		loop_work(runtime->loop, on_mend, on_mended, look);
		return;
	}
	if (look->plain.code != ERR_NONE)
		renew_plain(runtime);
	look_end(look);
}

static void on_looked(void *arg)
{
	struct look *look = arg;
	struct heal *heal = look->heal;
	struct runtime *runtime = heal->runtime;
	bool found = false;

	heal->looking = false;
	runtime->busy--;
	if (runtime->stopping) {
		look_end(look);
		runtime_release(runtime);
		return;
	}
	if (heal->next || is_moving(runtime)) {
		look->revision.code = look->plain.code = ERR_NONE;
		heal->hints |= look->what & HEAL_COPY;
	}
	if (runtime->saving || runtime->unsaved ||
	    memcmp(look->state, heal->state, DIGEST_SIZE) != 0)
		look->state_file.code = ERR_NONE;
	/* what a fetch does to it is its own matter */
	if (look->replica.code != ERR_NONE &&
	    (runtime->cycle || runtime->cleaning || atomic_load(&runtime->replica_lost))) {
		heal->hints |= look->what & (HEAL_QUICK | HEAL_REPLICA);
		look->replica.code = ERR_NONE;
		found = true;
	}
	found |= look->revision.code != ERR_NONE || look->plain.code != ERR_NONE ||
		 look->state_file.code != ERR_NONE || look->replica.code != ERR_NONE;
	heal->row = found ? heal->row + 1 : heal->row / 2;
	tell(look);
	restore(look);
	if (!heal->looking)
		heal_expect(runtime, NULL);
	heal_hint(runtime, found ? HEAL_COPY : 0);
}

/* --- when --- */

static void on_due(uv_timer_t *timer)
{
	struct heal *heal = timer->data;
	struct runtime *runtime = heal->runtime;
	struct look *look;
	struct err err;

	if (heal->looking || is_moving(runtime)) {
		heal_hint(runtime, 0);
		return;
	}
	/* the watch comes before the look */
	if (heal_watch(runtime, &err) != 0)
		watch_fails(runtime, &err);
	look = mem_new(1, sizeof(*look));
	look->heal = heal;
	look->what = heal->hints;
	look->known = runtime->state;
	memcpy(look->state, heal->state, sizeof(look->state));
	if (!heal->state_known || runtime->saving || runtime->unsaved)
		look->what &= ~(unsigned)HEAL_STATE;
	heal->hints = 0;
	heal->looking = true;
	runtime->busy++;
	loop_work(runtime->loop, on_look, on_looked, look);
}

void heal_hint(struct runtime *runtime, unsigned what)
{
	struct heal *heal = runtime->heal;
	uint64_t wait = WAIT_HEAL_MAX;

	if (!heal || runtime->stopping)
		return;
	heal->hints |= what;
	if (heal->hints == 0 || heal->looking || uv_is_active((uv_handle_t *)&heal->timer))
		return;
	if (heal->row <= AT_ONCE)
		wait = WAIT_HEAL;
	else if (heal->row < AT_ONCE + 16 && WAIT_HEAL << (heal->row - AT_ONCE) < WAIT_HEAL_MAX)
		wait = WAIT_HEAL << (heal->row - AT_ONCE);
	(void)uv_timer_start(&heal->timer, on_due, wait, 0); /* never fails */
}

void heal_expect(struct runtime *runtime, struct expected *take_expected)
{
	struct heal *heal = runtime->heal;
	struct expected *now = take_expected;

	if (!heal) {
		expected_free(take_expected);
		return;
	}
	if (take_expected) {
		expected_free(heal->next);
		heal->next = take_expected;
	}
	now = heal->next;
	if (heal->looking || !now)
		return;
	heal->next = NULL;
	expected_free(heal->expected);
	heal->expected = now;
	heal->revision_told[0] = heal->plain_told[0] = '\0';
	/* it may have been changed since it was made */
	heal_hint(runtime, HEAL_COPY);
}

void heal_start(struct runtime *runtime)
{
	struct heal *heal = mem_new(1, sizeof(*heal));

	heal->runtime = runtime;
	atomic_init(&heal->stop, false);
	(void)uv_timer_init(runtime->loop, &heal->timer); /* never fails */
	heal->timer.data = heal;
	heal->state_known = read_state(runtime->home, heal->state) == 0;
	runtime->heal = heal;
	runtime->handles++;
	heal_hint(runtime, HEAL_REPLICA);
}

static void on_close(uv_handle_t *handle)
{
	struct heal *heal = handle->data;

	heal->runtime->handles--;
	runtime_release(heal->runtime);
}

void heal_stop(struct runtime *runtime)
{
	atomic_store(&runtime->heal->stop, true);
	uv_close((uv_handle_t *)&runtime->heal->timer, on_close);
}

void heal_free(struct heal *heal)
{
	if (!heal)
		return;
	expected_free(heal->expected);
	expected_free(heal->next);
	free(heal);
}
