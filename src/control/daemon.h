/* A daemon: the loop, its admin half, its node half, its control sockets and signals, from start to stop. */
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

/* Runs until a signal ends it; HOME is open. 0 for a clean stop, -1 when it could not start. */
int daemon_run(struct home *home, const struct daemon_options *options, struct err *err);

/* What a start of the admin would find: keys, repositories, the newest configuration. A sentence for people in VERDICT (free). */
int daemon_check_admin(struct home *home, char **verdict, struct err *err);

#endif
