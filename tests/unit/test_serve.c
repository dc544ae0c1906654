/*
 * The admin's side of the channel, with nodes that are good, and nodes that are not, over loopback.
 */
#include "publish_in.h"
#include "wire_client.h"

#include "admin/keys.h"
#include "admin/pins.h"
#include "admin/serve.h"
#include "admin/show.h"
#include "core/limits.h"
#include "crypto/encode.h"

#include <malloc.h>
#include <sys/resource.h>
#include <sys/wait.h>

struct here {
	struct fixture *f;
	uv_loop_t loop;
	struct serve *serve;
	uint16_t port;
	struct keystore *any, *internal;
	unsigned changes;
};

static uint64_t skew;

static uint64_t skewed_now(void)
{
	return loop_now() + skew;
}

static void on_changed(void *arg)
{
	((struct here *)arg)->changes++;
}

static void start(struct here *h)
{
	struct err err;

	if (serve_start(&h->loop, &h->f->home, h->f->identity, "127.0.0.1", 0, on_changed, h,
			&h->serve, &err) != 0)
		fail_msg("%s", err.text);
	h->port = serve_port(h->serve);
	peers_set_clock(serve_peers(h->serve), skewed_now);
}

static void stop(struct here *h)
{
	serve_stop(h->serve);
	h->serve = NULL;
	(void)uv_run(&h->loop, UV_RUN_DEFAULT); /* until nothing is left */
}

static int setup(void **state)
{
	struct here *h = mem_new(1, sizeof(*h));

	skew = 0;
	h->f = demo();
	assert_int_equal(publish_main(h->f), 2);
	assert_int_equal(uv_loop_init(&h->loop), 0);
	h->any = keystore_for(h->f->identity, "*");
	h->internal = keystore_for(h->f->identity, "internal");
	start(h);
	*state = h;
	return 0;
}

static int teardown(void **state)
{
	struct here *h = *state;

	stop(h);
	assert_int_equal(uv_loop_close(&h->loop), 0);
	keystore_free(h->any);
	keystore_free(h->internal);
	fixture_free(h->f);
	free(h);
	return 0;
}

static void turn(struct here *h, int ms)
{
	struct pollfd p = {.fd = uv_backend_fd(&h->loop), .events = POLLIN};

	(void)uv_run(&h->loop, UV_RUN_NOWAIT);
	(void)poll(&p, 1, ms); /* waits, or not */
	(void)uv_run(&h->loop, UV_RUN_NOWAIT);
}

static void idle(void *arg)
{
	turn(arg, 1);
}

/* What must not happen has had its time. */
static void settle(struct here *h)
{
	for (int i = 0; i < 20; i++)
		turn(h, 1);
}

static struct registry *registry(struct here *h)
{
	return serve_registry(h->serve);
}

static struct node *node_of(struct here *h, const char *name)
{
	return registry_find(registry(h), name);
}

/* Open, and nothing said. */
static void connect_node(struct here *h, struct client *c, const struct keystore *keystore)
{
	client_connect(c, h->port, idle, h);
	assert_true(client_join(c, keystore));
}

/* The same with the key of another. */
static void connect_as(struct here *h, struct client *c, const struct client *other)
{
	client_connect(c, h->port, idle, h);
	static_key_free(c->key);
	c->key = static_key_of(other->key->secret);
	assert_true(client_join(c, h->any));
}

static void join(struct here *h, struct client *c, const char *name, const char *role)
{
	connect_node(h, c, h->any);
	client_say(c, "register", "name", name, "role", role, "version", "0", "state", "WAITING",
		   NULL);
	assert_true(client_hears(c, "registered"));
	assert_true(client_hears(c, "head"));
}

static void must_be_refused(struct client *c, const char *code, const char *words)
{
	struct control_message message;

	assert_true(client_hear(c, &message));
	assert_string_equal(message.word, "refused");
	assert_string_equal(control_get(&message, "code"), code);
	if (!strstr(control_get(&message, "text"), words))
		fail_msg("\"%s\" does not say \"%s\"", control_get(&message, "text"), words);
	control_clear(&message);
	assert_true(client_closed(c));
	client_clear(c);
}

/* Closed without a word. */
static void must_be_closed(struct client *c)
{
	struct control_message message;

	assert_false(client_hear(c, &message));
	assert_true(c->ended);
	client_clear(c);
}

/* --- registering --- */

static void test_register(void **state)
{
	struct control_message message;
	struct here *h = *state;
	char hex[OID_HEX_SIZE];
	struct release release;
	struct client c;
	struct node *node;
	struct oid oid;

	connect_node(h, &c, h->any);
	settle(h);
	assert_int_equal(registry_count(registry(h)), 0);
	client_say(&c, "register", "name", "n1", "role", "internal", "state", "WAITING",
		   "from-later", "x", NULL);
	assert_true(client_hear(&c, &message));
	assert_string_equal(message.word, "registered");
	assert_string_equal(control_get(&message, "version"), PACKAGE_VERSION);
	control_clear(&message);
	release = tip(h->f, "internal", &oid);
	assert_true(client_hear(&c, &message));
	assert_string_equal(message.word, "head");
	assert_string_equal(control_get(&message, "release"), oid_hex(&oid, hex));
	assert_int_equal(control_get_number(&message, "sequence", 0), release.sequence);
	control_clear(&message);
	release_clear(&release);
	node = node_of(h, "n1");
	assert_true(node->connected);
	assert_string_equal(node->role, "internal");
	assert_memory_equal(node->key, c.key->public, KEY_SIZE);
	assert_string_equal(node_said(node, "state"), "WAITING");
	client_say(&c, "status", "state", "RUNNING", "sequence", "1", NULL);
	while (node->sequence != 1)
		turn(h, 5);
	assert_string_equal(node_said(node, "state"), "RUNNING");
	client_clear(&c);
	while (node->connected)
		turn(h, 5);
}

