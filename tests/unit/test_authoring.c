/*
 * Secrets on their way into the authoring repository, by plain git: the filter, the hooks, the scan
 * of a publication; and values that were moved.
 */
#include "admin/authoring.h"
#include "admin/rotation.h"
#include "config/merge.h"
#include "publish_in.h"
#include "repo/source.h"

#define SECRET "hunter2-correct-horse"

#define FILE_OF(inner)                                                                             \
	"<config xmlns=\"http://tail-f.com/ns/config/1.0\">\n"                                     \
	"  <facilities xmlns=\"https://curity.se/ns/conf/base\">\n" inner                          \
	"  </facilities>\n</config>\n"
#define WITH(id, password)                                                                         \
	FILE_OF("    <thing><id>" id "</id><password>" password "</password></thing>\n")

/* Whether any object of a repository, or file below a folder, holds the text. */
static bool git_has(const char *repo, const char *text)
{
	static const char script[] =
		"git cat-file --batch-all-objects --batch-check='%(objectname)' | "
		"git cat-file --batch | grep -aqF -- \"$0\"";
	const char *const argv[] = {"sh", "-c", script, text, NULL};

	return run_in(repo, NULL, argv) == 0;
}

static bool source_has(const struct fixture *f, const char *text)
{
	char *source = source_folder(f);
	bool has = git_has(source, text);

	free(source);
	return has;
}

static bool work_has(const struct fixture *f, const char *file, const char *text)
{
	char *source = source_folder(f), *content = read_text(source, file);
	bool has = strstr(content, text) != NULL;

	free(content);
	free(source);
	return has;
}

/* git in the authoring repository, by itself: the exit code and what it said. */
static int git(const struct fixture *f, char *out, const char *command)
{
	char *source = source_folder(f);
	int code = run(source, out, command);

	free(source);
	return code;
}

static void test_filter(void **unused)
{
	struct fixture *f = demo();
	char out[OUTPUT_MAX];

	(void)unused;
	(void)publish_main(f);
	put(f, "extra.xml", WITH("a", SECRET));
	assert_int_equal(git(f, out, "git add -A"), 0);
	assert_false(source_has(f, SECRET));
	assert_true(work_has(f, "extra.xml", SECRET)); /* until the commit */
	assert_int_equal(git(f, out, "git commit -q -m extra"), 0);
	assert_false(source_has(f, SECRET));
	assert_false(work_has(f, "extra.xml", SECRET)); /* post-commit */
	assert_true(work_has(f, "extra.xml", "<id>a</id><password>muster:1:"));
	assert_int_equal(git(f, out, "git status --porcelain"), 0);
	assert_string_equal(out, "");
	assert_int_equal(publish_main(f), 2);
	assert_true(released_has(f, "default", "config.xml", "<password>muster:1:"));
	assert_false(released_has(f, "default", "config.xml", SECRET));

	/* quiet: the same value again is the same file */
	put(f, "extra.xml", WITH("a", SECRET));
	assert_int_equal(git(f, out, "git diff --exit-code"), 0);
	assert_int_equal(git(f, out, "git commit -q -a -m again"), 1); /* nothing to commit */
	assert_false(source_has(f, SECRET));
	fixture_free(f);
}

/* A commit with changes beyond it in the work tree: those are not touched. */
static void test_partial(void **unused)
{
	struct fixture *f = demo();
	char out[OUTPUT_MAX];

	(void)unused;
	put(f, "extra.xml", WITH("a", SECRET));
	assert_int_equal(git(f, out, "git add extra.xml"), 0);
	put(f, "extra.xml", WITH("b", SECRET));
	assert_int_equal(git(f, out, "git commit -q -m extra"), 0);
	assert_true(work_has(f, "extra.xml", "<id>b</id><password>" SECRET));
	assert_int_equal(git(f, out, "git commit -q -a -m rest"), 0);
	assert_false(work_has(f, "extra.xml", SECRET));
	assert_false(source_has(f, SECRET));
	fixture_free(f);
}

