/* The authoring repository: commits of the work tree, compared with stock git's. */
#include "repo_fixture.h"

#include "core/limits.h"
#include "repo/source.h"

#include <sys/file.h>

/* A work tree besides what every test has. */
struct work {
	struct fixture *f;
	char *path;
	struct repo *repo;
	struct source_person who;
};

static int setup(void **state)
{
	struct work *w = mem_new(1, sizeof(*w));
	void *inner;

	(void)fixture_setup(&inner);
	w->f = inner;
	w->path = text_format("%s/work", w->f->folder);
	must(repo_init_worktree(w->path, &w->repo, err));
	w->who = (struct source_person){.name = text_copy("Ada"),
					.mail = text_copy("ada@example.com")};
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct work *w = *state;
	void *inner = w->f;

	repo_free(w->repo);
	source_person_clear(&w->who);
	free(w->path);
	free(w);
	return fixture_teardown(&inner);
}

#define work_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static struct oid commit_all(struct work *w, const char *message)
{
	struct source_commit commit = {.who = &w->who, .message = message};
	bool changed = false;
	struct oid oid = {{0}};

	must(source_commit(w->repo, &commit, &changed, &oid, err));
	assert_true(changed);
	return oid;
}

static bool is_changed(struct work *w)
{
	bool changed = false;

	must(source_changed(w->repo, &changed, err));
	return changed;
}

static void expect_clean(struct work *w)
{
	assert_false(is_changed(w));
	expect_answer(w->path,
		      "git status --porcelain && git fsck --strict 2>&1 | grep -v "
		      "'^notice\\|^dangling'; true",
		      "");
}

/* The files of the work tree and of HEAD are the same, and the tree is the one stock git would have
 * made. */
static void expect_same_as_git(struct work *w)
{
	struct fileset disk = {0}, head = {0};
	struct oid oid;

	must(repo_resolve(w->repo, "HEAD", &oid, err));
	must(tree_read_commit(w->repo, &oid, &head, err));
	must(source_read(w->repo, &disk, err));
	assert_true(fileset_equal(&disk, &head));
	fileset_clear(&disk);
	fileset_clear(&head);
	sh(w->path, "cp -r .git ../copy.git && export GIT_DIR=../copy.git GIT_WORK_TREE=. && rm -f "
		    "../copy.git/index && "
		    "git add -A . && test $(git write-tree) = $(git rev-parse HEAD^{tree}); x=$?; "
		    "rm -rf ../copy.git; exit $x");
}

static void first_commit(void **state)
{
	struct work *w = *state;
	struct source_commit nothing = {.who = &w->who, .message = "x"};
	bool changed = true;
	struct oid oid;
	char hex[OID_HEX_SIZE];

	need("git");
	assert_false(is_changed(w));
	must(source_commit(w->repo, &nothing, &changed, &oid, err));
	assert_false(changed);
	sh(w->path,
	   "mkdir -p files/web && echo '<config/>' > config.xml && echo x > files/web/a && "
	   "echo '#!/bin/sh' > files/web/run && chmod 775 files/web/run && chmod 600 config.xml");
	assert_true(is_changed(w));
	oid = commit_all(w, "first");
	expect_clean(w);
	expect_same_as_git(w);
	expect_answer(w->path, "git rev-parse main", oid_hex(&oid, hex));
	expect_answer(w->path, "git ls-tree -r --format='%(objectmode) %(path)' HEAD",
		      "100644 config.xml\n100644 files/web/a\n100755 files/web/run");
	expect_answer(w->path, "git log --format='%an <%ae> %cn <%ce> %s|%b|'",
		      "Ada <ada@example.com> Ada <ada@example.com> first||");
	must(source_commit(w->repo, &nothing, &changed, &oid, err));
	assert_false(changed);
}

static void all_kinds_of_changes(void **state)
{
	struct work *w = *state;

	need("git");
	sh(w->path, "mkdir -p d/e && echo 1 > a && echo 2 > d/b && echo 3 > d/e/c && echo 4 > x && "
		    "echo '*.tmp' > "
		    ".gitignore && echo no > z.tmp");
	(void)commit_all(w, "one\n");
	sh(w->path, "rm a && echo more >> d/b && rm -r d/e && mkdir x.d && echo new > x.d/n && "
		    "chmod +x x && "
		    "rm d/b && mkdir d/b && echo in > d/b/file && echo no > d/b/y.tmp");
	assert_true(is_changed(w));
	(void)commit_all(w, "two\n");
	expect_clean(w);
	expect_same_as_git(w);
	expect_answer(w->path,
		      "git ls-tree -r --format='%(objectmode) %(path)' HEAD; git log --format=%s",
		      "100644 .gitignore\n100644 d/b/file\n100755 x\n100644 x.d/n\ntwo\none");
	/* all gone */
	sh(w->path, "rm -r d x x.d .gitignore z.tmp");
	(void)commit_all(w, "three\n");
	expect_clean(w);
	expect_answer(w->path, "git ls-tree -r HEAD", "");
}

