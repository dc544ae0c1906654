/*
 * What lets stock git verify releases: release.git's allowed_signers and the settings that name it,
 * so that `git -C var/admin/release.git log --show-signature ROLE` and `git verify-commit` work.
 */
#ifndef MUSTER_ADMIN_SIGNERS_H
#define MUSTER_ADMIN_SIGNERS_H

#include "core/err.h"
#include "core/home.h"
#include "crypto/key.h"

/*
 * Adds the release keys of IDENTITY under `admin@HOST` where they are missing (keys that signed
 * before stay, so old releases still verify). Writes nothing when nothing is missing.
 */
int signers_add(const struct home *home, const struct identity *identity, const char *host,
		struct err *err);
/* Puts the settings into release.git's config, with the absolute path of where the home is now. */
int signers_configure(const struct home *home, struct err *err);

#endif
