/* Packs, built once: see packcache.h. */
#include "channel/packcache.h"

#include "core/limits.h"
#include "core/loop.h"
#include "core/text.h"
#include "repo/pack.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>

struct entry {
	struct entry *next; /* newest use first */
	struct packcache *cache;
	struct oid tip, common;
	bool has_common;
	bool ready;
	struct err err; /* why it could not be built */
	uint8_t *pack;
	size_t size;
	struct pack_ticket *waiting; /* to be called when it is built */
	struct pack_ticket *holding; /* that have it, or know that it failed */
	uint64_t asked; /* the order in which they were first asked for */
};

struct pack_ticket {
	/* LINK is what points to it: thousands give theirs back in any order */
	struct pack_ticket *next, **link;
	struct entry *entry;
	pack_ready_fn *ready;
	void *arg;
};

static void ticket_add(struct pack_ticket **list, struct pack_ticket *ticket)
{
	ticket->next = *list;
	ticket->link = list;
	if (*list)
		(*list)->link = &ticket->next;
	*list = ticket;
}

static void ticket_remove(struct pack_ticket *ticket)
{
	*ticket->link = ticket->next;
	if (ticket->next)
		ticket->next->link = ticket->link;
}

static bool wanted(const struct entry *entry)
{
	return entry->waiting || entry->holding;
}

/*
 * Builds before the repository is opened anew: libgit2 keeps every pack open that it has seen, also
 * those that were joined into another and removed since.
 */
enum { BUILDS_PER_OPEN = 32 };

struct packcache {
	uv_loop_t *loop;
	char *path;
	struct repo *repo; /* only the worker touches it, and there is one at a time */
	unsigned uses;	   /* of REPO; the worker's too */
	struct entry *first;
	struct entry *building;
	bool closing;
	uint64_t asked;
	struct packcache_stats stats;
};

struct packcache *packcache_new(uv_loop_t *loop, const char *repo_path)
{
	struct packcache *cache = mem_new(1, sizeof(*cache));

	cache->loop = loop;
	cache->path = text_copy(repo_path);
	return cache;
}

static void entry_remove(struct entry *entry)
{
	struct entry **link = &entry->cache->first;

	while (*link != entry)
		link = &(*link)->next;
	*link = entry->next;
	entry->cache->stats.bytes -= entry->size;
	free(entry->pack);
	free(entry);
}

/* Lets go of what no one uses, oldest use first, until the rest is within the limit. */
static void trim(struct packcache *cache)
{
	while (cache->stats.bytes > LIMIT_PACK_CACHE) {
		struct entry *oldest = NULL;

		for (struct entry *e = cache->first; e; e = e->next)
			if (e->ready && !wanted(e))
				oldest = e;
		if (!oldest)
			return;
		entry_remove(oldest);
	}
}

/* On the worker thread, which has the entry's pack and error until it is done. */
static void build(void *arg)
{
	struct entry *entry = arg;
	struct packcache *cache = entry->cache;
	struct buf pack;
	int rc = 0;

	if (cache->uses++ % BUILDS_PER_OPEN == 0) {
		repo_free(cache->repo);
		cache->repo = NULL;
	}
	if (!cache->repo)
		rc = repo_open(cache->path, &cache->repo, &entry->err);
	buf_init(&pack, LIMIT_PACK_SIZE);
	if (rc == 0)
		rc = pack_build(cache->repo, &entry->tip, entry->has_common ? &entry->common : NULL,
				&pack, &entry->err);
	if (rc == 0) {
		entry->pack = buf_steal(&pack, &entry->size);
		entry->pack = mem_grow(entry->pack, entry->size, 1); /* what is kept is no larger */
	} else {
		buf_clear(&pack);
		repo_free(cache->repo); /* the next looks at it anew */
		cache->repo = NULL;
	}
}

static void build_next(struct packcache *cache);

static void cache_release(struct packcache *cache)
{
	while (cache->first)
		entry_remove(cache->first);
	repo_free(cache->repo);
	free(cache->path);
	free(cache);
}

