/* Bundles: stock git takes what is written, and every cut, flip and other form is refused. */
#include "repo_fixture.h"

#include "core/limits.h"
#include "repo/bundle.h"
#include "repo/chain.h"

#include <fcntl.h>
#include <sys/mman.h>

enum { CHAIN = 3 };
#define REF "refs/heads/web"

static int bundle_setup(void **state)
{
	int rc = fixture_setup(state);

	(void)git_libgit2_opts(GIT_OPT_ENABLE_FSYNC_GITDIR, 0); /* a known option */
	return rc;
}

#define bundle_test(name) cmocka_unit_test_setup_teardown(name, bundle_setup, fixture_teardown)

/* A bundle of CHAIN releases; their ids go to C. */
static void make(struct fixture *f, struct buf *out, struct oid c[static CHAIN])
{
	put_chain(f, CHAIN, c);
	must(repo_ref_set(f->repo, REF, NULL, c + CHAIN - 1, err));
	buf_init(out, LIMIT_PACK_SIZE);
	must(bundle_write(f->repo, REF, out, err));
}

static void save(struct fixture *f, const char *name, const void *data, size_t n)
{
	int fd;

	must(fs_open_dir(AT_FDCWD, f->folder, &fd, err));
	must(fs_replace(fd, name, data, n, 0600, err));
	(void)close(fd);
}

