/*
 * Who is held: which pins count, what may be asked for, and what the admin shows of a node that
 * says one thing or another.
 */
#include "publish_in.h"

#include "admin/pinning.h"
#include "admin/pins.h"
#include "admin/show.h"

struct here {
	struct fixture *f;
	uv_loop_t loop;
	struct serve *serve;
};

static void on_changed(void *arg)
{
	(void)arg; /* nobody waits */
}

static void start(struct here *h)
{
	struct err err;

	if (serve_start(&h->loop, &h->f->home, h->f->identity, "127.0.0.1", 0, on_changed, h,
			&h->serve, &err) != 0)
		fail_msg("%s", err.text);
}

static void stop(struct here *h)
{
	serve_stop(h->serve);
	(void)uv_run(&h->loop, UV_RUN_DEFAULT); /* until nothing is left */
}

static int setup(void **state)
{
	struct here *h = mem_new(1, sizeof(*h));

	h->f = demo();
	assert_int_equal(publish_main(h->f), 2);
	assert_int_equal(uv_loop_init(&h->loop), 0);
	start(h);
	*state = h;
	return 0;
}

static int teardown(void **state)
{
	struct here *h = *state;

	stop(h);
	assert_int_equal(uv_loop_close(&h->loop), 0);
	fixture_free(h->f);
	free(h);
	return 0;
}

static const struct join joined = {.epoch = 1};

/* A node says: pairs of words, NULL at the end. */
static void says(struct here *h, const char *name, ...)
{
	struct control_message message;
	uint8_t key[KEY_SIZE] = {1};
	struct node *node;
	struct err err;
	const char *word;
	va_list ap;

	control_start(&message, CONTROL_REGISTER);
	control_add(&message, "name", name);
	control_add(&message, "role", "internal");
	va_start(ap, name);
	while ((word = va_arg(ap, const char *)))
		control_add(&message, word, va_arg(ap, const char *));
	va_end(ap);
	if (registry_register(serve_registry(h->serve), key, &joined, &message, &node, &err) != 0)
		fail_msg("%s", err.text);
	registry_report(serve_registry(h->serve), node, &message);
	control_clear(&message);
}

static int begin(struct here *h, const char *node, const char *rev, struct pinning *out,
		 struct err *err)
{
	const struct pinning_wish wish = {
		.node = node, .rev = rev, .reason = "a test", .host = "admin.example.com"};

	return pinning_begin(serve_registry(h->serve), serve_pins(h->serve), &wish, out, err);
}

/* As the daemon does it, both halves. */
static struct pin pin_node(struct here *h, const char *node, const char *rev)
{
	struct pinning pinning;
	struct pin pin;
	struct err err;

	if (begin(h, node, rev, &pinning, &err) != 0)
		fail_msg("%s", err.text);
	assert_false(pinning.needless);
	if (pinning_run(&pinning, &h->f->home, h->f->identity, &err) != 0)
		fail_msg("%s", err.text);
	serve_pinned(h->serve, &pinning.pin, &pinning.raw);
	pin = pinning.pin;
	pinning_clear(&pinning);
	return pin;
}

static void must_refuse_pin(struct here *h, const char *node, const char *rev, const char *words)
{
	struct pinning pinning;
	struct err err = {.code = ERR_NONE};
	int rc = begin(h, node, rev, &pinning, &err);

	if (rc == 0) {
		rc = pinning_run(&pinning, &h->f->home, h->f->identity, &err);
		pinning_clear(&pinning);
	}
	assert_int_equal(rc, -1);
	assert_int_equal(err.code, ERR_REFUSED);
	if (!strstr(err.text, words))
		fail_msg("\"%s\" does not say \"%s\"", err.text, words);
}

/* One node of `muster nodes --json`, and its `held`. */
static json_t *shown(struct here *h, const char *name)
{
	json_t *nodes = show_nodes(h->serve), *node, *held = NULL;
	size_t i;

	json_array_foreach(nodes, i, node)
		if (strcmp(json_string_value(json_object_get(node, "name")), name) == 0)
			held = json_incref(json_object_get(node, "held"));
	json_decref(nodes);
	assert_non_null(held);
	return held;
}

