/* Writing where people work with git: see worklock.h. */
#include "repo/worklock.h"

#include "core/fs.h"
#include "core/limits.h"
#include "core/text.h"
#include "repo/object.h"
#include "repo/release.h"
#include "repo/source.h"

#include <git2/sys/repository.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOCK_FILE "muster.lock"
#define OUR_INDEX "muster.index"
#define OUR_REF   "muster.ref"
enum { LOCK_PAUSE = 20, REF_DEPTH = 16 }; /* milliseconds between two tries; folders below refs/ */

/* --- what a kill left --- */

static bool is_ours(const struct work_lock *lock, int dir, const char *name)
{
	struct stat own, st;

	return fstat(lock->fd, &own) == 0 && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       own.st_dev == st.st_dev && own.st_ino == st.st_ino;
}

static int remove_if_ours(const struct work_lock *lock, int dir, const char *name, struct err *err)
{
	if (!is_ours(lock, dir, name) || unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	return err_sys(err, "%s%s", repo_path(lock->repo), name);
}

/* The lock file of whichever branch it was. */
static int remove_below(const struct work_lock *lock, int fd, unsigned depth, struct err *err)
{
	DIR *dir = fdopendir(fd);
	struct dirent *entry;
	int rc = 0;

	if (!dir) {
		(void)close(fd); /* only read */
		return err_sys(err, "refs");
	}
	while (rc == 0 && (entry = readdir(dir))) {
		int below;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		below = depth ? openat(fd, entry->d_name,
				       O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
			      : -1;
		rc = below >= 0 ? remove_below(lock, below, depth - 1, err)
				: remove_if_ours(lock, fd, entry->d_name, err);
	}
	(void)closedir(dir); /* only read */
	return rc;
}

/* Nobody else holds the lock: whatever is ours was left. */
static int clean(const struct work_lock *lock, struct err *err)
{
	struct stat st;
	int refs, rc = 0;

	if (fstat(lock->fd, &st) == 0 && st.st_nlink > 1) {
		rc = remove_if_ours(lock, lock->dir, "index.lock", err);
		if (rc == 0)
			rc = fs_open_dir(lock->dir, "refs", &refs, err);
		if (rc == 0)
			rc = remove_below(lock, refs, REF_DEPTH, err);
	}
	if (rc == 0)
		rc = fs_remove_tree(lock->dir, OUR_INDEX, err);
	if (rc == 0) /* the library's own, while it writes that one */
		rc = fs_remove_tree(lock->dir, OUR_INDEX ".lock", err);
	return rc == 0 ? fs_remove_tree(lock->dir, OUR_REF, err) : rc;
}

/* --- taking --- */

/* The folder and the file, locked within LIMIT milliseconds. */
static int hold(struct work_lock *lock, struct repo *repo, unsigned limit, struct err *err)
{
	const struct timespec pause = {.tv_nsec = LOCK_PAUSE * 1000000L};

	*lock = (struct work_lock){.repo = repo, .dir = -1, .fd = -1};
	if (fs_open_dir(AT_FDCWD, repo_path(repo), &lock->dir, err) != 0)
		return -1;
	lock->fd = openat(lock->dir, LOCK_FILE, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (lock->fd < 0)
		return err_sys(err, "%s" LOCK_FILE, repo_path(repo));
	for (unsigned waited = 0; flock(lock->fd, LOCK_EX | LOCK_NB) != 0; waited += LOCK_PAUSE) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return err_sys(err, "%s" LOCK_FILE, repo_path(repo));
		if (waited >= limit)
			return err_set(err, ERR_RETRY,
				       "%s: another command of muster is writing there: try again",
				       repo_path(repo));
		(void)nanosleep(&pause, NULL); /* cut short is fine */
	}
	return 0;
}

/* As git does it, by a name that must not be there. */
static int link_lock(struct work_lock *lock, const char *name, char **out, struct err *err)
{
	char *path = text_format("%s.lock", name);
	int rc = linkat(lock->dir, LOCK_FILE, lock->dir, path, 0);

	/* a file system without links: what a kill leaves there is for people to remove */
	if (rc != 0 && (errno == EPERM || errno == EOPNOTSUPP || errno == EMLINK))
		rc = fs_write_new(lock->dir, path, "", 0, 0600, NULL);
	if (rc == 0) {
		*out = path;
		return 0;
	}
	if (faccessat(lock->dir, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		(void)err_set(
			err, ERR_RETRY,
			"%s%s: git is writing there, or was killed while it was: try again, and "
			"remove that file if no git runs",
			repo_path(lock->repo), path);
	else
		(void)err_sys(err, "%s%s", repo_path(lock->repo), path);
	free(path);
	return -1;
}

/* The copy keeps the time of the index: by that git knows what it has to look at closer. */
static int copy_index(const struct work_lock *lock, struct err *err)
{
	struct err why = {.code = ERR_NONE};
	struct stat st;
	struct buf bytes;
	int rc;

	buf_init(&bytes, LIMIT_FILE_SIZE);
	rc = fs_read(lock->dir, "index", &bytes, &why);
	if (rc != 0) {
		buf_clear(&bytes);
		return why.code == ERR_GONE ? 0 : err_set(err, why.code, "index: %s", why.text);
	}
	rc = fs_write_unsynced(lock->dir, OUR_INDEX, bytes.data, bytes.len, 0644, err);
	buf_clear(&bytes);
	if (rc == 0 &&
	    (fstatat(lock->dir, "index", &st, AT_SYMLINK_NOFOLLOW) != 0 ||
	     utimensat(lock->dir, OUR_INDEX, (struct timespec[]){st.st_atim, st.st_mtim}, 0) != 0))
		rc = err_sys(err, OUR_INDEX);
	return rc;
}

static int open_index(struct work_lock *lock, struct err *err)
{
	char *path = text_format("%s" OUR_INDEX, repo_path(lock->repo));
	int rc = copy_index(lock, err);

	if (rc == 0) {
		rc = git_index_open(&lock->index, path);
		if (rc == 0)
			rc = git_repository_set_index(repo_git2(lock->repo), lock->index);
		if (rc == 0)
			rc = git_index_read(lock->index, 1);
		if (rc != 0)
			rc = git_err(err, rc, "index of %s", repo_path(lock->repo));
	}
	free(path);
	return rc;
}

int work_lock_take(struct work_lock *lock, struct repo *repo, const char *ref, struct err *err)
{
	char *folder = ref ? text_copy(ref) : NULL;
	int rc = hold(lock, repo, WAIT_LOCK, err);

	if (rc == 0)
		rc = clean(lock, err);
	if (rc == 0)
		rc = link_lock(lock, "index", &lock->locks[0], err);
	if (rc == 0 && ref)
		rc = fs_keep_dirs(lock->dir, dirname(folder), 0777, err);
	if (rc == 0 && ref)
		rc = link_lock(lock, ref, &lock->locks[1], err);
	if (rc == 0)
		rc = open_index(lock, err);
	lock->ref = ref;
	if (rc != 0)
		work_lock_release(lock);
	free(folder);
	return rc;
}

void work_lock_release(struct work_lock *lock)
{
	if (lock->index) {
		/* the repository reads its own again when it is asked for */
		(void)git_repository_set_index(repo_git2(lock->repo), NULL);
		git_index_free(lock->index);
		lock->index = NULL;
		(void)unlinkat(lock->dir, OUR_INDEX, 0); /* else the next one removes it */
	}
	for (size_t i = 2; i-- > 0;) {
		if (lock->locks[i])
			(void)unlinkat(lock->dir, lock->locks[i], 0); /* ditto */
		free(lock->locks[i]);
		lock->locks[i] = NULL;
	}
	if (lock->fd >= 0)
		(void)close(lock->fd); /* the lock goes with it */
	if (lock->dir >= 0)
		(void)close(lock->dir); /* a folder */
	lock->fd = lock->dir = -1;
}

int source_clean(struct repo *repo, struct err *err)
{
	struct work_lock lock;
	struct err why = {.code = ERR_NONE};
	int rc = hold(&lock, repo, 0, &why);

	if (rc == 0)
		rc = clean(&lock, &why);
	work_lock_release(&lock);
	return rc == 0 || why.code == ERR_RETRY ? 0 : err_set(err, why.code, "%s", why.text);
}

/* --- putting in place --- */

int work_lock_put_index(struct work_lock *lock, struct err *err)
{
	if (fs_sync(lock->dir, OUR_INDEX, err) != 0) /* libgit2 does not */
		return -1;
	if (renameat(lock->dir, OUR_INDEX, lock->dir, "index") != 0)
		return err_sys(err, "%sindex", repo_path(lock->repo));
	return fs_sync(lock->dir, ".", err);
}

static bool logs(const struct work_lock *lock)
{
	git_config *config = NULL;
	int on = 1;

	if (git_repository_config_snapshot(&config, repo_git2(lock->repo)) == 0)
		(void)git_config_get_bool(&on, config, "core.logallrefupdates"); /* else it does */
	git_config_free(config);
	return on;
}

/* A line for people, which nothing depends on. */
static void log_move(const struct work_lock *lock, const char *ref, const struct oid *old,
		     const struct oid *new)
{
	static const struct oid none = {.id = {0}};
	char from[OID_HEX_SIZE], to[OID_HEX_SIZE], *path = text_format("logs/%s", ref);
	char *folder = text_copy(path), *who, *line;
	struct git_signature *now = NULL;
	int fd = -1;

	if (git_signature_now(&now, "muster", "muster@localhost") == 0) {
		who = release_ident(now->name, now->email, now->when.time, now->when.offset);
		line = text_format("%s %s %s\tmuster: moved\n", oid_hex(old ? old : &none, from),
				   oid_hex(new, to), who);
		if (fs_make_dirs(lock->dir, dirname(folder), 0777, NULL) == 0)
			fd = openat(lock->dir, path,
				    O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
		if (fd >= 0) {
			(void)fs_write_all(fd, line, strlen(line),
					   NULL); /* as the comment above says */
			(void)close(fd);                                  /* ditto */
		}
		free(line);
		free(who);
		git_signature_free(now);
	}
	free(folder);
	free(path);
}

int work_lock_move_ref(struct work_lock *lock, const struct oid *old, const struct oid *new,
		       struct err *err)
{
	char hex[OID_HEX_SIZE], *line = text_format("%s\n", oid_hex(new, hex));
	char *folder = text_copy(lock->ref);
	int rc = ref_is_at(lock->repo, lock->ref, old, err);

	if (rc == 0)
		rc = repo_sync_objects(lock->repo, err);
	if (rc == 0)
		rc = fs_write_new(lock->dir, OUR_REF, line, strlen(line), 0644, err);
	if (rc == 0 && renameat(lock->dir, OUR_REF, lock->dir, lock->ref) != 0)
		rc = err_sys(err, "ref %s", lock->ref);
	if (rc == 0)
		rc = fs_sync(lock->dir, dirname(folder), err);
	if (rc == 0 && logs(lock)) {
		log_move(lock, lock->ref, old, new);
		log_move(lock, "HEAD", old, new); /* it is at this branch */
	}
	free(folder);
	free(line);
	return rc;
}
