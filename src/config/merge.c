/*
 * Merging: see merge.h. One table knows each element of the result by what identifies it in its
 * parent, so every element of every file costs one or two look-ups.
 */
#include "config/merge.h"

#include "config/path.h"
#include "config/table.h"
#include "config/xml.h"
#include "core/limits.h"
#include "core/text.h"

#include <stdlib.h>
#include <string.h>

struct merging {
	const struct model *model;
	struct document *out;
	struct table table;
	struct steps steps; /* to the element at hand */
	size_t number;      /* of the file at hand, from 1 */
	struct err *err;
};

/* `FILE:LINE: PATH: REASON FILE:LINE`: both places, never the values, which may be secret. */
static int conflict(struct merging *m, const xmlNode *node, const xmlNode *other,
		    const char *reason)
{
	char *path = path_text(node, m->model);

	err_set(m->err, ERR_REFUSED, "%s:%u: %.500s: %s %s:%u", xml_file(node), xml_line(node),
		path, reason, xml_file(other), xml_line(other));
	free(path);
	return -1;
}

/* What is said of who gets an element must be said wherever it stands, or a second file changes it
 * unseen. */
static int compare_roles(struct merging *m, const xmlNode *to, const xmlNode *from)
{
	char *a = xml_attribute(to, NS_MUSTER, "roles");
	char *b = xml_attribute(from, NS_MUSTER, "roles");
	bool same = a == b || (a && b && strcmp(a, b) == 0);

	free(a);
	free(b);
	return same ? 0 : conflict(m, from, to, "muster:roles is not the same as at");
}

/* What is joined must be read again: a slice is a file like any other. */
static int check_attributes(struct merging *m, const xmlNode *to, const xmlNode *from)
{
	if (xml_attribute_count(to) <= XML_ATTRIBUTES_MAX)
		return 0;
	return conflict(m, from, to, "too many attributes together with those at");
}

static int join_attributes(struct merging *m, xmlNode *to, const xmlNode *from)
{
	if (compare_roles(m, to, from))
		return -1;
	for (const xmlAttr *a = from->properties; a; a = a->next) {
		const char *ns = a->ns ? (const char *)a->ns->href : NULL;
		const char *name = (const char *)a->name;
		bool there = ns ? xmlHasNsProp(to, a->name, a->ns->href) != NULL
				: xmlHasNsProp(to, a->name, NULL) != NULL;
		char *old, *new;
		bool same;

		if (!there) {
			xml_copy_attribute(to, a);
			continue;
		}
		old = xml_attribute(to, ns, name);
		new = xml_attribute(from, ns, name);
		same = old && new &&strcmp(old, new) == 0;
		free(old);
		free(new);
		if (!same)
			return conflict(m, from, to, "an attribute has another value than at");
	}
	return 0;
}

/*
 * Prefixes that mean nothing yet in TO are declared there, so that what comes from FROM need not
 * declare them again.
 */
static void join_prefixes(xmlNode *to, const xmlNode *from)
{
	for (const xmlNs *ns = from->nsDef; ns; ns = ns->next)
		if (ns->prefix && !xml_scope(to, ns->prefix))
			(void)xmlNewNs(to, ns->href, ns->prefix); /* NULL: declared meanwhile */
}

/* Whether the prefix of a text like `as:oauth-service` means the same namespace at both. */
static bool same_meaning(const xmlNode *a, const xmlNode *b)
{
	const char *text = xml_text(a), *colon = strchr(text, ':');
	char *prefix;
	bool same;

	if (!colon || colon == text || (size_t)(colon - text) > 64)
		return true;
	prefix = text_copy_n(text, (size_t)(colon - text));
	same = strcmp(xml_scope_href(a, BAD_CAST prefix), xml_scope_href(b, BAD_CAST prefix)) == 0;
	free(prefix);
	return same;
}

/* Whether the two may be one element as far as their text goes. */
static int compare_text(struct merging *m, const xmlNode *to, const xmlNode *from)
{
	bool leafs = xml_is_leaf(to) && xml_is_leaf(from);

	if (strcmp(xml_text(to), xml_text(from)) != 0) {
		/*
		 * `<x/>` in one file and elements in it in the other are no conflict: neither has a
		 * text
		 */
		return conflict(m, from, to,
				leafs ? "the value is not the one at"
				      : "one has a value, the other elements:");
	}
	if (leafs && !same_meaning(to, from))
		return conflict(m, from, to,
				"the prefix of the value is another namespace than at");
	return 0;
}

static int join_children(struct merging *m, xmlNode *to, const xmlNode *from, bool foreign);

/*
 * The place of an element in the result, made if there is none; NULL when it cannot be told from
 * what is there.
 */
static struct table_slot *find_place(struct merging *m, xmlNode *parent, const xmlNode *node,
				     bool *fresh)
{
	struct table_key key = {.scope = parent, .ns = xml_ns(node), .name = xml_name(node)};
	struct model_props props;
	struct table_slot *slot;
	enum xml_kind kind;
	const char *text;

	model_match(m->model, &m->steps, &props);
	kind = xml_kind(node, &props, &text);
	slot = table_add(&m->table, &key, fresh);
	if (*fresh) {
		slot->kind = (int)kind;
		slot->seen = node;
	} else if (slot->kind != (int)kind) {
		conflict(m, node, slot->seen,
			 text ? "looks like one of a list here (if it is none, say container in "
				"model.conf), but not at"
			      : "does not look like one of a list here, but does (if it is none, "
				"say container in model.conf) at");
		return NULL;
	}
	if (text) {
		key.text = text;
		slot = table_add(&m->table, &key, fresh);
		slot->kind = (int)kind;
	}
	return slot;
}

