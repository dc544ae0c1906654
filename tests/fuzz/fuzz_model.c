/* Model files, and the look-up of each pattern's own steps. */
#include "fuzz.h"

#include "config/model.h"

enum { STEPS_MAX = 40 };

/* The same in both, and nothing outside what a model can say. */
static void check_match(const struct model *a, const struct model *b, const struct steps *steps)
{
	struct model_props x = {0}, y = {0};

	model_match(a, steps, &x);
	model_match(b, steps, &y);
	assert(x.flags == y.flags && x.type == y.type && x.refs == y.refs && x.lists == y.lists);
	assert(x.type <= MODEL_ENUM && (x.type == MODEL_ENUM) == (x.words != NULL));
	if (x.refs)
		assert(strcmp(model_list_name(a, x.refs), model_list_name(b, y.refs)) == 0);
	if (x.lists)
		assert(*model_list_name(a, x.lists));
}

/* The first word of a line, as the elements on the way to a leaf. */
static void check_line(const struct model *a, const struct model *b, const char *line)
{
	char *copy = text_copy_n(line, strcspn(line, " \t\n")), *rest = copy, *name;
	struct steps steps = {.count = 0};

	while (steps.count < STEPS_MAX && (name = strsep(&rest, "/")))
		if (*name)
			steps_push(&steps, name);
	while (steps.count > 0) {
		check_match(a, b, &steps);
		steps_pop(&steps);
	}
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct model *first = NULL, *second = NULL;
	char *text = fuzz_text(data, size);
	const char *line = text;
	struct err err;

	if (model_parse("model.conf", (const char *)data, size, &first, &err) == 0) {
		assert(model_parse("again", (const char *)data, size, &second, &err) == 0);
		for (int i = 0; i < 100 && line; i++) {
			check_line(first, second, line);
			line = strchr(line, '\n');
			line = line ? line + 1 : NULL;
		}
	} else {
		assert(!first && err.code == ERR_REFUSED && text_starts(err.text, "model.conf"));
	}
	model_free(first);
	model_free(second);
	free(text);
	return 0;
}
