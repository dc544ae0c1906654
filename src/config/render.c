/* Templates: see render.h. All of libxslt's work is done in a child process (core/child.h) that can
 * open nothing. */
#include "config/render.h"

#include "config/xml.h"
#include "core/child.h"
#include "core/limits.h"
#include "core/text.h"

#include <libxml/parser.h>
#include <libxml/xpathInternals.h>
#include <libxslt/documents.h>
#include <libxslt/preproc.h>
#include <libxslt/security.h>
#include <libxslt/transform.h>
#include <libxslt/xsltInternals.h>
#include <libxslt/xsltutils.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEMPLATES "render.d/"

struct rendering {
	const struct document *doc; /* NULL: the template is only looked at */
	const char *name;
	const void *xsl;
	size_t len;
	struct buf said; /* what the library said of the template, its first sentences */
};

/* The library writes its sentences in pieces. */
static void on_sentence(void *arg, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void on_sentence(void *arg, const char *fmt, ...)
{
	struct rendering *rendering = arg;
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap); /* cut is fine */
	va_end(ap);
	buf_puts(&rendering->said, text); /* ditto */
}

static void on_xml_error(void *arg, xmlErrorPtr error)
{
	struct rendering *rendering = arg;

	if (error->level < XML_ERR_ERROR || rendering->said.len > 0)
		return;
	if (error->domain == XML_FROM_PARSER || error->domain == XML_FROM_NAMESPACE)
		buf_printf(&rendering->said, "error: file %s line %d element x\n", rendering->name,
			   error->line);
	buf_printf(&rendering->said, "%s\n", error->message ? error->message : "unknown");
}

/*
 * What the library said are lines, some of them `runtime error: file F line N element E`: as one
 * sentence, `NAME:N: reason`.
 */
static int refuse(struct rendering *rendering, const char *otherwise, struct err *err)
{
	char *text = text_copy(buf_text(&rendering->said)), *at = text, *line, *place;
	unsigned number = 0;
	struct buf reason;

	buf_init(&reason, sizeof(err->text));
	while ((line = strsep(&at, "\n"))) {
		place = strstr(line, " line ");
		if (strstr(line, "error: file ") && place) {
			if (number == 0)
				(void)sscanf(place, " line %u", &number); /* 0 when it is none */
		} else if (*line) {
			buf_puts(&reason, reason.len ? "; " : "");
			buf_puts(&reason, line);
		}
	}
	(void)err_set(err, ERR_REFUSED, "%s:%u: %s", rendering->name, number ? number : 1,
		      reason.len ? buf_text(&reason) : otherwise);
	text_escape_in_place(err->text);
	buf_clear(&reason);
	free(text);
	return -1;
}

static xmlDoc *load_nothing(const xmlChar *uri, xmlDict *dict, int options, void *ctxt,
			    xsltLoadType type)
{
	(void)uri;
	(void)dict;
	(void)options;
	(void)ctxt;
	(void)type;
	return NULL;
}

static xsltSecurityPrefs *forbid_all(void)
{
	static const xsltSecurityOption options[] = {
		XSLT_SECPREF_READ_FILE,        XSLT_SECPREF_WRITE_FILE,
		XSLT_SECPREF_CREATE_DIRECTORY, XSLT_SECPREF_READ_NETWORK,
		XSLT_SECPREF_WRITE_NETWORK,
	};
	xsltSecurityPrefs *prefs = xsltNewSecurityPrefs();

	if (!prefs)
		abort();
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (xsltSetSecurityPrefs(prefs, options[i], xsltSecurityForbid) != 0)
			abort();
	return prefs;
}

