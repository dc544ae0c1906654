/* What the subcommands that look into and edit the authoring work tree share. */
#ifndef MUSTER_CLI_WORK_H
#define MUSTER_CLI_WORK_H

#include "cli/cli.h"
#include "core/fileset.h"

/* Opens the home; REFUSED when it is no admin home that is set up. */
int work_open(struct cli *cli, struct err *err);
/*
 * Seals what is in the clear in the files of the work tree, in SET. What cannot be is printed, and
 * REFUSED. By the secret of this process, else by the daemon's.
 */
int work_seal(struct cli *cli, struct fileset *set, struct err *err);
/* Opens the sealed values of a file of SET, in it; PATH NULL: of every file. The caller wipes them.
 */
int work_reveal(struct cli *cli, struct fileset *set, const char *path, struct err *err);
/*
 * A file or folder as a person names it, from the root of the work tree: in full, from the current
 * folder, or from that root already. It need not be there. A new string.
 */
char *work_path(const struct cli *cli, const char *asked);
/* Clears a set that may hold open secrets. */
void work_wipe(struct fileset *set);

#endif
