/* Records: see record.h. */
#include "channel/record.h"

#include "channel/noise.h"

#include <assert.h>

enum {
	LENGTH_SIZE = 2,               /* bytes */
	OVERHEAD = 1 + NOISE_TAG_SIZE, /* bytes: the lane and the tag */
	RECORD_MIN = OVERHEAD + 1,     /* bytes after the length: one of a stream at least */
	PLAIN_MAX = NOISE_MESSAGE_MAX - NOISE_TAG_SIZE, /* bytes: the lane and the stream's */
};

static_assert(RECORD_PLAIN_MAX + OVERHEAD == NOISE_MESSAGE_MAX,
	      "a full record is a full Noise message");

/* After each message: counts it, and changes the key after RECORD_REKEY of them. */
static void count_message(uint64_t *count, uint8_t key[static KEY_SIZE])
{
	++*count;
	assert(*count < UINT64_MAX); /* the last nonce is REKEY's */
	if (*count % RECORD_REKEY == 0)
		noise_rekey(key);
}

/* Bytes of the records that carry N bytes. */
static size_t sealed_size(size_t n)
{
	size_t records = n / RECORD_PLAIN_MAX + (n % RECORD_PLAIN_MAX != 0);

	return n + records * (LENGTH_SIZE + OVERHEAD);
}

int record_seal(struct record_state *state, enum lane lane, const void *data, size_t n,
		struct buf *out, struct err *err)
{
	struct cursor c = cursor_of(data, n);
	struct buf plain;

	assert(lane < LANE_COUNT);
	if (out->failed || n > out->max || sealed_size(n) > out->max - out->len)
		return err_set(err, ERR_FULL, "no room for %zu bytes in records", n);
	buf_init(&plain, PLAIN_MAX);
	while (c.left > 0) {
		size_t part = c.left < RECORD_PLAIN_MAX ? c.left : RECORD_PLAIN_MAX;

		buf_reset(&plain);
		buf_put_u8(&plain, (uint8_t)lane);
		buf_put(&plain, cursor_bytes(&c, part), part);
		buf_put_be16(out, (uint16_t)(plain.len + NOISE_TAG_SIZE));
		noise_encrypt(state->send_key, state->sent, NULL, 0, plain.data, plain.len, out);
		count_message(&state->sent, state->send_key);
	}
	if (plain.data)
		crypto_wipe(plain.data, plain.cap);
	buf_clear(&plain);
	assert(!out->failed);
	return 0;
}

/* The stream bytes of an opened record go to their lane. */
static int deliver(const struct buf *plain, enum lane *lane, struct buf *lanes, struct err *err)
{
	struct cursor c = cursor_of(plain->data, plain->len);
	uint8_t number = cursor_u8(&c);
	struct buf *to;

	if (number >= LANE_COUNT)
		return err_set(err, ERR_DENIED, "a record is for lane %u, which does not exist",
			       number);
	to = &lanes[number];
	if (to->failed || c.left > to->max - to->len)
		return err_set(err, ERR_FULL, "lane %u has no room for %zu bytes", number, c.left);
	buf_put(to, c.at, c.left);
	*lane = (enum lane)number;
	return 0;
}

int record_next(struct record_state *state, struct cursor *in, enum lane *lane, struct buf *lanes,
		struct err *err)
{
	struct cursor ahead = *in;
	const uint8_t *message;
	struct buf plain;
	size_t n;
	int rc;

	if (in->left < LENGTH_SIZE)
		return 0;
	n = cursor_be16(&ahead);
	if (n < RECORD_MIN)
		return err_set(err, ERR_DENIED, "a record of %zu bytes is empty", n);
	if (ahead.left < n)
		return 0;
	message = cursor_bytes(&ahead, n);
	buf_init(&plain, PLAIN_MAX);
	rc = noise_decrypt(state->receive_key, state->received, NULL, 0, message, n, &plain);
	if (rc != 0)
		rc = err_set(err, ERR_DENIED, "a record does not open");
	else
		rc = deliver(&plain, lane, lanes, err);
	if (plain.data)
		crypto_wipe(plain.data, plain.cap);
	buf_clear(&plain);
	if (rc != 0)
		return -1;
	count_message(&state->received, state->receive_key);
	*in = ahead;
	return 1;
}

int record_open(struct record_state *state, struct buf *in, enum lane *lane, struct buf *lanes,
		struct err *err)
{
	struct cursor c = cursor_of(in->data, in->len);
	int rc = record_next(state, &c, lane, lanes, err);

	if (rc == 1)
		buf_consume(in, in->len - c.left);
	return rc;
}
