/*
 * Paths as people write them, and as Muster does: the first line is a path, the rest a
 * configuration that it is looked for in.
 */
#include "fuzz.h"

#include "config/merge.h"
#include "config/path.h"
#include "config/query.h"

/* of those that are compared; of a key that a message does not cut */
enum { ELEMENTS_MAX = 200, KEY_MAX = 150 };

static struct model *model;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	config_setup();
	model = model_default();
	return 0;
}

/* What is written again means the same. */
static void check_text(const struct query *query)
{
	char *text = query_text(query, query->count);
	struct query *again = NULL;
	struct err err;

	assert(query_parse(text, &again, &err) == 0 && again->count == query->count);
	for (size_t i = 0; i < query->count; i++) {
		const struct query_step *a = query->steps + i, *b = again->steps + i;

		assert(*a->name && strcmp(a->name, b->name) == 0 && !a->key == !b->key);
		assert(!a->key || strcmp(a->key, b->key) == 0);
	}
	query_free(again);
	free(text);
}

/* Each is at the path, and there only once. */
static void check_found(const struct query *query, const struct document *doc)
{
	struct nodes nodes = {.items = NULL};
	struct steps steps;

	query_find(query, query->count, doc, model, &nodes);
	for (size_t i = 0; i < nodes.count; i++) {
		path_steps(nodes.items[i], &steps);
		assert(steps.count == query->count);
		for (size_t k = 0; k < steps.count; k++)
			assert(strcmp(steps.names[k], query->steps[k].name) == 0);
		for (size_t k = 0; i < ELEMENTS_MAX && k < i; k++)
			assert(nodes.items[k] != nodes.items[i]);
	}
	nodes_clear(&nodes);
}

struct elements {
	const xmlNode *items[ELEMENTS_MAX];
	size_t count;
};

static void collect(const xmlNode *node, struct elements *out)
{
	for (const xmlNode *child = xml_first(node); child; child = xml_next(child)) {
		if (out->count == ELEMENTS_MAX)
			return;
		out->items[out->count++] = child;
		collect(child, out);
	}
}

/* Whether the path for people says all there is: no key in it was cut or has control characters. */
static bool is_exact(const char *path)
{
	return !strchr(path, '?') && !strstr(path, "...") && strlen(path) < KEY_MAX;
}

/* The path of an element finds it. */
static void check_way_back(const struct document *doc, const xmlNode *node)
{
	char *path = path_text(node, model);
	struct query *query = NULL;
	struct nodes nodes = {.items = NULL};
	struct err err;
	bool found = false;

	if (is_exact(path) && query_parse(path, &query, &err) == 0) {
		query_find(query, query->count, doc, model, &nodes);
		for (size_t i = 0; i < nodes.count; i++)
			found = found || nodes.items[i] == node;
		assert(found);
	}
	nodes_clear(&nodes);
	query_free(query);
	free(path);
}

static enum xml_kind kind_of(const xmlNode *node)
{
	struct model_props props;
	struct steps steps;
	const char *key;

	path_steps(node, &steps);
	model_match(model, &steps, &props);
	return xml_kind(node, &props, &key);
}

/*
 * In a merged configuration only items of a leaf-list have the same canonical path: what a sealed
 * value's place rests on.
 */
static void check_canonical(const struct elements *all)
{
	char *paths[ELEMENTS_MAX];

	for (size_t i = 0; i < all->count; i++) {
		struct buf path;

		buf_init(&path, 64u << 20);
		path_put_canonical(&path, all->items[i], model);
		paths[i] = (char *)buf_steal(&path, NULL);
		for (size_t k = 0; k < i; k++)
			assert(strcmp(paths[i], paths[k]) != 0 ||
			       (kind_of(all->items[i]) == XML_ITEM &&
				kind_of(all->items[k]) == XML_ITEM));
	}
	for (size_t i = 0; i < all->count; i++)
		free(paths[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size), *xml = strchr(text, '\n');
	struct document *one = NULL, *doc = NULL;
	struct query *query = NULL;
	struct elements all = {.count = 0};
	struct err err = {.code = ERR_NONE};

	if (xml)
		*xml++ = '\0';
	if (xml && document_parse("t.xml", xml, strlen(xml), &one, &err) == 0 &&
	    merge(&one, 1, model, &doc, &err) == 0) {
		collect(xml_root(doc), &all);
		check_canonical(&all);
	}
	for (size_t i = 0; i < all.count; i++)
		check_way_back(doc, all.items[i]);
	if (query_parse(text, &query, &err) == 0) {
		check_text(query);
		if (doc)
			check_found(query, doc);
	} else {
		assert(!query && err.code == ERR_REFUSED);
	}
	query_free(query);
	document_free(one);
	document_free(doc);
	free(text);
	return 0;
}
