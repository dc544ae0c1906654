/*
 * notified [-p PATH] COMMAND [ARGUMENT]...: runs the command as a service manager would and prints
 * what it is told by sd_notify(3), a line each, after the nanoseconds since the start. The socket
 * has an abstract name, or is PATH. SIGTERM, SIGINT, SIGHUP go on to the command, whose exit code
 * this has.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t child, ended;

static void on_signal(int number)
{
	if (number == SIGCHLD)
		ended = 1;
	else if (child > 0)
		(void)kill((pid_t)child, number); /* it may be gone */
}

static long long now(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time); /* there is such a clock */
	return (long long)time.tv_sec * 1000000000 + time.tv_nsec;
}

static int die(const char *what)
{
	perror(what);
	exit(127);
}

/* Binds and names the socket in the environment. */
static int open_socket(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	socklen_t size = offsetof(struct sockaddr_un, sun_path);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (path && strlen(path) < sizeof(address.sun_path)) {
		memcpy(address.sun_path, path, strlen(path));
		size = sizeof(address);
	}
	/* no name at all: the kernel finds an abstract one */
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, path ? size : sizeof(sa_family_t)) != 0)
		return die("socket");
	size = sizeof(address);
	memset(&address, 0, sizeof(address));
	if (getsockname(fd, (struct sockaddr *)&address, &size) != 0)
		return die("socket");
	if (!path)
		address.sun_path[0] = '@';
	if (setenv("NOTIFY_SOCKET", address.sun_path, 1) != 0)
		return die("environment");
	return fd;
}

static void tell(int fd, long long start)
{
	char text[4096], *line, *rest = text;
	ssize_t n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);
	long long at = now() - start;

	if (n < 0)
		return;
	text[n] = '\0';
	while ((line = strsep(&rest, "\n")))
		printf("%lld %s\n", at, line);
	(void)fflush(stdout); /* whoever reads is gone */
}

int main(int argc, char **argv)
{
	static const int numbers[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP};
	struct sigaction action = {.sa_handler = on_signal};
	const char *path = argc > 3 && strcmp(argv[1], "-p") == 0 ? argv[2] : NULL;
	struct pollfd wait = {.events = POLLIN};
	sigset_t all, none;
	long long start;
	int status = 0;

	argv += path ? 3 : 1;
	if (!argv[0] || !argv[0][0])
		return 2;
	wait.fd = open_socket(path);
	(void)sigfillset(&all);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_BLOCK, &all, NULL); /* valid, as the next are */
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		(void)sigaction(numbers[i], &action, NULL);
	start = now();
	child = fork();
	if (child < 0)
		return die("fork");
	if (child == 0) {
		(void)sigprocmask(SIG_SETMASK, &none, NULL);
		(void)execvp(argv[0], argv);
		die(argv[0]);
	}
	while (!ended)
		if (ppoll(&wait, 1, NULL, &none) > 0)
			tell(wait.fd, start);
	while (poll(&wait, 1, 0) > 0)
		tell(wait.fd, start);
	if (waitpid((pid_t)child, &status, 0) != (pid_t)child)
		return die("wait");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
