/*
 * The pack writer: what is held can be read before it is on the disk, and is one pack afterwards.
 */
#include "repo_fixture.h"

#include "core/limits.h"
#include "repo/chain.h"
#include "repo/pack.h"

#include <signal.h>
#include <sys/resource.h>

static struct repo *again(const struct fixture *f)
{
	struct repo *repo;

	must(repo_open(f->path, &repo, err));
	return repo;
}

static bool there(const struct fixture *f, const struct oid *oid)
{
	struct repo *repo = again(f);
	git_oid id = oid_to_git(oid);
	bool is = git_odb_exists(repo_odb(repo), &id) == 1;

	repo_free(repo);
	return is;
}

static void held_until_finished(void **state)
{
	struct fixture *f = *state;
	struct pack_writer *w;
	struct oid c[3];
	struct release release;
	struct fileset files = {0};
	struct chain_state chain = {.role = "web", .key_count = 1};

	memset(chain.cluster_id, 1, CLUSTER_ID_SIZE);
	memcpy(chain.keys[0], f->keys[ADMIN], KEY_SIZE);
	must(pack_writer_new(f->repo, &w, err));
	put_chain(f, 3, c);
	/* a node's own verification reads them */
	must(chain_verify(f->repo, &chain, c + 2, &release, err));
	must(chain_content(f->repo, &release, &files, err));
	assert_int_equal(files.count, 3);
	fileset_clear(&files);
	release_clear(&release);
	/* and nothing is on the disk */
	expect_answer(f->path, "find objects -type f | wc -l", "0");
	assert_false(there(f, c + 2));
	must(pack_writer_finish(w, err));
	assert_true(there(f, c + 2));
	expect_answer(f->path, "find objects -type f | sed 's/.*[.]//' | sort | tr '\\n' ' '",
		      "idx pack ");
	pack_writer_free(w);
	/* the same handle finds them in the pack now */
	must(repo_ref_set(f->repo, "refs/heads/web", NULL, c + 2, err));
	need("git");
	expect_answer(f->path, "git fsck --strict 2>&1 | grep -v notice; git rev-list web | wc -l",
		      "3");
	expect_answer(f->path, "git count-objects -v | grep -E '^(count|in-pack|packs)'",
		      "count: 0\nin-pack: 13\npacks: 1");
}

static void forgotten_when_not_finished(void **state)
{
	struct fixture *f = *state;
	struct pack_writer *w;
	struct oid c[1];
	git_oid id;

	must(pack_writer_new(f->repo, &w, err));
	put_chain(f, 1, c);
	pack_writer_free(w);
	id = oid_to_git(c);
	assert_int_equal(git_odb_exists(repo_odb(f->repo), &id), 0);
	expect_answer(f->path, "find objects -type f | wc -l", "0");
	/* what is written afterwards goes to the disk again, and a second writer is fine */
	put_chain(f, 1, c);
	assert_true(there(f, c));
	must(pack_writer_new(f->repo, &w, err));
	pack_writer_free(w);
}

static void nothing_makes_no_pack(void **state)
{
	struct fixture *f = *state;
	struct pack_writer *w;
	struct oid c[2];

	put_chain(f, 2, c);
	must(pack_writer_new(f->repo, &w, err));
	must(pack_writer_finish(w, err));
	pack_writer_free(w);
	/* what is there already is not written again */
	must(pack_writer_new(f->repo, &w, err));
	put_chain(f, 2, c);
	must(pack_writer_finish(w, err));
	pack_writer_free(w);
	expect_answer(f->path, "ls objects/pack | wc -l", "0");
}

static void repository_goes_first(void **state)
{
	struct fixture *f = *state;
	struct repo *repo = again(f);
	struct pack_writer *w;

	must(pack_writer_new(repo, &w, err));
	(void)put_blob(repo, "x");
	repo_free(repo);
	pack_writer_free(w);
}

static void many_objects(void **state)
{
	enum { MANY = 3000 };
	struct fixture *f = *state;
	struct pack_writer *w;
	struct oid first, last = {{0}};
	char text[32];

	must(pack_writer_new(f->repo, &w, err));
	first = put_blob(f->repo, "0");
	for (int i = 1; i < MANY; i++) {
		(void)snprintf(text, sizeof(text), "%d", i);
		last = put_blob(f->repo, text);
		(void)put_blob(f->repo, text); /* twice is once */
	}
	must(pack_writer_finish(w, err));
	pack_writer_free(w);
	assert_true(there(f, &first));
	assert_true(there(f, &last));
	need("git");
	expect_answer(f->path, "git count-objects -v | grep in-pack", "in-pack: 3000");
}

/* What would take too much memory goes to the disk as it comes. */
static void spills(void **state)
{
	struct fixture *f = *state;
	size_t size = LIMIT_PACK_MEMORY - 2;
	char *zeros = mem_new(size, 1);
	struct pack_writer *w;
	struct oid large, small, beyond;

	must(pack_writer_new(f->repo, &w, err));
	must(object_write(f->repo, GIT_OBJECT_BLOB, zeros, size, &large, err));
	small = put_blob(f->repo, "x");
	beyond = put_blob(f->repo, "yz");
	assert_false(there(f, &large));
	assert_false(there(f, &small));
	assert_true(there(f, &beyond));
	must(pack_writer_finish(w, err));
	assert_true(there(f, &large));
	assert_true(there(f, &small));
	pack_writer_free(w);
	free(zeros);
}

