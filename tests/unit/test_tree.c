/* Trees as sets of files: the same as stock git's, and everything else refused. */
#include "repo_fixture.h"

#include "core/limits.h"

static struct fileset sample(void)
{
	struct fileset set = {0};

	add_file(&set, "config.xml", "<config/>\n");
	add_file(&set, "files/a/b/c.txt", "c");
	add_file(&set, "files/a.txt", "");
	add_file(&set, "files/a-b/x", "x");
	add_file(&set, "files/a0", "0");
	add_file(&set, "files/ü mit Blank", "x");
	must(fileset_add(&set, "files/run.sh", FILE_EXEC, "#!/bin/sh\n\0x", 12, err));
	add_file(&set, "schema/site.rng", "x");
	return set;
}

static void written_and_read(void **state)
{
	struct fixture *f = *state;
	struct fileset set = sample(), got = {0};
	struct oid tree, again;

	must(tree_write(f->repo, &set, &tree, err));
	must(tree_read(f->repo, &tree, &got, err));
	assert_true(fileset_equal(&set, &got));
	must(tree_write(f->repo, &got, &again, err));
	assert_true(oid_equal(&tree, &again));
	fileset_clear(&set);
	fileset_clear(&got);
}

static void same_as_stock_git(void **state)
{
	struct fixture *f = *state;
	struct fileset set = sample();
	char *path = text_format("%s/work", f->folder), *git, hex[OID_HEX_SIZE];
	struct oid tree;
	int fd;

	need("git");
	must(tree_write(f->repo, &set, &tree, err));
	assert_int_equal(mkdir(path, 0700), 0);
	must(fs_open_dir(AT_FDCWD, path, &fd, err));
	must(fileset_write_dir(&set, fd, err));
	(void)close(fd);
	git = answer(path, "git init -q . && git add -A && git write-tree");
	assert_string_equal(git, oid_hex(&tree, hex));
	free(git);
	sh(f->path, "git fsck --strict");
	fileset_clear(&set);
	free(path);
}

