/* Templates: XSLT 1.0 that makes a service's own files from the plain configuration
 * (muster-config(5), "Templates"). */
#ifndef MUSTER_CONFIG_RENDER_H
#define MUSTER_CONFIG_RENDER_H

#include "config/check.h"
#include "config/document.h"
#include "core/buf.h"
#include "core/err.h"
#include "core/fileset.h"

#include <stddef.h>

/*
 * Appends to OUT (an empty buffer, whose bound counts) what the template of LEN bytes makes of DOC.
 * NAME is what errors call it: `NAME:LINE: reason`. It reads and writes no file and no network, has
 * document() of nothing, and includes nothing; time and memory are bounded (limits.h), in a process
 * of its own. REFUSED for whatever the template does wrong, also where it is not reached: a call of
 * document() or of a function that there is not, an extension, output to another file.
 */
int render(const struct document *doc, const char *name, const void *xsl, size_t len,
	   struct buf *out, struct err *err);

/*
 * The file that the template at PATH of a slice (files/render.d/NAME.xsl) or of the authoring
 * repository (files/ROLE/render.d/NAME.xsl) writes, a new string; NULL when PATH is no template.
 */
char *render_target(const char *path);
/* REFUSED when TARGET is something that a plain copy has anyway. */
int render_target_check(const char *path, const char *target, struct err *err);
/*
 * Looks at each template of FILES, without running any: that it is well-formed, compiles, and asks
 * for nothing that render() refuses. Adds to FINDINGS, `PATH:LINE: reason`; -1 when it did, or with
 * ERR (RETRY) when one could not be looked at.
 */
int render_check(const struct fileset *files, struct findings *findings, struct err *err);

#endif
