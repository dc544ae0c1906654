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
#include <libxml/uri.h>
#include <stdlib.h>
#include <string.h>

#define NS_RELAXNG "http://relaxng.org/ns/structure/1.0"
#define ANY_VALUE  "muster-any-value"

/* A schema may be made of several files: they name each other by what is below schema/. */
#define FOLDER "schema/"
#define SCHEME "muster:///" /* what the library gets for them, so that nothing else can be meant */

struct part {
	const struct file *file;
	xmlDoc *xml; /* NULL: not well-formed; told where it is the file at hand */
	bool seen;   /* by leads_here */
};

struct schema_work {
	const struct fileset *files;
	const struct file *file; /* the one at hand */
	struct part *parts;      /* all of schema/, once read */
	size_t part_count;
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
	const xmlNode *node = error->node;
	int line = node ? (int)xmlGetLineNo(node) : error->line;
	const char *file = node && node->doc ? (const char *)node->doc->URL : error->file;
	char *place;

	if (error->level < XML_ERR_ERROR)
		return;
	if (file && text_starts(file, SCHEME))
		file += strlen(SCHEME);
	else
		file = work->file->path;
	place = text_format("%s:%d", file, line > 0 ? line : 1);
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

/* --- its parts --- */

static bool is_schema(const char *path)
{
	return text_starts(path, FOLDER) && text_ends(path, ".rng");
}

static xmlDoc *read_file(const struct file *file)
{
	xmlDoc *xml = file->size > LIMIT_SMALL_FILE
			      ? NULL
			      : xmlReadMemory((const char *)file->data, (int)file->size, file->path,
					      NULL, XML_PARSE_NONET);

	return xml && xml->intSubset ? NULL : xml;
}

static void read_parts(struct schema_work *work)
{
	const struct fileset *files = work->files;

	work->parts = mem_new(files->count, sizeof(*work->parts));
	for (size_t i = 0; i < files->count; i++)
		if (is_schema(files->files[i].path))
			work->parts[work->part_count++] =
				(struct part){.file = &files->files[i],
					      .xml = read_file(&files->files[i])};
}

static struct part *find_part(struct schema_work *work, const char *path)
{
	for (size_t i = 0; i < work->part_count; i++)
		if (strcmp(work->parts[i].file->path, path) == 0)
			return &work->parts[i];
	return NULL;
}

static bool is_reference(const xmlNode *node)
{
	return (is_pattern(node, "include") || is_pattern(node, "externalRef")) &&
	       xmlHasNsProp((xmlNode *)node, BAD_CAST "href", NULL);
}

/* Which part NODE names from within FROM; NULL: none. */
static struct part *resolve(struct schema_work *work, const struct part *from, xmlNode *node)
{
	xmlChar *href = xmlGetNoNsProp(node, BAD_CAST "href");
	xmlChar *path = href ? xmlBuildURI(href, BAD_CAST from->file->path) : NULL;

