/*
 * What each role's branch holds: loaded from a repository, moved, and asked for what may be in
 * common.
 */
#include "admin/heads.h"

#include "repo_fixture.h"

enum { MANY = 3000, CHAIN = 70 };

static struct oid some_oid(unsigned n)
{
	uint8_t digest[DIGEST_SIZE];
	struct oid oid;

	digest_bytes(&n, sizeof(n), digest);
	memcpy(oid.id, digest, OID_SIZE);
	return oid;
}

static void test_empty(void **state)
{
	struct heads heads = {0};
	struct fixture *f = *state;
	struct oid oid = some_oid(1);
	struct head none = {.role = "web"};

	assert_null(heads_find(&heads, "web"));
	assert_int_equal(head_position(&none, &oid), 0);
	must(heads_load(&heads, f->path, 0, err));
	assert_int_equal(heads.count, 0);
	heads_clear(&heads);
}

static void test_move(void **state)
{
	struct heads heads = {0};

	(void)state;
	for (unsigned i = 1; i <= MANY; i++) {
		struct oid web = some_oid(2 * i), ledger = some_oid(2 * i + 1);

		heads_move(&heads, "web", &web, i);
		if (i % 3 == 0)
			heads_move(&heads, "ledger", &ledger, i / 3);
	}
	assert_int_equal(heads.count, 2);
	assert_int_equal(heads_find(&heads, "web")->sequence, MANY);
	assert_int_equal(heads_find(&heads, "ledger")->sequence, MANY / 3);
	for (unsigned i = 1; i <= MANY; i++) {
		struct oid web = some_oid(2 * i), ledger = some_oid(2 * i + 1);

		assert_int_equal(head_position(heads_find(&heads, "web"), &web), i);
		assert_int_equal(head_position(heads_find(&heads, "web"), &ledger), 0);
		assert_int_equal(head_position(heads_find(&heads, "ledger"), &web), 0);
		assert_int_equal(head_position(heads_find(&heads, "ledger"), &ledger),
				 i % 3 ? 0 : i / 3);
	}
	/* again the same one: no second place */
	heads_move(&heads, "web", &heads_find(&heads, "web")->release, MANY);
	assert_int_equal(heads_find(&heads, "web")->count, MANY);
	heads_clear(&heads);
	assert_null(heads_find(&heads, "web"));
}

/* Ids that all fall in one place, as somebody may choose them to ask for: found, and no other. */
static void test_collisions(void **state)
{
	struct heads heads = {0};
	struct oid oid = {{0}};

	(void)state;
	for (unsigned i = 1; i <= 200; i++) {
		oid.id[19] = (uint8_t)i;
		heads_move(&heads, "web", &oid, i);
	}
	for (unsigned i = 1; i <= 200; i++) {
		oid.id[19] = (uint8_t)i;
		assert_int_equal(head_position(heads_find(&heads, "web"), &oid), i);
	}
	oid.id[19] = 0;
	assert_int_equal(head_position(heads_find(&heads, "web"), &oid), 0);
	oid.id[18] = 1;
	assert_int_equal(head_position(heads_find(&heads, "web"), &oid), 0);
	heads_clear(&heads);
}

static void test_load(void **state)
{
	struct fixture *f = *state;
	struct heads heads = {0};
	struct oid chain[CHAIN], other;
	struct head *head;

	put_chain(f, CHAIN, chain);
	must(repo_ref_set(f->repo, "refs/heads/web", NULL, chain + CHAIN - 1, err));
	must(repo_ref_set(f->repo, "refs/heads/ledger", NULL, chain + 2, err));
	/* names that are no roles: nobody can ask for them */
	must(repo_ref_set(f->repo, "refs/heads/a/b", NULL, chain, err));
	must(repo_ref_set(f->repo, "refs/heads/common", NULL, chain, err));
	must(repo_ref_set(f->repo, "refs/pins/node1", NULL, chain, err));
	must(heads_load(&heads, f->path, 0, err));
	assert_int_equal(heads.count, 2);
	head = heads_find(&heads, "web");
	assert_int_equal(head->sequence, CHAIN);
	assert_true(oid_equal(&head->release, chain + CHAIN - 1));
	for (unsigned i = 0; i < CHAIN; i++) {
		assert_int_equal(head_position(head, chain + i), i + 1);
		assert_int_equal(head_position(heads_find(&heads, "ledger"), chain + i),
				 i < 3 ? i + 1 : 0);
	}
	other = some_oid(9);
	assert_int_equal(head_position(head, &other), 0);
	heads_clear(&heads);
}

