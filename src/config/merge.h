/* Several files, one configuration (formats of muster-config(5), "Merging"). */
#ifndef MUSTER_CONFIG_MERGE_H
#define MUSTER_CONFIG_MERGE_H

#include "config/document.h"
#include "config/model.h"
#include "core/fileset.h"

#include <stdbool.h>

/* The model file of a set of files, at its root. */
#define MERGE_MODEL_FILE "model.conf"

/*
 * Merges DOCS in the order given. Conflicts name both places: one leaf with different values in two
 * files, a key twice in one file, an unkeyed element repeated. Every element of the result
 * remembers its file and line. The documents in DOCS are left as they are; the result is the
 * caller's.
 */
int merge(struct document *const *docs, size_t count, const struct model *model,
	  struct document **out, struct err *err);

/*
 * Whether merge_fileset reads the file at PATH: an *.xml outside files/ and schema/, or the model
 * file.
 */
bool merge_uses(const char *path);

/*
 * Parses and merges all *.xml of SET outside files/ and schema/, in byte order of their paths, by
 * the built-in model and the set's model.conf, which is given back as MODEL (both are the
 * caller's). No XML at all is an empty configuration.
 */
int merge_fileset(const struct fileset *set, struct document **out, struct model **model,
		  struct err *err);

#endif
