/*
 * The publications of a daemon: watches main, runs one publication at a time on a worker thread,
 * and tells those who wait. While one runs, any number of moves of main make one more: the newest
 * commit is what is published, and the commits between are scanned with it.
 */
#ifndef MUSTER_ADMIN_ADMIN_H
#define MUSTER_ADMIN_ADMIN_H

#include "admin/cycle.h"
#include "admin/state.h"
#include "core/err.h"
#include "core/home.h"
#include "crypto/key.h"

#include <stdbool.h>
#include <uv.h>

struct admin;

/*
 * A publication ended with a verdict; called on the loop for each, also when nothing changed (the
 * first after a start tells what there is). Borrowed for the call.
 */
typedef void admin_published_fn(void *arg, const struct publication *publication);

/*
 * The verdict for one who waits, once, on the loop: PUBLICATION (published or refused), or NULL and
 * the error with which it failed. Borrowed for the call.
 */
typedef void admin_done_fn(void *arg, const struct publication *publication, const struct err *err);

/*
 * Starts: watches main, then publishes once, which finishes what a kill left undone. HOME is open
 * and locked and outlives it, as does IDENTITY (see setup_open). PUBLISHED is called with ARG.
 */
int admin_start(uv_loop_t *loop, const struct home *home, const struct identity *identity,
		admin_published_fn *published, void *arg, struct admin **out, struct err *err);

/*
 * Publishes now and calls DONE when a publication that began after this call has ended. COMMIT (may
 * be NULL: whatever main is) must be main or an ancestor of it by then, or DONE gets an error
 * REFUSED that says so.
 */
void admin_publish(struct admin *admin, const struct oid *commit, admin_done_fn *done, void *arg);
/* The waiter ARG will not be called any more (its client went away). */
void admin_forget(struct admin *admin, const void *arg);

/*
 * What was published last and what was refused since; as in var/admin/state. Borrowed until the
 * loop goes on.
 */
const struct admin_state *admin_state(const struct admin *admin);
/* Why the last publication failed (it is tried again), or NULL. */
const char *admin_failure(const struct admin *admin);

/*
 * Stops: a publication that runs is waited for in the background and told to nobody; waiters are
 * answered with an error. Memory goes when the loop has run out of what is its. HOME and IDENTITY
 * must live until then. NULL is fine.
 */
void admin_stop(struct admin *admin);

#endif
