/*
 * Membership at the admin: what reaches a node that waits, and what approve, revoke and forget do
 * to one that is connected.
 */
#include "publish_in.h"
#include "wire_client.h"

#include "admin/audit.h"
#include "admin/members.h"
#include "admin/pins.h"
#include "admin/show.h"
#include "core/limits.h"

#include <sys/stat.h>

struct here {
	struct fixture *f;
	uv_loop_t loop;
	struct serve *serve;
	struct keystore *any, *internal;
};

static void on_changed(void *arg)
{
	(void)arg;
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

static void idle(void *arg)
{
	struct here *h = arg;

	(void)uv_run(&h->loop, UV_RUN_NOWAIT);
}

static struct node *node_of(struct here *h, const char *name)
{
	return registry_find(serve_registry(h->serve), name);
}

static void away(struct here *h, const char *name)
{
	uint64_t end = loop_now() + WIRE_DEADLINE;

	while (node_of(h, name)->connected) {
		assert_true(loop_now() < end);
		idle(h);
	}
}

/* With a key of its own, or that of OTHER. */
static void say_register(struct here *h, struct client *c, const struct client *other,
			 const struct keystore *keystore, const char *name, const char *role)
{
	struct static_key *key = other ? static_key_of(other->key->secret) : NULL;

	client_connect(c, serve_port(h->serve), idle, h);
	if (key) {
		static_key_free(c->key);
		c->key = key;
	}
	assert_true(client_join(c, keystore));
	client_say(c, "register", "name", name, "role", role, "state", "IDLE", NULL);
}

static void hears_registered(struct client *c, const char *approved)
{
	struct control_message message;

	assert_true(client_hear(c, &message));
	assert_string_equal(message.word, "registered");
	assert_string_equal(control_get(&message, "approved"), approved);
	control_clear(&message);
	if (strcmp(approved, "yes") == 0)
		assert_true(client_hears(c, "head"));
}

static void join(struct here *h, struct client *c, const char *name, const char *approved)
{
	say_register(h, c, NULL, h->any, name, "internal");
	hears_registered(c, approved);
}

static void hears_nothing(struct client *c)
{
	client_say(c, "ping", NULL);
	assert_true(client_hears(c, "pong"));
}

static void must_be_closed(struct client *c)
{
	struct control_message message;

	assert_false(client_hear(c, &message));
	assert_true(c->ended);
	assert_int_equal(c->lanes[LANE_GIT].len, 0);
	client_clear(c);
}

static void must_be_refused(struct client *c, const char *code)
{
	struct control_message message;

	assert_true(client_hear(c, &message));
	assert_string_equal(message.word, "refused");
	assert_string_equal(control_get(&message, "code"), code);
	control_clear(&message);
	assert_true(client_closed(c));
	client_clear(c);
}

static int try_change(struct here *h, enum member_act act, const char *node, const char *key,
		      struct member *out, struct err *err)
{
	const struct member_wish wish = {.act = act, .node = node, .key = key};

	err->code = ERR_NONE;
	return member_change(h->serve, h->f->identity, &wish, out, err);
}

static struct member change(struct here *h, enum member_act act, const char *node)
{
	struct member member;
	struct err err;

	if (try_change(h, act, node, NULL, &member, &err) != 0)
		fail_msg("%s", err.text);
	return member;
}

static void must_refuse_act(struct here *h, enum member_act act, const char *node, const char *key,
			    const char *words)
{
	struct member member;
	struct err err;

	assert_int_equal(try_change(h, act, node, key, &member, &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	if (!strstr(err.text, words))
		fail_msg("\"%s\" does not say \"%s\"", err.text, words);
}

static void settle(struct here *h, const struct member *member)
{
	struct err err;

	if (member_settle(member, &h->f->home, "anna/1000", &err) != 0)
		fail_msg("%s", err.text);
	member_done(member, h->serve);
}

/* --- waiting --- */

/* No head, not with a release, not with a pin, and no want: until it is approved. */
static void test_waits(void **state)
{
	struct publication publication;
	const struct pin_wish wish = {.node = "n1",
				      .role = "internal",
				      .rev = "HEAD",
				      .reason = "a test",
				      .host = "admin.example.com"};
	struct here *h = *state;
	struct client c, other;
	struct buf raw;
	struct pin pin;
	struct oid head;
	struct err err;
	char hex[OID_HEX_SIZE];

	serve_set_approve(h->serve, true);
	join(h, &c, "n1", "no");
	hears_nothing(&c);
	/* it says that it has what is there, so that the next could be sent with its name */
	(void)serve_head(h->serve, "internal", &head);
	client_say(&c, "status", "accepted", oid_hex(&head, hex), "packs", "yes", NULL);
	hears_nothing(&c);
	edit(h->f, "tokens.xml", "<access-token-ttl>300<", "<access-token-ttl>120<");
	git_commit(h->f, "other");
	assert_int_equal(publish_with(h->f, NULL, &publication), 0);
	join(h, &other, "n0", "no");
	(void)change(h, MEMBER_APPROVE, "n0");
	hears_registered(&other, "yes");
	serve_published(h->serve, &publication);
	publication_clear(&publication);
	assert_true(client_hears(&other, "head"));
	client_clear(&other);
	buf_init(&raw, PIN_RAW_MAX);
	assert_int_equal(pin_make(&h->f->home, h->f->identity, &wish, &pin, &raw, &err), 0);
	serve_pinned(h->serve, &pin, &raw);
	buf_clear(&raw);
	hears_nothing(&c);
	client_say(&c, "status", "state", "IDLE", "sequence", "7", NULL);
	hears_nothing(&c);
	assert_int_equal(c.lanes[LANE_GIT].len, 0);
	assert_int_equal(node_of(h, "n1")->sequence, 7);
	join(h, &other, "n2", "no");
	client_say(&other, "fetch", NULL);
	must_be_closed(&other);
	assert_true(change(h, MEMBER_APPROVE, "n1").changed);
	hears_registered(&c, "yes");
	client_say(&c, "fetch", NULL);
	assert_true(client_git_ends(&c, "0000"));
	assert_false(change(h, MEMBER_APPROVE, "n1").changed);
	client_clear(&c);
}

/*
 * Those who are there are let in when nobody has to be approved any more, but for those who may be
 * a revoked one.
 */
static void test_setting(void **state)
{
	struct here *h = *state;
	struct client first, second, third;
	struct member member;

	join(h, &first, "n1", "yes");
	serve_set_approve(h->serve, true);
	serve_set_approve(h->serve, true);
	hears_nothing(&first);
	join(h, &second, "n2", "no");
	say_register(h, &third, NULL, h->internal, "n3", "internal");
	hears_registered(&third, "no");
	member = change(h, MEMBER_REVOKE, "n1");
	must_be_closed(&first);
	/* that one came with the key for any role, and its slice has the one for its own */
	assert_int_equal(member.join_count, 2);
	serve_set_approve(h->serve, false);
	hears_nothing(&second);
	hears_nothing(&third);
	client_clear(&second);
	client_clear(&third);
	/* one that never was approved knew the key that it came with, and no more */
	stop(h);
	start(h);
	serve_set_approve(h->serve, true);
	say_register(h, &first, NULL, h->any, "n4", "default");
	hears_registered(&first, "no");
	member = change(h, MEMBER_REVOKE, "n4");
	assert_int_equal(member.join_count, 1);
	must_be_closed(&first);
}

static void test_let_in(void **state)
{
	struct here *h = *state;
	struct client first, second;

	serve_set_approve(h->serve, true);
	join(h, &first, "n1", "no");
	join(h, &second, "n2", "no");
	client_clear(&second);
	away(h, "n2");
	serve_set_approve(h->serve, false);
	hears_registered(&first, "yes");
	join(h, &second, "n2", "yes");
	client_clear(&first);
	client_clear(&second);
}

/* --- acts --- */

static void test_approve(void **state)
{
	char key[KEY_FINGERPRINT_SIZE], part[9], wrong[KEY_FINGERPRINT_SIZE];
	struct here *h = *state;
	struct client c, other;
	struct member member;
	struct err err;

	serve_set_approve(h->serve, true);
	join(h, &c, "n1", "no");
	(void)key_fingerprint(c.key->public, key);
	memcpy(part, key, 8);
	part[8] = '\0';
	memcpy(wrong, key, sizeof(wrong));
	wrong[31] = wrong[31] == '0' ? '1' : '0';
	must_refuse_act(h, MEMBER_APPROVE, "n2", NULL, "no node is named \"n2\"; there is n1");
	must_refuse_act(h, MEMBER_APPROVE, "n1", wrong, "another than was asked for");
	must_refuse_act(h, MEMBER_APPROVE, "n1", "", "hex digits");
	part[7] = '\0';
	must_refuse_act(h, MEMBER_APPROVE, "n1", part, "hex digits");
	must_refuse_act(h, MEMBER_APPROVE, "n1", "ABCDEF01", "hex digits");
	must_refuse_act(h, MEMBER_APPROVE, "n1", "012345678901234567890123456789012", "hex digits");
	hears_nothing(&c);
	part[7] = key[7];
	assert_int_equal(try_change(h, MEMBER_APPROVE, "n1", part, &member, &err), 0);
	assert_string_equal(member.key, key);
	assert_false(member.replaced);
	hears_registered(&c, "yes");
	client_clear(&c);
	away(h, "n1");
	/* another one wants the name, and the first comes back before it is given away */
	say_register(h, &other, NULL, h->any, "n1", "default");
	(void)key_fingerprint(other.key->public, wrong);
	c = other;
	c.key = static_key_of(other.key->secret);
	must_be_refused(&other, "approval");
	member = change(h, MEMBER_APPROVE, "n1");
	assert_true(member.replaced);
	assert_string_equal(member.key, wrong);
	assert_string_equal(member.role, "default");
	say_register(h, &other, &c, h->any, "n1", "default");
	static_key_free(c.key);
	hears_registered(&other, "yes");
	client_clear(&other);
}

/* A claim is approved while the one that has the name is connected: that one goes. */
static void test_approve_claim(void **state)
{
	char key[KEY_FINGERPRINT_SIZE], own[KEY_FINGERPRINT_SIZE];
	struct here *h = *state;
	struct client first, again, other;
	struct member member;
	struct err err;

	join(h, &first, "n1", "yes");
	client_clear(&first); /* keeps its key no more: a fresh one is another node */
	away(h, "n1");
	serve_set_approve(h->serve, true);
	say_register(h, &first, NULL, h->any, "n1", "internal");
	(void)key_fingerprint(first.key->public, key);
	must_be_refused(&first, "approval");
	join(h, &again, "n2", "no");
	(void)change(h, MEMBER_APPROVE, "n2");
	hears_registered(&again, "yes");
	say_register(h, &other, &again, h->any, "n2", "default"); /* the same key in another role */
	must_be_refused(&other, "approval");
	assert_int_equal(try_change(h, MEMBER_APPROVE, "n1", "0123456789abcdef", &member, &err),
			 -1);
	(void)key_fingerprint(node_of(h, "n1")->key, own);
	assert_int_equal(try_change(h, MEMBER_APPROVE, "n1", own, &member, &err),
			 0); /* which it is */
	assert_false(member.changed);
	assert_non_null(node_claim(node_of(h, "n1")));
	assert_int_equal(try_change(h, MEMBER_APPROVE, "n1", key, &member, &err), 0);
	assert_true(member.replaced);
	assert_true(change(h, MEMBER_APPROVE, "n2").replaced);
	must_be_closed(&again);
	assert_string_equal(node_of(h, "n2")->role, "default");
}

static void test_revoke(void **state)
{
	struct here *h = *state;
	struct client c, other;
	struct member member;
	json_t *doc;

	join(h, &c, "n1", "yes");
	client_say(&c, "fetch", NULL); /* in the middle of something */
	idle(h);
	member = change(h, MEMBER_REVOKE, "n1");
	assert_true(member.changed);
	assert_true(member.connected);
	assert_true(client_closed(&c));
	say_register(h, &other, &c, h->any, "n1", "internal");
	must_be_refused(&other, "revoked");
	say_register(h, &other, &c, h->any, "n9", "default");
	must_be_refused(&other, "revoked");
	assert_null(node_of(h, "n9"));
	must_refuse_act(h, MEMBER_APPROVE, "n1", NULL, "revoked for good");
	assert_false(change(h, MEMBER_REVOKE, "n1").changed);
	assert_int_equal(change(h, MEMBER_REVOKE, "n1").join_count, member.join_count);
	doc = member_json(&member);
	assert_int_equal(json_array_size(json_object_get(doc, "joinKeys")), 2);
	assert_string_equal(json_string_value(json_object_get(
				    json_array_get(json_object_get(doc, "joinKeys"), 0), "role")),
			    "*");
	assert_string_equal(json_string_value(json_object_get(
				    json_array_get(json_object_get(doc, "joinKeys"), 1), "role")),
			    "internal");
	json_decref(doc);
	stop(h);
	start(h);
	say_register(h, &other, &c, h->any, "n1", "internal");
	must_be_refused(&other, "revoked");
	join(h, &other, "n1", "no"); /* the same with a fresh key */
	client_clear(&other);
	client_clear(&c);
	away(h, "n1");
	settle(h, &(struct member){.act = MEMBER_FORGET, .node = "n0"});
	doc = show_revoked(h->serve);
	assert_int_equal(json_array_size(doc), 1);
	json_decref(doc);
}

/*
 * A key that came under two names: whichever is revoked, the connection that is open under the
 * other one ends.
 */
static void test_revoke_other_name(void **state)
{
	struct here *h = *state;
	struct client first, second, third;
	struct member member;
	struct err err;

	join(h, &first, "n1", "yes");
	say_register(h, &second, &first, h->internal, "n2", "internal");
	hears_registered(&second, "yes");
	must_be_closed(&first);
	away(h, "n1");
	member = change(h, MEMBER_REVOKE, "n1");
	assert_true(member.changed);
	assert_int_equal(member.join_count, 2); /* what it came with as n2 is known to it as well */
	assert_true(client_closed(&second));
	assert_true(node_of(h, "n2")->revoked);
	assert_false(node_of(h, "n2")->approved);
	must_refuse_act(h, MEMBER_APPROVE, "n2", NULL, "revoked for good");
	say_register(h, &third, &second, h->any, "n2", "internal");
	must_be_refused(&third, "revoked");
	assert_int_equal(try_change(h, MEMBER_REVOKE, "n2", NULL, &member, &err), 0);
	assert_false(member.changed);
	client_clear(&second);
}

/* What a revoked key had claimed before is not to be approved any more. */
static void test_revoke_claim(void **state)
{
	char key[KEY_FINGERPRINT_SIZE], own[KEY_FINGERPRINT_SIZE];
	struct here *h = *state;
	struct client c, claims;
	struct member member;
	struct err err;

	join(h, &c, "n1", "yes");
	(void)key_fingerprint(c.key->public, own);
	client_clear(&c);
	away(h, "n1");
	join(h, &c, "n2", "yes");
	(void)key_fingerprint(c.key->public, key);
	serve_set_approve(h->serve, true);
	say_register(h, &claims, &c, h->any, "n1", "internal");
	must_be_refused(&claims, "approval");
	assert_non_null(node_claim(node_of(h, "n1")));
	(void)change(h, MEMBER_REVOKE, "n2");
	assert_null(node_claim(node_of(h, "n1")));
	assert_int_equal(try_change(h, MEMBER_APPROVE, "n1", key, &member, &err), -1);
	assert_false(change(h, MEMBER_APPROVE, "n1").changed);
	(void)key_fingerprint(node_of(h, "n1")->key, key);
	assert_string_equal(key, own);
	assert_true(client_closed(&c));
	client_clear(&c);
}

static void test_forget(void **state)
{
	const struct pin_wish wish = {.node = "n1",
				      .role = "internal",
				      .rev = "HEAD",
				      .reason = "a test",
				      .host = "admin.example.com"};
	struct here *h = *state;
	struct member member;
	struct client c;
	struct buf raw;
	struct pin pin;
	struct err err;

	must_refuse_act(h, MEMBER_FORGET, "n1", NULL, "no node is named");
	join(h, &c, "n1", "yes");
	must_refuse_act(h, MEMBER_FORGET, "n1", NULL, "is connected");
	assert_non_null(node_of(h, "n1"));
	client_clear(&c);
	away(h, "n1");
	buf_init(&raw, PIN_RAW_MAX);
	assert_int_equal(pin_make(&h->f->home, h->f->identity, &wish, &pin, &raw, &err), 0);
	serve_pinned(h->serve, &pin, &raw);
	member = change(h, MEMBER_FORGET, "n1");
	assert_null(node_of(h, "n1"));
	/* a kill here leaves the pin: it can be forgotten still */
	stop(h);
	start(h);
	assert_non_null(pinboard_find(serve_pins(h->serve), "n1"));
	member = change(h, MEMBER_FORGET, "n1");
	settle(h, &member);
	assert_null(pinboard_find(serve_pins(h->serve), "n1"));
	must_refuse_act(h, MEMBER_FORGET, "n1", NULL, "no node is named");
	stop(h);
	start(h);
	assert_null(pinboard_find(serve_pins(h->serve), "n1"));
	/* a revoked one is not connected */
	join(h, &c, "n1", "yes");
	(void)change(h, MEMBER_REVOKE, "n1");
	(void)change(h, MEMBER_FORGET, "n1");
	assert_null(node_of(h, "n1"));
	must_be_closed(&c);
	buf_clear(&raw);
}

/* A file that is damaged: nothing is known of the node's key, so nothing can be decided of it. */
static void test_damaged(void **state)
{
	struct here *h = *state;

	stop(h);
	write_text(h->f->home.var, "admin/nodes/n1", "{");
	start(h);
	must_refuse_act(h, MEMBER_APPROVE, "n1", NULL, "nothing is known of the key");
	must_refuse_act(h, MEMBER_REVOKE, "n1", NULL, "nothing is known of the key");
	(void)change(h, MEMBER_FORGET, "n1");
}

static void test_words(void **state)
{
	(void)state;
	assert_int_equal(member_act_of("approve"), MEMBER_APPROVE);
	assert_int_equal(member_act_of("revoke"), MEMBER_REVOKE);
	assert_int_equal(member_act_of("forget"), MEMBER_FORGET);
	assert_int_equal(member_act_of(""), MEMBER_NONE);
	assert_int_equal(member_act_of("Approve"), MEMBER_NONE);
}

/* --- the audit log --- */

static char *log_of(struct here *h)
{
	return read_text(h->f->home.var, AUDIT_FILE);
}

/* One line each, whatever is in it; what a kill left of one is not part of the next. */
static void test_audit(void **state)
{
	struct here *h = *state;
	char *text, *line, *rest, *long_text = mem_new(1, 5001),
				  *path = home_var(&h->f->home, AUDIT_FILE);
	const char *ends[] = {" anna/1000 approve n1", " a?b?c/1 two ?lines? and a \xc3\xa4",
			      "half a li", " x y", NULL};
	struct err err;
	struct stat st;
	size_t n = 0;

	assert_int_equal(audit_note(&h->f->home, "anna/1000", &err, "approve %s", "n1"), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(
		audit_note(&h->f->home, "a b\nc/1", &err, "two \nlines\x7f and a \xc3\xa4"), 0);
	text = log_of(h);
	line = text_format("%shalf a li", text);
	write_text(h->f->home.var, AUDIT_FILE, line);
	free(line);
	free(text);
	assert_int_equal(audit_note(&h->f->home, "x", &err, "y"), 0);
	text = rest = log_of(h);
	while (*rest && ends[n]) {
		line = strsep(&rest, "\n");
		assert_true(text_ends(line, ends[n]));
		if (n++ != 2)
			assert_true(line[10] == 'T' && line[19] == 'Z' && line[20] == ' ');
	}
	assert_int_equal(n, 4);
	assert_string_equal(rest, "");
	free(text);
	memset(long_text, 'x', 5000);
	assert_int_equal(audit_note(&h->f->home, long_text, &err, "%s", long_text), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/dev/null", path), 0); /* it is not followed */
	assert_int_equal(audit_note(&h->f->home, "x", &err, "y"), -1);
	assert_non_null(strstr(err.text, AUDIT_FILE));
	free(long_text);
	free(path);
}

static void test_who(void **state)
{
	char *root = audit_user(0), *nobody = audit_user(3999999999u);

	(void)state;
	assert_string_equal(root, "root/0");
	assert_string_equal(nobody, "uid/3999999999");
	free(root);
	free(nobody);
}

#define members_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		members_test(test_waits),
		members_test(test_setting),
		members_test(test_let_in),
		members_test(test_approve),
		members_test(test_approve_claim),
		members_test(test_revoke),
		members_test(test_revoke_other_name),
		members_test(test_revoke_claim),
		members_test(test_forget),
		members_test(test_damaged),
		members_test(test_audit),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_who),
	};

	libraries_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
