/* Git's pkt-line framing: see pktline.h. */
#include "channel/pktline.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

enum { LENGTH_SIZE = 4 }; /* bytes: hex digits, which count themselves */

void pktline_put(struct buf *out, const void *data, size_t n)
{
	assert(n <= PKTLINE_DATA_MAX);
	buf_printf(out, "%04zx", n + LENGTH_SIZE);
	buf_put(out, data, n);
}

void pktline_printf(struct buf *out, const char *fmt, ...)
{
	struct buf line;
	va_list ap;
	uint8_t *to;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	assert(n >= 0 && n <= PKTLINE_DATA_MAX);
	buf_init(&line, PKTLINE_DATA_MAX);
	to = buf_reserve(&line, (size_t)n); /* fits: asserted */
	va_start(ap, fmt);
	(void)vsnprintf((char *)to, (size_t)n + 1, fmt, ap); /* measured above */
	va_end(ap);
	pktline_put(out, to, (size_t)n);
	buf_clear(&line);
}

void pktline_flush(struct buf *out)
{
	buf_puts(out, "0000");
}

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F') /* git takes these too */
		return c - 'A' + 10;
	return -1;
}

enum pktline_kind pktline_next(struct cursor *c, const uint8_t **data, size_t *n, struct err *err)
{
	size_t have = c->left < LENGTH_SIZE ? c->left : LENGTH_SIZE, length = 0;
	struct cursor ahead = *c;

	for (size_t i = 0; i < have; i++) {
		int digit = hex_digit(cursor_u8(&ahead));

		if (digit < 0) {
			(void)err_set(err, ERR_CORRUPT, "not a pkt-line: its length is not hex");
			return PKTLINE_BAD;
		}
		length = length * 16 + (size_t)digit;
	}
	if (have < LENGTH_SIZE)
		return PKTLINE_MORE;
	if (length == 0) {
		*c = ahead;
		return PKTLINE_FLUSH;
	}
	/* 1 to 3 are special packets of protocol v2, which is not spoken here */
	if (length < LENGTH_SIZE || length > LENGTH_SIZE + PKTLINE_DATA_MAX) {
		(void)err_set(err, ERR_CORRUPT, "not a pkt-line: its length is %zu", length);
		return PKTLINE_BAD;
	}
	if (ahead.left < length - LENGTH_SIZE)
		return PKTLINE_MORE;
	*n = length - LENGTH_SIZE;
	*data = cursor_bytes(&ahead, *n);
	*c = ahead;
	return PKTLINE_DATA;
}
