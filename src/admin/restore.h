/*
 * An admin that came back from an older copy takes the releases it lacks from a repository that has
 * them, a node's replica or a mirror, so that its next publication continues above what the nodes
 * run.
 */
#ifndef MUSTER_ADMIN_RESTORE_H
#define MUSTER_ADMIN_RESTORE_H

#include "core/err.h"
#include "core/home.h"
#include "core/oid.h"
#include "core/text.h"
#include "crypto/key.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct restored_role {
	char name[NAME_MAX_LEN + 1];
	bool has_before;
	struct oid before, release;   /* what the branch named and names */
	uint64_t sequence_before, sequence; /* before: 0 if it was not there */
	struct oid source;	      /* the authoring commit of RELEASE */
	/* which main does not have: main is older than that release */
	bool source_lost;
};

struct restored {
	struct restored_role *roles;
	size_t count;
};

/*
 * Takes the branches of the repository at FROM, or only ROLE's (NULL: all). Every release that is
 * new here is verified from the newest one that is known here on, or without one from the keys of
 * IDENTITY; all of them before the first branch moves. REFUSED, and nothing is changed, when one
 * does not verify, does not descend from what is here, or names a signing key that IDENTITY does
 * not have. GONE when FROM has no such branch. WHO did it is noted in the audit log (audit.h). HOME
 * is set up, open and locked. Blocks.
 */
int restore_releases(const struct home *home, const struct identity *identity, const char *from,
		     const char *role, const char *who, struct restored *out, struct err *err);
void restored_clear(struct restored *restored);

#endif