static void test_bad_names(void **state)
{
	static const char *const bad[] = {"", "../up", "a/b", "HEAD", "x.lock", "a b"};
	struct here *h = *state;
	struct client c;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		connect_node(h, &c, h->any);
		client_say(&c, "register", "name", bad[i], "role", "internal", NULL);
		must_be_refused(&c, "name", "is no name for a node");
		connect_node(h, &c, h->any);
		client_say(&c, "register", "name", "n1", "role", bad[i], NULL);
		must_be_refused(&c, "name", "is no name for a role");
	}
	connect_node(h, &c, h->any);
	client_say(&c, "register", NULL);
	must_be_refused(&c, "name", "is no name for a node");
	assert_int_equal(registry_count(registry(h)), 0);
}

/* A cluster file for one role lets nobody join in another. */
static void test_role_covered(void **state)
{
	struct here *h = *state;
	struct client c;

	connect_node(h, &c, h->internal);
	client_say(&c, "register", "name", "n1", "role", "default", NULL);
	must_be_refused(&c, "role", "does not let a node join in that role");
	assert_int_equal(registry_count(registry(h)), 0);
	connect_node(h, &c, h->internal);
	client_say(&c, "register", "name", "n1", "role", "internal", NULL);
	assert_true(client_hears(&c, "registered"));
	client_clear(&c);
	/* its join key under the tag of any role: another key is meant */
	client_connect(&c, h->port, idle, h);
	memcpy(h->internal->role, "*", 2);
	assert_false(client_join(&c, h->internal));
	client_clear(&c);
}

static void test_name_is_taken(void **state)
{
	struct here *h = *state;
	struct client first, second;

	join(h, &first, "n1", "internal");
	connect_node(h, &second, h->any);
	client_say(&second, "register", "name", "n1", "role", "internal", NULL);
	must_be_refused(&second, "name", "belongs to another node");
	client_say(&first, "ping", NULL);
	assert_true(client_hears(&first, "pong"));
	assert_memory_equal(node_of(h, "n1")->key, first.key->public, KEY_SIZE);
	client_clear(&first);
	while (node_of(h, "n1")->connected)
		turn(h, 5);
	join(h, &second, "n1", "internal"); /* a machine made anew */
	assert_memory_equal(node_of(h, "n1")->key, second.key->public, KEY_SIZE);
	client_clear(&second);
}

/* The same key twice: the newer counts, whatever its name. */
static void test_same_key(void **state)
{
	struct here *h = *state;
	struct client first, second, third;

	join(h, &first, "n1", "internal");
	connect_as(h, &second, &first);
	settle(h);
	assert_false(first.ended); /* the handshake alone changes nothing */
	client_say(&second, "ping", NULL);
	assert_true(client_hears(&second, "pong"));
	assert_false(first.ended);
	client_say(&second, "register", "name", "n1", "role", "internal", NULL);
	assert_true(client_hears(&second, "registered"));
	must_be_closed(&first);
	settle(h);
	assert_true(node_of(h, "n1")->connected);
	connect_as(h, &third, &second);
	client_say(&third, "register", "name", "n2", "role", "default", NULL);
	assert_true(client_hears(&third, "registered"));
	while (!second.ended)
		client_turn(&second);
	client_clear(&second);
	settle(h);
	assert_false(node_of(h, "n1")->connected);
	assert_true(node_of(h, "n2")->connected);
	client_clear(&third);
}

static void test_register_twice(void **state)
{
	struct here *h = *state;
	struct client c;

	join(h, &c, "n1", "internal");
	client_say(&c, "register", "name", "n2", "role", "default", NULL);
	must_be_closed(&c);
	assert_null(node_of(h, "n2"));
	while (node_of(h, "n1")->connected)
		turn(h, 5);
}

static void test_before_register(void **state)
{
	static const char *const verbs[] = {"fetch",      "status",  "head",
					    "registered", "refused", "pong"};
	struct here *h = *state;
	struct client c;

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		connect_node(h, &c, h->any);
		client_say(&c, verbs[i], "name", "n1", "role", "internal", NULL);
		must_be_closed(&c);
	}
	connect_node(h, &c, h->any);
	client_record(&c, LANE_GIT, "0000", 4);
	must_be_closed(&c);
	assert_int_equal(registry_count(registry(h)), 0);
}

static void test_never_registers(void **state)
{
	struct here *h = *state;
	struct client c;

	connect_node(h, &c, h->any);
	for (int i = 0; i < 5; i++) { /* it is not silent */
		client_say(&c, "ping", NULL);
		assert_true(client_hears(&c, "pong"));
	}
	skew += WAIT_HANDSHAKE + 1;
	peers_sweep(serve_peers(h->serve));
	must_be_closed(&c);
}

/* Versions mix: what is not known is said so, once, and the connection stays. */
static void test_unknown(void **state)
{
	static const char *const admins[] = {"head", "registered", "refused", "pong"};
	struct control_message message;
	struct here *h = *state;
	struct client c;

	connect_node(h, &c, h->any);
	for (int registered = 0; registered < 2; registered++) {
		client_say(&c, "from-later", "a", "b", NULL);
		assert_true(client_hear(&c, &message));
		assert_string_equal(message.word, "unknown");
		assert_string_equal(control_get(&message, "verb"), "from-later");
		control_clear(&message);
		if (registered)
			break;
		client_say(&c, "register", "name", "n1", "role", "internal", NULL);
		assert_true(client_hears(&c, "registered"));
		assert_true(client_hears(&c, "head"));
	}
	for (size_t i = 0; i < sizeof(admins) / sizeof(admins[0]); i++) {
		client_say(&c, admins[i], NULL);
		assert_true(client_hears(&c, "unknown"));
	}
	client_say(&c, "unknown", "verb", "x", NULL); /* itself never answered */
	client_say(&c, "ping", NULL);
	assert_true(client_hears(&c, "pong"));
	client_clear(&c);
}

