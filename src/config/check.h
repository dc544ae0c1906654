/*
 * What is wrong with a configuration. The same code runs in `muster check`, in the admin and on the
 * node.
 */
#ifndef MUSTER_CONFIG_CHECK_H
#define MUSTER_CONFIG_CHECK_H

#include "config/document.h"
#include "config/model.h"

#include <stddef.h>

/* Each is one line: `FILE:LINE: PATH: reason`. */
struct findings {
	char **lines;
	size_t count;
};

/*
 * Checks a merged configuration or a slice: keys, role endpoints, references, settings. Adds to
 * FINDINGS, at most LIMIT_FINDINGS. 0 when nothing was found, else -1 (and no error object: the
 * findings say it all).
 */
int check(const struct document *doc, const struct model *model, struct findings *findings);
/*
 * The types alone, of a configuration whose parameters are filled: "#{" in it is a value like any
 * other.
 */
int check_values(const struct document *doc, const struct model *model, struct findings *findings);

void findings_add(struct findings *findings, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void findings_clear(struct findings *findings);

#endif
