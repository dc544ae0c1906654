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
	struct entry *next_by_key;
	struct entry *next, *previous; /* of the list it is in */
	struct list *list;	       /* NULL: it is being built, or someone has it */
	struct packcache *cache;
	struct oid tip, common;
	bool has_common;
	bool ready;
	struct err err; /* why it could not be built */
	uint8_t *pack;
	size_t size;
	struct pack_ticket *waiting; /* to be called when it is built */
	struct pack_ticket *holding; /* that have it, or know that it failed */
};

struct list {
	struct entry *first, *last;
	size_t count;
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

enum { BUCKETS = LIMIT_PACKS_KEPT };

struct packcache {
	uv_loop_t *loop;
	char *path;
	struct repo *repo; /* only the worker touches it, and there is one at a time */
	unsigned uses;	   /* of REPO; the worker's too */
	struct entry *by_key[BUCKETS];
	struct list queue; /* to be built, in the order in which they were first asked for */
	struct list kept;  /* built, and no one has them; latest use last */
	struct entry *building;
	bool closing;
	struct packcache_stats stats;
};

/* As the last. */
static void list_add(struct list *list, struct entry *entry)
{
	entry->list = list;
	entry->next = NULL;
	entry->previous = list->last;
	if (list->last)
		list->last->next = entry;
	else
		list->first = entry;
	list->last = entry;
	list->count++;
}

/* From the list it is in, if any. */
static void list_remove(struct entry *entry)
{
	struct list *list = entry->list;

	if (!list)
		return;
	if (entry->previous)
		entry->previous->next = entry->next;
	else
		list->first = entry->next;
	if (entry->next)
		entry->next->previous = entry->previous;
	else
		list->last = entry->previous;
	list->count--;
	entry->list = NULL;
}

struct packcache *packcache_new(uv_loop_t *loop, const char *repo_path)
{
	struct packcache *cache = mem_new(1, sizeof(*cache));

	cache->loop = loop;
	cache->path = text_copy(repo_path);
	return cache;
}

/* An object id is as good as random. */
static struct entry **bucket_of(struct packcache *cache, const struct oid *tip,
				const struct oid *common)
{
	unsigned at = (unsigned)tip->id[0] << 8 | tip->id[1];

	if (common)
		at ^= (unsigned)common->id[0] << 8 | common->id[1];
	return &cache->by_key[at % BUCKETS];
}

static void entry_remove(struct entry *entry)
{
	struct entry **link = bucket_of(entry->cache, &entry->tip,
					entry->has_common ? &entry->common : NULL);

	while (*link != entry)
		link = &(*link)->next_by_key;
	*link = entry->next_by_key;
	list_remove(entry);
	entry->cache->stats.bytes -= entry->size;
	free(entry->pack);
	free(entry);
}

/* Lets go of what no one uses, oldest use first, until the rest is within the limits. */
static void trim(struct packcache *cache)
{
	while (cache->kept.first && (cache->stats.bytes > LIMIT_PACK_CACHE ||
				    cache->kept.count > LIMIT_PACKS_KEPT))
		entry_remove(cache->kept.first);
}

/* No one has the entry any more; it is not being built, and in no list but the queue. */
static void entry_unwanted(struct entry *entry)
{
	/* nothing was built yet; or it failed, and who asks next tries again */
	if (!entry->ready || entry->err.code != ERR_NONE)
		entry_remove(entry);
	else
		list_add(&entry->cache->kept, entry);
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
	for (size_t i = 0; i < BUCKETS; i++)
		while (cache->by_key[i])
			entry_remove(cache->by_key[i]);
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
	if (!wanted(entry))
		entry_unwanted(entry);
	trim(cache);
	build_next(cache);
}

/*
 * The one that waits longest. While those who still take packs hold more than the limit, none:
 * memory is bound by the limit and one pack.
 */
static void build_next(struct packcache *cache)
{
	struct entry *entry = cache->queue.first;

	if (!entry || cache->building || cache->stats.bytes > LIMIT_PACK_CACHE)
		return;
	list_remove(entry);
	cache->building = entry;
	loop_work(cache->loop, build, on_built, entry);
}

static struct entry *find(struct packcache *cache, const struct oid *tip, const struct oid *common)
{
	struct entry *e = *bucket_of(cache, tip, common);

	while (e && !(oid_equal(&e->tip, tip) && e->has_common == (common != NULL) &&
		      (!common || oid_equal(&e->common, common)) && !(e->ready && !e->pack)))
		e = e->next_by_key;
	return e;
}

static struct entry *entry_new(struct packcache *cache, const struct oid *tip,
			       const struct oid *common)
{
	struct entry **bucket = bucket_of(cache, tip, common);
	struct entry *entry = mem_new(1, sizeof(*entry));

	entry->cache = cache;
	entry->tip = *tip;
	entry->has_common = common != NULL;
	if (common)
		entry->common = *common;
	entry->next_by_key = *bucket;
	*bucket = entry;
	list_add(&cache->queue, entry);
	return entry;
}

struct pack_ticket *packcache_ask(struct packcache *cache, const struct oid *tip,
				  const struct oid *common, pack_ready_fn *ready, void *arg)
{
	struct pack_ticket *ticket = mem_new(1, sizeof(*ticket));
	struct entry *entry = find(cache, tip, common);

	if (entry)
		cache->stats.hits++;
	else
		entry = entry_new(cache, tip, common);
	if (entry->ready)
		list_remove(entry);
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
	if (!wanted(entry) && entry != cache->building)
		entry_unwanted(entry);
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
	for (size_t i = 0; i < BUCKETS; i++)
		for (const struct entry *e = cache->by_key[i]; e; e = e->next_by_key)
			assert(!wanted(e));
	cache->closing = true;
	if (!cache->building)
		cache_release(cache);
}
