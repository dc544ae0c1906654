/* The quarantine and the replica: see quarantine.h. */
#include "node/quarantine.h"

#include "core/fs.h"
#include "core/text.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REPLICA "node/replica.git"
#define QUARANTINE "node/quarantine.git"

int replica_open(const struct home *home, struct repo **out, struct err *err)
{
	char *path = home_var(home, REPLICA);
	int rc = repo_init_bare(path, out, err);

	free(path);
	return rc;
}

int replica_unlock(const struct home *home, struct err *err)
{
	char *path = home_var(home, REPLICA);
	struct repo *repo = NULL;
	struct err why = {.code = ERR_NONE};
	int rc = 0;

	/* one that cannot be opened is mended when it is needed */
	if (repo_open(path, &repo, &why) == 0)
		rc = repo_remove_stale_locks(repo, err);
	repo_free(repo);
	free(path);
	return rc;
}

/* Not synced: what a crash leaves of it is removed at start. */
static int put(int dirfd, const char *path, const char *text, struct err *err)
{
	int fd = openat(dirfd, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600), rc;

	if (fd < 0)
		return err_sys(err, "%s", path);
	rc = fs_write_all(fd, text, strlen(text), err);
	if (close(fd) != 0 && rc == 0)
		rc = err_sys(err, "%s", path);
	return rc;
}

static int make_files(int fd, const struct chain_state *chain, struct err *err)
{
	char *ref = text_format("refs/heads/%s", chain->role), *head = text_format("ref: %s\n", ref);
	char hex[OID_HEX_SIZE + 1];
	int rc = fs_make_dirs(fd, "objects/info", 0700, err);

	if (rc == 0)
		rc = fs_make_dirs(fd, "objects/pack", 0700, err);
	if (rc == 0)
		rc = fs_make_dirs(fd, "refs/heads", 0700, err);
	if (rc == 0)
		rc = put(fd, "objects/info/alternates", "../../replica.git/objects\n", err);
	/* no settings: for each that is not url.*.insteadof, libgit2 1.5 loses 20 kB at every fetch */
	if (rc == 0)
		rc = put(fd, "config", "", err);
	if (rc == 0)
		rc = put(fd, "HEAD", head, err);
	if (rc == 0 && chain->has_accepted) {
		(void)oid_hex(&chain->accepted, hex);
		memcpy(hex + OID_HEX, "\n", 2);
		rc = put(fd, ref, hex, err);
	}
	free(ref);
	free(head);
	return rc;
}

int quarantine_open(const struct home *home, struct repo **out, struct err *err)
{
	char *path = home_var(home, QUARANTINE);
	int rc = repo_open(path, out, err);

	free(path);
	return rc;
}

int quarantine_make(const struct home *home, const struct chain_state *chain, struct repo **out,
		    struct err *err)
{
	struct repo *replica = NULL;
	int fd = -1, rc = replica_open(home, &replica, err); /* it is where the alternates point */

	repo_free(replica);
	if (rc == 0)
		rc = quarantine_remove(home, err);
	if (rc == 0)
		rc = fs_make_dirs(home->var_fd, QUARANTINE, 0700, err);
	if (rc == 0)
		rc = fs_open_dir(home->var_fd, QUARANTINE, &fd, err);
	if (rc == 0)
		rc = make_files(fd, chain, err);
	if (fd >= 0)
		(void)close(fd); /* a folder */
	return rc == 0 ? quarantine_open(home, out, err) : -1;
}

/* Renames every file of that ending. An index must not be there before its pack. */
static int move_ending(int from, int to, const char *ending, struct err *err)
{
	int fd = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		rc = err_sys(err, "quarantine");
		if (fd >= 0)
			(void)close(fd); /* only read */
		return rc;
	}
	while (rc == 0 && (entry = readdir(dir)))
		if (text_ends(entry->d_name, ending) &&
		    renameat(from, entry->d_name, to, entry->d_name) != 0)
			rc = err_sys(err, "%s", entry->d_name);
	(void)closedir(dir); /* only read */
	return rc;
}

static int move_packs(const struct home *home, struct err *err)
{
	int from = -1, to = -1;
	int rc = fs_make_dirs(home->var_fd, REPLICA "/objects/pack", 0700, err);

	if (rc == 0)
		rc = fs_open_dir(home->var_fd, QUARANTINE "/objects/pack", &from, err);
	if (rc == 0)
		rc = fs_open_dir(home->var_fd, REPLICA "/objects/pack", &to, err);
	if (rc == 0)
		rc = move_ending(from, to, ".pack", err);
	if (rc == 0)
		rc = move_ending(from, to, ".idx", err);
	if (rc == 0)
		rc = fs_sync(to, ".", err);
	if (from >= 0)
		(void)close(from); /* a folder */
	if (to >= 0)
		(void)close(to); /* a folder */
	return rc;
}

/* Moves the replica's branch; it follows what is accepted, so any older place will do as the old one. */
static int move_branch(struct repo *replica, const char *role, const struct oid *tip, struct err *err)
{
	char *ref = text_format("refs/heads/%s", role);
	struct oid old;
	struct err fault = {0};
	bool has = repo_ref_get(replica, ref, &old, &fault) == 0;
	int rc = 0;

	if (!has && fault.code != ERR_GONE)
		rc = err_set(err, fault.code, "%s", fault.text);
	if (rc == 0 && !(has && oid_equal(&old, tip)))
		rc = repo_ref_set(replica, ref, has ? &old : NULL, tip, err);
	free(ref);
	return rc;
}

int quarantine_release(const struct home *home, const char *role, const struct oid *tip, struct err *err)
{
	struct repo *replica = NULL;
	int rc = move_packs(home, err);

	if (rc == 0)
		rc = replica_open(home, &replica, err);
	if (rc == 0)
		rc = move_branch(replica, role, tip, err);
	repo_free(replica);
	return rc == 0 ? quarantine_remove(home, err) : -1;
}

int quarantine_remove(const struct home *home, struct err *err)
{
	return fs_remove_tree(home->var_fd, QUARANTINE, err);
}