static void what_git_staged_is_committed_too(void **state)
{
	struct work *w = *state;

	need("git");
	sh(w->path, "echo 1 > a && echo '*.tmp' > .gitignore && echo forced > f.tmp && git add -f "
		    "f.tmp && git add a");
	(void)commit_all(w, "one");
	expect_answer(w->path, "git ls-tree -r --name-only HEAD", ".gitignore\na\nf.tmp");
	/* tracked although ignored: still followed */
	sh(w->path, "echo again > f.tmp");
	assert_true(is_changed(w));
	(void)commit_all(w, "two");
	expect_clean(w);
	expect_answer(w->path, "git show HEAD:f.tmp", "again");
	sh(w->path, "git rm -q --cached a && git mv f.tmp g.tmp");
	assert_true(is_changed(w));
	(void)commit_all(w, "three");
	expect_clean(w);
}

static void only_some_paths(void **state)
{
	static const char *const paths[] = {"a", "d", "gone", "new*"};
	struct work *w = *state;
	struct source_commit commit = {
		.who = &w->who, .message = "some", .paths = paths, .path_count = 4};
	bool changed;
	struct oid oid;

	need("git");
	sh(w->path,
	   "mkdir d && echo 1 > a && echo 1 > b && echo 1 > d/x && echo 1 > d/y && echo 1 > gone");
	(void)commit_all(w, "one");
	sh(w->path, "echo 2 > a && echo 2 > b && echo 2 > d/x && rm d/y gone && echo s > staged && "
		    "git add staged && "
		    "echo 1 > 'new*' && echo 1 > newer && echo 1 > d/z");
	must(source_commit(w->repo, &commit, &changed, &oid, err));
	assert_true(changed);
	expect_answer(w->path, "git show --format= --no-renames --name-status HEAD",
		      "M\ta\nM\td/x\nD\td/y\nA\td/z\nD\tgone\nA\tnew*");
	expect_answer(w->path, "git status --porcelain", " M b\nA  staged\n?? newer");
	/* the rest */
	(void)commit_all(w, "rest");
	expect_clean(w);
	expect_same_as_git(w);
}

static void a_path_in_an_unborn_branch(void **state)
{
	static const char *const paths[] = {"a"};
	struct work *w = *state;
	struct source_commit commit = {
		.who = &w->who, .message = "a", .paths = paths, .path_count = 1};
	bool changed;
	struct oid oid;

	need("git");
	sh(w->path, "echo 1 > a && echo 1 > b && git add b");
	must(source_commit(w->repo, &commit, &changed, &oid, err));
	assert_true(changed);
	expect_answer(w->path, "git ls-tree -r --name-only HEAD && git status --porcelain",
		      "a\nA  b");
	must(source_commit(w->repo, &commit, &changed, &oid, err));
	assert_false(changed);
}

static void paths_that_name_nothing(void **state)
{
	static const char *const names[] = {"nope", "d/nope",    "a/b",         "*",
					    "d*",   "../work/a", "/etc/passwd", "../a.git",
					    "",     ".git",      ".git/config"};
	struct work *w = *state;
	bool changed;
	struct oid oid;

	sh(w->path, "mkdir d && echo 1 > a && echo 1 > d/x");
	(void)commit_all(w, "one");
	sh(w->path, "echo 2 > a");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *const paths[] = {"a", names[i]};
		struct source_commit commit = {
			.who = &w->who, .message = "a", .paths = paths, .path_count = 2};

		must_fail(source_commit(w->repo, &commit, &changed, &oid, err), ERR_REFUSED,
			  "no such file or folder");
	}
	assert_true(is_changed(w));
}

