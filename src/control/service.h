/*
 * What the daemon tells its service manager (core/notify.h), from the loop: ready, status,
 * reloading, stopping, alive.
 */
#ifndef MUSTER_CONTROL_SERVICE_H
#define MUSTER_CONTROL_SERVICE_H

#include <stdbool.h>
#include <uv.h>

struct service;

/* How things are: asked now and then, and whenever service_changed is called. */
struct service_calls {
	bool (*ready)(void *arg);     /* a start, or a reload, is over */
	char *(*status)(void *arg);   /* one line, to be freed */
};

/* CALLS are borrowed for its life. Where there is no service manager it does nothing. */
struct service *service_start(uv_loop_t *loop, const struct service_calls *calls, void *arg);
/* Something changed: tells READY=1, once, when it is so, and another STATUS=. NULL is fine. */
void service_changed(struct service *service);
/* A reload begins; READY=1 follows when ready() says that it is over. */
void service_reloading(struct service *service);
/*
 * Tells that the daemon stops, and ends: memory goes when the loop has closed the handle. NULL is
 * fine.
 */
void service_stop(struct service *service);

#endif
