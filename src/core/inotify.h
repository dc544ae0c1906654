/*
 * Watching folders, directly with inotify (libuv's wrapper drops queue overflows). An event is only
 * a hint: whoever is called looks for himself. Watch a folder before reading it.
 */
#ifndef MUSTER_CORE_INOTIFY_H
#define MUSTER_CORE_INOTIFY_H

#include "core/err.h"

#include <stdint.h>
#include <uv.h>

struct inotify;

/*
 * Something happened in a watched folder: WHICH is the number given to inotify_add, NAME the entry
 * ("" for the folder itself or after a queue overflow, when WHICH is -1: look at everything), MASK
 * inotify's.
 */
typedef void inotify_fn(void *arg, int which, const char *name, uint32_t mask);

int inotify_new(uv_loop_t *loop, inotify_fn *fn, void *arg, struct inotify **out, struct err *err);
/*
 * Watches the folder at PATH for MASK under the number WHICH (>= 0); again for the same folder is
 * fine. FULL: no watch is left.
 */
int inotify_add(struct inotify *in, const char *path, uint32_t mask, int which, struct err *err);
/* Forgets every watch with that number. */
void inotify_drop(struct inotify *in, int which);
/* Closes; the memory goes when the loop has closed the handle. NULL is fine. */
void inotify_free(struct inotify *in);

#endif
