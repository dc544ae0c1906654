/* The tree behind struct document: see xml.h. */
#include "config/xml.h"

#include "config/table.h"
#include "core/text.h"
#include "crypto/key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ORIGINS_CHUNK = 1024 };

struct origins {
	struct origins *next;
	size_t used;
	struct origin items[ORIGINS_CHUNK];
};

/* libxml2 answers NULL when memory is out; small allocations abort. */
static void *need(void *made)
{
	if (!made)
		abort();
	return made;
}

struct document *xml_document(xmlDoc *xml)
{
	struct document *doc = mem_new(1, sizeof(*doc));

	doc->xml = xml;
	if (!xml) {
		doc->xml = need(xmlNewDoc(BAD_CAST "1.0"));
		doc->xml->dict = need(xmlDictCreate());
	}
	return doc;
}

void document_free(struct document *doc)
{
	struct origins *next;

	if (!doc)
		return;
	xmlFreeDoc(doc->xml);
	for (struct origins *chunk = doc->origins; chunk; chunk = next) {
		next = chunk->next;
		free(chunk);
	}
	for (size_t i = 0; i < doc->file_count; i++)
		free(doc->files[i]);
	free(doc->files);
	free(doc);
}

/* Neighbours come from few files: the name found last is looked at first. */
static const char *intern(struct document *doc, const char *file)
{
	for (size_t i = doc->file_count; i > 0; i--) {
		char *name = doc->files[i - 1];

		if (strcmp(name, file) != 0)
			continue;
		doc->files[i - 1] = doc->files[doc->file_count - 1];
		doc->files[doc->file_count - 1] = name;
		return name;
	}
	doc->files = mem_grow(doc->files, doc->file_count + 1, sizeof(*doc->files));
	doc->files[doc->file_count] = text_copy(file);
	return doc->files[doc->file_count++];
}

void xml_set_origin(struct document *doc, xmlNode *node, const char *file, uint32_t line)
{
	struct origin *origin;

	if (!doc->origins || doc->origins->used == ORIGINS_CHUNK) {
		struct origins *chunk = mem_new(1, sizeof(*chunk));

		chunk->next = doc->origins;
		doc->origins = chunk;
	}
	origin = &doc->origins->items[doc->origins->used++];
	origin->file = intern(doc, file);
	origin->line = line;
	node->_private = origin;
}

static const struct origin *origin_of(const xmlNode *node)
{
	static const struct origin none = {"config", 0};

	while (node && node->type == XML_ELEMENT_NODE && !node->_private)
		node = node->parent;
	return node && node->type == XML_ELEMENT_NODE ? node->_private : &none;
}

const char *xml_file(const xmlNode *node)
{
	return origin_of(node)->file;
}

unsigned xml_line(const xmlNode *node)
{
	return origin_of(node)->line;
}

xmlNode *xml_root(const struct document *doc)
{
	return xmlDocGetRootElement(doc->xml);
}

static xmlNode *element_from(xmlNode *node)
{
	while (node && node->type != XML_ELEMENT_NODE)
		node = node->next;
	return node;
}

xmlNode *xml_first(const xmlNode *node)
{
	return element_from(node->children);
}

xmlNode *xml_next(const xmlNode *node)
{
	return element_from(node->next);
}

xmlNode *xml_child(const xmlNode *node, const char *name)
{
	xmlNode *child = xml_first(node);

	while (child && !xml_is(child, name))
		child = xml_next(child);
	return child;
}

xmlNode *xml_again(const xmlNode *node)
{
	xmlNode *other = xml_next(node);

	while (other && !xml_is(other, xml_name(node)))
		other = xml_next(other);
	return other;
}

int xml_each(xmlNode *node, const char *const *names, int (*fn)(void *arg, xmlNode *node),
	     void *arg)
{
	xmlNode *next;
	int rc = 0;

	if (!*names)
		return fn(arg, node);
	for (xmlNode *child = xml_child(node, *names); child && rc == 0; child = next) {
		next = xml_again(child);
		rc = xml_each(child, names + 1, fn, arg);
	}
	return rc;
}

const char *const xml_path_cluster[] = {"environments", "environment", "cluster", NULL};
const char *const xml_path_roles[] = {"environments", "environment", "services", "service-role",
				      NULL};
const char *const xml_path_profiles[] = {"profiles", "profile", NULL};
const char *const xml_path_endpoints[] = {"endpoints", "endpoint", NULL};

const char *xml_name(const xmlNode *node)
{
	return (const char *)node->name;
}

const char *xml_ns(const xmlNode *node)
{
	return node->ns && node->ns->href ? (const char *)node->ns->href : "";
}

bool xml_is(const xmlNode *node, const char *name)
{
	return strcmp(xml_name(node), name) == 0;
}

bool xml_is_leaf(const xmlNode *node)
{
	return !xml_first(node);
}

