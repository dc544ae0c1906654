/*
 * Configurations: the loader, merge, check and slice. The input is cut at form feeds into files,
 * which no XML may hold; a part that begins with "#model" is the model file.
 */
#include "fuzz.h"

#include "config/check.h"
#include "config/merge.h"
#include "config/slice.h"

#include <stdio.h>

enum { PARTS_MAX = 6, TEXT_MAX = 64 << 20, ROLES_MAX = 4 };

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	config_setup();
	return 0;
}

static void put_document(const struct document *doc, struct buf *out)
{
	struct err err;

	buf_init(out, TEXT_MAX);
	assert(document_serialise(doc, out, &err) == 0);
}

/* The stable form is read again, and a second pass changes nothing. */
static struct document *check_stable(const struct document *doc)
{
	struct document *again = NULL, *copy = document_copy(doc);
	struct buf text, other;
	struct err err;

	put_document(doc, &text);
	assert(document_parse("again", text.data, text.len, &again, &err) == 0);
	put_document(again, &other);
	assert(fuzz_same(&other, text.data, text.len));
	assert(document_count(doc) == document_count(again));
	buf_clear(&other);
	put_document(copy, &other);
	assert(fuzz_same(&other, text.data, text.len));
	buf_clear(&other);
	buf_clear(&text);
	document_free(copy);
	return again;
}

static bool same_document(const struct document *a, const struct document *b)
{
	struct buf x, y;
	bool same;

	put_document(a, &x);
	put_document(b, &y);
	same = fuzz_same(&x, y.data, y.len);
	buf_clear(&x);
	buf_clear(&y);
	return same;
}

static size_t count_findings(const struct document *doc, const struct model *model)
{
	struct findings findings = {0};
	int rc = check(doc, model, &findings);
	size_t count = findings.count;

	assert((rc == 0) == (count == 0));
	for (size_t i = 0; i < count; i++)
		assert(!strchr(findings.lines[i], '\n') && strchr(findings.lines[i], ':'));
	findings_clear(&findings);
	return count;
}

/* A slice is a configuration like any other, holds no more than what it was cut from, and is cut
 * already. */
static void check_slice(const struct document *doc, const struct model *model, const char *role)
{
	struct document *part = NULL, *again = NULL, *twice = NULL;
	struct cluster cluster = {.host = (char *)"admin.example.com", .port = 6789};
	struct err err;

	if (slice(doc, model, role, NULL, &part, &err) != 0) {
		assert(err.code != ERR_NONE);
		return;
	}
	again = check_stable(part);
	assert(document_count(part) <= document_count(doc));
	assert(count_findings(part, model) == count_findings(again, model));
	assert(slice(part, model, role, NULL, &twice, &err) == 0 && same_document(part, twice));
	document_free(part);
	document_free(again);
	document_free(twice);
	if (slice(doc, model, role, &cluster, &part, &err) == 0) {
		document_free(check_stable(part));
		document_free(part);
	}
}

static void check_roles(const struct document *doc, const struct model *model)
{
	struct roles roles = {0};
	struct err err;

	if (slice_roles(doc, &roles, &err) != 0)
		return;
	for (size_t i = 0; i < roles.count && i < ROLES_MAX; i++)
		check_slice(doc, model, roles.names[i]);
	roles_clear(&roles);
}

/* What is merged is one file, which merges to itself. */
static void check_merged(const struct document *doc, const struct model *model)
{
	struct document *again = check_stable(doc), *twice = NULL;
	struct document *const docs[] = {again};
	struct err err;

	assert(merge(docs, 1, model, &twice, &err) == 0 && same_document(doc, twice));
	assert(count_findings(doc, model) == count_findings(again, model));
	check_roles(doc, model);
	document_free(again);
	document_free(twice);
}

static void add_part(struct fileset *set, const uint8_t *data, size_t size)
{
	static const char model[] = "#model";
	char name[16];
	struct document *doc = NULL;
	struct err err;
	bool is_model = size >= strlen(model) && memcmp(data, model, strlen(model)) == 0;

	(void)snprintf(name, sizeof(name), "%zu.xml", set->count);
	(void)fileset_add(set, is_model ? MERGE_MODEL_FILE : name, FILE_PLAIN, data, size, &err);
	if (is_model)
		return;
	if (document_parse(name, data, size, &doc, &err) == 0)
		document_free(check_stable(doc));
	else
		assert(err.code == ERR_REFUSED && text_starts(err.text, name));
	document_free(doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fileset set = {0};
	struct document *doc = NULL;
	struct model *model = NULL;
	struct err err;

	for (int i = 0; i < PARTS_MAX && size > 0; i++) {
		const uint8_t *end = memchr(data, '\f', size);
		size_t n = end ? (size_t)(end - data) : size;

		add_part(&set, data, n);
		data += n + (end != NULL);
		size -= n + (end != NULL);
	}
	if (merge_fileset(&set, &doc, &model, &err) == 0)
		check_merged(doc, model);
	else
		assert(err.code == ERR_REFUSED);
	document_free(doc);
	model_free(model);
	fileset_clear(&set);
	return 0;
}
