/* Versions mix: nodes of the first version, and of later ones, at the admin of today. */
#include "publish_in.h"
#include "wire_client.h"

#include "peer_words.h"

#include "admin/serve.h"

static const char *const all_words[] = {
	"node-1-register",     "node-1-status",          "node-1-fetch",     "node-1-ping",
	"node-later-register", "node-later-verb",        "admin-1-head",     "admin-1-head-none",
	"admin-1-registered",  "admin-1-refused",        "admin-1-pong",     "admin-later-head",
	"admin-later-verb",    "admin-later-registered", "either-1-unknown",
};

struct here {
	struct fixture *f;
	uv_loop_t loop;
	struct serve *serve;
	struct keystore *any;
};

static void on_changed(void *arg)
{
	(void)arg;
}

static int setup(void **state)
{
	struct here *h = mem_new(1, sizeof(*h));
	struct err err;

	h->f = demo();
	assert_int_equal(publish_main(h->f), 2);
	assert_int_equal(uv_loop_init(&h->loop), 0);
	h->any = keystore_for(h->f->identity, "*");
	if (serve_start(&h->loop, &h->f->home, h->f->identity, "127.0.0.1", 0, on_changed, h,
			&h->serve, &err) != 0)
		fail_msg("%s", err.text);
	*state = h;
	return 0;
}

static int teardown(void **state)
{
	struct here *h = *state;

	serve_stop(h->serve);
	(void)uv_run(&h->loop, UV_RUN_DEFAULT); /* until nothing is left */
	assert_int_equal(uv_loop_close(&h->loop), 0);
	keystore_free(h->any);
	fixture_free(h->f);
	free(h);
	return 0;
}

static void idle(void *arg)
{
	struct here *h = arg;
	struct pollfd p = {.fd = uv_backend_fd(&h->loop), .events = POLLIN};

	(void)uv_run(&h->loop, UV_RUN_NOWAIT);
	(void)poll(&p, 1, 1); /* waits, or not */
	(void)uv_run(&h->loop, UV_RUN_NOWAIT);
}

static struct node *node_of(struct here *h, const char *name)
{
	return registry_find(serve_registry(h->serve), name);
}

static void connect_node(struct here *h, struct client *c)
{
	client_connect(c, serve_port(h->serve), idle, h);
	assert_true(client_join(c, h->any));
}

static void say(struct client *c, const char *name)
{
	struct buf bytes;

	words_read(name, &bytes);
	client_record(c, LANE_CONTROL, bytes.data, bytes.len);
	buf_clear(&bytes);
}

/* What was recorded is what this version writes, byte for byte. */
static void test_bytes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(all_words) / sizeof(all_words[0]); i++) {
		struct control_message message;
		struct buf bytes, again;

		words_read(all_words[i], &bytes);
		words_parse(all_words[i], &message);
		buf_init(&again, LIMIT_CONTROL_MESSAGE);
		control_put(&message, &again);
		assert_int_equal(again.len, bytes.len);
		assert_memory_equal(again.data, bytes.data, bytes.len);
		control_clear(&message);
		buf_clear(&again);
		buf_clear(&bytes);
	}
}

static void test_first_version(void **state)
{
	struct control_message message;
	struct here *h = *state;
	struct client c;

	connect_node(h, &c);
	say(&c, "node-1-register");
	assert_true(client_hear(&c, &message));
	assert_string_equal(message.word, "registered");
	control_clear(&message);
	assert_true(client_hear(&c, &message));
	assert_string_equal(message.word, "head");
	assert_non_null(control_get(&message, "release"));
	assert_int_equal(control_get_number(&message, "sequence", 0), 1);
	control_clear(&message);
	say(&c, "node-1-status");
	while (node_of(h, "old1")->sequence != 1)
		idle(h);
	assert_string_equal(node_said(node_of(h, "old1"), "secret-keys"), "");
	assert_string_equal(node_said(node_of(h, "old1"), "pin-sequence"), "");
	say(&c, "node-1-ping");
	assert_true(client_hears(&c, "pong"));
	say(&c, "node-1-fetch");
	assert_true(client_git_ends(&c, "0000"));
	client_clear(&c);
}

static void test_later_keys(void **state)
{
	struct here *h = *state;
	struct client c;

	connect_node(h, &c);
	say(&c, "node-later-register");
	assert_true(client_hears(&c, "registered"));
	assert_true(client_hears(&c, "head"));
	assert_string_equal(node_of(h, "new1")->role, "internal");
	assert_string_equal(node_said(node_of(h, "new1"), "version"), "9.0.0");
	say(&c, "node-1-ping");
	assert_true(client_hears(&c, "pong"));
	client_clear(&c);
}

/* Answered `unknown`, with the verb, before and after `register`; the connection stays. */
static void test_later_verb(void **state)
{
	struct here *h = *state;
	struct client c;

	connect_node(h, &c);
	for (int i = 0; i < 2; i++) {
		struct control_message message;

		say(&c, "node-later-verb");
		assert_true(client_hear(&c, &message));
		assert_string_equal(message.word, "unknown");
		assert_string_equal(control_get(&message, "verb"), "measure");
		control_clear(&message);
		if (i == 0) {
			say(&c, "node-1-register");
			assert_true(client_hears(&c, "registered"));
			assert_true(client_hears(&c, "head"));
		}
	}
	/* `unknown` itself is not: what comes next is the answer to what was asked next */
	say(&c, "either-1-unknown");
	say(&c, "node-1-ping");
	assert_true(client_hears(&c, "pong"));
	client_clear(&c);
}

/* What only an admin says is answered likewise. */
static void test_wrong_side(void **state)
{
	struct here *h = *state;
	struct client c;

	connect_node(h, &c);
	say(&c, "node-1-register");
	assert_true(client_hears(&c, "registered"));
	assert_true(client_hears(&c, "head"));
	say(&c, "admin-later-head");
	assert_true(client_hears(&c, "unknown"));
	say(&c, "admin-1-refused");
	assert_true(client_hears(&c, "unknown"));
	say(&c, "node-1-ping");
	assert_true(client_hears(&c, "pong"));
	client_clear(&c);
}

/* A hello of another version, later or never made: one clear byte, and closed. */
static void test_later_hello(void **state)
{
	static const unsigned versions[] = {2, 3, 255, 256, 0xffff};
	struct here *h = *state;

	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
		struct client c;

		client_connect(&c, serve_port(h->serve), idle, h);
		client_prepare(&c, h->any, versions[i], 0);
		client_send(&c, c.first, FIRST_SIZE);
		assert_true(client_closed(&c));
		assert_int_equal(c.in.len, 1);
		assert_int_equal(c.in.data[0], PEER_HINT_VERSION);
		client_clear(&c);
	}
	assert_int_equal(registry_count(serve_registry(h->serve)), 0);
}

#define serve_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes), serve_test(test_first_version),
		serve_test(test_later_keys),  serve_test(test_later_verb),
		serve_test(test_wrong_side),  serve_test(test_later_hello),
	};

	crypto_setup();
	git_setup();
	log_setup(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
