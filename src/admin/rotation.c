/* Rotating the configuration secret: see rotation.h. */
#include "admin/rotation.h"

#include "admin/authoring.h"
#include "admin/cycle.h"
#include "core/fs.h"
#include "core/text.h"
#include "repo/source.h"
#include "repo/tree.h"

#include <stdlib.h>
#include <string.h>

#define NEXT_FILE "admin/secret.next"

bool rotation_next(const struct home *home, const struct keyring *ring,
		   char id[static SEAL_ID_HEX_SIZE])
{
	char own[SEAL_ID_HEX_SIZE];
	struct buf text;
	struct err none;
	bool found = false;

	buf_init(&text, 64);
	if (fs_read(home->var_fd, NEXT_FILE, &text, &none) == 0 && text.len == SEAL_ID_HEX_SIZE)
		for (size_t i = 0; !found && i < keyring_count(ring); i++)
			found = keyring_id(ring, i, SCOPE_CONFIG, own) &&
				strncmp(buf_text(&text), own, SEAL_ID_HEX_SIZE - 1) == 0;
	if (found)
		memcpy(id, own, sizeof(own));
	buf_clear(&text);
	return found;
}

int rotation_begin(const struct home *home, struct keyring *ring, char id[static SEAL_ID_HEX_SIZE],
		   struct err *err)
{
	char line[SEAL_ID_HEX_SIZE + 1];

	if (rotation_next(home, ring, id))
		return 0;
	if (keyring_add_fresh(ring, err) != 0)
		return -1;
	(void)keyring_id(ring, keyring_count(ring) - 1, SCOPE_CONFIG,
			 id); /* a configuration secret */
	memcpy(line, id, SEAL_ID_HEX_SIZE - 1);
	line[SEAL_ID_HEX_SIZE - 1] = '\n';
	/* a kill in between leaves an id that nothing has, which counts for nothing */
	if (fs_write_atomic(home->var_fd, NEXT_FILE, line, SEAL_ID_HEX_SIZE, 0600, err) != 0)
		return -1;
	return keyring_save(home, ring, err);
}

int rotation_end(const struct home *home, struct err *err)
{
	return fs_remove_tree(home->var_fd, NEXT_FILE, err);
}

/* --- sealing again --- */

static int commit_sealed(struct repo *repo, const char *id, bool *changed, struct oid *commit,
			 struct err *err)
{
	struct source_person who = {.name = NULL};
	char *message = text_format("Seal everything with key %s\n", id);
	const struct source_commit what = {.who = &who, .message = message};
	int rc = source_person(repo, &who, err);

	if (rc == 0)
		rc = source_commit(repo, &what, changed, commit, err);
	source_person_clear(&who);
	free(message);
	return rc;
}

/* SEALED: the files of HEAD, sealed again. */
static int seal_again(const struct home *home, const struct sealer *sealer, const char *id,
		      struct repo *repo, const struct fileset *head, struct fileset *sealed,
		      bool *changed, struct oid *commit, struct err *err)
{
	struct authoring authoring = {.home = home, .sealer = sealer, .renew = true};
	struct findings findings = {.count = 0};
	struct fileset work = {.count = 0};
	int rc = source_read(repo, &work, err);

	if (rc == 0 && authoring_seal(&authoring, sealed, &findings, err) != 0)
		rc = findings.count ? err_set(err, ERR_REFUSED, "%s", findings.lines[0]) : -1;
	if (rc == 0)
		rc = authoring_untouched(&work, head, sealed, err);
	for (size_t i = 0; rc == 0 && i < authoring.changed_count; i++)
		rc = authoring_write(home, sealed, authoring.changed[i], err);
	if (rc == 0)
		rc = commit_sealed(repo, id, changed, commit, err);
	findings_clear(&findings);
	authoring_clear(&authoring);
	fileset_clear(&work);
	return rc;
}

int rotation_seal(const struct home *home, const struct sealer *sealer, const char *id,
		  bool *changed, struct oid *commit, struct err *err)
{
	char *path = home_var(home, ADMIN_SOURCE);
	struct fileset head = {.count = 0}, sealed = {.count = 0};
	struct repo *repo = NULL;
	struct oid main;
	int rc = repo_open(path, &repo, err);

	if (rc == 0)
		rc = repo_ref_get(repo, ADMIN_MAIN, &main, err);
	if (rc == 0)
		rc = tree_read_commit(repo, &main, &head, err);
	if (rc == 0)
		rc = tree_read_commit(repo, &main, &sealed, err);
	if (rc == 0)
		rc = seal_again(home, sealer, id, repo, &head, &sealed, changed, commit, err);
	fileset_clear(&head);
	fileset_clear(&sealed);
	repo_free(repo);
	free(path);
	return rc;
}
