/*
 * The walls, each looked at from within by a child that raised them: what is let through, and what
 * is not.
 */
#include "core/log.h"
#include "core/sandbox.h"
#include "core/text.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { NO_WALL = 77 }; /* a child's exit code: this kernel or build has none */

struct place {
	char root[64];
	char *open, *shut, *readable; /* folders: may be written, nothing allowed, may be read */
};

static void write_file(const char *folder, const char *name, mode_t mode, const char *text)
{
	char *path = text_format("%s/%s", folder, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(close(fd), 0);
	free(path);
}

static int setup(void **state)
{
	struct place *place = mem_new(1, sizeof(*place));

	strncpy(place->root, "/tmp/muster-sandbox.XXXXXX", sizeof(place->root) - 1);
	assert_non_null(mkdtemp(place->root));
	place->open = text_format("%s/open", place->root);
	place->shut = text_format("%s/shut", place->root);
	place->readable = text_format("%s/readable", place->root);
	assert_int_equal(mkdir(place->open, 0700) | mkdir(place->shut, 0700) |
				 mkdir(place->readable, 0700),
			 0);
	write_file(place->open, "file", 0600, "x");
	write_file(place->open, "script", 0700, "#!/bin/sh\nexit 0\n");
	write_file(place->shut, "file", 0600, "x");
	write_file(place->readable, "file", 0600, "x");
	*state = place;
	return 0;
}

static int teardown(void **state)
{
	struct place *place = *state;
	char *command[] = {(char *)"rm", (char *)"-rf", place->root, NULL};
	pid_t pid = fork();

	if (pid == 0) {
		(void)execvp("rm", command); /* returns only when it fails */
		_exit(1);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	free(place->open);
	free(place->shut);
	free(place->readable);
	free(place);
	return 0;
}

/* FN in a child behind the walls; it gives back 0, or the number of what was wrong. */
static void behind(struct place *place, unsigned needed, int (*fn)(const struct place *place))
{
	const struct sandbox_path paths[] = {
		{place->open, true}, {place->readable, false}, {"/nowhere/at/all", true}};
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		unsigned up = sandbox_enter(paths, sizeof(paths) / sizeof(paths[0]));

		_exit((up & needed) == needed ? fn(place) : NO_WALL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == NO_WALL)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* 0 or the errno of opening FOLDER/NAME. */
static int opening(const char *folder, const char *name, int flags)
{
	char path[200];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name); /* fits */
	fd = open(path, flags | O_CLOEXEC, 0600);
	return fd < 0 ? errno : close(fd);
}

static int allowed_files(const struct place *place)
{
	char from[200], to[200];

	if (opening(place->open, "file", O_RDWR | O_TRUNC) ||
	    opening(place->open, "new", O_WRONLY | O_CREAT))
		return 1;
	(void)snprintf(from, sizeof(from), "%s/new", place->open);	 /* fits */
	(void)snprintf(to, sizeof(to), "%s/folder", place->open); /* fits */
	if (mkdir(to, 0700) != 0)
		return 2;
	(void)snprintf(to, sizeof(to), "%s/folder/moved", place->open); /* fits */
	if (rename(from, to) != 0 || symlink("moved", from) != 0 || unlink(to) != 0)
		return 3;
	if (opening(place->readable, "file", O_RDONLY) ||
	    opening(place->readable, ".", O_RDONLY | O_DIRECTORY))
		return 4;
	if (opening("/etc", "hosts", O_RDONLY) == EACCES ||
	    opening("/proc/self", "statm", O_RDONLY) ||
	    opening("/proc/sys/kernel/random", "boot_id", O_RDONLY) ||
	    opening("/dev", "null", O_RDWR))
		return 5;
	return 0;
}

static int denied_files(const struct place *place)
{
	char from[200], to[200];

	if (opening(place->shut, "file", O_RDONLY) != EACCES ||
	    opening(place->shut, "new", O_WRONLY | O_CREAT) != EACCES)
		return 1;
	if (opening(place->readable, "file", O_WRONLY) != EACCES ||
	    opening(place->readable, "new", O_WRONLY | O_CREAT) != EACCES)
		return 2;
	if (opening("/tmp", ".", O_RDONLY | O_DIRECTORY) != EACCES ||
	    opening("/", ".", O_RDONLY | O_DIRECTORY) != EACCES ||
	    opening("/etc", "muster-sandbox-test", O_WRONLY | O_CREAT) != EACCES)
		return 3;
	(void)snprintf(from, sizeof(from), "%s/file", place->open); /* fits */
	(void)snprintf(to, sizeof(to), "%s/moved", place->shut);	 /* fits */
	if (rename(from, to) == 0 || link(from, to) == 0)
		return 4;
	/* a way in through a link leads to what is shut too */
	(void)snprintf(from, sizeof(from), "%s/file", place->shut); /* fits */
	(void)snprintf(to, sizeof(to), "%s/link", place->open);	 /* fits */
	if (symlink(from, to) != 0 || opening(place->open, "link", O_RDONLY) != EACCES)
		return 5;
	(void)snprintf(to, sizeof(to), "%s/fifo", place->open); /* fits */
	return mkfifo(to, 0600) == 0 ? 6 : 0;
}

/* What the execution of PATH gives as errno. */
static int running(const char *path)
{
	char *const args[] = {(char *)path, NULL};

	(void)execv(path, args); /* returns only when it fails */
	return errno;
}

static int denied_programs(const struct place *place)
{
	char path[200];

	(void)snprintf(path, sizeof(path), "%s/script", place->open); /* fits */
	if (running("/bin/true") != EPERM || running(path) != EPERM)
		return 1;
	return syscall(SYS_execveat, open("/dev/null", O_RDONLY | O_CLOEXEC), "", NULL, NULL,
		       0x1000) == 0 ||
	       errno != EPERM;
}

static int denied_by(long rc)
{
	return rc != -1 || errno != EPERM;
}

static int denied_calls(const struct place *place)
{
	struct iovec vec = {.iov_base = &vec, .iov_len = 1};

	(void)place;
	if (denied_by(ptrace(PTRACE_TRACEME, 0, NULL, NULL)) ||
	    denied_by(process_vm_readv(getpid(), &vec, 1, &vec, 1, 0)))
		return 1;
	if (denied_by(syscall(SYS_mount, "none", "/", "tmpfs", 0, NULL)) ||
	    denied_by(syscall(SYS_bpf, 0, NULL, 0)) || denied_by(syscall(SYS_keyctl, 0, 0)) ||
	    denied_by(syscall(SYS_userfaultfd, 0)) ||
	    denied_by(syscall(SYS_io_uring_setup, 1, NULL)) ||
	    denied_by(syscall(SYS_finit_module, -1, "", 0)))
		return 2;
	if (denied_by(setuid(getuid())) || denied_by(setresgid(getgid(), getgid(), getgid())))
		return 3;
	if (denied_by(unshare(CLONE_NEWUSER)) ||
	    denied_by(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0)))
		return 4;
	if (denied_by(socket(AF_PACKET, SOCK_RAW, 0)) ||
	    denied_by(socket(AF_ALG, SOCK_SEQPACKET, 0)) ||
	    denied_by(socket(AF_VSOCK, SOCK_STREAM, 0)))
		return 5;
	if (denied_by(ioctl(0, TIOCSTI, "x")) || denied_by(ioctl(0, TIOCLINUX, "x")))
		return 6;
#ifdef __x86_64__
	if (denied_by(syscall(0x40000000 | SYS_getpid)))
		return 7;
#endif
	return 0;
}

static void *nothing(void *arg)
{
	return arg;
}

static int allowed_calls(const struct place *place)
{
	struct addrinfo *found = NULL, wanted = {.ai_socktype = SOCK_STREAM};
	static const int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
	int pair[2], status = 0;
	pthread_t thread;
	pid_t pid;

	(void)place;
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		int fd = socket(families[i], families[i] == AF_NETLINK ? SOCK_RAW : SOCK_STREAM, 0);

		if (fd < 0 && errno != EAFNOSUPPORT)
			return 1;
		if (fd >= 0)
			(void)close(fd); /* unused */
	}
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
		return 2;
	if (pthread_create(&thread, NULL, nothing, NULL) != 0 || pthread_join(thread, NULL) != 0)
		return 3;
	pid = fork();
	if (pid == 0)
		for (;;)
			(void)pause(); /* until it is killed */
	if (pid < 0 || kill(pid, SIGKILL) != 0 || waitpid(pid, &status, 0) != pid ||
	    !WIFSIGNALED(status))
		return 4;
	if (ioctl(pair[0], FIONREAD, &status) != 0)
		return 6;
	if (getaddrinfo("localhost", "1", &wanted, &found) != 0)
		return 5;
	freeaddrinfo(found);
	return 0;
}

