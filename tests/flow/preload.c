/*
 * A machine that misbehaves, for a program started with this library preloaded (glibc's
 * LD_PRELOAD):
 *
 *	PRELOAD_CLOCK=FILE	the wall clock is off by the seconds that are in it, at any moment
 *	PRELOAD_NO_WATCH=FILE	while it is there, inotify has no watches left
 *
 * The monotonic clock goes on as ever, as it does when someone sets the other one.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long offset(void)
{
	const char *file = getenv("PRELOAD_CLOCK");
	char text[32] = "";
	int fd = file ? open(file, O_RDONLY | O_CLOEXEC) : -1;
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		(void)close(fd); /* only read */
	return n > 0 ? strtol(text, NULL, 10) : 0;
}

int clock_gettime(clockid_t which, struct timespec *out)
{
	int saved = errno, rc = (int)syscall(SYS_clock_gettime, which, out);

	if (rc == 0 && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) {
		out->tv_sec += offset();
		errno = saved;
	}
	return rc;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
	struct timespec now;

	(void)zone; /* obsolete */
	(void)clock_gettime(CLOCK_REALTIME, &now); /* never fails */
	out->tv_sec = now.tv_sec;
	out->tv_usec = now.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *out)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now); /* never fails */
	if (out)
		*out = now.tv_sec;
	return now.tv_sec;
}

int inotify_add_watch(int fd, const char *path, uint32_t mask)
{
	const char *file = getenv("PRELOAD_NO_WATCH");

	if (file && access(file, F_OK) == 0) {
		errno = ENOSPC;
		return -1;
	}
	return (int)syscall(SYS_inotify_add_watch, fd, path, mask);
}
