/* The asking side of a git fetch: see transport.h. */
#include "channel/transport.h"

#include "core/limits.h"
#include "core/loop.h"
#include "core/mapped.h"
#include "core/text.h"
#include "repo/object.h"

#include <errno.h>
#include <git2.h>
#include <git2/sys/transport.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* One fetch; also the stream and the subtransport that libgit2 sees, which live as long. */
struct fetch {
	git_smart_subtransport subtransport;
	git_smart_subtransport_stream stream;
	int fd;
	uint64_t deadline; /* loop_now() */
	uint64_t received; /* bytes */
	struct err err;	   /* what we found, better than what libgit2 makes of it */
};

static struct fetch *fetch_of_stream(git_smart_subtransport_stream *stream)
{
	return (struct fetch *)(void *)((char *)stream - offsetof(struct fetch, stream));
}

/* Waits until FD can be read or written; -1 when time is up. */
static int wait_for(struct fetch *fetch, short events)
{
	for (;;) {
		struct pollfd p = {.fd = fetch->fd, .events = events};
		uint64_t now = loop_now();
		int rc;

		if (now >= fetch->deadline)
			return err_set(&fetch->err, ERR_RETRY, "the fetch took too long");
		rc = poll(&p, 1, (int)(fetch->deadline - now));
		if (rc > 0)
			return 0;
		if (rc < 0 && errno != EINTR)
			return err_sys(&fetch->err, "poll");
	}
}

static int stream_read(git_smart_subtransport_stream *stream, char *buffer, size_t size,
		       size_t *got)
{
	struct fetch *fetch = fetch_of_stream(stream);

	for (;;) {
		ssize_t n;

		if (wait_for(fetch, POLLIN) != 0)
			return -1;
		n = recv(fetch->fd, buffer, size, MSG_DONTWAIT);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			return err_sys(&fetch->err, "receive");
		if (n == 0)
			return err_set(&fetch->err, ERR_RETRY,
				       "the connection ended in the middle of the fetch");
		fetch->received += (size_t)n;
		if (fetch->received > LIMIT_PACK_SIZE)
			return err_set(&fetch->err, ERR_REFUSED, "more than %u bytes came",
				       LIMIT_PACK_SIZE);
		*got = (size_t)n;
		return 0;
	}
}

