/*
 * The process that runs hooks: see runner.h. It has nothing else to do, so it waits where it
 * stands.
 */
#include "core/runner.h"

#include "core/buf.h"
#include "core/log.h"
#include "core/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/*
 * What hooks have said since the last call that was no repetition: hashes, since equal lines are
 * all that is looked for.
 */
struct said {
	uint64_t lines[RUNNER_SAID_MAX];
	size_t count;
	bool again;
};

struct request {
	uint32_t limit_ms, total_ms, again;
	int64_t until; /* the end of total_ms; INT64_MAX: none */
	struct said *said;
	char *step, *folder, *argument;
	char *env[RUNNER_ENV_MAX + 2];
};

/* One hook while it runs. */
struct hook {
	const struct request *request;
	const char *name;
	pid_t pid;
	int pidfd;
	int output;
	int daemon; /* closes when the daemon is gone */
	char line[1024];
	size_t used;
	unsigned lines;
};

static int64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* never fails for this clock */
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static char *take_part(struct cursor *c)
{
	size_t n;
	const uint8_t *part = cursor_part(c, RUNNER_REQUEST_MAX, &n);

	return text_copy_n(part ? (const char *)part : "", n);
}

static bool request_parse(const void *data, size_t n, struct request *request)
{
	struct cursor c = cursor_of(data, n);
	uint32_t count;

	*request = (struct request){.limit_ms = cursor_be32(&c)};
	request->total_ms = cursor_be32(&c);
	request->again = cursor_be32(&c);
	request->step = take_part(&c);
	request->folder = take_part(&c);
	request->argument = take_part(&c);
	count = cursor_be32(&c);
	request->env[0] =
		text_copy("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	for (uint32_t i = 0; i < count && i < RUNNER_ENV_MAX; i++)
		request->env[i + 1] = take_part(&c);
	return count <= RUNNER_ENV_MAX && request->again <= 1 && cursor_done(&c);
}

static void request_clear(struct request *request)
{
	free(request->step);
	free(request->folder);
	free(request->argument);
	for (size_t i = 0; request->env[i]; i++)
		free(request->env[i]);
}

/* FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/ */
static uint64_t hash_text(uint64_t hash, const char *text)
{
	do
		hash = (hash ^ (uint8_t)*text) * UINT64_C(1099511628211);
	while (*text++);
	return hash;
}

/*
 * At LEVEL; what is repeated, or no longer can be remembered, at debug: a probe that fails each
 * second must not fill the log.
 */
static void say(const struct request *request, enum log_level level, const char *name,
		const char *line)
{
	struct said *said = request->said;
	uint64_t hash = hash_text(hash_text(UINT64_C(14695981039346656037), name), line);
	bool known = said->count == RUNNER_SAID_MAX;

	for (size_t i = 0; i < said->count && !known; i++)
		known = said->lines[i] == hash;
	if (!known)
		said->lines[said->count++] = hash;
	log_at(known && said->again ? LOG_LEVEL_DEBUG : level, request->step, name, "%s", line);
}

static void log_output_line(struct hook *hook)
{
	hook->line[hook->used] = '\0';
	hook->used = 0;
	if (hook->lines++ < RUNNER_LINES_MAX)
		say(hook->request, LOG_LEVEL_NOTICE, hook->name, hook->line);
	else if (hook->lines == RUNNER_LINES_MAX + 1)
		say(hook->request, LOG_LEVEL_WARNING, hook->name, "its further output is dropped");
}

/* Reads what is there; false at the end of the output. */
static bool take_output(struct hook *hook)
{
	char bytes[4096];
	ssize_t n = read(hook->output, bytes, sizeof(bytes));

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	for (ssize_t i = 0; i < n; i++) {
		if (bytes[i] == '\n' || hook->used == sizeof(hook->line) - 1)
			log_output_line(hook);
		if (bytes[i] != '\n')
			hook->line[hook->used++] = bytes[i];
	}
	return n > 0;
}

static _Noreturn void child(const struct hook *hook, const char *path, int output)
{
	int null = open("/dev/null", O_RDONLY);
	char *const argv[] = {(char *)path,
			      *hook->request->argument ? hook->request->argument : NULL, NULL};

	(void)setpgid(0, 0); /* fails only where it is done already */
	for (int number = 1; number < 32; number++)
		(void)signal(number, SIG_DFL); /* not for KILL and STOP */
	if (null < 0 || dup2(null, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0 ||
	    chdir("/") != 0)
		_exit(126);
	/*
	 * nor what whoever started the daemon had open; a kernel that is too old for it leaves that
	 * much
	 */
	(void)close_range(3, ~0u, 0);
	(void)execve(path, argv, hook->request->env); /* returns only when it fails */
	(void)fprintf(stderr, "cannot be run: %s\n", strerror(errno));
	_exit(126);
}

static bool hook_start(struct hook *hook, const char *path)
{
	int pipes[2];

	if (pipe2(pipes, O_CLOEXEC) != 0)
		return false;
	hook->pid = fork();
	if (hook->pid == 0)
		child(hook, path, pipes[1]);
	(void)close(pipes[1]); /* the child's */
	hook->output = pipes[0];
	if (hook->pid > 0) {
		(void)setpgid(hook->pid, hook->pid); /* fails only where the child did it */
		(void)fcntl(hook->output, F_SETFL, O_NONBLOCK); /* never fails on a pipe */
		hook->pidfd = (int)syscall(SYS_pidfd_open, hook->pid, 0);
	}
	if (hook->pid > 0 && hook->pidfd >= 0)
		return true;
	(void)close(hook->output); /* nothing was read */
	return false;
}

/*
 * Waits for the hook's end, the TIME it has, in milliseconds, or the daemon's end. True when it
 * ended by itself.
 */
static bool hook_wait(struct hook *hook, int64_t time)
{
	int64_t until = now_ms() + time;
	bool open_output = true;

	for (;;) {
		struct pollfd fds[3] = {{.fd = hook->pidfd, .events = POLLIN},
					{.fd = hook->daemon, .events = POLLRDHUP},
					{.fd = open_output ? hook->output : -1, .events = POLLIN}};
		int64_t left = until - now_ms();

		if (left <= 0)
			return false;
		if (poll(fds, 3, (int)left) < 0 && errno != EINTR)
			return false;
		if (fds[2].revents)
			open_output = take_output(hook);
		if (fds[1].revents)
			return false;
		if (fds[0].revents)
			return true;
	}
}

/* Looks at the end of a hook without taking it. */
static bool has_exited_well(pid_t pid)
{
	siginfo_t info = {0};

	while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) != 0)
		if (errno != EINTR)
			return false;
	return info.si_code == CLD_EXITED && info.si_status == 0;
}

