/* What one service role gets of the configuration (muster-config(5), "Slices"). */
#ifndef MUSTER_CONFIG_SLICE_H
#define MUSTER_CONFIG_SLICE_H

#include "config/cluster.h"
#include "config/document.h"
#include "config/model.h"

#include <stddef.h>

/* The ids of the service roles of a configuration, in document order. */
struct roles {
	char **names;
	size_t count;
};
int slice_roles(const struct document *doc, struct roles *out, struct err *err);
void roles_clear(struct roles *roles);

/*
 * The slice of ROLE, a new document without comments and processing instructions. CLUSTER (may be
 * NULL: then a cluster element is only removed) replaces environments/environment/cluster; its
 * keystore must be the one for the role.
 */
int slice(const struct document *doc, const struct model *model, const char *role,
	  const struct cluster *cluster, struct document **out, struct err *err);

#endif
