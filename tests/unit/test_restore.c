/* admin/restore: releases from elsewhere are taken only when they go on from what is here. */
#include "publish_in.h"

#include "admin/keys.h"
#include "admin/restore.h"

#define HOST "admin.example.com"

static const struct keys_by by = {.who = "anna/1000", .host = HOST};

struct backup {
	struct fixture *f;
	char *releases, *newer;
};

/*
 * A home with two releases of internal, and its release.git as it was with one (older) and as it
 * became (newer).
 */
static struct backup older(void)
{
	struct backup b = {.f = demo()};
	char *old;

	b.releases = home_var(&b.f->home, ADMIN_RELEASES);
	b.newer = home_var(&b.f->home, "newer.git");
	old = home_var(&b.f->home, "old.git");
	(void)publish_main(b.f);
	must_run("/", NULL, "cp -a %s %s", b.releases, old);
	edit(b.f, "environment.xml", "<port>8444</port>", "<port>8445</port>");
	git_commit(b.f, "second");
	assert_int_equal(publish_main(b.f), 1);
	must_run("/", NULL, "mv %s %s", b.releases, b.newer);
	must_run("/", NULL, "mv %s %s", old, b.releases);
	free(old);
	return b;
}

static void backup_free(struct backup *b)
{
	free(b->releases);
	free(b->newer);
	fixture_free(b->f);
}

static void must_not(struct backup *b, const char *from, const char *role, enum err_code code,
		     const char *text)
{
	char *before = all_refs(b->f), *after;
	struct restored restored;
	struct err err = {.code = ERR_NONE};

	assert_int_equal(restore_releases(&b->f->home, b->f->identity, from, role, "anna/1000",
					  &restored, &err),
			 -1);
	assert_int_equal(err.code, code);
	if (!strstr(err.text, text))
		fail_msg("said %s", err.text);
	after = all_refs(b->f);
	assert_string_equal(before, after);
	free(before);
	free(after);
}

static void what_is_newer_is_taken(void **unused)
{
	struct backup b = older();
	struct restored restored;
	struct err err;
	char *log;

	(void)unused;
	assert_int_equal(sequence_of(b.f, "internal"), 1);
	assert_int_equal(restore_releases(&b.f->home, b.f->identity, b.newer, NULL, "anna/1000",
					  &restored, &err),
			 0);
	assert_int_equal(restored.count, 2);
	assert_string_equal(restored.roles[1].name, "internal");
	assert_int_equal(restored.roles[1].sequence_before, 1);
	assert_int_equal(restored.roles[1].sequence, 2);
	assert_false(restored.roles[1].source_lost);
	assert_true(oid_equal(&restored.roles[0].before, &restored.roles[0].release));
	restored_clear(&restored);
	assert_int_equal(sequence_of(b.f, "internal"), 2);
	must_run(b.releases, NULL, "git fsck --strict");
	log = read_text(b.f->home.var, "admin/audit.log");
	assert_non_null(strstr(log, " anna/1000 restore role internal sequence 2\n"));
	free(log);

	/* the next publication goes on above it, and once more brings nothing */
	edit(b.f, "environment.xml", "<port>8445</port>", "<port>8446</port>");
	git_commit(b.f, "third");
	assert_int_equal(publish_main(b.f), 1);
	assert_int_equal(sequence_of(b.f, "internal"), 3);
	assert_int_equal(restore_releases(&b.f->home, b.f->identity, b.newer, "internal",
					  "anna/1000", &restored, &err),
			 0);
	assert_int_equal(restored.count, 1);
	assert_int_equal(restored.roles[0].sequence, 3);
	restored_clear(&restored);
	assert_int_equal(sequence_of(b.f, "internal"), 3);
	backup_free(&b);
}

