/* etc/init after an admin's first start: see reload.h. */
#include "admin/reload.h"

#include "admin/authoring.h"
#include "admin/cycle.h"
#include "admin/initfiles.h"
#include "admin/trial.h"
#include "core/fs.h"
#include "core/limits.h"
#include "core/log.h"
#include "crypto/secret.h"
#include "repo/source.h"
#include "repo/tree.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void reload_compare(const struct home *home)
{
	struct fileset files = {.count = 0};
	char *difference = NULL;
	struct err err = {.code = ERR_NONE};
	int rc = initdir_read(home, &files, &err);

	if (rc == 0)
		rc = initfiles_compare(home, &files, &difference, &err);
	if (rc == 0 && difference)
		log_warning("setup", "",
			    "%s/" INITDIR " differs from what was loaded, and main counts: %s "
					  "(--force-reload commits "
			    "it on top of main)",
			    home->etc, difference);
	if (rc != 0 && err.code == ERR_GONE)
		rc = home->lock_fd >= 0 ? initfiles_remember(home, &files, &err) : 0;
	if (rc != 0)
		log_warning("setup", "",
			    "%s/" INITDIR " cannot be compared with what was loaded: %s", home->etc,
			    err.text);
	free(difference);
	initdir_clear(&files);
}

/* The files of etc/init with this cluster's keystore, not yet sealed. */
static int own_files(const struct identity *identity, const struct fileset *given,
		     struct fileset *out, struct err *err)
{
	struct keystore *keystore = keystore_for(identity, "*");
	struct buf text;
	char *host = NULL;
	int rc;

	buf_init(&text, LIMIT_SMALL_FILE);
	keystore_format(keystore, &text);
	keystore_free(keystore);
	rc = initfiles_first_commit(given, NULL, 0, NULL, buf_text(&text), out, &host, err);
	seal_wipe(&text);
	free(host);
	return rc;
}

static int put_all(struct fileset *to, const struct fileset *from, struct err *err)
{
	for (size_t i = 0; i < from->count; i++) {
		const struct file *file = from->files + i;

		if (fileset_put(to, file->path, file->mode, file->data, file->size, err) != 0)
			return -1;
	}
	return 0;
}

/* FILES as main would have them, sealed. */
static int would_be(const struct home *home, struct repo *repo, const struct identity *identity,
		    const struct fileset *given, struct fileset *files, struct findings *findings,
		    struct err *err)
{
	struct keyring *ring = NULL;
	struct fileset own = {.count = 0};
	struct oid head;
	int rc = keyring_load(home, &ring, err);
	const struct sealer sealer = sealer_of(ring);
	struct authoring authoring = {.home = home, .sealer = &sealer, .repo = repo};

	if (rc == 0)
		rc = repo_ref_get(repo, ADMIN_MAIN, &head, err);
	if (rc == 0)
		rc = tree_read_commit(repo, &head, files, err);
	if (rc == 0)
		rc = own_files(identity, given, &own, err);
	if (rc == 0)
		rc = put_all(files, &own, err);
	if (rc == 0 && authoring_seal(&authoring, files, findings, err) != 0)
		rc = findings->count > 0 ? err_set(err, ERR_REFUSED, "%s", findings->lines[0]) : -1;
	authoring_clear(&authoring);
	initdir_clear(&own);
	keyring_free(ring);
	return rc;
}

/* As a publication would check it. */
static int check_would_be(const struct home *home, const struct identity *identity,
			  const struct fileset *files, struct findings *findings, struct err *err)
{
	struct fileset copy = {.count = 0};
	struct trial trial = {.role_count = 0};
	int rc = put_all(&copy, files, err);

	if (rc == 0)
		rc = trial_run(home, identity, &copy, 0, &trial, err);
	for (size_t i = 0; rc == 0 && i < trial.findings.count; i++)
		findings_add(findings, "%s", trial.findings.lines[i]);
	if (rc == 0 && findings->count > 0)
		rc = err_set(err, ERR_REFUSED, "%s%s", findings->lines[0],
			     findings->count > 1 ? " (and more)" : "");
	trial_clear(&trial);
	fileset_clear(&copy);
	return rc;
}

