/*
 * The audit log: what was done at this admin that is no commit (membership, keys), one line each,
 * in var/admin/audit.log (muster-formats(5)):
 *
 *	2026-01-02T03:04:05Z anna/1000 approve node1 role internal key 0123...
 */
#ifndef MUSTER_ADMIN_AUDIT_H
#define MUSTER_ADMIN_AUDIT_H

#include "core/err.h"
#include "core/home.h"

#include <sys/types.h>

#define AUDIT_FILE "admin/audit.log" /* below var/ */

/*
 * A user of this machine as the log names it, LOGIN/UID: a new string. Blocks: a login may be
 * looked up over the network.
 */
char *audit_user(uid_t uid);
/*
 * Appends a line, which is on the disk when this returns. WHO is one word; what is no printable
 * character becomes '?'. Blocks. HOME is open.
 */
int audit_note(const struct home *home, const char *who, struct err *err, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#endif
