/*
 * watch: var/node is watched with inotify, and whoever moves `current` there starts an activation;
 * etc/, for new parameters and another secret; etc/init, for a cluster file; and what heal.c holds
 * as it must be. Where there are no watches to be had, all of it is looked at every WAIT_POLL.
 */
#include "node/steps.h"

#include "core/limits.h"
#include "core/log.h"
#include "node/heal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

/*
 * Files of etc/ that matter while a node runs; ..data is what Kubernetes moves when a file that it
 * mounts here changes.
 */
static const char *const settings_files[WATCH_FILES] = {PLAIN_PARAMS, SECRET_FILE, "..data"};

static bool is_setting(const char *name)
{
	for (size_t i = 0; i < WATCH_FILES; i++)
		if (strcmp(name, settings_files[i]) == 0)
			return true;
	return false;
}

/* etc/init need not be there: an event of etc/ tells when it is. */
static int watch_init(struct runtime *runtime, struct err *err)
{
	char *folder = home_etc(runtime->home, INITDIR);
	struct err why = {.code = ERR_NONE};
	int rc;

	inotify_drop(runtime->watch, WATCH_INIT); /* that may have been another folder */
	rc = inotify_add(runtime->watch, folder,
			 IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_CLOSE_WRITE | IN_DELETE,
			 WATCH_INIT, &why);
	free(folder);
	return rc != 0 && why.code == ERR_FULL ? err_set(err, why.code, "%s", why.text) : 0;
}

static void on_init_event(struct runtime *runtime, int which, const char *name)
{
	struct err err;

	if (which != WATCH_INIT && watch_init(runtime, &err) != 0)
		watch_fails(runtime, &err);
	/* ..data is what Kubernetes moves */
	if (which != WATCH_INIT || text_ends(name, ".xml") || strcmp(name, "..data") == 0)
		join_init_changed(runtime);
}

static void on_event(void *arg, int which, const char *name, uint32_t mask)
{
	struct runtime *runtime = arg;

	if (which < 0 || which == WATCH_INIT || (which == WATCH_ETC && strcmp(name, INITDIR) == 0))
		on_init_event(runtime, which, name);
	/*
	 * of etc/ the creation of a folder is all that is to be seen at once: a file is when it was
	 * written
	 */
	if (which == WATCH_ETC && mask & IN_CREATE)
		return;
	if (which < 0)
		log_warning("watch", runtime->name, "events were lost: looking at everything");
	if (which < 0 || (which == WATCH_NODE && strcmp(name, "current") == 0))
		activate_look(runtime);
	if (which < 0 || (which == WATCH_ETC && is_setting(name)))
		runtime_reload(runtime);
	heal_event(runtime, which, name, mask);
}

static int watch_folder(struct runtime *runtime, const char *path, uint32_t mask, int which,
			struct err *err)
{
	return inotify_add(runtime->watch, path, mask, which, err);
}

static int watch_all(struct runtime *runtime, struct err *err)
{
	const struct home *home = runtime->home;
	char *folder = home_var(home, "node");
	int rc = runtime->watch
			 ? 0
			 : inotify_new(runtime->loop, on_event, runtime, &runtime->watch, err);

	if (rc == 0)
		rc = watch_folder(runtime, folder,
				  IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_MOVED_FROM |
					  IN_CLOSE_WRITE,
				  WATCH_NODE, err);
	if (rc == 0)
		rc = watch_folder(runtime, home->etc,
				  IN_MOVED_TO | IN_CREATE | IN_CLOSE_WRITE | IN_DELETE, WATCH_ETC,
				  err);
	if (rc == 0)
		rc = watch_init(runtime, err);
	if (rc == 0)
		rc = watch_folder(runtime, home->run,
				  IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_MOVED_FROM, WATCH_RUN,
				  err);
	if (rc == 0)
		rc = heal_watch(runtime, err);
	free(folder);
	return rc;
}

/* --- without watches --- */

/* Whether a file of etc/ is another than at the last look. */
static bool settings_changed(struct runtime *runtime)
{
	bool changed = false;

	for (size_t i = 0; i < WATCH_FILES; i++) {
		struct timespec *last = runtime->seen + i;
		struct stat st = {.st_ino = 0};

		(void)fstatat(runtime->home->etc_fd, settings_files[i], &st,
			      0); /* not there: all zero */
		changed |= last->tv_sec != st.st_ctim.tv_sec || last->tv_nsec != st.st_ctim.tv_nsec;
		*last = st.st_ctim;
	}
	return changed;
}

static void on_poll(uv_timer_t *timer)
{
	struct runtime *runtime = timer->data;
	struct err err;

	if (watch_all(runtime, &err) == 0) {
		log_notice("watch", runtime->name, "there are watches again");
		(void)uv_timer_stop(timer); /* never fails */
	}
	activate_look(runtime);
	if (settings_changed(runtime))
		runtime_reload(runtime);
	join_init_changed(runtime);
	heal_hint(runtime, HEAL_COPY | HEAL_STATE | HEAL_QUICK);
}

void watch_fails(struct runtime *runtime, const struct err *err)
{
	if (runtime->stopping || uv_is_active((uv_handle_t *)&runtime->poll))
		return;
	log_warning("watch", runtime->name, "looking every %u seconds instead: %s",
		    WAIT_POLL / 1000, err->text);
	(void)settings_changed(runtime); /* as they are now */
	(void)uv_timer_start(&runtime->poll, on_poll, WAIT_POLL, WAIT_POLL); /* never fails */
}

void watch_start(struct runtime *runtime)
{
	struct err err;

	if (watch_all(runtime, &err) != 0)
		watch_fails(runtime, &err);
}
