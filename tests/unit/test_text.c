/*
 * Names, numbers, times and escaping; buffers and cursors; errors: what every other module stands
 * on.
 */
#include "node_home.h"

#include "core/buf.h"

#include <stdint.h>

static void names(void **state)
{
	static const char *const good[] = {"a", "default", "A-1_b.c", "9", "HEAD2", "commons"};
	static const char *const bad[] = {"",     ".a",  "-a",     "_a",   "a/b",    "a b",
					  "a..b", "a.",  "a.lock", "HEAD", "common", "\xc3\xa4",
					  "a\n",  "a:b", "*",      "a~1"};
	char name[NAME_MAX_LEN + 2];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(name_valid(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(name_valid(bad[i]));
	memset(name, 'a', sizeof(name));
	name[NAME_MAX_LEN] = '\0';
	assert_true(name_valid(name));
	name[NAME_MAX_LEN] = 'a';
	name[NAME_MAX_LEN + 1] = '\0';
	assert_false(name_valid(name));
}

static void numbers(void **state)
{
	static const char *const bad[] = {"",
					  "-1",
					  "+1",
					  " 1",
					  "1 ",
					  "01",
					  "1x",
					  "0x1",
					  "18446744073709551616",
					  "99999999999999999999"};
	uint64_t n = 7;

	(void)state;
	assert_int_equal(text_number("0", 0, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(text_number("18446744073709551615", UINT64_MAX, &n), 0);
	assert_true(n == UINT64_MAX);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(text_number(bad[i], UINT64_MAX, &n), -1);
	assert_true(n == UINT64_MAX);
	assert_int_equal(text_number("65535", 65535, &n), 0);
	assert_int_equal(text_number("65536", 65535, &n), -1);
	assert_int_equal(text_number("10", 9, &n), -1);
}

static void times(void **state)
{
	char out[TEXT_TIME_MAX];

	(void)state;
	assert_string_equal(text_time(1700000000, out), "2023-11-14T22:13:20Z");
	assert_string_equal(text_time(0, out), "");
	assert_string_equal(text_time(-5, out), "");
	assert_string_equal(text_time(253402300799, out), "9999-12-31T23:59:59Z");
	assert_string_equal(text_time(INT64_MAX, out), "");
}

static void escaping(void **state)
{
	char text[] = "a\nb\t\x1b[2J\x7f \xc3\xa4";

	(void)state;
	text_escape_in_place(text);
	assert_string_equal(text, "a?b??[2J? \xc3\xa4");
	assert_true(text_starts("abc", "") && text_starts("abc", "abc") &&
		    !text_starts("ab", "abc"));
	assert_true(text_near("node1", "node2") && text_near("ndoe1", "node1") &&
		    text_near("nod", "node1"));
	assert_true(text_near("", "ab") && text_near("a", "a") && text_near("web", "web-1"));
	assert_false(text_near("node1", "web1") || text_near("", "abc") ||
		     text_near("node", "edon"));
	assert_false(text_near("a-node-b", "b-node-a"));
	assert_true(text_ends("abc", "") && text_ends("abc", "bc") && !text_ends("bc", "abc"));
}

/* --- buffers --- */

static void puts_up_to_a_limit(void **state)
{
	struct buf buf;
	size_t n;
	uint8_t *data;

	(void)state;
	buf_init(&buf, 10);
	assert_string_equal(buf_text(&buf), "");
	buf_puts(&buf, "12345");
	buf_printf(&buf, "%d", 67);
	buf_put_u8(&buf, '8');
	assert_string_equal(buf_text(&buf), "12345678");
	buf_puts(&buf, "9ab");
	assert_true(buf.failed);
	assert_int_equal(buf.len, 8);
	buf_puts(&buf, "9"); /* would fit: but one is missing before it */
	assert_int_equal(buf.len, 8);
	assert_null(buf_reserve(&buf, 1));
	buf_reset(&buf);
	assert_false(buf.failed);
	buf_puts(&buf, "0123456789");
	assert_false(buf.failed);
	assert_null(buf_reserve(&buf, 1));
	buf_reset(&buf);
	buf_puts(&buf, "abcdef");
	buf_consume(&buf, 4);
	assert_string_equal(buf_text(&buf), "ef");
	data = buf_steal(&buf, &n);
	assert_int_equal(n, 2);
	assert_memory_equal(data, "ef", 3);
	free(data);
	assert_int_equal(buf.len, 0);
	assert_null(buf_steal(&buf, &n));
	buf_puts(&buf, "again");
	assert_string_equal(buf_text(&buf), "again");
	assert_null(buf_reserve(&buf, SIZE_MAX));
	buf_clear(&buf);
	buf_init(&buf, 4);
	buf_printf(&buf, "%s", "12345");
	assert_true(buf.failed);
	assert_int_equal(buf.len, 0);
	buf_clear(&buf);
}

static void reads_what_was_put(void **state)
{
	struct buf buf;
	struct cursor c;
	const uint8_t *part;
	size_t n;

	(void)state;
	buf_init(&buf, 1000);
	buf_put_u8(&buf, 0xfe);
	buf_put_be16(&buf, 0x1234);
	buf_put_be32(&buf, 0x89abcdef);
	buf_put_be64(&buf, 0x0123456789abcdef);
	buf_put_part(&buf, "part", 4);
	buf_put_part(&buf, "", 0);
	buf_puts(&buf, "line\n\nrest");
	for (size_t cut = 0; cut < buf.len; cut++) {
		/* all of it, of any truncation, is seen as cut */
		c = cursor_of(buf.data, cut);
		(void)cursor_u8(&c);
		(void)cursor_be16(&c);
		(void)cursor_be32(&c);
		(void)cursor_be64(&c);
		(void)cursor_part(&c, 10, &n);
		(void)cursor_part(&c, 10, &n);
		(void)cursor_line(&c, &n);
		(void)cursor_line(&c, &n);
		(void)cursor_bytes(&c, 4);
		assert_true(c.failed);
		assert_false(cursor_done(&c));
		assert_int_equal(cursor_be64(&c), 0);
		assert_null(cursor_bytes(&c, 0));
	}
	c = cursor_of(buf.data, buf.len);
	assert_int_equal(cursor_u8(&c), 0xfe);
	assert_int_equal(cursor_be16(&c), 0x1234);
	assert_int_equal(cursor_be32(&c), 0x89abcdef);
	assert_true(cursor_be64(&c) == 0x0123456789abcdef);
	part = cursor_part(&c, 4, &n);
	assert_int_equal(n, 4);
	assert_memory_equal(part, "part", 4);
	assert_non_null(cursor_part(&c, 4, &n));
	assert_int_equal(n, 0);
	assert_memory_equal(cursor_line(&c, &n), "line", 4);
	assert_int_equal(n, 4);
	assert_non_null(cursor_line(&c, &n));
	assert_int_equal(n, 0);
	assert_memory_equal(cursor_bytes(&c, 4), "rest", 4);
	assert_true(cursor_done(&c));
	assert_null(cursor_line(&c, &n));
	assert_true(c.failed);
	buf_clear(&buf);
}

static void parts_have_a_limit(void **state)
{
	static const uint8_t huge[] = {0xff, 0xff, 0xff, 0xff, 'a'};
	struct cursor c = cursor_of(huge, sizeof(huge));
	size_t n;

	(void)state;
	assert_null(cursor_part(&c, SIZE_MAX, &n));
	assert_true(c.failed);
	c = cursor_of("\0\0\0\5abcde", 9);
	assert_null(cursor_part(&c, 4, &n));
	assert_true(c.failed);
}

/* --- errors --- */

static void sentences(void **state)
{
	struct err err = {.code = ERR_NONE};
	char *longer = mem_new(5000, 1);

	(void)state;
	assert_int_equal(err_set(&err, ERR_REFUSED, "a\nb %d\r", 1), -1);
	assert_string_equal(err.text, "a b 1 ");
	assert_int_equal(err.code, ERR_REFUSED);
	assert_int_equal(err_prefix(&err, "in\n%s", "x"), -1);
	assert_string_equal(err.text, "in x: a b 1 ");
	assert_int_equal(err.code, ERR_REFUSED);
	memset(longer, 'y', 4999);
	(void)err_prefix(&err, "%s", longer);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	(void)err_set(&err, ERR_FULL, "%s", longer);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	/* no one who wants to know */
	assert_int_equal(err_set(NULL, ERR_FULL, "x"), -1);
	assert_int_equal(err_prefix(NULL, "x"), -1);
	assert_int_equal(err_sys(NULL, "x"), -1);
	assert_string_equal(err_code_text(ERR_GONE), "does not exist");
	assert_string_equal(err_code_text((enum err_code)99), "unknown");
	free(longer);
}

static void errno_codes(void **state)
{
	static const struct {
		int number;
		enum err_code code;
	} rows[] = {{ENOSPC, ERR_FULL},   {EDQUOT, ERR_FULL},  {EFBIG, ERR_FULL},
		    {EACCES, ERR_DENIED}, {EPERM, ERR_DENIED}, {EROFS, ERR_DENIED},
		    {ENOENT, ERR_GONE},   {EIO, ERR_RETRY}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err err;
		char *wanted = text_format("file: %s", strerror(rows[i].number));

		errno = rows[i].number;
		assert_int_equal(err_sys(&err, "file"), -1);
		assert_int_equal(err.code, rows[i].code);
		assert_string_equal(err.text, wanted);
		free(wanted);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(numbers),
		cmocka_unit_test(times),
		cmocka_unit_test(escaping),
		cmocka_unit_test(puts_up_to_a_limit),
		cmocka_unit_test(reads_what_was_put),
		cmocka_unit_test(parts_have_a_limit),
		cmocka_unit_test(sentences),
		cmocka_unit_test(errno_codes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
