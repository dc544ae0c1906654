/* Files: see fs.h. */
#include "core/fs.h"

#include "core/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { REMOVE_DEPTH = 256 }; /* folders within each other that fs_remove_tree follows */

int fs_open_dir(int dirfd, const char *path, int *fd, struct err *err)
{
	int got = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (got < 0)
		return err_sys(err, "%s", path);
	*fd = got;
	return 0;
}

/* The folder part of PATH ("." if none), a new string. */
static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return text_copy(".");
	return slash == path ? text_copy("/") : text_copy_n(path, (size_t)(slash - path));
}

static int make_dir(int dirfd, const char *path, mode_t mode, bool keep, struct err *err)
{
	char *folder, *itself;
	int rc;

	if (mkdirat(dirfd, path, mode) != 0)
		return errno == EEXIST ? 0 : err_sys(err, "%s", path);
	if (!keep)
		return 0;
	folder = folder_of(path);
	itself = text_format("%s/.", folder); /* also where a link leads there */
	rc = fs_sync(dirfd, itself, err);
	if (rc != 0) /* or the next try would take it for one that was synced */
		(void)unlinkat(dirfd, path, AT_REMOVEDIR);
	free(itself);
	free(folder);
	return rc;
}

static int make_dirs(int dirfd, const char *path, mode_t mode, bool keep, struct err *err)
{
	char *copy = text_copy(path);
	int rc = 0;

	for (char *p = copy + 1; rc == 0 && *copy; p++) {
		char old = *p;

		if (old != '/' && old != '\0')
			continue;
		*p = '\0';
		rc = make_dir(dirfd, copy, mode, keep, err);
		*p = old;
		if (!old)
			break;
	}
	free(copy);
	return rc;
}

int fs_make_dirs(int dirfd, const char *path, mode_t mode, struct err *err)
{
	return make_dirs(dirfd, path, mode, false, err);
}

int fs_keep_dirs(int dirfd, const char *path, mode_t mode, struct err *err)
{
	return make_dirs(dirfd, path, mode, true, err);
}

static int read_fd(int fd, const char *path, struct buf *out, struct err *err)
{
	struct stat st;
	size_t left;

	if (fstat(fd, &st) != 0)
		return err_sys(err, "%s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_REFUSED, "%s: not a regular file", path);
	if ((uint64_t)st.st_size > out->max || out->len > out->max - (size_t)st.st_size)
		return err_set(err, ERR_REFUSED, "%s: larger than %zu bytes", path, out->max);
	/* one byte more than it says, to see whether it grew; /proc says 0 and is not read here */
	for (left = (size_t)st.st_size; left > 0;) {
		uint8_t *to = buf_reserve(out, left);
		ssize_t n = to ? read(fd, to, left) : -1;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "%s", path);
		if (n == 0)
			return err_set(err, ERR_RETRY, "%s: shrank while it was read", path);
		out->len += (size_t)n;
		out->data[out->len] = '\0';
		left -= (size_t)n;
	}
	return 0;
}

static int read_file(int dirfd, const char *path, int flags, struct buf *out, struct err *err)
{
	/* O_NONBLOCK: a pipe put in place of a file must not stop us */
	int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | flags);
	int rc;

	if (fd < 0)
		return err_sys(err, "%s", path);
	rc = read_fd(fd, path, out, err);
	(void)close(fd); /* only read */
	return rc;
}

int fs_read(int dirfd, const char *path, struct buf *out, struct err *err)
{
	return read_file(dirfd, path, O_NOFOLLOW, out, err);
}

int fs_read_follow(int dirfd, const char *path, struct buf *out, struct err *err)
{
	return read_file(dirfd, path, 0, out, err);
}

int fs_write_all(int fd, const void *data, size_t size, struct err *err)
{
	const uint8_t *at = data;

	while (size > 0) {
		ssize_t n = write(fd, at, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "write");
		at += n;
		size -= (size_t)n;
	}
	return 0;
}