/* What git ignores is not there to commit: that is said, instead of "nothing changed". */
static void paths_that_are_ignored(void **state)
{
	static const char *const names[] = {"z.tmp", "d/z.tmp", "out", "out/", "out/x"};
	struct work *w = *state;
	bool changed;
	struct oid oid;

	sh(w->path,
	   "mkdir d out && printf '*.tmp\\nout/\\n' > .gitignore && echo 1 > a && echo 1 > d/x && "
	   "echo 1 > z.tmp && echo 1 > d/z.tmp && echo 1 > out/x && echo 1 > f.tmp && git add -f "
	   "f.tmp");
	(void)commit_all(w, "one");
	sh(w->path, "echo 2 > a && echo 2 > f.tmp");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *const paths[] = {names[i]};
		struct source_commit commit = {
			.who = &w->who, .message = "a", .paths = paths, .path_count = 1};

		must_fail(source_commit(w->repo, &commit, &changed, &oid, err), ERR_REFUSED,
			  names[i]);
		must_fail(source_commit(w->repo, &commit, &changed, &oid, err), ERR_REFUSED,
			  "is ignored");
	}
	assert_true(is_changed(w));
	{
		/* one that was added all the same is not, nor is a folder with others in it */
		const char *const paths[] = {"f.tmp", "d"};
		struct source_commit commit = {
			.who = &w->who, .message = "a", .paths = paths, .path_count = 2};

		must(source_commit(w->repo, &commit, &changed, &oid, err));
		assert_true(changed);
	}
}

static void paths_of_folders(void **state)
{
	static const char *const forms[] = {"d/", "d", "."};
	struct work *w = *state;
	bool changed;
	struct oid oid;

	need("git");
	sh(w->path, "mkdir d && echo 1 > d/x && echo 1 > dx");
	(void)commit_all(w, "one");
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct source_commit commit = {
			.who = &w->who, .message = "d", .paths = forms + i, .path_count = 1};

		sh(w->path, "echo 1 >> d/x && echo 1 >> dx");
		must(source_commit(w->repo, &commit, &changed, &oid, err));
		assert_true(changed);
		expect_answer(w->path, "git show --format= --name-only HEAD",
			      i < 2 ? "d/x" : "d/x\ndx");
	}
	expect_clean(w);
}

static void filters_are_not_run(void **state)
{
	struct work *w = *state;

	need("git");
	sh(w->path, "git config filter.x.clean 'tr a b' && git config filter.x.required true && "
		    "echo '*.xml filter=x' > .gitattributes && echo aaa > a.xml");
	(void)commit_all(w, "one");
	expect_answer(w->path, "git cat-file -p HEAD:a.xml", "aaa");
	assert_false(is_changed(w));
}

/* Ours are links to one file; without anyone at work they were left by a kill. */
static void removes_only_its_own_locks(void **state)
{
	struct work *w = *state;
	struct source_commit commit = {.who = &w->who, .message = "x"};
	bool changed = false;
	struct oid oid;
	char *path;
	int fd;

	need("git");
	sh(w->path, "echo 1 > a");
	(void)commit_all(w, "one");
	sh(w->path, "test -e .git/muster.lock && test ! -e .git/index.lock");
	sh(w->path,
	   "echo 2 > a && ln .git/muster.lock .git/index.lock && "
	   "ln .git/muster.lock .git/refs/heads/main.lock && mkdir -p .git/refs/heads/x && "
	   "ln .git/muster.lock .git/refs/heads/x/other.lock && "
	   "touch .git/refs/heads/x/git.lock .git/muster.index .git/muster.index.lock "
	   ".git/muster.ref");
	must(source_commit(w->repo, &commit, &changed, &oid, err));
	assert_true(changed);
	sh(w->path,
	   "test -e .git/refs/heads/x/git.lock && rm -r .git/refs/heads/x && "
	   "test \"$(find .git -name '*.lock' -o -name 'muster.*')\" = .git/muster.lock && "
	   "test -z \"$(git status --porcelain)\"");
	/* without a commit, at a daemon's start */
	sh(w->path, "ln .git/muster.lock .git/index.lock");
	must(source_clean(w->repo, err));
	sh(w->path, "test ! -e .git/index.lock && touch .git/index.lock");
	must(source_clean(w->repo, err));
	sh(w->path, "test -e .git/index.lock");
	/* git's own: named, with what to do, and left */
	sh(w->path, "echo 3 > a");
	must_fail(
		source_commit(w->repo, &commit, &changed, &oid, err), ERR_RETRY,
		".git/index.lock: git is writing there, or was killed while it was: try again, and "
		"remove that file if no git runs");
	sh(w->path, "test -e .git/index.lock && rm .git/index.lock");
	/* while another of ours is at work nothing is taken from it */
	sh(w->path, "ln .git/muster.lock .git/index.lock");
	path = text_format("%s/.git/muster.lock", w->path);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	must_fail(source_commit(w->repo, &commit, &changed, &oid, err), ERR_RETRY,
		  "another command of muster is writing there");
	must(source_clean(w->repo, err));
	sh(w->path, "test -e .git/index.lock");
	(void)close(fd);
	must(source_commit(w->repo, &commit, &changed, &oid, err));
	assert_true(changed);
	free(path);
}

