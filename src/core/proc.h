/*
 * The hook runner: a process of its own, forked before the daemon has threads or locks itself in,
 * that runs one hook after the other, each in its own process group with a time limit. The daemon
 * talks to it over a socket and never waits.
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

/*
 * Forks the runner, which runs what is in the folders of ETC; call before the loop runs and before
 * any thread.
 */
int proc_start(const char *etc, struct proc **out, struct err *err);
/* Hooks it up to the loop. */
int proc_attach(struct proc *proc, uv_loop_t *loop, struct err *err);

/* What is to be run; all of it is borrowed for the call of proc_run. */
struct proc_call {
	const char *step;     /* under which the hooks' output goes to the log */
	const char *folder;   /* of ETC, itself */
	const char *argument; /* of each; NULL: none */
	/* "MUSTER_NAME=value", NULL at the end: with PATH all that they get */
	char *const *env;
	uint32_t limit_ms;    /* for each */
	uint32_t total_ms;    /* for all of them together; 0: there is no such limit */
	bool again;	      /* what was said in the call before is said no louder than `debug` */
};

/*
 * Runs the executables of a folder in name order. Stops at the first that fails, hangs or cannot be
 * run. A folder that is not there is fine. DONE is called once, later.
 */
void proc_run(struct proc *proc, const struct proc_call *call, proc_done_fn *done, void *arg);
/*
 * Ends the runner and what it runs; calls that are under way are answered as failed, at once. NULL
 * is fine.
 */
void proc_free(struct proc *proc);

#endif
