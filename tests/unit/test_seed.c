/* Bundles in etc/init: verified like what is fetched, and nothing of a bad one stays. */
#include "repo_fixture.h"

#include "core/home.h"
#include "core/log.h"
#include "node/steps.h"

#define REF "refs/heads/web"

/* A new node that has the cluster file of the fixture's ADMIN key. */
struct scene {
	struct fixture *f;
	struct home home;
	struct node_state state;
	struct oid first; /* the release before the newest */
};

static void scene_open(struct scene *s, struct fixture *f)
{
	char *path = text_format("%s/home", f->folder);
	struct release r = new_release(f->repo, 1, NULL, "<config>1</config>\n", f->keys[ADMIN]);

	*s = (struct scene){.f = f, .state = {.known = true}};
	log_setup(LOG_LEVEL_ERROR);
	must(home_init(&s->home, path, err));
	must(home_open(&s->home, true, err));
	must(fs_make_dirs(s->home.etc_fd, "init", 0700, err));
	must(fs_make_dirs(s->home.var_fd, "node", 0700, err));
	memset(s->state.chain.cluster_id, 1, CLUSTER_ID_SIZE);
	memcpy(s->state.chain.role, "web", sizeof("web"));
	memcpy(s->state.chain.keys[0], f->keys[ADMIN], KEY_SIZE);
	s->state.chain.key_count = 1;
	s->first = put_release(f->repo, &r, f->seeds[ADMIN]);
	free(path);
}

static void scene_close(struct scene *s)
{
	node_state_clear(&s->state);
	home_clear(&s->home);
}

/* A good second release, to be spoilt. */
static struct release next(struct scene *s)
{
	return new_release(s->f->repo, 2, &s->first, "<config>2</config>\n", s->f->keys[ADMIN]);
}

static int put_bytes(void *bytes, size_t size, void *arg)
{
	buf_put(arg, bytes, size);
	return 0;
}

/* etc/init/NAME: TIP and all before it, its files if it is WHOLE, and STRAY (NULL: no more). */
static void put_bundle(struct scene *s, const char *name, const struct oid *tip, bool whole,
		       const struct oid *stray)
{
	git_oid ids[] = {oid_to_git(tip), oid_to_git(&s->first)}, other;
	char hex[OID_HEX_SIZE], *path = text_format("init/%s", name);
	git_repository *repo = repo_git2(s->f->repo);
	git_packbuilder *pack;
	git_commit *commit;
	const git_oid *tree;
	struct buf bundle;

	assert_int_equal(git_packbuilder_new(&pack, repo), 0);
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		assert_int_equal(git_packbuilder_insert(pack, ids + i, NULL), 0);
		assert_int_equal(git_commit_lookup(&commit, repo, ids + i), 0);
		tree = git_commit_tree_id(commit);
		assert_int_equal(whole || i > 0 ? git_packbuilder_insert_tree(pack, tree)
						: git_packbuilder_insert(pack, tree, NULL),
				 0);
		git_commit_free(commit);
	}
	if (stray) {
		other = oid_to_git(stray);
		assert_int_equal(git_packbuilder_insert(pack, &other, NULL), 0);
	}
	buf_init(&bundle, 1 << 20);
	buf_printf(&bundle, "# v2 git bundle\n%s " REF "\n\n", oid_hex(tip, hex));
	assert_int_equal(git_packbuilder_foreach(pack, put_bytes, &bundle), 0);
	must(fs_write_atomic(s->home.etc_fd, path, bundle.data, bundle.len, 0600, err));
	git_packbuilder_free(pack);
	buf_clear(&bundle);
	free(path);
}

static bool has_packs(const struct scene *s)
{
	char *command = text_format("ls '%s/home/var/node/replica.git/objects/pack'/*.pack "
				    ">/dev/null 2>&1",
				    s->f->folder);
	bool has = run("/", NULL, command) == 0;

	free(command);
	return has;
}

static void is_taken(struct scene *s, const struct oid *tip)
{
	struct repo *replica;
	struct oid got;
	char *path = home_var(&s->home, "node/replica.git");

	must(seed_replica(&s->home, &s->state, err));
	assert_true(s->state.chain.has_accepted);
	assert_true(oid_equal(&s->state.chain.accepted, tip));
	assert_int_equal(s->state.chain.sequence, 2);
	assert_int_equal(s->state.log_count, 1);
	must(repo_open(path, &replica, err));
	must(repo_ref_get(replica, REF, &got, err));
	assert_true(oid_equal(&got, tip));
	repo_free(replica);
	free(path);
}

/* Nothing is accepted, on the disk or in memory, and nothing of it is in the replica. */
static void is_not_taken(struct scene *s)
{
	must(seed_replica(&s->home, &s->state, err));
	assert_false(s->state.chain.has_accepted);
	assert_int_equal(s->state.log_count, 0);
	assert_int_equal(s->state.chain.sequence, 0);
	assert_int_equal(faccessat(s->home.var_fd, "node/state", F_OK, 0), -1);
	assert_false(has_packs(s));
}

static void a_good_one_is_taken(void **state)
{
	struct scene s;
	struct release r;
	struct oid tip;

	scene_open(&s, *state);
	r = next(&s);
	tip = put_release(s.f->repo, &r, s.f->seeds[ADMIN]);
	put_bundle(&s, "good.bundle", &tip, true, NULL);
	is_taken(&s, &tip);
	assert_true(has_packs(&s));
	scene_close(&s);
}

/* Each differs from a good one in one thing. */
static void bad_ones_are_not(void **state)
{
	enum { DIGEST, SIGNER, ROLE, CLUSTER, STRAY, WAYS };
	struct scene s;
	struct oid tip, stray;

	scene_open(&s, *state);
	stray = put_blob(s.f->repo, "stray");
	for (int way = 0; way < WAYS; way++) {
		struct release r = next(&s);

		r.digest[0] ^= way == DIGEST;
		r.cluster_id[0] ^= way == CLUSTER;
		if (way == ROLE)
			memcpy(r.role, "api", sizeof("api"));
		tip = put_release(s.f->repo, &r, s.f->seeds[way == SIGNER ? STRANGER : ADMIN]);
		put_bundle(&s, "bad.bundle", &tip, true, way == STRAY ? &stray : NULL);
		is_not_taken(&s);
	}
	scene_close(&s);
}

/* What came with one that was refused is not there for the next one to rely on. */
static void nothing_of_a_bad_one_helps(void **state)
{
	struct scene s;
	struct release r;
	struct fileset files = {0};
	struct oid bad, tip, stray;

	scene_open(&s, *state);
	stray = put_blob(s.f->repo, "stray");
	r = next(&s);
	bad = put_release(s.f->repo, &r, s.f->seeds[ADMIN]);
	put_bundle(&s, "1.bundle", &bad, true, &stray);
	r = next(&s);
	add_file(&files, "config.xml", "stray");
	must(tree_write(s.f->repo, &files, &r.tree, err));
	digest_fileset(&files, r.digest);
	fileset_clear(&files);
	tip = put_release(s.f->repo, &r, s.f->seeds[ADMIN]);
	put_bundle(&s, "2.bundle", &tip, false, NULL);
	is_not_taken(&s);
	/* with what it needs it is a good one */
	put_bundle(&s, "3.bundle", &tip, true, NULL);
	is_taken(&s, &tip);
	scene_close(&s);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		repo_test(a_good_one_is_taken),
		repo_test(bad_ones_are_not),
		repo_test(nothing_of_a_bad_one_helps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