/* The branch moves with what git keeps of it. */
static void logs_the_move(void **state)
{
	struct work *w = *state;

	need("git");
	sh(w->path, "git checkout -q --orphan deep/branch && echo 1 > a");
	(void)commit_all(w, "one");
	sh(w->path, "git pack-refs --all && echo 2 > a");
	(void)commit_all(w, "two");
	expect_answer(w->path, "git log --format=%s deep/branch", "two\none");
	expect_answer(w->path, "git reflog --format=%gs deep/branch",
		      "muster: moved\nmuster: moved");
	expect_answer(w->path, "git rev-parse HEAD@{1} HEAD~1 | uniq | wc -l", "1");
}

static void refuses_while_git_works(void **state)
{
	struct work *w = *state;
	struct source_commit commit = {.who = &w->who, .message = "x"};
	bool changed;
	struct oid oid;

	need("git");
	sh(w->path, "echo 1 > a");
	(void)commit_all(w, "one");
	sh(w->path, "echo 2 > a && touch .git/index.lock");
	must_fail(source_commit(w->repo, &commit, &changed, &oid, err), ERR_RETRY, "index");
	sh(w->path, "rm .git/index.lock && touch .git/refs/heads/main.lock");
	must_fail(source_commit(w->repo, &commit, &changed, &oid, err), ERR_RETRY,
		  "refs/heads/main");
	sh(w->path, "rm .git/refs/heads/main.lock && git checkout -q --detach");
	must_fail(source_commit(w->repo, &commit, &changed, &oid, err), ERR_REFUSED,
		  "on no branch");
	sh(w->path, "git checkout -q main && git checkout -q -b side HEAD && echo side > a && git "
		    "commit -qam side && "
		    "git checkout -q main && echo main > a && git commit -qam main && ! git merge "
		    "-q side >/dev/null");
	must_fail(source_commit(w->repo, &commit, &changed, &oid, err), ERR_REFUSED, "a merge");
	sh(w->path, "rm .git/MERGE_HEAD");
	must_fail(source_commit(w->repo, &commit, &changed, &oid, err), ERR_REFUSED, "conflicts");
	must_fail(source_commit(w->f->repo, &commit, &changed, &oid, err), ERR_REFUSED,
		  "no work tree");
}

static void odd_messages_and_persons(void **state)
{
	struct work *w = *state;
	struct source_person odd = {.name = text_copy("A<b>\nc"), .mail = text_copy("")};
	struct source_commit commit = {.who = &odd, .message = "one\n\ntwo"};
	char *large = mem_new(LIMIT_COMMIT_SIZE + 1, 1);
	bool changed;
	struct oid oid;

	need("git");
	sh(w->path, "echo 1 > a");
	must(source_commit(w->repo, &commit, &changed, &oid, err));
	expect_answer(w->path, "git log --format='%an|%ae|%B' && git fsck --strict",
		      "Abc||one\n\ntwo\n");
	sh(w->path, "echo 2 > a");
	memset(large, 'x', LIMIT_COMMIT_SIZE);
	commit.message = large;
	must_fail(source_commit(w->repo, &commit, &changed, &oid, err), ERR_REFUSED,
		  "message is longer");
	free(large);
	source_person_clear(&odd);
}

static void back_to_an_old_tree(void **state)
{
	struct work *w = *state;
	struct source_commit commit = {.who = &w->who, .message = "back"};
	struct oid one, two, oid;
	bool changed = false;

	need("git");
	sh(w->path, "mkdir d && echo 1 > a && echo 1 > d/x && echo '*.tmp' > .gitignore && echo "
		    "mine > z.tmp");
	one = commit_all(w, "one");
	sh(w->path, "rm -r d && echo 2 > a && echo 2 > new");
	two = commit_all(w, "two");
	must(source_commit_tree(w->repo, &commit, &one, &changed, &oid, err));
	assert_true(changed);
	expect_clean(w);
	expect_answer(w->path,
		      "cat a d/x z.tmp && ls && git rev-list --count HEAD && git diff HEAD~2 && "
		      "git rev-parse "
		      "HEAD~1 | grep -c .",
		      "1\n1\nmine\na\nd\nz.tmp\n3\n1");
	must(source_commit_tree(w->repo, &commit, &one, &changed, &oid, err));
	assert_false(changed);
	sh(w->path, "echo dirty >> a");
	must_fail(source_commit_tree(w->repo, &commit, &two, &changed, &oid, err), ERR_REFUSED,
		  "not committed");
	sh(w->path, "git checkout -q a && touch .git/refs/heads/main.lock");
	must_fail(source_commit_tree(w->repo, &commit, &two, &changed, &oid, err), ERR_RETRY,
		  "main");
	memset(one.id, 1, OID_SIZE);
	sh(w->path, "rm .git/refs/heads/main.lock; git reset -q --hard");
	must_fail(source_commit_tree(w->repo, &commit, &one, &changed, &oid, err), ERR_GONE,
		  "object");
}

