/*
 * health: after etc/activate.d the executables of etc/health.d are run, every second, until all of
 * them exit 0 in one round or the time that the configuration gives is over.
 */
#include "node/steps.h"

#include "core/limits.h"
#include "core/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct health {
	struct runtime *runtime;
	struct settings settings;
	char name[REVISION_NAME_MAX]; /* what is asked about */
	char **env;
	char *folder;
	uv_timer_t timer; /* to the next round */
	uint64_t until;	  /* milliseconds of uv_hrtime, as the next two */
	uint64_t began;	  /* the round */
	unsigned round;
	bool running; /* a round is */
	bool over;
	struct proc_result result;
	proc_done_fn *done;
	void *arg;
};

static uint64_t now_ms(void)
{
	return uv_hrtime() / 1000000;
}

static void on_close(uv_handle_t *handle)
{
	struct health *health = handle->data;

	health->runtime->health = NULL;
	health->runtime->busy--;
	health->done(health->arg, &health->result); /* the runtime may be gone after it */
	hook_env_free(health->env);
	free(health->folder);
	free(health);
}

static void finish(struct health *health)
{
	if (health->over)
		return;
	health->over = true;
	uv_close((uv_handle_t *)&health->timer, on_close);
}

/* Whether what is asked about is current no more: it is not worth the rest of the time. */
static bool is_left(const struct health *health)
{
	char name[REVISION_NAME_MAX];
	struct err err;

	return revision_current(health->runtime->home, name, &err) != 0 ||
	       strcmp(name, health->name) != 0;
}

/* The time is over; what failed last is why. */
static void give_up(struct health *health)
{
	char last[sizeof(health->result.text)];

	memcpy(last, health->result.text, sizeof(last));
	(void)snprintf(health->result.text, sizeof(health->result.text), "not within %u s: %.400s",
		       health->settings.health_timeout, last);
	finish(health);
}

static void run_round(struct health *health);

static void on_timer(uv_timer_t *timer)
{
	struct health *health = timer->data;

	if (is_left(health))
		finish(health);
	else
		run_round(health);
}

static void on_round(void *arg, const struct proc_result *result)
{
	struct health *health = arg;
	uint64_t now = now_ms(), next = health->began + WAIT_HEALTH_ROUND;

	health->running = false;
	health->result = *result;
	if (next < now)
		next = now;
	log_debug("health", health->name, "round %u: %s", health->round,
		  result->ok ? "holds" : result->text);
	if (result->ok || health->runtime->stopping)
		finish(health);
	else if (next >= health->until)
		give_up(health);
	else
		(void)uv_timer_start(&health->timer, on_timer, next - now,
				     0); /* fails only on a closing handle */
}

static void run_round(struct health *health)
{
	struct proc_call call = {.step = "health",
				 .folder = health->folder,
				 .env = health->env,
				 .limit_ms = health->settings.hook_timeout * 1000};

	health->began = now_ms();
	if (health->began >= health->until) { /* the loop was late */
		give_up(health);
		return;
	}
	call.total_ms = (uint32_t)(health->until - health->began); /* up to LIMIT_HOOK_SECONDS */
	call.again = health->round++ > 0;
	health->running = true;
	proc_run(health->runtime->proc, &call, on_round, health);
}

void health_run(struct runtime *runtime, const char *name, const struct settings *settings,
		char **take_env, proc_done_fn *done, void *arg)
{
	struct health *health = mem_new(1, sizeof(*health));

	health->runtime = runtime;
	health->settings = *settings;
	memcpy(health->name, name, strlen(name) + 1);
	health->env = take_env;
	health->folder = home_etc(runtime->home, "health.d");
	health->until = now_ms() + settings->health_timeout * UINT64_C(1000);
	health->done = done;
	health->arg = arg;
	(void)uv_timer_init(runtime->loop, &health->timer); /* never fails */
	health->timer.data = health;
	runtime->health = health;
	runtime->busy++;
	run_round(health);
}

void health_stop(struct runtime *runtime)
{
	/* a round that runs is answered when the hook runner is stopped */
	if (runtime->health && !runtime->health->running)
		finish(runtime->health);
}

const char *burnt_step(const struct state_entry *entry)
{
	return strcmp(entry->step, "health") == 0 ? "health" : "activate";
}
