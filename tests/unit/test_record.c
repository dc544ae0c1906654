/* Records: streams through them, limits, rekeying, and every kind of tampering. */
#include "channel/noise.h"
#include "channel/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { BIG = 300000, OVERHEAD = 2 + 1 + NOISE_TAG_SIZE };

/* Both ends; what A sends B receives. */
struct ends {
	struct record_state a, b;
	struct buf wire;
	struct buf lanes[LANE_COUNT];
};

static void ends_init(struct ends *ends)
{
	crypto_random(&ends->a, sizeof(ends->a));
	ends->a.sent = ends->a.received = 0;
	memcpy(ends->b.send_key, ends->a.receive_key, KEY_SIZE);
	memcpy(ends->b.receive_key, ends->a.send_key, KEY_SIZE);
	ends->b.sent = ends->b.received = 0;
	buf_init(&ends->wire, 4 * BIG);
	for (int i = 0; i < LANE_COUNT; i++)
		buf_init(&ends->lanes[i], 4 * BIG);
}

static void ends_clear(struct ends *ends)
{
	buf_clear(&ends->wire);
	for (int i = 0; i < LANE_COUNT; i++)
		buf_clear(&ends->lanes[i]);
}

static void seal(struct ends *ends, enum lane lane, const void *data, size_t n)
{
	struct err err = {0};

	assert_int_equal(record_seal(&ends->a, lane, data, n, &ends->wire, &err), 0);
}

static int open_one(struct ends *ends, enum lane *lane, struct err *err)
{
	*err = (struct err){0};
	return record_open(&ends->b, &ends->wire, lane, ends->lanes, err);
}

static size_t open_all(struct ends *ends)
{
	enum lane lane;
	struct err err;
	size_t count = 0;
	int rc;

	while ((rc = open_one(ends, &lane, &err)) == 1)
		count++;
	assert_int_equal(rc, 0);
	assert_int_equal(ends->wire.len, 0);
	return count;
}

/* Nothing changed by a refusal: not the state, the input or the lanes. */
static void refused(struct ends *ends, enum err_code code)
{
	struct record_state before = ends->b;
	size_t len = ends->wire.len, lens[LANE_COUNT];
	enum lane lane;
	struct err err;

	for (int i = 0; i < LANE_COUNT; i++)
		lens[i] = ends->lanes[i].len;
	assert_int_equal(open_one(ends, &lane, &err), -1);
	assert_int_equal(err.code, code);
	assert_memory_equal(&before, &ends->b, sizeof(before));
	assert_int_equal(ends->wire.len, len);
	for (int i = 0; i < LANE_COUNT; i++)
		assert_int_equal(ends->lanes[i].len, lens[i]);
}

static void test_small(void **state)
{
	struct ends ends;
	enum lane lane = LANE_COUNT;
	struct err err;

	(void)state;
	ends_init(&ends);
	seal(&ends, LANE_CONTROL, "ping", 4);
	assert_int_equal(ends.wire.len, 4 + OVERHEAD);
	seal(&ends, LANE_GIT, "0000", 4);
	seal(&ends, LANE_GIT, "", 0); /* makes none */
	seal(&ends, LANE_CONTROL, "pong", 4);
	assert_int_equal(ends.wire.len, 3 * (4 + OVERHEAD));
	assert_int_equal(open_one(&ends, &lane, &err), 1);
	assert_int_equal(lane, LANE_CONTROL);
	assert_int_equal(open_one(&ends, &lane, &err), 1);
	assert_int_equal(lane, LANE_GIT);
	assert_int_equal(open_one(&ends, &lane, &err), 1);
	assert_int_equal(open_one(&ends, &lane, &err), 0);
	assert_string_equal(buf_text(&ends.lanes[LANE_CONTROL]), "pingpong");
	assert_string_equal(buf_text(&ends.lanes[LANE_GIT]), "0000");
	assert_int_equal(ends.a.sent, 3);
	assert_int_equal(ends.b.received, 3);
	ends_clear(&ends);
}

static void test_sizes(void **state)
{
	static const size_t sizes[] = {
		1, 2, 1000, RECORD_PLAIN_MAX - 1, RECORD_PLAIN_MAX, RECORD_PLAIN_MAX + 1,
		2 * RECORD_PLAIN_MAX, 2 * RECORD_PLAIN_MAX + 1, BIG,
	};
	uint8_t *data = malloc(BIG);

	(void)state;
	crypto_random(data, BIG);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t n = sizes[i], records = (n + RECORD_PLAIN_MAX - 1) / RECORD_PLAIN_MAX;
		struct ends ends;

		ends_init(&ends);
		seal(&ends, LANE_GIT, data, n);
		assert_int_equal(ends.wire.len, n + records * OVERHEAD);
		assert_int_equal(open_all(&ends), records);
		assert_int_equal(ends.lanes[LANE_GIT].len, n);
		assert_memory_equal(ends.lanes[LANE_GIT].data, data, n);
		assert_int_equal(ends.lanes[LANE_CONTROL].len, 0);
		ends_clear(&ends);
	}
	free(data);
}

