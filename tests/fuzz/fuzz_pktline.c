/* Lines of git's pkt-line framing. */
#include "fuzz.h"

#include "channel/pktline.h"

#include <strings.h>

/* A line written again is the same but for the case of its length. */
static void check_line(const uint8_t *at, const uint8_t *end, const uint8_t *data, size_t n)
{
	struct buf out;

	buf_init(&out, PKTLINE_DATA_MAX + 8);
	if (data)
		pktline_put(&out, data, n);
	else
		pktline_flush(&out);
	assert(out.len == (size_t)(end - at) && out.len >= 4);
	assert(strncasecmp((const char *)out.data, (const char *)at, 4) == 0);
	assert(memcmp(out.data + 4, at + 4, out.len - 4) == 0);
	buf_clear(&out);
}

/* With any byte of the line missing it is not complete, and never another line. */
static void check_cut(const uint8_t *at, const uint8_t *end)
{
	size_t step = (size_t)(end - at) / 8 + 1;

	for (size_t n = 0; n < (size_t)(end - at); n += step) {
		struct cursor c = cursor_of(at, n);
		const uint8_t *data;
		size_t size;
		struct err err;

		assert(pktline_next(&c, &data, &size, &err) == PKTLINE_MORE && c.left == n);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_of(data, size);

	for (;;) {
		const uint8_t *at = c.at, *line = NULL;
		size_t left = c.left, n = 0;
		struct err err = {.code = ERR_NONE};
		enum pktline_kind kind = pktline_next(&c, &line, &n, &err);

		assert((kind == PKTLINE_BAD) == (err.code == ERR_CORRUPT));
		if (kind == PKTLINE_MORE || kind == PKTLINE_BAD) {
			assert(c.at == at && c.left == left && !c.failed);
			return 0;
		}
		check_line(at, c.at, kind == PKTLINE_DATA ? line : NULL, n);
		check_cut(at, c.at);
	}
}
