/*
 * The quarantine and the replica: where a fetch goes, and where what it brought goes once it is
 * verified.
 */
#ifndef MUSTER_NODE_QUARANTINE_H
#define MUSTER_NODE_QUARANTINE_H

#include "core/err.h"
#include "core/home.h"
#include "repo/chain.h"
#include "repo/git.h"
#include "repo/tidy.h"

/*
 * Opens it without objects of its own, whatever was in it, and with one ref, to the accepted
 * release if there is one. Made when it is not there, and the replica that its alternates name too.
 */
int quarantine_make(const struct home *home, const struct chain_state *chain, struct repo **out,
		    struct err *err);
/*
 * Renames its packs, which libgit2 synced, into the replica, syncs that folder, and moves the
 * replica's branch to TIP: that one is there for people, what counts is the node's state, so it is
 * whole after a crash but not synced.
 */
int quarantine_release(const struct home *home, const char *role, const struct oid *tip,
		       struct err *err);
/* Moves the replica's branch, as quarantine_release does. */
int quarantine_branch(const struct home *home, const char *role, const struct oid *tip,
		      struct err *err);
/* Removes what a kill left. */
int quarantine_remove(const struct home *home, struct err *err);
/* Opens the replica; made if it is not there. */
int replica_open(const struct home *home, struct repo **out, struct err *err);
/* Removes what a kill left in it; at start, while nothing is fetched. */
int replica_clean(const struct home *home, struct err *err);
/* What keeps its packs few. */
struct tidy *replica_tidy(uv_loop_t *loop, const struct home *home);

#endif
