/*
 * init: what a node starts from: the last configuration of this cluster and role, verified again;
 * if there is none, what is in etc/init, which is trusted because the operator put it there.
 */
#include "node/steps.h"

#include "config/document.h"
#include "config/merge.h"
#include "config/slice.h"
#include "core/limits.h"
#include "core/log.h"
#include "node/heal.h"

#include <stdlib.h>
#include <string.h>

void point_clear(struct point *point)
{
	keystore_free(point->keystore);
	cluster_clear(&point->cluster);
	*point = (struct point){.keystore = NULL};
}

void given_clear(struct given *given)
{
	point_clear(&given->point);
	seal_document_free(given->doc, given->model);
	model_free(given->model);
	initdir_marks_clear(&given->marks);
	*given = (struct given){.doc = NULL};
}

/* The cluster element of a document and its keystore. GONE when there is none. */
static int read_cluster(const struct document *doc, struct point *out, struct err *err)
{
	struct cluster cluster;

	if (cluster_read(doc, &cluster, err) != 0)
		return -1;
	if (!cluster.keystore) {
		cluster_clear(&cluster);
		return err_set(err, ERR_REFUSED, "the cluster configuration has no keystore");
	}
	if (keystore_parse(cluster.keystore, &out->keystore, err) != 0) {
		cluster_clear(&cluster);
		return -1;
	}
	out->cluster = cluster;
	return 0;
}

/*
 * Which cluster configuration it is: to see whether the one in etc/init is another than last time.
 */
void cluster_digest(const struct cluster *cluster, char out[static STATE_DIGEST_MAX])
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
		     struct point *out, struct err *err)
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
		rc = read_cluster(doc, out, err);
	seal_document_free(doc, model);
	model_free(model);
	return rc;
}

/*
 * Its secrets, sealed with the role's key. Without a key there must be none; the keystore is left
 * out then, and that of etc/init counts.
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
static int make_revision(const struct given *given, const char *role, struct start *start,
			 struct err *err)
{
	struct revision revision = {.is_init = true};
	struct document *part = NULL;
	char *scope = scope_of(role), id[SEAL_ID_HEX_SIZE];
	bool whole = given->point.keystore && keyring_seals(start->ring, scope, id);
	struct buf text;
	int rc = slice(given->doc, given->model, role, whole ? &given->point.cluster : NULL, &part,
		       err);

	buf_init(&text, LIMIT_XML_SIZE);
	if (rc == 0)
		rc = seal_slice(part, given->model, start->ring, role, err);
	if (rc == 0)
		rc = document_serialise(part, &text, err);
	if (rc == 0)
		rc = fileset_add(&revision.files, "config.xml", FILE_PLAIN, buf_text(&text),
				 text.len, err);
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

/*
 * A complete configuration in etc/init that has our role. It is checked before it is cut, so that
 * findings name the operator's files.
 */
static int slice_init(const struct given *given, const char *role, struct start *start,
		      struct err *err)
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

int init_settle(const struct home *home, const struct start *start, struct err *err)
{
	struct revision there;
	struct err unsound;
	int rc = 0;

	if (revision_read(home, start->revision.name, &start->state, &there, &unsound) == 0)
		revision_clear(&there);
	else
		rc = revision_write(home, start->revision.name, &start->revision.files, NULL, 0,
				    err);
	return rc == 0 ? revision_swap(home, start->revision.name, err) : rc;
}

int init_load(const struct home *home, const char *role, struct keyring *ring,
	      const struct node_state *state, const struct given *given,
	      char name[static REVISION_NAME_MAX], struct err *err)
{
	struct start start = {.ring = ring, .state = *state}; /* borrowed, both */
	int rc = slice_init(given, role, &start, err);

	name[0] = '\0';
	if (rc == 0 && start.has_revision)
		rc = init_settle(home, &start, err);
	if (rc == 0 && start.has_revision)
		memcpy(name, start.revision.name, REVISION_NAME_MAX);
	revision_clear(&start.revision);
	return rc == 0 ? 0 : err_prefix(err, "%s/" INITDIR, home->etc);
}

/*
 * Another hand took the last configuration, or damaged it: from the replica, else an older one that
 * was good.
 */
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
	log_warning("init", start->revision.name,
		    older ? "an older one that was good is served instead"
			  : "restored from the replica");
}

/*
 * The last configuration, if it verifies; what does not is told and mended, here or by the admin's
 * next release.
 */
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
static int match_role(const struct home *home, struct start *start,
		      const struct runtime_options *options, struct err *err)
{
	const char *role = start->state.chain.role;

	if (!start->state.known || strcmp(role, options->role) == 0)
		return 0;
	if (!options->force_reload && has_copy(home, start))
		return err_set(err, ERR_REFUSED,
			       "the local copy is of role %s, not %s: start with --force-reload to "
			       "begin anew in "
			       "the new role",
			       role, options->role);
	forget(start, "the local copy is of another role");
	return 0;
}

