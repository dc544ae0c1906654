/*
 * What is known of each node. Who it is, one small file a node in var/admin/nodes/, is on the disk
 * soon; what it said last, one file for all, var/admin/contacts, only now and then: with every
 * release all nodes have something to say. Both are written behind by a worker. A node is its
 * static key; a name belongs to the key that has it, and once it is approved that must be approved
 * again for another key, or for another role, to have it.
 */
#ifndef MUSTER_ADMIN_REGISTRY_H
#define MUSTER_ADMIN_REGISTRY_H

#include "admin/revoked.h"
#include "channel/control.h"
#include "core/err.h"
#include "core/home.h"
#include "core/text.h"
#include "crypto/key.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

/*
 * join keys that are remembered of a node: two epochs, its role's, those of roles it had, and any
 */
enum { NODE_JOINS = 6 };

/*
 * Another key, or the node's own in another role, that wants the name of an approved node: lost
 * with a restart.
 */
struct claim {
	uint8_t key[KEY_SIZE];
	char role[NAME_MAX_LEN + 1];
	struct join join;
	uint64_t at; /* of loop_now() */
};

struct node {
	char name[NAME_MAX_LEN + 1];
	char role[NAME_MAX_LEN + 1];
	uint8_t key[KEY_SIZE];
	bool approved; /* by the admin, or by joining where that is enough: else it gets nothing */
	bool revoked;  /* its key is */
	struct join join;		/* the join key it came with last */
	struct join joins[NODE_JOINS];	/* those it came with ever */
	size_t join_count;
	struct claim *claim; /* or NULL: see node_claim */
	bool connected;
	bool dirty;
	int64_t first_contact, last_contact; /* seconds since the epoch */
	uint64_t sequence;		     /* of the release it has deployed; 0: none */
	uint32_t epoch;			     /* of the join key it came with last; 0: not known */
	char *report;			     /* what it said last: see node_said */
	size_t report_size;		     /* bytes */
	void *session;			     /* of serve.c, while connected */
};

struct registry;

/*
 * CHANGED is called when anything of a node changed (for those who wait for it). Reads what is
 * kept; blocks.
 */
int registry_open(uv_loop_t *loop, const struct home *home, void (*changed)(void *arg), void *arg,
		  struct registry **out, struct err *err);
/* Writes what is not written yet, and frees. NULL is fine. */
void registry_free(struct registry *registry);

/* The node of that name, or NULL. */
struct node *registry_find(struct registry *registry, const char *name);
/* An error that says there is none of that name, and names those that are meant, perhaps. */
int registry_unknown(struct registry *registry, const char *name, struct err *err);
/*
 * The node that a register message names; made if it is new. It is approved by that, unless it
 * waits for the admin: see registry_set_approve. REFUSED when the name is bad or belongs to another
 * key that is connected; DENIED when the key is revoked, or the name is approved for another key or
 * role, which this one may not have without approval; FULL when the registry is and no node in it
 * can be forgotten. The key that held the name before, if another, loses it.
 */
int registry_register(struct registry *registry, const uint8_t key[static KEY_SIZE],
		      const struct join *join, const struct control_message *message,
		      struct node **out, struct err *err);
/*
 * What a register or status message says of the node's state, in the place of what the last one
 * said: LIMIT_REPORT bytes of it, whatever its keys are.
 */
void registry_report(struct registry *registry, struct node *node,
		     const struct control_message *message);
/* The node is there or gone; moves its last contact. */
void registry_connected(struct registry *registry, struct node *node, bool connected);
/* The epoch of the join key that the node came with now. */
void registry_epoch(struct registry *registry, struct node *node, uint32_t epoch);
/* A record of it came. */
void registry_contact(struct node *node);

/* --- membership --- */

/*
 * Whether the cluster asks for approval of every node it does not know. Without, only those wait
 * that come with a join key which a revoked node knew. Before it is called: not.
 */
void registry_set_approve(struct registry *registry, bool approve);
bool registry_asks_approval(const struct registry *registry);
/* Approves a node that waits and need not any more; false: nothing changed. */
bool registry_settle(struct registry *registry, struct node *node);
/* The claim to the node's name, unless there is none or it is too old. */
const struct claim *node_claim(const struct node *node);
/* The name is approved for KEY in ROLE, whoever had it. It must not be connected with another. */
void registry_approve(struct registry *registry, struct node *node,
		      const uint8_t key[static KEY_SIZE], const char *role,
		      const struct join *join);
/*
 * The node's key is refused from now on, whatever names it came with, and JOINS count as known to a
 * stranger. FULL when too many keys are revoked.
 */
int registry_revoke(struct registry *registry, struct node *node, const struct join *joins,
		    size_t count, struct err *err);
/* Nothing is known of that name any more. It must not be connected. */
void registry_forget(struct registry *registry, struct node *node);
const struct revoked *registry_revoked(const struct registry *registry);
/*
 * Calls DONE from the loop once all of the above is on the disk: 0, or -1 with ERR, and then it is
 * tried again.
 */
void registry_flush(struct registry *registry,
		    void (*done)(void *arg, int rc, const struct err *err), void *arg);
/* For tests: another limit than LIMIT_NODES. */
void registry_set_limit(struct registry *registry, size_t max_nodes);

size_t registry_count(const struct registry *registry);
struct node *registry_at(struct registry *registry, size_t index);
/* A string it reported ("" if none). */
const char *node_said(const struct node *node, const char *key);

#endif
