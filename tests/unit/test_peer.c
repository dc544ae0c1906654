/*
 * Peers of both ends on one loop: the handshake, both lanes, flow control, every wait, closing from
 * anywhere.
 */
#include "peer_fixture.h"

#include "channel/peer_state.h"

enum { BIG = 24 << 20, PIECE = 60000 };

static void test_open(void **state)
{
	struct fixture *f = *state;
	struct peer *peer = dial(f);
	char *address = text_format("127.0.0.1:%u", f->port);

	assert_string_equal(peer_address(peer), address);
	free(address);
	spin_until(f, f->node.calls[CALL_OPEN]);
	assert_ptr_equal(f->node.peer, peer);
	fixture_settle(f);
	/* the admin believes no one before the first record */
	assert_int_equal(f->admin.calls[CALL_OPEN], 0);
	say(peer, CONTROL_PING);
	spin_until(f, f->admin.calls[CALL_CONTROL]);
	assert_int_equal(f->admin.calls[CALL_OPEN], 1);
	assert_string_equal(f->admin.word, "ping");
	assert_memory_equal(peer_public(f->admin.peer), f->node.key->public, KEY_SIZE);
	assert_memory_equal(peer_public(peer), f->admin.key->public, KEY_SIZE);
	assert_int_equal(peer_hello(f->admin.peer)->epoch, f->keystore->epoch);
	say(f->admin.peer, CONTROL_PONG);
	spin_until(f, f->node.calls[CALL_CONTROL]);
	assert_string_equal(f->node.word, "pong");
	assert_int_equal(f->admin.calls[CALL_HELLO], 1);
	peer_close(peer, "enough");
	assert_string_equal(f->node.reason, "enough");
	assert_int_equal(f->node.calls[CALL_CLOSED], 1);
	peer_close(peer, "again"); /* nothing */
	assert_int_equal(f->node.calls[CALL_CLOSED], 1);
	spin_until(f, f->admin.calls[CALL_CLOSED]);
	assert_string_equal(f->admin.reason, "the other side closed the connection");
	spin_until(f, peers_count(f->admin.peers) == 0 && peers_count(f->node.peers) == 0);
}

/* --- who does not get in --- */

static void must_not_open(struct fixture *f, const char *why)
{
	spin_until(f, f->node.calls[CALL_CLOSED]);
	if (!strstr(f->node.reason, why))
		fail_msg("\"%s\" does not say \"%s\"", f->node.reason, why);
	assert_int_equal(f->node.calls[CALL_OPEN], 0);
	spin_until(f, peers_count(f->admin.peers) == 0);
	assert_int_equal(f->admin.calls[CALL_OPEN], 0);
}

static void test_wrong_join_key(void **state)
{
	struct fixture *f = *state;

	f->keystore->join_key[0] ^= 1;
	(void)dial(f);
	must_not_open(f, "is this cluster file its own?");
	assert_non_null(strstr(f->admin.reason, "handshake refused"));
}

static void test_wrong_role_tag(void **state)
{
	struct fixture *f = *state;

	/* a key for any role does not do for one: the tag says which key it is */
	memcpy(f->keystore->role, "web", sizeof("web"));
	(void)dial(f);
	must_not_open(f, "is this cluster file its own?");
}

static void test_wrong_admin_key(void **state)
{
	struct fixture *f = *state;

	crypto_random(f->keystore->admin_public, KEY_SIZE);
	(void)dial(f);
	must_not_open(f, "is this cluster file its own?");
}

static void test_weak_admin_key(void **state)
{
	struct fixture *f = *state;

	/* a point of small order: every secret with it is known */
	memset(f->keystore->admin_public, 0, KEY_SIZE);
	(void)dial(f);
	must_not_open(f, "");
}

static void test_unknown_epoch(void **state)
{
	struct fixture *f = *state;

	f->keystore->epoch = 77;
	(void)dial(f);
	must_not_open(f, "does not know this epoch");
	assert_non_null(strstr(f->admin.reason, "epoch 77"));
}

