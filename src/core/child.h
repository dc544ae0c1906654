/*
 * Work that must be killable because what it works on is not trusted to end: done in a child
 * process that can open nothing, with bounds on its time and memory.
 */
#ifndef MUSTER_CORE_CHILD_H
#define MUSTER_CORE_CHILD_H

#include "core/buf.h"
#include "core/err.h"

#include <stddef.h>

struct child_limits {
	unsigned seconds; /* of processor time */
	size_t memory;    /* bytes above what this process has */
};

/*
 * Calls FN(arg, out, err) in a child and waits. What it puts into OUT (an empty buffer here and
 * there, of the same bound) comes back, or its error. REFUSED when it went over a limit or crashed,
 * RETRY when no child could be made or it hung without working. FN sees memory as it is now; what
 * it changes is lost; it must not log, nor take locks that other threads may hold.
 */
int child_run(int (*fn)(void *arg, struct buf *out, struct err *err), void *arg,
	      const struct child_limits *limits, struct buf *out, struct err *err);

#endif
