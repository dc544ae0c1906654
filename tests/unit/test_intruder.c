/*
 * What a stranger, or a node that is none, can do to who accepts: bytes that are bent, cut, late,
 * too many.
 */
#include "peer_fixture.h"

#include "channel/peer_state.h"

/* Nothing came of it: no one opened, nothing is left. */
static void must_be_gone(struct fixture *f, struct client *c)
{
	assert_true(client_closed(c));
	spin_until(f, peers_count(f->admin.peers) == 0);
	assert_int_equal(f->admin.calls[CALL_OPEN], 0);
	assert_int_equal(f->admin.calls[CALL_CONTROL], 0);
}

static void test_good_client(void **state)
{
	struct fixture *f = *state;
	struct client c;

	client_of(f, &c);
	assert_true(client_join(&c, f->keystore));
	client_say(&c, "ping", NULL);
	spin_until(f, f->admin.calls[CALL_CONTROL] == 1);
	assert_memory_equal(peer_public(f->admin.peer), c.key->public, KEY_SIZE);
	client_clear(&c);
	spin_until(f, f->admin.calls[CALL_CLOSED] == 1);
}

/* --- the handshake --- */

static void test_every_bit_of_first(void **state)
{
	struct fixture *f = *state;

	for (int bit = 0; bit < 8 * FIRST_SIZE; bit++) {
		struct client c;

		client_of(f, &c);
		client_prepare(&c, f->keystore, 0, 0);
		c.first[bit / 8] ^= (uint8_t)(1 << bit % 8);
		client_send(&c, c.first, FIRST_SIZE);
		must_be_gone(f, &c);
		/* a hint for a version or an epoch, else not a byte */
		if (bit >= 48 && bit < 96) {
			assert_int_equal(c.in.len, 1);
			assert_int_equal(c.in.data[0],
					 bit < 64 ? PEER_HINT_VERSION : PEER_HINT_EPOCH);
		} else {
			assert_int_equal(c.in.len, 0);
		}
		client_clear(&c);
	}
}

static void test_truncated_first(void **state)
{
	struct fixture *f = *state;

	for (size_t n = 0; n < FIRST_SIZE; n++) {
		struct client c;

		client_of(f, &c);
		client_prepare(&c, f->keystore, 0, 0);
		client_send(&c, c.first, n);
		fixture_turn(f, 0);
		assert_int_equal(shutdown(c.fd, SHUT_WR), 0);
		must_be_gone(f, &c);
		assert_int_equal(c.in.len, 0);
		client_clear(&c);
	}
}

/* A future version may have another first message: its hint needs the hello alone. */
static void test_version_hint(void **state)
{
	struct fixture *f = *state;
	struct client c;

	client_of(f, &c);
	client_prepare(&c, f->keystore, 2, 0);
	client_send(&c, c.first, HELLO_SIZE);
	must_be_gone(f, &c);
	assert_int_equal(c.in.len, 1);
	assert_int_equal(c.in.data[0], PEER_HINT_VERSION);
	assert_int_equal(f->admin.calls[CALL_HELLO], 0);
	client_clear(&c);
}

static void test_epoch_hint(void **state)
{
	struct fixture *f = *state;
	struct client c;

	client_of(f, &c);
	client_prepare(&c, f->keystore, 0, 5);
	client_send(&c, c.first, FIRST_SIZE);
	must_be_gone(f, &c);
	assert_int_equal(c.in.len, 1);
	assert_int_equal(c.in.data[0], PEER_HINT_EPOCH);
	client_clear(&c);
}

