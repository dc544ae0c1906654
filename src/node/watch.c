/*
 * watch: var/node is watched with inotify, and whoever moves `current` there starts an activation; and etc/, for new parameters
 * and another secret.
 */
#include "node/steps.h"

#include "core/log.h"

#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>

enum { WATCH_NODE, WATCH_ETC };

static void on_event(void *arg, int which, const char *name, uint32_t mask)
{
	struct runtime *runtime = arg;

	(void)mask; /* an event is only a hint */
	if (which < 0)
		log_warning("watch", runtime->name, "events were lost: looking at everything");
	if (which < 0 || (which == WATCH_NODE && strcmp(name, "current") == 0))
		activate_look(runtime);
	/* ..data is what Kubernetes moves when a file that it mounts here changes */
	if (which < 0 || (which == WATCH_ETC && (strcmp(name, PLAIN_PARAMS) == 0 || strcmp(name, SECRET_FILE) == 0 ||
						 strcmp(name, "..data") == 0)))
		runtime_reload(runtime);
}

int watch_start(struct runtime *runtime, struct err *err)
{
	char *folder = home_var(runtime->home, "node");
	int rc = inotify_new(runtime->loop, on_event, runtime, &runtime->watch, err);

	if (rc == 0)
		rc = inotify_add(runtime->watch, folder, IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_MOVED_FROM,
				 WATCH_NODE, err);
	if (rc == 0)
		rc = inotify_add(runtime->watch, runtime->home->etc, IN_MOVED_TO | IN_CLOSE_WRITE | IN_DELETE, WATCH_ETC,
				 err);
	free(folder);
	return rc;
}
