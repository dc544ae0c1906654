/* For harnesses of what is signed: a key that is made for them, and copies with a bit flipped. */
#ifndef MUSTER_TESTS_SIGNER_H
#define MUSTER_TESTS_SIGNER_H

#include "fuzz.h"

#include "crypto/key.h"

static const uint8_t seed[KEY_SIZE] = "the seed of the fuzz harnesses";
static uint8_t public[KEY_SIZE];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	crypto_setup();
	key_release_public(seed, public);
	return 0;
}

/* RAW with one bit flipped: the one that NUMBER, which may be larger, falls on. */
static inline void put_flipped(const struct buf *raw, size_t number, struct buf *copy)
{
	size_t bit = number % (8 * raw->len);

	buf_init(copy, raw->len);
	buf_put(copy, raw->data, raw->len);
	copy->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
}

#endif
