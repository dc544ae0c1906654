/* Text forms of bytes: hex, base64, base64url. Decoding is strict: one form for each value. */
#ifndef MUSTER_CRYPTO_ENCODE_H
#define MUSTER_CRYPTO_ENCODE_H

#include "core/buf.h"

#include <stddef.h>
#include <stdint.h>

/* Appends lower-case hex. */
void encode_hex(struct buf *out, const void *data, size_t n);
/* Appends base64 with padding (RFC 4648 section 4). */
void encode_base64(struct buf *out, const void *data, size_t n);
/* Appends base64url without padding (RFC 4648 section 5). */
void encode_base64url(struct buf *out, const void *data, size_t n);

/*
 * Decode all LEN characters of TEXT. Appends to OUT; -1 when it is not the one canonical form
 * (other alphabet, blanks, missing or wrong padding, unused bits set) or does not fit; OUT is then
 * as before.
 */
int decode_hex(const char *text, size_t len, struct buf *out);
int decode_base64(const char *text, size_t len, struct buf *out);
int decode_base64url(const char *text, size_t len, struct buf *out);
/* To exactly N bytes at OUT, without a copy elsewhere: for keys. After -1 OUT is of no use. */
int decode_base64url_exact(const char *text, size_t len, void *out, size_t n);

#endif