/* The milliseconds that the next hook has; none when the time of all of them is over. */
static int64_t time_left(const struct request *request)
{
	int64_t left = request->until - now_ms();

	return left < request->limit_ms ? left : request->limit_ms;
}

/* Runs one hook; true when it exited 0, else TEXT says why not. */
static bool hook_run(struct hook *hook, const char *path, char *text, size_t size)
{
	int64_t time = time_left(hook->request);
	int status = 0;
	bool ended;

	if (time <= 0) {
		(void)snprintf(text, size, "%s: there was no time left for it", hook->name);
		return false;
	}
	if (!hook_start(hook, path)) {
		(void)snprintf(text, size, "%s: cannot be started: %s", hook->name,
			       strerror(errno));
		return false;
	}
	ended = hook_wait(hook, time);
	/*
	 * its group too: what it left behind must not outlive it when it failed or hung; while the
	 * leader is not waited for, its number cannot be another's
	 */
	if (!ended || !has_exited_well(hook->pid))
		/* the group is there: the leader is a zombie at least */
		(void)kill(-hook->pid, SIGKILL);
	while (waitpid(hook->pid, &status, 0) < 0 && errno == EINTR)
		;
	while (hook->lines <= RUNNER_LINES_MAX && ended && take_output(hook))
		if (poll(&(struct pollfd){.fd = hook->output, .events = POLLIN}, 1, 0) <= 0)
			break;
	if (hook->used)
		log_output_line(hook);
	(void)close(hook->output); /* only read */
	(void)close(hook->pidfd);  /* only waited for */
	if (!ended)
		(void)snprintf(text, size, "%s: did not end within %lld ms and was killed",
			       hook->name, (long long)time);
	else if (WIFSIGNALED(status))
		(void)snprintf(text, size, "%s: killed by signal %d", hook->name, WTERMSIG(status));
	else if (WEXITSTATUS(status) != 0)
		(void)snprintf(text, size, "%s: exit status %d", hook->name, WEXITSTATUS(status));
	else
		return true;
	return false;
}