/* Who is called may give its ticket back, or those of others. */
static void answer(struct entry *entry)
{
	while (entry->waiting) {
		struct pack_ticket *ticket = entry->waiting;

		ticket_remove(ticket);
		ticket_add(&entry->holding, ticket);
		ticket->ready(ticket->arg, entry->pack, entry->size, &entry->err);
	}
}

static void on_built(void *arg)
{
	struct entry *entry = arg;
	struct packcache *cache = entry->cache;

	if (!cache->closing) {
		cache->stats.built += entry->err.code == ERR_NONE;
		cache->stats.bytes += entry->size;
		entry->ready = true;
		answer(entry); /* who is told may give back, ask, or free the cache */
	}
	cache->building = NULL;
	if (cache->closing) {
		cache_release(cache);
		return;
	}
	if (entry->err.code != ERR_NONE && !wanted(entry))
		entry_remove(entry); /* who asks next tries again */
	trim(cache);
	build_next(cache);
}

/*
 * The one that waits longest. While those who still take packs hold more than the limit, none:
 * memory is bound by the limit and one pack.
 */
static void build_next(struct packcache *cache)
{
	struct entry *waiting = NULL;

	if (cache->building || cache->stats.bytes > LIMIT_PACK_CACHE)
		return;
	for (struct entry *e = cache->first; e; e = e->next)
		if (!e->ready && (!waiting || e->asked < waiting->asked))
			waiting = e;
	if (!waiting)
		return;
	cache->building = waiting;
	loop_work(cache->loop, build, on_built, waiting);
}

static struct entry *find(struct packcache *cache, const struct oid *tip, const struct oid *common)
{
	for (struct entry **link = &cache->first; *link; link = &(*link)->next) {
		struct entry *e = *link;

		if (oid_equal(&e->tip, tip) && e->has_common == (common != NULL) &&
		    (!common || oid_equal(&e->common, common)) && !(e->ready && !e->pack)) {
			*link = e->next;
			e->next = cache->first;
			cache->first = e;
			return e;
		}
	}
	return NULL;
}

struct pack_ticket *packcache_ask(struct packcache *cache, const struct oid *tip,
				  const struct oid *common, pack_ready_fn *ready, void *arg)
{
	struct pack_ticket *ticket = mem_new(1, sizeof(*ticket));
	struct entry *entry = find(cache, tip, common);

	if (entry) {
		cache->stats.hits++;
	} else {
		entry = mem_new(1, sizeof(*entry));
		entry->cache = cache;
		entry->tip = *tip;
		entry->has_common = common != NULL;
		if (common)
			entry->common = *common;
		entry->asked = cache->asked++;
		entry->next = cache->first;
		cache->first = entry;
	}
	*ticket = (struct pack_ticket){.entry = entry, .ready = ready, .arg = arg};
	ticket_add(entry->ready ? &entry->holding : &entry->waiting, ticket);
	build_next(cache);
	return ticket;
}

const uint8_t *packcache_pack(const struct pack_ticket *ticket, size_t *size)
{
	bool ready = ticket->entry->ready;

	*size = ready ? ticket->entry->size : 0; /* until then a worker has it */
	return ready ? ticket->entry->pack : NULL;
}

void packcache_give_back(struct pack_ticket *ticket)
{
	struct entry *entry;
	struct packcache *cache;

	if (!ticket)
		return;
	entry = ticket->entry;
	cache = entry->cache;
	ticket_remove(ticket);
	free(ticket);
	/* no one wants it any more; or it failed, and who asks next tries again */
	if (!wanted(entry) && entry != cache->building &&
	    (!entry->ready || entry->err.code != ERR_NONE))
		entry_remove(entry);
	trim(cache);
	build_next(cache);
}

void packcache_stats(const struct packcache *cache, struct packcache_stats *out)
{
	*out = cache->stats;
}

void packcache_free(struct packcache *cache)
{
	if (!cache)
		return;
	for (const struct entry *e = cache->first; e; e = e->next)
		assert(!wanted(e));
	cache->closing = true;
	if (!cache->building)
		cache_release(cache);
}
