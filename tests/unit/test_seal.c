/* Sealed values: the format, pinned by values of another implementation, and all damage. */
#include "core/text.h"
#include "crypto/encode.h"
#include "crypto/seal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PATH "/{urn:a}b[k]/{urn:a}password"
#define LONG "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static struct seal_key key_for(const char *scope)
{
	uint8_t secret[KEY_SIZE], scope_key[KEY_SIZE];
	struct seal_key key;

	for (size_t i = 0; i < KEY_SIZE; i++)
		secret[i] = (uint8_t)i;
	seal_scope_key(secret, scope, scope_key);
	seal_key_from(scope_key, &key);
	return key;
}

static char *sealed(const char *scope, const char *path, const char *plain)
{
	struct seal_key key = key_for(scope);
	struct err err = {.code = ERR_NONE};
	struct buf out;

	buf_init(&out, 1 << 20);
	assert_int_equal(seal_put(&key, scope, path, plain, strlen(plain), &out, &err), 0);
	return (char *)buf_steal(&out, NULL);
}

/* Opens TEXT; the plain text, or NULL. */
static char *opened(const char *scope, const char *path, const char *text)
{
	struct seal_key key = key_for(scope);
	struct err err = {.code = ERR_NONE};
	struct buf out;
	char *copy = NULL;

	buf_init(&out, 1 << 20);
	if (seal_open(&key, scope, path, text, &out, &err) == 0)
		copy = text_copy_n(buf_text(&out), out.len);
	else
		assert_true(err.code == ERR_CORRUPT || err.code == ERR_REFUSED);
	if (!copy)
		assert_int_equal(out.len, 0);
	seal_wipe(&out);
	return copy;
}

