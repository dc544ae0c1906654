/*
 * Paths as people write them: `environments/environment/services/service-role[default]/location`.
 * Local names from below `config` down, a '/' in front or not; a list entry is named by its key in
 * brackets, an item of a leaf-list by its value; in brackets `]`, `/` and `\` have a `\` before
 * them. A step without brackets means every entry or item. For config/ only.
 */
#ifndef MUSTER_CONFIG_QUERY_H
#define MUSTER_CONFIG_QUERY_H

#include "config/model.h"
#include "config/xml.h"
#include "core/err.h"

#include <stddef.h>

struct query_step {
	char *name;
	char *key; /* NULL: any */
};

struct query {
	struct query_step steps[LIMIT_XML_DEPTH];
	size_t count; /* 0: the root */
};

/* REFUSED when TEXT is no path. */
int query_parse(const char *text, struct query **out, struct err *err);
void query_free(struct query *query);

/* Elements, in document order; borrowed from their document. */
struct nodes {
	xmlNode **items;
	size_t count;
};

/* Adds the elements of DOC that the first COUNT steps mean; 0 steps: the root. */
void query_find(const struct query *query, size_t count, const struct document *doc,
		const struct model *model, struct nodes *out);
void nodes_clear(struct nodes *nodes);
/* The first COUNT steps as text, a new string. */
char *query_text(const struct query *query, size_t count);

#endif
