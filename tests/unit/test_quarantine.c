/* The quarantine: made, used again without what was in it, and made anew whatever became of it. */
#include "node_home.h"

#include "node/quarantine.h"

#define QUARANTINE "node/quarantine.git"

static void make(struct place *p, const struct chain_state *chain)
{
	struct repo *repo;

	must(quarantine_make(&p->home, chain, &repo, err));
	repo_free(repo);
	assert_int_equal(faccessat(p->home.var_fd, QUARANTINE "/objects/stray", F_OK, 0), -1);
	assert_int_equal(faccessat(p->home.var_fd, QUARANTINE "/objects/pack/pack-1.pack", F_OK, 0),
			 -1);
	assert_int_equal(faccessat(p->home.var_fd, QUARANTINE "/refs/heads/other", F_OK, 0), -1);
	assert_int_equal(faccessat(p->home.var_fd, QUARANTINE "/refs/heads/web", F_OK, 0),
			 chain->has_accepted ? 0 : -1);
}

static void starts_empty(void **state)
{
	struct place *p = *state;
	struct chain_state chain = {.has_accepted = false};

	memcpy(chain.role, "web", 4);
	make(p, &chain);
	put_file(p, QUARANTINE "/objects/stray", "x");
	put_file(p, QUARANTINE "/objects/pack/pack-1.pack", "x");
	put_file(p, QUARANTINE "/refs/heads/other", "x");
	make(p, &chain);
	chain.has_accepted = true;
	make(p, &chain);
	chain.has_accepted = false;
	make(p, &chain);
	must(quarantine_remove(&p->home, err));
	must(quarantine_remove(&p->home, err));
	assert_int_equal(faccessat(p->home.var_fd, QUARANTINE, F_OK, 0), -1);
}

/* A disk that failed in the middle, or a hand: never a reason to fetch no more. */
static void any_part_may_be_gone(void **state)
{
	static const char *const parts[] = {
		"/objects", "/objects/pack", "/objects/info", "/objects/info/alternates",
		"/refs",    "/refs/heads",   "/config",       "/HEAD",
		""};
	struct place *p = *state;
	struct chain_state chain = {.has_accepted = true};

	memcpy(chain.role, "web", 4);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		char *path = text_format(QUARANTINE "%s", parts[i]);

		make(p, &chain);
		must(fs_remove_tree(p->home.var_fd, path, err));
		make(p, &chain);
		/* a file in its place */
		must(fs_remove_tree(p->home.var_fd, path, err));
		put_file(p, path, "x");
		make(p, &chain);
		must(quarantine_remove(&p->home, err));
		free(path);
	}
}

static int libraries(void **state)
{
	(void)state;
	git_setup();
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {place_test(starts_empty),
						  place_test(any_part_may_be_gone)};

	return cmocka_run_group_tests(tests, libraries, NULL);
}
