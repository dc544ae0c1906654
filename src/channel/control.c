/* Control messages: see control.h. */
#include "channel/control.h"

#include "channel/pktline.h"
#include "core/limits.h"
#include "core/text.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
	PAIR_MAX = CONTROL_WORD_MAX + 1 + CONTROL_VALUE_MAX, /* bytes of a `key=value` line */
	FRAME_SIZE = 4,                                      /* bytes of a pkt-line's length */
};

static const char *const verb_words[] = {
#define X(name, word) word,
	CONTROL_VERBS(X)
#undef X
};

static_assert(sizeof(verb_words) / sizeof(verb_words[0]) == CONTROL_OTHER, "one word a verb");

/* Verbs and keys: [a-z-]+, of at most CONTROL_WORD_MAX bytes. */
static bool word_valid(const uint8_t *word, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((word[i] < 'a' || word[i] > 'z') && word[i] != '-')
			return false;
	return n > 0 && n <= CONTROL_WORD_MAX;
}

void control_start(struct control_message *message, enum control_verb verb)
{
	assert(verb < CONTROL_OTHER);
	*message = (struct control_message){.verb = verb};
	memcpy(message->word, verb_words[verb], strlen(verb_words[verb]) + 1);
}

/* Bytes of VALUE that are sent: never half of a UTF-8 character. */
static size_t value_size(const char *value)
{
	size_t n = strnlen(value, CONTROL_VALUE_MAX + 1);

	if (n <= CONTROL_VALUE_MAX)
		return n;
	for (n = CONTROL_VALUE_MAX; n > 0 && ((uint8_t)value[n] & 0xc0) == 0x80;)
		n--;
	return n;
}

void control_add(struct control_message *message, const char *key, const char *value)
{
	struct control_pair *pair = &message->pairs[message->count];

	if (!value)
		return;
	assert(message->count < CONTROL_PAIRS_MAX && !control_get(message, key));
	assert(word_valid((const uint8_t *)key, strlen(key)));
	pair->key = text_copy(key);
	pair->value = text_copy_n(value, value_size(value));
	for (char *p = pair->value; *p; p++)
		if (*p == '\n')
			*p = ' ';
	message->count++;
}

void control_add_number(struct control_message *message, const char *key, uint64_t value)
{
	char *text = text_format("%" PRIu64, value);

	control_add(message, key, text);
	free(text);
}

void control_put(const struct control_message *message, struct buf *out)
{
	size_t used = FRAME_SIZE + strlen(message->word) + FRAME_SIZE; /* with the flush */

	pktline_put(out, message->word, strlen(message->word));
	for (size_t i = 0; i < message->count; i++) {
		const struct control_pair *pair = &message->pairs[i];
		size_t n = FRAME_SIZE + strlen(pair->key) + 1 + strlen(pair->value);

		if (used + n > LIMIT_CONTROL_MESSAGE)
			continue;
		used += n;
		pktline_printf(out, "%s=%s", pair->key, pair->value);
	}
	pktline_flush(out);
}

static int corrupt(struct err *err, const char *reason)
{
	return err_set(err, ERR_CORRUPT, "control message: %s", reason);
}

/*
 * Finds the flush of the first message in the N bytes at DATA: 1 and its size with the flush, 0
 * when it has not come yet, -1 when it cannot come within the limits.
 */
static int message_size(const uint8_t *data, size_t n, size_t *size, struct err *err)
{
	struct cursor c = cursor_of(data, n);

	for (size_t lines = 0; lines <= CONTROL_PAIRS_MAX + 1; lines++) {
		const uint8_t *line;
		size_t line_n;

		switch (pktline_next(&c, &line, &line_n, err)) {
		case PKTLINE_DATA:
			break;
		case PKTLINE_FLUSH:
			*size = n - c.left;
			return *size > LIMIT_CONTROL_MESSAGE ? corrupt(err, "too long") : 1;
		case PKTLINE_MORE:
			return n >= LIMIT_CONTROL_MESSAGE ? corrupt(err, "too long") : 0;
		case PKTLINE_BAD:
			(void)err_prefix(err, "control message");
			return -1;
		}
	}
	return corrupt(err, "too many lines");
}

static int take_verb(struct cursor *c, struct control_message *message, struct err *err)
{
	const uint8_t *line;
	size_t n;

	if (pktline_next(c, &line, &n, err) != PKTLINE_DATA)
		return corrupt(err, "it has no verb");
	if (!word_valid(line, n))
		return corrupt(err, "the verb is not a word");
	memcpy(message->word, line, n);
	message->verb = CONTROL_OTHER;
	for (size_t i = 0; i < CONTROL_OTHER; i++)
		if (strcmp(message->word, verb_words[i]) == 0)
			message->verb = (enum control_verb)i;
	return 0;
}

static int take_pair(const uint8_t *line, size_t n, struct control_message *message,
		     struct err *err)
{
	const uint8_t *equals = n > 0 ? memchr(line, '=', n) : NULL;
	struct control_pair *pair = &message->pairs[message->count];
	size_t key_n, value_n;

	if (n > PAIR_MAX || !equals)
		return corrupt(err, "a line is not a key and a value, or is too long");
	key_n = (size_t)(equals - line);
	value_n = n - key_n - 1;
	if (!word_valid(line, key_n))
		return corrupt(err, "a key is not a word");
	if (value_n > CONTROL_VALUE_MAX)
		return corrupt(err, "a value is too long");
	if (memchr(line, '\n', n) || memchr(line, '\0', n))
		return corrupt(err, "a value holds a newline or a NUL");
	pair->key = text_copy_n((const char *)line, key_n);
	pair->value = text_copy_n((const char *)equals + 1, value_n);
	message->count++;
	for (size_t i = 0; i + 1 < message->count; i++)
		if (strcmp(message->pairs[i].key, pair->key) == 0)
			return corrupt(err, "a key comes twice");
	return 0;
}

/* All of a message of which message_size found the end, and that it has not too many lines. */
static int parse(struct cursor *c, struct control_message *message, struct err *err)
{
	const uint8_t *line;
	size_t n;

	if (take_verb(c, message, err) != 0)
		return -1;
	while (pktline_next(c, &line, &n, err) == PKTLINE_DATA)
		if (take_pair(line, n, message, err) != 0)
			return -1;
	assert(cursor_done(c));
	return 0;
}

int control_take(struct buf *in, struct control_message *message, struct err *err)
{
	struct control_message got = {0};
	struct cursor c;
	size_t size = 0;
	int rc = message_size(in->data, in->len, &size, err);

	if (rc <= 0)
		return rc;
	c = cursor_of(in->data, size);
	if (parse(&c, &got, err) != 0) {
		control_clear(&got);
		return -1;
	}
	buf_consume(in, size);
	*message = got;
	return 1;
}

const char *control_get(const struct control_message *message, const char *key)
{
	for (size_t i = 0; i < message->count; i++)
		if (strcmp(message->pairs[i].key, key) == 0)
			return message->pairs[i].value;
	return NULL;
}

uint64_t control_get_number(const struct control_message *message, const char *key,
			    uint64_t fallback)
{
	const char *value = control_get(message, key);
	uint64_t number;

	if (!value || text_number(value, UINT64_MAX, &number) != 0)
		return fallback;
	return number;
}

void control_clear(struct control_message *message)
{
	for (size_t i = 0; i < message->count; i++) {
		free(message->pairs[i].key);
		free(message->pairs[i].value);
	}
	*message = (struct control_message){0};
}
