/* verify: every release between the newest accepted one and what was fetched; only then does it leave the quarantine. */
#include "node/steps.h"

#include "core/limits.h"
#include "core/log.h"
#include "node/quarantine.h"
#include "repo/pack.h"

/* The whole chain, and every object that came. */
static int verify_fetched(struct cycle *cycle, struct repo *repo, struct err *err)
{
	struct oid before = cycle->chain.accepted;
	bool had = cycle->chain.has_accepted;

	if (chain_verify(repo, &cycle->chain, &cycle->target, &cycle->release, err) != 0)
		return -1;
	return pack_check_reachable(repo, &cycle->target, had ? &before : NULL, err);
}

/* An accepted release once more, from the replica. */
static int read_accepted(struct cycle *cycle, struct err *err)
{
	return release_parse(cycle->raw.data, cycle->raw.len, &cycle->release, err);
}

int verify_step(struct cycle *cycle, struct err *err)
{
	const struct home *home = cycle->runtime->home;
	struct repo *repo = NULL;
	int rc = cycle->fetched ? quarantine_open(home, &repo, err) : replica_open(home, &repo, err);

	if (rc == 0 && cycle->fetched)
		rc = verify_fetched(cycle, repo, err);
	if (rc == 0)
		rc = repo_commit_raw(repo, &cycle->target, &cycle->raw, err);
	if (rc == 0 && !cycle->fetched)
		rc = read_accepted(cycle, err);
	if (rc == 0)
		rc = chain_content(repo, &cycle->release, &cycle->files, err);
	repo_free(repo);
	if (rc == 0 && cycle->fetched)
		rc = quarantine_release(home, cycle->chain.role, &cycle->target, err);
	return rc;
}
