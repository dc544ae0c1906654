/* Following a publication to the nodes, for `muster commit --wait`. */
#ifndef MUSTER_CLI_FOLLOW_H
#define MUSTER_CLI_FOLLOW_H

#include "cli/cli.h"

/*
 * Waits until every connected node of the roles that PUBLICATION changed, but for held ones, runs its release. Prints who does;
 * nodes that are away are named. CLI_FAILED when one rejects it, CLI_TIMEOUT when LIMIT_MS is over.
 */
int follow_publication(struct cli *cli, const json_t *publication, unsigned limit_ms, struct err *err);

#endif
