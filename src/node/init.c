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
#include "node/heal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INIT_FOLDER "init"

/* What etc/init holds. */
struct given {
	struct document *doc; /* merged; NULL: nothing that counts */
	struct model *model;
	struct cluster cluster;
	struct keystore *keystore; /* NULL: no cluster configuration */
};

static void given_clear(struct given *given)
{
	keystore_free(given->keystore);
	cluster_clear(&given->cluster);
	seal_document_free(given->doc, given->model);
	model_free(given->model);
	*given = (struct given){0};
}

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

int revision_cluster(const struct revision *revision, const struct keyring *ring, const char *role,
		     struct cluster *cluster, struct keystore **keystore, struct err *err)
{
	const struct file *file = fileset_find(&revision->files, "config.xml");
	const struct sealer sealer = sealer_of(ring);
	struct model *model;
	struct document *doc = NULL;
	int rc;

	if (!file)
		return err_set(err, ERR_GONE, "no configuration");
	rc = document_parse("config.xml", file->data, file->size, &doc, err);
	model = model_default(); /* the place of the keystore is no site's own */
	if (rc == 0)
		rc = seal_open_cluster(doc, model, &sealer, role, err);
	if (rc == 0)
		rc = read_cluster(doc, cluster, keystore, err);
	seal_document_free(doc, model);
	model_free(model);
	return rc;
}

/*
 * Its secrets, sealed with the role's key. Without a key there must be none; the keystore is left out then, and that of etc/init
 * counts.
 */
static int seal_slice(struct document *part, const struct model *model, const struct keyring *ring,
		      const char *role, struct err *err)
{
	const struct sealer sealer = sealer_of(ring);
	struct findings findings = {0};
	int rc = seal_for_role(part, model, &sealer, role, &findings);

	for (size_t i = 0; i < findings.count; i++)
		log_error("init", "", "%s", findings.lines[i]);
	if (rc != 0)
		(void)err_set(err, ERR_REFUSED, "%s", findings.lines[0]);
	findings_clear(&findings);
	return rc;
}

/* The slice as a revision that is not yet on the disk, in the place of any other. */
static int make_revision(const struct given *given, const char *role, struct start *start, struct err *err)
{
	struct revision revision = {.is_init = true};
	struct document *part = NULL;
	char *scope = scope_of(role), id[SEAL_ID_HEX_SIZE];
	bool whole = given->keystore && keyring_seals(start->ring, scope, id);
	struct buf text;
	int rc = slice(given->doc, given->model, role, whole ? &given->cluster : NULL, &part, err);

	buf_init(&text, LIMIT_XML_SIZE);
	if (rc == 0)
		rc = seal_slice(part, given->model, start->ring, role, err);
	if (rc == 0)
		rc = document_serialise(part, &text, err);
	if (rc == 0)
		rc = fileset_add(&revision.files, "config.xml", FILE_PLAIN, buf_text(&text), text.len, err);
	if (rc == 0)
		rc = check_files(&revision.files, start->ring, role, err);
	if (rc == 0) {
		revision_init_name(&revision.files, revision.name);
		revision_clear(&start->revision);
		start->revision = revision;
		start->has_revision = start->from_init = true;
	} else {
		revision_clear(&revision);
	}
	buf_clear(&text);
	free(scope);
	seal_document_free(part, given->model);
	return rc;
}

/* A complete configuration in etc/init that has our role. It is checked before it is cut, so that findings name the operator's files. */
static int slice_init(const struct given *given, const char *role, struct start *start, struct err *err)
{
	struct roles roles = {0};
	bool ours = false;
	int rc = slice_roles(given->doc, &roles, err);

	for (size_t i = 0; i < roles.count; i++)
		ours |= strcmp(roles.names[i], role) == 0;
	if (rc == 0 && ours)
		rc = check_document(given->doc, given->model, NULL, NULL, role, err);
	if (rc == 0 && ours)
		rc = make_revision(given, role, start, err);
	roles_clear(&roles);
	return rc;
}

/* Another hand took the last configuration, or damaged it: from the replica, else an older one that was good. */
static void mend_last(const struct home *home, const char *name, struct start *start)
{
	struct err why;
	bool older = false;
	int rc = -1;

	/* one of etc/init comes from there */
	if (text_starts(name, "init-"))
		return;
	if (*name)
		rc = mend_read(home, name, &start->state, &start->revision, &why);
	if (rc != 0) {
		older = true;
		rc = mend_older(home, name, &start->state, &start->revision, &why);
	}
	if (rc != 0)
		return;
	start->has_revision = start->mended = true;
	memcpy(start->state.active, start->revision.name, sizeof(start->state.active));
	log_warning("init", start->revision.name, older ? "an older one that was good is served instead"
							: "restored from the replica");
}

