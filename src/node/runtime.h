/*
 * A runtime node: starts from what is on its disk, keeps a link to the admin, takes releases
 * through the steps of cycle.c, and activates whatever var/node/current leads to. It needs no admin
 * to serve.
 */
#ifndef MUSTER_NODE_RUNTIME_H
#define MUSTER_NODE_RUNTIME_H

#include "core/err.h"
#include "core/home.h"
#include "core/proc.h"

#include <jansson.h>
#include <stdbool.h>
#include <uv.h>

/* Node states: interface names, what `/` and `/serving` answer (true: 200). */
#define NODE_STATES(X)                                                                             \
	X(BOOTING, false)                                                                          \
	X(IDLE, false)                                                                             \
	X(WAITING, true)                                                                           \
	X(RUNNING, true)                                                                           \
	X(ERROR, false)                                                                            \
	X(STOPPING, false)

struct cluster;
struct runtime;

struct runtime_options {
	const char *name;
	const char *role;
	const char *plain_group; /* who may read the plain copy besides this user; NULL: no one */
	/* read etc/init again although there is a last configuration; adopt another cluster */
	bool force_reload;
	/* the cluster to join, whatever etc/init says; NULL: as etc/init says */
	const struct cluster *cluster;
};

/*
 * Starts. HOME is open and locked and outlives it; PROC is attached to the loop and outlives it.
 * CHANGED is called with ARG when the status document changed. Blocks until the last configuration
 * is verified. Fails when there is nothing to start from, or when what is there is of another role
 * or cluster.
 */
int runtime_start(uv_loop_t *loop, const struct home *home, const struct runtime_options *options,
		  struct proc *proc, void (*changed)(void *arg), void *arg, struct runtime **out,
		  struct err *err);
/*
 * Loads and checks what a start would, says what it would serve in VERDICT (free), changes nothing.
 */
int runtime_check(const struct home *home, const struct runtime_options *options, char **verdict,
		  struct err *err);
/*
 * SIGHUP, or new parameters or another secret in etc/: the secret and the cluster configuration are
 * read again, on a worker; then a rejected release is tried again, and so is a local copy that
 * could not be activated, and what runs gets its plain copy anew if that differs.
 */
void runtime_reload(struct runtime *runtime);
/* Whether that reading goes on; its end is told by CHANGED. */
bool runtime_reloading(const struct runtime *runtime);
/*
 * Whether a start is over: it serves, or there is nothing to serve for now: the admin has nothing
 * for it, what the admin has was refused, or the admin was asked and is away.
 */
bool runtime_settled(const struct runtime *runtime);
/* The status document of the interface, a new reference. */
json_t *runtime_status(const struct runtime *runtime);
/* `muster log --json`, newest first, a new reference. */
json_t *runtime_log(const struct runtime *runtime);
/* An answer to what was asked for (taken over), or NULL and why it was not done. */
typedef void runtime_answer_fn(void *arg, json_t *answer, const struct err *err);
/*
 * Goes back to REV (a release accepted here or its source, by 7 digits or more; or init-...) and
 * stays held there, by what is on the disk. Answers when it runs, or when that failed and nothing
 * holds that did not before. One is done at a time.
 */
void runtime_rollback(struct runtime *runtime, const char *rev, const char *reason,
		      runtime_answer_fn *fn, void *arg);
/*
 * Ends the hold made here, and forgets what is burnt or refused: it is tried again. Answers
 * "ended": whether there was such a hold, "forgotten": how many were burnt, "pinned": the release
 * that a pin of the admin's holds it at now, or null.
 */
void runtime_resume(struct runtime *runtime, runtime_answer_fn *fn, void *arg);
/* Whoever asked with ARG is gone: no answer. */
void runtime_forget(struct runtime *runtime, const void *arg);
/* The admin of this process (options.cluster) has other keys now; copied. */
void runtime_own_cluster(struct runtime *runtime, const struct cluster *own);
/* Stops; memory goes when the loop has run out of what is its. NULL is fine. */
void runtime_stop(struct runtime *runtime);

#endif
