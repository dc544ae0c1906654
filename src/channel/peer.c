/*
 * One peer: see peer.h. One function, peer_close, ends a peer; its memory goes in the close
 * callback only.
 */
#include "channel/peer_state.h"

#include "core/log.h"
#include "core/text.h"

#include <assert.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sending {
	uv_write_t request;
	uint8_t *data;
};

/* --- life --- */

static void list_add(struct peer_list *list, struct peer *peer)
{
	peer->list = list;
	peer->previous = NULL;
	peer->next = list->first;
	if (list->first)
		list->first->previous = peer;
	else
		list->last = peer;
	list->first = peer;
	list->count++;
}

static void list_remove(struct peer *peer)
{
	struct peer_list *list = peer->list;

	if (peer->previous)
		peer->previous->next = peer->next;
	else
		list->first = peer->next;
	if (peer->next)
		peer->next->previous = peer->previous;
	else
		list->last = peer->previous;
	list->count--;
	peer->list = NULL;
}

static void on_peer_close(uv_handle_t *handle)
{
	struct peer *peer = (struct peer *)handle;
	struct peers *group = peer->group;

	list_remove(peer);
	buf_clear(&peer->in);
	buf_clear(&peer->waiting);
	for (int i = 0; i < LANE_COUNT; i++)
		buf_clear(&peer->lanes[i]);
	free(peer);
	if (group->closing)
		group_release(group);
}

void peer_enter(struct peer *peer, enum peer_state state)
{
	static const char *const names[] = {
#define X(name) #name,
		PEER_STATES(X)
#undef X
	};
	struct peers *group = peer->group;
	struct peer_list *list = &group->others;

	if (state == PEER_CLOSING)
		list = &group->closed;
	else if (!peer->dialled && state < PEER_OPEN)
		list = &group->unproven;
	/* then it is its turn again: first among the unproven */
	if (peer->list != list || state == PEER_UNPROVEN) {
		if (peer->list)
			list_remove(peer);
		list_add(list, peer);
	}
	if (state != PEER_CONNECTING)
		log_debug("channel", peer->address, "%s -> %s", names[peer->state], names[state]);
	peer->state = state;
	/* an accepted peer has one time for hello, handshake and first record together */
	if (peer->dialled || state == PEER_CONNECTING || state == PEER_OPEN)
		peer->since = group->now();
}

void peer_close(struct peer *peer, const char *fmt, ...)
{
	char reason[512];
	va_list ap;

	if (peer->state == PEER_CLOSING)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(reason, sizeof(reason), fmt, ap); /* cut is fine */
	va_end(ap);
	peer_enter(peer, PEER_CLOSING);
	peer_drop_dial(peer);
	handshake_forget(peer);
	noise_free(peer->noise);
	peer->noise = NULL;
	slab_give(peer->group->slab, peer->records);
	peer->records = NULL;
	uv_close((uv_handle_t *)&peer->tcp, on_peer_close);
	peer->group->calls->closed(peer, reason);
}

void peer_fail(struct peer *peer, const char *why)
{
	if (peer->state >= PEER_FAILED)
		return;
	peer_pause(peer);
	peer->failed = why;
	peer_enter(peer, PEER_FAILED);
	sweep_soon(peer->group);
}

struct peer *peer_new(struct peers *group, bool dialled)
{
	struct peer *peer = mem_new(1, sizeof(*peer));

	(void)uv_tcp_init(group->loop, &peer->tcp); /* never fails without a socket */
	peer->group = group;
	peer->dialled = dialled;
	(void)snprintf(peer->address, sizeof(peer->address), "?"); /* fits */
	buf_init(&peer->in, LIMIT_PEER_INPUT);
	buf_init(&peer->lanes[LANE_CONTROL], LIMIT_CONTROL_MESSAGE + RECORD_PLAIN_MAX);
	buf_init(&peer->lanes[LANE_GIT], RECORD_PLAIN_MAX);
	buf_init(&peer->waiting, SIZE_MAX / 2);
	peer_enter(peer, PEER_CONNECTING);
	peer->heard = peer->moved = peer->since;
	return peer;
}

/* --- sending --- */

static void on_sent(uv_write_t *request, int status);