static void test_retired_epoch(void **state)
{
	struct fixture *f = *state;

	f->identity->roots[0].epoch = 2; /* the only one that is left */
	(void)dial(f);
	must_not_open(f, "does not know this epoch");
}

/* An admin with a stolen cluster file has all but the private key. */
static void test_false_admin(void **state)
{
	struct fixture *f = *state;
	struct static_key *key = random_key();
	struct peers *false_admin = peers_new(&f->loop, key, &side_calls, &f->admin);
	struct err err;

	assert_int_equal(peers_listen(false_admin, "127.0.0.1", 0, &err), 0);
	f->port = peers_port(false_admin);
	(void)dial(f);
	must_not_open(f, "is this cluster file its own?");
	peers_free(false_admin);
	fixture_settle(f);
	static_key_free(key);
}

static void test_no_admin(void **state)
{
	struct fixture *f = *state;

	peers_free(f->admin.peers);
	f->admin.peers = NULL;
	fixture_settle(f);
	(void)dial(f);
	spin_until(f, f->node.calls[CALL_CLOSED]);
	assert_non_null(strstr(f->node.reason, "connection failed"));
}

static void test_no_such_name(void **state)
{
	struct fixture *f = *state;
	char name[300];

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	(void)peers_dial(f->node.peers, name, 1, f->keystore);
	assert_int_equal(f->node.calls[CALL_CLOSED], 0); /* from the loop, not from here */
	spin_until(f, f->node.calls[CALL_CLOSED]);
	assert_non_null(strstr(f->node.reason, "name lookup of the admin failed"));
}

static void test_listen_refused(void **state)
{
	struct fixture *f = *state;
	struct err err;

	assert_int_equal(peers_listen(f->node.peers, "nowhere", 0, &err), -1);
	assert_non_null(strstr(err.text, "not an address"));
	assert_int_equal(peers_listen(f->node.peers, "127.0.0.1", f->port, &err), -1);
	assert_non_null(strstr(err.text, "in use"));
}

static void test_listen_ipv6(void **state)
{
	struct fixture *f = *state;
	struct side six = {.f = f};
	struct err err;

	side_start(f, &six, static_key_of(f->identity->channel_secret));
	if (peers_listen(six.peers, "::1", 0, &err) == 0) {
		(void)peers_dial(f->node.peers, "::1", peers_port(six.peers), f->keystore);
		spin_until(f, f->node.peer);
		say(f->node.peer, CONTROL_PING);
		spin_until(f, six.peer);
		assert_non_null(strstr(peer_address(six.peer), "[::1]:"));
	}
	peers_free(six.peers);
	six.peers = NULL;
	spin_until(f, six.calls[CALL_OPEN] == six.calls[CALL_CLOSED]);
	fixture_settle(f);
	static_key_free(six.key);
}

/* --- lanes --- */

static void test_control_both_ways(void **state)
{
	struct fixture *f = *state;

	connect_both(f);
	f->admin.calls[CALL_CONTROL] = 0;
	for (unsigned i = 1; i <= 30 * LIMIT_CONTROL_BURST; i++) {
		if (i % LIMIT_CONTROL_BURST == 1)
			peers_sweep(f->admin.peers); /* half a second is over */
		say(f->node.peer, CONTROL_STATUS);
		say(f->admin.peer, CONTROL_HEAD);
		if (i % LIMIT_CONTROL_BURST == 0)
			spin_until(f, f->admin.calls[CALL_CONTROL] == i &&
					      f->node.calls[CALL_CONTROL] == i);
	}
	assert_int_equal(peer_pending(f->node.peer), 0);
}

/* Sends until there is enough, as the admin sends a pack: no more than the limit waits. */
static struct buf sample;
static size_t sample_sent;

static void pump(struct peer *peer)
{
	while (sample_sent < sample.len && peer_pending(peer) < LIMIT_PEER_OUTPUT) {
		size_t n = sample.len - sample_sent < PIECE ? sample.len - sample_sent : PIECE;

		peer_send_git(peer, sample.data + sample_sent, n);
		sample_sent += n;
	}
}

