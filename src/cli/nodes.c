/* muster nodes: the nodes of the cluster. */
#include "cli/cli.h"
#include "control/client.h"
#include "core/limits.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct option options[] = {
	{"json", no_argument, NULL, 'j'}, {"watch", no_argument, NULL, 'w'}, {NULL, 0, NULL, 0}};

static const char *held_word(const json_t *held)
{
	if (!json_is_object(held))
		return "";
	if (json_is_true(json_object_get(held, "pending")))
		return "hold pending";
	return strcmp(cli_string(held, "by"), "node") == 0 ? "by itself" : "by the admin";
}

/* Why it does not run the newest: a hold comes before what it rejected. */
static const char *reason_of(const json_t *node)
{
	const json_t *held = json_object_get(node, "held"), *rejected = json_object_get(node, "rejected");

	return json_is_object(held) ? cli_string(held, "reason") : cli_string(rejected, "reason");
}

static void print_node(const json_t *node)
{
	char behind[32], release[16] = "";

	(void)snprintf(behind, sizeof(behind), "%lld",
		       (long long)json_integer_value(json_object_get(node, "behind"))); /* fits */
	if (cli_string(node, "transactionId"))
		(void)snprintf(release, sizeof(release), "%.12s", cli_string(node, "transactionId")); /* fits */
	cli_field(cli_string(node, "name"), 20);
	cli_field(cli_string(node, "role"), 16);
	cli_field(json_is_true(json_object_get(node, "connected")) ? cli_string(node, "nodeState") : "away", 8);
	cli_field(release, 12);
	cli_field(behind, 6);
	cli_field(cli_string(node, "lastContact"), 20);
	cli_field(held_word(json_object_get(node, "held")), 12);
	cli_field(reason_of(node), 0);
}

static void print_table(const json_t *nodes)
{
	size_t i;
	json_t *node;

	(void)printf("%-20s  %-16s  %-8s  %-12s  %-6s  %-20s  %-12s  %s\n", "NAME", "ROLE", "STATE", "RELEASE",
		     "BEHIND", "LAST CONTACT", "HELD", "REASON"); /* checked at exit */
	json_array_foreach(nodes, i, node)
		print_node(node);
}

static int print(const json_t *answer, bool json, struct err *err)
{
	const json_t *nodes = json_object_get(answer, "nodes");

	if (json)
		return cli_print_json(nodes, err);
	print_table(nodes);
	return fflush(stdout) == 0 ? CLI_DONE : CLI_FAILED;
}

/* Once more at each change, until the daemon goes or the user has seen enough. */
static int watch(struct cli *cli, bool json, struct err *err)
{
	struct ask *conversation;
	json_int_t version = 0;
	json_t *answer;
	int rc = CLI_DONE;

	if (ask_open(cli->home, CONTROL_ADMIN, &conversation, err) != 0)
		return CLI_NO_DAEMON;
	while (rc == CLI_DONE) {
		json_t *request = json_pack("{s:s, s:I}", "do", "nodes", "after", version);

		if (ask(conversation, request, WAIT_CONTROL, &answer, err) != 0) {
			if (err->code == ERR_GONE)
				break;
			ask_close(conversation); /* nothing changed for a while: a fresh conversation */
			if (ask_open(cli->home, CONTROL_ADMIN, &conversation, err) != 0)
				return CLI_NO_DAEMON;
			continue;
		}
		version = json_integer_value(json_object_get(answer, "version"));
		if (!json && isatty(STDOUT_FILENO))
			(void)fputs("\033[H\033[2J", stdout); /* a fresh screen; checked with what follows */
		rc = print(answer, json, err);
		json_decref(answer);
	}
	ask_close(conversation);
	return rc == CLI_DONE ? CLI_NO_DAEMON : rc;
}

int cmd_nodes(struct cli *cli, int argc, char **argv, struct err *err)
{
	bool json = false, watching = false;
	json_t *answer = NULL;
	int option, rc;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option != 'j' && option != 'w')
			return cli_usage(err, "wrong option");
		json |= option == 'j';
		watching |= option == 'w';
	}
	if (optind < argc)
		return cli_usage(err, "nodes takes no \"%s\"", argv[optind]);
	if (watching)
		return watch(cli, json, err);
	rc = cli_ask(cli, CONTROL_ADMIN, json_pack("{s:s}", "do", "nodes"), WAIT_CONTROL, &answer, err);
	if (rc == CLI_DONE)
		rc = print(answer, json, err);
	json_decref(answer);
	return rc;
}
