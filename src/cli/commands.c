/* The table of the subcommands. */
#include "cli/cli.h"

const struct command commands[] = {
	{"init", "[--host HOST] [--port PORT]", "set up an admin home", cmd_init},
	{"check", "[--role ROLE] [REV]", "check the work tree as a publication would", cmd_check},
	{"commit", "[-m MSG] [--wait[=SECONDS]] [PATH...]", "check, commit and publish", cmd_commit},
	{"publish", "[REV]", "publish in this process, without a daemon", cmd_publish},
	{"nodes", "[--json] [--watch]", "the nodes of the cluster", cmd_nodes},
	{"slice", "--role ROLE [REV]", "what a role would get", cmd_slice},
	{"bundle", "--role ROLE", "a git bundle of a role's releases for a node's etc/init", cmd_bundle},
	{"secret", "rotate | promote [--force] | role-key ROLE | list [--json]", "the configuration secret", cmd_secret},
	{"verify", "--cluster FILE [--role ROLE] REPO", "check a release history offline", cmd_verify},
	{"status", "[--json]", "the state of this admin or node", cmd_status},
	{"log", "[-n N] [--json]", "the releases this node has had", cmd_log},
	{"wait", "[--state S] [--release REV] [--sequence N] [--timeout SECONDS]", "wait for a node's state",
	 cmd_wait},
	{"request", "environments environment generate-cluster host HOST [port PORT]",
	 "print a cluster configuration", cmd_request},
	{"filter", "PATH", NULL, cmd_filter}, /* git calls these two */
	{"hook", "NAME", NULL, cmd_hook},
	{0},
};
