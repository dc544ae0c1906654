/* Elements in the text of a document: see markup.h. */
#include "config/markup.h"

#include "core/limits.h"
#include "core/text.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum token { TOKEN_END, TOKEN_OPEN, TOKEN_EMPTY, TOKEN_CLOSE, TOKEN_OTHER };

static size_t past(const char *text, size_t len, size_t at, const char *end)
{
	const char *found = memmem(text + at, len - at, end, strlen(end));

	return found ? (size_t)(found - text) + strlen(end) : len;
}

/* Behind the '>' of a tag; quotes may hold one. */
static size_t past_tag(const char *text, size_t len, size_t at)
{
	char quote = 0;

	for (; at < len; at++) {
		if (quote)
			quote = text[at] == quote ? 0 : quote;
		else if (text[at] == '>')
			return at + 1;
		else if (text[at] == '"' || text[at] == '\'')
			quote = text[at];
	}
	return len;
}

/* The next piece of markup from *AT on: it begins at START, and *AT moves behind it. */
static enum token next_token(const char *text, size_t len, size_t *at, size_t *start)
{
	const char *found = memchr(text + *at, '<', len - *at);

	if (!found)
		return TOKEN_END;
	*start = (size_t)(found - text);
	if (len - *start >= 4 && memcmp(found, "<!--", 4) == 0) {
		*at = past(text, len, *start + 4, "-->");
		return TOKEN_OTHER;
	}
	if (len - *start >= 2 && found[1] == '?') {
		*at = past(text, len, *start, "?>");
		return TOKEN_OTHER;
	}
	*at = past_tag(text, len, *start);
	if (len - *start >= 2 && found[1] == '/')
		return TOKEN_CLOSE;
	return *at >= 2 && text[*at - 2] == '/' ? TOKEN_EMPTY : TOKEN_OPEN;
}

static struct span *spans_add(struct spans *spans)
{
	if ((spans->count & (spans->count - 1)) == 0) /* doubled when it is a power of two */
		spans->items = mem_grow(spans->items, spans->count ? 2 * spans->count : 1,
					sizeof(*spans->items));
	return &spans->items[spans->count++];
}

static struct span start_tag(const char *text, size_t start, size_t end, bool closed)
{
	struct span span = {
		.start = start, .open_end = end, .close_start = end, .end = end, .closed = closed};

	while (!strchr(" \t\r\n/>", text[start + 1 + span.name_len]))
		span.name_len++;
	return span;
}

void markup_read(const char *text, size_t len, struct spans *out)
{
	size_t at = 0, start = 0, depth = 0;
	size_t open[LIMIT_XML_DEPTH]; /* numbers of the elements that are open */
	enum token token;

	*out = (struct spans){.count = 0};
	while ((token = next_token(text, len, &at, &start)) != TOKEN_END) {
		if (token == TOKEN_OPEN) {
			assert(depth < LIMIT_XML_DEPTH);
			open[depth++] = out->count;
		}
		if (token == TOKEN_OPEN || token == TOKEN_EMPTY)
			*spans_add(out) = start_tag(text, start, at, token == TOKEN_EMPTY);
		if (token != TOKEN_CLOSE)
			continue;
		assert(depth > 0);
		depth--;
		out->items[open[depth]].close_start = start;
		out->items[open[depth]].end = at;
	}
}

void spans_clear(struct spans *spans)
{
	free(spans->items);
	*spans = (struct spans){.count = 0};
}

size_t markup_indent(const char *text, size_t at)
{
	size_t n = 0;

	while (at > n && (text[at - n - 1] == ' ' || text[at - n - 1] == '\t'))
		n++;
	return at == n || text[at - n - 1] == '\n' ? n : SIZE_MAX;
}

void markup_put_text(struct buf *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '&')
			buf_puts(out, "&amp;");
		else if (*text == '<')
			buf_puts(out, "&lt;");
		else if (*text == '>')
			buf_puts(out, "&gt;");
		else if (*text == '\r')
			buf_puts(out, "&#13;");
		else
			buf_put_u8(out, (uint8_t)*text);
	}
}
