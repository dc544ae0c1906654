/*
 * The publication, on real authoring repositories that stock git works in: what makes a release and
 * what does not, and what is in it.
 */
#include "config/cluster.h"
#include "config/seal.h"
#include "publish_in.h"

#include <time.h>

#define CORPUS TEST_SRCDIR "/../shared/corpus"

static void test_first(void **unused)
{
	struct fixture *f = demo();
	struct admin_state state;
	struct release release;
	struct publication publication;
	struct oid oid;
	char out[OUTPUT_MAX], *source = source_folder(f);

	(void)unused;
	assert_int_equal(publish_main(f), 2);
	release = tip(f, "internal", &oid);
	assert_int_equal(release.sequence, 1);
	assert_false(release.has_parent || release.removed);
	assert_true(text_starts(release.author, "muster <admin@admin.example.com> "));
	assert_true(text_starts(release.committer, "muster <admin@admin.example.com> "));
	assert_string_equal(release.message, "configuration of etc/init\n");
	assert_memory_equal(release.cluster_id, f->identity->cluster_id, CLUSTER_ID_SIZE);
	assert_memory_equal(release.signer, f->identity->release_public[0], KEY_SIZE);
	must_run(source, out, "git rev-parse HEAD");
	out[OID_HEX] = '\0';
	assert_int_equal(oid_parse(out, &oid), 0);
	assert_true(oid_equal(&oid, &release.source));
	release_clear(&release);

	assert_true(released_has(f, "internal", "config.xml", "<id>internal-tokens</id>"));
	assert_false(released_has(f, "internal", "config.xml", "customer-login"));
	assert_true(released_has(f, "default", "config.xml", "customer-login"));
	assert_true(released_has(f, "default", "config.xml", "<host>admin.example.com</host>"));
	assert_true(released_has(f, "default", "config.xml", "<port>6789</port>"));
	assert_true(released_has(f, "default", "config.xml", "<keystore>muster:1:"));

	assert_int_equal(state_read(f->home.var_fd, &state, NULL), 0);
	assert_true(state.has_published && !state.has_refused);
	assert_true(oid_equal(&state.source, &oid));
	assert_int_equal(state.role_count, 2);
	assert_string_equal(state.roles[0].name, "default");
	assert_int_equal(state.roles[1].sequence, 1);
	state_clear(&state);

	/* again: nothing to do, and all roles are told */
	assert_int_equal(publish_with(f, NULL, &publication), 0);
	assert_int_equal(publication_changed(&publication), 0);
	assert_int_equal(publication.role_count, 2);
	assert_string_equal(publication.roles[1].name, "internal");
	assert_int_equal(publication.roles[1].sequence, 1);
	assert_false(oid_is_zero(&publication.roles[1].release));
	publication_clear(&publication);
	free(source);
	fixture_free(f);
}

static void test_one_role(void **unused)
{
	struct fixture *f = demo();
	struct release before, after;
	struct oid first, second, other, other_after;

	(void)unused;
	(void)publish_main(f);
	before = tip(f, "internal", &first);
	release_clear(&before);
	before = tip(f, "default", &other);
	release_clear(&before);
	edit(f, "tokens.xml", "<access-token-ttl>300<", "<access-token-ttl>120<");
	git_commit(f, "shorter tokens\n\nfor billing\n\n\n");
	assert_int_equal(publish_main(f), 1);
	after = tip(f, "internal", &second);
	assert_int_equal(after.sequence, 2);
	assert_true(after.has_parent && oid_equal(&after.parent, &first));
	assert_string_equal(after.author, "Ada Writer <ada@example.com> 1700000000 +0100");
	assert_true(text_starts(after.committer, "muster <admin@admin.example.com> "));
	assert_true(text_ends(after.committer, " +0000"));
	assert_string_equal(after.message, "shorter tokens\n\nfor billing\n");
	release_clear(&after);
	after = tip(f, "default", &other_after);
	assert_true(oid_equal(&other, &other_after));
	release_clear(&after);
	fixture_free(f);
}

/* Every file and folder of release.git, and when it was written: any write is seen. */
static char *all_writes(const struct fixture *f)
{
	static char out[OUTPUT_MAX];
	char *folder = home_var(&f->home, ADMIN_RELEASES);

	must_run(folder, out, "find . -printf %s", "%p %i %s %T@ %C@\\n");
	free(folder);
	return text_copy(out);
}

/*
 * A commit that changes no slice makes no release and writes nothing, and is published all the
 * same.
 */
