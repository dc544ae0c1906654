/*
 * The asking side of a git fetch (gitprotocol-pack(5), version 0), small enough to have thousands:
 * it asks for one ref's tip and keeps the pack in memory. For benches: a node uses libgit2.
 */
#ifndef MUSTER_BENCH_FETCHER_H
#define MUSTER_BENCH_FETCHER_H

#include "core/buf.h"
#include "core/err.h"
#include "core/oid.h"
#include "repo/chain.h"

#include <stdbool.h>

enum fetcher_state { FETCHER_REFS, FETCHER_ANSWER, FETCHER_PACK, FETCHER_DONE };

struct fetcher {
	enum fetcher_state state;
	char ref[64]; /* the one that is asked for */
	bool has_have;
	struct oid have, tip;
	struct buf in, pack;
};

/* HAVE is NULL for all of it. */
void fetcher_start(struct fetcher *fetcher, const char *ref, const struct oid *have);
/* Takes bytes of the server, appends what is to be sent to OUT; -1 when it is no conversation. */
int fetcher_feed(struct fetcher *fetcher, const void *data, size_t n, struct buf *out,
		 struct err *err);
void fetcher_clear(struct fetcher *fetcher);

/*
 * Unpacks every object of PACK, and accepts the releases in it as chain_verify does, one after the
 * other from STATE, which moves to TIP: id, signature, signer, cluster, role, sequence, parent. The
 * digest of the files is not looked at. With nothing accepted TIP is the anchor.
 */
int pack_accept(const struct buf *pack, struct chain_state *state, const struct oid *tip,
		struct err *err);

#endif
