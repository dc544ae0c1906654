/*
 * Lines on the local control socket. The first byte says how the bytes come: in pieces of that
 * size. Requests with a key "later" are answered when all has come. The source is part of this
 * harness: a client begins where accept leaves off.
 */
#include "fuzz.h"

#include "control/server.c"

#include <assert.h>
#include <fcntl.h>

enum { LATER_MAX = 1 };

struct asked {
	struct client *later[LATER_MAX]; /* a client waits for one answer at a time */
	size_t count;
	size_t requests;
	int depth;
};

static void answer(struct client *client)
{
	client_answer(client, json_pack("{s:b}", "ok", true));
}

static void on_request(void *arg, struct client *client, const json_t *request)
{
	struct asked *asked = arg;

	assert(json_is_object(request));
	/* an answer that takes up the next request from within would fill the stack in the end */
	assert(++asked->depth == 1);
	asked->requests++;
	if (json_object_get(request, "refuse")) {
		client_refuse(client, ERR_REFUSED,
			      json_string_value(json_object_get(request, "refuse")));
	} else if (json_object_get(request, "later")) {
		assert(asked->count < LATER_MAX);
		asked->later[asked->count++] = client;
	} else {
		answer(client);
	}
	asked->depth--;
}

static void on_gone(void *arg, struct client *client)
{
	struct asked *asked = arg;

	assert(asked->count == 1 && asked->later[0] == client);
	asked->count = 0;
}

/* Every answer is a line of JSON. What is left of a line stays in TEXT. */
static size_t take_answers(int fd, struct buf *text)
{
	char bytes[16384];
	size_t count = 0;
	ssize_t n;

	while ((n = read(fd, bytes, sizeof(bytes))) > 0)
		buf_put(text, bytes, (size_t)n);
	assert(!text->failed);
	for (;;) {
		struct cursor c = cursor_of(text->data, text->len);
		size_t size;
		const char *line = cursor_line(&c, &size);
		json_t *document;

		if (!line)
			return count;
		document = json_loadb(line, size, JSON_REJECT_DUPLICATES, NULL);
		assert(json_is_object(document));
		json_decref(document);
		buf_consume(text, size + 1);
		count++;
	}
}

static size_t count_lines(const uint8_t *data, size_t size)
{
	size_t count = 0;

	for (size_t i = 0; i < size; i++)
		count += data[i] == '\n';
	return count;
}

static struct client *client_make(struct server *server, uv_loop_t *loop, int fd)
{
	struct client *client = mem_new(1, sizeof(*client));

	assert(uv_pipe_init(loop, &client->pipe, 0) == 0 && uv_pipe_open(&client->pipe, fd) == 0);
	client->server = server;
	server->first = client;
	server->count = 1;
	buf_init(&client->in, LIMIT_CONTROL_REQUEST);
	return client;
}

/* All bytes, with the loop run in between as it would be. The number of answers. */
static size_t feed(struct client *client, int fd, const uint8_t *data, size_t size,
		   struct asked *asked)
{
	uv_loop_t *loop = client->pipe.loop;
	size_t piece = size ? data[0] * 16u + 1u : 1, answers = 0;
	struct buf text;

	buf_init(&text, 64 << 20);
	for (size_t at = 1; at < size; at += piece) {
		size_t n = size - at < piece ? size - at : piece;
		uv_buf_t bytes;

		memcpy(client->bytes, data + at, n);
		bytes = uv_buf_init(client->bytes, (unsigned)n);
		on_read((uv_stream_t *)&client->pipe, (ssize_t)n, &bytes);
		if (at % 3 == 0) {
			(void)uv_run(loop, UV_RUN_NOWAIT); /* how much is left is seen at the end */
			answers += take_answers(fd, &text);
		}
	}
	do {
		/*
		 * an answer that is read makes room for the next request, which may be a later one
		 */
		if (asked->count > 0) {
			asked->count = 0;
			answer(asked->later[0]);
		}
		answers += take_answers(fd, &text);
		(void)uv_run(loop, UV_RUN_NOWAIT); /* the queue says whether more is to come */
	} while (asked->count > 0 ||
		 uv_stream_get_write_queue_size((uv_stream_t *)&client->pipe) > 0);
	answers += take_answers(fd, &text);
	assert(text.len == 0);
	buf_clear(&text);
	return answers;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uv_loop_t *loop = uv_default_loop();
	struct asked asked = {.count = 0};
	/* closed is set at once: the last client to go frees the server */
	struct server *server = mem_new(1, sizeof(*server));
	struct client *client;
	size_t answers;
	int fds[2];

	if (size > LIMIT_CONTROL_REQUEST)
		size = LIMIT_CONTROL_REQUEST;
	*server = (struct server){.fn = on_request, .gone = on_gone, .arg = &asked, .closed = true};
	assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
	client = client_make(server, loop, fds[0]);
	answers = feed(client, fds[1], data, size, &asked);
	assert(answers == (size ? count_lines(data + 1, size - 1) : 0) &&
	       asked.requests <= answers);
	client_close(client);
	assert(uv_run(loop, UV_RUN_DEFAULT) == 0 && asked.count == 0);
	(void)close(fds[1]); /* nothing was written to it */
	return 0;
}