/*
 * A recorded beginning of a good connection, played again: nothing changes, least of all who is
 * connected.
 */
static void test_replay(void **state)
{
	struct here *h = *state;
	struct client good, c;
	struct buf recorded;
	int64_t contact;

	buf_init(&recorded, 1 << 16);
	connect_node(h, &good, h->any);
	client_seal(&good, LANE_CONTROL, "000cregister000bname=n1\0", 23, &recorded);
	client_seal(&good, LANE_CONTROL, "0011role=internal0000", 21, &recorded);
	client_send(&good, recorded.data, recorded.len);
	assert_true(client_hears(&good, "registered"));
	contact = node_of(h, "n1")->last_contact;
	node_of(h, "n1")->last_contact = contact - 1000;
	for (int i = 0; i < 3; i++) {
		client_connect(&c, h->port, idle, h);
		client_send(&c, good.first, FIRST_SIZE);
		if (i)
			client_send(&c, recorded.data, recorded.len);
		assert_true(client_wait(&c, HANDSHAKE_SECOND));
		settle(h);
		if (i)
			assert_true(client_closed(&c));
		assert_int_equal(registry_count(registry(h)), 1);
		assert_true(node_of(h, "n1")->connected);
		assert_int_equal(node_of(h, "n1")->last_contact, contact - 1000);
		assert_false(good.ended);
		client_clear(&c);
	}
	client_say(&good, "ping", NULL);
	assert_true(client_hears(&good, "head") && client_hears(&good, "pong"));
	assert_true(node_of(h, "n1")->last_contact >= contact);
	client_clear(&good);
	buf_clear(&recorded);
}

/* --- fetching --- */

static void put_id(struct buf *to, const char *word, const struct oid *oid)
{
	char hex[OID_HEX_SIZE];

	pktline_printf(to, "%s %s\n", word, oid_hex(oid, hex));
}

/* Begins a fetch: the advertisement has come, and is dropped. */
static void fetch_begin(struct client *c)
{
	buf_reset(&c->lanes[LANE_GIT]);
	client_say(c, "fetch", NULL);
	assert_true(client_git_ends(c, "0000"));
	buf_reset(&c->lanes[LANE_GIT]);
}

static void ask(struct client *c, const struct oid *want, const struct oid *have)
{
	struct buf out;

	buf_init(&out, 4096);
	put_id(&out, "want", want);
	pktline_flush(&out);
	if (have)
		put_id(&out, "have", have);
	pktline_printf(&out, "done\n");
	client_record(c, LANE_GIT, out.data, out.len);
	buf_clear(&out);
}

static struct oid tip_of(struct here *h, const char *role)
{
	struct oid oid;

	(void)serve_head(h->serve, role, &oid);
	return oid;
}

static void test_fetch(void **state)
{
	struct oid want, foreign;
	struct here *h = *state;
	struct client c;
	size_t size = 0;

	join(h, &c, "n1", "internal");
	want = tip_of(h, "internal");
	foreign = tip_of(h, "default");
	for (int i = 0; i < 3; i++) { /* the second from the cache; the third says what it has */
		fetch_begin(&c);
		ask(&c, &want, i == 2 ? &foreign : NULL);
		assert_true(client_git_ends(&c, "0000"));
		/* another role's is not acknowledged */
		assert_memory_equal(c.lanes[LANE_GIT].data, "0008NAK\n", 8);
		assert_memory_equal(c.lanes[LANE_GIT].data + 13, "PACK", 4);
		if (size)
			assert_int_equal(c.lanes[LANE_GIT].len, size);
		size = c.lanes[LANE_GIT].len;
		client_record(&c, LANE_GIT, "0000", 4); /* goodbye, as libgit2 says it */
	}
	fetch_begin(&c);
	ask(&c, &want, &want);
	assert_true(client_git_ends(&c, "0000"));
	assert_memory_equal(c.lanes[LANE_GIT].data, "0038ACK ", 8);
	assert_true(c.lanes[LANE_GIT].len < size);
	/* seen and left */
	fetch_begin(&c);
	client_record(&c, LANE_GIT, "0000", 4);
	client_say(&c, "ping", NULL);
	assert_true(client_hears(&c, "pong"));
	client_clear(&c);
}

static void test_no_release(void **state)
{
	struct control_message message;
	struct here *h = *state;
	struct client c;

	connect_node(h, &c, h->any);
	client_say(&c, "register", "name", "n1", "role", "unheard-of", NULL);
	assert_true(client_hears(&c, "registered"));
	assert_true(client_hear(&c, &message));
	assert_string_equal(message.word, "head");
	assert_int_equal(message.count, 0);
	control_clear(&message);
	client_say(&c, "fetch", NULL);
	assert_true(client_git_ends(&c, "0000"));
	assert_non_null(
		memmem(c.lanes[LANE_GIT].data, c.lanes[LANE_GIT].len, " capabilities^{}", 16));
	client_clear(&c);
}

/* Wants of what is another role's, older, or nothing: told, closed. */
static void test_foreign_want(void **state)
{
	struct here *h = *state;
	struct oid wants[3] = {tip_of(h, "default")};
	struct client c;

	memset(&wants[1], 0x11, OID_SIZE);
	for (int i = 0; i < 3; i++) {
		join(h, &c, "n1", "internal");
		fetch_begin(&c);
		ask(&c, wants + i, NULL);
		assert_true(client_closed(&c));
		client_open_records(&c);
		assert_non_null(memmem(c.lanes[LANE_GIT].data, c.lanes[LANE_GIT].len,
				       "ERR upload-pack: not our ref", 28));
		assert_null(memmem(c.lanes[LANE_GIT].data, c.lanes[LANE_GIT].len, "PACK", 4));
		client_clear(&c);
		while (node_of(h, "n1")->connected)
			turn(h, 5);
	}
}

