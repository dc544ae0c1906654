/*
 * Faults at calls that change files, for a program started with this library preloaded (glibc's
 * LD_PRELOAD):
 *
 *	FAULTS_LOG=FILE		append a line for each such call that reached below FAULTS_BELOW
 *	FAULTS_BELOW=FOLDER	only calls on paths below it count (descriptors: by /proc/self/fd)
 *	FAULTS_KILL=N		the process dies by SIGKILL at the Nth, before it happens
 *	FAULTS_FAIL=N:ERRNO	the Nth, and every later one until FAULTS_GOOD exists, fails so
 *	FAULTS_GOOD=FILE	once that file is there, nothing fails any more
 *
 * What it sees is what the program and its libraries ask libc for; the order of calls of two
 * threads is theirs.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char below[PATH_MAX];
static char good[PATH_MAX];
static int log_fd = -1;
static long kill_at = -1, fail_at = -1;
static int fail_with;
static atomic_long calls;

__attribute__((constructor)) static void setup(void)
{
	const char *text = getenv("FAULTS_BELOW"), *colon;

	(void)snprintf(below, sizeof(below), "%s", text ? text : "/nonexistent");
	text = getenv("FAULTS_GOOD");
	(void)snprintf(good, sizeof(good), "%s", text ? text : "");
	text = getenv("FAULTS_KILL");
	if (text)
		kill_at = strtol(text, NULL, 10);
	text = getenv("FAULTS_FAIL");
	colon = text ? strchr(text, ':') : NULL;
	if (colon) {
		fail_at = strtol(text, NULL, 10);
		fail_with = (int)strtol(colon + 1, NULL, 10);
	}
	text = getenv("FAULTS_LOG");
	if (text)
		log_fd = (int)syscall(SYS_openat, AT_FDCWD, text,
				      O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static bool path_of_fd(int fd, char out[static PATH_MAX])
{
	char link[64];
	ssize_t n;

	if (fd == AT_FDCWD)
		return getcwd(out, PATH_MAX) != NULL;
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, out, PATH_MAX - 1);
	if (n < 0)
		return false;
	out[n] = '\0';
	return true;
}

/* The path a call is about; PATH may be NULL, then it is the descriptor itself. */
static bool is_below(int fd, const char *path, char out[static 2 * PATH_MAX])
{
	char folder[PATH_MAX];

	if (path && path[0] == '/')
		(void)snprintf(out, 2 * PATH_MAX, "%s", path);
	else if (!path_of_fd(fd, folder))
		return false;
	else
		(void)snprintf(out, 2 * PATH_MAX, path ? "%s/%s" : "%s", folder, path);
	return strncmp(out, below, strlen(below)) == 0;
}

/* One call is about to happen: the fault that is due, as -1 and errno, or 0. */
static int fault(const char *name, int fd, const char *path)
{
	char full[2 * PATH_MAX], line[2 * PATH_MAX + 64];
	int saved = errno, n;
	long number;

	if (!is_below(fd, path, full)) {
		errno = saved;
		return 0;
	}
	number = atomic_fetch_add(&calls, 1) + 1;
	if (log_fd >= 0) {
		n = snprintf(line, sizeof(line), "%ld %s %s\n", number, name, full + strlen(below));
		if (syscall(SYS_write, log_fd, line, (size_t)n) < 0)
			abort();
	}
	if (number == kill_at)
		(void)syscall(SYS_kill, getpid(), SIGKILL);
	if (fail_at > 0 && number >= fail_at && !(good[0] && access(good, F_OK) == 0)) {
		errno = fail_with;
		return -1;
	}
	errno = saved;
	return 0;
}

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name)
{
	void *found = dlsym(RTLD_NEXT, name);

	if (!found)
		abort();
	return found;
}

static bool changes(int flags)
{
	return (flags & (O_CREAT | O_TRUNC)) != 0;
}

