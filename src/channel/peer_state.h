/*
 * What peer.c (one connection), handshake.c (those of the accepting side), peers.c (the group:
 * accepting, dialling, waits) and broadcast.c (one message for many) share. For these only.
 */
#ifndef MUSTER_CHANNEL_PEER_STATE_H
#define MUSTER_CHANNEL_PEER_STATE_H

#include "channel/hello.h"
#include "channel/peer.h"

enum {
	SWEEP_MS = 500,			      /* how often the waits are looked at */
	/* until it is looked again for room for one who comes */
	ROOM_MS = 5,
	/* between two lines about connections that cannot be accepted */
	WARN_MS = 10000,
	READ_SIZE = 64 << 10,		      /* bytes read at once, one buffer for the group */
	/* connections that wait to be accepted: all nodes after a restart */
	BACKLOG = 4096,
	DRAINED_MARK = LIMIT_PEER_OUTPUT / 4, /* bytes */
	/* bytes: a peer that asks on and reads nothing is closed */
	OUTPUT_MAX = LIMIT_PEER_OUTPUT * 2,
};

/*
 * Where a peer is in its life; peer_enter is the one place that changes it. FAILED: it ended while
 * the user may be in the middle of something; the loop closes it.
 */
#define PEER_STATES(X)                                                                             \
	X(CONNECTING) X(HELLO) X(HANDSHAKE) X(UNPROVEN) X(OPEN) X(FAILED) X(CLOSING)

enum peer_state {
#define X(name) PEER_##name,
	PEER_STATES(X)
#undef X
};

/* Newest first. A peer is in the one list of its group that belongs to its state. */
struct peer_list {
	struct peer *first, *last;
	size_t count;
};

struct peer {
	uv_tcp_t tcp; /* first: a handle is its peer */
	struct peers *group;
	struct peer_list *list;
	struct peer *next, *previous;
	void *data;
	enum peer_state state;
	bool dialled;
	bool reading;
	bool handling; /* input is being handled: no second time from within */
	bool sending;  /* libuv has bytes of it; there is one write at a time */
	bool notify_drained;
	struct noise *noise;	      /* dialling side, during the handshake */
	struct attempt *attempt;      /* accepting side, likewise */
	struct record_state *records; /* after it; guarded */
	struct buf in;		      /* received, not yet a whole record */
	struct buf lanes[LANE_COUNT];
	struct buf waiting; /* sealed, for when libuv is done with what it has */
	unsigned asked;	    /* control messages that came since the waits were last looked at */
	size_t queued;	    /* bytes libuv had when the waits were last looked at */
	uint64_t since;	    /* when the connecting, the handshake or the open state began */
	/* when the last record came; before it: when it came itself, or was answered */
	uint64_t heard;
	uint64_t moved;	    /* when output last went down */
	uint64_t limit;	    /* when the user's own limit is over; 0: none */
	const char *what;   /* that limit is for; static */
	const char *failed; /* why it failed; static */
	struct hello hello;
	uint8_t public[KEY_SIZE];
	char address[PEER_ADDRESS_MAX];
	struct dial *dial;
};

/* What only a dialling peer needs, until its handshake is done. */
struct dial {
	uv_getaddrinfo_t lookup;
	struct peer *peer; /* NULL: the peer is gone, the lookup is not */
	struct addrinfo *addresses, *next;
	uint8_t join_key[KEY_SIZE];
};

/* What handshake.c has of a group. */
struct handshakes {
	struct slab *slab;	       /* of struct attempt */
	struct attempt *first, *last; /* that wait for a worker */
	unsigned jobs;		       /* under way */
};

struct peers {
	uv_tcp_t listener;
	uv_timer_t sweep;
	uv_timer_t room;
	uv_loop_t *loop;
	struct static_key *key; /* its own: a handshake under way outlives the user */
	const struct peer_calls *calls;
	void *arg;
	uint64_t (*now)(void);
	struct slab *slab;	   /* of struct record_state */
	struct handshakes handshakes;
	/* accepted, and nothing shows yet that it is no stranger; by HEARD */
	struct peer_list unproven;
	struct peer_list others;
	struct peer_list closed; /* until libuv is done with them */
	size_t max_peers, max_unproven;
	uint64_t looked; /* when it was last looked for room; 0: not since one waits for it */
	uint64_t warned; /* when it was last said that nothing can be accepted; 0: never */
	uint16_t port;
	bool closing;
	int handles; /* of the group itself that are open, and its jobs */
	char read_buffer[READ_SIZE];
};

#define SEND_TOO_MUCH "more was to be sent than can be sent at once"
#define HANDSHAKE_REFUSED                                                                          \
	"handshake refused: the other side does not hold the keys of this cluster file"

/* --- handshake.c --- */
/* Bytes of one handshake that waits or is under way. */
size_t handshake_memory(void);
/* A whole hello is looked at, and stays, as the prologue; true when it is one. */
bool handshake_hello(struct peer *peer);
/*
 * The first message, once all of it is there, goes to a worker; its answer enters PEER_UNPROVEN.
 * Before it is there nothing is made: a stranger who sends half costs a socket.
 */
void handshake_first(struct peer *peer);
/* The peer is gone. */
void handshake_forget(struct peer *peer);

/* --- peer.c and peers.c --- */
/* A new peer of the group, in state CONNECTING. */
struct peer *peer_new(struct peers *group, bool dialled);
void peer_enter(struct peer *peer, enum peer_state state);
/*
 * Ends the peer without a call to the user from here: closed() comes from the loop. WHY is static.
 */
void peer_fail(struct peer *peer, const char *why);
/* The handshake is done: the other side's static key, and keys for records. */
void peer_established(struct peer *peer, const uint8_t public[static KEY_SIZE],
		      const uint8_t send_key[static KEY_SIZE],
		      const uint8_t receive_key[static KEY_SIZE]);
/* Handles what came, as far as it is whole. */
void peer_handle_input(struct peer *peer);
/* Starts reading. */
void peer_read(struct peer *peer);
/* Whether it may be sent to now; one that asks on and reads nothing has failed. */
bool peer_sendable(struct peer *peer);
/* PARTS as records, appended to OUT; false when they are too much. Touches its keys alone. */
bool peer_seal(struct peer *peer, const struct peer_bytes *parts, size_t count, struct buf *out);
/* Sends OUT and clears it: at once what the socket takes, the rest by libuv. */
void peer_write(struct peer *peer, struct buf *out);
/* Fills in the address for logs. */
void peer_name(struct peer *peer);
void peer_hint(struct peer *peer, enum peer_hint hint);
/* Lets go of what the dialling needs; a lookup that still runs keeps it until it ends. */
void peer_drop_dial(struct peer *peer);
/* Looks at the waits in the next round of the loop. */
void sweep_soon(struct peers *peers);
/* Frees the group once it is closing and nothing is left of it. */
void group_release(struct peers *peers);

#endif
