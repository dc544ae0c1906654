/*
 * The asking side of a git fetch: libgit2 over a descriptor, for a worker thread. What the
 * descriptor is connected to is the caller's (the loop pumps it to the channel's git lane).
 */
#ifndef MUSTER_CHANNEL_TRANSPORT_H
#define MUSTER_CHANNEL_TRANSPORT_H

#include "core/err.h"
#include "core/oid.h"
#include "repo/git.h"

/*
 * Fetches what REPO lacks of the branch ROLE, as a pack, and gives the branch's tip; no ref is
 * written, since nothing of it is verified. FD is a connected stream socket, non-blocking or not,
 * borrowed; all of it takes at most LIMIT_MS. GONE when the other side has no such branch. RETRY
 * when the connection ended or time ran out, CORRUPT or REFUSED when what came is damaged or over a
 * limit.
 */
int transport_fetch(struct repo *repo, const char *role, int fd, unsigned limit_ms, struct oid *tip,
		    struct err *err);

#endif
