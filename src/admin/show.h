/*
 * What the admin shows: the documents of `muster status --json` and `muster nodes --json`, and
 * where it listens.
 */
#ifndef MUSTER_ADMIN_SHOW_H
#define MUSTER_ADMIN_SHOW_H

#include "admin/admin.h"
#include "admin/serve.h"
#include "config/cluster.h"
#include "config/settings.h"

#include <jansson.h>

/*
 * The cluster element of the configuration published last, or of main while nothing is: where nodes
 * reach this admin. SETTINGS (may be NULL): those of the same configuration. Blocks.
 */
int show_cluster(const struct home *home, struct cluster *out, struct settings *settings,
		 struct err *err);
json_t *show_status(const struct identity *identity, const struct admin *admin, struct serve *serve,
		    const char *listen_host);
json_t *show_nodes(struct serve *serve);
/* The keys that were revoked, whatever became of their nodes. */
json_t *show_revoked(struct serve *serve);
/* The verdict of a publication, for who asked for it. */
json_t *show_publication(const struct publication *publication);

#endif
