/*
 * Reading the authoring repository otherwise than as a work tree: every file of any commit, the
 * index, and what a push brings, before git takes it.
 */
#ifndef MUSTER_REPO_BLOBS_H
#define MUSTER_REPO_BLOBS_H

#include "core/fileset.h"
#include "repo/git.h"

/*
 * Calls FN for each file of a commit, whatever its mode (links and submodules are left out), until
 * it returns other than 0, which is returned. PATH is borrowed for the call.
 */
int blobs_each(struct repo *repo, const struct oid *commit,
	       int (*fn)(void *arg, const char *path, const struct oid *blob), void *arg,
	       struct err *err);
/* Appends the bytes of a blob; REFUSED when over LIMIT_FILE_SIZE. */
int blobs_read(struct repo *repo, const struct oid *blob, struct buf *out, struct err *err);
/*
 * The files of an index: the file PATH, or (NULL) the repository's own. REFUSED as by tree_read, or
 * when there are conflicts in it. OUT must be empty.
 */
int blobs_read_index(struct repo *repo, const char *path, struct fileset *out, struct err *err);
/*
 * The file PATH of the work tree, which now is as it was committed (DATA), counts as unchanged in
 * the index, unless something else is staged for it.
 */
int blobs_settle(struct repo *repo, const char *path, const void *data, size_t size,
		 struct err *err);
/* Objects below the folder PATH are found too: where git keeps what is being pushed. */
int blobs_add_objects(struct repo *repo, const char *path, struct err *err);
/*
 * Calls FN for each commit that NEW reaches and no ref does, ancestors first, until it returns
 * other than 0, which is returned.
 */
int blobs_each_new(struct repo *repo, const struct oid *new,
		   int (*fn)(void *arg, const struct oid *commit), void *arg, struct err *err);

#endif
