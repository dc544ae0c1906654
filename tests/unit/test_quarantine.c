/* The quarantine: made, used again without what was in it, and made anew whatever became of it. */
#include "node_home.h"

#include "node/quarantine.h"

#define QUARANTINE "node/quarantine.git"

/* What a fetch can leave, and what git reads of a repository without being told. */
static const char *const strays[] = {"/objects/stray", "/objects/pack/pack-1.pack",
				     "/objects/info/commit-graph", "/refs/heads/other",
				     "/refs/tags/other"};

static bool is_there(const struct place *p, const char *path)
{
	char *whole = text_format(QUARANTINE "%s", path);
	bool is = faccessat(p->home.var_fd, whole, F_OK, 0) == 0;

	free(whole);
	return is;
}

static void make(struct place *p, const struct chain_state *chain)
{
	struct repo *repo;
	struct buf alternates;

	must(quarantine_make(&p->home, chain, &repo, err));
	repo_free(repo);
	for (size_t i = 0; i < sizeof(strays) / sizeof(strays[0]); i++)
		if (is_there(p, strays[i]))
			fail_msg("%s is still there", strays[i]);
	assert_int_equal(is_there(p, "/refs/heads/web"), chain->has_accepted);
	buf_init(&alternates, 1000);
	must(fs_read(p->home.var_fd, QUARANTINE "/objects/info/alternates", &alternates, err));
	assert_string_equal(buf_text(&alternates), "../../replica.git/objects\n");
	buf_clear(&alternates);
}

static void starts_empty(void **state)
{
	struct place *p = *state;
	struct chain_state chain = {.has_accepted = false};

	memcpy(chain.role, "web", 4);
	make(p, &chain);
	for (size_t i = 0; i < sizeof(strays) / sizeof(strays[0]); i++) {
		char *path = text_format(QUARANTINE "%s", strays[i]);

		put_file(p, path, "x");
		free(path);
	}
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

/* Objects of another repository are none that a release may rely on. */
static void only_the_replica_is_beside_it(void **state)
{
	struct place *p = *state;
	struct chain_state chain = {.has_accepted = true};

	memcpy(chain.role, "web", 4);
	make(p, &chain);
	put_file(p, QUARANTINE "/objects/info/alternates",
		 "../../replica.git/objects\n../../../other.git/objects\n");
	make(p, &chain);
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
						  place_test(any_part_may_be_gone),
						  place_test(only_the_replica_is_beside_it)};

	return cmocka_run_group_tests(tests, libraries, NULL);
}
