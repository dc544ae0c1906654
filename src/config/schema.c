/*
 * RELAX NG: see schema.h. A schema knows nothing of parameters. So each pattern of a value in it
 * (data, value, list) is made a choice of itself and of one word, and that word stands in the
 * document in place of every value that is not to be looked at.
 */
#include "config/schema.h"

#include "config/param.h"
#include "config/path.h"
#include "config/secret.h"
#include "config/xml.h"
#include "core/child.h"
#include "core/limits.h"
#include "core/text.h"

#include <libxml/parser.h>
#include <libxml/relaxng.h>
#include <stdlib.h>
#include <string.h>

#define NS_RELAXNG "http://relaxng.org/ns/structure/1.0"
#define ANY_VALUE  "muster-any-value"

struct schema_work {
	const struct file *file;
	const struct document *doc;
	const struct model *model;
	struct buf *out;     /* findings, a line each */
	size_t count;        /* of them */
	const xmlNode *last; /* the element of the last one: what follows about it, and those above
				it, says no more */
};

/* --- the schema --- */

static void put_line(struct schema_work *work, const char *place, const char *message)
{
	char *reason = text_copy(message ? message : "unknown");
	size_t n = strlen(reason);

	while (n > 0 && strchr(" \r\n", reason[n - 1]))
		reason[--n] = '\0';
	text_escape_in_place(reason);
	if (work->count++ < LIMIT_FINDINGS)
		buf_printf(work->out, "%s: %s\n", place, reason);
	free(reason);
}

static void on_schema_error(void *arg, xmlErrorPtr error)
{
	struct schema_work *work = arg;
	int line = error->node ? (int)xmlGetLineNo(error->node) : error->line;
	char *place;

	if (error->level < XML_ERR_ERROR)
		return;
	place = text_format("%s:%d", work->file->path, line > 0 ? line : 1);
	put_line(work, place, error->message);
	free(place);
}

static bool is_pattern(const xmlNode *node, const char *name)
{
	return strcmp(xml_ns(node), NS_RELAXNG) == 0 && xml_is(node, name);
}

/* Makes NODE a choice of itself and of ANY_VALUE. */
static void widen(xmlNode *node)
{
	xmlNode *choice = xmlNewDocNode(node->doc, node->ns, BAD_CAST "choice", NULL), *any;

	if (!choice)
		abort();
	(void)xmlReplaceNode(node, choice); /* it has a parent: it is no root */
	any = xmlNewTextChild(choice, node->ns, BAD_CAST "value", BAD_CAST ANY_VALUE);
	if (!any || !xmlNewProp(any, BAD_CAST "type", BAD_CAST "string") ||
	    !xmlNewProp(any, BAD_CAST "datatypeLibrary", BAD_CAST "") || !xmlAddChild(choice, node))
		abort();
}

static void widen_all(xmlNode *parent)
{
	xmlNode *next;

	for (xmlNode *node = xml_first(parent); node; node = next) {
		next = xml_next(node);
		if (is_pattern(node, "data") || is_pattern(node, "value") ||
		    is_pattern(node, "list"))
			widen(node);
		else
			widen_all(node);
	}
}

static xmlRelaxNG *read_schema(struct schema_work *work)
{
	const struct file *file = work->file;
	xmlRelaxNGParserCtxt *parser;
	xmlDoc *xml;

	xmlSetStructuredErrorFunc(work, on_schema_error);
	xml = xmlReadMemory((const char *)file->data, (int)file->size, file->path, NULL,
			    XML_PARSE_NONET);
	if (!xml || xml->intSubset) {
		if (work->count == 0)
			on_schema_error(work,
					&(xmlError){.level = XML_ERR_ERROR,
						    .line = 1,
						    .message = (char[]){
							    "not well-formed, or with a DOCTYPE"}});
		return NULL;
	}
	if (is_pattern(xmlDocGetRootElement(xml), "data") ||
	    is_pattern(xmlDocGetRootElement(xml), "value"))
		return NULL; /* a value is no document: caught below as no schema */
	widen_all(xmlDocGetRootElement(xml));
	parser = xmlRelaxNGNewDocParserCtxt(xml);
	if (!parser)
		abort();
	xmlRelaxNGSetParserStructuredErrors(parser, on_schema_error, work);
	return xmlRelaxNGParse(parser);
}

/* --- the document --- */

static void blind(struct schema_work *work, struct document *doc, xmlNode *parent,
		  struct steps *steps)
{
	for (xmlNode *node = xml_first(parent); node; node = xml_next(node)) {
		const char *text = xml_text(node);
		struct model_props props;

		steps_push(steps, xml_name(node));
		model_match(work->model, steps, &props);
		if (*text && (param_in(text) || secret_leaf(node, &props)))
			xml_set_text(doc, node, ANY_VALUE);
		blind(work, doc, node, steps);
		steps_pop(steps);
	}
}

