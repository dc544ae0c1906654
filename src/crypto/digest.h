/* The digest of a set of files: trust in content does not rest on git's SHA-1. */
#ifndef MUSTER_CRYPTO_DIGEST_H
#define MUSTER_CRYPTO_DIGEST_H

#include "core/fileset.h"

#include <stddef.h>
#include <stdint.h>

enum { DIGEST_SIZE = 32, DIGEST_HEX_SIZE = 65 };

/* Unkeyed BLAKE2b-256. */
void digest_bytes(const void *data, size_t n, uint8_t out[static DIGEST_SIZE]);
/*
 * BLAKE2b-256 over, for every file in byte order of the paths: part path, part be32 mode, part be64
 * size, part BLAKE2b-256 of the bytes; every part framed by its be32 length.
 */
void digest_fileset(const struct fileset *set, uint8_t out[static DIGEST_SIZE]);
/* Lower-case hex and a NUL. */
char *digest_hex(const uint8_t digest[static DIGEST_SIZE], char out[static DIGEST_HEX_SIZE]);

#endif
