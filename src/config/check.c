/*
 * What is wrong with a configuration: see check.h. One walk learns what is defined, a second one
 * looks.
 */
#include "config/check.h"

#include "config/param.h"
#include "config/path.h"
#include "config/secret.h"
#include "config/settings.h"
#include "config/table.h"
#include "config/xml.h"
#include "core/limits.h"
#include "core/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct checking {
	const struct model *model;
	struct findings *findings;
	struct table places; /* what stands in each parent */
	struct table
		entries; /* by text: mask = the lists of ref= that have an entry with that key */
	struct table endpoints; /* by text: the ids of all endpoints of profiles */
	struct steps steps;
};

void findings_add(struct findings *findings, const char *fmt, ...)
{
	char *line = NULL;
	va_list ap;
	int n;

	if (findings->count >= LIMIT_FINDINGS)
		return;
	va_start(ap, fmt);
	n = vasprintf(&line, fmt, ap);
	va_end(ap);
	if (n < 0)
		abort();
	text_escape_in_place(line);
	if ((findings->count & (findings->count - 1)) == 0) /* doubled when it is a power of two */
		findings->lines =
			mem_grow(findings->lines, findings->count ? findings->count * 2 : 1,
				 sizeof(*findings->lines));
	findings->lines[findings->count++] = line;
}

void findings_clear(struct findings *findings)
{
	for (size_t i = 0; i < findings->count; i++)
		free(findings->lines[i]);
	free(findings->lines);
	*findings = (struct findings){.lines = NULL};
}

static void found(struct checking *c, const xmlNode *node, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* `FILE:LINE: PATH: REASON` */
static void found(struct checking *c, const xmlNode *node, const char *fmt, ...)
{
	char reason[1024], *path;
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(reason, sizeof(reason), fmt, ap); /* cut is fine */
	va_end(ap);
	path = path_text(node, c->model);
	findings_add(c->findings, "%s:%u: %s: %s", xml_file(node), xml_line(node), path, reason);
	free(path);
}

/* --- the first walk --- */

static void learn(struct checking *c, const xmlNode *parent)
{
	for (const xmlNode *node = xml_first(parent); node; node = xml_next(node)) {
		struct model_props props;
		const char *key;

		steps_push(&c->steps, xml_name(node));
		model_match(c->model, &c->steps, &props);
		if (props.lists && xml_kind(node, &props, &key) == XML_ENTRY)
			table_add(&c->entries, &(struct table_key){.text = key}, NULL)->mask |=
				props.lists;
		learn(c, node);
		steps_pop(&c->steps);
	}
}

static int learn_endpoint(void *arg, xmlNode *node)
{
	const xmlNode *key = xml_key_leaf(node);
	struct checking *c = arg;

	if (key)
		table_add(&c->endpoints, &(struct table_key){.text = xml_text(key)}, NULL);
	return 0;
}

static int learn_profile(void *arg, xmlNode *node)
{
	return xml_each(node, xml_path_endpoints, learn_endpoint, arg);
}

/* --- keys --- */

/* Each element stands once in its parent, but for list entries (once for each key) and items. */
static void check_place(struct checking *c, const xmlNode *node, enum xml_kind kind,
			const char *text)
{
	struct table_key key = {node->parent, xml_ns(node), xml_name(node), text};
	struct table_slot *slot;
	const xmlNode *first;
	bool fresh;

	slot = table_add(&c->places, &key, &fresh);
	if (fresh) {
		slot->seen = node;
		return;
	}
	first = slot->seen;
	if (kind == XML_ENTRY)
		found(c, node, "this key is already at %s:%u", xml_file(first), xml_line(first));
	else if (kind == XML_ONE)
		found(c, node, "this stands for the second time, first at %s:%u", xml_file(first),
		      xml_line(first));
}

static void check_key(struct checking *c, const xmlNode *node, const char *key)
{
	if (xml_is_blank(key))
		found(c, node, "the key is empty");
	else if (param_in(key))
		found(c, node, "no parameter may stand in a key");
}

/* --- values --- */

static bool is_host(const char *text)
{
	return *text && text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					  "0123456789.-_:%[]")] == '\0';
}

static bool is_word_of(const char *words, const char *text)
{
	size_t len = strlen(text);

	for (;;) {
		size_t n = strcspn(words, "|");

		if (n == len && memcmp(words, text, n) == 0)
			return true;
		if (!words[n])
			return false;
		words += n + 1;
	}
}

/* What TEXT is not, or NULL when it is well. */
static const char *type_fault(const struct model_props *props, const char *text)
{
	uint64_t number;

	switch (props->type) {
	case MODEL_PORT:
		return text_number(text, UINT16_MAX, &number) || number == 0
			       ? "a port from 1 to 65535"
			       : NULL;
	case MODEL_BOOLEAN:
		return strcmp(text, "true") == 0 || strcmp(text, "false") == 0 ? NULL
									       : "true or false";
	case MODEL_NUMBER:
		return text_number(text, UINT64_MAX, &number) ? "a number" : NULL;
	case MODEL_HOST:
		return is_host(text) ? NULL : "a host name or address";
	case MODEL_ENUM:
		return is_word_of(props->words, text) ? NULL : props->words;
	case MODEL_ANY:
		break;
	}
	return NULL;
}

