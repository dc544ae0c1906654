/* For the tests of publications: an admin home with two roles, and what they want to know of it. */
#ifndef MUSTER_TESTS_PUBLISH_IN_H
#define MUSTER_TESTS_PUBLISH_IN_H

#include "admin_home.h"

#include "repo/release.h"

#define DEMO TEST_SRCDIR "/tests/fixtures/demo"

static inline struct fixture *demo(void)
{
	struct fixture *f = fixture_new();

	fixture_init(f, DEMO);
	return f;
}

static inline int publish_with(struct fixture *f, const struct oid *commit, struct publication *out)
{
	struct admin_input in = {.home = &f->home, .identity = f->identity, .commit = commit};
	struct err err = {.code = ERR_NONE};
	int rc = cycle_run(&in, out, &err);

	if (rc != 0)
		print_message("%s\n", err.text);
	return rc;
}

/* Publishes main, which must be accepted; how many roles changed. */
static inline size_t publish_main(struct fixture *f)
{
	struct publication publication;
	size_t changed;

	assert_int_equal(publish_with(f, NULL, &publication), 0);
	for (size_t i = 0; i < publication.findings.count; i++)
		print_message("%s\n", publication.findings.lines[i]);
	assert_false(publication.refused);
	changed = publication_changed(&publication);
	publication_clear(&publication);
	return changed;
}

/* A role's newest release, as parsed by the node's code; accepted by stock git too. */
static inline struct release tip(const struct fixture *f, const char *role, struct oid *oid)
{
	char *path = home_var(&f->home, ADMIN_RELEASES), *ref = text_format("refs/heads/%s", role);
	struct release release = {.sequence = 0};
	struct err err = {.code = ERR_NONE};
	struct repo *repo = NULL;
	struct oid id;
	struct buf raw;

	buf_init(&raw, LIMIT_COMMIT_SIZE);
	if (repo_open(path, &repo, &err) != 0 || repo_ref_get(repo, ref, &id, &err) != 0 ||
	    repo_commit_raw(repo, &id, &raw, &err) != 0 ||
	    release_parse(raw.data, raw.len, &release, &err) != 0)
		fail_msg("%s", err.text);
	if (oid)
		*oid = id;
	must_run(path, NULL, "git verify-commit %s", ref);
	buf_clear(&raw);
	repo_free(repo);
	free(ref);
	free(path);
	return release;
}

static inline uint64_t sequence_of(const struct fixture *f, const char *role)
{
	struct release release = tip(f, role, NULL);
	uint64_t sequence = release.sequence;

	release_clear(&release);
	return sequence;
}

/* A file of a role's newest release, a new string; NULL when it is not in it. */
static inline char *released(const struct fixture *f, const char *role, const char *path)
{
	static char out[OUTPUT_MAX];
	char *folder = home_var(&f->home, ADMIN_RELEASES), *what = text_format("%s:%s", role, path);
	int code = run(folder, out, "git cat-file blob %s", what);

	free(what);
	free(folder);
	return code == 0 ? text_copy(out) : NULL;
}

static inline bool released_has(const struct fixture *f, const char *role, const char *path,
				const char *text)
{
	char *content = released(f, role, path);
	bool has = content && strstr(content, text);

	free(content);
	return has;
}

/* Everything a refused commit must not change. */
static inline char *all_refs(const struct fixture *f)
{
	static char out[OUTPUT_MAX];
	char *folder = home_var(&f->home, ADMIN_RELEASES);

	must_run(folder, out, "git for-each-ref");
	free(folder);
	return text_copy(out);
}

/*
 * Publishes main, which must be refused at STEP for a reason that holds TEXT, and change nothing
 * but the state.
 */
static inline void must_refuse(struct fixture *f, const char *step, const char *text)
{
	char *before = all_refs(f), *after;
	struct admin_state was, is;
	struct publication publication;
	bool found = false, had = state_read(f->home.var_fd, &was, NULL) == 0;

	assert_int_equal(publish_with(f, NULL, &publication), 0);
	assert_true(publication.refused);
	assert_string_equal(publication.step, step);
	assert_int_equal(publication_changed(&publication), 0);
	for (size_t i = 0; i < publication.findings.count; i++)
		found = found || strstr(publication.findings.lines[i], text);
	if (!found)
		for (size_t i = 0; i < publication.findings.count; i++)
			print_message("%s\n", publication.findings.lines[i]);
	assert_true(found);
	after = all_refs(f);
	assert_string_equal(before, after);
	assert_int_equal(state_read(f->home.var_fd, &is, NULL), 0);
	assert_true(is.has_refused);
	assert_true(oid_equal(&is.refused_source, &publication.source));
	assert_string_equal(is.step, step);
	assert_int_equal(is.reason_count, publication.findings.count);
	if (had) {
		assert_int_equal(is.has_published, was.has_published);
		assert_true(oid_equal(&is.source, &was.source));
		assert_string_equal(is.at, was.at);
		assert_int_equal(is.role_count, was.role_count);
	}
	state_clear(&is);
	state_clear(&was);
	publication_clear(&publication);
	free(before);
	free(after);
}

static inline void edit(const struct fixture *f, const char *file, const char *old, const char *new)
{
	char *source = source_folder(f);

	edit_text(source, file, old, new);
	free(source);
}

static inline void put(const struct fixture *f, const char *file, const char *text)
{
	char *source = source_folder(f);

	write_text(source, file, text);
	free(source);
}

#endif
