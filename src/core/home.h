/*
 * The home of a daemon: etc/, var/ and run/. With --home H or MUSTER_HOME they are H/etc, H/var,
 * H/run; else the folders that configure was told.
 */
#ifndef MUSTER_CORE_HOME_H
#define MUSTER_CORE_HOME_H

#include "core/err.h"

#include <stdbool.h>

struct home {
	char *etc, *var, *run;	     /* absolute paths */
	int etc_fd, var_fd, run_fd; /* -1 while not open */
	int lock_fd;		     /* -1 while not locked */
};

/*
 * Resolves the paths; HOME_OPTION may be NULL (then MUSTER_HOME, then the built-in folders). Opens
 * nothing.
 */
int home_init(struct home *home, const char *home_option, struct err *err);
/*
 * For a command that root runs in the home of another user: becomes that user for good, so that
 * nothing there belongs to root afterwards. Does nothing for others, or where there is no home yet.
 */
int home_become_owner(const struct home *home, struct err *err);
/*
 * Opens the three folders; REFUSED when var/ is another user's. With MAKE makes them (var and run
 * 0700) first. Without, run/ may be missing, as it is after a reboot: then run_fd stays -1.
 */
int home_open(struct home *home, bool make, struct err *err);
/*
 * Takes the lock of the home, or says who has it (REFUSED). It goes with the process. Blocks for
 * WAIT_LOCK at most: a command that publishes has it for a moment, and so has a daemon that was
 * killed.
 */
int home_lock(struct home *home, struct err *err);
void home_unlock(struct home *home);
/* "VAR/…" etc. as a new string. */
char *home_etc(const struct home *home, const char *path);
char *home_var(const struct home *home, const char *path);
char *home_run(const struct home *home, const char *path);
void home_clear(struct home *home);

#endif
