/* The table of the subcommands. A row without a function heads those that follow it in the help. */
#include "cli/cli.h"

const struct command commands[] = {
	{"", NULL, "the admin's configuration", NULL},
	{"init", "[--host HOST] [--port PORT]",
	 "set up an admin home\n"
	 "What etc/init holds is committed. HOST and PORT: where nodes reach this admin.\n",
	 cmd_init},
	{"check", "[--role ROLE] [REV]",
	 "look for what is wrong\n"
	 "The work tree, or a revision, as a publication would: FILE:LINE: PATH: reason.\n"
	 "  --role ROLE       also the parameters that nodes of a role need\n",
	 cmd_check},
	{"commit", "[-m MSG] [--allow-shrink] [--wait[=SECONDS]] [--json] [PATH...]",
	 "check, commit and publish\n"
	 "Secrets in the clear are sealed first. With PATHs only these files.\n"
	 "  -m MSG            the message\n"
	 "  --allow-shrink    a role may lose over half of its configuration\n"
	 "  --wait[=SECONDS]  until the nodes run it (60 seconds)\n",
	 cmd_commit},
	{"diff", "[--role ROLE] [--reveal] [REV [REV]]",
	 "what differs, by path\n"
	 "The work tree from main, or from a revision, or one revision from another.\n"
	 "  --role ROLE       in what that role gets\n"
	 "  --reveal          secrets in the clear\n",
	 cmd_diff},
	{"set", "PATH VALUE",
	 "edit the work tree\n"
	 "VALUE - reads it from standard input, as a secret must be. Commits nothing.\n",
	 cmd_set},
	{"delete", "PATH", "take something out of it\nCommits nothing.\n", cmd_delete},
	{"edit", "[FILE]",
	 "$EDITOR, with secrets open\n"
	 "On a copy in memory, which is sealed and checked when saved. Commits nothing.\n",
	 cmd_edit},
	{"rollback", "REV [-m MSG] [--wait[=SECONDS]] | --node NAME REV | --here REV",
	 "go back to a revision\n"
	 "The whole cluster, by a commit with its tree; one node, by a signed pin; or, on\n"
	 "a node, just this one, by what is on its disk.\n"
	 "  -m MSG            the message\n"
	 "  --wait[=SECONDS]  until the nodes run it (60 seconds)\n"
	 "  --reason TEXT     for who asks why the node is held\n",
	 cmd_rollback},
	{"resume", "--node NAME | --here",
	 "let a held node follow\n"
	 "  --here            on a node: also what failed may be tried again\n",
	 cmd_resume},
	{"publish", "[--json] [REV]", "publish without a daemon", cmd_publish},
	{"slice", "--role ROLE [REV]", "what a role would get", cmd_slice},
	{"secret", "rotate | promote [--force] | role-key ROLE | list [--json]",
	 "the configuration secret\n"
	 "  rotate            a new one, which opens and does not seal yet\n"
	 "  promote           it seals, and everything is sealed again\n"
	 "    --force         though there are nodes that cannot open it\n"
	 "  role-key ROLE     what the nodes of a role need in etc/secret\n"
	 "  list              which secrets there are, and who can open them\n",
	 cmd_secret},
	{"release-key", "rotate [--json]",
	 "the key that signs releases\n"
	 "  rotate            announced by the old one, which then signs nothing\n",
	 cmd_release_key},
	{"restore", "--from REPO [--role ROLE]",
	 "take releases back that are lost\n"
	 "From a node's replica or a mirror, when the admin came back from an older copy.\n",
	 cmd_restore},
	{"nodes", "[--json] [--watch] | approve|revoke|forget NAME [--key DIGITS]",
	 "the nodes of the cluster\n"
	 "  approve           it may have what its role has\n"
	 "  revoke            its key is refused for good\n"
	 "  forget            what is known of it goes, and its pin\n"
	 "  --key DIGITS      only if its key begins like this\n",
	 cmd_nodes},
	{"bundle", "--role ROLE", "releases for etc/init\nA git bundle on standard output.\n",
	 cmd_bundle},
	{"request", "environments environment generate-cluster host HOST [port PORT]",
	 "print a cluster file\nAs genclust does.\n", cmd_request},

	{"", NULL, "on a node", NULL},
	{"log", "[-n N] [--json]", "the releases it has had", cmd_log},
	{"wait", "[--state S] [--release REV] [--sequence N] [--timeout SECONDS]",
	 "wait until it is so\nExit code 4 when it is not in SECONDS (60).\n", cmd_wait},

	{"", NULL, "on both", NULL},
	{"status", "[--json]", "how it is", cmd_status},
	{"get", "PATH [--reveal]",
	 "the value at a path\n"
	 "  --reveal          secrets in the clear\n",
	 cmd_get},
	{"verify", "--cluster FILE [--role ROLE] REPO",
	 "check a release history\nOffline, as a node would; prints the first fault.\n",
	 cmd_verify},

	{"filter", "PATH", NULL, cmd_filter}, /* git calls these two */
	{"hook", "NAME", NULL, cmd_hook},
	{0},
};