static void test_second_fetch(void **state)
{
	struct here *h = *state;
	struct oid want = tip_of(h, "internal");
	struct client c;

	for (int asked = 0; asked < 2; asked++) {
		join(h, &c, "n1", "internal");
		fetch_begin(&c);
		if (asked) { /* while the pack is being built */
			struct buf out;

			buf_init(&out, 1 << 16);
			put_id(&out, "want", &want);
			buf_puts(&out, "00000009done\n");
			client_record(&c, LANE_GIT, out.data, out.len);
			buf_clear(&out);
			if (client_git(&c, 9)) { /* it may be here already: then it is no second */
				client_clear(&c);
				break;
			}
		}
		client_say(&c, "fetch", NULL);
		must_be_closed(&c);
		while (node_of(h, "n1")->connected)
			turn(h, 5);
	}
}

static void test_fetch_limit(void **state)
{
	struct here *h = *state;
	struct client c;

	join(h, &c, "n1", "internal");
	fetch_begin(&c);
	for (int i = 0; i < 9; i++) { /* alive all the time, and never done */
		skew += WAIT_FETCH / 10;
		client_say(&c, "ping", NULL);
		assert_true(client_hears(&c, "pong"));
		peers_sweep(serve_peers(h->serve));
	}
	skew += WAIT_FETCH / 10 + 1;
	peers_sweep(serve_peers(h->serve));
	must_be_closed(&c);
	/* one that is done with its fetch stays */
	join(h, &c, "n2", "internal");
	fetch_begin(&c);
	client_record(&c, LANE_GIT, "0000", 4);
	client_say(&c, "ping", NULL);
	assert_true(client_hears(&c, "pong"));
	for (int i = 0; i < 10; i++) {
		skew += WAIT_FETCH / 8;
		client_say(&c, "ping", NULL);
		assert_true(client_hears(&c, "pong"));
		peers_sweep(serve_peers(h->serve));
	}
	settle(h);
	assert_true(node_of(h, "n2")->connected);
	client_clear(&c);
}

/*
 * Lost in the middle of a fetch, at any place of it: the pack goes back (the cache asserts it),
 * others are served.
 */
/* A pack is sent as fast as it is read, and no faster: who takes its time is not cut for it. */
static void test_slow_fetch(void **state)
{
	enum { PACK = 12 << 20 /* bytes: more than the kernel holds for both ends */ };
	char *bytes = mem_new(PACK, 1), *folder, *path;
	struct here *h = *state;
	struct oid want;
	struct client c;
	FILE *file;

	folder = home_var(&h->f->home, ADMIN_SOURCE "/files/internal");
	path = text_format("%s/blob", folder);
	must_run("/", NULL, "mkdir -p %s", folder);
	crypto_random((uint8_t *)bytes, PACK);
	file = fopen(path, "we");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, PACK, file), PACK);
	assert_int_equal(fclose(file), 0);
	must_run(folder, NULL, "git add .");
	git_commit(h->f, "large");
	(void)publish_main(h->f);
	stop(h);
	start(h);
	join(h, &c, "n1", "internal");
	want = tip_of(h, "internal");
	fetch_begin(&c);
	ask(&c, &want, NULL);
	for (int i = 0; i < 100; i++) /* it reads nothing */
		turn(h, 10);
	assert_true(node_of(h, "n1")->connected);
	assert_true(client_git_ends(&c, "0000"));
	assert_true(c.lanes[LANE_GIT].len > PACK);
	client_clear(&c);
	free(bytes);
	free(folder);
	free(path);
}

static void test_lost_in_fetch(void **state)
{
	struct here *h = *state;
	struct oid want = tip_of(h, "internal");
	struct client c;
	char name[32];

	for (int place = 0; place < 12; place++) {
		struct buf out;

		(void)snprintf(name, sizeof(name), "n%d", place);
		join(h, &c, name, "internal");
		client_say(&c, "fetch", NULL);
		buf_init(&out, 1 << 16);
		put_id(&out, "want", &want);
		buf_puts(&out, "00000009done\n");
		c.idle = NULL; /* the admin does not run: what is sent is all there at once */
		client_record(&c, LANE_GIT, out.data, out.len);
		buf_clear(&out);
		for (int i = 0; i < place; i++)
			(void)uv_run(&h->loop, UV_RUN_NOWAIT);
		client_clear(&c);
		if (place % 4 == 3) { /* the admin stops in between, too */
			stop(h);
			start(h);
		} else {
			while (node_of(h, name)->connected)
				turn(h, 5);
		}
	}
	test_fetch(state);
}

/* --- many messages --- */

static void test_status_flood(void **state)
{
	struct here *h = *state;
	struct client c;
	char text[64];

	join(h, &c, "n1", "internal");
	peers_sweep(serve_peers(h->serve)); /* it has said `register` */
	for (unsigned i = 1; i <= 40 * LIMIT_CONTROL_BURST; i++) {
		(void)snprintf(text, sizeof(text), "%u", i); /* fits */
		client_say(&c, "status", "sequence", text, NULL);
		if (i % LIMIT_CONTROL_BURST)
			continue;
		while (node_of(h, "n1")->sequence != i)
			turn(h, 5);
		peers_sweep(serve_peers(h->serve)); /* half a second is over */
	}
	(void)snprintf(text, sizeof(text), "%s", node_said(node_of(h, "n1"), "sequence"));
	assert_int_equal(strtoul(text, NULL, 10), 40 * LIMIT_CONTROL_BURST);
	assert_true(node_of(h, "n1")->report_size < 100);
	client_say(&c, "ping", NULL);
	assert_true(client_hears(&c, "pong"));
	client_clear(&c);
}

