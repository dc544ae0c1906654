/*
 * For the tests of the admin: a home of its own below a temporary folder, and stock git to work in
 * it with.
 */
#ifndef MUSTER_TESTS_ADMIN_HOME_H
#define MUSTER_TESTS_ADMIN_HOME_H

#include "admin/cycle.h"
#include "admin/hooks.h"
#include "admin/setup.h"
#include "admin/state.h"
#include "config/document.h"
#include "core/fs.h"
#include "core/log.h"
#include "core/text.h"
#include "crypto/key.h"
#include "repo/git.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct fixture {
	char *folder; /* the temporary one, the home */
	struct home home;
	struct identity *identity;
};

enum { ARGS_MAX = 24, OUTPUT_MAX = 1 << 16 };

/*
 * Runs ARGV in FOLDER with an environment of its own; what it says goes to OUT (may be NULL). The
 * exit code.
 */
static inline int run_in(const char *folder, char *out, const char *const argv[])
{
	static const char *const env[] = {"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
					  "HOME=/nonexistent",
					  "LC_ALL=C",
					  "TZ=UTC",
					  "GIT_CONFIG_NOSYSTEM=1",
					  "GIT_CONFIG_GLOBAL=/dev/null",
					  "GIT_AUTHOR_NAME=Ada Writer",
					  "GIT_AUTHOR_EMAIL=ada@example.com",
					  "GIT_COMMITTER_NAME=Ada Writer",
					  "GIT_COMMITTER_EMAIL=ada@example.com",
					  "GIT_AUTHOR_DATE=1700000000 +0100",
					  "GIT_COMMITTER_DATE=1700000100 +0100",
					  NULL};
	char trash[OUTPUT_MAX];
	size_t used = 0;
	int ends[2], status = 0;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (chdir(folder) == 0 && dup2(ends[1], 1) == 1 && dup2(ends[1], 2) == 2)
			(void)execvpe(argv[0], (char *const *)(uintptr_t)argv,
				      (char *const *)(uintptr_t)env);
		_exit(127);
	}
	(void)close(ends[1]);
	if (!out)
		out = trash;
	while ((n = read(ends[0], out + used, OUTPUT_MAX - 1 - used)) > 0)
		used += (size_t)n;
	out[used] = '\0';
	(void)close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/*
 * A command of up to ARGS_MAX words divided by blanks (a word of its own may be given as %s), in
 * FOLDER.
 */
static inline int run(const char *folder, char *out, const char *command, ...)
{
	const char *argv[ARGS_MAX + 1] = {NULL};
	char *copy = text_copy(command), *at = copy, *word;
	size_t count = 0;
	va_list ap;
	int code;

	va_start(ap, command);
	while ((word = strsep(&at, " "))) {
		assert_true(count < ARGS_MAX);
		argv[count++] = strcmp(word, "%s") == 0 ? va_arg(ap, const char *) : word;
	}
	va_end(ap);
	code = run_in(folder, out, argv);
	free(copy);
	return code;
}

#define must_run(...) assert_int_equal(run(__VA_ARGS__), 0)

static inline void write_text(const char *folder, const char *path, const char *text)
{
	struct err err = {.code = ERR_NONE};
	char *full = text_format("%s/%s", folder, path);
	char *slash = strrchr(full, '/');

	*slash = '\0';
	assert_int_equal(fs_make_dirs(AT_FDCWD, full, 0700, &err), 0);
	*slash = '/';
	if (fs_write_atomic(AT_FDCWD, full, text, strlen(text), 0600, &err) != 0)
		fail_msg("%s", err.text);
	free(full);
}

static inline char *read_text(const char *folder, const char *path)
{
	struct err err = {.code = ERR_NONE};
	char *full = text_format("%s/%s", folder, path), *text;
	struct buf buf;

	buf_init(&buf, 1 << 24);
	if (fs_read(AT_FDCWD, full, &buf, &err) != 0)
		fail_msg("%s", err.text);
	text = text_copy(buf_text(&buf));
	buf_clear(&buf);
	free(full);
	return text;
}

