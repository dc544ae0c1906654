/* An admin home: see setup.h. */
#include "admin/setup.h"

#include "admin/authoring.h"
#include "admin/cycle.h"
#include "admin/hooks.h"
#include "admin/initfiles.h"
#include "admin/signers.h"
#include "config/merge.h"
#include "core/fs.h"
#include "core/log.h"
#include "repo/git.h"
#include "repo/pack.h"
#include "repo/source.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEY_IN_ETC "cluster.key"
#define SOURCE_NEW "admin/.config.new" /* the authoring repository before it is complete */
#define LOCALHOST  "localhost"

/* seconds: what is younger in release.git may be a `git gc` under way */
enum { OTHERS_WRITE = 600 };

bool setup_done(const struct home *home)
{
	return faccessat(home->var_fd, ADMIN_SOURCE, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/*
 * The identity that is there: of this home, or the one the operator put into etc/. NULL when there
 * is none.
 */
static int find_identity(const struct home *home, struct identity **out, struct err *err)
{
	struct err why = {.code = ERR_NONE};

	*out = NULL;
	if (identity_load(home->var_fd, ADMIN_KEY, out, &why) == 0)
		return 0;
	if (why.code != ERR_GONE)
		return err_set(err, why.code, "var/%s", why.text);
	if (identity_load_follow(home->etc_fd, KEY_IN_ETC, out, &why) == 0 || why.code == ERR_GONE)
		return 0;
	return err_set(err, why.code, "etc/%s", why.text);
}

/* Puts the identity where the admin reads it. One that is there is the same. */
static int keep_identity(const struct home *home, const struct identity *identity, struct err *err)
{
	if (faccessat(home->var_fd, ADMIN_KEY, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	if (errno != ENOENT)
		return err_sys(err, "var/" ADMIN_KEY);
	return identity_save(home->var_fd, ADMIN_KEY, identity, err);
}

/* The machine's name, for a host that nobody gave. */
static char *machine_name(void)
{
	char name[HOST_NAME_MAX + 1] = "";

	if (gethostname(name, sizeof(name) - 1) != 0 || !*name)
		return text_copy(LOCALHOST);
	return text_copy(name);
}

/* The configuration secret that is there, or a new one, which FRESH says: it is to be kept. */
static int find_secret(const struct home *home, struct keyring **out, bool *fresh, struct err *err)
{
	if (keyring_load(home, out, err) != 0)
		return -1;
	*fresh = keyring_count(*out) == 0;
	if (*fresh)
		return keyring_add_fresh(*out, err);
	if (keyring_secrets(*out) > 0)
		return 0;
	return err_set(err, ERR_REFUSED,
		       "%s holds role keys only, but an admin needs the configuration secret",
		       keyring_source(*out));
}

/* The files of etc/init as the first commit has them: with this admin's cluster, and sealed. */
static int first_files(const struct home *home, const struct setup_options *options,
		       const struct fileset *given, const struct identity *identity,
		       const struct keyring *ring, struct fileset *out, char **host,
		       struct findings *findings, struct err *err)
{
	const struct sealer sealer = sealer_of(ring);
	struct authoring authoring = {.home = home, .sealer = &sealer};
	struct keystore *keystore = keystore_for(identity, "*");
	char *machine = machine_name();
	struct buf text;
	int rc;

	buf_init(&text, LIMIT_SMALL_FILE);
	keystore_format(keystore, &text);
	keystore_free(keystore);
	rc = initfiles_first_commit(given, options->host, options->port, machine, buf_text(&text),
				    out, host, err);
	if (rc == 0 && authoring_seal(&authoring, out, findings, err) != 0) {
		rc = -1;
		if (findings->count > 0)
			(void)err_set(err, ERR_REFUSED, "%s%s", findings->lines[0],
				      findings->count > 1 ? " (and more)" : "");
		(void)err_prefix(err, "etc/init");
	}
	authoring_clear(&authoring);
	seal_wipe(&text);
	free(machine);
	return rc;
}

/* What would be refused as a publication is refused here, while nothing is there yet. */
static int check_first_commit(const struct fileset *files, struct findings *findings,
			      struct err *err)
{
	struct document *doc = NULL;
	struct model *model = NULL;
	int rc = merge_fileset(files, &doc, &model, err);

	if (rc == 0 && check(doc, model, findings) != 0)
		rc = err_set(err, ERR_REFUSED, "%s%s", findings->lines[0],
			     findings->count > 1 ? " (and more)" : "");
	document_free(doc);
	model_free(model);
	return rc == 0 ? 0 : err_prefix(err, "etc/init");
}

static int make_releases(const struct home *home, struct err *err)
{
	char *path = home_var(home, ADMIN_RELEASES);
	struct repo *repo = NULL;
	int rc = repo_init_bare(path, &repo, err);

	repo_free(repo);
	free(path);
	return rc == 0 ? signers_configure(home, err) : rc;
}

/* The first commit of the repository whose work tree is open as FD and holds FILES. */
static int commit_first(struct repo *repo, int fd, const struct fileset *files, const char *host,
			struct oid *first, struct err *err)
{
	char *mail = text_format("admin@%s", host);
	struct source_person who = {.name = (char[]){"muster"}, .mail = mail};
	struct source_commit commit = {.who = &who, .message = "configuration of etc/init\n"};
	bool changed;
	int rc = fileset_write_dir(files, fd, err);

	if (rc == 0)
		rc = source_commit(repo, &commit, &changed, first, err);
	free(mail);
	return rc;
}

/* The repository with its first commit and a work tree, under a name that nothing else looks at. */
static int build_source(const struct home *home, const struct fileset *files, const char *host,
			struct oid *first, struct err *err)
{
	char *path = home_var(home, SOURCE_NEW);
	struct repo *repo = NULL;
	int fd = -1, rc = fs_remove_tree(home->var_fd, SOURCE_NEW, err);

	if (rc == 0)
		rc = repo_init_worktree(path, &repo, err);
	if (rc == 0)
		rc = fs_open_dir(home->var_fd, SOURCE_NEW, &fd, err);
	if (rc == 0)
		rc = commit_first(repo, fd, files, host, first, err);
	if (rc == 0)
		rc = hooks_write(home, fd, ".git", err);
	if (fd >= 0)
		(void)close(fd); /* a folder */
	repo_free(repo);
	free(path);
	return rc;
}

static int make_source(const struct home *home, const struct fileset *files, const char *host,
		       struct oid *first, struct err *err)
{
	if (build_source(home, files, host, first, err) != 0)
		return -1;
	/* the point of no return: from here on the home is set up */
	if (renameat(home->var_fd, SOURCE_NEW, home->var_fd, ADMIN_SOURCE) != 0)
		return err_sys(err, "%s/" ADMIN_SOURCE, home->var);
	return fs_sync(home->var_fd, "admin", err);
}

/* What a home is made of, in memory. */
struct first {
	struct identity *identity;
	struct keyring *ring;
	bool fresh; /* the secret is new */
	struct fileset given; /* etc/init */
	struct fileset files; /* of the first commit */
	char *host;
};

static void first_clear(struct first *first)
{
	identity_free(first->identity);
	keyring_free(first->ring);
	initdir_clear(&first->given);
	fileset_clear(&first->files);
	free(first->host);
}

/* All that may be refused; nothing is written. */
static int prepare(const struct home *home, const struct setup_options *options,
		   struct first *first, struct findings *findings, struct err *err)
{
	int rc;

	if (setup_done(home))
		return err_set(err, ERR_REFUSED, "%s is set up already: see %s/" ADMIN_SOURCE,
			       home->var, home->var);
	rc = initdir_read(home, &first->given, err);
	if (rc == 0)
		rc = find_identity(home, &first->identity, err);
	if (rc == 0)
		rc = initfiles_check_cluster(&first->given, first->identity, true, err);
	if (rc == 0)
		rc = find_secret(home, &first->ring, &first->fresh, err);
	if (rc == 0 && !first->identity)
		first->identity = identity_new();
	if (rc == 0)
		rc = first_files(home, options, &first->given, first->identity, first->ring,
				 &first->files, &first->host, findings, err);
	if (rc == 0)
		rc = check_first_commit(&first->files, findings, err);
	return rc;
}

static int make(const struct home *home, const struct first *first, struct oid *commit,
		struct err *err)
{
	int rc = first->fresh ? keyring_save(home, first->ring, err) : 0;

	if (rc == 0)
		rc = fs_keep_dirs(home->var_fd, "admin", 0700, err);
	if (rc == 0)
		rc = keep_identity(home, first->identity, err);
	if (rc == 0)
		rc = make_releases(home, err);
	if (rc == 0)
		rc = signers_add(home, first->identity, first->host, err);
	if (rc == 0)
		rc = initfiles_remember(home, &first->given, err);
	if (rc == 0)
		rc = make_source(home, &first->files, first->host, commit, err);
	return rc;
}

int setup_init(const struct home *home, const struct setup_options *options,
	       struct findings *findings, struct oid *first, struct err *err)
{
	struct first what = {.fresh = false};
	struct oid made;
	int rc;

	assert(home->lock_fd >= 0);
	rc = prepare(home, options, &what, findings, err);
	if (rc == 0)
		rc = make(home, &what, &made, err);
	first_clear(&what);
	if (rc == 0 && first)
		*first = made;
	return rc;
}

int setup_check(const struct home *home, const struct setup_options *options,
		struct findings *findings, struct err *err)
{
	struct first what = {.fresh = false};
	int rc = prepare(home, options, &what, findings, err);

	first_clear(&what);
	return rc;
}

int setup_check_init(const struct home *home, const struct identity *identity, struct err *err)
{
	struct fileset files = {.count = 0};
	int rc = initdir_read(home, &files, err);

	if (rc == 0)
		rc = initfiles_check_cluster(&files, identity, false, err);
	initdir_clear(&files);
	return rc;
}

static int open_releases(const struct home *home, struct err *err)
{
	char *path = home_var(home, ADMIN_RELEASES);
	struct repo *repo = NULL;
	int rc = 0;

	if (faccessat(home->var_fd, ADMIN_RELEASES, F_OK, AT_SYMLINK_NOFOLLOW) != 0)
		log_warning("setup", "release.git",
			    "is gone and made anew: every role begins again");
	rc = repo_init_bare(path, &repo, err);
	if (rc == 0)
		rc = repo_remove_stale_locks(repo, err);
	if (rc == 0)
		rc = pack_clean(path, OTHERS_WRITE, err);
	if (rc == 0)
		rc = fs_remove_temporary(home->var_fd, ADMIN_RELEASES, err);
	if (rc == 0)
		rc = fs_remove_temporary(home->var_fd, "admin", err);
	repo_free(repo);
	free(path);
	return rc == 0 ? signers_configure(home, err) : rc;
}

int setup_unlock(const struct home *home, struct err *err)
{
	char *path = home_var(home, ADMIN_RELEASES);
	struct repo *repo = NULL;
	int rc = repo_open(path, &repo, err);

	if (rc == 0)
		rc = repo_remove_stale_locks(repo, err);
	repo_free(repo);
	free(path);
	return rc;
}

/*
 * What a command that was killed left, or a power cut; plain git would be refused until the next
 * one.
 */
static int open_source(const struct home *home, struct err *err)
{
	char *path = home_var(home, ADMIN_SOURCE);
	struct repo *repo = NULL;
	int rc = repo_open(path, &repo, err);

	if (rc == 0)
		rc = source_clean(repo, err);
	if (rc == 0)
		rc = source_mend(repo, err);
	repo_free(repo);
	free(path);
	return rc == 0 ? hooks_write(home, home->var_fd, ADMIN_SOURCE "/.git", err) : rc;
}

int setup_open(const struct home *home, struct identity **identity, struct err *err)
{
	struct err why = {.code = ERR_NONE};
	int rc;

	assert(home->lock_fd >= 0);
	*identity = NULL;
	if (!setup_done(home))
		return err_set(err, ERR_GONE,
			       "%s is no admin home: do this on the admin (muster init makes one)",
			       home->var);
	if (identity_load(home->var_fd, ADMIN_KEY, identity, &why) != 0)
		return err_set(
			err, why.code == ERR_GONE ? ERR_REFUSED : why.code, "var/%s%s", why.text,
			why.code == ERR_GONE ? " (restore it from a backup: without it no node "
					       "trusts this admin)"
					     : "");
	rc = setup_check_init(home, *identity, err);
	if (rc == 0)
		rc = fs_remove_tree(home->var_fd, SOURCE_NEW, err);
	if (rc == 0)
		rc = open_releases(home, err);
	if (rc == 0)
		rc = open_source(home, err);
	if (rc != 0) {
		identity_free(*identity);
		*identity = NULL;
	}
	return rc;
}
