/* Control messages: form, limits, and how versions mix. */
#include "channel/control.h"
#include "channel/pktline.h"
#include "core/limits.h"
#include "core/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Takes TEXT as a whole; gives the return code. The message is the caller's when it is 1. */
static int take_bytes(const void *bytes, size_t n, struct control_message *message)
{
	struct err err = {0};
	struct buf in;
	int rc;

	buf_init(&in, 200000);
	buf_put(&in, bytes, n);
	rc = control_take(&in, message, &err);
	assert_int_equal(in.len, rc == 1 ? 0 : n);
	if (rc < 0)
		assert_int_equal(err.code, ERR_CORRUPT);
	buf_clear(&in);
	return rc;
}

static int take(const char *text, struct control_message *message)
{
	return take_bytes(text, strlen(text), message);
}

static void test_wire(void **state)
{
	struct control_message message, got;
	struct buf out;

	(void)state;
	buf_init(&out, LIMIT_CONTROL_MESSAGE);
	control_start(&message, CONTROL_REGISTER);
	control_add(&message, "name", "node1");
	control_add(&message, "role", NULL);
	control_add(&message, "state", "");
	control_add_number(&message, "sequence", 42);
	control_add_number(&message, "pin-sequence", UINT64_MAX);
	control_put(&message, &out);
	assert_string_equal(buf_text(&out), "000cregister000ename=node1000astate=000fsequence=42"
					    "0025pin-sequence=184467440737095516150000");
	assert_int_equal(take(buf_text(&out), &got), 1);
	assert_int_equal(got.verb, CONTROL_REGISTER);
	assert_string_equal(got.word, "register");
	assert_int_equal(got.count, 4);
	assert_string_equal(control_get(&got, "name"), "node1");
	assert_string_equal(control_get(&got, "state"), "");
	assert_null(control_get(&got, "role"));
	assert_null(control_get(&got, "nam"));
	assert_int_equal(control_get_number(&got, "sequence", 7), 42);
	assert_int_equal(control_get_number(&got, "pin-sequence", 7), UINT64_MAX);
	assert_int_equal(control_get_number(&got, "name", 7), 7);
	assert_int_equal(control_get_number(&got, "state", 7), 7);
	assert_int_equal(control_get_number(&got, "none", 7), 7);
	control_clear(&message);
	control_clear(&message);
	control_clear(&got);
	buf_clear(&out);
}

static void test_verbs(void **state)
{
	static const char *const words[] = {
#define X(name, word) word,
		CONTROL_VERBS(X)
#undef X
	};

	(void)state;
	for (int verb = 0; verb < CONTROL_OTHER; verb++) {
		struct control_message message, got;
		struct buf out;

		buf_init(&out, 100);
		control_start(&message, (enum control_verb)verb);
		control_put(&message, &out);
		assert_int_equal(take(buf_text(&out), &got), 1);
		assert_int_equal(got.verb, verb);
		assert_string_equal(got.word, words[verb]);
		assert_int_equal(got.count, 0);
		control_clear(&got);
		buf_clear(&out);
	}
}

/* What a later version may send: other verbs, other keys. */
static void test_other_version(void **state)
{
	static const char *const words[] = {"drain", "x", "registere", "registe", "-", "a-b"};
	struct control_message got;

	(void)state;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		struct buf in;

		buf_init(&in, 1000);
		pktline_printf(&in, "%s", words[i]);
		pktline_printf(&in, "why=because=so");
		pktline_flush(&in);
		assert_int_equal(take(buf_text(&in), &got), 1);
		assert_int_equal(got.verb, CONTROL_OTHER);
		assert_string_equal(got.word, words[i]);
		assert_string_equal(control_get(&got, "why"), "because=so");
		control_clear(&got);
		buf_clear(&in);
	}
}

static void test_stream(void **state)
{
	static const char text[] = "0008ping00000008head000ewhy=x\ty\xff\x01z00000008pong0000000";
	struct control_message got;
	struct err err = {0};
	struct buf in;

	(void)state;
	buf_init(&in, 1000);
	buf_puts(&in, text);
	assert_int_equal(control_take(&in, &got, &err), 1);
	assert_int_equal(got.verb, CONTROL_PING);
	control_clear(&got);
	assert_int_equal(control_take(&in, &got, &err), 1);
	assert_int_equal(got.verb, CONTROL_HEAD);
	assert_string_equal(control_get(&got, "why"), "x\ty\xff\x01z");
	control_clear(&got);
	assert_int_equal(control_take(&in, &got, &err), 1);
	assert_int_equal(got.verb, CONTROL_PONG);
	control_clear(&got);
	assert_int_equal(control_take(&in, &got, &err), 0);
	assert_string_equal(buf_text(&in), "000");
	buf_clear(&in);
}

