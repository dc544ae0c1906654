/*
 * The branches of release.git over time: roles that go and come back, a main that was rewritten,
 * keys that change, and what a kill left half done.
 */
#include "publish_in.h"

#include "crypto/encode.h"

static void test_removed_role(void **unused)
{
	struct fixture *f = demo();
	struct publication publication;
	struct release before, after;
	struct oid oid;
	char *text;

	(void)unused;
	(void)publish_main(f);
	before = tip(f, "internal", &oid);
	text = text_copy("        <service-role>\n          <id>internal</id>\n"
			 "          <location>Inner network</location>\n          "
			 "<protocol>http</protocol>\n"
			 "          <port>8444</port>\n"
			 "          <endpoints>internal-tokens-introspect</endpoints>\n"
			 "          <endpoints>internal-tokens-token</endpoints>\n        "
			 "</service-role>\n");
	edit(f, "environment.xml", text, "        <!-- gone -->\n");
	git_commit(f, "no internal network any more");
	assert_int_equal(publish_with(f, NULL, &publication), 0);
	assert_int_equal(publication.role_count, 2);
	assert_true(publication.roles[1].removed && publication.roles[1].changed);
	publication_clear(&publication);
	after = tip(f, "internal", NULL);
	assert_true(after.removed);
	assert_int_equal(after.sequence, 2);
	assert_true(oid_equal(&after.tree, &before.tree));
	assert_memory_equal(after.digest, before.digest, DIGEST_SIZE);
	assert_string_equal(after.message, "publish 0 commits\n");
	assert_string_equal(after.author, after.committer);
	release_clear(&after);

	/* once */
	put(f, "README.md", "x");
	git_commit(f, "else");
	assert_int_equal(publish_main(f), 0);
	assert_int_equal(sequence_of(f, "internal"), 2);

	/* back, with what it had: its branch goes on */
	edit(f, "environment.xml", "        <!-- gone -->\n", text);
	git_commit(f, "internal again");
	assert_int_equal(publish_main(f), 1);
	after = tip(f, "internal", NULL);
	assert_false(after.removed);
	assert_int_equal(after.sequence, 3);
	assert_true(oid_equal(&after.tree, &before.tree));
	assert_string_equal(after.message, "internal again\n");
	release_clear(&after);
	release_clear(&before);
	free(text);
	fixture_free(f);
}

/* D8: releases have a chain of their own, which is never rewound. */
static void test_forced(void **unused)
{
	struct fixture *f = demo();
	struct publication publication;
	struct release first, release;
	struct oid oid;
	char *source = source_folder(f);

	(void)unused;
	(void)publish_main(f);
	first = tip(f, "internal", NULL);
	edit(f, "tokens.xml", "<access-token-ttl>300<", "<access-token-ttl>120<");
	git_commit(f, "shorter");
	(void)publish_main(f);
	release = tip(f, "internal", &oid);
	release_clear(&release);
	must_run(source, NULL, "git reset -q --hard HEAD~1");
	assert_int_equal(publish_with(f, NULL, &publication), 0);
	assert_true(publication.rewritten);
	assert_int_equal(publication.commits, 0);
	publication_clear(&publication);
	release = tip(f, "internal", NULL);
	assert_int_equal(release.sequence, 3);
	assert_true(oid_equal(&release.parent, &oid));
	assert_true(oid_equal(&release.tree, &first.tree));
	assert_string_equal(release.message, "publish 0 commits\n");
	release_clear(&release);

	/* a history of its own altogether, and the old one gone from the repository */
	must_run(source, NULL, "git checkout -q --orphan other");
	edit(f, "tokens.xml", "<access-token-ttl>300<", "<access-token-ttl>60<");
	git_commit(f, "begin again");
	must_run(source, NULL, "git branch -q -M other main");
	must_run(source, NULL, "git reflog expire --expire=now --all");
	must_run(source, NULL, "git gc -q --prune=now");
	assert_int_equal(publish_with(f, NULL, &publication), 0);
	assert_true(publication.rewritten);
	assert_int_equal(publication.commits, 1);
	publication_clear(&publication);
	assert_int_equal(sequence_of(f, "internal"), 4);
	release_clear(&first);
	free(source);
	fixture_free(f);
}

