/* Killable work: see child.h. The child answers 'y' and its bytes, or 'n', a code and a sentence.
 */
#include "core/child.h"

#include "core/fs.h"
#include "core/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* --- in the child --- */

static bool limit(__rlimit_resource_t resource, rlim_t value)
{
	return setrlimit(resource, &(struct rlimit){value, value}) == 0;
}

/* No signal handler of the daemon, none of its files, and nothing to be opened. */
static bool shut_in(int fd, const struct child_limits *limits, size_t used)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
	sigset_t none;

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		(void)signal(signals[i], SIG_DFL); /* valid numbers */
	(void)sigemptyset(&none);                  /* never fails */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || sigprocmask(SIG_SETMASK, &none, NULL) != 0)
		return false;
	if (!limit(RLIMIT_DATA, used + limits->memory) ||
	    !limit(RLIMIT_CPU, limits->seconds) || !limit(RLIMIT_CORE, 0))
		return false;
	if (fd > 0 && close_range(0, (unsigned)fd - 1, 0) != 0)
		return false;
	return close_range((unsigned)fd + 1, ~0u, 0) == 0 && limit(RLIMIT_NOFILE, 0);
}

static _Noreturn void child_main(int fd, int (*fn)(void *arg, struct buf *out, struct err *err),
				 void *arg, const struct child_limits *limits, size_t used,
				 size_t max)
{
	struct err err = {.code = ERR_NONE};
	struct buf out;
	uint8_t head[2] = {'y', 0};
	const void *body;
	size_t len;

	if (!shut_in(fd, limits, used))
		_exit(1);
	buf_init(&out, max);
	if (fn(arg, &out, &err) != 0 || out.failed) {
		if (!err.code)
			(void)err_set(&err, ERR_REFUSED, "over %zu bytes", max);
		head[0] = 'n';
		head[1] = (uint8_t)err.code;
	}
	body = head[0] == 'y' ? (const void *)out.data : err.text;
	len = head[0] == 'y' ? out.len : strlen(err.text);
	if (fs_write_all(fd, head, sizeof(head), NULL) != 0 ||
	    fs_write_all(fd, body, len, NULL) != 0)
		_exit(1);
	_exit(0);
}

/* --- in the parent --- */

/*
 * Bytes of private memory this process has; asked before the fork: /proc/self of a child is outside
 * the daemon's walls.
 */
static size_t memory_used(void)
{
	char text[128] = "";
	unsigned long pages = 0;
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

	if (fd >= 0 && read(fd, text, sizeof(text) - 1) > 0)
		(void)sscanf(text, "%*u %*u %*u %*u %*u %lu", &pages); /* 0 when it is unknown */
	if (fd >= 0)
		(void)close(fd); /* only read */
	return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

static int64_t now_ms(void)
{
	struct timespec ts = {0};

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* a valid clock */
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* All it says, until it closes its end; -1 when that takes too long or is too much. */
static int listen_to(int fd, unsigned wait_ms, struct buf *answer)
{
	int64_t end = now_ms() + wait_ms;

	for (;;) {
		struct pollfd wait = {.fd = fd, .events = POLLIN};
		int64_t left = end - now_ms();
		uint8_t bytes[16384];
		ssize_t n;

		if (left <= 0 || poll(&wait, 1, (int)left) == 0)
			return -1;
		n = read(fd, bytes, sizeof(bytes));
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return (int)n;
		buf_put(answer, bytes, (size_t)n);
		if (answer->failed)
			return -1;
	}
}

static int verdict(int status, const struct child_limits *limits, struct err *err)
{
	if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGXCPU || WTERMSIG(status) == SIGKILL))
		return err_set(err, ERR_REFUSED, "took over %u seconds", limits->seconds);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return err_set(err, ERR_REFUSED, "crashed, or took over %zu MB of memory",
		       limits->memory >> 20);
}

static int take_answer(const struct buf *answer, struct buf *out, struct err *err)
{
	if (answer->len < 2 || (answer->data[0] != 'y' && answer->data[0] != 'n'))
		return err_set(err, ERR_RETRY, "ended without an answer");
	if (answer->data[0] == 'n')
		return err_set(err, (enum err_code)answer->data[1], "%s",
			       (const char *)answer->data + 2);
	buf_put(out, answer->data + 2, answer->len - 2);
	return 0;
}

/* Forks with all signals blocked, so that no handler of ours runs in the child. */
static pid_t fork_quietly(void)
{
	sigset_t all, before;
	pid_t pid;

	(void)sigfillset(&all);                          /* never fails */
	(void)pthread_sigmask(SIG_BLOCK, &all, &before); /* ditto, with these arguments */
	pid = fork();
	if (pid != 0)
		(void)pthread_sigmask(SIG_SETMASK, &before, NULL); /* ditto */
	return pid;
}

/*
 * AddressSanitizer's locks, unlike those of the C library's allocator, are not made whole in a
 * child: where another thread held one at the fork, the child waits for ever, busily or not. Only
 * in such a build what takes too long is therefore tried again, and the first tries end early.
 */
#if defined(__SANITIZE_ADDRESS__)
enum { TRIES = 5, FIRST_TRIES_SECONDS = 1, FIRST_TRIES_WAIT = 4000 };
#else
enum { TRIES = 1, FIRST_TRIES_SECONDS = 0, FIRST_TRIES_WAIT = 0 };
#endif

/* LATE: it did not end in time. */
static int run_once(int (*fn)(void *arg, struct buf *out, struct err *err), void *arg,
		    const struct child_limits *limits, unsigned wait_ms, struct buf *out,
		    bool *late, struct err *err)
{
	struct buf answer;
	size_t used = memory_used();
	int ends[2], status = 0, heard, rc;
	pid_t pid;

	*late = false;
	if (pipe2(ends, O_CLOEXEC) != 0)
		return err_sys(err, "pipe");
	pid = fork_quietly();
	if (pid == 0)
		child_main(ends[1], fn, arg, limits, used, out->max);
	(void)close(ends[1]); /* the child's */
	if (pid < 0) {
		(void)close(ends[0]); /* nothing was read */
		(void)err_sys(err, "fork");
		err->code = ERR_RETRY;
		return -1;
	}
	buf_init(&answer, out->max + 2 + sizeof(err->text));
	heard = listen_to(ends[0], wait_ms, &answer);
	(void)close(ends[0]); /* only read */
	if (heard != 0)
		(void)kill(pid, SIGKILL); /* it is not waited for yet, so it is still ours */
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	*late = WIFSIGNALED(status) && (WTERMSIG(status) == SIGXCPU || WTERMSIG(status) == SIGKILL);
	rc = heard != 0 ? err_set(err, ERR_RETRY, "did not end in %u seconds", wait_ms / 1000)
			: verdict(status, limits, err);
	if (rc == 0)
		rc = take_answer(&answer, out, err);
	buf_clear(&answer);
	return rc;
}

int child_run(int (*fn)(void *arg, struct buf *out, struct err *err), void *arg,
	      const struct child_limits *limits, struct buf *out, struct err *err)
{
	struct child_limits early = *limits;
	bool late = true;

	if (early.seconds > FIRST_TRIES_SECONDS)
		early.seconds = FIRST_TRIES_SECONDS;
	for (int i = 1; i < TRIES && late; i++) {
		int rc = run_once(fn, arg, &early, FIRST_TRIES_WAIT, out, &late, err);

		if (!late)
			return rc;
	}
	return run_once(fn, arg, limits, WAIT_CHILD, out, &late, err);
}