static void empty_set(void **state)
{
	struct fixture *f = *state;
	struct fileset set = {0}, got = {0};
	struct oid tree;
	char hex[OID_HEX_SIZE];

	must(tree_write(f->repo, &set, &tree, err));
	assert_string_equal(oid_hex(&tree, hex), "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
	must(tree_read(f->repo, &tree, &got, err));
	assert_int_equal(got.count, 0);
}

static void write_refuses_a_file_that_is_a_folder(void **state)
{
	struct fixture *f = *state;
	struct fileset set = {0};
	struct oid tree;

	add_file(&set, "a", "file");
	add_file(&set, "a.b", "between them in the order");
	add_file(&set, "a/c", "below");
	must_fail(tree_write(f->repo, &set, &tree, err), ERR_REFUSED, "a: is a file and a folder");
	fileset_clear(&set);
}

/* A row of what a hand-made root tree holds: up to three entries. */
struct row {
	const char *what;
	struct {
		const char *mode, *name;
		char kind; /* b blob, t tree with one file, e empty tree, n no such object, 0 the
			      zero id */
	} entries[3];
	enum err_code code;
	const char *words;
};

static const struct row rows[] = {
	{"link", {{"120000", "l", 'b'}}, ERR_REFUSED, "mode 120000"},
	{"submodule", {{"160000", "s", 'n'}}, ERR_REFUSED, "mode 160000"},
	{"device", {{"20644", "d", 'b'}}, ERR_REFUSED, "mode 20644"},
	{"group-writable", {{"100664", "a", 'b'}}, ERR_REFUSED, "mode 100664"},
	{"private", {{"100600", "a", 'b'}}, ERR_REFUSED, "mode 100600"},
	{"setuid", {{"104755", "a", 'b'}}, ERR_REFUSED, "mode 104755"},
	{"padded mode of a folder", {{"040000", "a", 't'}}, ERR_REFUSED, "mode 040000"},
	{"padded mode of a file", {{"0100644", "a", 'b'}}, ERR_REFUSED, "mode 0100644"},
	{"no mode", {{"", "a", 'b'}}, ERR_REFUSED, "mode  is"},
	{"long mode",
	 {{"10064410064410064410064410", "a", 'b'}},
	 ERR_REFUSED,
	 "mode 100644100644 is"},
	{"dot", {{"100644", ".", 'b'}}, ERR_REFUSED, "no name"},
	{"dot dot", {{"40000", "..", 't'}}, ERR_REFUSED, "no name"},
	{".git", {{"40000", ".git", 't'}}, ERR_REFUSED, "no name"},
	{".GIT", {{"40000", ".GiT", 't'}}, ERR_REFUSED, "no name"},
	{"no name", {{"100644", "", 'b'}}, ERR_REFUSED, "no name"},
	{"slash", {{"100644", "a/b", 'b'}}, ERR_REFUSED, "no name"},
	{"absolute", {{"100644", "/etc/passwd", 'b'}}, ERR_REFUSED, "no name"},
	{"climbing", {{"100644", "../x", 'b'}}, ERR_REFUSED, "no name"},
	{"backslash", {{"100644", "a\\b", 'b'}}, ERR_REFUSED, "no name"},
	{"newline", {{"100644", "a\nb", 'b'}}, ERR_REFUSED, "no name"},
	{"escape", {{"100644", "a\033[2J", 'b'}}, ERR_REFUSED, "no name"},
	{"delete", {{"100644", "a\177", 'b'}}, ERR_REFUSED, "no name"},
	{"out of order", {{"100644", "b", 'b'}, {"100644", "a", 'b'}}, ERR_CORRUPT, "out of order"},
	{"twice", {{"100644", "a", 'b'}, {"100644", "a", 'b'}}, ERR_CORRUPT, "twice"},
	{"twice, other modes", {{"100644", "a", 'b'}, {"100755", "a", 'b'}}, ERR_CORRUPT, "twice"},
	{"two folders", {{"40000", "a", 't'}, {"40000", "a", 't'}}, ERR_CORRUPT, "twice"},
	{"folder in a file's place",
	 {{"40000", "a", 't'}, {"100644", "a.b", 'b'}},
	 ERR_CORRUPT,
	 "order"},
	{"file and folder",
	 {{"100644", "a", 'b'}, {"40000", "a", 't'}},
	 ERR_CORRUPT,
	 "file and a folder"},
	{"file, between, folder",
	 {{"100644", "a", 'b'}, {"100644", "a.b", 'b'}, {"40000", "a", 't'}},
	 ERR_CORRUPT,
	 "a: is a file and a folder"},
	{"empty folder", {{"40000", "a", 'e'}}, ERR_REFUSED, "folder is empty"},
	{"folder that is a file", {{"40000", "a", 'b'}}, ERR_CORRUPT, "not a tree"},
	{"file that is a folder", {{"100644", "a", 't'}}, ERR_CORRUPT, "a: is not a file"},
	{"missing file", {{"100644", "a", 'n'}}, ERR_GONE, "a: "},
	{"missing folder", {{"40000", "a", 'n'}}, ERR_GONE, "a/: "},
	{"zero id", {{"100644", "a", '0'}}, ERR_CORRUPT, "names no object"},
};

static struct oid entry_object(struct repo *repo, char kind)
{
	struct oid oid = {{0}}, blob = put_blob(repo, "content");
	struct buf tree;

	buf_init(&tree, 100);
	if (kind == 't')
		put_entry(&tree, "100644", "x", &blob);
	if (kind == 't' || kind == 'e')
		oid = put_tree(repo, &tree);
	else if (kind == 'b')
		oid = blob;
	else if (kind == 'n')
		memset(oid.id, 7, OID_SIZE);
	buf_clear(&tree);
	return oid;
}

static void refuses_each_row(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fileset got = {0};
		struct oid tree, outer;
		struct buf raw;

		print_message("  %s\n", rows[i].what);
		buf_init(&raw, 4096);
		for (int j = 0; j < 3 && rows[i].entries[j].mode; j++) {
			struct oid oid = entry_object(f->repo, rows[i].entries[j].kind);

			put_entry(&raw, rows[i].entries[j].mode, rows[i].entries[j].name, &oid);
		}
		tree = put_tree(f->repo, &raw);
		must_fail(tree_read(f->repo, &tree, &got, err), rows[i].code, rows[i].words);
		assert_int_equal(got.count, 0);
		/* and the same below a good folder */
		buf_reset(&raw);
		put_entry(&raw, "40000", "files", &tree);
		outer = put_tree(f->repo, &raw);
		/* and says where */
		must_fail(tree_read(f->repo, &outer, &got, err), rows[i].code, "files/");
		assert_int_equal(got.count, 0);
		buf_clear(&raw);
	}
}

