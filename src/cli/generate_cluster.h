/*
 * The cluster configuration that every node needs to join: what genclust prints, and `muster
 * request environments environment generate-cluster`. Works without a daemon, and before any has
 * run.
 */
#ifndef MUSTER_CLI_GENERATE_CLUSTER_H
#define MUSTER_CLI_GENERATE_CLUSTER_H

#include "cli/cluster_keys.h"
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
	enum keys_change change; /* made before; of the epoch, or none */
};

struct generated {
	struct buf text; /* the cluster file: a secret */
	char *key_path;	 /* where the private identity lies */
	bool made;	 /* it was made now */
	json_t *change;	 /* what came of the change, as in admin/keys.h */
};

/* Whether HOST can stand in a cluster configuration: a host name or an address. */
bool generate_cluster_host_valid(const char *host);

/*
 * Makes the change, if one is asked for, and then the cluster file. The private identity is made
 * when it is not there, but not for a change: GONE. With a key_file only that file changes; else
 * the admin of HOME, which is resolved and not open, does it, and commits the keystore of a new
 * epoch. OUT is for generated_clear in any case.
 */
int generate_cluster(const struct generate_cluster *what, struct home *home, struct generated *out,
		     struct err *err);
void generated_clear(struct generated *generated);
/* For people, on stderr: what came of a change. */
void generated_tell(const struct generated *generated);

#endif
