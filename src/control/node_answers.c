/* What a node's control socket answers: status, log, rollback, resume. */
#include "control/answers.h"

#include "core/text.h"

#include <stdlib.h>
#include <string.h>

json_t *node_status(struct node_answers *answers)
{
	return endpoints_add(answers->endpoints, runtime_status(answers->runtime));
}

static json_t *status_document(void *arg)
{
	struct node_answers *answers = arg;

	return json_pack("{s:I, s:o}", "version", (json_int_t)answers->waiters.version, "status",
			 node_status(answers));
}

static void on_done(void *arg, json_t *answer, const struct err *err)
{
	struct client *client = arg;

	if (answer)
		client_answer(client, answer);
	else /* what is gone is not the daemon */
		client_refuse(client, err->code == ERR_GONE ? ERR_REFUSED : err->code, err->text);
}

static void answer_rollback(struct runtime *runtime, struct client *client, const json_t *request)
{
	const char *rev = json_string_value(json_object_get(request, "rev"));
	const char *reason = json_string_value(json_object_get(request, "reason"));

	if (!rev)
		client_refuse(client, ERR_CORRUPT, "the request names no revision");
	else
		runtime_rollback(runtime, rev, reason ? reason : "", on_done, client);
}

char *node_line(const struct node_answers *answers)
{
	json_t *status, *rejected;
	const char *release;
	char *text, *line;

	if (!answers->runtime)
		return text_copy("starting");
	status = runtime_status(answers->runtime);
	release = json_string_value(json_object_get(status, "transactionId"));
	rejected = json_object_get(status, "rejected");
	text = release ? text_format(
				 " sequence %lld (%.12s)",
				 (long long)json_integer_value(json_object_get(status, "sequence")),
				 release)
		       : text_copy(" no release yet");
	line = text_format(
		"node of role %s: %s,%s%s%s%s", json_string_value(json_object_get(status, "role")),
		json_string_value(json_object_get(status, "nodeState")), text,
		json_is_object(json_object_get(status, "held")) ? "; held" : "",
		json_is_object(rejected) ? "; newest release rejected: " : "",
		json_is_object(rejected) ? json_string_value(json_object_get(rejected, "reason"))
					 : "");
	free(text);
	json_decref(status);
	return line;
}

void node_answer(void *arg, struct client *client, const json_t *request)
{
	struct node_answers *answers = arg;
	const char *what = json_string_value(json_object_get(request, "do"));

	if (!what || !answers->runtime)
		client_refuse(client, ERR_RETRY, "the node is starting");
	else if (strcmp(what, "log") == 0)
		client_answer(client, json_pack("{s:o}", "log", runtime_log(answers->runtime)));
	else if (strcmp(what, "rollback") == 0)
		answer_rollback(answers->runtime, client, request);
	else if (strcmp(what, "resume") == 0)
		runtime_resume(answers->runtime, on_done, client);
	else if (strcmp(what, "status") != 0)
		client_refuse(
			client, ERR_REFUSED,
			"the daemon does not know this request: is it older than this program?");
	else if (!waiters_add(&answers->waiters, client, request))
		client_answer(client, status_document(answers));
}

void node_client_gone(void *arg, struct client *client)
{
	struct node_answers *answers = arg;

	waiters_forget(&answers->waiters, client);
	if (answers->runtime)
		runtime_forget(answers->runtime, client);
}

void node_changed(void *arg)
{
	struct node_answers *answers = arg;

	if (answers->runtime)
		waiters_wake(&answers->waiters, status_document, answers);
}