static void test_garbage(void **state)
{
	static const char *const greetings[] = {
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n",
		("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x00\x00\x00\x00"
		 "\x00\x00\x00\x00\x00\x00\x00")};
	struct fixture *f = *state;
	uint8_t noise[4096];

	for (size_t i = 0; i < 3; i++) {
		struct client c;

		client_of(f, &c);
		client_send(&c, greetings[i], 20);
		must_be_gone(f, &c);
		assert_int_equal(c.in.len, 0);
		client_clear(&c);
	}
	for (int i = 0; i < 200; i++) {
		struct client c;

		client_of(f, &c);
		crypto_random(noise, sizeof(noise));
		if (i % 2) /* with a good beginning */
			hello_format(&(struct hello){.version = HELLO_VERSION, .epoch = 1}, noise);
		client_send(&c, noise, sizeof(noise));
		must_be_gone(f, &c);
		client_clear(&c);
	}
}

/* A recorded first message opens nothing, however often; nor does what followed it. */
static void test_replay(void **state)
{
	struct fixture *f = *state;
	struct client good, c;
	struct buf recorded;

	buf_init(&recorded, 4096);
	client_of(f, &good);
	assert_true(client_join(&good, f->keystore));
	buf_put(&recorded, good.first, FIRST_SIZE);
	client_seal(&good, LANE_CONTROL, "0008ping0000", 12, &recorded);
	client_send(&good, recorded.data + FIRST_SIZE, recorded.len - FIRST_SIZE);
	spin_until(f, f->admin.calls[CALL_CONTROL] == 1);
	for (int i = 0; i < 3; i++) {
		client_of(f, &c);
		client_send(&c, recorded.data, FIRST_SIZE);
		/* which only the key's holder can read */
		assert_true(client_wait(&c, HANDSHAKE_SECOND));
		fixture_settle(f);
		assert_int_equal(f->admin.calls[CALL_OPEN], 1);
		assert_non_null(f->admin.peer); /* the first goes on */
		client_send(&c, recorded.data + FIRST_SIZE, recorded.len - FIRST_SIZE);
		assert_true(client_closed(&c));
		client_clear(&c);
	}
	client_of(f, &c);
	client_send(&c, recorded.data, recorded.len); /* all at once */
	assert_true(client_closed(&c));
	assert_int_equal(f->admin.calls[CALL_OPEN], 1);
	assert_int_equal(f->admin.calls[CALL_CONTROL], 1);
	client_clear(&c);
	client_say(&good, "ping", NULL);
	spin_until(f, f->admin.calls[CALL_CONTROL] == 2);
	client_clear(&good);
	buf_clear(&recorded);
}

/* Both sides are who they are: what one sent and gets back opens nothing. */
static void on_mirror_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *bytes)
{
	uv_buf_t back = uv_buf_init(bytes->base, n > 0 ? (unsigned)n : 0);

	if (n > 0)
		(void)uv_try_write(stream, &back, 1);
	else if (n < 0 && !uv_is_closing((uv_handle_t *)stream))
		uv_close((uv_handle_t *)stream, NULL);
}

static void on_mirror_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
	static char bytes[4096];

	(void)handle;
	(void)suggested;
	*out = uv_buf_init(bytes, sizeof(bytes));
}

static void on_mirror(uv_stream_t *listener, int status)
{
	uv_stream_t *client = listener->data;

	assert_int_equal(status, 0);
	assert_int_equal(uv_accept(listener, client), 0);
	(void)uv_read_start(client, on_mirror_alloc, on_mirror_read);
}

static void test_reflected_handshake(void **state)
{
	struct fixture *f = *state;
	uv_tcp_t listener, client;
	struct sockaddr_in address;
	int size = sizeof(address);

	(void)uv_tcp_init(&f->loop, &listener);
	(void)uv_tcp_init(&f->loop, &client);
	listener.data = &client;
	(void)uv_ip4_addr("127.0.0.1", 0, &address);
	assert_int_equal(uv_tcp_bind(&listener, (struct sockaddr *)&address, 0), 0);
	assert_int_equal(uv_listen((uv_stream_t *)&listener, 1, on_mirror), 0);
	assert_int_equal(uv_tcp_getsockname(&listener, (struct sockaddr *)&address, &size), 0);
	f->port = ntohs(address.sin_port);
	(void)dial(f);
	spin_until(f, f->node.calls[CALL_CLOSED]);
	assert_non_null(strstr(f->node.reason, "handshake refused"));
	assert_int_equal(f->node.calls[CALL_OPEN], 0);
	uv_close((uv_handle_t *)&listener, NULL);
	if (!uv_is_closing((uv_handle_t *)&client))
		uv_close((uv_handle_t *)&client, NULL);
	fixture_settle(f);
}