/* One byte at a time. */
static void test_trickle(void **state)
{
	struct ends ends;
	struct buf all;
	enum lane lane;
	struct err err;

	(void)state;
	ends_init(&ends);
	seal(&ends, LANE_CONTROL, "first", 5);
	seal(&ends, LANE_CONTROL, " second", 7);
	all = ends.wire;
	buf_init(&ends.wire, BIG);
	for (size_t i = 0; i < all.len; i++) {
		bool whole = i == 5 + OVERHEAD - 1 || i == all.len - 1;

		buf_put(&ends.wire, all.data + i, 1);
		assert_int_equal(open_one(&ends, &lane, &err), whole ? 1 : 0);
	}
	assert_string_equal(buf_text(&ends.lanes[LANE_CONTROL]), "first second");
	buf_clear(&all);
	ends_clear(&ends);
}

static void test_cursor(void **state)
{
	struct ends ends;
	struct cursor c;
	enum lane lane;

	(void)state;
	ends_init(&ends);
	for (int i = 0; i < 100; i++)
		seal(&ends, i % 2 ? LANE_GIT : LANE_CONTROL, "x", 1);
	buf_put(&ends.wire, "\0", 1);
	c = cursor_of(ends.wire.data, ends.wire.len);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(record_next(&ends.b, &c, &lane, ends.lanes, NULL), 1);
		assert_int_equal(lane, i % 2 ? LANE_GIT : LANE_CONTROL);
	}
	assert_int_equal(record_next(&ends.b, &c, &lane, ends.lanes, NULL), 0);
	assert_int_equal(c.left, 1);
	assert_int_equal(ends.lanes[LANE_GIT].len, 50);
	ends_clear(&ends);
}

/* --- tampering --- */

