/*
 * Records: be16 length, then one Noise transport message whose first plain byte is the lane and
 * whose rest are bytes of that lane's stream. Each direction rekeys after RECORD_REKEY of its
 * records; its counter is not reset. No socket here.
 */
#ifndef MUSTER_CHANNEL_RECORD_H
#define MUSTER_CHANNEL_RECORD_H

#include "core/buf.h"
#include "core/err.h"
#include "crypto/key.h"
#include "crypto/slab.h"

#include <stddef.h>
#include <stdint.h>

enum lane { LANE_CONTROL = 0, LANE_GIT = 1, LANE_COUNT };

enum {
	RECORD_PLAIN_MAX = 65535 - 16 - 1, /* stream bytes one record carries */
	RECORD_REKEY = 1 << 20,            /* records */
};

/* Both directions of one peer: two keys and two counters, no buffers. An item of record_slab(). */
struct record_state {
	uint8_t send_key[KEY_SIZE];
	uint8_t receive_key[KEY_SIZE];
	uint64_t sent;
	uint64_t received;
};

/*
 * Seals N bytes (any number; none make no record) of LANE as one or more records, appended to OUT.
 * FULL when OUT cannot take them all; nothing has changed then. DATA must not lie in OUT.
 */
int record_seal(struct record_state *state, enum lane lane, const void *data, size_t n,
		struct buf *out, struct err *err);
/*
 * Opens the first record in IN, if it is complete: 1 and its stream bytes appended to lanes[lane],
 * and it is consumed; 0 when more bytes are needed; -1 (DENIED) when it does not open, is empty or
 * names no lane: close the connection; -1 (FULL) when the lane's buffer cannot take its bytes:
 * nothing has changed, it can be tried again. LANES is an array of LANE_COUNT buffers.
 */
int record_open(struct record_state *state, struct buf *in, enum lane *lane, struct buf *lanes,
		struct err *err);
/*
 * The same over a cursor, which moves past the record: for a loop over many small records, since
 * each record_open moves all the bytes that follow in the buffer.
 */
int record_next(struct record_state *state, struct cursor *in, enum lane *lane, struct buf *lanes,
		struct err *err);

#endif
