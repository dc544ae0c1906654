/*
 * init: what a node starts from: the last configuration of this cluster and role, verified again; if there is none, what is in
 * etc/init, which is trusted because the operator put it there.
 */
#include "node/steps.h"

#include "config/document.h"
#include "config/merge.h"
#include "config/slice.h"
#include "core/fs.h"
#include "core/limits.h"
#include "core/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INIT_FOLDER "init"

/* etc/init/\*.xml; links are followed, mounted secrets are links. */
static int read_init(const struct home *home, struct fileset *out, struct err *err)
{
	int fd = openat(home->etc_fd, INIT_FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	struct buf data;

	if (!dir) {
		if (fd >= 0)
			(void)close(fd); /* only read */
		return errno == ENOENT ? 0 : err_sys(err, "%s/" INIT_FOLDER, home->etc);
	}
	buf_init(&data, LIMIT_XML_SIZE);
	while (rc == 0 && (entry = readdir(dir))) {
		if (!text_ends(entry->d_name, ".xml") || entry->d_name[0] == '.')
			continue;
		buf_reset(&data);
		rc = fs_read_follow(fd, entry->d_name, &data, err);
		if (rc == 0)
			rc = fileset_add(out, entry->d_name, FILE_PLAIN, buf_text(&data), data.len, err);
	}
	buf_clear(&data);
	(void)closedir(dir); /* only read */
	return rc == 0 ? 0 : err_prefix(err, "%s/" INIT_FOLDER, home->etc);
}

/* The cluster element of a document and its keystore. GONE when there is none. */
static int read_cluster(const struct document *doc, struct cluster *cluster, struct keystore **keystore,
			struct err *err)
{
	if (cluster_read(doc, cluster, err) != 0)
		return -1;
	if (!cluster->keystore) {
		cluster_clear(cluster);
		return err_set(err, ERR_REFUSED, "the cluster configuration has no keystore");
	}
	if (keystore_parse(cluster->keystore, keystore, err) != 0) {
		cluster_clear(cluster);
		return -1;
	}
	return 0;
}

/* Which cluster configuration it is: to see whether the one in etc/init is another than last time. */
static void cluster_digest(const struct cluster *cluster, char out[static STATE_DIGEST_MAX])
{
	struct buf all;
	uint8_t digest[DIGEST_SIZE];

	buf_init(&all, LIMIT_SMALL_FILE);
	buf_put_part(&all, cluster->host, strlen(cluster->host));
	buf_put_be16(&all, cluster->port);
	buf_put_part(&all, cluster->keystore, strlen(cluster->keystore));
	digest_bytes(all.data, all.len, digest);
	(void)digest_hex(digest, out);
	crypto_wipe(all.data, all.len);
	buf_clear(&all);
}

/* The cluster configuration of a revision's config.xml. */
static int revision_cluster(const struct revision *revision, struct cluster *cluster,
			    struct keystore **keystore, struct err *err)
{
	const struct file *file = fileset_find(&revision->files, "config.xml");
	struct document *doc = NULL;
	int rc;

	if (!file)
		return err_set(err, ERR_GONE, "no configuration");
	rc = document_parse("config.xml", file->data, file->size, &doc, err);
	if (rc == 0)
		rc = read_cluster(doc, cluster, keystore, err);
	document_free(doc);
	return rc;
}

/* A complete configuration in etc/init that has our role: its slice, as a revision that is not yet on the disk. */
static int slice_init(const struct document *doc, const struct model *model, const char *role,
		      const struct cluster *cluster, struct start *start, struct err *err)
{
	struct roles roles = {0};
	struct document *part = NULL;
	struct buf text;
	bool ours = false;
	int rc = slice_roles(doc, &roles, err);

	buf_init(&text, LIMIT_XML_SIZE);
	for (size_t i = 0; i < roles.count; i++)
		ours |= strcmp(roles.names[i], role) == 0;
	if (rc == 0 && ours) {
		rc = slice(doc, model, role, cluster, &part, err);
		if (rc == 0)
			rc = document_serialise(part, &text, err);
		if (rc == 0)
			rc = fileset_add(&start->revision.files, "config.xml", FILE_PLAIN, buf_text(&text),
					 text.len, err);
		if (rc == 0)
			rc = check_files(&start->revision.files, err);
		if (rc == 0) {
			start->has_revision = start->from_init = start->revision.is_init = true;
			revision_init_name(&start->revision.files, start->revision.name);
		}
	}
	buf_clear(&text);
	document_free(part);
	roles_clear(&roles);
	return rc;
}

/* The last configuration, if it verifies; what does not is told, and the admin's next release mends it. */
static int find_last(const struct home *home, struct start *start, struct err *err)
{
	char name[REVISION_NAME_MAX];

	if (revision_current(home, name, err) == 0 &&
	    revision_read(home, name, &start->state, &start->revision, err) == 0) {
		start->has_revision = true;
		return 0;
	}
	if (err->code == ERR_GONE)
		return 0;
	if (err->code != ERR_CORRUPT && err->code != ERR_REFUSED)
		return -1;
	log_error("init", "current", "the last configuration is unusable: %s", err->text);
	return 0;
}

/* State of another cluster or role: refused, or with force_reload forgotten. KEYSTORE may be NULL. */
static int match_state(struct start *start, const struct runtime_options *options,
		       const struct keystore *keystore, struct err *err)
{
	const struct chain_state *chain = &start->state.chain;
	const char *what = NULL;

	if (!start->state.known)
		return 0;
	if (strcmp(chain->role, options->role) != 0)
		what = "role";
	else if (keystore && memcmp(chain->cluster_id, keystore->cluster_id, CLUSTER_ID_SIZE) != 0)
		what = "cluster";
	if (!what)
		return 0;
	if (options->force_reload || !chain->has_accepted) {
		log_warning("init", "state", "the local copy is of another %s: starting anew", what);
		node_state_clear(&start->state);
		return 0;
	}
	if (strcmp(what, "role") == 0)
		return err_set(err, ERR_REFUSED,
			       "the local copy is of role %s, not %s: start with --force-reload to begin anew in "
			       "the new role",
			       chain->role, options->role);
	return err_set(err, ERR_REFUSED, "the local copy is of another cluster than the cluster file in etc/init: "
					 "start with --force-reload to adopt the new cluster");
}

/* Which cluster configuration counts: a new one in etc/init, else the slice's, else etc/init's. */
static int choose_cluster(struct start *start, struct cluster *init, struct keystore **init_keystore,
			  struct err *err)
{
	char digest[STATE_DIGEST_MAX] = "";
	bool fresh = false;
	struct err gone = {0};

	if (*init_keystore) {
		cluster_digest(init, digest);
		fresh = strcmp(digest, start->state.init_digest) != 0;
	}
	if (!fresh && start->has_revision &&
	    revision_cluster(&start->revision, &start->cluster, &start->keystore, &gone) == 0) {
		start->has_cluster = true;
		return 0;
	}
	if (gone.code != ERR_NONE && gone.code != ERR_GONE && !*init_keystore)
		return err_set(err, gone.code, "%s", gone.text);
	if (!*init_keystore)
		return 0;
	start->cluster = *init;
	start->keystore = *init_keystore;
	start->has_cluster = true;
	*init = (struct cluster){0};
	*init_keystore = NULL;
	memcpy(start->state.init_digest, digest, sizeof(digest));
	return 0;
}

/* The node half of a process that is the admin too joins that one, whatever etc/init says. */
static int take_given(const struct cluster *given, struct cluster *out, struct keystore **keystore,
		      struct err *err)
{
	*out = (struct cluster){.host = text_copy(given->host),
				.port = given->port,
				.keystore = text_copy(given->keystore)};
	return keystore_parse(out->keystore, keystore, err);
}

static int find_all(const struct home *home, const struct runtime_options *options,
		    const struct document *doc, const struct model *model, struct cluster *cluster,
		    struct keystore **keystore, struct start *start, struct err *err)
{
	int rc = options->cluster ? take_given(options->cluster, cluster, keystore, err)
				  : read_cluster(doc, cluster, keystore, err);

	if (rc != 0 && err->code != ERR_GONE)
		return err_prefix(err, "%s/" INIT_FOLDER, home->etc);
	if (*keystore && strcmp((*keystore)->role, "*") != 0 &&
	    strcmp((*keystore)->role, options->role) != 0)
		return err_set(err, ERR_REFUSED, "the cluster file in etc/init is for role %s, this node is of role %s",
			       (*keystore)->role, options->role);
	if (match_state(start, options, *keystore, err) != 0)
		return -1;
	if (start->state.known && find_last(home, start, err) != 0)
		return -1;
	if ((!start->has_revision || options->force_reload) && !options->cluster) {
		revision_clear(&start->revision);
		start->has_revision = false;
		if (slice_init(doc, model, options->role, *keystore ? cluster : NULL, start, err) != 0)
			return -1;
		if (!start->has_revision && start->state.known && find_last(home, start, err) != 0)
			return -1;
	}
	if (choose_cluster(start, cluster, keystore, err) != 0)
		return -1;
	if (!start->has_cluster && !start->has_revision)
		return err_set(err, ERR_GONE,
			       "nothing to start from: put the cluster configuration (genclust prints it) into %s/" INIT_FOLDER,
			       home->etc);
	return 0;
}

/* A state that is not known yet, or was forgotten, begins with the cluster and role of this start. */
static void begin_state(struct start *start, const char *role)
{
	struct chain_state *chain = &start->state.chain;

	if (start->state.known)
		return;
	start->state.known = true;
	memcpy(chain->role, role, strlen(role) + 1);
	if (!start->keystore)
		return;
	memcpy(chain->cluster_id, start->keystore->cluster_id, CLUSTER_ID_SIZE);
	chain->key_count = start->keystore->release_count;
	memcpy(chain->keys, start->keystore->release_public, sizeof(chain->keys));
}

int init_find(const struct home *home, const struct runtime_options *options, struct start *out,
	      struct err *err)
{
	struct document *doc = NULL;
	struct model *model = NULL;
	struct cluster cluster = {0};
	struct keystore *keystore = NULL;
	int rc;

	*out = (struct start){0};
	rc = node_state_load(&out->state, home, err);
	if (rc == 0)
		rc = read_init(home, &out->init, err);
	if (rc == 0 && merge_fileset(&out->init, &doc, &model, err) != 0)
		rc = err_prefix(err, "%s/" INIT_FOLDER, home->etc);
	if (rc == 0)
		rc = find_all(home, options, doc, model, &cluster, &keystore, out, err);
	if (rc == 0)
		begin_state(out, options->role);
	else
		start_clear(out);
	keystore_free(keystore);
	cluster_clear(&cluster);
	document_free(doc);
	model_free(model);
	return rc;
}

void start_clear(struct start *start)
{
	fileset_clear(&start->init);
	node_state_clear(&start->state);
	revision_clear(&start->revision);
	if (start->has_cluster)
		cluster_clear(&start->cluster);
	keystore_free(start->keystore);
	*start = (struct start){0};
}
