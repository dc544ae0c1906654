/* Elements in the text of a document: see markup.h. */
#include "config/markup.h"

#include <stdint.h>
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

/* From behind a start tag: the end tag that belongs to it. */
static bool find_close(const char *text, size_t len, struct span *span)
{
	size_t at = span->open_end, start = 0, depth = 1;
	enum token token;

	while ((token = next_token(text, len, &at, &start)) != TOKEN_END) {
		depth += token == TOKEN_OPEN;
		depth -= token == TOKEN_CLOSE;
		if (depth > 0)
			continue;
		span->close_start = start;
		span->end = at;
		return true;
	}
	return false;
}

bool markup_find(const char *text, size_t len, size_t index, struct span *out)
{
	size_t at = 0, start = 0, seen = 0;
	enum token token;

	while ((token = next_token(text, len, &at, &start)) != TOKEN_END) {
		if (token != TOKEN_OPEN && token != TOKEN_EMPTY)
			continue;
		if (seen++ < index)
			continue;
		*out = (struct span){.start = start, .open_end = at, .close_start = at, .end = at};
		while (!strchr(" \t\r\n/>", text[start + 1 + out->name_len]))
			out->name_len++;
		out->closed = token == TOKEN_EMPTY;
		return out->closed || find_close(text, len, out);
	}
	return false;
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
