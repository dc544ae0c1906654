/* Packs: what is in them, by stock git's account, and what is not believed. */
#include "repo_fixture.h"

#include "core/limits.h"
#include "repo/oidset.h"
#include "repo/pack.h"

#include <sys/mman.h>
#include <time.h>

enum { CHAIN = 5 };

/* Builds a pack and saves it as FOLDER/pack. */
static void build(struct fixture *f, const struct oid *tip, const struct oid *common)
{
	struct buf pack;
	int fd;

	buf_init(&pack, LIMIT_PACK_SIZE);
	must(pack_build(f->repo, tip, common, &pack, err));
	must(fs_open_dir(AT_FDCWD, f->folder, &fd, err));
	must(fs_write_atomic(fd, "pack", pack.data, pack.len, 0600, err));
	(void)close(fd);
	buf_clear(&pack);
}

/* How many objects of each type the saved pack has, after stock git has read and verified it. */
static void expect_objects(struct fixture *f, const char *counts)
{
	expect_answer(
		f->folder,
		"rm -rf u.git; git init -q --bare u.git && cd u.git && "
		"git index-pack --stdin < ../pack >/dev/null && "
		"git cat-file --batch-all-objects --batch-check='%(objecttype)' | sort | uniq -c | "
		"awk '{printf \"%s %s \", $1, $2}'",
		counts);
}

static void whole_history(void **state)
{
	struct fixture *f = *state;
	struct oid c[CHAIN];
	char *command, *path, hex[OID_HEX_SIZE];

	need("git");
	put_chain(f, CHAIN, c);
	build(f, c + CHAIN - 1, NULL);
	/* each release has a config.xml and a root tree of its own; files/ is the same in all: 2
	 * trees, 2 blobs */
	expect_objects(f, "7 blob 5 commit 7 tree ");
	command =
		text_format("git update-ref refs/heads/web %s && git fsck --strict 2>/dev/null && "
			    "git rev-list web | wc -l",
			    oid_hex(c + CHAIN - 1, hex));
	path = text_format("%s/u.git", f->folder);
	expect_answer(path, command, "5");
	free(command);
	free(path);
}

static void one_on_top(void **state)
{
	struct fixture *f = *state;
	struct oid c[CHAIN];

	need("git");
	put_chain(f, CHAIN, c);
	build(f, c + 4, c + 3);
	expect_objects(f, "1 blob 1 commit 1 tree ");
	build(f, c + 4, c + 1);
	expect_objects(f, "3 blob 3 commit 3 tree ");
	build(f, c, NULL);
	expect_objects(f, "3 blob 1 commit 3 tree ");
}

static void nothing_new(void **state)
{
	struct fixture *f = *state;
	struct oid c[CHAIN];

	need("git");
	put_chain(f, CHAIN, c);
	build(f, c + 4, c + 4);
	expect_objects(f, "");
}

static void after_what_was_there(void **state)
{
	struct fixture *f = *state;
	struct oid c[1];
	struct buf pack;

	put_chain(f, 1, c);
	buf_init(&pack, LIMIT_PACK_SIZE);
	buf_puts(&pack, "before");
	must(pack_build(f->repo, c, NULL, &pack, err));
	assert_memory_equal(pack.data, "beforePACK\0\0\0\2\0\0\0\7", 18);
	buf_clear(&pack);
}

static void no_room(void **state)
{
	struct fixture *f = *state;
	struct oid c[1];
	struct buf pack;

	put_chain(f, 1, c);
	buf_init(&pack, 100);
	buf_puts(&pack, "before");
	must_fail(pack_build(f->repo, c, NULL, &pack, err), ERR_FULL, "larger than 100");
	assert_int_equal(pack.len, 6);
	assert_string_equal(buf_text(&pack), "before");
	assert_false(pack.failed);
	buf_clear(&pack);
}

