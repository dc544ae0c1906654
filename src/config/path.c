/* Canonical paths: see path.h. */
#include "config/path.h"

#include <string.h>

enum { PATH_KEY_MAX = 200 }; /* bytes of a key in a message */

void path_steps(const xmlNode *node, struct steps *steps)
{
	const xmlNode *up[LIMIT_XML_DEPTH + 1];
	size_t count = 0;

	steps->count = 0;
	for (; node->parent && node->parent->type == XML_ELEMENT_NODE; node = node->parent)
		if (count < sizeof(up) / sizeof(up[0])) /* no document is deeper */
			up[count++] = node;
	while (count > 0)
		steps_push(steps, xml_name(up[--count]));
}

static void put_escaped(struct buf *out, const char *text)
{
	for (; *text; text++) {
		if (strchr("]}/\\", *text))
			buf_put_u8(out, '\\');
		buf_put_u8(out, (uint8_t)*text);
	}
}

static void put_for_people(struct buf *out, const char *text)
{
	size_t n = 0;

	/* cut between characters, not in one */
	for (; *text && (n < PATH_KEY_MAX || ((unsigned char)*text & 0xc0) == 0x80); text++, n++) {
		unsigned char c = (unsigned char)*text;

		if (strchr("]/\\", c))
			buf_put_u8(out, '\\');
		buf_put_u8(out, c < 0x20 || c == 0x7f ? '?' : c);
	}
	if (*text)
		buf_puts(out, "...");
}

/* The key of an entry, or NULL. STEPS lead to NODE. */
static const char *key_of(const xmlNode *node, const struct model *model, const struct steps *steps)
{
	struct model_props props = {.flags = 0};
	const char *key;

	if (model)
		model_match(model, steps, &props);
	return xml_kind(node, &props, &key) == XML_ENTRY ? key : NULL;
}

static void put_path(struct buf *out, const xmlNode *node, const struct model *model,
		     bool canonical)
{
	const xmlNode *up[LIMIT_XML_DEPTH + 1];
	struct steps steps = {.count = 0};
	size_t count = 0;

	for (; node->parent && node->parent->type == XML_ELEMENT_NODE; node = node->parent)
		if (count < sizeof(up) / sizeof(up[0])) /* no document is deeper */
			up[count++] = node;
	if (count == 0)
		buf_puts(out, "/");
	while (count > 0) {
		const xmlNode *at = up[--count];
		const char *key;

		steps_push(&steps, xml_name(at));
		key = key_of(at, model, &steps);
		buf_puts(out, "/");
		if (canonical) {
			buf_puts(out, "{");
			put_escaped(out, xml_ns(at));
			buf_puts(out, "}");
		}
		buf_puts(out, xml_name(at));
		if (!key)
			continue;
		buf_puts(out, "[");
		if (canonical)
			put_escaped(out, key);
		else
			put_for_people(out, key);
		buf_puts(out, "]");
	}
}

void path_put(struct buf *out, const xmlNode *node, const struct model *model)
{
	put_path(out, node, model, false);
}

char *path_text(const xmlNode *node, const struct model *model)
{
	struct buf out;

	buf_init(&out, SIZE_MAX / 4);
	path_put(&out, node, model);
	return (char *)buf_steal(&out, NULL);
}

void path_put_canonical(struct buf *out, const xmlNode *node, const struct model *model)
{
	put_path(out, node, model, true);
}
