/* Revisions: see revision.h. */
#include "node/revision.h"

#include "core/fs.h"
#include "core/limits.h"
#include "repo/git.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REVISIONS "node/revisions"
#define CURRENT "node/current"
#define RELEASE_FILE "release"
#define INIT_PREFIX "init-"

void revision_init_name(const struct fileset *files, char out[static REVISION_NAME_MAX])
{
	uint8_t digest[DIGEST_SIZE];
	char hex[DIGEST_HEX_SIZE];

	digest_fileset(files, digest);
	(void)snprintf(out, REVISION_NAME_MAX, INIT_PREFIX "%s",
		       digest_hex(digest, hex)); /* fits */
}

/* TEMPORARY takes the place of NAME, and what was there is removed. */
static int put_in_place(int revisions, const char *temporary, const char *name, struct err *err)
{
	if (renameat2(revisions, temporary, revisions, name, RENAME_EXCHANGE) == 0) {
		if (fs_sync(revisions, ".", err) != 0)
			return -1;
		return fs_remove_tree(revisions, temporary, err);
	}
	/* nothing is there, or the file system cannot do it */
	if (errno != ENOENT && errno != EINVAL && errno != ENOSYS)
		return err_sys(err, "%s", name);
	if (fs_remove_tree(revisions, name, err) != 0)
		return -1;
	return renameat(revisions, temporary, revisions, name) == 0 ? 0 : err_sys(err, "%s", name);
}

/* Writes all of it into a new folder beside, and gives it its name last. */
static int write_folder(int revisions, const char *name, const struct fileset *files,
			const void *raw, size_t raw_size, struct err *err)
{
	char *temporary = text_format("%s.tmp", name);
	int fd = -1, rc = fs_remove_tree(revisions, temporary, err);

	if (rc == 0 && mkdirat(revisions, temporary, 0700) != 0)
		rc = err_sys(err, "%s", temporary);
	if (rc == 0)
		rc = fs_open_dir(revisions, temporary, &fd, err);
	if (rc == 0 && raw)
		rc = fs_write_new(fd, RELEASE_FILE, raw, raw_size, 0600, err);
	if (rc == 0)
		rc = fileset_write_dir(files, fd, err);
	if (rc == 0)
		rc = put_in_place(revisions, temporary, name, err);
	if (rc == 0)
		rc = fs_sync(revisions, ".", err);
	if (fd >= 0)
		(void)close(fd); /* a folder */
	free(temporary);
	return rc;
}

int revision_write(const struct home *home, const char *name, const struct fileset *files,
		   const void *raw, size_t raw_size, struct err *err)
{
	int revisions = -1, rc = fs_keep_dirs(home->var_fd, REVISIONS, 0700, err);

	if (rc == 0)
		rc = fs_open_dir(home->var_fd, REVISIONS, &revisions, err);
	if (rc == 0)
		rc = write_folder(revisions, name, files, raw, raw_size, err);
	if (revisions >= 0)
		(void)close(revisions); /* a folder */
	return rc;
}

/* Takes the file `release` out of the files and parses it. */
static int take_release(struct revision *revision, struct err *err)
{
	struct fileset *files = &revision->files;
	const struct file *file = fileset_find(files, RELEASE_FILE);
	size_t at;
	struct oid oid;

	if (!file)
		return err_set(err, ERR_CORRUPT, "it has no signed release");
	at = (size_t)(file - files->files);
	if (repo_commit_id(file->data, file->size, &oid, err) != 0 ||
	    release_parse(file->data, file->size, &revision->release, err) != 0)
		return -1;
	if (!oid_equal(&oid, &revision->oid))
		return err_set(err, ERR_CORRUPT, "its signed release is another one");
	free(files->files[at].path);
	revision->raw = files->files[at].data;
	revision->raw_size = files->files[at].size;
	memmove(files->files + at, files->files + at + 1,
		(files->count - at - 1) * sizeof(*files->files));
	files->count--;
	return 0;
}

