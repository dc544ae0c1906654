/* admin/keys: epochs and release keys overlap, and what was begun is ended by doing it again. */
#include "publish_in.h"

#include "admin/keys.h"
#include "admin/pins.h"

#define HOST "admin.example.com"

static const struct keys_by by = {.who = "anna/1000", .host = HOST};

static struct identity *on_disk(const struct fixture *f)
{
	struct identity *identity = NULL;
	struct err err;

	assert_int_equal(identity_load(f->home.var_fd, ADMIN_KEY, &identity, &err), 0);
	return identity;
}

static void check_disk(const struct fixture *f)
{
	struct identity *identity = on_disk(f);

	assert_memory_equal(identity, f->identity, sizeof(*identity));
	identity_free(identity);
}

static void check_noted(const struct fixture *f, const char *words)
{
	char *log = read_text(f->home.var, "admin/audit.log");

	if (!strstr(log, words))
		fail_msg("%s is not in %s", words, log);
	free(log);
}

static void check_clean(const struct fixture *f)
{
	static char out[OUTPUT_MAX];
	char *source = source_folder(f);

	must_run(source, out, "git status --porcelain");
	assert_string_equal(out, "");
	free(source);
}

static char *main_of(const struct fixture *f)
{
	static char out[OUTPUT_MAX];
	char *source = source_folder(f);

	must_run(source, out, "git rev-parse main");
	free(source);
	return text_copy(out);
}

/* --- epochs --- */

