/* Git's pkt-line framing (gitprotocol-common(5)): four hex digits of length, then the bytes. */
#ifndef MUSTER_CHANNEL_PKTLINE_H
#define MUSTER_CHANNEL_PKTLINE_H

#include "core/buf.h"
#include "core/err.h"

#include <stddef.h>

enum { PKTLINE_DATA_MAX = 65516 }; /* bytes in one line, without its length */

/* Appends a line (N <= PKTLINE_DATA_MAX, asserted), or a flush. */
void pktline_put(struct buf *out, const void *data, size_t n);
void pktline_printf(struct buf *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void pktline_flush(struct buf *out);

enum pktline_kind { PKTLINE_MORE, PKTLINE_DATA, PKTLINE_FLUSH, PKTLINE_BAD };

/* Takes the next line from the cursor (borrowed data). MORE: not complete, cursor unmoved. BAD: not
 * a pkt-line, ERR says why. */
enum pktline_kind pktline_next(struct cursor *c, const uint8_t **data, size_t *n, struct err *err);

#endif