static void check_type(struct checking *c, const xmlNode *node, const struct model_props *props)
{
	const char *text = xml_text(node);
	const char *fault = secret_leaf(node, props) ? NULL : type_fault(props, text);

	if (fault)
		found(c, node, "\"%.100s\" is not %s", text, fault);
}

static void check_leaf(struct checking *c, const xmlNode *node, const struct model_props *props)
{
	const char *text = xml_text(node), *fault;
	const struct table_slot *slot;

	if (props->refs && param_in(text)) {
		found(c, node, "no parameter may stand in a reference");
		return;
	}
	if (props->refs && *text) {
		slot = table_find(&c->entries, &(struct table_key){.text = text});
		if (!slot || !(slot->mask & props->refs))
			found(c, node, "\"%.200s\" is not in %s", text,
			      model_list_name(c->model, props->refs));
	}
	fault = param_fault(text, secret_leaf(node, props));
	if (fault)
		found(c, node, "%s", fault);
	else if (!param_in(text))
		check_type(c, node, props);
}

/* --- muster:roles --- */

static void check_roles(struct checking *c, const xmlNode *node)
{
	char *names = xml_attribute(node, NS_MUSTER, "roles"), *at = names, *name;
	size_t count = 0;

	if (!names)
		return;
	while ((name = strsep(&at, " \t\r\n"))) {
		if (!*name)
			continue;
		count++;
		if (!name_valid(name))
			found(c, node, "muster:roles: \"%.100s\" is no name for a role", name);
	}
	free(names);
	if (count == 0)
		found(c, node, "muster:roles names no role");
	if (node->parent->type != XML_ELEMENT_NODE || xml_key_leaf(node->parent) == node)
		found(c, node, "muster:roles cannot be on the root or on a key");
}

/* A word of Muster's that is none would be one that is not obeyed. */
static void check_attributes(struct checking *c, const xmlNode *node)
{
	for (const xmlAttr *a = node->properties; a; a = a->next)
		if (a->ns && xmlStrEqual(a->ns->href, BAD_CAST NS_MUSTER) &&
		    !xmlStrEqual(a->name, BAD_CAST "roles") &&
		    !xmlStrEqual(a->name, BAD_CAST "secret"))
			found(c, node,
			      "there is no attribute \"%.100s\" in " NS_MUSTER ": roles or secret",
			      (const char *)a->name);
	check_roles(c, node);
}

/* --- the second walk --- */

static void look(struct checking *c, const xmlNode *parent)
{
	for (const xmlNode *node = xml_first(parent); node; node = xml_next(node)) {
		struct model_props props;
		enum xml_kind kind;
		const char *text;

		steps_push(&c->steps, xml_name(node));
		model_match(c->model, &c->steps, &props);
		kind = xml_kind(node, &props, &text);
		check_place(c, node, kind, text);
		if (kind == XML_ENTRY)
			check_key(c, node, text);
		if (node->properties)
			check_attributes(c, node);
		if (xml_is_leaf(node))
			check_leaf(c, node, &props);
		look(c, node);
		steps_pop(&c->steps);
	}
}

/* Which key store it names is a reference like any other. */
static void check_https(struct checking *c, const xmlNode *role)
{
	const xmlNode *protocol = xml_child(role, "protocol");
	const xmlNode *store = xml_child(role, "ssl-server-keystore");

	if (protocol && strcmp(xml_text(protocol), "https") == 0 && (!store || !*xml_text(store)))
		found(c, protocol, "https without a key store: name one in ssl-server-keystore");
}

static int check_role(void *arg, xmlNode *node)
{
	const xmlNode *key = xml_key_leaf(node);
	struct checking *c = arg;

	if (!key || !name_valid(xml_text(key)))
		found(c, node, "\"%.100s\" is no name for a role", key ? xml_text(key) : "");
	for (const xmlNode *leaf = xml_child(node, "endpoints"); leaf; leaf = xml_again(leaf))
		if (!table_find(&c->endpoints, &(struct table_key){.text = xml_text(leaf)}))
			found(c, leaf, "endpoint \"%.200s\" is not defined by any profile",
			      xml_text(leaf));
	check_https(c, node);
	return 0;
}

int check(const struct document *doc, const struct model *model, struct findings *findings)
{
	struct checking c = {.model = model, .findings = findings};
	size_t before = findings->count;
	xmlNode *root = xml_root(doc);

	learn(&c, root);
	(void)xml_each(root, xml_path_profiles, learn_profile, &c);
	check_attributes(&c, root);
	look(&c, root);
	(void)xml_each(root, xml_path_roles, check_role, &c);
	settings_check(doc, model, findings);
	table_clear(&c.places);
	table_clear(&c.entries);
	table_clear(&c.endpoints);
	return findings->count > before ? -1 : 0;
}

/* --- a configuration whose parameters are filled --- */

static void look_at_values(struct checking *c, const xmlNode *parent)
{
	for (const xmlNode *node = xml_first(parent); node; node = xml_next(node)) {
		struct model_props props;

		steps_push(&c->steps, xml_name(node));
		model_match(c->model, &c->steps, &props);
		if (props.type && xml_is_leaf(node))
			check_type(c, node, &props);
		look_at_values(c, node);
		steps_pop(&c->steps);
	}
}

int check_values(const struct document *doc, const struct model *model, struct findings *findings)
{
	struct checking c = {.model = model, .findings = findings};
	size_t before = findings->count;

	look_at_values(&c, xml_root(doc));
	return findings->count > before ? -1 : 0;
}