/* For good, and for what it forks. */
static int denied_later(const struct place *place)
{
	const struct sandbox_path all = {"/", true};
	int status = 0;
	pid_t pid;

	(void)sandbox_enter(&all, 1);
	pid = fork();
	if (pid == 0)
		_exit(opening(place->shut, "file", O_RDONLY) == EACCES &&
				      running("/bin/true") == EPERM &&
				      prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1
			      ? 0
			      : 1);
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}

static void test_allowed_files(void **state)
{
	behind(*state, SANDBOX_FILES, allowed_files);
}

static void test_denied_files(void **state)
{
	behind(*state, SANDBOX_FILES, denied_files);
}

static void test_denied_programs(void **state)
{
	behind(*state, SANDBOX_CALLS, denied_programs);
}

static void test_denied_calls(void **state)
{
	behind(*state, SANDBOX_CALLS, denied_calls);
}

static void test_allowed_calls(void **state)
{
	behind(*state, SANDBOX_CALLS, allowed_calls);
}

static void test_denied_later(void **state)
{
	behind(*state, SANDBOX_FILES | SANDBOX_CALLS, denied_later);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_allowed_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_denied_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_denied_programs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_denied_calls, setup, teardown),
		cmocka_unit_test_setup_teardown(test_allowed_calls, setup, teardown),
		cmocka_unit_test_setup_teardown(test_denied_later, setup, teardown),
	};

	log_setup(LOG_LEVEL_INFO);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
