/* A set of object ids, for walks over objects: an open hash table of the bare ids. */
#ifndef MUSTER_REPO_OIDSET_H
#define MUSTER_REPO_OIDSET_H

#include "core/oid.h"

#include <stdbool.h>
#include <stddef.h>

/* A zeroed struct is an empty set. */
struct oidset {
	struct oid *slots; /* the zero id is a free slot */
	size_t count;
	size_t cap; /* a power of two, or 0 */
};

/* Adds ID, which is not the zero id; false if it was there already. */
bool oidset_add(struct oidset *set, const struct oid *id);
bool oidset_has(const struct oidset *set, const struct oid *id);
/* Frees; the set is empty and usable. */
void oidset_clear(struct oidset *set);

#endif
