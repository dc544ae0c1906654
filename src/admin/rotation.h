/*
 * Rotating the configuration secret, in two steps so that nobody is left behind: a new one that
 * only opens, which the nodes are given; then it seals, and everything is sealed again.
 *
 *	var/admin/secret.next	the key id (for scope config) of the new one between the two steps
 */
#ifndef MUSTER_ADMIN_ROTATION_H
#define MUSTER_ADMIN_ROTATION_H

#include "config/seal.h"
#include "core/err.h"
#include "core/home.h"
#include "core/oid.h"
#include "crypto/secret.h"

#include <stdbool.h>

/* The id of the new secret that a rotation has begun with and that RING holds; false: none has. */
bool rotation_next(const struct home *home, const struct keyring *ring,
		   char id[static SEAL_ID_HEX_SIZE]);
/* Begins one: adds a new secret to RING and etc/secret. Goes on with the one that has begun. */
int rotation_begin(const struct home *home, struct keyring *ring, char id[static SEAL_ID_HEX_SIZE],
		   struct err *err);
/*
 * Seals all of main anew by SEALER, whose key has this ID, as one commit: CHANGED says whether
 * there was anything to seal. REFUSED when the work tree has changes of its own.
 */
int rotation_seal(const struct home *home, const struct sealer *sealer, const char *id,
		  bool *changed, struct oid *commit, struct err *err);
/* It is over. */
int rotation_end(const struct home *home, struct err *err);

#endif
