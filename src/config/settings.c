/* Muster's own settings: see settings.h. */
#include "config/settings.h"

#include "config/param.h"
#include "config/path.h"
#include "config/xml.h"
#include "core/text.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define ELEMENT "muster"

static const struct number {
	const char *name;
	uint32_t least, most, otherwise;
	size_t at; /* in struct settings */
} numbers[] = {
#define X(field, element, least, most, otherwise)                                                  \
	{element, least, most, otherwise, offsetof(struct settings, field)},
	SETTINGS_NUMBERS(X)
#undef X
};

enum { NUMBERS = sizeof(numbers) / sizeof(numbers[0]) };

static uint32_t *number_in(struct settings *settings, const struct number *number)
{
	return (uint32_t *)((char *)settings + number->at);
}

static const struct number *number_of(const char *name)
{
	for (size_t i = 0; i < NUMBERS; i++)
		if (strcmp(numbers[i].name, name) == 0)
			return numbers + i;
	return NULL;
}

static bool number_read(const struct number *number, const char *text, uint32_t *out)
{
	uint64_t value;

	if (text_number(text, number->most, &value) != 0 || value < number->least)
		return false;
	*out = (uint32_t)value;
	return true;
}

static bool is_ours(const xmlNode *node)
{
	return strcmp(xml_ns(node), NS_MUSTER) == 0;
}

/* --- check --- */

/* The sentence of what is wrong with a setting, a new string, or NULL. */
static char *setting_fault(const xmlNode *node)
{
	const char *name = xml_name(node), *text = xml_text(node);
	const struct number *number = number_of(name);
	uint32_t value;

	if (!is_ours(node))
		return text_copy("only settings of the namespace " NS_MUSTER " may stand here");
	if (strcmp(name, "mirror") == 0)
		return NULL;
	if (!number && strcmp(name, "approve") != 0)
		return text_copy("Muster has no such setting");
	if (!xml_is_leaf(node))
		return text_copy("this setting is one value");
	if (param_in(text)) /* it counts before parameters are filled, and for all nodes */
		return text_copy("no parameter may stand in a setting of Muster");
	if (number && !number_read(number, text, &value))
		return text_format("\"%.100s\" is not a number from %u to %u", text, number->least,
				   number->most);
	if (!number && strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
		return text_format("\"%.100s\" is not true or false", text);
	return NULL;
}

/* What is wrong with an element below `config` that is taken for Muster's. */
static char *element_fault(const xmlNode *node)
{
	bool named = xml_is(node, ELEMENT);

	if (named && !is_ours(node)) /* as when the xmlns was forgotten: it would never count */
		return text_copy("Muster's settings are in the namespace " NS_MUSTER
				 ": <" ELEMENT " xmlns=\"" NS_MUSTER "\">");
	if (!named && is_ours(node))
		return text_copy("Muster's settings stand in <" ELEMENT ">");
	if (named && *xml_text(node))
		return text_copy("settings stand in elements of their own");
	return NULL;
}

static bool add_fault(const xmlNode *node, char *fault, const struct model *model,
		      struct findings *findings)
{
	char *path = fault ? path_text(node, model) : NULL;

	if (!fault)
		return false;
	findings_add(findings, "%s:%u: %s: %s", xml_file(node), xml_line(node), path, fault);
	free(path);
	free(fault);
	return true;
}

void settings_check(const struct document *doc, const struct model *model,
		    struct findings *findings)
{
	for (const xmlNode *node = xml_first(xml_root(doc)); node; node = xml_next(node)) {
		if (add_fault(node, element_fault(node), model, findings) || !is_ours(node))
			continue;
		for (const xmlNode *leaf = xml_first(node); leaf; leaf = xml_next(leaf))
			(void)add_fault(leaf, setting_fault(leaf), model, findings);
	}
}

/* --- read --- */

struct settings settings_default(void)
{
	struct settings settings = {.approve = false};

	for (size_t i = 0; i < NUMBERS; i++)
		*number_in(&settings, numbers + i) = numbers[i].otherwise;
	return settings;
}

static void setting_read(const xmlNode *node, struct settings *settings)
{
	const struct number *number = number_of(xml_name(node));
	char *fault = setting_fault(node);

	if (!fault && number)
		(void)number_read(number, xml_text(node),
				  number_in(settings, number)); /* without fault */
	else if (!fault && xml_is(node, "approve"))
		settings->approve = strcmp(xml_text(node), "true") == 0;
	free(fault);
}

struct settings settings_read(const struct document *doc)
{
	struct settings settings = settings_default();

	for (const xmlNode *node = xml_first(xml_root(doc)); node; node = xml_next(node)) {
		if (!xml_is(node, ELEMENT) || !is_ours(node))
			continue;
		for (const xmlNode *leaf = xml_first(node); leaf; leaf = xml_next(leaf))
			setting_read(leaf, &settings);
	}
	return settings;
}

struct settings settings_of_slice(const struct fileset *files)
{
	const struct file *file = fileset_find(files, "config.xml");
	struct settings settings = settings_default();
	struct document *doc = NULL;
	struct err err;

	if (file && document_parse("config.xml", file->data, file->size, &doc, &err) == 0)
		settings = settings_read(doc);
	document_free(doc);
	return settings;
}
