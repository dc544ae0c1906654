/*
 * slice: for each role, what it needs of the configuration and its files. Which elements stay is
 * config/slice.c's.
 */
#include "admin/steps.h"

#include "core/buf.h"
#include "core/log.h"

#include <stdlib.h>
#include <string.h>

#define FILES  "files/"
#define COMMON "files/common/"

/* A private key that travels as a file would be in the clear in git and on every disk. */
static bool holds_private_key(const struct file *file)
{
	static const char mark[] = "PRIVATE KEY-----";

	return memmem(file->data, file->size, mark, sizeof(mark) - 1) != NULL;
}

/* Whether a part of PATH before a '/' is itself a file of SET: git has no tree for that. */
static const struct file *file_in_the_way(const struct fileset *set, const char *path)
{
	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		char *folder = text_copy_n(path, (size_t)(slash - path));
		const struct file *file = fileset_find(set, folder);

		free(folder);
		if (file)
			return file;
	}
	return NULL;
}

static bool role_known(const struct cycle *cycle, const char *path)
{
	const char *name = path + strlen(FILES);
	size_t len = strcspn(name, "/");

	for (size_t i = 0; i < cycle->role_count; i++)
		if (strlen(cycle->roles[i].name) == len &&
		    strncmp(cycle->roles[i].name, name, len) == 0)
			return true;
	return false;
}

/* What is wrong with the files of the commit, whichever role they are for. */
static void check_files(struct cycle *cycle)
{
	struct findings *findings = &cycle->out->findings;

	for (size_t i = 0; i < cycle->files.count; i++) {
		const struct file *file = cycle->files.files + i;

		if (!text_starts(file->path, FILES))
			continue;
		if (!strchr(file->path + strlen(FILES), '/'))
			findings_add(findings,
				     "%s: is for no role: put it in " COMMON " or " FILES "ROLE/",
				     file->path);
		else if (!text_starts(file->path, COMMON) && !role_known(cycle, file->path))
			log_warning("slice", file->path, "is for no role of the configuration");
		if (holds_private_key(file))
			findings_add(
				findings,
				"%s: holds a private key, which would be readable in git and on "
				"every node: keep it in a secret leaf of the configuration",
				file->path);
	}
}

/* files/common/ and files/ROLE/ become files/. */
static int take_files(struct cycle *cycle, struct cycle_role *role, const char *prefix,
		      struct err *err)
{
	for (size_t i = 0; i < cycle->files.count; i++) {
		const struct file *file = cycle->files.files + i, *other;
		char *path;
		int rc = 0;

		if (!text_starts(file->path, prefix))
			continue;
		path = text_format(FILES "%s", file->path + strlen(prefix));
		other = fileset_find(&role->tree, path);
		if (!other)
			other = file_in_the_way(&role->tree, path);
		if (other)
			findings_add(&cycle->out->findings,
				     "%s: %s%s is there too, and role %s gets both as %s",
				     file->path, COMMON, other->path + strlen(FILES), role->name,
				     path);
		else
			rc = fileset_add(&role->tree, path, file->mode, file->data, file->size,
					 err);
		free(path);
		if (rc != 0)
			return rc;
	}
	return 0;
}

/*
 * A file of a role below a common file is seen above, a common file below a file of the role here.
 */
static void check_nesting(struct cycle *cycle, const struct cycle_role *role)
{
	for (size_t i = 0; i < role->tree.count; i++) {
		const struct file *file = role->tree.files + i;
		const struct file *other = file_in_the_way(&role->tree, file->path);

		if (other)
			findings_add(&cycle->out->findings,
				     "%s: role %s gets both a file %s and one below it", file->path,
				     role->name, other->path);
	}
}

/* What the node needs to check the slice as the admin does. */
static int take_model(const struct cycle *cycle, struct cycle_role *role, struct err *err)
{
	for (size_t i = 0; i < cycle->files.count; i++) {
		const struct file *file = cycle->files.files + i;

		if (!text_starts(file->path, "schema/") && strcmp(file->path, "model.conf") != 0)
			continue;
		if (fileset_add(&role->tree, file->path, file->mode, file->data, file->size, err) !=
		    0)
			return -1;
	}
	return 0;
}

/* The slice's cluster element: where the admin is, and the keystore for this role alone. */
static int cut_document(struct cycle *cycle, struct cycle_role *role, struct err *err)
{
	struct keystore *keystore = keystore_for(cycle->in->identity, role->name);
	struct cluster cluster = {.host = cycle->cluster.host, .port = cycle->cluster.port};
	struct buf text;
	int rc;

	buf_init(&text, LIMIT_SMALL_FILE);
	keystore_format(keystore, &text);
	keystore_free(keystore);
	/* what could not be sealed is not shown either */
	cluster.keystore = cycle->without_keys ? NULL : (char *)text.data;
	rc = slice(cycle->doc, cycle->model, role->name, &cluster, &role->doc, err);
	crypto_wipe(text.data, text.len);
	buf_clear(&text);
	return rc == 0 ? 0 : err_prefix(err, "role %s", role->name);
}

int cut(struct cycle *cycle, struct err *err)
{
	check_files(cycle);
	for (size_t i = 0; i < cycle->role_count; i++) {
		struct cycle_role *role = cycle->roles + i;
		char *own = text_format(FILES "%s/", role->name);
		int rc = cut_document(cycle, role, err);

		if (rc == 0) {
			params_list(role->doc, cycle->model, &role->params);
			rc = shrink_check(cycle, role, err);
		}
		if (rc == 0)
			rc = take_files(cycle, role, COMMON, err);
		if (rc == 0)
			rc = take_files(cycle, role, own, err);
		if (rc == 0)
			rc = take_model(cycle, role, err);
		free(own);
		if (rc != 0)
			return rc;
		check_nesting(cycle, role);
	}
	return cycle->out->findings.count ? -1 : 0;
}
