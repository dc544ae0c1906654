/* Where elements are in the text of a document: the tree says what must be there. */
#include "fuzz.h"

#include "config/markup.h"
#include "config/xml.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	config_setup();
	return 0;
}

struct checking {
	const char *text;
	size_t len;
	struct spans spans;
	size_t number;
};

static bool is_name(const char *text, size_t len, const xmlNode *node)
{
	const char *prefix = node->ns && node->ns->prefix ? (const char *)node->ns->prefix : "";
	char *name = text_format("%s%s%s", prefix, *prefix ? ":" : "", xml_name(node));
	bool same = strlen(name) == len && memcmp(name, text, len) == 0;

	free(name);
	return same;
}

/* The element NODE, in what is between FROM and TO of the text; where it ends. */
static size_t check_element(struct checking *c, const xmlNode *node, size_t from, size_t to)
{
	struct span span;
	const char *text = c->text;
	size_t at;

	assert(c->number < c->spans.count);
	span = c->spans.items[c->number++];
	assert(from <= span.start && span.start < span.open_end &&
	       span.open_end <= span.close_start);
	assert(span.close_start <= span.end && span.end <= to);
	assert(text[span.start] == '<' && text[span.open_end - 1] == '>' &&
	       text[span.end - 1] == '>');
	assert(is_name(text + span.start + 1, span.name_len, node));
	assert(span.closed == (text[span.open_end - 2] == '/'));
	if (span.closed)
		assert(span.end == span.open_end && !node->children);
	else
		assert(text[span.close_start + 1] == '/' &&
		       is_name(text + span.close_start + 2, span.name_len, node));
	at = span.open_end;
	for (const xmlNode *child = xml_first(node); child; child = xml_next(child))
		at = check_element(c, child, at, span.close_start);
	return span.end;
}

/* A text that is put into a document is read from it as it was. */
static void check_value(const char *value)
{
	struct document *doc = NULL;
	const xmlNode *leaf;
	struct err err;
	struct buf text;

	buf_init(&text, 64u << 20);
	buf_puts(&text, "<config xmlns=\"" NS_CONFIG "\"><a>");
	markup_put_text(&text, value);
	buf_puts(&text, "</a></config>");
	/* control characters and what is no UTF-8 cannot be in one */
	if (document_parse("v.xml", text.data, text.len, &doc, &err) == 0) {
		leaf = xml_first(xml_root(doc));
		assert(leaf && !xml_next(leaf));
		assert(strcmp(xml_text(leaf), xml_is_blank(value) ? "" : value) == 0);
	}
	document_free(doc);
	buf_clear(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct checking c = {.text = size ? (const char *)data : "", .len = size};
	char *value = fuzz_text(data, size);
	struct document *doc = NULL;
	struct err err;

	check_value(value);
	if (document_parse("t.xml", c.text, size, &doc, &err) == 0) {
		markup_read(c.text, size, &c.spans);
		assert(c.spans.count == document_count(doc));
		(void)check_element(&c, xml_root(doc), 0, size);
		assert(c.number == c.spans.count);
		for (size_t i = 0; i < c.spans.count; i++) {
			size_t start = c.spans.items[i].start,
			       indent = markup_indent(c.text, start);

			assert(indent == SIZE_MAX || indent <= start);
		}
		spans_clear(&c.spans);
	}
	document_free(doc);
	free(value);
	return 0;
}
