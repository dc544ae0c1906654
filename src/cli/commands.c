/* The table of the subcommands. */
#include "cli/cli.h"

const struct command commands[] = {
	{"init", "[--host HOST] [--port PORT]", "set up an admin home", cmd_init},
	{"check", "[--role ROLE] [REV]", "check the work tree as a publication would", cmd_check},
	{"commit", "[-m MSG] [--wait[=SECONDS]] [PATH...]", "check, commit and publish", cmd_commit},
	{"get", "PATH [--reveal]", "what the configuration says at a path", cmd_get},
	{"set", "PATH VALUE", "edit the work tree: a value, - reads it from standard input", cmd_set},
	{"delete", "PATH", "edit the work tree: take something away", cmd_delete},
	{"edit", "[FILE]", "$EDITOR on a file of the work tree, checked when saved", cmd_edit},
	{"diff", "[REV [REV]] [--role ROLE] [--reveal]", "how the configuration differs, by path", cmd_diff},
	{"rollback", "REV [-m MSG] [--wait[=SECONDS]] | --node NAME REV [--reason TEXT]",
	 "go back: the whole cluster, or one node", cmd_rollback},
	{"resume", "--node NAME", "let a node that is held follow again", cmd_resume},
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
