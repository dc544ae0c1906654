/*
 * Packs, built once for each (tip, common) pair however many ask, on a worker thread; shared while
 * they are sent and kept for the next who asks, up to a limit in number and one in bytes. While
 * those who still take packs hold more bytes than that, the next is not begun: a user limits how
 * long a ticket is held. For the loop.
 */
#ifndef MUSTER_CHANNEL_PACKCACHE_H
#define MUSTER_CHANNEL_PACKCACHE_H

#include "core/err.h"
#include "core/oid.h"

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct packcache;
struct pack_ticket; /* one who asked: holds the pack until it is given back */

/*
 * PACK is NULL and ERR says why when it could not be built. May ask, give back, and free the cache.
 */
typedef void pack_ready_fn(void *arg, const uint8_t *pack, size_t size, const struct err *err);

/* Numbers for the bench and metrics. */
struct packcache_stats {
	uint64_t hits; /* asked for and there, or being built */
	uint64_t built;
	size_t bytes; /* held: at most LIMIT_PACK_CACHE and one pack */
};

struct packcache *packcache_new(uv_loop_t *loop, const char *repo_path);
/*
 * COMMON may be NULL. When the pack is there already, packcache_pack gives it at once; else READY
 * is called once, unless the ticket is given back before.
 */
struct pack_ticket *packcache_ask(struct packcache *cache, const struct oid *tip,
				  const struct oid *common, pack_ready_fn *ready, void *arg);
/* The ticket's pack, borrowed until it is given back; NULL while it is not built. */
const uint8_t *packcache_pack(const struct pack_ticket *ticket, size_t *size);
/* Gives a pack (or the wish for it) back. NULL is fine. */
void packcache_give_back(struct pack_ticket *ticket);
void packcache_stats(const struct packcache *cache, struct packcache_stats *out);
/*
 * Every ticket must have been given back. Frees at once, or when the build under way is done. NULL
 * is fine.
 */
void packcache_free(struct packcache *cache);

#endif
