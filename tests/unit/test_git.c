/* Repositories, refs and commits by libgit2, against stock git. */
#include "repo_fixture.h"

static struct oid put_commit(struct repo *repo, const struct oid *parent, const char *message)
{
	struct fileset set = {0};
	char hex[OID_HEX_SIZE], *raw,
		*line = parent ? text_format("parent %s\n", oid_hex(parent, hex)) : text_copy("");
	struct oid tree, oid;

	add_file(&set, "a", message);
	must(tree_write(repo, &set, &tree, err));
	fileset_clear(&set);
	raw = text_format("tree %s\n%sauthor A <a@b> 1700000000 +0000\n"
			  "committer A <a@b> 1700000000 +0000\n\n%s\n",
			  oid_hex(&tree, hex), line, message);
	must(repo_commit_write(repo, raw, strlen(raw), &oid, err));
	free(raw);
	free(line);
	return oid;
}

static void init_is_minimal(void **state)
{
	struct fixture *f = *state;
	struct repo *again;

	expect_answer(
		f->path, "find . | sort | tr '\\n' ' '",
		". ./HEAD ./config ./objects ./objects/info ./objects/pack ./refs ./refs/heads "
		"./refs/tags ");
	must(repo_init_bare(f->path, &again, err));
	assert_string_equal(repo_path(again), repo_path(f->repo));
	assert_true(text_ends(repo_path(again), "/a.git/"));
	repo_free(again);
	need("git");
	expect_answer(f->path,
		      "git rev-parse --is-bare-repository && git symbolic-ref HEAD && git fsck",
		      "true\nrefs/heads/main\nnotice: HEAD points to an unborn branch (main)\n"
		      "notice: No default references");
}

static void init_completes_a_half_made_one(void **state)
{
	struct fixture *f = *state;
	char *path = text_format("%s/half.git", f->folder);
	struct repo *repo;

	sh(f->folder, "mkdir -p half.git/objects");
	must_fail(repo_open(path, &repo, err), ERR_GONE, "half.git");
	must(repo_init_bare(path, &repo, err));
	repo_free(repo);
	sh(f->folder, "test -f half.git/HEAD");
	free(path);
}

static void init_keeps_what_is_there(void **state)
{
	struct fixture *f = *state;
	struct repo *again;

	sh(f->path, "printf '[core]\\n\\tbare = true\\n[a]\\n\\tb = c\\n' > config && "
		    "echo 'ref: refs/heads/other' > HEAD");
	must(repo_init_bare(f->path, &again, err));
	repo_free(again);
	expect_answer(f->path, "grep -c 'b = c' config && cat HEAD", "1\nref: refs/heads/other");
}

static void open_refuses(void **state)
{
	struct fixture *f = *state;
	char *below = text_format("%s/objects", f->path);
	struct repo *repo;

	must_fail(repo_open("/nonexistent/x.git", &repo, err), ERR_GONE, "/nonexistent/x.git");
	/* a folder within a repository is none */
	must_fail(repo_open(below, &repo, err), ERR_GONE, "objects");
	sh(f->folder, "echo x > file");
	free(below);
	below = text_format("%s/file", f->folder);
	must_fail(repo_open(below, &repo, err), ERR_GONE, "file");
	free(below);
}

static void open_refuses_another_owner(void **state)
{
	struct fixture *f = *state;
	char *path = text_format("%s/foreign.git", f->folder);
	struct repo *repo;

	if (geteuid() != 0) {
		print_message("not root: skipped\n");
		free(path);
		skip();
	}
	must(repo_init_bare(path, &repo, err));
	repo_free(repo);
	assert_int_equal(chown(path, 12345, 12345), 0);
	must_fail(repo_open(path, &repo, err), ERR_DENIED, "belongs to another user");
	free(path);
}