/* --- releases --- */

static void test_published(void **state)
{
	struct here *h = *state;
	struct client in, out;
	struct control_message message;
	struct publication publication;
	struct oid before = tip_of(h, "internal"), old_default = tip_of(h, "default"), after;

	join(h, &in, "n1", "internal");
	join(h, &out, "n2", "default");
	edit(h->f, "tokens.xml", "<access-token-ttl>300<", "<access-token-ttl>120<");
	git_commit(h->f, "shorter");
	assert_int_equal(publish_with(h->f, NULL, &publication), 0);
	assert_int_equal(publication_changed(&publication), 1);
	serve_published(h->serve, &publication);
	serve_published(h->serve, &publication); /* nothing new: nobody is told */
	publication_clear(&publication);
	assert_true(client_hear(&in, &message));
	assert_string_equal(message.word, "head");
	assert_int_equal(control_get_number(&message, "sequence", 0), 2);
	control_clear(&message);
	after = tip_of(h, "internal");
	assert_false(oid_equal(&before, &after));
	client_say(&in, "ping", NULL);
	assert_true(client_hears(&in, "pong"));
	client_say(&out, "ping", NULL);
	assert_true(client_hears(&out, "pong")); /* and no head before it */
	/* what it had is acknowledged, the other role's old release is not */
	fetch_begin(&in);
	ask(&in, &after, &before);
	assert_true(client_git_ends(&in, "0000"));
	assert_memory_equal(in.lanes[LANE_GIT].data, "0038ACK ", 8);
	fetch_begin(&in);
	ask(&in, &after, &old_default);
	assert_true(client_git_ends(&in, "0000"));
	assert_memory_equal(in.lanes[LANE_GIT].data, "0008NAK\n", 8);
	client_clear(&in);
	client_clear(&out);
}

/* The next head, and whether a pack comes with it. */
static void hear_head(struct client *c, const struct oid *base)
{
	struct control_message message;
	struct oid said;
	size_t size;

	assert_true(client_hear(c, &message));
	assert_string_equal(message.word, "head");
	size = control_get_number(&message, "pack", 0);
	if (base) {
		assert_int_equal(oid_parse(control_get(&message, "base"), &said), 0);
		assert_true(oid_equal(&said, base));
		assert_true(size > 0);
	} else {
		assert_null(control_get(&message, "base"));
		assert_null(control_get(&message, "pack"));
	}
	control_clear(&message);
	client_say(c, "ping", NULL);
	assert_true(client_hears(c, "pong")); /* all that was sent is there */
	assert_int_equal(c->lanes[LANE_GIT].len, size);
	if (base)
		assert_memory_equal(c->lanes[LANE_GIT].data, "PACK", 4);
	buf_reset(&c->lanes[LANE_GIT]);
}

static void publish_ttl(struct here *h, const char *from, const char *to)
{
	struct publication publication;

	edit(h->f, "tokens.xml", from, to);
	git_commit(h->f, "other");
	assert_int_equal(publish_with(h->f, NULL, &publication), 0);
	serve_published(h->serve, &publication);
	publication_clear(&publication);
}

static void say_accepted(struct here *h, struct client *c, const char *name, const struct oid *oid,
			 const char *packs)
{
	char hex[OID_HEX_SIZE];

	client_say(c, "status", "accepted", oid_hex(oid, hex), "packs", packs, NULL);
	while (strcmp(node_said(node_of(h, name), "packs"), packs) != 0 ||
	       strcmp(node_said(node_of(h, name), "accepted"), hex) != 0)
		turn(h, 5);
}

/*
 * A small release is sent with the news of it, to those that have the one before and say that they
 * take it.
 */
static void test_pushed(void **state)
{
	struct here *h = *state;
	struct oid first = tip_of(h, "internal"), third, other = tip_of(h, "default");
	struct client takes, never, behind, busy;

	join(h, &takes, "takes", "internal");
	join(h, &never, "never", "internal");
	join(h, &behind, "behind", "internal");
	join(h, &busy, "busy", "internal");
	say_accepted(h, &takes, "takes", &first, "yes");
	say_accepted(h, &never, "never", &first, "no");
	say_accepted(h, &behind, "behind", &other, "yes");
	say_accepted(h, &busy, "busy", &first, "yes");
	fetch_begin(&busy); /* its lane is in use */
	publish_ttl(h, "<access-token-ttl>300<", "<access-token-ttl>120<");
	hear_head(&takes, &first);
	hear_head(&never, NULL);
	hear_head(&behind, NULL);
	hear_head(&busy, NULL);
	/* it has not said that it accepted that one: the next is not based on it */
	publish_ttl(h, "<access-token-ttl>120<", "<access-token-ttl>130<");
	hear_head(&takes, NULL);
	/* and a fetch is as before */
	fetch_begin(&takes);
	third = tip_of(h, "internal");
	ask(&takes, &third, &first);
	assert_true(client_git_ends(&takes, "0000"));
	assert_memory_equal(takes.lanes[LANE_GIT].data, "0038ACK ", 8);
	client_clear(&takes);
	client_clear(&never);
	client_clear(&behind);
	client_clear(&busy);
}