/* A kill after one branch moved and before the other did, or before the state was written. */
static void test_half_published(void **unused)
{
	struct fixture *f = demo();
	struct release release;
	struct oid done, was;
	char *folder = home_var(&f->home, ADMIN_RELEASES), *state, hex[OID_HEX_SIZE];

	(void)unused;
	(void)publish_main(f);
	state = read_text(f->home.var, ADMIN_STATE_FILE);
	release = tip(f, "internal", &was);
	release_clear(&release);
	edit(f, "tokens.xml", "<access-token-ttl>300<", "<access-token-ttl>120<");
	edit(f, "login.xml", "<description>Sign in<", "<description>Welcome<");
	git_commit(f, "both");
	assert_int_equal(publish_main(f), 2);
	release = tip(f, "default", &done);
	release_clear(&release);

	must_run(folder, NULL, "git update-ref refs/heads/internal %s", oid_hex(&was, hex));
	write_text(f->home.var, ADMIN_STATE_FILE, state);
	assert_int_equal(publish_main(f), 1);
	release = tip(f, "internal", NULL);
	assert_int_equal(release.sequence, 2);
	assert_string_equal(release.message, "both\n");
	assert_string_equal(release.author, "Ada Writer <ada@example.com> 1700000000 +0100");
	release_clear(&release);
	release = tip(f, "default", &was);
	assert_true(oid_equal(&was, &done));
	release_clear(&release);

	/* all branches moved, the state not written */
	write_text(f->home.var, ADMIN_STATE_FILE, state);
	assert_int_equal(publish_main(f), 0);
	/* a branch lost although the state is there */
	must_run(folder, NULL, "git update-ref refs/heads/internal refs/heads/internal~1");
	assert_int_equal(publish_main(f), 1);
	/* the state lost or damaged: the branches are the truth */
	write_text(f->home.var, ADMIN_STATE_FILE, "{]");
	assert_int_equal(publish_main(f), 0);
	assert_int_equal(sequence_of(f, "internal"), 2);
	free(state);
	free(folder);
	fixture_free(f);
}

/* An identity with these release keys, first to last, else like FROM. */
static struct identity *with_keys(const struct identity *from, const uint8_t *first,
				  const uint8_t *second)
{
	struct identity *out = NULL;
	struct err err;
	struct buf text;
	char *release;

	buf_init(&text, 1 << 16);
	identity_format(from, &text);
	release = strstr((char *)text.data, "release ");
	assert_non_null(release);
	text.len = (size_t)(release - (char *)text.data);
	for (int i = 0; i < 2; i++) {
		const uint8_t *seed = i == 0 ? first : second;

		if (!seed)
			continue;
		buf_puts(&text, "release ");
		encode_base64url(&text, seed, KEY_SIZE);
		buf_puts(&text, "\n");
	}
	assert_int_equal(identity_parse(buf_text(&text), text.len, &out, &err), 0);
	buf_clear(&text);
	return out;
}

static void use(struct fixture *f, struct identity *identity)
{
	identity_free(f->identity);
	f->identity = identity;
}

static struct release read_release(const struct fixture *f, const struct oid *oid)
{
	char *path = home_var(&f->home, ADMIN_RELEASES);
	struct release release = {.sequence = 0};
	struct repo *repo = NULL;
	struct err err;
	struct buf raw;

	buf_init(&raw, LIMIT_COMMIT_SIZE);
	assert_int_equal(repo_open(path, &repo, &err), 0);
	assert_int_equal(repo_commit_raw(repo, oid, &raw, &err), 0);
	assert_int_equal(release_parse(raw.data, raw.len, &release, &err), 0);
	buf_clear(&raw);
	repo_free(repo);
	free(path);
	return release;
}

/* Signed by this key, and only it may go on. */
static void check_tip(const struct release *release, const uint8_t *seed)
{
	uint8_t public[KEY_SIZE];

	key_release_public(seed, public);
	assert_memory_equal(release->signer, public, KEY_SIZE);
	assert_int_equal(release->key_count, 1);
	assert_memory_equal(release->keys[0], public, KEY_SIZE);
	assert_string_equal(release->message, "publish 0 commits\n");
}

