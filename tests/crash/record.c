/*
 * Records what a program does to files, with the data, for a replay of what a power cut leaves of
 * it (powercut.c). The program is started with this library preloaded:
 *
 *	RECORD_LOG=FILE		is appended to; several processes may share it
 *	RECORD_BELOW=FOLDER	only what is below it counts
 *
 * Each change is made and written down under one lock, so that the record has the order in which
 * they happened. What is written through a mapping is written down when that is synced or unmapped.
 * What libc does behind these functions (stdio, system calls made by hand) is not seen: the replay
 * of all of it is compared with the real folder, so that this cannot go unnoticed.
 */
#include "record.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MAPPINGS_MAX = 256 };

struct mapping {
	void *at;
	size_t size;
	off64_t offset;
	int fd; /* a duplicate: the program may close its own */
};

static char below[PATH_MAX];
static size_t below_size;
static int log_fd = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct mapping mappings[MAPPINGS_MAX];

static void after_fork(void)
{
	/* another thread may have had it */
	lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
}

__attribute__((constructor)) static void setup(void)
{
	const char *text = getenv("RECORD_BELOW");

	(void)snprintf(below, sizeof(below), "%s/", text ? text : "/nonexistent");
	below_size = strlen(below);
	text = getenv("RECORD_LOG");
	if (text)
		log_fd = (int)syscall(SYS_openat, AT_FDCWD, text,
				      O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	(void)pthread_atfork(NULL, NULL, after_fork);
}

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name)
{
	void *found = dlsym(RTLD_NEXT, name);

	if (!found)
		abort();
	return found;
}

/* --- where --- */

static bool path_of_fd(int fd, char out[static PATH_MAX])
{
	static const char deleted[] = " (deleted)";
	char link[64];
	ssize_t n;

	if (fd == AT_FDCWD)
		return getcwd(out, PATH_MAX) != NULL;
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, out, PATH_MAX - 1);
	if (n < 0)
		return false;
	out[n] = '\0';
	return (size_t)n < sizeof(deleted) || strcmp(out + n - (sizeof(deleted) - 1), deleted) != 0;
}

/*
 * The path below the folder, without "." and doubled slashes; PATH may be NULL, then it is the
 * descriptor's own.
 */
static bool place(int fd, const char *path, char out[static 2 * PATH_MAX])
{
	char folder[PATH_MAX], full[2 * PATH_MAX], *to = out;
	const char *at;

	if (path && path[0] == '/')
		(void)snprintf(full, sizeof(full), "%s", path);
	else if (!path_of_fd(fd, folder))
		return false;
	else
		(void)snprintf(full, sizeof(full), path ? "%s/%s" : "%s", folder, path);
	if (strcmp(full, below) == 0 ||
	    (strncmp(full, below, below_size - 1) == 0 && full[below_size - 1] == '\0')) {
		(void)snprintf(out, 2 * PATH_MAX, "."); /* the folder itself */
		return true;
	}
	if (strncmp(full, below, below_size) != 0)
		return false;
	for (at = full + below_size; *at;) {
		size_t n = strcspn(at, "/");

		if (n > 0 && !(n == 1 && at[0] == '.')) {
			if (to != out)
				*to++ = '/';
			memcpy(to, at, n);
			to += n;
		}
		at += n + (at[n] == '/');
	}
	if (to == out)
		*to++ = '.';
	*to = '\0';
	return true;
}

/* --- writing down --- */

static void put(enum record_kind kind, const char *path, const char *other, mode_t mode,
		off64_t offset, const void *data, size_t size)
{
	struct record record = {.magic = RECORD_MAGIC,
				.kind = kind,
				.mode = mode & 07777,
				.path_size = (uint32_t)strlen(path),
				.other_size = other ? (uint32_t)strlen(other) : 0,
				.offset = (uint64_t)offset,
				.size = size};
	struct iovec parts[] = {{&record, sizeof(record)},
				{(void *)(uintptr_t)path, record.path_size},
				{(void *)(uintptr_t)other, record.other_size},
				{(void *)(uintptr_t)data, size}};
	ssize_t whole = (ssize_t)(sizeof(record) + record.path_size + record.other_size + size);

	if (log_fd >= 0 && syscall(SYS_writev, log_fd, parts, 4) != whole)
		abort(); /* a record that is not complete proves nothing */
}

