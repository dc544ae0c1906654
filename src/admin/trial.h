/*
 * A trial: what a publication would make of some files, up to the point where it would sign: for
 * `muster check`, `muster slice` and `musterd --check`. Writes nothing.
 */
#ifndef MUSTER_ADMIN_TRIAL_H
#define MUSTER_ADMIN_TRIAL_H

#include "config/check.h"
#include "config/param.h"
#include "core/fileset.h"
#include "core/home.h"
#include "core/text.h"
#include "crypto/key.h"

#include <stddef.h>

struct trial_role {
	char name[NAME_MAX_LEN + 1];
	struct fileset tree;  /* of the release it would get */
	struct params params; /* that its nodes must have */
};

struct trial {
	struct findings findings; /* why it would be refused; none: it would not */
	struct trial_role *roles;
	size_t role_count;
};

enum trial_flag {
	TRIAL_ALLOW_SHRINK = 1, /* what was published before does not count */
};

/*
 * FILES: as in the authoring repository; left empty. FLAGS of enum trial_flag. 0 also when there
 * are findings; -1 when it could not be tried.
 */
int trial_run(const struct home *home, const struct identity *identity, struct fileset *files,
	      unsigned flags, struct trial *out, struct err *err);
/* The files of REV of the authoring repository, or (NULL) of its work tree. GONE when there is no
 * such revision. */
int trial_files(const struct home *home, const char *rev, struct fileset *out, struct err *err);
void trial_clear(struct trial *trial);

#endif