static int read_bytes(struct repo *to, const void *data, size_t n, struct oid *tip, struct err *err)
{
	int fd = memfd_create("bundle", MFD_CLOEXEC), rc;

	assert_true(fd >= 0);
	assert_int_equal(fs_write_all(fd, data, n, err), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	rc = bundle_read(to, fd, REF, tip, err);
	(void)close(fd);
	return rc;
}

/* An empty repository, to read into. */
static struct repo *empty(struct fixture *f)
{
	char *path = text_format("%s/to.git", f->folder);
	struct repo *to;

	sh(f->folder, "rm -rf to.git");
	must(repo_init_bare(path, &to, err));
	free(path);
	return to;
}

static void stock_git_takes_it(void **state)
{
	struct fixture *f = *state;
	struct oid c[CHAIN];
	struct buf bundle;

	need("git");
	make(f, &bundle, c);
	save(f, "web.bundle", bundle.data, bundle.len);
	sh(f->folder, "git init -q x && cd x && git bundle verify -q ../web.bundle");
	expect_answer(f->folder,
		      "git clone -q -b web web.bundle clone && cd clone && git log --format=%s && "
		      "cat config.xml",
		      "change 3\nchange 2\nchange 1\n<config>3</config>");
	expect_answer(f->folder, "git bundle list-heads web.bundle | cut -d' ' -f2", REF);
	buf_clear(&bundle);
}

static void read_and_verified(void **state)
{
	struct fixture *f = *state;
	struct chain_state chain = {.role = "web", .key_count = 1};
	struct repo *to = empty(f);
	struct oid c[CHAIN], tip;
	struct buf bundle;

	make(f, &bundle, c);
	must(read_bytes(to, bundle.data, bundle.len, &tip, err));
	assert_true(oid_equal(&tip, c + CHAIN - 1));
	memset(chain.cluster_id, 1, CLUSTER_ID_SIZE);
	memcpy(chain.keys[0], f->keys[ADMIN], KEY_SIZE);
	must(chain_verify(to, &chain, &tip, NULL, err));
	assert_int_equal(chain.sequence, CHAIN);
	repo_free(to);
	buf_clear(&bundle);
}

/* What stock git writes, with more refs than one. */
static void read_from_stock_git(void **state)
{
	struct fixture *f = *state;
	struct repo *to = empty(f);
	struct oid c[CHAIN], tip;
	struct buf bundle;
	char *path = text_format("%s/theirs", f->folder);
	int fd;

	need("git");
	make(f, &bundle, c);
	buf_clear(&bundle);
	sh(f->path,
	   "git symbolic-ref HEAD refs/heads/web && git update-ref refs/heads/api web~1 && "
	   "git bundle create -q ../theirs HEAD api web");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	must(bundle_read(to, fd, REF, &tip, err));
	assert_true(oid_equal(&tip, c + CHAIN - 1));
	(void)close(fd);
	repo_free(to);
	/* one that is not complete */
	sh(f->path, "git bundle create -q ../theirs web~1..web");
	to = empty(f);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	must_fail(bundle_read(to, fd, REF, &tip, err), ERR_REFUSED, "needs other commits");
	(void)close(fd);
	sh(f->path, "git bundle create -q --version=3 ../theirs web");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	must_fail(bundle_read(to, fd, REF, &tip, err), ERR_REFUSED, "only version 2");
	(void)close(fd);
	repo_free(to);
	free(path);
}

static void write_refuses(void **state)
{
	struct fixture *f = *state;
	struct oid c[CHAIN];
	struct buf bundle, small;

	make(f, &bundle, c);
	buf_init(&small, 6);
	buf_puts(&small, "before");
	must_fail(bundle_write(f->repo, "refs/heads/none", &small, err), ERR_GONE, "none");
	must_fail(bundle_write(f->repo, REF, &small, err), ERR_FULL, "larger than");
	small.max = 120;
	must_fail(bundle_write(f->repo, REF, &small, err), ERR_FULL, "larger than");
	assert_string_equal(buf_text(&small), "before");
	assert_false(small.failed);
	buf_clear(&small);
	buf_clear(&bundle);
}

/* Nothing of what is cut off stays behind, either. */
static void every_truncation(void **state)
{
	struct fixture *f = *state;
	struct repo *to = empty(f);
	struct oid c[CHAIN], tip;
	struct buf bundle;

	make(f, &bundle, c);
	for (size_t n = 0; n < bundle.len; n++) {
		struct err err = {.code = ERR_NONE};

		if (read_bytes(to, bundle.data, n, &tip, &err) == 0)
			fail_msg("%zu of %zu bytes were taken", n, bundle.len);
		if (err.code != ERR_CORRUPT)
			fail_msg("%zu bytes: %s: %s", n, err_code_text(err.code), err.text);
	}
	expect_answer(f->folder, "find to.git/objects -type f | wc -l", "0");
	repo_free(to);
	buf_clear(&bundle);
}

static void every_bit_flip(void **state)
{
	struct fixture *f = *state;
	struct repo *to = empty(f);
	struct oid c[CHAIN], tip;
	struct buf bundle;
	size_t pack;

	make(f, &bundle, c);
	must(bundle_head(bundle.data, bundle.len, REF, &pack, &tip, err));
	for (size_t bit = 0; bit < 8 * bundle.len; bit++) {
		struct err err = {.code = ERR_NONE};

		/* of the pack one bit of each byte: libgit2 sees a wrong sum for any */
		if (bit / 8 >= pack && bit % 8 != bit / 8 % 8)
			continue;
		bundle.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		/* another tip is seen by the verification, as any that a host may name */
		if (read_bytes(to, bundle.data, bundle.len, &tip, &err) == 0 &&
		    (bit / 8 >= pack || oid_equal(&tip, c + CHAIN - 1)))
			fail_msg("bit %zu of byte %zu was taken", bit % 8, bit / 8);
		bundle.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	repo_free(to);
	buf_clear(&bundle);
}

static void bytes_behind(void **state)
{
	struct fixture *f = *state;
	struct repo *to = empty(f);
	struct oid c[CHAIN], tip;
	struct buf bundle;

	make(f, &bundle, c);
	for (int i = 0; i < 50; i++) {
		buf_put_u8(&bundle, (uint8_t)i);
		must_fail(read_bytes(to, bundle.data, bundle.len, &tip, err), ERR_CORRUPT,
			  "bundle");
	}
	repo_free(to);
	buf_clear(&bundle);
}

#define ID "0123456789012345678901234567890123456789"

static const struct {
	const char *text;
	enum err_code code;
	const char *words;
} heads[] = {
	{"", ERR_RETRY, "cut off"},
	{"# v2 git bundle", ERR_RETRY, "cut off"},
	{"# v2 git bundle\n", ERR_RETRY, "cut off"},
	{"# v2 git bundle\n" ID " " REF "\n", ERR_RETRY, "cut off"},
	{"# v2 git bundle\n\n", ERR_GONE, "holds no"},
	{"# v2 git bundle\n" ID " refs/heads/api\n\n", ERR_GONE, "holds no"},
	{"# v2 git bundle\n" ID " refs/heads/web2\n\n", ERR_GONE, "holds no"},
	{"# v2 git bundle\n" ID " " REF "\n" ID " " REF "\n\n", ERR_REFUSED, "twice"},
	{"# v2 git bundle\n-" ID " x\n" ID " " REF "\n\n", ERR_REFUSED, "other commits"},
	{"# v2 git bundle\n@object-format=sha1\n" ID " " REF "\n\n", ERR_REFUSED, "does not know"},
	{"# v3 git bundle\n" ID " " REF "\n\n", ERR_REFUSED, "only version 2"},
	{"# v2 git bundle \n" ID " " REF "\n\n", ERR_REFUSED, "only version 2"},
	{"# v22 git bundle\n\n", ERR_REFUSED, "only version 2"},
	{"#v2 git bundle\n\n", ERR_CORRUPT, "no git bundle"},
	{"PACK and more of it than a first line\n", ERR_CORRUPT, "no git bundle"},
	{"no newline in sight for a long time", ERR_CORRUPT, "no git bundle"},
	{"\n# v2 git bundle\n", ERR_CORRUPT, "no git bundle"},
	{"# v2 git bundle\r\n" ID " " REF "\r\n\r\n", ERR_REFUSED, "only version 2"},
	{"# v2 git bundle\n" ID "\n\n", ERR_CORRUPT, "not a ref"},
	{"# v2 git bundle\n" ID " \n\n", ERR_CORRUPT, "not a ref"},
	{"# v2 git bundle\n" ID "\t" REF "\n\n", ERR_CORRUPT, "not a ref"},
	{"# v2 git bundle\nx " REF "\n\n", ERR_CORRUPT, "not a ref"},
	{"# v2 git bundle\n0123456789ABCDEF78901234567890123456789A " REF "\n\n", ERR_CORRUPT,
	 "not an id"},
	{"# v2 git bundle\n0000000000000000000000000000000000000000 " REF "\n\n", ERR_CORRUPT,
	 "not an id"},
	{"# v2 git bundle\n" ID "  " REF "\n\n", ERR_CORRUPT, "not the name"},
	{"# v2 git bundle\n" ID " " REF " \n\n", ERR_CORRUPT, "not the name"},
	{"# v2 git bundle\n" ID " ../x\n\n", ERR_CORRUPT, "not the name"},
};

static void other_heads(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		struct oid tip;
		size_t pack;

		must_fail(bundle_head(heads[i].text, strlen(heads[i].text), REF, &pack, &tip, err),
			  heads[i].code, heads[i].words);
	}
}

static void heads_are_bounded(void **state)
{
	struct fixture *f = *state;
	struct repo *to = empty(f);
	struct oid tip;
	struct buf text;
	size_t pack;

	buf_init(&text, 1 << 20);
	buf_puts(&text, "# v2 git bundle\n" ID " refs/heads/");
	for (int i = 0; i < 300; i++)
		buf_puts(&text, "x");
	buf_puts(&text, "\n\n");
	must_fail(bundle_head(text.data, text.len, REF, &pack, &tip, err), ERR_CORRUPT,
		  "not the name");
	buf_reset(&text);
	buf_puts(&text, "# v2 git bundle\n");
	for (int i = 0; i < 2000; i++)
		buf_printf(&text, ID " refs/heads/r%d\n", i);
	buf_puts(&text, ID " " REF "\n\nPACK");
	must_fail(read_bytes(to, text.data, text.len, &tip, err), ERR_REFUSED, "before the pack");
	buf_clear(&text);
	repo_free(to);
}

/* The number of objects is looked at before any is read. */
static void many_objects(void **state)
{
	struct fixture *f = *state;
	struct repo *to = empty(f);
	struct oid c[CHAIN], tip;
	struct buf bundle;
	size_t pack;

	make(f, &bundle, c);
	must(bundle_head(bundle.data, bundle.len, REF, &pack, &tip, err));
	memcpy(bundle.data + pack + 8, "\x7f\xff\xff\xff", 4);
	must_fail(read_bytes(to, bundle.data, bundle.len, &tip, err), ERR_NONE, "too many objects");
	/* ours stands behind libgit2's own limit */
	assert_int_equal(git_libgit2_opts(GIT_OPT_SET_PACK_MAX_OBJECTS, (size_t)UINT32_MAX), 0);
	for (int i = 0; i < 4; i++)
		bundle.data[pack + 8 + i] = (uint8_t)((LIMIT_PACK_OBJECTS + 1) >> (24 - 8 * i));
	must_fail(read_bytes(to, bundle.data, bundle.len, &tip, err), ERR_REFUSED,
		  "a pack of 1000001 objects");
	assert_int_equal(
		git_libgit2_opts(GIT_OPT_SET_PACK_MAX_OBJECTS, (size_t)LIMIT_PACK_OBJECTS), 0);
	expect_answer(f->folder, "find to.git/objects -type f | wc -l", "0");
	repo_free(to);
	buf_clear(&bundle);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		bundle_test(stock_git_takes_it),
		bundle_test(read_and_verified),
		bundle_test(read_from_stock_git),
		bundle_test(write_refuses),
		bundle_test(every_truncation),
		bundle_test(every_bit_flip),
		bundle_test(bytes_behind),
		bundle_test(other_heads),
		bundle_test(heads_are_bounded),
		bundle_test(many_objects),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
