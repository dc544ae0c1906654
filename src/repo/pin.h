/*
 * A pin: the admin's signed word that one node is to be held at a release, or to follow again
 * (muster-formats(5), "Pins"). An annotated tag refs/pins/NODE, signed as `git tag -s` does with
 * gpg.format=ssh, in one canonical form.
 */
#ifndef MUSTER_REPO_PIN_H
#define MUSTER_REPO_PIN_H

#include "core/buf.h"
#include "core/err.h"
#include "core/oid.h"
#include "core/text.h"
#include "crypto/key.h"
#include "repo/git.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	PIN_REASON_MAX = 200, /* bytes */
	PIN_RAW_MAX = 1400,   /* bytes of a raw pin: every field at its longest */
};

struct pin {
	struct oid release; /* to be held at; for `follow` the role's newest when it was made */
	char node[NAME_MAX_LEN + 1];
	uint8_t cluster_id[CLUSTER_ID_SIZE];
	bool hold;	   /* else follow */
	uint64_t sequence; /* from 1; grows with each pin of the node */
	char reason[PIN_REASON_MAX + 1];
	char tagger[400]; /* `muster <admin@HOST> SECONDS +0000` */
	uint8_t signer[KEY_SIZE]; /* set by pin_parse */
};

/*
 * A reason as it stands in a pin: one line without control characters, cut at PIN_REASON_MAX, never
 * within a character.
 */
void pin_reason(const char *text, char out[static PIN_REASON_MAX + 1]);
/* Appends the raw tag, signed with SEED. The fields must be valid (asserted). */
void pin_sign(const struct pin *pin, const uint8_t seed[static KEY_SIZE], struct buf *raw);
/*
 * Parses and verifies the signature; byte for byte what pin_sign would write, or CORRUPT/REFUSED.
 * Whether the signer may pin, for which node, and that the sequence grows, is the caller's to see.
 */
int pin_parse(const void *raw, size_t n, struct pin *out, struct err *err);

/* Appends the raw pin that refs/pins/NODE names, not yet parsed; GONE when there is none. */
int pin_load(struct repo *repo, const char *node, struct buf *raw, struct err *err);
/* Writes a raw pin and moves refs/pins/NODE to it, durably. */
int pin_store(struct repo *repo, const char *node, const struct buf *raw, struct err *err);
/* Removes refs/pins/NODE, durably; fine when there is none. */
int pin_remove(struct repo *repo, const char *node, struct err *err);

#endif