static void build_refuses(void **state)
{
	struct fixture *f = *state;
	struct oid c[CHAIN], side, none = {{6}}, blob = put_blob(f->repo, "x");
	struct release r;
	struct buf pack;

	put_chain(f, CHAIN, c);
	r = new_release(f->repo, 2, c, "side", f->keys[ADMIN]);
	side = put_release(f->repo, &r, f->seeds[ADMIN]);
	buf_init(&pack, LIMIT_PACK_SIZE);
	must_fail(pack_build(f->repo, c + 4, &side, &pack, err), ERR_REFUSED, "does not descend");
	must_fail(pack_build(f->repo, c + 1, c + 3, &pack, err), ERR_REFUSED, "does not descend");
	must_fail(pack_build(f->repo, &none, NULL, &pack, err), ERR_GONE, "release 060000000000");
	must_fail(pack_build(f->repo, c + 1, &none, &pack, err), ERR_GONE, "release 060000000000");
	must_fail(pack_build(f->repo, &blob, NULL, &pack, err), ERR_REFUSED, "names no commit");
	must_fail(pack_build(f->repo, c + 1, &blob, &pack, err), ERR_CORRUPT, "not a commit");
	r = new_release(f->repo, 6, &none, "on nothing", f->keys[ADMIN]);
	side = put_release(f->repo, &r, f->seeds[ADMIN]);
	must_fail(pack_build(f->repo, &side, NULL, &pack, err), ERR_GONE, "release 060000000000");
	assert_int_equal(pack.len, 0);
	buf_clear(&pack);
}

static void merges_are_refused(void **state)
{
	struct fixture *f = *state;
	struct oid c[CHAIN], merge;
	struct buf pack;
	char *text;

	need("git");
	put_chain(f, CHAIN, c);
	must(repo_ref_set(f->repo, "refs/heads/web", NULL, c + 4, err));
	text = answer(f->path, "git commit-tree -m x -p web -p web~2 web^{tree}");
	assert_int_equal(oid_parse(text, &merge), 0);
	free(text);
	buf_init(&pack, LIMIT_PACK_SIZE);
	must_fail(pack_build(f->repo, &merge, NULL, &pack, err), ERR_REFUSED,
		  "more than one parent");
	buf_clear(&pack);
}

/* A pin: a tag that names an older release. */
static void tags(void **state)
{
	struct fixture *f = *state;
	struct oid c[CHAIN], tag;
	char *text;

	need("git");
	put_chain(f, CHAIN, c);
	must(repo_ref_set(f->repo, "refs/heads/web", NULL, c + 4, err));
	text = answer(f->path, "git tag -a -m hold pin web~3 && git rev-parse pin");
	assert_int_equal(oid_parse(text, &tag), 0);
	free(text);
	build(f, &tag, c + 4);
	expect_objects(f, "1 tag ");
	build(f, &tag, c + 1);
	expect_objects(f, "1 tag ");
	build(f, &tag, c);
	expect_objects(f, "1 blob 1 commit 1 tag 1 tree ");
	build(f, &tag, NULL);
	expect_objects(f, "4 blob 2 commit 1 tag 4 tree ");
}

static void quick_for_one_small_commit(void **state)
{
	enum { ROUNDS = 50 };
	struct fixture *f = *state;
	struct oid c[CHAIN];
	struct timespec from, to;
	struct buf pack;

	put_chain(f, CHAIN, c);
	buf_init(&pack, LIMIT_PACK_SIZE);
	assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &from), 0);
	for (int i = 0; i < ROUNDS; i++) {
		buf_reset(&pack);
		must(pack_build(f->repo, c + 4, c + 3, &pack, err));
	}
	assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &to), 0);
	print_message("  %.3f ms a pack\n", ((double)(to.tv_sec - from.tv_sec) * 1e3 +
					     (double)(to.tv_nsec - from.tv_nsec) / 1e6) /
						    ROUNDS);
	buf_clear(&pack);
}

/* --- looking --- */

/* A quarantine whose alternates name the repository of the fixture; it gets the saved pack. */
static struct repo *quarantine(struct fixture *f, const char *pack)
{
	char *path = text_format("%s/q.git", f->folder), *command;
	struct repo *q;

	sh(f->folder, "rm -rf q.git; mkdir -p q.git/objects/info && "
		      "echo ../../a.git/objects > q.git/objects/info/alternates");
	must(repo_init_bare(path, &q, err));
	command = text_format("cd q.git && git index-pack --stdin --fix-thin < ../%s", pack);
	if (pack)
		sh(f->folder, command);
	repo_free(q);
	must(repo_open(path, &q, err));
	free(command);
	free(path);
	return q;
}

/* The sender's repository, with the newest release not yet in that of the fixture, which has the
 * first COUNT. */
