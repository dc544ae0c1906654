/* Values by path: see values.h. */
#include "config/values.h"

#include "config/merge.h"
#include "config/param.h"
#include "config/path.h"
#include "config/query.h"
#include "core/buf.h"
#include "core/limits.h"
#include "core/text.h"
#include "crypto/key.h"

#include <stdlib.h>
#include <string.h>

static void add(struct values *values, struct value value)
{
	if ((values->count & (values->count - 1)) == 0)
		values->items = mem_grow(values->items, values->count ? values->count * 2 : 1,
					 sizeof(*values->items));
	values->items[values->count++] = value;
}

/* Whether the text of a leaf is a secret that is not to be shown. */
static bool is_hidden(const xmlNode *leaf, const struct model_props *props)
{
	char *said = xml_attribute(leaf, NS_MUSTER, "secret");
	bool secret = props->flags & MODEL_SECRET || (said && strcmp(said, "true") == 0);

	free(said);
	return secret && *xml_text(leaf) &&
	       !(param_in(xml_text(leaf)) && !param_fault(xml_text(leaf), true));
}

static void hide(struct document *doc, const struct model *model, xmlNode *node)
{
	struct model_props props;
	struct steps steps;

	for (xmlNode *child = xml_first(node); child; child = xml_next(child))
		hide(doc, model, child);
	if (!xml_is_leaf(node))
		return;
	path_steps(node, &steps);
	model_match(model, &steps, &props);
	if (is_hidden(node, &props))
		xml_set_text(doc, node, VALUES_HIDDEN);
}

/* An element with all that is in it, as XML of its own. */
static char *subtree(const xmlNode *node)
{
	struct document *part = xml_part(node);
	struct buf out;

	buf_init(&out, LIMIT_XML_SIZE);
	if (document_serialise(part, &out, NULL) != 0)
		buf_reset(&out);
	document_free(part);
	return (char *)buf_steal(&out, NULL);
}

static void add_leaf(struct values *out, const xmlNode *node, const struct model *model,
		     const struct model_props *props)
{
	const char *key;
	struct buf exact;

	buf_init(&exact, SIZE_MAX / 4);
	path_put_canonical(&exact, node, model);
	if (xml_kind(node, props, &key) == XML_ITEM) {
		buf_puts(&exact, "=");
		buf_puts(&exact, key);
	}
	add(out, (struct value){.path = path_text(node, model),
				.text = text_copy(xml_text(node)),
				.exact = (char *)buf_steal(&exact, NULL),
				.leaf = true,
				.secret = is_hidden(node, props)});
}

int values_at(const struct document *doc, const struct model *model, const char *path, bool hidden,
	      struct values *out, struct err *err)
{
	struct nodes nodes = {.items = NULL};
	struct document *copy = NULL;
	struct query *query;

	if (query_parse(path, &query, err) != 0)
		return -1;
	if (hidden) {
		copy = document_copy(doc);
		hide(copy, model, xml_root(copy));
	}
	query_find(query, query->count, copy ? copy : doc, model, &nodes);
	for (size_t i = 0; i < nodes.count; i++) {
		const xmlNode *node = nodes.items[i];
		struct model_props props;
		struct steps steps;

		path_steps(node, &steps);
		model_match(model, &steps, &props);
		if (xml_is_leaf(node) && steps.count > 0)
			add_leaf(out, node, model, &props);
		else
			add(out,
			    (struct value){.path = path_text(node, model), .text = subtree(node)});
	}
	nodes_clear(&nodes);
	document_free(copy);
	query_free(query);
	return 0;
}

int values_is_secret(const struct fileset *set, const char *path, bool *out, struct err *err)
{
	struct document *merged = NULL;
	struct model *model = NULL;
	struct query *query = NULL;
	struct nodes nodes = {.items = NULL};
	struct steps steps = {.count = 0};
	struct model_props props;

	if (query_parse(path, &query, err) != 0)
		return -1;
	if (merge_fileset(set, &merged, &model, err) != 0) {
		query_free(query);
		return -1;
	}
	for (size_t i = 0; i < query->count; i++)
		steps_push(&steps, query->steps[i].name);
	model_match(model, &steps, &props);
	*out = props.flags & MODEL_SECRET;
	query_find(query, query->count, merged, model, &nodes);
	for (size_t i = 0; i < nodes.count; i++) {
		char *said = xml_attribute(nodes.items[i], NS_MUSTER, "secret");

		*out |= said && strcmp(said, "true") == 0;
		free(said);
	}
	nodes_clear(&nodes);
	document_free(merged);
	model_free(model);
	query_free(query);
	return 0;
}

static void add_roles(struct values *out, const xmlNode *node, const struct model *model)
{
	char *roles = xml_attribute(node, NS_MUSTER, "roles"), *path;
	struct buf exact;

	if (!roles)
		return;
	buf_init(&exact, SIZE_MAX / 4);
	path_put_canonical(&exact, node, model);
	buf_puts(&exact, "@roles");
	path = path_text(node, model);
	add(out, (struct value){.path = text_format("%s@muster:roles", path),
				.text = roles, /* transferred */
				.exact = (char *)buf_steal(&exact, NULL),
				.leaf = true});
	free(path);
}

static void add_all(struct values *out, const xmlNode *parent, const struct model *model,
		    struct steps *steps)
{
	for (const xmlNode *node = xml_first(parent); node; node = xml_next(node)) {
		struct model_props props;

		steps_push(steps, xml_name(node));
		model_match(model, steps, &props);
		if (node->properties)
			add_roles(out, node, model);
		if (xml_is_leaf(node))
			add_leaf(out, node, model, &props);
		add_all(out, node, model, steps);
		steps_pop(steps);
	}
}

void values_all(const struct document *doc, const struct model *model, struct values *out)
{
	struct steps steps = {.count = 0};

	add_all(out, xml_root(doc), model, &steps);
}

void values_clear(struct values *values)
{
	for (size_t i = 0; i < values->count; i++) {
		crypto_wipe(values->items[i].text, strlen(values->items[i].text));
		free(values->items[i].path);
		free(values->items[i].text);
		free(values->items[i].exact);
	}
	free(values->items);
	*values = (struct values){.items = NULL};
}

static int by_exact(const void *a, const void *b)
{
	return strcmp(((const struct value *)a)->exact, ((const struct value *)b)->exact);
}

static void sort(struct values *values)
{
	if (values->count > 1)
		qsort(values->items, values->count, sizeof(*values->items), by_exact);
}

void values_compare(struct values *old, struct values *new, values_fn *fn, void *arg)
{
	size_t i = 0, j = 0;

	sort(old);
	sort(new);
	while (i < old->count || j < new->count) {
		int order = i == old->count   ? 1
			    : j == new->count ? -1
					      : by_exact(old->items + i, new->items + j);

		if (order < 0)
			fn(arg, old->items + i, NULL);
		else if (order > 0)
			fn(arg, NULL, new->items + j);
		else if (strcmp(old->items[i].text, new->items[j].text) != 0)
			fn(arg, old->items + i, new->items + j);
		i += order <= 0;
		j += order >= 0;
	}
}
