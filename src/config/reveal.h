/* A file of the authoring repository with its secrets open, for who may see them. */
#ifndef MUSTER_CONFIG_REVEAL_H
#define MUSTER_CONFIG_REVEAL_H

#include "config/model.h"
#include "config/seal.h"
#include "core/buf.h"
#include "core/err.h"

#include <stddef.h>

/*
 * Appends the file with every sealed value as its plain text; no other byte changes, and seal_file
 * makes the same bytes of it again. The caller wipes OUT. `FILE:LINE: PATH: reason` for the first
 * that does not open.
 */
int reveal_file(const char *name, const void *data, size_t len, const struct model *model,
		const struct sealer *sealer, struct buf *out, struct err *err);

#endif
