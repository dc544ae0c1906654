/*
 * What is known of each node. Who it is, one small file a node in var/admin/nodes/, is on the disk soon; what it said last, one file for all,
 * var/admin/contacts, only now and then: with every release all nodes have something to say. Both are written behind by a worker.
 * A node is its static key; a name belongs to the key that has it.
 */
#ifndef MUSTER_ADMIN_REGISTRY_H
#define MUSTER_ADMIN_REGISTRY_H

#include "channel/control.h"
#include "core/err.h"
#include "core/home.h"
#include "core/text.h"
#include "crypto/key.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct node {
	char name[NAME_MAX_LEN + 1];
	char role[NAME_MAX_LEN + 1];
	uint8_t key[KEY_SIZE];
	bool connected;
	bool dirty;
	int64_t first_contact, last_contact; /* seconds since the epoch */
	uint64_t sequence;		     /* of the release it has deployed; 0: none */
	char *report;			     /* what it said last: see node_said */
	size_t report_size;		     /* bytes */
	void *session;			     /* of serve.c, while connected */
};

struct registry;

/* CHANGED is called when anything of a node changed (for those who wait for it). Reads what is kept; blocks. */
int registry_open(uv_loop_t *loop, const struct home *home, void (*changed)(void *arg), void *arg,
		  struct registry **out, struct err *err);
/* Writes what is not written yet, and frees. NULL is fine. */
void registry_free(struct registry *registry);

/* The node of that name, or NULL. */
struct node *registry_find(struct registry *registry, const char *name);
/*
 * The node that a register message names; made if it is new. REFUSED when the name is bad, belongs to another key that is
 * connected, or the registry is full. The key that held the name before, if another, loses it.
 */
int registry_register(struct registry *registry, const uint8_t key[static KEY_SIZE],
		      const struct control_message *message, struct node **out, struct err *err);
/*
 * What a register or status message says of the node's state, in the place of what the last one said: LIMIT_REPORT bytes of
 * it, whatever its keys are.
 */
void registry_report(struct registry *registry, struct node *node, const struct control_message *message);
/* The node is there or gone; moves its last contact. */
void registry_connected(struct registry *registry, struct node *node, bool connected);
/* A record of it came. */
void registry_contact(struct node *node);

size_t registry_count(const struct registry *registry);
struct node *registry_at(struct registry *registry, size_t index);
/* A string it reported ("" if none). */
const char *node_said(const struct node *node, const char *key);

#endif
