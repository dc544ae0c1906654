/* The authoring repository's history and persons: see source.h. */
#include "repo/source.h"

#include "core/text.h"
#include "repo/object.h"
#include "repo/release.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- history --- */

static int range_walk(struct repo *repo, const struct oid *old, const struct oid *new,
		      git_revwalk **out, struct err *err)
{
	git_oid from = {{0}}, to = oid_to_git(new);
	git_revwalk *walk = NULL;
	int rc = git_revwalk_new(&walk, repo_git2(repo));

	if (old)
		from = oid_to_git(old);
	if (rc == 0)
		rc = git_revwalk_sorting(walk, GIT_SORT_TOPOLOGICAL | GIT_SORT_REVERSE);
	if (rc == 0)
		rc = git_revwalk_push(walk, &to);
	if (rc == 0 && old)
		rc = git_revwalk_hide(walk, &from);
	if (rc != 0) {
		git_revwalk_free(walk);
		return git_err(err, rc, "commits up to %.12s", git_oid_tostr_s(&to));
	}
	*out = walk;
	return 0;
}

int source_range_each(struct repo *repo, const struct oid *old, const struct oid *new,
		      int (*fn)(void *arg, const struct oid *commit), void *arg, struct err *err)
{
	git_revwalk *walk = NULL;
	git_oid id;
	int rc, got = GIT_ITEROVER;

	if (range_walk(repo, old, new, &walk, err) != 0)
		return -1;
	rc = 0;
	while (rc == 0 && (got = git_revwalk_next(&id, walk)) == 0) {
		struct oid oid = oid_from_git(&id);

		rc = fn(arg, &oid);
	}
	git_revwalk_free(walk);
	if (rc == 0 && got != GIT_ITEROVER)
		return git_err(err, got, "commits");
	return rc;
}

/* What is counted, and the last one met. */
struct counting {
	size_t count;
	struct oid last;
};

static int count_commit(void *arg, const struct oid *commit)
{
	struct counting *counting = arg;

	counting->count++;
	counting->last = *commit;
	return 0;
}

int source_range(struct repo *repo, const struct oid *old, const struct oid *new,
		 struct source_range *out, struct err *err)
{
	struct counting counting = {0};
	const git_signature *author;
	git_commit *commit;
	git_oid id;
	int rc;

	if (source_range_each(repo, old, new, count_commit, &counting, err) != 0)
		return -1;
	*out = (struct source_range){.count = counting.count};
	if (counting.count != 1)
		return 0;
	id = oid_to_git(&counting.last);
	rc = git_commit_lookup(&commit, repo_git2(repo), &id);
	if (rc != 0)
		return git_err(err, rc, "commit %.12s", git_oid_tostr_s(&id));
	author = git_commit_author(commit);
	out->author =
		release_ident(author->name, author->email, author->when.time, author->when.offset);
	out->message = text_copy(git_commit_message(commit));
	git_commit_free(commit);
	return 0;
}

void source_range_clear(struct source_range *range)
{
	free(range->author);
	free(range->message);
	*range = (struct source_range){0};
}

int source_same(struct repo *repo, const struct oid *a, const struct oid *b, bool *same,
		struct err *err)
{
	struct links one, other;

	if (object_links(repo, a, GIT_OBJECT_COMMIT, &one, err) != 0 ||
	    object_links(repo, b, GIT_OBJECT_COMMIT, &other, err) != 0)
		return -1;
	*same = oid_equal(&one.tree, &other.tree);
	return 0;
}

/* --- persons --- */

/* The value of KEY in CONFIG, a new string, or NULL. */
static char *config_value(git_config *config, const char *key)
{
	git_buf value = GIT_BUF_INIT;
	char *out = NULL;

	if (git_config_get_string_buf(&value, config, key) == 0 && value.size > 0)
		out = text_copy(value.ptr);
	git_buf_dispose(&value);
	return out;
}

/* Fills what is still missing from CONFIG. */
static void person_from(git_config *config, struct source_person *person)
{
	if (!person->name)
		person->name = config_value(config, "user.name");
	if (!person->mail)
		person->mail = config_value(config, "user.email");
}

/* The same from the file FOLDER/NAME; a file that cannot be read is none. */
static void person_from_file(const char *folder, const char *name, struct source_person *person)
{
	char *path;
	git_config *config;

	if (!folder || folder[0] != '/')
		return;
	path = text_format("%s/%s", folder, name);
	if (access(path, R_OK) == 0 && git_config_open_ondisk(&config, path) == 0) {
		person_from(config, person);
		git_config_free(config);
	}
	free(path);
}

static void person_from_login(struct source_person *person)
{
	struct passwd *entry = getpwuid(geteuid());
	char *login = entry ? text_copy(entry->pw_name) : text_format("uid%u", (unsigned)geteuid());
	char host[256] = "";

	/* longer than any host name; cut is fine */
	if (gethostname(host, sizeof(host) - 1) != 0 || !*host)
		memcpy(host, "localhost", sizeof("localhost"));
	if (!person->name)
		person->name = text_copy(login);
	if (!person->mail)
		person->mail = text_format("%s@%s", login, host);
	free(login);
}

int source_person(struct repo *repo, struct source_person *out, struct err *err)
{
	const char *home = getenv("HOME");
	char *xdg = home ? text_format("%s/.config", home) : NULL;
	const char *folder = getenv("XDG_CONFIG_HOME");
	struct source_person person = {0};
	git_config *config;
	int rc = git_repository_config_snapshot(&config, repo_git2(repo));

	if (rc != 0) {
		free(xdg);
		return git_err(err, rc, "configuration of %s", repo_path(repo));
	}
	person_from(config, &person);
	git_config_free(config);
	person_from_file(home, ".gitconfig", &person); /* git lets it win over the other */
	person_from_file(folder && *folder ? folder : xdg, "git/config", &person);
	person_from_login(&person);
	free(xdg);
	*out = person;
	return 0;
}

void source_person_clear(struct source_person *person)
{
	free(person->name);
	free(person->mail);
	*person = (struct source_person){0};
}
