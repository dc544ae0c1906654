/* The daemon's side of the hook runner: see proc.h. The other side is runner.c. */
#include "core/proc.h"

#include "core/buf.h"
#include "core/limits.h"
#include "core/runner.h"
#include "core/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct job {
	struct job *next;
	struct buf request;
	proc_done_fn *done;
	void *arg;
};

struct proc {
	pid_t pid;
	int fd;
	bool attached;
	bool closing;
	bool broken; /* the runner is gone: every call fails */
	uv_poll_t poll;
	uv_timer_t failer; /* answers calls that cannot be sent, from the loop */
	int handles;	   /* open libuv handles */
	struct job *first, **last; /* the first one is with the runner */
	bool sent;		    /* the first one is */
};

int proc_start(const char *etc, struct proc **out, struct err *err)
{
	int pair[2];
	pid_t pid;
	struct proc *proc;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return err_sys(err, "hook runner");
	pid = fork();
	if (pid < 0) {
		(void)err_sys(err, "hook runner");
		(void)close(pair[0]); /* nothing was sent */
		(void)close(pair[1]); /* nothing was sent */
		return -1;
	}
	if (pid == 0) {
		/*
		 * the daemon's: when that one ends, even killed, the runner ends its hook and
		 * itself
		 */
		(void)close(pair[0]);
		runner_main(pair[1], etc);
	}
	(void)close(pair[1]); /* the runner's */
	proc = mem_new(1, sizeof(*proc));
	proc->pid = pid;
	proc->fd = pair[0];
	proc->last = &proc->first;
	*out = proc;
	return 0;
}

static void send_first(struct proc *proc);

/* Takes the first call off and answers it; the answer may queue another one. */
static void answer(struct proc *proc, bool ok, const char *text)
{
	struct job *job = proc->first;
	struct proc_result result = {.ok = ok};
	size_t n = strnlen(text, sizeof(result.text) - 1);

	if (!job)
		return;
	proc->first = job->next;
	if (!proc->first)
		proc->last = &proc->first;
	proc->sent = false;
	memcpy(result.text, text, n);
	job->done(job->arg, &result);
	buf_clear(&job->request);
	free(job);
	if (!proc->closing)
		send_first(proc);
}

static void on_failer(uv_timer_t *timer)
{
	struct proc *proc = timer->data;

	answer(proc, false, "the hook runner is gone: restart the daemon");
}

static void send_first(struct proc *proc)
{
	ssize_t n;

	if (!proc->first || proc->sent)
		return;
	proc->sent = true;
	n = proc->broken ? -1
			 : send(proc->fd, proc->first->request.data, proc->first->request.len,
				MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n != (ssize_t)proc->first->request.len) {
		proc->broken = true;
		(void)uv_timer_start(&proc->failer, on_failer, 0,
				     0); /* fails only without a function */
	}
}

static void on_answer(uv_poll_t *poll, int status, int events)
{
	struct proc *proc = poll->data;
	char bytes[RUNNER_ANSWER_MAX + 1];
	ssize_t n = status == 0 ? recv(proc->fd, bytes, RUNNER_ANSWER_MAX, MSG_DONTWAIT) : 0;

	(void)events; /* readable is all that was asked for */
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		proc->broken = true;
		(void)uv_poll_stop(poll); /* fails only on a closing handle */
		if (proc->sent)
			answer(proc, false, "the hook runner ended unexpectedly");
		return;
	}
	bytes[n] = '\0';
	answer(proc, bytes[0] == 'y', bytes + 1);
}

int proc_attach(struct proc *proc, uv_loop_t *loop, struct err *err)
{
	int rc = uv_poll_init(loop, &proc->poll, proc->fd);

	if (rc != 0)
		return err_set(err, ERR_RETRY, "hook runner: %s", uv_strerror(rc));
	(void)uv_timer_init(loop, &proc->failer); /* never fails */
	proc->poll.data = proc->failer.data = proc;
	proc->handles = 2;
	proc->attached = true;
	(void)uv_poll_start(&proc->poll, UV_READABLE,
			    on_answer); /* fails only on a closing handle */
	return 0;
}

void proc_run(struct proc *proc, const struct proc_call *call, proc_done_fn *done, void *arg)
{
	struct job *job = mem_new(1, sizeof(*job));
	const char *argument = call->argument ? call->argument : "";
	size_t count = 0;

	buf_init(&job->request, RUNNER_REQUEST_MAX);
	job->done = done;
	job->arg = arg;
	while (call->env[count])
		count++;
	buf_put_be32(&job->request, call->limit_ms);
	buf_put_be32(&job->request, call->total_ms);
	buf_put_be32(&job->request, call->again);
	buf_put_part(&job->request, call->step, strlen(call->step));
	buf_put_part(&job->request, call->folder, strlen(call->folder));
	buf_put_part(&job->request, argument, strlen(argument));
	buf_put_be32(&job->request, (uint32_t)count);
	for (size_t i = 0; i < count; i++)
		buf_put_part(&job->request, call->env[i], strlen(call->env[i]));
	if (job->request.failed) /* names and paths: far below; then the runner refuses it */
		buf_reset(&job->request);
	*proc->last = job;
	proc->last = &job->next;
	send_first(proc);
}

static void proc_release(struct proc *proc)
{
	(void)close(proc->fd); /* the runner ends what it runs, and itself */
	while (waitpid(proc->pid, NULL, 0) < 0 && errno == EINTR)
		;
	free(proc);
}

static void on_close(uv_handle_t *handle)
{
	struct proc *proc = handle->data;

	if (--proc->handles == 0)
		proc_release(proc);
}

void proc_free(struct proc *proc)
{
	if (!proc || proc->closing)
		return;
	proc->closing = true;
	while (proc->first)
		answer(proc, false, "stopping");
	if (!proc->attached) {
		proc_release(proc);
		return;
	}
	uv_close((uv_handle_t *)&proc->poll, on_close);
	uv_close((uv_handle_t *)&proc->failer, on_close);
}
