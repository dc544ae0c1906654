/* Text forms of bytes: the vectors of RFC 4648, and that each value has one form. */
#include "crypto/encode.h"
#include "crypto/key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

typedef void encode_fn(struct buf *out, const void *data, size_t n);
typedef int decode_fn(const char *text, size_t len, struct buf *out);

static const struct form {
	const char *name;
	encode_fn *encode;
	decode_fn *decode;
} forms[] = {
	{"hex", encode_hex, decode_hex},
	{"base64", encode_base64, decode_base64},
	{"base64url", encode_base64url, decode_base64url},
};

enum { FORMS = sizeof(forms) / sizeof(forms[0]) };

static void test_known(void **state)
{
	static const struct {
		const char *plain, *hex, *base64, *base64url;
	} rows[] = {
		{"", "", "", ""},
		{"f", "66", "Zg==", "Zg"},
		{"fo", "666f", "Zm8=", "Zm8"},
		{"foo", "666f6f", "Zm9v", "Zm9v"},
		{"foob", "666f6f62", "Zm9vYg==", "Zm9vYg"},
		{"fooba", "666f6f6261", "Zm9vYmE=", "Zm9vYmE"},
		{"foobar", "666f6f626172", "Zm9vYmFy", "Zm9vYmFy"},
		{"\xfb\xff\xbf", "fbffbf", "+/+/", "-_-_"},
	};
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *want[FORMS] = {rows[i].hex, rows[i].base64, rows[i].base64url};

		for (size_t f = 0; f < FORMS; f++) {
			buf_reset(&out);
			forms[f].encode(&out, rows[i].plain, strlen(rows[i].plain));
			assert_string_equal(buf_text(&out), want[f]);
			buf_reset(&out);
			assert_int_equal(forms[f].decode(want[f], strlen(want[f]), &out), 0);
			assert_string_equal(buf_text(&out), rows[i].plain);
		}
	}
	buf_clear(&out);
}

static void test_round_trip(void **state)
{
	uint8_t data[100];
	struct buf text, back;

	(void)state;
	buf_init(&text, 1000);
	buf_init(&back, 1000);
	crypto_random(data, sizeof(data));
	for (size_t f = 0; f < FORMS; f++)
		for (size_t n = 0; n <= sizeof(data); n++) {
			buf_reset(&text);
			buf_reset(&back);
			buf_puts(&text, "before ");
			buf_puts(&back, "before ");
			forms[f].encode(&text, data, n);
			assert_int_equal(text.data[text.len], 0);
			assert_int_equal(forms[f].decode(buf_text(&text) + 7, text.len - 7, &back),
					 0);
			assert_int_equal(back.len, 7 + n);
			assert_int_equal(back.data[back.len], 0);
			assert_memory_equal(back.data, "before ", 7);
			assert_memory_equal(back.data + 7, data, n);
		}
	buf_clear(&text);
	buf_clear(&back);
}

/* Whatever decodes is what encoding gives: every character of a text replaced by every byte. */
static void test_one_form(void **state)
{
	struct buf text, back, again;
	uint8_t data[8];
	size_t taken = 0, refused = 0;

	(void)state;
	buf_init(&text, 100);
	buf_init(&back, 100);
	buf_init(&again, 100);
	crypto_random(data, sizeof(data));
	for (size_t f = 0; f < FORMS; f++)
		for (size_t n = 1; n <= sizeof(data); n++) {
			buf_reset(&text);
			forms[f].encode(&text, data, n);
			for (size_t at = 0; at < text.len; at++)
				for (unsigned byte = 0; byte < 256; byte++) {
					uint8_t old = text.data[at];

					text.data[at] = (uint8_t)byte;
					buf_reset(&back);
					if (forms[f].decode(buf_text(&text), text.len, &back) ==
					    0) {
						buf_reset(&again);
						forms[f].encode(&again, back.data, back.len);
						assert_int_equal(again.len, text.len);
						assert_memory_equal(again.data, text.data,
								    text.len);
						taken++;
					} else {
						assert_int_equal(back.len, 0);
						refused++;
					}
					text.data[at] = old;
				}
		}
	assert_true(taken > 0 && refused > taken);
	buf_clear(&text);
	buf_clear(&back);
	buf_clear(&again);
}

