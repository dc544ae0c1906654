/*
 * The hook runner: a process of its own, forked before the daemon has threads or locks itself in, that runs one hook
 * after the other, each in its own process group with a time limit. The daemon talks to it over a socket and never
 * waits.
 */
#ifndef MUSTER_CORE_PROC_H
#define MUSTER_CORE_PROC_H

#include "core/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct proc;

/* How a folder of hooks went: OK, or which one failed and why (one sentence). */
struct proc_result {
	bool ok;
	char text[512];
};

typedef void proc_done_fn(void *arg, const struct proc_result *result);

/* Forks the runner; call before the loop runs and before any thread. */
int proc_start(struct proc **out, struct err *err);
/* Hooks it up to the loop. */
int proc_attach(struct proc *proc, uv_loop_t *loop, struct err *err);
/*
 * Runs the executables of FOLDER in name order with ENV ("NAME=value", NULL at the end) and nothing else but PATH;
 * ARGUMENT (may be NULL) is each one's first argument. Stops at the first that fails, hangs or cannot be run. A
 * folder that is not there is fine. DONE is called once, later. The hooks' output goes to the log under STEP.
 */
void proc_run(struct proc *proc, const char *step, const char *folder, const char *argument,
	      char *const env[], uint32_t limit_ms, proc_done_fn *done, void *arg);
/* Ends the runner and what it runs; calls that are under way are answered as failed, at once. NULL is fine. */
void proc_free(struct proc *proc);

#endif