static xsltStylesheet *parse(struct rendering *rendering, struct err *err)
{
	xmlDoc *xml = xmlReadMemory(rendering->xsl, (int)rendering->len, rendering->name, NULL,
				    XML_PARSE_NONET);
	xsltStylesheet *style;

	if (!xml) {
		(void)refuse(rendering, "not well-formed", err);
		return NULL;
	}
	if (xml->intSubset) {
		xmlFreeDoc(xml);
		(void)err_set(err, ERR_REFUSED, "%s:1: a DOCTYPE is not allowed", rendering->name);
		return NULL;
	}
	style = xsltParseStylesheetDoc(xml);
	/* a warning is an instruction that is not known: a mistake, which would be passed over */
	if (style && style->errors == 0 && style->warnings == 0)
		return style; /* the document is its own now */
	(void)refuse(rendering, "no template", err);
	return NULL; /* this process ends here: nothing is freed */
}

/* --- what a template may not ask for --- */

static int refuse_at(const struct rendering *rendering, const xmlNode *node, const char *what,
		     const char *name, struct err *err)
{
	(void)err_set(err, ERR_REFUSED, "%s:%ld: %s: %s", rendering->name, xmlGetLineNo(node), name,
		      what);
	text_escape_in_place(err->text);
	return -1;
}

/* A name that stands before a parenthesis, as a call of a function does. */
static int look_at_call(const struct rendering *rendering, xmlXPathContext *known, xmlNode *node,
			const char *name, struct err *err)
{
	static const char *const others[] = {"and", "or", "div", "mod", "node", "text", "comment",
					     "processing-instruction"};
	const char *colon = strchr(name, ':');
	char *prefix = text_copy_n(name, colon ? (size_t)(colon - name) : 0);
	xmlNs *ns = colon ? xmlSearchNs(node->doc, node, BAD_CAST prefix) : NULL;
	xmlXPathFunction found = NULL;

	for (size_t i = 0; !found && i < sizeof(others) / sizeof(others[0]); i++)
		if (strcmp(name, others[i]) == 0) {
			free(prefix);
			return 0;
		}
	if (!colon)
		found = xmlXPathFunctionLookup(known, BAD_CAST name);
	else if (ns)
		found = xmlXPathFunctionLookupNS(known, BAD_CAST colon + 1, ns->href);
	free(prefix);
	if (strcmp(name, "document") == 0)
		return refuse_at(rendering, node, "a template reads no other document", name, err);
	return found ? 0 : refuse_at(rendering, node, "there is no such function", name, err);
}