static void an_empty_admin_takes_all(void **unused)
{
	struct backup b = older();
	struct restored restored;
	struct repo *repo = NULL;
	struct err err;

	(void)unused;
	must_run("/", NULL, "rm -rf %s", b.releases);
	assert_int_equal(repo_init_bare(b.releases, &repo, &err), 0);
	repo_free(repo);
	assert_int_equal(restore_releases(&b.f->home, b.f->identity, b.newer, NULL, "anna/1000",
					  &restored, &err),
			 0);
	assert_int_equal(restored.roles[1].sequence, 2);
	restored_clear(&restored);
	must_run(b.releases, NULL, "git rev-parse internal~1");
	must_run(b.releases, NULL, "git fsck --strict");
	assert_int_equal(publish_main(b.f), 0);
	backup_free(&b);
}

static void a_lost_commit_is_told(void **unused)
{
	struct backup b = older();
	char *source = source_folder(b.f);
	struct restored restored;
	struct err err;

	(void)unused;
	must_run(source, NULL, "git reset -q --hard HEAD~1");
	assert_int_equal(restore_releases(&b.f->home, b.f->identity, b.newer, "internal",
					  "anna/1000", &restored, &err),
			 0);
	assert_true(restored.roles[0].source_lost);
	restored_clear(&restored);
	free(source);
	backup_free(&b);
}

static void others_are_refused(void **unused)
{
	struct backup b = older();
	struct identity *own = b.f->identity;

	(void)unused;
	must_not(&b, "/nosuch", NULL, ERR_GONE, "nosuch");
	must_not(&b, b.newer, "other", ERR_GONE, "other");

	/* another cluster's admin */
	b.f->identity = identity_new();
	must_not(&b, b.newer, "internal", ERR_REFUSED, "another cluster");
	identity_free(b.f->identity);
	b.f->identity = own;

	/* a branch that is no role, and one whose tip is no release */
	must_run(b.newer, NULL, "git branch common internal");
	must_not(&b, b.newer, NULL, ERR_REFUSED, "no role");
	must_run(b.newer, NULL, "git branch -D common");
	must_run(b.newer, NULL, "git branch web internal");
	must_not(&b, b.newer, NULL, ERR_REFUSED, "web");
	must_run(b.newer, NULL, "git branch -D web");
	must_run(b.newer, NULL, "git update-ref refs/heads/internal refs/heads/default");
	must_not(&b, b.newer, "internal", ERR_REFUSED, "internal");
	backup_free(&b);
}

/* This admin has released something else since: no node is to go from one line to the other. */
static void another_line_is_refused(void **unused)
{
	struct backup b = older();

	(void)unused;
	edit(b.f, "environment.xml", "<port>8445</port>", "<port>8447</port>");
	git_commit(b.f, "another second");
	assert_int_equal(publish_main(b.f), 1);
	must_not(&b, b.newer, NULL, ERR_REFUSED, "does not descend");
	backup_free(&b);
}

/* The copy of cluster.key is older than the last change of the release key. */
static void what_cannot_be_continued_is_refused(void **unused)
{
	struct backup b = {.f = demo()};
	struct identity *old = identity_copy(b.f->identity);
	struct keys_pins pins;
	struct err err;

	(void)unused;
	b.releases = home_var(&b.f->home, ADMIN_RELEASES);
	b.newer = home_var(&b.f->home, "newer.git");
	(void)publish_main(b.f);
	must_run("/", NULL, "cp -a %s %s", b.releases, b.newer);
	assert_int_equal(keys_add_release(&b.f->home, b.f->identity, &by, &err), 0);
	assert_int_equal(publish_main(b.f), 2);
	assert_int_equal(keys_end_release(&b.f->home, b.f->identity, &by, &pins, &err), 0);
	keys_pins_clear(&pins);
	must_run("/", NULL, "mv %s %s.now", b.releases, b.newer);
	must_run("/", NULL, "mv %s %s", b.newer, b.releases);
	must_run("/", NULL, "mv %s.now %s", b.newer, b.newer);
	identity_free(b.f->identity);
	b.f->identity = old;
	must_not(&b, b.newer, NULL, ERR_REFUSED, "cluster.key");
	backup_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_newer_is_taken),
		cmocka_unit_test(an_empty_admin_takes_all),
		cmocka_unit_test(a_lost_commit_is_told),
		cmocka_unit_test(others_are_refused),
		cmocka_unit_test(another_line_is_refused),
		cmocka_unit_test(what_cannot_be_continued_is_refused),
	};

	libraries_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
