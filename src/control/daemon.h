/*
 * A daemon: the loop, its admin half, its node half, its control sockets and signals, from start to
 * stop.
 */
#ifndef MUSTER_CONTROL_DAEMON_H
#define MUSTER_CONTROL_DAEMON_H

#include "core/err.h"
#include "core/home.h"

#include <stdbool.h>

struct daemon_options {
	bool admin;	  /* be the admin */
	const char *role; /* be a runtime node of that role, or NULL */
	const char *name; /* the node's name */
	const char *status_listen; /* "ADDR:PORT" of the status endpoint, or NULL for none */
	bool force_reload;
	const char *plain_group; /* who may read the plain copy besides this user, or NULL */
};

/*
 * Runs until a signal ends it; HOME is open. 0 for a clean stop, -1 when it could not start.
 * LINGERS: a name lookup hangs, and the process is to end by _exit (see loop_run_out).
 */
int daemon_run(struct home *home, const struct daemon_options *options, bool *lingers,
	       struct err *err);

/*
 * What a start would find, without making or changing anything. A sentence for people in VERDICT
 * (free).
 */
int daemon_check(struct home *home, const struct daemon_options *options, char **verdict,
		 struct err *err);

#endif
