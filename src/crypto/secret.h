/*
 * The configuration secret and role keys of a home: a keyring in guarded memory. Entries stand in
 * the order they were given: of those that fit a scope the first seals, all open.
 *
 *	ENTRY[,ENTRY ...]
 *	ENTRY	64 hex digits		a configuration secret: for every scope
 *		role:NAME:64 hex digits	a role key: for the scope role/NAME
 */
#ifndef MUSTER_CRYPTO_SECRET_H
#define MUSTER_CRYPTO_SECRET_H

#include "core/buf.h"
#include "core/err.h"
#include "core/home.h"
#include "core/limits.h"
#include "crypto/seal.h"

#include <stdbool.h>
#include <stddef.h>

#define SECRET_FILE "secret" /* below etc/ */
#define SCOPE_CONFIG "config"
#define SCOPE_ROLE "role/" /* and the name of the role */

struct keyring;

/* A keyring that holds nothing. */
struct keyring *keyring_new(void);
struct keyring *keyring_copy(const struct keyring *ring);
void keyring_free(struct keyring *ring);

/*
 * Parses LEN bytes; blanks around an entry are nothing. SOURCE is what errors call it. REFUSED
 * with what is wrong with which entry; nothing of the text is in the error.
 */
int keyring_parse(const char *source, const char *text, size_t len, struct keyring **out,
		  struct err *err);
/*
 * The keyring of a home, from the first of these that is there: the variable MUSTER_CONFIG_SECRET
 * or CONFIG_ENCRYPTION_KEY, the file that MUSTER_CONFIG_SECRET_FILE names, the systemd credential
 * muster.secret, etc/secret. None is there: a keyring that holds nothing. REFUSED when the first
 * cannot be used; a file also when others than its owner and group may read it, or others than its
 * owner change it. HOME has its etc/ open.
 */
int keyring_load(const struct home *home, struct keyring **out, struct err *err);
/*
 * As keyring_load, for commands beside a daemon that may have more: an etc/secret that this user
 * may not read counts as none.
 */
int keyring_load_readable(const struct home *home, struct keyring **out, struct err *err);
/* Where it came from, for people; "" when it holds nothing. */
const char *keyring_source(const struct keyring *ring);
/* Whether it came from etc/secret, which commands may rewrite. */
bool keyring_is_file(const struct keyring *ring);
size_t keyring_count(const struct keyring *ring);
/* How many configuration secrets it holds. */
size_t keyring_secrets(const struct keyring *ring);

/* Adds a fresh configuration secret at the end; REFUSED when there are LIMIT_SECRET_KEYS. */
int keyring_add_fresh(struct keyring *ring, struct err *err);
/*
 * Makes the configuration secret whose key for scope config has this id the first; GONE: none has.
 */
int keyring_promote(struct keyring *ring, const char *id, struct err *err);
/* Appends the entries as they are parsed, with a newline; the caller wipes OUT. */
void keyring_format(const struct keyring *ring, struct buf *out);
/* Writes it as etc/secret, mode 0600, atomically. */
int keyring_save(const struct home *home, const struct keyring *ring, struct err *err);
/*
 * Appends the entries that a node of ROLE needs: `role:ROLE:…[,…]`, what seals first; the caller
 * wipes OUT. GONE when nothing here fits.
 */
int keyring_put_role(const struct keyring *ring, const char *role, struct buf *out,
		     struct err *err);

/* "role/ROLE" as a new string; ROLE NULL: "config". */
char *scope_of(const char *role);
/* The id of entry INDEX in SCOPE; false when the entry is of another role. */
bool keyring_id(const struct keyring *ring, size_t index, const char *scope,
		char id[static SEAL_ID_HEX_SIZE]);
/* The id of what seals in SCOPE; false when nothing does. */
bool keyring_seals(const struct keyring *ring, const char *scope,
		   char id[static SEAL_ID_HEX_SIZE]);
/* Appends the ids of all that open in SCOPE, with commas between; what seals first. */
void keyring_put_ids(const struct keyring *ring, const char *scope, struct buf *out);

/* As seal_put, with the entry that seals in SCOPE; REFUSED when there is none. */
int keyring_seal(const struct keyring *ring, const char *scope, const char *path, const void *plain,
		 size_t n, struct buf *out, struct err *err);
/* As seal_open, with the entry whose id it is; REFUSED, naming the id, when there is none. */
int keyring_open(const struct keyring *ring, const char *scope, const char *path, const char *text,
		 struct buf *out, struct err *err);

#endif
