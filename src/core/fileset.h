/*
 * A set of files in memory: a slice, the tree of a release, a staged revision. Paths are relative,
 * with '/' between names, and unique; the set is kept in byte order of the paths.
 */
#ifndef MUSTER_CORE_FILESET_H
#define MUSTER_CORE_FILESET_H

#include "core/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FILE_PLAIN = 0100644, FILE_EXEC = 0100755 }; /* git's modes; no other exists */

struct file {
	char *path;
	uint32_t mode;
	uint8_t *data; /* followed by a NUL */
	size_t size;
};

struct fileset {
	struct file *files;
	size_t count;
	size_t cap;
};

/*
 * A path that may be in a tree: relative, no empty, "." or ".." part, no ".git", no control
 * character, at most LIMIT_PATH bytes.
 */
bool fileset_path_valid(const char *path);

/* Adds a copy of DATA; refused when the path is bad or there already. */
int fileset_add(struct fileset *set, const char *path, uint32_t mode, const void *data, size_t size,
		struct err *err);
/* The same, but replaces the content of one that is there, whose mode stays. */
int fileset_put(struct fileset *set, const char *path, uint32_t mode, const void *data, size_t size,
		struct err *err);
/* The file at PATH or NULL; borrowed. */
const struct file *fileset_find(const struct fileset *set, const char *path);
bool fileset_equal(const struct fileset *a, const struct fileset *b);
/* Frees the files; the set is empty and usable. A zeroed struct is an empty set. */
void fileset_clear(struct fileset *set);

/*
 * Reads every regular file below the folder (at most LIMIT_TREE_* of limits.h); links and other
 * types are refused.
 */
int fileset_read_dir(struct fileset *set, int dirfd, struct err *err);
/* Writes every file below the (empty) folder, syncing each and each folder. */
int fileset_write_dir(const struct fileset *set, int dirfd, struct err *err);

#endif