static void test_filter_refuses(void **unused)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{FILE_OF("<x>-----BEGIN PRIVATE KEY-----\n" SECRET "</x>"),
		 "extra.xml:3: /facilities/x: a private key"},
		{FILE_OF("<!-- <password>" SECRET "</password> -->"), "in a comment"},
		{WITH("a", "#{A|" SECRET "}"), "only a whole #{NAME}"},
		{"<config><password>" SECRET "</password>", "not well-formed"},
	};
	struct fixture *f = demo();
	char out[OUTPUT_MAX];

	(void)unused;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		put(f, "extra.xml", rows[i].text);
		assert_int_not_equal(git(f, out, "git add -A"), 0);
		if (!strstr(out, rows[i].want))
			fail_msg("no \"%s\" in %s", rows[i].want, out);
		assert_int_not_equal(git(f, out, "git commit -q -a -m x"), 0);
		assert_false(source_has(f, SECRET));
	}
	/* files/ and schema/ are no configuration */
	put(f, "extra.xml", FILE_OF(""));
	put(f, "files/common/x.xml", "<password>no configuration</password>");
	put(f, "schema/x.xml", "<password>no configuration</password>");
	assert_int_equal(git(f, out, "git add -A"), 0);
	assert_true(source_has(f, "no configuration"));
	fixture_free(f);
}

/* Without a secret nothing is sealed, so nothing is taken. */
static void test_filter_without_key(void **unused)
{
	struct fixture *f = demo();
	char out[OUTPUT_MAX];

	(void)unused;
	assert_int_equal(unlinkat(f->home.etc_fd, "secret", 0), 0);
	put(f, "extra.xml", WITH("a", SECRET));
	assert_int_not_equal(git(f, out, "git add -A"), 0);
	assert_non_null(strstr(out, "there is no configuration secret"));
	assert_false(source_has(f, SECRET));
	put(f, "extra.xml", WITH("a", "#{SECRET}"));
	assert_int_equal(git(f, out, "git add -A"), 0);
	fixture_free(f);
}

/* What went past the filter stops at the hook, and what goes past the hook at the publication. */
static void test_past_filter(void **unused)
{
	struct fixture *f = demo();
	char out[OUTPUT_MAX], *before;

	(void)unused;
	(void)publish_main(f);
	put(f, "extra.xml", WITH("a", SECRET));
	assert_int_equal(git(f, out, "git -c filter.muster.clean=cat add -A"), 0);
	assert_int_equal(git(f, out, "git commit -q -m x"), 1); /* pre-commit */
	assert_non_null(
		strstr(out, "extra.xml:3: /facilities/thing[a]/password: a secret in the clear"));
	assert_int_equal(git(f, out, "git commit -q -n -m x"), 0);
	must_refuse(f, "load", "extra.xml:3: /facilities/thing[a]/password: a secret in the clear");
	assert_int_equal(git(f, out, "git rev-parse HEAD:extra.xml"), 0);
	out[12] = '\0';
	before = text_format("blob %s: extra.xml", out);
	must_refuse(f, "load", before);
	free(before);

	/* a later commit without it does not make it good: it is in the history */
	put(f, "extra.xml", FILE_OF(""));
	git_commit(f, "removed");
	must_refuse(f, "load", "a secret in the clear");
	assert_int_equal(git(f, out, "git reset -q --hard HEAD~2"), 0);
	(void)publish_main(f);
	fixture_free(f);
}

/* The same by moving the ref directly. */
static void test_ref_update(void **unused)
{
	struct fixture *f = demo();
	char out[OUTPUT_MAX], *source = source_folder(f);
	const char *const argv[] = {
		"sh", "-c",
		"b=$(printf %s \"$0\" | git hash-object -w --stdin) && "
		"t=$( (git ls-tree HEAD; printf '100644 blob %s\\tx.xml\\n' \"$b\") | git mktree) "
		"&& "
		"git update-ref refs/heads/main $(git commit-tree -p HEAD -m direct $t)",
		WITH("a", SECRET), NULL};

	(void)unused;
	(void)publish_main(f);
	assert_int_equal(run_in(source, out, argv), 0);
	must_refuse(f, "load", "x.xml:3: /facilities/thing[a]/password: a secret in the clear");
	free(source);
	fixture_free(f);
}

