/*
 * Git bundles, version 2 (gitformat-bundle(5)): a line that says so, the refs, a blank line, one
 * pack. What is written is complete (no prerequisites) and holds one branch; stock git clones from
 * it. What is read comes from outside and goes into a quarantine.
 */
#ifndef MUSTER_REPO_BUNDLE_H
#define MUSTER_REPO_BUNDLE_H

#include "repo/git.h"

enum {
	BUNDLE_HEAD_MAX = 64 << 10, /* bytes before the pack: some hundreds of refs */
	BUNDLE_REF_MAX = 255,	    /* bytes of a ref's name */
};

/*
 * Appends a bundle of REF ("refs/heads/web") with all that it reaches. GONE when there is no such
 * ref, FULL when it does not fit OUT, which is then as before.
 */
int bundle_write(struct repo *repo, const char *ref, struct buf *out, struct err *err);

/*
 * Where the pack begins in the first N bytes of a bundle, and what it says REF is. RETRY when N
 * bytes are not all of what stands before the pack; GONE when there is no such ref; REFUSED for
 * another version, prerequisites, a capability, a ref twice or too much of it; CORRUPT for all that
 * is not the one form git writes.
 */
int bundle_head(const void *data, size_t n, const char *ref, size_t *pack, struct oid *tip,
		struct err *err);
/*
 * Reads a bundle from a file, from its beginning to its end, and puts its pack into REPO, where
 * nothing was verified yet but that the pack is whole. Errors as above, and CORRUPT for a pack that
 * is cut off, damaged or followed by more.
 */
int bundle_read(struct repo *repo, int fd, const char *ref, struct oid *tip, struct err *err);

#endif
