/* watch: var/node is watched with inotify; whoever moves `current` there starts an activation. */
#include "node/steps.h"

#include "core/log.h"

#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>

enum { WATCH_NODE };

static void on_event(void *arg, int which, const char *name, uint32_t mask)
{
	struct runtime *runtime = arg;

	(void)mask; /* an event is only a hint */
	if (which < 0)
		log_warning("watch", runtime->name, "events were lost: looking at everything");
	if (which < 0 || strcmp(name, "current") == 0)
		activate_look(runtime);
}

int watch_start(struct runtime *runtime, struct err *err)
{
	char *folder = home_var(runtime->home, "node");
	int rc = inotify_new(runtime->loop, on_event, runtime, &runtime->watch, err);

	if (rc == 0)
		rc = inotify_add(runtime->watch, folder, IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_MOVED_FROM,
				 WATCH_NODE, err);
	free(folder);
	return rc;
}
