/*
 * Writing to a repository that people work in with stock git. Git's lock files say nothing of who
 * made them, so what a kill leaves of git's own is for people to remove. Ours are hard links to one
 * file, which the writer holds a lock (flock) on: a lock file that is a link to it while nobody
 * holds that lock was left by a kill, and nothing of git's can look like it.
 *
 *	.git/muster.lock	that file
 *	.git/muster.index	a copy of the index, which is changed and then renamed onto it
 *	.git/muster.ref		a branch's new value, likewise
 */
#ifndef MUSTER_REPO_WORKLOCK_H
#define MUSTER_REPO_WORKLOCK_H

#include "repo/git.h"

#include <git2.h>

struct work_lock {
	struct repo *repo;
	int dir, fd;      /* .git and the file in it */
	char *locks[2];   /* git's names for what is locked, below .git; NULL: not (yet) */
	git_index *index; /* a copy, which REPO uses while it is locked */
	const char *ref;
};

/*
 * Locks the index and, unless it is NULL, the branch REF; removes what a kill left. RETRY when git,
 * or another command, has one of them: the sentence names the file.
 */
int work_lock_take(struct work_lock *lock, struct repo *repo, const char *ref, struct err *err);
/* The index as it was changed and written (git_index_write) becomes the repository's. */
int work_lock_put_index(struct work_lock *lock, struct err *err);
/*
 * Moves the branch from OLD (NULL: is not there) to NEW, with a line in the reflogs; RETRY when it
 * is not at OLD.
 */
int work_lock_move_ref(struct work_lock *lock, const struct oid *old, const struct oid *new,
		       struct err *err);
/* Lets go of what is locked; what was not put is as before. */
void work_lock_release(struct work_lock *lock);

#endif
