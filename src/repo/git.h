/*
 * libgit2, set up and wrapped as far as Muster needs it: repositories, refs, objects by id. Its
 * errors become struct err here.
 */
#ifndef MUSTER_REPO_GIT_H
#define MUSTER_REPO_GIT_H

#include "core/buf.h"
#include "core/err.h"
#include "core/oid.h"

#include <stdbool.h>
#include <stddef.h>

struct repo; /* an open repository; one thread at a time */

/*
 * Once at start, before threads: no system, global or XDG configuration is read, written objects
 * are synced.
 */
void git_setup(void);

int repo_open(const char *path, struct repo **out, struct err *err);
/*
 * Makes a bare repository (mode 0700) with nothing from templates, and opens it; fine if it is
 * there.
 */
int repo_init_bare(const char *path, struct repo **out, struct err *err);
/* The same without opening it. */
int repo_make_bare(const char *path, struct err *err);
/* The same for a work tree at PATH: PATH/.git with branch main, unborn. Fine if it is there. */
int repo_init_worktree(const char *path, struct repo **out, struct err *err);
void repo_free(struct repo *repo);
/* The folder of the repository (the .git folder, or the bare one), ending in '/'. */
const char *repo_path(const struct repo *repo);

/* The object a ref names; GONE when there is no such ref. Symbolic refs are followed. */
int repo_ref_get(struct repo *repo, const char *ref, struct oid *out, struct err *err);
/*
 * Moves a ref (full name, not a symbolic one) from OLD (NULL: must not exist) to NEW, atomically
 * and durably; RETRY when it is not at OLD or is locked by another, GONE when there is no object
 * NEW. A work tree's reflog gets a line.
 */
int repo_ref_set(struct repo *repo, const char *ref, const struct oid *old, const struct oid *new,
		 struct err *err);

/* Removes a ref, durably, wherever git keeps it; GONE when there is none. */
int repo_ref_remove(struct repo *repo, const char *ref, struct err *err);

struct ref_move {
	const char *ref;       /* refs/FOLDER/NAME */
	const struct oid *old; /* NULL: must not exist */
	const struct oid *new;
};

/*
 * Moves refs of a bare repository, each atomically, whatever became of the others; all are locked
 * and compared before the first one moves, so that what repo_ref_set refuses changes nothing here.
 * One sync for each file and one for each folder. The objects must be on the disk before
 * (pack_writer_finish): a ref is never ahead of them. No reflog is written.
 */
int repo_refs_move(struct repo *repo, const struct ref_move *moves, size_t count, struct err *err);
/*
 * Calls FN for every ref below PREFIX ("refs/heads/") in byte order, until it returns other than 0,
 * which is returned then. Symbolic refs are left out. FN may move refs: the list is made before the
 * first call.
 */
int repo_ref_each(struct repo *repo, const char *prefix,
		  int (*fn)(void *arg, const char *ref, const struct oid *oid), void *arg,
		  struct err *err);
/*
 * What a person means by REV (an id, HEAD~2, a tag): the commit. GONE when nothing, REFUSED when it
 * is ambiguous.
 */
int repo_resolve(struct repo *repo, const char *rev, struct oid *out, struct err *err);
/* Whether ANCESTOR is OID or reachable from it by parents. */
int repo_descends(struct repo *repo, const struct oid *oid, const struct oid *ancestor, bool *out,
		  struct err *err);
/* Appends the raw bytes of a commit, at most LIMIT_COMMIT_SIZE; looked at by header first. */
int repo_commit_raw(struct repo *repo, const struct oid *oid, struct buf *out, struct err *err);
/* The id that raw commit bytes have. */
int repo_commit_id(const void *data, size_t size, struct oid *out, struct err *err);
/* Writes raw commit bytes as an object. */
int repo_commit_write(struct repo *repo, const void *data, size_t size, struct oid *out,
		      struct err *err);
/*
 * Loose objects are synced when they are written, with the folders they are in; this is for the
 * names of these folders, before anything names an object. repo_ref_set does it by itself.
 */
int repo_sync_objects(struct repo *repo, struct err *err);
/*
 * Removes locks under refs/ (and that of packed-refs) that a killed process left; call only under
 * the home's lock, and only for a repository that nobody else writes to.
 */
int repo_remove_stale_locks(struct repo *repo, struct err *err);

/* For the other files of repo/ and channel/transport.c only. */
struct git_repository;
struct git_repository *repo_git2(struct repo *repo);
/*
 * An error from libgit2's last one: "WHAT: libgit2's sentence"; returns -1. CODE is what the
 * libgit2 call returned, and the error's code follows from it (and from the class of libgit2's
 * error), or an enum err_code other than NONE.
 */
int git_err(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
