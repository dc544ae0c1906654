/*
 * For the tests of peers: a loop with a group that accepts and one that dials over loopback, a
 * clock that a test moves, and what was called.
 */
#ifndef MUSTER_TESTS_PEER_FIXTURE_H
#define MUSTER_TESTS_PEER_FIXTURE_H

#include "wire_client.h"

#include "channel/peer.h"
#include "core/limits.h"
#include "core/log.h"
#include "core/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

enum call { CALL_HELLO, CALL_OPEN, CALL_CONTROL, CALL_GIT, CALL_DRAINED, CALL_CLOSED, CALL_COUNT };

struct side {
	struct fixture *f;
	struct peers *peers;
	struct static_key *key;
	size_t calls[CALL_COUNT];
	struct peer *peer; /* the last that opened; NULL once it closed */
	char reason[512];  /* why the last one closed */
	char word[CONTROL_WORD_MAX + 1]; /* the last verb */
	struct buf git;			 /* what came */
	/* what a test does in a call; may be NULL */
	void (*act)(struct side *side, enum call call, struct peer *peer);
};

struct fixture {
	uv_loop_t loop;
	struct identity *identity;
	struct keystore *keystore;
	struct side admin, node;
	uint16_t port;
};

static uint64_t fixture_skew; /* milliseconds that the clock of the peers is ahead */

static inline uint64_t fixture_now(void)
{
	return loop_now() + fixture_skew;
}

static inline void side_called(struct side *side, enum call call, struct peer *peer)
{
	side->calls[call]++;
	if (side->act)
		side->act(side, call, peer);
}

static inline struct side *side_of(struct peer *peer)
{
	return peers_arg(peer_group(peer));
}

static inline enum peer_hint side_hello(void *arg, const struct hello *hello,
					uint8_t join_key[static KEY_SIZE])
{
	struct side *side = arg;
	const struct identity *identity = side->f->identity;

	side_called(side, CALL_HELLO, NULL);
	for (size_t i = 0; i < identity->root_count; i++) {
		if (identity->roots[i].epoch == hello->epoch) {
			key_join(identity->roots + i, hello->role_tag, join_key);
			return PEER_HINT_NONE;
		}
	}
	return PEER_HINT_EPOCH;
}

static inline void side_open(struct peer *peer)
{
	side_of(peer)->peer = peer;
	side_called(side_of(peer), CALL_OPEN, peer);
}

static inline void side_control(struct peer *peer, const struct control_message *message)
{
	struct side *side = side_of(peer);

	memcpy(side->word, message->word, sizeof(side->word));
	side_called(side, CALL_CONTROL, peer);
}

static inline void side_git(struct peer *peer, const uint8_t *data, size_t n)
{
	buf_put(&side_of(peer)->git, data, n);
	side_called(side_of(peer), CALL_GIT, peer);
}

static inline void side_drained(struct peer *peer)
{
	side_called(side_of(peer), CALL_DRAINED, peer);
}

static inline void side_closed(struct peer *peer, const char *reason)
{
	struct side *side = side_of(peer);

	(void)snprintf(side->reason, sizeof(side->reason), "%s", reason);
	if (side->peer == peer)
		side->peer = NULL;
	side_called(side, CALL_CLOSED, peer);
}

static const struct peer_calls side_calls = {
	.hello = side_hello,
	.open = side_open,
	.control = side_control,
	.git = side_git,
	.drained = side_drained,
	.closed = side_closed,
};

static inline void side_start(struct fixture *f, struct side *side, struct static_key *key)
{
	side->f = f;
	side->key = key;
	side->peers = peers_new(&f->loop, key, &side_calls, side);
	peers_set_clock(side->peers, fixture_now);
	buf_init(&side->git, 64 << 20);
}

static inline int fixture_setup(void **state)
{
	struct fixture *f = mem_new(1, sizeof(*f));
	struct err err;

	fixture_skew = 0;
	assert_int_equal(uv_loop_init(&f->loop), 0);
	f->identity = identity_new();
	f->keystore = keystore_for(f->identity, "*");
	side_start(f, &f->admin, static_key_of(f->identity->channel_secret));
	side_start(f, &f->node, random_key());
	assert_int_equal(peers_listen(f->admin.peers, "127.0.0.1", 0, &err), 0);
	f->port = peers_port(f->admin.peers);
	*state = f;
	return 0;
}

static inline int fixture_teardown(void **state)
{
	struct fixture *f = *state;

	if (f->admin.peers)
		peers_free(f->admin.peers);
	if (f->node.peers)
		peers_free(f->node.peers);
	(void)uv_run(&f->loop, UV_RUN_DEFAULT);		   /* until nothing is left */
	assert_int_equal(uv_loop_close(&f->loop), 0); /* nothing leaked */
	static_key_free(f->admin.key);
	static_key_free(f->node.key);
	buf_clear(&f->admin.git);
	buf_clear(&f->node.git);
	keystore_free(f->keystore);
	identity_free(f->identity);
	free(f);
	return 0;
}

#define peer_test(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

/* Runs the loop until CONDITION holds. */
#define spin_until(f, condition)                                                                   \
	do {                                                                                       \
		uint64_t spin_end = loop_now() + WIRE_DEADLINE;                                    \
		while (!(condition)) {                                                             \
			if (loop_now() > spin_end)                                                 \
				fail_msg("waited in vain for %s", #condition);                     \
			fixture_turn(f, 10);                                                       \
		}                                                                                  \
	} while (0)

/* One round of the loop, waiting at most MS for something to come. */
static inline void fixture_turn(struct fixture *f, int ms)
{
	struct pollfd p = {.fd = uv_backend_fd(&f->loop), .events = POLLIN};

	(void)uv_run(&f->loop, UV_RUN_NOWAIT);
	(void)poll(&p, 1, ms); /* waits, or not */
	(void)uv_run(&f->loop, UV_RUN_NOWAIT);
}

static inline void fixture_idle(void *arg)
{
	fixture_turn(arg, 1);
}

/* Rounds of the loop in which something could happen that must not. */
static inline void fixture_settle(struct fixture *f)
{
	for (int i = 0; i < 20; i++)
		fixture_turn(f, 1);
}

static inline struct peer *dial(struct fixture *f)
{
	return peers_dial(f->node.peers, "127.0.0.1", f->port, f->keystore);
}

static inline void say(struct peer *peer, enum control_verb verb)
{
	struct control_message message;

	control_start(&message, verb);
	peer_send_control(peer, &message);
	control_clear(&message);
}

/* A peer of each side, open on both. */
static inline void connect_both(struct fixture *f)
{
	size_t open = f->admin.calls[CALL_OPEN];

	(void)dial(f);
	spin_until(f, f->node.peer);
	say(f->node.peer, CONTROL_PING);
	spin_until(f, f->admin.calls[CALL_OPEN] > open);
}

static inline struct client *client_of(struct fixture *f, struct client *c)
{
	client_connect(c, f->port, fixture_idle, f);
	return c;
}

#endif
