/* Refs of the repositories that only Muster writes to: see repo_refs_move in git.h. */
#include "repo/git.h"

#include "core/fs.h"
#include "core/text.h"
#include "repo/object.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One ref on its way. */
struct moving {
	const struct ref_move *move;
	char *lock; /* its lock file while that is ours; NULL before and after */
};

/* The folder of a ref, "refs/heads" of "refs/heads/web", a new string. */
static char *folder_of(const char *ref)
{
	return text_copy_n(ref, (size_t)(strrchr(ref, '/') - ref));
}

static int check_move(struct repo *repo, const struct ref_move *move, struct err *err)
{
	git_oid id = oid_to_git(move->new);
	int valid = 0;

	if (!text_starts(move->ref, "refs/") || !strchr(move->ref + strlen("refs/"), '/') ||
	    git_reference_name_is_valid(&valid, move->ref) != 0 || !valid)
		return err_set(err, ERR_REFUSED, "\"%.100s\" is no name for a ref", move->ref);
	if (!git_odb_exists(repo_odb(repo), &id))
		return err_set(err, ERR_GONE, "ref %s: object %s does not exist", move->ref,
			       git_oid_tostr_s(&id));
	return 0;
}

/* The folder of a ref that is the first one there: its own name must survive as well. */
static int make_folder(int fd, const char *ref, struct err *err)
{
	char *folder = folder_of(ref), *above = folder_of(folder);
	int rc = 0;

	if (faccessat(fd, folder, F_OK, AT_SYMLINK_NOFOLLOW) != 0) {
		rc = fs_make_dirs(fd, folder, 0755, err);
		if (rc == 0)
			rc = fs_sync(fd, above, err);
	}
	free(folder);
	free(above);
	return rc;
}

/*
 * Takes the lock file that stock git takes too, compares under it, and writes the new value into
 * it. It is synced here: a rename that outlives a power cut must not lead to an empty file.
 */
static int prepare(struct repo *repo, int fd, struct moving *moving, struct err *err)
{
	const struct ref_move *move = moving->move;
	char *lock = text_format("%s.lock", move->ref);
	char line[OID_HEX_SIZE + 1];
	struct err why = {.code = ERR_NONE};
	int rc;

	(void)oid_hex(move->new, line);
	memcpy(line + OID_HEX, "\n", 2);
	rc = make_folder(fd, move->ref, err);
	if (rc == 0 && fs_write_new(fd, lock, line, strlen(line), 0644, &why) != 0)
		rc = faccessat(fd, lock, F_OK, AT_SYMLINK_NOFOLLOW) == 0
			     ? err_set(err, ERR_RETRY, "ref %s: is locked by another", move->ref)
			     : err_set(err, why.code, "ref %s: %s", move->ref, why.text);
	if (rc != 0) {
		free(lock);
		return rc;
	}
	moving->lock = lock;
	return ref_is_at(repo, move->ref, move->old, err);
}

static int put_in_place(int fd, struct moving *moving, struct err *err)
{
	if (renameat(fd, moving->lock, fd, moving->move->ref) != 0)
		return err_sys(err, "ref %s", moving->move->ref);
	free(moving->lock);
	moving->lock = NULL;
	return 0;
}

/* One sync for each folder, not for each ref. */
static int sync_folders(int fd, const struct ref_move *moves, size_t count, struct err *err)
{
	char *last = NULL;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < count; i++) {
		char *folder = folder_of(moves[i].ref);

		if (!last || strcmp(last, folder) != 0)
			rc = fs_sync(fd, folder, err);
		free(last);
		last = folder;
	}
	free(last);
	return rc;
}

static int move_all(struct repo *repo, int fd, struct moving *list, size_t count, struct err *err)
{
	for (size_t i = 0; i < count; i++)
		if (prepare(repo, fd, list + i, err) != 0)
			return -1;
	/* from here on nothing fails but the disk */
	for (size_t i = 0; i < count; i++)
		if (put_in_place(fd, list + i, err) != 0)
			return -1;
	return 0;
}

int repo_refs_move(struct repo *repo, const struct ref_move *moves, size_t count, struct err *err)
{
	struct moving *list = mem_new(count, sizeof(*list));
	int fd = -1, rc = 0;

	for (size_t i = 0; rc == 0 && i < count; i++) {
		list[i].move = moves + i;
		rc = check_move(repo, moves + i, err);
	}
	if (rc == 0)
		rc = fs_open_dir(AT_FDCWD, git_repository_commondir(repo_git2(repo)), &fd, err);
	if (rc == 0)
		rc = move_all(repo, fd, list, count, err);
	if (rc == 0)
		rc = sync_folders(fd, moves, count, err);
	for (size_t i = 0; i < count; i++)
		if (list[i].lock) {
			(void)unlinkat(fd, list[i].lock, 0); /* else removed as stale at start */
			free(list[i].lock);
		}
	if (fd >= 0)
		(void)close(fd); /* only a folder */
	free(list);
	return rc;
}

/*
 * Syncs what a ref was removed from: its folder, or the one above that was left when libgit2 took
 * it away with its last file.
 */
static int sync_removed(int fd, const char *ref, struct err *err)
{
	char *folder = folder_of(ref);
	int rc;

	while (strchr(folder, '/') && faccessat(fd, folder, F_OK, AT_SYMLINK_NOFOLLOW) != 0)
		*strrchr(folder, '/') = '\0';
	rc = fs_sync(fd, folder, err);
	free(folder);
	return rc;
}

int repo_ref_remove(struct repo *repo, const char *ref, struct err *err)
{
	git_reference *reference;
	int fd = -1, rc = git_reference_lookup(&reference, repo_git2(repo), ref);

	if (rc == 0) {
		rc = git_reference_delete(reference);
		git_reference_free(reference);
	}
	if (rc != 0)
		return git_err(err, rc, "ref %s", ref);
	rc = fs_open_dir(AT_FDCWD, git_repository_commondir(repo_git2(repo)), &fd, err);
	if (rc == 0)
		rc = sync_removed(fd, ref, err);
	if (fd >= 0)
		(void)close(fd); /* only a folder */
	return rc;
}