/* The last configuration, if it verifies; what does not is told and mended, here or by the admin's next release. */
static int find_last(const struct home *home, struct start *start, struct err *err)
{
	char name[REVISION_NAME_MAX];
	struct err link = {.code = ERR_NONE};

	if (revision_current(home, name, &link) != 0) {
		if (link.code == ERR_GONE && !start->state.active[0])
			return 0;
		log_error("init", "current", "moved away by another hand: %s", link.text);
		memcpy(name, start->state.active, sizeof(name));
		start->mended = true;
	}
	if (revision_read(home, name, &start->state, &start->revision, err) == 0) {
		start->has_revision = true;
		return 0;
	}
	start->mended = false;
	if (err->code != ERR_CORRUPT && err->code != ERR_REFUSED && err->code != ERR_GONE &&
	    err->code != ERR_DENIED)
		return -1;
	log_error("init", "current", "the last configuration is unusable: %s", err->text);
	mend_last(home, name, start);
	return 0;
}

/* Nothing of the state counts any more. */
static void forget(struct start *start, const char *why)
{
	log_warning("init", "state", "%s: starting anew", why);
	node_state_clear(&start->state);
	revision_clear(&start->revision);
	start->has_revision = false;
	start->anew = true;
}

/* Whether there is anything that a start in another role or cluster would throw away. */
static bool has_copy(const struct home *home, const struct start *start)
{
	char name[REVISION_NAME_MAX];
	struct err err;

	return start->state.chain.has_accepted || revision_current(home, name, &err) == 0;
}

/* A state of another role: refused, or with force_reload forgotten. */
static int match_role(const struct home *home, struct start *start, const struct runtime_options *options,
		      struct err *err)
{
	const char *role = start->state.chain.role;

	if (!start->state.known || strcmp(role, options->role) == 0)
		return 0;
	if (!options->force_reload && has_copy(home, start))
		return err_set(err, ERR_REFUSED,
			       "the local copy is of role %s, not %s: start with --force-reload to begin anew in "
			       "the new role",
			       role, options->role);
	forget(start, "the local copy is of another role");
	return 0;
}

/* The same for a cluster. A node that had none yet joins the first one it is shown. */
static int match_cluster(const struct home *home, struct start *start, const struct runtime_options *options,
			 const struct keystore *keystore, struct err *err)
{
	static const uint8_t none[CLUSTER_ID_SIZE];
	const uint8_t *id = start->state.chain.cluster_id;

	if (!start->state.known || !keystore || memcmp(id, keystore->cluster_id, CLUSTER_ID_SIZE) == 0 ||
	    memcmp(id, none, CLUSTER_ID_SIZE) == 0)
		return 0;
	if (!options->force_reload && has_copy(home, start))
		return err_set(err, ERR_REFUSED,
			       "the local copy is of another cluster than the cluster file in %s/" INIT_FOLDER
			       ": start with --force-reload to adopt the new cluster",
			       home->etc);
	forget(start, "the local copy is of another cluster");
	return 0;
}