/* What is merged is looked at as what is committed: git asks another hook. */
static void test_merge(void **unused)
{
	struct fixture *f = demo();
	char out[OUTPUT_MAX], before[OUTPUT_MAX];

	(void)unused;
	(void)publish_main(f);
	assert_int_equal(git(f, out, "git checkout -q -b side"), 0);
	put(f, "extra.xml", WITH("a", SECRET));
	assert_int_equal(git(f, out, "git -c filter.muster.clean=cat add -A"), 0);
	assert_int_equal(git(f, out, "git commit -q -n -m side"), 0);
	assert_int_equal(git(f, out, "git checkout -q -f main"), 0);
	put(f, "README.md", "x\n");
	git_commit(f, "beside it");
	assert_int_equal(git(f, before, "git rev-parse HEAD"), 0);
	assert_int_not_equal(git(f, out, "git merge -q --no-edit side"), 0);
	assert_non_null(
		strstr(out, "extra.xml:3: /facilities/thing[a]/password: a secret in the clear"));
	assert_int_equal(git(f, out, "git rev-parse HEAD"), 0);
	assert_string_equal(out, before);
	fixture_free(f);
}

/* A private key as a file of a role stays out of git as well. */
static void test_key_file(void **unused)
{
	struct fixture *f = demo();
	char out[OUTPUT_MAX];

	(void)unused;
	put(f, "files/internal/id", "-----BEGIN PRIVATE KEY-----\n" SECRET "\n");
	assert_int_equal(git(f, out, "git add -A"), 0);
	assert_int_equal(git(f, out, "git commit -q -m key"), 1);
	assert_non_null(strstr(out, "files/internal/id: holds a private key"));
	fixture_free(f);
}

/*
 * What was published by another version, which may have seen no secret in it, is looked at again.
 */
static void test_other_version(void **unused)
{
	struct fixture *f = demo();
	char before[OUTPUT_MAX], missed[OUTPUT_MAX], out[OUTPUT_MAX], *state, *at;

	(void)unused;
	(void)publish_main(f);
	assert_int_equal(git(f, before, "git rev-parse HEAD"), 0);
	put(f, "extra.xml", WITH("a", SECRET));
	assert_int_equal(git(f, out, "git -c filter.muster.clean=cat add -A"), 0);
	assert_int_equal(git(f, out, "git commit -q -n -m missed"), 0);
	assert_int_equal(git(f, missed, "git rev-parse HEAD"), 0);
	assert_int_equal(git(f, out, "git commit -q -n --allow-empty -m next"), 0);
	/* as if it had been published, by another version */
	state = read_text(f->home.var, ADMIN_STATE_FILE);
	before[OID_HEX] = '\0';
	at = strstr(state, before);
	assert_non_null(at);
	memcpy(at, missed, OID_HEX);
	at = strstr(state, PACKAGE_VERSION);
	assert_non_null(at);
	*at = 'x';
	write_text(f->home.var, ADMIN_STATE_FILE, state);
	must_refuse(f, "load", "extra.xml:3: /facilities/thing[a]/password: a secret in the clear");
	free(state);
	fixture_free(f);
}

/* Secret by the model of the commit itself; a model that comes later makes old values secret. */
static void test_own_model(void **unused)
{
	struct fixture *f = demo();
	char out[OUTPUT_MAX];

	(void)unused;
	(void)publish_main(f);
	put(f, "extra.xml", FILE_OF("<pin>" SECRET "</pin>\n"));
	put(f, "model.conf", "facilities/pin  secret\n");
	assert_int_equal(git(f, out, "git add -A"), 0);
	assert_false(source_has(f, SECRET));
	assert_int_equal(git(f, out, "git commit -q -m pin"), 0);
	assert_false(work_has(f, "extra.xml", SECRET));
	assert_int_equal(publish_main(f), 2);
	assert_false(released_has(f, "default", "config.xml", SECRET));

	put(f, "other.xml", FILE_OF("<word>was-never-secret</word>\n"));
	git_commit(f, "word");
	assert_int_equal(publish_main(f), 2);
	put(f, "model.conf", "facilities/pin  secret\nfacilities/word secret\n");
	assert_int_equal(git(f, out, "git add model.conf"), 0);
	assert_int_equal(git(f, out, "git commit -q -n -m model"), 0);
	must_refuse(f, "load", "other.xml:3: /facilities/word: a secret in the clear");
	fixture_free(f);
}