static void disk_that_refuses(void **state)
{
	const struct rlimit small = {64, RLIM_INFINITY}, large = {RLIM_INFINITY, RLIM_INFINITY};
	struct fixture *f = *state;
	struct pack_writer *w;
	struct oid c[1];

	must(pack_writer_new(f->repo, &w, err));
	put_chain(f, 1, c);
	assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	must_fail(pack_writer_finish(w, err), ERR_FULL, "pack");
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &large), 0);
	pack_writer_free(w);
	assert_false(there(f, c));
	expect_answer(f->path, "find objects -type f | wc -l", "0");
}

/* --- the refs that are moved to it --- */

static void refs_move_together(void **state)
{
	struct fixture *f = *state;
	struct oid c[3], got;
	struct ref_move moves[] = {{"refs/heads/web", NULL, c}, {"refs/heads/api", NULL, c + 1},
				   {"refs/pins/node1", NULL, c + 2}};

	put_chain(f, 3, c);
	must(repo_refs_move(f->repo, moves, 3, err));
	must(repo_ref_get(f->repo, "refs/pins/node1", &got, err));
	assert_true(oid_equal(&got, c + 2));
	moves[0] = (struct ref_move){"refs/heads/web", c, c + 2};
	must(repo_refs_move(f->repo, moves, 1, err));
	must(repo_ref_get(f->repo, "refs/heads/web", &got, err));
	assert_true(oid_equal(&got, c + 2));
	must(repo_refs_move(f->repo, moves, 0, err));
	need("git");
	expect_answer(f->path, "git for-each-ref --format='%(refname)'; find refs -name '*.lock'",
		      "refs/heads/api\nrefs/heads/web\nrefs/pins/node1");
}

static void refs_refuse_together(void **state)
{
	struct fixture *f = *state;
	struct oid c[2], got, none = {{7}};
	struct ref_move bad[] = {{"refs/heads/ok", NULL, c}, {"refs/heads/web", c + 1, c + 1}};

	put_chain(f, 2, c);
	must(repo_ref_set(f->repo, "refs/heads/web", NULL, c, err));
	must_fail(repo_refs_move(f->repo, bad, 2, err), ERR_RETRY, "moved by another");
	bad[1] = (struct ref_move){"refs/heads/web", NULL, c + 1};
	must_fail(repo_refs_move(f->repo, bad, 2, err), ERR_RETRY, "exists already");
	bad[1] = (struct ref_move){"refs/heads/gone", c, c + 1};
	must_fail(repo_refs_move(f->repo, bad, 2, err), ERR_RETRY, "is gone");
	bad[1] = (struct ref_move){"refs/heads/web", c, &none};
	must_fail(repo_refs_move(f->repo, bad, 2, err), ERR_GONE, "does not exist");
	bad[1] = (struct ref_move){"refs/heads/ok", NULL, c}; /* the same one twice */
	must_fail(repo_refs_move(f->repo, bad, 2, err), ERR_RETRY, "is locked");
	sh(f->path, "ln -s /nonexistent refs/heads/web.lock");
	bad[1] = (struct ref_move){"refs/heads/web", c, c + 1};
	must_fail(repo_refs_move(f->repo, bad, 2, err), ERR_RETRY, "is locked");
	sh(f->path, "rm refs/heads/web.lock");
	/* the first one did not move either */
	must_fail(repo_ref_get(f->repo, "refs/heads/ok", &got, err), ERR_GONE, "ok");
	expect_answer(f->path, "find refs -name '*.lock' | wc -l", "0");
	must_fail(repo_ref_get(f->repo, "refs/heads/gone", &got, err), ERR_GONE, "gone");
}

static void refs_have_names(void **state)
{
	static const char *const names[] = {"HEAD",
					    "refs/x",
					    "refs/heads/",
					    "refs/heads/../../x",
					    "refs/heads/a.lock",
					    "refs/heads/a b",
					    "/refs/heads/a"};
	struct fixture *f = *state;
	struct oid c[1];

	put_chain(f, 1, c);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct ref_move move = {names[i], NULL, c};

		must_fail(repo_refs_move(f->repo, &move, 1, err), ERR_REFUSED, "no name for a ref");
	}
}

/* Stock git puts refs into one file: what is there counts, and the new value wins over it. */
static void refs_that_are_packed(void **state)
{
	struct fixture *f = *state;
	struct oid c[3];
	struct ref_move move = {"refs/heads/web", NULL, c};

	need("git");
	put_chain(f, 3, c);
	must(repo_refs_move(f->repo, &move, 1, err));
	sh(f->path, "git pack-refs --all && test ! -e refs/heads/web");
	must_fail(repo_refs_move(f->repo, &move, 1, err), ERR_RETRY, "exists already");
	move = (struct ref_move){"refs/heads/web", c, c + 2};
	must(repo_refs_move(f->repo, &move, 1, err));
	expect_answer(f->path, "git rev-list web | wc -l", "3");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		repo_test(held_until_finished),
		repo_test(forgotten_when_not_finished),
		repo_test(nothing_makes_no_pack),
		repo_test(repository_goes_first),
		repo_test(many_objects),
		repo_test(spills),
		repo_test(disk_that_refuses),
		repo_test(refs_move_together),
		repo_test(refs_refuse_together),
		repo_test(refs_have_names),
		repo_test(refs_that_are_packed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