static int stream_write(git_smart_subtransport_stream *stream, const char *buffer, size_t size)
{
	struct fetch *fetch = fetch_of_stream(stream);

	while (size > 0) {
		ssize_t n;

		if (wait_for(fetch, POLLOUT) != 0)
			return -1;
		n = send(fetch->fd, buffer, size, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			return err_sys(&fetch->err, "send");
		buffer += n;
		size -= (size_t)n;
	}
	return 0;
}

static void stream_free(git_smart_subtransport_stream *stream)
{
	(void)stream; /* part of struct fetch, which transport_fetch owns */
}

static int subtransport_action(git_smart_subtransport_stream **out,
			       git_smart_subtransport *transport, const char *url,
			       git_smart_service_t action)
{
	struct fetch *fetch = (struct fetch *)(void *)transport;

	(void)url; /* the descriptor is where it goes */
	if (action != GIT_SERVICE_UPLOADPACK_LS && action != GIT_SERVICE_UPLOADPACK)
		return -1;
	*out = &fetch->stream;
	return 0;
}

static int subtransport_close(git_smart_subtransport *transport)
{
	(void)transport; /* the descriptor is the caller's */
	return 0;
}

static void subtransport_free(git_smart_subtransport *transport)
{
	(void)transport; /* part of struct fetch, which transport_fetch owns */
}

static int subtransport_new(git_smart_subtransport **out, git_transport *owner, void *param)
{
	struct fetch *fetch = param;

	(void)owner;
	*out = &fetch->subtransport;
	return 0;
}

static int on_transport(git_transport **out, git_remote *owner, void *param)
{
	git_smart_subtransport_definition definition = {subtransport_new, 0, param};

	return git_transport_smart(out, owner, &definition);
}

static int on_progress(const git_indexer_progress *progress, void *param)
{
	struct fetch *fetch = param;

	if (progress->total_objects > LIMIT_PACK_OBJECTS)
		return err_set(&fetch->err, ERR_REFUSED, "a pack of %u objects",
			       progress->total_objects);
	return 0;
}

/* What the admin says that REF is; GONE when it has none. */
static int advertised(git_remote *remote, const char *ref, struct oid *tip, struct err *err)
{
	const git_remote_head **heads;
	size_t count;
	int rc = git_remote_ls(&heads, &count, remote);

	if (rc != 0)
		return git_err(err, rc, "fetch");
	for (size_t i = 0; i < count; i++)
		if (strcmp(heads[i]->name, ref) == 0) {
			*tip = oid_from_git(&heads[i]->oid);
			return 0;
		}
	return err_set(err, ERR_GONE, "the admin has no %s", ref);
}

/*
 * The pack alone: no ref is written for what is not verified, and nothing of it is synced but what
 * libgit2 does by itself.
 */
static int fetch_run(struct repo *repo, const char *ref, struct fetch *fetch, struct oid *tip,
		     struct err *err)
{
	git_remote_create_options how;
	git_fetch_options options;
	char *spec = text_format("+%s:%s", ref, ref);
	git_strarray specs = {&spec, 1};
	git_remote *remote = NULL;
	int rc;

	(void)git_fetch_options_init(&options,
				     GIT_FETCH_OPTIONS_VERSION); /* fails only on another version */
	options.callbacks.transport = on_transport;
	options.callbacks.transfer_progress = on_progress;
	options.callbacks.payload = fetch;
	options.prune = GIT_FETCH_NO_PRUNE;
	options.update_fetchhead = 0;
	options.download_tags = GIT_REMOTE_DOWNLOAD_TAGS_NONE;
	(void)git_remote_create_options_init(&how, GIT_REMOTE_CREATE_OPTIONS_VERSION); /* ditto */
	how.repository = repo_git2(repo);
	/*
	 * no url.*.insteadOf: the name means nothing, and libgit2 1.5 leaks 20 kB for each setting
	 * it compares
	 */
	how.flags = GIT_REMOTE_CREATE_SKIP_INSTEADOF | GIT_REMOTE_CREATE_SKIP_DEFAULT_FETCHSPEC;
	rc = git_remote_create_with_opts(&remote, "muster://admin/release.git", &how);
	if (rc == 0)
		rc = git_remote_connect(remote, GIT_DIRECTION_FETCH, &options.callbacks, NULL,
					NULL);
	if (rc == 0 && advertised(remote, ref, tip, &fetch->err) != 0)
		rc = -1;
	if (rc == 0)
		rc = git_remote_download(remote, &specs, &options);
	if (rc != 0 && fetch->err.code != ERR_NONE)
		*err = fetch->err;
	else if (rc != 0)
		(void)git_err(err, rc, "fetch");
	git_remote_free(remote); /* disconnects */
	free(spec);
	return rc == 0 ? 0 : -1;
}

int transport_fetch(struct repo *repo, const char *role, int fd, unsigned limit_ms, struct oid *tip,
		    struct err *err)
{
	struct fetch fetch = {
		.subtransport = {subtransport_action, subtransport_close, subtransport_free},
		.stream = {&fetch.subtransport, stream_read, stream_write, stream_free},
		.fd = fd,
		.deadline = loop_now() + limit_ms,
	};
	char *ref = text_format("refs/heads/%s", role);
	int rc;

	mapped_begin();
	rc = fetch_run(repo, ref, &fetch, tip, err);
	if (mapped_end()) /* whatever it led to */
		rc = err_set(err, ERR_NONE, MAPPED_LOST);
	free(ref);
	return rc;
}
