/*
 * What keeps secrets in the clear out of the authoring repository when people work in it with plain
 * git: a required clean filter for *.xml, and hooks. They call this home's `muster filter` and
 * `muster hook` by absolute paths.
 */
#ifndef MUSTER_ADMIN_HOOKS_H
#define MUSTER_ADMIN_HOOKS_H

#include "core/err.h"
#include "core/home.h"

/*
 * Writes them into the repository REPO (relative to DIRFD, ending in .git): the settings, the
 * attributes and the hooks. Writes nothing that is so already, and leaves a person's own hook of
 * the same name alone (told).
 */
int hooks_write(const struct home *home, int dirfd, const char *repo, struct err *err);
/*
 * The program `muster` is at PATH (absolute, outlives all), and not beside this program or where it
 * is installed.
 */
void hooks_use_program(const char *path);

#endif
