/*
 * A hash table for the elements of a document: one look-up for each, so that merge and slice are
 * linear. For config/ only.
 */
#ifndef MUSTER_CONFIG_TABLE_H
#define MUSTER_CONFIG_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a slot is found by; all borrowed until the table is cleared, NULL is a value of its own. */
struct table_key {
	const void *scope;
	const char *ns;
	const char *name;
	const char *text;
};

struct table_slot {
	struct table_key key;
	uint64_t hash;
	/* the user's, zero at first */
	void *node;
	const void *seen;
	size_t number;
	uint64_t mask;
	int kind;
};

/* A zeroed struct is an empty table. */
struct table {
	struct table_slot *slots; /* in the order they were added */
	size_t count;
	size_t room;     /* slots */
	uint64_t *index; /* the upper half of a hash, then the number of a slot from 1; 0 is free */
	size_t size;     /* of the index: a power of two, or 0 */
};

/* The slot of KEY, or NULL. A slot moves with the next table_add. */
struct table_slot *table_find(const struct table *table, const struct table_key *key);
/* The slot of KEY, made if there is none; FRESH says which (may be NULL). */
struct table_slot *table_add(struct table *table, const struct table_key *key, bool *fresh);
void table_clear(struct table *table);

#endif
