/*
 * A release: one commit on a role's branch, signed, in one canonical raw form (muster-formats(5),
 * "Releases"). What is parsed is formatted again and must be the same bytes, so a signature fits
 * one commit id only.
 */
#ifndef MUSTER_REPO_RELEASE_H
#define MUSTER_REPO_RELEASE_H

#include "core/buf.h"
#include "core/err.h"
#include "core/limits.h"
#include "core/oid.h"
#include "core/text.h"
#include "crypto/digest.h"
#include "crypto/key.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	RELEASE_IDENT_MAX = 1024,    /* bytes of author or committer */
	RELEASE_MESSAGE_MAX = 32768, /* bytes of a message: what is longer is cut; fits
					LIMIT_COMMIT_SIZE with all else */
};
#define RELEASE_TIME_MAX 253402300799 /* seconds since the epoch: the year 9999 */

struct release {
	struct oid tree;
	bool has_parent;
	struct oid parent;
	char *author;    /* `Name <mail> SECONDS ZONE`, as in the header */
	char *committer; /* `muster <admin@HOST> SECONDS +0000` */
	char *message; /* all before the trailers, ending in a newline, without the blank line that
			  divides them */
	uint8_t cluster_id[CLUSTER_ID_SIZE];
	char role[NAME_MAX_LEN + 1];
	uint64_t sequence; /* from 1, which has no parent; all others have one */
	struct oid source; /* the authoring commit */
	uint8_t digest[DIGEST_SIZE];
	size_t key_count;
	uint8_t keys[LIMIT_RELEASE_KEYS][KEY_SIZE]; /* may sign the next release */
	bool removed;                               /* Muster-Role-State: removed */
	uint8_t signer[KEY_SIZE];                   /* set by release_parse: who signed */
};

/*
 * Whether a source message may become part of a release: no line begins with "Muster-" but
 * Muster-Via and Muster-Allow-Shrink: yes. REFUSED with the line's number.
 */
int release_message_check(const char *message, struct err *err);
/*
 * A message as it stands in a release, a new string: no control characters but tab and newline
 * (they would write to a terminal), no blank lines at the beginning, no blanks or blank lines at
 * the end, one newline at the end. What is longer than RELEASE_MESSAGE_MAX is cut at a character
 * and ends in a line `[cut]`. An empty one becomes "(no message)". Bytes of any encoding pass as
 * they are: no header names one, so stock git takes them for UTF-8.
 */
char *release_message_clean(const char *message);

/*
 * An author as it stands in a release, a new string `NAME <MAIL> SECONDS ZONE`: without control
 * characters and angle brackets in name or mail, blanks around them, or a time or zone (minutes
 * east) that git could not show.
 */
char *release_ident(const char *name, const char *mail, int64_t seconds, int zone);
/* `muster <admin@HOST> SECONDS +0000`, a new string; what HOST may not hold is left out. */
char *release_committer(const char *host, int64_t seconds);
/* Whether IDENT has that form, whatever the host. */
bool release_committer_valid(const char *ident);

/*
 * Appends the raw commit, signed with SEED. The fields must be valid (asserted), but for SIGNER,
 * which is not looked at.
 */
int release_sign(const struct release *release, const uint8_t seed[static KEY_SIZE],
		 struct buf *raw, struct err *err);
/*
 * Parses and verifies the signature (OUT is set only then, and cleared by the caller); byte for
 * byte what release_sign would write, or CORRUPT/REFUSED with the reason. That the signer may sign,
 * and that the release fits its place, is chain.h's.
 */
int release_parse(const void *raw, size_t n, struct release *out, struct err *err);
void release_clear(struct release *release);

#endif