static void pump_when_drained(struct side *side, enum call call, struct peer *peer)
{
	(void)side;
	if (call == CALL_DRAINED)
		pump(peer);
}

static void start_pump(struct fixture *f, size_t size)
{
	buf_init(&sample, size);
	assert_non_null(buf_reserve(&sample, size));
	crypto_random(sample.data, size);
	sample.len = size;
	sample_sent = 0;
	f->admin.act = pump_when_drained;
	pump(f->admin.peer);
}

static void test_megabytes(void **state)
{
	struct fixture *f = *state;

	connect_both(f);
	start_pump(f, BIG);
	spin_until(f, f->node.git.len == BIG);
	assert_memory_equal(f->node.git.data, sample.data, BIG);
	assert_true(f->admin.calls[CALL_DRAINED] > 0);
	spin_until(f, peer_pending(f->admin.peer) == 0);
	buf_clear(&sample);
}

/* Pauses at each piece and goes on from elsewhere; control messages wait like the rest. */
static void pause_at_git(struct side *side, enum call call, struct peer *peer)
{
	(void)side;
	if (call == CALL_GIT)
		peer_pause(peer);
}

static void test_pause(void **state)
{
	struct fixture *f = *state;
	size_t before;

	connect_both(f);
	f->node.act = pause_at_git;
	start_pump(f, BIG);
	say(f->admin.peer, CONTROL_HEAD);
	spin_until(f, f->node.git.len > 0);
	before = f->node.git.len;
	fixture_settle(f);
	assert_int_equal(f->node.git.len, before); /* it does pause */
	assert_true(peer_pending(f->admin.peer) > 0);
	assert_true(sample_sent < sample.len);	 /* and the sender too */
	assert_int_equal(f->node.calls[CALL_CONTROL], 0);
	while (f->node.git.len < BIG) {
		size_t calls = f->node.calls[CALL_GIT];

		peer_resume(f->node.peer);
		spin_until(f, f->node.calls[CALL_GIT] > calls || f->node.git.len == BIG);
	}
	assert_memory_equal(f->node.git.data, sample.data, BIG);
	peer_resume(f->node.peer);
	spin_until(f, f->node.calls[CALL_CONTROL] == 1);
	buf_clear(&sample);
}

/* Pause and at once go on, from within: nothing comes twice, nothing stays. */
static void flicker(struct side *side, enum call call, struct peer *peer)
{
	(void)side;
	if (call == CALL_GIT || call == CALL_CONTROL) {
		peer_pause(peer);
		peer_resume(peer);
	}
}

static void test_pause_and_resume_within(void **state)
{
	struct fixture *f = *state;

	connect_both(f);
	f->node.act = flicker;
	for (int i = 0; i < 50; i++)
		say(f->admin.peer, CONTROL_HEAD);
	start_pump(f, BIG);
	spin_until(f, f->node.git.len == BIG);
	assert_memory_equal(f->node.git.data, sample.data, BIG);
	assert_int_equal(f->node.calls[CALL_CONTROL], 50);
	buf_clear(&sample);
}

/* --- a peer that never reads --- */

static void test_never_reads(void **state)
{
	struct fixture *f = *state;

	connect_both(f);
	peer_pause(f->node.peer);
	start_pump(f, BIG);
	fixture_settle(f);
	assert_in_range(peer_pending(f->admin.peer), 1, LIMIT_PEER_OUTPUT + PIECE + 100);
	assert_true(sample_sent < sample.len);
	peers_sweep(f->admin.peers);
	fixture_skew += WAIT_SILENCE + 1;
	peer_read(f->node.peer); /* nothing but the admin's wait is looked at */
	peer_pause(f->node.peer);
	f->admin.peer->heard = fixture_now();
	peers_sweep(f->admin.peers);
	assert_int_equal(f->admin.calls[CALL_CLOSED], 1);
	assert_non_null(strstr(f->admin.reason, "does not read"));
	buf_clear(&sample);
}

