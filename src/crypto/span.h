/* A run of characters within a text, for the parsers of keys: nothing is copied, since what is
 * parsed is secret. */
#ifndef MUSTER_CRYPTO_SPAN_H
#define MUSTER_CRYPTO_SPAN_H

#include "crypto/key.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct span {
	const char *at; /* never NULL */
	size_t n;
};

/* What stands before the first STOP; both go from REST. All of it, and REST empty at its end, when
 * there is none. */
struct span span_take(struct span *rest, char stop);
/* What stands after the last STOP; both go from REST. All of it, and REST empty at its start, when
 * there is none. */
struct span span_take_last(struct span *rest, char stop);
bool span_is(struct span span, const char *text);
/* All of it as a key in base64url, or a decimal epoch from 1; 0 or -1. */
int span_key(struct span span, uint8_t key[static KEY_SIZE]);
int span_epoch(struct span span, uint32_t *epoch);

#endif