static struct oid sender(struct fixture *f, unsigned count, struct oid c[])
{
	char *path = text_format("%s/sender.git", f->folder);
	struct fixture other = *f;
	struct release r;
	struct oid tip;

	put_chain(f, count, c);
	must(repo_init_bare(path, &other.repo, err));
	put_chain(&other, count, c);
	r = new_release(other.repo, count + 1, c + count - 1, "<config>new</config>\n",
			f->keys[ADMIN]);
	tip = put_release(other.repo, &r, f->seeds[ADMIN]);
	build(&other, &tip, c + count - 1);
	repo_free(other.repo);
	free(path);
	return tip;
}

static void takes_a_good_pack(void **state)
{
	struct fixture *f = *state;
	struct oid c[CHAIN], tip;
	struct repo *q;

	need("git");
	tip = sender(f, CHAIN, c);
	q = quarantine(f, "pack");
	must(pack_check_reachable(q, &tip, c + CHAIN - 1, err));
	repo_free(q);
	/* all of it, with nothing known */
	build(f, c + CHAIN - 1, NULL);
	sh(f->folder, "rm -rf q.git && git init -q --bare q.git && cd q.git && git index-pack "
		      "--stdin < ../pack");
	{
		char *path = text_format("%s/q.git", f->folder);

		must(repo_open(path, &q, err));
		free(path);
	}
	must(pack_check_reachable(q, c + CHAIN - 1, NULL, err));
	must_fail(pack_check_reachable(q, c + CHAIN - 2, NULL, err), ERR_REFUSED,
		  "does not reach it");
	repo_free(q);
}

static void takes_an_empty_fetch(void **state)
{
	struct fixture *f = *state;
	struct oid c[CHAIN];
	struct repo *q;

	need("git");
	put_chain(f, CHAIN, c);
	q = quarantine(f, NULL);
	must(pack_check_reachable(q, c + 4, c + 4, err));
	must(pack_check_reachable(q, c + 4, c + 2, err));
	repo_free(q);
}

static void refuses_objects_not_reached(void **state)
{
	struct fixture *f = *state;
	struct oid c[CHAIN], tip, stray;
	struct repo *q;
	char *command, hex[OID_HEX_SIZE];

	need("git");
	tip = sender(f, CHAIN, c);
	q = quarantine(f, "pack");
	/* loose */
	stray = put_blob(q, "to be relied on by the next fetch");
	must_fail(pack_check_reachable(q, &tip, c + CHAIN - 1, err), ERR_REFUSED,
		  "the release does not reach it");
	/* packed */
	command = text_format(
		"cd q.git && echo %s | git pack-objects objects/pack/pack && git prune-packed",
		oid_hex(&stray, hex));
	repo_free(q);
	sh(f->folder, command);
	free(command);
	command = text_format("%s/q.git", f->folder);
	must(repo_open(command, &q, err));
	free(command);
	must_fail(pack_check_reachable(q, &tip, c + CHAIN - 1, err), ERR_REFUSED,
		  "does not reach it");
	repo_free(q);
}

static void refuses_strays_of_each_type(void **state)
{
	struct fixture *f = *state;
	struct oid c[CHAIN], tip, stray;
	struct release r;
	struct repo *q;
	struct buf tree;

	need("git");
	tip = sender(f, CHAIN, c);
	/* a commit on top of the tip, one beside it, a tree */
	for (int i = 0; i < 3; i++) {
		q = quarantine(f, "pack");
		if (i < 2) {
			r = new_release(q, 9, i ? c + 2 : &tip, "<config>1</config>\n",
					f->keys[ADMIN]);
			stray = put_release(q, &r, f->seeds[ADMIN]);
		} else {
			buf_init(&tree, 100);
			stray = put_tree(q, &tree);
			buf_clear(&tree);
		}
		must_fail(pack_check_reachable(q, &tip, c + CHAIN - 1, err), ERR_REFUSED,
			  "does not reach it");
		(void)stray;
		repo_free(q);
	}
}