/* --- records --- */

/* An open client, and a record of it that holds a ping. */
static void open_client(struct fixture *f, struct client *c)
{
	size_t open = f->admin.calls[CALL_OPEN];

	client_of(f, c);
	assert_true(client_join(c, f->keystore));
	client_say(c, "status", NULL);
	spin_until(f, f->admin.calls[CALL_OPEN] > open);
	spin_until(f, strcmp(f->admin.word, "status") == 0);
}

static void must_be_cut(struct fixture *f, struct client *c)
{
	assert_true(client_closed(c));
	assert_int_equal(f->admin.calls[CALL_CLOSED], f->admin.calls[CALL_OPEN]);
	assert_string_equal(f->admin.word, "status"); /* nothing of it was taken */
	client_clear(c);
}

static void test_every_bit_of_record(void **state)
{
	struct fixture *f = *state;
	enum { SIZE = 12 + 2 + 1 + NOISE_TAG_SIZE };

	for (int bit = 0; bit < 8 * SIZE; bit++) {
		struct client c;
		struct buf out;

		buf_init(&out, 4096);
		open_client(f, &c);
		client_seal(&c, LANE_CONTROL, "0008ping0000", 12, &out);
		assert_int_equal(out.len, SIZE);
		out.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		client_send(&c, out.data, out.len);
		/* a length that grew waits for bytes that do not come */
		assert_int_equal(shutdown(c.fd, SHUT_WR), 0);
		must_be_cut(f, &c);
		buf_clear(&out);
	}
}

static void test_truncated_record(void **state)
{
	struct fixture *f = *state;
	struct client c;
	struct buf out;

	for (size_t n = 1; n < 31; n++) {
		buf_init(&out, 4096);
		open_client(f, &c);
		client_seal(&c, LANE_CONTROL, "0008ping0000", 12, &out);
		client_send(&c, out.data, n);
		assert_int_equal(shutdown(c.fd, SHUT_WR), 0);
		must_be_cut(f, &c);
		buf_clear(&out);
	}
}

static void test_order(void **state)
{
	struct fixture *f = *state;
	struct client c;
	struct buf a, b;

	buf_init(&a, 4096);
	buf_init(&b, 4096);
	/* the second first */
	open_client(f, &c);
	client_seal(&c, LANE_CONTROL, "0008ping0000", 12, &a);
	client_seal(&c, LANE_CONTROL, "0008ping0000", 12, &b);
	client_send(&c, b.data, b.len);
	must_be_cut(f, &c);
	buf_reset(&a);
	/* one twice */
	open_client(f, &c);
	client_seal(&c, LANE_CONTROL, "000astatus0000", 14, &a);
	client_send(&c, a.data, a.len);
	client_send(&c, a.data, a.len);
	must_be_cut(f, &c);
	/* one of another connection of the same key */
	open_client(f, &c);
	client_send(&c, a.data, a.len);
	must_be_cut(f, &c);
	/* what the other side sent, back */
	open_client(f, &c);
	say(f->admin.peer, CONTROL_PONG);
	assert_true(client_wait(&c, 10));
	client_send(&c, c.in.data, c.in.len);
	must_be_cut(f, &c);
	buf_clear(&a);
	buf_clear(&b);
}

