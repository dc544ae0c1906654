/*
 * Files that must survive, folders, homes and their lock: what is refused, and that nothing is half
 * done.
 */
#include "node_home.h"

#include "core/fileset.h"
#include "core/limits.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define VAR (p->home.var_fd)

/* Which syncs the disk answers with an error. */
static enum { SYNCS_WORK, FILES_FAIL, FOLDERS_FAIL } broken;

/* In place of the C library's. */
int fsync(int fd)
{
	struct stat st;

	if (broken != SYNCS_WORK && fstat(fd, &st) == 0 &&
	    S_ISDIR(st.st_mode) == (broken == FOLDERS_FAIL)) {
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_fsync, fd);
}

static size_t entries(const struct place *p, const char *folder)
{
	char *command = text_format("ls -A '%s/%s' | wc -l", p->home.var, folder);
	FILE *f = popen(command, "r");
	unsigned n = 0;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%u", &n), 1);
	(void)pclose(f);
	free(command);
	return n;
}

static void writes_replace(void **state)
{
	struct place *p = *state;
	struct stat st;
	char *text;

	put_file(p, "a/b", "one");
	put_file(p, "a/b", "two");
	text = get_file(p, "a/b");
	assert_string_equal(text, "two");
	free(text);
	assert_int_equal(entries(p, "a"), 1); /* no temporary name is left */
	must(fs_write_atomic(VAR, "a/b", "x", 1, 0640, err));
	assert_int_equal(fstatat(VAR, "a/b", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	/* a folder in its place: refused, and nothing is left beside it */
	must(fs_keep_dirs(VAR, "a/c/d", 0700, err));
	must(fs_keep_dirs(VAR, "a/c/d", 0700, err)); /* fine if they are there */
	must_fail(fs_keep_dirs(VAR, "a/b/x", 0700, err), ERR_NONE, "a/b/x");
	must_fail(fs_write_atomic(VAR, "a/c", "x", 1, 0600, err), ERR_NONE, "a/c");
	assert_int_equal(entries(p, "a"), 2);
	must_fail(fs_write_atomic(VAR, "none/b", "x", 1, 0600, err), ERR_GONE, "none/b");
	must_fail(fs_write_new(VAR, "a/b", "x", 1, 0600, err), ERR_NONE, "exists");
	must(fs_write_new(VAR, "a/new", "", 0, 0600, err));
}

/* Files take SIZE bytes from here on, as on a disk that is full in the middle of one. */
static void leave_room(rlim_t size)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = size;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void is_as_before(const struct place *p)
{
	char *text = get_file(p, "a/b");

	assert_string_equal(text, "before");
	assert_int_equal(entries(p, "a"), 1);
	free(text);
}

static void a_full_disk_is_told(void **state)
{
	struct err replaced = {.code = ERR_NONE}, made = replaced;
	struct place *p = *state;
	int replace_rc, make_rc;

	assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	put_file(p, "a/b", "before");
	leave_room(4);
	replace_rc = fs_write_atomic(VAR, "a/b", "0123456789", 10, 0600, &replaced);
	make_rc = fs_write_new(VAR, "a/new", "0123456789", 10, 0600, &made);
	leave_room(RLIM_INFINITY);
	assert_int_equal(replace_rc, -1);
	assert_non_null(strstr(replaced.text, "a/b"));
	assert_int_equal(make_rc, -1);
	assert_non_null(strstr(made.text, "a/new"));
	is_as_before(p);
}

static void what_cannot_be_synced_is_told(void **state)
{
	static const char eio[] = "Input/output error";
	struct place *p = *state;
	char target[16];

	put_file(p, "a/b", "before");
	broken = FILES_FAIL;
	must_fail(fs_write_atomic(VAR, "a/b", "x", 1, 0600, err), ERR_NONE, eio);
	must_fail(fs_write_new(VAR, "a/new", "x", 1, 0600, err), ERR_NONE, eio);
	must_fail(fs_sync(VAR, "a/b", err), ERR_NONE, eio);
	is_as_before(p);
	must(fs_write_unsynced(VAR, "unsynced", "x", 1, 0600, err));
	broken = FOLDERS_FAIL;
	must_fail(fs_write_atomic(VAR, "a/b", "x", 1, 0600, err), ERR_NONE, eio);
	must_fail(fs_swap_link(VAR, "a/link", "to", err), ERR_NONE, eio);
	must_fail(fs_keep_dirs(VAR, "a/folder", 0700, err), ERR_NONE, eio);
	/* not taken for one that was synced */
	must_fail(fs_keep_dirs(VAR, "a/folder", 0700, err), ERR_NONE, eio);
	must(fs_make_dirs(VAR, "other", 0700, err));
	broken = SYNCS_WORK;
	/* again, with a disk that works */
	must(fs_swap_link(VAR, "a/link", "to", err));
	must(fs_read_link(VAR, "a/link", target, sizeof(target), err));
	assert_string_equal(target, "to");
}

static void reads_only_files(void **state)
{
	struct place *p = *state;
	struct buf out;

	put_file(p, "file", "0123456789");
	must(fs_make_dirs(VAR, "folder", 0700, err));
	assert_int_equal(symlinkat("file", VAR, "link"), 0);
	assert_int_equal(mkfifoat(VAR, "pipe", 0600), 0);
	buf_init(&out, 10);
	must(fs_read(VAR, "file", &out, err));
	assert_string_equal(buf_text(&out), "0123456789");
	must_fail(fs_read(VAR, "file", &out, err), ERR_REFUSED, "larger than 10 bytes");
	assert_int_equal(out.len, 10);
	buf_clear(&out);
	buf_init(&out, 100);
	must_fail(fs_read(VAR, "none", &out, err), ERR_GONE, "none");
	must_fail(fs_read(VAR, "folder", &out, err), ERR_REFUSED, "not a regular file");
	must_fail(fs_read(VAR, "pipe", &out, err), ERR_REFUSED, "not a regular file");
	must_fail(fs_read(VAR, "link", &out, err), ERR_NONE, "link");
	must(fs_read_follow(VAR, "link", &out, err));
	assert_string_equal(buf_text(&out), "0123456789");
	must_fail(fs_read_follow(VAR, "pipe", &out, err), ERR_REFUSED, "not a regular file");
	buf_clear(&out);
}

static void links_swap(void **state)
{
	struct place *p = *state;
	char target[16];

	must_fail(fs_read_link(VAR, "current", target, sizeof(target), err), ERR_GONE, "current");
	must(fs_swap_link(VAR, "current", "a", err));
	must(fs_swap_link(VAR, "current", "b", err));
	must(fs_read_link(VAR, "current", target, sizeof(target), err));
	assert_string_equal(target, "b");
	assert_int_equal(entries(p, "."), 1);
	must_fail(fs_read_link(VAR, "current", target, 1, err), ERR_REFUSED, "too long");
	put_file(p, "file", "x");
	must_fail(fs_read_link(VAR, "file", target, sizeof(target), err), ERR_NONE, "file");
	must(fs_swap_link(VAR, "file", "c", err)); /* takes the place of a file */
	must(fs_make_dirs(VAR, "folder/x", 0700, err));
	must_fail(fs_swap_link(VAR, "folder", "d", err), ERR_NONE, "folder");
	assert_int_equal(entries(p, "."), 3);
}

static void removing_follows_no_link(void **state)
{
	struct place *p = *state;
	char *text;

	put_file(p, "kept/file", "kept");
	put_file(p, "tree/a/b/file", "x");
	assert_int_equal(symlinkat("../kept", VAR, "tree/link"), 0);
	assert_int_equal(symlinkat("kept", VAR, "link"), 0);
	must(fs_remove_tree(VAR, "tree", err));
	assert_int_equal(faccessat(VAR, "tree", F_OK, 0), -1);
	must(fs_remove_tree(VAR, "link", err));
	must(fs_remove_tree(VAR, "none", err));
	text = get_file(p, "kept/file");
	assert_string_equal(text, "kept");
	free(text);
}

/* --- sets of files --- */

static void paths(void **state)
{
	static const char *const bad[] = {"",     "/",     "/a",    "a/",   "a//b",     ".",
					  "..",   "a/..",  "a/./b", ".git", "a/.GIT/b", "a\nb",
					  "a\\b", "a\x7f", "\x01",  "a/.."};
	char name[LIMIT_PATH + 2];
	struct fileset set = {.count = 0};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(fileset_path_valid(bad[i]));
		must_fail(fileset_add(&set, bad[i], FILE_PLAIN, "", 0, err), ERR_REFUSED,
			  "no path");
	}
	memset(name, 'a', sizeof(name));
	name[LIMIT_PATH] = '\0';
	assert_true(fileset_path_valid(name));
	name[LIMIT_PATH] = 'a';
	name[LIMIT_PATH + 1] = '\0';
	assert_false(fileset_path_valid(name));
	assert_true(fileset_path_valid("a/.gitignore") && fileset_path_valid("..a/b..") &&
		    fileset_path_valid("\xff"));
	assert_int_equal(set.count, 0);
}

static void sets_are_ordered(void **state)
{
	static const char *const names[] = {"m", "a/b", "z", "a", "a.b", "m/x"};
	struct fileset set = {.count = 0}, other = {.count = 0};

	(void)state;
	for (size_t i = 0; i < 6; i++)
		must(fileset_add(&set, names[i], FILE_PLAIN, names[i], strlen(names[i]), err));
	for (size_t i = 6; i-- > 0;)
		must(fileset_add(&other, names[i], FILE_PLAIN, names[i], strlen(names[i]), err));
	assert_true(fileset_equal(&set, &other));
	for (size_t i = 1; i < set.count; i++)
		assert_true(strcmp(set.files[i - 1].path, set.files[i].path) < 0);
	assert_string_equal((char *)fileset_find(&set, "a.b")->data, "a.b");
	assert_null(fileset_find(&set, "b"));
	must_fail(fileset_add(&set, "m", FILE_PLAIN, "", 0, err), ERR_REFUSED, "twice");
	must_fail(fileset_add(&set, "n", 0120000, "", 0, err), ERR_REFUSED, "mode");
	fileset_clear(&other);
	assert_false(fileset_equal(&set, &other));
	fileset_clear(&set);
	fileset_clear(&set);
}

static void folders_round_trip(void **state)
{
	struct place *p = *state;
	struct fileset set = {.count = 0}, back = {.count = 0};
	int fd;

	must(fileset_add(&set, "config.xml", FILE_PLAIN, "<a/>\0x", 6, err));
	must(fileset_add(&set, "files/deep/er/run", FILE_EXEC, "", 0, err));
	must(fileset_add(&set, "files/x", FILE_PLAIN, "x", 1, err));
	must(fs_make_dirs(VAR, "out", 0700, err));
	must(fs_open_dir(VAR, "out", &fd, err));
	must(fileset_write_dir(&set, fd, err));
	must(fileset_read_dir(&back, fd, err));
	assert_true(fileset_equal(&set, &back));
	fileset_clear(&back);
	must_fail(fileset_write_dir(&set, fd, err), ERR_NONE,
		  "exists"); /* not over what is there */
	/* what is neither file nor folder is refused, wherever it is */
	assert_int_equal(symlinkat("x", fd, "files/link"), 0);
	must_fail(fileset_read_dir(&back, fd, err), ERR_REFUSED,
		  "files/link: neither a file nor a folder");
	fileset_clear(&back);
	assert_int_equal(unlinkat(fd, "files/link", 0), 0);
	assert_int_equal(mkfifoat(fd, "pipe", 0600), 0);
	must_fail(fileset_read_dir(&back, fd, err), ERR_REFUSED, "pipe: neither");
	fileset_clear(&back);
	(void)close(fd);
	fileset_clear(&set);
}

/* --- homes --- */

static void one_at_a_time(void **state)
{
	struct place *p = *state;
	struct home second;
	char *who = text_format("process %ld:", (long)getpid());

	must(home_init(&second, p->folder, err));
	must(home_open(&second, false, err));
	must(home_lock(&p->home, err));
	must_fail(home_lock(&second, err), ERR_REFUSED, who);
	home_unlock(&p->home);
	must(home_lock(&second, err));
	home_clear(&second);
	must(home_lock(&p->home, err));
	free(who);
}

static void a_killed_holder_lets_go(void **state)
{
	struct place *p = *state;
	int ends[2], status;
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct err err;

		if (home_lock(&p->home, &err) == 0 && write(ends[1], "x", 1) == 1)
			(void)pause();
		_exit(1);
	}
	assert_int_equal(read(ends[0], &byte, 1), 1);
	must_fail(home_lock(&p->home, err), ERR_REFUSED, "in use by process");
	assert_int_equal(kill(pid, SIGKILL), 0);
	must(home_lock(&p->home, err)); /* waits for the kernel, not for us to collect the child */
	assert_int_equal(waitpid(pid, &status, 0), pid);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

/* After a reboot, for a command that is run before the daemon. */
static void a_home_without_run(void **state)
{
	struct place *p = *state;
	char *run = text_format("%s/run", p->folder);
	struct home home;

	assert_int_equal(rmdir(run), 0);
	must(home_init(&home, p->folder, err));
	must(home_open(&home, false, err));
	assert_true(home.etc_fd >= 0 && home.var_fd >= 0);
	assert_int_equal(home.run_fd, -1);
	home_clear(&home);
	assert_int_equal(access(run, F_OK), -1);
	/* what is there and no folder is told */
	assert_int_equal(symlink("nowhere", run), 0);
	must(home_init(&home, p->folder, err));
	must_fail(home_open(&home, true, err), ERR_NONE, "home: ");
	home_clear(&home);
	assert_int_equal(unlink(run), 0);
	must(home_init(&home, p->folder, err));
	must(home_open(&home, true, err));
	home_clear(&home);
	assert_int_equal(access(run, F_OK), 0);
	free(run);
}

static void homes_that_are_none(void **state)
{
	struct place *p = *state;
	struct home home;
	char *path = text_format("%s/var/file", p->folder);

	put_file(p, "file", "x");
	must(home_init(&home, path, err));
	must_fail(home_open(&home, true, err), ERR_NONE, "home: ");
	home_clear(&home);
	free(path);
	path = text_format("%s/none", p->folder);
	must(home_init(&home, path, err));
	must_fail(home_open(&home, false, err), ERR_GONE, "home: ");
	home_clear(&home);
	assert_int_equal(access(path, F_OK), -1);
	free(path);
	if (geteuid() == 0) {
		assert_int_equal(fchown(p->home.var_fd, 65534, 65534), 0);
		must(home_init(&home, p->folder, err));
		must_fail(home_open(&home, false, err), ERR_REFUSED,
			  "belongs to user 65534, not 0");
		home_clear(&home);
		assert_int_equal(fchown(p->home.var_fd, 0, 0), 0);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		place_test(writes_replace),
		place_test(a_full_disk_is_told),
		place_test(what_cannot_be_synced_is_told),
		place_test(reads_only_files),
		place_test(links_swap),
		place_test(removing_follows_no_link),
		cmocka_unit_test(paths),
		cmocka_unit_test(sets_are_ordered),
		place_test(folders_round_trip),
		place_test(one_at_a_time),
		place_test(a_killed_holder_lets_go),
		place_test(a_home_without_run),
		place_test(homes_that_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
