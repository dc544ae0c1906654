/* Text forms of bytes: see encode.h. libsodium's codecs take the same time for every key. */
#include "crypto/encode.h"

#include <sodium.h>

static void encode_variant(struct buf *out, const void *data, size_t n, int variant)
{
	size_t size = sodium_base64_encoded_len(n, variant); /* with a NUL: buf has room for it */
	uint8_t *to = buf_reserve(out, size - 1);

	if (!to)
		return;
	(void)sodium_bin2base64((char *)to, size, data, n, variant); /* returns its argument */
	out->len += size - 1;
}

void encode_hex(struct buf *out, const void *data, size_t n)
{
	uint8_t *to = n <= out->max ? buf_reserve(out, 2 * n) : NULL;

	if (!to) {
		out->failed = true;
		return;
	}
	(void)sodium_bin2hex((char *)to, 2 * n + 1, data, n); /* returns its argument */
	out->len += 2 * n;
}

void encode_base64(struct buf *out, const void *data, size_t n)
{
	encode_variant(out, data, n, sodium_base64_VARIANT_ORIGINAL);
}

void encode_base64url(struct buf *out, const void *data, size_t n)
{
	encode_variant(out, data, n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

/*
 * libsodium 1.0.18 takes some bytes from 0x80 on for characters of base64 (it sign-extends
 * them), which would give one value many forms: they are refused first.
 */
static bool is_ascii(const char *text, size_t len)
{
	unsigned all = 0;

	for (size_t i = 0; i < len; i++)
		all |= (unsigned char)text[i];
	return all < 0x80;
}

/* Decodes to exactly N bytes at TO. */
typedef int decode_fn(uint8_t *to, size_t n, const char *text, size_t len);

static int decode_hex_to(uint8_t *to, size_t n, const char *text, size_t len)
{
	size_t got = 0;

	for (size_t i = 0; i < len; i++)
		if (text[i] >= 'A' && text[i] <= 'F') /* the library takes these too */
			return -1;
	if (!is_ascii(text, len) || sodium_hex2bin(to, n, text, len, NULL, &got, NULL) != 0)
		return -1;
	return got == n ? 0 : -1;
}

static int decode_base64_to(uint8_t *to, size_t n, const char *text, size_t len)
{
	size_t got = 0;

	if (!is_ascii(text, len) || sodium_base642bin(to, n, text, len, NULL, &got, NULL,
						      sodium_base64_VARIANT_ORIGINAL) != 0)
		return -1;
	return got == n ? 0 : -1;
}

static int decode_base64url_to(uint8_t *to, size_t n, const char *text, size_t len)
{
	size_t got = 0;

	if (!is_ascii(text, len) ||
	    sodium_base642bin(to, n, text, len, NULL, &got, NULL,
			      sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0)
		return -1;
	return got == n ? 0 : -1;
}

/* Appends the N bytes that TEXT must decode to; a failure leaves OUT as it was, not failed. */
static int decode_append(struct buf *out, size_t n, decode_fn *decode, const char *text, size_t len)
{
	uint8_t *to;
	int rc;

	if (out->failed || n > out->max - out->len)
		return -1;
	to = buf_reserve(out, n);
	rc = decode(to, n, text, len);
	if (rc == 0)
		out->len += n;
	out->data[out->len] = '\0';
	return rc;
}

int decode_hex(const char *text, size_t len, struct buf *out)
{
	return len % 2 ? -1 : decode_append(out, len / 2, decode_hex_to, text, len);
}

int decode_base64(const char *text, size_t len, struct buf *out)
{
	size_t padding = 0;

	if (len % 4)
		return -1;
	while (padding < 2 && padding < len && text[len - 1 - padding] == '=')
		padding++;
	return decode_append(out, len / 4 * 3 - padding, decode_base64_to, text, len);
}

/* Bytes that LEN characters without padding stand for; a single character over stands for none. */
static size_t base64url_size(size_t len)
{
	return len / 4 * 3 + (len % 4 ? len % 4 - 1 : 0);
}

int decode_base64url(const char *text, size_t len, struct buf *out)
{
	return decode_append(out, base64url_size(len), decode_base64url_to, text, len);
}

int decode_base64url_exact(const char *text, size_t len, void *out, size_t n)
{
	return base64url_size(len) == n ? decode_base64url_to(out, n, text, len) : -1;
}
