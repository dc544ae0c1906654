/*
 * An admin home: made by `muster init` and by a fresh `musterd --admin`, opened by everything that
 * publishes.
 *
 *	etc/secret		the configuration secret, unless it comes from elsewhere
 *	var/admin/cluster.key	the cluster's private identity
 *	var/admin/release.git	the releases
 *	var/admin/config	the authoring repository
 *
 * The last is made in one rename after the others: if it is there, the home is complete.
 */
#ifndef MUSTER_ADMIN_SETUP_H
#define MUSTER_ADMIN_SETUP_H

#include "config/check.h"
#include "core/err.h"
#include "core/home.h"
#include "core/oid.h"
#include "crypto/key.h"

#include <stdbool.h>
#include <stdint.h>

struct setup_options {
	/* where nodes reach this admin; NULL: as etc/init says, else the machine's name */
	const char *host;
	uint16_t port; /* 0: as etc/init says, else the default */
};

/* Whether the home is set up. HOME is open. */
bool setup_done(const struct home *home);

/*
 * Sets the home up: HOME is open and locked. The identity is var/admin/cluster.key if genclust made
 * it, else etc/cluster.key, else a new one. Where nothing gives a configuration secret, a new one
 * is put into etc/secret. The first commit on main (FIRST, may be NULL) holds what etc/init does,
 * and the cluster with its keystore, all secrets sealed. Refused, with nothing made: when it is set
 * up already, when a cluster file in etc/init is of another identity (both are named), when
 * etc/init does not pass the checks (all FINDINGS; ERR has the first). A call that was killed
 * half-way is made good by calling again.
 */
int setup_init(const struct home *home, const struct setup_options *options,
	       struct findings *findings, struct oid *first, struct err *err);

/* What setup_init would refuse; nothing is made, and the home need not be locked. */
int setup_check(const struct home *home, const struct setup_options *options,
		struct findings *findings, struct err *err);

/*
 * That a cluster file in etc/init is of IDENTITY. What else is wrong there matters only at a first
 * start.
 */
int setup_check_init(const struct home *home, const struct identity *identity, struct err *err);

/*
 * Opens a home that is set up: HOME is open and locked. Refuses when etc/init holds a cluster file
 * of another identity (and names both); GONE when it is not set up. Removes what a kill left in
 * release.git, makes it anew if it is gone, and brings its settings, and the filter and hooks of
 * the authoring repository, up to date. IDENTITY is the
 * caller's.
 */
int setup_open(const struct home *home, struct identity **identity, struct err *err);
/*
 * Removes the locks on branches of release.git, whoever has them: setup_open does it as well. In a
 * daemon that runs, for those that a failed disk did not let go of.
 */
int setup_unlock(const struct home *home, struct err *err);

#endif