static void test_no_role(void **unused)
{
	struct fixture *f = demo();
	struct admin_state before, after;
	char *wrote, *writes;

	(void)unused;
	(void)publish_main(f);
	assert_int_equal(state_read(f->home.var_fd, &before, NULL), 0);
	wrote = all_writes(f);
	put(f, "README.md", "how we work\n");
	git_commit(f, "say how we work");
	assert_int_equal(publish_main(f), 0);
	edit(f, "tokens.xml", "<!-- Tokens", "<!-- All tokens");
	git_commit(f, "a comment");
	assert_int_equal(publish_main(f), 0);
	writes = all_writes(f);
	assert_string_equal(writes, wrote);
	free(writes);
	edit(f, "tokens.xml", "<access-token-ttl>300<", "<access-token-ttl>120<");
	git_commit(f, "a value");
	assert_int_equal(publish_main(f), 1);
	writes = all_writes(f);
	assert_string_not_equal(writes, wrote);
	free(writes);
	free(wrote);
	assert_int_equal(state_read(f->home.var_fd, &after, NULL), 0);
	assert_false(oid_equal(&before.source, &after.source));
	assert_string_equal(before.roles[0].name, "default");
	assert_true(oid_equal(&before.roles[0].release, &after.roles[0].release));
	state_clear(&before);
	state_clear(&after);
	fixture_free(f);
}

static void test_burst(void **unused)
{
	struct fixture *f = demo();
	struct publication publication;
	struct release release;

	(void)unused;
	(void)publish_main(f);
	edit(f, "tokens.xml", "<access-token-ttl>300<", "<access-token-ttl>120<");
	git_commit(f, "secret plans of another team");
	edit(f, "login.xml", "<description>Sign in<", "<description>Welcome<");
	git_commit(f, "friendlier");
	put(f, "README.md", "x\n");
	git_commit(f, "read me");
	assert_int_equal(publish_with(f, NULL, &publication), 0);
	assert_int_equal(publication.commits, 3);
	assert_int_equal(publication_changed(&publication), 2);
	publication_clear(&publication);
	release = tip(f, "default", NULL);
	assert_string_equal(release.message, "publish 3 commits\n");
	assert_string_equal(release.author, release.committer);
	release_clear(&release);
	fixture_free(f);
}

/* Plain git merge and a push from a clone move main as muster commit does. */
static void test_plain_git(void **unused)
{
	struct fixture *f = demo();
	char *source = source_folder(f), *clone = text_format("%s/clone", f->folder);
	char out[OUTPUT_MAX];

	(void)unused;
	(void)publish_main(f);
	must_run(source, out, "git status --porcelain");
	assert_string_equal(out, "");
	must_run(source, NULL, "git checkout -q -b topic");
	edit(f, "tokens.xml", "<access-token-ttl>300<", "<access-token-ttl>120<");
	git_commit(f, "topic");
	assert_int_equal(publish_main(f), 0); /* main did not move */
	must_run(source, NULL, "git checkout -q main");
	must_run(source, NULL, "git merge -q --no-ff -m merged topic");
	assert_int_equal(publish_main(f), 1);

	must_run(f->folder, NULL, "git clone -q %s clone", source);
	edit_text(clone, "tokens.xml", "<access-token-ttl>120<", "<access-token-ttl>60<");
	must_run(clone, NULL, "git commit -q -a -m pushed");
	must_run(clone, NULL, "git push -q origin HEAD:main");
	assert_int_equal(publish_main(f), 1);
	assert_true(released_has(f, "internal", "config.xml", "<access-token-ttl>60<"));
	/* the push went into the work tree, where the next edit begins */
	edit(f, "tokens.xml", "<access-token-ttl>60<", "<access-token-ttl>61<");
	must_run(source, NULL, "git commit -q -a -m again");
	assert_int_equal(publish_main(f), 1);
	assert_int_equal(sequence_of(f, "internal"), 4);
	assert_int_equal(sequence_of(f, "default"), 1);
	free(clone);
	free(source);
	fixture_free(f);
}