static void refuses_missing_objects(void **state)
{
	static const char *const what[] = {"web^{tree}", "web:config.xml", "web"};
	struct fixture *f = *state;
	struct oid c[CHAIN], tip;
	struct repo *q;

	need("git");
	for (size_t i = 0; i < sizeof(what) / sizeof(what[0]); i++) {
		char *command, hex[OID_HEX_SIZE];

		sh(f->folder, "rm -rf sender.git");
		tip = sender(f, CHAIN, c);
		command = text_format(
			"cd sender.git && git update-ref refs/heads/web %s && "
			"x=$(git rev-parse %s) && git rev-list --objects web ^web~1 | cut -c1-40 | "
			"grep -v $x | git pack-objects --stdout > ../holes",
			oid_hex(&tip, hex), what[i]);
		sh(f->folder, command);
		free(command);
		q = quarantine(f, "holes");
		must_fail(pack_check_reachable(q, &tip, c + CHAIN - 1, err), ERR_CORRUPT, "object");
		repo_free(q);
	}
}

/* Git hosts send deltas against what the receiver has; who takes them adds the bases. */
static void takes_a_completed_thin_pack(void **state)
{
	struct fixture *f = *state;
	struct fixture other = *f;
	char *path = text_format("%s/sender.git", f->folder), *large = mem_new(40001, 1), *command;
	struct oid first, tip;
	struct release r;
	struct repo *q;
	char a[OID_HEX_SIZE], b[OID_HEX_SIZE];

	need("git");
	for (size_t i = 0; i < 40000; i++)
		large[i] = (char)('a' + (i * i * 31 + i / 7) % 26);
	r = new_release(f->repo, 1, NULL, large, f->keys[ADMIN]);
	first = put_release(f->repo, &r, f->seeds[ADMIN]);
	must(repo_init_bare(path, &other.repo, err));
	r = new_release(other.repo, 1, NULL, large, f->keys[ADMIN]);
	(void)put_release(other.repo, &r, f->seeds[ADMIN]);
	large[20000] = '!';
	r = new_release(other.repo, 2, &first, large, f->keys[ADMIN]);
	tip = put_release(other.repo, &r, f->seeds[ADMIN]);
	repo_free(other.repo);
	command = text_format("cd sender.git && printf '%%s\\n^%%s\\n' %s %s | "
			      "git pack-objects --thin --stdout --revs > ../thin && test $(wc -c < "
			      "../thin) -lt 5000",
			      oid_hex(&tip, a), oid_hex(&first, b));
	sh(f->folder, command);
	free(command);
	q = quarantine(f, "thin");
	/* the base is there twice now */
	expect_answer(f->folder,
		      "cd q.git && mv objects/info/alternates x && git cat-file "
		      "--batch-all-objects --batch-check | wc -l && mv x objects/info/alternates",
		      "4");
	must(pack_check_reachable(q, &tip, &first, err));
	repo_free(q);
	free(path);
	free(large);
}

static void refuses_large_objects(void **state)
{
	struct fixture *f = *state;
	char *zeros = mem_new(LIMIT_FILE_SIZE + 1, 1);
	struct oid blob, tree, tip;
	struct release r = new_release(f->repo, 1, NULL, "x", f->keys[ADMIN]);
	struct buf raw;

	must(object_write(f->repo, GIT_OBJECT_BLOB, zeros, LIMIT_FILE_SIZE + 1, &blob, err));
	free(zeros);
	buf_init(&raw, 100);
	put_entry(&raw, "100644", "large", &blob);
	tree = put_tree(f->repo, &raw);
	r.tree = tree;
	tip = put_release(f->repo, &r, f->seeds[ADMIN]);
	must_fail(pack_check_reachable(f->repo, &tip, NULL, err), ERR_REFUSED, "over the limit");
	buf_reset(&raw);
	must_fail(pack_build(f->repo, &tip, NULL, &raw, err), ERR_REFUSED, "over the limit");
	buf_clear(&raw);
}

