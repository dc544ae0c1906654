/* What is known of each node: names and keys, reports of any size, files that survive and files that did not. */
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
static int try_register(struct here *h, uint8_t key, const char *name, const char *role, struct node **node,
			struct err *err)
{
	struct control_message message;
	uint8_t bytes[KEY_SIZE] = {key};
	int rc;

	control_start(&message, CONTROL_REGISTER);
	control_add(&message, "name", name);
	control_add(&message, "role", role);
	err->code = ERR_NONE;
	rc = registry_register(h->registry, bytes, &message, node, err);
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

static void must_refuse(struct here *h, uint8_t key, const char *name, const char *role, const char *words)
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
	static const char *const bad[] = {"", "-a", ".a", "a/b", "..", "a..b", "a.lock", "HEAD", "common",
					  "a b", "a\tb", "\xc3\xa4", "a."};
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
		assert_ptr_equal(registry_find(h->registry, name), nodes[i]); /* they stay where they are */
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
	assert_string_equal(node_said(node, "state"), ""); /* what the other said is not this one's */
	assert_int_equal(node->sequence, 0);
}

static void test_report(void **state)
{
	struct here *h = *state;
	struct node *node = must_register(h, 1, "a", "web");
	unsigned changes = h->changes;

	assert_string_equal(node_said(node, "state"), "");
	report(h, node, "state", "RUNNING", "deployed", "0123", "sequence", "42", "name", "b", "role", "ledger", NULL);
	assert_true(h->changes > changes);
	assert_string_equal(node_said(node, "state"), "RUNNING");
	assert_string_equal(node_said(node, "deployed"), "0123");
	assert_int_equal(node->sequence, 42);
	assert_string_equal(node->name, "a"); /* who it is is not its to say any more */
	assert_string_equal(node->role, "web");
	assert_string_equal(node_said(node, "name"), "");
	assert_string_equal(node_said(node, "RUNNING"), ""); /* a value is no key */
	/* the next replaces all of it */
	report(h, node, "state", "", "rejected-reason", "\xff is not UTF-8", "other", "\xe2\x82\xac", NULL);
	assert_string_equal(node_said(node, "state"), "");
	assert_string_equal(node_said(node, "deployed"), "");
	assert_string_equal(node_said(node, "rejected-reason"), ""); /* what JSON cannot hold is left out */
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
	assert_int_equal(strlen(node_said(node, "k-aa")), CONTROL_VALUE_MAX); /* whole or not at all */
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
	report(h, node, "state", "RUNNING", "sequence", "9", "note", "\"quoted\" \\ and \xc3\xa4", NULL);
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

/* A folder that cannot be written to: told, and tried again; what is known stays known. */
static void test_unwritable(void **state)
{
	struct here *h = *state;
	struct node *node = must_register(h, 1, "a", "web");
	char *path = home_var(&h->f->home, "admin/nodes/a");

	assert_int_equal(mkdir(path, 0700), 0); /* in the file's place */
	while (node->dirty) /* until it is being written */
		(void)uv_run(&h->loop, UV_RUN_ONCE);
	while (!node->dirty) /* it was not */
		(void)uv_run(&h->loop, UV_RUN_ONCE);
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

	assert_int_equal(fs_write_atomic(h->f->home.var_fd, path, text, strlen(text), 0600, &err), 0);
	free(path);
}

#define GOOD(name)                                                                                 \
	"{\"name\": \"" name "\", \"role\": \"web\", \"key\": "                                    \
	"\"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\", \"firstContact\": 1, \"lastContact\": 2, "  \
	"\"sequence\": 3, \"report\": {\"state\": \"RUNNING\"}}"

static void test_damaged(void **state)
{
	static const char *const bad[] = {
		"", "{", "null", "[]", "{}", "\"a\"", "{\"name\": \"a\"}",
		GOOD("b"),					  /* another's */
		"{\"name\": \"a\", \"role\": \"../..\", \"key\": \"AQ\", \"firstContact\": 1, \"lastContact\": 2, "
		"\"sequence\": 3, \"report\": {}}",
		"{\"name\": \"a\", \"role\": \"web\", \"key\": \"AQ\", \"firstContact\": 1, \"lastContact\": 2, "
		"\"sequence\": 3, \"report\": {}}", /* a short key */
		"{\"name\": \"a\", \"role\": \"web\", \"key\": \"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\", "
		"\"firstContact\": \"1\", \"lastContact\": 2, \"sequence\": 3, \"report\": {}}",
		"{\"name\": \"a\", \"role\": \"web\", \"key\": \"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\", "
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
		assert_string_equal(node_said(registry_find(h->registry, "good"), "state"), "RUNNING");
		assert_ptr_equal(must_register(h, 9, "a", "web"), node); /* and whoever has the name comes */
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
	assert_int_equal(fs_write_atomic(h->f->home.var_fd, "admin/contacts", text, strlen(text), 0600, &err), 0);
	start(h);
}

/* What all said last may be of another time than who they are, or damaged: a line counts for the node it is of, or not at all. */
static void test_contacts(void **state)
{
	struct here *h = *state;

	put_file(h, "a", GOOD("a"));
	put_file(h, "b", GOOD("b"));
	put_contacts(h, "{\"name\": \"a\", \"role\": \"web\", \"key\": \"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\", "
			"\"firstContact\": 1, \"lastContact\": 9, \"sequence\": 8, \"report\": {\"state\": \"ERROR\"}}\n"
			"not json\n"
			"{\"name\": \"../b\"}\n"
			"{\"name\": \"stranger\"}\n"
			"{\"name\": \"b\", \"role\": \"web\", \"key\": \"AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\", "
			"\"firstContact\": 1, \"lastContact\": 9, \"sequence\": 8, \"report\": {\"state\": \"ERROR\"}}\n"
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
	assert_ptr_equal(must_register(h, 1, "a", "web"), node); /* who it is did not change either */
	assert_false(node->dirty);
	restart(h);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(after.st_ino, before.st_ino);
	assert_string_equal(node_said(registry_find(h->registry, "a"), "state"), "RUNNING");
	free(path);
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
		registry_test(test_reports_write_nothing),
	};

	libraries_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