static int verify_release(struct revision *revision, const struct node_state *state,
			  struct err *err)
{
	uint8_t digest[DIGEST_SIZE];
	const struct release *release = &revision->release;

	if (take_release(revision, err) != 0)
		return -1;
	if (!node_state_accepted(state, &revision->oid))
		return err_set(err, ERR_CORRUPT, "this node never accepted that release");
	if (memcmp(release->cluster_id, state->chain.cluster_id, CLUSTER_ID_SIZE) != 0)
		return err_set(err, ERR_CORRUPT, "its release is of another cluster");
	if (strcmp(release->role, state->chain.role) != 0)
		return err_set(err, ERR_CORRUPT, "its release is of role %s", release->role);
	digest_fileset(&revision->files, digest);
	if (memcmp(digest, release->digest, DIGEST_SIZE) != 0)
		return err_set(err, ERR_CORRUPT, "its files do not have the digest of the release");
	return 0;
}

static int verify_init(struct revision *revision, struct err *err)
{
	char name[REVISION_NAME_MAX];

	revision_init_name(&revision->files, name);
	if (strcmp(name, revision->name) != 0)
		return err_set(err, ERR_CORRUPT, "its files are not those that were staged");
	return 0;
}

int revision_read(const struct home *home, const char *name, const struct node_state *state,
		  struct revision *out, struct err *err)
{
	struct revision revision = {.is_init = text_starts(name, INIT_PREFIX)};
	char *path = text_format(REVISIONS "/%s", name);
	struct stat st;
	int fd = -1, rc = 0;