/* One change in a file of a folder. */
static inline void edit_text(const char *folder, const char *path, const char *old, const char *new)
{
	char *text = read_text(folder, path), *at = strstr(text, old), *changed;

	assert_non_null(at);
	changed = text_format("%.*s%s%s", (int)(at - text), text, new, at + strlen(old));
	write_text(folder, path, changed);
	free(changed);
	free(text);
}

/* git's filter and hooks call the program that is built with this test. */
static inline void use_built_program(void)
{
	static char path[PATH_MAX + 8];
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX);

	assert_true(n > 0);
	path[n] = '\0';
	for (int i = 0; i < 3; i++) /* BUILD/tests/unit/test_NAME */
		*strrchr(path, '/') = '\0';
	memcpy(path + strlen(path), "/muster", sizeof("/muster"));
	assert_int_equal(access(path, X_OK), 0);
	hooks_use_program(path);
}

static inline void libraries_setup(void)
{
	use_built_program();
	crypto_setup();
	config_setup();
	git_setup();
	log_setup(LOG_LEVEL_ERROR);
}

/* An empty home, open and locked. */
static inline struct fixture *fixture_new(void)
{
	struct fixture *f = mem_new(1, sizeof(*f));
	const char *base = getenv("TMPDIR");
	struct err err = {.code = ERR_NONE};

	f->folder = text_format("%s/muster-test.XXXXXX", base && *base ? base : "/tmp");
	assert_non_null(mkdtemp(f->folder));
	if (home_init(&f->home, f->folder, &err) != 0 || home_open(&f->home, true, &err) != 0 ||
	    home_lock(&f->home, &err) != 0)
		fail_msg("%s", err.text);
	return f;
}

static inline void fixture_free(struct fixture *f)
{
	struct err err;

	identity_free(f->identity);
	home_clear(&f->home);
	(void)fs_remove_tree(AT_FDCWD, f->folder, &err);
	free(f->folder);
	free(f);
}

static inline char *source_folder(const struct fixture *f)
{
	return home_var(&f->home, ADMIN_SOURCE);
}

/* Copies a folder of XML files into etc/init. */
static inline void init_files(const struct fixture *f, const char *folder)
{
	char *to = home_etc(&f->home, "init");
	struct err err = {.code = ERR_NONE};

	assert_int_equal(fs_make_dirs(AT_FDCWD, to, 0700, &err), 0);
	must_run("/", NULL, "cp -r %s %s", folder, to);
	free(to);
}

/* muster init, then as a daemon opens it. */
static inline void fixture_init(struct fixture *f, const char *init_folder)
{
	struct setup_options options = {.host = "admin.example.com"};
	struct findings findings = {.count = 0};
	struct err err = {.code = ERR_NONE};

	if (init_folder) {
		char *with_dot = text_format("%s/.", init_folder);

		init_files(f, with_dot);
		free(with_dot);
	}
	if (setup_init(&f->home, &options, &findings, NULL, &err) != 0 ||
	    setup_open(&f->home, &f->identity, &err) != 0)
		fail_msg("%s", err.text);
	findings_clear(&findings);
}

/*
 * git add and git commit of everything, with stock git. What the filter does not take goes past it,
 * and what the hooks say does not count: for commits that should not be there.
 */
static inline void git_commit(const struct fixture *f, const char *message)
{
	char *source = source_folder(f);

	bool past = run(source, NULL, "git add -A") != 0;

	if (past)
		must_run(source, NULL, "git -c filter.muster.clean=cat add -A");
	must_run(source, NULL,
		 past ? "git -c filter.muster.clean=cat commit -q -n --allow-empty "
			"--cleanup=verbatim -m %s"
		      : "git commit -q -n --allow-empty --cleanup=verbatim -m %s",
		 message);
	free(source);
}

/* How many of its roles a publication changed. */
static inline size_t publication_changed(const struct publication *publication)
{
	size_t changed = 0;

	for (size_t i = 0; i < publication->role_count; i++)
		changed += publication->roles[i].changed;
	return changed;
}

#endif
