/*
 * What may hold a node (muster-formats(5), "Pins"): which pin it takes, what a revision that a
 * person names means here, and where the files of that come from. All of these block.
 */
#ifndef MUSTER_NODE_HOLD_H
#define MUSTER_NODE_HOLD_H

#include "core/err.h"
#include "core/home.h"
#include "node/revision.h"
#include "node/state.h"
#include "repo/pin.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Whether a raw pin is good for the node NAME in STATE, whose newest accepted release says who may
 * sign it. FRESH false: it is the one that was accepted last. CORRUPT or REFUSED with the reason.
 */
int hold_accept(const struct home *home, const struct node_state *state, const char *name,
		const void *raw, size_t size, struct pin *out, bool *fresh, struct err *err);
/*
 * The revision that REV means: a release accepted here or its source (each by its first
 * HOLD_PREFIX_MIN digits at least), or one from etc/init. Of several releases with one source the
 * newest. REFUSED when it means nothing, could mean several, or means one that is burnt.
 */
int hold_find(const struct home *home, const struct node_state *state, const char *rev,
	      char out[static REVISION_NAME_MAX], struct err *err);
/*
 * The files of a revision that was found or is pinned: the staged ones if they are sound, else
 * those of the release in the replica, verified.
 */
int hold_read(const struct home *home, const struct node_state *state, const char *name,
	      struct revision *out, struct err *err);

enum { HOLD_PREFIX_MIN = 7 }; /* digits */

#endif
