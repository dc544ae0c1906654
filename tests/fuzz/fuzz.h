/*
 * What the harnesses share. Each is one file, fuzz_NAME.c, with a corpus in corpus/NAME/: it takes
 * any bytes, does the same with them each time, and asserts what must hold. replay.c runs it in
 * `make check`, libFuzzer in `make fuzz`.
 */
#ifndef MUSTER_TESTS_FUZZ_H
#define MUSTER_TESTS_FUZZ_H

#include "core/buf.h"
#include "core/text.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The harness. 0 always. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* Optional: called once before the first input. 0 always. */
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* The input as a new string: up to its first NUL. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
	return text_copy_n(size ? (const char *)data : "", size);
}

static inline bool fuzz_same(const struct buf *a, const void *data, size_t n)
{
	return a->len == n && (n == 0 || memcmp(a->data, data, n) == 0);
}

#endif
