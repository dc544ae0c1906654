/*
 * For the tests of core/ and of the node: a home of its own below a temporary folder, and files in
 * it.
 */
#ifndef MUSTER_TESTS_NODE_HOME_H
#define MUSTER_TESTS_NODE_HOME_H

#include "core/fs.h"
#include "core/home.h"
#include "core/log.h"
#include "core/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

struct place {
	char *folder; /* the temporary one, the home */
	struct home home;
};

/* Calls that must work say why they did not. */
#define must(call)                                                                                 \
	do {                                                                                       \
		struct err must_err = {.code = ERR_NONE};                                          \
		struct err *err = &must_err;                                                       \
		if ((call) != 0)                                                                   \
			fail_msg("%s: %s", #call, must_err.text);                                  \
	} while (0)

/* Calls that must fail with a code and a sentence that holds WORDS. */
#define must_fail(call, wanted, words)                                                             \
	do {                                                                                       \
		struct err must_err = {.code = ERR_NONE};                                          \
		struct err *err = &must_err;                                                       \
		if ((call) == 0)                                                                   \
			fail_msg("%s: should have failed with \"%s\"", #call, words);              \
		if (!strstr(must_err.text, words))                                                 \
			fail_msg("%s: \"%s\" instead of \"%s\"", #call, must_err.text, words);     \
		if ((wanted) != ERR_NONE && must_err.code != (wanted))                             \
			fail_msg("%s: code \"%s\": %s", #call, err_code_text(must_err.code),       \
				 must_err.text);                                                   \
	} while (0)

static inline int place_setup(void **state)
{
	struct place *p = mem_new(1, sizeof(*p));
	const char *base = getenv("TMPDIR");

	log_setup(LOG_LEVEL_ERROR);
	p->folder = text_format("%s/muster-test.XXXXXX", base && *base ? base : "/tmp");
	assert_non_null(mkdtemp(p->folder));
	must(home_init(&p->home, p->folder, err));
	must(home_open(&p->home, true, err));
	*state = p;
	return 0;
}

static inline int place_teardown(void **state)
{
	struct place *p = *state;
	char plain[256];

	/* what a node keeps on a memory file system outlives its home */
	if (fs_read_link(p->home.run_fd, "plain", plain, sizeof(plain), NULL) == 0 &&
	    strncmp(plain, "/dev/shm/muster-", strlen("/dev/shm/muster-")) == 0)
		must(fs_remove_tree(AT_FDCWD, plain, err));
	home_clear(&p->home);
	must(fs_remove_tree(AT_FDCWD, p->folder, err));
	free(p->folder);
	free(p);
	return 0;
}

#define place_test(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)

/* A file below var/, with the folders it needs. */
static inline void put_file(const struct place *p, const char *path, const char *text)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash ? text_copy_n(path, (size_t)(slash - path)) : NULL;

	if (folder)
		must(fs_make_dirs(p->home.var_fd, folder, 0700, err));
	must(fs_write_atomic(p->home.var_fd, path, text, strlen(text), 0600, err));
	free(folder);
}

static inline char *get_file(const struct place *p, const char *path)
{
	struct buf text;
	char *out;

	buf_init(&text, 1 << 20);
	must(fs_read(p->home.var_fd, path, &text, err));
	out = text_copy(buf_text(&text));
	buf_clear(&text);
	return out;
}

#endif
