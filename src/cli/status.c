/* muster status: the state of this admin, or of this node. */
#include "cli/cli.h"
#include "control/client.h"
#include "core/limits.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static const struct option options[] = {{"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};

static void line(const char *word, const char *text)
{
	cli_field(word, 12);
	cli_field(text, 0);
}

static void print_node(const json_t *status)
{
	const json_t *admin = json_object_get(status, "admin"),
		     *rejected = json_object_get(status, "rejected");
	const json_t *held = json_object_get(status, "held");
	char *text =
		text_format("%s, role %s", cli_string(status, "name"), cli_string(status, "role"));

	line("node", text);
	free(text);
	line("state", cli_string(status, "nodeState"));
	text = text_format(
		"%s, sequence %lld, since %s",
		cli_string(status, "transactionId") ? cli_string(status, "transactionId") : "none",
		(long long)json_integer_value(json_object_get(status, "sequence")),
		cli_string(status, "activatedAt") ? cli_string(status, "activatedAt") : "-");
	line("release", text);
	free(text);
	line("source", cli_string(status, "source"));
	if (json_is_object(admin)) {
		text = text_format("%s port %lld, %s", cli_string(admin, "host"),
				   (long long)json_integer_value(json_object_get(admin, "port")),
				   !json_is_true(json_object_get(admin, "connected")) ? "away"
				   : !json_is_true(json_object_get(admin, "approved"))
					   ? "connected, not approved"
					   : "connected");
		line("admin", text);
		free(text);
		if (cli_string(admin, "reason"))
			line("  reason", cli_string(admin, "reason"));
		line("key", cli_string(admin, "key"));
	}
	if (json_is_object(held)) {
		text = text_format("by the %s at %s, since %s: %s", cli_string(held, "by"),
				   cli_string(held, "release"),
				   cli_string(held, "since") ? cli_string(held, "since") : "-",
				   cli_string(held, "reason"));
		line("held", text);
		free(text);
	}
	if (json_is_object(rejected)) {
		const char *release = cli_string(rejected, "release");

		text = text_format("%s at %s: %s", release ? release : "-",
				   cli_string(rejected, "step"), cli_string(rejected, "reason"));
		line("rejected", text);
		free(text);
	}
}

static void print_admin(const json_t *status)
{
	const json_t *published = json_object_get(status, "published"),
		     *refused = json_object_get(status, "refused");
	json_t *value;
	const char *key;
	size_t i;

	line("cluster", cli_string(status, "cluster"));
	line("listens", cli_string(status, "listen"));
	line("head", cli_string(status, "head"));
	line("published", cli_string(published, "source"));
	json_object_foreach(json_object_get(published, "roles"), key, value) {
		char *text = text_format(
			"%s  release %.12s  sequence %lld", key, cli_string(value, "release"),
			(long long)json_integer_value(json_object_get(value, "sequence")));

		line("  role", text);
		free(text);
	}
	if (json_is_object(refused)) {
		line("refused", cli_string(refused, "source"));
		json_array_foreach(json_object_get(refused, "reasons"), i, value)
			line("  reason", json_string_value(value));
	}
	if (cli_string(status, "failed"))
		line("failed", cli_string(status, "failed"));
	json_object_foreach(json_object_get(status, "nodes"), key, value) {
		char *text = text_format("%lld %s", (long long)json_integer_value(value), key);

		line("nodes", text);
		free(text);
	}
	if (json_integer_value(json_object_get(status, "unapproved")) > 0) {
		char *text = text_format(
			"%lld nodes: muster nodes",
			(long long)json_integer_value(json_object_get(status, "unapproved")));

		line("unapproved", text);
		free(text);
	}
	if (json_integer_value(json_object_get(status, "held")) > 0) {
		char *text =
			text_format("%lld nodes",
				    (long long)json_integer_value(json_object_get(status, "held")));

		line("held", text);
		free(text);
	}
	if (json_integer_value(json_object_get(status, "ahead")) > 0) {
		char *text = text_format(
			"%lld nodes have releases that this admin does not: is it an older copy? "
			"muster restore --from a node's var/node/replica.git or a mirror",
			(long long)json_integer_value(json_object_get(status, "ahead")));

		line("ahead", text);
		free(text);
	}
}

/* The admin's socket answers for both in a process that is both. */
static int fetch(struct cli *cli, json_t **out, struct err *err)
{
	json_t *answer = NULL;
	int rc = cli_ask(cli, CONTROL_ADMIN, json_pack("{s:s}", "do", "status"), WAIT_CONTROL, out,
			 err);

	if (rc != CLI_NO_DAEMON)
		return rc;
	rc = cli_ask(cli, CONTROL_NODE, json_pack("{s:s}", "do", "status"), WAIT_CONTROL, &answer,
		     err);
	if (rc == CLI_DONE)
		*out = json_incref(json_object_get(answer, "status"));
	json_decref(answer);
	return rc;
}

int cmd_status(struct cli *cli, int argc, char **argv, struct err *err)
{
	bool json = false;
	json_t *status = NULL;
	int option, rc;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option != 'j')
			return cli_wrong_option(option, argv, err);
		json = true;
	}
	if (optind < argc)
		return cli_usage(err, "status takes no \"%s\"", argv[optind]);
	rc = fetch(cli, &status, err);
	if (rc == CLI_DONE && json) {
		rc = cli_print_json(status, err);
	} else if (rc == CLI_DONE) {
		const json_t *admin = json_object_get(status, "adminNode");

		if (json_object_get(status, "nodeState"))
			print_node(status);
		if (admin || !json_object_get(status, "nodeState"))
			print_admin(admin ? admin : status);
	}
	json_decref(status);
	return rc;
}