/* A burst: what a commit in the middle had is found though the last has it not. */
static void test_burst(void **unused)
{
	struct fixture *f = demo();
	char out[OUTPUT_MAX];

	(void)unused;
	(void)publish_main(f);
	for (int i = 0; i < 3; i++) {
		put(f, "extra.xml", i == 1 ? WITH("a", SECRET) : FILE_OF(""));
		(void)git(f, out, "git -c filter.muster.clean=cat add -A");
		assert_int_equal(git(f, out, "git commit -q -n -m step"), 0);
	}
	must_refuse(f, "load", "a secret in the clear");
	fixture_free(f);
}

/* --- pushes --- */

static char *clone_of(const struct fixture *f)
{
	char *source = source_folder(f), *clone = text_format("%s/clone", f->folder);

	must_run(f->folder, NULL, "git clone -q %s %s", source, clone);
	free(source);
	return clone;
}

static void test_push(void **unused)
{
	struct fixture *f = demo();
	char out[OUTPUT_MAX], *clone = clone_of(f);

	(void)unused;
	(void)publish_main(f);
	/* a clone has no filter */
	write_text(clone, "extra.xml", WITH("a", SECRET));
	must_run(clone, NULL, "git add -A");
	must_run(clone, NULL, "git commit -q -m plain");
	assert_int_not_equal(run(clone, out, "git push -q origin main"), 0);
	assert_non_null(
		strstr(out, "extra.xml:3: /facilities/thing[a]/password: a secret in the clear"));
	assert_false(source_has(f, SECRET));
	/* hidden below another commit, on another branch, or in a tag */
	write_text(clone, "extra.xml", FILE_OF(""));
	must_run(clone, NULL, "git commit -q -a -m removed");
	assert_int_not_equal(run(clone, out, "git push -q origin main"), 0);
	assert_int_not_equal(run(clone, out, "git push -q origin main:topic"), 0);
	must_run(clone, NULL, "git tag -a -m x v1 HEAD~1");
	assert_int_not_equal(run(clone, out, "git push -q origin v1"), 0);
	assert_int_not_equal(run(clone, out, "git push -q -f origin main"), 0);
	assert_false(source_has(f, SECRET));

	/* what is well gets in, and into the work tree */
	must_run(clone, NULL, "git reset -q --hard origin/main");
	write_text(clone, "extra.xml", FILE_OF("<word>well</word>"));
	must_run(clone, NULL, "git add -A");
	must_run(clone, NULL, "git commit -q -m well");
	if (run(clone, out, "git push -q origin main") != 0)
		fail_msg("%s", out);
	assert_true(work_has(f, "extra.xml", "<word>well</word>"));
	assert_int_equal(publish_main(f), 2);

	/* what would be refused as a publication is refused as a push to main */
	edit_text(clone, "environment.xml", "<id>internal</id>", "<id>..</id>");
	must_run(clone, NULL, "git commit -q -a -m bad");
	assert_int_not_equal(run(clone, out, "git push -q origin main"), 0);
	assert_non_null(strstr(out, "is no name for a role"));
	must_run(clone, NULL, "git push -q origin main:topic");
	must_run(clone, NULL, "git push -q origin :topic"); /* a branch goes */
	free(clone);
	fixture_free(f);
}

/* --- moves --- */

/* The text of the sealed password in the work tree's file. */
static char *sealed_in(const struct fixture *f, const char *file)
{
	char *source = source_folder(f), *content = read_text(source, file);
	char *at = strstr(content, "muster:1:"), *out;

	assert_non_null(at);
	out = text_copy_n(at, strcspn(at, "<"));
	free(content);
	free(source);
	return out;
}

/* Seals the work tree as muster commit does; how many moves. */
static size_t seal_work(const struct fixture *f, struct fileset *files)
{
	char *source = source_folder(f);
	struct findings findings = {.count = 0};
	struct err err = {.code = ERR_NONE};
	struct keyring *ring = NULL;
	struct authoring authoring = {.home = &f->home};
	struct sealer sealer;
	size_t moves;

	assert_int_equal(keyring_load(&f->home, &ring, &err), 0);
	sealer = sealer_of(ring);
	authoring.sealer = &sealer;
	assert_int_equal(repo_open(source, &authoring.repo, &err), 0);
	assert_int_equal(source_read(authoring.repo, files, &err), 0);
	if (authoring_seal(&authoring, files, &findings, &err) != 0)
		fail_msg("%s", findings.count ? findings.lines[0] : err.text);
	moves = authoring.move_count;
	if (moves > 0) {
		assert_string_equal(authoring.moves[0].from, "/facilities/thing[a]/password");
		assert_string_equal(authoring.moves[0].to, "/facilities/thing[b]/password");
	}
	authoring_clear(&authoring);
	repo_free(authoring.repo);
	keyring_free(ring);
	free(source);
	return moves;
}

