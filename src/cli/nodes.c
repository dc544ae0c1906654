/* muster nodes: the nodes of the cluster, and who belongs to it. */
#include "cli/cli.h"
#include "control/client.h"
#include "core/limits.h"
#include "core/text.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct option options[] = {
	{"json", no_argument, NULL, 'j'},
	{"key", required_argument, NULL, 'k'},
	{"watch", no_argument, NULL, 'w'},
	{NULL, 0, NULL, 0},
};

static const char *held_word(const json_t *held)
{
	if (!json_is_object(held))
		return "";
	if (json_is_true(json_object_get(held, "pending")))
		return "hold pending";
	return strcmp(cli_string(held, "by"), "node") == 0 ? "by itself" : "by the admin";
}

/*
 * Why it does not run the newest: that there is none here for it, then a hold, then what it
 * rejected.
 */
static const char *reason_of(const json_t *node)
{
	const json_t *held = json_object_get(node, "held"),
		     *rejected = json_object_get(node, "rejected");

	if (json_is_true(json_object_get(node, "ahead")))
		return "has a release that this admin does not: muster restore --from its replica "
		       "or a mirror";
	return json_is_object(held) ? cli_string(held, "reason") : cli_string(rejected, "reason");
}

/* Whether it gets anything; the command for those who wait stands below the table. */
static const char *member_word(const json_t *node)
{
	if (json_is_true(json_object_get(node, "revoked")))
		return "revoked";
	if (!json_is_true(json_object_get(node, "approved")))
		return "waits";
	return json_is_object(json_object_get(node, "claim")) ? "claimed" : "approved";
}

static void print_node(const json_t *node)
{
	char behind[32], release[16] = "";

	(void)snprintf(behind, sizeof(behind), "%lld",
		       (long long)json_integer_value(json_object_get(node, "behind"))); /* fits */
	if (cli_string(node, "transactionId"))
		(void)snprintf(release, sizeof(release), "%.12s",
			       cli_string(node, "transactionId")); /* fits */
	cli_field(cli_string(node, "name"), 20);
	cli_field(cli_string(node, "role"), 16);
	cli_field(json_is_true(json_object_get(node, "connected")) ? cli_string(node, "nodeState")
								   : "away",
		  8);
	cli_field(member_word(node), 8);
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

	(void)printf("%-20s  %-16s  %-8s  %-8s  %-12s  %-6s  %-20s  %-12s  %s\n", "NAME", "ROLE",
		     "STATE", "MEMBER", "RELEASE", "BEHIND", "LAST CONTACT", "HELD",
		     "REASON"); /* checked at exit */
	json_array_foreach(nodes, i, node)
		print_node(node);
}

/* Who waits for a decision, and how it is made. */
static void print_waiting(const json_t *nodes)
{
	size_t i;
	json_t *node;

	json_array_foreach(nodes, i, node) {
		const json_t *claim = json_object_get(node, "claim");
		const char *name = cli_string(node, "name");

		if (json_is_object(claim)) /* checked at exit, as what follows is */
			(void)printf("\n%s is wanted by another: role %s, key %s\n"
				     "  muster nodes approve %s --key %s   lets that one have the "
				     "name\n",
				     name, cli_string(claim, "role"), cli_string(claim, "key"),
				     name, cli_string(claim, "key"));
		else if (strcmp(member_word(node), "waits") == 0)
			(void)printf(
				"\n%s waits for approval: role %s, key %s%s\n"
				"  muster nodes approve %s --key %s   gives it what its role has\n",
				name, cli_string(node, "role"), cli_string(node, "key"),
				json_is_true(json_object_get(node, "connected")) ? "" : " (away)",
				name, cli_string(node, "key"));
	}
}

static void print_revoked(const json_t *revoked)
{
	size_t i;
	json_t *key;

	if (json_array_size(revoked))
		(void)printf("\nrevoked keys, which are refused for good:\n"); /* checked at exit */
	json_array_foreach(revoked, i, key)(void) printf(
		"  %s  of %s, role %s, since %s\n", cli_string(key, "key"), cli_string(key, "name"),
		cli_string(key, "role"), cli_string(key, "at")); /* ditto */
}

