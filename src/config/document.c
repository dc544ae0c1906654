/*
 * Reading a document: see document.h. Before libxml2 sees a byte, a scan refuses what could make it
 * work without bound (DOCTYPE, CDATA, swarms of attributes); its SAX calls are then watched for
 * depth and number.
 */
#include "config/document.h"

#include "config/xml.h"
#include "core/limits.h"
#include "core/text.h"

#include <libxml/parser.h>
#include <libxml/xmlerror.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	NODES_MAX = 2000000, /* elements and remarks of a document: what LIMIT_XML_SIZE holds at 32
				bytes each */
	ENCODING_MAX = 40,   /* bytes of an encoding's name */
};

struct reading {
	const char *name;
	struct document *doc; /* owns the origins; its tree comes at the end */
	size_t nodes;
	struct err *err;
	bool failed; /* the first error is in err */
};

static xmlParserInputPtr load_nothing(const char *url, const char *id, xmlParserCtxtPtr ctxt)
{
	(void)url;
	(void)id;
	(void)ctxt;
	return NULL;
}

void config_setup(void)
{
	xmlInitParser();
	/*
	 * for the whole process: whatever libxml2 is asked to read, it opens no file and no
	 * connection by itself
	 */
	xmlSetExternalEntityLoader(load_nothing);
}

/* --- the scan --- */

struct scan {
	const char *name;
	const char *data;
	size_t len;
	struct err *err;
};

static int scan_refuse(const struct scan *scan, size_t at, const char *reason)
{
	size_t line = 1;

	for (size_t i = 0; i < at; i++)
		line += scan->data[i] == '\n';
	return err_set(scan->err, ERR_REFUSED, "%s:%zu: %s", scan->name, line, reason);
}

/* Moves AT behind the next END; to the end of the data if there is none, which the parser then
 * tells. */
static void skip_past(const struct scan *scan, size_t *at, const char *end)
{
	const char *found = memmem(scan->data + *at, scan->len - *at, end, strlen(end));

	*at = found ? (size_t)(found - scan->data) + strlen(end) : scan->len;
}

/* AT is behind the '<' of a start or end tag; moves behind its '>'. */
static int scan_tag(const struct scan *scan, size_t *at)
{
	unsigned attributes = 0;
	char quote = 0;

	for (; *at < scan->len; (*at)++) {
		char c = scan->data[*at];

		if (c == '<')
			return scan_refuse(scan, *at, "not well-formed: '<' in a tag");
		if (quote) {
			quote = c == quote ? 0 : quote;
			continue;
		}
		if (c == '>')
			return 0;
		if (c == '"' || c == '\'')
			quote = c;
		if (c == '=' && ++attributes > XML_ATTRIBUTES_MAX)
			return scan_refuse(scan, *at, "too many attributes");
	}
	return 0;
}

/* The encoding that the XML declaration names must be the one that is read. */
static int scan_declaration(const struct scan *scan)
{
	char name[ENCODING_MAX + 1] = "";
	const char *at, *end;
	size_t n;
	char quote;

	if (scan->len < 6 || memcmp(scan->data, "<?xml", 5) != 0 ||
	    !strchr(" \t\r\n", scan->data[5]))
		return 0;
	end = memmem(scan->data, scan->len, "?>", 2);
	at = end ? memmem(scan->data, (size_t)(end - scan->data), "encoding", 8) : NULL;
	if (!at)
		return 0;
	for (at += 8; at < end && strchr(" \t\r\n=", *at); at++)
		;
	quote = *at++;
	for (n = 0; at < end && *at != quote && n < ENCODING_MAX; n++)
		name[n] = *at++;
	name[n] = '\0';
	if (strcasecmp(name, "UTF-8") != 0 && strcasecmp(name, "US-ASCII") != 0)
		return scan_refuse(scan, 0, "the encoding must be UTF-8");
	return 0;
}

