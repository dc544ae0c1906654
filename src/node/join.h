/*
 * Which cluster a node talks to. There may be several cluster configurations of one cluster: the
 * one in etc/init, the one in the active revision, the one that led to the admin before. The link
 * is opened with the first that counts; when that leads to no admin the others are tried in turn,
 * so that a wrong or early change strands no node.
 */
#ifndef MUSTER_NODE_JOIN_H
#define MUSTER_NODE_JOIN_H

#include "config/cluster.h"
#include "config/initdir.h"
#include "config/model.h"
#include "core/err.h"
#include "crypto/key.h"

#include <stdbool.h>

struct join;
struct runtime;

/* Where an admin is and what it takes to join it. */
struct point {
	struct cluster cluster;
	struct keystore *keystore; /* NULL: there is none */
};

void point_clear(struct point *point);

/* What etc/init holds. */
struct given {
	struct document *doc; /* merged; NULL: nothing that counts */
	struct model *model;
	struct point point;
	struct initdir_marks marks;
};

/* What may be looked at again: bits. */
enum join_what {
	JOIN_KEYS = 1,	   /* the secret */
	JOIN_INIT = 2,	   /* etc/init */
	JOIN_REVISION = 4, /* what is active */
	JOIN_ALL = JOIN_KEYS | JOIN_INIT | JOIN_REVISION,
};

/*
 * Opens the link of RUNTIME, whose state it reads and moves on. FILE and REVISION (what a start
 * found) move in. FIXED: FILE is the admin of this process and nothing else counts. No cluster
 * configuration yet is fine.
 */
void join_start(struct runtime *runtime, struct point *file, struct point *revision, bool fixed);
/*
 * Looks at WHAT (bits of enum join_what) again, on a worker, and opens the link anew if another
 * configuration counts now. With JOIN_KEYS runtime_reloaded follows.
 */
void join_look(struct runtime *runtime, unsigned what);
/* A revision was activated: its cluster configuration may be another. */
void join_activated(struct runtime *runtime);
/* Where FIXED: the admin of this process has other keys now. FILE moves in. */
void join_own(struct runtime *runtime, struct point *file);
/* Something in etc/init changed: looks there once it has settled. */
void join_init_changed(struct runtime *runtime);
/* The link came up (REASON NULL), or went down or could not be opened. */
void join_linked(struct runtime *runtime, const char *reason);
/* The cluster configuration that is in use, or NULL. */
const struct cluster *join_cluster(const struct runtime *runtime);
/*
 * Whether the link came up once, or could not be opened: nothing is to be expected any more of
 * waiting a little.
 */
bool join_tried(const struct runtime *runtime);
/* Stops; then, when nothing of it is under way, frees. Both are fine before the start. */
void join_stop(struct runtime *runtime);
void join_free(struct join *join);

#endif