static void no_configuration_of_others_is_read(void **state)
{
	git_buf path = GIT_BUF_INIT;

	(void)state;
	for (int level = GIT_CONFIG_LEVEL_PROGRAMDATA; level <= GIT_CONFIG_LEVEL_GLOBAL; level++) {
		assert_int_equal(git_libgit2_opts(GIT_OPT_GET_SEARCH_PATH, level, &path), 0);
		assert_string_equal(path.ptr ? path.ptr : "", "");
	}
	git_buf_dispose(&path);
}

static void ref_set_compares(void **state)
{
	struct fixture *f = *state;
	struct oid a = put_commit(f->repo, NULL, "a"), b = put_commit(f->repo, &a, "b"), got;

	must_fail(repo_ref_get(f->repo, "refs/heads/web", &got, err), ERR_GONE, "refs/heads/web");
	must_fail(repo_ref_set(f->repo, "refs/heads/web", &a, &b, err), ERR_RETRY, "is gone");
	must(repo_ref_set(f->repo, "refs/heads/web", NULL, &a, err));
	must_fail(repo_ref_set(f->repo, "refs/heads/web", NULL, &b, err), ERR_RETRY,
		  "exists already");
	must_fail(repo_ref_set(f->repo, "refs/heads/web", &b, &a, err), ERR_RETRY, "was moved");
	must(repo_ref_get(f->repo, "refs/heads/web", &got, err));
	assert_true(oid_equal(&got, &a));
	must(repo_ref_set(f->repo, "refs/heads/web", &a, &b, err));
	must(repo_ref_get(f->repo, "refs/heads/web", &got, err));
	assert_true(oid_equal(&got, &b));
	/* nothing is left behind */
	expect_answer(f->path, "find . -name '*.lock'; test -e logs || echo none", "none");
}

static void ref_set_sees_packed_refs(void **state)
{
	struct fixture *f = *state;
	struct oid a = put_commit(f->repo, NULL, "a"), b = put_commit(f->repo, &a, "b"), got;

	need("git");
	must(repo_ref_set(f->repo, "refs/heads/web", NULL, &a, err));
	sh(f->path, "git pack-refs --all");
	must_fail(repo_ref_set(f->repo, "refs/heads/web", NULL, &b, err), ERR_RETRY,
		  "exists already");
	must(repo_ref_set(f->repo, "refs/heads/web", &a, &b, err));
	must(repo_ref_get(f->repo, "refs/heads/web", &got, err));
	assert_true(oid_equal(&got, &b));
	must_fail(repo_ref_set(f->repo, "refs/heads/web", &a, &b, err), ERR_RETRY, "was moved");
}

static void ref_set_refuses(void **state)
{
	static const char *const names[] = {
		"HEAD",          "web",         "refs/heads/a..b", "refs/heads/x.lock",
		"refs/heads/ y", "refs/heads/", "refs/heads/a\nb", ""};
	struct fixture *f = *state;
	struct oid a = put_commit(f->repo, NULL, "a"), none = {{1}}, got;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		must_fail(repo_ref_set(f->repo, names[i], NULL, &a, err), ERR_REFUSED, "no name");
	must_fail(repo_ref_set(f->repo, "refs/heads/web", NULL, &none, err), ERR_GONE,
		  "does not exist");
	sh(f->path, "echo 'ref: refs/heads/web' > refs/heads/link");
	must(repo_ref_set(f->repo, "refs/heads/web", NULL, &a, err));
	must_fail(repo_ref_set(f->repo, "refs/heads/link", &a, &a, err), ERR_REFUSED, "symbolic");
	must(repo_ref_get(f->repo, "refs/heads/link", &got, err));
	assert_true(oid_equal(&got, &a));
}

