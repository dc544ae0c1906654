/*
 * A client of the channel that keeps to no rule: it is made of the engines (noise, records,
 * control) over a plain socket, so each byte of it can be bent. IDLE is what runs while it waits:
 * the loop of the other end, if that is in this process.
 */
#ifndef MUSTER_TESTS_WIRE_CLIENT_H
#define MUSTER_TESTS_WIRE_CLIENT_H

#include "channel/hello.h"
#include "channel/pktline.h"
#include "channel/record.h"
#include "core/loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FIRST_SIZE = HELLO_SIZE + HANDSHAKE_FIRST, WIRE_DEADLINE = 20000 /* milliseconds */ };

struct client {
	int fd;
	struct hello hello;
	struct static_key *key;
	struct noise *noise;
	struct record_state records;
	uint8_t first[FIRST_SIZE]; /* hello and message 1 */
	struct buf in;		   /* received */
	struct buf lanes[LANE_COUNT];
	bool ended; /* the other side closed */
	void (*idle)(void *arg);
	void *arg;
};

/* What cannot go wrong in a test without the test being wrong. */
#define wire_must(condition)                                                                       \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			(void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);      \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

static inline struct static_key *random_key(void)
{
	uint8_t secret[KEY_SIZE];

	crypto_random(secret, sizeof(secret));
	return static_key_of(secret);
}

static inline void client_connect(struct client *c, uint16_t port, void (*idle)(void *arg),
				  void *arg)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};

	*c = (struct client){.idle = idle, .arg = arg, .key = random_key()};
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	wire_must(c->fd >= 0 &&
		  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)) == 0);
	wire_must(connect(c->fd, (struct sockaddr *)&to, sizeof(to)) == 0);
	buf_init(&c->in, 64 << 20);
	for (int i = 0; i < LANE_COUNT; i++)
		buf_init(&c->lanes[i], 64 << 20);
}

static inline void client_clear(struct client *c)
{
	(void)close(c->fd); /* the test is over with it */
	static_key_free(c->key);
	noise_free(c->noise);
	buf_clear(&c->in);
	for (int i = 0; i < LANE_COUNT; i++)
		buf_clear(&c->lanes[i]);
}