	if (strlen(name) >= sizeof(revision.name) || strchr(name, '/') ||
	    (!revision.is_init && oid_parse(name, &revision.oid) != 0))
		rc = err_set(err, ERR_CORRUPT, "\"%.80s\" is no name of a revision", name);
	if (rc == 0) {
		memcpy(revision.name, name, strlen(name) + 1);
		rc = fs_open_dir(home->var_fd, path, &fd, err);
		if (rc != 0 && fstatat(home->var_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    !S_ISDIR(st.st_mode))
			err->code = ERR_CORRUPT; /* whatever else was put there */
	}
	if (rc == 0)
		rc = fileset_read_dir(&revision.files, fd, err);
	if (rc == 0)
		rc = revision.is_init ? verify_init(&revision, err)
				      : verify_release(&revision, state, err);
	if (fd >= 0)
		(void)close(fd); /* only read */
	if (rc == 0)
		*out = revision;
	else
		revision_clear(&revision);
	free(path);
	return rc == 0 ? 0 : err_prefix(err, "revision %.12s", name);
}

void revision_clear(struct revision *revision)
{
	release_clear(&revision->release);
	fileset_clear(&revision->files);
	free(revision->raw);
	*revision = (struct revision){0};
}

int revision_current(const struct home *home, char out[static REVISION_NAME_MAX], struct err *err)
{
	char target[sizeof("revisions/") + REVISION_NAME_MAX];
	struct stat st;

	if (fstatat(home->var_fd, CURRENT, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISLNK(st.st_mode))
		return err_set(err, ERR_CORRUPT, "%s/" CURRENT " is no link any more", home->var);
	if (fs_read_link(home->var_fd, CURRENT, target, sizeof(target), err) != 0) {
		if (err->code != ERR_GONE && err->code != ERR_REFUSED)
			err->code = ERR_CORRUPT; /* a file or folder in its place */
		return -1;
	}
	if (!text_starts(target, "revisions/") ||
	    strlen(target) >= strlen("revisions/") + REVISION_NAME_MAX)
		return err_set(err, ERR_CORRUPT, "%s/" CURRENT " leads to %s", home->var, target);
	memcpy(out, target + strlen("revisions/"), strlen(target) - strlen("revisions/") + 1);
	return 0;
}

int revision_swap(const struct home *home, const char *name, struct err *err)
{
	char *target = text_format("revisions/%s", name);
	struct stat st;
	int rc = 0;

	/* a folder that another hand put there is in the way of the rename */
	if (fstatat(home->var_fd, CURRENT, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
		rc = fs_remove_tree(home->var_fd, CURRENT, err);
	if (rc == 0)
		rc = fs_swap_link(home->var_fd, CURRENT, target, err); /* the point of no return */

	free(target);
	return rc;
}

/* --- what is kept --- */

static int remove_revision(int revisions, const char *name, struct err *err)
{
	char *temporary = text_format("%s.tmp", name);
	int rc = fs_remove_tree(revisions, temporary, err);

	/* under another name first: what is half removed must not look like a revision */
	if (rc == 0 && renameat(revisions, name, revisions, temporary) != 0)
		rc = errno == ENOENT ? 0 : err_sys(err, "revision %.12s", name);
	if (rc == 0)
		rc = fs_remove_tree(revisions, temporary, err);
	free(temporary);
	return rc;
}

/* The current one in OUT; "" when there is none that is ours. */
static void current_name(const struct home *home, char out[static REVISION_NAME_MAX])
{
	struct err err;

	if (revision_current(home, out, &err) != 0)
		out[0] = '\0';
}

static int prune(const struct home *home, int revisions, const struct node_state *state,
		 size_t count, const char *keep, struct err *err)
{
	char current[REVISION_NAME_MAX];
	size_t there = 0;
	int rc = 0;

	current_name(home, current);
	for (size_t i = 0; rc == 0 && i < state->log_count; i++) {
		char name[OID_HEX_SIZE];

		(void)oid_hex(&state->log[i].release, name);
		if (faccessat(revisions, name, F_OK, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		if (++there > count && strcmp(name, current) != 0 &&
		    strcmp(name, state->active) != 0 && strcmp(name, state->here.release) != 0 &&
		    strcmp(name, state->pinned.release) != 0 && strcmp(name, state->joined) != 0 &&
		    !(keep && strcmp(name, keep) == 0))
			rc = remove_revision(revisions, name, err);
	}
	return rc;
}

int revision_prune(const struct home *home, const struct node_state *state, size_t count,
		   const char *keep, struct err *err)
{
	int revisions, rc;

	if (fs_open_dir(home->var_fd, REVISIONS, &revisions, err) != 0)
		return err->code == ERR_GONE ? 0 : -1;
	rc = prune(home, revisions, state, count, keep, err);
	(void)close(revisions); /* a folder */
	return rc;
}

/* Whether a name in the folder is nothing that anyone may still want. */
static bool is_left_over(const char *name, const struct node_state *state, const char *current)
{
	struct oid oid;

	if (text_ends(name, ".tmp"))
		return true;
	return oid_parse(name, &oid) == 0 && !node_state_accepted(state, &oid) &&
	       strcmp(name, current) != 0;
}

static int remove_left_over(const struct home *home, int revisions, const struct node_state *state,
			    struct err *err)
{
	char current[REVISION_NAME_MAX];
	int fd = openat(revisions, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		rc = err_sys(err, REVISIONS);
		if (fd >= 0)
			(void)close(fd); /* only read */
		return rc;
	}
	current_name(home, current);
	while (rc == 0 && (entry = readdir(dir)))
		if (is_left_over(entry->d_name, state, current))
			rc = fs_remove_tree(revisions, entry->d_name, err);
	(void)closedir(dir); /* only read */
	return rc;
}

int revision_clean(const struct home *home, const struct node_state *state, size_t count,
		   struct err *err)
{
	int revisions, rc;

	if (fs_open_dir(home->var_fd, REVISIONS, &revisions, err) != 0)
		return err->code == ERR_GONE ? 0 : -1;
	rc = remove_left_over(home, revisions, state, err);
	if (rc == 0)
		rc = prune(home, revisions, state, count, NULL, err);
	(void)close(revisions); /* a folder */
	return rc;
}
