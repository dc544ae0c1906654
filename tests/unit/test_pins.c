/* admin/pins: which release a revision means for a role, and pins that can only grow. */
#include "publish_in.h"

#include "admin/pins.h"

static struct fixture *three_releases(struct oid *first, struct oid *third)
{
	struct fixture *f = demo();
	struct release release;

	(void)publish_main(f);
	release = tip(f, "internal", first);
	release_clear(&release);
	edit(f, "environment.xml", "<port>8444</port>", "<port>8445</port>");
	git_commit(f, "second");
	(void)publish_main(f);
	put(f, "README.md", "x");
	git_commit(f, "nothing for any role");
	(void)publish_main(f);
	edit(f, "environment.xml", "<port>8445</port>", "<port>8446</port>");
	git_commit(f, "third");
	(void)publish_main(f);
	release = tip(f, "internal", third);
	assert_int_equal(release.sequence, 3);
	release_clear(&release);
	return f;
}

static void revisions_mean_releases(void **unused)
{
	struct oid first, third, second, got;
	struct fixture *f = three_releases(&first, &third);
	struct err err;
	char hex[OID_HEX_SIZE];

	(void)unused;
	assert_int_equal(pin_resolve(&f->home, "internal", "HEAD", &got, &err), 0);
	assert_true(oid_equal(&got, &third));
	assert_int_equal(pin_resolve(&f->home, "internal", "HEAD~1", &second, &err), 0);
	assert_false(oid_equal(&second, &third) || oid_equal(&second, &first));
	assert_int_equal(pin_resolve(&f->home, "internal", "HEAD~2", &got, &err), 0);
	/* its commit, and the one after that changed nothing */
	assert_true(oid_equal(&got, &second));
	assert_int_equal(pin_resolve(&f->home, "internal", oid_hex(&first, hex), &got, &err), 0);
	assert_true(oid_equal(&got, &first));
	hex[7] = '\0';
	assert_int_equal(pin_resolve(&f->home, "internal", hex, &got, &err), 0);
	assert_true(oid_equal(&got, &first));
	fixture_free(f);
}

