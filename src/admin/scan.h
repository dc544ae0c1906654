/*
 * scan: looks for secrets in the clear in commits. A publication scans every commit since the last
 * one, the pre-receive hook every commit that is pushed; neither needs a key.
 */
#ifndef MUSTER_ADMIN_SCAN_H
#define MUSTER_ADMIN_SCAN_H

#include "config/check.h"
#include "core/err.h"
#include "core/oid.h"
#include "repo/git.h"

struct scan;

/* REPO and FINDINGS are borrowed for its life. */
struct scan *scan_new(struct repo *repo, struct findings *findings);
void scan_free(struct scan *scan);
/*
 * Scans one commit by the model of its own tree; what was looked at in an earlier one is not looked
 * at again. Each finding names commit, blob and path. -1 only when it cannot be read.
 */
int scan_commit(struct scan *scan, const struct oid *commit, struct err *err);
/* What is in a commit counts as looked at: one that was published, and so scanned, before. */
int scan_known(struct scan *scan, const struct oid *commit, struct err *err);

#endif