static int print(const json_t *answer, bool json, struct err *err)
{
	const json_t *nodes = json_object_get(answer, "nodes");

	if (json)
		return cli_print_json(nodes, err);
	print_table(nodes);
	print_waiting(nodes);
	print_revoked(json_object_get(answer, "revoked"));
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
			/* nothing changed for a while: a fresh conversation */
			ask_close(conversation);
			if (ask_open(cli->home, CONTROL_ADMIN, &conversation, err) != 0)
				return CLI_NO_DAEMON;
			continue;
		}
		version = json_integer_value(json_object_get(answer, "version"));
		if (!json && isatty(STDOUT_FILENO))
			/* a fresh screen; checked with what follows */
			(void)fputs("\033[H\033[2J", stdout);
		rc = print(answer, json, err);
		json_decref(answer);
	}
	ask_close(conversation);
	return rc == CLI_DONE ? CLI_NO_DAEMON : rc;
}

/* --- membership --- */

static void print_approved(const json_t *answer)
{
	const char *node = cli_string(answer, "node");

	if (!json_is_true(json_object_get(answer, "changed")))
		/* checked at exit, as what follows is */
		(void)printf("%s is approved already", node);
	else
		(void)printf("%s is approved%s", node,
			     json_is_true(json_object_get(answer, "replaced"))
				     ? ", in the place of who had the name"
				     : "");
	(void)printf(": role %s, key %s\n", cli_string(answer, "role"), cli_string(answer, "key"));
}

/* What it knew, and how that is made worthless. */
static void print_revoked_node(const json_t *answer)
{
	const char *node = cli_string(answer, "node"), *role = cli_string(answer, "role");
	size_t i;
	json_t *join;

	(void)printf("%s is revoked: its key %s is refused for good\n", node,
		     cli_string(answer, "key")); /* ditto */
	json_array_foreach(json_object_get(answer, "joinKeys"), i, join) {
		const char *of = cli_string(join, "role");
		char *text = strcmp(of, "*") == 0
				     ? text_copy("any role")
				     : text_format("role %s", *of ? of : "(one it had before)");

		(void)printf("it knows the join key of epoch %lld for %s: whoever comes with that "
			     "and is not known "
			     "waits for approval\n",
			     (long long)json_integer_value(json_object_get(join, "epoch")),
			     text); /* ditto */
		free(text);
	}
	(void)printf("to be rotated: the join key (genclust --rotate, and --retire when all nodes "
		     "have it), and what opens the "
		     "secrets of role %s (muster secret rotate)\n",
		     role); /* ditto */
}

static void print_member(const char *act, const json_t *answer)
{
	if (strcmp(act, "approve") == 0)
		print_approved(answer);
	else if (strcmp(act, "revoke") == 0)
		print_revoked_node(answer);
	else
		(void)printf("%s is forgotten\n", cli_string(answer, "node")); /* checked at exit */
}

/* ACT NAME */
static int change(struct cli *cli, char **args, int count, const char *key, struct err *err)
{
	static const char *const acts[] = {"approve", "revoke", "forget"};
	json_t *request, *answer = NULL;
	bool known = false;
	int rc;

	for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++)
		known |= strcmp(args[0], acts[i]) == 0;
	if (!known)
		return cli_usage(err, "nodes takes no \"%s\"", args[0]);
	if (count != 2 || !*args[1])
		return cli_usage(err, "nodes %s takes the name of one node", args[0]);
	request = json_pack("{s:s, s:s, s:s, s:s*}", "do", "member", "act", args[0], "node",
			    args[1], "key", key);
	if (!request)
		return cli_usage(err, "a node's name and key are text in UTF-8");
	rc = cli_ask(cli, CONTROL_ADMIN, request, WAIT_PUBLISH, &answer, err);
	if (rc == CLI_DONE)
		print_member(args[0], answer);
	json_decref(answer);
	return rc;
}

int cmd_nodes(struct cli *cli, int argc, char **argv, struct err *err)
{
	bool json = false, watching = false;
	const char *key = NULL;
	json_t *answer = NULL;
	int option, rc;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if ((option != 'j' && option != 'w' && option != 'k') || (option == 'k' && key))
			return cli_wrong_option(option, argv, err);
		json |= option == 'j';
		watching |= option == 'w';
		if (option == 'k')
			key = optarg;
	}
	if (optind < argc && (json || watching))
		return cli_usage(err, "--json and --watch go with no command");
	if (optind < argc)
		return change(cli, argv + optind, argc - optind, key, err);
	if (key)
		return cli_usage(err, "--key goes with approve, revoke or forget");
	if (watching)
		return watch(cli, json, err);
	rc = cli_ask(cli, CONTROL_ADMIN, json_pack("{s:s}", "do", "nodes"), WAIT_CONTROL, &answer,
		     err);
	if (rc == CLI_DONE)
		rc = print(answer, json, err);
	json_decref(answer);
	return rc;
}
