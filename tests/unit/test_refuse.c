/* What a publication refuses, and what stops it: nothing is changed, and the state says why. */
#include "publish_in.h"

static void test_bad_configuration(void **unused)
{
	struct fixture *f = demo();
	struct admin_state state;

	(void)unused;
	(void)publish_main(f);
	edit(f, "environment.xml", "<endpoints>internal-tokens-token<",
	     "<endpoints>no-such-endpoint<");
	git_commit(f, "breaks");
	must_refuse(f, "check", "environment.xml:");
	must_refuse(f, "check", "no-such-endpoint"); /* told again, the same */
	edit(f, "environment.xml", "<endpoints>no-such-endpoint<",
	     "<endpoints>internal-tokens-token<");
	edit(f, "tokens.xml", "<access-token-ttl>300<", "<access-token-ttl>120<");
	git_commit(f, "mends");
	assert_int_equal(publish_main(f), 1);
	assert_int_equal(state_read(f->home.var_fd, &state, NULL), 0);
	assert_false(state.has_refused);
	state_clear(&state);

	put(f, "broken.xml",
	    "<config xmlns=\"http://tail-f.com/ns/config/1.0\">\n<oops>\n</config>\n");
	git_commit(f, "no XML");
	must_refuse(f, "load", "broken.xml:");
	put(f, "broken.xml", "<configuration/>\n");
	git_commit(f, "wrong root");
	must_refuse(f, "load", "broken.xml:1:");
	put(f, "broken.xml",
	    "<config xmlns=\"http://tail-f.com/ns/config/1.0\">\n"
	    "<environments xmlns=\"https://curity.se/ns/conf/base\"><environment>\n"
	    "<base-url>https://other.example.com</base-url></environment></environments></"
	    "config>\n");
	git_commit(f, "two values");
	must_refuse(f, "load", "environment.xml:4");
	fixture_free(f);
}

/* What may not stand in a configuration, though it is well-formed and each part of it is fine. */
static void test_mistakes(void **unused)
{
	static const struct {
		const char *file, *old, *new, *want;
	} mistakes[] = {
		{"environment.xml", "<protocol>http<", "<protocol>https<",
		 "environment.xml:9: "
		 "/environments/environment/services/service-role[default]/protocol: https without "
		 "a key "
		 "store"},
		{"environment.xml", "<protocol>http<", "<zone>z</zone><protocol>http<",
		 "environment.xml:9: "
		 "/environments/environment/services/service-role[default]/zone: \"z\" is not in "
		 "services/zones/zone"},
		{"environment.xml", "https://login", "https://#{MUSTER_X}",
		 "environment.xml:4: /environments/environment/base-url: no parameter may be named "
		 "MUSTER_*"},
		{"environment.xml", "https://login", "https://#{X", "begins no parameter"},
		{"environment.xml", "<id>default<", "<id>#{ROLE | default}<",
		 "no parameter may stand in a key"},
	};
	struct fixture *f = demo();

	(void)unused;
	(void)publish_main(f);
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		edit(f, mistakes[i].file, mistakes[i].old, mistakes[i].new);
		git_commit(f, "a mistake");
		must_refuse(f, "check", mistakes[i].want);
		edit(f, mistakes[i].file, mistakes[i].new, mistakes[i].old);
	}
	git_commit(f, "mended");
	assert_int_equal(publish_main(f), 0);
	fixture_free(f);
}

