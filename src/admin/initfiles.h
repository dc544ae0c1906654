/*
 * What an operator put into etc/init for an admin: configuration, and cluster files with which it
 * must agree.
 */
#ifndef MUSTER_ADMIN_INITFILES_H
#define MUSTER_ADMIN_INITFILES_H

#include "config/initdir.h"
#include "core/err.h"
#include "core/fileset.h"
#include "core/home.h"
#include "crypto/key.h"

#include <stdbool.h>
#include <stdint.h>

#define INITFILES_MARKS "admin/init" /* below var/ */

/*
 * That every keystore in FILES is of IDENTITY (NULL: there is none, so any keystore is of another):
 * REFUSED naming the file and both clusters, or why a keystore cannot be read. After the
 * FIRST_START a file that is no configuration is only warned about: it is not read again.
 */
int initfiles_check_cluster(const struct fileset *files, const struct identity *identity,
			    bool first_start, struct err *err);

/*
 * What becomes the first commit, before it is sealed: FILES as they are, but that the cluster
 * element holds HOST and PORT (NULL, 0: those it has) and KEYSTORE. If no file has a cluster
 * element, one is added with HOST, or DEFAULT_HOST, and the port; with DEFAULT_HOST NULL none is.
 * AT is the host in the end, a new string, or NULL.
 */
int initfiles_first_commit(const struct fileset *files, const char *host, uint16_t port,
			   const char *default_host, const char *keystore, struct fileset *out,
			   char **at, struct err *err);

/*
 * Remembers FILES as what was loaded of etc/init, in var/admin/init; and says how FILES differ from
 * that, for people (to be freed; NULL: not at all). GONE when nothing was remembered, CORRUPT when
 * that is damaged.
 */
int initfiles_remember(const struct home *home, const struct fileset *files, struct err *err);
int initfiles_compare(const struct home *home, const struct fileset *files, char **difference,
		      struct err *err);

#endif