/*
 * A node that says more than any has to say keeps the loop from the others: it is closed, and one
 * that says little is not.
 */
static void test_says_too_much(void **state)
{
	struct fixture *f = *state;

	connect_both(f);
	for (unsigned round = 0; round < 3; round++) {
		peers_sweep(f->admin.peers); /* half a second is over */
		f->admin.calls[CALL_CONTROL] = 0;
		for (unsigned i = 0; i < LIMIT_CONTROL_BURST; i++)
			say(f->node.peer, CONTROL_PING);
		spin_until(f, f->admin.calls[CALL_CONTROL] == LIMIT_CONTROL_BURST);
		/* what an admin says is not counted */
		f->node.calls[CALL_CONTROL] = 0;
		for (unsigned i = 0; i < 2 * LIMIT_CONTROL_BURST; i++)
			say(f->admin.peer, CONTROL_HEAD);
		spin_until(f, f->node.calls[CALL_CONTROL] == 2 * LIMIT_CONTROL_BURST);
	}
	assert_int_equal(f->admin.calls[CALL_CLOSED], 0);
	for (unsigned i = 0; i < 3 * LIMIT_CONTROL_BURST; i++)
		say(f->node.peer, CONTROL_PING);
	spin_until(f, f->admin.calls[CALL_CLOSED] == 1);
	assert_non_null(strstr(f->admin.reason, "messages in half a second"));
	assert_in_range(f->admin.calls[CALL_CONTROL], 0, 2 * LIMIT_CONTROL_BURST);
}

/*
 * One who asks on and on without reading the answers fails, at a bound, and not from within the
 * send.
 */
static void test_asks_without_reading(void **state)
{
	struct fixture *f = *state;
	size_t sent = 0;

	connect_both(f);
	peer_pause(f->node.peer);
	while (peer_pending(f->admin.peer) <= OUTPUT_MAX) {
		say(f->admin.peer, CONTROL_PONG);
		assert_true(++sent < 2000000);
	}
	say(f->admin.peer, CONTROL_PONG);
	assert_int_equal(f->admin.calls[CALL_CLOSED], 0);
	say(f->admin.peer, CONTROL_PONG); /* nothing more */
	peer_send_git(f->admin.peer, "x", 1);
	assert_in_range(peer_pending(f->admin.peer), OUTPUT_MAX, OUTPUT_MAX + 100);
	spin_until(f, f->admin.calls[CALL_CLOSED] == 1);
	assert_non_null(strstr(f->admin.reason, "does not read what it asked for"));
}

/* A slow reader is no dead one: what goes down resets the wait. */
static void test_slow_reader(void **state)
{
	struct fixture *f = *state;

	connect_both(f);
	f->node.act = pause_at_git;
	start_pump(f, BIG);
	for (int i = 0; i < 4; i++) {
		size_t left = sample.len - sample_sent + peer_pending(f->admin.peer);

		/* some megabytes may lie between the two, in the kernel */
		while (sample.len - sample_sent + peer_pending(f->admin.peer) == left) {
			peer_resume(f->node.peer);
			fixture_turn(f, 1);
		}
		fixture_skew += WAIT_SILENCE / 2 + 1;
		f->admin.peer->heard = fixture_now();
		peers_sweep(f->admin.peers);
	}
	assert_int_equal(f->admin.calls[CALL_CLOSED], 0);
	buf_clear(&sample);
}

/* --- waits --- */

static void test_silence(void **state)
{
	struct fixture *f = *state;

	connect_both(f);
	fixture_skew += WAIT_SILENCE - 1000;
	peers_sweep(f->admin.peers);
	assert_true(peer_silence(f->admin.peer) >= WAIT_SILENCE - 1000);
	say(f->node.peer, CONTROL_PING);
	f->admin.calls[CALL_CONTROL] = 0;
	spin_until(f, f->admin.calls[CALL_CONTROL]);
	assert_true(peer_silence(f->admin.peer) < 1000 + WIRE_DEADLINE);
	fixture_skew += WAIT_SILENCE - 1000;
	peers_sweep(f->admin.peers); /* it spoke in between */
	assert_int_equal(f->admin.calls[CALL_CLOSED], 0);
	fixture_skew += 2000 + WIRE_DEADLINE;
	peers_sweep(f->admin.peers);
	assert_int_equal(f->admin.calls[CALL_CLOSED], 1);
	assert_non_null(strstr(f->admin.reason, "silent for"));
	peers_sweep(f->node.peers);
	assert_non_null(strstr(f->node.reason, "silent for"));
}

