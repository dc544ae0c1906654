/*
 * muster rollback --here and resume --here: what a node's daemon is asked. Each gives an exit code.
 */
#ifndef MUSTER_CLI_HERE_H
#define MUSTER_CLI_HERE_H

#include "cli/cli.h"

/* REASON NULL: none is given. */
int rollback_here(struct cli *cli, const char *rev, const char *reason, struct err *err);
int resume_here(struct cli *cli, struct err *err);

#endif
