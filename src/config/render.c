/* Templates: see render.h. All of libxslt's work is done in a child process (core/child.h) that can
 * open nothing. */
#include "config/render.h"

#include "config/xml.h"
#include "core/child.h"
#include "core/limits.h"
#include "core/text.h"

#include <libxml/parser.h>
#include <libxslt/documents.h>
#include <libxslt/security.h>
#include <libxslt/transform.h>
#include <libxslt/xsltInternals.h>
#include <libxslt/xsltutils.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct rendering {
	const struct document *doc;
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
	return style ? transform(rendering, style, prefs, out, err) : -1;
}

int render(const struct document *doc, const char *name, const void *xsl, size_t len,
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