static void test_paused_is_not_silent(void **state)
{
	struct fixture *f = *state;

	connect_both(f);
	peer_pause(f->admin.peer);
	fixture_skew += 2 * WAIT_SILENCE;
	peers_sweep(f->admin.peers);
	assert_int_equal(f->admin.calls[CALL_CLOSED], 0);
	peer_resume(f->admin.peer);
	peers_sweep(f->admin.peers);
	assert_int_equal(f->admin.calls[CALL_CLOSED], 0);
}

static void test_own_limit(void **state)
{
	struct fixture *f = *state;

	connect_both(f);
	peer_limit(f->admin.peer, 5000, "counting");
	fixture_skew += 4000;
	peer_limit(f->admin.peer, 5000, "counting"); /* anew */
	fixture_skew += 4000;
	peers_sweep(f->admin.peers);
	assert_int_equal(f->admin.calls[CALL_CLOSED], 0);
	peer_limit(f->admin.peer, 0, NULL);
	fixture_skew += 10000;
	peers_sweep(f->admin.peers);
	assert_int_equal(f->admin.calls[CALL_CLOSED], 0);
	peer_limit(f->admin.peer, 5000, "counting");
	fixture_skew += 5000 + WIRE_DEADLINE;
	peers_sweep(f->admin.peers);
	assert_string_equal(f->admin.reason, "counting took too long");
}

/* An address that does not answer: given up by the wait, the connecting is cancelled. */
static void test_connect_wait(void **state)
{
	struct fixture *f = *state;

	(void)dial(f);
	fixture_skew += WAIT_CONNECT + 1;
	peers_sweep(f->node.peers);
	assert_int_equal(f->node.calls[CALL_CLOSED], 1);
	assert_non_null(strstr(f->node.reason, "no connection within"));
	spin_until(f, peers_count(f->node.peers) == 0);
	assert_int_equal(f->node.calls[CALL_OPEN], 0);
}

/* --- closing from within every call, and the whole group --- */

static enum call fatal;
static bool fatal_group;

static void close_in_call(struct side *side, enum call call, struct peer *peer)
{
	if (call != fatal || !peer)
		return;
	if (fatal_group && side->peers) {
		struct peers *peers = side->peers;

		side->peers = NULL;
		peers_free(peers);
	} else if (call == CALL_CLOSED) {
		peer_close(peer, "it is closing already");
		say(peer, CONTROL_PING);
		peer_send_git(peer, "x", 1);
		peer_pause(peer);
		peer_resume(peer);
		peer_limit(peer, 1, "nothing");
	} else {
		peer_close(peer, "closed from within");
		say(peer, CONTROL_PING);
	}
}

static void close_within(struct fixture *f, struct side *side, enum call call)
{
	fatal = call;
	side->act = close_in_call;
	(void)dial(f);
	spin_until(f, f->node.peer || f->node.calls[CALL_CLOSED]);
	for (int i = 0; i < 10 && f->node.peer; i++) {
		say(f->node.peer, CONTROL_PING);
		if (f->node.peer)
			peer_send_git(f->node.peer, "0000", 4);
	}
	spin_until(f, f->admin.peer || f->admin.calls[CALL_CLOSED]);
	for (int i = 0; i < 10 && f->admin.peer; i++) {
		say(f->admin.peer, CONTROL_PONG);
		if (f->admin.peer)
			peer_send_git(f->admin.peer, "0000", 4);
	}
	if (call == CALL_DRAINED && side->peer) {
		size_t size = (size_t)4 << 20;
		uint8_t *bytes = mem_new(size, 1);

		peer_send_git(side->peer, bytes, size);
		free(bytes);
	}
	if (call == CALL_CLOSED)
		peer_close(side->peer, "from outside");
	spin_until(f, side->calls[CALL_CLOSED]);
	assert_int_equal(side->calls[CALL_CLOSED], 1);
	fixture_settle(f);
	assert_int_equal(side->calls[CALL_CLOSED], 1);
	if (fatal_group)
		assert_null(side->peers);
	else
		spin_until(f, peers_count(side->peers) == 0);
}

