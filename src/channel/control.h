/*
 * Control messages: a verb, `key=value` lines, a flush, all as pkt-lines (muster-channel(7)).
 * Unknown keys are ignored, an unknown verb is answered `unknown`: that is how versions mix.
 */
#ifndef MUSTER_CHANNEL_CONTROL_H
#define MUSTER_CHANNEL_CONTROL_H

#include "core/buf.h"
#include "core/err.h"

#include <stddef.h>
#include <stdint.h>

enum {
	CONTROL_PAIRS_MAX = 64,
	CONTROL_WORD_MAX = 64,	  /* bytes of a verb or a key */
	CONTROL_VALUE_MAX = 2048, /* bytes: a pin in base64 takes 1,868 */
};

/* X(enum, verb) */
#define CONTROL_VERBS(X)                                                                           \
	X(REGISTER, "register")                                                                    \
	X(STATUS, "status")                                                                        \
	X(FETCH, "fetch")                                                                          \
	X(PING, "ping")                                                                            \
	X(REGISTERED, "registered")                                                                \
	X(REFUSED, "refused")                                                                      \
	X(HEAD, "head")                                                                            \
	X(PONG, "pong")                                                                            \
	X(UNKNOWN, "unknown")

enum control_verb {
#define X(name, word) CONTROL_##name,
	CONTROL_VERBS(X)
#undef X
	CONTROL_OTHER, /* a verb this version does not know */
};

struct control_message {
	enum control_verb verb;
	char word[CONTROL_WORD_MAX + 1]; /* the verb as sent, for `unknown` */
	size_t count;
	struct control_pair {
		char *key;
		char *value;
	} pairs[CONTROL_PAIRS_MAX];
};

/*
 * Builds a message; clear it with control_clear. control_add with a NULL value adds nothing; values
 * are cut at CONTROL_VALUE_MAX (not within a UTF-8 character), newlines become blanks. Keys are
 * [a-z-]+, each once (asserted).
 */
void control_start(struct control_message *message, enum control_verb verb);
void control_add(struct control_message *message, const char *key, const char *value);
void control_add_number(struct control_message *message, const char *key, uint64_t value);
/* Appends the wire form; pairs that would make it longer than LIMIT_CONTROL_MESSAGE are left out,
 * so add what matters first. */
void control_put(const struct control_message *message, struct buf *out);

/*
 * Takes the first complete message out of IN: 1, and the caller clears it; 0 when there is none
 * yet; -1 (CORRUPT) when it breaks a limit or the form: close. MESSAGE is set only with 1. Values
 * may hold any byte but newline and NUL.
 */
int control_take(struct buf *in, struct control_message *message, struct err *err);
/* The value of KEY, or NULL; borrowed. */
const char *control_get(const struct control_message *message, const char *key);
/* As a decimal number; FALLBACK when it is not there or not a number. */
uint64_t control_get_number(const struct control_message *message, const char *key,
			    uint64_t fallback);
void control_clear(struct control_message *message);

#endif