/* A large one is not. */
static void test_not_pushed(void **state)
{
	struct here *h = *state;
	struct oid first = tip_of(h, "internal");
	struct client c;
	char *text = mem_new(4 * LIMIT_PUSHED_PACK, 1), *path;
	struct err err;

	join(h, &c, "n1", "internal");
	say_accepted(h, &c, "n1", &first, "yes");
	for (size_t i = 0; i < 4 * LIMIT_PUSHED_PACK - 1; i++)
		text[i] = (char)('a' + loop_random(26)); /* what hardly gets smaller in a pack */
	path = home_var(&h->f->home, ADMIN_SOURCE "/files/internal");
	assert_int_equal(fs_make_dirs(AT_FDCWD, path, 0700, &err), 0);
	free(path);
	path = home_var(&h->f->home, ADMIN_SOURCE "/files/internal/large");
	assert_int_equal(fs_write_new(AT_FDCWD, path, text, strlen(text), 0644, &err), 0);
	free(path);
	free(text);
	publish_ttl(h, "<access-token-ttl>300<", "<access-token-ttl>120<");
	hear_head(&c, NULL);
	client_clear(&c);
}

/* A release that came while a fetch was under way is not in what that fetch offered. */
static void test_published_in_fetch(void **state)
{
	struct here *h = *state;
	struct oid before = tip_of(h, "internal"), after;
	struct publication publication;
	struct client c;

	join(h, &c, "n1", "internal");
	fetch_begin(&c);
	edit(h->f, "tokens.xml", "<access-token-ttl>300<", "<access-token-ttl>120<");
	git_commit(h->f, "shorter");
	assert_int_equal(publish_with(h->f, NULL, &publication), 0);
	serve_published(h->serve, &publication);
	publication_clear(&publication);
	after = tip_of(h, "internal");
	ask(&c, &before, &after);
	assert_true(client_git_ends(&c, "0000"));
	assert_memory_equal(c.lanes[LANE_GIT].data, "0008NAK\n", 8);
	assert_memory_equal(c.lanes[LANE_GIT].data + 13, "PACK", 4);
	assert_true(client_hears(&c, "head"));
	client_clear(&c);
}

static void test_restart(void **state)
{
	struct here *h = *state;
	struct client c;
	struct node *node;

	join(h, &c, "n1", "internal");
	client_say(&c, "status", "state", "RUNNING", "sequence", "1", NULL);
	while (node_of(h, "n1")->sequence != 1)
		turn(h, 5);
	stop(h);
	must_be_closed(&c);
	start(h);
	node = node_of(h, "n1");
	assert_non_null(node);
	assert_false(node->connected);
	assert_string_equal(node->role, "internal");
	assert_string_equal(node_said(node, "state"), "RUNNING");
	join(h, &c, "n2", "internal");
	client_clear(&c);
}

static void test_port_in_use(void **state)
{
	struct here *h = *state;
	struct serve *second = NULL;
	struct err err;

	assert_int_equal(serve_start(&h->loop, &h->f->home, h->f->identity, "127.0.0.1", h->port,
				     on_changed, h, &second, &err),
			 -1);
	assert_null(second);
	assert_non_null(strstr(err.text, "in use"));
}

/*
 * Fewer descriptors than peers: what is allowed is taken, the rest is told so, and files can still
 * be opened.
 */
static void test_descriptors(void **state)
{
	struct here *h = *state;
	struct rlimit was, few = {64, 64};
	struct client c[40];
	int got = 0, fd;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	few.rlim_max = was.rlim_max;
	stop(h);
	/* the hard limit cannot be raised again: this is for a child */
	(void)fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		few.rlim_max = 64;
		wire_must(uv_loop_fork(&h->loop) == 0 && setrlimit(RLIMIT_NOFILE, &few) == 0);
		start(h);
		for (int i = 0; i < 20; i++) /* each takes two here, its own end too */
			client_connect(c + i, h->port, idle, h);
		for (int i = 0; i < 20; i++) {
			client_prepare(c + i, h->any, 0, 0);
			client_send(c + i, c[i].first, FIRST_SIZE);
			got += client_finish(c + i);
		}
		fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		_exit(got > 0 && fd >= 0 && peers_count(serve_peers(h->serve)) <= 32 ? 0 : 1);
	}
	assert_true(pid > 0);
	int status = 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	start(h);
}

/* --- the cost of an idle node --- */

enum { IDLE_NODES = 1000, IDLE_BYTES = 8192 };

