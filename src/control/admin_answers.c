/*
 * What the admin's control socket answers: status, nodes, membership, publish, pin, keys, and what
 * sealing.c does.
 */
#include "control/answers.h"

#include "admin/show.h"
#include "control/sealing.h"
#include "core/text.h"

#include <string.h>

static json_t *nodes_document(void *arg)
{
	struct admin_answers *answers = arg;

	return json_pack("{s:I, s:o, s:o}", "version", (json_int_t)answers->waiters.version,
			 "nodes", show_nodes(answers->serve), "revoked",
			 show_revoked(answers->serve));
}

json_t *admin_status(struct admin_answers *answers)
{
	json_t *admin = show_status(answers->identity, answers->admin, answers->serve,
				    answers->listen_host);
	json_t *both;

	if (!answers->runtime)
		return endpoints_add(answers->endpoints, admin);
	both = runtime_status(answers->runtime);
	(void)json_object_set_new(both, "adminNode", admin); /* only out of memory */
	return endpoints_add(answers->endpoints, both);
}

char *admin_line(const struct admin_answers *answers)
{
	const struct admin_state *state = answers->admin ? admin_state(answers->admin) : NULL;
	char hex[OID_HEX_SIZE];

	if (!state)
		return text_copy("starting");
	if (admin_failure(answers->admin))
		return text_format("admin: publishing fails: %s", admin_failure(answers->admin));
	if (state->has_refused)
		return text_format("admin: %.12s is refused at %s: %s",
				   oid_hex(&state->refused_source, hex), state->step,
				   state->reason_count > 0 ? state->reasons[0] : "");
	if (!state->has_published)
		return text_copy("admin: nothing is published yet");
	return text_format("admin: %.12s is published for %zu roles", oid_hex(&state->source, hex),
			   state->role_count);
}

static void on_published(void *arg, const struct publication *publication, const struct err *err)
{
	struct client *client = arg;

	if (publication)
		client_answer(client, show_publication(publication));
	else
		client_refuse(client, err->code, err->text);
}

static void answer_publish(struct admin_answers *answers, struct client *client,
			   const json_t *request)
{
	const char *hex = json_string_value(json_object_get(request, "commit"));
	struct oid commit;

	if (hex && oid_parse(hex, &commit) != 0)
		client_refuse(client, ERR_CORRUPT, "the commit is no object id");
	else
		admin_publish(answers->admin, hex ? &commit : NULL, on_published, client);
}

void admin_answer(void *arg, struct client *client, const json_t *request)
{
	struct admin_answers *answers = arg;
	const char *what = json_string_value(json_object_get(request, "do"));

	if (!what || !answers->serve || !answers->admin)
		client_refuse(client, ERR_RETRY, "the admin is starting");
	else if (strcmp(what, "status") == 0)
		client_answer(client, admin_status(answers));
	else if (sealing_answers(what))
		sealing_answer(answers->home, client, request);
	else if (strcmp(what, "publish") == 0)
		answer_publish(answers, client, request);
	else if (strcmp(what, "pin") == 0)
		pin_answer(answers, client, request);
	else if (strcmp(what, "member") == 0)
		member_answer(answers, client, request);
	else if (strcmp(what, "keys") == 0)
		key_answer(answers, client, request);
	else if (strcmp(what, "nodes") != 0)
		client_refuse(
			client, ERR_REFUSED,
			"the daemon does not know this request: is it older than this program?");
	else if (!waiters_add(&answers->waiters, client, request))
		client_answer(client, nodes_document(answers));
}

void admin_client_gone(void *arg, struct client *client)
{
	struct admin_answers *answers = arg;

	waiters_forget(&answers->waiters, client);
	member_client_gone(answers, client);
	pin_client_gone(answers, client);
	key_client_gone(answers, client);
	if (answers->admin)
		admin_forget(answers->admin, client);
}

void admin_changed(void *arg)
{
	struct admin_answers *answers = arg;

	if (answers->serve)
		waiters_wake(&answers->waiters, nodes_document, answers);
}
