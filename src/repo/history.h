/* A whole release history, offline: what `muster verify` and `muster restore --from` look at. */
#ifndef MUSTER_REPO_HISTORY_H
#define MUSTER_REPO_HISTORY_H

#include "repo/chain.h"
#include "repo/git.h"

#include <stddef.h>

/*
 * Verifies TIP in REPO as a node at STATE would (chain_verify), and then every release after
 * STATE's, with the files of each; with nothing accepted from the first one on, which is believed
 * by its own signature: what follows leads to a key of STATE. COUNT: how many releases that were.
 * STATE moves to TIP. Errors as from chain_verify, with the first fault.
 */
int history_verify(struct repo *repo, struct chain_state *state, const struct oid *tip,
		   size_t *count, struct err *err);
/*
 * All that TIP reaches in FROM and COMMON (NULL: nothing) does not goes to TO, durably; no ref
 * moves.
 */
int history_copy(struct repo *from, struct repo *to, const struct oid *tip,
		 const struct oid *common, struct err *err);

#endif
