/* The quarantine and the replica: see quarantine.h. */
#include "node/quarantine.h"

#include "core/fs.h"
#include "core/text.h"
#include "repo/pack.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REPLICA "node/replica.git"
#define QUARANTINE "node/quarantine.git"
#define ALTERNATES "../../replica.git/objects\n"

int replica_open(const struct home *home, struct repo **out, struct err *err)
{
	char *path = home_var(home, REPLICA);
	int rc = repo_init_bare(path, out, err);

	free(path);
	return rc;
}

int replica_clean(const struct home *home, struct err *err)
{
	char *path = home_var(home, REPLICA);
	struct repo *repo = NULL;
	struct err why = {.code = ERR_NONE};
	int rc = 0;

	if (faccessat(home->var_fd, REPLICA "/objects/pack", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		rc = pack_clean(path, 0, err); /* nobody else writes there */
	/* one that cannot be opened is mended when it is needed */
	if (rc == 0 && repo_open(path, &repo, &why) == 0)
		rc = repo_remove_stale_locks(repo, err);
	repo_free(repo);
	free(path);
	return rc;
}

struct tidy *replica_tidy(uv_loop_t *loop, const struct home *home)
{
	char *path = home_var(home, REPLICA);
	struct tidy *tidy = tidy_new(loop, path);

	free(path);
	return tidy;
}

/* Not synced: what a crash leaves of it is removed at start. */
static int put(int dirfd, const char *path, const char *text, struct err *err)
{
	int fd = openat(dirfd, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600),
	    rc;

	if (fd < 0)
		return err_sys(err, "%s", path);
	rc = fs_write_all(fd, text, strlen(text), err);
	if (close(fd) != 0 && rc == 0)
		rc = err_sys(err, "%s", path);
	return rc;
}

/*
 * HEAD comes last: where it is, the rest is. It names a branch that is never there, as in any bare
 * repository.
 */
static int make_files(int fd, struct err *err)
{
	int rc = fs_make_dirs(fd, "objects/info", 0700, err);

	if (rc == 0)
		rc = fs_make_dirs(fd, "objects/pack", 0700, err);
	if (rc == 0)
		rc = fs_make_dirs(fd, "refs/heads", 0700, err);
	if (rc == 0)
		rc = put(fd, "objects/info/alternates", ALTERNATES, err);
	/*
	 * no settings: for each that is not url.*.insteadof, libgit2 1.5 loses 20 kB at every fetch
	 */
	if (rc == 0)
		rc = put(fd, "config", "", err);
	if (rc == 0)
		rc = put(fd, "HEAD", "ref: refs/heads/main\n", err);
	return rc;
}

static bool is_one_of(const char *name, const char *const *names)
{
	while (*names && strcmp(*names, name) != 0)
		names++;
	return *names != NULL;
}

/* Removes all of a folder but what NAMES lists. */
static int empty_but(int dirfd, const char *folder, const char *const *names, struct err *err)
{
	int fd = openat(dirfd, folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), rc = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		rc = err_sys(err, "quarantine: %s", folder);
		if (fd >= 0)
			(void)close(fd); /* only read */
		return rc;
	}
	while (rc == 0 && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
		    !is_one_of(entry->d_name, names))
			rc = fs_remove_tree(fd, entry->d_name, err);
	(void)closedir(dir); /* only read */
	return rc;
}

/*
 * The one of the last fetch, without anything that it brought: what was refused then must not help
 * what comes now.
 */
static int empty_old(int fd, struct err *err)
{
	static const char *const objects[] = {"info", "pack", NULL},
				 *const info[] = {"alternates", NULL},
				 *const refs[] = {"heads", NULL}, *const none[] = {NULL};
	int rc = empty_but(fd, "objects", objects, err);

	if (rc == 0)
		rc = empty_but(fd, "objects/info", info, err);
	if (rc == 0)
		rc = empty_but(fd, "objects/pack", none, err);
	if (rc == 0)
		rc = empty_but(fd, "refs", refs, err);
	if (rc == 0)
		rc = empty_but(fd, "refs/heads", none, err);
	return rc;
}

/* What libgit2 says it has when it asks for more. */
static int put_ref(int fd, const struct chain_state *chain, struct err *err)
{
	char *ref, hex[OID_HEX_SIZE + 1];
	int rc;

	if (!chain->has_accepted)
		return 0;
	ref = text_format("refs/heads/%s", chain->role);
	(void)oid_hex(&chain->accepted, hex);
	memcpy(hex + OID_HEX, "\n", 2);
	rc = put(fd, ref, hex, err);
	free(ref);
	return rc;
}

static int open_made(const struct home *home, int fd, const struct chain_state *chain,
		     struct repo **out, struct err *err)
{
	char *path = home_var(home, QUARANTINE);
	int rc = put_ref(fd, chain, err);

	if (rc == 0)
		rc = repo_open(path, out, err);
	free(path);
	return rc;
}

/* Whether its alternates are the replica and nothing else. */
static bool is_beside_replica(int fd)
{
	struct buf text;
	struct err why;
	bool is;

	buf_init(&text, sizeof(ALTERNATES));
	is = fs_read(fd, "objects/info/alternates", &text, &why) == 0 &&
	     strcmp(buf_text(&text), ALTERNATES) == 0;
	buf_clear(&text);
	return is;
}

/*
 * The one that is there. Whatever is wrong with it (a full disk, a removal that was cut short), a
 * new one is made instead.
 */
static int use_again(const struct home *home, const struct chain_state *chain, struct repo **out)
{
	struct err why;
	int fd, rc;

	if (faccessat(home->var_fd, QUARANTINE "/HEAD", F_OK, AT_SYMLINK_NOFOLLOW) != 0 ||
	    fs_open_dir(home->var_fd, QUARANTINE, &fd, &why) != 0)
		return -1;
	rc = is_beside_replica(fd) ? empty_old(fd, &why) : -1;
	if (rc == 0)
		rc = open_made(home, fd, chain, out, &why);
	(void)close(fd); /* a folder */
	return rc;
}

static int make_new(const struct home *home, const struct chain_state *chain, struct repo **out,
		    struct err *err)
{
	int fd = -1, rc = quarantine_remove(home, err);

	if (rc == 0)
		rc = fs_make_dirs(home->var_fd, QUARANTINE, 0700, err);
	if (rc == 0)
		rc = fs_open_dir(home->var_fd, QUARANTINE, &fd, err);
	if (rc == 0)
		rc = make_files(fd, err);
	if (rc == 0)
		rc = open_made(home, fd, chain, out, err);
	if (fd >= 0)
		(void)close(fd); /* a folder */
	return rc;
}

int quarantine_make(const struct home *home, const struct chain_state *chain, struct repo **out,
		    struct err *err)
{
	char *replica = home_var(home, REPLICA);
	int rc = repo_make_bare(replica, err); /* it is where the alternates point */

	free(replica);
	if (rc == 0 && use_again(home, chain, out) != 0)
		rc = make_new(home, chain, out, err);
	return rc;
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

/*
 * By a lock file, as git does it; nobody else writes here, so one that is there is left from a
 * kill.
 */
int quarantine_branch(const struct home *home, const char *role, const struct oid *tip,
		      struct err *err)
{
	char *ref = text_format(REPLICA "/refs/heads/%s", role),
	     *lock = text_format("%s.lock", ref);
	char hex[OID_HEX_SIZE + 1];
	int rc = 0;

	(void)oid_hex(tip, hex);
	memcpy(hex + OID_HEX, "\n", 2);
	rc = fs_make_dirs(home->var_fd, REPLICA "/refs/heads", 0700, err);
	/* a folder in its place is not ours */
	if (rc == 0 && unlinkat(home->var_fd, ref, AT_REMOVEDIR) != 0 && errno != ENOTDIR &&
	    errno != ENOENT)
		rc = fs_remove_tree(home->var_fd, ref, err);
	if (rc == 0 && unlinkat(home->var_fd, lock, 0) != 0 && errno != ENOENT)
		rc = err_sys(err, "%s", lock);
	if (rc == 0)
		rc = fs_write_new(home->var_fd, lock, hex, strlen(hex), 0600, err);
	if (rc == 0 && renameat(home->var_fd, lock, home->var_fd, ref) != 0)
		rc = err_sys(err, "%s", ref);
	free(lock);
	free(ref);
	return rc;
}

int quarantine_release(const struct home *home, const char *role, const struct oid *tip,
		       struct err *err)
{
	int rc = move_packs(home, err);

	return rc == 0 ? quarantine_branch(home, role, tip, err) : rc;
}

int quarantine_remove(const struct home *home, struct err *err)
{
	/* HEAD first: where it is, the rest is, also when the disk fails in the middle */
	if (unlinkat(home->var_fd, QUARANTINE "/HEAD", 0) != 0 && errno != ENOENT &&
	    errno != ENOTDIR)
		return err_sys(err, QUARANTINE);
	return fs_remove_tree(home->var_fd, QUARANTINE, err);
}
