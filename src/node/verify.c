/*
 * verify: every release between the newest accepted one and what was fetched; only then does it
 * leave the quarantine.
 */
#include "node/steps.h"

#include "core/limits.h"
#include "core/log.h"
#include "node/heal.h"
#include "node/hold.h"
#include "node/quarantine.h"
#include "repo/pack.h"

/* The whole chain, and every object that came. */
static int verify_fetched(struct cycle *cycle, struct err *err)
{
	struct oid before = cycle->chain.accepted;
	bool had = cycle->chain.has_accepted && !cycle->whole;

	if (chain_verify(cycle->quarantine, &cycle->chain, &cycle->target, &cycle->release, err) !=
	    0)
		return -1;
	return pack_check_reachable(cycle->quarantine, &cycle->target, had ? &before : NULL, err);
}

/* What was fetched leaves the quarantine last, when all of it is believed. */
static int take_fetched(struct cycle *cycle, struct err *err)
{
	int rc = verify_fetched(cycle, err);

	if (rc == 0)
		rc = repo_commit_raw(cycle->quarantine, &cycle->target, &cycle->raw, err);
	if (rc == 0)
		rc = chain_content(cycle->quarantine, &cycle->release, &cycle->files, err);
	repo_free(cycle->quarantine);
	cycle->quarantine = NULL;
	if (rc == 0)
		rc = quarantine_release(cycle->runtime->home, cycle->chain.role, &cycle->target,
					err);
	if (rc == 0)
		atomic_store(&cycle->runtime->replica_lost, false);
	return rc;
}

/* An accepted release once more, from the replica. */
static int read_accepted(struct cycle *cycle, struct err *err)
{
	struct repo *replica = NULL;
	int rc = replica_open(cycle->runtime->home, &replica, err);

	if (rc == 0)
		rc = repo_commit_raw(replica, &cycle->target, &cycle->raw, err);
	if (rc == 0)
		rc = release_parse(cycle->raw.data, cycle->raw.len, &cycle->release, err);
	if (rc == 0)
		rc = chain_content(replica, &cycle->release, &cycle->files, err);
	repo_free(replica);
	return rc;
}

/* What this node is held at, or what is wished. */
static int read_held(struct cycle *cycle, struct err *err)
{
	struct revision revision;

	if (hold_read(cycle->runtime->home, &cycle->known, cycle->name, &revision, err) != 0)
		return -1;
	if (revision.raw)
		buf_put(&cycle->raw, revision.raw, revision.raw_size);
	cycle->release = revision.release;
	revision.release = (struct release){.sequence = 0};
	cycle->files = revision.files;
	revision.files = (struct fileset){0};
	revision_clear(&revision);
	return 0;
}

int verify_step(struct cycle *cycle, struct err *err)
{
	struct chain_state before = cycle->chain;
	int rc = cycle->is_hold	     ? read_held(cycle, err)
		 : cycle->quarantine ? take_fetched(cycle, err)
				     : read_accepted(cycle, err);

	/* a release is not refused for what is wrong with the replica */
	if (rc != 0 && !cycle->whole && replica_suspect(cycle->runtime->home, &before, err))
		heal_replica_lost(cycle->runtime);
	return rc;
}