static int is_hook(const struct dirent *entry)
{
	size_t n = strlen(entry->d_name);

	return entry->d_name[0] != '.' && entry->d_name[n - 1] != '~';
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* One entry of the folder; what is no executable file is told and passed over. */
static bool run_entry(const struct request *request, int daemon, const char *name, char *text,
		      size_t size)
{
	char *path = text_format("%s/%s", request->folder, name);
	struct hook hook = {.request = request, .name = name, .daemon = daemon};
	struct stat st;
	bool ok = true;

	if (stat(path, &st) != 0 || !S_ISREG(st.st_mode) || access(path, X_OK) != 0)
		say(request, LOG_LEVEL_WARNING, name, "is no executable file, passed over");
	else
		ok = hook_run(&hook, path, text, size);
	free(path);
	return ok;
}

static bool run_folder(const struct request *request, int daemon, char *text, size_t size)
{
	struct dirent **entries = NULL;
	int count = scandir(request->folder, &entries, is_hook, by_bytes);
	bool ok = true;

	*text = '\0';
	if (count < 0 && errno != ENOENT) {
		(void)snprintf(text, size, "%s: %s", request->folder, strerror(errno));
		return false;
	}
	for (int i = 0; i < count; i++) {
		if (ok)
			ok = run_entry(request, daemon, entries[i]->d_name, text, size);
		free(entries[i]);
	}
	free(entries);
	return ok;
}

/*
 * A folder of the operator's, where the daemon writes nothing, and no variable that a program is
 * made to do other things by.
 */
static bool may_run(const struct request *request, const char *etc)
{
	const char *name;

	if (!text_starts(request->folder, etc) || request->folder[strlen(etc)] != '/')
		return false;
	name = request->folder + strlen(etc) + 1;
	if (!*name || *name == '.' || strchr(name, '/'))
		return false;
	for (size_t i = 1; request->env[i]; i++)
		if (!text_starts(request->env[i], "MUSTER_"))
			return false;
	return true;
}

/* Before the first hook of a request that was parsed. */
static void request_begin(struct request *request, struct said *said)
{
	request->until = request->total_ms ? now_ms() + request->total_ms : INT64_MAX;
	request->said = said;
	said->again = request->again;
	if (!said->again)
		said->count = 0;
}

static void serve(int fd, const char *etc, const void *data, size_t n, struct said *said)
{
	struct request request;
	char answer[RUNNER_ANSWER_MAX] = "nthe request was not understood";
	bool understood = request_parse(data, n, &request) && may_run(&request, etc);

	if (understood)
		request_begin(&request, said);
	if (understood)
		answer[0] = run_folder(&request, fd, answer + 1, sizeof(answer) - 1) ? 'y' : 'n';
	request_clear(&request);
	/* a daemon that is gone needs no answer: the next receive ends this process */
	(void)send(fd, answer, 1 + strlen(answer + 1), MSG_NOSIGNAL);
}

_Noreturn void runner_main(int fd, const char *etc)
{
	static uint8_t bytes[RUNNER_REQUEST_MAX];
	struct said said = {.count = 0};

	/* a Ctrl-C goes to the daemon, which ends this process by closing the socket */
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGTERM, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	(void)signal(SIGPIPE, SIG_IGN);
	for (;;) {
		ssize_t n = recv(fd, bytes, sizeof(bytes), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			_exit(0);
		serve(fd, etc, bytes, (size_t)n, &said);
	}
}
