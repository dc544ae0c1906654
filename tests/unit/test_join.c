/*
 * Joining packs: nothing is lost, whoever reads meanwhile, wherever it is killed; and there are
 * never many.
 */
#include "repo_fixture.h"

#include "core/limits.h"
#include "repo/chain.h"
#include "repo/pack.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/time.h>
#include <time.h>
#include <utime.h>

enum { MANY = 2000, SOME = 20, PACKS_MAX = 8 };

/* No disk: what is synced when is tested elsewhere. */
static int join_setup(void **state)
{
	int rc = fixture_setup(state);

	(void)git_libgit2_opts(GIT_OPT_ENABLE_FSYNC_GITDIR, 0); /* a known option */
	return rc;
}

#define join_test(name) cmocka_unit_test_setup_teardown(name, join_setup, fixture_teardown)

/* Release N on top of PARENT as a pack of its own. */
static struct oid add_pack(struct fixture *f, uint64_t n, const struct oid *parent)
{
	char *text = text_format("<config>%llu</config>\n", (unsigned long long)n);
	struct pack_writer *w;
	struct repo *repo;
	struct release r;
	struct oid oid;

	must(repo_open(f->path, &repo, err));
	must(pack_writer_new(repo, &w, err));
	r = new_release(repo, n, parent, text, f->keys[ADMIN]);
	oid = put_release(repo, &r, f->seeds[ADMIN]);
	must(pack_writer_finish(w, err));
	pack_writer_free(w);
	repo_free(repo);
	free(text);
	return oid;
}

/* And the branch. */
static struct oid publish(struct fixture *f, uint64_t n, const struct oid *parent)
{
	struct oid oid = add_pack(f, n, parent);
	struct ref_move move = {"refs/heads/web", parent, &oid};

	must(repo_refs_move(f->repo, &move, 1, err));
	return oid;
}

static void publish_some(struct fixture *f, unsigned count, struct oid c[])
{
	for (unsigned i = 0; i < count; i++)
		c[i] = publish(f, i + 1, i ? c + i - 1 : NULL);
}

static size_t count_files(const struct fixture *f, const char *ending)
{
	char *folder = text_format("%s/objects/pack", f->path);
	DIR *dir = opendir(folder);
	struct dirent *entry;
	size_t count = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		count += text_ends(entry->d_name, ending);
	(void)closedir(dir);
	free(folder);
	return count;
}

static void expect_whole(struct fixture *f, const char *releases)
{
	char *command =
		text_format("git fsck --strict --full >fsck 2>&1 || cat fsck; git rev-list web | "
			    "wc -l; git rev-list --objects web | wc -l");
	char *wanted = text_format("%s\n%d", releases, atoi(releases) * 3 + 4);

	need("git");
	expect_answer(f->path, command, wanted);
	free(command);
	free(wanted);
}

static void few_are_left_alone(void **state)
{
	struct fixture *f = *state;
	struct oid c[7];

	publish_some(f, 7, c);
	must(pack_join(f->path, NULL, err));
	assert_int_equal(count_files(f, ".pack"), 7);
}

static void many_are_joined(void **state)
{
	struct fixture *f = *state;
	struct oid c[SOME];

	publish_some(f, SOME, c);
	assert_int_equal(count_files(f, ".pack"), SOME);
	must(pack_join(f->path, NULL, err));
	assert_int_equal(count_files(f, ".pack"), 1);
	assert_int_equal(count_files(f, ".idx"), 1);
	expect_whole(f, "20");
	/* once more does nothing */
	must(pack_join(f->path, NULL, err));
	assert_int_equal(count_files(f, ".pack"), 1);
}

static void loose_ones_are_joined(void **state)
{
	struct fixture *f = *state;
	struct oid c[SOME];

	put_chain(f, SOME - 5, c); /* three each and four more */
	must(pack_join(f->path, NULL, err));
	assert_int_equal(count_files(f, ".pack"), 0);
	put_chain(f, SOME, c);
	for (int i = 0; i < 4; i++) {
		char text[16];

		(void)snprintf(text, sizeof(text), "%d", i);
		(void)put_blob(f->repo, text);
	}
	must(pack_join(f->path, NULL, err));
	assert_int_equal(count_files(f, ".pack"), 1);
	expect_answer(f->path, "find objects -type f | grep -v /pack/ | wc -l", "0");
	must(repo_ref_set(f->repo, "refs/heads/web", NULL, c + SOME - 1, err));
	expect_whole(f, "20");
	expect_answer(f->path, "git count-objects -v | grep in-pack", "in-pack: 68");
}

static bool readable(struct repo *repo, const struct oid *tip)
{
	struct release release;
	struct fileset files = {0};
	struct buf raw;
	struct err err;
	int rc;

	buf_init(&raw, LIMIT_COMMIT_SIZE);
	rc = repo_commit_raw(repo, tip, &raw, &err);
	if (rc == 0)
		rc = release_parse(raw.data, raw.len, &release, &err);
	buf_clear(&raw);
	if (rc != 0)
		return false;
	rc = chain_content(repo, &release, &files, &err);
	release_clear(&release);
	fileset_clear(&files);
	return rc == 0;
}

