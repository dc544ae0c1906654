/*
 * The authoring repository: what the admin asks of its history (source.c), and what `muster commit`
 * does with its work tree (worktree.c). Filters that git's configuration names are not run: whoever
 * commits has sealed before. (Only git's attribute `text` is minded, by source_commit: line ends.)
 */
#ifndef MUSTER_REPO_SOURCE_H
#define MUSTER_REPO_SOURCE_H

#include "core/fileset.h"
#include "repo/git.h"

#include <stdbool.h>
#include <stddef.h>

/* The commits that NEW reaches and OLD does not. */
struct source_range {
	size_t count;
	char *author;  /* of the one commit, as release_ident writes it; NULL unless COUNT is 1 */
	char *message; /* of the one commit, its bytes as they are; NULL unless COUNT is 1 */
};

/* OLD NULL: from the beginning. OLD need not be an ancestor of NEW (a forced push). */
int source_range(struct repo *repo, const struct oid *old, const struct oid *new,
		 struct source_range *out, struct err *err);
void source_range_clear(struct source_range *range);
/*
 * Calls FN for each commit of the range, ancestors first, until it returns other than 0, which is
 * returned then.
 */
int source_range_each(struct repo *repo, const struct oid *old, const struct oid *new,
		      int (*fn)(void *arg, const struct oid *commit), void *arg, struct err *err);

/* Who commits. */
struct source_person {
	char *name;
	char *mail;
};

/*
 * The person who runs this process: user.name and user.email of the repository's configuration,
 * else of that person's own ($XDG_CONFIG_HOME/git/config, ~/.gitconfig; nothing else of it is
 * read), else LOGIN and LOGIN@HOSTNAME. For programs that a person runs: a daemon names its author
 * itself.
 */
int source_person(struct repo *repo, struct source_person *out, struct err *err);
void source_person_clear(struct source_person *person);

struct source_commit {
	const struct source_person *who; /* author and committer */
	const char *message;             /* ends in a newline in the commit */
	const char *const *paths; /* files or folders, relative to the work tree; no patterns */
	size_t path_count;        /* 0: all that is changed */
	/* the full name that HEAD's must have, or REFUSED; NULL: whatever it is on */
	const char *branch;
};

/*
 * Commits what is changed, added and deleted in the work tree (but for what .gitignore names) on
 * the branch of HEAD, which may be unborn. With paths: the last commit and these, whatever else is
 * staged. *CHANGED false: there was nothing to commit, and OUT is not set. REFUSED while a merge or
 * rebase goes on, when HEAD is no branch, or when a path is neither in the work tree nor in the
 * last commit; RETRY when git holds a lock or moved the branch meanwhile.
 */
int source_commit(struct repo *repo, const struct source_commit *commit, bool *changed,
		  struct oid *out, struct err *err);
/*
 * The same with the files of the commit FILES_OF as they are, which the work tree gets too (`muster
 * rollback REV`). REFUSED, and nothing is changed, when files under git have changes that are not
 * committed, or one that is not under git stands in the way of one of FILES_OF; others stay.
 */
int source_commit_tree(struct repo *repo, const struct source_commit *commit,
		       const struct oid *files_of, bool *changed, struct oid *out, struct err *err);

/* Whether two commits hold the same files. */
int source_same(struct repo *repo, const struct oid *a, const struct oid *b, bool *same,
		struct err *err);

/* Removes the lock files that a command of ours left when it was killed, and no one else's. */
int source_clean(struct repo *repo, struct err *err);
/*
 * An index that cannot be read, or is gone, is made anew from HEAD and told: neither git nor
 * libgit2 syncs it, so that a power cut may leave it empty. The functions above and below do it by
 * themselves; this is for those who want stock git to work there.
 */
int source_mend(struct repo *repo, struct err *err);
/* Whether the work tree or the index differs from HEAD (what .gitignore names does not count). */
int source_changed(struct repo *repo, bool *out, struct err *err);
/*
 * The files of the work tree as source_commit without paths would commit them, read from there;
 * nothing is written, so plain secrets do not get into git by looking. REFUSED as by tree_read. OUT
 * must be empty.
 */
int source_read(struct repo *repo, struct fileset *out, struct err *err);

#endif
