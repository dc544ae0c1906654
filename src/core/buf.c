/* Bytes: see buf.h. */
#include "core/buf.h"

#include "core/text.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_init(struct buf *buf, size_t max)
{
	*buf = (struct buf){.max = max};
}

void buf_clear(struct buf *buf)
{
	free(buf->data);
	*buf = (struct buf){.max = buf->max};
}

void buf_reset(struct buf *buf)
{
	buf->len = 0;
	buf->failed = false;
	if (buf->data)
		buf->data[0] = '\0';
}

void buf_consume(struct buf *buf, size_t n)
{
	assert(n <= buf->len);
	if (n == 0)
		return;
	buf->len -= n;
	memmove(buf->data, buf->data + n, buf->len);
	buf->data[buf->len] = '\0';
}

uint8_t *buf_reserve(struct buf *buf, size_t n)
{
	size_t need = buf->len + n + 1;

	if (buf->failed || n > buf->max || buf->len > buf->max - n) {
		buf->failed = true;
		return NULL;
	}
	if (need > buf->cap) {
		size_t cap = buf->cap ? buf->cap : 64;

		while (cap < need)
			cap = cap > SIZE_MAX / 2 ? need : cap * 2;
		buf->data = mem_grow(buf->data, cap, 1);
		buf->cap = cap;
	}
	return buf->data + buf->len;
}

uint8_t *buf_steal(struct buf *buf, size_t *len)
{
	uint8_t *data = buf->data;

	if (len)
		*len = buf->len;
	*buf = (struct buf){.max = buf->max};
	return data;
}

void buf_put(struct buf *buf, const void *data, size_t n)
{
	uint8_t *to = buf_reserve(buf, n);

	if (!to)
		return;
	if (n)
		memcpy(to, data, n);
	buf->len += n;
	buf->data[buf->len] = '\0';
}

void buf_puts(struct buf *buf, const char *text)
{
	buf_put(buf, text, strlen(text));
}

void buf_printf(struct buf *buf, const char *fmt, ...)
{
	uint8_t *to;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	to = n < 0 ? NULL : buf_reserve(buf, (size_t)n);
	if (!to) {
		buf->failed = true;
		return;
	}
	va_start(ap, fmt);
	(void)vsnprintf((char *)to, (size_t)n + 1, fmt, ap); /* measured above */
	va_end(ap);
	buf->len += (size_t)n;
}

static void put_be(struct buf *buf, uint64_t v, size_t n)
{
	uint8_t bytes[8];

	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
	buf_put(buf, bytes, n);
}

void buf_put_u8(struct buf *buf, uint8_t v)
{
	put_be(buf, v, 1);
}

void buf_put_be16(struct buf *buf, uint16_t v)
{
	put_be(buf, v, 2);
}

void buf_put_be32(struct buf *buf, uint32_t v)
{
	put_be(buf, v, 4);
}

void buf_put_be64(struct buf *buf, uint64_t v)
{
	put_be(buf, v, 8);
}

void buf_put_part(struct buf *buf, const void *data, size_t n)
{
	assert(n <= UINT32_MAX);
	buf_put_be32(buf, (uint32_t)n);
	buf_put(buf, data, n);
}

const char *buf_text(const struct buf *buf)
{
	return buf->data ? (const char *)buf->data : "";
}

struct cursor cursor_of(const void *data, size_t n)
{
	return (struct cursor){.at = data, .left = n};
}

const uint8_t *cursor_bytes(struct cursor *c, size_t n)
{
	const uint8_t *at = c->at;

	if (c->failed || n > c->left) {
		c->failed = true;
		return NULL;
	}
	if (n)
		c->at += n;
	c->left -= n;
	return at;
}

static uint64_t get_be(struct cursor *c, size_t n)
{
	const uint8_t *p = cursor_bytes(c, n);
	uint64_t v = 0;

	for (size_t i = 0; p && i < n; i++)
		v = v << 8 | p[i];
	return v;
}

uint8_t cursor_u8(struct cursor *c)
{
	return (uint8_t)get_be(c, 1);
}

uint16_t cursor_be16(struct cursor *c)
{
	return (uint16_t)get_be(c, 2);
}

uint32_t cursor_be32(struct cursor *c)
{
	return (uint32_t)get_be(c, 4);
}

uint64_t cursor_be64(struct cursor *c)
{
	return get_be(c, 8);
}

const uint8_t *cursor_part(struct cursor *c, size_t max, size_t *n)
{
	uint32_t len = cursor_be32(c);

	*n = 0;
	if (c->failed || len > max) {
		c->failed = true;
		return NULL;
	}
	*n = len;
	return cursor_bytes(c, len);
}

const char *cursor_line(struct cursor *c, size_t *n)
{
	const uint8_t *end = c->failed || !c->left ? NULL : memchr(c->at, '\n', c->left);
	const uint8_t *at = c->at;

	*n = 0;
	if (!end) {
		c->failed = true;
		return NULL;
	}
	*n = (size_t)(end - at);
	(void)cursor_bytes(c, *n + 1); /* in range: END is */
	return (const char *)at;
}

bool cursor_done(const struct cursor *c)
{
	return !c->failed && c->left == 0;
}