/* A site's own schema is minded from the commit on that brings it, and travels. */
static void test_schema(void **unused)
{
	static const char schema[] =
		"<grammar xmlns='http://relaxng.org/ns/structure/1.0'"
		" datatypeLibrary='http://www.w3.org/2001/XMLSchema-datatypes'>\n"
		"<start><ref name='any'/></start><define name='any'><element><choice><anyName>"
		"<except><name "
		"ns='https://curity.se/ns/conf/base'>base-url</name></except></anyName></choice>"
		"<zeroOrMore><attribute><anyName/></attribute></"
		"zeroOrMore><mixed><zeroOrMore><choice>"
		"<ref name='any'/><element name='base-url' ns='https://curity.se/ns/conf/base'>"
		"<data type='anyURI'><param name='pattern'>https://.*</param></data></element>"
		"</choice></zeroOrMore></mixed></element></define></grammar>\n";
	struct fixture *f = demo();
	char *sent;

	(void)unused;
	put(f, "schema/site.rng", schema);
	git_commit(f, "our schema");
	assert_int_equal(publish_main(f), 2);
	sent = released(f, "internal", "schema/site.rng");
	assert_string_equal(sent, schema);
	free(sent);
	edit(f, "environment.xml", "https://login", "http://login");
	git_commit(f, "breaks it");
	must_refuse(f, "check",
		    "environment.xml:4: /environments/environment/base-url: "
		    "\"http://login.example.com\" may not be "
		    "the value here (schema/site.rng)");
	edit(f, "environment.xml", "http://login", "#{SCHEME}://login");
	git_commit(f, "a parameter");
	assert_int_equal(publish_main(f), 2);
	put(f, "schema/site.rng", "<grammar>");
	git_commit(f, "no schema");
	must_refuse(f, "check", "schema/site.rng:1: ");
	fixture_free(f);
}

/* XML that is made to harm whoever reads it: refused where it is read, with its line. */
static void test_harmful(void **unused)
{
	static const struct {
		const char *file, *want;
	} bad[] = {
		{"laughs.xml", "x.xml:"},   {"external.xml", "x.xml:"}, {"xinclude.xml", "x.xml:"},
		{"doctype.xml", "x.xml:"},  {"cdata.xml", "x.xml:"},	 {"utf8.xml", "x.xml:"},
		{"latin1.xml", "x.xml:"},   {"mixed.xml", "x.xml:"},	 {"outside.xml", "x.xml:"},
		{"unclosed.xml", "x.xml:"},
	};
	struct fixture *f = demo();
	char *source = source_folder(f);
	struct buf deep;

	(void)unused;
	(void)publish_main(f);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char *from = text_format("%s/tests/fixtures/bad/%s", TEST_SRCDIR, bad[i].file);
		char *to = text_format("%s/x.xml", source);

		must_run("/", NULL, "cp %s %s", from, to);
		git_commit(f, bad[i].file);
		must_refuse(f, "load", bad[i].want);
		free(from);
		free(to);
	}
	buf_init(&deep, 1 << 20);
	buf_puts(&deep, "<config xmlns=\"http://tail-f.com/ns/config/1.0\">");
	for (int i = 0; i < 10000; i++)
		buf_puts(&deep, "<a>");
	put(f, "x.xml", buf_text(&deep));
	git_commit(f, "deep");
	must_refuse(f, "load", "x.xml:1: too many elements within each other");
	buf_clear(&deep);
	must_run(source, NULL, "rm x.xml");
	git_commit(f, "gone");
	assert_int_equal(publish_main(f), 0);
	free(source);
	fixture_free(f);
}

/* Back on the published commit the refusal is over, though there is nothing to publish. */
static void test_reset_after_refusal(void **unused)
{
	struct fixture *f = demo();
	struct admin_state state;
	char *source = source_folder(f);

	(void)unused;
	(void)publish_main(f);
	put(f, "broken.xml", "<oops");
	git_commit(f, "breaks");
	must_refuse(f, "load", "broken.xml");
	must_run(source, NULL, "git reset -q --hard HEAD~1");
	assert_int_equal(publish_main(f), 0);
	assert_int_equal(state_read(f->home.var_fd, &state, NULL), 0);
	assert_true(state.has_published && !state.has_refused);
	state_clear(&state);
	free(source);
	fixture_free(f);
}

