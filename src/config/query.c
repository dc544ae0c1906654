/* Paths as people write them: see query.h. */
#include "config/query.h"

#include "core/buf.h"
#include "core/text.h"

#include <stdlib.h>
#include <string.h>

/* Reads a key behind its '['; AT moves behind the ']'. NULL when there is none. */
static char *read_key(const char **at)
{
	const char *p = *at;
	struct buf key;

	buf_init(&key, strlen(p) + 1);
	buf_puts(&key, "");
	for (; *p && *p != ']'; p++) {
		if (*p == '\\' && p[1])
			p++;
		buf_put_u8(&key, (uint8_t)*p);
	}
	if (*p != ']') {
		buf_clear(&key);
		return NULL;
	}
	*at = p + 1;
	if (key.len > 0)
		return (char *)buf_steal(&key, NULL);
	buf_clear(&key);
	return text_copy("");
}

static int read_step(struct query *query, const char **at, const char *text, struct err *err)
{
	size_t n = strcspn(*at, "/[]{}|=\"'<>&:#* \t\r\n");
	struct query_step *step;

	if (query->count == LIMIT_XML_DEPTH)
		return err_set(err, ERR_REFUSED, "%.100s: over %u steps", text, LIMIT_XML_DEPTH);
	if (n == 0)
		return err_set(err, ERR_REFUSED,
			       "\"%.200s\" is no path: a name is missing at \"%.40s\"", text, *at);
	step = query->steps + query->count++;
	step->name = text_copy_n(*at, n);
	*at += n;
	if (**at == '[') {
		(*at)++;
		step->key = read_key(at);
		if (!step->key)
			return err_set(err, ERR_REFUSED,
				       "\"%.200s\" is no path: a \"]\" is missing", text);
	}
	if (**at && **at != '/')
		return err_set(err, ERR_REFUSED, "\"%.200s\" is no path: \"%.40s\" cannot be in it",
			       text, *at);
	return 0;
}

int query_parse(const char *text, struct query **out, struct err *err)
{
	struct query *query = mem_new(1, sizeof(*query));
	const char *at = text + (*text == '/');

	while (*at) {
		if (read_step(query, &at, text, err) != 0)
			goto fail;
		if (*at == '/' && !*++at) {
			(void)err_set(err, ERR_REFUSED, "\"%.200s\" is no path: it ends in \"/\"",
				      text);
			goto fail;
		}
	}
	*out = query;
	return 0;
fail:
	query_free(query);
	return -1;
}

void query_free(struct query *query)
{
	if (!query)
		return;
	for (size_t i = 0; i < query->count; i++) {
		free(query->steps[i].name);
		free(query->steps[i].key);
	}
	free(query);
}

void nodes_clear(struct nodes *nodes)
{
	free(nodes->items);
	*nodes = (struct nodes){.items = NULL};
}

static void nodes_add(struct nodes *nodes, xmlNode *node)
{
	if ((nodes->count & (nodes->count - 1)) == 0)
		nodes->items = mem_grow(nodes->items, nodes->count ? nodes->count * 2 : 1,
					sizeof(*nodes->items));
	nodes->items[nodes->count++] = node;
}

struct finding {
	const struct query *query;
	size_t count;
	const struct model *model;
	struct steps steps;
	struct nodes *out;
};

static void find(struct finding *f, xmlNode *parent)
{
	const struct query_step *step = f->query->steps + f->steps.count;

	if (f->steps.count == f->count) {
		nodes_add(f->out, parent);
		return;
	}
	for (xmlNode *node = xml_child(parent, step->name); node; node = xml_again(node)) {
		struct model_props props;
		const char *key;

		steps_push(&f->steps, xml_name(node));
		model_match(f->model, &f->steps, &props);
		(void)xml_kind(node, &props, &key);
		if (!step->key || (key && strcmp(key, step->key) == 0))
			find(f, node);
		steps_pop(&f->steps);
	}
}

void query_find(const struct query *query, size_t count, const struct document *doc,
		const struct model *model, struct nodes *out)
{
	struct finding f = {.query = query, .count = count, .model = model, .out = out};

	find(&f, xml_root(doc));
}

static void put_key(struct buf *out, const char *key)
{
	buf_puts(out, "[");
	for (; *key; key++) {
		if (strchr("]/\\", *key))
			buf_puts(out, "\\");
		buf_put_u8(out, (uint8_t)*key);
	}
	buf_puts(out, "]");
}

char *query_text(const struct query *query, size_t count)
{
	struct buf out;

	buf_init(&out, SIZE_MAX / 4);
	buf_puts(&out, count ? "" : "/");
	for (size_t i = 0; i < count; i++) {
		const struct query_step *step = query->steps + i;

		buf_printf(&out, "/%s", step->name);
		if (step->key)
			put_key(&out, step->key);
	}
	return (char *)buf_steal(&out, NULL);
}
