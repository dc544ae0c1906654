/* The authoring work tree: see work.h. */
#include "cli/work.h"

#include "admin/authoring.h"
#include "config/merge.h"
#include "config/reveal.h"
#include "control/sealing.h"
#include "core/limits.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int work_open(struct cli *cli, struct err *err)
{
	struct identity *identity = NULL;

	if (cli_open_admin(cli, err) != 0 || cli_identity(cli, &identity, err) != 0)
		return -1;
	identity_free(identity);
	return 0;
}

int work_seal(struct cli *cli, struct fileset *set, struct err *err)
{
	struct sealing_by by = {.ring = NULL};
	char *source = home_var(cli->home, ADMIN_SOURCE);
	struct authoring authoring = {.home = cli->home, .sealer = &by.sealer};
	struct findings findings = {.lines = NULL};
	int rc = repo_open(source, &authoring.repo, err);

	if (rc == 0)
		rc = sealing_open(&by, cli->home, err);
	if (rc == 0)
		rc = authoring_seal(&authoring, set, &findings, err);
	for (size_t i = 0; i < findings.count; i++)
		cli_field(findings.lines[i], 0);
	if (rc != 0 && findings.count > 0)
		(void)err_set(err, ERR_REFUSED, "%zu finding%s: nothing was changed",
			      findings.count, findings.count == 1 ? "" : "s");
	findings_clear(&findings);
	authoring_clear(&authoring);
	sealing_close(&by);
	repo_free(authoring.repo);
	free(source);
	return rc;
}

static int reveal(struct fileset *set, const struct file *file, const struct model *model,
		  const struct sealer *sealer, struct err *err)
{
	struct buf out;
	int rc;

	buf_init(&out, LIMIT_XML_SIZE);
	rc = reveal_file(file->path, file->data, file->size, model, sealer, &out, err);
	if (rc == 0)
		rc = fileset_put(set, file->path, file->mode, buf_text(&out), out.len, err);
	seal_wipe(&out);
	return rc;
}

int work_reveal(struct cli *cli, struct fileset *set, const char *path, struct err *err)
{
	struct sealing_by by = {.ring = NULL};
	struct document *doc = NULL;
	struct model *model = NULL;
	int rc = merge_fileset(set, &doc, &model, err); /* for the model */

	if (rc == 0)
		rc = sealing_open(&by, cli->home, err);
	for (size_t i = 0; rc == 0 && i < set->count; i++) {
		const struct file *file = set->files + i;

		if (merge_uses(file->path) && strcmp(file->path, MERGE_MODEL_FILE) != 0 &&
		    (!path || strcmp(file->path, path) == 0))
			rc = reveal(set, file, model, &by.sealer, err);
	}
	sealing_close(&by);
	document_free(doc);
	model_free(model);
	return rc;
}

/*
 * What PATH leads to, but for its last part, which may be gone; NULL when the folder is not there.
 */
static char *resolve(const char *path)
{
	char *copy = text_copy(path), *slash = strrchr(copy, '/'), *folder, *out;
	const char *last = slash + 1;

	if (!*last || strcmp(last, ".") == 0 || strcmp(last, "..") == 0) {
		free(copy);
		return realpath(path, NULL);
	}
	*slash = '\0';
	folder = realpath(*copy ? copy : "/", NULL);
	out = folder ? text_format("%s/%s", folder, last) : NULL;
	free(folder);
	free(copy);
	return out;
}

static bool is_there(const char *folder, const char *path)
{
	char *full = text_format("%s/%s", folder, path);
	struct stat st;
	bool there = lstat(full, &st) == 0;

	free(full);
	return there;
}

char *work_path(const struct cli *cli, const char *asked)
{
	char *source = home_var(cli->home, ADMIN_SOURCE), *root = realpath(source, NULL),
	     *cwd = getcwd(NULL, 0);
	char *path = text_format("%s/%s", asked[0] == '/' || !cwd ? "" : cwd, asked),
	     *full = resolve(path), *out;
	size_t n = root ? strlen(root) : 0;
	bool inside = *asked && full && root && strncmp(full, root, n) == 0 &&
		      (full[n] == '/' || !full[n]);

	/* in a folder of the work tree a name may still be meant from the root */
	if (inside && !is_there("/", full) && is_there(root, asked))
		inside = false;
	if (inside)
		out = text_copy(full[n] && full[n + 1] ? full + n + 1 : ".");
	else
		out = text_copy(strncmp(asked, "./", 2) == 0 && asked[2] ? asked + 2 : asked);
	free(full);
	free(path);
	free(cwd);
	free(root);
	free(source);
	return out;
}

void work_wipe(struct fileset *set)
{
	for (size_t i = 0; i < set->count; i++)
		crypto_wipe(set->files[i].data, set->files[i].size);
	fileset_clear(set);
}