static void take_lock(void)
{
	(void)pthread_mutex_lock(&lock);
	if (log_fd >= 0)
		(void)flock(log_fd, LOCK_EX);
}

/* Keeps errno. */
static void give_lock(void)
{
	int saved = errno;

	if (log_fd >= 0)
		(void)flock(log_fd, LOCK_UN);
	(void)pthread_mutex_unlock(&lock);
	errno = saved;
}

/* --- opening --- */

static mode_t mode_of(int flags, va_list ap)
{
	return flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;
}

static int open_at(int dirfd, const char *path, int flags, mode_t mode)
{
	char where[2 * PATH_MAX];
	struct stat64 st;
	bool was;
	int fd;

	if ((flags & (O_CREAT | O_TRUNC)) == 0 || !place(dirfd, path, where))
		return (int)syscall(SYS_openat, dirfd, path, flags, mode);
	take_lock();
	was = fstatat64(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
	fd = (int)syscall(SYS_openat, dirfd, path, flags, mode);
	if (fd >= 0 && fstat64(fd, &st) == 0) {
		if (!was)
			put(RECORD_CREATE, where, NULL, st.st_mode, 0, NULL, 0);
		else if (flags & O_TRUNC)
			put(RECORD_TRUNCATE, where, NULL, 0, 0, NULL, 0);
	}
	give_lock();
	return fd;
}

#define OPEN(name)                                                                                 \
	int name(const char *path, int flags, ...)                                                 \
	{                                                                                          \
		va_list ap;                                                                        \
		mode_t mode;                                                                       \
                                                                                                   \
		va_start(ap, flags);                                                               \
		mode = mode_of(flags, ap);                                                         \
		va_end(ap);                                                                        \
		return open_at(AT_FDCWD, path, flags, mode);                                       \
	}
#define OPENAT(name)                                                                               \
	int name(int fd, const char *path, int flags, ...)                                         \
	{                                                                                          \
		va_list ap;                                                                        \
		mode_t mode;                                                                       \
                                                                                                   \
		va_start(ap, flags);                                                               \
		mode = mode_of(flags, ap);                                                         \
		va_end(ap);                                                                        \
		return open_at(fd, path, flags, mode);                                             \
	}
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

/* What _FORTIFY_SOURCE makes of them. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int fd, const char *path, int flags);
int __openat64_2(int fd, const char *path, int flags);

int __open_2(const char *path, int flags)
{
	return open_at(AT_FDCWD, path, flags, 0);
}

int __open64_2(const char *path, int flags)
{
	return open_at(AT_FDCWD, path, flags, 0);
}

int __openat_2(int fd, const char *path, int flags)
{
	return open_at(fd, path, flags, 0);
}

int __openat64_2(int fd, const char *path, int flags)
{
	return open_at(fd, path, flags, 0);
}

int creat(const char *path, mode_t mode)
{
	return open_at(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

static int made_temporary(int fd, const char *path)
{
	char where[2 * PATH_MAX];

	if (fd >= 0 && place(AT_FDCWD, path, where))
		put(RECORD_CREATE, where, NULL, 0600, 0, NULL, 0);
	return fd;
}

int mkstemp(char *path)
{
	int fd;

	take_lock();
	fd = made_temporary(REAL(mkstemp)(path), path);
	give_lock();
	return fd;
}

int mkstemp64(char *path)
{
	int fd;

	take_lock();
	fd = made_temporary(REAL(mkstemp64)(path), path);
	give_lock();
	return fd;
}

int mkostemp(char *path, int flags)
{
	int fd;

	take_lock();
	fd = made_temporary(REAL(mkostemp)(path, flags), path);
	give_lock();
	return fd;
}

/* --- writing --- */

/* AT: -1 where the file's position says. */
static ssize_t write_at(int fd, const void *data, size_t size, off64_t at)
{
	char where[2 * PATH_MAX];
	ssize_t n;

	if (!place(fd, NULL, where))
		return at < 0 ? syscall(SYS_write, fd, data, size)
			      : syscall(SYS_pwrite64, fd, data, size, at);
	take_lock();
	n = at < 0 ? syscall(SYS_write, fd, data, size) : syscall(SYS_pwrite64, fd, data, size, at);
	/* after the write the position is behind it, with O_APPEND as well */
	if (n > 0)
		put(RECORD_WRITE, where, NULL, 0, at < 0 ? lseek64(fd, 0, SEEK_CUR) - n : at, data,
		    (size_t)n);
	give_lock();
	return n;
}

ssize_t write(int fd, const void *data, size_t size)
{
	return write_at(fd, data, size, -1);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at)
{
	return write_at(fd, data, size, at);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at)
{
	return write_at(fd, data, size, at);
}

/* One part of it: that is allowed, and whoever calls it goes on. */
ssize_t writev(int fd, const struct iovec *parts, int count)
{
	char where[2 * PATH_MAX];

	if (!place(fd, NULL, where))
		return syscall(SYS_writev, fd, parts, count);
	while (count > 1 && parts->iov_len == 0) {
		parts++;
		count--;
	}
	return count > 0 ? write_at(fd, parts->iov_base, parts->iov_len, -1) : 0;
}

static int truncate_fd(int fd, off64_t size)
{
	char where[2 * PATH_MAX];
	int rc;

	take_lock();
	rc = (int)syscall(SYS_ftruncate, fd, size);
	if (rc == 0 && place(fd, NULL, where))
		put(RECORD_TRUNCATE, where, NULL, 0, size, NULL, 0);
	give_lock();
	return rc;
}

int ftruncate(int fd, off_t size)
{
	return truncate_fd(fd, size);
}

int ftruncate64(int fd, off64_t size)
{
	return truncate_fd(fd, size);
}

/* --- mappings --- */

static void *map(void *at, size_t size, int prot, int flags, int fd, off64_t offset)
{
	void *got = (void *)syscall(SYS_mmap, at, size, prot, flags, fd, offset);
	char where[2 * PATH_MAX];

	if (got == MAP_FAILED || fd < 0 || !(flags & MAP_SHARED) || !(prot & PROT_WRITE) ||
	    !place(fd, NULL, where))
		return got;
	take_lock();
	for (int i = 0; i < MAPPINGS_MAX; i++)
		if (!mappings[i].size) {
			mappings[i] =
				(struct mapping){got, size, offset, fcntl(fd, F_DUPFD_CLOEXEC, 3)};
			give_lock();
			return got;
		}
	abort();
}

void *mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset)
{
	return map(at, size, prot, flags, fd, offset);
}