/* Lets the other end run; takes in what has come. */
static inline void client_turn(struct client *c)
{
	struct pollfd p = {.fd = c->fd, .events = POLLIN};
	uint8_t bytes[16 << 10];
	ssize_t n;

	if (c->idle)
		c->idle(c->arg);
	if (poll(&p, 1, c->idle ? 0 : 10) < 1)
		return;
	n = recv(c->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (n > 0)
		buf_put(&c->in, bytes, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		c->ended = true;
}

/* All of it, as far as the other side takes it. */
static inline void client_send(struct client *c, const void *data, size_t n)
{
	const uint8_t *at = data;
	uint64_t end = loop_now() + WIRE_DEADLINE;

	while (n > 0 && !c->ended && loop_now() < end) {
		ssize_t sent = send(c->fd, at, n, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent > 0) {
			at += sent;
			n -= (size_t)sent;
		} else if (errno != EAGAIN && errno != EINTR) {
			return; /* it closed: reading tells */
		}
		client_turn(c);
	}
}

/* Until there are N bytes; false when it closed before, or time is up. */
static inline bool client_wait(struct client *c, size_t n)
{
	uint64_t end = loop_now() + WIRE_DEADLINE;

	while (c->in.len < n && !c->ended && loop_now() < end)
		client_turn(c);
	return c->in.len >= n;
}

/* Whether the other side closes now. */
static inline bool client_closed(struct client *c)
{
	uint64_t end = loop_now() + WIRE_DEADLINE;

	while (!c->ended && loop_now() < end)
		client_turn(c);
	return c->ended;
}

/* Makes c->first with what the cluster file says; VERSION and EPOCH 0: as they should be. */
static inline void client_prepare(struct client *c, const struct keystore *keystore,
				  unsigned version, unsigned epoch)
{
	struct buf out;
	struct err err;

	c->hello.version = (uint16_t)(version ? version : HELLO_VERSION);
	c->hello.epoch = epoch ? epoch : keystore->epoch;
	key_role_tag(keystore->cluster_id, keystore->role, c->hello.role_tag);
	hello_format(&c->hello, c->first);
	noise_free(c->noise);
	c->noise = hello_noise(c->first, c->key, keystore->admin_public, keystore->join_key);
	buf_init(&out, HANDSHAKE_FIRST);
	wire_must(noise_write(c->noise, NULL, 0, &out, &err) == 0 && out.len == HANDSHAKE_FIRST);
	memcpy(c->first + HELLO_SIZE, out.data, HANDSHAKE_FIRST);
	buf_clear(&out);
}

/* Message 2: false when it did not come or does not open. */
static inline bool client_finish(struct client *c)
{
	struct buf payload;
	struct err err;
	bool good;

	if (!client_wait(c, HANDSHAKE_SECOND))
		return false;
	buf_init(&payload, 0);
	good = noise_read(c->noise, c->in.data, HANDSHAKE_SECOND, &payload, &err) == 0;
	buf_clear(&payload);
	buf_consume(&c->in, HANDSHAKE_SECOND);
	if (good)
		noise_split(c->noise, c->records.send_key, c->records.receive_key, NULL);
	return good;
}

/* The whole handshake, as a good node does it. */
static inline bool client_join(struct client *c, const struct keystore *keystore)
{
	client_prepare(c, keystore, 0, 0);
	client_send(c, c->first, FIRST_SIZE);
	return client_finish(c);
}

static inline void client_seal(struct client *c, enum lane lane, const void *data, size_t n,
			       struct buf *out)
{
	struct err err;

	wire_must(record_seal(&c->records, lane, data, n, out, &err) == 0);
}

static inline void client_record(struct client *c, enum lane lane, const void *data, size_t n)
{
	struct buf out;

	buf_init(&out, 64 << 20);
	client_seal(c, lane, data, n, &out);
	client_send(c, out.data, out.len);
	buf_clear(&out);
}

/* A control message of pairs of words, NULL at the end: "name", "n1", …, NULL. */
static inline void client_say(struct client *c, const char *verb, ...)
{
	struct buf out;
	const char *key;
	va_list ap;

	buf_init(&out, 1 << 20);
	pktline_put(&out, verb, strlen(verb));
	va_start(ap, verb);
	while ((key = va_arg(ap, const char *))) {
		const char *value = va_arg(ap, const char *);

		pktline_printf(&out, "%s=%s", key, value);
	}
	va_end(ap);
	pktline_flush(&out);
	client_record(c, LANE_CONTROL, out.data, out.len);
	buf_clear(&out);
}

/* Opens the records that have come. */
static inline void client_open_records(struct client *c)
{
	enum lane lane;
	struct err err;

	while (record_open(&c->records, &c->in, &lane, c->lanes, &err) == 1)
		;
}

/* The next control message; false when it closed before one came. Cleared by the caller. */
static inline bool client_hear(struct client *c, struct control_message *message)
{
	uint64_t end = loop_now() + WIRE_DEADLINE;
	struct err err;

	for (;;) {
		client_open_records(c);
		if (control_take(&c->lanes[LANE_CONTROL], message, &err) == 1)
			return true;
		if (c->ended || loop_now() > end)
			return false;
		client_turn(c);
	}
}

/* The next control message is this one. */
static inline bool client_hears(struct client *c, const char *verb)
{
	struct control_message message;
	bool good;

	if (!client_hear(c, &message))
		return false;
	good = strcmp(message.word, verb) == 0;
	if (!good)
		(void)fprintf(stderr, "\"%s\" came, not \"%s\"\n", message.word, verb);
	control_clear(&message);
	return good;
}

/* Until the git lane holds N bytes. */
static inline bool client_git(struct client *c, size_t n)
{
	uint64_t end = loop_now() + WIRE_DEADLINE;

	for (;;) {
		client_open_records(c);
		if (c->lanes[LANE_GIT].len >= n)
			return true;
		if (c->ended || loop_now() > end)
			return false;
		client_turn(c);
	}
}

/* Until the git lane ends in TEXT. */
static inline bool client_git_ends(struct client *c, const char *text)
{
	const struct buf *git = &c->lanes[LANE_GIT];
	size_t n = strlen(text);

	while (git->len < n || memcmp(git->data + git->len - n, text, n) != 0)
		if (!client_git(c, git->len + 1))
			return false;
	return true;
}

#endif
