/*
 * ready WORDS COMMAND...: runs a daemon until its log (stderr) has these words, then ends it with
 * SIGTERM. Says how many nanoseconds it took from the fork to that. Exit 1 when the daemon ends
 * before, or not in order.
 */
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LIMIT = 60000, TEXT_MAX = 64 << 10 }; /* milliseconds; bytes of log */

static long long now(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time); /* there is such a clock */
	return (long long)time.tv_sec * 1000000000 + time.tv_nsec;
}

static pid_t begin(char **argv, int *log)
{
	int ends[2];
	pid_t pid;

	if (pipe(ends) != 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		if (dup2(ends[1], 2) == 2 && close(ends[0]) == 0 && close(ends[1]) == 0)
			(void)execvp(argv[0], argv);
		_exit(127);
	}
	(void)close(ends[1]); /* the daemon's end */
	*log = ends[0];
	return pid;
}

static bool said(int log, const char *words, char text[static TEXT_MAX])
{
	struct pollfd poller = {.fd = log, .events = POLLIN};
	size_t used = 0;
	ssize_t n;

	while (used < TEXT_MAX - 1 && poll(&poller, 1, LIMIT) > 0 &&
	       (n = read(log, text + used, TEXT_MAX - 1 - used)) > 0) {
		used += (size_t)n;
		text[used] = '\0';
		if (strstr(text, words))
			return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	static char text[TEXT_MAX];
	long long begun = now(), took;
	int log = -1, status = 0;
	bool done;
	pid_t pid;

	if (argc < 3) {
		(void)fputs("usage: ready WORDS COMMAND...\n", stderr);
		return 2;
	}
	pid = begin(argv + 2, &log);
	if (pid < 0)
		return 1;
	done = said(log, argv[1], text);
	took = now() - begun;
	/* what it still says goes nowhere, and must not end it */
	(void)signal(SIGPIPE, SIG_IGN);
	(void)kill(pid, SIGTERM); /* it may have ended by itself: seen below */
	while (read(log, text, sizeof(text)) > 0)
		;
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0 ||
	    !done) {
		(void)fprintf(stderr, "ready: %s: %s\n", argv[2], text);
		return 1;
	}
	printf("%lld\n", took);
	return fflush(stdout) == 0 ? 0 : 1;
}