/* A handle from before: with nothing read yet, with some, and with all. */
static void readers_lose_nothing(void **state)
{
	struct fixture *f = *state;
	struct repo *fresh, *used, *full;
	struct oid c[SOME];
	struct buf pack;

	publish_some(f, SOME, c);
	must(repo_open(f->path, &fresh, err));
	must(repo_open(f->path, &used, err));
	must(repo_open(f->path, &full, err));
	assert_true(readable(used, c + 3));
	for (int i = 0; i < SOME; i++)
		assert_true(readable(full, c + i));
	must(pack_join(f->path, NULL, err));
	for (int i = 0; i < SOME; i++) {
		assert_true(readable(fresh, c + i));
		assert_true(readable(used, c + i));
		assert_true(readable(full, c + i));
	}
	buf_init(&pack, LIMIT_PACK_SIZE);
	must(pack_build(used, c + SOME - 1, c, &pack, err));
	buf_clear(&pack);
	repo_free(fresh);
	repo_free(used);
	repo_free(full);
}

/* One that has the repository as its alternate, as the quarantine has the replica. */
static void readers_beside_lose_nothing(void **state)
{
	struct fixture *f = *state;
	char *path = text_format("%s/q.git", f->folder);
	struct oid c[SOME];
	struct repo *q;

	publish_some(f, SOME, c);
	sh(f->folder, "mkdir -p q.git/objects/info && echo ../../a.git/objects > "
		      "q.git/objects/info/alternates");
	must(repo_init_bare(path, &q, err));
	assert_true(readable(q, c));
	must(pack_join(f->path, NULL, err));
	for (int i = 0; i < SOME; i++)
		assert_true(readable(q, c + i));
	repo_free(q);
	free(path);
}

static void killed_before_the_old_ones_went(void **state)
{
	struct fixture *f = *state;
	struct oid c[SOME];

	publish_some(f, SOME, c);
	sh(f->path, "cp -r objects/pack before");
	must(pack_join(f->path, NULL, err));
	sh(f->path, "cp -n before/* objects/pack/");
	assert_int_equal(count_files(f, ".pack"), SOME + 1);
	must(pack_join(f->path, NULL, err));
	assert_true(count_files(f, ".pack") < PACKS_MAX);
	expect_whole(f, "20");
	/* all but the index of one of them */
	sh(f->path, "cp -n before/*.pack objects/pack/");
	must(pack_clean(f->path, 0, err));
	must(pack_join(f->path, NULL, err));
	assert_true(count_files(f, ".pack") == count_files(f, ".idx"));
	expect_whole(f, "20");
}

static void leftovers_are_removed(void **state)
{
	static const char *const names[] = {
		"objects/pack/tmp_pack_Ab12Cd",
		"objects/pack/tmp_idx_Ab12Cd",
		"objects/pack/.tmp-12-pack-1.pack",
		"objects/pack/pack_git2_ab12cd",
		"objects/pack/pack-0123456789012345678901234567890123456789.pack",
		"objects/pack/pack-1123456789012345678901234567890123456789.idx",
		"objects/tmp_object_git2_ab12cd",
		"objects/ab/tmp_obj_Ab12Cd"};
	struct fixture *f = *state;
	struct oid c[3];
	struct utimbuf old = {time(NULL) - 1000, time(NULL) - 1000};

	publish_some(f, 3, c);
	sh(f->path, "mkdir objects/ab && find . -type f | sort > ../all");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char *path = text_format("%s/%s", f->path, names[i]);
		int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0444);

		assert_true(fd >= 0);
		(void)close(fd);
		/* a young one may be someone's who still writes */
		must(pack_clean(f->path, 600, err));
		assert_int_equal(access(path, F_OK), 0);
		assert_int_equal(utime(path, &old), 0);
		must(pack_clean(f->path, 600, err));
		assert_int_not_equal(access(path, F_OK), 0);
		free(path);
	}
	sh(f->path, "find . -type f | sort | diff - ../all");
	sh(f->path, "touch objects/pack/tmp_x");
	must(pack_clean(f->path, 0, err));
	sh(f->path, "find . -type f | sort | diff - ../all");
	expect_whole(f, "3");
}

static void not_what_others_keep(void **state)
{
	struct fixture *f = *state;
	struct oid c[SOME];
	char *one;

	need("git");
	publish_some(f, SOME, c);
	one = answer(f->path, "ls objects/pack/*.pack | head -1 | sed 's/pack$//'");
	{
		char *touch = text_format("touch %skeep", one),
		     *still = text_format("test -f %spack", one);

		sh(f->path, touch);
		must(pack_join(f->path, NULL, err));
		sh(f->path, still);
		free(touch);
		free(still);
	}
	assert_int_equal(count_files(f, ".pack"), 2);
	free(one);
	/* git's own index over many packs names them */
	sh(f->path, "git multi-pack-index write 2>/dev/null");
	for (uint64_t i = 0; i < SOME; i++)
		c[0] = publish(f, SOME + i + 1, i ? c : c + SOME - 1);
	must(pack_join(f->path, NULL, err));
	assert_int_equal(count_files(f, ".pack"), 2 + SOME);
	expect_whole(f, "40");
}

