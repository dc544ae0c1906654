/*
 * etc/init after an admin's first start: how it differs from what was loaded then, and
 * --force-reload.
 */
#ifndef MUSTER_ADMIN_RELOAD_H
#define MUSTER_ADMIN_RELOAD_H

#include "config/check.h"
#include "core/err.h"
#include "core/home.h"
#include "core/oid.h"
#include "crypto/key.h"

#include <stdbool.h>

/*
 * Warns, in one line, when etc/init holds other files than were loaded. Where nothing is known of
 * that, what is there now is remembered, if HOME is locked.
 */
void reload_compare(const struct home *home);

/*
 * What etc/init holds on top of main: its files replace those of the same names, and all others
 * stay. They get this cluster's keystore, are sealed, and checked as `muster commit` does. REFUSED,
 * and nothing is changed: with FINDINGS (ERR has the first), when a cluster file there is of
 * another cluster, when the work tree has changes that are not committed. CHANGED false: main holds
 * just that already. Else OUT is the commit, which is for a publication to take. COMMIT false:
 * looks only. HOME is set up, and locked if COMMIT.
 */
int reload_init(const struct home *home, const struct identity *identity, bool commit,
		struct findings *findings, bool *changed, struct oid *out, struct err *err);

#endif