/* The newest at once, with their places in the whole history; the rest while the loop goes on. */
static void test_rest(void **state)
{
	struct fixture *f = *state;
	struct heads heads = {0};
	struct heads_rest *rest;
	struct oid chain[CHAIN], next = some_oid(1);
	struct head *head;
	uv_loop_t loop;

	put_chain(f, CHAIN, chain);
	must(repo_ref_set(f->repo, "refs/heads/web", NULL, chain + CHAIN - 1, err));
	must(repo_ref_set(f->repo, "refs/heads/ledger", NULL, chain + 2, err));
	must(heads_load(&heads, f->path, 10, err));
	assert_true(heads.partial);
	head = heads_find(&heads, "web");
	assert_int_equal(head->sequence, CHAIN);
	assert_int_equal(heads_find(&heads, "ledger")->sequence, 3);
	for (unsigned i = 0; i < CHAIN; i++)
		assert_int_equal(head_position(head, chain + i), i < CHAIN - 10 ? 0 : i + 1);
	assert_int_equal(uv_loop_init(&loop), 0);
	heads_load_rest(&loop, f->path, &heads, &rest);
	assert_non_null(rest);
	/* what is released meanwhile stays the newest */
	heads_move(&heads, "web", &next, CHAIN + 1);
	assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
	assert_null(rest);
	assert_false(heads.partial);
	head = heads_find(&heads, "web");
	assert_true(oid_equal(&head->release, &next));
	assert_int_equal(head->sequence, CHAIN + 1);
	assert_int_equal(head_position(head, &next), CHAIN + 1);
	for (unsigned i = 0; i < CHAIN; i++)
		assert_int_equal(head_position(head, chain + i), i + 1);
	/* stopped before it is read */
	heads_load_rest(&loop, f->path, &heads, &rest);
	heads_rest_stop(rest);
	heads_clear(&heads);
	assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(uv_loop_close(&loop), 0);
	heads_rest_stop(NULL);
}

/* As many as there are is all of them; fewer are not held against it. */
static void test_no_rest(void **state)
{
	struct fixture *f = *state;
	struct oid chain[5];

	put_chain(f, 5, chain);
	must(repo_ref_set(f->repo, "refs/heads/web", NULL, chain + 4, err));
	for (size_t newest = 4; newest <= 6; newest++) {
		struct heads heads = {0};

		must(heads_load(&heads, f->path, newest, err));
		assert_int_equal(heads.partial, newest < 5);
		assert_int_equal(heads_find(&heads, "web")->sequence, 5);
		assert_int_equal(head_position(heads_find(&heads, "web"), chain),
				 newest < 5 ? 0 : 1);
		heads_clear(&heads);
	}
}

/* A rest that is damaged is told and left out. */
static void test_damaged_rest(void **state)
{
	struct fixture *f = *state;
	struct heads heads = {0};
	struct heads_rest *rest;
	struct oid chain[5];
	char hex[OID_HEX_SIZE], *command;
	uv_loop_t loop;

	put_chain(f, 5, chain);
	must(repo_ref_set(f->repo, "refs/heads/web", NULL, chain + 4, err));
	(void)oid_hex(chain, hex);
	command = text_format("rm -f a.git/objects/%.2s/%s", hex, hex + 2);
	sh(f->folder, command);
	free(command);
	must(heads_load(&heads, f->path, 2, err));
	assert_int_equal(uv_loop_init(&loop), 0);
	heads_load_rest(&loop, f->path, &heads, &rest);
	assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
	assert_null(rest);
	assert_int_equal(head_position(heads_find(&heads, "web"), chain + 3), 4);
	assert_int_equal(head_position(heads_find(&heads, "web"), chain + 1), 0);
	heads_clear(&heads);
	assert_int_equal(uv_loop_close(&loop), 0);
}

static void test_damaged(void **state)
{
	struct fixture *f = *state;
	struct heads heads = {0};
	struct oid chain[3];
	char hex[OID_HEX_SIZE], *command;

	put_chain(f, 3, chain);
	must(repo_ref_set(f->repo, "refs/heads/web", NULL, chain + 2, err));
	(void)oid_hex(chain, hex);
	command = text_format("rm -f a.git/objects/%.2s/%s", hex, hex + 2);
	sh(f->folder, command);
	free(command);
	must_fail(heads_load(&heads, f->path, 0, err), ERR_NONE, "");
	heads_clear(&heads);
	must_fail(heads_load(&heads, "/nonexistent/release.git", 0, err), ERR_NONE, "");
	heads_clear(&heads);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		repo_test(test_empty), repo_test(test_move),	repo_test(test_collisions),
		repo_test(test_load),  repo_test(test_damaged), repo_test(test_rest),
		repo_test(test_no_rest), repo_test(test_damaged_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