/*
 * What is not under git stays, unless it is in the way; and a commit is made on the branch that is
 * meant.
 */
static void back_beside_other_files(void **state)
{
	struct work *w = *state;
	struct source_commit commit = {.who = &w->who, .message = "back"}, on_main = commit;
	struct oid one, two, oid;
	bool changed = false;

	need("git");
	sh(w->path, "mkdir d && echo 1 > a && echo 1 > d/x");
	one = commit_all(w, "one");
	sh(w->path, "rm -r d && echo 2 > a && echo 2 > new");
	two = commit_all(w, "two");
	must(source_commit_tree(w->repo, &commit, &one, &changed, &oid, err));
	sh(w->path, "echo own > note");
	must(source_commit_tree(w->repo, &commit, &two, &changed, &oid, err));
	assert_true(changed);
	expect_answer(w->path, "cat note new && git status --porcelain", "own\n2\n?? note");
	sh(w->path, "mkdir d && echo own > d/x");
	must_fail(source_commit_tree(w->repo, &commit, &one, &changed, &oid, err), ERR_REFUSED,
		  "d/x: is not under git, and in the way");
	expect_answer(w->path, "cat d/x a && git status --porcelain && git rev-list --count HEAD",
		      "own\n2\n?? d/\n?? note\n4");
	sh(w->path, "rm -r d note");
	on_main.branch = "refs/heads/main";
	sh(w->path, "git checkout -q -b other");
	must_fail(source_commit_tree(w->repo, &on_main, &one, &changed, &oid, err), ERR_REFUSED,
		  "HEAD is on refs/heads/other and not on refs/heads/main");
	expect_clean(w);
	sh(w->path, "git checkout -q main && git branch -q -D other");
	must(source_commit_tree(w->repo, &on_main, &one, &changed, &oid, err));
	assert_true(changed);
	must(source_same(w->repo, &one, &oid, &changed, err));
	assert_true(changed);
	must(source_same(w->repo, &one, &two, &changed, err));
	assert_false(changed);
}

static void persons(void **state)
{
	struct work *w = *state;
	char *home = text_format("%s/home", w->f->folder),
	     *old = text_copy(getenv("HOME") ? getenv("HOME") : "");
	char *xdg = getenv("XDG_CONFIG_HOME") ? text_copy(getenv("XDG_CONFIG_HOME")) : NULL;
	struct source_person who;

	assert_int_equal(setenv("HOME", home, 1), 0);
	assert_int_equal(unsetenv("XDG_CONFIG_HOME"), 0);
	must(source_person(w->repo, &who, err));
	assert_true(*who.name && strchr(who.mail, '@'));
	source_person_clear(&who);
	sh(w->f->folder,
	   "mkdir -p home/.config/git && printf '[user]\\n\\tname = Xdg\\n\\temail = xdg@b\\n' > "
	   "home/.config/git/config");
	must(source_person(w->repo, &who, err));
	assert_string_equal(who.name, "Xdg");
	source_person_clear(&who);
	sh(w->f->folder, "printf '[user]\\n\\tname = Home\\n' > home/.gitconfig");
	must(source_person(w->repo, &who, err));
	assert_string_equal(who.name, "Home");
	assert_string_equal(who.mail, "xdg@b");
	source_person_clear(&who);
	sh(w->path, "printf '[user]\\n\\temail = repo@b\\n' >> .git/config");
	must(source_person(w->repo, &who, err));
	assert_string_equal(who.name, "Home");
	assert_string_equal(who.mail, "repo@b");
	source_person_clear(&who);
	/* one that cannot be parsed is none */
	sh(w->f->folder, "printf '[user\\nname' > home/.gitconfig");
	must(source_person(w->repo, &who, err));
	assert_string_equal(who.name, "Xdg");
	source_person_clear(&who);
	assert_int_equal(setenv("HOME", old, 1), 0);
	if (xdg)
		assert_int_equal(setenv("XDG_CONFIG_HOME", xdg, 1), 0);
	free(xdg);
	free(home);
	free(old);
}

