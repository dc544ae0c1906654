/*
 * A node that heals itself: what another hand changes in the local copy, the plain copy, the state
 * or the replica is noticed, told as drift and restored from what is left, or from the admin. For
 * src/node only.
 */
#ifndef MUSTER_NODE_HEAL_H
#define MUSTER_NODE_HEAL_H

#include "core/err.h"
#include "core/home.h"
#include "node/manifest.h"
#include "node/revision.h"
#include "node/state.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct runtime;
struct heal;

/* --- mend.c: on a worker, or at start --- */

/*
 * A revision made anew in memory, from the releases in the replica, or one of etc/init from that;
 * verified as revision_read does. GONE or CORRUPT when there is none to be made.
 */
int mend_read(const struct home *home, const char *name, const struct node_state *state,
	      struct revision *out, struct err *err);
/* Writes a revision that was read or made so. */
int mend_write(const struct home *home, const struct revision *revision, struct err *err);
/*
 * Reads the revision; one that is not sound is made anew on the disk first, which *MENDED says. ERR
 * is what is wrong with it when that cannot be.
 */
int mend_revision(const struct home *home, const char *name, const struct node_state *state,
		  struct revision *out, bool *mended, struct err *err);
/*
 * The same for what is to be served when NAME cannot be: an older one that was active here, newest
 * first. Nothing is written.
 */
int mend_older(const struct home *home, const char *name, const struct node_state *state,
	       struct revision *out, struct err *err);

/* Whether the replica has the newest accepted release: the commit alone. */
bool replica_has(const struct home *home, const struct chain_state *chain);
/*
 * Whether every object in the replica is sound, and all that the accepted release reaches is there;
 * its branch is set right if it is not. CORRUPT or GONE: it is of no use.
 */
int replica_check(const struct home *home, const struct chain_state *chain, const atomic_bool *stop,
		  struct err *err);
/* It is to be fetched anew. Nothing else may use it meanwhile. */
int replica_remove(const struct home *home, struct err *err);
/*
 * A fetch or its verification failed with ERR: when the replica is to blame it is removed, to be
 * fetched anew, and ERR becomes RETRY. True then. Nothing else may use the replica meanwhile.
 */
bool replica_suspect(const struct home *home, const struct chain_state *chain, struct err *err);

/* --- recover.c: at start --- */

/*
 * A state that was lost, from the releases in the replica and in the revisions, as far as they can
 * be verified from the keys in CHAIN, which are those of the cluster file; what can not is not
 * believed. False, and STATE stays, when nothing is left.
 */
bool recover_state(const struct home *home, const struct chain_state *chain,
		   struct node_state *state);

/* --- heal.c: for the loop --- */

/* What the local copy and the plain copy must hold, as it was made: on a worker. */
struct expected {
	char name[REVISION_NAME_MAX];
	struct manifest revision;
	struct manifest plain; /* empty: not known, or there is none */
	/* that run/current leads to; NULL: it is not to be there, or not known */
	char *plain_path;
};

struct expected *expected_new(const struct revision *revision);
void expected_free(struct expected *expected);

/* Numbers of what is watched, for inotify_add. */
enum { WATCH_NODE, WATCH_ETC, WATCH_INIT, WATCH_RUN, WATCH_COPY, WATCH_PACKS, WATCH_REPLICA };

/* What may have changed: QUICK whether the replica is there, REPLICA every object in it. */
enum { HEAL_COPY = 1, HEAL_STATE = 2, HEAL_QUICK = 4, HEAL_REPLICA = 8, HEAL_ALL = 15 };

void heal_start(struct runtime *runtime);
/* Watches what is to be as it must be. FULL when there are not watches enough. */
int heal_watch(struct runtime *runtime, struct err *err);
/* This is active now: what it must hold is watched from here on. Takes EXPECTED. */
void heal_expect(struct runtime *runtime, struct expected *take_expected);
/* Looks soon, on a worker, whether another hand changed it. */
void heal_hint(struct runtime *runtime, unsigned what);
/* An event of WHICH, one of the above. */
void heal_event(struct runtime *runtime, int which, const char *name, uint32_t mask);
/* Tells and counts: PATH is what, WHAT what became of it. */
void heal_drift(struct runtime *runtime, const char *path, const char *what);
/* The replica was found of no use, and is to be fetched anew: on any thread. */
void heal_replica_lost(struct runtime *runtime);
/* The state on the disk is now TEXT. */
void heal_saved(struct runtime *runtime, const char *text);
/* Ends what is under way soon, and closes the timer; one of runtime->handles until then. */
void heal_stop(struct runtime *runtime);
/* When nothing is under way any more. NULL is fine. */
void heal_free(struct heal *heal);

#endif