static void test_bad_records(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
	} raw[] = {{"\0\0", 2},
		   {"\0\x01x", 3},
		   {"\0\x10xxxxxxxxxxxxxxxx", 18},
		   {"\0\x11xxxxxxxxxxxxxxxxx", 19}};
	struct fixture *f = *state;
	struct client c;
	struct buf out;

	for (size_t i = 0; i < sizeof(raw) / sizeof(raw[0]); i++) {
		open_client(f, &c);
		client_send(&c, raw[i].bytes, raw[i].n);
		must_be_cut(f, &c);
	}
	/* sealed well, for a lane that there is none of */
	for (unsigned lane = LANE_COUNT; lane < 256; lane += 50) {
		uint8_t plain[2] = {(uint8_t)lane, 'x'};

		buf_init(&out, 4096);
		open_client(f, &c);
		buf_put_be16(&out, sizeof(plain) + NOISE_TAG_SIZE);
		noise_encrypt(c.records.send_key, c.records.sent, NULL, 0, plain, sizeof(plain),
			      &out);
		client_send(&c, out.data, out.len);
		must_be_cut(f, &c);
		buf_clear(&out);
	}
}

/* Control messages that are none, each well sealed. */
static void test_bad_control(void **state)
{
	static const char *const bad[] = {"zzzz",
					  "0001",
					  "0003",
					  "0008PING0000",
					  "00000000",
					  "0008pi g0000",
					  "0008ping0005x0000",
					  "0008ping0008a=b\n0000",
					  "0008ping0007a=b0007a=c0000",
					  "fff5"};
	struct fixture *f = *state;
	struct client c;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		open_client(f, &c);
		client_record(&c, LANE_CONTROL, bad[i], strlen(bad[i]));
		assert_int_equal(shutdown(c.fd, SHUT_WR), 0);
		must_be_cut(f, &c);
	}
}

static void test_endless_control(void **state)
{
	struct fixture *f = *state;
	struct client c;
	struct buf out;

	/* a message that never ends, in small lines and in one large; a record for each byte */
	buf_init(&out, 4 << 20);
	open_client(f, &c);
	client_seal(&c, LANE_CONTROL, "0008ping", 8, &out);
	for (int i = 0; i < 5000; i++)
		client_seal(&c, LANE_CONTROL, "0007a=b", 7, &out);
	client_send(&c, out.data, out.len);
	must_be_cut(f, &c);
	buf_reset(&out);
	open_client(f, &c);
	client_seal(&c, LANE_CONTROL, "fff0", 4, &out);
	for (int i = 0; i < 70000; i++)
		client_seal(&c, LANE_CONTROL, "x", 1, &out);
	client_send(&c, out.data, out.len);
	must_be_cut(f, &c);
	buf_clear(&out);
}

/* --- time --- */

static void test_one_byte_at_a_time(void **state)
{
	struct fixture *f = *state;
	struct buf out;
	struct client c;

	buf_init(&out, 4096);
	client_of(f, &c);
	client_prepare(&c, f->keystore, 0, 0);
	for (size_t i = 0; i < FIRST_SIZE; i++) {
		client_send(&c, c.first + i, 1);
		fixture_turn(f, 0);
	}
	assert_true(client_finish(&c));
	client_seal(&c, LANE_CONTROL, "0008ping0000", 12, &out);
	for (size_t i = 0; i < out.len; i++) {
		client_send(&c, out.data + i, 1);
		fixture_turn(f, 0);
	}
	spin_until(f, f->admin.calls[CALL_CONTROL] == 1);
	client_clear(&c);
	buf_clear(&out);
}

/* The time for a handshake is one, from accepting to the first record, however it is doled out. */
static void test_slow_handshake(void **state)
{
	struct fixture *f = *state;
	struct client c;

	client_of(f, &c);
	client_prepare(&c, f->keystore, 0, 0);
	spin_until(f, peers_count(f->admin.peers) == 1);
	for (int i = 0; i < 8; i++) {
		client_send(&c, c.first + i, 1);
		fixture_turn(f, 0);
		fixture_skew += WAIT_HANDSHAKE / 10;
		peers_sweep(f->admin.peers);
	}
	assert_int_equal(f->admin.calls[CALL_CLOSED], 0);
	client_send(&c, c.first + 8, FIRST_SIZE - 8);
	assert_true(client_finish(&c)); /* the handshake is done, but no record came */
	fixture_skew += WAIT_HANDSHAKE / 5 + 1;
	peers_sweep(f->admin.peers);
	assert_non_null(strstr(f->admin.reason, "no handshake within"));
	must_be_gone(f, &c);
	client_clear(&c);
}