const char *xml_text(const xmlNode *node)
{
	const xmlNode *text = node->children;

	return text && text->type == XML_TEXT_NODE ? (const char *)text->content : "";
}

size_t xml_attribute_count(const xmlNode *node)
{
	size_t count = 0;

	for (const xmlAttr *a = node->properties; a; a = a->next)
		count++;
	for (const xmlNs *ns = node->nsDef; ns; ns = ns->next)
		count++;
	return count;
}

bool xml_is_blank(const char *text)
{
	return text[strspn(text, " \t\r\n")] == '\0';
}

static char *attribute_value(const xmlAttr *attribute)
{
	xmlChar *value = xmlNodeListGetString(attribute->doc, attribute->children, 1);
	char *out = text_copy(value ? (const char *)value : "");

	xmlFree(value);
	return out;
}

char *xml_attribute(const xmlNode *node, const char *ns, const char *name)
{
	const xmlAttr *attribute = xmlHasNsProp(node, BAD_CAST name, BAD_CAST ns);

	return attribute ? attribute_value(attribute) : NULL;
}

xmlNode *xml_key_leaf(const xmlNode *node)
{
	static const char *const names[] = {"id", "name", "nr", "flow", "key", "title", "zone"};
	xmlNode *first = xml_first(node);

	if (!first || !xml_is_leaf(first))
		return NULL;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (xml_is(first, names[i]))
			return first;
	return NULL;
}

enum xml_kind xml_kind(const xmlNode *node, const struct model_props *props, const char **key)
{
	const xmlNode *leaf;

	*key = NULL;
	if (props->flags & MODEL_CONTAINER)
		return XML_ONE;
	if (props->flags & MODEL_LEAF_LIST && xml_is_leaf(node)) {
		*key = xml_text(node);
		return XML_ITEM;
	}
	leaf = xml_key_leaf(node);
	if (!leaf)
		return XML_ONE;
	*key = xml_text(leaf);
	return XML_ENTRY;
}

static bool same_prefix(const xmlChar *a, const xmlChar *b)
{
	return a == b || (a && b && xmlStrEqual(a, b));
}

static xmlNs *declared(const xmlNode *node, const xmlChar *prefix)
{
	xmlNs *ns = node->nsDef;

	while (ns && !same_prefix(ns->prefix, prefix))
		ns = ns->next;
	return ns;
}

xmlNs *xml_scope(const xmlNode *node, const xmlChar *prefix)
{
	xmlNs *ns = NULL;

	if (prefix && xmlStrEqual(prefix, BAD_CAST "xml"))
		return xmlSearchNs(node->doc, (xmlNode *)node, prefix);
	for (; !ns && node && node->type == XML_ELEMENT_NODE; node = node->parent)
		ns = declared(node, prefix);
	return ns;
}

const char *xml_scope_href(const xmlNode *node, const xmlChar *prefix)
{
	const xmlNs *ns = node ? xml_scope(node, prefix) : NULL;

	return ns && ns->href ? (const char *)ns->href : "";
}

static void declare(xmlNode *node, const xmlChar *prefix, const char *href)
{
	if (!declared(node, prefix))
		need(xmlNewNs(node, BAD_CAST href, prefix));
}

/* Declares on COPY what a prefix means above NODE, where it means something else above COPY. */
static void declare_foreign(xmlNode *copy, const xmlNode *node)
{
	const xmlNode *parent = copy->parent;

	for (const xmlNode *up = node->parent; up && up->type == XML_ELEMENT_NODE; up = up->parent)
		for (const xmlNs *ns = up->nsDef; ns; ns = ns->next) {
			const char *href = xml_scope_href(node->parent, ns->prefix);

			if (strcmp(href, xml_scope_href(parent, ns->prefix)) != 0)
				declare(copy, ns->prefix, href);
		}
	if (*xml_scope_href(parent, NULL) && !*xml_scope_href(node->parent, NULL))
		declare(copy, NULL, "");
}

/*
 * What NS of another tree is at NODE: declared there if its prefix means nothing yet, under a
 * prefix made up if it means something else, so that no text below changes its meaning.
 */
static xmlNs *adopt(xmlNode *node, const xmlNs *ns)
{
	char prefix[16];
	xmlNs *here;

	if (!ns)
		return NULL;
	here = xml_scope(node, ns->prefix);
	if (here && xmlStrEqual(here->href, ns->href))
		return here;
	if (!here)
		return need(xmlNewNs(node, ns->href, ns->prefix));
	for (unsigned i = 1;; i++) {
		(void)snprintf(prefix, sizeof(prefix), "ns%u", i); /* fits */
		here = xml_scope(node, BAD_CAST prefix);
		if (!here)
			return need(xmlNewNs(node, ns->href, BAD_CAST prefix));
		if (xmlStrEqual(here->href, ns->href))
			return here;
	}
}

void xml_copy_attribute(xmlNode *to, const xmlAttr *attribute)
{
	char *value = attribute_value(attribute);

	need(xmlNewNsProp(to, adopt(to, attribute->ns), attribute->name, BAD_CAST value));
	free(value);
}

