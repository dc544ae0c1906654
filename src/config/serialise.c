/*
 * The stable form of a document: UTF-8, two blanks a level, one element a line, nothing reordered.
 * Written by hand, since a serialiser that decides anything by itself would make a new release of
 * an unchanged configuration one day.
 */
#include "config/document.h"

#include "config/xml.h"

#include <stdbool.h>
#include <string.h>

static void put_text(struct buf *out, const char *text)
{
	while (*text) {
		size_t plain = strcspn(text, "&<>\r");

		buf_put(out, text, plain);
		text += plain;
		switch (*text) {
		case '&':
			buf_puts(out, "&amp;");
			break;
		case '<':
			buf_puts(out, "&lt;");
			break;
		case '>':
			buf_puts(out, "&gt;");
			break;
		case '\r': /* a parser would make it a newline */
			buf_puts(out, "&#13;");
			break;
		default:
			return;
		}
		text++;
	}
}

/* A value in double quotes; blanks but the blank itself would not survive a parser. */
static void put_quoted(struct buf *out, const char *text)
{
	buf_puts(out, "\"");
	while (*text) {
		size_t plain = strcspn(text, "&<>\"\r\n\t");

		buf_put(out, text, plain);
		text += plain;
		if (!*text)
			break;
		if (*text == '"')
			buf_puts(out, "&quot;");
		else if (*text == '\n' || *text == '\t' || *text == '\r')
			buf_printf(out, "&#%d;", *text);
		else
			put_text(out, (char[]){*text, '\0'});
		text++;
	}
	buf_puts(out, "\"");
}

static void put_name(struct buf *out, const xmlNs *ns, const xmlChar *name)
{
	if (ns && ns->prefix)
		buf_printf(out, "%s:", (const char *)ns->prefix);
	buf_puts(out, (const char *)name);
}

static void put_attributes(struct buf *out, const xmlNode *node)
{
	for (const xmlNs *ns = node->nsDef; ns; ns = ns->next) {
		buf_puts(out, ns->prefix ? " xmlns:" : " xmlns");
		buf_puts(out, ns->prefix ? (const char *)ns->prefix : "");
		buf_puts(out, "=");
		put_quoted(out, ns->href ? (const char *)ns->href : "");
	}
	for (const xmlAttr *attribute = node->properties; attribute; attribute = attribute->next) {
		xmlChar *value = xmlNodeListGetString(node->doc, attribute->children, 1);

		buf_puts(out, " ");
		put_name(out, attribute->ns, attribute->name);
		buf_puts(out, "=");
		put_quoted(out, value ? (const char *)value : "");
		xmlFree(value);
	}
}

static void put_remark(struct buf *out, const xmlNode *node)
{
	const char *content = node->content ? (const char *)node->content : "";

	if (node->type == XML_COMMENT_NODE)
		buf_printf(out, "<!--%s-->", content);
	else if (node->type == XML_PI_NODE)
		buf_printf(out, "<?%s%s%s?>", (const char *)node->name, *content ? " " : "",
			   content);
}

static void put_indent(struct buf *out, unsigned depth)
{
	for (unsigned i = 0; i < depth; i++)
		buf_puts(out, "  ");
}

/* One node on lines of its own. Depth is bounded by LIMIT_XML_DEPTH. */
static void put_node(struct buf *out, const xmlNode *node, unsigned depth)
{
	put_indent(out, depth);
	if (node->type != XML_ELEMENT_NODE) {
		put_remark(out, node);
		buf_puts(out, "\n");
		return;
	}
	buf_puts(out, "<");
	put_name(out, node->ns, node->name);
	put_attributes(out, node);
	if (!node->children) {
		buf_puts(out, "/>\n");
		return;
	}
	buf_puts(out, ">");
	if (node->children->type == XML_TEXT_NODE) { /* a leaf: nothing may be added to its text */
		put_text(out, xml_text(node));
		for (const xmlNode *child = node->children; child; child = child->next)
			put_remark(out, child);
	} else {
		buf_puts(out, "\n");
		for (const xmlNode *child = node->children; child; child = child->next)
			put_node(out, child, depth + 1);
		put_indent(out, depth);
	}
	buf_puts(out, "</");
	put_name(out, node->ns, node->name);
	buf_puts(out, ">\n");
}

int document_serialise(const struct document *doc, struct buf *out, struct err *err)
{
	size_t before = out->len;

	for (const xmlNode *node = doc->xml->children; node; node = node->next)
		put_node(out, node, 0);
	if (!out->failed)
		return 0;
	return err_set(err, ERR_FULL, "the configuration is over %zu bytes", out->max - before);
}