static int scan_bytes(const struct scan *scan)
{
	const char *data = scan->data;
	const char *nul = scan->len ? memchr(data, '\0', scan->len) : NULL;

	if (nul)
		return scan_refuse(scan, (size_t)(nul - data), "a NUL byte");
	/* no other start: libxml2 would guess other encodings from it */
	if (scan->len == 0 || !strchr("< \t\r\n", data[0]))
		return scan_refuse(scan, 0, "not well-formed: it does not begin with '<'");
	if (scan_declaration(scan))
		return -1;
	for (size_t at = 0; at < scan->len;) {
		const char *next = memchr(data + at, '<', scan->len - at);
		size_t left;

		if (!next)
			break;
		at = (size_t)(next - data) + 1;
		left = scan->len - at;
		if (left >= 3 && memcmp(data + at, "!--", 3) == 0) {
			at += 3;
			skip_past(scan, &at, "-->");
		} else if (left >= 8 && memcmp(data + at, "![CDATA[", 8) == 0) {
			return scan_refuse(scan, at, "CDATA is not allowed");
		} else if (left >= 8 && memcmp(data + at, "!DOCTYPE", 8) == 0) {
			return scan_refuse(scan, at, "a DOCTYPE is not allowed");
		} else if (left >= 1 && data[at] == '!') {
			return scan_refuse(scan, at, "not well-formed: '<!' without comment");
		} else if (left >= 1 && data[at] == '?') {
			skip_past(scan, &at, "?>");
		} else if (scan_tag(scan, &at)) {
			return -1;
		}
	}
	return 0;
}

/* --- the parser's calls --- */

static void refuse(struct reading *reading, int line, const char *reason)
{
	if (!reading->failed)
		err_set(reading->err, ERR_REFUSED, "%s:%d: %s", reading->name, line, reason);
	reading->failed = true;
}

static void stop(xmlParserCtxt *ctxt, const char *reason)
{
	refuse(ctxt->_private, ctxt->input->line, reason);
	xmlStopParser(ctxt);
}

/* Text of the input is not in libxml2's sentences but for names. */
static void on_error(void *arg, xmlErrorPtr error)
{
	xmlParserCtxt *ctxt = arg;
	struct reading *reading = ctxt->_private;
	char *reason;
	size_t n;

	if (error->level < XML_ERR_ERROR || reading->failed)
		return;
	reason = text_format("not well-formed: %s", error->message ? error->message : "unknown");
	n = strlen(reason);
	while (n > 0 && strchr(" \r\n", reason[n - 1]))
		reason[--n] = '\0';
	text_escape_in_place(reason);
	refuse(reading, error->line, reason);
	free(reason);
}

static bool one_more(xmlParserCtxt *ctxt)
{
	struct reading *reading = ctxt->_private;

	if (++reading->nodes <= NODES_MAX)
		return true;
	stop(ctxt, "too many elements");
	return false;
}

static void on_start(void *arg, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri,
		     int ns_count, const xmlChar **ns, int attribute_count, int defaulted,
		     const xmlChar **attributes)
{
	xmlParserCtxt *ctxt = arg;
	struct reading *reading = ctxt->_private;

	if (ctxt->nodeNr >= (int)LIMIT_XML_DEPTH) {
		stop(ctxt, "too many elements within each other");
		return;
	}
	if (uri && strstr((const char *)uri, "/XInclude")) {
		stop(ctxt, "XInclude is not allowed");
		return;
	}
	if (!one_more(ctxt))
		return;
	xmlSAX2StartElementNs(ctxt, name, prefix, uri, ns_count, ns, attribute_count, defaulted,
			      attributes);
	if (ctxt->node)
		xml_set_origin(reading->doc, ctxt->node, reading->name,
			       (uint32_t)ctxt->input->line);
}

static void on_comment(void *arg, const xmlChar *text)
{
	if (one_more(arg))
		xmlSAX2Comment(arg, text);
}

static void on_pi(void *arg, const xmlChar *target, const xmlChar *data)
{
	if (one_more(arg))
		xmlSAX2ProcessingInstruction(arg, target, data);
}

/* The scan has refused these two; this holds should the parser see what the scan does not. */
static void on_doctype(void *arg, const xmlChar *name, const xmlChar *id, const xmlChar *system)
{
	(void)name;
	(void)id;
	(void)system;
	stop(arg, "a DOCTYPE is not allowed");
}

static void on_cdata(void *arg, const xmlChar *text, int len)
{
	(void)text;
	(void)len;
	stop(arg, "CDATA is not allowed");
}

/* --- the tree as config/ has it --- */

static bool blank_node(const xmlNode *node)
{
	return xml_is_blank((const char *)node->content);
}

/* Removes the text of NODE where only elements (and remarks) count; false if it says something. */
static bool drop_blank_text(xmlNode *node)
{
	xmlNode *next;

	for (xmlNode *child = node->children; child; child = next) {
		next = child->next;
		if (child->type != XML_TEXT_NODE)
			continue;
		if (!blank_node(child))
			return false;
		xml_remove(child);
	}
	return true;
}

/*
 * Makes the pieces of text between the remarks of a leaf one, in front of them; a blank one goes.
 */
