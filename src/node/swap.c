/*
 * swap: var/node/current leads to the staged revision: one rename, and a sync of the folder; and
 * the way back.
 */
#include "node/steps.h"

#include "core/log.h"
#include "core/loop.h"

#include <stdlib.h>
#include <string.h>

int swap_step(struct cycle *cycle, struct err *err)
{
	return revision_swap(cycle->runtime->home, cycle->name, err);
}

/* --- the way back --- */

struct swapping {
	struct runtime *runtime;
	char name[REVISION_NAME_MAX];
	int rc;
	struct err err;
};

static void on_swap_work(void *arg)
{
	struct swapping *swapping = arg;

	swapping->rc = revision_swap(swapping->runtime->home, swapping->name, &swapping->err);
}

static void on_swap_done(void *arg)
{
	struct swapping *swapping = arg;
	struct runtime *runtime = swapping->runtime;

	runtime->busy--;
	runtime->swapping = false;
	runtime->unswapped = swapping->rc != 0;
	if (swapping->rc != 0) {
		log_error("swap", swapping->name, "cannot swap back, tried again later: %s",
			  swapping->err.text);
		retry_later(runtime);
	} else {
		log_notice("swap", swapping->name, "swapped back");
		activate_look(runtime); /* its event may have come before this */
		cycle_consider(runtime);
	}
	runtime_release(runtime);
	free(swapping);
}

static void begin_swap(struct runtime *runtime)
{
	struct swapping *swapping = mem_new(1, sizeof(*swapping));

	swapping->runtime = runtime;
	memcpy(swapping->name, runtime->back, sizeof(swapping->name));
	runtime->swapping = true;
	runtime->busy++;
	loop_work(runtime->loop, on_swap_work, on_swap_done, swapping);
}

void swap_retry(struct runtime *runtime)
{
	if (!runtime->unswapped || runtime->stopping)
		return;
	runtime->unswapped = false;
	begin_swap(runtime);
}

void swap_back(struct runtime *runtime, const char *failed)
{
	const char *to = runtime->active[0] ? runtime->active : runtime->state.active;

	if (!to[0] || strcmp(to, failed) == 0) {
		log_error("swap", runtime->name,
			  "there is nothing to go back to: this node cannot serve until the admin "
			  "gives it a release that works");
		runtime->broken = true;
		runtime->reactivate = false;
		runtime->active[0] = '\0';
		return;
	}
	memcpy(runtime->back, to, strlen(to) + 1);
	runtime->reactivate = true;
	begin_swap(runtime);
}