static void test_refused(void **state)
{
	static const struct {
		decode_fn *decode;
		const char *text;
	} rows[] = {
		{decode_hex, "6"},	    {decode_hex, "666"},       {decode_hex, "6G"},
		{decode_hex, "6F"},	    {decode_hex, "66 66"},     {decode_hex, " 6666"},
		{decode_hex, "66\n"},	    {decode_hex, "0x66"},      {decode_hex, "66:66"},
		{decode_base64, "Zg"},	    {decode_base64, "Zg="},    {decode_base64, "Zg==="},
		{decode_base64, "Zh=="},    {decode_base64, "Zm9="},   {decode_base64, "Zm8"},
		{decode_base64, "Zm 8="},   {decode_base64, "Zm8=\n"}, {decode_base64, "\nZm8="},
		{decode_base64, "-_-_"},    {decode_base64, "===="},   {decode_base64, "Z==="},
		{decode_base64, "Zg==Zg=="}, {decode_base64, "Zg==\n"}, {decode_base64, "Zm9vYg=="
										"Zm9v"},
		{decode_base64url, "Zg=="}, {decode_base64url, "Zh"},  {decode_base64url, "Zm9"},
		{decode_base64url, "Z"},    {decode_base64url, "+/+/"}, {decode_base64url, "Zm8="},
		{decode_base64url, "Zm9vY"}, {decode_base64url, "Zm 8"}, {decode_base64url, "Zg\n"},
	};
	struct buf out;

	(void)state;
	buf_init(&out, 100);
	buf_puts(&out, "kept");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(rows[i].decode(rows[i].text, strlen(rows[i].text), &out), -1);
		assert_string_equal(buf_text(&out), "kept");
		assert_false(out.failed);
	}
	assert_int_equal(decode_hex("66\0", 3, &out), -1);
	assert_int_equal(decode_hex("66\0\0", 4, &out), -1);
	assert_int_equal(decode_base64("Zm9\0", 4, &out), -1);
	assert_int_equal(decode_base64url("Zm\0", 3, &out), -1);
	assert_string_equal(buf_text(&out), "kept");
	buf_clear(&out);
}

/* A decoder that has no room leaves the buffer usable; an encoder marks it. */
static void test_room(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 6);
	buf_puts(&out, "kept");
	assert_int_equal(decode_hex("666f6f", 6, &out), -1);
	assert_int_equal(decode_base64("Zm9v", 4, &out), -1);
	assert_int_equal(decode_base64url("Zm9v", 4, &out), -1);
	assert_false(out.failed);
	assert_string_equal(buf_text(&out), "kept");
	assert_int_equal(decode_base64("Zm8=", 4, &out), 0);
	assert_string_equal(buf_text(&out), "keptfo");
	for (size_t f = 0; f < FORMS; f++) {
		buf_reset(&out);
		buf_puts(&out, "kept");
		forms[f].encode(&out, "foo", 3);
		assert_true(out.failed);
		assert_string_equal(buf_text(&out), "kept");
		assert_int_equal(forms[f].decode("", 0, &out), -1);
	}
	buf_clear(&out);
}

static void test_exact(void **state)
{
	uint8_t out[3];

	(void)state;
	assert_int_equal(decode_base64url_exact("Zm9v", 4, out, 3), 0);
	assert_memory_equal(out, "foo", 3);
	assert_int_equal(decode_base64url_exact("Zm8", 3, out, 3), -1);
	assert_int_equal(decode_base64url_exact("Zm9vYg", 6, out, 3), -1);
	assert_int_equal(decode_base64url_exact("Zm9vY", 5, out, 3), -1);
	assert_int_equal(decode_base64url_exact("Zm9+", 4, out, 3), -1);
	assert_int_equal(decode_base64url_exact("Zm9", 3, out, 2), -1);
	assert_int_equal(decode_base64url_exact("", 0, out, 3), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known),	cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_one_form), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_room),	cmocka_unit_test(test_exact),
	};

	crypto_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