static void users_configuration_changes_nothing_else(void **state)
{
	struct work *w = *state;
	char *home = text_format("%s/home", w->f->folder),
	     *old = text_copy(getenv("HOME") ? getenv("HOME") : "");
	struct fileset set = {0};

	sh(w->f->folder, "mkdir -p home/.config/git && echo '*' > home/.config/git/ignore && "
			 "printf '[core]\\n\\tautocrlf = input\\n\\texcludesFile = "
			 "~/.config/git/ignore\\n' > home/.gitconfig");
	assert_int_equal(setenv("HOME", home, 1), 0);
	sh(w->path, "printf 'a\\r\\n' > a");
	(void)commit_all(w, "one");
	must(source_read(w->repo, &set, err));
	assert_string_equal((char *)set.files[0].data, "a\r\n");
	fileset_clear(&set);
	assert_int_equal(setenv("HOME", old, 1), 0);
	free(home);
	free(old);
}

/* --- reading --- */

static void read_writes_nothing(void **state)
{
	struct work *w = *state;
	struct fileset set = {0};

	sh(w->path, "echo '<password>plain</password>' > config.xml && mkdir -p files/web && echo "
		    "x > files/web/a && "
		    "echo y > .hidden");
	must(source_read(w->repo, &set, err));
	assert_int_equal(set.count, 3);
	assert_non_null(fileset_find(&set, "files/web/a"));
	fileset_clear(&set);
	expect_answer(w->path, "find .git/objects -type f", "");
	assert_true(is_changed(w));
	expect_answer(w->path, "find .git/objects -type f", "");
}

static void read_sees_the_disk(void **state)
{
	struct work *w = *state;
	struct fileset set = {0};

	sh(w->path, "mkdir d && echo 1 > a && echo 1 > d/b && echo '*.tmp' > .gitignore");
	(void)commit_all(w, "one");
	sh(w->path, "echo 2 > a && rm -r d && echo 3 > c && echo no > x.tmp && chmod +x c");
	must(source_read(w->repo, &set, err));
	assert_int_equal(set.count, 3);
	assert_string_equal((char *)fileset_find(&set, "a")->data, "2\n");
	assert_int_equal(fileset_find(&set, "c")->mode, FILE_EXEC);
	fileset_clear(&set);
}

static void read_refuses(void **state)
{
	struct work *w = *state;
	struct fileset set = {0};

	sh(w->path, "ln -s /etc/passwd config.xml");
	must_fail(source_read(w->repo, &set, err), ERR_REFUSED, "config.xml: mode 120000");
	sh(w->path, "rm config.xml && mkdir real && echo x > real/a && ln -s real link");
	must_fail(source_read(w->repo, &set, err), ERR_REFUSED, "link: mode 120000");
	sh(w->path, "rm link && printf x > \"$(printf 'a\\nb')\"");
	must_fail(source_read(w->repo, &set, err), ERR_REFUSED, "no path for a file");
	sh(w->path, "rm a* && truncate -s 64M big && printf x >> big");
	must_fail(source_read(w->repo, &set, err), ERR_REFUSED, "big: larger than");
	sh(w->path, "rm big && mkfifo pipe");
	must(source_read(w->repo, &set, err)); /* git does not see a pipe */
	assert_int_equal(set.count, 1);
	fileset_clear(&set);
	must_fail(source_read(w->f->repo, &set, err), ERR_REFUSED, "no work tree");
	if (run("/", NULL, "command -v git") == 0) {
		struct source_commit commit = {.who = &w->who, .message = "x"};
		bool changed;
		struct oid oid;

		sh(w->path, "git init -q sub && echo x > sub/a && cd sub && git add a && git "
			    "commit -q -m x");
		must_fail(source_read(w->repo, &set, err), ERR_REFUSED, "sub");
		must_fail(source_commit(w->repo, &commit, &changed, &oid, err), ERR_REFUSED,
			  "sub/: is a repository of its own");
	}
	assert_int_equal(set.count, 0);
}

static void changed_without_writing(void **state)
{
	struct work *w = *state;

	sh(w->path, "echo 1 > a && echo '*.tmp' > .gitignore");
	(void)commit_all(w, "one");
	assert_false(is_changed(w));
	sh(w->path, "echo x > z.tmp; mkdir empty");
	assert_false(is_changed(w));
	sh(w->path, "chmod +x a");
	assert_true(is_changed(w));
	sh(w->path, "chmod -x a; echo 1 > a");
	assert_false(is_changed(w));
	sh(w->path, "rm a");
	assert_true(is_changed(w));
	sh(w->path, "echo 1 > a; echo 1 > b");
	assert_true(is_changed(w));
	if (run("/", NULL, "command -v git") == 0) {
		sh(w->path, "git add b && rm b");
		assert_true(is_changed(w));
	}
}

