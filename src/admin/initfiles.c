/* What etc/init holds for an admin: see initfiles.h. */
#include "admin/initfiles.h"

#include "config/cluster.h"
#include "config/document.h"
#include "core/buf.h"
#include "core/fs.h"
#include "core/limits.h"
#include "core/log.h"
#include "core/text.h"
#include "crypto/seal.h"

#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MARKS_VERSION = 1 };

/* The cluster element of a file: 1 and OUT, or 0 for a file without, or -1. */
static int cluster_of(const struct file *file, struct document **doc, struct cluster *out,
		      struct err *err)
{
	struct err why = {.code = ERR_NONE};

	if (document_parse(file->path, file->data, file->size, doc, err) != 0)
		return err_prefix(err, "etc/init");
	if (cluster_read(*doc, out, &why) == 0)
		return 1;
	document_free(*doc);
	*doc = NULL;
	return why.code == ERR_GONE ? 0 : err_set(err, why.code, "etc/init: %s", why.text);
}

static void id_text(const uint8_t id[static CLUSTER_ID_SIZE], char out[static CLUSTER_ID_HEX_SIZE])
{
	for (size_t i = 0; i < CLUSTER_ID_SIZE; i++)
		(void)snprintf(out + 2 * i, 3, "%02x", id[i]); /* fits */
}

static int check_keystore(const char *file, const char *text, const struct identity *identity,
			  struct err *err)
{
	char theirs[CLUSTER_ID_HEX_SIZE], ours[CLUSTER_ID_HEX_SIZE];
	struct keystore *keystore = NULL;
	int rc = 0;

	if (keystore_parse(text, &keystore, err) != 0)
		return err_prefix(err, "etc/init/%s: keystore", file);
	id_text(keystore->cluster_id, theirs);
	if (!identity)
		rc = err_set(err, ERR_REFUSED,
			     "etc/init/%s is of cluster %s, but there is no cluster.key: put the "
			     "one it was "
			     "made with at etc/cluster.key, or remove the file",
			     file, theirs);
	else if (memcmp(keystore->cluster_id, identity->cluster_id, CLUSTER_ID_SIZE) != 0 ||
		 memcmp(keystore->admin_public, identity->channel_public, KEY_SIZE) != 0) {
		id_text(identity->cluster_id, ours);
		rc = err_set(err, ERR_REFUSED,
			     "etc/init/%s is of cluster %s%s, but this admin's cluster.key is of "
			     "cluster %s: put the right one in its place",
			     file, theirs,
			     strcmp(ours, theirs) == 0 ? " (with another admin key)" : "", ours);
	}
	keystore_free(keystore);
	return rc;
}

int initfiles_check_cluster(const struct fileset *files, const struct identity *identity,
			    bool first_start, struct err *err)
{
	for (size_t i = 0; i < files->count; i++) {
		struct cluster cluster = {.port = 0};
		struct document *doc = NULL;
		struct err why = {.code = ERR_NONE};
		int rc = cluster_of(files->files + i, &doc, &cluster, &why);

		if (rc < 0 && !first_start) {
			log_warning("setup", files->files[i].path, "is not looked at: %s",
				    why.text);
			continue;
		}
		if (rc < 0)
			return err_set(err, why.code, "%s", why.text);
		if (rc == 1)
			rc = cluster.keystore ? check_keystore(files->files[i].path,
							       cluster.keystore, identity, err)
					      : 0;
		cluster_clear(&cluster);
		document_free(doc);
		if (rc != 0)
			return rc;
	}
	return 0;
}

/* DOC with CLUSTER in it, as file NAME of OUT. */
static int add_with_cluster(struct fileset *out, const char *name, struct document *doc,
			    const struct cluster *cluster, struct err *err)
{
	struct buf text;
	int rc;

	buf_init(&text, LIMIT_XML_SIZE);
	rc = cluster_write(doc, cluster, err);
	if (rc == 0)
		rc = document_serialise(doc, &text, err);
	if (rc == 0)
		rc = fileset_add(out, name, FILE_PLAIN, buf_text(&text), text.len, err);
	seal_wipe(&text);
	return rc;
}