/* SYNC: it is on the disk on return; else its way there begins. */
static int write_new(int dirfd, const char *path, const void *data, size_t size, mode_t mode,
		     bool sync, struct err *err)
{
	int fd = openat(dirfd, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	int rc;

	if (fd < 0)
		return err_sys(err, "%s", path);
	rc = fs_write_all(fd, data, size, err);
	if (rc != 0)
		(void)err_prefix(err, "%s", path);
	/* the mode asked for, whatever the umask */
	if (rc == 0 && (fchmod(fd, mode) != 0 || (sync && fsync(fd) != 0)))
		rc = err_sys(err, "%s", path);
	if (rc == 0 && !sync)
		(void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE); /* a hint */
	if (close(fd) != 0 && rc == 0)
		rc = err_sys(err, "%s", path);
	if (rc != 0)
		(void)unlinkat(dirfd, path, 0); /* what is left is of no use */
	return rc;
}

int fs_write_new(int dirfd, const char *path, const void *data, size_t size, mode_t mode,
		 struct err *err)
{
	return write_new(dirfd, path, data, size, mode, true, err);
}

int fs_write_unsynced(int dirfd, const char *path, const void *data, size_t size, mode_t mode,
		      struct err *err)
{
	return write_new(dirfd, path, data, size, mode, false, err);
}

int fs_sync(int dirfd, const char *path, struct err *err)
{
	int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	int rc = 0;

	if (fd < 0)
		return err_sys(err, "%s", path);
	if (fsync(fd) != 0)
		rc = err_sys(err, "sync %s", path);
	(void)close(fd); /* synced above */
	return rc;
}

/* A name beside PATH that no one else has, a new string. */
static char *temporary_name(const char *path)
{
	uint64_t number = 0;

	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		abort();
	return text_format("%s.%016llx.tmp", path, (unsigned long long)number);
}

int fs_replace(int dirfd, const char *path, const void *data, size_t size, mode_t mode,
	       struct err *err)
{
	char *name = temporary_name(path);
	int rc = fs_write_new(dirfd, name, data, size, mode, err);

	if (rc == 0 && renameat(dirfd, name, dirfd, path) != 0) {
		rc = err_sys(err, "%s", path);
		(void)unlinkat(dirfd, name, 0); /* the old one stays */
	}
	free(name);
	return rc;
}

int fs_write_atomic(int dirfd, const char *path, const void *data, size_t size, mode_t mode,
		    struct err *err)
{
	char *folder = folder_of(path);
	int rc = fs_replace(dirfd, path, data, size, mode, err);

	if (rc == 0)
		rc = fs_sync(dirfd, folder, err);
	free(folder);
	return rc;
}

int fs_swap_link(int dirfd, const char *link, const char *target, struct err *err)
{
	char *name = temporary_name(link), *folder = folder_of(link);
	int rc = 0;

	if (symlinkat(target, dirfd, name) != 0)
		rc = err_sys(err, "%s", name);
	else if (renameat(dirfd, name, dirfd, link) != 0) {
		rc = err_sys(err, "%s", link);
		(void)unlinkat(dirfd, name, 0); /* the old one stays */
	}
	if (rc == 0)
		rc = fs_sync(dirfd, folder, err);
	free(name);
	free(folder);
	return rc;
}

int fs_read_link(int dirfd, const char *path, char *out, size_t size, struct err *err)
{
	ssize_t n = readlinkat(dirfd, path, out, size);

	if (n < 0)
		return err_sys(err, "%s", path);
	if ((size_t)n >= size)
		return err_set(err, ERR_REFUSED, "%s: link is too long", path);
	out[n] = '\0';
	return 0;
}

static int remove_tree(int dirfd, const char *path, unsigned depth, struct err *err)
{
	int fd, rc = 0;
	DIR *dir;
	struct dirent *entry;

	if (unlinkat(dirfd, path, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return err_sys(err, "%s", path);
	if (depth == 0)
		return err_set(err, ERR_REFUSED, "%s: too many folders within each other", path);
	fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "%s", path);
	dir = fdopendir(fd);
	if (!dir) {
		rc = err_sys(err, "%s", path);
		(void)close(fd); /* only read */
		return rc;
	}
	while (rc == 0 && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			rc = remove_tree(fd, entry->d_name, depth - 1, err);
	(void)closedir(dir); /* only read */
	if (rc == 0 && unlinkat(dirfd, path, AT_REMOVEDIR) != 0 && errno != ENOENT)
		rc = err_sys(err, "%s", path);
	return rc;
}

int fs_remove_tree(int dirfd, const char *path, struct err *err)
{
	return remove_tree(dirfd, path, REMOVE_DEPTH, err);
}

/* Whether NAME is one that temporary_name makes. */
static bool is_temporary(const char *name)
{
	size_t n = strlen(name), tail = strlen(".0123456789abcdef.tmp");

	return n > tail && name[n - tail] == '.' && strcmp(name + n - 4, ".tmp") == 0 &&
	       strspn(name + n - tail + 1, "0123456789abcdef") == 16;
}

int fs_remove_temporary(int dirfd, const char *folder, struct err *err)
{
	int fd = openat(dirfd, folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), rc = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		if (fd < 0 && errno == ENOENT)
			return 0;
		rc = err_sys(err, "%s", folder);
		if (fd >= 0)
			(void)close(fd); /* only read */
		return rc;
	}
	while (rc == 0 && (entry = readdir(dir)))
		if (is_temporary(entry->d_name) && unlinkat(fd, entry->d_name, 0) != 0 &&
		    errno != ENOENT && errno != EISDIR)
			rc = err_sys(err, "%s/%s", folder, entry->d_name);
	(void)closedir(dir); /* only read */
	return rc;
}

bool fs_is_memory(int fd)
{
	struct statfs st;

	return fstatfs(fd, &st) == 0 &&
	       (st.f_type == TMPFS_MAGIC || st.f_type == (__fsword_t)RAMFS_MAGIC);
}