static xmlNode *new_element(struct document *doc, xmlNode *parent, const xmlChar *name)
{
	xmlChar *own = (xmlChar *)need((void *)xmlDictLookup(doc->xml->dict, name, -1));
	xmlNode *node = need(xmlNewDocNodeEatName(doc->xml, NULL, own, NULL));

	if (parent)
		need(xmlAddChild(parent, node));
	else
		(void)xmlDocSetRootElement(doc->xml, node); /* there was none */
	return node;
}

static void add_text(struct document *doc, xmlNode *node, const char *text)
{
	if (*text)
		need(xmlAddChild(node, need(xmlNewDocText(doc->xml, BAD_CAST text))));
}

xmlNode *xml_add(struct document *doc, xmlNode *parent, const char *ns, const char *name)
{
	xmlNode *node = new_element(doc, parent, BAD_CAST name);

	if (strcmp(xml_scope_href(node, NULL), ns) != 0)
		declare(node, NULL, ns);
	xmlSetNs(node, xml_scope(node, NULL));
	return node;
}

void xml_add_leaf(struct document *doc, xmlNode *parent, const char *ns, const char *name,
		  const char *text)
{
	add_text(doc, xml_add(doc, parent, ns, name), text);
}

void xml_set_text(struct document *doc, xmlNode *leaf, const char *text)
{
	xmlNode *old = leaf->children, *new;

	if (old && old->type == XML_TEXT_NODE) {
		/* what the dictionary owns is shared, and shorter than any secret */
		if (!doc->xml->dict || !xmlDictOwns(doc->xml->dict, old->content))
			crypto_wipe(old->content, strlen((char *)old->content));
		xml_remove(old);
	}
	if (!*text)
		return;
	if (!leaf->children) {
		add_text(doc, leaf, text);
		return;
	}
	new = need(xmlNewDocText(doc->xml, BAD_CAST text));
	(void)xmlAddPrevSibling(leaf->children, new); /* a remark: nothing to join with */
}

xmlNode *xml_copy_element(struct document *doc, xmlNode *parent, const xmlNode *node, bool foreign)
{
	xmlNode *copy = new_element(doc, parent, node->name);
	const struct origin *origin = origin_of(node);

	for (const xmlNs *ns = node->nsDef; ns; ns = ns->next)
		declare(copy, ns->prefix, ns->href ? (const char *)ns->href : "");
	if (foreign && parent)
		declare_foreign(copy, node);
	xmlSetNs(copy, adopt(copy, node->ns));
	for (const xmlAttr *a = node->properties; a; a = a->next)
		xml_copy_attribute(copy, a);
	add_text(doc, copy, xml_text(node));
	xml_set_origin(doc, copy, origin->file, origin->line);
	return copy;
}

void xml_copy_remark(struct document *doc, xmlNode *parent, const xmlNode *node)
{
	xmlNode *copy;

	if (node->type == XML_COMMENT_NODE)
		copy = need(xmlNewDocComment(doc->xml, node->content));
	else if (node->type == XML_PI_NODE)
		copy = need(xmlNewDocPI(doc->xml, node->name, node->content));
	else
		return;
	need(xmlAddChild(parent, copy));
}

static void copy_children(struct document *doc, xmlNode *to, const xmlNode *from, bool remarks,
			  const struct table *less)
{
	for (const xmlNode *node = from->children; node; node = node->next) {
		if (less && table_find(less, &(struct table_key){.scope = node}))
			continue;
		if (node->type == XML_ELEMENT_NODE)
			copy_children(doc, xml_copy_element(doc, to, node, false), node, remarks,
				      less);
		else if (remarks)
			xml_copy_remark(doc, to, node);
	}
}

struct document *xml_copy(const struct document *doc, bool remarks, const struct table *less)
{
	struct document *copy = xml_document(NULL);

	for (const xmlNode *node = doc->xml->children; node; node = node->next) {
		if (node->type == XML_ELEMENT_NODE)
			copy_children(copy, xml_copy_element(copy, NULL, node, false), node,
				      remarks, less);
		else if (remarks)
			xml_copy_remark(copy, (xmlNode *)copy->xml, node);
	}
	return copy;
}

struct document *xml_part(const xmlNode *node)
{
	struct document *part = xml_document(NULL);
	xmlNode *root = xml_copy_element(part, NULL, node, false);

	for (const xmlNode *up = node->parent; up && up->type == XML_ELEMENT_NODE; up = up->parent)
		for (const xmlNs *ns = up->nsDef; ns; ns = ns->next)
			if (!xml_scope(root, ns->prefix))
				declare(root, ns->prefix, ns->href ? (const char *)ns->href : "");
	copy_children(part, root, node, true, NULL);
	return part;
}

void xml_remove(xmlNode *node)
{
	xmlUnlinkNode(node);
	xmlFreeNode(node);
}
