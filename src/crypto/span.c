/* Runs of characters: see span.h. */
#include "crypto/span.h"

#include "core/text.h"
#include "crypto/encode.h"

#include <string.h>

enum { EPOCH_MAX_LEN = 10 }; /* digits */

struct span span_take(struct span *rest, char stop)
{
	const char *end = rest->n ? memchr(rest->at, stop, rest->n) : NULL;
	struct span first = {.at = rest->at, .n = end ? (size_t)(end - rest->at) : rest->n};

	*rest = end ? (struct span){.at = end + 1, .n = rest->n - first.n - 1}
		    : (struct span){.at = rest->at + rest->n, .n = 0};
	return first;
}

struct span span_take_last(struct span *rest, char stop)
{
	const char *end = rest->n ? memrchr(rest->at, stop, rest->n) : NULL;
	struct span last = *rest;

	if (end)
		last = (struct span){.at = end + 1, .n = rest->n - (size_t)(end - rest->at) - 1};
	*rest = (struct span){.at = rest->at, .n = end ? (size_t)(end - rest->at) : 0};
	return last;
}

bool span_is(struct span span, const char *text)
{
	return span.n == strlen(text) && memcmp(span.at, text, span.n) == 0;
}

int span_key(struct span span, uint8_t key[static KEY_SIZE])
{
	return decode_base64url_exact(span.at, span.n, key, KEY_SIZE);
}

int span_epoch(struct span span, uint32_t *epoch)
{
	char text[EPOCH_MAX_LEN + 1] = "";
	uint64_t number;

	if (span.n == 0 || span.n > EPOCH_MAX_LEN)
		return -1;
	memcpy(text, span.at, span.n);
	if (strlen(text) != span.n) /* a NUL within */
		return -1;
	if (text_number(text, UINT32_MAX, &number) != 0 || number == 0)
		return -1;
	*epoch = (uint32_t)number;
	return 0;
}