/* --- history --- */

static void ranges(void **state)
{
	struct work *w = *state;
	struct oid one, two, three;
	struct source_range range;

	sh(w->path, "echo 1 > a");
	one = commit_all(w, "one");
	sh(w->path, "echo 2 > a");
	two = commit_all(w, "two\n\nMuster-Via: page\n");
	sh(w->path, "echo 3 > a");
	three = commit_all(w, "three");
	must(source_range(w->repo, &one, &two, &range, err));
	assert_int_equal(range.count, 1);
	assert_string_equal(range.message, "two\n\nMuster-Via: page\n");
	assert_true(text_starts(range.author, "Ada <ada@example.com> "));
	source_range_clear(&range);
	must(source_range(w->repo, &one, &three, &range, err));
	assert_int_equal(range.count, 2);
	assert_null(range.author);
	assert_null(range.message);
	must(source_range(w->repo, NULL, &three, &range, err));
	assert_int_equal(range.count, 3);
	must(source_range(w->repo, NULL, &one, &range, err));
	assert_int_equal(range.count, 1);
	source_range_clear(&range);
	must(source_range(w->repo, &three, &three, &range, err));
	assert_int_equal(range.count, 0);
	/* rewound */
	must(source_range(w->repo, &three, &one, &range, err));
	assert_int_equal(range.count, 0);
	memset(one.id, 1, OID_SIZE);
	must_fail(source_range(w->repo, &one, &three, &range, err), ERR_GONE, "");
	must_fail(source_range(w->repo, NULL, &one, &range, err), ERR_GONE, "");
}

static void ranges_of_merges_and_authors(void **state)
{
	struct work *w = *state;
	struct source_range range;
	struct oid old, new;

	need("git");
	sh(w->path,
	   "echo 1 > a && git add a && git commit -qm one && git checkout -qb side && echo 1 > b "
	   "&& git add b && "
	   "git commit -qm side && git checkout -q main && echo 2 > a && git commit -qam two && "
	   "git merge -q --no-ff -m merged side");
	must(repo_resolve(w->repo, "main~1", &old, err));
	must(repo_resolve(w->repo, "main", &new, err));
	must(source_range(w->repo, &old, &new, &range, err));
	assert_int_equal(range.count, 2);
	must(repo_resolve(w->repo, "main^2", &old, err));
	must(source_range(w->repo, &old, &new, &range, err));
	assert_int_equal(range.count, 2);
	/* others' authors, encodings and dates come out in one form */
	sh(w->path, "echo 3 > a && git -c i18n.commitEncoding=ISO-8859-1 commit -qa -m \"$(printf "
		    "'gr\\374n')\" "
		    "--author='J\xc3\xbcrgen <j@x>' --date='1234567890 -0330'");
	must(repo_resolve(w->repo, "HEAD~1", &old, err));
	must(repo_resolve(w->repo, "HEAD", &new, err));
	must(source_range(w->repo, &old, &new, &range, err));
	assert_int_equal(range.count, 1);
	assert_true(text_ends(range.author, "rgen <j@x> 1234567890 -0330"));
	assert_string_equal(range.message, "gr\374n\n");
	source_range_clear(&range);
}

/* What a walk over a range saw. */
struct order {
	struct oid seen[8];
	unsigned count, stop;
};

static int note(void *arg, const struct oid *commit)
{
	struct order *order = arg;

	assert_true(order->count < 8);
	order->seen[order->count++] = *commit;
	return order->count == order->stop ? 5 : 0;
}

static void ranges_in_order(void **state)
{
	struct work *w = *state;
	struct order order = {.stop = 0}, some = {.stop = 1};
	struct oid c[3];

	for (int i = 0; i < 3; i++) {
		char *command = text_format("echo %d > a", i);

		sh(w->path, command);
		c[i] = commit_all(w, "x");
		free(command);
	}
	must(source_range_each(w->repo, NULL, c + 2, note, &order, err));
	assert_int_equal(order.count, 3);
	for (int i = 0; i < 3; i++)
		assert_true(oid_equal(order.seen + i, c + i));
	assert_int_equal(source_range_each(w->repo, c, c + 2, note, &some, NULL), 5);
	assert_true(some.count == 1 && oid_equal(some.seen, c + 1));
}

