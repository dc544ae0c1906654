/* Watching folders: see inotify.h. */
#include "core/inotify.h"

#include "core/text.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

struct watched {
	int wd;
	int which;
};

struct inotify {
	uv_poll_t poll;
	int fd;
	inotify_fn *fn;
	void *arg;
	struct watched *watched;
	size_t count;
	bool closing;
};

static int which_of(const struct inotify *in, int wd)
{
	for (size_t i = 0; i < in->count; i++)
		if (in->watched[i].wd == wd)
			return in->watched[i].which;
	return -1;
}

static void forget(struct inotify *in, int wd)
{
	for (size_t i = 0; i < in->count; i++) {
		if (in->watched[i].wd == wd) {
			in->watched[i] = in->watched[--in->count];
			return;
		}
	}
}

static void on_event(struct inotify *in, const struct inotify_event *event)
{
	int which = which_of(in, event->wd);

	if (event->mask & IN_Q_OVERFLOW)
		in->fn(in->arg, -1, "", event->mask);
	else if (which >= 0)
		in->fn(in->arg, which, event->len ? event->name : "", event->mask);
	if (event->mask & IN_IGNORED)
		forget(in, event->wd);
}

/*
 * A hand that never stops writing must not keep the loop here: what is left is read in its next
 * round.
 */
enum { READS_AT_ONCE = 32 };

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct inotify *in = poll->data;
	_Alignas(struct inotify_event) char
		bytes[16 * (sizeof(struct inotify_event) + NAME_MAX + 1)];

	(void)events; /* readable is all that was asked for */
	for (int i = 0; i < READS_AT_ONCE && status == 0 && !in->closing; i++) {
		ssize_t n = read(in->fd, bytes, sizeof(bytes));

		if (n <= 0)
			return; /* EAGAIN: all read */
		for (char *at = bytes; at < bytes + n && !in->closing;) {
			const struct inotify_event *event =
				(const struct inotify_event *)(void *)at;

			on_event(in, event);
			at += sizeof(*event) + event->len;
		}
	}
}

int inotify_new(uv_loop_t *loop, inotify_fn *fn, void *arg, struct inotify **out, struct err *err)
{
	struct inotify *in = mem_new(1, sizeof(*in));
	int rc;

	in->fn = fn;
	in->arg = arg;
	in->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (in->fd < 0) {
		rc = err_sys(err, "inotify (see fs.inotify.max_user_instances)");
		free(in);
		return rc;
	}
	rc = uv_poll_init(loop, &in->poll, in->fd);
	if (rc != 0) {
		(void)close(in->fd); /* nothing was read */
		free(in);
		return err_set(err, ERR_RETRY, "inotify: %s", uv_strerror(rc));
	}
	in->poll.data = in;
	(void)uv_poll_start(&in->poll, UV_READABLE,
			    on_readable); /* fails only on a closing handle */
	*out = in;
	return 0;
}

int inotify_add(struct inotify *in, const char *path, uint32_t mask, int which, struct err *err)
{
	int wd = inotify_add_watch(in->fd, path, mask | IN_ONLYDIR | IN_EXCL_UNLINK);

	if (wd < 0 && errno == ENOSPC)
		return err_set(err, ERR_FULL,
			       "watch %s: the limit fs.inotify.max_user_watches is reached", path);
	if (wd < 0)
		return err_sys(err, "watch %s", path);
	forget(in, wd); /* the same folder again */
	in->watched = mem_grow(in->watched, in->count + 1, sizeof(*in->watched));
	in->watched[in->count++] = (struct watched){.wd = wd, .which = which};
	return 0;
}

void inotify_drop(struct inotify *in, int which)
{
	for (size_t i = 0; i < in->count;) {
		if (in->watched[i].which == which) {
			(void)inotify_rm_watch(in->fd, in->watched[i].wd); /* may be gone already */
			in->watched[i] = in->watched[--in->count];
		} else {
			i++;
		}
	}
}

static void on_close(uv_handle_t *handle)
{
	struct inotify *in = handle->data;

	(void)close(in->fd); /* only read */
	free(in->watched);
	free(in);
}

void inotify_free(struct inotify *in)
{
	if (!in || in->closing)
		return;
	in->closing = true;
	uv_close((uv_handle_t *)&in->poll, on_close);
}