static void test_every_bit(void **state)
{
	struct ends ends;
	size_t n;

	(void)state;
	ends_init(&ends);
	seal(&ends, LANE_CONTROL, "some bytes of a stream", 22);
	n = ends.wire.len;
	/* a larger length waits for more bytes, so there are some */
	assert_non_null(buf_reserve(&ends.wire, 70000));
	memset(ends.wire.data + n, 0x5a, 70000);
	ends.wire.len += 70000;
	for (size_t bit = 0; bit < 8 * n; bit++) {
		ends.wire.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		refused(&ends, ERR_DENIED);
		ends.wire.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	ends_clear(&ends);
}

static void test_every_truncation(void **state)
{
	struct ends ends;
	struct buf all;
	enum lane lane;
	struct err err;

	(void)state;
	ends_init(&ends);
	seal(&ends, LANE_CONTROL, "some bytes", 10);
	all = ends.wire;
	for (size_t n = 0; n < all.len; n++) {
		buf_init(&ends.wire, BIG);
		buf_put(&ends.wire, all.data, n);
		/* cut: it waits */
		assert_int_equal(open_one(&ends, &lane, &err), 0);
		assert_int_equal(ends.wire.len, n);
		buf_clear(&ends.wire);
		if (n < 2)
			continue;
		/* cut, with a length that says so: it does not open */
		buf_put_be16(&ends.wire, (uint16_t)(n - 2));
		buf_put(&ends.wire, all.data + 2, n - 2);
		refused(&ends, ERR_DENIED);
		buf_clear(&ends.wire);
	}
	buf_init(&ends.wire, BIG);
	buf_clear(&all);
	ends_clear(&ends);
}

/* Lengths that hold no byte of a stream are refused before they are there. */
static void test_too_short(void **state)
{
	struct ends ends;

	(void)state;
	ends_init(&ends);
	for (uint16_t n = 0; n <= 1 + NOISE_TAG_SIZE; n++) {
		buf_reset(&ends.wire);
		buf_put_be16(&ends.wire, n);
		refused(&ends, ERR_DENIED);
	}
	/* a sealed lane without bytes */
	buf_reset(&ends.wire);
	buf_put_be16(&ends.wire, 1 + NOISE_TAG_SIZE);
	noise_encrypt(ends.a.send_key, 0, NULL, 0, "", 1, &ends.wire);
	refused(&ends, ERR_DENIED);
	/* and not even that */
	buf_reset(&ends.wire);
	buf_put_be16(&ends.wire, NOISE_TAG_SIZE);
	noise_encrypt(ends.a.send_key, 0, NULL, 0, "", 0, &ends.wire);
	refused(&ends, ERR_DENIED);
	ends_clear(&ends);
}

static void test_no_such_lane(void **state)
{
	struct ends ends;

	(void)state;
	ends_init(&ends);
	for (unsigned lane = LANE_COUNT; lane < 256; lane++) {
		uint8_t plain[2] = {(uint8_t)lane, 'x'};

		buf_reset(&ends.wire);
		buf_put_be16(&ends.wire, 2 + NOISE_TAG_SIZE);
		noise_encrypt(ends.a.send_key, 0, NULL, 0, plain, 2, &ends.wire);
		refused(&ends, ERR_DENIED);
	}
	ends_clear(&ends);
}

static void test_order(void **state)
{
	struct ends ends;
	struct buf first, second;
	enum lane lane;
	struct err err;

	(void)state;
	ends_init(&ends);
	seal(&ends, LANE_CONTROL, "first", 5);
	first = ends.wire;
	buf_init(&ends.wire, BIG);
	seal(&ends, LANE_CONTROL, "second", 6);
	second = ends.wire;
	/* the second before the first, or the first lost */
	refused(&ends, ERR_DENIED);
	buf_init(&ends.wire, BIG);
	buf_put(&ends.wire, first.data, first.len);
	assert_int_equal(open_one(&ends, &lane, &err), 1);
	/* the first replayed */
	buf_put(&ends.wire, first.data, first.len);
	refused(&ends, ERR_DENIED);
	buf_reset(&ends.wire);
	buf_put(&ends.wire, second.data, second.len);
	assert_int_equal(open_one(&ends, &lane, &err), 1);
	/* either replayed */
	buf_put(&ends.wire, second.data, second.len);
	refused(&ends, ERR_DENIED);
	buf_reset(&ends.wire);
	buf_put(&ends.wire, first.data, first.len);
	refused(&ends, ERR_DENIED);
	assert_string_equal(buf_text(&ends.lanes[LANE_CONTROL]), "firstsecond");
	buf_clear(&first);
	buf_clear(&second);
	ends_clear(&ends);
}

static void test_reflected(void **state)
{
	struct ends ends;
	struct record_state b;

	(void)state;
	ends_init(&ends);
	seal(&ends, LANE_CONTROL, "to b", 4);
	/* A gets its own record back */
	b = ends.b;
	ends.b = ends.a;
	refused(&ends, ERR_DENIED);
	/* another connection's record */
	ends.b = b;
	ends.b.receive_key[31] ^= 0x80;
	refused(&ends, ERR_DENIED);
	ends.b.receive_key[31] ^= 0x80;
	assert_int_equal(open_all(&ends), 1);
	ends_clear(&ends);
}

/* Two half records do not make one. */
static void test_spliced(void **state)
{
	struct ends ends;
	size_t n;

	(void)state;
	ends_init(&ends);
	seal(&ends, LANE_CONTROL, "aaaaaaaa", 8);
	n = ends.wire.len;
	seal(&ends, LANE_CONTROL, "bbbbbbbb", 8);
	memcpy(ends.wire.data + n / 2, ends.wire.data + n + n / 2, n - n / 2);
	refused(&ends, ERR_DENIED);
	ends_clear(&ends);
}

/* --- room --- */

static void test_lane_full(void **state)
{
	struct ends ends;

	(void)state;
	ends_init(&ends);
	buf_init(&ends.lanes[LANE_CONTROL], 8);
	seal(&ends, LANE_CONTROL, "12345", 5);
	assert_int_equal(open_all(&ends), 1);
	seal(&ends, LANE_CONTROL, "6789", 4);
	refused(&ends, ERR_FULL);
	assert_false(ends.lanes[LANE_CONTROL].failed);
	/* with room it goes on */
	buf_consume(&ends.lanes[LANE_CONTROL], 5);
	assert_int_equal(open_all(&ends), 1);
	assert_string_equal(buf_text(&ends.lanes[LANE_CONTROL]), "6789");
	/* one lane that is full does not hold for the other */
	seal(&ends, LANE_GIT, "123456789", 9);
	assert_int_equal(open_all(&ends), 1);
	ends_clear(&ends);
}

static void test_out_full(void **state)
{
	struct ends ends;
	struct err err = {0};
	struct buf out;
	uint8_t *data = calloc(1, BIG);

	(void)state;
	ends_init(&ends);
	buf_init(&out, 2 * (RECORD_PLAIN_MAX + OVERHEAD) - 1);
	assert_int_equal(record_seal(&ends.a, LANE_GIT, data, 2 * RECORD_PLAIN_MAX, &out, &err),
			 -1);
	assert_int_equal(err.code, ERR_FULL);
	assert_int_equal(out.len, 0);
	assert_false(out.failed);
	assert_int_equal(ends.a.sent, 0);
	assert_int_equal(record_seal(&ends.a, LANE_GIT, data, SIZE_MAX - 5, &out, &err), -1);
	assert_int_equal(err.code, ERR_FULL);
	assert_int_equal(record_seal(&ends.a, LANE_GIT, data, 2 * RECORD_PLAIN_MAX - 1, &out, &err),
			 0);
	assert_int_equal(out.len, out.max);
	assert_int_equal(record_seal(&ends.a, LANE_GIT, "", 0, &out, &err), 0);
	buf_clear(&out);
	ends_clear(&ends);
	free(data);
}

/* --- rekeying --- */

static void test_rekey(void **state)
{
	uint8_t old[KEY_SIZE], fresh[KEY_SIZE];
	struct ends ends;
	struct buf open;

	(void)state;
	ends_init(&ends);
	ends.a.sent = ends.b.received = RECORD_REKEY - 2;
	memcpy(old, ends.a.send_key, KEY_SIZE);
	memcpy(fresh, old, KEY_SIZE);
	noise_rekey(fresh);
	seal(&ends, LANE_CONTROL, "a", 1);
	assert_memory_equal(ends.a.send_key, old, KEY_SIZE);
	seal(&ends, LANE_CONTROL, "b", 1);
	assert_memory_equal(ends.a.send_key, fresh, KEY_SIZE);
	assert_int_equal(ends.a.sent, RECORD_REKEY);
	seal(&ends, LANE_CONTROL, "c", 1);
	/* the counter goes on under the new key */
	buf_init(&open, 10);
	assert_int_equal(noise_decrypt(fresh, RECORD_REKEY, NULL, 0,
				       ends.wire.data + 2 * (1 + OVERHEAD) + 2, 2 + NOISE_TAG_SIZE,
				       &open),
			 0);
	assert_int_equal(noise_decrypt(old, RECORD_REKEY, NULL, 0,
				       ends.wire.data + 2 * (1 + OVERHEAD) + 2, 2 + NOISE_TAG_SIZE,
				       &open),
			 -1);
	assert_int_equal(open_all(&ends), 3);
	assert_memory_equal(ends.b.receive_key, fresh, KEY_SIZE);
	assert_string_equal(buf_text(&ends.lanes[LANE_CONTROL]), "abc");
	/* the other direction has its own key and count */
	assert_int_equal(ends.a.received, 0);
	assert_int_equal(ends.b.sent, 0);
	assert_memory_equal(ends.a.receive_key, ends.b.send_key, KEY_SIZE);
	/* and again */
	ends.a.sent = ends.b.received = 2ull * RECORD_REKEY - 1;
	noise_rekey(fresh);
	seal(&ends, LANE_CONTROL, "d", 1);
	assert_memory_equal(ends.a.send_key, fresh, KEY_SIZE);
	assert_int_equal(open_all(&ends), 1);
	seal(&ends, LANE_CONTROL, "e", 1);
	assert_int_equal(open_all(&ends), 1);
	buf_clear(&open);
	ends_clear(&ends);
}

/* A side that did not count alike is shut out. */
static void test_rekey_missed(void **state)
{
	struct ends ends;

	(void)state;
	ends_init(&ends);
	ends.a.sent = ends.b.received = RECORD_REKEY - 1;
	seal(&ends, LANE_CONTROL, "a", 1);
	buf_reset(&ends.wire);
	ends.b.received = RECORD_REKEY; /* as if counted, but without the new key */
	seal(&ends, LANE_CONTROL, "b", 1);
	refused(&ends, ERR_DENIED);
	ends_clear(&ends);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_trickle),
		cmocka_unit_test(test_cursor),
		cmocka_unit_test(test_every_bit),
		cmocka_unit_test(test_every_truncation),
		cmocka_unit_test(test_too_short),
		cmocka_unit_test(test_no_such_lane),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_reflected),
		cmocka_unit_test(test_spliced),
		cmocka_unit_test(test_lane_full),
		cmocka_unit_test(test_out_full),
		cmocka_unit_test(test_rekey),
		cmocka_unit_test(test_rekey_missed),
	};

	crypto_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