static void refuses_long_names(void **state)
{
	struct fixture *f = *state;
	char name[301] = "";
	struct fileset got = {0};
	struct oid blob = put_blob(f->repo, "x"), tree;
	struct buf raw;

	buf_init(&raw, 4096);
	memset(name, 'n', 300);
	put_entry(&raw, "100644", name, &blob);
	tree = put_tree(f->repo, &raw);
	must_fail(tree_read(f->repo, &tree, &got, err), ERR_REFUSED, "no name");
	/* the longest one is fine, but not below a folder */
	name[LIMIT_PATH] = '\0';
	buf_reset(&raw);
	put_entry(&raw, "100644", name, &blob);
	tree = put_tree(f->repo, &raw);
	must(tree_read(f->repo, &tree, &got, err));
	fileset_clear(&got);
	buf_reset(&raw);
	put_entry(&raw, "40000", "d", &tree);
	tree = put_tree(f->repo, &raw);
	must_fail(tree_read(f->repo, &tree, &got, err), ERR_REFUSED, "longer than 255");
	/* nor one by which the whole path is a byte too long */
	for (size_t n = LIMIT_PATH - 2; n < LIMIT_PATH; n++) {
		memset(name, 'n', sizeof(name));
		name[n] = '\0';
		buf_reset(&raw);
		put_entry(&raw, "100644", name, &blob);
		tree = put_tree(f->repo, &raw);
		buf_reset(&raw);
		put_entry(&raw, "40000", "d", &tree);
		tree = put_tree(f->repo, &raw);
		if (n == LIMIT_PATH - 2)
			must(tree_read(f->repo, &tree, &got, err));
		else
			must_fail(tree_read(f->repo, &tree, &got, err), ERR_REFUSED,
				  "longer than 255");
		fileset_clear(&got);
	}
	buf_clear(&raw);
}

static void refuses_depth(void **state)
{
	struct fixture *f = *state;
	struct oid blob = put_blob(f->repo, "x"), tree;
	struct fileset got = {0};
	struct buf raw;

	buf_init(&raw, 4096);
	put_entry(&raw, "100644", "x", &blob);
	for (int depth = 0; depth < 1000; depth++) {
		tree = put_tree(f->repo, &raw);
		buf_reset(&raw);
		put_entry(&raw, "40000", "d", &tree);
		if (depth == 127) { /* 127 times "d/" and "x": 255 bytes */
			must(tree_read(f->repo, &tree, &got, err));
			assert_int_equal(strlen(got.files[0].path), LIMIT_PATH);
			fileset_clear(&got);
		}
		if (depth == 128)
			must_fail(tree_read(f->repo, &tree, &got, err), ERR_REFUSED,
				  "longer than 255");
	}
	must_fail(tree_read(f->repo, &tree, &got, err), ERR_REFUSED, "longer than 255");
	buf_clear(&raw);
}

/* Each folder names the one below WIDTH times: few objects, and paths without end. */
static struct oid bomb(struct repo *repo, unsigned width, unsigned depth, const struct oid *inner)
{
	struct oid tree = *inner;
	struct buf raw;

