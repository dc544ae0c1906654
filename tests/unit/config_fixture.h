/*
 * What the tests of config/ share: documents from text, texts from documents, files from folders.
 */
#ifndef MUSTER_TESTS_CONFIG_FIXTURE_H
#define MUSTER_TESTS_CONFIG_FIXTURE_H

#include "config/check.h"
#include "config/document.h"
#include "config/merge.h"
#include "config/model.h"
#include "core/buf.h"
#include "core/err.h"
#include "core/fileset.h"
#include "core/fs.h"
#include "core/text.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define ROOT "<config xmlns=\"http://tail-f.com/ns/config/1.0\">"
#define BASE " xmlns=\"https://curity.se/ns/conf/base\""
/* A literal where a struct wants a char * that it does not own. */
#define BORROW(text) ((char *)(text))
#define FIXTURES     TEST_SRCDIR "/tests/fixtures"
#define CORPUS       TEST_SRCDIR "/../shared/corpus"

static inline struct document *parse_as(const char *name, const char *text)
{
	struct document *doc = NULL;
	struct err err = {.code = ERR_NONE};

	if (document_parse(name, text, strlen(text), &doc, &err))
		fail_msg("%s", err.text);
	return doc;
}

static inline struct document *parse(const char *text)
{
	return parse_as("t.xml", text);
}

/* Parses bytes that must be refused with WANT somewhere in the sentence. */
static inline void refuse_bytes(const char *data, size_t len, const char *want)
{
	struct document *doc = NULL;
	struct err err = {.code = ERR_NONE};

	if (document_parse("t.xml", data, len, &doc, &err) == 0)
		fail_msg("accepted, not refused with: %s", want);
	assert_null(doc);
	assert_int_equal(err.code, ERR_REFUSED);
	assert_null(strchr(err.text, '\n'));
	if (!strstr(err.text, want))
		fail_msg("\"%s\" has no \"%s\"", err.text, want);
}

static inline void refuse(const char *text, const char *want)
{
	refuse_bytes(text, strlen(text), want);
}

/* The serialised form; free. */
static inline char *text_of(const struct document *doc)
{
	struct err err = {.code = ERR_NONE};
	struct buf out;

	buf_init(&out, 64u << 20);
	assert_int_equal(document_serialise(doc, &out, &err), 0);
	return (char *)buf_steal(&out, NULL);
}

/* DOC is what TEXT says once both are in the stable form. */
static inline void assert_document(const struct document *doc, const char *text)
{
	struct document *other = parse(text);
	char *want = text_of(other), *have = text_of(doc);

	assert_string_equal(have, want);
	document_free(other);
	free(want);
	free(have);
}

static inline void assert_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("no \"%s\" in:\n%s", part, text);
}

static inline void assert_lacks(const char *text, const char *part)
{
	if (strstr(text, part))
		fail_msg("\"%s\" in:\n%s", part, text);
}

/* Whether there is such a folder. */
static inline bool have_folder(const char *path)
{
	return access(path, R_OK | X_OK) == 0;
}

/* Adds the *.xml and model.conf of a folder to SET, by their bare names. */
static inline void read_folder(const char *path, struct fileset *set)
{
	struct err err = {.code = ERR_NONE};
	DIR *dir = opendir(path);
	struct dirent *entry;
	struct buf data;

	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		if (!merge_uses(entry->d_name))
			continue;
		buf_init(&data, 64u << 20);
		if (fs_read_follow(dirfd(dir), entry->d_name, &data, &err) ||
		    fileset_add(set, entry->d_name, FILE_PLAIN, data.data, data.len, &err))
			fail_msg("%s", err.text);
		buf_clear(&data);
	}
	closedir(dir);
}

static inline struct document *merge_folder(const char *path, struct model **model)
{
	struct fileset set = {.files = NULL};
	struct err err = {.code = ERR_NONE};
	struct document *doc = NULL;

	read_folder(path, &set);
	if (merge_fileset(&set, &doc, model, &err))
		fail_msg("%s: %s", path, err.text);
	fileset_clear(&set);
	return doc;
}

/* One file as a configuration of its own. */
static inline struct document *merge_file(const char *path, struct model **model)
{
	struct fileset set = {.files = NULL};
	struct err err = {.code = ERR_NONE};
	struct document *doc = NULL;
	struct buf data;

	buf_init(&data, 64u << 20);
	if (fs_read_follow(AT_FDCWD, path, &data, &err) ||
	    fileset_add(&set, strrchr(path, '/') + 1, FILE_PLAIN, data.data, data.len, &err) ||
	    merge_fileset(&set, &doc, model, &err))
		fail_msg("%s: %s", path, err.text);
	buf_clear(&data);
	fileset_clear(&set);
	return doc;
}

/* Every folder (merged) and file of the corpus that is a configuration; FN is called with each. */
static inline void each_of_corpus(void (*fn)(const char *name, struct document *doc,
					     const struct model *model))
{
	static const char *const names[] = {
		"two-roles",
		"gitops",
		"kubernetes",
		"cluster",
		"whole/account-linking.xml",
		"whole/cloud-native.xml",
		"whole/mcp-secured-api.xml",
		"whole/oauth-agent.xml",
		"whole/training.xml",
	};

	if (!have_folder(CORPUS)) {
		print_message("no ../shared/corpus: skipped\n");
		skip();
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char *path = text_format("%s/%s", CORPUS, names[i]);
		struct model *model = NULL;
		struct document *doc = text_ends(path, ".xml") ? merge_file(path, &model)
							       : merge_folder(path, &model);

		fn(names[i], doc, model);
		document_free(doc);
		model_free(model);
		free(path);
	}
}

#endif
