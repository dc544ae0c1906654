/* Asking the daemon of a home, from the command line: blocks, with a time limit. */
#ifndef MUSTER_CONTROL_CLIENT_H
#define MUSTER_CONTROL_CLIENT_H

#include "core/err.h"
#include "core/home.h"

#include <jansson.h>

#define CONTROL_ADMIN "admin.sock" /* below run/ */
#define CONTROL_NODE "node.sock"

struct ask;

/* Connects to the daemon's socket NAME; GONE when no daemon answers there. */
int ask_open(const struct home *home, const char *name, struct ask **out, struct err *err);
/*
 * Sends REQUEST (the reference is taken over) and waits at most LIMIT_MS for the answer, a new
 * reference. An answer {"error":…} becomes ERR with its code. RETRY when time ran out, GONE when
 * the daemon went away.
 */
int ask(struct ask *ask, json_t *request, unsigned limit_ms, json_t **out, struct err *err);
void ask_close(struct ask *ask);

#endif