	buf_init(&raw, 1 << 20);
	for (unsigned i = 0; i < depth; i++) {
		buf_reset(&raw);
		for (unsigned j = 0; j < width; j++) {
			char name[16];

			(void)snprintf(name, sizeof(name), "%04u", j);
			put_entry(&raw, "40000", name, &tree);
		}
		tree = put_tree(repo, &raw);
	}
	buf_clear(&raw);
	return tree;
}

static void refuses_bombs(void **state)
{
	struct fixture *f = *state;
	struct oid blob = put_blob(f->repo, "x"), tree;
	struct fileset got = {0};
	struct buf raw;

	buf_init(&raw, 100);
	put_entry(&raw, "100644", "x", &blob);
	tree = put_tree(f->repo, &raw);
	tree = bomb(f->repo, 20, 20, &tree);
	must_fail(tree_read(f->repo, &tree, &got, err), ERR_REFUSED, "more than 10000 files");
	/* wide trees without files at their ends */
	buf_reset(&raw);
	tree = put_tree(f->repo, &raw);
	tree = bomb(f->repo, 9000, 4, &tree);
	must_fail(tree_read(f->repo, &tree, &got, err), ERR_REFUSED, "folder is empty");
	buf_clear(&raw);
}

/* Files below the limit, each at the end of a long path whose folders are read for it alone. */
static void refuses_paths_that_repeat(void **state)
{
	enum { MANY = 5000, DEPTH = 48 };
	struct fixture *f = *state;
	struct oid blob = put_blob(f->repo, "x"), tree;
	struct fileset got = {0};
	struct buf raw;

	buf_init(&raw, 100);
	put_entry(&raw, "100644", "x", &blob);
	tree = put_tree(f->repo, &raw);
	tree = bomb(f->repo, 1, DEPTH, &tree);
	must(tree_read(f->repo, &tree, &got, err));
	fileset_clear(&got);
	tree = bomb(f->repo, MANY, 1, &tree);
	must_fail(tree_read(f->repo, &tree, &got, err), ERR_REFUSED, "folders of more than");
	assert_int_equal(got.count, 0);
	buf_clear(&raw);
}

static void refuses_too_many_files(void **state)
{
	struct fixture *f = *state;
	struct oid blob = put_blob(f->repo, "x"), tree;
	struct fileset got = {0};
	struct buf raw;
	char name[16];

	buf_init(&raw, 1 << 20);
	for (unsigned i = 0; i <= LIMIT_TREE_FILES; i++) {
		if (i == LIMIT_TREE_FILES) {
			tree = put_tree(f->repo, &raw);
			must(tree_read(f->repo, &tree, &got, err));
			assert_int_equal(got.count, LIMIT_TREE_FILES);
			fileset_clear(&got);
		}
		(void)snprintf(name, sizeof(name), "%05u", i);
		put_entry(&raw, "100644", name, &blob);
	}
	tree = put_tree(f->repo, &raw);
	must_fail(tree_read(f->repo, &tree, &got, err), ERR_REFUSED, "more than 10000 files");
	buf_clear(&raw);
}

static void refuses_large_trees(void **state)
{
	struct fixture *f = *state;
	struct oid blob = put_blob(f->repo, "x"), tree;
	struct fileset got = {0};
	struct buf raw;
	char name[256];

	/* an object over the limit of a tree's own bytes is not even read */
	buf_init(&raw, 4 << 20);
	for (unsigned i = 0; raw.len <= TREE_OBJECT_SIZE; i++) {
		(void)snprintf(name, sizeof(name), "%0250u", i);
		put_entry(&raw, "100644", name, &blob);
	}
	tree = put_tree(f->repo, &raw);
	must_fail(tree_read(f->repo, &tree, &got, err), ERR_REFUSED, "over the limit");
	buf_clear(&raw);
}