/*
 * The files go to the work tree and main in one call that refuses what it would overwrite; the
 * commit they come from is one that nobody sees.
 */
static int commit_files(struct repo *repo, const struct fileset *files, bool *changed,
			struct oid *out, struct err *err)
{
	const struct source_person who = {.name = (char[]){"muster"}, .mail = (char[]){"muster"}};
	const struct source_commit commit = {.who = &who,
					     .message = "configuration of etc/init, read again\n"};
	char hex[OID_HEX_SIZE];
	struct oid tree, unseen;
	struct buf text;
	int rc = tree_write(repo, files, &tree, err);

	buf_init(&text, LIMIT_COMMIT_SIZE);
	if (rc == 0)
		buf_printf(&text,
			   "tree %s\nauthor muster <muster> 0 +0000\ncommitter muster <muster> 0 "
			   "+0000\n\netc/init\n",
			   oid_hex(&tree, hex));
	if (rc == 0)
		rc = repo_commit_write(repo, text.data, text.len, &unseen, err);
	if (rc == 0)
		rc = source_commit_tree(repo, &commit, &unseen, changed, out, err);
	buf_clear(&text);
	return rc;
}

/* Whether a commit could be made now, on main: before anything is said of what it would hold. */
static int check_place(const struct home *home, struct repo *repo, struct err *err)
{
	struct buf head;
	bool dirty = false;
	int rc;

	buf_init(&head, LIMIT_SMALL_FILE);
	rc = fs_read(home->var_fd, ADMIN_SOURCE "/.git/HEAD", &head, err);
	if (rc == 0 && strcmp(buf_text(&head), "ref: " ADMIN_MAIN "\n") != 0)
		rc = err_set(err, ERR_REFUSED, "%s/" ADMIN_SOURCE ": main is not checked out",
			     home->var);
	buf_clear(&head);
	if (rc == 0)
		rc = source_changed(repo, &dirty, err);
	if (rc == 0 && dirty)
		rc = err_set(err, ERR_REFUSED,
			     "%s/" ADMIN_SOURCE
			     " has changes that are not committed: commit or drop them first",
			     home->var);
	return rc;
}

static int differs(struct repo *repo, const struct fileset *files, bool *out, struct err *err)
{
	struct fileset main = {.count = 0};
	struct oid head;
	int rc = repo_ref_get(repo, ADMIN_MAIN, &head, err);

	if (rc == 0)
		rc = tree_read_commit(repo, &head, &main, err);
	if (rc == 0)
		*out = !fileset_equal(&main, files);
	fileset_clear(&main);
	return rc;
}

static int reload_given(const struct home *home, const struct identity *identity,
			const struct fileset *given, bool commit, struct findings *findings,
			bool *changed, struct oid *out, struct err *err)
{
	char *path = home_var(home, ADMIN_SOURCE);
	struct fileset files = {.count = 0};
	struct repo *repo = NULL;
	int rc = repo_open(path, &repo, err);

	if (rc == 0)
		rc = would_be(home, repo, identity, given, &files, findings, err);
	if (rc == 0)
		rc = differs(repo, &files, changed, err);
	if (rc == 0 && *changed)
		rc = check_place(home, repo, err);
	if (rc == 0 && *changed)
		rc = check_would_be(home, identity, &files, findings, err);
	if (rc == 0 && *changed && commit)
		rc = commit_files(repo, &files, changed, out, err);
	if (rc == 0 && commit)
		rc = initfiles_remember(home, given, err);
	repo_free(repo);
	fileset_clear(&files);
	free(path);
	return rc;
}

int reload_init(const struct home *home, const struct identity *identity, bool commit,
		struct findings *findings, bool *changed, struct oid *out, struct err *err)
{
	struct fileset given = {.count = 0};
	int rc = initdir_read(home, &given, err);

	assert(!commit || home->lock_fd >= 0);
	*changed = false;
	if (rc == 0)
		rc = initfiles_check_cluster(&given, identity, true, err);
	if (rc == 0)
		rc = reload_given(home, identity, &given, commit, findings, changed, out, err);
	initdir_clear(&given);
	return rc == 0 ? 0 : err_prefix(err, "--force-reload");
}
