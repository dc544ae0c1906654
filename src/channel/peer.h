/*
 * A peer: one TCP connection, its handshake, its records and its two lanes (muster-channel(7)), on
 * the loop. The same code is both ends. A group of peers shares a loop, a static key, guarded
 * memory and one timer for every wait.
 */
#ifndef MUSTER_CHANNEL_PEER_H
#define MUSTER_CHANNEL_PEER_H

#include "channel/control.h"
#include "channel/record.h"
#include "core/err.h"
#include "crypto/key.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

enum {
	HELLO_SIZE = 20,
	HELLO_VERSION = 1,
	PEER_ADDRESS_MAX = 64, /* "[address]:port" and a NUL */
};

/*
 * The clear byte an admin answers to a hello it cannot serve: a hint for the node's status, never
 * trusted.
 */
#define PEER_HINTS(X)                                                                              \
	X(VERSION, 1, "the admin does not speak this version of the channel")                      \
	X(EPOCH, 2,                                                                                \
	  "the admin does not know this epoch of the cluster key: a newer cluster file is needed") \
	X(BUSY, 3, "the admin has as many connections as it takes")

enum peer_hint {
	PEER_HINT_NONE,
#define X(name, value, text) PEER_HINT_##name = (value),
	PEER_HINTS(X)
#undef X
};

struct hello {
	uint16_t version;
	uint32_t epoch;
	uint8_t role_tag[ROLE_TAG_SIZE];
};

struct peer;
struct peers;

struct peer_calls {
	/*
	 * Accepting side, a hello and the message after it came: gives the join key, or says why
	 * not.
	 */
	enum peer_hint (*hello)(void *arg, const struct hello *hello,
				uint8_t join_key[static KEY_SIZE]);
	/*
	 * The peer is who it says: accepting side with its first record, dialling side with the
	 * handshake.
	 */
	void (*open)(struct peer *peer);
	void (*control)(struct peer *peer, const struct control_message *message);
	void (*git)(struct peer *peer, const uint8_t *data, size_t n);
	/* What was to be sent has gone down below a mark: more may be sent. */
	void (*drained)(struct peer *peer);
	/*
	 * The last call for this peer, whoever closed it; its memory goes later. REASON is one
	 * sentence. Comes from within peer_close and peers_free, else from the loop.
	 */
	void (*closed)(struct peer *peer, const char *reason);
};

/* KEY is copied; ARG is given back by peers_arg. */
struct peers *peers_new(uv_loop_t *loop, const struct static_key *key,
			const struct peer_calls *calls, void *arg);
void *peers_arg(const struct peers *peers);
/* Listens; PORT 0 takes a free one. */
int peers_listen(struct peers *peers, const char *host, uint16_t port, struct err *err);
/* The port that is listened on, 0 if none. */
uint16_t peers_port(const struct peers *peers);
/* How many there are, those included that are being closed. */
size_t peers_count(const struct peers *peers);
/*
 * Takes at most PEERS connections, UNPROVEN of which have not finished the handshake. Who comes
 * then waits until one has, or until the oldest, silent for WAIT_ROOM (for WAIT_ROOM_ANSWERED after
 * the answer), make room. Before it is called: LIMIT_PEERS, LIMIT_HANDSHAKES.
 */
void peers_allow(struct peers *peers, size_t max_peers, size_t max_unproven);
/* For tests: another clock, in milliseconds, for every wait; and a look at the waits now. */
void peers_set_clock(struct peers *peers, uint64_t (*now)(void));
void peers_sweep(struct peers *peers);
/* Dials. Whatever fails comes by closed(). */
struct peer *peers_dial(struct peers *peers, const char *host, uint16_t port,
			const struct keystore *keystore);
/* Closes all; the memory goes when the loop has closed the handles. NULL is fine. */
void peers_free(struct peers *peers);

/* A pointer of the user's. */
void peer_set_data(struct peer *peer, void *data);
void *peer_data(const struct peer *peer);
struct peers *peer_group(const struct peer *peer);
/* The other side's static key; its hello (accepting side); its address, for logs. */
const uint8_t *peer_public(const struct peer *peer);
const struct hello *peer_hello(const struct peer *peer);
const char *peer_address(const struct peer *peer);

/*
 * All do nothing on a peer that is not open. They never close it at once: what fails comes by
 * closed(), from the loop. A peer that lets more than twice LIMIT_PEER_OUTPUT wait has failed.
 */
void peer_send_control(struct peer *peer, const struct control_message *message);
void peer_send_git(struct peer *peer, const void *data, size_t n);
/*
 * Bytes of a lane's stream: of the control lane, as control_put makes them. Several parts go out as
 * one.
 */
struct peer_bytes {
	enum lane lane;
	const void *data;
	size_t size;
};
void peer_send(struct peer *peer, const struct peer_bytes *parts, size_t count);
/*
 * The same to COUNT peers of a group, none of which is there twice, with the help of the worker
 * threads: sealing and the system's share of a send are what telling thousands costs.
 */
struct peer_message {
	struct peer *peer;
	const struct peer_bytes *parts;
	size_t part_count;
};
void peers_send(struct peers *peers, const struct peer_message *messages, size_t count);
/*
 * Sealed bytes that wait to be sent: a sender of much pauses over LIMIT_PEER_OUTPUT and goes on at
 * drained().
 */
size_t peer_pending(const struct peer *peer);
/* Milliseconds since the last record came. */
uint64_t peer_silence(const struct peer *peer);
/*
 * Stops reading (its input is not needed now) and goes on; what is left of a record that was opened
 * still comes. Going on may call back before it returns. A paused peer is not silent.
 */
void peer_pause(struct peer *peer);
void peer_resume(struct peer *peer);
/*
 * Closes the peer in MS milliseconds, "WHAT took more than …", unless it is called again before; 0
 * lifts it. WHAT is static.
 */
void peer_limit(struct peer *peer, uint32_t ms, const char *what);
void peer_close(struct peer *peer, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
