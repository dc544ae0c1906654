/*
 * The model: see model.h. Patterns are found by their last step, so that a look-up costs the few
 * that end alike.
 */
#include "config/model.h"

#include "core/buf.h"
#include "core/text.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
	PATTERNS_MAX = 1024, /* lines of a model: the built-in one has about a hundred */
	PATTERN_STEPS_MAX = 32,
	LINE_MAX_LEN = 4096, /* bytes */
	BUCKETS = 256,
};

struct pattern {
	struct pattern *next; /* in the bucket, later lines later */
	char *text;           /* what the steps point into */
	char *steps[PATTERN_STEPS_MAX];
	size_t count;
	bool anchored;
	size_t order; /* line by line, the built-in ones first */
	unsigned flags;
	enum model_type type;
	char *words;
	uint64_t refs;
	uint64_t list; /* its own bit, when a ref= names it */
};

struct model {
	struct pattern **patterns;
	size_t count;
	struct pattern *buckets[BUCKETS]; /* by the last step */
	struct pattern *any;              /* those that end in '*' */
	char *list_names[MODEL_LISTS_MAX];
	size_t list_count;
};

static const char builtin[] =
#include "config/model_data.h"
	;

void steps_push(struct steps *steps, const char *name)
{
	assert(steps->count <= LIMIT_XML_DEPTH);
	steps->names[steps->count++] = name;
}

void steps_pop(struct steps *steps)
{
	assert(steps->count > 0);
	steps->count--;
}

static unsigned bucket_of(const char *name)
{
	unsigned hash = 5381;

	for (; *name; name++)
		hash = hash * 33 + (unsigned char)*name;
	return hash % BUCKETS;
}

static bool name_ok(const char *name)
{
	if (strcmp(name, "*") == 0)
		return true;
	for (const unsigned char *p = (const unsigned char *)name; *p; p++)
		if (*p <= 0x20 || *p == 0x7f || strchr("*/[]{}|=\"'<>&:#", *p))
			return false;
	return *name != '\0';
}

static void pattern_free(struct pattern *pattern)
{
	if (!pattern)
		return;
	free(pattern->text);
	free(pattern->words);
	free(pattern);
}

/* NULL when TEXT is no pattern. */
static struct pattern *pattern_new(const char *text)
{
	struct pattern *pattern = mem_new(1, sizeof(*pattern));
	char *at, *step;

	pattern->anchored = *text == '/';
	pattern->text = text_copy(text + pattern->anchored);
	at = pattern->text;
	while ((step = strsep(&at, "/"))) {
		if (pattern->count == PATTERN_STEPS_MAX || !name_ok(step)) {
			pattern_free(pattern);
			return NULL;
		}
		pattern->steps[pattern->count++] = step;
	}
	return pattern;
}

/* The model owns PATTERN from here on. */
static void model_add(struct model *model, struct pattern *pattern)
{
	const char *last = pattern->steps[pattern->count - 1];
	struct pattern **at =
		strcmp(last, "*") == 0 ? &model->any : &model->buckets[bucket_of(last)];

	while (*at)
		at = &(*at)->next;
	*at = pattern;
	pattern->order = model->count;
	model->patterns = mem_grow(model->patterns, model->count + 1, sizeof(*model->patterns));
	model->patterns[model->count++] = pattern;
}

/*
 * The bits of the lists in TEXT, patterns with '|' between; each new one becomes a pattern of its
 * own.
 */
static int lists_of(struct model *model, char *text, uint64_t *out)
{
	char *name;

	*out = 0;
	while ((name = strsep(&text, "|"))) {
		size_t i = 0;

		while (i < model->list_count && strcmp(model->list_names[i], name) != 0)
			i++;
		if (i == model->list_count) {
			struct pattern *pattern = i < MODEL_LISTS_MAX ? pattern_new(name) : NULL;

			if (!pattern)
				return -1;
			pattern->list = UINT64_C(1) << i;
			model->list_names[model->list_count++] = text_copy(name);
			model_add(model, pattern);
		}
		*out |= UINT64_C(1) << i;
	}
	return 0;
}

static int type_of(struct pattern *pattern, const char *text)
{
	static const char *const words[] = {
#define X(name, word) word,
		MODEL_TYPES(X)
#undef X
	};

	if (text_starts(text, "enum:") && text[5]) {
		pattern->type = MODEL_ENUM;
		free(pattern->words);
		pattern->words = text_copy(text + 5);
		return 0;
	}
	for (size_t i = MODEL_ANY + 1; i < MODEL_ENUM; i++)
		if (strcmp(text, words[i]) == 0) {
			pattern->type = (enum model_type)i;
			free(pattern->words);
			pattern->words = NULL; /* of another type= before this one */
			return 0;
		}
	return -1;
}

static int property(struct model *model, struct pattern *pattern, char *word, struct err *err)
{
	static const struct {
		const char *word;
		unsigned flag;
	} flags[] = {
#define X(name, text, bit) {text, MODEL_##name},
		MODEL_FLAGS(X)
#undef X
	};

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (strcmp(word, flags[i].word) == 0) {
			pattern->flags |= flags[i].flag;
			return 0;
		}
	if (text_starts(word, "type=")) {
		if (type_of(pattern, word + 5))
			return err_set(err, ERR_REFUSED, "\"%.100s\" is no type", word + 5);
		return 0;
	}
	if (text_starts(word, "ref=")) {
		if (lists_of(model, word + 4, &pattern->refs))
			return err_set(err, ERR_REFUSED,
				       "%.100s: no patterns of lists, or more than %d lists", word,
				       MODEL_LISTS_MAX);
		return 0;
	}
	return err_set(err, ERR_REFUSED, "\"%.100s\" is no property", word);
}

