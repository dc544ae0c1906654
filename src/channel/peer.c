/* One peer: see peer.h. One function, peer_close, ends a peer; its memory goes in the close callback only. */
#include "channel/peer_state.h"

#include "core/log.h"
#include "core/loop.h"
#include "core/text.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sending {
	uv_write_t request;
	uint8_t *data;
	size_t size;
};

static void on_peer_close(uv_handle_t *handle)
{
	struct peer *peer = (struct peer *)handle;
	struct peers *group = peer->group;

	if (peer->previous)
		peer->previous->next = peer->next;
	else
		group->first = peer->next;
	if (peer->next)
		peer->next->previous = peer->previous;
	group->count--;
	buf_clear(&peer->in);
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
	bool was = !peer->dialled && peer->state < PEER_OPEN;
	bool is = !peer->dialled && state < PEER_OPEN;

	if (state != PEER_CONNECTING)
		log_debug("channel", peer->address, "%s -> %s", names[peer->state], names[state]);
	if (state != PEER_CONNECTING && was && !is)
		group->unproven--;
	peer->state = state;
	peer->since = loop_now();
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
	noise_free(peer->noise);
	peer->noise = NULL;
	slab_give(peer->group->slab, peer->records);
	peer->records = NULL;
	peer->group->calls->closed(peer, reason);
	uv_close((uv_handle_t *)&peer->tcp, on_peer_close);
}

struct peer *peer_new(struct peers *group, bool dialled)
{
	struct peer *peer = mem_new(1, sizeof(*peer));

	(void)uv_tcp_init(group->loop, &peer->tcp); /* never fails without a socket */
	peer->group = group;
	peer->dialled = dialled;
	peer->next = group->first;
	if (group->first)
		group->first->previous = peer;
	group->first = peer;
	group->count++;
	if (!dialled)
		group->unproven++;
	buf_init(&peer->in, LIMIT_PEER_INPUT);
	buf_init(&peer->lanes[LANE_CONTROL], LIMIT_CONTROL_MESSAGE + RECORD_PLAIN_MAX);
	buf_init(&peer->lanes[LANE_GIT], RECORD_PLAIN_MAX);
	peer_enter(peer, PEER_CONNECTING);
	peer->heard = peer->moved = peer->since;
	return peer;
}

/* --- sending --- */

static void on_sent(uv_write_t *request, int status)
{
	struct sending *sending = (struct sending *)request;
	struct peer *peer = (struct peer *)request->handle;

	peer->in_flight -= sending->size;
	peer->moved = loop_now();
	free(sending->data);
	free(sending);
	if (peer->state == PEER_CLOSING)
		return;
	if (status != 0) {
		peer_close(peer, "sending failed: %s", uv_strerror(status));
	} else if (peer->notify_drained && peer->in_flight <= DRAINED_MARK) {
		peer->notify_drained = false;
		peer->group->calls->drained(peer);
	}
}

void peer_write(struct peer *peer, struct buf *out)
{
	uv_buf_t bytes = uv_buf_init((char *)out->data, (unsigned)out->len);
	int done = peer->in_flight ? 0 : uv_try_write((uv_stream_t *)&peer->tcp, &bytes, 1);
	struct sending *sending;

	if (done < 0)
		done = 0;
	if ((size_t)done < out->len) {
		buf_consume(out, (size_t)done);
		sending = mem_new(1, sizeof(*sending));
		sending->data = buf_steal(out, &sending->size);
		bytes = uv_buf_init((char *)sending->data, (unsigned)sending->size);
		if (peer->in_flight == 0)
			peer->moved = loop_now();
		peer->in_flight += sending->size;
		peer->notify_drained = true;
		if (uv_write(&sending->request, (uv_stream_t *)&peer->tcp, &bytes, 1, on_sent) != 0) {
			peer->in_flight -= sending->size;
			free(sending->data);
			free(sending);
			peer_close(peer, "sending failed");
		}
	} else {
		peer->moved = loop_now();
	}
	buf_clear(out);
}

static void peer_send(struct peer *peer, enum lane lane, const void *data, size_t n)
{
	struct buf out;
	struct err err;

	if (peer->state != PEER_OPEN && !(peer->state == PEER_UNPROVEN && peer->dialled))
		return;
	buf_init(&out, SIZE_MAX / 2);
	if (record_seal(peer->records, lane, data, n, &out, &err) != 0) {
		buf_clear(&out);
		peer_close(peer, "%s", err.text);
		return;
	}
	peer_write(peer, &out);
}

void peer_send_control(struct peer *peer, const struct control_message *message)
{
	struct buf plain;

	buf_init(&plain, LIMIT_CONTROL_MESSAGE * 2);
	control_put(message, &plain);
	assert(!plain.failed); /* values are cut long before */
	peer_send(peer, LANE_CONTROL, plain.data, plain.len);
	buf_clear(&plain);
}

void peer_send_git(struct peer *peer, const void *data, size_t n)
{
	peer_send(peer, LANE_GIT, data, n);
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
	peer->heard = loop_now();
	if (peer->state == PEER_UNPROVEN)
		peer_opened(peer);
	if (peer->state == PEER_OPEN && lane == LANE_CONTROL)
		take_control(peer);
	if (peer->state == PEER_OPEN && lane == LANE_GIT) {
		peer->group->calls->git(peer, peer->lanes[LANE_GIT].data, peer->lanes[LANE_GIT].len);
		buf_clear(&peer->lanes[LANE_GIT]);
	}
	return peer->state == PEER_OPEN;
}

