/* Local copies: written whole, verified again from the disk, and any change in them is seen. */
#include "node_home.h"

#include "node/revision.h"
#include "repo/git.h"
#include "repo/release.h"

static const uint8_t seed[KEY_SIZE] = {42};

struct made {
	struct fileset files;
	struct buf raw;
	struct node_state state; /* knows it as accepted */
	struct oid oid;
	char name[REVISION_NAME_MAX];
};

static void make(struct made *m)
{
	struct release r = {.sequence = 1, .key_count = 1};

	*m = (struct made){.state = {.known = true}};
	must(fileset_add(&m->files, "config.xml", FILE_PLAIN, "<config/>\n", 10, err));
	must(fileset_add(&m->files, "files/run.sh", FILE_EXEC, "#!/bin/sh\n", 10, err));
	memset(r.tree.id, 1, OID_SIZE);
	memset(r.source.id, 2, OID_SIZE);
	memset(r.cluster_id, 3, CLUSTER_ID_SIZE);
	memcpy(r.role, "web", 4);
	digest_fileset(&m->files, r.digest);
	key_release_public(seed, r.keys[0]);
	r.author = release_ident("Ada", "ada@example.com", 1700000000, 60);
	r.committer = release_committer("admin.example.com", 1700000100);
	r.message = text_copy("a change\n");
	buf_init(&m->raw, LIMIT_COMMIT_SIZE);
	must(release_sign(&r, seed, &m->raw, err));
	must(repo_commit_id(m->raw.data, m->raw.len, &m->oid, err));
	(void)oid_hex(&m->oid, m->name);
	memcpy(m->state.chain.cluster_id, r.cluster_id, CLUSTER_ID_SIZE);
	memcpy(m->state.chain.role, r.role, sizeof(r.role));
	(void)node_state_note(&m->state, &m->oid, 1);
	release_clear(&r);
}

static void made_clear(struct made *m)
{
	fileset_clear(&m->files);
	buf_clear(&m->raw);
	node_state_clear(&m->state);
}

static void write_it(struct place *p, struct made *m)
{
	must(revision_write(&p->home, m->name, &m->files, m->raw.data, m->raw.len, err));
}

#define unsound(p, m, words)                                                                       \
	do {                                                                                       \
		struct revision unsound_out = {.is_init = false};                                  \
		must_fail(revision_read(&(p)->home, (m)->name, &(m)->state, &unsound_out, err),    \
			  ERR_NONE, words);                                                        \
		assert_int_equal(unsound_out.files.count, 0);                                      \
	} while (0)

static void comes_back(void **state)
{
	struct place *p = *state;
	struct revision back;
	struct made m;

	make(&m);
	write_it(p, &m);
	write_it(p, &m); /* again is fine */
	must(revision_read(&p->home, m.name, &m.state, &back, err));
	assert_true(fileset_equal(&back.files, &m.files));
	assert_true(oid_equal(&back.oid, &m.oid));
	assert_int_equal(back.release.sequence, 1);
	assert_string_equal(back.name, m.name);
	assert_false(back.is_init);
	revision_clear(&back);
	revision_clear(&back);
	made_clear(&m);
}

static char *path_in(const struct made *m, const char *file)
{
	return text_format("node/revisions/%s/%s", m->name, file);
}

/* Every bit of every file, its mode, its absence, and a file more. */
static void any_change_is_seen(void **state)
{
	static const char *const files[] = {"config.xml", "files/run.sh", "release"};
	struct place *p = *state;
	struct made m;
	char *path;

	make(&m);
	write_it(p, &m);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct buf whole;
		int fd;

		path = path_in(&m, files[i]);
		buf_init(&whole, 1 << 16);
		must(fs_read(p->home.var_fd, path, &whole, err));
		fd = openat(p->home.var_fd, path, O_WRONLY | O_CLOEXEC);
		assert_true(fd >= 0);
		for (size_t bit = 0; bit < 8 * whole.len; bit += i == 2 ? 7 : 1) {
			uint8_t byte = whole.data[bit / 8] ^ (uint8_t)(1u << bit % 8);

			assert_int_equal(pwrite(fd, &byte, 1, (off_t)(bit / 8)), 1);
			unsound(p, &m, "revision ");
			assert_int_equal(pwrite(fd, whole.data + bit / 8, 1, (off_t)(bit / 8)), 1);
		}
		for (size_t n = 0; n < whole.len; n += i == 2 ? 11 : 1) {
			assert_int_equal(ftruncate(fd, (off_t)n), 0);
			unsound(p, &m, "revision ");
			assert_int_equal(pwrite(fd, whole.data, whole.len, 0), whole.len);
		}
		(void)close(fd);
		assert_int_equal(unlinkat(p->home.var_fd, path, 0), 0);
		unsound(p, &m, i == 2 ? "no signed release" : "digest");
		buf_clear(&whole);
		free(path);
		write_it(p, &m);
	}
	path = path_in(&m, "files/run.sh");
	assert_int_equal(fchmodat(p->home.var_fd, path, 0600, 0), 0);
	unsound(p, &m, "digest");
	free(path);
	write_it(p, &m);
	path = path_in(&m, "files/more");
	put_file(p, path, "");
	unsound(p, &m, "digest");
	free(path);
	write_it(p, &m);
	path = path_in(&m, "link");
	assert_int_equal(symlinkat("config.xml", p->home.var_fd, path), 0);
	unsound(p, &m, "link");
	free(path);
	made_clear(&m);
}

