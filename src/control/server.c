/* The local control socket: see server.h. */
#include "control/server.h"

#include "core/buf.h"
#include "core/limits.h"
#include "core/log.h"
#include "core/text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct server {
	uv_pipe_t pipe;
	char *path;
	server_fn *fn;
	server_gone_fn *gone;
	void *arg;
	struct client *first;
	size_t count;
	bool closing;
	bool closed; /* its own handle is */
};

struct client {
	uv_pipe_t pipe;
	struct server *server;
	struct client *next;
	struct buf in;
	bool waiting; /* for an answer */
	bool taking;  /* requests are looked at: an answer given at once does not look again */
	bool closing;
	uid_t uid;
	char bytes[4096];
};

struct answer {
	uv_write_t request;
	char *text;
};

static void server_release(struct server *server)
{
	if (!server->closed || server->first)
		return;
	free(server->path);
	free(server);
}

static void on_client_close(uv_handle_t *handle)
{
	struct client *client = (struct client *)handle;
	struct server *server = client->server;
	struct client **link = &server->first;

	while (*link != client)
		link = &(*link)->next;
	*link = client->next;
	server->count--;
	buf_clear(&client->in);
	free(client);
	server_release(server);
}

static void client_close(struct client *client)
{
	if (client->closing)
		return;
	client->closing = true;
	if (client->waiting)
		client->server->gone(client->server->arg, client);
	uv_close((uv_handle_t *)&client->pipe, on_client_close);
}

uid_t client_uid(const struct client *client)
{
	return client->uid;
}

static void take_requests(struct client *client);

static void on_answered(uv_write_t *request, int status)
{
	struct answer *answer = (struct answer *)request;
	struct client *client = (struct client *)request->handle;

	free(answer->text);
	free(answer);
	if (status != 0)
		client_close(client);
	else
		take_requests(client);
}

void client_answer(struct client *client, json_t *document)
{
	struct answer *answer = mem_new(1, sizeof(*answer));
	char *text = json_dumps(document, JSON_COMPACT);
	uv_buf_t bytes;

	json_decref(document);
	client->waiting = false;
	if (!text) {
		free(answer);
		client_refuse(client, ERR_CORRUPT, "the answer holds what is no text");
		return;
	}
	answer->text = text_format("%s\n", text);
	free(text);
	bytes = uv_buf_init(answer->text, (unsigned)strlen(answer->text));
	if (uv_write(&answer->request, (uv_stream_t *)&client->pipe, &bytes, 1, on_answered) != 0) {
		free(answer->text);
		free(answer);
		client_close(client);
		return;
	}
	take_requests(client);
}

void client_refuse(struct client *client, enum err_code code, const char *text)
{
	json_t *document =
		json_pack("{s:{s:s, s:s}}", "error", "code", err_code_text(code), "text", text);

	client_answer(client, document ? document
				       : json_pack("{s:{s:s, s:s}}", "error", "code", "refused",
						   "text", "the reason is not text"));
}

/* One request at a time: the next is looked at when this one is answered. */
static void take_requests(struct client *client)
{
	if (client->taking)
		return;
	client->taking = true;
	/* what was answered must be read first: a client that only asks fills no memory */
	while (!client->waiting && !client->closing &&
	       uv_stream_get_write_queue_size((uv_stream_t *)&client->pipe) == 0) {
		struct cursor c = cursor_of(client->in.data, client->in.len);
		size_t n;
		const char *line = cursor_line(&c, &n);
		json_t *request;

		if (!line)
			break;
		request = json_loadb(line, n, JSON_REJECT_DUPLICATES, NULL);
		buf_consume(&client->in, n + 1);
		client->waiting = true;
		if (json_is_object(request))
			client->server->fn(client->server->arg, client, request);
		else
			client_refuse(client, ERR_CORRUPT, "the request is not a JSON object");
		json_decref(request);
	}
	client->taking = false;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
	struct client *client = (struct client *)handle;

	(void)suggested; /* a request is small */
	*out = uv_buf_init(client->bytes, sizeof(client->bytes));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *bytes)
{
	struct client *client = (struct client *)stream;

	if (client->closing || n == 0)
		return;
	if (n > 0)
		buf_put(&client->in, bytes->base, (size_t)n);
	if (n < 0 || client->in.failed)
		client_close(client);
	else
		take_requests(client);
}

