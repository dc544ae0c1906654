/*
 * Changes of the cluster's keys, for genclust and `muster release-key`: by the daemon, else here,
 * under the home's lock.
 */
#ifndef MUSTER_CLI_CLUSTER_KEYS_H
#define MUSTER_CLI_CLUSTER_KEYS_H

#include "core/err.h"
#include "core/home.h"
#include "crypto/key.h"

#include <jansson.h>

enum keys_change { KEYS_NONE, KEYS_ROTATE_EPOCH, KEYS_RETIRE_EPOCH, KEYS_ROTATE_RELEASE };

/* 0 and what admin/keys.h says of it as JSON, a new reference. HOME is open. */
int cluster_keys_change(struct home *home, enum keys_change change, json_t **out, struct err *err);

/*
 * After a publication that passed, under the home's lock: ends a change of the release key that a
 * kill interrupted, if there is one.
 */
int cluster_keys_finish(const struct home *home, struct identity *identity, struct err *err);

#endif