static bool is_name_byte(char c)
{
	return (unsigned char)c >= 0x80 || (c && strchr("_.-:", c)) || (c >= '0' && c <= '9') ||
	       (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* The functions that N bytes of XPath call; what is between quotes is text. */
static int look_at_path(const struct rendering *rendering, xmlXPathContext *known, xmlNode *node,
			const char *path, size_t n, struct err *err)
{
	for (size_t i = 0; i < n;) {
		size_t from = i, next;

		if (path[i] == '"' || path[i] == '\'') {
			const char *end = memchr(path + i + 1, path[i], n - i - 1);

			i = end ? (size_t)(end - path) + 1 : n;
			continue;
		}
		while (i < n && is_name_byte(path[i]))
			i++;
		for (next = i; next < n && strchr(" \t\r\n", path[next]);)
			next++;
		if (i > from && next < n && path[next] == '(') {
			/* after an axis comes no function: `self::node()` */
			const char *axis = memmem(path + from, i - from, "::", 2);
			size_t at = axis ? (size_t)(axis - path) + 2 : from;
			char *name = text_copy_n(path + at, i - at);
			int rc = look_at_call(rendering, known, node, name, err);

			free(name);
			if (rc != 0)
				return rc;
		}
		i += i == from;
	}
	return 0;
}

/* Whether the whole attribute is XPath; in any other that is only what stands in braces. */
static bool is_path(const xmlNode *node, const char *name)
{
	static const char *const names[] = {"select", "test", "match", "count",
					    "from",   "use",  "value"};

	if (!IS_XSLT_ELEM(node))
		return false;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

static int look_at_attribute(const struct rendering *rendering, xmlXPathContext *known,
			     xmlNode *node, const char *name, const char *text, struct err *err)
{
	if (is_path(node, name))
		return look_at_path(rendering, known, node, text, strlen(text), err);
	for (const char *open = strchr(text, '{'); open; open = strchr(open + 1, '{')) {
		const char *close = strchr(open, '}');

		if (open[1] == '{') { /* a brace and no path */
			open++;
			continue;
		}
		if (look_at_path(rendering, known, node, open + 1,
				 close ? (size_t)(close - open) - 1 : strlen(open + 1), err) != 0)
			return -1;
	}
	return 0;
}

static bool is_extension(const xmlNode *node)
{
	const xsltElemPreComp *compiled = node->psvi;

	if (!compiled)
		return false;
	/* the library has a mark for extensions it does not know, in place of what it compiled */
	return node->psvi == (const void *)xsltExtMarker || compiled->type == XSLT_FUNC_EXTENSION ||
	       compiled->type == XSLT_FUNC_DOCUMENT;
}

static int look_at_element(const struct rendering *rendering, xmlXPathContext *known, xmlNode *node,
			   struct err *err)
{
	int rc = 0;

	if (is_extension(node))
		return refuse_at(rendering, node, "no extensions, and no output of other files",
				 (const char *)node->name, err);
	for (xmlAttr *attr = node->properties; rc == 0 && attr; attr = attr->next) {
		xmlChar *text = xmlNodeListGetString(node->doc, attr->children, 1);

		if (text)
			rc = look_at_attribute(rendering, known, node, (const char *)attr->name,
					       (const char *)text, err);
		xmlFree(text);
	}
	return rc;
}

/*
 * What fails only where it is reached: it is refused wherever it stands, so that it is found before
 * a node reaches it.
 */
static int look(const struct rendering *rendering, xsltStylesheet *style, struct err *err)
{
	xmlDoc *nothing = xmlNewDoc(BAD_CAST "1.0");
	xsltTransformContext *ctxt = nothing ? xsltNewTransformContext(style, nothing) : NULL;
	xmlNode *root = xmlDocGetRootElement(style->doc), *node = root;
	int rc = 0;

	if (!ctxt)
		abort();
	while (rc == 0 && node) {
		if (node->type == XML_ELEMENT_NODE)
			rc = look_at_element(rendering, ctxt->xpathCtxt, node, err);
		if (node->type == XML_ELEMENT_NODE && node->children) {
			node = node->children;
			continue;
		}
		while (node != root && !node->next)
			node = node->parent;
		node = node == root ? NULL : node->next;
	}
	return rc;
}

/* --- what it does --- */

static int transform(struct rendering *rendering, xsltStylesheet *style, xsltSecurityPrefs *prefs,
		     struct buf *out, struct err *err)
{
	xsltTransformContext *ctxt = xsltNewTransformContext(style, rendering->doc->xml);
	xmlChar *text = NULL;
	xmlDoc *result;
	int len = 0;

	if (!ctxt || xsltSetCtxtSecurityPrefs(prefs, ctxt) != 0)
		abort();
	ctxt->maxTemplateDepth = LIMIT_RENDER_DEPTH;
	xsltSetTransformErrorFunc(ctxt, rendering, on_sentence);
	result = xsltApplyStylesheetUser(style, rendering->doc->xml, NULL, NULL, NULL, ctxt);
	if (!result || ctxt->state != XSLT_STATE_OK)
		return refuse(rendering, "it failed", err);
	if (xsltSaveResultToString(&text, &len, result, style) != 0)
		return refuse(rendering, "its result cannot be written", err);
	if ((size_t)len > out->max)
		return err_set(err, ERR_REFUSED, "%s:1: writes over %zu bytes", rendering->name,
			       out->max);
	buf_put(out, text, (size_t)len);
	return 0;
}

/* Where memory is out the library goes on, with a text that is empty: here it is the end. */
static void *must_have(void *made, size_t size)
{
	if (!made && size > 0)
		abort();
	return made;
}

static void *memory_new(size_t size)
{
	return must_have(malloc(size), size);
}

static void *memory_resize(void *old, size_t size)
{
	return must_have(realloc(old, size), size);
}

static char *memory_copy(const char *text)
{
	return must_have(strdup(text), 1);
}

/* In the child. */
static int work(void *arg, struct buf *out, struct err *err)
{
	struct rendering *rendering = arg;
	xsltSecurityPrefs *prefs = forbid_all();
	xsltStylesheet *style;

	buf_init(&rendering->said, sizeof(err->text));
	(void)xmlMemSetup(free, memory_new, memory_resize, memory_copy); /* none of them is NULL */
	xmlSetStructuredErrorFunc(rendering, on_xml_error);
	xsltSetGenericErrorFunc(rendering, on_sentence);
	xsltSetDefaultSecurityPrefs(prefs);
	xsltSetLoaderFunc(load_nothing);
	style = parse(rendering, err);
	if (!style || look(rendering, style, err) != 0)
		return -1;
	return rendering->doc ? transform(rendering, style, prefs, out, err) : 0;
}

/* DOC NULL: no more than a look at the template. */
static int run(const struct document *doc, const char *name, const void *xsl, size_t len,
	       struct buf *out, struct err *err)
{
	static const struct child_limits limits = {.seconds = LIMIT_RENDER_SECONDS,
						   .memory = LIMIT_RENDER_MEMORY};
	struct rendering rendering = {.doc = doc, .name = name, .xsl = xsl, .len = len};
	struct err why = {.code = ERR_NONE};

	if (len > LIMIT_SMALL_FILE)
		return err_set(err, ERR_REFUSED, "%s:1: over %u bytes", name, LIMIT_SMALL_FILE);
	if (child_run(work, &rendering, &limits, out, &why) == 0)
		return 0;
	if (text_starts(why.text, name))
		return err_set(err, why.code, "%s", why.text);
	return err_set(err, why.code, "%s:1: %s", name, why.text);
}

int render(const struct document *doc, const char *name, const void *xsl, size_t len,
	   struct buf *out, struct err *err)
{
	return run(doc, name, xsl, len, out, err);
}

char *render_target(const char *path)
{
	const char *name = path + strlen("files/");

	if (!text_starts(path, "files/") || !text_ends(path, ".xsl"))
		return NULL;
	if (!text_starts(name, TEMPLATES)) /* files/ROLE/ of the authoring repository */
		name = strchr(name, '/') ? strchr(name, '/') + 1 : "";
	if (!text_starts(name, TEMPLATES))
		return NULL;
	name += strlen(TEMPLATES);
	return strchr(name, '/') || strlen(name) <= strlen(".xsl")
		       ? NULL
		       : text_copy_n(name, strlen(name) - strlen(".xsl"));
}

int render_target_check(const char *path, const char *target, struct err *err)
{
	/* what the copy has anyway, or a folder of it */
	if (strcmp(target, "config.xml") == 0 || strcmp(target, "files") == 0)
		return err_set(err, ERR_REFUSED, "%s:1: would write over %s", path, target);
	return 0;
}

/* One file of the authoring repository: a finding, or an error when it could not be looked at. */
static int check_one(const struct file *file, const char *target, struct findings *findings,
		     struct err *err)
{
	struct err why = {.code = ERR_NONE};
	struct buf nothing;
	int rc = render_target_check(file->path, target, &why);

	buf_init(&nothing, 0);
	if (rc == 0)
		rc = run(NULL, file->path, file->data, file->size, &nothing, &why);
	buf_clear(&nothing);
	if (rc == 0)
		return 0;
	if (why.code != ERR_REFUSED)
		return err_set(err, why.code, "%s", why.text);
	findings_add(findings, "%s", why.text);
	return 0;
}

int render_check(const struct fileset *files, struct findings *findings, struct err *err)
{
	size_t before = findings->count;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < files->count; i++) {
		char *target = render_target(files->files[i].path);

		if (target)
			rc = check_one(files->files + i, target, findings, err);
		free(target);
	}
	return findings->count > before ? -1 : rc;
}
