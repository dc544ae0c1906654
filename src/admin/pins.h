/*
 * Pins of nodes: `muster rollback --node` holds one at a release of its role, `muster resume
 * --node` lets it follow again. Each is a signed tag in release.git, so it is in force for a node
 * that is away, and cannot be replayed.
 */
#ifndef MUSTER_ADMIN_PINS_H
#define MUSTER_ADMIN_PINS_H

#include "core/buf.h"
#include "core/err.h"
#include "core/home.h"
#include "crypto/key.h"
#include "repo/pin.h"

#include <stdint.h>

struct pin_wish {
	const char *node;
	const char *role;	  /* of that node */
	/* a release, or a revision of the authoring repository; NULL: follow */
	const char *rev;
	const char *reason;
	const char *host;	  /* of this admin, for the tagger */
	/* the pin sequence that the node reported: the new one is larger */
	uint64_t above;
};

/*
 * Makes, signs and stores a pin; RAW is what the node is to get. Blocks. GONE when REV names
 * nothing, REFUSED when it is older than the role, or of another role.
 */
int pin_make(const struct home *home, const struct identity *identity, const struct pin_wish *wish,
	     struct pin *out, struct buf *raw, struct err *err);
/*
 * The release of ROLE that REV means: a release id (or a prefix of 7 digits and more), or the
 * role's newest release whose source is that revision of the authoring repository or an ancestor of
 * it. Blocks.
 */
int pin_resolve(const struct home *home, const char *role, const char *rev, struct oid *out,
		struct err *err);
/*
 * The commit of the authoring repository SOURCE that REV means: the one that a release of any role
 * was made from, by the release's id (or a prefix of 7 digits and more), or else any revision.
 * Blocks. GONE when REV names nothing, REFUSED when it is ambiguous.
 */
int source_resolve(const struct home *home, struct repo *source, const char *rev, struct oid *out,
		   struct err *err);
/*
 * NODE has no pin any more (`muster nodes forget`): its ref goes, durably. Fine when there is none.
 * Blocks.
 */
int pins_forget(const struct home *home, const char *node, struct err *err);

#endif