void *mmap64(void *at, size_t size, int prot, int flags, int fd, off64_t offset)
{
	return map(at, size, prot, flags, fd, offset);
}

/* Writes down what a mapping holds now, up to the end of its file. */
static void put_mapping(const struct mapping *mapping)
{
	char where[2 * PATH_MAX];
	struct stat64 st;
	size_t size = mapping->size;

	if (!place(mapping->fd, NULL, where) || fstat64(mapping->fd, &st) != 0 ||
	    st.st_size <= mapping->offset)
		return;
	if ((off64_t)size > st.st_size - mapping->offset)
		size = (size_t)(st.st_size - mapping->offset);
	put(RECORD_WRITE, where, NULL, 0, mapping->offset, mapping->at, size);
}

int munmap(void *at, size_t size)
{
	take_lock();
	for (int i = 0; i < MAPPINGS_MAX; i++)
		if (mappings[i].size && mappings[i].at == at) {
			put_mapping(mappings + i);
			(void)syscall(SYS_close, mappings[i].fd);
			mappings[i].size = 0;
		}
	give_lock();
	return (int)syscall(SYS_munmap, at, size);
}

/* --- syncing --- */

static int sync_fd(long number, int fd)
{
	char where[2 * PATH_MAX], other[2 * PATH_MAX];
	int rc;

	if (!place(fd, NULL, where))
		return (int)syscall(number, fd);
	take_lock();
	/* what stands in a mapping of the file goes to the disk with it */
	for (int i = 0; i < MAPPINGS_MAX; i++)
		if (mappings[i].size && place(mappings[i].fd, NULL, other) &&
		    strcmp(other, where) == 0)
			put_mapping(mappings + i);
	rc = (int)syscall(number, fd);
	if (rc == 0)
		put(RECORD_SYNC, where, NULL, 0, 0, NULL, 0);
	give_lock();
	return rc;
}