/* A5: what a source message says must not pass for what the admin says. */
static void test_smuggled_trailer(void **unused)
{
	static const char *const bad[] = {
		"x\n\nMuster-Role: default\n",   "x\n\nMuster-Keys: AAAA\n",
		"Muster-Sequence: 9\n",          "x\n\nMuster-Role-State: removed\n\nmore\n",
		"x\n\nMuster-Anything at all\n", "x\n\nMuster-Allow-Shrink: no\n",
	};
	struct fixture *f = demo();
	char *source = source_folder(f);

	(void)unused;
	(void)publish_main(f);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char hex[OUTPUT_MAX], *reason;

		put(f, "README.md", bad[i]);
		edit(f, "tokens.xml", "<access-token-ttl>300<", "<access-token-ttl>301<");
		git_commit(f, bad[i]);
		must_run(source, hex, "git rev-parse HEAD");
		reason = text_format("commit %.12s: message, line ", hex);
		must_refuse(f, "load", reason);
		/* another commit on top does not hide it */
		put(f, "NOTES", "x");
		git_commit(f, "harmless");
		must_refuse(f, "load", reason);
		free(reason);
		must_run(source, NULL, "git reset -q --hard HEAD~2");
	}
	edit(f, "tokens.xml", "<access-token-ttl>300<", "<access-token-ttl>120<");
	git_commit(f, "fine\n\nMuster-Via: page\nMuster-Allow-Shrink: yes\n");
	assert_int_equal(publish_main(f), 1);
	free(source);
	fixture_free(f);
}

static void test_bad_files(void **unused)
{
	struct fixture *f = demo();
	char *source = source_folder(f);
	static const struct {
		const char *path, *text, *step, *reason;
	} bad[] = {
		{"files/loose", "x", "slice", "files/loose: is for no role"},
		{"files/common/key.pem", "-----BEGIN EC PRIVATE KEY-----\nMHc\n", "load",
		 "files/common/key.pem: a private key"},
		{"files/internal/id", "a\n-----BEGIN PRIVATE KEY-----\n", "load",
		 "files/internal/id"},
		{"files/internal/a", "x", "slice", "files/common/a"},
		{"files/internal/a/b", "x", "slice", "files/common/a"},
		{"files/default/dir", "x", "slice", "files/dir/c"},
	};

	(void)unused;
	put(f, "files/common/a", "x");
	put(f, "files/common/dir/c", "x");
	git_commit(f, "common");
	(void)publish_main(f);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		put(f, bad[i].path, bad[i].text);
		git_commit(f, "bad file");
		must_refuse(f, bad[i].step, bad[i].reason);
		must_run(source, NULL, "git reset -q --hard HEAD~1");
	}
	must_run(source, NULL, "ln -s /etc/passwd files/common/link");
	git_commit(f, "a link");
	must_refuse(f, "load", "link: mode 120000");
	free(source);
	fixture_free(f);
}

#define CLUSTER_FILE(inner)                                                                        \
	"<config xmlns=\"http://tail-f.com/ns/config/1.0\">\n"                                     \
	"  <environments xmlns=\"https://curity.se/ns/conf/base\">\n    <environment>\n" inner     \
	"    </environment>\n  </environments>\n</config>\n"

