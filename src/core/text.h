/* Small facts about text: names, times, hex, escaping, commas. */
#ifndef MUSTER_CORE_TEXT_H
#define MUSTER_CORE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	NAME_MAX_LEN = 64,   /* bytes of a role or node name */
	TEXT_TIME_MAX = 32,  /* bytes for a time in RFC 3339 with its NUL */
};

/*
 * A name of a role or node: [A-Za-z0-9][A-Za-z0-9._-]{0,63}, no "..", no ".lock" or "." at the end,
 * not "HEAD" or "common" (names become git refs and folders).
 */
bool name_valid(const char *name);

/* Seconds since the epoch, by the wall clock: for display only. */
int64_t text_now(void);

/* RFC 3339 UTC of a time in seconds, into OUT; returns OUT. 0 becomes "". */
char *text_time(int64_t seconds, char out[static TEXT_TIME_MAX]);

/* Replaces control characters by '?', so that a peer cannot write to a terminal. */
void text_escape_in_place(char *text);

/* Parses all of TEXT as a decimal number of at most MAX, no sign, no leading zero; 0 or -1. */
int text_number(const char *text, uint64_t max, uint64_t *out);

/* Copies of strings: abort when memory is out, as all small allocations do. */
char *text_copy(const char *text);
char *text_copy_n(const char *text, size_t len);
char *text_format(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* calloc and realloc that abort when memory is out; COUNT times SIZE is checked. */
void *mem_new(size_t count, size_t size);
void *mem_grow(void *old, size_t count, size_t size);

bool text_starts(const char *text, const char *prefix);
bool text_ends(const char *text, const char *suffix);
/*
 * Whether one may be a slip of the pen for the other: they differ in at most two neighbouring
 * bytes.
 */
bool text_near(const char *a, const char *b);

#endif