static void test_key_change(void **unused)
{
	struct fixture *f = demo();
	uint8_t old[KEY_SIZE], new[KEY_SIZE];
	struct release release, before;
	struct oid main_oid, before_oid, oid;

	(void)unused;
	crypto_random(new, sizeof(new));
	memcpy(old, f->identity->release_seed[0], KEY_SIZE);
	(void)publish_main(f);
	edit(f, "environment.xml", "<id>internal</id>", "<id>inner</id>");
	git_commit(f, "renamed");
	assert_int_equal(publish_main(f), 2); /* inner is new, internal is removed */

	before = tip(f, "internal", &before_oid);

	/*
	 * two releases a branch in one go, on the removed one too: the old key names the new one,
	 * the new one goes on
	 */
	use(f, with_keys(f->identity, new, old));
	assert_int_equal(publish_main(f), 3);
	release = tip(f, "internal", NULL);
	assert_true(release.removed);
	assert_int_equal(release.sequence, 4);
	main_oid = release.source;
	check_tip(&release, new);
	oid = release.parent;
	release_clear(&release);
	release = read_release(f, &oid);
	assert_true(release.removed);
	assert_memory_equal(release.signer, before.signer, KEY_SIZE);
	assert_int_equal(release.key_count, 1);
	assert_memory_equal(release.keys[0], f->identity->release_public[0], KEY_SIZE);
	assert_true(oid_equal(&release.parent, &before_oid));
	assert_true(oid_equal(&release.tree, &before.tree));
	assert_true(oid_equal(&release.source, &before.source));
	release_clear(&release);
	release_clear(&before);
	assert_int_equal(publish_main(f), 0);

	/* then the old one is of no use, and nothing is to be done without it */
	use(f, with_keys(f->identity, new, NULL));
	assert_int_equal(publish_main(f), 0);
	release = tip(f, "default", NULL);
	check_tip(&release, new);
	assert_true(oid_equal(&release.source, &main_oid));
	release_clear(&release);

	/* the old key is not among those that may sign next */
	use(f, with_keys(f->identity, old, NULL));
	must_refuse(f, "sign", "names no key of cluster.key");
	/* nor is another cluster's identity */
	use(f, identity_new());
	must_refuse(f, "check", "another cluster");
	fixture_free(f);
}

/* A clock that was far ahead once: no release is dated before its parent. */
static void test_clock(void **unused)
{
	struct fixture *f = demo();
	char *path = home_var(&f->home, ADMIN_RELEASES);
	struct release release;
	struct repo *repo = NULL;
	struct err err = {.code = ERR_NONE};
	struct oid before, after;
	struct buf raw;

	(void)unused;
	(void)publish_main(f);
	release = tip(f, "internal", &before);
	release.has_parent = true;
	release.parent = before;
	release.sequence++;
	free(release.committer);
	release.committer = release_committer("admin.example.com", 4102444800);
	buf_init(&raw, LIMIT_COMMIT_SIZE);
	assert_int_equal(release_sign(&release, f->identity->release_seed[0], &raw, &err), 0);
	assert_int_equal(repo_open(path, &repo, &err), 0);
	assert_int_equal(repo_commit_write(repo, raw.data, raw.len, &after, &err), 0);
	assert_int_equal(repo_ref_set(repo, "refs/heads/internal", &before, &after, &err), 0);
	release_clear(&release);
	edit(f, "tokens.xml", "<access-token-ttl>300<", "<access-token-ttl>120<");
	git_commit(f, "later");
	assert_int_equal(publish_main(f), 1);
	release = tip(f, "internal", NULL);
	assert_string_equal(release.committer, "muster <admin@admin.example.com> 4102444800 +0000");
	release_clear(&release);
	buf_clear(&raw);
	repo_free(repo);
	free(path);
	fixture_free(f);
}

/* The commit to publish may be named: an older one goes on top, as any. */
static void test_named_commit(void **unused)
{
	struct fixture *f = demo();
	struct publication publication;
	char *source = source_folder(f), hex[OUTPUT_MAX];
	struct oid first;

	(void)unused;
	must_run(source, hex, "git rev-parse HEAD");
	hex[OID_HEX] = '\0';
	assert_int_equal(oid_parse(hex, &first), 0);
	edit(f, "tokens.xml", "<access-token-ttl>300<", "<access-token-ttl>120<");
	git_commit(f, "newer");
	(void)publish_main(f);
	assert_int_equal(publish_with(f, &first, &publication), 0);
	assert_true(publication.rewritten && !publication.refused);
	assert_int_equal(publication_changed(&publication), 1);
	publication_clear(&publication);
	assert_int_equal(sequence_of(f, "internal"), 2);
	free(source);
	fixture_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_removed_role),   cmocka_unit_test(test_forced),
		cmocka_unit_test(test_half_published), cmocka_unit_test(test_key_change),
		cmocka_unit_test(test_clock),          cmocka_unit_test(test_named_commit),
	};

	libraries_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
