/* check: the configuration of a verified release, by the same code that the admin ran. */
#include "node/steps.h"

#include "config/check.h"
#include "config/merge.h"
#include "config/schema.h"
#include "core/log.h"

#include <string.h>

/* Nothing but what a slice is made of, so that no name means two things in a revision. */
static int check_names(const struct fileset *files, struct err *err)
{
	for (size_t i = 0; i < files->count; i++) {
		const char *path = files->files[i].path;

		if (strcmp(path, "config.xml") != 0 && strcmp(path, "model.conf") != 0 &&
		    !text_starts(path, "files/") && !text_starts(path, "schema/"))
			return err_set(err, ERR_REFUSED, "%s: a release holds no such file", path);
	}
	if (!fileset_find(files, "config.xml"))
		return err_set(err, ERR_REFUSED, "config.xml: is not there");
	return 0;
}

int check_document(const struct document *doc, const struct model *model,
		   const struct fileset *files, const struct keyring *ring, const char *role,
		   struct err *err)
{
	const struct sealer sealer = sealer_of(ring);
	struct findings findings = {0};
	int rc = check(doc, model, &findings) == 0 ? 0 : -1;

	if (rc == 0 && files)
		rc = schema_check(files, doc, model, &findings, err);
	if (rc == 0 && ring)
		rc = seal_check(doc, model, &sealer, role, &findings);
	for (size_t i = 0; i < findings.count; i++)
		log_error("check", "", "%s", findings.lines[i]);
	if (findings.count > 0)
		(void)(findings.count > 1 ? err_set(err, ERR_REFUSED, "%s (and %zu more)",
						    findings.lines[0], findings.count - 1)
					  : err_set(err, ERR_REFUSED, "%s", findings.lines[0]));
	findings_clear(&findings);
	return rc;
}

int check_files(const struct fileset *files, const struct keyring *ring, const char *role,
		struct err *err)
{
	struct document *doc = NULL;
	struct model *model = NULL;
	int rc = check_names(files, err);

	if (rc == 0)
		rc = merge_fileset(files, &doc, &model, err);
	if (rc == 0)
		rc = check_document(doc, model, files, ring, role, err);
	document_free(doc);
	model_free(model);
	return rc;
}

int check_step(struct cycle *cycle, struct err *err)
{
	if (check_files(&cycle->files, cycle->ring, cycle->chain.role, err) != 0)
		return -1;
	cycle->settings = settings_of_slice(&cycle->files);
	return plain_check(&cycle->runtime->plain, &cycle->files, err);
}
