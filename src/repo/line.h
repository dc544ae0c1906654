/*
 * Lines of signed objects, `KEY<DIVIDER>VALUE`, read one after the other in the one order they may
 * have. Each call takes the line at the cursor; -1 (CORRUPT) when it is another one or its value is
 * malformed.
 */
#ifndef MUSTER_REPO_LINE_H
#define MUSTER_REPO_LINE_H

#include "core/buf.h"
#include "core/err.h"
#include "core/oid.h"

#include <stddef.h>
#include <stdint.h>

/* Its value, borrowed. */
int line_value(struct cursor *c, const char *key, const char *divider, const char **value,
	       size_t *n, struct err *err);
/* As a string of less than SIZE bytes. */
int line_text(struct cursor *c, const char *key, const char *divider, char *out, size_t size,
	      struct err *err);
/* An object id. */
int line_oid(struct cursor *c, const char *key, const char *divider, struct oid *out,
	     struct err *err);
/* SIZE bytes in hex. */
int line_hex(struct cursor *c, const char *key, const char *divider, uint8_t *out, size_t size,
	     struct err *err);

#endif
