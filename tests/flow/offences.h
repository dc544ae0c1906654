/*
 * Releases as a hostile admin makes them, who has the cluster's private identity and every tool:
 * one by name of the offence. What is made goes into a scratch repository beside the releases that
 * the node has, so that its own objects are the pack.
 */
#ifndef MUSTER_TESTS_OFFENCES_H
#define MUSTER_TESTS_OFFENCES_H

#include "crypto/key.h"
#include "repo/git.h"
#include "repo/release.h"

struct offences {
	char *base;		 /* folder of the repository whose releases the node has */
	char *scratch;		 /* folder of the scratch repository */
	struct repo *repo;	 /* the scratch, open; NULL before the first */
	char role[NAME_MAX_LEN + 1];
	struct oid tip;		 /* the newest release that the node has */
	struct release release;	 /* that one */
	struct oid good_tree;	 /* the files of the newest that the node runs */
	uint8_t seed[KEY_SIZE];	 /* signs what is good now */
	uint8_t retired[KEY_SIZE]; /* signed what was good before `rotate` */
	unsigned count;
};

/* An offence, the step of the node that refuses it, and words of the reason. */
struct offence {
	const char *name;
	const char *step;
	const char *words;
	/* Makes the release; SEQUENCE is what the node is told of it. */
	void (*make)(struct offences *o, struct oid *out, uint64_t *sequence);
};

extern const struct offence offence_list[]; /* a NULL name ends it; a NULL step: it is good */

/* Begins on the role's branch of the repository at BASE, as IDENTITY. */
void offences_open(struct offences *o, const char *base, const char *role,
		   const struct identity *identity);
/* Makes one in a fresh scratch repository; -1 when there is none of that name. */
int offences_make(struct offences *o, const char *name, struct oid *out, uint64_t *sequence);
/* The last one passes verify, and is the tip from now on; GOOD: it passes all else too. */
void offences_accept(struct offences *o, const struct oid *release, bool good);
/* Puts one on the branch, good or not. */
void offences_place(struct offences *o, const struct oid *release);
/* All objects of the scratch repository as a pack. */
void offences_pack(struct offences *o, struct buf *out);
/* The same of what a node lacks that has OLD and none of the releases after it. */
void offences_pack_since(struct offences *o, const struct oid *old, struct buf *out);
void offences_close(struct offences *o);

#endif
