/*
 * Membership: `muster nodes approve`, `revoke` and `forget`, in two halves. The first, on the loop,
 * decides and is in force; then registry_flush puts it on the disk; then the second, on a worker,
 * does what is outside of the registry.
 */
#ifndef MUSTER_ADMIN_MEMBERS_H
#define MUSTER_ADMIN_MEMBERS_H

#include "admin/serve.h"
#include "core/err.h"
#include "core/home.h"
#include "crypto/key.h"

#include <jansson.h>
#include <stdbool.h>

/* X(enum, word): what `do` to a node. */
#define MEMBER_ACTS(X) X(APPROVE, "approve") X(REVOKE, "revoke") X(FORGET, "forget")

enum member_act {
#define X(name, word) MEMBER_##name,
	MEMBER_ACTS(X)
#undef X
	MEMBER_NONE
};

enum member_act member_act_of(const char *word);

struct member_wish {
	enum member_act act;
	const char *node;
	/* the first digits, or all, of the fingerprint it must have; may be NULL */
	const char *key;
};

/* What was done; has copies of all it needs. */
struct member {
	enum member_act act;
	char node[NAME_MAX_LEN + 1], role[NAME_MAX_LEN + 1];
	char key[KEY_FINGERPRINT_SIZE]; /* "": none is known */
	bool changed;			/* else it was so already */
	bool connected;			/* it is, or was until this */
	bool replaced;			/* another key or role had the name until now */
	struct join joins[REVOKED_JOINS]; /* revoked: those that it knew */
	size_t join_count;
	uint8_t cluster_id[CLUSTER_ID_SIZE];
};

/*
 * The first half. REFUSED when no node has that name, its key is another than was asked for, it is
 * revoked and to be approved, or connected and to be forgotten; FULL when no more keys can be
 * revoked.
 */
int member_change(struct serve *serve, const struct identity *identity,
		  const struct member_wish *wish, struct member *out, struct err *err);
/*
 * The second half: ends the pin of one that is forgotten, and notes in the audit log that WHO
 * (audit.h) did it. Blocks.
 */
int member_settle(const struct member *member, const struct home *home, const char *who,
		  struct err *err);
/* On the loop, after both: what is in memory beside the registry. */
void member_done(const struct member *member, struct serve *serve);
/* What came of it, for who asked; a new reference. */
json_t *member_json(const struct member *member);

#endif
