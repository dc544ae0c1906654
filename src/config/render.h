/* Templates: XSLT 1.0 that makes a service's own files from the plain configuration
 * (muster-config(5), "Templates"). */
#ifndef MUSTER_CONFIG_RENDER_H
#define MUSTER_CONFIG_RENDER_H

#include "config/document.h"
#include "core/buf.h"
#include "core/err.h"

#include <stddef.h>

/*
 * Appends to OUT (an empty buffer, whose bound counts) what the template of LEN bytes makes of DOC.
 * NAME is what errors call it: `NAME:LINE: reason`. It reads and writes no file and no network, has
 * document() of nothing, and includes nothing; time and memory are bounded (limits.h), in a process
 * of its own. REFUSED for whatever the template does wrong.
 */
int render(const struct document *doc, const char *name, const void *xsl, size_t len,
	   struct buf *out, struct err *err);

#endif
