/*
 * The cluster configuration that every node needs to join: what genclust prints, and `muster
 * request environments environment generate-cluster`. Works without a daemon, and before any has
 * run.
 */
#ifndef MUSTER_CLI_GENERATE_CLUSTER_H
#define MUSTER_CLI_GENERATE_CLUSTER_H

#include "core/buf.h"
#include "core/err.h"
#include "core/home.h"

#include <stdbool.h>
#include <stdint.h>

struct generate_cluster {
	const char *host;     /* where nodes reach the admin */
	uint16_t port;        /* 0: the default */
	const char *role;     /* the only role the file lets a node join in; NULL: any */
	const char *key_file; /* the cluster's private identity; NULL: var/admin/cluster.key */
};

/* Whether HOST can stand in a cluster configuration: a host name or an address. */
bool generate_cluster_host_valid(const char *host);

/*
 * Appends the cluster file to OUT, which holds a secret and is the caller's to wipe. The private
 * identity is made when it is not there. KEY_PATH is where it lies (a new string), MADE whether it
 * was made now. HOME is resolved, not open, and only touched when there is no key_file.
 */
int generate_cluster(const struct generate_cluster *what, struct home *home, struct buf *out,
		     char **key_path, bool *made, struct err *err);

#endif