static void ref_locked_by_another(void **state)
{
	struct fixture *f = *state;
	struct oid a = put_commit(f->repo, NULL, "a"), got;

	sh(f->path, "touch refs/heads/web.lock");
	must_fail(repo_ref_set(f->repo, "refs/heads/web", NULL, &a, err), ERR_RETRY, "web");
	must_fail(repo_ref_get(f->repo, "refs/heads/web", &got, err), ERR_GONE, "web");
	sh(f->path,
	   "mkdir -p refs/pins/x && touch refs/pins/x/y.lock packed-refs.lock keep.lock && "
	   "ln -s ../../../keep.lock refs/pins/other.lock && ln -s .. refs/pins/up");
	must(repo_remove_stale_locks(f->repo, err));
	expect_answer(f->path, "find . -name '*.lock'", "./keep.lock");
	must(repo_ref_set(f->repo, "refs/heads/web", NULL, &a, err));
	must(repo_remove_stale_locks(f->repo, err));
	must(repo_ref_get(f->repo, "refs/heads/web", &got, err));
}

/* What a walk over refs saw. */
struct seen {
	char names[256];
	unsigned stop; /* after so many; 0: never */
	unsigned count;
};

static int see(void *arg, const char *ref, const struct oid *oid)
{
	struct seen *seen = arg;
	size_t used = strlen(seen->names);

	assert_false(oid_is_zero(oid));
	(void)snprintf(seen->names + used, sizeof(seen->names) - used, "%s ", ref);
	return ++seen->count == seen->stop ? 7 : 0;
}

static void ref_each_in_order(void **state)
{
	static const char *const refs[] = {"refs/heads/b", "refs/pins/n1", "refs/heads/a",
					   "refs/heads/Z", "refs/heads/a-b"};
	struct fixture *f = *state;
	struct oid a = put_commit(f->repo, NULL, "a");
	struct seen all = {.stop = 0}, some = {.stop = 2}, none = {.stop = 0};

	must(repo_ref_each(f->repo, "refs/heads/", see, &none, err));
	assert_int_equal(none.count, 0);
	for (size_t i = 0; i < sizeof(refs) / sizeof(refs[0]); i++) {
		must(repo_ref_set(f->repo, refs[i], NULL, &a, err));
		if (i == 1 && run("/", NULL, "command -v git") == 0)
			sh(f->path, "git pack-refs --all");
	}
	sh(f->path, "echo 'ref: refs/heads/a' > refs/heads/sym");
	must(repo_ref_each(f->repo, "refs/heads/", see, &all, err));
	assert_string_equal(all.names, "refs/heads/Z refs/heads/a refs/heads/a-b refs/heads/b ");
	assert_int_equal(repo_ref_each(f->repo, "refs/heads/", see, &some, NULL), 7);
	assert_string_equal(some.names, "refs/heads/Z refs/heads/a ");
}

static void resolve_what_people_mean(void **state)
{
	struct fixture *f = *state;
	struct oid a = put_commit(f->repo, NULL, "a"), b = put_commit(f->repo, &a, "b"), got;
	struct oid blob = put_blob(f->repo, "blob");
	char hex[OID_HEX_SIZE];

	must(repo_ref_set(f->repo, "refs/heads/main", NULL, &b, err));
	must(repo_resolve(f->repo, "HEAD", &got, err));
	assert_true(oid_equal(&got, &b));
	must(repo_resolve(f->repo, "HEAD~1", &got, err));
	assert_true(oid_equal(&got, &a));
	(void)oid_hex(&a, hex);
	must(repo_resolve(f->repo, hex, &got, err));
	hex[10] = '\0';
	must(repo_resolve(f->repo, hex, &got, err));
	assert_true(oid_equal(&got, &a));
	if (run("/", NULL, "command -v git") == 0) {
		sh(f->path, "git tag -a -m x v1 main");
		must(repo_resolve(f->repo, "v1", &got, err));
		assert_true(oid_equal(&got, &b));
	}
	must_fail(repo_resolve(f->repo, "HEAD~9", &got, err), ERR_GONE, "HEAD~9");
	must_fail(repo_resolve(f->repo, "nope", &got, err), ERR_GONE, "nope");
	must_fail(repo_resolve(f->repo, "a b^{{", &got, err), ERR_REFUSED, "a b^{{");
	must_fail(repo_resolve(f->repo, "", &got, err), ERR_REFUSED, "revision");
	must_fail(repo_resolve(f->repo, oid_hex(&blob, hex), &got, err), ERR_REFUSED, "revision");
}

