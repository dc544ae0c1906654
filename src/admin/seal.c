/*
 * seal: makes of each slice the files of a release, and checks them as a node will.
 *
 * The contract of this step is that what leaves it may be read by whoever can read release.git: the
 * place where the secrets of a slice become unreadable to all but its role. What is sealed for the
 * authoring repository is opened, and that and the keystore that slice put in are sealed for the
 * role.
 */
#include "admin/steps.h"

#include "config/schema.h"
#include "core/limits.h"

#include <string.h>

#define CONFIG "config.xml"

static int serialise(struct cycle_role *role, struct err *err)
{
	struct buf text;
	int rc;

	buf_init(&text, LIMIT_XML_SIZE);
	rc = document_serialise(role->doc, &text, err);
	if (rc == 0)
		rc = fileset_add(&role->tree, CONFIG, FILE_PLAIN, buf_text(&text), text.len, err);
	seal_wipe(&text); /* in a trial without keys secrets may be in it */
	return rc;
}

/* What the node does with the bytes of a slice before it deploys them. */
static int check_as_node(struct cycle *cycle, const struct cycle_role *role, struct err *err)
{
	const struct file *file = fileset_find(&role->tree, CONFIG);
	const struct sealer sealer = sealer_of(cycle->keyring);
	struct findings findings = {.count = 0};
	struct document *doc = NULL;
	int rc = document_parse(CONFIG, file->data, file->size, &doc, err);

	if (rc == 0)
		rc = check(doc, cycle->model, &findings);
	if (rc == 0)
		rc = schema_check(&role->tree, doc, cycle->model, &findings, err);
	if (rc == 0 && !cycle->without_keys)
		rc = seal_check(doc, cycle->model, &sealer, role->name, &findings);
	for (size_t i = 0; i < findings.count; i++)
		findings_add(&cycle->out->findings, "slice of role %s: %s", role->name,
			     findings.lines[i]);
	findings_clear(&findings);
	document_free(doc);
	return rc;
}

int seal(struct cycle *cycle, struct err *err)
{
	const struct sealer sealer = sealer_of(cycle->keyring);

	for (size_t i = 0; i < cycle->role_count; i++) {
		struct cycle_role *role = cycle->roles + i;

		if (!cycle->without_keys && seal_for_role(role->doc, cycle->model, &sealer,
							  role->name, &cycle->out->findings) != 0)
			continue;
		if (serialise(role, err) != 0 ||
		    (check_as_node(cycle, role, err) != 0 && cycle->out->findings.count == 0))
			return err_prefix(err, "slice of role %s", role->name);
		seal_document_free(role->doc, cycle->model);
		role->doc = NULL;
	}
	return cycle->out->findings.count ? -1 : 0;
}
