/* What a node's control socket answers: status, log. */
#include "control/answers.h"

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

void node_answer(void *arg, struct client *client, const json_t *request)
{
	struct node_answers *answers = arg;
	const char *what = json_string_value(json_object_get(request, "do"));

	if (!what || !answers->runtime)
		client_refuse(client, ERR_RETRY, "the node is starting");
	else if (strcmp(what, "log") == 0)
		client_answer(client, json_pack("{s:o}", "log", runtime_log(answers->runtime)));
	else if (strcmp(what, "status") != 0)
		client_refuse(client, ERR_REFUSED, "the daemon does not know this request: is it older than this program?");
	else if (!waiters_add(&answers->waiters, client, request))
		client_answer(client, status_document(answers));
}

void node_client_gone(void *arg, struct client *client)
{
	struct node_answers *answers = arg;

	waiters_forget(&answers->waiters, client);
}

void node_changed(void *arg)
{
	struct node_answers *answers = arg;

	if (answers->runtime)
		waiters_wake(&answers->waiters, status_document, answers);
}