/* Gives OUT, which is cleared, to libuv. */
static void start_sending(struct peer *peer, struct buf *out)
{
	struct sending *sending = mem_new(1, sizeof(*sending));
	size_t size;
	uv_buf_t bytes;

	sending->data = buf_steal(out, &size);
	bytes = uv_buf_init((char *)sending->data, (unsigned)size);
	peer->moved = peer->group->now();
	peer->sending = true;
	if (uv_write(&sending->request, (uv_stream_t *)&peer->tcp, &bytes, 1, on_sent) != 0) {
		peer->sending = false;
		free(sending->data);
		free(sending);
		peer_fail(peer, "sending failed");
	}
}

static void on_sent(uv_write_t *request, int status)
{
	struct sending *sending = (struct sending *)request;
	struct peer *peer = (struct peer *)request->handle;

	free(sending->data);
	free(sending);
	peer->sending = false;
	if (peer->state >= PEER_FAILED)
		return;
	if (status != 0) {
		/* a hint may have come before the connection was reset: reading tells */
		if (!peer->dialled || peer->state != PEER_HANDSHAKE)
			peer_close(peer, "sending failed: %s", uv_strerror(status));
		return;
	}
	peer->moved = peer->group->now();
	if (peer->waiting.len)
		start_sending(peer, &peer->waiting);
	if (peer->state < PEER_FAILED && peer->notify_drained &&
	    peer_pending(peer) <= DRAINED_MARK) {
		peer->notify_drained = false;
		peer->group->calls->drained(peer);
	}
}

void peer_write(struct peer *peer, struct buf *out)
{
	if (!peer->sending) {
		uv_buf_t bytes = uv_buf_init((char *)out->data, (unsigned)out->len);
		int done = uv_try_write((uv_stream_t *)&peer->tcp, &bytes, 1);

		if (done > 0) {
			peer->moved = peer->group->now();
			buf_consume(out, (size_t)done);
		}
	}
	if (out->len) {
		peer->notify_drained = true;
		if (peer->sending)
			buf_put(&peer->waiting, out->data, out->len);
		else
			start_sending(peer, out);
	}
	buf_clear(out);
}

bool peer_sendable(struct peer *peer)
{
	if (peer->state != PEER_OPEN)
		return false;
	if (peer_pending(peer) > OUTPUT_MAX) {
		peer_fail(peer, "does not read what it asked for");
		return false;
	}
	return true;
}

bool peer_seal(struct peer *peer, const struct peer_bytes *parts, size_t count, struct buf *out)
{
	struct err err;

	for (size_t i = 0; i < count; i++)
		if (record_seal(peer->records, parts[i].lane, parts[i].data, parts[i].size, out,
				&err) != 0)
			return false;
	return true;
}

void peer_send(struct peer *peer, const struct peer_bytes *parts, size_t count)
{
	struct buf out;

	if (!peer_sendable(peer))
		return;
	buf_init(&out, UINT_MAX);
	if (!peer_seal(peer, parts, count, &out)) {
		buf_clear(&out);
		peer_fail(peer, SEND_TOO_MUCH);
	} else if (out.len) {
		peer_write(peer, &out);
	}
}

void peer_send_control(struct peer *peer, const struct control_message *message)
{
	struct peer_bytes part = {.lane = LANE_CONTROL};
	struct buf plain;

	buf_init(&plain, LIMIT_CONTROL_MESSAGE * 2);
	control_put(message, &plain);
	assert(!plain.failed); /* values are cut long before */
	part.data = plain.data;
	part.size = plain.len;
	peer_send(peer, &part, 1);
	buf_clear(&plain);
}

void peer_send_git(struct peer *peer, const void *data, size_t n)
{
	const struct peer_bytes part = {.lane = LANE_GIT, .data = data, .size = n};

	peer_send(peer, &part, 1);
}

/* --- receiving --- */

static void peer_opened(struct peer *peer)
{
	peer_enter(peer, PEER_OPEN);
	peer->group->calls->open(peer);
}

