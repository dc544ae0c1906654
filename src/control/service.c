/* What the daemon tells its service manager: see service.h. */
#include "control/service.h"

#include "core/notify.h"
#include "core/text.h"

#include <stdlib.h>
#include <string.h>

enum { AGAIN_MS = 250 }; /* while READY=1 is owed: not all that it waits for is told by a change */

struct service {
	uv_timer_t timer; /* the watchdog's, and tries again what did not get through */
	struct notify notify;
	const struct service_calls *calls;
	void *arg;
	uint64_t alive; /* when WATCHDOG=1 was told last */
	bool owes_ready;
	char *status; /* told last */
	bool closing;
};

static void tell_ready(struct service *service)
{
	if (service->owes_ready && service->calls->ready(service->arg) &&
	    notify_send(&service->notify, "READY=1"))
		service->owes_ready = false;
}

static void tell_status(struct service *service)
{
	char *status = service->calls->status(service->arg);

	text_escape_in_place(status);
	if ((service->status && strcmp(service->status, status) == 0) ||
	    !notify_send(&service->notify, "STATUS=%s", status)) {
		free(status);
		return;
	}
	free(service->status);
	service->status = status;
}

static void on_timer(uv_timer_t *timer);

/* Wakes up as often as it has something to tell. */
static void arm(struct service *service)
{
	uint64_t wait = service->notify.watchdog_ms;

	if (service->owes_ready && (wait == 0 || wait > AGAIN_MS))
		wait = AGAIN_MS;
	if (wait == 0)
		(void)uv_timer_stop(&service->timer); /* never fails */
	else
		(void)uv_timer_start(&service->timer, on_timer, wait, 0); /* never fails */
}

static void on_timer(uv_timer_t *timer)
{
	struct service *service = timer->data;
	uint64_t now = uv_now(timer->loop), wait = service->notify.watchdog_ms;

	/* a wake-up that is a little early must not make the next one too late */
	if (wait > 0 && now + AGAIN_MS >= service->alive + wait &&
	    notify_send(&service->notify, "WATCHDOG=1"))
		service->alive = now;
	service_changed(service);
	arm(service);
}

struct service *service_start(uv_loop_t *loop, const struct service_calls *calls, void *arg)
{
	struct service *service = mem_new(1, sizeof(*service));

	service->calls = calls;
	service->arg = arg;
	service->owes_ready = true;
	notify_init(&service->notify);
	(void)uv_timer_init(loop, &service->timer); /* never fails */
	service->timer.data = service;
	if (service->notify.fd < 0)
		return service;
	service_changed(service);
	arm(service);
	return service;
}

void service_changed(struct service *service)
{
	if (!service || service->closing || service->notify.fd < 0)
		return;
	tell_status(service);
	tell_ready(service);
}

void service_reloading(struct service *service)
{
	if (!service || service->closing || service->notify.fd < 0)
		return;
	(void)notify_reloading(&service->notify); /* READY=1 tells the end of it all the same */
	service->owes_ready = true;
	arm(service);
}

static void on_closed(uv_handle_t *handle)
{
	struct service *service = handle->data;

	free(service->status);
	free(service);
}

void service_stop(struct service *service)
{
	if (!service || service->closing)
		return;
	service->closing = true;
	/* the manager sees the end anyway */
	(void)notify_send(&service->notify, "STOPPING=1\nSTATUS=stopping");
	notify_clear(&service->notify);
	uv_close((uv_handle_t *)&service->timer, on_closed);
}
