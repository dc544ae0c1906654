/*
 * Parameters, `#{NAME}` and `#{NAME | default}`, in the values of a configuration
 * (muster-config(5), "Parameters"). They travel as they are written; a node fills them from its
 * environment and etc/params when it makes its plain copy.
 */
#ifndef MUSTER_CONFIG_PARAM_H
#define MUSTER_CONFIG_PARAM_H

#include "config/check.h"
#include "config/document.h"
#include "config/model.h"
#include "core/err.h"

#include <stdbool.h>
#include <stddef.h>

/* One place where a parameter stands. */
struct param {
	char *name;
	char *fallback; /* its default; NULL: it needs a value */
	char *file;
	unsigned line;
	char *path;
};

struct params {
	struct param *items;
	size_t count;
};

/* Adds every place of DOC where a parameter stands, in document order. The secrets of DOC must not
 * be opened. */
void params_list(const struct document *doc, const struct model *model, struct params *out);
void params_clear(struct params *params);

/* Names and their values; a zeroed struct is an empty table. */
struct param_table {
	struct param_value *values;
	size_t count;
};

/*
 * Adds the lines NAME=value of TEXT, which errors call FILE; empty lines and lines that begin with
 * '#' are nothing. The value is the rest of the line as it is. REFUSED with FILE:LINE for anything
 * else, a name that is none or may not be, and a name twice.
 */
int param_table_parse(struct param_table *table, const char *file, const char *text, size_t len,
		      struct err *err);
/* Adds the variables of ENV ("NAME=value", NULL at the end) that are valid names of parameters;
 * they win over what is there. */
void param_table_environment(struct param_table *table, char *const env[]);
/* The value of a name, or NULL; borrowed. */
const char *param_table_find(const struct param_table *table, const char *name);
void param_table_clear(struct param_table *table);

/*
 * Puts the values of TABLE, else the defaults, in place of the parameters of DOC, once: what a
 * value brings in is not looked at again. Adds a finding for each place whose parameter has
 * neither, or a value that no XML can hold; then -1, and DOC is of no use. The secrets of DOC must
 * not be opened yet: an opened secret is never scanned.
 */
int params_fill(struct document *doc, const struct model *model, const struct param_table *table,
		struct findings *findings);

/* --- for config/ --- */

/* Whether a parameter, or what begins like one, is in a text. */
bool param_in(const char *text);
/* Whether a text is one parameter without a default: what may stand for a secret. */
bool param_is_whole(const char *text);
/* What is wrong with the parameters in the text of a leaf; NULL when nothing is. Static text. */
const char *param_fault(const char *text, bool secret);

#endif
