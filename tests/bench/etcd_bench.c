/*
 * etcd as the peer of fleet.c: see peers_bench.h. Its watchers speak gRPC, as etcd's own clients
 * do, as much of it as a watch and a put need: HTTP/2 (RFC 9113) with header fields that are not
 * compressed, and messages of protobuf. So they cost next to nothing here, and thousands may have a
 * connection each.
 */
#include "peers_bench.h"

#include "core/buf.h"
#include "core/fs.h"
#include "core/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	FRAME_DATA,
	FRAME_HEADERS,
	FRAME_RST_STREAM = 3,
	FRAME_SETTINGS,
	FRAME_PING = 6,
	FRAME_GOAWAY,
	FRAME_WINDOW_UPDATE
};

enum {
	FLAG_END_STREAM = 1,
	FLAG_ACK = 1,
	FLAG_END_HEADERS = 4,
	FRAME_HEAD = 9,	  /* bytes */
	FRAME_MAX = 16384, /* bytes of a frame's content that a server takes */
	WINDOW_MAX = 0x7fffffff,
	WINDOW_FIRST = 65535, /* bytes that either side may send without an update */
	BATCH = 1000,	      /* watches that are asked for at once: they fit the window */
	WAIT_MS = 60000,
	ROUNDS_MAX = 100,
	STREAM = 1,
};

/* A connection, and where its reading is: in a frame, and in a message of its stream. */
struct client {
	int fd;
	uint8_t frame_head[FRAME_HEAD];
	size_t frame_got, frame_left; /* bytes of the head; of the content that are to come */
	uint8_t message_head[5];
	size_t message_got, message_left;
	bool event;	    /* the message is as large as the value */
};

struct watch {
	struct client *clients;
	size_t clients_count, watchers; /* the watchers of all clients */
	int epoll;
	size_t size;	 /* bytes of the value: a message that holds it is an event */
	size_t answers;	 /* messages that were smaller: that a watch is there */
	size_t seen;	 /* events of this round */
	uint64_t *times; /* of them */
};

static void frame(struct buf *out, uint8_t type, uint8_t flags, uint32_t stream, const void *data,
		  size_t n)
{
	buf_put_u8(out, (uint8_t)(n >> 16));
	buf_put_be16(out, (uint16_t)n);
	buf_put_u8(out, type);
	buf_put_u8(out, flags);
	buf_put_be32(out, stream);
	buf_put(out, data, n);
}

