/*
 * etc/init: its configuration files, and marks of what was loaded of them, by which a later start
 * tells that they are others by now.
 */
#ifndef MUSTER_CONFIG_INITDIR_H
#define MUSTER_CONFIG_INITDIR_H

#include "core/err.h"
#include "core/fileset.h"
#include "core/home.h"
#include "crypto/digest.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define INITDIR "init" /* in etc/ */

/* A file's name and the digest of its bytes. */
struct initdir_mark {
	char *name; /* UTF-8 */
	char digest[DIGEST_HEX_SIZE];
};

struct initdir_marks {
	bool known; /* false: what was loaded is not known, and nothing differs from it */
	struct initdir_mark *items;
	size_t count;
};

/*
 * The *.xml files of etc/init, mounted ones (links) too, those that begin with '.' not. None is
 * fine. OUT must be empty and is left so on failure; wipe it with initdir_clear, a keystore may be
 * in it.
 */
int initdir_read(const struct home *home, struct fileset *out, struct err *err);
void initdir_clear(struct fileset *files);

/*
 * The marks of FILES. BUT_CLUSTER leaves out the files with nothing but a cluster element: what
 * changes in these is not passed over but taken up.
 */
void initdir_mark(const struct fileset *files, bool but_cluster, struct initdir_marks *out);
/*
 * How NOW differs from what was loaded, for people: "a.xml (changed), b.xml (new)", to be freed;
 * NULL: not at all.
 */
char *initdir_difference(const struct initdir_marks *loaded, const struct initdir_marks *now);
/* An object of names and digests, a new reference; and back: 0, or -1 for anything else. */
json_t *initdir_marks_json(const struct initdir_marks *marks);
int initdir_marks_parse(const json_t *doc, struct initdir_marks *out);
void initdir_marks_clear(struct initdir_marks *marks);

#endif