static bool take_records(struct peer *peer)
{
	struct cursor in = cursor_of(peer->in.data, peer->in.len);

	while (peer->reading && take_record(peer, &in))
		;
	buf_consume(&peer->in, peer->in.len - in.left); /* once: many small records cost no more than one large */
	return false;
}

/* The handshake is done: keys for records, and no more noise. */
static void peer_established(struct peer *peer)
{
	const uint8_t *remote = noise_remote_static(peer->noise);

	assert(remote);
	memcpy(peer->public, remote, KEY_SIZE);
	peer->records = slab_take(peer->group->slab);
	noise_split(peer->noise, peer->records->send_key, peer->records->receive_key, NULL);
	noise_free(peer->noise);
	peer->noise = NULL;
	peer_enter(peer, PEER_UNPROVEN);
	if (peer->dialled)
		peer_opened(peer);
}

void send_hint(struct peer *peer, enum peer_hint hint)
{
	struct buf out;

	buf_init(&out, 1);
	buf_put_u8(&out, (uint8_t)hint);
	peer_write(peer, &out);
}

/* Accepting side: a whole hello is in. False when the peer is closing. */
static bool take_hello(struct peer *peer)
{
	uint8_t join_key[KEY_SIZE];
	enum peer_hint hint;
	struct err err;

	if (hello_parse(peer->in.data, &peer->hello, &err) != 0) {
		peer_close(peer, "%s", err.text);
		return false;
	}
	hint = peer->hello.version == HELLO_VERSION
		       ? peer->group->calls->hello(peer->group->arg, &peer->hello, join_key)
		       : PEER_HINT_VERSION;
	if (hint != PEER_HINT_NONE) {
		send_hint(peer, hint);
		peer_close(peer, "hello with version %u and epoch %u is not known here",
			   peer->hello.version, peer->hello.epoch);
		return false;
	}
	peer->noise = hello_noise(peer->in.data, peer->group->key, NULL, join_key);
	crypto_wipe(join_key, sizeof(join_key));
	buf_consume(&peer->in, HELLO_SIZE);
	peer_enter(peer, PEER_HANDSHAKE);
	return true;
}

static bool take_handshake(struct peer *peer)
{
	size_t need = peer->dialled ? HANDSHAKE_SECOND : HANDSHAKE_FIRST;
	struct buf payload, answer;
	struct err err;
	int rc;

	if (peer->in.len < need)
		return false;
	buf_init(&payload, 0);
	buf_init(&answer, HANDSHAKE_SECOND);
	rc = noise_read(peer->noise, peer->in.data, need, &payload, &err);
	if (rc == 0 && !peer->dialled)
		rc = noise_write(peer->noise, NULL, 0, &answer, &err);
	buf_consume(&peer->in, need);
	if (rc != 0) {
		peer_close(peer, "handshake refused: the other side does not hold the keys of this cluster file");
	} else {
		if (answer.len)
			peer_write(peer, &answer);
		if (peer->state == PEER_HANDSHAKE)
			peer_established(peer);
	}
	buf_clear(&payload);
	buf_clear(&answer);
	return peer->state != PEER_CLOSING;
}

static void peer_handle_input(struct peer *peer)
{
	bool more = true;

	peer->handling = true;
	while (more && peer->reading) {
		switch (peer->state) {
		case PEER_HELLO:
			more = peer->in.len >= HELLO_SIZE && take_hello(peer);
			break;
		case PEER_HANDSHAKE:
			more = take_handshake(peer);
			break;
		case PEER_UNPROVEN:
		case PEER_OPEN:
			more = take_records(peer);
			break;
		case PEER_CONNECTING:
		case PEER_FAILED:
		case PEER_CLOSING:
			more = false;
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
		peer_close(peer, "the admin closed the connection in the handshake: is this cluster file its own?");
	else
		peer_close(peer, n == UV_EOF ? "the other side closed the connection"
					     : "connection lost: %s", uv_strerror((int)n));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *bytes)
{
	struct peer *peer = (struct peer *)stream;

	if (peer->state == PEER_CLOSING || n == 0)
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

	if (peer->reading || peer->state == PEER_CLOSING)
		return;
	peer->reading = true;
	rc = uv_read_start((uv_stream_t *)&peer->tcp, on_alloc, on_read);
	if (rc != 0)
		peer_close(peer, "reading failed: %s", uv_strerror(rc));
}

void peer_pause(struct peer *peer)
{
	if (peer->reading && peer->state != PEER_CLOSING)
		(void)uv_read_stop((uv_stream_t *)&peer->tcp); /* never fails */
	peer->reading = false;
}

void peer_resume(struct peer *peer)
{
	if (peer->reading || peer->state == PEER_CLOSING)
		return;
	peer_read(peer);
	if (peer->state != PEER_CLOSING && peer->in.len && !peer->handling)
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
	return peer->in_flight;
}

uint64_t peer_silence(const struct peer *peer)
{
	return loop_now() - peer->heard;
}