/* In a release between the accepted and the newest, whose files no one reads. */
static void refuses_bad_trees_in_between(void **state)
{
	static const char *const modes[] = {"120000", "160000", "100664"};
	struct fixture *f = *state;
	struct oid c[2], bad, tip, blob, tree;
	struct release r;
	struct buf raw;

	put_chain(f, 2, c);
	blob = put_blob(f->repo, "x");
	buf_init(&raw, 100);
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		buf_reset(&raw);
		put_entry(&raw, modes[i], "x", &blob);
		r = new_release(f->repo, 3, c + 1, "x", f->keys[ADMIN]);
		r.tree = put_tree(f->repo, &raw);
		bad = put_release(f->repo, &r, f->seeds[ADMIN]);
		r = new_release(f->repo, 4, &bad, "x", f->keys[ADMIN]);
		tip = put_release(f->repo, &r, f->seeds[ADMIN]);
		must_fail(pack_check_reachable(f->repo, &tip, c + 1, err), ERR_REFUSED, modes[i]);
	}
	/* a tree in a blob's place, a blob in a tree's, and a tree without end */
	buf_reset(&raw);
	put_entry(&raw, "100644", "x", &blob);
	tree = put_tree(f->repo, &raw);
	buf_reset(&raw);
	put_entry(&raw, "100644", "x", &tree);
	r = new_release(f->repo, 3, c + 1, "x", f->keys[ADMIN]);
	r.tree = put_tree(f->repo, &raw);
	tip = put_release(f->repo, &r, f->seeds[ADMIN]);
	must_fail(pack_check_reachable(f->repo, &tip, c + 1, err), ERR_CORRUPT,
		  "is a tree, not a blob");
	buf_reset(&raw);
	put_entry(&raw, "40000", "x", &blob);
	r = new_release(f->repo, 3, c + 1, "x", f->keys[ADMIN]);
	r.tree = put_tree(f->repo, &raw);
	tip = put_release(f->repo, &r, f->seeds[ADMIN]);
	must_fail(pack_check_reachable(f->repo, &tip, c + 1, err), ERR_CORRUPT,
		  "is a blob, not a tree");
	buf_reset(&raw);
	put_entry(&raw, "100644", "x", &blob);
	r = new_release(f->repo, 3, c + 1, "x", f->keys[ADMIN]);
	for (int i = 0; i < 300; i++) {
		r.tree = put_tree(f->repo, &raw);
		buf_reset(&raw);
		put_entry(&raw, "40000", "d", &r.tree);
	}
	tip = put_release(f->repo, &r, f->seeds[ADMIN]);
	must_fail(pack_check_reachable(f->repo, &tip, c + 1, err), ERR_REFUSED, "longer than 255");
	buf_clear(&raw);
}

/* Trees that are read one within the other are in memory together. */
static void refuses_large_trees_in_each_other(void **state)
{
	enum { DEPTH = 3 };
	struct fixture *f = *state;
	struct oid blob = put_blob(f->repo, "x"), tree = {{0}}, tip;
	struct release r;
	struct buf raw;
	char name[256];

	buf_init(&raw, 4 << 20);
	for (int depth = 0; depth < DEPTH; depth++) {
		buf_reset(&raw);
		for (unsigned i = 0; raw.len < TREE_OBJECT_SIZE - 1000; i++) {
			(void)snprintf(name, sizeof(name), "%0240u", i);
			put_entry(&raw, "100644", name, &blob);
		}
		if (depth > 0)
			put_entry(&raw, "40000", "d", &tree);
		tree = put_tree(f->repo, &raw);
		r = new_release(f->repo, 1, NULL, "x", f->keys[ADMIN]);
		r.tree = tree;
		tip = put_release(f->repo, &r, f->seeds[ADMIN]);
		buf_reset(&raw);
		if (depth < DEPTH - 1)
			must(pack_build(f->repo, &tip, NULL, &raw, err));
	}
	must_fail(pack_check_reachable(f->repo, &tip, NULL, err), ERR_REFUSED,
		  "folders of more than");
	buf_clear(&raw);
}

/* More than a pack may bring: so many ids are not even remembered, of what is known either. */
static void refuses_millions_of_objects(void **state)
{
	enum { FOLDERS = 11, FILES = LIMIT_PACK_OBJECTS / (FOLDERS - 1) };
	struct fixture *f = *state;
	struct oid c[2], none = {{0}}, tree, folders[FOLDERS];
	struct release r;
	struct buf raw;
	char name[16];

	put_chain(f, 1, c);
	buf_init(&raw, 4 << 20);
	for (uint32_t folder = 0; folder < FOLDERS; folder++) {
		buf_reset(&raw);
		for (uint32_t i = 0; raw.len < TREE_OBJECT_SIZE - 100 && i < FILES; i++) {
			uint32_t n = folder * FILES + i + 1;

			memcpy(none.id, &n, sizeof(n));
			(void)snprintf(name, sizeof(name), "%x", 0x10000 + i);
			put_entry(&raw, "100644", name, &none);
		}
		folders[folder] = put_tree(f->repo, &raw);
	}
	buf_reset(&raw);
	for (uint32_t folder = 0; folder < FOLDERS; folder++)
		put_entry(&raw, "40000", (char[]){(char)('a' + folder), '\0'}, folders + folder);
	tree = put_tree(f->repo, &raw);
	r = new_release(f->repo, 1, NULL, "x", f->keys[ADMIN]);
	r.tree = tree;
	c[0] = put_release(f->repo, &r, f->seeds[ADMIN]);
	r = new_release(f->repo, 2, c, "x", f->keys[ADMIN]);
	c[1] = put_release(f->repo, &r, f->seeds[ADMIN]);
	must_fail(pack_check_reachable(f->repo, c + 1, c, err), ERR_REFUSED,
		  "more than 1000000 objects");
	buf_clear(&raw);
}

