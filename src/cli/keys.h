/*
 * The configuration secrets of an admin home as its commands see them: read here, or, where only
 * the daemon has them (its environment, a credential, a file that this user may not read), told of
 * by the daemon.
 */
#ifndef MUSTER_CLI_KEYS_H
#define MUSTER_CLI_KEYS_H

#include "cli/cli.h"
#include "config/seal.h"

struct keys {
	struct cli *cli;
	struct keyring *ring; /* NULL: the daemon has them */
	json_t *ids;          /* the daemon's: SCOPE -> ID or null of each entry */
	char *source;
	bool is_file; /* etc/secret, which this process may rewrite */
	size_t count;
};

/* An exit code. With CLI_DONE there is at least one configuration secret. */
int keys_open(struct cli *cli, struct keys *out, struct err *err);
void keys_close(struct keys *keys);
/* As keyring_id and keyring_seals. */
bool keys_id(struct keys *keys, size_t index, const char *scope, char id[static SEAL_ID_HEX_SIZE]);
bool keys_seals(struct keys *keys, char id[static SEAL_ID_HEX_SIZE]);
/* Appends what the nodes of ROLE need; the caller wipes OUT. */
int keys_put_role(struct keys *keys, const char *role, struct buf *out, struct err *err);
/*
 * Whether etc/secret is what counts, so that a command may write it: REFUSED, with where the secret
 * must be changed instead, when it comes from elsewhere, here or at the daemon that runs.
 */
int keys_may_write(struct keys *keys, struct err *err);

#endif