static void test_every_truncation(void **state)
{
	static const char text[] = "000cregister000ename=node1000astate=000fsequence=420000";
	struct control_message got;

	(void)state;
	for (size_t n = 0; n < strlen(text); n++)
		assert_int_equal(take_bytes(text, n, &got), 0);
	assert_int_equal(take(text, &got), 1);
	control_clear(&got);
}

/* Any flipped bit: refused, waiting, or a message that is written as it was read. */
static void test_every_bit(void **state)
{
	char text[] = "000cregister000ename=node1000astate=000fsequence=420000";
	size_t refused = 0;

	(void)state;
	for (size_t bit = 0; bit < 8 * strlen(text); bit++) {
		struct control_message got;
		struct err err = {0};
		struct buf in, again;
		int rc;

		text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
		buf_init(&in, 1000);
		buf_init(&again, 1000);
		buf_put(&in, text, sizeof(text) - 1);
		rc = control_take(&in, &got, &err);
		refused += rc < 0;
		if (rc == 1) {
			control_put(&got, &again);
			buf_put(&again, in.data, in.len);
			/* but for the case of a length's digits */
			assert_int_equal(strncasecmp(buf_text(&again), text, sizeof(text)), 0);
			control_clear(&got);
		}
		buf_clear(&in);
		buf_clear(&again);
		text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
	}
	assert_true(refused > 100);
}

static void test_refused(void **state)
{
	static const char *const rows[] = {
		"0000",				/* nothing */
		"00040000",			/* an empty verb */
		"0009ping\n0000",		/* a verb with a newline */
		"0008PING0000",			/* in capitals */
		"000aping 10000",		/* with a blank */
		"0009ping=0000", "0009ping10000",
		"0008ping00040000",		/* an empty line */
		"0008ping0005=0000",		/* no key */
		"0008ping0006=x0000",
		"0008ping0007abc0000",		/* no value */
		"0008ping0009A=xyz0000",	/* keys that are no words */
		"0008ping0009a_=xy0000", "0008ping0009a =xy0000", "0008ping0009\xc3\xa4=xy0000",
		"0008ping0009a1=xy0000",
		"0008ping000aa=x\ny\n0000",	/* newlines */
		"0008ping0007a=\n0000",
		"0008ping0007a=x0007a=x0000",	/* a key twice */
		"0008ping0007a=x0006b=0007a=y0000",
		"0008ping0001",			/* other packets */
		"0008ping00020000", "0003", "zzzz", "GET / HTTP/1.1\r\n\r\n",
		"fff1",
	};
	struct control_message got;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(take(rows[i], &got), -1);
	assert_int_equal(take_bytes("0008ping0008a=x\0" "0000", 20, &got), -1);
	assert_int_equal(take_bytes("0008pi\0g0000", 12, &got), -1);
	assert_int_equal(take_bytes("0008ping0008a\0=x0000", 20, &got), -1);
}

/* A message of a verb and COUNT pairs, each key KEY_N and each value VALUE_N bytes long. */
static int take_sized(size_t verb_n, size_t count, size_t key_n, size_t value_n, bool flush)
{
	char *word = mem_new(verb_n + 1, 1), *key = mem_new(key_n + 1, 1),
	     *value = mem_new(value_n + 1, 1);
	struct control_message got;
	struct buf in;
	int rc;

	memset(word, 'v', verb_n);
	memset(key, 'k', key_n);
	memset(value, '=', value_n);
	buf_init(&in, 200000);
	pktline_printf(&in, "%s", word);
	for (size_t i = 0; i < count; i++) {
		key[0] = (char)('a' + i % 26);
		if (key_n > 1)
			key[1] = (char)('a' + i / 26);
		pktline_printf(&in, "%s=%s", key, value);
	}
	if (flush)
		pktline_flush(&in);
	assert_false(in.failed);
	rc = take_bytes(in.data, in.len, &got);
	if (rc == 1) {
		assert_int_equal(got.count, count);
		control_clear(&got);
	}
	buf_clear(&in);
	free(word);
	free(key);
	free(value);
	return rc;
}

static void test_limits(void **state)
{
	(void)state;
	assert_int_equal(take_sized(CONTROL_WORD_MAX, 0, 1, 0, true), 1);
	assert_int_equal(take_sized(CONTROL_WORD_MAX + 1, 0, 1, 0, true), -1);
	assert_int_equal(take_sized(4, 1, CONTROL_WORD_MAX, 0, true), 1);
	assert_int_equal(take_sized(4, 1, CONTROL_WORD_MAX + 1, 0, true), -1);
	assert_int_equal(take_sized(4, 1, CONTROL_WORD_MAX, CONTROL_VALUE_MAX, true), 1);
	assert_int_equal(take_sized(4, 1, 3, CONTROL_VALUE_MAX + 1, true), -1);
	assert_int_equal(take_sized(4, CONTROL_PAIRS_MAX, 3, 5, true), 1);
	assert_int_equal(take_sized(4, CONTROL_PAIRS_MAX + 1, 3, 5, true), -1);
	/* told before the flush comes, so that nothing grows */
	assert_int_equal(take_sized(4, CONTROL_PAIRS_MAX + 2, 3, 5, false), -1);
	assert_int_equal(take_sized(4, 7, 3, CONTROL_VALUE_MAX, true), 1);
	assert_int_equal(take_sized(4, 8, 3, CONTROL_VALUE_MAX, true), -1);
	assert_int_equal(take_sized(4, 8, 3, CONTROL_VALUE_MAX, false), -1);
	/* what test_largest makes */
	assert_int_equal(8 + 16 * 1020 + 52 + 4, LIMIT_CONTROL_MESSAGE);
}