static void shows(struct here *h, const char *name, const char *by, bool pending,
		  const char *reason)
{
	json_t *held = shown(h, name);
	const char *got;

	if (!by) {
		assert_true(json_is_null(held));
	} else {
		got = json_string_value(json_object_get(held, "by"));
		assert_string_equal(got ? got : "", by);
		assert_int_equal(json_is_true(json_object_get(held, "pending")), pending);
		got = json_string_value(json_object_get(held, "reason"));
		assert_string_equal(got ? got : "", reason);
	}
	json_decref(held);
}

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

/* --- what may be asked for --- */

static void unknown_nodes_are_refused(void **state)
{
	struct here *h = *state;

	says(h, "node1", NULL);
	says(h, "node2", NULL);
	says(h, "web", NULL);
	must_refuse_pin(h, "nod1", "HEAD", "no node is named \"nod1\"; there is node1, node2");
	must_refuse_pin(h, "", "HEAD", "no node is named \"\"");
	must_refuse_pin(h, "../x", "HEAD", "no node is named \"../x\"; muster nodes lists them");
	must_refuse_pin(h, "node3", NULL, "no node is named \"node3\"");
	assert_int_equal(serve_pins(h->serve)->count, 0);
}

static void bad_revisions_are_refused(void **state)
{
	struct here *h = *state;
	char *before = all_refs(h->f), *after;

	says(h, "node1", NULL);
	must_refuse_pin(h, "node1", "nosuch", "nosuch");
	must_refuse_pin(h, "node1", "HEAD~70", "HEAD~70");
	must_refuse_pin(h, "node1", "", "");
	after = all_refs(h->f);
	assert_string_equal(before, after);
	free(before);
	free(after);
}

/* A role without a release has nothing to hold a node at, nor anything to follow. */
static void roles_without_releases(void **state)
{
	struct control_message message;
	uint8_t key[KEY_SIZE] = {2};
	struct here *h = *state;
	struct node *node;
	struct err err;

	control_start(&message, CONTROL_REGISTER);
	control_add(&message, "name", "node1");
	control_add(&message, "role", "unheard-of");
	control_add(&message, "held-by", "admin");
	assert_int_equal(
		registry_register(serve_registry(h->serve), key, &joined, &message, &node, &err),
		0);
	registry_report(serve_registry(h->serve), node, &message);
	control_clear(&message);
	must_refuse_pin(h, "node1", "HEAD", "unheard-of");
	must_refuse_pin(h, "node1", NULL, "unheard-of");
}

static void resume_needs_a_hold(void **state)
{
	struct here *h = *state;
	struct pinning pinning;
	struct err err;

	says(h, "node1", NULL);
	assert_int_equal(begin(h, "node1", NULL, &pinning, &err), 0);
	assert_true(pinning.needless);
	pinning_clear(&pinning);
	assert_true(pin_node(h, "node1", "HEAD").hold);
	assert_false(pin_node(h, "node1", NULL).hold);
	assert_int_equal(begin(h, "node1", NULL, &pinning, &err), 0);
	assert_true(pinning.needless);
	pinning_clear(&pinning);
	/* its own hold is not the admin's to end */
	says(h, "node1", "held-by", "node", NULL);
	must_refuse_pin(h, "node1", NULL, "muster resume --here");
	(void)pin_node(h, "node1", "HEAD");
	assert_int_equal(begin(h, "node1", NULL, &pinning, &err), 0);
	assert_true(pinning.held_here && !pinning.needless);
	pinning_clear(&pinning);
}

/*
 * An admin that lost its pins ends a hold that only the node still knows of, above what that has.
 */
