/*
 * vet: the site's own checks of the candidate, in etc/vet.d; and the environment that every hook
 * gets.
 */
#include "node/steps.h"

#include <stdlib.h>
#include <string.h>

char **hook_env(const struct runtime *runtime, const char *release, uint64_t sequence,
		const char *source, const char *previous, const char *plain)
{
	char *current = home_var(runtime->home, "node/current");
	char **env = mem_new(9, sizeof(*env));

	env[0] = text_format("MUSTER_NAME=%s", runtime->name);
	env[1] = text_format("MUSTER_ROLE=%s", runtime->state.chain.role);
	env[2] = text_format("MUSTER_RELEASE=%s", release);
	env[3] = text_format("MUSTER_SEQUENCE=%llu", (unsigned long long)sequence);
	env[4] = text_format("MUSTER_SOURCE=%s", source);
	env[5] = text_format("MUSTER_PREVIOUS=%s", previous);
	env[6] = text_format("MUSTER_CURRENT=%s", current);
	env[7] = plain ? text_format("MUSTER_PLAIN=%s", plain)
		       : text_format("MUSTER_PLAIN=%s/node/revisions/%s", runtime->home->var,
				     release);
	free(current);
	return env;
}

void hook_env_free(char **env)
{
	for (size_t i = 0; env[i]; i++)
		free(env[i]);
	free(env);
}

static void on_vetted(void *arg, const struct proc_result *result)
{
	struct cycle *cycle = arg;
	struct err err = {0};

	cycle->runtime->busy--;
	if (!result->ok)
		(void)err_set(&err, ERR_REFUSED, "%s", result->text);
	cycle_step_done(cycle, result->ok ? 0 : -1, &err);
}

void vet_step(struct cycle *cycle)
{
	struct runtime *runtime = cycle->runtime;
	char *folder = home_etc(runtime->home, "vet.d");
	char *candidate =
		cycle->plain ? text_copy(cycle->plain)
			     : text_format("%s/node/revisions/%s", runtime->home->var, cycle->name);
	char source[OID_HEX_SIZE];
	char **env =
		hook_env(runtime, cycle->name, cycle->release.sequence,
			 oid_hex(&cycle->release.source, source), runtime->active, cycle->plain);

	runtime->busy++;
	proc_run(runtime->proc,
		 &(struct proc_call){.step = "vet",
				     .folder = folder,
				     .argument = candidate,
				     .env = env,
				     .limit_ms = cycle->settings.hook_timeout * 1000},
		 on_vetted, cycle);
	hook_env_free(env);
	free(candidate);
	free(folder);
}
