/*
 * The settings of Muster in a repository's config file: one block between two comment lines, so
 * that a person's own settings stay as they are.
 */
#ifndef MUSTER_ADMIN_GITCONFIG_H
#define MUSTER_ADMIN_GITCONFIG_H

#include "core/err.h"

/*
 * Makes LINES (sections and settings, each line with its newline) the block of the config file
 * PATH, which is there. Atomic and durable; writes nothing when it says so already.
 */
int gitconfig_set(int dirfd, const char *path, const char *lines, struct err *err);
/* TEXT as a value between quotes, a new string. */
char *gitconfig_quote(const char *text);

#endif