static void a_lost_pin_is_ended(void **state)
{
	struct here *h = *state;
	struct pin pin;

	says(h, "node1", "held-by", "admin", "pin-sequence", "7", NULL);
	pin = pin_node(h, "node1", NULL);
	assert_false(pin.hold);
	assert_true(pin.sequence == 8);
}

/* A node cannot make its admin run out of numbers, or end it. */
static void absurd_sequences_are_not_believed(void **state)
{
	static const char *const said[] = {"18446744073709551615",
					   "18446744073709551616",
					   "9223372036854775808",
					   "-1",
					   "x",
					   "1e9"};
	struct here *h = *state;

	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
		says(h, "node1", "pin-sequence", said[i], NULL);
		assert_true(pin_node(h, "node1", "HEAD").sequence == i + 1);
	}
}

/* --- what is shown --- */

static void what_a_node_says_is_shown(void **state)
{
	struct here *h = *state;
	json_t *held;

	says(h, "node1", "held-by", "node", "held-release", A, "held-since", "1700000000",
	     "held-reason", "mine", NULL);
	shows(h, "node1", "node", false, "mine");
	held = shown(h, "node1");
	assert_string_equal(json_string_value(json_object_get(held, "release")), A);
	assert_string_equal(json_string_value(json_object_get(held, "since")),
			    "2023-11-14T22:13:20Z");
	json_decref(held);
	says(h, "node1", "held-by", "admin", "held-since", "99999999999999999999", NULL);
	shows(h, "node1", "admin", false, "");
	held = shown(h, "node1");
	assert_true(json_is_null(json_object_get(held, "since")) &&
		    json_is_null(json_object_get(held, "release")));
	json_decref(held);
	says(h, "node1", "held-by", "the cat", "held-release", A, NULL);
	shows(h, "node1", NULL, false, NULL);
	says(h, "node1", NULL);
	shows(h, "node1", NULL, false, NULL);
}

static void a_pin_is_pending_until_confirmed(void **state)
{
	struct here *h = *state;
	struct pin pin;
	char hex[OID_HEX_SIZE];
	json_t *held;

	says(h, "node1", NULL);
	says(h, "node2", NULL);
	pin = pin_node(h, "node1", "HEAD");
	shows(h, "node1", "admin", true, "a test");
	shows(h, "node2", NULL, false, NULL);
	held = shown(h, "node1");
	assert_string_equal(json_string_value(json_object_get(held, "release")),
			    oid_hex(&pin.release, hex));
	assert_non_null(json_string_value(json_object_get(held, "since")));
	json_decref(held);
	says(h, "node1", "pin-sequence", "1", NULL); /* taken, but not held yet */
	shows(h, "node1", "admin", true, "a test");
	says(h, "node1", "pin-sequence", "1", "held-by", "admin", "held-reason", "said", NULL);
	shows(h, "node1", "admin", false, "said");
	(void)pin_node(h, "node1", "HEAD"); /* the next, while it is held by the last */
	shows(h, "node1", "admin", true, "a test");
	says(h, "node1", "pin-sequence", "1", "held-by", "node", "held-reason", "mine", NULL);
	shows(h, "node1", "node", false, "mine");
	says(h, "node1", "pin-sequence", "2", "held-by", "admin", "held-reason", "said", NULL);
	shows(h, "node1", "admin", false, "said");
	(void)pin_node(h, "node1", NULL); /* it is held as long as it says so */
	shows(h, "node1", "admin", false, "said");
	says(h, "node1", "pin-sequence", "3", NULL);
	shows(h, "node1", NULL, false, NULL);
}

/* --- which pins count --- */

static void store(struct here *h, const char *node, struct pin *pin, const uint8_t *seed)
{
	char *path = home_var(&h->f->home, ADMIN_RELEASES);
	struct repo *repo = NULL;
	struct buf raw;
	struct err err;

	buf_init(&raw, PIN_RAW_MAX);
	pin_sign(pin, seed, &raw);
	assert_int_equal(repo_open(path, &repo, &err), 0);
	assert_int_equal(pin_store(repo, node, &raw, &err), 0);
	repo_free(repo);
	buf_clear(&raw);
	free(path);
}

