/*
 * The model: one data file (share/model.conf) of path patterns with properties, extended by the
 * authoring repository's model.conf. It feeds merge, check, slice and set. See muster-config(5).
 */
#ifndef MUSTER_CONFIG_MODEL_H
#define MUSTER_CONFIG_MODEL_H

#include "core/err.h"
#include "core/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct model;

/* The built-in model: the text of share/model.conf, compiled in. */
struct model *model_default(void);
/* The built-in model and the lines of TEXT after it; NAME is what errors call the file (`NAME:LINE:
 * reason`). */
int model_parse(const char *name, const char *text, size_t len, struct model **out,
		struct err *err);
void model_free(struct model *model);

/* --- for config/ --- */

/*
 * What a pattern's properties without a value say of an element: CONTAINER, no list entry though
 * its first child looks like a key; LEAF_LIST, a leaf of which there may be many; SECRET, sealed
 * wherever it is stored; ADMIN_ONLY, in no slice; REFERENCED_ONLY, an entry is in a slice only
 * while something there mentions it.
 */
#define MODEL_FLAGS(X)                                                                             \
	X(CONTAINER, "container", 0)                                                               \
	X(LEAF_LIST, "leaf-list", 1)                                                               \
	X(SECRET, "secret", 2)                                                                     \
	X(ADMIN_ONLY, "admin-only", 3)                                                             \
	X(REFERENCED_ONLY, "referenced-only", 4)

enum model_flag {
#define X(name, word, bit) MODEL_##name = 1 << bit,
	MODEL_FLAGS(X)
#undef X
};

/* What the text of a leaf must be. */
#define MODEL_TYPES(X)                                                                             \
	X(ANY, "")                                                                                 \
	X(PORT, "port")                                                                            \
	X(BOOLEAN, "boolean")                                                                      \
	X(NUMBER, "number")                                                                        \
	X(HOST, "host")                                                                            \
	X(ENUM, "enum")

enum model_type {
#define X(name, word) MODEL_##name,
	MODEL_TYPES(X)
#undef X
};

enum { MODEL_LISTS_MAX = 63 }; /* lists that ref= names, all in all: they are bits of a mask */

/* The local names from below `config` down to an element. */
struct steps {
	const char *names[LIMIT_XML_DEPTH + 1];
	size_t count;
};

struct model_props {
	unsigned flags; /* of enum model_flag */
	enum model_type type;
	const char *words; /* for ENUM: the words, with '|' between; borrowed from the model */
	uint64_t refs;  /* the lists one of whose entries the leaf names; 0: it is no reference */
	uint64_t lists; /* the lists that a ref= names and this element is an entry of */
};

/* What all patterns that match say together; of type= and ref= the last line says it. */
void model_match(const struct model *model, const struct steps *steps, struct model_props *out);
/* Whether some pattern calls elements of that name secret, wherever they stand. */
bool model_secret_name(const struct model *model, const char *name);
/* The pattern of the lists of a mask as it was written, for messages; the first if there are
 * several. Borrowed. */
const char *model_list_name(const struct model *model, uint64_t lists);

/* Adds and drops the last step. Deeper than LIMIT_XML_DEPTH is asserted not to be. */
void steps_push(struct steps *steps, const char *name);
void steps_pop(struct steps *steps);

#endif