static void given_up(void **state)
{
	struct fixture *f = *state;
	struct oid c[SOME];
	atomic_bool stop;

	atomic_init(&stop, true);
	publish_some(f, SOME, c);
	must_fail(pack_join(f->path, &stop, err), ERR_RETRY, "stopped");
	assert_int_equal(count_files(f, ".pack"), SOME);
	must(pack_clean(f->path, 0, err));
	atomic_store(&stop, false);
	must(pack_join(f->path, &stop, err));
	assert_int_equal(count_files(f, ".pack"), 1);
	expect_whole(f, "20");
}

/* A pack that cannot be read, in its bytes or its index: all stay as they are. */
static void damaged_ones_stay(void **state)
{
	static const char *const damages[] = {
		"chmod u+w $p.pack && printf XXXXXXXX | dd of=$p.pack bs=1 seek=20 conv=notrunc "
		"2>/dev/null",
		"chmod u+w $p.pack && truncate -s 30 $p.pack",
		"chmod u+w $p.idx && truncate -s 1000 $p.idx",
	};
	struct fixture *f = *state;
	struct oid c[SOME];

	publish_some(f, SOME, c);
	sh(f->path, "cp -rp objects/pack ../good");
	repo_free(f->repo); /* libgit2 shares the packs that are open in one process */
	f->repo = NULL;
	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		char *command = text_format(
			"p=$(ls objects/pack/*.pack | head -1 | sed 's/[.]pack$//'); %s",
			damages[i]);

		sh(f->path, command);
		free(command);
		must_fail(pack_join(f->path, NULL, err), ERR_NONE, "");
		sh(f->path, "ls objects/pack > ../now; ls ../good | diff - ../now");
		sh(f->path, "rm -rf objects/pack && cp -rp ../good objects/pack");
	}
	must(pack_join(f->path, NULL, err));
	expect_whole(f, "20");
}

static void no_repository(void **state)
{
	struct fixture *f = *state;

	must_fail(pack_join("/nonexistent/x.git", NULL, err), ERR_GONE, "nonexistent");
	must_fail(pack_clean("/nonexistent/x.git", 0, err), ERR_GONE, "nonexistent");
	must(pack_join(f->path, NULL, err)); /* an empty one is fine */
	must(pack_clean(f->path, 0, err));
}

static double milliseconds(void)
{
	struct timespec now;

	assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/*
 * Thousands of releases: few packs at any time, and each release is served and read like the first
 * ones.
 */
static void stays_flat(void **state)
{
	struct fixture *f = *state;
	struct oid c[2] = {{{0}}}, anchor = {{0}};
	struct chain_state chain = {.role = "web", .key_count = 1};
	size_t most = 0, size;
	double begin = milliseconds();
	struct buf pack;

	memset(chain.cluster_id, 1, CLUSTER_ID_SIZE);
	memcpy(chain.keys[0], f->keys[ADMIN], KEY_SIZE);
	buf_init(&pack, LIMIT_PACK_SIZE);
	for (uint64_t n = 1; n <= MANY; n++) {
		size_t packs;

		c[1] = c[0];
		c[0] = add_pack(f, n, n > 1 ? c + 1 : NULL);
		if (n == 1)
			anchor = c[0];
		must(pack_join(f->path, NULL, err));
		packs = count_files(f, ".pack");
		most = packs > most ? packs : most;
		if (n > 1 && n % 100 == 0) {
			struct repo *repo;

			must(repo_open(f->path, &repo, err));
			buf_reset(&pack);
			must(pack_build(repo, c, c + 1, &pack, err));
			assert_true(pack.len < 2000);
			must(chain_verify(repo, &chain, c, NULL, err));
			assert_int_equal(chain.sequence, n);
			repo_free(repo);
		}
	}
	assert_true(most < PACKS_MAX);
	must(pack_build(f->repo, c, &anchor, &pack, err));
	size = pack.len;
	buf_clear(&pack);
	print_message("  %d releases: at most %zu packs, %zu bytes, %.0f ms\n", MANY, most, size,
		      milliseconds() - begin);
	must(repo_ref_set(f->repo, "refs/heads/web", NULL, c, err));
	expect_whole(f, "2000");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		join_test(few_are_left_alone),
		join_test(many_are_joined),
		join_test(loose_ones_are_joined),
		join_test(readers_lose_nothing),
		join_test(readers_beside_lose_nothing),
		join_test(killed_before_the_old_ones_went),
		join_test(leftovers_are_removed),
		join_test(not_what_others_keep),
		join_test(given_up),
		join_test(damaged_ones_stay),
		join_test(no_repository),
		join_test(stays_flat),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
