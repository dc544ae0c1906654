/* The context of a publication and its steps, for the files of the steps only: see cycle.h. */
#ifndef MUSTER_ADMIN_STEPS_H
#define MUSTER_ADMIN_STEPS_H

#include "admin/cycle.h"
#include "admin/state.h"
#include "config/cluster.h"
#include "config/document.h"
#include "config/model.h"
#include "config/param.h"
#include "config/seal.h"
#include "config/slice.h"
#include "core/fileset.h"
#include "repo/git.h"
#include "repo/pack.h"
#include "repo/release.h"

/*
 * A role on its way through the steps: first those of the configuration, then (from sign on)
 * removed ones.
 */
struct cycle_role {
	char name[NAME_MAX_LEN + 1];
	bool removed;         /* has a branch but is not in the configuration */
	struct document *doc; /* slice: what the role gets */
	struct params params; /* slice: the parameters in it, by their places in the commit */
	struct fileset tree;  /* seal: as it will be released */
	bool has_tip;
	struct oid branch;  /* sign: what the branch names */
	struct oid tip_oid; /* the newest release: that, or one that announces a new key after it */
	struct release tip;
	bool changed; /* sign made NEXT, publish moves the branch to it */
	struct oid next_oid;
	uint64_t next_sequence;
};

struct cycle {
	const struct admin_input *in;
	struct publication *out;
	struct repo *source, *releases;
	struct pack_writer *objects; /* sign: what it makes, until publish puts it on the disk */
	struct admin_state state; /* as it was read; empty when there was none */
	char *made_by;            /* version and keys: others look again */
	struct keyring *keyring;  /* of the home */
	bool without_keys; /* a trial where only the daemon has the secret: nothing is sealed */

	/* load */
	struct fileset files; /* the commit's tree */
	struct document *doc;
	struct model *model;
	char *author;  /* of the one commit that is published; NULL when it is not exactly one */
	char *message; /* likewise */
	/* one of the commits says that a slice may lose over half of its elements */
	bool allow_shrink;

	/* check */
	struct cluster cluster;

	/* slice and on */
	struct cycle_role *roles;
	size_t role_count;
};

/*
 * The steps. Each returns 0, or -1: with findings in cycle->out or an error REFUSED or CORRUPT, the
 * commit is refused; with any other error the publication failed and may be tried again.
 */
int load(struct cycle *cycle, struct err *err);
int check_commit(struct cycle *cycle, struct err *err); /* the step check */
int seal(struct cycle *cycle, struct err *err);
int sign(struct cycle *cycle, struct err *err);
int publish(struct cycle *cycle, struct err *err);

/* Cuts the slices; the work of the step slice, whose name config/slice.c has. */
int cut(struct cycle *cycle, struct err *err);

/* --- shrink.c --- */
/* Whether a commit's message says that a slice may lose over half of its elements. */
bool shrink_allowed_by(const char *message);
/* Adds a finding when the slice of a role does, against the role's newest release, and may not. */
int shrink_check(struct cycle *cycle, const struct cycle_role *role, struct err *err);
/* For a trial: what the commits say that are not published yet. */
int shrink_look(struct cycle *cycle, struct err *err);

/* Reads the home's keyring. */
int cycle_keys(struct cycle *cycle, struct err *err);
/* Frees what the context holds. */
void cycle_clear(struct cycle *cycle);

#endif
