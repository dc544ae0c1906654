/* A site's own schemas, schema/\*.rng (RELAX NG): see muster-config(5), "Schemas". */
#ifndef MUSTER_CONFIG_SCHEMA_H
#define MUSTER_CONFIG_SCHEMA_H

#include "config/check.h"
#include "config/document.h"
#include "config/model.h"
#include "core/fileset.h"

/*
 * Checks DOC, a merged configuration or a slice, against each schema/\*.rng of FILES. A value with
 * a parameter in it, and a secret, may stand wherever the schema has a value, whatever type that
 * is: what they will be is not known here. A schema may include other files below schema/, by names
 * relative to its own, and nothing else; what is included is no schema of its own. Adds to
 * FINDINGS, `FILE:LINE: PATH: reason` by where the element came from, or `schema/NAME:LINE: reason`
 * for a schema that is none; -1 when it did, or with ERR (RETRY) when it could not be looked at.
 * The library works in a child process with bounds (core/child.h).
 */
int schema_check(const struct fileset *files, const struct document *doc, const struct model *model,
		 struct findings *findings, struct err *err);

#endif