static void close_of(void **state, bool of_admin, enum call call, bool group)
{
	struct fixture *f = *state;

	fatal_group = group;
	close_within(f, of_admin ? &f->admin : &f->node, call);
}

#define CLOSE_TESTS(X)                                                                             \
	X(open, CALL_OPEN) X(control, CALL_CONTROL) X(git, CALL_GIT) X(drained, CALL_DRAINED)      \
	X(closed, CALL_CLOSED)

#define X(name, call)                                                                              \
	static void test_admin_closes_in_##name(void **state)                                      \
	{                                                                                          \
		close_of(state, true, call, false);                                                \
	}                                                                                          \
	static void test_node_closes_in_##name(void **state)                                       \
	{                                                                                          \
		close_of(state, false, call, false);                                               \
	}                                                                                          \
	static void test_admin_stops_in_##name(void **state)                                       \
	{                                                                                          \
		close_of(state, true, call, true);                                                 \
	}                                                                                          \
	static void test_node_stops_in_##name(void **state)                                        \
	{                                                                                          \
		close_of(state, false, call, true);                                                \
	}
CLOSE_TESTS(X)
#undef X

/* A group is freed while a name is looked up, a connection is made, a handshake runs. */
static void test_stop_at_once(void **state)
{
	struct fixture *f = *state;

	for (int turns = 0; turns < 8; turns++) {
		struct side side = {.f = f};

		side_start(f, &side, random_key());
		for (int i = 0; i < 4; i++)
			(void)peers_dial(side.peers, i % 2 ? "localhost" : "127.0.0.1", f->port,
					 f->keystore);
		for (int i = 0; i < turns; i++)
			(void)uv_run(&f->loop, UV_RUN_NOWAIT);
		peers_free(side.peers);
		assert_int_equal(side.calls[CALL_CLOSED], 4);
		fixture_settle(f);
		static_key_free(side.key);
	}
}

/* --- many --- */

enum { MANY = 300 };

static void say_when_open(struct side *side, enum call call, struct peer *peer)
{
	(void)side;
	if (call == CALL_OPEN)
		say(peer, CONTROL_PING);
}

static void test_many(void **state)
{
	struct fixture *f = *state;

	f->node.act = say_when_open;
	for (int i = 0; i < MANY; i++)
		(void)dial(f);
	spin_until(f, f->admin.calls[CALL_CONTROL] == MANY);
	assert_int_equal(peers_count(f->admin.peers), MANY);
	assert_int_equal(f->admin.calls[CALL_OPEN], MANY);
	peers_free(f->node.peers);
	f->node.peers = NULL;
	assert_int_equal(f->node.calls[CALL_CLOSED], MANY);
	spin_until(f, f->admin.calls[CALL_CLOSED] == MANY && peers_count(f->admin.peers) == 0);
}

/* MANY dial, and at the admin some handshakes wait, some are done by a worker, some are done. */
static void fill_handshakes(struct fixture *f)
{
	for (int i = 0; i < MANY; i++)
		(void)dial(f);
	spin_until(f, f->admin.calls[CALL_HELLO] > MANY / 4);
}

static void test_nodes_go_in_handshake(void **state)
{
	struct fixture *f = *state;

	fill_handshakes(f);
	peers_free(f->node.peers);
	f->node.peers = NULL;
	spin_until(f, f->admin.calls[CALL_CLOSED] > 0 && peers_count(f->admin.peers) == 0);
	assert_int_equal(f->admin.calls[CALL_OPEN], 0); /* none sent a record */
	side_start(f, &f->node, f->node.key);
	(void)dial(f);
	spin_until(f, f->node.peer);
}

