/*
 * The digest of a set of files: known values (made with Python's hashlib), and that nothing can
 * move unnoticed.
 */
#include "crypto/digest.h"
#include "crypto/key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void assert_digest(const uint8_t *digest, const char *want)
{
	char hex[DIGEST_HEX_SIZE];

	assert_ptr_equal(digest_hex(digest, hex), hex);
	assert_string_equal(hex, want);
}

static void add(struct fileset *set, const char *path, uint32_t mode, const char *text)
{
	struct err err = {0};

	assert_int_equal(fileset_add(set, path, mode, text, strlen(text), &err), 0);
}

static void test_bytes(void **state)
{
	uint8_t digest[DIGEST_SIZE];

	(void)state;
	digest_bytes("abc", 3, digest);
	assert_digest(digest, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
	digest_bytes(NULL, 0, digest);
	assert_digest(digest, "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8");
}

static void test_known(void **state)
{
	struct fileset set = {0};
	uint8_t digest[DIGEST_SIZE];

	(void)state;
	digest_fileset(&set, digest);
	assert_digest(digest, "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8");
	/* added in another order than that of the paths */
	add(&set, "files/run.sh", FILE_EXEC, "#!/bin/sh\n");
	add(&set, "config.xml", FILE_PLAIN, "<config/>\n");
	add(&set, "files/a", FILE_PLAIN, "");
	digest_fileset(&set, digest);
	assert_digest(digest, "00d1238aeeeff1d218d7e4b78689ada007b7a7d5732bdf273c05b8deda8b433f");
	fileset_clear(&set);
}

/* Sets that differ in one thing, among them bytes that move over the edge of a part. */
static void test_all_differ(void **state)
{
	static const struct {
		const char *path, *text, *path2, *text2;
		uint32_t mode;
	} rows[] = {
		{"a", "text", NULL, NULL, FILE_PLAIN}, {"a", "text", NULL, NULL, FILE_EXEC},
		{"a", "texu", NULL, NULL, FILE_PLAIN}, {"a", "tex", NULL, NULL, FILE_PLAIN},
		{"a", "text\n", NULL, NULL, FILE_PLAIN}, {"b", "text", NULL, NULL, FILE_PLAIN},
		{"at", "ext", NULL, NULL, FILE_PLAIN}, {"a/t", "ext", NULL, NULL, FILE_PLAIN},
		{"a", "", NULL, NULL, FILE_PLAIN},     {"a", "text", "b", "", FILE_PLAIN},
		{"a", "text", "b", "text", FILE_PLAIN}, {"a", "", "b", "text", FILE_PLAIN},
		{"a", "text", "c", "", FILE_PLAIN},    {"a", "textb", NULL, NULL, FILE_PLAIN},
	};
	enum { ROWS = sizeof(rows) / sizeof(rows[0]) };
	uint8_t digests[ROWS][DIGEST_SIZE];

	(void)state;
	for (size_t i = 0; i < ROWS; i++) {
		struct fileset set = {0};

		add(&set, rows[i].path, rows[i].mode, rows[i].text);
		if (rows[i].path2)
			add(&set, rows[i].path2, rows[i].mode, rows[i].text2);
		digest_fileset(&set, digests[i]);
		fileset_clear(&set);
		for (size_t j = 0; j < i; j++)
			assert_memory_not_equal(digests[i], digests[j], DIGEST_SIZE);
	}
}

static void digest_one(const void *data, size_t n, uint8_t digest[static DIGEST_SIZE])
{
	struct fileset set = {0};
	struct err err = {0};

	assert_int_equal(fileset_add(&set, "f", FILE_PLAIN, data, n, &err), 0);
	digest_fileset(&set, digest);
	fileset_clear(&set);
}

static void test_every_bit(void **state)
{
	uint8_t data[] = "the bytes of a file", first[DIGEST_SIZE], other[DIGEST_SIZE];

	(void)state;
	digest_one(data, sizeof(data), first);
	for (size_t bit = 0; bit < 8 * sizeof(data); bit++) {
		data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		digest_one(data, sizeof(data), other);
		assert_memory_not_equal(first, other, DIGEST_SIZE);
		data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t n = 0; n < sizeof(data); n++) {
		digest_one(data, n, other);
		assert_memory_not_equal(first, other, DIGEST_SIZE);
	}
	digest_one(data, sizeof(data), other);
	assert_memory_equal(first, other, DIGEST_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_all_differ),
		cmocka_unit_test(test_every_bit),
	};

	crypto_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