static void only_what_was_accepted(void **state)
{
	struct place *p = *state;
	struct made m;
	struct oid other = {{9}};
	char own[REVISION_NAME_MAX];

	make(&m);
	write_it(p, &m);
	m.state.log[0].release = other;
	unsound(p, &m, "never accepted");
	m.state.log[0].release = m.oid;
	m.state.chain.cluster_id[0] ^= 1;
	unsound(p, &m, "another cluster");
	m.state.chain.cluster_id[0] ^= 1;
	m.state.chain.role[0] = 'x';
	unsound(p, &m, "is of role web");
	m.state.chain.role[0] = 'w';
	/* under another name */
	memcpy(own, m.name, sizeof(own));
	m.name[0] = m.name[0] == 'a' ? 'b' : 'a';
	write_it(p, &m);
	unsound(p, &m, "another one");
	memcpy(m.name, own, sizeof(own));
	made_clear(&m);
}

static void names_lead_nowhere_else(void **state)
{
	static const char *const bad[] = {"",
					  ".",
					  "..",
					  "../node",
					  "init-/../x",
					  "abc",
					  "0123456789012345678901234567890123456789/config.xml",
					  "init-"
					  "01234567890123456789012345678901234567890123456789012345"
					  "6789012345678901234567890"};
	struct place *p = *state;
	struct revision out;
	struct made m;

	make(&m);
	write_it(p, &m);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		must_fail(revision_read(&p->home, bad[i], &m.state, &out, err), ERR_CORRUPT,
			  "no name of a revision");
	must_fail(revision_read(&p->home, "0123456789012345678901234567890123456789", &m.state,
				&out, err),
		  ERR_GONE, "revision 012345678901");
	made_clear(&m);
}

static void from_init(void **state)
{
	struct place *p = *state;
	struct revision back;
	struct made m;
	char *path;

	make(&m);
	revision_init_name(&m.files, m.name);
	assert_true(text_starts(m.name, "init-"));
	must(revision_write(&p->home, m.name, &m.files, NULL, 0, err));
	must(revision_read(&p->home, m.name, &m.state, &back, err));
	assert_true(back.is_init);
	assert_int_equal(back.release.sequence, 0);
	assert_true(fileset_equal(&back.files, &m.files));
	revision_clear(&back);
	path = path_in(&m, "config.xml");
	put_file(p, path, "<config>x</config>\n");
	unsound(p, &m, "not those that were staged");
	free(path);
	made_clear(&m);
}

static void current_leads_to_revisions_only(void **state)
{
	static const char *const bad[] = {"elsewhere/x", "/etc", "../revisions/x", "revision"};
	struct place *p = *state;
	char name[REVISION_NAME_MAX];

	must(fs_make_dirs(p->home.var_fd, "node", 0700, err));
	must_fail(revision_current(&p->home, name, err), ERR_GONE, "current");
	must(revision_swap(&p->home, "one", err));
	must(revision_swap(&p->home, "two", err));
	must(revision_current(&p->home, name, err));
	assert_string_equal(name, "two");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		must(fs_swap_link(p->home.var_fd, "node/current", bad[i], err));
		must_fail(revision_current(&p->home, name, err), ERR_CORRUPT, "leads to");
	}
	must(fs_remove_tree(p->home.var_fd, "node/current", err));
	put_file(p, "node/current", "x");
	must_fail(revision_current(&p->home, name, err), ERR_CORRUPT, "current");
	must(revision_swap(&p->home, "three", err)); /* a file in its place is replaced */
	must(revision_current(&p->home, name, err));
	assert_string_equal(name, "three");
}

static int libraries(void **state)
{
	(void)state;
	crypto_setup();
	git_setup();
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		place_test(comes_back),
		place_test(any_change_is_seen),
		place_test(only_what_was_accepted),
		place_test(names_lead_nowhere_else),
		place_test(from_init),
		place_test(current_leads_to_revisions_only),
	};

	return cmocka_run_group_tests(tests, libraries, NULL);
}
