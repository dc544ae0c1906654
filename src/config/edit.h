/*
 * Edits of the files of a configuration by path (query.h), as text: what is not meant stays as it
 * is, byte for byte: comments, order, white space, prefixes.
 */
#ifndef MUSTER_CONFIG_EDIT_H
#define MUSTER_CONFIG_EDIT_H

#include "core/err.h"
#include "core/fileset.h"

#include <stddef.h>

/* The paths of the files that were changed, which are borrowed from the set. */
struct edited {
	const char **paths;
	size_t count;
};

/*
 * Makes VALUE the text of the leaf at PATH in the files of SET that hold it; a leaf-list gets it
 * added. A leaf that is not there, and what is missing above it, is made at the end of what is, in
 * the file that has most of it. REFUSED when PATH means several places or an element with
 * others in it, when it cannot be told what is to be made, or the files would not merge any more;
 * SET is of no use then. Nothing edited: it was so already.
 */
int edit_set(struct fileset *set, const char *path, const char *value, struct edited *out,
	     struct err *err);
/*
 * Removes what PATH means from all files of SET, with the line it stands on alone. REFUSED when
 * PATH means several entries of a list, a key or the root, or nothing (GONE).
 */
int edit_delete(struct fileset *set, const char *path, struct edited *out, struct err *err);
void edited_clear(struct edited *edited);

#endif
