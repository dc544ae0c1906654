/*
 * The keys of a cluster: the admin's private identity (cluster.key), what a node gets of it (the
 * keystore of a cluster file), and a node's own static key. Secrets in these structs live in
 * guarded memory: allocate with the _new calls.
 */
#ifndef MUSTER_CRYPTO_KEY_H
#define MUSTER_CRYPTO_KEY_H

#include "core/buf.h"
#include "core/err.h"
#include "core/limits.h"
#include "core/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	KEY_SIZE = 32,        /* every key: X25519, Ed25519 (public or seed), symmetric */
	CLUSTER_ID_SIZE = 16, /* random bytes */
	CLUSTER_ID_HEX_SIZE = 33,
	ROLE_TAG_SIZE = 8,
	IDENTITY_ROOTS = 2,
	IDENTITY_RELEASES = 2,
	KEY_FINGERPRINT_SIZE = 33, /* 32 hex digits and a NUL */
	IDENTITY_TEXT_MAX = 4096, /* bytes of cluster.key; ours is below 400 */
};

struct root_key {
	uint32_t epoch; /* from 1 */
	uint8_t key[KEY_SIZE];
};

/* cluster.key, see formats.md 1. Guarded memory. */
struct identity {
	uint8_t cluster_id[CLUSTER_ID_SIZE];
	size_t root_count; /* 1 or 2, newest first; join keys of both are good */
	struct root_key roots[IDENTITY_ROOTS];
	uint8_t channel_secret[KEY_SIZE]; /* X25519 */
	uint8_t channel_public[KEY_SIZE];
	size_t release_count; /* 1, or 2 while the key is changed; the first is the newest */
	uint8_t release_seed[IDENTITY_RELEASES][KEY_SIZE]; /* Ed25519 seeds */
	uint8_t release_public[IDENTITY_RELEASES][KEY_SIZE];
};

/* What a node needs to join, as in `muster-cluster:1:…`. Guarded memory. */
struct keystore {
	uint8_t cluster_id[CLUSTER_ID_SIZE];
	uint32_t epoch;
	char role[NAME_MAX_LEN + 1]; /* "*": any */
	uint8_t admin_public[KEY_SIZE];
	size_t release_count;
	uint8_t release_public[LIMIT_RELEASE_KEYS][KEY_SIZE];
	uint8_t join_key[KEY_SIZE];
};

/* Once, before anything else of crypto/; aborts if the library cannot start. */
void crypto_setup(void);

/* A fresh cluster: random id, root key of epoch 1, channel and release key. Free with
 * identity_free. */
struct identity *identity_new(void);
void identity_free(struct identity *identity);
/* Another copy: whoever works with one keeps it while keys may change elsewhere. */
struct identity *identity_copy(const struct identity *identity);
/* TO becomes what FROM is, where others point to TO. */
void identity_assign(struct identity *to, const struct identity *from);
/*
 * A new root key under the next epoch, the first; REFUSED when there are two, or no epoch is left.
 */
int identity_add_root(struct identity *identity, struct err *err);
/* The older root key ends; REFUSED when there is only one. */
int identity_end_root(struct identity *identity, struct err *err);
/*
 * A new release key, the first; REFUSED when there are two. The other one signs nothing but what
 * announces the new one.
 */
int identity_add_release(struct identity *identity, struct err *err);
/* The older release key ends, if there are two. */
void identity_end_release(struct identity *identity);
/* The text of cluster.key: lines of a word and its value; keys in base64url. OUT is wiped by the
 * caller. */
void identity_format(const struct identity *identity, struct buf *out);
/* Parses it strictly (every line known, none twice but root and release); CORRUPT with the line's
 * number. */
int identity_parse(const char *text, size_t len, struct identity **out, struct err *err);
/* Reads FILE of the folder; refused if others than the owner may read or write it. */
int identity_load(int dirfd, const char *file, struct identity **out, struct err *err);
/* The same through symbolic links, for etc/ (mounted secrets are links). */
int identity_load_follow(int dirfd, const char *file, struct identity **out, struct err *err);
/* Writes it, mode 0600, atomically; refused if there is one. */
int identity_save(int dirfd, const char *file, const struct identity *identity, struct err *err);
/* Writes it in the place of the one that is there, atomically: a rotation. */
int identity_replace(int dirfd, const char *file, const struct identity *identity, struct err *err);

/*
 * The keystore for ROLE ("*": any) under the newest epoch, with the newest release key. Free with
 * keystore_free.
 */
struct keystore *keystore_for(const struct identity *identity, const char *role);
struct keystore *keystore_copy(const struct keystore *keystore);
void keystore_free(struct keystore *keystore);
/* `muster-cluster:1:…` */
void keystore_format(const struct keystore *keystore, struct buf *out);
/*
 * Parses it: CORRUPT when damaged, blanks around it included. A keystore of the seed product
 * (`v:S.…`, `data:…;aes,…`) or of an unknown version is REFUSED and told apart in the error's
 * sentence. No part of the text appears in an error.
 */
int keystore_parse(const char *text, struct keystore **out, struct err *err);

/* First 8 bytes of keyed BLAKE2b-256(cluster id; part role name, or nothing when ROLE is "*"), the
 * part be32-framed. */
void key_role_tag(const uint8_t cluster_id[static CLUSTER_ID_SIZE], const char *role,
		  uint8_t tag[static ROLE_TAG_SIZE]);
/* Join key = keyed BLAKE2b-256(root key; part "muster/1 join", part be32 epoch, part role tag),
 * parts be32-framed. */
void key_join(const struct root_key *root, const uint8_t tag[static ROLE_TAG_SIZE],
	      uint8_t out[static KEY_SIZE]);

/*
 * What people compare of a node's public key: the first 128 bits of its BLAKE2b-256, in hex. Nobody
 * can make a second key with the same.
 */
char *key_fingerprint(const uint8_t public[static KEY_SIZE], char out[static KEY_FINGERPRINT_SIZE]);

/* The public key of an Ed25519 seed. */
void key_release_public(const uint8_t seed[static KEY_SIZE], uint8_t public[static KEY_SIZE]);

/*
 * A node's static X25519 key in FILE (32 bytes in base64url and a newline, mode 0600); made if it
 * is not there. Refused if others than the owner may read or write the file. Free with
 * static_key_free.
 */
struct static_key {
	uint8_t secret[KEY_SIZE];
	uint8_t public[KEY_SIZE];
};
int static_key_load(int dirfd, const char *file, struct static_key **out, struct err *err);
/* A copy of an X25519 secret, with its public key. */
struct static_key *static_key_of(const uint8_t secret[static KEY_SIZE]);
void static_key_free(struct static_key *key);

/* N zeroed bytes of guarded memory, aligned for a struct of that size; aborts if there is none. */
void *crypto_new(size_t n);
/* Wipes and frees what crypto_new gave; NULL is fine. */
void crypto_free(void *data);
/* N random bytes. */
void crypto_random(void *out, size_t n);
/* Zeroes N bytes in a way the compiler keeps. */
void crypto_wipe(void *data, size_t n);
/* Equal, in constant time. */
bool crypto_equal(const void *a, const void *b, size_t n);

#endif