static void take_control(struct peer *peer)
{
	while (peer->state == PEER_OPEN) {
		struct control_message message;
		struct err err;
		int got = control_take(&peer->lanes[LANE_CONTROL], &message, &err);

		if (got < 0)
			peer_close(peer, "%s", err.text);
		if (got <= 0)
			break;
		/*
		 * only of nodes: what an admin has to say may come all at once when a partition is
		 * over
		 */
		if (!peer->dialled && ++peer->asked > LIMIT_CONTROL_BURST)
			peer_close(peer, "more than %u messages in half a second",
				   LIMIT_CONTROL_BURST);
		else
			peer->group->calls->control(peer, &message);
		control_clear(&message);
	}
	if (peer->lanes[LANE_CONTROL].len == 0)
		buf_clear(&peer->lanes[LANE_CONTROL]);
}

/* Opens the next record; false when there is no whole one, or the peer is closing. */
static bool take_record(struct peer *peer, struct cursor *in)
{
	enum lane lane = LANE_CONTROL;
	struct err err;
	int got = record_next(peer->records, in, &lane, peer->lanes, &err);

	if (got < 0)
		peer_close(peer, "%s", err.text);
	if (got <= 0)
		return false;
	peer->heard = peer->group->now();
	if (peer->state == PEER_UNPROVEN)
		peer_opened(peer);
	if (peer->state == PEER_OPEN && lane == LANE_CONTROL)
		take_control(peer);
	if (peer->state == PEER_OPEN && lane == LANE_GIT) {
		peer->group->calls->git(peer, peer->lanes[LANE_GIT].data,
					peer->lanes[LANE_GIT].len);
		buf_clear(&peer->lanes[LANE_GIT]);
	}
	return peer->state == PEER_OPEN;
}

/* All that are whole, until it is paused. */
static void take_records(struct peer *peer)
{
	struct cursor in = cursor_of(peer->in.data, peer->in.len);

	while (peer->reading && take_record(peer, &in))
		;
	/* once: many small records cost no more than one large */
	buf_consume(&peer->in, peer->in.len - in.left);
}

void peer_established(struct peer *peer, const uint8_t public[static KEY_SIZE],
		      const uint8_t send_key[static KEY_SIZE],
		      const uint8_t receive_key[static KEY_SIZE])
{
	memcpy(peer->public, public, KEY_SIZE);
	peer->records = slab_take(peer->group->slab);
	memcpy(peer->records->send_key, send_key, KEY_SIZE);
	memcpy(peer->records->receive_key, receive_key, KEY_SIZE);
	peer->heard = peer->group->now();
	peer_enter(peer, PEER_UNPROVEN);
}

void peer_hint(struct peer *peer, enum peer_hint hint)
{
	struct buf out;

	buf_init(&out, 1);
	buf_put_u8(&out, (uint8_t)hint);
	peer_write(peer, &out);
}

/* Dialling side: the answer came. */
static bool take_second(struct peer *peer)
{
	uint8_t send_key[KEY_SIZE], receive_key[KEY_SIZE];
	struct buf payload;
	struct err err;
	int rc;

	if (peer->in.len < HANDSHAKE_SECOND)
		return false;
	buf_init(&payload, 0);
	rc = noise_read(peer->noise, peer->in.data, HANDSHAKE_SECOND, &payload, &err);
	buf_clear(&payload);
	if (rc != 0) {
		peer_close(peer, HANDSHAKE_REFUSED);
		return false;
	}
	noise_split(peer->noise, send_key, receive_key, NULL);
	noise_free(peer->noise);
	peer->noise = NULL;
	peer_established(peer, peer->public, send_key,
			 receive_key); /* it was dialled by that key */
	crypto_wipe(send_key, sizeof(send_key));
	crypto_wipe(receive_key, sizeof(receive_key));
	buf_consume(&peer->in, HANDSHAKE_SECOND);
	peer_opened(peer);
	return peer->state == PEER_OPEN;
}

void peer_handle_input(struct peer *peer)
{
	bool more = true;

	peer->handling = true;
	while (more && peer->reading) {
		more = false;
		switch (peer->state) {
		case PEER_HELLO:
			more = handshake_hello(peer);
			break;
		case PEER_HANDSHAKE:
			if (peer->dialled)
				more = take_second(peer);
			else
				handshake_first(peer);
			break;
		case PEER_UNPROVEN:
		case PEER_OPEN:
			take_records(peer);
			break;
		case PEER_CONNECTING:
		case PEER_FAILED:
		case PEER_CLOSING:
			break;
		}
	}
	peer->handling = false;
	if (peer->in.len == 0)
		buf_clear(&peer->in); /* an idle peer keeps no buffer */
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
	struct peer *peer = (struct peer *)handle;

	(void)suggested; /* the group's buffer serves all: what is read is handled at once */
	*out = uv_buf_init(peer->group->read_buffer, READ_SIZE);
}