/* Bytes that are allocated: what is resident depends on what was freed before. */
static size_t in_use(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

/* Joins IDLE_NODES times, one after the other, each fetches once; then waits to be told to go. */
static void be_nodes(uint16_t port, const struct keystore *keystore, const struct oid *want, int go)
{
	struct client *nodes = mem_new(IDLE_NODES, sizeof(*nodes));
	char name[32], byte;

	for (int i = 0; i < IDLE_NODES; i++) {
		struct client *c = nodes + i;

		client_connect(c, port, NULL, NULL);
		(void)snprintf(name, sizeof(name), "node-%d", i);
		wire_must(client_join(c, keystore));
		client_say(c, "register", "name", name, "role", "internal", "version", "0.1.0",
			   "state", "RUNNING", "accepted",
			   "0123456789012345678901234567890123456789", "deployed",
			   "0123456789012345678901234567890123456789", "sequence", "1", NULL);
		wire_must(client_hears(c, "registered") && client_hears(c, "head"));
		if (i % 10 == 0) {
			client_say(c, "fetch", NULL);
			wire_must(client_git_ends(c, "0000"));
			buf_reset(&c->lanes[LANE_GIT]);
			ask(c, want, NULL);
			wire_must(client_git_ends(c, "0000"));
		}
		client_say(c, "ping", NULL);
		wire_must(client_hears(c, "pong"));
	}
	wire_must(read(go, &byte, 1) == 0);
	_exit(0);
}

static void test_idle_cost(void **state)
{
	struct here *h = *state;
	struct oid want = tip_of(h, "internal");
	struct rlimit limit;
	uint64_t end;
	size_t before, after;
	int ends[2], status = 0;
	pid_t pid;

#if defined(__SANITIZE_ADDRESS__)
	skip(); /* its memory is not the program's */
#endif
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	if (limit.rlim_cur < IDLE_NODES + 300)
		skip();
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	(void)fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)close(ends[1]);
		be_nodes(h->port, h->any, &want, ends[0]);
	}
	(void)close(ends[0]);
	before = in_use();
	end = loop_now() + 6 * WIRE_DEADLINE;
	while (registry_count(registry(h)) < IDLE_NODES ||
	       strcmp(node_said(registry_at(registry(h), IDLE_NODES - 1), "state"), "RUNNING") !=
		       0) {
		assert_true(loop_now() < end);
		turn(h, 5);
	}
	settle(h);
	assert_int_equal(peers_count(serve_peers(h->serve)), IDLE_NODES);
	after = in_use();
	/* and what is guarded, which is not of the heap */
	after += (IDLE_NODES + 1) * sizeof(struct record_state);
	print_message("an idle node costs %zu bytes\n", (after - before) / IDLE_NODES);
	assert_true((after - before) / IDLE_NODES <= IDLE_BYTES);
	(void)close(ends[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* --- pins --- */

/* Signs and stores one; REV NULL: follow. */
static struct pin store_pin(struct here *h, const char *node, const char *rev, struct buf *raw)
{
	const struct pin_wish wish = {.node = node,
				      .role = "internal",
				      .rev = rev,
				      .reason = "a test",
				      .host = "admin.example.com"};
	struct pin pin;
	struct err err;

	buf_init(raw, PIN_RAW_MAX);
	if (pin_make(&h->f->home, h->f->identity, &wish, &pin, raw, &err) != 0)
		fail_msg("%s", err.text);
	return pin;
}

/* The next message is a head, with just this pin; NULL: with none. */
static void hears_pin(struct client *c, const struct buf *raw)
{
	struct control_message message;
	struct buf got;
	const char *text;

	assert_true(client_hear(c, &message));
	assert_string_equal(message.word, "head");
	assert_non_null(control_get(&message, "release"));
	text = control_get(&message, "pin");
	assert_int_equal(text != NULL, raw != NULL);
	if (raw) {
		buf_init(&got, PIN_RAW_MAX);
		assert_int_equal(decode_base64(text, strlen(text), &got), 0);
		assert_int_equal(got.len, raw->len);
		assert_memory_equal(got.data, raw->data, raw->len);
		buf_clear(&got);
	}
	control_clear(&message);
}

/* Nothing is under way to this node. */
static void hears_nothing(struct client *c)
{
	client_say(c, "ping", NULL);
	assert_true(client_hears(c, "pong"));
}

static void register_node(struct here *h, struct client *c, const char *name)
{
	connect_node(h, c, h->any);
	client_say(c, "register", "name", name, "role", "internal", NULL);
	assert_true(client_hears(c, "registered"));
}

/* Told at once to the node it is for, with every head from then on, and to no other. */
static void test_pin(void **state)
{
	struct publication_role role = {.name = "internal", .sequence = 2};
	struct publication publication = {.roles = &role, .role_count = 1};
	struct here *h = *state;
	struct client one, other, late;
	struct buf hold, follow;
	struct pin pin;

	register_node(h, &one, "n1");
	hears_pin(&one, NULL);
	join(h, &other, "n2", "internal");
	pin = store_pin(h, "n1", "HEAD", &hold);
	serve_pinned(h->serve, &pin, &hold);
	hears_pin(&one, &hold);
	hears_nothing(&other);
	role.release = tip_of(h, "default");
	serve_published(h->serve, &publication);
	hears_pin(&one, &hold);
	hears_pin(&other, NULL);
	/* follow is told as well: the node must hear of it */
	pin = store_pin(h, "n1", NULL, &follow);
	serve_pinned(h->serve, &pin, &follow);
	hears_pin(&one, &follow);
	hears_nothing(&other);
	/* a node that was not there gets it when it comes */
	buf_clear(&hold);
	pin = store_pin(h, "n3", "HEAD", &hold);
	serve_pinned(h->serve, &pin, &hold);
	hears_nothing(&one);
	hears_nothing(&other);
	register_node(h, &late, "n3");
	hears_pin(&late, &hold);
	client_clear(&one);
	client_clear(&other);
	client_clear(&late);
	buf_clear(&hold);
	buf_clear(&follow);
}

/* Two that were made at once may come back in any order. */
static void test_pin_overtaken(void **state)
{
	struct here *h = *state;
	struct client c;
	struct buf old, new;
	struct pin first, second;

	register_node(h, &c, "n1");
	hears_pin(&c, NULL);
	first = store_pin(h, "n1", "HEAD", &old);
	second = store_pin(h, "n1", NULL, &new);
	serve_pinned(h->serve, &second, &new);
	hears_pin(&c, &new);
	serve_pinned(h->serve, &first, &old);
	hears_nothing(&c);
	assert_false(pinboard_find(serve_pins(h->serve), "n1")->hold);
	client_clear(&c);
	buf_clear(&old);
	buf_clear(&new);
}

/* Pins outlive a restart, and are read then and never again. */
static void test_pin_restart(void **state)
{
	char *refs = home_var(&((struct here *)*state)->f->home, ADMIN_RELEASES "/refs/pins");
	struct here *h = *state;
	struct client c;
	struct buf hold;

	(void)store_pin(h, "n1", "HEAD", &hold);
	stop(h);
	start(h);
	must_run("/", NULL, "rm -r %s", refs);
	for (int i = 0; i < 2; i++) {
		register_node(h, &c, i ? "n2" : "n1");
		hears_pin(&c, i ? NULL : &hold);
		client_clear(&c);
	}
	/* forgotten with its node */
	serve_forget_pin(h->serve, "n1");
	while (node_of(h, "n1")->connected)
		turn(h, 5);
	register_node(h, &c, "n1");
	hears_pin(&c, NULL);
	client_clear(&c);
	buf_clear(&hold);
	free(refs);
}

/* --- keys that overlap --- */

static void is_unknown(struct here *h, const struct keystore *keystore)
{
	struct client c;

	client_connect(&c, h->port, idle, h);
	client_prepare(&c, keystore, 0, 0);
	client_send(&c, c.first, FIRST_SIZE);
	assert_true(client_closed(&c));
	assert_int_equal(c.in.len, 1);
	assert_int_equal(c.in.data[0], PEER_HINT_EPOCH);
	client_clear(&c);
}

/*
 * Both are good; once the older one has ended, whoever came with it is closed and not known any
 * more.
 */
static void test_epochs(void **state)
{
	struct here *h = *state;
	struct client old, new, between;
	struct keystore *fresh;
	json_t *cut_off;
	struct err err;

	join(h, &old, "old", "internal");
	assert_int_equal(node_of(h, "old")->epoch, 1);
	assert_int_equal(identity_add_root(h->f->identity, &err), 0);
	serve_keys_changed(h->serve);
	fresh = keystore_for(h->f->identity, "*");
	client_connect(&new, h->port, idle, h);
	assert_true(client_join(&new, fresh));
	client_say(&new, "register", "name", "new", "role", "internal", NULL);
	assert_true(client_hears(&new, "registered"));
	assert_true(client_hears(&new, "head"));
	assert_int_equal(node_of(h, "new")->epoch, 2);
	client_say(&old, "ping", NULL);
	assert_true(client_hears(&old, "pong"));
	cut_off = keys_cut_off(registry(h), h->f->identity);
	assert_int_equal(json_array_size(cut_off), 1);
	assert_string_equal(json_string_value(json_array_get(cut_off, 0)), "old");
	json_decref(cut_off);

	/* the handshake is done, and the first record comes after the end */
	connect_node(h, &between, h->any);
	assert_int_equal(identity_end_root(h->f->identity, &err), 0);
	serve_keys_changed(h->serve);
	assert_true(client_closed(&old));
	assert_false(node_of(h, "old")->connected);
	client_say(&between, "register", "name", "between", "role", "internal", NULL);
	assert_true(client_closed(&between));
	assert_null(node_of(h, "between"));
	client_say(&new, "ping", NULL);
	assert_true(client_hears(&new, "pong"));
	is_unknown(h, h->any);
	is_unknown(h, h->internal);

	/* which epoch a node came with is known after a restart */
	client_clear(&new);
	stop(h);
	start(h);
	assert_int_equal(node_of(h, "old")->epoch, 1);
	assert_int_equal(node_of(h, "new")->epoch, 2);
	keystore_free(fresh);
	client_clear(&old);
	client_clear(&between);
}

static bool shown_ahead(struct here *h, const char *name)
{
	json_t *nodes = show_nodes(h->serve), *node;
	bool ahead = false;
	size_t i;

	json_array_foreach(nodes, i, node)
		if (strcmp(json_string_value(json_object_get(node, "name")), name) == 0)
			ahead = json_is_true(json_object_get(node, "ahead"));
	json_decref(nodes);
	return ahead;
}

/* A node that has accepted what is not here is shown: this admin came back from an older copy. */
static void test_ahead(void **state)
{
	struct here *h = *state;
	struct oid first = tip_of(h, "internal"), other = tip_of(h, "default"), nowhere = first;
	struct client c;

	join(h, &c, "n", "internal");
	assert_false(shown_ahead(h, "n")); /* it has said nothing */
	say_accepted(h, &c, "n", &first, "no");
	assert_false(shown_ahead(h, "n"));
	publish_ttl(h, "<access-token-ttl>300<", "<access-token-ttl>120<");
	assert_false(shown_ahead(h, "n"));
	nowhere.id[0] ^= 1;
	say_accepted(h, &c, "n", &nowhere, "no");
	assert_true(shown_ahead(h, "n"));
	say_accepted(h, &c, "n", &other, "no"); /* of another role */
	assert_true(shown_ahead(h, "n"));
	say_accepted(h, &c, "n", &first, "no");
	assert_false(shown_ahead(h, "n"));
	client_say(&c, "status", "accepted", "x", NULL);
	while (strcmp(node_said(node_of(h, "n"), "accepted"), "x") != 0)
		turn(h, 5);
	assert_false(shown_ahead(h, "n"));
	client_clear(&c);
}

#define serve_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		serve_test(test_register),
		serve_test(test_bad_names),
		serve_test(test_role_covered),
		serve_test(test_name_is_taken),
		serve_test(test_same_key),
		serve_test(test_register_twice),
		serve_test(test_before_register),
		serve_test(test_never_registers),
		serve_test(test_unknown),
		serve_test(test_replay),
		serve_test(test_fetch),
		serve_test(test_no_release),
		serve_test(test_foreign_want),
		serve_test(test_second_fetch),
		serve_test(test_fetch_limit),
		serve_test(test_slow_fetch),
		serve_test(test_lost_in_fetch),
		serve_test(test_status_flood),
		serve_test(test_published),
		serve_test(test_published_in_fetch),
		serve_test(test_pushed),
		serve_test(test_not_pushed),
		serve_test(test_restart),
		serve_test(test_port_in_use),
		serve_test(test_descriptors),
		serve_test(test_idle_cost),
		serve_test(test_pin),
		serve_test(test_pin_overtaken),
		serve_test(test_pin_restart),
		serve_test(test_epochs),
		serve_test(test_ahead),
	};

	libraries_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
