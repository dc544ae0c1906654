/*
 * SSH signatures as OpenSSH's PROTOCOL.sshsig defines them and git uses them with gpg.format=ssh:
 * Ed25519, sha512, one canonical armour (70 characters a line). `ssh-keygen -Y verify` and `git
 * verify-commit` accept what is made here; what is accepted here is only the one byte form that
 * would be made here.
 */
#ifndef MUSTER_CRYPTO_SSHSIG_H
#define MUSTER_CRYPTO_SSHSIG_H

#include "core/buf.h"
#include "core/err.h"
#include "crypto/key.h"

#include <stddef.h>
#include <stdint.h>

#define SSHSIG_NAMESPACE "git"
enum { SSHSIG_ARMOUR_MAX = 1024 }; /* bytes; ours is about 300 */

/* Appends the armour, ending in a newline after the END line. */
void sshsig_sign(const uint8_t seed[static KEY_SIZE], const char *name_space, const void *message,
		 size_t n, struct buf *armour);
/*
 * Verifies and gives the signer's public key (Ed25519), which the caller compares with those he
 * trusts. CORRUPT when the armour is not canonical in any byte, REFUSED when it is well formed but
 * namespace, hash, key type or signature are wrong.
 */
int sshsig_verify(const char *armour, size_t len, const char *name_space, const void *message,
		  size_t n, uint8_t signer[static KEY_SIZE], struct err *err);
/* Appends the public key as in authorized_keys: `ssh-ed25519 AAAA…`. */
void sshsig_public_line(const uint8_t public[static KEY_SIZE], struct buf *out);

#endif
