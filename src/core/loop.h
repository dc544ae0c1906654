/* What the one libuv loop needs beyond libuv: work on worker threads. */
#ifndef MUSTER_CORE_LOOP_H
#define MUSTER_CORE_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

/*
 * Runs WORK(arg) on a worker thread, then DONE(arg) on the loop. ARG belongs to the work until DONE
 * runs, which it always does. WORK must touch nothing that the loop touches.
 */
void loop_work(uv_loop_t *loop, void (*work)(void *arg), void (*done)(void *arg), void *arg);

/*
 * Calls EACH(arg, i) once for every I below COUNT, here and on those worker threads that have
 * nothing else to do, in any order and at the same time, and returns when all calls have: for many
 * short computations that the loop cannot go on without. Calls for different I must not touch the
 * same memory. From the loop only.
 */
void loop_spread(uv_loop_t *loop, size_t count, void (*each)(void *arg, size_t i), void *arg);

/*
 * Runs LOOP, whose handles are being closed, until nothing is left: true. False: all is done but
 * name lookups (uv_getaddrinfo), which cannot be cancelled while the system's resolver waits,
 * possibly for minutes. LOOP must then stay where it is, and the process is to end by _exit: exit()
 * waits for libuv's threads.
 */
bool loop_run_out(uv_loop_t *loop);

/* Milliseconds of a clock that never jumps. */
uint64_t loop_now(void);

/* A random number below LIMIT, for jitter. */
uint32_t loop_random(uint32_t limit);

#endif