/* Words that a release cannot hold as they are never stop a publication. */
static void test_odd_words(void **unused)
{
	struct fixture *f = demo();
	struct release release;
	char *source = source_folder(f), *huge = text_format("%0*d", 60000, 1), *text;
	char tree[OUTPUT_MAX], parent[OUTPUT_MAX], oid[OUTPUT_MAX], *raw, *file;

	(void)unused;
	(void)publish_main(f);
	edit(f, "tokens.xml", "<access-token-ttl>300<", "<access-token-ttl>1<");
	must_run(source, NULL, "git commit -q -a --allow-empty-message -m %s", "");
	assert_int_equal(publish_main(f), 1);
	release = tip(f, "internal", NULL);
	assert_true(*release.message);
	release_clear(&release);

	edit(f, "tokens.xml", "<access-token-ttl>1<", "<access-token-ttl>2<");
	must_run(source, NULL, "git commit -q -a -m %s", "caf\xe9 \x1b[31m red\r\nsecond");
	assert_int_equal(publish_main(f), 1);
	release = tip(f, "internal", NULL);
	assert_null(strchr(release.message, '\x1b'));
	release_clear(&release);

	edit(f, "tokens.xml", "<access-token-ttl>2<", "<access-token-ttl>3<");
	must_run(source, NULL, "git commit -q -a -m %s", huge);
	assert_int_equal(publish_main(f), 1);

	/* an author that git itself would not write */
	edit(f, "tokens.xml", "<access-token-ttl>3<", "<access-token-ttl>4<");
	must_run(source, NULL, "git add -A");
	must_run(source, tree, "git write-tree");
	must_run(source, parent, "git rev-parse HEAD");
	raw = text_format("tree %.40s\nparent %.40s\nauthor A <<a> <b>> 99999999999 +9999\n"
			  "committer x <y> 1 +0000\n\nodd\n",
			  tree, parent);
	put(f, "../raw", raw);
	file = text_format("%s/../raw", source);
	must_run(source, oid, "git hash-object --literally -t commit -w %s", file);
	oid[OID_HEX] = '\0';
	must_run(source, NULL, "git update-ref refs/heads/main %s", oid);
	text = all_refs(f);
	{
		struct publication publication;

		/* refused or published under other words, but never a crash */
		assert_int_equal(publish_with(f, NULL, &publication), 0);
		print_message("odd author: %s\n",
			      publication.refused ? publication.findings.lines[0] : "published");
		publication_clear(&publication);
	}
	release = tip(f, "internal", NULL);
	release_clear(&release);
	free(text);
	free(file);
	free(raw);
	free(huge);
	free(source);
	fixture_free(f);
}

static void test_files(void **unused)
{
	struct fixture *f = demo();
	char out[OUTPUT_MAX], *source = source_folder(f),
			      *releases = home_var(&f->home, ADMIN_RELEASES);

	(void)unused;
	put(f, "files/common/logging.xml", "<log/>\n");
	put(f, "files/common/deep/er/a", "common\n");
	put(f, "files/internal/render.d/nginx.xsl",
	    "<x xsl:version='1.0' xmlns:xsl='http://www.w3.org/1999/XSL/Transform'/>\n");
	put(f, "files/internal/run.sh", "#!/bin/sh\n");
	put(f, "files/default/only", "default\n");
	put(f, "files/elsewhere/x", "no role\n"); /* a warning */
	put(f, "schema/site.rng",
	    "<grammar xmlns=\"http://relaxng.org/ns/structure/1.0\"><start><ref "
	    "name=\"a\"/></start>"
	    "<define "
	    "name=\"a\"><element><anyName/><zeroOrMore><choice><attribute><anyName/></attribute>"
	    "<text/><ref name=\"a\"/></choice></zeroOrMore></element></define></grammar>\n");
	put(f, "model.conf", "# nothing of our own\n");
	must_run(source, NULL, "chmod 755 files/internal/run.sh");
	git_commit(f, "files");
	assert_int_equal(publish_main(f), 2);
	must_run(releases, out, "git ls-tree -r --format=%(objectmode):%(path) internal");
	assert_string_equal(out,
			    "100644:config.xml\n100644:files/deep/er/a\n100644:files/logging.xml\n"
			    "100644:files/render.d/nginx.xsl\n100755:files/run.sh\n"
			    "100644:model.conf\n100644:schema/site.rng\n");
	must_run(releases, out, "git ls-tree -r --name-only default");
	assert_string_equal(
		out, "config.xml\nfiles/deep/er/a\nfiles/logging.xml\nfiles/only\nmodel.conf\n"
		     "schema/site.rng\n");
	/* a file for one role wakes only that one */
	put(f, "files/internal/run.sh", "#!/bin/bash\n");
	must_run(source, NULL, "chmod 755 files/internal/run.sh");
	git_commit(f, "bash");
	assert_int_equal(publish_main(f), 1);
	free(releases);
	free(source);
	fixture_free(f);
}