static void peer_ended(struct peer *peer, ssize_t n)
{
	static const char *const hints[] = {
#define X(name, value, text) [value] = text,
		PEER_HINTS(X)
#undef X
	};
	unsigned hint = peer->in.len == 1 ? peer->in.data[0] : 0;

	if (peer->dialled && peer->state == PEER_HANDSHAKE && hint > 0 &&
	    hint < sizeof(hints) / sizeof(hints[0]))
		peer_close(peer, "%s", hints[hint]);
	else if (peer->dialled && peer->state == PEER_HANDSHAKE)
		peer_close(peer, "the admin closed the connection in the handshake: is this "
				 "cluster file its own?");
	else
		peer_close(peer, n == UV_EOF ? "the other side closed the connection"
					     : "connection lost: %s", uv_strerror((int)n));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *bytes)
{
	struct peer *peer = (struct peer *)stream;

	if (peer->state >= PEER_FAILED || n == 0)
		return;
	if (n < 0) {
		peer_ended(peer, n);
		return;
	}
	buf_put(&peer->in, bytes->base, (size_t)n);
	if (peer->in.failed)
		peer_close(peer, "sent more than it may");
	else
		peer_handle_input(peer);
}

void peer_read(struct peer *peer)
{
	int rc;

	if (peer->reading || peer->state >= PEER_FAILED)
		return;
	peer->reading = true;
	peer->heard = peer->group->now(); /* silence begins now */
	rc = uv_read_start((uv_stream_t *)&peer->tcp, on_alloc, on_read);
	if (rc != 0)
		peer_fail(peer, "reading failed");
}

void peer_pause(struct peer *peer)
{
	if (peer->reading && peer->state != PEER_CLOSING)
		(void)uv_read_stop((uv_stream_t *)&peer->tcp); /* never fails */
	peer->reading = false;
}

void peer_resume(struct peer *peer)
{
	if (peer->reading)
		return;
	peer_read(peer);
	if (peer->reading && peer->in.len && !peer->handling)
		peer_handle_input(peer);
}

void peer_name(struct peer *peer)
{
	struct sockaddr_storage address;
	int size = sizeof(address);
	char host[48] = "?";
	unsigned port = 0;

	if (uv_tcp_getpeername(&peer->tcp, (struct sockaddr *)&address, &size) == 0) {
		(void)uv_ip_name((struct sockaddr *)&address, host, sizeof(host)); /* stays "?" */
		port = ntohs(address.ss_family == AF_INET6
				     ? ((struct sockaddr_in6 *)&address)->sin6_port
				     : ((struct sockaddr_in *)&address)->sin_port);
	}
	(void)snprintf(peer->address, sizeof(peer->address),
		       address.ss_family == AF_INET6 ? "[%s]:%u" : "%s:%u", host, port); /* fits */
}

void peer_set_data(struct peer *peer, void *data)
{
	peer->data = data;
}

void *peer_data(const struct peer *peer)
{
	return peer->data;
}

struct peers *peer_group(const struct peer *peer)
{
	return peer->group;
}

const uint8_t *peer_public(const struct peer *peer)
{
	return peer->public;
}

const struct hello *peer_hello(const struct peer *peer)
{
	return &peer->hello;
}

const char *peer_address(const struct peer *peer)
{
	return peer->address;
}

size_t peer_pending(const struct peer *peer)
{
	return uv_stream_get_write_queue_size((const uv_stream_t *)&peer->tcp) + peer->waiting.len;
}

uint64_t peer_silence(const struct peer *peer)
{
	return peer->group->now() - peer->heard;
}

void peer_limit(struct peer *peer, uint32_t ms, const char *what)
{
	peer->limit = ms ? peer->group->now() + ms : 0;
	peer->what = what;
}
