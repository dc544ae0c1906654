/*
 * Which releases a node accepts: the rule of muster-formats(5), "What a node accepts". Both sides
 * run it: the node on what it fetched, the admin on each release before a ref moves.
 */
#ifndef MUSTER_REPO_CHAIN_H
#define MUSTER_REPO_CHAIN_H

#include "repo/git.h"
#include "repo/release.h"

/* What is known before: the place in the chain, and who may sign what comes next. */
struct chain_state {
	uint8_t cluster_id[CLUSTER_ID_SIZE];
	char role[NAME_MAX_LEN + 1];
	bool has_accepted; /* false: KEYS are those of the cluster file, and an anchor is looked for
			    */
	struct oid accepted;
	uint64_t sequence; /* of the accepted one */
	size_t key_count;
	uint8_t keys[LIMIT_RELEASE_KEYS]
		    [KEY_SIZE]; /* the accepted one's Muster-Keys, or the cluster file's */
};

/*
 * Verifies every release from (not including) the accepted one to TIP, in REPO. With nothing
 * accepted: the newest release on the branch that one of the keys signed is the anchor, and all
 * after it must follow from it. On success STATE moves to TIP and OUT (if not NULL) is the parsed
 * tip. TIP equal to the accepted one is fine. On failure STATE is untouched; the error names the
 * release and what is wrong: CORRUPT or REFUSED, or RETRY for a fault of the disk.
 */
int chain_verify(struct repo *repo, struct chain_state *state, const struct oid *tip,
		 struct release *out, struct err *err);
/* One step: RELEASE (with id OID) directly after STATE. */
int chain_step(struct chain_state *state, const struct oid *oid, const struct release *release,
	       struct err *err);
/* The files of a release: read within limits and compared with the digest. */
int chain_content(struct repo *repo, const struct release *release, struct fileset *out,
		  struct err *err);

#endif