/* What a connection begins with: it takes all that comes without being asked again. */
static void preface(struct buf *out)
{
	static const uint8_t settings[] = {0, 4, 0x7f, 0xff, 0xff, 0xff}; /* INITIAL_WINDOW_SIZE */
	uint32_t more = WINDOW_MAX - WINDOW_FIRST;
	const uint8_t update[] = {(uint8_t)(more >> 24), (uint8_t)(more >> 16),
				  (uint8_t)(more >> 8), (uint8_t)more};

	buf_puts(out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
	frame(out, FRAME_SETTINGS, 0, 0, settings, sizeof(settings));
	frame(out, FRAME_WINDOW_UPDATE, 0, 0, update, sizeof(update));
}

/*
 * A literal field without indexing, neither name nor value compressed; both are shorter than 127
 * bytes.
 */
static void field(struct buf *out, const char *name, const char *value)
{
	buf_put_u8(out, 0);
	buf_put_u8(out, (uint8_t)strlen(name));
	buf_puts(out, name);
	buf_put_u8(out, (uint8_t)strlen(value));
	buf_puts(out, value);
}

static void call(struct buf *out, const char *method)
{
	struct buf fields;

	buf_init(&fields, 1000);
	field(&fields, ":method", "POST");
	field(&fields, ":scheme", "http");
	field(&fields, ":path", method);
	field(&fields, ":authority", "127.0.0.1");
	field(&fields, "content-type", "application/grpc");
	field(&fields, "te", "trailers");
	frame(out, FRAME_HEADERS, FLAG_END_HEADERS, STREAM, fields.data, fields.len);
	buf_clear(&fields);
}

/* Field NUMBER of a message: bytes. */
static void bytes_field(struct buf *out, unsigned number, const void *data, size_t n)
{
	size_t rest = n;

	buf_put_u8(out, (uint8_t)(number << 3 | 2));
	for (; rest > 127; rest >>= 7)
		buf_put_u8(out, (uint8_t)(rest | 128));
	buf_put_u8(out, (uint8_t)rest);
	buf_put(out, data, n);
}

/* A message in as many frames as it needs. */
static void message(struct buf *out, const struct buf *content, bool last)
{
	struct buf framed;
	struct cursor c;

	buf_init(&framed, WINDOW_FIRST);
	buf_put_u8(&framed, 0); /* not compressed */
	buf_put_be32(&framed, (uint32_t)content->len);
	buf_put(&framed, content->data, content->len);
	if (framed.failed) {
		(void)fprintf(stderr, "fleet: etcd: the value has more than %d bytes\n",
			      WINDOW_FIRST);
		exit(1);
	}
	c = cursor_of(framed.data, framed.len);
	while (c.left > 0) {
		size_t n = c.left < FRAME_MAX ? c.left : FRAME_MAX;
		const uint8_t *part = cursor_bytes(&c, n);

		frame(out, FRAME_DATA, last && c.left == 0 ? FLAG_END_STREAM : 0, STREAM, part, n);
	}
	buf_clear(&framed);
}

/* COUNT requests for what becomes of the key. */
static void watch_requests(struct buf *out, size_t count)
{
	struct buf create, request;

	buf_init(&create, 100);
	buf_init(&request, 100);
	bytes_field(&create, 1, "config", 6);
	bytes_field(&request, 1, create.data, create.len);
	for (size_t i = 0; i < count; i++)
		message(out, &request, false);
	buf_clear(&create);
	buf_clear(&request);
}

/* The value with what tells the ROUND's from the one before. */
static void put_request(struct buf *out, const struct buf *value, unsigned round)
{
	struct buf request, marked;

	buf_init(&request, (size_t)1 << 20);
	buf_init(&marked, (size_t)1 << 20);
	buf_put(&marked, value->data, value->len);
	buf_printf(&marked, "<!--%08u-->", round);
	bytes_field(&request, 1, "config", 6);
	bytes_field(&request, 2, marked.data, marked.len);
	preface(out);
	call(out, "/etcdserverpb.KV/Put");
	message(out, &request, true);
	buf_clear(&request);
	buf_clear(&marked);
}

/* --- reading --- */

/*
 * A whole head of a frame came; what is no frame of a stream is asked for by nobody and answered
 * where it must be.
 */
static void take_head(struct client *client)
{
	const uint8_t *h = client->frame_head;
	struct buf out;

	client->frame_left = (size_t)h[0] << 16 | (size_t)h[1] << 8 | h[2];
	if (h[3] == FRAME_RST_STREAM || h[3] == FRAME_GOAWAY) {
		(void)fprintf(stderr, "fleet: etcd ends a watch\n");
		exit(1);
	}
	if (h[3] == FRAME_SETTINGS && !(h[4] & FLAG_ACK)) {
		buf_init(&out, 100);
		frame(&out, FRAME_SETTINGS, FLAG_ACK, 0, NULL, 0);
		peer_send_all(client->fd, out.data, out.len);
		buf_clear(&out);
	}
}

/* Bytes of messages. */
static void take_data(struct watch *w, struct client *client, struct cursor c)
{
	while (c.left > 0) {
		size_t n;

		if (client->message_got < sizeof(client->message_head)) {
			client->message_head[client->message_got++] = cursor_u8(&c);
			if (client->message_got < sizeof(client->message_head))
				continue;
			client->message_left = (size_t)client->message_head[1] << 24 |
					       (size_t)client->message_head[2] << 16 |
					       (size_t)client->message_head[3] << 8 |
					       client->message_head[4];
			client->event = client->message_left >= w->size;
		}
		n = c.left < client->message_left ? c.left : client->message_left;
		(void)cursor_bytes(&c, n); /* they are there */
		client->message_left -= n;
		if (client->message_left > 0)
			continue;
		client->message_got = 0;
		if (!client->event)
			w->answers++;
		else if (w->seen < w->watchers)
			w->times[w->seen++] = peer_now();
	}
}

static void take_bytes(struct watch *w, struct client *client, struct cursor c)
{
	while (c.left > 0) {
		size_t n;

		if (client->frame_got < FRAME_HEAD) {
			client->frame_head[client->frame_got++] = cursor_u8(&c);
			if (client->frame_got == FRAME_HEAD)
				take_head(client);
		} else {
			const uint8_t *data;

			n = c.left < client->frame_left ? c.left : client->frame_left;
			data = cursor_bytes(&c, n);
			if (client->frame_head[3] == FRAME_DATA)
				take_data(w, client, cursor_of(data, n));
			client->frame_left -= n;
		}
		if (client->frame_got == FRAME_HEAD && client->frame_left == 0)
			client->frame_got = 0;
	}
}

/* What came of all connections. */
static void take_some(struct watch *w)
{
	static char bytes[256 << 10];
	struct epoll_event ready[256];
	int count = epoll_wait(w->epoll, ready, 256, WAIT_MS);

	if (count <= 0)
		peer_die("etcd is silent");
	for (int i = 0; i < count; i++) {
		struct client *client = ready[i].data.ptr;
		ssize_t n = read(client->fd, bytes, sizeof(bytes));

		if (n <= 0)
			peer_die("etcd closed");
		take_bytes(w, client, cursor_of(bytes, (size_t)n));
	}
}

/* --- the rounds --- */

/* WATCHERS on so many connections; done when etcd said that all watch. */
static void watch_start(struct watch *w, const char *port, size_t watchers, size_t connections,
			size_t size)
{
	*w = (struct watch){.clients_count = connections, .watchers = watchers, .size = size};
	w->clients = mem_new(connections, sizeof(*w->clients));
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	for (size_t i = 0; i < connections; i++) {
		struct client *client = w->clients + i;
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
		size_t left = watchers / connections;
		struct buf out;

		client->fd = peer_dial(port);
		if (epoll_ctl(w->epoll, EPOLL_CTL_ADD, client->fd, &event) != 0)
			peer_die("epoll");
		buf_init(&out, (size_t)1 << 20);
		preface(&out);
		call(&out, "/etcdserverpb.Watch/Watch");
		while (left > 0) {
			size_t some = left < BATCH ? left : BATCH, wanted = w->answers + some;

			watch_requests(&out, some);
			peer_send_all(client->fd, out.data, out.len);
			buf_reset(&out);
			while (w->answers < wanted)
				take_some(w);
			left -= some;
		}
		buf_clear(&out);
	}
}

static void watch_end(struct watch *w)
{
	for (size_t i = 0; i < w->clients_count; i++)
		(void)close(w->clients[i].fd); /* nothing is to come */
	(void)close(w->epoll);
	free(w->clients);
}

/*
 * The medians of the first, the median and the last watcher's times, in milliseconds; a round
 * before them is not counted.
 */
static void run_rounds(const char *port, const struct buf *value, size_t watchers,
		       size_t connections, unsigned rounds, double out[static 3])
{
	uint64_t *times = mem_new(watchers, sizeof(*times));
	double first[ROUNDS_MAX], median[ROUNDS_MAX], last[ROUNDS_MAX];
	struct watch w;

	watch_start(&w, port, watchers, connections, value->len);
	w.times = times;
	for (unsigned round = 0; round <= rounds; round++) {
		int fd = peer_dial(port);
		uint64_t from;
		struct buf put;

		buf_init(&put, (size_t)1 << 20);
		put_request(&put, value, round);
		w.seen = 0;
		from = peer_now();
		peer_send_all(fd, put.data, put.len);
		while (w.seen < watchers)
			take_some(&w);
		(void)close(fd); /* its answer is not waited for: the watchers heard */
		buf_clear(&put);
		if (round == 0)
			continue;
		qsort(times, watchers, sizeof(*times), compare_times);
		first[round - 1] = (double)(times[0] - from) / 1e6;
		median[round - 1] = (double)(times[watchers / 2] - from) / 1e6;
		last[round - 1] = (double)(times[watchers - 1] - from) / 1e6;
	}
	watch_end(&w);
	free(times);
	out[0] = median_of(first, rounds);
	out[1] = median_of(median, rounds);
	out[2] = median_of(last, rounds);
}

int run_etcd(char **argv)
{
	size_t watchers = strtoul(argv[1], NULL, 10);
	unsigned rounds = (unsigned)strtoul(argv[2], NULL, 10);
	double one[3], own[3];
	uint64_t from, cpu;
	struct buf value;
	struct err err;

	buf_init(&value, WINDOW_FIRST);
	if (fs_read(AT_FDCWD, argv[3], &value, &err) != 0) {
		(void)fprintf(stderr, "fleet: %s\n", err.text);
		return 1;
	}
	rounds = rounds < 1 ? 1 : rounds > ROUNDS_MAX ? ROUNDS_MAX : rounds;
	run_rounds(argv[0], &value, watchers, 1, rounds, one);
	cpu = peer_cpu();
	from = peer_now();
	run_rounds(argv[0], &value, watchers, watchers, rounds, own);
	(void)printf("{\"watchers\":%zu,\"rounds\":%u,\"bytes\":%zu,\"first_ms\":%.2f,\"median_"
		     "ms\":%.2f,\"last_ms\":%.2f,"
		     "\"one_first_ms\":%.2f,\"one_median_ms\":%.2f,\"one_last_ms\":%.2f,\"watchers_"
		     "busy\":%.2f}\n",
		     watchers, rounds, value.len, own[0], own[1], own[2], one[0], one[1], one[2],
		     (double)(peer_cpu() - cpu) / (double)(peer_now() - from));
	buf_clear(&value);
	return 0;
}
