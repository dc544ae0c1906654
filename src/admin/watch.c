/*
 * watch: see watch.h. Git moves a ref by renaming refs/heads/main.lock, or, when refs are packed,
 * by renaming packed-refs.lock; so both folders are watched, and every event is only a hint to
 * compare what is there.
 */
#include "admin/watch.h"

#include "admin/cycle.h"
#include "core/fs.h"
#include "core/inotify.h"
#include "core/limits.h"
#include "core/log.h"
#include "core/text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>

#define GIT_FOLDER ADMIN_SOURCE "/.git"

/* The folders, from the outside in. When one is replaced, those below it are new too. */
static const char *const folders[] = {"admin", ADMIN_SOURCE, GIT_FOLDER, GIT_FOLDER "/refs",
				      GIT_FOLDER "/refs/heads"};

enum {
	FOLDERS = sizeof(folders) / sizeof(folders[0]),
	GIT_INDEX = 2, /* of GIT_FOLDER */
	WATCH_MASK = IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CLOSE_WRITE |
		     IN_DELETE_SELF | IN_MOVE_SELF,
};

struct watch {
	const struct home *home;
	struct inotify *inotify;
	watch_fn *fn;
	void *arg;
	char *last; /* what main was when looked at last, as in its file */
};

/* The line of main in packed-refs: `<oid> refs/heads/main`. */
static char *packed_main(const struct buf *packed)
{
	static const char name[] = " " ADMIN_MAIN;
	struct cursor c = cursor_of(buf_text(packed), packed->len);
	const char *line;
	size_t n;

	while ((line = cursor_line(&c, &n)))
		if (n > sizeof(name) - 1 && *line != '#' &&
		    memcmp(line + n - (sizeof(name) - 1), name, sizeof(name) - 1) == 0)
			return text_copy_n(line, n - (sizeof(name) - 1));
	return text_copy("");
}

/*
 * What main is, as text: its file if there is one, else its line in packed-refs, else nothing. NULL
 * when it cannot be told (a file too large, a fault of the disk). Two small files: nothing that
 * blocks.
 */
static char *read_main(const struct home *home)
{
	struct err err = {.code = ERR_NONE};
	struct buf text;
	char *out = NULL;

	buf_init(&text, LIMIT_SMALL_FILE);
	if (fs_read(home->var_fd, GIT_FOLDER "/" ADMIN_MAIN, &text, &err) == 0) {
		out = text_copy_n(buf_text(&text), strcspn(buf_text(&text), "\n"));
	} else if (err.code == ERR_GONE) {
		buf_reset(&text);
		if (fs_read(home->var_fd, GIT_FOLDER "/packed-refs", &text, &err) == 0)
			out = packed_main(&text);
		else if (err.code == ERR_GONE)
			out = text_copy("");
	}
	buf_clear(&text);
	return out;
}

static void look(struct watch *watch)
{
	char *now = read_main(watch->home);
	bool same = now && watch->last && strcmp(now, watch->last) == 0;
	/* no main: it is about to be there again, or there is nothing to publish */
	bool empty = now && !*now;

	free(watch->last);
	watch->last = now;
	if (!same && !empty)
		watch->fn(watch->arg);
}

/* Watches FOLDERS from FROM on: inotify forgets a folder that was replaced. */
static int add_from(struct watch *watch, size_t from, struct err *err)
{
	for (size_t i = from; i < FOLDERS; i++) {
		char *path = home_var(watch->home, folders[i]);
		int rc = inotify_add(watch->inotify, path, WATCH_MASK, (int)i, err);

		free(path);
		if (rc != 0)
			return rc;
	}
	return 0;
}

/*
 * Whether NAME in folder WHICH is the next folder below it, which is then another one than was
 * watched.
 */
static bool is_next_folder(int which, const char *name)
{
	const char *next;

	if (which < 0 || which + 1 >= FOLDERS)
		return false;
	next = strrchr(folders[which + 1], '/');
	return strcmp(name, next + 1) == 0;
}

static void on_event(void *arg, int which, const char *name, uint32_t mask)
{
	struct watch *watch = arg;
	struct err err = {.code = ERR_NONE};

	/* of the folders around the repository only the way to it matters */
	if (which >= 0 && which < GIT_INDEX && !is_next_folder(which, name))
		return;
	if (mask & (IN_CREATE | IN_MOVED_TO) && mask & IN_ISDIR && is_next_folder(which, name)) {
		for (int i = which + 1; i < FOLDERS; i++)
			inotify_drop(watch->inotify, i);
		/* a folder further in that is not there yet is told by an event of its own */
		if (add_from(watch, (size_t)which + 1, &err) != 0 && err.code != ERR_GONE)
			log_warning("watch", "main", "%s", err.text);
	}
	look(watch);
}

int watch_new(uv_loop_t *loop, const struct home *home, watch_fn *fn, void *arg, struct watch **out,
	      struct err *err)
{
	struct watch *watch = mem_new(1, sizeof(*watch));

	*watch = (struct watch){.home = home, .fn = fn, .arg = arg};
	if (inotify_new(loop, on_event, watch, &watch->inotify, err) != 0 ||
	    add_from(watch, 0, err) != 0) {
		watch_free(watch);
		return err_prefix(err, "watch");
	}
	watch->last = read_main(home);
	*out = watch;
	return 0;
}

bool watch_is_at(const struct watch *watch, const struct oid *oid)
{
	char hex[OID_HEX_SIZE];

	return watch->last && strcmp(watch->last, oid_hex(oid, hex)) == 0;
}

void watch_free(struct watch *watch)
{
	if (!watch)
		return;
	inotify_free(watch->inotify);
	free(watch->last);
	free(watch);
}