/* From a commit to a release: what the source says is what the release carries. */
static void source_to_release(void **state)
{
	struct work *w = *state;
	struct source_range range;
	struct release r = new_release(w->f->repo, 1, NULL, "x", w->f->keys[ADMIN]), out;
	struct oid oid;
	struct buf raw;

	sh(w->path, "echo 1 > a");
	oid = commit_all(w, "why\r\n\r\nMuster-Allow-Shrink: yes\r\n");
	must(source_range(w->repo, NULL, &oid, &range, err));
	must_fail(release_message_check("Muster-Role: x", err), ERR_REFUSED, "line 1");
	free(r.author);
	free(r.message);
	r.author = range.author;
	r.message = release_message_clean(range.message);
	r.source = oid;
	free(range.message);
	buf_init(&raw, LIMIT_COMMIT_SIZE);
	must(release_sign(&r, w->f->seeds[ADMIN], &raw, err));
	must(release_parse(raw.data, raw.len, &out, err));
	assert_string_equal(out.message, "why\n\nMuster-Allow-Shrink: yes\n");
	release_clear(&out);
	release_clear(&r);
	buf_clear(&raw);
}

/* git does not sync its index, so that a power cut leaves it empty, cut off, or gone. */
static void a_damaged_index_is_made_anew(void **state)
{
	static const char *const damages[] = {": > .git/index", "rm .git/index",
					      "truncate -s 40 .git/index",
					      "printf XXXX | dd of=.git/index bs=1 seek=20 "
					      "conv=notrunc status=none"};
	struct work *w = *state;

	need("git");
	sh(w->path, "mkdir d && echo 1 > a && echo 2 > d/b");
	(void)commit_all(w, "one");
	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		const char *path = "a";
		struct source_commit commit = {
			.who = &w->who, .message = "a", .paths = &path, .path_count = 1};
		struct fileset files = {0};
		bool changed = false;
		struct oid oid;

		sh(w->path, damages[i]);
		must(source_mend(w->repo, err));
		expect_clean(w);
		/* by whatever looks first */
		sh(w->path, damages[i]);
		expect_clean(w);
		sh(w->path, damages[i]);
		must(source_read(w->repo, &files, err));
		assert_int_equal(files.count, 2);
		fileset_clear(&files);
		/* what is not asked for stays as it was */
		sh(w->path, "echo more >> a && echo more >> d/b");
		sh(w->path, damages[i]);
		must(source_commit(w->repo, &commit, &changed, &oid, err));
		assert_true(changed);
		expect_answer(w->path, "git status --porcelain", " M d/b");
		sh(w->path, "git checkout -q d/b");
		expect_clean(w);
	}
}

static void an_index_that_is_not_mended(void **state)
{
	struct work *w = *state;

	need("git");
	must(source_mend(w->repo, err)); /* no commit, no index: nothing is wrong */
	expect_answer(w->path, "test -e .git/index || echo none", "none");
	sh(w->path, "echo 1 > a");
	(void)commit_all(w, "one");
	/* what is staged is not touched */
	sh(w->path, "echo 2 > a && git add a && echo 3 > a && cp .git/index before");
	must(source_mend(w->repo, err));
	sh(w->path, "cmp before .git/index && rm before");
	/* git is at work in it */
	sh(w->path, ": > .git/index && : > .git/index.lock");
	must_fail(source_mend(w->repo, err), ERR_RETRY, "lock");
	sh(w->path, "rm .git/index.lock");
	must(source_mend(w->repo, err));
	expect_answer(w->path, "git status --porcelain", " M a");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		work_test(first_commit),
		work_test(all_kinds_of_changes),
		work_test(what_git_staged_is_committed_too),
		work_test(only_some_paths),
		work_test(a_path_in_an_unborn_branch),
		work_test(paths_that_name_nothing),
		work_test(paths_that_are_ignored),
		work_test(paths_of_folders),
		work_test(filters_are_not_run),
		work_test(removes_only_its_own_locks),
		work_test(logs_the_move),
		work_test(refuses_while_git_works),
		work_test(odd_messages_and_persons),
		work_test(back_to_an_old_tree), work_test(back_beside_other_files),
		work_test(persons),
		work_test(users_configuration_changes_nothing_else),
		work_test(read_writes_nothing),
		work_test(read_sees_the_disk),
		work_test(read_refuses),
		work_test(changed_without_writing),
		work_test(ranges),
		work_test(ranges_of_merges_and_authors),
		work_test(ranges_in_order),
		work_test(source_to_release),
		work_test(a_damaged_index_is_made_anew),
		work_test(an_index_that_is_not_mended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
