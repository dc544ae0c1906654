/* The values of a configuration by their paths: what people ask for, and how two configurations
 * differ. */
#ifndef MUSTER_CONFIG_VALUES_H
#define MUSTER_CONFIG_VALUES_H

#include "config/document.h"
#include "config/model.h"
#include "core/err.h"
#include "core/fileset.h"

#include <stdbool.h>
#include <stddef.h>

struct value {
	char *path; /* for people */
	char *text; /* of a leaf; of any other element, itself and all that is in it as XML, secrets
		       hidden if HIDDEN */
	char *exact; /* what it is told from others by: the canonical path, and its text if it is an
			item of a leaf-list */
	bool leaf;
	bool secret; /* a leaf whose text is to be hidden: not a parameter, and not empty */
};

struct values {
	struct value *items;
	size_t count;
};

/* What stands in place of a secret. */
#define VALUES_HIDDEN "(secret)"

/* Adds what PATH (query.h) means, in document order; nothing is not an error. REFUSED when it is no
 * path. */
int values_at(const struct document *doc, const struct model *model, const char *path, bool hidden,
	      struct values *out, struct err *err);
/* Whether the leaf that PATH means, or would mean, in the files of a configuration is a secret.
 * REFUSED when it is no path. */
int values_is_secret(const struct fileset *set, const char *path, bool *out, struct err *err);
/* Adds every leaf and every muster:roles. */
void values_all(const struct document *doc, const struct model *model, struct values *out);
void values_clear(struct values *values);

/* A difference: one of both is NULL when it is only in the other. Borrowed from the values. */
typedef void values_fn(void *arg, const struct value *old, const struct value *new);
/* Calls FN for each difference, by path. Sorts both. */
void values_compare(struct values *old, struct values *new, values_fn *fn, void *arg);

#endif
