/*
 * The handshake of a channel, over bytes: a clear hello, then Noise IKpsk1 with the hello as
 * prologue. No socket here.
 */
#ifndef MUSTER_CHANNEL_HELLO_H
#define MUSTER_CHANNEL_HELLO_H

#include "channel/noise.h"
#include "channel/peer.h"

enum {
	HANDSHAKE_FIRST = 96,  /* bytes of the dialling side's message, empty payload */
	HANDSHAKE_SECOND = 48, /* bytes of the answer */
};

void hello_format(const struct hello *hello, uint8_t out[static HELLO_SIZE]);
/* CORRUPT when it does not begin with the magic. */
int hello_parse(const uint8_t bytes[static HELLO_SIZE], struct hello *hello, struct err *err);
/*
 * The engine for one side, with the hello's bytes as prologue. REMOTE is the admin's key, NULL on
 * the accepting side.
 */
struct noise *hello_noise(const uint8_t hello[static HELLO_SIZE], const struct static_key *local,
			  const uint8_t *remote, const uint8_t join_key[static KEY_SIZE]);

#endif