static bool is_above(const xmlNode *node, const xmlNode *below)
{
	for (; below; below = below->parent)
		if (below == node)
			return true;
	return false;
}

/* What is wrong at a leaf whose value does not fit; the library only says where it gave up. */
static char *reason_of(const struct schema_work *work, const xmlNode *node, const xmlError *error)
{
	const char *text = xml_is_leaf(node) ? xml_text(node) : "", *schema = work->file->path;
	int n = error->message ? (int)strcspn(error->message, "\r\n") : 0;

	if (!*text || error->code == XML_RELAXNG_ERR_EXTRACONTENT ||
	    error->code == XML_RELAXNG_ERR_ELEMWRONG || error->code == XML_RELAXNG_ERR_ELEMNAME)
		return text_format("%.*s (%s)", n, error->message ? error->message : "", schema);
	if (strcmp(text, ANY_VALUE) == 0)
		return text_format("there may be no value here (%s)", schema);
	return text_format("\"%.100s\" may not be the value here (%s)", text, schema);
}

static void on_document_error(void *arg, xmlErrorPtr error)
{
	struct schema_work *work = arg;
	const xmlNode *node = error->node;
	char *path, *place, *reason;

	while (node && node->type != XML_ELEMENT_NODE)
		node = node->parent;
	if (!node || is_above(node, work->last))
		return;
	work->last = node;
	path = path_text(node, work->model);
	place = text_format("%s:%u: %s", xml_file(node), xml_line(node), path);
	reason = reason_of(work, node, error);
	put_line(work, place, reason);
	free(reason);
	free(place);
	free(path);
}

static int validate(struct schema_work *work, xmlRelaxNG *schema)
{
	struct document *copy = document_copy(work->doc);
	xmlRelaxNGValidCtxt *valid = xmlRelaxNGNewValidCtxt(schema);
	struct steps steps = {.count = 0};
	int rc;

	if (!valid)
		abort();
	blind(work, copy, xml_root(copy), &steps);
	xmlSetStructuredErrorFunc(NULL, NULL);
	xmlRelaxNGSetValidStructuredErrors(valid, on_document_error, work);
	rc = xmlRelaxNGValidateDoc(valid, copy->xml);
	if (rc != 0 && work->count == 0) {
		char *place =
			text_format("%s:%u: /", xml_file(xml_root(copy)), xml_line(xml_root(copy)));

		put_line(work, place, "does not follow the schema");
		free(place);
	}
	return 0;
}

/* In the child: nothing is freed. */
static int work_in_child(void *arg, struct buf *out, struct err *err)
{
	struct schema_work *work = arg;
	xmlRelaxNG *schema;

	(void)err;
	work->out = out;
	schema = read_schema(work);
	if (schema)
		return validate(work, schema);
	if (work->count == 0)
		on_schema_error(work, &(xmlError){.level = XML_ERR_ERROR,
						  .line = 1,
						  .message = (char[]){"is no RELAX NG schema"}});
	return 0;
}

static void add_lines(struct findings *findings, const char *text)
{
	char *copy = text_copy(text), *at = copy, *line;

	while ((line = strsep(&at, "\n")))
		if (*line)
			findings_add(findings, "%s", line);
	free(copy);
}

static int check_one(const struct file *file, const struct document *doc, const struct model *model,
		     struct findings *findings, struct err *err)
{
	static const struct child_limits limits = {.seconds = LIMIT_SCHEMA_SECONDS,
						   .memory = LIMIT_SCHEMA_MEMORY};
	struct schema_work work = {.file = file, .doc = doc, .model = model};
	struct err why = {.code = ERR_NONE};
	struct buf out;
	int rc = 0;

	if (file->size > LIMIT_SMALL_FILE) {
		findings_add(findings, "%s:1: over %u bytes", file->path, LIMIT_SMALL_FILE);
		return 0;
	}
	buf_init(&out, LIMIT_SMALL_FILE);
	if (child_run(work_in_child, &work, &limits, &out, &why) == 0)
		add_lines(findings, buf_text(&out));
	else if (why.code == ERR_REFUSED)
		findings_add(findings, "%s:1: the check by this schema %s", file->path, why.text);
	else
		rc = err_set(err, why.code, "%s: the check by this schema %s", file->path,
			     why.text);
	buf_clear(&out);
	return rc;
}

int schema_check(const struct fileset *files, const struct document *doc, const struct model *model,
		 struct findings *findings, struct err *err)
{
	size_t before = findings->count;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < files->count; i++) {
		const char *path = files->files[i].path;

		if (text_starts(path, "schema/") && text_ends(path, ".rng"))
			rc = check_one(files->files + i, doc, model, findings, err);
	}
	return findings->count > before ? -1 : rc;
}