static void a_new_epoch_reaches_every_role(void **unused)
{
	struct fixture *f = demo();
	struct keys_epoch epoch;
	struct err err;
	char *before, *after;

	(void)unused;
	(void)publish_main(f);
	before = main_of(f);
	assert_int_equal(keys_add_epoch(&f->home, f->identity, &by, &epoch, &err), 0);
	assert_true(epoch.fresh);
	check_noted(f, " anna/1000 rotate-epoch 2\n");
	assert_int_equal(f->identity->root_count, 2);
	check_disk(f);
	check_clean(f);
	after = main_of(f);
	assert_string_not_equal(before, after);
	assert_int_equal(publish_main(f), 2);
	assert_int_equal(sequence_of(f, "internal"), 2);

	/* no third one, and nothing changes */
	assert_int_equal(keys_add_epoch(&f->home, f->identity, &by, &epoch, &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	assert_non_null(strstr(err.text, "--retire"));
	check_disk(f);
	free(before);
	before = main_of(f);
	assert_string_equal(before, after);

	/* its end changes nothing for a role */
	assert_int_equal(keys_end_epoch(&f->home, f->identity, &by, &err), 0);
	check_noted(f, " anna/1000 retire-epoch 1\n");
	assert_int_equal(f->identity->root_count, 1);
	assert_int_equal(f->identity->roots[0].epoch, 2);
	check_disk(f);
	assert_int_equal(publish_main(f), 0);
	assert_int_equal(keys_end_epoch(&f->home, f->identity, &by, &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	free(before);
	free(after);
	fixture_free(f);
}

static void an_epoch_is_refused_before_anything_changes(void **unused)
{
	struct fixture *f = demo();
	struct keys_epoch epoch;
	struct err err;
	char *source = source_folder(f);

	(void)unused;
	put(f, "README.md", "of mine\n");
	assert_int_equal(keys_add_epoch(&f->home, f->identity, &by, &epoch, &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	assert_non_null(strstr(err.text, "README.md"));
	assert_int_equal(f->identity->root_count, 1);
	check_disk(f);
	git_commit(f, "mine");
	must_run(source, NULL, "git checkout -q -b other");
	assert_int_equal(keys_add_epoch(&f->home, f->identity, &by, &epoch, &err), -1);
	assert_non_null(strstr(err.text, "main is not checked out"));
	must_run(source, NULL, "git checkout -q main");
	assert_int_equal(unlinkat(f->home.etc_fd, "secret", 0), 0);
	assert_int_equal(keys_add_epoch(&f->home, f->identity, &by, &epoch, &err), -1);
	assert_int_equal(f->identity->root_count, 1);
	check_disk(f);
	free(source);
	fixture_free(f);
}

/* As a kill leaves it: the key is there, main does not have it. */
static void a_commit_that_was_not_made_is_made(void **unused)
{
	struct fixture *f = demo();
	struct keys_epoch epoch;
	struct err err;
	char *before, *after;

	(void)unused;
	(void)publish_main(f);
	before = main_of(f);
	assert_int_equal(identity_add_root(f->identity, &err), 0);
	assert_int_equal(identity_replace(f->home.var_fd, ADMIN_KEY, f->identity, &err), 0);
	assert_int_equal(keys_add_epoch(&f->home, f->identity, &by, &epoch, &err), 0);
	assert_false(epoch.fresh);
	assert_int_equal(f->identity->roots[0].epoch, 2);
	after = main_of(f);
	assert_string_not_equal(before, after);
	check_clean(f);
	check_disk(f);
	free(before);
	free(after);
	fixture_free(f);
}

/* --- the release key --- */

static struct pin stored_pin(const struct fixture *f, const char *node)
{
	char *path = home_var(&f->home, ADMIN_RELEASES);
	struct repo *repo = NULL;
	struct pin pin;
	struct err err;
	struct buf raw;

	buf_init(&raw, PIN_RAW_MAX);
	assert_int_equal(repo_open(path, &repo, &err), 0);
	assert_int_equal(pin_load(repo, node, &raw, &err), 0);
	assert_int_equal(pin_parse(raw.data, raw.len, &pin, &err), 0);
	buf_clear(&raw);
	repo_free(repo);
	free(path);
	return pin;
}

static void hold(struct fixture *f, const char *node)
{
	const struct pin_wish wish = {
		.node = node, .role = "internal", .rev = "HEAD", .reason = "a fault", .host = HOST};
	struct pin pin;
	struct err err;
	struct buf raw;

	buf_init(&raw, PIN_RAW_MAX);
	assert_int_equal(pin_make(&f->home, f->identity, &wish, &pin, &raw, &err), 0);
	buf_clear(&raw);
}

static void a_release_key_ends_when_all_have_moved(void **unused)
{
	struct fixture *f = demo();
	struct keys_pins pins;
	struct pin before, after;
	uint8_t old[KEY_SIZE];
	struct err err;

	(void)unused;
	(void)publish_main(f);
	hold(f, "node1");
	memcpy(old, f->identity->release_public[0], KEY_SIZE);
	assert_int_equal(keys_add_release(&f->home, f->identity, &by, &err), 0);
	assert_int_equal(f->identity->release_count, 2);
	check_disk(f);
	assert_int_equal(keys_add_release(&f->home, f->identity, &by, &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);

	/*
	 * not before every branch has moved; and a pin that is made meanwhile is one that nodes
	 * believe
	 */
	assert_int_equal(keys_end_release(&f->home, f->identity, &by, &pins, &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	keys_pins_clear(&pins);
	assert_int_equal(f->identity->release_count, 2);
	check_disk(f);
	hold(f, "node2");
	before = stored_pin(f, "node2");
	assert_memory_equal(before.signer, old, KEY_SIZE);

	assert_int_equal(publish_main(f), 2);
	assert_int_equal(keys_end_release(&f->home, f->identity, &by, &pins, &err), 0);
	assert_int_equal(f->identity->release_count, 1);
	check_disk(f);
	check_noted(f, " anna/1000 rotate-release key ");
	check_noted(f, " anna/1000 retire-release key ");
	assert_int_equal(pins.count, 2);
	after = stored_pin(f, "node2");
	assert_memory_equal(after.signer, f->identity->release_public[0], KEY_SIZE);
	assert_int_equal(after.sequence, before.sequence + 1);
	assert_true(after.hold && oid_equal(&after.release, &before.release));
	assert_string_equal(after.reason, before.reason);
	keys_pins_clear(&pins);
	assert_int_equal(publish_main(f), 0);
	fixture_free(f);
}

/* Killed after the first pin: the other one and the old key are left. */
static void an_end_that_was_killed_is_ended(void **unused)
{
	struct fixture *f = demo();
	struct keys_pins pins;
	struct identity *both;
	struct pin once;
	struct err err;

	(void)unused;
	(void)publish_main(f);
	hold(f, "node1");
	assert_int_equal(keys_add_release(&f->home, f->identity, &by, &err), 0);
	both = identity_copy(f->identity);
	assert_int_equal(publish_main(f), 2);
	assert_int_equal(keys_end_release(&f->home, f->identity, &by, &pins, &err), 0);
	keys_pins_clear(&pins);
	once = stored_pin(f, "node1");
	assert_int_equal(identity_replace(f->home.var_fd, ADMIN_KEY, both, &err), 0);
	assert_int_equal(publish_main(f), 0);
	assert_int_equal(keys_end_release(&f->home, both, &by, &pins, &err), 0);
	assert_int_equal(pins.count, 0);
	assert_int_equal(both->release_count, 1);
	assert_int_equal(stored_pin(f, "node1").sequence, once.sequence);
	keys_pins_clear(&pins);
	identity_free(both);
	fixture_free(f);
}

/*
 * Somebody put a pin into the repository that no key of this cluster signed: the end of a key
 * change does not sign it.
 */
static void a_strangers_pin_is_not_signed(void **unused)
{
	static const uint8_t seed[KEY_SIZE] = {7};
	struct fixture *f = demo();
	char *path = home_var(&f->home, ADMIN_RELEASES);
	struct repo *repo = NULL;
	struct keys_pins pins;
	struct pin pin, after;
	struct buf raw;
	struct err err;

	(void)unused;
	(void)publish_main(f);
	hold(f, "node1");
	pin = stored_pin(f, "node1");
	memcpy(pin.node, "node2", sizeof("node2"));
	buf_init(&raw, PIN_RAW_MAX);
	pin_sign(&pin, seed, &raw);
	assert_int_equal(repo_open(path, &repo, &err), 0);
	assert_int_equal(pin_store(repo, "node2", &raw, &err), 0);
	repo_free(repo);
	pin = stored_pin(f, "node2");
	assert_int_equal(keys_add_release(&f->home, f->identity, &by, &err), 0);
	assert_int_equal(publish_main(f), 2);
	assert_int_equal(keys_end_release(&f->home, f->identity, &by, &pins, &err), 0);
	assert_int_equal(pins.count, 1);
	assert_string_equal(pins.list[0].pin.node, "node1");
	after = stored_pin(f, "node2");
	assert_int_equal(after.sequence, pin.sequence);
	assert_memory_equal(after.signer, pin.signer, KEY_SIZE);
	keys_pins_clear(&pins);
	buf_clear(&raw);
	free(path);
	fixture_free(f);
}

static void the_old_key_stays_for_old_releases(void **unused)
{
	static char out[OUTPUT_MAX];
	struct fixture *f = demo();
	char *path = home_var(&f->home, ADMIN_RELEASES);
	struct keys_pins pins;
	struct err err;

	(void)unused;
	(void)publish_main(f);
	assert_int_equal(keys_add_release(&f->home, f->identity, &by, &err), 0);
	assert_int_equal(publish_main(f), 2);
	assert_int_equal(keys_end_release(&f->home, f->identity, &by, &pins, &err), 0);
	keys_pins_clear(&pins);
	must_run(path, out, "git rev-list --count internal");
	assert_string_equal(out, "3\n");
	must_run(path, NULL, "git verify-commit internal internal~1 internal~2");
	free(path);
	fixture_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_epoch_reaches_every_role),
		cmocka_unit_test(an_epoch_is_refused_before_anything_changes),
		cmocka_unit_test(a_commit_that_was_not_made_is_made),
		cmocka_unit_test(a_release_key_ends_when_all_have_moved),
		cmocka_unit_test(an_end_that_was_killed_is_ended),
		cmocka_unit_test(a_strangers_pin_is_not_signed),
		cmocka_unit_test(the_old_key_stays_for_old_releases),
	};

	libraries_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
