/*
 * The admin's side of the channel: accepts nodes, registers them, tells them of new releases and
 * pins and answers their fetches, in the process, from the pack cache.
 */
#ifndef MUSTER_ADMIN_SERVE_H
#define MUSTER_ADMIN_SERVE_H

#include "admin/cycle.h"
#include "admin/pinboard.h"
#include "admin/registry.h"
#include "channel/packcache.h"
#include "channel/peer.h"
#include "core/err.h"
#include "core/home.h"
#include "crypto/key.h"

#include <stdint.h>
#include <uv.h>

struct serve;

/*
 * Reads the branches, the pins and the registry, then listens, and raises the limit on descriptors
 * as far as that needs it. HOME and IDENTITY are borrowed for its life (serve_keys_changed).
 * NODES_CHANGED is called with ARG when anything of a node changed.
 */
int serve_start(uv_loop_t *loop, const struct home *home, const struct identity *identity,
		const char *listen_host, uint16_t port, void (*nodes_changed)(void *arg), void *arg,
		struct serve **out, struct err *err);
/* A publication ended: roles that moved are told to their nodes. */
void serve_published(struct serve *serve, const struct publication *publication);
/*
 * Whether nodes that are not known wait until they are approved: the setting `approve` of the
 * configuration that is published. Before it is called they need not.
 */
void serve_set_approve(struct serve *serve, bool approve);
/* The node was approved: if it is connected it is told so, and what there is for it. */
void serve_admit(struct serve *serve, const struct node *node);
/* Closes the node's connection if there is one. */
void serve_cut(struct serve *serve, const struct node *node, const char *why);
/*
 * A pin was stored: it is in force, and is told to its node if that is connected. One that is older
 * than what is known is not.
 */
void serve_pinned(struct serve *serve, const struct pin *pin, const struct buf *raw);
/* The pin of a node was removed from the repository. */
void serve_forget_pin(struct serve *serve, const char *node);
/* The identity has other keys now: who came with an epoch that has ended is closed. */
void serve_keys_changed(struct serve *serve);
/* The newest pin of each node; borrowed. */
const struct pinboard *serve_pins(const struct serve *serve);
struct registry *serve_registry(struct serve *serve);
uint16_t serve_port(const struct serve *serve);
/* Of the packs it serves. */
void serve_packs(const struct serve *serve, struct packcache_stats *out);
/* The connections, for tests and numbers. */
struct peers *serve_peers(struct serve *serve);
/* The newest release of a role and its sequence; 0 and a zero id when it has none. */
uint64_t serve_head(struct serve *serve, const char *role, struct oid *release);
/* Whether RELEASE is in the history of the role's branch. */
bool serve_knows(struct serve *serve, const char *role, const struct oid *release);
/* Stops; memory goes when the loop has closed the handles. NULL is fine. */
void serve_stop(struct serve *serve);

#endif
