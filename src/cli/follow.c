/* A new commit of main, its publication, and the nodes that take it: see follow.h. */
#include "cli/follow.h"

#include "control/client.h"
#include "core/limits.h"
#include "core/loop.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Where the nodes of the changed roles are. */
struct progress {
	size_t wanted, done;
	const json_t *rejecting; /* a node that rejects it, borrowed from the answer */
	const json_t *missing;	 /* one that does not run it yet */
};

/* The role's entry in the publication, if it was changed. */
static const json_t *changed_role(const json_t *publication, const char *name)
{
	size_t i;
	json_t *role;

	json_array_foreach(json_object_get(publication, "roles"), i, role)
		if (json_is_true(json_object_get(role, "changed")) && name &&
		    strcmp(cli_string(role, "role"), name) == 0)
			return role;
	return NULL;
}

static void look_at(const json_t *node, const json_t *role, struct progress *progress)
{
	json_int_t wanted = json_integer_value(json_object_get(role, "sequence"));
	json_int_t has = json_integer_value(json_object_get(node, "sequence"));
	const json_t *rejected = json_object_get(node, "rejected");

	progress->wanted++;
	if (has >= wanted)
		progress->done++;
	else if (json_is_object(rejected) &&
		 json_integer_value(json_object_get(rejected, "sequence")) >= wanted)
		progress->rejecting = node;
	else
		progress->missing = node;
}

static struct progress look(const json_t *publication, const json_t *nodes)
{
	struct progress progress = {0};
	size_t i;
	json_t *node;

	json_array_foreach(nodes, i, node) {
		const json_t *role = changed_role(publication, cli_string(node, "role"));

		if (role && json_is_true(json_object_get(node, "connected")) &&
		    json_is_true(json_object_get(node, "approved")) &&
		    json_is_null(json_object_get(node, "held")))
			look_at(node, role, &progress);
	}
	return progress;
}

static bool changes_any(const json_t *publication)
{
	size_t i;
	json_t *role;

	json_array_foreach(json_object_get(publication, "roles"), i, role)
		if (json_is_true(json_object_get(role, "changed")))
			return true;
	return false;
}

/* What became of each node of the changed roles. */
static void print_nodes(const json_t *publication, const json_t *nodes)
{
	size_t i, count = 0;
	json_t *node;

	json_array_foreach(nodes, i, node) {
		const json_t *role = changed_role(publication, cli_string(node, "role"));
		const char *what = "not yet";

		if (!role)
			continue;
		if (json_integer_value(json_object_get(node, "sequence")) >=
		    json_integer_value(json_object_get(role, "sequence")))
			what = "runs it";
		else if (json_is_object(json_object_get(node, "held")))
			what = "is held: it gets it when that ends";
		else if (!json_is_true(json_object_get(node, "approved")))
			what = "is not approved: it gets nothing";
		else if (!json_is_true(json_object_get(node, "connected")))
			what = "is away: it gets it when it is back";
		else if (json_is_object(json_object_get(node, "rejected")))
			what = "rejects it";
		count++;
		cli_field(cli_string(node, "name"), 20);
		cli_field(cli_string(node, "role"), 16);
		(void)puts(what); /* checked at exit */
	}
	if (count == 0 && changes_any(publication))
		(void)puts("no node of these roles is known yet"); /* ditto */
}

static void print_progress(const struct progress *progress)
{
	enum { WIDTH = 30 };
	char bar[WIDTH + 1];
	size_t filled = progress->wanted ? progress->done * WIDTH / progress->wanted : WIDTH;

	if (!isatty(STDERR_FILENO))
		return;
	memset(bar, '.', WIDTH);
	memset(bar, '#', filled);
	bar[WIDTH] = '\0';
	(void)fprintf(stderr, "\r[%s] %zu of %zu nodes%s", bar, progress->done, progress->wanted,
		      progress->done == progress->wanted ? "\n" : ""); /* only for the eyes */
}

/* One look at an answer: CLI_DONE when all run it, CLI_FAILED when one rejects it, -1 to go on. */
static int judge(const json_t *publication, const json_t *answer, struct err *err)
{
	const json_t *nodes = json_object_get(answer, "nodes"), *rejected;
	struct progress progress = look(publication, nodes);

	print_progress(&progress);
	if (progress.rejecting) {
		print_nodes(publication, nodes);
		rejected = json_object_get(progress.rejecting, "rejected");
		(void)err_set(err, ERR_REFUSED, "node %s rejects the release at %s: %s",
			      cli_string(progress.rejecting, "name"), cli_string(rejected, "step"),
			      cli_string(rejected, "reason"));
		return CLI_FAILED;
	}
	if (progress.done < progress.wanted)
		return -1;
	print_nodes(publication, nodes);
	return CLI_DONE;
}

/* Until every node that is to take it has, or one will not. */
static int follow(struct cli *cli, const json_t *publication, unsigned limit_ms, struct err *err)
{
	uint64_t deadline = loop_now() + limit_ms, now;
	json_int_t version = 0;
	json_t *answer = NULL;
	struct ask *conversation;
	int rc = -1;

	if (ask_open(cli->home, CONTROL_ADMIN, &conversation, err) != 0)
		return CLI_NO_DAEMON;
	while (rc < 0 && (now = loop_now()) < deadline) {
		json_t *request = json_pack("{s:s, s:I}", "do", "nodes", "after", version);
		json_t *next = NULL;

		if (ask(conversation, request, (unsigned)(deadline - now), &next, err) != 0) {
			rc = err->code == ERR_RETRY ? CLI_TIMEOUT : CLI_NO_DAEMON;
			break;
		}
		json_decref(answer);
		answer = next;
		version = json_integer_value(json_object_get(answer, "version"));
		rc = judge(publication, answer, err);
	}
	if (rc < 0 || rc == CLI_TIMEOUT) {
		rc = CLI_TIMEOUT;
		print_nodes(publication, json_object_get(answer, "nodes"));
		(void)err_set(err, ERR_RETRY, "not every node runs it within %u s",
			      limit_ms / 1000);
	}
	json_decref(answer);
	ask_close(conversation);
	return rc;
}

/* By the daemon, which tells the nodes; without one in this process. */
static int publish(struct cli *cli, const struct oid *commit, bool wait, json_t **out,
		   struct err *err)
{
	char hex[OID_HEX_SIZE];
	int rc = cli_ask(cli, CONTROL_ADMIN,
			 json_pack("{s:s, s:s}", "do", "publish", "commit", oid_hex(commit, hex)),
			 WAIT_PUBLISH, out, err);

	if (rc != CLI_NO_DAEMON)
		return rc;
	if (cli_publish_here(cli, commit, out, err) != 0)
		return CLI_FAILED;
	if (!wait)
		return CLI_DONE;
	(void)err_set(
		err, ERR_GONE,
		"published, but no daemon runs that would tell the nodes: start musterd --admin");
	return CLI_NO_DAEMON;
}

int follow_commit(struct cli *cli, const struct oid *commit, const struct follow_wish *wish,
		  struct err *err)
{
	json_t *publication = NULL;
	int rc = publish(cli, commit, wish->wait, &publication, err);

	if (publication && cli_verdict(publication, err) != CLI_DONE)
		rc = CLI_FAILED;
	else if (publication && wish->json)
		(void)cli_print_json(publication, err); /* checked at exit */
	else if (publication)
		cli_print_roles(publication);
	if (rc == CLI_DONE && wish->wait)
		rc = follow(cli, publication, wish->wait_ms, err);
	json_decref(publication);
	return rc;
}
