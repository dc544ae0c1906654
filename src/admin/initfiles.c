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

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int read_one(struct fileset *out, int dirfd, const char *name, struct err *err)
{
	struct buf data;
	int rc;

	buf_init(&data, LIMIT_XML_SIZE);
	rc = fs_read_follow(dirfd, name, &data, err);
	if (rc == 0 && out->count >= LIMIT_XML_FILES)
		rc = err_set(err, ERR_REFUSED, "more than %u files", LIMIT_XML_FILES);
	if (rc == 0)
		rc = fileset_add(out, name, FILE_PLAIN, buf_text(&data), data.len, err);
	if (data.data)
		crypto_wipe(data.data, data.len); /* a keystore may be in it */
	buf_clear(&data);
	return rc == 0 ? 0 : err_prefix(err, "etc/init");
}

int initfiles_read(const struct home *home, struct fileset *out, struct err *err)
{
	struct err why = {.code = ERR_NONE};
	struct dirent *entry;
	DIR *dir;
	int fd, rc = 0;

	if (fs_open_dir(home->etc_fd, "init", &fd, &why) != 0)
		return why.code == ERR_GONE ? 0 : err_set(err, why.code, "etc/%s", why.text);
	dir = fdopendir(fd);
	if (!dir) {
		rc = err_sys(err, "etc/init");
		(void)close(fd); /* only read */
		return rc;
	}
	while (rc == 0 && (entry = readdir(dir)))
		if (entry->d_name[0] != '.' && text_ends(entry->d_name, ".xml"))
			rc = read_one(out, fd, entry->d_name, err);
	(void)closedir(dir); /* only read */
	return rc;
}

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
	if (!found) {
		found = text_copy(host ? host : default_host);
		if (add_new_cluster(out, found, port, keystore, err) != 0) {
			free(found);
			return -1;
		}
	}
	*at = found;
	return 0;
}