/* What a node gets is for its role alone. */
static void test_keystores(void **unused)
{
	struct fixture *f = demo();
	static const char *const roles[] = {"default", "internal"};

	(void)unused;
	(void)publish_main(f);
	for (size_t i = 0; i < 2; i++) {
		char *config = released(f, roles[i], "config.xml"),
		     *at = strstr(config, "<keystore>");
		struct keystore *keystore = NULL;
		struct cluster cluster = {.port = 0};
		struct document *doc = NULL;
		struct model *model = model_default();
		struct keyring *ring = NULL;
		struct err err;

		assert_non_null(at);
		assert_int_equal(strncmp(at, "<keystore>muster:1:", 19), 0);
		assert_int_equal(keyring_load(&f->home, &ring, &err), 0);
		assert_int_equal(document_parse("x", config, strlen(config), &doc, &err), 0);
		assert_int_equal(seal_open_document(doc, model, ring, roles[1 - i], &err), -1);
		assert_int_equal(seal_open_document(doc, model, ring, roles[i], &err), 0);
		assert_int_equal(cluster_read(doc, &cluster, &err), 0);
		assert_int_equal(keystore_parse(cluster.keystore, &keystore, &err), 0);
		assert_string_equal(keystore->role, roles[i]);
		keystore_free(keystore);
		cluster_clear(&cluster);
		seal_document_free(doc, model);
		model_free(model);
		keyring_free(ring);
		free(config);
	}
	fixture_free(f);
}

static double publish_timed(struct fixture *f)
{
	struct timespec a, b;

	(void)clock_gettime(CLOCK_MONOTONIC, &a);
	(void)publish_main(f);
	(void)clock_gettime(CLOCK_MONOTONIC, &b);
	return (double)(b.tv_sec - a.tv_sec) * 1e3 + (double)(b.tv_nsec - a.tv_nsec) / 1e6;
}

/* Measured, not judged: the machine is not ours to judge. */
static void test_time(void **unused)
{
	struct fixture *f = demo();
	double both = 0, none = 0;

	(void)unused;
	(void)publish_main(f);
	for (int i = 0; i < 10; i++) {
		char *old = text_format("<access-token-ttl>%d<", 300 + i);
		char *new = text_format("<access-token-ttl>%d<", 301 + i);
		char *text = text_format("<description>Sign in%.*s<", i, "!!!!!!!!!!!");
		char *more = text_format("<description>Sign in%.*s<", i + 1, "!!!!!!!!!!!");

		edit(f, "tokens.xml", old, new);
		edit(f, "login.xml", text, more);
		git_commit(f, "both");
		both += publish_timed(f) / 10;
		none += publish_timed(f) / 10;
		free(old);
		free(new);
		free(text);
		free(more);
	}
	print_message("publication of two roles: %.1f ms; nothing to do: %.2f ms\n", both, none);
	fixture_free(f);
}

/*
 * The files of FOLDER of the corpus (one of them, or all) as an authoring repository; the
 * publication of it.
 */
static void publish_corpus(const char *folder, const char *file, struct publication *out)
{
	struct fixture *f = fixture_new();
	char *source = source_folder(f),
	     *from = text_format("%s/%s/%s", CORPUS, folder, file ? file : ".");

	fixture_init(f, NULL);
	must_run("/", NULL, "cp -r %s %s", from, source);
	git_commit(f, "corpus");
	assert_int_equal(publish_with(f, NULL, out), 0);
	if (!out->refused)
		for (size_t i = 0; i < out->role_count; i++) {
			struct release release = tip(f, out->roles[i].name, NULL);

			release_clear(&release);
		}
	free(from);
	free(source);
	fixture_free(f);
}

static void test_corpus(void **unused)
{
	static const struct {
		const char *folder, *file;
		size_t roles, findings;
	} sets[] = {
		{"two-roles", NULL, 2, 0},
		{"kubernetes", NULL, 1, 0},
		{"whole", "account-linking.xml", 1, 0},
		{"whole", "cloud-native.xml", 1, 0},
		{"whole", "mcp-secured-api.xml", 1, 0},
		{"whole", "oauth-agent.xml", 1, 0},
		{"whole", "training.xml", 1, 0},
		{"gitops", NULL, 0, 3},
	};

	(void)unused;
	if (access(CORPUS, R_OK) != 0) {
		print_message("no corpus at %s: skipped\n", CORPUS);
		skip();
	}
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		struct publication publication;

		publish_corpus(sets[i].folder, sets[i].file, &publication);
		for (size_t k = 0; k < publication.findings.count &&
				   sets[i].findings != publication.findings.count;
		     k++)
			print_message("%s: %s\n", sets[i].folder, publication.findings.lines[k]);
		assert_int_equal(publication.findings.count, sets[i].findings);
		assert_int_equal(publication.role_count, sets[i].roles);
		assert_int_equal(publication_changed(&publication), sets[i].roles);
		publication_clear(&publication);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first),     cmocka_unit_test(test_one_role),
		cmocka_unit_test(test_no_role),   cmocka_unit_test(test_burst),
		cmocka_unit_test(test_plain_git), cmocka_unit_test(test_odd_words),
		cmocka_unit_test(test_files),     cmocka_unit_test(test_keystores),
		cmocka_unit_test(test_time),      cmocka_unit_test(test_corpus),
	};

	libraries_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