static void put_value(const struct fixture *f, const char *file, const char *id, const char *name,
		      const char *value)
{
	char *text = text_format(FILE_OF("<thing><id>%s</id><%s>%s</%s></thing>\n"), id, name,
				 value, name);

	put(f, file, text);
	free(text);
}

static void test_moves(void **unused)
{
	struct fixture *f = demo();
	struct fileset files = {.count = 0};
	char out[OUTPUT_MAX], *sealed, *again;

	(void)unused;
	put(f, "extra.xml", WITH("a", SECRET));
	assert_int_equal(git(f, out, "git add -A"), 0);
	assert_int_equal(git(f, out, "git commit -q -m extra"), 0);
	(void)publish_main(f);
	sealed = sealed_in(f, "extra.xml");

	assert_int_equal(seal_work(f, &files), 0);
	fileset_clear(&files);
	put_value(f, "extra.xml", "b", "password", sealed);
	assert_int_equal(seal_work(f, &files), 1);
	assert_null(strstr((char *)fileset_find(&files, "extra.xml")->data, sealed));
	fileset_clear(&files);

	/* plain git does the same */
	assert_int_equal(git(f, out, "git commit -q -a -m moved"), 0);
	again = sealed_in(f, "extra.xml");
	assert_string_not_equal(again, sealed);
	assert_int_equal(publish_main(f), 2);
	free(again);
	free(sealed);
	fixture_free(f);
}

/* A copy shows a secret where it was never to be: not sealed anew, and refused. */
static void test_copies(void **unused)
{
	struct fixture *f = demo();
	struct fileset files = {.count = 0};
	char out[OUTPUT_MAX], *sealed;

	(void)unused;
	put(f, "extra.xml", WITH("a", SECRET));
	assert_int_equal(git(f, out, "git add -A"), 0);
	assert_int_equal(git(f, out, "git commit -q -m extra"), 0);
	(void)publish_main(f);
	sealed = sealed_in(f, "extra.xml");

	put_value(f, "copy.xml", "b", "password", sealed);
	assert_int_equal(seal_work(f, &files), 0);
	fileset_clear(&files);
	assert_int_equal(git(f, out, "git add -A"), 0);
	assert_int_equal(git(f, out, "git commit -q -m copy"), 1);
	assert_non_null(
		strstr(out, "copy.xml:3: /facilities/thing[b]/password: does not open with key"));
	assert_int_equal(git(f, out, "git commit -q -n -m copy"), 0);
	must_refuse(f, "seal", "copy.xml:3: /facilities/thing[b]/password: does not open with key");

	/* gone from the old place, but the new one is no secret */
	put(f, "extra.xml", FILE_OF(""));
	put_value(f, "copy.xml", "b", "word", sealed);
	assert_int_not_equal(git(f, out, "git add -A"), 0);
	assert_non_null(strstr(out, "a sealed value, but the leaf is no secret"));
	git_commit(f, "to no secret");
	must_refuse(f, "load", "a sealed value, but the leaf is no secret");
	free(sealed);
	fixture_free(f);
}

/* A value that was sealed elsewhere, with another secret. */
static void test_unknown_key(void **unused)
{
	struct fixture *f = demo();

	(void)unused;
	put_value(
		f, "extra.xml", "a", "password",
		"muster:1:246c084b:wW7gpSLBWJlJhd4mzqoqGysYMTvZHeTxQvgmygzxClRLAmaJpcwex3Tt4-LQTwxL"
		"uCTM1xVbRhW5atNwNv-b1ChoDBvIHgoD");
	git_commit(f, "foreign");
	must_refuse(f, "seal",
		    "extra.xml:3: /facilities/thing[a]/password: sealed with key 246c084b, which");
	fixture_free(f);
}

/* --- keys --- */

