/* pkt-line framing. */
#include "channel/pktline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_put(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 200000);
	pktline_put(&out, "a\n", 2);
	pktline_put(&out, "", 0);
	pktline_put(&out, "foobar\n", 7);
	pktline_printf(&out, "%s %d", "want", 7);
	pktline_flush(&out);
	assert_string_equal(buf_text(&out), "0006a\n0004000bfoobar\n000awant 70000");
	buf_clear(&out);
}

static void test_largest(void **state)
{
	struct buf out;
	struct cursor c;
	const uint8_t *data;
	size_t n;
	char *big = malloc(PKTLINE_DATA_MAX);

	(void)state;
	memset(big, 'x', PKTLINE_DATA_MAX);
	buf_init(&out, 200000);
	pktline_put(&out, big, PKTLINE_DATA_MAX);
	assert_int_equal(out.len, PKTLINE_DATA_MAX + 4);
	assert_memory_equal(out.data, "fff0", 4);
	c = cursor_of(out.data, out.len);
	assert_int_equal(pktline_next(&c, &data, &n, NULL), PKTLINE_DATA);
	assert_int_equal(n, PKTLINE_DATA_MAX);
	assert_true(cursor_done(&c));
	buf_reset(&out);
	pktline_printf(&out, "%.*s", PKTLINE_DATA_MAX, big);
	assert_int_equal(out.len, PKTLINE_DATA_MAX + 4);
	memcpy(out.data, "fff1", 4); /* one more than git's largest */
	buf_puts(&out, "xx");
	c = cursor_of(out.data, out.len);
	assert_int_equal(pktline_next(&c, &data, &n, NULL), PKTLINE_BAD);
	buf_clear(&out);
	free(big);
}

static void test_no_room(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 9);
	pktline_put(&out, "abcdef", 6);
	assert_true(out.failed);
	buf_clear(&out);
}

static void test_next(void **state)
{
	static const char text[] = "0006a\n0004000AFOOBAR0000";
	struct cursor c = cursor_of(text, strlen(text));
	const uint8_t *data;
	size_t n;

	(void)state;
	assert_int_equal(pktline_next(&c, &data, &n, NULL), PKTLINE_DATA);
	assert_int_equal(n, 2);
	assert_memory_equal(data, "a\n", 2);
	assert_int_equal(pktline_next(&c, &data, &n, NULL), PKTLINE_DATA);
	assert_int_equal(n, 0);
	assert_int_equal(pktline_next(&c, &data, &n, NULL), PKTLINE_DATA);
	assert_int_equal(n, 6);
	assert_memory_equal(data, "FOOBAR", 6);
	assert_int_equal(pktline_next(&c, &data, &n, NULL), PKTLINE_FLUSH);
	assert_true(cursor_done(&c));
	assert_int_equal(pktline_next(&c, &data, &n, NULL), PKTLINE_MORE);
	assert_true(cursor_done(&c));
}

static void test_every_truncation(void **state)
{
	static const char text[] = "000bfoobar\n";

	(void)state;
	for (size_t len = 0; len < strlen(text); len++) {
		char *copy = malloc(len + 1); /* exact, so that a read past the end is seen */
		struct cursor c = cursor_of(memcpy(copy, text, len), len);
		const uint8_t *data = NULL;
		size_t n = 77;

		assert_int_equal(pktline_next(&c, &data, &n, NULL), PKTLINE_MORE);
		assert_ptr_equal(c.at, copy);
		assert_int_equal(c.left, len);
		assert_false(c.failed);
		assert_null(data);
		assert_int_equal(n, 77);
		free(copy);
	}
}

static void test_bad(void **state)
{
	static const char *const rows[] = {
		"0001",
		"0002",
		"0003",
		"0001abc",
		"fff1",
		"ffff",
		"xxxx",
		"00g0",
		"-001",
		"+004",
		" 004",
		"0x04",
		"000\n",
		"g",
		"0g",
		"00 ",
		"HTTP/1.1 400",
		"\x16\x03\x01",
		"SSH-2.0-OpenSSH",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cursor c = cursor_of(rows[i], strlen(rows[i]));
		const uint8_t *data;
		struct err err = {0};
		size_t n;

		assert_int_equal(pktline_next(&c, &data, &n, &err), PKTLINE_BAD);
		assert_int_equal(err.code, ERR_CORRUPT);
		assert_ptr_equal(c.at, rows[i]);
	}
}

/* Any length: what the digits say is what comes out, or it is refused. */
static void test_every_length(void **state)
{
	uint8_t *bytes = calloc(1, 70000);

	(void)state;
	for (unsigned length = 0; length <= 0xffff; length++) {
		struct cursor c = cursor_of(bytes, 70000);
		const uint8_t *data;
		enum pktline_kind kind;
		size_t n = 0;

		(void)snprintf((char *)bytes, 5, "%04x", length); /* fits */
		kind = pktline_next(&c, &data, &n, NULL);
		if (length == 0) {
			assert_int_equal(kind, PKTLINE_FLUSH);
		} else if (length < 4 || length > 65520) {
			assert_int_equal(kind, PKTLINE_BAD);
		} else {
			assert_int_equal(kind, PKTLINE_DATA);
			assert_int_equal(n, length - 4);
			assert_int_equal(c.left, 70000 - length);
		}
	}
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_put),	    cmocka_unit_test(test_largest),
		cmocka_unit_test(test_no_room),	    cmocka_unit_test(test_next),
		cmocka_unit_test(test_every_truncation), cmocka_unit_test(test_bad),
		cmocka_unit_test(test_every_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
