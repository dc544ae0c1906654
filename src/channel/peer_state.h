/* What peer.c (one connection) and peers.c (the group: accepting, dialling, waits) share. For these two only. */
#ifndef MUSTER_CHANNEL_PEER_STATE_H
#define MUSTER_CHANNEL_PEER_STATE_H

#include "channel/hello.h"
#include "channel/peer.h"

enum {
	SWEEP_MS = 500,			      /* how often the waits are looked at */
	READ_SIZE = 64 << 10,		      /* bytes read at once, one buffer for the group */
	DRAINED_MARK = LIMIT_PEER_OUTPUT / 4, /* bytes */
};

/* Where a peer is in its life; peer_enter is the one place that changes it. */
#define PEER_STATES(X)                                                                             \
	X(CONNECTING) X(FAILED) X(HELLO) X(HANDSHAKE) X(UNPROVEN) X(OPEN) X(CLOSING)

enum peer_state {
#define X(name) PEER_##name,
	PEER_STATES(X)
#undef X
};

struct peer {
	uv_tcp_t tcp; /* first: a handle is its peer */
	struct peers *group;
	struct peer *next, *previous;
	void *data;
	enum peer_state state;
	bool dialled;
	bool reading;
	bool handling; /* input is being handled: no second time from within */
	bool notify_drained;
	struct noise *noise;	    /* during the handshake */
	struct record_state *records; /* after it; guarded */
	struct buf in;		    /* received, not yet a whole record */
	struct buf lanes[LANE_COUNT];
	size_t in_flight; /* bytes given to libuv */
	uint64_t since;	  /* when this state began */
	uint64_t heard;	  /* when the last record came */
	uint64_t moved;	  /* when output last went down */
	struct hello hello;
	uint8_t public[KEY_SIZE];
	char address[PEER_ADDRESS_MAX];
	struct dial *dial;
};

/* What only a dialling peer needs, until its handshake is done. */
struct dial {
	uv_getaddrinfo_t lookup;
	uv_connect_t connect;
	struct peer *peer; /* NULL: the peer is gone, the lookup is not */
	struct addrinfo *addresses, *next;
	uint8_t join_key[KEY_SIZE];
};

struct peers {
	uv_tcp_t listener;
	uv_timer_t sweep;
	uv_loop_t *loop;
	const struct static_key *key;
	const struct peer_calls *calls;
	void *arg;
	struct slab *slab; /* of struct record_state */
	struct peer *first;
	size_t count;
	size_t unproven; /* accepted and not open */
	uint16_t port;
	bool closing;
	int handles; /* open handles of the group itself */
	char read_buffer[READ_SIZE];
};

/* A new peer of the group, in state CONNECTING. */
struct peer *peer_new(struct peers *group, bool dialled);
void peer_enter(struct peer *peer, enum peer_state state);
/* Starts reading. */
void peer_read(struct peer *peer);
/* Sends OUT and clears it: at once what the socket takes, the rest by libuv. */
void peer_write(struct peer *peer, struct buf *out);
/* Fills in the address for logs. */
void peer_name(struct peer *peer);
void send_hint(struct peer *peer, enum peer_hint hint);
/* Lets go of what the dialling needs; a lookup that still runs keeps it until it ends. */
void peer_drop_dial(struct peer *peer);
/* Frees the group once it is closing and nothing is left of it. */
void group_release(struct peers *peers);

#endif