/* A file with a cluster element: with the host and port asked for, and this keystore. */
static int add_cluster_file(struct fileset *out, const struct file *file, struct document *doc,
			    struct cluster *cluster, const char *host, uint16_t port,
			    const char *keystore, struct err *err)
{
	struct cluster now = {.host = host ? (char *)host : cluster->host,
			      .port = port ? port : cluster->port,
			      .listen_host = cluster->listen_host,
			      .keystore = (char *)keystore};

	return add_with_cluster(out, file->path, doc, &now, err);
}

static int add_new_cluster(struct fileset *out, char *host, uint16_t port, const char *keystore,
			   struct err *err)
{
	struct cluster cluster = {
		.host = host, .port = port ? port : CLUSTER_PORT, .keystore = (char *)keystore};
	struct document *doc = document_new();
	/* not base.xml or the like, which configuration that is copied in later would replace */
	char *name = text_copy("cluster.xml");
	int rc;

	for (unsigned i = 2; fileset_find(out, name); i++) {
		free(name);
		name = text_format("cluster-%u.xml", i);
	}
	rc = add_with_cluster(out, name, doc, &cluster, err);
	free(name);
	document_free(doc);
	return rc;
}

int initfiles_first_commit(const struct fileset *files, const char *host, uint16_t port,
			   const char *default_host, const char *keystore, struct fileset *out,
			   char **at, struct err *err)
{
	char *found = NULL;

	for (size_t i = 0; i < files->count; i++) {
		const struct file *file = files->files + i;
		struct cluster cluster = {.port = 0};
		struct document *doc = NULL;
		int rc = cluster_of(file, &doc, &cluster, err);

		if (rc == 1) {
			free(found);
			found = text_copy(host ? host : cluster.host);
			rc = add_cluster_file(out, file, doc, &cluster, host, port, keystore,
					      err);
		} else if (rc == 0) {
			rc = fileset_add(out, file->path, file->mode, file->data, file->size, err);
		}
		cluster_clear(&cluster);
		document_free(doc);
		if (rc != 0) {
			free(found);
			return rc;
		}
	}
	if (!found && default_host) {
		found = text_copy(host ? host : default_host);
		if (add_new_cluster(out, found, port, keystore, err) != 0) {
			free(found);
			return -1;
		}
	}
	*at = found;
	return 0;
}

/* --- what was loaded --- */

int initfiles_remember(const struct home *home, const struct fileset *files, struct err *err)
{
	struct initdir_marks marks;
	char *text;
	json_t *doc;
	int rc;

	initdir_mark(files, false, &marks);
	doc = json_pack("{s:i, s:o}", "version", MARKS_VERSION, "files",
			initdir_marks_json(&marks));
	text = json_dumps(doc, JSON_INDENT(1));
	assert(text); /* its strings are UTF-8 */
	rc = fs_write_atomic(home->var_fd, INITFILES_MARKS, text, strlen(text), 0600, err);
	free(text);
	json_decref(doc);
	initdir_marks_clear(&marks);
	return rc;
}

static int parse_marks(const struct buf *text, struct initdir_marks *out)
{
	json_t *doc = json_loadb(buf_text(text), text->len, JSON_REJECT_DUPLICATES, NULL), *files;
	json_int_t version;
	int rc = doc ? json_unpack(doc, "{s:I, s:o}", "version", &version, "files", &files) : -1;

	if (rc == 0)
		rc = version == MARKS_VERSION ? initdir_marks_parse(files, out) : -1;
	json_decref(doc);
	return rc;
}

int initfiles_compare(const struct home *home, const struct fileset *files, char **difference,
		      struct err *err)
{
	struct initdir_marks loaded = {.known = false}, now;
	struct buf text;
	int rc;

	buf_init(&text, LIMIT_SMALL_FILE);
	rc = fs_read(home->var_fd, INITFILES_MARKS, &text, err);
	if (rc == 0 && parse_marks(&text, &loaded) != 0)
		rc = err_set(err, ERR_CORRUPT, "%s/" INITFILES_MARKS ": damaged", home->var);
	buf_clear(&text);
	if (rc != 0)
		return rc;
	initdir_mark(files, false, &now);
	*difference = initdir_difference(&loaded, &now);
	initdir_marks_clear(&loaded);
	initdir_marks_clear(&now);
	return 0;
}
