/* Sets of object ids: see oidset.h. */
#include "repo/oidset.h"

#include "core/text.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { OIDSET_FIRST = 64 }; /* slots of the smallest table */

/* The slot that holds ID, or the free one where it belongs. */
static struct oid *slot_of(const struct oidset *set, const struct oid *id)
{
	size_t at;

	/* an id is a hash already; whoever can make many ids collide only slows his own objects
	 * down */
	memcpy(&at, id->id, sizeof(at));
	for (at &= set->cap - 1;; at = (at + 1) & (set->cap - 1))
		if (oid_is_zero(set->slots + at) || oid_equal(set->slots + at, id))
			return set->slots + at;
}

static void grow(struct oidset *set)
{
	struct oidset bigger = {.cap = set->cap ? set->cap * 2 : OIDSET_FIRST, .count = set->count};

	bigger.slots = mem_new(bigger.cap, sizeof(*bigger.slots));
	for (size_t i = 0; i < set->cap; i++)
		if (!oid_is_zero(set->slots + i))
			*slot_of(&bigger, set->slots + i) = set->slots[i];
	free(set->slots);
	*set = bigger;
}

bool oidset_add(struct oidset *set, const struct oid *id)
{
	struct oid *slot;

	assert(!oid_is_zero(id));
	/* at most three slots of four are used: runs stay short, and a free one always ends a
	 * search */
	if (set->count >= set->cap / 4 * 3)
		grow(set);
	slot = slot_of(set, id);
	if (oid_equal(slot, id))
		return false;
	*slot = *id;
	set->count++;
	return true;
}

bool oidset_has(const struct oidset *set, const struct oid *id)
{
	return set->cap > 0 && !oid_is_zero(id) && oid_equal(slot_of(set, id), id);
}

void oidset_clear(struct oidset *set)
{
	free(set->slots);
	*set = (struct oidset){0};
}