static void test_largest(void **state)
{
	for (size_t more = 0; more < 2; more++) {
		struct control_message got;
		struct buf in;
		char value[1100];

		(void)state;
		memset(value, 'x', sizeof(value));
		buf_init(&in, 2 * LIMIT_CONTROL_MESSAGE);
		pktline_printf(&in, "ping");
		for (int i = 0; i < 16; i++)
			pktline_printf(&in, "%c=%.*s", 'a' + i, 1020 - 4 - 2, value);
		pktline_printf(&in, "z=%.*s", (int)(52 - 4 - 2 + more), value);
		pktline_flush(&in);
		assert_int_equal(in.len, LIMIT_CONTROL_MESSAGE + more);
		assert_int_equal(take_bytes(in.data, in.len, &got), more ? -1 : 1);
		if (!more)
			control_clear(&got);
		buf_clear(&in);
	}
}

/* A line that never ends is refused when the limit is reached. */
static void test_endless(void **state)
{
	struct control_message got;
	struct err err = {0};
	struct buf in;
	int rc = 0;

	(void)state;
	buf_init(&in, 200000);
	buf_puts(&in, "fff0");
	while ((rc = control_take(&in, &got, &err)) == 0)
		buf_puts(&in, "x");
	assert_int_equal(rc, -1);
	assert_int_equal(in.len, LIMIT_CONTROL_MESSAGE);
	buf_clear(&in);
}

static void test_values(void **state)
{
	struct control_message message, got;
	struct buf out;
	char big[3 * CONTROL_VALUE_MAX], *value;

	(void)state;
	buf_init(&out, LIMIT_CONTROL_MESSAGE);
	control_start(&message, CONTROL_STATUS);
	control_add(&message, "reason", "two\nlines\n");
	memset(big, 'x', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	control_add(&message, "big", big);
	/* the character at the cut is left out whole */
	value = text_format("%.*s\xe2\x82\xac", CONTROL_VALUE_MAX - 1, big);
	control_add(&message, "cut", value);
	free(value);
	value = text_format("%.*s\xe2\x82\xac", CONTROL_VALUE_MAX - 3, big);
	control_add(&message, "fits", value);
	control_put(&message, &out);
	assert_int_equal(take(buf_text(&out), &got), 1);
	assert_string_equal(control_get(&got, "reason"), "two lines ");
	assert_int_equal(strlen(control_get(&got, "big")), CONTROL_VALUE_MAX);
	assert_int_equal(strlen(control_get(&got, "cut")), CONTROL_VALUE_MAX - 1);
	assert_string_equal(control_get(&got, "fits"), value);
	free(value);
	/* continuation bytes alone */
	memset(big, 0x80, sizeof(big) - 1);
	control_add(&message, "odd", big);
	assert_string_equal(control_get(&message, "odd"), "");
	control_clear(&message);
	control_clear(&got);
	buf_clear(&out);
}

/* What is sent is never more than what is taken: values that have no room are left out. */
static void test_put_limit(void **state)
{
	struct control_message message, got;
	char big[CONTROL_VALUE_MAX + 1], key[] = "ka";
	struct buf out;

	(void)state;
	memset(big, 'x', sizeof(big));
	big[CONTROL_VALUE_MAX] = '\0';
	buf_init(&out, 2 * LIMIT_CONTROL_MESSAGE);
	control_start(&message, CONTROL_STATUS);
	for (int i = 0; i < 20; i++, key[1]++)
		control_add(&message, key, big);
	control_add(&message, "last", "short");
	control_put(&message, &out);
	assert_true(out.len <= LIMIT_CONTROL_MESSAGE);
	assert_int_equal(take(buf_text(&out), &got), 1);
	assert_int_equal(got.count, 8);
	assert_non_null(control_get(&got, "ka"));
	assert_null(control_get(&got, "kt"));
	assert_string_equal(control_get(&got, "last"), "short");
	control_clear(&message);
	control_clear(&got);
	buf_clear(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wire),
		cmocka_unit_test(test_verbs),
		cmocka_unit_test(test_other_version),
		cmocka_unit_test(test_stream),
		cmocka_unit_test(test_every_truncation),
		cmocka_unit_test(test_every_bit),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_largest),
		cmocka_unit_test(test_endless),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_put_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
