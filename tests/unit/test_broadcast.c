/*
 * One message for many peers: each gets its own, in order, whole, and who cannot take it holds up
 * no other.
 */
#include "peer_fixture.h"

#include "channel/peer_state.h"

#include <signal.h>
#include <sys/socket.h>

enum { MANY = 60, ROUNDS = 5, LETTER = 3000 };
enum { PIECE = 100000, BIG = 3 << 20, MUCH = 60 << 20 }; /* bytes; a socket takes some MB */

static struct peer *ends[MANY]; /* the admin's */
static size_t end_count;
static unsigned came[MANY]; /* letters of each, on the nodes' side */

static void keep_end(struct side *side, enum call call, struct peer *peer)
{
	(void)side;
	if (call == CALL_OPEN)
		ends[end_count++] = peer;
}

static void connect_many(struct fixture *f, size_t count)
{
	end_count = 0;
	memset(came, 0, sizeof(came));
	f->admin.act = keep_end;
	for (size_t i = 0; i < count; i++) {
		f->node.peer = NULL; /* that of before is not the one that is waited for */
		connect_both(f);
	}
	assert_int_equal(end_count, count);
}

/* A letter is one record: its number and its round, again and again. */
static void write_letter(uint8_t letter[static LETTER], unsigned number, unsigned round)
{
	for (size_t i = 0; i < LETTER; i += 2) {
		letter[i] = (uint8_t)number;
		letter[i + 1] = (uint8_t)round;
	}
}

static void read_letter(struct side *side, enum call call, struct peer *peer)
{
	uint8_t letter[LETTER];
	unsigned number;

	(void)peer;
	if (call != CALL_GIT)
		return;
	assert_int_equal(side->git.len, LETTER);
	number = side->git.data[0];
	assert_in_range(number, 0, MANY - 1);
	write_letter(letter, number, came[number]); /* in order */
	assert_memory_equal(side->git.data, letter, LETTER);
	came[number]++;
	buf_reset(&side->git);
}

static void test_each_its_own(void **state)
{
	static uint8_t letters[MANY][LETTER];
	struct peer_bytes parts[MANY];
	struct peer_message messages[MANY];
	struct fixture *f = *state;

	connect_many(f, MANY);
	f->node.act = read_letter;
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < MANY; i++) {
			write_letter(letters[i], i, round);
			parts[i] = (struct peer_bytes){LANE_GIT, letters[i], LETTER};
			messages[i] = (struct peer_message){ends[i], &parts[i], 1};
		}
		peers_send(f->admin.peers, messages, MANY);
	}
	spin_until(f, f->node.calls[CALL_GIT] == MANY * ROUNDS);
	for (size_t i = 0; i < MANY; i++)
		assert_int_equal(came[i], ROUNDS);
	assert_int_equal(f->node.calls[CALL_CLOSED] + f->admin.calls[CALL_CLOSED], 0);
}

static struct buf pattern(size_t size)
{
	struct buf out;

	buf_init(&out, size);
	for (size_t i = 0; i < size; i++)
		buf_put_u8(&out, (uint8_t)(i * 7 + i / 251));
	return out;
}

static void give_room(struct peer *peer, int bytes)
{
	int fd = -1;

	assert_int_equal(uv_fileno((uv_handle_t *)&peer->tcp, &fd), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)), 0);
}

/*
 * What the socket does not take waits, and what is sent after it comes after it, also when the
 * socket would take it now.
 */
static void test_rest_waits(void **state)
{
	struct fixture *f = *state;
	struct buf all = pattern(MUCH);
	struct peer_bytes part = {LANE_GIT, NULL, PIECE};
	struct peer_message message = {.parts = &part, .part_count = 1};
	unsigned after = 0; /* pieces that were sent while others waited */
	size_t sent = 0;

	connect_many(f, 1);
	message.peer = ends[0];
	peer_pause(f->node.peer);
	give_room(ends[0], 4 << 10);
	while (after < 3) {
		after += peer_pending(ends[0]) > 0;
		if (after == 1)
			give_room(ends[0], 200 << 10);
		assert_true(sent + PIECE <= MUCH);
		part.data = all.data + sent;
		peers_send(f->admin.peers, &message, 1);
		sent += PIECE;
	}
	peer_resume(f->node.peer);
	spin_until(f, f->node.git.len == sent);
	assert_memory_equal(f->node.git.data, all.data, sent);
	spin_until(f, peer_pending(ends[0]) == 0);
	buf_clear(&all);
}

/* One that reads nothing fails, one that failed gets nothing; all others do. */
static void test_others_get_theirs(void **state)
{
	struct fixture *f = *state;
	struct buf much = pattern(BIG);
	struct peer_bytes big = {LANE_GIT, much.data, BIG}, small = {LANE_GIT, "all", 3};
	struct peer_message message = {.parts = &big, .part_count = 1};
	struct peer_message messages[MANY];

	connect_many(f, MANY);
	peer_pause(f->node.peer); /* of the last */
	message.peer = ends[MANY - 1];
	while (peer_pending(message.peer) <= OUTPUT_MAX)
		peers_send(f->admin.peers, &message, 1);
	peer_fail(ends[0], "a test");
	for (size_t i = 0; i < MANY; i++)
		messages[i] = (struct peer_message){ends[i], &small, 1};
	f->node.git.len = 0;
	peers_send(f->admin.peers, messages, MANY);
	spin_until(f, f->node.calls[CALL_GIT] == MANY - 2);
	assert_int_equal(f->node.git.len, 3 * (MANY - 2));
	spin_until(f, f->admin.calls[CALL_CLOSED] == 2);
	assert_string_equal(f->admin.reason, "a test");
	peers_send(f->admin.peers, NULL, 0); /* nobody is fine */
	peer_resume(f->node.peer);
	buf_clear(&much);
}

/* The other side is gone, and only the sending shows it. */
static void test_gone(void **state)
{
	struct fixture *f = *state;
	struct peer_bytes small = {LANE_GIT, "all", 3};
	struct peer_message messages[MANY];

	connect_many(f, MANY);
	for (size_t i = 0; i < MANY; i++)
		messages[i] = (struct peer_message){ends[i], &small, 1};
	peers_free(f->node.peers); /* the loop has not turned: the admin does not know */
	f->node.peers = NULL;
	for (int i = 0; i < 3; i++)
		peers_send(f->admin.peers, messages, MANY);
	spin_until(f, f->admin.calls[CALL_CLOSED] == MANY);
	spin_until(f, peers_count(f->admin.peers) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		peer_test(test_each_its_own),
		peer_test(test_rest_waits),
		peer_test(test_others_get_theirs),
		peer_test(test_gone),
	};

	crypto_setup();
	(void)signal(SIGPIPE, SIG_IGN); /* as in the daemon */
	log_setup(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
