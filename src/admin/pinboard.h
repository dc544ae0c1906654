/*
 * The newest pin of each node, in memory: the loop tells and shows pins without reading a file.
 * release.git has them; see pins.h.
 */
#ifndef MUSTER_ADMIN_PINBOARD_H
#define MUSTER_ADMIN_PINBOARD_H

#include "core/buf.h"
#include "core/err.h"
#include "core/home.h"
#include "core/text.h"
#include "crypto/key.h"
#include "repo/pin.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pinned {
	char node[NAME_MAX_LEN + 1];
	struct oid release;
	bool hold; /* else follow */
	uint64_t sequence;
	int64_t since; /* when it was signed: seconds since the epoch */
	char reason[PIN_REASON_MAX + 1];
	char *wire; /* the raw pin in base64, as `head` carries it */
};

struct pinboard {
	struct pinned *list; /* sorted by node */
	size_t count;
};

/*
 * Reads every pin of this cluster from the home's release.git; what cannot be read is told in the
 * log and left out. Blocks; a zeroed struct is empty.
 */
int pinboard_load(struct pinboard *board, const struct home *home,
		  const uint8_t cluster_id[static CLUSTER_ID_SIZE], struct err *err);
/* A node's pin, or NULL; borrowed until the board changes. */
const struct pinned *pinboard_find(const struct pinboard *board, const char *node);
/*
 * PIN and its raw bytes take the place of an older one; false, and nothing changes, when it is the
 * older one itself.
 */
bool pinboard_put(struct pinboard *board, const struct pin *pin, const struct buf *raw);
/* The node has no pin any more. */
void pinboard_remove(struct pinboard *board, const char *node);
void pinboard_clear(struct pinboard *board);

#endif
