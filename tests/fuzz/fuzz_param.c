/*
 * Parameters: the lines of etc/params up to the first form feed, then a configuration whose
 * parameters are listed, checked and filled.
 */
#include "fuzz.h"

#include "config/param.h"
#include "config/xml.h"

enum { TEXT_MAX = 64 << 20 };

static struct model *model;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	config_setup();
	model = model_default();
	return 0;
}

/* Read twice it is the same, and what it holds was in the text. */
static bool read_table(const char *text, size_t len, struct param_table *table)
{
	struct param_table again = {.values = NULL};
	struct err err = {.code = ERR_NONE}, other = {.code = ERR_NONE};
	int rc = param_table_parse(table, "params", text, len, &err);

	assert(param_table_parse(&again, "params", text, len, &other) == rc &&
	       again.count == table->count);
	assert(rc == 0 || (err.code == ERR_REFUSED && text_starts(err.text, "params:") &&
			   strcmp(err.text, other.text) == 0));
	assert(!param_table_find(table, "MUSTER_HOME") &&
	       !param_table_find(table, "CONFIG_ENCRYPTION_KEY"));
	param_table_clear(&again);
	return rc == 0;
}

static void serialised(const struct document *doc, struct buf *out)
{
	struct err err;

	buf_init(out, TEXT_MAX);
	assert(document_serialise(doc, out, &err) == 0);
}

/* Each parameter has a value or a default: then, and only then, all of them are filled. */
static bool all_known(const struct params *params, const struct param_table *table)
{
	for (size_t i = 0; i < params->count; i++)
		if (!params->items[i].fallback && !param_table_find(table, params->items[i].name))
			return false;
	return true;
}

/* What is filled is a configuration; without parameters it is the same one. */
static void check_filled(const struct document *doc, const struct document *filled, bool same)
{
	struct buf before, after;
	struct document *again = NULL;
	struct err err;

	serialised(doc, &before);
	serialised(filled, &after);
	if (same)
		assert(fuzz_same(&after, before.data, before.len));
	assert(document_parse("again", after.data, after.len, &again, &err) == 0);
	document_free(again);
	buf_clear(&before);
	buf_clear(&after);
}

static void fill(const struct document *doc, const struct param_table *table)
{
	struct document *copy = document_copy(doc);
	struct findings faults = {.lines = NULL}, missing = {.lines = NULL};
	struct params params = {.items = NULL};
	bool well = check(doc, model, &faults) == 0, filled;

	params_list(doc, model, &params);
	for (size_t i = 0; i < params.count; i++)
		assert(*params.items[i].name && params.items[i].line > 0 &&
		       params.items[i].path[0] == '/');
	filled = params_fill(copy, model, table, &missing) == 0;
	assert(filled == (missing.count == 0));
	if (well && !all_known(&params, table))
		assert(!filled);
	if (well && all_known(&params, &(struct param_table){.values = NULL}) && table->count == 0)
		assert(filled);
	if (filled)
		check_filled(doc, copy, well && params.count == 0);
	params_clear(&params);
	findings_clear(&faults);
	findings_clear(&missing);
	document_free(copy);
}

/* The rules for one text agree with each other. */
static void check_text(const char *text)
{
	const char *plain = param_fault(text, false), *secret = param_fault(text, true);

	if (!param_in(text))
		assert(!plain && !secret && !param_is_whole(text));
	if (param_is_whole(text))
		assert(param_in(text) && plain == secret); /* at most its name is wrong */
	else if (param_in(text) && !plain)
		assert(secret);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = size ? (const char *)data : "", *feed = memchr(text, '\f', size);
	size_t lines = feed ? (size_t)(feed - text) : size;
	char *whole = fuzz_text(data, size);
	struct param_table table = {.values = NULL};
	struct document *doc = NULL;
	struct err err;

	check_text(whole);
	if (read_table(text, lines, &table) && feed &&
	    document_parse("t.xml", feed + 1, size - lines - 1, &doc, &err) == 0)
		fill(doc, &table);
	document_free(doc);
	param_table_clear(&table);
	free(whole);
	return 0;
}
