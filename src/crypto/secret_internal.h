/* What is in a keyring: for secret.c and secret_source.c only. Guarded memory. */
#ifndef MUSTER_CRYPTO_SECRET_INTERNAL_H
#define MUSTER_CRYPTO_SECRET_INTERNAL_H

#include "core/limits.h"
#include "core/text.h"
#include "crypto/key.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct keyring_entry {
	char role[NAME_MAX_LEN + 1]; /* "": a configuration secret */
	uint8_t key[KEY_SIZE];
};

struct keyring {
	char source[256];
	bool is_file; /* etc/secret itself, not a link */
	size_t count;
	struct keyring_entry entries[LIMIT_SECRET_KEYS];
};

/* Bytes of all entries as text, with room for blanks. */
enum { KEYRING_TEXT_MAX = 4 << 10 };

#endif