static void refuses_large_files(void **state)
{
	struct fixture *f = *state;
	char *zeros = mem_new(LIMIT_FILE_SIZE + 1, 1);
	struct oid large, tree;
	struct fileset got = {0};
	struct buf raw;

	must(object_write(f->repo, GIT_OBJECT_BLOB, zeros, LIMIT_FILE_SIZE + 1, &large, err));
	buf_init(&raw, 4096);
	put_entry(&raw, "100644", "large", &large);
	tree = put_tree(f->repo, &raw);
	must_fail(tree_read(f->repo, &tree, &got, err), ERR_REFUSED, "large: object");
	/* five that are fine each, but not together */
	must(object_write(f->repo, GIT_OBJECT_BLOB, zeros, LIMIT_FILE_SIZE, &large, err));
	free(zeros);
	buf_reset(&raw);
	for (int i = 0; i < 5; i++)
		put_entry(&raw, "100644", (char[]){(char)('a' + i), '\0'}, &large);
	tree = put_tree(f->repo, &raw);
	must_fail(tree_read(f->repo, &tree, &got, err), ERR_REFUSED, "together");
	buf_clear(&raw);
}

/* Reads all entries; how many, or -1. */
static int entries(const uint8_t *raw, size_t n)
{
	struct tree_reader reader = tree_reader_of(raw, n);
	struct tree_entry entry;
	int rc, count = 0;

	while ((rc = tree_next(&reader, &entry, NULL)) == 1)
		count++;
	return rc == 0 ? count : -1;
}

static void parser_takes_any_bytes(void **state)
{
	struct oid oid = {{1, 2, 3}};
	struct buf raw;
	uint8_t *copy;

	(void)state;
	buf_init(&raw, 4096);
	put_entry(&raw, "100644", "a", &oid);
	put_entry(&raw, "40000", "b", &oid);
	put_entry(&raw, "100755", "c", &oid);
	assert_int_equal(entries(raw.data, raw.len), 3);
	assert_int_equal(entries(raw.data, 0), 0);
	/* a copy of the very size, so that a byte read beyond is found */
	for (size_t n = 0; n <= raw.len; n++) {
		int count;

		copy = mem_new(n, 1);
		memcpy(copy, raw.data, n);
		count = entries(copy, n);
		assert_int_equal(count != -1, n == 0 || n == 29 || n == 57 || n == 86);
		free(copy);
	}
	for (size_t bit = 0; bit < raw.len * 8; bit++) {
		copy = mem_new(raw.len, 1);
		memcpy(copy, raw.data, raw.len);
		copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
		(void)entries(copy, raw.len);
		free(copy);
	}
	buf_clear(&raw);
}

static void of_a_commit(void **state)
{
	struct fixture *f = *state;
	struct release r = new_release(f->repo, 1, NULL, "<config/>\n", f->keys[ADMIN]);
	struct oid oid = put_release(f->repo, &r, f->seeds[ADMIN]), blob = put_blob(f->repo, "x");
	struct fileset got = {0};

	must(tree_read_commit(f->repo, &oid, &got, err));
	assert_int_equal(got.count, 3);
	assert_non_null(fileset_find(&got, "files/run.sh"));
	fileset_clear(&got);
	must_fail(tree_read_commit(f->repo, &blob, &got, err), ERR_CORRUPT, "not a commit");
	must_fail(tree_read(f->repo, &oid, &got, err), ERR_CORRUPT, "not a tree");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		repo_test(written_and_read),
		repo_test(same_as_stock_git),
		repo_test(empty_set),
		repo_test(write_refuses_a_file_that_is_a_folder),
		repo_test(refuses_each_row),
		repo_test(refuses_long_names),
		repo_test(refuses_depth),
		repo_test(refuses_bombs),
		repo_test(refuses_paths_that_repeat),
		repo_test(refuses_too_many_files),
		repo_test(refuses_large_trees),
		repo_test(refuses_large_files),
		repo_test(parser_takes_any_bytes),
		repo_test(of_a_commit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