/* Whether GROUP is among the other groups of the one at the end of FD. */
static bool is_member(int fd, gid_t group)
{
	gid_t *groups = mem_new(LIMIT_CONTROL_GROUPS, sizeof(*groups));
	socklen_t size = LIMIT_CONTROL_GROUPS * sizeof(*groups);
	bool found = false;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) == 0)
		for (size_t i = 0; i < size / sizeof(*groups); i++)
			found |= groups[i] == group;
	free(groups);
	return found;
}

/* Root, the daemon's own user, and whoever is in the group of the socket. */
static bool is_allowed(struct client *client)
{
	struct ucred who;
	socklen_t size = sizeof(who);
	uv_os_fd_t fd;
	struct stat st;

	if (uv_fileno((const uv_handle_t *)&client->pipe, &fd) != 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0)
		return false;
	client->uid = who.uid;
	if (who.uid == 0 || who.uid == geteuid())
		return true;
	return stat(client->server->path, &st) == 0 && (st.st_mode & S_IWGRP) &&
	       (st.st_gid == who.gid || is_member(fd, st.st_gid));
}

static void on_connection(uv_stream_t *stream, int status)
{
	struct server *server = (struct server *)stream;
	struct client *client;

	if (status != 0 || server->closing)
		return;
	client = mem_new(1, sizeof(*client));
	(void)uv_pipe_init(stream->loop, &client->pipe, 0); /* never fails */
	client->server = server;
	client->next = server->first;
	server->first = client;
	server->count++;
	buf_init(&client->in, LIMIT_CONTROL_REQUEST);
	if (uv_accept(stream, (uv_stream_t *)&client->pipe) != 0 ||
	    server->count > LIMIT_CONTROL_CLIENTS || !is_allowed(client)) {
		log_warning("control", "", "a local client was turned away");
		client_close(client);
	} else if (uv_read_start((uv_stream_t *)&client->pipe, on_alloc, on_read) != 0) {
		client_close(client);
	}
}

static void on_server_close(uv_handle_t *handle)
{
	struct server *server = (struct server *)handle;

	server->closed = true;
	server_release(server);
}

int server_start(uv_loop_t *loop, const char *path, server_fn *fn, server_gone_fn *gone, void *arg,
		 struct server **out, struct err *err)
{
	struct server *server = mem_new(1, sizeof(*server));
	mode_t mask;
	int rc;

	*server = (struct server){.path = text_copy(path), .fn = fn, .gone = gone, .arg = arg};
	(void)uv_pipe_init(loop, &server->pipe, 0); /* never fails */
	(void)unlink(path);			    /* the home is locked: nobody listens there */
	mask = umask(0117);			    /* 0660 from the first moment */
	rc = strlen(path) < sizeof(((struct sockaddr_un *)0)->sun_path)
		     ? uv_pipe_bind(&server->pipe, path)
		     : UV_ENAMETOOLONG;
	(void)umask(mask); /* never fails */
	if (rc == 0)
		rc = uv_listen((uv_stream_t *)&server->pipe, 16, on_connection);
	if (rc != 0) {
		server_stop(server);
		return err_set(err, ERR_REFUSED, "control socket %s: %s%s", path, uv_strerror(rc),
			       rc == UV_ENAMETOOLONG ? ": give a home with a shorter path" : "");
	}
	*out = server;
	return 0;
}

void server_stop(struct server *server)
{
	if (!server || server->closing)
		return;
	server->closing = true;
	for (struct client *client = server->first; client; client = client->next)
		client_close(client);
	uv_close((uv_handle_t *)&server->pipe, on_server_close); /* also removes the socket */
}