static mode_t mode_of(int flags, va_list ap)
{
	return flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;
}

int open(const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	if (changes(flags) && fault("open", AT_FDCWD, path) != 0)
		return -1;
	return REAL(open)(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	if (changes(flags) && fault("open", AT_FDCWD, path) != 0)
		return -1;
	return REAL(open64)(path, flags, mode);
}

int openat(int fd, const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	if (changes(flags) && fault("openat", fd, path) != 0)
		return -1;
	return REAL(openat)(fd, path, flags, mode);
}

int openat64(int fd, const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	if (changes(flags) && fault("openat", fd, path) != 0)
		return -1;
	return REAL(openat64)(fd, path, flags, mode);
}

ssize_t write(int fd, const void *data, size_t n)
{
	return fault("write", fd, NULL) == 0 ? REAL(write)(fd, data, n) : -1;
}

ssize_t pwrite(int fd, const void *data, size_t n, off_t at)
{
	return fault("pwrite", fd, NULL) == 0 ? REAL(pwrite)(fd, data, n, at) : -1;
}

ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at)
{
	return fault("pwrite", fd, NULL) == 0 ? REAL(pwrite64)(fd, data, n, at) : -1;
}

int fsync(int fd)
{
	return fault("fsync", fd, NULL) == 0 ? REAL(fsync)(fd) : -1;
}

int fdatasync(int fd)
{
	return fault("fdatasync", fd, NULL) == 0 ? REAL(fdatasync)(fd) : -1;
}

int ftruncate(int fd, off_t size)
{
	return fault("ftruncate", fd, NULL) == 0 ? REAL(ftruncate)(fd, size) : -1;
}

int ftruncate64(int fd, off64_t size)
{
	return fault("ftruncate", fd, NULL) == 0 ? REAL(ftruncate64)(fd, size) : -1;
}

int rename(const char *from, const char *to)
{
	return fault("rename", AT_FDCWD, to) == 0 ? REAL(rename)(from, to) : -1;
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
	return fault("renameat2", to_fd, to) == 0 ? REAL(renameat2)(from_fd, from, to_fd, to, flags)
						  : -1;
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	return fault("renameat", to_fd, to) == 0 ? REAL(renameat)(from_fd, from, to_fd, to) : -1;
}

int link(const char *from, const char *to)
{
	return fault("link", AT_FDCWD, to) == 0 ? REAL(link)(from, to) : -1;
}

int linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
	return fault("linkat", to_fd, to) == 0 ? REAL(linkat)(from_fd, from, to_fd, to, flags) : -1;
}

int symlinkat(const char *target, int fd, const char *path)
{
	return fault("symlinkat", fd, path) == 0 ? REAL(symlinkat)(target, fd, path) : -1;
}

int unlink(const char *path)
{
	return fault("unlink", AT_FDCWD, path) == 0 ? REAL(unlink)(path) : -1;
}

int unlinkat(int fd, const char *path, int flags)
{
	return fault("unlinkat", fd, path) == 0 ? REAL(unlinkat)(fd, path, flags) : -1;
}

int mkdir(const char *path, mode_t mode)
{
	return fault("mkdir", AT_FDCWD, path) == 0 ? REAL(mkdir)(path, mode) : -1;
}

int mkdirat(int fd, const char *path, mode_t mode)
{
	return fault("mkdirat", fd, path) == 0 ? REAL(mkdirat)(fd, path, mode) : -1;
}

int rmdir(const char *path)
{
	return fault("rmdir", AT_FDCWD, path) == 0 ? REAL(rmdir)(path) : -1;
}

int chmod(const char *path, mode_t mode)
{
	return fault("chmod", AT_FDCWD, path) == 0 ? REAL(chmod)(path, mode) : -1;
}

int fchmod(int fd, mode_t mode)
{
	return fault("fchmod", fd, NULL) == 0 ? REAL(fchmod)(fd, mode) : -1;
}
