/* Packs: made for a fetch, looked at before they are believed, joined when there are many. */
#ifndef MUSTER_REPO_PACK_H
#define MUSTER_REPO_PACK_H

#include "repo/git.h"

/*
 * Appends a pack with what TIP reaches and COMMON (NULL: nothing) does not; objects of older
 * releases that are not in COMMON's files any more may be in it again. COMMON must be TIP or an
 * ancestor of it, else REFUSED. TIP may also be an annotated tag (a pin), which is in the pack
 * then; what it names may be an ancestor of COMMON. No delta is based on an object outside the
 * pack. When it does not fit OUT: FULL, and OUT is as before.
 */
int pack_build(struct repo *repo, const struct oid *tip, const struct oid *common, struct buf *out,
	       struct err *err);
/*
 * That all TIP reaches and ACCEPTED (NULL: nothing) does not is there, and that REPO's own objects
 * (not those of alternates) are nothing else: an object that the release does not reach is REFUSED,
 * a missing one CORRUPT; sizes are looked at by header first. Objects of ACCEPTED's own files are
 * fine: libgit2 adds them to complete the thin packs that git hosts send. TIP as above.
 */
int pack_check_reachable(struct repo *repo, const struct oid *tip, const struct oid *accepted,
			 struct err *err);


/*
 * Objects that belong together, as those of one publication: from pack_writer_new on, what is
 * written to REPO is held in memory, where whoever reads through REPO finds it; pack_writer_finish
 * puts all of it on the disk as one pack, synced with its index and its folder. Without that
 * nothing was written. (What is beyond LIMIT_PACK_MEMORY is written at once, as loose objects.) One
 * at a time for a REPO, which outlives it.
 */
struct pack_writer;
int pack_writer_new(struct repo *repo, struct pack_writer **out, struct err *err);
/* Once; on failure nothing names what was written, and it may be tried again with a new one. */
int pack_writer_finish(struct pack_writer *w, struct err *err);
/* What was not finished is forgotten. NULL is fine. */
void pack_writer_free(struct pack_writer *w);

#endif