/* The same for a cluster. A node that had none yet joins the first one it is shown. */
static int match_cluster(const struct home *home, struct start *start,
			 const struct runtime_options *options, const struct keystore *keystore,
			 struct err *err)
{
	static const uint8_t none[CLUSTER_ID_SIZE];
	const uint8_t *id = start->state.chain.cluster_id;

	if (!start->state.known || !keystore ||
	    memcmp(id, keystore->cluster_id, CLUSTER_ID_SIZE) == 0 ||
	    memcmp(id, none, CLUSTER_ID_SIZE) == 0)
		return 0;
	if (!options->force_reload && has_copy(home, start))
		return err_set(
			err, ERR_REFUSED,
			"the local copy is of another cluster than the cluster file in %s/" INITDIR
			": start with --force-reload to adopt the new cluster",
			home->etc);
	forget(start, "the local copy is of another cluster");
	return 0;
}

/*
 * The cluster configurations there are. That of etc/init counts first if it is another than the one
 * last read and there was something else to count: whoever points a node to another place by hand
 * means it.
 */
static void choose_cluster(const struct runtime_options *options, struct start *start,
			   struct given *given)
{
	char digest[STATE_DIGEST_MAX];
	struct err gone = {0};

	/* it can serve all the same; SIGHUP looks once more */
	if (start->has_revision &&
	    revision_cluster(&start->revision, start->ring, options->role, &start->active, &gone) !=
		    0 &&
	    gone.code != ERR_GONE)
		log_error("init", "cluster", "the last configuration's is not used: %s", gone.text);
	start->file = given->point;
	given->point = (struct point){.keystore = NULL};
	if (!start->file.keystore || options->cluster)
		return;
	cluster_digest(&start->file.cluster, digest);
	if (!options->force_reload && strcmp(digest, start->state.init_digest) == 0)
		return;
	start->state.init_wins = start->repointed = start->active.keystore && !start->from_init;
	memcpy(start->state.init_digest, digest, sizeof(digest));
}

/* The node half of a process that is the admin too joins that one, whatever etc/init says. */
static int take_own(const struct cluster *own, struct point *out, struct err *err)
{
	out->cluster = (struct cluster){.host = text_copy(own->host),
					.port = own->port,
					.keystore = text_copy(own->keystore)};
	return keystore_parse(out->cluster.keystore, &out->keystore, err);
}

static int read_given(const struct fileset *files, const char *role, struct given *out,
		      struct err *err)
{
	const struct keystore *keystore;

	if (merge_fileset(files, &out->doc, &out->model, err) != 0)
		return -1;
	if (read_cluster(out->doc, &out->point, err) != 0)
		return err->code == ERR_GONE ? 0 : -1;
	keystore = out->point.keystore;
	if (strcmp(keystore->role, "*") == 0 || strcmp(keystore->role, role) == 0)
		return 0;
	return err_set(err, ERR_REFUSED,
		       "the cluster file is for role %s, this node is of role %s: genclust -r %s "
		       "prints one for it",
		       keystore->role, role, role);
}

int given_read(const struct home *home, const char *role, struct given *out, struct err *err)
{
	struct fileset files = {0};
	int rc = initdir_read(home, &files, err);

	*out = (struct given){.doc = NULL};
	if (rc != 0)
		return rc;
	initdir_mark(&files, true, &out->marks);
	rc = read_given(&files, role, out, err);
	initdir_clear(&files);
	return rc == 0 ? 0 : err_prefix(err, "%s/" INITDIR, home->etc);
}

/*
 * etc/init, or the cluster of the admin in the same process. A mistake in it does not stop a node
 * that can serve.
 */
static int take_init(const struct home *home, const struct runtime_options *options,
		     struct start *start, struct given *given, struct err *err)
{
	struct initdir_marks marks;

	if (options->cluster)
		return take_own(options->cluster, &given->point, err);
	if (given_read(home, options->role, given, err) == 0)
		return 0;
	if (!start->has_revision || options->force_reload)
		return -1;
	log_error("init", "", "not read, the last configuration counts: %s", err->text);
	marks = given->marks;
	given->marks = (struct initdir_marks){.known = false};
	given_clear(given);
	given->marks = marks;
	return 0;
}