/* Which cluster configuration counts: a new one in etc/init, else the slice's, else etc/init's. */
static void choose_cluster(const struct runtime_options *options, struct start *start, struct given *given)
{
	char digest[STATE_DIGEST_MAX] = "";
	bool fresh = options->cluster != NULL;
	struct err gone = {0};

	if (given->keystore) {
		cluster_digest(&given->cluster, digest);
		fresh |= strcmp(digest, start->state.init_digest) != 0;
	}
	if (!fresh && start->has_revision &&
	    revision_cluster(&start->revision, start->ring, options->role, &start->cluster, &start->keystore,
			     &gone) == 0) {
		start->has_cluster = true;
		return;
	}
	/* it can serve all the same; SIGHUP looks once more */
	if (gone.code != ERR_NONE && gone.code != ERR_GONE)
		log_error("init", "cluster", "the last configuration's is not used: %s", gone.text);
	if (!given->keystore)
		return;
	start->cluster = given->cluster;
	start->keystore = given->keystore;
	start->has_cluster = true;
	given->cluster = (struct cluster){0};
	given->keystore = NULL;
	memcpy(start->state.init_digest, digest, sizeof(digest));
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

static int read_given(const struct home *home, const struct runtime_options *options, struct start *start,
		      struct given *given, struct err *err)
{
	int rc = read_init(home, &start->init, err);

	if (rc != 0)
		return rc;
	if (merge_fileset(&start->init, &given->doc, &given->model, err) != 0)
		return err_prefix(err, "%s/" INIT_FOLDER, home->etc);
	if (read_cluster(given->doc, &given->cluster, &given->keystore, err) != 0)
		return err->code == ERR_GONE ? 0 : err_prefix(err, "%s/" INIT_FOLDER, home->etc);
	if (strcmp(given->keystore->role, "*") != 0 && strcmp(given->keystore->role, options->role) != 0)
		return err_set(err, ERR_REFUSED,
			       "%s/" INIT_FOLDER ": the cluster file is for role %s, this node is of role %s: "
			       "genclust -r %s prints one for it",
			       home->etc, given->keystore->role, options->role, options->role);
	return 0;
}

/* etc/init, or the cluster of the admin in the same process. A mistake in it does not stop a node that can serve. */
static int take_init(const struct home *home, const struct runtime_options *options, struct start *start,
		     struct given *given, struct err *err)
{
	if (options->cluster)
		return take_given(options->cluster, &given->cluster, &given->keystore, err);
	if (read_given(home, options, start, given, err) == 0)
		return 0;
	if (!start->has_revision || options->force_reload)
		return -1;
	log_error("init", "", "not read, the last configuration counts: %s", err->text);
	given_clear(given);
	return 0;
}

static void chain_keys(struct chain_state *chain, const struct keystore *keystore)
{
	memcpy(chain->cluster_id, keystore->cluster_id, CLUSTER_ID_SIZE);
	chain->key_count = keystore->release_count;
	memcpy(chain->keys, keystore->release_public, sizeof(chain->keys));
}

/* What a state that is lost said, as far as it can be told from the rest. */
static int recover(const struct home *home, const struct runtime_options *options, struct start *start,
		   struct given *given, struct err *err)
{
	struct chain_state chain = {.has_accepted = false};

	if (!given->keystore)
		return 0;
	memcpy(chain.role, options->role, strlen(options->role) + 1);
	chain_keys(&chain, given->keystore);
	if (!recover_state(home, &chain, &start->state))
		return 0;
	start->rebuilt = true;
	/* the cluster as the last release has it may be newer than the file that a first start was given */
	if (!options->cluster)
		cluster_digest(&given->cluster, start->state.init_digest);
	return find_last(home, start, err);
}

static int find_all(const struct home *home, const struct runtime_options *options, struct start *start,
		    struct given *given, struct err *err)
{
	if (match_role(home, start, options, err) != 0)
		return -1;
	if (start->state.known && find_last(home, start, err) != 0)
		return -1;
	if (take_init(home, options, start, given, err) != 0 ||
	    match_cluster(home, start, options, given->keystore, err) != 0)
		return -1;
	if (!start->state.known && !start->anew && recover(home, options, start, given, err) != 0)
		return -1;
	if ((!start->has_revision || options->force_reload) && given->doc &&
	    slice_init(given, options->role, start, err) != 0)
		return err_prefix(err, "%s/" INIT_FOLDER, home->etc);
	choose_cluster(options, start, given);
	if (!start->has_cluster && !start->has_revision)
		return err_set(err, ERR_GONE,
			       "nothing to start from: put the cluster configuration (genclust prints it) into %s/" INIT_FOLDER,
			       home->etc);
	return 0;
}

/* The keys of the cluster file count until a release is accepted, whose own count then. */
static void begin_state(struct start *start, const char *role)
{
	struct chain_state *chain = &start->state.chain;

	if (!start->state.known) {
		start->state.known = true;
		memcpy(chain->role, role, strlen(role) + 1);
	}
	if (!start->keystore || chain->has_accepted)
		return;
	chain_keys(chain, start->keystore);
}

/* A secret that cannot be used stops a first start; later what is there is kept and served. */
static int find_keys(const struct home *home, struct keyring **out, struct err *err)
{
	char name[REVISION_NAME_MAX];
	struct err none;

	if (keyring_load(home, out, err) == 0)
		return 0;
	if (revision_current(home, name, &none) != 0)
		return -1;
	log_error("init", "secret", "not used: %s", err->text);
	*out = keyring_new();
	return 0;
}

int init_find(const struct home *home, const struct runtime_options *options, struct start *out,
	      struct err *err)
{
	struct given given = {0};
	int rc;

	*out = (struct start){0};
	rc = find_keys(home, &out->ring, err);
	if (rc == 0)
		rc = node_state_load(&out->state, home, err);
	if (rc == 0 && out->state.known) {
		out->before = node_state_format(&out->state);
	} else if (rc != 0 && err->code == ERR_CORRUPT) {
		log_error("init", "state", "%s", err->text);
		if (options->force_reload)
			forget(out, "the state is damaged");
		rc = 0;
	}
	if (rc == 0)
		rc = find_all(home, options, out, &given, err);
	if (rc == 0) {
		begin_state(out, options->role);
		out->settings = settings_of_slice(&out->revision.files);
	} else {
		start_clear(out);
	}
	/* whoever wants etc/init does not want what it was held at */
	if (rc == 0 && options->force_reload && out->from_init)
		out->state.here = (struct hold){.since = 0};
	given_clear(&given);
	return rc;
}

void start_clear(struct start *start)
{
	free(start->before);
	keyring_free(start->ring);
	fileset_clear(&start->init);
	node_state_clear(&start->state);
	revision_clear(&start->revision);
	if (start->has_cluster)
		cluster_clear(&start->cluster);
	keystore_free(start->keystore);
	*start = (struct start){0};
}
