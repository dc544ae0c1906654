/*
 * Errors: one object, handed in by the caller, filled once where the fault is found, given a prefix
 * on the way up and logged once at the boundary of the step.
 */
#ifndef MUSTER_CORE_ERR_H
#define MUSTER_CORE_ERR_H

#include <stddef.h>

/* What a caller can act on; the sentence is for people. */
#define ERR_CODES(X)                                                                               \
	X(NONE, "no error")                                                                        \
	X(RETRY, "failed, may work later")                                                         \
	X(REFUSED, "refused")                                                                      \
	X(CORRUPT, "damaged")                                                                      \
	X(DENIED, "not permitted")                                                                 \
	X(FULL, "no space")                                                                        \
	X(GONE, "does not exist")

enum err_code {
#define X(name, text) ERR_##name,
	ERR_CODES(X)
#undef X
};

struct err {
	enum err_code code;
	char text[1024]; /* one sentence, no newline, may be cut */
};

/* Text of a code, for logs. */
const char *err_code_text(enum err_code code);

/* Sets code and sentence; returns -1, so that `return err_set(...)` reads well. ERR may be NULL. */
int err_set(struct err *err, enum err_code code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Like err_set from errno: the code follows errno, its text is appended after ": ". */
int err_sys(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Puts "PREFIX: " before the sentence, keeps the code; returns -1. */
int err_prefix(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