static void descends(void **state)
{
	struct fixture *f = *state;
	struct oid a = put_commit(f->repo, NULL, "a"), b = put_commit(f->repo, &a, "b");
	struct oid side = put_commit(f->repo, &a, "side"), none = {{3}};
	bool yes = false;

	must(repo_descends(f->repo, &b, &a, &yes, err));
	assert_true(yes);
	must(repo_descends(f->repo, &a, &b, &yes, err));
	assert_false(yes);
	must(repo_descends(f->repo, &b, &b, &yes, err));
	assert_true(yes);
	must(repo_descends(f->repo, &side, &b, &yes, err));
	assert_false(yes);
	must_fail(repo_descends(f->repo, &none, &none, &yes, err), ERR_GONE, "03000000");
	must_fail(repo_descends(f->repo, &b, &none, &yes, err), ERR_GONE, "");
	must_fail(repo_descends(f->repo, &none, &b, &yes, err), ERR_GONE, "");
}

static void commits_as_bytes(void **state)
{
	struct fixture *f = *state;
	struct oid a = put_commit(f->repo, NULL, "a"), blob = put_blob(f->repo, "blob"),
		   none = {{9}}, big, again;
	char *large = mem_new(LIMIT_COMMIT_SIZE + 2, 1);
	struct buf raw, small;

	buf_init(&raw, LIMIT_COMMIT_SIZE);
	must(repo_commit_raw(f->repo, &a, &raw, err));
	must(repo_commit_id(raw.data, raw.len, &again, err));
	assert_true(oid_equal(&again, &a));
	buf_reset(&raw);
	buf_puts(&raw, "+");
	must(repo_commit_raw(f->repo, &a, &raw, err));
	assert_true(text_starts(buf_text(&raw), "+tree "));
	assert_true(text_ends(buf_text(&raw), "\n\na\n"));
	must_fail(repo_commit_raw(f->repo, &blob, &raw, err), ERR_CORRUPT, "not a commit");
	must_fail(repo_commit_raw(f->repo, &none, &raw, err), ERR_GONE, "090000000000");
	buf_init(&small, 20);
	must_fail(repo_commit_raw(f->repo, &a, &small, err), ERR_REFUSED, "does not fit");
	memset(large, 'x', LIMIT_COMMIT_SIZE + 1);
	must_fail(repo_commit_write(f->repo, large, LIMIT_COMMIT_SIZE + 1, &big, err), ERR_REFUSED,
		  "limit");
	must(object_write(f->repo, GIT_OBJECT_COMMIT, large, LIMIT_COMMIT_SIZE + 1, &big, err));
	must_fail(repo_commit_raw(f->repo, &big, &raw, err), ERR_REFUSED, "over the limit");
	free(large);
	buf_clear(&raw);
	buf_clear(&small);
}

static void damaged_objects(void **state)
{
	struct fixture *f = *state;
	struct oid a = put_commit(f->repo, NULL, "a"), b = put_commit(f->repo, NULL, "b");
	char x[OID_HEX_SIZE], y[OID_HEX_SIZE], *command;
	struct buf raw;

	(void)oid_hex(&a, x);
	(void)oid_hex(&b, y);
	buf_init(&raw, LIMIT_COMMIT_SIZE);
	/* a file that holds another object than its name says */
	command = text_format("cp -f objects/%.2s/%s objects/%.2s/%s", x, x + 2, y, y + 2);
	sh(f->path, command);
	must_fail(repo_commit_raw(f->repo, &b, &raw, err), ERR_CORRUPT, "object");
	free(command);
	command = text_format("chmod u+w objects/%.2s/%s; : > objects/%.2s/%s", x, x + 2, x, x + 2);
	sh(f->path, command);
	assert_int_equal(repo_commit_raw(f->repo, &a, &raw, NULL), -1);
	free(command);
	buf_clear(&raw);
}

