/* Packs: made for a fetch, looked at before they are believed, joined when there are many. */
#ifndef MUSTER_REPO_PACK_H
#define MUSTER_REPO_PACK_H

#include "repo/git.h"

#include <stdatomic.h>

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
 * That all TIP reaches is there, and that every object of REPO's own can be read and has the
 * content of its id: CORRUPT or GONE when not so. *STOP (may be NULL) set by another thread ends
 * it: RETRY.
 */
int pack_check_whole(struct repo *repo, const struct oid *tip, const atomic_bool *stop,
		     struct err *err);
/*
 * A pack that comes piece by piece goes into REPO, where nothing was verified yet but that the pack
 * is whole. pack_sink_end finishes it (WHOLE) or forgets it, and frees in both cases. CORRUPT for a
 * damaged one, REFUSED for one over the limits. All on one thread, and on any error what REPO holds
 * then is thrown away by the caller (core/mapped.h).
 */
struct pack_sink;
int pack_sink_new(struct repo *repo, struct pack_sink **out, struct err *err);
int pack_sink_put(struct pack_sink *sink, const void *data, size_t n, struct err *err);
int pack_sink_end(struct pack_sink *sink, bool whole, struct err *err);
/* The same with all of it at once. */
int pack_put(struct repo *repo, const void *data, size_t n, struct err *err);

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

/*
 * Joins packs and loose objects of the bare repository at PATH when there are many (8 packs, 64
 * loose objects), the small ones first; else does nothing. At most 7 packs are left, however many
 * releases there are. No object is ever dropped, reached by a ref or not. *STOP (may be NULL) set
 * by another thread ends it: RETRY, and nothing is changed.
 *
 * Safe at any instant: the new pack is complete, synced and looked at before the first old one is
 * removed. A kill in between leaves both, and the next joining takes them together; what is half
 * written or half removed is pack_clean's.
 *
 * Safe for whoever reads meanwhile, in this process or another: libgit2 and git keep open what they
 * read from, and list the folder again when they miss an object, which is in the new pack by then.
 * What others write meanwhile is not touched. Packs marked .keep stay, and where git keeps an index
 * over many packs (multi-pack-index) nothing is done at all.
 */
int pack_join(const char *path, atomic_bool *stop, struct err *err);
/*
 * Removes what a kill left among the objects of the repository at PATH: temporary files, packs
 * without an index, indexes without a pack. Nothing of this process may be writing there; AGE
 * (seconds) spares what others, people with git, may be writing: younger files stay. 0 where there
 * are no others.
 */
int pack_clean(const char *path, unsigned age, struct err *err);

#endif
