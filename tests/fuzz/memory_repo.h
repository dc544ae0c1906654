/* A repository whose objects are in memory alone, for harnesses that read objects. */
#ifndef MUSTER_TESTS_MEMORY_REPO_H
#define MUSTER_TESTS_MEMORY_REPO_H

#include "fuzz.h"

#include "core/fs.h"
#include "repo/object.h"

#include <git2/odb_backend.h>
#include <git2/sys/mempack.h>

#include <fcntl.h>

struct memory_repo {
	struct repo *repo;
	git_odb_backend *objects; /* goes with the repository */
};

/* Its folder is removed at once: nothing is read or written there any more. */
static inline void memory_repo_init(struct memory_repo *memory)
{
	const char *tmp = getenv("TMPDIR");
	char *folder = text_format("%s/muster-fuzz-XXXXXX", tmp ? tmp : "/tmp");
	struct err err;

	git_setup();
	assert(mkdtemp(folder) && repo_init_bare(folder, &memory->repo, &err) == 0);
	assert(git_mempack_new(&memory->objects) == 0);
	assert(git_odb_add_backend(repo_odb(memory->repo), memory->objects, 1000) == 0);
	assert(fs_remove_tree(AT_FDCWD, folder, &err) == 0);
	free(folder);
}

/* Forgets all objects. */
static inline void memory_repo_reset(struct memory_repo *memory)
{
	assert(git_mempack_reset(memory->objects) == 0);
}

#endif
