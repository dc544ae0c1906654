/*
 * Holding a node and letting it follow again, as `muster rollback --node` and `muster resume
 * --node` ask for: in the daemon in two halves, one on the loop and one on a worker; without a
 * daemon one after the other.
 */
#ifndef MUSTER_ADMIN_PINNING_H
#define MUSTER_ADMIN_PINNING_H

#include "admin/pinboard.h"
#include "admin/registry.h"
#include "core/buf.h"
#include "core/err.h"
#include "core/home.h"
#include "crypto/key.h"
#include "repo/pin.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* Who is to be pinned to what. */
struct pinning_wish {
	const char *node;
	const char *rev;    /* a release, or a revision of the authoring repository; NULL: follow */
	const char *reason; /* for people; may be NULL */
	const char *host;   /* of this admin */
};

/* One pin on its way; has copies of all it needs. */
struct pinning {
	char node[NAME_MAX_LEN + 1], role[NAME_MAX_LEN + 1];
	char *rev, *reason, *host;
	uint64_t above; /* the pin sequence that the node reported */
	bool needless;	/* it is to follow, and nothing holds it: there is nothing to run */
	bool connected; /* when it was begun */
	bool held_here; /* it reports a hold of its own, which wins over any pin */

	/* what came of it */
	struct pin pin;
	struct buf raw;
};

/*
 * The first half: looks whether the node is known and what it said. Reads no file. REFUSED when no
 * node has that name (the error names those that are meant, perhaps), or when it is to follow and
 * only a hold of its own keeps it from that. OUT is to be cleared after 0 only.
 */
int pinning_begin(struct registry *registry, const struct pinboard *board,
		  const struct pinning_wish *wish, struct pinning *out, struct err *err);
/* The second half, unless it is needless: resolves, signs, stores. Blocks. */
int pinning_run(struct pinning *pinning, const struct home *home, const struct identity *identity,
		struct err *err);
/* What came of it, for who asked; a new reference. */
json_t *pinning_json(const struct pinning *pinning);
void pinning_clear(struct pinning *pinning);

#endif
