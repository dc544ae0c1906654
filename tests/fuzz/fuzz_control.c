/* Control messages of the channel: a stream of them, taken whole and a byte at a time. */
#include "fuzz.h"

#include "channel/control.h"
#include "core/limits.h"

static bool messages_equal(const struct control_message *a, const struct control_message *b)
{
	if (a->verb != b->verb || strcmp(a->word, b->word) != 0 || a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (strcmp(a->pairs[i].key, b->pairs[i].key) != 0 ||
		    strcmp(a->pairs[i].value, b->pairs[i].value) != 0)
			return false;
	return true;
}

static void check_limits(const struct control_message *message)
{
	assert(message->count <= CONTROL_PAIRS_MAX && strlen(message->word) <= CONTROL_WORD_MAX);
	for (size_t i = 0; i < message->count; i++) {
		const char *value = message->pairs[i].value;

		assert(control_get(message, message->pairs[i].key) == value);
		assert(strlen(value) <= CONTROL_VALUE_MAX && !strchr(value, '\n'));
		(void)control_get_number(message, message->pairs[i].key, 0);
	}
}

/* What was taken is sent and taken again. */
static void check_again(const struct control_message *message)
{
	struct control_message again;
	struct buf wire;
	struct err err;

	buf_init(&wire, LIMIT_CONTROL_MESSAGE);
	control_put(message, &wire);
	assert(!wire.failed && control_take(&wire, &again, &err) == 1 && wire.len == 0);
	assert(messages_equal(message, &again));
	control_clear(&again);
	buf_clear(&wire);
}

/* The same message comes when its bytes come one by one, and not before the last. */
static void check_slow(const struct control_message *message, const uint8_t *at, size_t n)
{
	struct control_message slow;
	struct buf in;
	struct err err;

	buf_init(&in, n);
	for (size_t i = 0; i + 1 < n; i++) {
		buf_put_u8(&in, at[i]);
		/* looking from the start each time is quadratic */
		if (n < 512 || i % 64 == 0)
			assert(control_take(&in, &slow, &err) == 0);
	}
	buf_put_u8(&in, at[n - 1]);
	assert(control_take(&in, &slow, &err) == 1 && in.len == 0);
	assert(messages_equal(message, &slow));
	control_clear(&slow);
	buf_clear(&in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct control_message message;
	const uint8_t *at = data;
	struct buf in;
	struct err err;
	int rc;

	buf_init(&in, size + 1);
	buf_put(&in, data, size);
	while ((rc = control_take(&in, &message, &err)) == 1) {
		size_t n = (size_t)(data + size - at) - in.len;

		check_limits(&message);
		check_again(&message);
		check_slow(&message, at, n);
		control_clear(&message);
		at += n;
	}
	assert(rc == 0 || err.code == ERR_CORRUPT);
	if (rc == 0)
		assert(in.len < LIMIT_CONTROL_MESSAGE);
	buf_clear(&in);
	return 0;
}