void chain_begin(struct chain_state *chain, const struct keystore *keystore)
{
	if (chain->has_accepted)
		return;
	memcpy(chain->cluster_id, keystore->cluster_id, CLUSTER_ID_SIZE);
	chain->key_count = keystore->release_count;
	memcpy(chain->keys, keystore->release_public, sizeof(chain->keys));
}

/* What a state that is lost said, as far as it can be told from the rest. */
static int recover(const struct home *home, const struct runtime_options *options,
		   struct start *start, struct given *given, struct err *err)
{
	struct chain_state chain = {.has_accepted = false};

	if (!given->point.keystore)
		return 0;
	memcpy(chain.role, options->role, strlen(options->role) + 1);
	chain_begin(&chain, given->point.keystore);
	if (!recover_state(home, &chain, &start->state))
		return 0;
	start->rebuilt = true;
	/*
	 * the cluster as the last release has it may be newer than the file that a first start was
	 * given
	 */
	if (!options->cluster)
		cluster_digest(&given->point.cluster, start->state.init_digest);
	return find_last(home, start, err);
}

/* What was loaded first is remembered, and later told when it is something else by now. */
static void compare_init(struct start *start, struct given *given, bool loaded)
{
	if (!given->marks.known)
		return; /* not read, which was told */
	if (!loaded)
		start->difference = initdir_difference(&start->state.init_marks, &given->marks);
	if (!loaded && start->state.init_marks.known)
		return;
	initdir_marks_clear(&start->state.init_marks);
	start->state.init_marks = given->marks;
	given->marks = (struct initdir_marks){.known = false};
}

void start_tell(const struct home *home, const struct runtime_options *options,
		const struct start *start)
{
	if (start->difference)
		log_warning("init", "",
			    "%s/" INITDIR " differs from what was loaded first, and the last "
					  "configuration counts: %s "
			    "(--force-reload reads it again)",
			    home->etc, start->difference);
	if (start->repointed)
		log_notice("init", "cluster",
			   "%s/" INITDIR " has another one, which counts: admin %s port %u",
			   home->etc, start->file.cluster.host, start->file.cluster.port);
	if (!options->force_reload)
		return;
	if (start->from_init)
		log_notice("init", start->revision.name,
			   "%s/" INITDIR " is read again and counts from now on", home->etc);
	else if (start->has_revision && !options->cluster)
		log_warning(
			"init", "",
			"%s/" INITDIR
			" is read again, but has no configuration of role %s: the last one counts",
			home->etc, options->role);
}

static int find_all(const struct home *home, const struct runtime_options *options,
		    struct start *start, struct given *given, struct err *err)
{
	bool load;

	if (match_role(home, start, options, err) != 0)
		return -1;
	if (start->state.known && find_last(home, start, err) != 0)
		return -1;
	if (take_init(home, options, start, given, err) != 0 ||
	    match_cluster(home, start, options, given->point.keystore, err) != 0)
		return -1;
	if (!start->state.known && !start->anew && recover(home, options, start, given, err) != 0)
		return -1;
	load = !start->has_revision || options->force_reload;
	if (load && given->doc && slice_init(given, options->role, start, err) != 0)
		return err_prefix(err, "%s/" INITDIR, home->etc);
	compare_init(start, given, load);
	choose_cluster(options, start, given);
	if (!start->file.keystore && !start->active.keystore && !start->has_revision)
		return err_set(err, ERR_GONE,
			       "nothing to start from: put the cluster configuration (genclust "
			       "prints it) into %s/" INITDIR,
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
	if (start->file.keystore || start->active.keystore)
		chain_begin(chain,
			    start->file.keystore ? start->file.keystore : start->active.keystore);
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

/*
 * One that is gone or damaged is in its copy still: what was accepted, and what this node is held
 * at, is not lost with it.
 */
static int find_state(const struct home *home, const struct runtime_options *options,
		      struct start *out, struct err *err)
{
	int rc = node_state_load(&out->state, home, err);

	if (rc == 0 && out->state.known) {
		out->before = node_state_format(&out->state);
		return 0;
	}
	if (rc != 0 && err->code != ERR_CORRUPT)
		return rc;
	if (rc != 0)
		log_error("init", "state", "%s", err->text);
	if (node_state_load_copy(&out->state, home)) {
		out->rebuilt = true;
		log_warning("init", "state", "taken from its copy, up to sequence %llu",
			    (unsigned long long)out->state.chain.sequence);
	} else if (rc != 0 && options->force_reload) {
		forget(out, "the state is damaged");
	}
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
		rc = find_state(home, options, out, err);
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
	free(start->difference);
	keyring_free(start->ring);
	node_state_clear(&start->state);
	revision_clear(&start->revision);
	point_clear(&start->file);
	point_clear(&start->active);
	*start = (struct start){0};
}
