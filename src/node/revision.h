/*
 * Revisions: complete local copies, each a folder var/node/revisions/NAME with the files of a
 * release and, in `release`, its raw signed commit, so that it can be verified again. NAME is the
 * release's id, or init-<digest> for what came from etc/init. var/node/current links to the active
 * one.
 */
#ifndef MUSTER_NODE_REVISION_H
#define MUSTER_NODE_REVISION_H

#include "core/err.h"
#include "core/fileset.h"
#include "core/home.h"
#include "node/state.h"
#include "repo/release.h"

#include <stdbool.h>

struct revision {
	char name[REVISION_NAME_MAX];
	bool is_init; /* from etc/init: there is no release */
	struct oid oid;
	struct release release;
	struct fileset files; /* without the file `release` */
	uint8_t *raw;	      /* that file: the signed commit; NULL: from etc/init */
	size_t raw_size;
};

/*
 * Writes a revision and syncs it, in the place of whatever has that name, at once where the file
 * system can exchange two names: a service may read there. RAW is NULL for one from etc/init.
 */
int revision_write(const struct home *home, const char *name, const struct fileset *files,
		   const void *raw, size_t raw_size, struct err *err);
/*
 * Reads and verifies one: the release is sound, has this name, is of this cluster and role and
 * among those accepted here, and the files have its digest. CORRUPT when any of it is not so, GONE
 * when there is none.
 */
int revision_read(const struct home *home, const char *name, const struct node_state *state,
		  struct revision *out, struct err *err);
void revision_clear(struct revision *revision);
/* The name of a revision from etc/init. */
void revision_init_name(const struct fileset *files, char out[static REVISION_NAME_MAX]);
/* The name of the current one; GONE when there is none, CORRUPT when the link leads elsewhere. */
int revision_current(const struct home *home, char out[static REVISION_NAME_MAX], struct err *err);
/* Makes it the current one: one rename and a sync of the folder, the point of no return. */
int revision_swap(const struct home *home, const char *name, struct err *err);
/*
 * Removes the revisions of releases in STATE's log but for the COUNT newest that are there, which
 * are for a way back without the admin; never the current one, one it is held at, nor one named
 * KEEP (may be NULL), nor one that the log does not name. Nothing may stage or swap meanwhile.
 */
int revision_prune(const struct home *home, const struct node_state *state, size_t count,
		   const char *keep, struct err *err);
/*
 * At start: the same, and what a kill left half written, and what is neither in the log nor from
 * etc/init.
 */
int revision_clean(const struct home *home, const struct node_state *state, size_t count,
		   struct err *err);

#endif
