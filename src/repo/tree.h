/*
 * Trees of git as sets of files in memory, within limits that are checked by header before anything
 * is read.
 */
#ifndef MUSTER_REPO_TREE_H
#define MUSTER_REPO_TREE_H

#include "core/fileset.h"
#include "repo/git.h"

/*
 * Bytes of one tree object: LIMIT_TREE_FILES entries with names as long as LIMIT_PATH allows, and
 * room.
 */
enum { TREE_OBJECT_SIZE = 3 << 20 };

enum { TREE_FOLDER = 040000 }; /* besides FILE_PLAIN and FILE_EXEC, the only mode in a tree */

/* Reads the entries of one tree object's bytes, which outlive the reader. */
struct tree_reader {
	struct cursor rest;
	const char *last; /* name of the entry before, with its mode: entries stand in one order */
	uint32_t last_mode;
	const char *folder; /* for what is said of an entry: FOLDER_LEN bytes, "files/"; or NULL */
	size_t folder_len;
};

struct tree_entry {
	const char *name; /* in the bytes, which hold its NUL */
	uint32_t mode;
	struct oid oid;
};

struct tree_reader tree_reader_of(const void *raw, size_t n);
/*
 * The next entry: 1, 0 at the end, -1 for what is not the one form git writes (CORRUPT: cut, out of
 * order, twice) or not allowed (REFUSED: links, submodules, other modes, names that no path may
 * have).
 */
int tree_next(struct tree_reader *reader, struct tree_entry *out, struct err *err);

/*
 * Reads the tree TREE (a tree's id). Links, submodules, other modes, bad paths and what is over the
 * limits are REFUSED. OUT must be empty.
 */
int tree_read(struct repo *repo, const struct oid *tree, struct fileset *out, struct err *err);
/* The same for the tree of a commit. */
int tree_read_commit(struct repo *repo, const struct oid *commit, struct fileset *out,
		     struct err *err);
/* Writes blobs and trees, durably. REFUSED when a path is a file and a folder at once. */
int tree_write(struct repo *repo, const struct fileset *set, struct oid *out, struct err *err);

#endif