/* What is no pin of that node in this cluster holds nobody, and keeps nothing from starting. */
static void foreign_pins_do_not_count(void **state)
{
	struct here *h = *state;
	char *releases = home_var(&h->f->home, ADMIN_RELEASES);
	struct pin pin;

	for (int i = 0; i < 5; i++) {
		char name[] = "node0";

		name[4] = (char)('0' + i);
		says(h, name, NULL);
		pin = pin_node(h, name, "HEAD");
	}
	pin.sequence = 9; /* node4's, signed for it alone */
	store(h, "node1", &pin, h->f->identity->release_seed[0]);
	memcpy(pin.node, "node2", 6);
	pin.cluster_id[0] ^= 1;
	store(h, "node2", &pin, h->f->identity->release_seed[0]);
	must_run(releases, NULL, "git update-ref refs/pins/node3 refs/heads/internal");
	must_run(releases, NULL, "git update-ref refs/pins/no/node refs/heads/internal");
	stop(h);
	start(h);
	assert_int_equal(serve_pins(h->serve)->count, 2);
	shows(h, "node0", "admin", true, "a test");
	shows(h, "node1", NULL, false, NULL);
	shows(h, "node2", NULL, false, NULL);
	shows(h, "node3", NULL, false, NULL);
	shows(h, "node4", "admin", true, "a test");
	assert_true(pinboard_find(serve_pins(h->serve), "node4")->sequence == 1);
	free(releases);
}

static void the_board(void **state)
{
	static const char *const names[] = {"m", "c", "x", "a", "z", "d"};
	struct pinboard board = {.list = NULL};
	struct pin pin = {
		.hold = true, .sequence = 2, .tagger = "muster <admin@a> 1700000000 +0000"};
	struct buf raw;

	(void)state;
	buf_init(&raw, PIN_RAW_MAX);
	buf_puts(&raw, "raw");
	for (size_t i = 0; i < 6; i++) {
		memcpy(pin.node, names[i], 2);
		assert_true(pinboard_put(&board, &pin, &raw));
	}
	for (size_t i = 0; i < 6; i++) {
		assert_string_equal(pinboard_find(&board, names[i])->node, names[i]);
		assert_string_equal(pinboard_find(&board, names[i])->wire, "cmF3");
		assert_int_equal(pinboard_find(&board, names[i])->since, 1700000000);
	}
	assert_null(pinboard_find(&board, "b"));
	assert_null(pinboard_find(&board, ""));
	assert_false(pinboard_put(&board, &pin, &raw)); /* d, as before */
	pin.sequence = 1;
	pin.hold = false;
	assert_false(pinboard_put(&board, &pin, &raw));
	assert_true(pinboard_find(&board, "d")->hold);
	pin.sequence = 3;
	assert_true(pinboard_put(&board, &pin, &raw));
	assert_false(pinboard_find(&board, "d")->hold);
	pinboard_remove(&board, "b");
	assert_int_equal(board.count, 6);
	pinboard_remove(&board, "a");
	pinboard_remove(&board, "z");
	assert_int_equal(board.count, 4);
	assert_null(pinboard_find(&board, "a"));
	assert_string_equal(pinboard_find(&board, "c")->node, "c");
	pinboard_clear(&board);
	buf_clear(&raw);
}

#define holds_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		holds_test(unknown_nodes_are_refused),
		holds_test(bad_revisions_are_refused),
		holds_test(roles_without_releases),
		holds_test(resume_needs_a_hold),
		holds_test(a_lost_pin_is_ended),
		holds_test(absurd_sequences_are_not_believed),
		holds_test(what_a_node_says_is_shown),
		holds_test(a_pin_is_pending_until_confirmed),
		holds_test(foreign_pins_do_not_count),
		cmocka_unit_test(the_board),
	};

	libraries_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