	return path ? find_part(work, (const char *)path) : NULL;
}

/* Calls FN for each part that NODE or one below it names (NULL: no part), until it is not 0. */
static int each_reference(struct schema_work *work, const struct part *from, xmlNode *node,
			  int (*fn)(struct schema_work *work, xmlNode *node, struct part *to))
{
	int rc = is_reference(node) ? fn(work, node, resolve(work, from, node)) : 0;

	for (xmlNode *below = xml_first(node); rc == 0 && below; below = xml_next(below))
		rc = each_reference(work, from, below, fn);
	return rc;
}

static int check_reference(struct schema_work *work, xmlNode *node, struct part *to)
{
	char *place, *reason;

	if (to)
		return 0;
	place = text_format("%s:%ld", work->file->path, xmlGetLineNo(node));
	reason = text_format("%s of what is no file in " FOLDER ": a schema has nothing else",
			     (const char *)node->name);
	put_line(work, place, reason);
	free(reason);
	free(place);
	return 0;
}

/* Whether the file at hand is named, at whatever remove. */
static int leads_here(struct schema_work *work, xmlNode *node, struct part *to)
{
	(void)node;
	if (!to || !to->xml || to->seen)
		return 0;
	to->seen = true;
	return to->file == work->file ||
	       each_reference(work, to, xmlDocGetRootElement(to->xml), leads_here);
}

static int is_here(struct schema_work *work, xmlNode *node, struct part *to)
{
	(void)node;
	return to && to->file == work->file;
}

/* A file that others are made of is no schema of its own. */
static bool is_included(struct schema_work *work)
{
	for (size_t i = 0; i < work->part_count; i++) {
		const struct part *part = work->parts + i;

		if (part->xml && part->file != work->file &&
		    each_reference(work, part, xmlDocGetRootElement(part->xml), is_here) != 0)
			return true;
	}
	return false;
}

static int name_fully(struct schema_work *work, xmlNode *node, struct part *to)
{
	char *name = text_format(SCHEME "%s", to ? to->file->path : "");

	(void)work;
	if (!xmlSetProp(node, BAD_CAST "href", BAD_CAST name))
		abort();
	free(name);
	return 0;
}

/* As the library gets it: blind for parameters, and with the other files named beyond doubt. */
static void prepare(struct schema_work *work, const struct part *part)
{
	(void)each_reference(work, part, xmlDocGetRootElement(part->xml),
			     name_fully); /* never stops */
	widen_all(xmlDocGetRootElement(part->xml));
}

static struct schema_work *loading; /* the library's loader has no argument */

/* All that the library may read. */
static xmlParserInput *load_part(const char *url, const char *id, xmlParserCtxt *ctxt)
{
	struct part *part =
		url && text_starts(url, SCHEME) ? find_part(loading, url + strlen(SCHEME)) : NULL;
	xmlParserInputBuffer *bytes;
	xmlParserInput *input;
	xmlNode *root;
	xmlBuffer *text = xmlBufferCreate();

	(void)id;
	if (!part || !part->xml)
		return NULL;
	root = xmlDocGetRootElement(part->xml);
	/* lines are counted as in the file, whatever stands before its root */
	for (long line = 1; line < xmlGetLineNo(root); line++)
		if (xmlBufferCCat(text, "\n") != 0)
			abort();
	if (xmlNodeDump(text, part->xml, root, 0, 0) < 0)
		abort();
	bytes = xmlParserInputBufferCreateMem((const char *)xmlBufferContent(text),
					      xmlBufferLength(text), XML_CHAR_ENCODING_NONE);
	input = bytes ? xmlNewIOInputStream(ctxt, bytes, XML_CHAR_ENCODING_NONE) : NULL;
	if (!input)
		abort();
	input->filename = (char *)xmlStrdup(BAD_CAST url);
	return input;
}

/* --- all of it --- */

/* False when it is no schema by itself: none at all (told), or a part of others. */
static bool look_at_parts(struct schema_work *work)
{
	struct part *own;
	xmlNode *root;

	read_parts(work);
	xmlSetStructuredErrorFunc(work, on_schema_error);
	own = find_part(work, work->file->path);
	if (!own->xml)
		own->xml = read_file(work->file); /* once more, to hear what is wrong */
	if (!own->xml) {
		if (work->count == 0)
			on_schema_error(work,
					&(xmlError){.level = XML_ERR_ERROR,
						    .line = 1,
						    .message = (char[]){
							    "not well-formed, or with a DOCTYPE"}});
		return false;
	}
	root = xmlDocGetRootElement(own->xml);
	(void)each_reference(work, own, root, check_reference); /* never stops */
	if (work->count == 0 && each_reference(work, own, root, leads_here) != 0)
		on_schema_error(work, &(xmlError){.level = XML_ERR_ERROR,
						  .line = 1,
						  .message = (char[]){"includes itself"}});
	return work->count == 0 && !is_included(work);
}

static xmlRelaxNG *read_schema(struct schema_work *work)
{
	xmlDoc *xml = find_part(work, work->file->path)->xml;
	xmlRelaxNGParserCtxt *parser;

	if (is_pattern(xmlDocGetRootElement(xml), "data") ||
	    is_pattern(xmlDocGetRootElement(xml), "value"))
		return NULL; /* a value is no document: caught below as no schema */
	for (size_t i = 0; i < work->part_count; i++)
		if (work->parts[i].xml)
			prepare(work, &work->parts[i]);
	loading = work;
	xmlSetExternalEntityLoader(load_part);
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

/* What is wrong with other files is told when they are at hand. */
static void on_nothing(void *arg, xmlErrorPtr error)
{
	(void)arg;
	(void)error;
}

/* In the child: nothing is freed. */
static int work_in_child(void *arg, struct buf *out, struct err *err)
{
	struct schema_work *work = arg;
	xmlRelaxNG *schema;

	(void)err;
	work->out = out;
	xmlSetStructuredErrorFunc(NULL, on_nothing);
	if (!look_at_parts(work))
		return 0;
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

static int check_one(const struct fileset *files, const struct file *file,
		     const struct document *doc, const struct model *model,
		     struct findings *findings, struct err *err)
{
	static const struct child_limits limits = {.seconds = LIMIT_SCHEMA_SECONDS,
						   .memory = LIMIT_SCHEMA_MEMORY};
	struct schema_work work = {.files = files, .file = file, .doc = doc, .model = model};
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

	for (size_t i = 0; rc == 0 && i < files->count; i++)
		if (is_schema(files->files[i].path))
			rc = check_one(files, files->files + i, doc, model, findings, err);
	return findings->count > before ? -1 : rc;
}
