/*
 * The serving side of a git fetch (gitprotocol-pack(5), version 0), as an engine without socket or
 * repository. It offers one ref; wants must be that ref's tip, haves outside its history are not
 * acknowledged. The host builds packs.
 */
#ifndef MUSTER_CHANNEL_UPLOADPACK_H
#define MUSTER_CHANNEL_UPLOADPACK_H

#include "core/buf.h"
#include "core/err.h"
#include "core/oid.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UPLOADPACK_STATES(X)                                                                       \
	X(WANTS, "reading wants")                                                                  \
	X(HAVES, "reading haves")                                                                  \
	X(PACK, "waiting for the pack")                                                            \
	X(SENDING, "sending the pack")                                                             \
	X(DONE, "done")

enum uploadpack_state {
#define X(name, text) UPLOADPACK_##name,
	UPLOADPACK_STATES(X)
#undef X
};

/* Where OID stands in the ref's history, counted from 1; 0 when it is not in it. */
typedef uint64_t uploadpack_position_fn(void *arg, const struct oid *oid);

struct uploadpack;

/*
 * One conversation about REF at TIP (NULL: there is no such ref yet). Appends the advertisement to
 * OUT.
 */
struct uploadpack *uploadpack_new(const char *ref, const struct oid *tip,
				  uploadpack_position_fn *position, void *arg, struct buf *out);
void uploadpack_free(struct uploadpack *up);
enum uploadpack_state uploadpack_state(const struct uploadpack *up);
/*
 * Takes bytes of the client, appends answers to OUT. -1 when the client asks for what it may not
 * have (REFUSED) or breaks the protocol or a limit (CORRUPT, also when OUT cannot take the
 * answers): OUT then ends in an error line for it if that fits, and the conversation is over. In
 * state DONE what comes is ignored: libgit2 says goodbye with a flush.
 */
int uploadpack_feed(struct uploadpack *up, const void *data, size_t n, struct buf *out,
		    struct err *err);
/* In state PACK: what the pack must hold (COMMON is NULL for all). */
const struct oid *uploadpack_tip(const struct uploadpack *up);
const struct oid *uploadpack_common(const struct uploadpack *up);
/* Hands in the pack: borrowed until state DONE or uploadpack_free. */
void uploadpack_give(struct uploadpack *up, const uint8_t *pack, size_t size);
/* In state SENDING: appends the next side-band line; the last one ends in state DONE. */
void uploadpack_send(struct uploadpack *up, struct buf *out);

#endif
