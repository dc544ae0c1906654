/* What becomes of a new commit of main: its publication, and for --wait the nodes that take it. */
#ifndef MUSTER_CLI_FOLLOW_H
#define MUSTER_CLI_FOLLOW_H

#include "cli/cli.h"

enum { FOLLOW_WAIT = 60000 /* milliseconds that --wait waits unless told otherwise */ };

struct follow_wish {
	bool json; /* print the publication as it is, not as lines */
	bool wait; /* for the nodes */
	unsigned wait_ms;
};

/*
 * Publishes COMMIT: by the daemon, which tells the nodes, or without one in this process. Prints
 * what came of it. With WAIT then waits until every connected node of the roles that changed, but
 * for held ones, runs its release, and prints who does; nodes that are away or held are named.
 * CLI_FAILED when it is refused or a node rejects it, CLI_TIMEOUT when the time is up.
 */
int follow_commit(struct cli *cli, const struct oid *commit, const struct follow_wish *wish,
		  struct err *err);

#endif