static void test_cluster_element(void **unused)
{
	struct fixture *f = demo();
	struct keystore *keystore = keystore_for(f->identity, "*");
	struct identity *other = identity_new();
	struct buf text;
	char *file;

	(void)unused;
	(void)publish_main(f);
	put(f, "cluster.xml", CLUSTER_FILE(""));
	git_commit(f, "no cluster");
	must_refuse(f, "check", "no cluster element");
	put(f, "cluster.xml",
	    CLUSTER_FILE("<cluster><host>other.example.com</host><port>7000</port></cluster>\n"));
	git_commit(f, "moved");
	assert_int_equal(publish_main(f), 2);
	assert_true(released_has(f, "internal", "config.xml", "<host>other.example.com</host>"));
	assert_true(released_has(f, "internal", "config.xml", "<port>7000</port>"));

	/* our own keystore in it: each slice gets its role's, not this one */
	buf_init(&text, 1 << 16);
	keystore_format(keystore, &text);
	file = text_format(
		CLUSTER_FILE("<cluster><keystore>%s</keystore><host>other.example.com</host>"
			     "<port>7000</port></cluster>\n"),
		buf_text(&text));
	put(f, "cluster.xml", file);
	git_commit(f, "ours");
	assert_int_equal(publish_main(f), 0);
	assert_false(released_has(f, "internal", "config.xml", buf_text(&text)));
	free(file);
	keystore_free(keystore);
	keystore = keystore_for(other, "*");
	buf_reset(&text);
	keystore_format(keystore, &text);
	file = text_format(
		CLUSTER_FILE("<cluster><keystore>%s</keystore><host>other.example.com</host>"
			     "<port>7000</port></cluster>\n"),
		buf_text(&text));
	put(f, "cluster.xml", file);
	git_commit(f, "of another cluster");
	must_refuse(f, "check", "of another cluster");
	free(file);
	buf_clear(&text);
	keystore_free(keystore);
	identity_free(other);
	fixture_free(f);
}

/* Faults of the admin's own: not the commit's, so nothing is refused; an error, and again later. */
static void test_failures(void **unused)
{
	struct fixture *f = demo();
	struct publication publication;
	struct oid missing = {.id = {1}};
	char *source = source_folder(f), *releases = home_var(&f->home, ADMIN_RELEASES), *before;

	(void)unused;
	(void)publish_main(f);
	before = all_refs(f);
	assert_int_equal(publish_with(f, &missing, &publication), -1);
	assert_false(publication.refused);
	publication_clear(&publication);
	must_run(source, NULL, "git branch -q -m main trunk");
	assert_int_equal(publish_with(f, NULL, &publication), -1);
	publication_clear(&publication);
	must_run(source, NULL, "git branch -q -m trunk main");
	must_run(f->folder, NULL, "mv var/admin/release.git var/away");
	assert_int_equal(publish_with(f, NULL, &publication), -1);
	publication_clear(&publication);
	must_run(f->folder, NULL, "mv var/away var/admin/release.git");
	assert_int_equal(publish_main(f), 0);

	/* a lock on a branch that someone else holds */
	edit(f, "tokens.xml", "<access-token-ttl>300<", "<access-token-ttl>120<");
	git_commit(f, "locked");
	write_text(releases, "refs/heads/internal.lock", "");
	assert_int_equal(publish_with(f, NULL, &publication), -1);
	assert_false(publication.refused);
	publication_clear(&publication);
	must_run(releases, NULL, "rm refs/heads/internal.lock");
	assert_int_equal(publish_main(f), 1);
	free(before);
	free(releases);
	free(source);
	fixture_free(f);
}

/* A branch that does not hold our releases is never built upon. */
static void test_foreign_branch(void **unused)
{
	struct fixture *f = demo();
	char *releases = home_var(&f->home, ADMIN_RELEASES), oid[OUTPUT_MAX];

	(void)unused;
	(void)publish_main(f);
	must_run(releases, oid, "git commit-tree -m unsigned internal^{tree}");
	oid[OID_HEX] = '\0';
	must_run(releases, NULL, "git update-ref refs/heads/internal %s", oid);
	edit(f, "tokens.xml", "<access-token-ttl>300<", "<access-token-ttl>120<");
	git_commit(f, "on top of what");
	must_refuse(f, "sign", "refs/heads/internal");
	/* another role's release on this role's branch */
	must_run(releases, NULL, "git update-ref refs/heads/internal refs/heads/default");
	must_refuse(f, "sign", "another cluster or role");
	free(releases);
	fixture_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_configuration),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_schema),
		cmocka_unit_test(test_harmful),
		cmocka_unit_test(test_reset_after_refusal),
		cmocka_unit_test(test_smuggled_trailer),
		cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_cluster_element),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_foreign_branch),
	};

	libraries_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
