/*
 * fetch: the role's branch, or the small pack that came with the news of it, comes into a
 * quarantine, a bare repository of its own whose alternates are the replica's objects and whose one
 * ref is the newest accepted release, so that libgit2 asks for what is new. Nothing leaves it
 * before verify passes.
 */
#include "node/steps.h"

#include "channel/transport.h"
#include "core/fs.h"
#include "core/limits.h"
#include "core/log.h"
#include "core/loop.h"
#include "node/heal.h"
#include "node/quarantine.h"
#include "repo/git.h"
#include "repo/pack.h"

#include <stdlib.h>
#include <unistd.h>

static void part_done(struct cycle *cycle)
{
	if (--cycle->fetch_parts > 0)
		return;
	/* the branch may have moved on since the admin named it */
	if (cycle->rc == 0 && oid_equal(&cycle->runtime->head, &cycle->asked))
		cycle->runtime->head = cycle->target;
	if (cycle->rc != 0 && !cycle->pack.len && cycle->runtime->link)
		/* its bytes may still be under way */
		link_drop(cycle->runtime->link, "the fetch failed");
	cycle_step_done(cycle, cycle->rc, &cycle->err);
}

void fetch_pumped(struct runtime *runtime)
{
	if (runtime->cycle && runtime->cycle->fetch_parts > 0)
		part_done(runtime->cycle);
}

void fetch_give_up(struct runtime *runtime)
{
	if (runtime->cycle && runtime->cycle->fetch_parts > 0 && !runtime->cycle->pack.len &&
	    runtime->link)
		link_drop(runtime->link, "the fetch was given up for a rollback on this node");
}

static void on_work(void *arg)
{
	struct cycle *cycle = arg;

	const struct home *home = cycle->runtime->home;
	struct chain_state have = cycle->chain;

	cycle->err = (struct err){0};
	/*
	 * of a replica that was lost all is fetched; it must descend from the accepted release all
	 * the same
	 */
	cycle->whole = have.has_accepted && !replica_has(home, &have);
	have.has_accepted &= !cycle->whole;
	cycle->rc = quarantine_make(home, &have, &cycle->quarantine, &cycle->err);
	if (cycle->rc == 0)
		cycle->rc = transport_fetch(cycle->quarantine, cycle->chain.role, cycle->fd,
					    WAIT_FETCH, &cycle->target, &cycle->err);
	(void)close(cycle->fd); /* the pump sees the end of it */
	cycle->fd = -1;
	if (cycle->rc != 0 && !cycle->whole && replica_suspect(home, &cycle->chain, &cycle->err))
		heal_replica_lost(cycle->runtime);
}

/* The admin sent it unasked: what the release adds to the accepted one. */
static void on_pack_work(void *arg)
{
	struct cycle *cycle = arg;

	cycle->err = (struct err){0};
	cycle->rc = quarantine_make(cycle->runtime->home, &cycle->chain, &cycle->quarantine,
				    &cycle->err);
	if (cycle->rc == 0 && !replica_has(cycle->runtime->home, &cycle->chain))
		cycle->rc = err_set(&cycle->err, ERR_RETRY,
				    "the replica has lost the release before it");
	if (cycle->rc == 0)
		cycle->rc =
			pack_put(cycle->quarantine, cycle->pack.data, cycle->pack.len, &cycle->err);
	if (cycle->rc != 0)
		/* it is not the release's fault: it is asked for next time */
		cycle->err.code = ERR_RETRY;
}

static void on_done(void *arg)
{
	struct cycle *cycle = arg;

	cycle->runtime->busy--;
	part_done(cycle);
}

/*
 * Whether the last news brought just what is missing. It is used once: what fails then is asked
 * for.
 */
static bool take_pack(struct cycle *cycle)
{
	struct news *news = &cycle->runtime->news;

	if (!news->pack.len || !cycle->chain.has_accepted ||
	    !oid_equal(&news->base, &cycle->chain.accepted) ||
	    !oid_equal(&news->release, &cycle->target))
		return false;
	cycle->pack = news->pack;
	buf_init(&news->pack, 0); /* it is taken */
	return true;
}

void fetch_step(struct cycle *cycle)
{
	struct runtime *runtime = cycle->runtime;
	struct err err;

	if (cycle->is_hold ||
	    (cycle->chain.has_accepted && oid_equal(&cycle->chain.accepted, &cycle->target) &&
	     !atomic_load(&runtime->replica_lost))) {
		cycle_step_done(cycle, 0, NULL); /* it is on the disk */
		return;
	}
	if (take_pack(cycle)) {
		log_debug("fetch", runtime->name, "it came with the news");
		cycle->fetch_parts = 1;
		runtime->busy++;
		loop_work(runtime->loop, on_pack_work, on_done, cycle);
		return;
	}
	if (!runtime->link || !link_fetch(runtime->link, &cycle->fd)) {
		(void)err_set(&err, ERR_RETRY, "the admin is away");
		cycle_step_done(cycle, -1, &err);
		return;
	}
	cycle->fetch_parts = 2;
	runtime->busy++;
	loop_work(runtime->loop, on_work, on_done, cycle);
}
