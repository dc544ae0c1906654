/* The cluster configuration: host, port and keystore under environments/environment/cluster. */
#ifndef MUSTER_CONFIG_CLUSTER_H
#define MUSTER_CONFIG_CLUSTER_H

#include "config/document.h"
#include "core/buf.h"
#include "core/err.h"

#include <stdbool.h>
#include <stdint.h>

enum { CLUSTER_PORT = 6789 };

struct cluster {
	char *host;
	uint16_t port;
	char *listen_host; /* admin-listening-host, or NULL for 0.0.0.0 */
	char *keystore;    /* text; NULL when the document has none or only a sealed one */
};

/*
 * What the document says; GONE when it has no cluster element, REFUSED with file, line and path
 * when it is not usable.
 */
int cluster_read(const struct document *doc, struct cluster *out, struct err *err);
/* Whether the document holds a cluster element and no other configuration: a cluster file. */
bool cluster_alone(const struct document *doc);
/* Puts (replaces) the cluster element into the document. */
int cluster_write(struct document *doc, const struct cluster *cluster, struct err *err);
/* The cluster file as genclust prints it: a whole document with nothing but the cluster element. */
void cluster_format(const struct cluster *cluster, struct buf *out);
void cluster_clear(struct cluster *cluster);

#endif
