/*
 * For the tests of repo/: a temporary folder with repositories, stock git to compare with, releases
 * that are signed as Muster does, and raw commits made by hand.
 */
#ifndef MUSTER_TESTS_REPO_FIXTURE_H
#define MUSTER_TESTS_REPO_FIXTURE_H

#include "core/fileset.h"
#include "core/fs.h"
#include "core/text.h"
#include "crypto/digest.h"
#include "crypto/key.h"
#include "crypto/sshsig.h"
#include "repo/git.h"
#include "repo/object.h"
#include "repo/release.h"
#include "repo/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

enum { KEYS = 4, ADMIN = 0, NEXT = 1, STRANGER = 2, RETIRED = 3 };

struct fixture {
	char *folder;      /* the temporary one */
	char *path;        /* of the repository in it */
	struct repo *repo; /* bare */
	uint8_t seeds[KEYS][KEY_SIZE];
	uint8_t keys[KEYS][KEY_SIZE];
};

/* Calls that must work say why they did not. */
#define must(call)                                                                                 \
	do {                                                                                       \
		struct err must_err = {.code = ERR_NONE};                                          \
		struct err *err = &must_err;                                                       \
		if ((call) != 0)                                                                   \
			fail_msg("%s: %s", #call, must_err.text);                                  \
	} while (0)

/* Calls that must fail with a code (NONE: any) and a sentence that holds WORDS. */
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

/* Runs COMMAND by the shell in FOLDER with an environment of its own; what it says goes to OUT (may
 * be NULL). */
static inline int run(const char *folder, struct buf *out, const char *command)
{
	static const char *const env[] = {"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
					  "HOME=/nonexistent",
					  "LC_ALL=C",
					  "TZ=UTC",
					  "GIT_CONFIG_NOSYSTEM=1",
					  "GIT_CONFIG_GLOBAL=/dev/null",
					  "GIT_AUTHOR_NAME=Ada Writer",
					  "GIT_AUTHOR_EMAIL=ada@example.com",
					  "GIT_COMMITTER_NAME=Bob Keeper",
					  "GIT_COMMITTER_EMAIL=bob@example.com",
					  "GIT_AUTHOR_DATE=1700000000 +0100",
					  "GIT_COMMITTER_DATE=1700000100 +0100",
					  NULL};
	int ends[2], status = 0;
	char bytes[4096];
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (chdir(folder) == 0 && dup2(ends[1], 1) == 1 && dup2(ends[1], 2) == 2)
			(void)execle("/bin/sh", "sh", "-c", command, (char *)NULL, env);
		_exit(127);
	}
	(void)close(ends[1]);
	while ((n = read(ends[0], bytes, sizeof(bytes))) > 0)
		if (out)
			buf_put(out, bytes, (size_t)n);
	(void)close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/* The same for what must work; the answer without its last newline, to be freed. */
static inline char *answer(const char *folder, const char *command)
{
	struct buf out;
	char *text;
	int code;

	buf_init(&out, 16 << 20);
	code = run(folder, &out, command);
	if (code != 0)
		fail_msg("%s: exit %d: %s", command, code, buf_text(&out));
	text = text_copy_n(buf_text(&out),
			   out.len && out.data[out.len - 1] == '\n' ? out.len - 1 : out.len);
	buf_clear(&out);
	return text;
}

static inline void expect_answer(const char *folder, const char *command, const char *wanted)
{
	char *text = answer(folder, command);

	assert_string_equal(text, wanted);
	free(text);
}

static inline void sh(const char *folder, const char *command)
{
	free(answer(folder, command));
}

/* Skips a test that compares with stock git where there is none. */
static inline void need(const char *program)
{
	char *command = text_format("command -v %s", program);

	if (run("/", NULL, command) != 0) {
		print_message("%s is not installed: skipped\n", program);
		free(command);
		skip();
	}
	free(command);
}

static inline void public_key(const uint8_t seed[static KEY_SIZE], uint8_t out[static KEY_SIZE])
{
	struct buf armour;

	buf_init(&armour, SSHSIG_ARMOUR_MAX);
	sshsig_sign(seed, SSHSIG_NAMESPACE, "x", 1, &armour);
	must(sshsig_verify(buf_text(&armour), armour.len, SSHSIG_NAMESPACE, "x", 1, out, err));
	buf_clear(&armour);
}

static inline int fixture_setup(void **state)
{
	struct fixture *f = mem_new(1, sizeof(*f));
	const char *tmp = getenv("TMPDIR");

	crypto_setup();
	git_setup();
	for (int i = 0; i < KEYS; i++) {
		memset(f->seeds[i], i + 1, KEY_SIZE);
		public_key(f->seeds[i], f->keys[i]);
	}
	f->folder = text_format("%s/muster-repo-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(f->folder));
	f->path = text_format("%s/a.git", f->folder);
	must(repo_init_bare(f->path, &f->repo, err));
	*state = f;
	return 0;
}

static inline int fixture_teardown(void **state)
{
	struct fixture *f = *state;

	repo_free(f->repo);
	must(fs_remove_tree(AT_FDCWD, f->folder, err));
	free(f->folder);
	free(f->path);
	free(f);
	(void)git_libgit2_shutdown(); /* returns how often it is still set up */
	return 0;
}

#define repo_test(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

static inline struct oid put_blob(struct repo *repo, const char *text)
{
	struct oid oid;

	must(object_write(repo, GIT_OBJECT_BLOB, text, strlen(text), &oid, err));
	return oid;
}

/* An entry of a tree made by hand. */
static inline void put_entry(struct buf *tree, const char *mode, const char *name,
			     const struct oid *oid)
{
	buf_printf(tree, "%s %s", mode, name);
	buf_put_u8(tree, 0);
	buf_put(tree, oid->id, OID_SIZE);
}

static inline struct oid put_tree(struct repo *repo, const struct buf *tree)
{
	struct oid oid;

	must(object_write(repo, GIT_OBJECT_TREE, tree->len ? (const void *)tree->data : "",
			  tree->len, &oid, err));
	return oid;
}

static inline void add_file(struct fileset *set, const char *path, const char *text)
{
	must(fileset_add(set, path, FILE_PLAIN, text, strlen(text), err));
}

/* A release of role "web" of the cluster 0101…, sequence N on PARENT (NULL: none), its files
 * holding TEXT. */
static inline struct release new_release(struct repo *repo, uint64_t n, const struct oid *parent,
					 const char *text, const uint8_t key[static KEY_SIZE])
{
	struct release r = {.has_parent = parent != NULL, .sequence = n, .key_count = 1};
	struct fileset set = {0};

	add_file(&set, "config.xml", text);
	add_file(&set, "files/logs/log.conf", "same always\n");
	must(fileset_add(&set, "files/run.sh", FILE_EXEC, "#!/bin/sh\n", 10, err));
	must(tree_write(repo, &set, &r.tree, err));
	digest_fileset(&set, r.digest);
	fileset_clear(&set);
	if (parent)
		r.parent = *parent;
	r.author = release_ident("Ada Writer", "ada@example.com", 1700000000, 60);
	r.committer = release_committer("admin.example.com", 1700000100);
	r.message = text_format("change %" PRIu64 "\n\nwhy it was made\n", n);
	memset(r.cluster_id, 1, CLUSTER_ID_SIZE);
	memcpy(r.role, "web", sizeof("web"));
	memset(r.source.id, 0xab, OID_SIZE);
	memcpy(r.keys[0], key, KEY_SIZE);
	return r;
}

/* Signs, writes and clears R. */
static inline struct oid put_release(struct repo *repo, struct release *r,
				     const uint8_t seed[static KEY_SIZE])
{
	struct buf raw;
	struct oid oid;

	buf_init(&raw, LIMIT_COMMIT_SIZE);
	must(release_sign(r, seed, &raw, err));
	must(repo_commit_write(repo, raw.data, raw.len, &oid, err));
	buf_clear(&raw);
	release_clear(r);
	return oid;
}

/* COUNT releases on top of each other, all of the ADMIN key; their ids go to OUT. */
static inline void put_chain(struct fixture *f, unsigned count, struct oid out[])
{
	for (unsigned i = 0; i < count; i++) {
		char *text = text_format("<config>%u</config>\n", i + 1);
		struct release r =
			new_release(f->repo, i + 1, i ? out + i - 1 : NULL, text, f->keys[ADMIN]);

		out[i] = put_release(f->repo, &r, f->seeds[ADMIN]);
		free(text);
	}
}

/* The signature of PAYLOAD as a header, as git writes it. */
static inline void put_gpgsig(struct buf *out, const char *header, const char *name_space,
			      const uint8_t seed[static KEY_SIZE], const char *payload)
{
	struct buf armour;

	buf_init(&armour, SSHSIG_ARMOUR_MAX);
	sshsig_sign(seed, name_space, payload, strlen(payload), &armour);
	buf_puts(out, header);
	for (const char *p = buf_text(&armour); *p; p = strchr(p, '\n') + 1)
		buf_printf(out, " %.*s\n", (int)(strchr(p, '\n') - p), p);
	buf_clear(&armour);
}

/* Headers and body (from the blank line on) with a good signature between: what a hostile signer
 * may make. */
static inline char *signed_raw(const uint8_t seed[static KEY_SIZE], const char *headers,
			       const char *body)
{
	char *payload = text_format("%s%s", headers, body), *out;
	struct buf raw;

	buf_init(&raw, 1 << 20);
	buf_puts(&raw, headers);
	put_gpgsig(&raw, "gpgsig", SSHSIG_NAMESPACE, seed, payload);
	buf_puts(&raw, body);
	out = text_copy(buf_text(&raw));
	buf_clear(&raw);
	free(payload);
	return out;
}

/* What stands in a raw release before and after its signature; new strings. */
static inline void split_raw(const char *raw, char **headers, char **body)
{
	const char *sig = strstr(raw, "gpgsig "), *end = strstr(raw, "\n\n");

	assert_true(sig && end && sig < end);
	*headers = text_copy_n(raw, (size_t)(sig - raw));
	*body = text_copy(end + 1);
}

/* TEXT with the first WHAT replaced, a new string; TEXT is freed. */
static inline char *swapped(char *text, const char *what, const char *with)
{
	char *at = strstr(text, what), *out;

	if (!at)
		fail_msg("\"%s\" is not there", what);
	out = text_format("%.*s%s%s", (int)(at - text), text, with, at + strlen(what));
	free(text);
	return out;
}

#endif
