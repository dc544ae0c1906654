/*
 * Sealing and opening by whoever has the secret: this process, or the daemon, which may have it
 * from its environment or a credential that no one else sees.
 */
#ifndef MUSTER_CONTROL_SEALING_H
#define MUSTER_CONTROL_SEALING_H

#include "config/seal.h"
#include "control/client.h"
#include "control/server.h"
#include "core/home.h"

struct sealing_by {
	struct keyring *ring; /* holds nothing: the daemon is asked */
	struct ask *ask;
	struct sealer sealer; /* borrows this struct */
};

/*
 * By the home's own secret, else by the daemon. Without either it is an error only once something
 * is to be sealed or opened. REFUSED when the secret that is there cannot be used.
 */
int sealing_open(struct sealing_by *by, const struct home *home, struct err *err);
void sealing_close(struct sealing_by *by);

/*
 * The daemon's side, for whoever may use the socket. Answers
 *
 *	{"do":"seal"|"open","scope":…,"path":…,"value":…}	{"value":…}
 *	{"do":"secret-ids","scopes":[SCOPE…]}	{"source":…,"file":…,"ids":{SCOPE:[ID|null…]}}, an id
 *						for each entry of the keyring
 *	{"do":"role-key","role":…}		{"key":…}: what the nodes of the role need
 */
bool sealing_answers(const char *what);
void sealing_answer(const struct home *home, struct client *client, const json_t *request);

#endif