static void test_silent_stranger(void **state)
{
	struct fixture *f = *state;
	struct client c;

	client_of(f, &c);
	spin_until(f, peers_count(f->admin.peers) == 1);
	fixture_skew += WAIT_HANDSHAKE + 1;
	peers_sweep(f->admin.peers);
	must_be_gone(f, &c);
	client_clear(&c);
}

/* A record of which a byte comes now and then is silence: only whole ones count. */
static void test_slow_record(void **state)
{
	struct fixture *f = *state;
	struct client c;
	struct buf out;

	buf_init(&out, 4096);
	open_client(f, &c);
	client_seal(&c, LANE_CONTROL, "0008ping0000", 12, &out);
	for (size_t i = 0; i < 10; i++) {
		client_send(&c, out.data + i, 1);
		fixture_turn(f, 0);
		fixture_skew += WAIT_SILENCE / 8;
		peers_sweep(f->admin.peers);
	}
	assert_non_null(strstr(f->admin.reason, "silent for"));
	must_be_cut(f, &c);
	buf_clear(&out);
}

/* --- many --- */

enum { UNFINISHED = 40, WORKERS = 4 /* of libuv */ };

/*
 * Who opens connections and leaves them half open keeps no one out, and holds no more than the
 * limit.
 */
static void test_half_open(void **state)
{
	struct fixture *f = *state;
	struct client clients[3 * UNFINISHED], good;

	peers_allow(f->admin.peers, 1000, UNFINISHED);
	open_client(f, &good);
	for (int i = 0; i < 3 * UNFINISHED; i++) {
		client_of(f, clients + i);
		client_prepare(clients + i, f->keystore, 0, 0);
		client_send(clients + i, clients[i].first,
			    i % 3 == 0   ? 0
			    : i % 3 == 1 ? 30
					 : FIRST_SIZE - 1);
		fixture_turn(f, 0);
		assert_true(peers_count(f->admin.peers) <= UNFINISHED + 3);
		/* a node that comes meanwhile gets in, one that is in is heard */
		if (i % 40 == 39) {
			struct client node;

			client_of(f, &node);
			assert_true(client_join(&node, f->keystore));
			assert_non_null(strstr(f->admin.reason, "made room"));
			client_say(&node, "ping", NULL);
			spin_until(f, strcmp(f->admin.word, "ping") == 0);
			client_say(&good, "status", NULL);
			spin_until(f, strcmp(f->admin.word, "status") == 0);
			client_clear(&node);
		}
	}
	for (int i = 0; i < UNFINISHED; i++)
		assert_true(client_closed(clients + i)); /* the oldest made room */
	assert_false(clients[3 * UNFINISHED - 1].ended);
	fixture_skew += WAIT_HANDSHAKE + 1;
	peers_sweep(f->admin.peers);
	spin_until(f, peers_count(f->admin.peers) == 1);
	for (int i = 0; i < 3 * UNFINISHED; i++)
		client_clear(clients + i);
	client_clear(&good);
}

/* Every worker is busy: what is queued waits until these are let go. */
struct busy {
	uv_work_t works[WORKERS];
	uv_sem_t go;
	unsigned done;
};

static void on_busy(uv_work_t *work)
{
	uv_sem_wait(&((struct busy *)work->data)->go);
}

static void on_let_go(uv_work_t *work, int status)
{
	((struct busy *)work->data)->done++;
	assert_int_equal(status, 0);
}

static void keep_busy(struct fixture *f, struct busy *busy)
{
	*busy = (struct busy){.done = 0};
	assert_int_equal(uv_sem_init(&busy->go, 0), 0);
	for (int i = 0; i < WORKERS; i++) {
		busy->works[i].data = busy;
		assert_int_equal(uv_queue_work(&f->loop, busy->works + i, on_busy, on_let_go), 0);
	}
}

