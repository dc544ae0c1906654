/*
 * What a folder must hold: every file with its size and digest, and every folder. With it a change
 * by another hand is found and named without keeping the files themselves, some of which have
 * secrets in them.
 */
#ifndef MUSTER_NODE_MANIFEST_H
#define MUSTER_NODE_MANIFEST_H

#include "core/err.h"
#include "core/fileset.h"
#include "crypto/digest.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct manifest_entry {
	char *path;
	uint32_t mode; /* FILE_PLAIN, FILE_EXEC; MANIFEST_FOLDER */
	size_t size;
	uint8_t digest[DIGEST_SIZE]; /* of a file */
};

enum { MANIFEST_FOLDER = 040000 };

/* A zeroed struct is an empty one. */
struct manifest {
	struct manifest_entry *entries; /* in byte order of the paths */
	size_t count;
	bool shared; /* GROUP may read it too */
	gid_t group;
};

/* Of a set of files and the folders they are in. OUT must be empty. */
void manifest_of(const struct fileset *set, struct manifest *out);
/* A file more, in no folder and of mode FILE_PLAIN. */
void manifest_add(struct manifest *manifest, const char *name, const void *data, size_t size);
/*
 * Whether the folder DIRFD holds just that: 0, or -1 with a sentence that names the first path that
 * is not so, "files/x: was edited". CORRUPT for that, DENIED when nothing differs but who may read
 * or run it; any other code: it could not be read now.
 */
int manifest_check(const struct manifest *manifest, int dirfd, struct err *err);
void manifest_clear(struct manifest *manifest);

#endif
