/*
 * Sealing what is to be committed: the files of the authoring repository as they would be, from the
 * work tree, etc/init, or for a new key. Values that were moved are opened where they stood in the
 * commit published last, and sealed for their new place: if they are gone from the old one.
 */
#ifndef MUSTER_ADMIN_AUTHORING_H
#define MUSTER_ADMIN_AUTHORING_H

#include "config/seal.h"
#include "core/fileset.h"
#include "core/home.h"
#include "repo/git.h"

/* A sealed value that was moved: paths for people. */
struct authoring_move {
	char *from, *to;
};

struct authoring {
	const struct home *home;
	const struct sealer *sealer;
	struct repo *repo; /* the authoring repository; NULL: nothing was published yet */
	bool renew;	   /* everything is sealed again, for a new key */

	/* what came of it; end with authoring_clear */
	char **changed; /* paths of the files that changed */
	size_t changed_count;
	struct authoring_move *moves;
	size_t move_count;
};

/*
 * Seals what is in the clear in FILES, in place, by their own model. 0, or -1: what cannot be is in
 * FINDINGS, else ERR.
 */
int authoring_seal(struct authoring *authoring, struct fileset *files, struct findings *findings,
		   struct err *err);
/* The same for bytes that are to be the file NAME of the work tree, appended to OUT. */
int authoring_seal_file(struct authoring *authoring, const char *name, const void *data, size_t len,
			struct buf *out, struct findings *findings, struct err *err);
/* Puts the file PATH of FILES into the work tree, where it keeps its mode. */
int authoring_write(const struct home *home, const struct fileset *files, const char *path,
		    struct err *err);
/* Whether PATH is a file whose secrets are sealed. */
bool authoring_seals(const char *path);
/* The commit that was published last, or main while nothing was. GONE when there is neither. */
int authoring_published(const struct home *home, struct repo *repo, struct oid *out,
			struct err *err);
/*
 * That WORK, the files of the work tree, are those of HEAD: a person's changes must not get into a
 * commit that something else makes. Files as they are to be committed (SEALED) are fine: they were
 * left by a commit that was killed. REFUSED with the path of the first other one.
 */
int authoring_untouched(const struct fileset *work, const struct fileset *head,
			const struct fileset *sealed, struct err *err);
void authoring_clear(struct authoring *authoring);

#endif