/* A publication without its secret: refused or failed, and nothing changes. */
static void test_lost_secret(void **unused)
{
	struct fixture *f = demo();
	struct publication publication;
	struct err err = {.code = ERR_NONE};
	struct admin_input in = {.home = &f->home, .identity = f->identity};

	(void)unused;
	(void)publish_main(f);
	assert_int_equal(renameat(f->home.etc_fd, "secret", f->home.etc_fd, "kept"), 0);
	must_refuse(f, "check", "there is no secret here to open it with");
	assert_int_equal(fs_write_atomic(f->home.etc_fd, "secret", "0123\n", 5, 0600, &err), 0);
	assert_int_equal(cycle_run(&in, &publication, &err), -1);
	assert_non_null(strstr(err.text, "etc/secret: entry 1 is too short"));
	publication_clear(&publication);
	assert_int_equal(renameat(f->home.etc_fd, "kept", f->home.etc_fd, "secret"), 0);
	assert_int_equal(publish_main(f), 0);
	assert_int_equal(fchmodat(f->home.etc_fd, "secret", 0644, 0), 0);
	assert_int_equal(cycle_run(&in, &publication, &err), -1);
	assert_non_null(strstr(err.text, "chmod 600"));
	publication_clear(&publication);
	fixture_free(f);
}

static void test_rotation(void **unused)
{
	struct fixture *f = demo();
	struct keyring *ring = NULL;
	struct sealer sealer;
	struct err err = {.code = ERR_NONE};
	char out[OUTPUT_MAX], id[SEAL_ID_HEX_SIZE], again[SEAL_ID_HEX_SIZE], *before, *after;
	struct oid commit;
	bool changed;

	(void)unused;
	put(f, "extra.xml", WITH("a", SECRET));
	assert_int_equal(git(f, out, "git add -A"), 0);
	assert_int_equal(git(f, out, "git commit -q -m extra"), 0);
	(void)publish_main(f);
	before = sealed_in(f, "extra.xml");

	assert_int_equal(keyring_load(&f->home, &ring, &err), 0);
	assert_false(rotation_next(&f->home, ring, id));
	assert_int_equal(rotation_begin(&f->home, ring, id, &err), 0);
	assert_int_equal(rotation_begin(&f->home, ring, again, &err), 0); /* goes on with it */
	assert_string_equal(id, again);
	assert_int_equal(keyring_count(ring), 2);
	assert_int_equal(publish_main(f), 0); /* the new one only opens */

	assert_int_equal(keyring_promote(ring, id, &err), 0);
	assert_int_equal(keyring_save(&f->home, ring, &err), 0);
	sealer = sealer_of(ring);
	put(f, "other.xml", FILE_OF(""));
	assert_int_equal(rotation_seal(&f->home, &sealer, id, &changed, &commit, &err), -1);
	assert_non_null(strstr(err.text, "other.xml: has changes that are not committed"));
	git_commit(f, "other");
	assert_int_equal(rotation_seal(&f->home, &sealer, id, &changed, &commit, &err), 0);
	assert_true(changed);
	after = sealed_in(f, "extra.xml");
	assert_int_equal(strncmp(after + 9, id, 8), 0);
	assert_string_not_equal(after, before);
	assert_int_equal(rotation_seal(&f->home, &sealer, id, &changed, &commit, &err), 0);
	assert_false(changed);
	assert_int_equal(publish_main(f), 2); /* sealed again for the roles too */
	assert_int_equal(rotation_end(&f->home, &err), 0);
	assert_false(rotation_next(&f->home, ring, id));
	assert_int_equal(git(f, out, "git status --porcelain"), 0);
	assert_string_equal(out, "");

	/* what was committed before still opens: a rollback */
	assert_int_equal(git(f, out, "git revert --no-edit HEAD"), 0);
	assert_int_equal(publish_main(f), 0); /* the same for the roles */
	free(before);
	free(after);
	keyring_free(ring);
	fixture_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_filter),
		cmocka_unit_test(test_partial),
		cmocka_unit_test(test_filter_refuses),
		cmocka_unit_test(test_filter_without_key),
		cmocka_unit_test(test_past_filter),
		cmocka_unit_test(test_merge),
		cmocka_unit_test(test_key_file),
		cmocka_unit_test(test_other_version),
		cmocka_unit_test(test_ref_update),
		cmocka_unit_test(test_own_model),
		cmocka_unit_test(test_burst),
		cmocka_unit_test(test_push),
		cmocka_unit_test(test_moves),
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_unknown_key),
		cmocka_unit_test(test_lost_secret),
		cmocka_unit_test(test_rotation),
	};

	libraries_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
