/*
 * Bytes: a bounded buffer that is written to, and a cursor that reads. Both remember the first
 * failure, so a run of puts or gets is checked once, at its end. There is no other pointer
 * arithmetic on bytes from outside.
 */
#ifndef MUSTER_CORE_BUF_H
#define MUSTER_CORE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	uint8_t *data; /* always followed by a NUL once anything was put */
	size_t len;
	size_t cap;
	size_t max;  /* bytes it may hold */
	bool failed; /* a put did not fit; nothing is put any more */
};

/* An empty buffer for at most MAX bytes. */
void buf_init(struct buf *buf, size_t max);
/* Frees and zeroes; the buffer may be used again after buf_init. */
void buf_clear(struct buf *buf);
/* Empties it, keeps the memory. */
void buf_reset(struct buf *buf);
/* Drops the first N bytes (N <= len). */
void buf_consume(struct buf *buf, size_t n);
/*
 * Room for N more bytes at the end; the caller fills them and adds to len. NULL and failed if they
 * do not fit.
 */
uint8_t *buf_reserve(struct buf *buf, size_t n);
/* The memory moves to the caller (free); the buffer is empty again. NULL if nothing was put. */
uint8_t *buf_steal(struct buf *buf, size_t *len);

void buf_put(struct buf *buf, const void *data, size_t n);
void buf_puts(struct buf *buf, const char *text);
void buf_printf(struct buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_put_u8(struct buf *buf, uint8_t v);
void buf_put_be16(struct buf *buf, uint16_t v);
void buf_put_be32(struct buf *buf, uint32_t v);
void buf_put_be64(struct buf *buf, uint64_t v);
/* be32 length, then the bytes: how every part is framed where bytes are hashed or authenticated. */
void buf_put_part(struct buf *buf, const void *data, size_t n);
/* What was put as a string. */
const char *buf_text(const struct buf *buf);

struct cursor {
	const uint8_t *at;
	size_t left;
	bool failed; /* a get went past the end; every further get gives 0 or NULL */
};

struct cursor cursor_of(const void *data, size_t n);
uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_be16(struct cursor *c);
uint32_t cursor_be32(struct cursor *c);
uint64_t cursor_be64(struct cursor *c);
/* N bytes, borrowed; NULL if they are not there. */
const uint8_t *cursor_bytes(struct cursor *c, size_t n);
/* A be32-framed part of at most MAX bytes, borrowed. */
const uint8_t *cursor_part(struct cursor *c, size_t max, size_t *n);
/* Up to the next newline, which is consumed and not counted; failed if there is none. */
const char *cursor_line(struct cursor *c, size_t *n);
/* Nothing failed and nothing is left. */
bool cursor_done(const struct cursor *c);

#endif
