/* Which revisions a node keeps, and what it removes at start. */
#include "node/revision.h"
#include "node/state.h"
#include "node_home.h"

enum { LOGGED = 15, REVISIONS_KEPT = 10 };

struct fixture {
	struct place *place;
	struct home *home;
	struct node_state state;
};

static struct oid release_of(unsigned n)
{
	struct oid oid = {{0}};

	oid.id[0] = 0xab;
	oid.id[19] = (uint8_t)n;
	return oid;
}

/* The path of a revision, in static memory. */
static const char *path_of(unsigned n)
{
	static char path[100];
	char hex[OID_HEX_SIZE];
	struct oid oid = release_of(n);

	(void)snprintf(path, sizeof(path), "node/revisions/%s", oid_hex(&oid, hex));
	return path;
}

static const char *name_of(unsigned n)
{
	return path_of(n) + strlen("node/revisions/");
}

static bool there(const struct fixture *f, const char *path)
{
	return faccessat(f->home->var_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void write_one(struct fixture *f, const char *name)
{
	struct fileset files = {0};

	must(fileset_add(&files, "config.xml", FILE_PLAIN, "<config/>", 9, err));
	must(fileset_add(&files, "files/a/b", FILE_EXEC, "x", 1, err));
	must(revision_write(f->home, name, &files, "raw", 3, err));
	fileset_clear(&files);
}

/* Releases 1 to LOGGED, all staged, the newest one active. */
static int setup(void **state)
{
	struct fixture *f = mem_new(1, sizeof(*f));

	(void)place_setup((void **)&f->place);
	f->home = &f->place->home;
	must(fs_make_dirs(f->home->var_fd, "node", 0700, err));
	for (unsigned n = 1; n <= LOGGED; n++) {
		struct oid oid = release_of(n);

		(void)node_state_note(&f->state, &oid, n);
		write_one(f, name_of(n));
	}
	must(revision_swap(f->home, name_of(LOGGED), err));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	node_state_clear(&f->state);
	(void)place_teardown((void **)&f->place);
	free(f);
	return 0;
}

#define revision_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static unsigned count(const struct fixture *f)
{
	unsigned found = 0;

	for (unsigned n = 0; n <= LOGGED; n++)
		found += there(f, path_of(n));
	return found;
}

static void keeps_the_newest(void **state)
{
	struct fixture *f = *state;

	must(revision_prune(f->home, &f->state, REVISIONS_KEPT, NULL, err));
	assert_int_equal(count(f), REVISIONS_KEPT);
	assert_true(there(f, path_of(LOGGED)));
	assert_true(there(f, path_of(LOGGED - REVISIONS_KEPT + 1)));
	assert_false(there(f, path_of(LOGGED - REVISIONS_KEPT)));
	assert_false(there(f, path_of(1)));
	must(revision_prune(f->home, &f->state, REVISIONS_KEPT, NULL, err));
	assert_int_equal(count(f), REVISIONS_KEPT);
}

/* As many as the configuration says. */
static void keeps_what_it_is_told(void **state)
{
	struct fixture *f = *state;

	must(revision_prune(f->home, &f->state, LOGGED, NULL, err));
	assert_int_equal(count(f), LOGGED);
	must(revision_clean(f->home, &f->state, 4, err));
	assert_int_equal(count(f), 4);
	must(revision_prune(f->home, &f->state, 2, NULL, err));
	assert_int_equal(count(f), 2);
	assert_true(there(f, path_of(LOGGED)));
	assert_true(there(f, path_of(LOGGED - 1)));
}

/* Releases that were refused were never staged: they do not count. */
static void counts_what_is_there(void **state)
{
	struct fixture *f = *state;

	for (unsigned n = LOGGED - 1; n > LOGGED - 6; n--)
		must(fs_remove_tree(f->home->var_fd, path_of(n), err));
	must(revision_prune(f->home, &f->state, REVISIONS_KEPT, NULL, err));
	assert_int_equal(count(f), REVISIONS_KEPT);
	assert_true(there(f, path_of(1)));
}

static void never_the_current_one(void **state)
{
	struct fixture *f = *state;

	must(revision_swap(f->home, name_of(2), err));
	must(revision_prune(f->home, &f->state, REVISIONS_KEPT, NULL, err));
	assert_true(there(f, path_of(2)));
	assert_int_equal(count(f), REVISIONS_KEPT + 1);
}

static void never_the_one_to_keep(void **state)
{
	struct fixture *f = *state;

	must(revision_prune(f->home, &f->state, REVISIONS_KEPT, name_of(3), err));
	assert_true(there(f, path_of(3)));
	assert_int_equal(count(f), REVISIONS_KEPT + 1);
}

static void never_what_it_is_held_at(void **state)
{
	struct fixture *f = *state;

	hold_set(&f->state.here, name_of(1), "-");
	hold_set(&f->state.pinned, name_of(2), "-");
	must(revision_prune(f->home, &f->state, REVISIONS_KEPT, NULL, err));
	assert_true(there(f, path_of(1)));
	assert_true(there(f, path_of(2)));
	assert_int_equal(count(f), REVISIONS_KEPT + 2);
}

/*
 * Whose cluster configuration led to the admin: when that of all later ones does not, it is the way
 * back there.
 */
static void never_the_one_it_joined_by(void **state)
{
	struct fixture *f = *state;

	memcpy(f->state.joined, name_of(2), strlen(name_of(2)) + 1);
	must(revision_prune(f->home, &f->state, REVISIONS_KEPT, NULL, err));
	assert_true(there(f, path_of(2)));
	assert_int_equal(count(f), REVISIONS_KEPT + 1);
}

/* What another thread stages meanwhile is not in the log that was handed over. */
static void never_what_it_does_not_know(void **state)
{
	struct fixture *f = *state;

	write_one(f, name_of(0));
	write_one(f, "init-0011");
	must(revision_prune(f->home, &f->state, REVISIONS_KEPT, NULL, err));
	assert_true(there(f, path_of(0)));
	assert_true(there(f, "node/revisions/init-0011"));
}

static void no_revisions_is_fine(void **state)
{
	struct fixture *f = *state;

	must(fs_remove_tree(f->home->var_fd, "node/revisions", err));
	must(revision_prune(f->home, &f->state, REVISIONS_KEPT, NULL, err));
	must(revision_clean(f->home, &f->state, REVISIONS_KEPT, err));
}

static void start_removes_left_overs(void **state)
{
	struct fixture *f = *state;
	char *half = text_format("node/revisions/%s.tmp/files", name_of(9));

	must(fs_make_dirs(f->home->var_fd, half, 0700, err));
	write_one(f, name_of(0));
	write_one(f, "init-0011");
	must(revision_clean(f->home, &f->state, REVISIONS_KEPT, err));
	assert_false(there(f, half));
	assert_false(there(f, path_of(0))); /* older than the log */
	assert_true(there(f, "node/revisions/init-0011"));
	assert_int_equal(count(f), REVISIONS_KEPT);
	free(half);
}

/* A state that was lost does not take what runs with it. */
static void start_keeps_the_current_one(void **state)
{
	struct fixture *f = *state;
	const struct node_state empty = {.known = true};

	must(revision_swap(f->home, name_of(2), err));
	must(revision_clean(f->home, &empty, REVISIONS_KEPT, err));
	assert_true(there(f, path_of(2)));
	assert_int_equal(count(f), 1);
}

static void half_removed_is_no_revision(void **state)
{
	struct fixture *f = *state;
	char *half = text_format("node/revisions/%s.tmp/files", name_of(1));

	/* one that a kill left is no hindrance */
	must(fs_make_dirs(f->home->var_fd, half, 0700, err));
	must(revision_prune(f->home, &f->state, REVISIONS_KEPT, NULL, err));
	assert_false(there(f, half));
	assert_false(there(f, path_of(1)));
	free(half);
}

static void temporary_files_go(void **state)
{
	struct fixture *f = *state;

	must(fs_write_new(f->home->var_fd, "node/state.0123456789abcdef.tmp", "x", 1, 0600, err));
	must(fs_write_new(f->home->var_fd, "node/state.0123456789abcdeg.tmp", "x", 1, 0600, err));
	must(fs_write_new(f->home->var_fd, "node/.0123456789abcdef.tmpx", "x", 1, 0600, err));
	must(fs_write_new(f->home->var_fd, "node/mine.tmp", "x", 1, 0600, err));
	assert_int_equal(
		symlinkat("revisions/x", f->home->var_fd, "node/current.ffffffffffffffff.tmp"), 0);
	must(fs_remove_temporary(f->home->var_fd, "node", err));
	assert_false(there(f, "node/state.0123456789abcdef.tmp"));
	assert_false(there(f, "node/current.ffffffffffffffff.tmp"));
	assert_true(there(f, "node/state.0123456789abcdeg.tmp"));
	assert_true(there(f, "node/.0123456789abcdef.tmpx"));
	assert_true(there(f, "node/mine.tmp"));
	assert_true(there(f, "node/current"));
	must(fs_remove_temporary(f->home->var_fd, "nowhere", err));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		revision_test(keeps_the_newest),
		revision_test(keeps_what_it_is_told),
		revision_test(counts_what_is_there),
		revision_test(never_the_current_one),
		revision_test(never_the_one_to_keep),
		revision_test(never_what_it_is_held_at),
		revision_test(never_the_one_it_joined_by),
		revision_test(never_what_it_does_not_know),
		revision_test(no_revisions_is_fine),
		revision_test(start_removes_left_overs),
		revision_test(start_keeps_the_current_one),
		revision_test(half_removed_is_no_revision),
		revision_test(temporary_files_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