static void links_of_commits(void **state)
{
	static const char tree[] = "tree 0123456789012345678901234567890123456789\n";
	static const char parent[] = "parent 1123456789012345678901234567890123456789\n";
	char *two = text_format("%s%s%sauthor", tree, parent, parent);
	struct links links;

	(void)state;
	assert_int_equal(commit_links(two, strlen(two), &links), 0);
	assert_int_equal(links.parent_count, 2);
	assert_int_equal(links.parent.id[0], 0x11);
	assert_int_equal(links.tree.id[0], 0x01);
	for (size_t n = 0; n < sizeof(tree) - 1; n++)
		assert_int_equal(commit_links(two, n, &links), -1);
	assert_int_equal(commit_links(parent, strlen(parent), &links), -1);
	free(two);
}

static void errors_have_codes(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(
		git_error_set_str(GIT_ERROR_OS, "failed to write: No space left on device"), 0);
	assert_int_equal(git_err(&err, -1, "write %s", "x"), -1);
	assert_int_equal(err.code, ERR_FULL);
	assert_string_equal(err.text, "write x: failed to write: No space left on device");
	assert_int_equal(git_error_set_str(GIT_ERROR_OS, "could not open: Permission denied"), 0);
	(void)git_err(&err, -1, "x");
	assert_int_equal(err.code, ERR_DENIED);
	assert_int_equal(git_error_set_str(GIT_ERROR_OS, "read: Input/output error"), 0);
	(void)git_err(&err, -1, "x");
	assert_int_equal(err.code, ERR_RETRY);
	assert_int_equal(git_error_set_str(GIT_ERROR_ZLIB, "inflate"), 0);
	(void)git_err(&err, -1, "x");
	assert_int_equal(err.code, ERR_CORRUPT);
	(void)git_err(&err, GIT_ENOTFOUND, "x");
	assert_int_equal(err.code, ERR_GONE);
	(void)git_err(&err, ERR_REFUSED, "x");
	assert_int_equal(err.code, ERR_REFUSED);
	assert_int_equal(git_err(NULL, -1, "x"), -1);
}

static void worktree_refs_have_a_reflog(void **state)
{
	struct fixture *f = *state;
	char *path = text_format("%s/work", f->folder);
	struct repo *repo;
	struct oid a, b;

	must(repo_init_worktree(path, &repo, err));
	repo_free(repo);
	must(repo_init_worktree(path, &repo, err));
	assert_true(text_ends(repo_path(repo), "/work/.git/"));
	a = put_commit(repo, NULL, "a");
	b = put_commit(repo, &a, "b");
	must(repo_ref_set(repo, "refs/heads/main", NULL, &a, err));
	must(repo_ref_set(repo, "refs/heads/main", &a, &b, err));
	need("git");
	expect_answer(path,
		      "git rev-parse --is-bare-repository; git symbolic-ref HEAD; "
		      "git reflog | wc -l; git fsck --strict",
		      "false\nrefs/heads/main\n2");
	repo_free(repo);
	free(path);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		repo_test(init_is_minimal),
		repo_test(init_completes_a_half_made_one),
		repo_test(init_keeps_what_is_there),
		repo_test(open_refuses),
		repo_test(open_refuses_another_owner),
		repo_test(no_configuration_of_others_is_read),
		repo_test(ref_set_compares),
		repo_test(ref_set_sees_packed_refs),
		repo_test(ref_set_refuses),
		repo_test(ref_locked_by_another),
		repo_test(ref_each_in_order),
		repo_test(resolve_what_people_mean),
		repo_test(descends),
		repo_test(commits_as_bytes),
		repo_test(damaged_objects),
		repo_test(links_of_commits),
		repo_test(errors_have_codes),
		repo_test(worktree_refs_have_a_reflog),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