int fsync(int fd)
{
	return sync_fd(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	return sync_fd(SYS_fdatasync, fd);
}

int msync(void *at, size_t size, int flags)
{
	for (int i = 0; (flags & MS_SYNC) && i < MAPPINGS_MAX; i++)
		if (mappings[i].size && mappings[i].at == at)
			return fsync(mappings[i].fd);
	return (int)syscall(SYS_msync, at, size, flags);
}

/* --- names --- */

static int rename_at(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
	char old[2 * PATH_MAX], new[2 * PATH_MAX];
	bool from_here = place(from_fd, from, old), to_here = place(to_fd, to, new);
	int rc;

	take_lock();
	rc = (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, flags);
	if (rc == 0 && (from_here != to_here || (flags & ~1U) != 0))
		abort(); /* in or out of the folder, or an exchange: nothing of ours does that */
	if (rc == 0 && from_here)
		put(RECORD_RENAME, new, old, 0, 0, NULL, 0);
	give_lock();
	return rc;
}

int rename(const char *from, const char *to)
{
	return rename_at(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	return rename_at(from_fd, from, to_fd, to, 0);
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
	return rename_at(from_fd, from, to_fd, to, flags);
}

static int link_at(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
	char old[2 * PATH_MAX], new[2 * PATH_MAX];
	int rc;

	take_lock();
	rc = (int)syscall(SYS_linkat, from_fd, from, to_fd, to, flags);
	if (rc == 0 && place(from_fd, from, old) && place(to_fd, to, new))
		put(RECORD_LINK, new, old, 0, 0, NULL, 0);
	give_lock();
	return rc;
}

int link(const char *from, const char *to)
{
	return link_at(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
	return link_at(from_fd, from, to_fd, to, flags);
}

int symlinkat(const char *target, int fd, const char *path)
{
	char where[2 * PATH_MAX];
	int rc;

	take_lock();
	rc = (int)syscall(SYS_symlinkat, target, fd, path);
	if (rc == 0 && place(fd, path, where))
		put(RECORD_SYMLINK, where, target, 0777, 0, NULL, 0);
	give_lock();
	return rc;
}

int symlink(const char *target, const char *path)
{
	return symlinkat(target, AT_FDCWD, path);
}

int unlinkat(int fd, const char *path, int flags)
{
	char where[2 * PATH_MAX];
	int rc;

	take_lock();
	rc = (int)syscall(SYS_unlinkat, fd, path, flags);
	if (rc == 0 && place(fd, path, where))
		put(RECORD_UNLINK, where, NULL, 0, 0, NULL, 0);
	give_lock();
	return rc;
}

int unlink(const char *path)
{
	return unlinkat(AT_FDCWD, path, 0);
}

int rmdir(const char *path)
{
	return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

int remove(const char *path)
{
	int rc = unlink(path);

	return rc != 0 && errno == EISDIR ? rmdir(path) : rc;
}

int mkdirat(int fd, const char *path, mode_t mode)
{
	char where[2 * PATH_MAX];
	struct stat64 st;
	int rc;

	take_lock();
	rc = (int)syscall(SYS_mkdirat, fd, path, mode);
	if (rc == 0 && place(fd, path, where) && fstatat64(fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
		put(RECORD_MKDIR, where, NULL, st.st_mode, 0, NULL, 0);
	give_lock();
	return rc;
}

int mkdir(const char *path, mode_t mode)
{
	return mkdirat(AT_FDCWD, path, mode);
}

/* --- modes --- */

int fchmodat(int fd, const char *path, mode_t mode, int flags)
{
	char where[2 * PATH_MAX];
	int rc;

	take_lock();
	rc = REAL(fchmodat)(fd, path, mode, flags);
	if (rc == 0 && place(fd, path, where))
		put(RECORD_CHMOD, where, NULL, mode, 0, NULL, 0);
	give_lock();
	return rc;
}

int chmod(const char *path, mode_t mode)
{
	return fchmodat(AT_FDCWD, path, mode, 0);
}

int fchmod(int fd, mode_t mode)
{
	char where[2 * PATH_MAX];
	int rc;

	take_lock();
	rc = (int)syscall(SYS_fchmod, fd, mode);
	if (rc == 0 && place(fd, NULL, where))
		put(RECORD_CHMOD, where, NULL, mode, 0, NULL, 0);
	give_lock();
	return rc;
}
