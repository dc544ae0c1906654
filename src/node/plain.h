/*
 * The plain text copy that the service reads: config.xml with its secrets open and its parameters
 * filled, files/, and what the templates wrote. It lies on a memory file system or not at all;
 * run/current leads to it. Copies are folders with random names side by side: in run/plain/ if run/
 * is on a memory file system, else in a private folder of PLAIN_MEMORY that the link run/plain
 * leads to.
 */
#ifndef MUSTER_NODE_PLAIN_H
#define MUSTER_NODE_PLAIN_H

#include "config/document.h"
#include "config/model.h"
#include "core/err.h"
#include "core/fileset.h"
#include "core/home.h"
#include "core/text.h"
#include "node/manifest.h"

#include <stdbool.h>
#include <sys/types.h>

#define PLAIN_MEMORY  "/dev/shm"
#define PLAIN_CURRENT "current" /* in run/ */
#define PLAIN_PARAMS  "params"  /* in etc/ */

/* How this node makes them: set at start, then only read, by any thread. */
struct plain {
	const struct home *home;
	const char *memory; /* a folder on a memory file system; if it is none, there is no plain
			       copy */
	char role[NAME_MAX_LEN + 1];
	bool shared; /* a group may read it */
	gid_t group;
};

/* HOME is borrowed for its life. GROUP is a name or number, or NULL for no one; REFUSED when there
 * is no such group. */
int plain_init(struct plain *plain, const struct home *home, const char *role, const char *group,
	       struct err *err);

/*
 * Makes DOC, a checked slice, what the service reads: parameters from this process's environment
 * and etc/params, then the secrets. Every finding goes to the log, the first into ERR (REFUSED);
 * DOC is of no use then.
 */
int plain_document(const struct plain *plain, struct document *doc, const struct model *model,
		   struct err *err);
/* Whether FILES, a checked slice, could be made so: each parameter has a value, each secret opens.
 */
int plain_check(const struct plain *plain, const struct fileset *files, struct err *err);
/*
 * Makes the plain copy of the slice FILES, complete, but for the link; one that is there with just
 * this content is taken. PATH becomes its folder (free), or NULL where there is no memory file
 * system; IS_CURRENT whether run/current leads to it. MADE (may be NULL) becomes what it holds, if
 * there is one.
 */
int plain_prepare(const struct plain *plain, const struct fileset *files, char **path,
		  bool *is_current, struct manifest *made, struct err *err);
/* run/current leads to PATH, of plain_prepare: one rename. NULL: the link goes. */
int plain_publish(const struct plain *plain, const char *path, struct err *err);
/* Removes every copy but the one run/current leads to. */
void plain_clean(const struct plain *plain);

#endif