static void test_admin_stops_in_handshake(void **state)
{
	struct fixture *f = *state;

	fill_handshakes(f);
	/* what is under way ends before its memory goes: see the teardown */
	peers_free(f->admin.peers);
	f->admin.peers = NULL;
	spin_until(f, f->node.calls[CALL_CLOSED] == MANY);
}

/*
 * All nodes at once, and room for few: who waits for an answer is not closed for who comes after
 * it.
 */
static void test_room_in_handshake(void **state)
{
	struct fixture *f = *state;

	peers_allow(f->admin.peers, MANY, 4);
	f->node.act = say_when_open;
	for (int i = 0; i < MANY; i++)
		(void)dial(f);
	spin_until(f, f->admin.calls[CALL_OPEN] == MANY);
	assert_int_equal(f->admin.calls[CALL_CLOSED], 0);
	assert_int_equal(f->node.calls[CALL_CLOSED], 0);
}

/* Who waits for room when the group ends is forgotten. */
static void test_stops_without_room(void **state)
{
	struct fixture *f = *state;

	peers_allow(f->admin.peers, MANY, 1);
	for (int i = 0; i < MANY; i++)
		(void)dial(f);
	spin_until(f, peers_count(f->admin.peers) > 0);
	peers_free(f->admin.peers);
	f->admin.peers = NULL;
	spin_until(f, f->node.calls[CALL_CLOSED] == MANY);
}

static void test_full(void **state)
{
	struct fixture *f = *state;

	peers_allow(f->admin.peers, 2, 10);
	f->node.act = say_when_open;
	for (int i = 0; i < 2; i++)
		(void)dial(f);
	spin_until(f, f->admin.calls[CALL_CONTROL] == 2);
	(void)dial(f);
	spin_until(f, f->node.calls[CALL_CLOSED] == 1);
	assert_non_null(strstr(f->node.reason, "as many connections as it takes"));
	spin_until(f, peers_count(f->admin.peers) == 2);
	/* one goes, one may come */
	peer_close(f->admin.peer, "room");
	spin_until(f, f->node.calls[CALL_CLOSED] == 2);
	spin_until(f, peers_count(f->admin.peers) == 1);
	(void)dial(f);
	spin_until(f, f->admin.calls[CALL_CONTROL] == 3);
}

#define X(name, call)                                                                              \
	peer_test(test_admin_closes_in_##name), peer_test(test_node_closes_in_##name),             \
		peer_test(test_admin_stops_in_##name), peer_test(test_node_stops_in_##name),

int main(void)
{
	const struct CMUnitTest tests[] = {
		peer_test(test_open),
		peer_test(test_wrong_join_key),
		peer_test(test_wrong_role_tag),
		peer_test(test_wrong_admin_key),
		peer_test(test_weak_admin_key),
		peer_test(test_unknown_epoch),
		peer_test(test_retired_epoch),
		peer_test(test_false_admin),
		peer_test(test_no_admin),
		peer_test(test_no_such_name),
		peer_test(test_listen_refused),
		peer_test(test_listen_ipv6),
		peer_test(test_control_both_ways),
		peer_test(test_megabytes),
		peer_test(test_pause),
		peer_test(test_pause_and_resume_within),
		peer_test(test_never_reads),
		peer_test(test_says_too_much),
		peer_test(test_asks_without_reading),
		peer_test(test_slow_reader),
		peer_test(test_silence),
		peer_test(test_paused_is_not_silent),
		peer_test(test_own_limit),
		peer_test(test_connect_wait),
		CLOSE_TESTS(X)
		peer_test(test_stop_at_once),
		peer_test(test_many),
		peer_test(test_nodes_go_in_handshake),
		peer_test(test_admin_stops_in_handshake),
		peer_test(test_room_in_handshake), peer_test(test_stops_without_room),
		peer_test(test_full),
	};

	crypto_setup();
	log_setup(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