/* At once and in pieces; what is over the limit is not looked at. */
static void takes_no_pack_over_the_limit(void **state)
{
	struct fixture *f = *state;
	size_t size = (size_t)LIMIT_PACK_SIZE + 1;
	uint8_t *bytes = mmap(NULL, size, PROT_READ,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct pack_sink *sink;

	assert_true(bytes != MAP_FAILED);
	must_fail(pack_put(f->repo, bytes, size, err), ERR_REFUSED, "a pack of more than");
	must(pack_sink_new(f->repo, &sink, err));
	must(pack_sink_put(sink, "PACK\0\0\0\2\0\0\0\1", 12, err));
	must_fail(pack_sink_put(sink, bytes, size - 12, err), ERR_REFUSED, "a pack of more than");
	must(pack_sink_end(sink, false, err));
	assert_int_equal(munmap(bytes, size), 0);
}

static void refuses_what_does_not_descend(void **state)
{
	struct fixture *f = *state;
	struct oid c[CHAIN], side;
	struct release r;

	put_chain(f, CHAIN, c);
	r = new_release(f->repo, 2, c, "side", f->keys[ADMIN]);
	side = put_release(f->repo, &r, f->seeds[ADMIN]);
	must_fail(pack_check_reachable(f->repo, &side, c + 3, err), ERR_REFUSED,
		  "does not descend");
	must_fail(pack_check_reachable(f->repo, c + 2, c + 3, err), ERR_REFUSED,
		  "does not descend");
}

static void sets_of_ids(void **state)
{
	enum { MANY = 20000 };
	struct oidset set = {0};
	struct oid oid = {{0}};

	(void)state;
	assert_false(oidset_has(&set, &oid));
	for (unsigned i = 1; i <= MANY; i++) {
		/* ids that begin alike go to the same place */
		memcpy(oid.id + 8, &i, sizeof(i));
		if (i % 100 != 0)
			memcpy(oid.id, &i, sizeof(i));
		assert_false(oidset_has(&set, &oid));
		assert_true(oidset_add(&set, &oid));
		assert_false(oidset_add(&set, &oid));
		assert_true(oidset_has(&set, &oid));
	}
	assert_int_equal(set.count, MANY);
	memset(&oid, 0, sizeof(oid));
	assert_false(oidset_has(&set, &oid));
	for (unsigned i = 1; i < MANY; i += 2) {
		if (i % 100 == 0)
			continue;
		memcpy(oid.id + 8, &i, sizeof(i));
		memcpy(oid.id, &i, sizeof(i));
		assert_true(oidset_has(&set, &oid));
	}
	oidset_clear(&set);
	assert_int_equal(set.count, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		repo_test(whole_history),
		repo_test(one_on_top),
		repo_test(nothing_new),
		repo_test(after_what_was_there),
		repo_test(no_room),
		repo_test(build_refuses),
		repo_test(merges_are_refused),
		repo_test(tags),
		repo_test(quick_for_one_small_commit),
		repo_test(takes_a_good_pack),
		repo_test(takes_an_empty_fetch),
		repo_test(refuses_objects_not_reached),
		repo_test(refuses_strays_of_each_type),
		repo_test(refuses_missing_objects),
		repo_test(takes_a_completed_thin_pack),
		repo_test(refuses_large_objects),
		repo_test(refuses_bad_trees_in_between),
		repo_test(refuses_large_trees_in_each_other),
		repo_test(refuses_millions_of_objects),
		repo_test(takes_no_pack_over_the_limit),
		repo_test(refuses_what_does_not_descend),
		cmocka_unit_test(sets_of_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