static void join_text(xmlNode *leaf)
{
	xmlNode *text, *next;
	struct buf joined;

	if (leaf->children && leaf->children->type == XML_TEXT_NODE && !leaf->children->next &&
	    !blank_node(leaf->children))
		return;
	buf_init(&joined, LIMIT_XML_SIZE);
	for (xmlNode *child = leaf->children; child; child = next) {
		next = child->next;
		if (child->type != XML_TEXT_NODE)
			continue;
		buf_puts(&joined, (const char *)child->content);
		xml_remove(child);
	}
	if (!xml_is_blank(buf_text(&joined))) {
		text = xmlNewDocText(leaf->doc, BAD_CAST buf_text(&joined));
		if (!text)
			abort();
		(void)xmlAddPrevSibling(leaf->children, text); /* a remark: nothing to join with */
	}
	buf_clear(&joined);
}

static int normalise(xmlNode *node, struct err *err)
{
	if (xml_is_leaf(node)) {
		join_text(node);
		return 0;
	}
	if (!drop_blank_text(node))
		return err_set(err, ERR_REFUSED, "%s:%u: text beside elements in <%s>",
			       xml_file(node), xml_line(node), xml_name(node));
	for (xmlNode *child = xml_first(node); child; child = xml_next(child))
		if (normalise(child, err))
			return -1;
	return 0;
}

static int check_root(const struct document *doc, struct err *err)
{
	const xmlNode *root = xml_root(doc);

	if (xml_is(root, "config") && strcmp(xml_ns(root), NS_CONFIG) == 0) {
		if (!xml_is_leaf(root) || !*xml_text(root))
			return 0;
		return err_set(err, ERR_REFUSED, "%s:%u: text in <config>", xml_file(root),
			       xml_line(root));
	}
	return err_set(err, ERR_REFUSED,
		       "%s:%u: the root is <%.100s> in \"%.200s\", not <config> in \"%s\"",
		       xml_file(root), xml_line(root), xml_name(root), xml_ns(root), NS_CONFIG);
}

static xmlDoc *read_xml(struct reading *reading, const char *data, size_t len)
{
	const int options =
		XML_PARSE_NONET | XML_PARSE_BIG_LINES | XML_PARSE_HUGE | XML_PARSE_IGNORE_ENC;
	xmlParserCtxt *ctxt = xmlNewParserCtxt();
	xmlDoc *xml;

	if (!ctxt)
		abort();
	ctxt->_private = reading;
	ctxt->sax->startElementNs = on_start;
	ctxt->sax->comment = on_comment;
	ctxt->sax->processingInstruction = on_pi;
	ctxt->sax->internalSubset = on_doctype;
	ctxt->sax->cdataBlock = on_cdata;
	ctxt->sax->serror = on_error;
	xml = xmlCtxtReadMemory(ctxt, data, (int)len, NULL, NULL, options);
	if (!xml)
		refuse(reading, ctxt->input ? ctxt->input->line : 1, "not well-formed");
	xmlFreeParserCtxt(ctxt);
	return xml;
}

int document_parse(const char *name, const void *data, size_t len, struct document **out,
		   struct err *err)
{
	struct scan scan = {.name = name, .data = data, .len = len, .err = err};
	struct reading reading = {.name = name, .err = err};
	xmlDoc *xml;

	if (len > LIMIT_XML_SIZE)
		return err_set(err, ERR_REFUSED, "%s:1: over %u bytes", name, LIMIT_XML_SIZE);
	if (len >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0) {
		scan.data += 3; /* a byte order mark says UTF-8 and no more */
		scan.len -= 3;
	}
	if (scan_bytes(&scan))
		return -1;
	reading.doc = xml_document(NULL);
	xml = read_xml(&reading, scan.data, scan.len);
	xmlFreeDoc(reading.doc->xml);
	reading.doc->xml = xml;
	if (reading.failed || normalise(xml_root(reading.doc), err) ||
	    check_root(reading.doc, err)) {
		document_free(reading.doc);
		return -1;
	}
	*out = reading.doc;
	return 0;
}

struct document *document_new(void)
{
	static const char text[] = "<config xmlns=\"" NS_CONFIG "\"/>";
	struct document *doc = NULL;

	if (document_parse("config", text, sizeof(text) - 1, &doc, NULL))
		abort();
	return doc;
}

struct document *document_copy(const struct document *doc)
{
	return xml_copy(doc, true, NULL);
}

static size_t count_elements(const xmlNode *node)
{
	size_t count = 1;

	for (const xmlNode *child = xml_first(node); child; child = xml_next(child))
		count += count_elements(child);
	return count;
}

size_t document_count(const struct document *doc)
{
	return count_elements(xml_root(doc));
}
