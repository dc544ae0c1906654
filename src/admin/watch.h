/*
 * watch: notices that main of the authoring repository moved, whoever moved it: muster commit,
 * plain git, a push. It only says so; what main is by then is read by the publication itself.
 */
#ifndef MUSTER_ADMIN_WATCH_H
#define MUSTER_ADMIN_WATCH_H

#include "core/err.h"
#include "core/home.h"
#include "core/oid.h"

#include <stdbool.h>
#include <uv.h>

struct watch;

/* Called on the loop, once for each change that was seen; several moves in a row may be one. */
typedef void watch_fn(void *arg);

/* Starts watching. A publication that is started after this call misses no move of main. */
int watch_new(uv_loop_t *loop, const struct home *home, watch_fn *fn, void *arg, struct watch **out,
	      struct err *err);
/* Whether main was at OID when it was looked at last; a move since then is still to be told. */
bool watch_is_at(const struct watch *watch, const struct oid *oid);
/*
 * Stops; FN is not called any more. The memory goes when the loop has closed the handle. NULL is
 * fine.
 */
void watch_free(struct watch *watch);

#endif
