/*
 * What is known of each node: names and keys, reports of any size, files that survive and files
 * that did not.
 */
#include "admin/registry.h"
#include "admin_home.h"
#include "core/limits.h"
#include "core/loop.h"

#include <dirent.h>
#include <inttypes.h>
#include <sys/stat.h>

struct here {
	struct fixture *f;
	uv_loop_t loop;
	struct registry *registry;
	unsigned changes;
};

/* What the next one comes with. */
static struct join joined;

static void on_changed(void *arg)
{
	((struct here *)arg)->changes++;
}

static void start(struct here *h)
{
	struct err err;

	if (registry_open(&h->loop, &h->f->home, on_changed, h, &h->registry, &err) != 0)
		fail_msg("%s", err.text);
}

static void stop(struct here *h)
{
	registry_free(h->registry);
	h->registry = NULL;
	(void)uv_run(&h->loop, UV_RUN_DEFAULT); /* until all is written */
}

static int setup(void **state)
{
	struct here *h = mem_new(1, sizeof(*h));

	joined = (struct join){.epoch = 1, .role_tag = "any"};
	h->f = fixture_new();
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

static void restart(struct here *h)
{
	stop(h);
	start(h);
}

/* Each has a key of its own: its first byte. */
static int try_register(struct here *h, uint8_t key, const char *name, const char *role,
			struct node **node, struct err *err)
{
	struct control_message message;
	uint8_t bytes[KEY_SIZE] = {key};
	int rc;

	control_start(&message, CONTROL_REGISTER);
	control_add(&message, "name", name);
	control_add(&message, "role", role);
	err->code = ERR_NONE;
	rc = registry_register(h->registry, bytes, &joined, &message, node, err);
	control_clear(&message);
	return rc;
}

static struct node *must_register(struct here *h, uint8_t key, const char *name, const char *role)
{
	struct node *node = NULL;
	struct err err;

	if (try_register(h, key, name, role, &node, &err) != 0)
		fail_msg("%s", err.text);
	return node;
}

static void must_refuse(struct here *h, uint8_t key, const char *name, const char *role,
			const char *words)
{
	size_t count = registry_count(h->registry);
	struct node *node = NULL;
	struct err err;

	assert_int_equal(try_register(h, key, name, role, &node, &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	if (!strstr(err.text, words))
		fail_msg("\"%s\" does not say \"%s\"", err.text, words);
	assert_null(node);
	assert_int_equal(registry_count(h->registry), count);
}

/* Pairs of words, NULL at the end. */
static void report(struct here *h, struct node *node, ...)
{
	struct control_message message;
	const char *key;
	va_list ap;

	control_start(&message, CONTROL_STATUS);
	va_start(ap, node);
	while ((key = va_arg(ap, const char *)))
		control_add(&message, key, va_arg(ap, const char *));
	va_end(ap);
	registry_report(h->registry, node, &message);
	control_clear(&message);
}

static void test_names(void **state)
{
	static const char *const bad[] = {"",     "-a",       ".a",   "a/b",    "..",
					  "a..b", "a.lock",   "HEAD", "common", "a b",
					  "a\tb", "\xc3\xa4", "a."};
	struct here *h = *state;
	char longest[NAME_MAX_LEN + 2];

	memset(longest, 'n', sizeof(longest));
	longest[NAME_MAX_LEN + 1] = '\0';
	must_refuse(h, 1, longest, "web", "is no name for a node");
	must_refuse(h, 1, "a", longest, "is no name for a role");
	must_refuse(h, 1, NULL, "web", "is no name for a node");
	must_refuse(h, 1, "a", NULL, "is no name for a role");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		must_refuse(h, 1, bad[i], "web", "is no name for a node");
		must_refuse(h, 1, "a", bad[i], "is no name for a role");
	}
	longest[NAME_MAX_LEN] = '\0';
	(void)must_register(h, 1, longest, longest);
	assert_non_null(registry_find(h->registry, longest));
	assert_null(registry_find(h->registry, "a"));
}

static void test_order(void **state)
{
	struct here *h = *state;
	struct node *nodes[300];
	char name[16];

	for (unsigned i = 0; i < 300; i++) {
		(void)snprintf(name, sizeof(name), "n%u", i * 7919 % 300);
		nodes[i * 7919 % 300] = must_register(h, 1, name, "web");
	}
	assert_int_equal(registry_count(h->registry), 300);
	for (unsigned i = 0; i < 300; i++) {
		(void)snprintf(name, sizeof(name), "n%u", i);
		assert_ptr_equal(registry_find(h->registry, name),
				 nodes[i]); /* they stay where they are */
		if (i)
			assert_true(strcmp(registry_at(h->registry, i - 1)->name,
					   registry_at(h->registry, i)->name) < 0);
	}
}

/* A name belongs to the key that has it, as long as that is connected. */
static void test_other_key(void **state)
{
	struct here *h = *state;
	struct node *node = must_register(h, 1, "a", "web");

	registry_connected(h->registry, node, true);
	report(h, node, "state", "RUNNING", "sequence", "7", NULL);
	must_refuse(h, 2, "a", "web", "belongs to another node");
	must_refuse(h, 2, "a", "ledger", "belongs to another node");
	assert_string_equal(node->role, "web");
	assert_int_equal(node->key[0], 1);
	assert_ptr_equal(must_register(h, 1, "a", "web"), node); /* its own key is always fine */
	registry_connected(h->registry, node, false);
	assert_ptr_equal(must_register(h, 2, "a", "ledger"), node);
	assert_int_equal(node->key[0], 2);
	assert_string_equal(node->role, "ledger");
	/* what the other said is not this one's */
	assert_string_equal(node_said(node, "state"), "");
	assert_int_equal(node->sequence, 0);
}

static void test_report(void **state)
{
	struct here *h = *state;
	struct node *node = must_register(h, 1, "a", "web");
	unsigned changes = h->changes;

	assert_string_equal(node_said(node, "state"), "");
	report(h, node, "state", "RUNNING", "deployed", "0123", "sequence", "42", "name", "b",
	       "role", "ledger", NULL);
	assert_true(h->changes > changes);
	assert_string_equal(node_said(node, "state"), "RUNNING");
	assert_string_equal(node_said(node, "deployed"), "0123");
	assert_int_equal(node->sequence, 42);
	assert_string_equal(node->name, "a"); /* who it is is not its to say any more */
	assert_string_equal(node->role, "web");
	assert_string_equal(node_said(node, "name"), "");
	assert_string_equal(node_said(node, "RUNNING"), ""); /* a value is no key */
	/* the next replaces all of it */
	report(h, node, "state", "", "rejected-reason", "\xff is not UTF-8", "other",
	       "\xe2\x82\xac", NULL);
	assert_string_equal(node_said(node, "state"), "");
	assert_string_equal(node_said(node, "deployed"), "");
	/* what JSON cannot hold is left out */
	assert_string_equal(node_said(node, "rejected-reason"), "");
	assert_string_equal(node_said(node, "other"), "\xe2\x82\xac");
	assert_int_equal(node->sequence, 0);
	report(h, node, "sequence", "-1", NULL);
	assert_int_equal(node->sequence, 0);
	report(h, node, NULL);
	assert_string_equal(node_said(node, "other"), "");
}

/* A node may say what it likes, but not without end. */
static void test_large_report(void **state)
{
	struct here *h = *state;
	struct node *node = must_register(h, 1, "a", "web");
	struct control_message message;
	char value[CONTROL_VALUE_MAX + 1], key[8] = "k-aa";

	memset(value, 'v', CONTROL_VALUE_MAX);
	value[CONTROL_VALUE_MAX] = '\0';
	control_start(&message, CONTROL_STATUS);
	control_add(&message, "state", "RUNNING");
	for (int i = 0; i < CONTROL_PAIRS_MAX - 2; i++) {
		key[2] = (char)('a' + i / 26);
		key[3] = (char)('a' + i % 26);
		control_add(&message, key, value);
	}
	control_add(&message, "z", "small");
	registry_report(h->registry, node, &message);
	control_clear(&message);
	assert_true(node->report_size <= LIMIT_REPORT);
	assert_string_equal(node_said(node, "state"), "RUNNING");
	assert_int_equal(strlen(node_said(node, "k-aa")),
			 CONTROL_VALUE_MAX); /* whole or not at all */
	assert_string_equal(node_said(node, "k-cj"), "");
	assert_string_equal(node_said(node, "z"), "small");
	restart(h);
	node = registry_find(h->registry, "a");
	assert_string_equal(node_said(node, "z"), "small");
}

static void test_survives(void **state)
{
	struct here *h = *state;
	struct node *node = must_register(h, 1, "a", "web");
	int64_t first;

	(void)must_register(h, 2, "b.tmp", "ledger"); /* a name like any other */
	registry_connected(h->registry, node, true);
	report(h, node, "state", "RUNNING", "sequence", "9", "note", "\"quoted\" \\ and \xc3\xa4",
	       NULL);
	registry_connected(h->registry, registry_find(h->registry, "b.tmp"), true);
	first = node->first_contact;
	assert_true(first > 0);
	restart(h);
	assert_int_equal(registry_count(h->registry), 2);
	node = registry_find(h->registry, "a");
	assert_non_null(node);
	assert_false(node->connected); /* nobody is yet */
	assert_null(node->session);
	assert_string_equal(node->role, "web");
	assert_int_equal(node->key[0], 1);
	assert_int_equal(node->first_contact, first);
	assert_int_equal(node->sequence, 9);
	assert_string_equal(node_said(node, "state"), "RUNNING");
	assert_string_equal(node_said(node, "note"), "\"quoted\" \\ and \xc3\xa4");
	assert_non_null(registry_find(h->registry, "b.tmp"));
	must_register(h, 2, "a", "web"); /* it is away: the name can be taken */
}

/* Written behind by a worker, soon, without a stop. */
static void test_written_behind(void **state)
{
	struct here *h = *state;
	struct node *node = must_register(h, 1, "a", "web");
	uint64_t end = loop_now() + 20000;
	char *path = home_var(&h->f->home, "admin/nodes/a");

	for (int i = 0; i < 1000; i++)
		report(h, node, "state", "RUNNING", NULL);
	while (access(path, F_OK) != 0 && loop_now() < end)
		(void)uv_run(&h->loop, UV_RUN_ONCE);
	assert_int_equal(access(path, F_OK), 0);
	free(path);
}

static void count_timer(uv_handle_t *handle, void *arg)
{
	*(unsigned *)arg += handle->type == UV_TIMER && uv_is_active(handle);
}

/* A folder that cannot be written to: told, and tried again; what is known stays known. */
static void test_unwritable(void **state)
{
	unsigned timers = 0;
	struct here *h = *state;
	struct node *node = must_register(h, 1, "a", "web");
	char *path = home_var(&h->f->home, "admin/nodes/a");

	assert_int_equal(mkdir(path, 0700), 0); /* in the file's place */
	while (node->dirty) /* until it is being written */
		(void)uv_run(&h->loop, UV_RUN_ONCE);
	while (!node->dirty) /* it was not */
		(void)uv_run(&h->loop, UV_RUN_ONCE);
	uv_walk(&h->loop, count_timer, &timers);
	assert_int_equal(timers, 1); /* the next try */
	report(h, node, "state", "RUNNING", NULL);
	assert_string_equal(node_said(node, "state"), "RUNNING");
	assert_int_equal(rmdir(path), 0);
	restart(h);
	node = registry_find(h->registry, "a");
	assert_non_null(node);
	assert_string_equal(node_said(node, "state"), "RUNNING");
	free(path);
}

static void put_file(struct here *h, const char *name, const char *text)
{
	char *path = text_format("admin/nodes/%s", name);
	struct err err;

	assert_int_equal(fs_write_atomic(h->f->home.var_fd, path, text, strlen(text), 0600, &err),
			 0);
	free(path);
}

#define MEMBER "\"approved\": true, \"joins\": [[1, \"616e790000000000\"]], "
#define GOOD(name)                                                                                 \
	"{\"name\": \"" name "\", \"role\": \"web\", \"key\": "                                    \
	"\"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\", " MEMBER                                 \
	"\"firstContact\": 1, \"lastContact\": 2, "                                                \
	"\"sequence\": 3, \"report\": {\"state\": \"RUNNING\"}}"

static void test_damaged(void **state)
{
	static const char *const bad[] = {
		"",
		"{",
		"null",
		"[]",
		"{}",
		"\"a\"",
		"{\"name\": \"a\"}",
		GOOD("b"), /* another's */
		"{\"name\": \"a\", \"role\": \"../..\", \"key\": \"AQ\", " MEMBER
		"\"firstContact\": 1, \"lastContact\": 2, "
		"\"sequence\": 3, \"report\": {}}",
		"{\"name\": \"a\", \"role\": \"web\", \"key\": \"AQ\", " MEMBER
		"\"firstContact\": 1, \"lastContact\": 2, "
		"\"sequence\": 3, \"report\": {}}", /* a short key */
		"{\"name\": \"a\", \"role\": \"web\", \"key\": "
		"\"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\", "
		"\"approved\": true, \"joins\": [], \"firstContact\": \"1\", \"lastContact\": 2, "
		"\"sequence\": 3, \"report\": {}}",
		"{\"name\": \"a\", \"role\": \"web\", \"key\": "
		"\"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\", " MEMBER
		"\"firstContact\": 1, \"lastContact\": 2, \"sequence\": 3, \"report\": []}",
		GOOD("a") "x",
	};
	struct here *h = *state;
	struct node *node;

	put_file(h, "a", GOOD("a"));
	restart(h);
	assert_string_equal(node_said(registry_find(h->registry, "a"), "state"), "RUNNING");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		stop(h); /* writes what is not written yet */
		put_file(h, "a", bad[i]);
		put_file(h, "good", GOOD("good"));
		start(h);
		/* it starts anew, and the others are as they were */
		node = registry_find(h->registry, "a");
		assert_non_null(node);
		assert_string_equal(node->role, "");
		assert_string_equal(node_said(node, "state"), "");
		assert_string_equal(node_said(registry_find(h->registry, "good"), "state"),
				    "RUNNING");
		assert_ptr_equal(must_register(h, 9, "a", "web"),
				 node); /* and whoever has the name comes */
	}
}

/* Every length of a good file: never a crash, never half of it. */
static void test_truncated(void **state)
{
	struct here *h = *state;
	char text[] = GOOD("a");

	for (size_t n = strlen(text) - 1; n > 0; n--) {
		text[n] = '\0';
		put_file(h, "a", text);
		restart(h);
		assert_string_equal(registry_find(h->registry, "a")->role, "");
	}
}

/* What else may lie in the folder: leftovers go, what is no node's stays out. */
static void test_foreign_files(void **state)
{
	struct here *h = *state;
	char *path = home_var(&h->f->home, "admin/nodes/a.0123456789abcdef.tmp");
	char *folder = home_var(&h->f->home, "admin/nodes/folder");
	char *link = home_var(&h->f->home, "admin/nodes/link");

	put_file(h, "a.0123456789abcdef.tmp", GOOD("a"));
	put_file(h, "a.fedcba9876543210.tmp", "{\"na");
	put_file(h, "-x", GOOD("x"));
	put_file(h, ".hidden", GOOD("x"));
	assert_int_equal(mkdir(folder, 0700), 0);
	assert_int_equal(symlink("/etc/passwd", link), 0);
	restart(h);
	assert_int_equal(access(path, F_OK), -1);
	assert_null(registry_find(h->registry, "a"));
	assert_null(registry_find(h->registry, "x"));
	assert_null(registry_find(h->registry, "-x"));
	if (registry_find(h->registry, "link")) /* not followed */
		assert_string_equal(registry_find(h->registry, "link")->role, "");
	assert_int_equal(rmdir(folder), 0);
	free(path);
	free(folder);
	free(link);
}

static void put_contacts(struct here *h, const char *text)
{
	struct err err;

	stop(h);
	assert_int_equal(fs_write_atomic(h->f->home.var_fd, "admin/contacts", text, strlen(text),
					 0600, &err),
			 0);
	start(h);
}

/*
 * What all said last may be of another time than who they are, or damaged: a line counts for the
 * node it is of, or not at all.
 */
static void test_contacts(void **state)
{
	struct here *h = *state;

	put_file(h, "a", GOOD("a"));
	put_file(h, "b", GOOD("b"));
	put_contacts(h, "{\"name\": \"a\", \"role\": \"web\", \"key\": "
			"\"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\", " MEMBER
			"\"firstContact\": 1, \"lastContact\": 9, \"sequence\": 8, \"report\": "
			"{\"state\": \"ERROR\"}}\n"
			"not json\n"
			"{\"name\": \"../b\"}\n"
			"{\"name\": \"stranger\"}\n"
			"{\"name\": \"b\", \"role\": \"web\", \"key\": "
			"\"AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\", " MEMBER
			"\"firstContact\": 1, \"lastContact\": 9, \"sequence\": 8, \"report\": "
			"{\"state\": \"ERROR\"}}\n"
			"{\"name\": \"a\", \"role");
	assert_int_equal(registry_count(h->registry), 2);
	assert_string_equal(node_said(registry_find(h->registry, "a"), "state"), "ERROR");
	assert_int_equal(registry_find(h->registry, "a")->sequence, 8);
	assert_int_equal(registry_find(h->registry, "a")->last_contact, 9);
	/* another key had the name when that was written */
	assert_string_equal(node_said(registry_find(h->registry, "b"), "state"), "RUNNING");
}

/* Reports touch no node's file: with every release all nodes send one. */
static void test_reports_write_nothing(void **state)
{
	struct here *h = *state;
	struct node *node = must_register(h, 1, "a", "web");
	char *path = home_var(&h->f->home, "admin/nodes/a");
	struct stat before, after;

	restart(h);
	assert_int_equal(stat(path, &before), 0);
	node = registry_find(h->registry, "a");
	registry_connected(h->registry, node, true);
	report(h, node, "state", "RUNNING", NULL);
	assert_false(node->dirty);
	/* who it is did not change either */
	assert_ptr_equal(must_register(h, 1, "a", "web"), node);
	assert_false(node->dirty);
	restart(h);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(after.st_ino, before.st_ino);
	assert_string_equal(node_said(registry_find(h->registry, "a"), "state"), "RUNNING");
	free(path);
}

/* --- membership --- */

static void come_with(uint32_t epoch, const char *tag)
{
	joined = (struct join){.epoch = epoch};
	(void)snprintf((char *)joined.role_tag, sizeof(joined.role_tag), "%s", tag);
}

static void must_deny(struct here *h, uint8_t key, const char *name, const char *role,
		      const char *words)
{
	size_t count = registry_count(h->registry);
	struct node *node = NULL;
	struct err err;

	assert_int_equal(try_register(h, key, name, role, &node, &err), -1);
	assert_int_equal(err.code, ERR_DENIED);
	if (!strstr(err.text, words))
		fail_msg("\"%s\" does not say \"%s\"", err.text, words);
	assert_int_equal(registry_count(h->registry), count);
}

static struct node *must_wait(struct here *h, uint8_t key, const char *name, const char *role)
{
	struct node *node = must_register(h, key, name, role);

	assert_false(node->approved);
	return node;
}

static void let_in(struct here *h, struct node *node)
{
	registry_approve(h->registry, node, node->key, node->role, &node->join);
}

static void must_revoke(struct here *h, struct node *node)
{
	struct err err;

	assert_int_equal(registry_revoke(h->registry, node, node->joins, node->join_count, &err),
			 0);
}

static struct node *node_of(struct here *h, const char *name)
{
	struct node *node = registry_find(h->registry, name);

	assert_non_null(node);
	return node;
}

/*
 * Who joined before it was asked for stays; who comes after waits, until it is approved or that is
 * not asked for any more.
 */
static void test_approval(void **state)
{
	struct here *h = *state;

	assert_true(must_register(h, 1, "a", "web")->approved);
	registry_set_approve(h->registry, true);
	assert_true(must_register(h, 1, "a", "web")->approved);
	(void)must_wait(h, 2, "b", "web");
	(void)must_wait(h, 2, "b", "web"); /* asking again is no approval */
	assert_false(registry_settle(h->registry, node_of(h, "b")));
	(void)must_wait(h, 3, "c", "web");
	let_in(h, node_of(h, "b"));
	assert_true(must_register(h, 2, "b", "web")->approved);
	restart(h);
	assert_true(node_of(h, "a")->approved);
	assert_true(node_of(h, "b")->approved);
	assert_false(node_of(h, "c")->approved);
	registry_set_approve(h->registry, true);
	(void)must_wait(h, 3, "c", "web");
	registry_set_approve(h->registry, false);
	assert_true(registry_settle(h->registry, node_of(h, "c")));
	assert_false(registry_settle(h->registry, node_of(h, "c"))); /* it is */
	restart(h);
	assert_true(node_of(h, "c")->approved);
}

/* What is approved is a name with a key and a role. */
static void test_bound(void **state)
{
	struct here *h = *state;
	struct node *node = must_register(h, 1, "a", "web");

	registry_set_approve(h->registry, true);
	assert_null(node_claim(node));
	must_deny(h, 2, "a", "web", "approved for another key");
	assert_int_equal(node_claim(node)->key[0], 2);
	must_deny(h, 1, "a", "ledger", "approved for another role");
	assert_int_equal(node_claim(node)->key[0], 1);
	assert_string_equal(node_claim(node)->role, "ledger");
	assert_string_equal(node->role, "web");
	assert_int_equal(node->key[0], 1);
	assert_true(must_register(h, 1, "a", "web")->approved); /* what it is approved as */
	/* its key under another name is not */
	(void)must_wait(h, 1, "b", "web");
	must_deny(h, 2, "a", "ledger", "approved for another key");
	registry_approve(h->registry, node, node_claim(node)->key, node_claim(node)->role,
			 &node_claim(node)->join);
	assert_null(node_claim(node));
	assert_int_equal(node->key[0], 2);
	assert_string_equal(node->role, "ledger");
	must_deny(h, 1, "a", "web", "approved for another key");
	restart(h);
	registry_set_approve(h->registry, true);
	assert_null(node_claim(node_of(h, "a")));
	must_deny(h, 2, "a", "web", "approved for another role");
	assert_true(must_register(h, 2, "a", "ledger")->approved);
	/* without it a name is taken as ever, and a role changed */
	registry_set_approve(h->registry, false);
	assert_true(must_register(h, 2, "a", "web")->approved);
	assert_true(must_register(h, 1, "a", "ledger")->approved);
}

/* One that only waits has no right to its name. */
static void test_waiting_name(void **state)
{
	struct here *h = *state;
	struct node *node;

	registry_set_approve(h->registry, true);
	node = must_wait(h, 1, "a", "web");
	assert_ptr_equal(must_wait(h, 1, "a", "ledger"), node);
	assert_ptr_equal(must_wait(h, 2, "a", "web"), node);
	assert_int_equal(node->key[0], 2);
	registry_connected(h->registry, node, true);
	must_refuse(h, 1, "a", "web", "belongs to another node");
	let_in(h, node);
	registry_connected(h->registry, node, false);
	must_deny(h, 1, "a", "web", "approved for another key");
}

static void test_revoked(void **state)
{
	struct here *h = *state;
	struct node *node = must_register(h, 1, "a", "web");

	come_with(2, "web");
	(void)must_register(h, 1, "a", "web"); /* it knows both */
	(void)must_register(h, 3, "known", "web");
	must_revoke(h, node);
	assert_true(node->revoked);
	for (int i = 0; i < 3; i++) {
		assert_false(node_of(h, "a")->approved);
		must_deny(h, 1, "a", "web", "revoked");
		must_deny(h, 1, "z", "web", "revoked");
		must_deny(h, 1, "known", "web", "revoked");
		assert_null(node_claim(node_of(h, "known")));
		come_with(2, "web");
		(void)must_wait(h, 4, "new", "web");
		must_deny(h, 4, "known", "web",
			  "approved for another key"); /* a name of one that is away */
		assert_true(must_register(h, 3, "known", "web")->approved);
		come_with(1, "any");
		(void)must_wait(h, 4, "new", "web");
		restart(h);
		assert_true(node_of(h, "a")->revoked);
	}
	/* the same machine with another key: it has the name, and waits */
	node = must_wait(h, 5, "a", "web");
	assert_false(node->revoked);
	let_in(h, node);
	assert_true(must_register(h, 5, "a", "web")->approved);
	must_deny(h, 1, "a", "web", "revoked");
	/* another epoch, another role's key: nobody who was revoked knew these */
	come_with(3, "web");
	assert_true(must_register(h, 6, "b", "web")->approved);
	assert_true(must_register(h, 4, "new", "web")->approved);
	come_with(2, "any");
	assert_true(must_register(h, 7, "c", "web")->approved);
	come_with(1, "web");
	assert_true(must_register(h, 8, "d", "web")->approved);
	registry_forget(h->registry, node_of(h, "a"));
	restart(h);
	must_deny(h, 1, "a", "web", "revoked");
	assert_null(registry_find(h->registry, "a"));
}

/* The join keys of a node are remembered, the newest ones. */
static void test_joins(void **state)
{
	struct here *h = *state;
	struct node *node = NULL;

	for (uint32_t epoch = 1; epoch <= NODE_JOINS + 3; epoch++) {
		come_with(epoch, "web");
		node = must_register(h, 1, "a", "web");
		node = must_register(h, 1, "a", "web");
	}
	assert_int_equal(node->join_count, NODE_JOINS);
	assert_int_equal(node->joins[0].epoch, 4);
	assert_int_equal(node->join.epoch, NODE_JOINS + 3);
	restart(h);
	node = node_of(h, "a");
	assert_int_equal(node->join_count, NODE_JOINS);
	assert_int_equal(node->join.epoch, NODE_JOINS + 3);
	come_with(5, "web");
	assert_int_equal(must_register(h, 1, "a", "web")->joins[0].epoch, 4);
	must_register(h, 2, "a", "web"); /* of another it knows its own */
	assert_int_equal(node->join_count, 1);
}

/* Away for DAYS, as if. */
static void aged(struct here *h, const char *name, int days)
{
	node_of(h, name)->last_contact = text_now() - days * INT64_C(86400) - 60;
}

/* A registry that is full forgets who is missed least, and nobody else. */
static void test_ageing(void **state)
{
	struct here *h = *state;
	struct node *node;
	struct err err;

	registry_set_limit(h->registry, 3);
	for (uint8_t key = 1; key <= 3; key++)
		(void)must_register(h, key, key == 1 ? "a" : key == 2 ? "b" : "c", "web");
	assert_int_equal(try_register(h, 4, "d", "web", &node, &err), -1);
	assert_int_equal(err.code, ERR_FULL);
	aged(h, "a", 89);
	aged(h, "b", 90);
	aged(h, "c", 91);
	(void)must_register(h, 4, "d", "web");
	assert_null(registry_find(h->registry, "c"));
	aged(h, "d", 365);
	registry_connected(h->registry, node_of(h, "d"), true); /* it is there */
	node_of(h, "d")->last_contact = 0;			 /* by a clock that jumped */
	(void)must_register(h, 5, "e", "web");
	assert_null(registry_find(h->registry, "b"));
	assert_int_equal(try_register(h, 6, "f", "web", &node, &err), -1);
	assert_int_equal(err.code, ERR_FULL);
	/*
	 * where approval is asked for it was a decision; who waits is the first to go, and a
	 * revoked one never
	 */
	registry_set_approve(h->registry, true);
	aged(h, "a", 365);
	assert_int_equal(try_register(h, 6, "f", "web", &node, &err), -1);
	registry_set_limit(h->registry, 4);
	(void)must_wait(h, 6, "f", "web");
	(void)must_wait(h, 7, "g", "web");
	assert_null(registry_find(h->registry, "f"));
	must_revoke(h, node_of(h, "g"));
	aged(h, "g", 365);
	assert_int_equal(try_register(h, 8, "i", "web", &node, &err), -1);
	assert_int_equal(err.code, ERR_FULL);
	registry_set_limit(h->registry, 5);
	(void)must_wait(h, 9, "j", "web");
	registry_set_approve(h->registry, false);
	come_with(9, "web");
	(void)must_register(h, 8, "i", "web");
	/* it was there today, and has nothing to lose */
	assert_null(registry_find(h->registry, "j"));
	(void)must_register(h, 10, "k", "web");
	assert_null(registry_find(h->registry, "a"));
	restart(h);
	assert_int_equal(registry_count(h->registry), 5);
	assert_null(registry_find(h->registry, "a"));
}

struct flushed {
	int calls, rc;
	struct err err;
};

static void on_flushed(void *arg, int rc, const struct err *err)
{
	struct flushed *flushed = arg;

	flushed->calls++;
	flushed->rc = rc;
	flushed->err = *err;
}

static struct flushed must_flush(struct here *h)
{
	struct flushed flushed = {.calls = 0};

	registry_flush(h->registry, on_flushed, &flushed);
	assert_int_equal(flushed.calls, 0); /* never at once */
	while (!flushed.calls)
		(void)uv_run(&h->loop, UV_RUN_ONCE);
	assert_int_equal(flushed.calls, 1);
	return flushed;
}

/* What a start after a kill finds: another home with the same files. */
struct after {
	struct fixture *f;
	struct registry *registry;
};

static struct after kill_now(struct here *h)
{
	struct after after = {.f = fixture_new()};
	char *from = home_var(&h->f->home, "admin");
	struct err err;

	must_run("/", NULL, "cp -a %s %s", from, after.f->home.var);
	if (registry_open(&h->loop, &after.f->home, on_changed, h, &after.registry, &err) != 0)
		fail_msg("%s", err.text);
	free(from);
	return after;
}

static void after_clear(struct here *h, struct after *after)
{
	registry_free(after->registry);
	for (int i = 0; i < 3; i++) /* its handles close */
		(void)uv_run(&h->loop, UV_RUN_NOWAIT);
	fixture_free(after->f);
}

static void test_flush(void **state)
{
	struct here *h = *state;
	struct after after;

	registry_set_approve(h->registry, true);
	(void)must_wait(h, 1, "a", "web");
	(void)must_wait(h, 2, "b", "web");
	assert_int_equal(must_flush(h).rc, 0);
	let_in(h, node_of(h, "a"));
	must_revoke(h, node_of(h, "b"));
	assert_int_equal(must_flush(h).rc, 0);
	after = kill_now(h);
	assert_true(registry_find(after.registry, "a")->approved);
	assert_true(registry_find(after.registry, "b")->revoked);
	after_clear(h, &after);
	registry_forget(h->registry, node_of(h, "a"));
	registry_forget(h->registry, node_of(h, "b"));
	(void)must_wait(h, 3, "b", "web"); /* it is another before the file is gone */
	assert_int_equal(must_flush(h).rc, 0);
	after = kill_now(h);
	assert_null(registry_find(after.registry, "a"));
	assert_int_equal(registry_find(after.registry, "b")->key[0], 3);
	assert_int_equal(registry_revoked(after.registry)->count, 1);
	after_clear(h, &after);
	assert_int_equal(must_flush(h).rc, 0); /* there is nothing to do, and it is done */
}

/* What comes while a file is being written comes after it. */
static void test_flush_order(void **state)
{
	struct here *h = *state;
	struct flushed first = {.calls = 0}, second = {.calls = 0};
	struct after after;

	(void)must_register(h, 1, "a", "web");
	registry_flush(h->registry, on_flushed, &first);
	registry_forget(h->registry, node_of(h, "a"));
	registry_flush(h->registry, on_flushed, &second);
	while (!second.calls)
		(void)uv_run(&h->loop, UV_RUN_ONCE);
	assert_int_equal(first.calls, 1);
	after = kill_now(h);
	assert_null(registry_find(after.registry, "a"));
	after_clear(h, &after);
	/* there is nothing to write for the second one either */
	first.calls = second.calls = 0;
	registry_flush(h->registry, on_flushed, &first);
	registry_flush(h->registry, on_flushed, &second);
	for (uint64_t end = loop_now() + 20000; !second.calls && loop_now() < end;)
		(void)uv_run(&h->loop, UV_RUN_NOWAIT);
	assert_int_equal(second.calls, 1);
	/* who waits when it stops is answered as well */
	(void)must_register(h, 2, "b", "web");
	registry_flush(h->registry, on_flushed, &first);
	registry_flush(h->registry, on_flushed, &second);
	restart(h);
	assert_int_equal(first.calls, 2);
	assert_int_equal(second.calls, 2);
	assert_int_equal(second.rc, 0);
	assert_int_equal(node_of(h, "b")->key[0], 2);
}

/* A disk that takes nothing: told, and written when it does. */
static void test_flush_fails(void **state)
{
	struct here *h = *state;
	char *path = home_var(&h->f->home, REVOKED_FILE), *in_its_place = text_format("%s/x", path);
	struct after after;
	struct flushed flushed;

	(void)must_register(h, 1, "a", "web");
	assert_int_equal(must_flush(h).rc, 0);
	must_revoke(h, node_of(h, "a"));
	must_run("/", NULL, "mkdir -p %s", in_its_place);
	flushed = must_flush(h);
	assert_int_equal(flushed.rc, -1);
	assert_non_null(strstr(flushed.err.text, "revoked"));
	must_deny(h, 1, "a", "web", "revoked"); /* it is in force all the same */
	must_run("/", NULL, "rm -r %s", path);
	assert_int_equal(must_flush(h).rc, 0);
	after = kill_now(h);
	assert_int_equal(registry_revoked(after.registry)->count, 1);
	after_clear(h, &after);
	free(path);
	free(in_its_place);
}

/* --- the list of revoked keys --- */

/* COUNT of them, each with a join key of its own. */
static struct revoked some_revoked(unsigned count)
{
	struct revoked revoked = {.keys = NULL};

	for (unsigned i = 0; i < count; i++) {
		struct revoked_key key = {.name = "a", .role = "web", .at = 7, .join_count = 1};
		unsigned at = i * 7919 % count;

		key.key[0] = (uint8_t)(at >> 8);
		key.key[31] = (uint8_t)at;
		key.joins[0].epoch = at + 1;
		assert_int_equal(revoked_add(&revoked, &key, NULL), 0);
	}
	return revoked;
}

static void test_revoked_list(void **state)
{
	struct revoked revoked = some_revoked(LIMIT_REVOKED), again = {.keys = NULL};
	struct revoked_key more = {.name = "b", .role = "web", .key = {0xff}};
	struct join join = {.epoch = LIMIT_REVOKED};
	uint8_t key[KEY_SIZE] = {0};
	struct buf text, second;
	struct err err;

	(void)state;
	assert_int_equal(revoked.count, LIMIT_REVOKED);
	assert_int_equal(revoked_add(&revoked, &more, &err), -1);
	assert_int_equal(err.code, ERR_FULL);
	key[31] = 77;
	assert_int_equal(revoked_find(&revoked, key)->joins[0].epoch, 78);
	memcpy(more.key, key, KEY_SIZE);
	assert_int_equal(revoked_add(&revoked, &more, &err), 0); /* it is there: as it was */
	assert_string_equal(revoked_find(&revoked, key)->name, "a");
	key[30] = 1;
	assert_null(revoked_find(&revoked, key));
	assert_true(revoked_knew(&revoked, &join));
	join.epoch++;
	assert_false(revoked_knew(&revoked, &join));
	join = (struct join){.epoch = 1, .role_tag = {1}};
	assert_false(revoked_knew(&revoked, &join));
	buf_init(&text, (size_t)LIMIT_REVOKED * REVOKED_ENTRY);
	buf_init(&second, (size_t)LIMIT_REVOKED * REVOKED_ENTRY);
	revoked_format(&revoked, &text);
	assert_false(text.failed);
	assert_int_equal(revoked_parse(text.data, text.len, &again, &err), 0);
	revoked_format(&again, &second);
	assert_int_equal(text.len, second.len);
	assert_memory_equal(text.data, second.data, text.len);
	buf_clear(&text);
	buf_clear(&second);
	revoked_clear(&revoked);
	revoked_clear(&again);
}

#define ONE(key, more)                                                                             \
	"{\"key\": \"" key                                                                         \
	"QAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\", \"name\": \"a\", \"role\": \"web\", "       \
	"\"at\": 1, \"joins\": [" more "]}"
#define LIST(version, entries) "{\"version\": " version ", \"revoked\": [" entries "]}"

/* A damaged list is no empty list: the admin does not start with it. */
static void test_revoked_damaged(void **state)
{
	static const char *const bad[] = {
		"",
		"{}",
		"[]",
		"null",
		LIST("2", ""),
		"{\"version\": 1}",
		LIST("1", "{}"),
		LIST("1", "7"),
		LIST("1", ONE("A", "")) "x",
		LIST("1", ONE("A", "") "," ONE("A", "")),
		LIST("1", ONE("", "")),
		LIST("1", ONE("?", "")),
		LIST("1", ONE("A", "1")),
		LIST("1", ONE("A", "[0, \"0011223344556677\"]")),
		LIST("1", ONE("A", "[4294967296, \"0011223344556677\"]")),
		LIST("1", ONE("A", "[1, \"00112233445566\"]")),
		LIST("1", ONE("A", "[1, \"0011223344556677\", 2]")),
		LIST("1", ONE("A", "[1]")),
	};
	static const char good[] =
		LIST("1", ONE("A", "[1, \"0011223344556677\"]") "," ONE("B", ""));
	struct here *h = *state;
	struct registry *none = NULL;
	struct revoked revoked;
	struct err err;

	for (size_t n = 0; n < strlen(good); n++)
		assert_int_equal(revoked_parse(good, n, &revoked, &err), -1);
	assert_int_equal(revoked_parse(good, strlen(good), &revoked, &err), 0);
	assert_int_equal(revoked.count, 2);
	revoked_clear(&revoked);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(revoked_parse(bad[i], strlen(bad[i]), &revoked, &err), -1);
		assert_int_equal(err.code, ERR_CORRUPT);
		write_text(h->f->home.var, REVOKED_FILE, bad[i]);
		assert_int_equal(registry_open(&h->loop, &h->f->home, on_changed, h, &none, &err),
				 -1);
		assert_non_null(strstr(err.text, REVOKED_FILE));
		(void)uv_run(&h->loop, UV_RUN_NOWAIT);
	}
	assert_null(none);
	write_text(h->f->home.var, REVOKED_FILE, good);
	restart(h);
	assert_int_equal(registry_revoked(h->registry)->count, 2);
}

#define registry_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		registry_test(test_names),	    registry_test(test_order),
		registry_test(test_other_key),	    registry_test(test_report),
		registry_test(test_large_report),   registry_test(test_survives),
		registry_test(test_written_behind), registry_test(test_unwritable),
		registry_test(test_damaged),	    registry_test(test_truncated),
		registry_test(test_foreign_files),  registry_test(test_contacts),
		registry_test(test_reports_write_nothing), registry_test(test_approval),
		registry_test(test_bound),	    registry_test(test_waiting_name),
		registry_test(test_revoked),	    registry_test(test_joins),
		registry_test(test_ageing),	    registry_test(test_flush),
		registry_test(test_flush_order),
		registry_test(test_flush_fails),    registry_test(test_revoked_list),
		registry_test(test_revoked_damaged),
	};

	libraries_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
