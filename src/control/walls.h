/*
 * What of the file system a daemon may use once it runs (core/sandbox.h): its home, and what that
 * leads to.
 */
#ifndef MUSTER_CONTROL_WALLS_H
#define MUSTER_CONTROL_WALLS_H

#include "core/home.h"

#include <stdbool.h>

/*
 * Raises the walls around this process, for good. Call it once, with the home open and the hook
 * runner forked, before there is any thread. NODE: it keeps a plain copy too. What cannot be raised
 * is told at info.
 */
void walls_raise(const struct home *home, bool node);

#endif