static void let_go(struct fixture *f, struct busy *busy)
{
	for (int i = 0; i < WORKERS; i++)
		uv_sem_post(&busy->go);
	spin_until(f, busy->done == WORKERS);
	uv_sem_destroy(&busy->go);
}

/* While the answer is being made nothing is opened: what comes meanwhile is held, to a limit. */
static void test_flood_behind_first(void **state)
{
	static const uint8_t flood[LIMIT_PEER_INPUT + 1];
	struct fixture *f = *state;
	struct busy busy;
	struct client c;
	bool closed;

	client_of(f, &c);
	client_prepare(&c, f->keystore, 0, 0);
	keep_busy(f, &busy);
	client_send(&c, c.first, FIRST_SIZE);
	client_send(&c, flood, sizeof(flood));
	closed = client_closed(&c);
	let_go(f, &busy);
	assert_true(closed);
	assert_string_equal(f->admin.reason, "sent more than it may");
	must_be_gone(f, &c);
	client_clear(&c);
}

/* Who waits for our answer does not make room for others, however long that takes. */
static void test_waiting_for_us(void **state)
{
	enum { FEW = 4 };
	struct client clients[FEW], late;
	struct fixture *f = *state;
	size_t closed;
	struct busy busy;

	peers_allow(f->admin.peers, 1000, FEW);
	keep_busy(f, &busy);
	for (int i = 0; i < FEW; i++) {
		client_of(f, clients + i);
		client_prepare(clients + i, f->keystore, 0, 0);
		client_send(clients + i, clients[i].first, FIRST_SIZE);
	}
	spin_until(f, f->admin.calls[CALL_HELLO] == FEW);
	client_of(f, &late);
	fixture_settle(f);
	fixture_skew += WAIT_HANDSHAKE / 2;
	fixture_settle(f);
	closed = f->admin.calls[CALL_CLOSED];
	let_go(f, &busy);
	assert_int_equal(closed, 0);
	for (int i = 0; i < FEW; i++) {
		assert_true(client_finish(clients + i));
		client_say(clients + i, "ping", NULL);
	}
	assert_true(client_join(&late, f->keystore));
	for (int i = 0; i < FEW; i++)
		client_clear(clients + i);
	client_clear(&late);
}

/* The engine of a half-open handshake is made when its message is whole, not before. */
static void test_half_open_costs_nothing(void **state)
{
	struct fixture *f = *state;
	struct client c;

	client_of(f, &c);
	client_prepare(&c, f->keystore, 0, 0);
	client_send(&c, c.first, FIRST_SIZE - 1);
	fixture_settle(f);
	assert_int_equal(peers_count(f->admin.peers), 1);
	assert_int_equal(f->admin.calls[CALL_HELLO], 0);
	client_clear(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		peer_test(test_good_client),
		peer_test(test_every_bit_of_first),
		peer_test(test_truncated_first),
		peer_test(test_version_hint),
		peer_test(test_epoch_hint),
		peer_test(test_garbage),
		peer_test(test_replay),
		peer_test(test_reflected_handshake),
		peer_test(test_every_bit_of_record),
		peer_test(test_truncated_record),
		peer_test(test_order),
		peer_test(test_bad_records),
		peer_test(test_bad_control),
		peer_test(test_endless_control),
		peer_test(test_one_byte_at_a_time),
		peer_test(test_slow_handshake),
		peer_test(test_silent_stranger),
		peer_test(test_slow_record),
		peer_test(test_half_open),
		peer_test(test_flood_behind_first),
		peer_test(test_waiting_for_us),
		peer_test(test_half_open_costs_nothing),
	};

	/* as many as WORKERS, whatever the environment says */
	assert_int_equal(setenv("UV_THREADPOOL_SIZE", "4", 1), 0);
	crypto_setup();
	log_setup(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
