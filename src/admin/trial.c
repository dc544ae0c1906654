/* A trial: see trial.h. */
#include "admin/trial.h"

#include "admin/steps.h"
#include "config/merge.h"
#include "repo/source.h"
#include "repo/tree.h"

#include <stdlib.h>
#include <string.h>

static int merge_step(struct cycle *cycle, struct err *err)
{
	return merge_fileset(&cycle->files, &cycle->doc, &cycle->model, err);
}

/* The steps of a publication that only look. */
static int (*const steps[])(struct cycle *cycle, struct err *err) = {merge_step, check_commit, cut,
								     seal};

static void take_roles(struct cycle *cycle, struct trial *out)
{
	out->roles = mem_new(cycle->role_count, sizeof(*out->roles));
	for (size_t i = 0; i < cycle->role_count; i++) {
		struct trial_role *role = out->roles + out->role_count++;

		memcpy(role->name, cycle->roles[i].name, sizeof(role->name));
		role->tree = cycle->roles[i].tree;
		cycle->roles[i].tree = (struct fileset){0};
		role->params = cycle->roles[i].params;
		cycle->roles[i].params = (struct params){.items = NULL};
	}
}

/* What was published before, to compare with. */
static int open_repositories(struct cycle *cycle, struct err *err)
{
	char *source = home_var(cycle->in->home, ADMIN_SOURCE);
	char *releases = home_var(cycle->in->home, ADMIN_RELEASES);
	int rc = repo_open(source, &cycle->source, err);

	if (rc == 0)
		rc = repo_open(releases, &cycle->releases, err);
	if (rc == 0)
		rc = shrink_look(cycle, err);
	free(source);
	free(releases);
	return rc;
}

int trial_run(const struct home *home, const struct identity *identity, struct fileset *files,
	      unsigned flags, struct trial *out, struct err *err)
{
	const struct admin_input in = {.home = home, .identity = identity};
	struct publication publication = {.commits = 0};
	struct cycle cycle = {.in = &in, .out = &publication, .files = *files};
	struct err why = {.code = ERR_NONE};
	int rc = keyring_load_readable(home, &cycle.keyring, &why);

	*files = (struct fileset){0};
	*out = (struct trial){.role_count = 0};
	cycle.without_keys = rc == 0 && keyring_count(cycle.keyring) == 0;
	if (rc == 0 && !(flags & TRIAL_ALLOW_SHRINK))
		rc = open_repositories(&cycle, &why);
	for (size_t i = 0; rc == 0 && i < sizeof(steps) / sizeof(steps[0]); i++)
		rc = steps[i](&cycle, &why);
	if (rc == 0)
		take_roles(&cycle, out);
	else if (publication.findings.count == 0 &&
		 (why.code == ERR_REFUSED || why.code == ERR_CORRUPT))
		findings_add(&publication.findings, "%s", why.text);
	if (rc != 0 && publication.findings.count > 0)
		rc = 0;
	else if (rc != 0)
		(void)err_set(err, why.code, "%s", why.text);
	out->findings = publication.findings;
	publication.findings = (struct findings){.count = 0};
	cycle_clear(&cycle);
	publication_clear(&publication);
	return rc;
}

int trial_files(const struct home *home, const char *rev, struct fileset *out, struct err *err)
{
	char *path = home_var(home, ADMIN_SOURCE);
	struct repo *repo = NULL;
	struct oid commit;
	int rc = repo_open(path, &repo, err);

	if (rc == 0 && rev)
		rc = repo_resolve(repo, rev, &commit, err);
	if (rc == 0)
		rc = rev ? tree_read_commit(repo, &commit, out, err) : source_read(repo, out, err);
	repo_free(repo);
	free(path);
	return rc;
}

void trial_clear(struct trial *trial)
{
	findings_clear(&trial->findings);
	for (size_t i = 0; i < trial->role_count; i++) {
		fileset_clear(&trial->roles[i].tree);
		params_clear(&trial->roles[i].params);
	}
	free(trial->roles);
	*trial = (struct trial){.role_count = 0};
}