static void what_means_no_release_is_refused(void **unused)
{
	struct oid first, third, got;
	struct fixture *f = three_releases(&first, &third);
	struct err err;

	(void)unused;
	assert_int_equal(pin_resolve(&f->home, "internal", "HEAD~40", &got, &err), -1);
	assert_int_equal(pin_resolve(&f->home, "internal", "nosuch", &got, &err), -1);
	assert_int_equal(pin_resolve(&f->home, "internal", "", &got, &err), -1);
	assert_int_equal(pin_resolve(&f->home, "internal", "0000000", &got, &err), -1);
	assert_int_equal(pin_resolve(&f->home, "nosuchrole", "HEAD", &got, &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	fixture_free(f);
}

static uint64_t make(struct fixture *f, const char *rev, uint64_t above, struct pin *out)
{
	const struct pin_wish wish = {.node = "node2",
				      .role = "internal",
				      .rev = rev,
				      .reason = "a test",
				      .host = "admin.example.com",
				      .above = above};
	struct pin parsed;
	struct buf raw;
	struct err err = {.code = ERR_NONE};

	buf_init(&raw, PIN_RAW_MAX);
	assert_int_equal(pin_make(&f->home, f->identity, &wish, out, &raw, &err), 0);
	assert_int_equal(pin_parse(raw.data, raw.len, &parsed, &err), 0);
	assert_true(parsed.sequence == out->sequence);
	assert_memory_equal(parsed.signer, f->identity->release_public[0], KEY_SIZE);
	buf_clear(&raw);
	return out->sequence;
}

static void sequences_grow_over_all_that_is_known(void **unused)
{
	struct oid first, third;
	struct fixture *f = three_releases(&first, &third);
	char *releases = home_var(&f->home, ADMIN_RELEASES), said[OUTPUT_MAX];
	struct pin pin;

	(void)unused;
	assert_true(make(f, "HEAD~1", 0, &pin) == 1);
	assert_true(pin.hold);
	assert_true(make(f, NULL, 0, &pin) == 2);
	assert_false(pin.hold);
	assert_true(oid_equal(&pin.release, &third));
	/* an admin restored from an older copy goes on above what the node reports */
	assert_true(make(f, "HEAD", 40, &pin) == 41);
	assert_true(make(f, "HEAD", 7, &pin) == 42);
	assert_int_equal(run(releases, said, "git tag --list"), 0);
	assert_int_equal(run(releases, said, "git for-each-ref refs/pins/"), 0);
	assert_non_null(strstr(said, "tag\trefs/pins/node2"));
	free(releases);
	fixture_free(f);
}

static void a_pin_to_nothing_changes_nothing(void **unused)
{
	struct oid first, third;
	struct fixture *f = three_releases(&first, &third);
	const struct pin_wish wish = {
		.node = "node2", .role = "internal", .rev = "nosuch", .host = "admin.example.com"};
	char *releases = home_var(&f->home, ADMIN_RELEASES), said[OUTPUT_MAX];
	struct pin pin;
	struct buf raw;
	struct err err;

	(void)unused;
	buf_init(&raw, PIN_RAW_MAX);
	assert_int_equal(pin_make(&f->home, f->identity, &wish, &pin, &raw, &err), -1);
	assert_int_equal(raw.len, 0);
	assert_int_equal(run(releases, said, "git for-each-ref refs/pins/"), 0);
	assert_string_equal(said, "");
	buf_clear(&raw);
	free(releases);
	fixture_free(f);
}

static void a_pin_that_is_forgotten_is_gone(void **unused)
{
	struct oid first, third;
	struct fixture *f = three_releases(&first, &third);
	char *releases = home_var(&f->home, ADMIN_RELEASES), said[OUTPUT_MAX];
	struct pin pin;
	struct err err;

	(void)unused;
	assert_int_equal(pins_forget(&f->home, "node2", &err), 0); /* there is none */
	for (int packed = 0; packed < 2; packed++) {
		(void)make(f, "HEAD", 0, &pin);
		if (packed)
			must_run(releases, NULL, "git pack-refs --all");
		must_run(releases, NULL, "git show-ref --verify refs/pins/node2");
		assert_int_equal(pins_forget(&f->home, "node", &err), 0); /* another */
		must_run(releases, NULL, "git show-ref --verify refs/pins/node2");
		assert_int_equal(pins_forget(&f->home, "node2", &err), 0);
		assert_int_equal(run(releases, said, "git for-each-ref refs/pins/"), 0);
		assert_string_equal(said, "");
		assert_int_equal(pins_forget(&f->home, "node2", &err), 0);
	}
	/* the branches are what they were */
	must_run(releases, NULL, "git show-ref --verify refs/heads/internal");
	assert_int_equal(pins_forget(&f->home, "../heads/internal", &err), -1);
	must_run(releases, NULL, "git show-ref --verify refs/heads/internal");
	assert_true(make(f, "HEAD", 0, &pin) == 1);
	free(releases);
	fixture_free(f);
}

/* A number that cannot grow must not start again at the bottom, nor end the process. */
static void sequences_end(void **unused)
{
	struct oid first, third;
	struct fixture *f = three_releases(&first, &third);
	struct pin_wish wish = {.node = "node2",
				.role = "internal",
				.rev = "HEAD",
				.host = "admin.example.com",
				.above = UINT64_MAX};
	struct pin pin;
	struct buf raw;
	struct err err;

	(void)unused;
	buf_init(&raw, PIN_RAW_MAX);
	assert_int_equal(pin_make(&f->home, f->identity, &wish, &pin, &raw, &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	wish.above--;
	assert_int_equal(pin_make(&f->home, f->identity, &wish, &pin, &raw, &err), 0);
	assert_true(pin.sequence == UINT64_MAX);
	buf_clear(&raw);
	fixture_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(revisions_mean_releases),
		cmocka_unit_test(what_means_no_release_is_refused),
		cmocka_unit_test(sequences_grow_over_all_that_is_known),
		cmocka_unit_test(a_pin_to_nothing_changes_nothing),
		cmocka_unit_test(a_pin_that_is_forgotten_is_gone),
		cmocka_unit_test(sequences_end),
	};

	libraries_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
