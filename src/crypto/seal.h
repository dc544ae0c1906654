/*
 * Sealed values, muster-formats(5): `muster:1:<key id>:<base64url of nonce, ciphertext, tag>`,
 * XChaCha20-Poly1305. Whatever is hashed or authenticated is made of parts framed by their be32
 * length:
 *
 *	scope key	BLAKE2b-256 keyed with the configuration secret over "muster/1 seal", scope
 *	nonce key	BLAKE2b-256 keyed with the scope key over "muster/1 nonce"
 *	key id		first 4 bytes of BLAKE2b-256 keyed with the scope key over "muster/1 key id"
 *	nonce		BLAKE2b-192 keyed with the nonce key over associated data, plain text
 *	associated data	"muster/1", scope, path
 *
 * The plain text is padded to a multiple of 32 as ISO 7816-4 does. A value has one sealed form for
 * each key, scope and path, and no other is opened, so an unchanged value keeps its bytes.
 */
#ifndef MUSTER_CRYPTO_SEAL_H
#define MUSTER_CRYPTO_SEAL_H

#include "core/buf.h"
#include "core/err.h"
#include "crypto/key.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEAL_PREFIX "muster:1:"

enum {
	SEAL_PAD = 32,	      /* bytes: what lengths are hidden in */
	SEAL_ID_SIZE = 4,     /* bytes of a key id */
	SEAL_ID_HEX_SIZE = 9, /* its hex and a NUL */
};

/* The key of one scope. The caller wipes it. */
struct seal_key {
	uint8_t key[KEY_SIZE]; /* the scope key */
	uint8_t nonce_key[KEY_SIZE];
	char id[SEAL_ID_HEX_SIZE];
};

/* The scope key of a configuration secret. */
void seal_scope_key(const uint8_t secret[static KEY_SIZE], const char *scope,
		    uint8_t out[static KEY_SIZE]);
/* What follows from a scope key. */
void seal_key_from(const uint8_t scope_key[static KEY_SIZE], struct seal_key *out);

/*
 * Whether TEXT calls itself sealed, in this version or another (`muster:` and a number); it need
 * not be sound.
 */
bool seal_is(const char *text);
/*
 * The id of the key that TEXT is sealed with. REFUSED when it is of a version that is not known,
 * CORRUPT when it is not of the one form.
 */
int seal_key_id(const char *text, char id[static SEAL_ID_HEX_SIZE], struct err *err);

/* Appends the sealed form; REFUSED when the plain text is over LIMIT_SECRET_VALUE. */
int seal_put(const struct seal_key *key, const char *scope, const char *path, const void *plain,
	     size_t n, struct buf *out, struct err *err);
/*
 * Appends the plain text, which the caller wipes (seal_wipe). CORRUPT when it does not open:
 * another key, scope or path, a bit changed, or not the one form. Nothing of the text is in an
 * error.
 */
int seal_open(const struct seal_key *key, const char *scope, const char *path, const char *text,
	      struct buf *out, struct err *err);

/* Wipes all that a buffer holds, and clears it. */
void seal_wipe(struct buf *buf);

#endif
