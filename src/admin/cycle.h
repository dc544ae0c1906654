/*
 * A publication: what turns a commit of the authoring repository into signed releases. cycle.c
 * holds the one table of its steps
 *
 *	load check slice seal sign publish
 *
 * and each is a function of that name over one context. (watch.h is what starts a publication in
 * the daemon.)
 */
#ifndef MUSTER_ADMIN_CYCLE_H
#define MUSTER_ADMIN_CYCLE_H

#include "config/check.h"
#include "config/settings.h"
#include "core/err.h"
#include "core/home.h"
#include "core/oid.h"
#include "core/text.h"
#include "crypto/key.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ADMIN_SOURCE   "admin/config"      /* the authoring repository, below var/ */
#define ADMIN_RELEASES "admin/release.git" /* the releases */
#define ADMIN_KEY      "admin/cluster.key"
#define ADMIN_MAIN     "refs/heads/main"

struct admin_input {
	const struct home *home;         /* open; only its paths and folders are used */
	const struct identity *identity; /* no one else touches it meanwhile */
	const struct oid *commit;        /* what to publish; NULL: the head of main */
};

/* What became of a role's branch. */
struct publication_role {
	char name[NAME_MAX_LEN + 1];
	struct oid release; /* the newest */
	uint64_t sequence;
	struct oid source; /* the commit that release was made from */
	bool changed;	   /* this publication made it */
	bool removed; /* the role is not in the configuration any more */
};

struct publication {
	struct oid source; /* the authoring commit; zero when it could not even be found */
	size_t commits;    /* since the last publication */
	bool rewritten;    /* main does not descend from what was published last: told */
	bool refused;      /* nothing was changed; FINDINGS say why */
	const char *step;  /* the step that refused: static text */
	struct findings findings;
	bool has_settings; /* it was read; else nothing is new */
	struct settings settings;
	struct publication_role
		*roles; /* every role that has a branch, by name; none when refused */
	size_t role_count;
};

/*
 * Publishes. Blocks: called on a worker thread of the daemon, or in a process that holds the lock
 * of the home. 0 when the verdict is known: published, nothing to do, or refused (OUT says which;
 * it, var/admin/state and the log tell why). -1 when the admin itself could not (disk full, damaged
 * repository): ERR says why and nothing is known; trying again is safe at any time, whatever a kill
 * left undone is finished then. Roles move one by one, so after -1 some may have. OUT is set in
 * both cases and cleared by publication_clear.
 */
int cycle_run(const struct admin_input *in, struct publication *out, struct err *err);

void publication_clear(struct publication *publication);

#endif
