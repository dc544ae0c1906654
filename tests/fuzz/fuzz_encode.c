/* Hex, base64 and base64url: one form for each value, and back. */
#include "fuzz.h"

#include "crypto/encode.h"

static const struct {
	void (*encode)(struct buf *out, const void *data, size_t n);
	int (*decode)(const char *text, size_t len, struct buf *out);
} codes[] = {
	{encode_base64, decode_base64},
	{encode_base64url, decode_base64url},
	{encode_hex, decode_hex},
};

/* What decodes is what encoding the result gives. */
static void check_text(size_t code, const char *text, size_t size)
{
	struct buf bytes, again;

	buf_init(&bytes, size + 1);
	buf_init(&again, 2 * size + 8);
	if (codes[code].decode(text, size, &bytes) == 0) {
		codes[code].encode(&again, bytes.data, bytes.len);
		assert(fuzz_same(&again, text, size));
	} else {
		assert(bytes.len == 0 && !bytes.failed);
	}
	buf_clear(&bytes);
	buf_clear(&again);
}

/* What is encoded decodes to the same, and into no less room. */
static void check_bytes(size_t code, const uint8_t *data, size_t size)
{
	struct buf text, again, small;

	buf_init(&text, 2 * size + 8);
	buf_init(&again, size + 1);
	buf_init(&small, size ? size - 1 : 0);
	codes[code].encode(&text, data, size);
	assert(!text.failed);
	assert(codes[code].decode(buf_text(&text), text.len, &again) == 0);
	assert(fuzz_same(&again, data, size));
	if (size)
		assert(codes[code].decode(buf_text(&text), text.len, &small) == -1 &&
		       small.len == 0);
	buf_clear(&text);
	buf_clear(&again);
	buf_clear(&small);
}

static void check_exact(const char *text, size_t size)
{
	struct buf bytes;
	uint8_t exact[32];

	buf_init(&bytes, sizeof(exact));
	if (decode_base64url_exact(text, size, exact, sizeof(exact)) == 0) {
		assert(decode_base64url(text, size, &bytes) == 0);
		assert(fuzz_same(&bytes, exact, sizeof(exact)));
	} else {
		assert(decode_base64url(text, size, &bytes) == -1 || bytes.len != sizeof(exact));
	}
	buf_clear(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = size ? (const char *)data : "";

	for (size_t code = 0; code < sizeof(codes) / sizeof(codes[0]); code++) {
		check_text(code, text, size);
		check_bytes(code, data, size);
	}
	check_exact(text, size);
	return 0;
}
