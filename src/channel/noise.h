/*
 * The Noise Protocol Framework (revision 34), suite 25519_ChaChaPoly_BLAKE2b, as an engine without
 * a socket. Patterns are data: the product has one, IKpsk1; tests bring others.
 */
#ifndef MUSTER_CHANNEL_NOISE_H
#define MUSTER_CHANNEL_NOISE_H

#include "core/buf.h"
#include "core/err.h"
#include "crypto/key.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	NOISE_HASH_SIZE = 64,
	NOISE_TAG_SIZE = 16,
	NOISE_MESSAGE_MAX = 65535, /* bytes of any Noise message */
	NOISE_MESSAGES_MAX = 4,
	NOISE_TOKENS_MAX = 8,
	NOISE_PSKS_MAX = 4,
};

/* The specification's notation. END (0) ends a list. */
enum noise_token {
	NOISE_END,
	NOISE_E,
	NOISE_S,
	NOISE_EE,
	NOISE_ES,
	NOISE_SE,
	NOISE_SS,
	NOISE_PSK,
};

struct noise_pattern {
	const char *name;            /* "IKpsk1" */
	bool initiator_static_known; /* pre-message: -> s */
	bool responder_static_known; /* pre-message: <- s */
	enum noise_token messages[NOISE_MESSAGES_MAX + 1][NOISE_TOKENS_MAX]; /* empty list ends */
};

extern const struct noise_pattern noise_ikpsk1;

struct noise_config {
	const struct noise_pattern *pattern;
	bool initiator;
	const void *prologue;
	size_t prologue_size;
	const struct static_key *local; /* NULL when the pattern needs none */
	const uint8_t *remote_public;   /* 32 bytes, or NULL when not known before */
	const uint8_t (*psks)[KEY_SIZE];
	size_t psk_count;
	const uint8_t *ephemeral_secret; /* tests with vectors only; NULL: random */
};

struct noise; /* guarded memory */

/* Copies what it needs. Never fails but by assertion. */
struct noise *noise_new(const struct noise_config *config);
void noise_free(struct noise *noise);
/*
 * Writes the next message with PAYLOAD, appended to OUT. REFUSED when the payload is too large for
 * any message, FULL when OUT cannot take it (both change nothing); DENIED when a key of the peer is
 * one that makes every secret known.
 */
int noise_write(struct noise *noise, const void *payload, size_t n, struct buf *out,
		struct err *err);
/*
 * Reads the peer's next message; its payload is appended to PAYLOAD. DENIED when it does not open;
 * the state is then of no more use. FULL when PAYLOAD cannot take it; that changes nothing.
 */
int noise_read(struct noise *noise, const void *message, size_t n, struct buf *payload,
	       struct err *err);
/* Whether it is this side's turn to write; false when done. */
bool noise_my_turn(const struct noise *noise);
bool noise_done(const struct noise *noise);
/* The peer's static key once known, else NULL. */
const uint8_t *noise_remote_static(const struct noise *noise);
/* When done: the transport keys of this side, and the handshake hash (either may be NULL). */
void noise_split(const struct noise *noise, uint8_t send[KEY_SIZE], uint8_t receive[KEY_SIZE],
		 uint8_t hash[NOISE_HASH_SIZE]);

/*
 * One transport message (also what the engine uses inside): ChaCha20-Poly1305 with the Noise nonce
 * (4 zero bytes, le64). Appends to OUT, in which the input must not lie. Decrypting gives -1 for
 * what does not open or fit; OUT has its old length.
 */
void noise_encrypt(const uint8_t key[static KEY_SIZE], uint64_t nonce, const void *ad, size_t ad_n,
		   const void *plain, size_t n, struct buf *out);
int noise_decrypt(const uint8_t key[static KEY_SIZE], uint64_t nonce, const void *ad, size_t ad_n,
		  const void *cipher, size_t n, struct buf *out);
/* REKEY(k) of the specification, in place. */
void noise_rekey(uint8_t key[static KEY_SIZE]);

#endif