/* LINE is cut into words in place. */
static int parse_line(struct model *model, char *line, struct err *err)
{
	struct pattern *pattern = NULL;
	char *word;
	int rc = -1;

	while ((word = strsep(&line, " \t\r"))) {
		if (!*word)
			continue;
		if (*word == '#')
			break;
		if (pattern) {
			if (property(model, pattern, word, err))
				goto out;
			continue;
		}
		if (model->count >= PATTERNS_MAX) {
			err_set(err, ERR_REFUSED, "more than %d patterns", PATTERNS_MAX);
			goto out;
		}
		pattern = pattern_new(word);
		if (!pattern) {
			err_set(err, ERR_REFUSED, "\"%.100s\" is no path pattern", word);
			goto out;
		}
	}
	rc = 0;
	if (!pattern)
		goto out;
	if (!pattern->flags && !pattern->type && !pattern->refs) {
		rc = err_set(err, ERR_REFUSED, "a pattern without a property");
		goto out;
	}
	model_add(model, pattern);
	pattern = NULL; /* transferred */
out:
	pattern_free(pattern);
	return rc;
}

static int parse_text(struct model *model, const char *name, const char *text, size_t len,
		      struct err *err)
{
	size_t number = 0;

	while (len > 0) {
		const char *end = memchr(text, '\n', len);
		size_t n = end ? (size_t)(end - text) : len;
		char line[LINE_MAX_LEN + 1];

		number++;
		if (n > LINE_MAX_LEN || memchr(text, '\0', n))
			return err_set(err, ERR_REFUSED, "%s:%zu: a NUL, or over %d bytes", name,
				       number, LINE_MAX_LEN);
		memcpy(line, text, n);
		line[n] = '\0';
		if (parse_line(model, line, err))
			return err_prefix(err, "%s:%zu", name, number);
		n += end ? 1 : 0;
		text += n;
		len -= n;
	}
	return 0;
}

int model_parse(const char *name, const char *text, size_t len, struct model **out, struct err *err)
{
	struct model *model = mem_new(1, sizeof(*model));
	struct err wrong = {.code = ERR_NONE};

	if (parse_text(model, "share/model.conf", builtin, sizeof(builtin) - 1, &wrong))
		assert(!"the built-in model does not parse");
	if (len > LIMIT_SMALL_FILE) {
		model_free(model);
		return err_set(err, ERR_REFUSED, "%s: over %u bytes", name, LIMIT_SMALL_FILE);
	}
	if (parse_text(model, name, text, len, err)) {
		model_free(model);
		return -1;
	}
	*out = model;
	return 0;
}

struct model *model_default(void)
{
	struct model *model = NULL;

	if (model_parse("", "", 0, &model, NULL))
		assert(!"nothing to parse cannot fail");
	return model;
}

void model_free(struct model *model)
{
	if (!model)
		return;
	for (size_t i = 0; i < model->count; i++)
		pattern_free(model->patterns[i]);
	free(model->patterns);
	for (size_t i = 0; i < model->list_count; i++)
		free(model->list_names[i]);
	free(model);
}

static bool matches(const struct pattern *pattern, const struct steps *steps)
{
	size_t skip;

	if (pattern->count > steps->count || (pattern->anchored && pattern->count != steps->count))
		return false;
	skip = steps->count - pattern->count;
	for (size_t i = pattern->count; i > 0; i--) {
		const char *step = pattern->steps[i - 1];

		if (strcmp(step, "*") != 0 && strcmp(step, steps->names[skip + i - 1]) != 0)
			return false;
	}
	return true;
}

/* TYPE_ORDER and REF_ORDER: the line (from 1) that said so up to now. */
static void join(const struct pattern *pattern, struct model_props *props, size_t *type_order,
		 size_t *ref_order)
{
	props->flags |= pattern->flags;
	props->lists |= pattern->list;
	if (pattern->type && pattern->order + 1 > *type_order) {
		props->type = pattern->type;
		props->words = pattern->words;
		*type_order = pattern->order + 1;
	}
	if (pattern->refs && pattern->order + 1 > *ref_order) {
		props->refs = pattern->refs;
		*ref_order = pattern->order + 1;
	}
}

void model_match(const struct model *model, const struct steps *steps, struct model_props *out)
{
	size_t type_order = 0, ref_order = 0;
	const struct pattern *pattern;

	*out = (struct model_props){.flags = 0};
	if (steps->count == 0)
		return;
	pattern = model->buckets[bucket_of(steps->names[steps->count - 1])];
	for (; pattern; pattern = pattern->next)
		if (matches(pattern, steps))
			join(pattern, out, &type_order, &ref_order);
	for (pattern = model->any; pattern; pattern = pattern->next)
		if (matches(pattern, steps))
			join(pattern, out, &type_order, &ref_order);
}

bool model_secret_name(const struct model *model, const char *name)
{
	const struct pattern *pattern = model->buckets[bucket_of(name)];

	for (; pattern; pattern = pattern->next)
		if (pattern->flags & MODEL_SECRET &&
		    strcmp(pattern->steps[pattern->count - 1], name) == 0)
			return true;
	return false;
}

const char *model_list_name(const struct model *model, uint64_t lists)
{
	for (size_t i = 0; i < model->list_count; i++)
		if (lists & UINT64_C(1) << i)
			return model->list_names[i];
	return "";
}