/* Computed by hashlib's BLAKE2b and an XChaCha20-Poly1305 written from the drafts. */
static void test_vectors(void **state)
{
	static const struct {
		const char *scope, *plain, *text;
	} rows[] = {
		{"config", "hunter2",
		 "muster:1:246c084b:wW7gpSLBWJlJhd4mzqoqGysYMTvZHeTxQvgmygzxClRLAmaJpcwex3Tt4-"
		 "LQTwxL"
		 "uCTM1xVbRhW5atNwNv-b1ChoDBvIHgoD"},
		{"config", LONG,
		 "muster:1:246c084b:c8D2M58q6nsa8H_resVa7HA2lUiGIvvvNVQ-4GSZaKc2TUD-"
		 "3lD1cPJAU4I0PpjdN"
		 "92gHQ6N3ecakWsREBevpXR13kZVfcKjWavLLSar49ELyMY3JUw4Ooc8PaH8FujzNWuaUlgIC0c"},
		{"role/default", "hunter2",
		 "muster:1:014e6ab2:"
		 "Rum2BkthCxgD0jJ54x65ltE5VnknirAfbFoZYvMGkfGChBJUGFnsxyzIWfftPAwoI"
		 "_YltAkV98NPUSGpgR7Fpg6fWjEEwGay"},
		{"role/default", LONG,
		 "muster:1:014e6ab2:Tb0M2pWrjr_5BOTyJpSTddniO2529K4JMiGyePXXNyBtITdp6BbjHxmbPzz6E_"
		 "9K1"
		 "MRTbVlMkV8htRERAVX505tINmdN_1lEjPNrvi4z6tkJy4_-Sy05uz6McYlLVQMaUzkfMQL5igY"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *text = sealed(rows[i].scope, PATH, rows[i].plain);
		char *plain = opened(rows[i].scope, PATH, rows[i].text);

		assert_string_equal(text, rows[i].text);
		assert_string_equal(plain, rows[i].plain);
		free(text);
		free(plain);
	}
}

static void test_round_trip(void **state)
{
	char plain[101];

	(void)state;
	for (size_t n = 0; n <= 100; n++) {
		char *text, *again, *back;

		memset(plain, 'a', n);
		plain[n] = '\0';
		text = sealed("config", PATH, plain);
		again = sealed("config", PATH, plain);
		back = opened("config", PATH, text);
		assert_string_equal(text, again); /* quiet */
		assert_string_equal(back, plain);
		/* lengths show no more than which multiple of 32 */
		assert_int_equal(strlen(text), 18 + ((24 + (n / 32 + 1) * 32 + 16) * 4 + 2) / 3);
		free(text);
		free(again);
		free(back);
	}
}

static void test_places(void **state)
{
	static const char *const scopes[] = {"config", "role/default", "role/internal"};
	static const char *const paths[] = {PATH, PATH "x", "/{urn:a}b[l]/{urn:a}password", ""};

	(void)state;
	for (size_t s = 0; s < 3; s++)
		for (size_t p = 0; p < 4; p++) {
			char *text = sealed(scopes[s], paths[p], "hunter2");

			for (size_t i = 0; i < 3; i++)
				for (size_t j = 0; j < 4; j++) {
					char *plain = opened(scopes[i], paths[j], text);

					assert_int_equal(plain != NULL, i == s && j == p);
					free(plain);
				}
			free(text);
		}
	/* the parts are framed: their border cannot be moved */
	assert_null(opened("role/default", "x", "muster:1:00000000:"));
}

/* Every bit of the text, and every truncation and a byte more. */
static void test_damage(void **state)
{
	char *text = sealed("config", PATH, "hunter2");
	size_t n = strlen(text);

	(void)state;
	for (size_t bit = 0; bit < 8 * n; bit++) {
		char *copy = text_copy(text);

		copy[bit / 8] = (char)(copy[bit / 8] ^ 1 << bit % 8);
		/*
		 * a key id that is another's is the keyring's to see: the value does not depend on
		 * it
		 */
		if (bit / 8 < 9 || bit / 8 >= 17)
			assert_null(opened("config", PATH, copy));
		free(copy);
	}
	for (size_t cut = 0; cut < n; cut++) {
		char *copy = text_copy_n(text, cut);

		assert_null(opened("config", PATH, copy));
		free(copy);
	}
	for (int c = 1; c < 256; c++) {
		char *after = text_format("%s%c", text, c), *before = text_format("%c%s", c, text);

		assert_null(opened("config", PATH, after));
		assert_null(opened("config", PATH, before));
		free(after);
		free(before);
	}
	free(text);
}

/* Every bit of the bytes, in the canonical text form. */
static void test_bytes(void **state)
{
	char *text = sealed("config", PATH, LONG "yy");
	struct buf bytes, changed;

	(void)state;
	buf_init(&bytes, 4096);
	buf_init(&changed, 8192);
	assert_int_equal(decode_base64url(text + 18, strlen(text + 18), &bytes), 0);
	for (size_t bit = 0; bit < 8 * bytes.len; bit++) {
		bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		buf_reset(&changed);
		buf_printf(&changed, "%.18s", text);
		encode_base64url(&changed, bytes.data, bytes.len);
		assert_null(opened("config", PATH, buf_text(&changed)));
		bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	buf_clear(&bytes);
	buf_clear(&changed);
	free(text);
}

/*
 * Sealed with the right key for the right place, as whoever has the key may, but with another
 * nonce, more padding, or padding that is none: one value has one form.
 */
static void test_other_seals(void **state)
{
	static const char *const rows[] = {
		/* of "hunter2" with a nonce of its own */
		"muster:1:246c084b:AAECAwQFBgcICQoLDA0ODxAREhMUFRYX3LV3D5HnbuZzI5qYvBotf8"
		"7m9lXsfRn0iaeZvTWRhghRyQRQzSVwj-rNx_Igq68c",
		/* padded to 64 bytes */
		"muster:1:246c084b:wW7gpSLBWJlJhd4mzqoqGysYMTvZHeTxQvgmygzxClRLAmaJpcwex3"
		"Tt4-LQTwxLuCTM1xVbRhVE8Ptjns3rJ1CpVtFYzfH7V2WTEZgTZRmj3BO-frOSx7tmTDqw-E"
		"_bUdY28RvMw5Q",
		/* without the 0x80, and with something after it */
		"muster:1:246c084b:wW7gpSLBWJlJhd4mzqoqGysYMTvZHeTxQvgmygzxCtRLAmaJpcwex3"
		"Tt4-LQTwxLuCTM1xVbRhWEO_op3uhE8Jc5eMhdttd3",
		"muster:1:246c084b:wW7gpSLBWJlJhd4mzqoqGysYMTvZHeTxQvgmygzxClRLAmaJpcwex3"
		"Tt4-LQTwxLuCTM1xVbRhRPwbGx-bQDMuRGuSomXZ2g",
		/* nothing but zeros, with the nonce of an empty value */
		"muster:1:246c084b:B7n9ABVHPbhpevsRqsPsPLr73xU3NzeGHV7wUk0Ke3E3d5fjZ3VuFk"
		"WWM_exIXdX1mLS5nk6e5H__SwjuMTkomRtQY5zM2Nv",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_null(opened("config", PATH, rows[i]));
}

static void test_forms(void **state)
{
	static const struct {
		const char *text;
		bool is;
		enum err_code code;
	} rows[] = {
		{"", false, ERR_CORRUPT},
		{"muster", false, ERR_CORRUPT},
		{"muster:", false, ERR_CORRUPT},
		{"muster::", false, ERR_CORRUPT},
		{"muster:x:", false, ERR_CORRUPT},
		{"muster:1", false, ERR_CORRUPT},
		{"Muster:1:", false, ERR_CORRUPT},
		{"muster:1:", true, ERR_CORRUPT},
		{"muster:2:246c084b:wW7g", true, ERR_REFUSED},
		{"muster:01:246c084b:wW7g", true, ERR_REFUSED},
		{"muster:1:246c084b", true, ERR_CORRUPT},
		{"muster:1:246c084b:", true, ERR_CORRUPT},
		{"muster:1:246C084B:wW7g", true, ERR_CORRUPT},
		{"muster:1:246c084:wW7g", true, ERR_CORRUPT},
		{"muster:1:246c084b0:wW7g", true, ERR_CORRUPT},
		{"muster:1:246c084b:wW7g", true, ERR_CORRUPT},
		{"muster:1:246c084b:wW7g=", true, ERR_CORRUPT},
		{"muster:1:246c084b:w W7g", true, ERR_CORRUPT},
	};
	char id[SEAL_ID_HEX_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err err = {.code = ERR_NONE};

		assert_int_equal(seal_is(rows[i].text), rows[i].is);
		assert_int_equal(seal_key_id(rows[i].text, id, &err), -1);
		assert_int_equal(err.code, rows[i].code);
		if (strlen(rows[i].text) > 18)
			assert_null(strstr(err.text, "wW7g"));
		assert_int_equal(seal_key_id(rows[i].text, id, NULL), -1);
	}
}

static void test_limits(void **state)
{
	char *large = mem_new(1, LIMIT_SECRET_VALUE + 2), *text;
	struct seal_key key = key_for("config");
	struct err err = {.code = ERR_NONE};
	struct buf out;

	(void)state;
	memset(large, 'x', LIMIT_SECRET_VALUE + 1);
	buf_init(&out, 1 << 22);
	assert_int_equal(seal_put(&key, "config", PATH, large, LIMIT_SECRET_VALUE + 1, &out, &err),
			 -1);
	assert_int_equal(err.code, ERR_REFUSED);
	assert_int_equal(seal_put(&key, "config", PATH, large, LIMIT_SECRET_VALUE, &out, &err), 0);
	text = text_copy(buf_text(&out));
	buf_reset(&out);
	assert_int_equal(seal_open(&key, "config", PATH, text, &out, &err), 0);
	assert_int_equal(out.len, LIMIT_SECRET_VALUE);
	free(text);
	text = mem_new(1, 4 * LIMIT_SECRET_VALUE);
	memset(text, 'x', 4 * LIMIT_SECRET_VALUE - 1);
	memcpy(text, "muster:1:246c084b:", 18);
	assert_int_equal(seal_open(&key, "config", PATH, text, &out, &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	buf_clear(&out);
	free(text);
	free(large);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors), cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_places),  cmocka_unit_test(test_damage),
		cmocka_unit_test(test_bytes),   cmocka_unit_test(test_other_seals),
		cmocka_unit_test(test_forms),   cmocka_unit_test(test_limits),
	};

	crypto_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
