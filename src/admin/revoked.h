/*
 * The keys of nodes that were revoked, and the join keys these nodes knew: var/admin/revoked. A
 * revoked key never comes back, whatever name it comes with; and who comes with one of those join
 * keys may be the same machine with a fresh key of its own.
 */
#ifndef MUSTER_ADMIN_REVOKED_H
#define MUSTER_ADMIN_REVOKED_H

#include "core/buf.h"
#include "core/err.h"
#include "core/limits.h"
#include "crypto/key.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REVOKED_FILE "admin/revoked" /* below var/ */

enum {
	REVOKED_JOINS = 8,	/* join keys that are kept for one */
	REVOKED_ENTRY = 1 << 10 /* bytes of one in the file, at most */
};

/* A join key, as a node's hello names it. */
struct join {
	uint32_t epoch;
	uint8_t role_tag[ROLE_TAG_SIZE];
};

struct revoked_key {
	uint8_t key[KEY_SIZE];
	char name[NAME_MAX_LEN + 1], role[NAME_MAX_LEN + 1]; /* of the node whose key it was */
	int64_t at;					     /* seconds since the epoch */
	struct join joins[REVOKED_JOINS];
	size_t join_count;
};

struct revoked {
	struct revoked_key *keys; /* sorted */
	size_t count;
};

/* Adds one; fine when it is there. FULL when LIMIT_REVOKED are. */
int revoked_add(struct revoked *revoked, const struct revoked_key *key, struct err *err);
/* The entry of a key, or NULL. */
const struct revoked_key *revoked_find(const struct revoked *revoked,
				       const uint8_t key[static KEY_SIZE]);
/* Whether one of them knew this join key. */
bool revoked_knew(const struct revoked *revoked, const struct join *join);
bool join_equal(const struct join *a, const struct join *b);
/*
 * Adds JOIN to a list of COUNT that holds at most MAX, unless it is there; false when it was not
 * added.
 */
bool join_add(struct join *list, size_t *count, size_t max, const struct join *join);

/* Such a list as JSON, a new reference; and back, 0 or -1: at most MAX. */
json_t *joins_json(const struct join *joins, size_t count);
int joins_parse(json_t *list, struct join *out, size_t max, size_t *count);

/* The document as bytes, and back: CORRUPT when it is not what revoked_format writes. */
void revoked_format(const struct revoked *revoked, struct buf *out);
int revoked_parse(const void *data, size_t len, struct revoked *out, struct err *err);
/*
 * Reads the file; none is an empty list. One that is damaged is an error: without it keys would
 * come back that must not.
 */
int revoked_load(int var_fd, struct revoked *out, struct err *err);
void revoked_clear(struct revoked *revoked);

#endif
