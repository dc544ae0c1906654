/* What another hand damaged, made anew from what is left: see heal.h. */
#include "node/heal.h"

#include "core/fs.h"
#include "core/log.h"
#include "node/quarantine.h"
#include "node/steps.h"
#include "repo/pack.h"

#include <stdlib.h>
#include <string.h>

#define REPLICA "node/replica.git"

/* --- revisions --- */

static int open_replica(const struct home *home, struct repo **out, struct err *err)
{
	char *path = home_var(home, REPLICA);
	int rc = repo_open(path, out, err);

	free(path);
	return rc;
}

/* From the releases this node accepted; the digest is compared, as everywhere. */
static int read_release(const struct home *home, const struct node_state *state,
			struct revision *out, struct err *err)
{
	const struct chain_state *chain = &state->chain;
	struct repo *replica = NULL;
	struct buf raw;
	int rc;

	if (!node_state_accepted(state, &out->oid))
		return err_set(err, ERR_GONE, "this node never accepted that release");
	buf_init(&raw, LIMIT_COMMIT_SIZE);
	rc = open_replica(home, &replica, err);
	if (rc == 0)
		rc = repo_commit_raw(replica, &out->oid, &raw, err);
	if (rc == 0)
		rc = release_parse(raw.data, raw.len, &out->release, err);
	if (rc == 0 && (memcmp(out->release.cluster_id, chain->cluster_id, CLUSTER_ID_SIZE) != 0 ||
			strcmp(out->release.role, chain->role) != 0))
		rc = err_set(err, ERR_CORRUPT, "it is of another cluster or role");
	if (rc == 0)
		rc = chain_content(replica, &out->release, &out->files, err);
	if (rc == 0) {
		out->raw = mem_new(raw.len, 1);
		memcpy(out->raw, raw.data, raw.len);
		out->raw_size = raw.len;
	}
	buf_clear(&raw);
	repo_free(replica);
	return rc;
}

/* From what the operator put there, if that comes out the same once more. */
static int read_init(const struct home *home, const struct node_state *state, const char *name,
		     struct revision *out, struct err *err)
{
	const struct runtime_options options = {
		.name = "", .role = state->chain.role, .force_reload = true};
	struct start start;

	if (init_find(home, &options, &start, err) != 0)
		return -1;
	if (start.from_init && strcmp(start.revision.name, name) == 0) {
		*out = start.revision;
		start.revision = (struct revision){.is_init = false};
		start_clear(&start);
		return 0;
	}
	start_clear(&start);
	return err_set(err, ERR_GONE, "etc/init holds another configuration by now");
}

int mend_read(const struct home *home, const char *name, const struct node_state *state,
	      struct revision *out, struct err *err)
{
	struct revision revision = {.is_init = false};
	int rc;

	if (strlen(name) >= sizeof(revision.name))
		return err_set(err, ERR_CORRUPT, "\"%.80s\" is no name of a revision", name);
	if (text_starts(name, "init-"))
		return read_init(home, state, name, out, err);
	if (oid_parse(name, &revision.oid) != 0)
		return err_set(err, ERR_CORRUPT, "\"%.80s\" is no name of a revision", name);
	memcpy(revision.name, name, strlen(name) + 1);
	rc = read_release(home, state, &revision, err);
	if (rc == 0)
		*out = revision;
	else
		revision_clear(&revision);
	return rc;
}

int mend_write(const struct home *home, const struct revision *revision, struct err *err)
{
	return revision_write(home, revision->name, &revision->files, revision->raw,
			      revision->raw_size, err);
}

/* A fault of the content, not of the disk. */
static bool is_unsound(const struct err *err)
{
	return err->code == ERR_CORRUPT || err->code == ERR_GONE || err->code == ERR_REFUSED;
}

int mend_revision(const struct home *home, const char *name, const struct node_state *state,
		  struct revision *out, bool *mended, struct err *err)
{
	struct err why = {.code = ERR_NONE};
	int rc;

	*mended = false;
	if (revision_read(home, name, state, out, err) == 0)
		return 0;
	/* as root it would not be denied: a mode that another hand gave it */
	if (!is_unsound(err) && err->code != ERR_DENIED)
		return -1;
	rc = mend_read(home, name, state, out, &why);
	if (rc == 0 && mend_write(home, out, &why) != 0) {
		revision_clear(out);
		rc = -1;
	}
	*mended = rc == 0;
	return rc;
}

int mend_older(const struct home *home, const char *name, const struct node_state *state,
	       struct revision *out, struct err *err)
{
	for (size_t i = 0; i < state->log_count; i++) {
		const struct state_entry *entry = state->log + i;
		char hex[OID_HEX_SIZE];

		if ((entry->verdict != VERDICT_ACTIVE && entry->verdict != VERDICT_PAST) ||
		    strcmp(oid_hex(&entry->release, hex), name) == 0)
			continue;
		if (revision_read(home, hex, state, out, err) == 0 ||
		    mend_read(home, hex, state, out, err) == 0)
			return 0;
	}
	return err_set(err, ERR_GONE, "there is no older one either");
}

/* --- the replica --- */

bool replica_has(const struct home *home, const struct chain_state *chain)
{
	struct repo *replica = NULL;
	struct err why;
	struct buf raw;
	bool has;

	if (!chain->has_accepted)
		return false;
	buf_init(&raw, LIMIT_COMMIT_SIZE);
	has = open_replica(home, &replica, &why) == 0 &&
	      repo_commit_raw(replica, &chain->accepted, &raw, &why) == 0;
	buf_clear(&raw);
	repo_free(replica);
	return has;
}

static int check_once(const struct home *home, const struct chain_state *chain,
		      const atomic_bool *stop, struct err *err)
{
	char *ref = text_format("refs/heads/%s", chain->role);
	struct repo *replica = NULL;
	struct err why;
	struct oid tip;
	int rc = 0;

	if (chain->has_accepted)
		rc = open_replica(home, &replica, err);
	if (rc == 0 && chain->has_accepted)
		rc = pack_check_whole(replica, &chain->accepted, stop, err);
	/* the branch is there for people: it is moved and no more */
	if (rc == 0 && chain->has_accepted &&
	    (repo_ref_get(replica, ref, &tip, &why) != 0 || !oid_equal(&tip, &chain->accepted)))
		rc = quarantine_branch(home, chain->role, &chain->accepted, err);
	repo_free(replica);
	free(ref);
	return rc;
}

int replica_check(const struct home *home, const struct chain_state *chain, const atomic_bool *stop,
		  struct err *err)
{
	if (check_once(home, chain, stop, err) == 0)
		return 0;
	if (!is_unsound(err))
		return -1;
	/*
	 * packs may have been joined meanwhile: what was open is gone, the second look finds all of
	 * it
	 */
	return check_once(home, chain, stop, err);
}

int replica_remove(const struct home *home, struct err *err)
{
	return fs_remove_tree(home->var_fd, REPLICA, err);
}

bool replica_suspect(const struct home *home, const struct chain_state *chain, struct err *err)
{
	struct err why = {.code = ERR_NONE}, left;

	if (!is_unsound(err) || !chain->has_accepted ||
	    replica_check(home, chain, NULL, &why) == 0 || !is_unsound(&why))
		return false;
	if (replica_remove(home, &left) != 0)
		log_error("watch", REPLICA, "damaged, and cannot be removed: %s", left.text);
	(void)err_set(err, ERR_RETRY, "the replica is damaged and is fetched anew: %s", why.text);
	return true;
}