static int repeated(struct merging *m, const xmlNode *node, const struct table_slot *slot)
{
	if (slot->kind == XML_ITEM) /* a value twice is one value */
		return compare_roles(m, slot->node, node);
	return conflict(m, node, slot->seen,
			slot->kind == XML_ENTRY ? "this key is already at"
						: "this stands for the second time, first at");
}

static int join_element(struct merging *m, xmlNode *parent, const xmlNode *node, bool foreign)
{
	struct table_slot *slot;
	xmlNode *to;
	bool fresh;

	slot = find_place(m, parent, node, &fresh);
	if (!slot)
		return -1;
	if (!fresh && slot->number == m->number)
		return repeated(m, node, slot);
	slot->number = m->number;
	slot->seen = node;
	if (fresh) {
		slot->node = to = xml_copy_element(m->out, parent, node, foreign);
		if (check_attributes(m, to, node))
			return -1;
		return join_children(m, to, node, false);
	}
	to = slot->node;
	if (join_attributes(m, to, node) || compare_text(m, to, node))
		return -1;
	join_prefixes(to, node);
	if (check_attributes(m, to, node))
		return -1;
	return join_children(m, to, node, true);
}

static int join_children(struct merging *m, xmlNode *to, const xmlNode *from, bool foreign)
{
	int rc = 0;

	for (const xmlNode *node = from->children; node && rc == 0; node = node->next) {
		if (node->type != XML_ELEMENT_NODE) {
			xml_copy_remark(m->out, to, node);
			continue;
		}
		steps_push(&m->steps, xml_name(node));
		rc = join_element(m, to, node, foreign);
		steps_pop(&m->steps);
	}
	return rc;
}

static int join_document(struct merging *m, const struct document *doc)
{
	xmlNode *root = xml_root(m->out);
	bool fresh = !root;

	for (const xmlNode *node = doc->xml->children; node; node = node->next) {
		if (node->type != XML_ELEMENT_NODE) {
			xml_copy_remark(m->out, (xmlNode *)m->out->xml, node);
			continue;
		}
		if (fresh)
			root = xml_copy_element(m->out, NULL, node, false);
		else if (join_attributes(m, root, node))
			return -1;
		else
			join_prefixes(root, node);
		if (check_attributes(m, root, node) || join_children(m, root, node, !fresh))
			return -1;
	}
	return 0;
}

int merge(struct document *const *docs, size_t count, const struct model *model,
	  struct document **out, struct err *err)
{
	struct merging m = {.model = model, .err = err};
	int rc = 0;

	if (count == 0) {
		*out = document_new();
		return 0;
	}
	m.out = xml_document(NULL);
	for (size_t i = 0; i < count && rc == 0; i++) {
		m.number = i + 1;
		rc = join_document(&m, docs[i]);
	}
	table_clear(&m.table);
	if (rc)
		document_free(m.out);
	else
		*out = m.out;
	return rc;
}

static bool is_xml(const char *path)
{
	return text_ends(path, ".xml") && !text_starts(path, "files/") &&
	       !text_starts(path, "schema/");
}

bool merge_uses(const char *path)
{
	return strcmp(path, MERGE_MODEL_FILE) == 0 || is_xml(path);
}

static int read_model(const struct fileset *set, struct model **out, struct err *err)
{
	const struct file *file = fileset_find(set, MERGE_MODEL_FILE);

	if (file)
		return model_parse(file->path, (const char *)file->data, file->size, out, err);
	*out = model_default();
	return 0;
}

static int parse_all(const struct fileset *set, struct document ***docs, size_t *count,
		     struct err *err)
{
	for (size_t i = 0; i < set->count; i++) {
		const struct file *file = &set->files[i];

		if (!is_xml(file->path))
			continue;
		if (*count == LIMIT_XML_FILES)
			return err_set(err, ERR_REFUSED, "%s: over %u XML files", file->path,
				       LIMIT_XML_FILES);
		*docs = mem_grow(*docs, *count + 1, sizeof(**docs));
		if (document_parse(file->path, file->data, file->size, &(*docs)[*count], err))
			return -1;
		(*count)++;
	}
	return 0;
}

int merge_fileset(const struct fileset *set, struct document **out, struct model **model,
		  struct err *err)
{
	struct document **docs = NULL;
	struct model *made = NULL;
	size_t count = 0;
	int rc = -1;

	if (read_model(set, &made, err) || parse_all(set, &docs, &count, err) ||
	    merge(docs, count, made, out, err))
		goto out;
	*model = made;
	made = NULL; /* transferred */
	rc = 0;
out:
	for (size_t i = 0; i < count; i++)
		document_free(docs[i]);
	free(docs);
	model_free(made);
	return rc;
}
