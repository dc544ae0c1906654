/*
 * What each role's branch holds, as the loop needs it: the newest release, and where any of its
 * releases stands in the history (what a fetching node may have in common).
 */
#ifndef MUSTER_ADMIN_HEADS_H
#define MUSTER_ADMIN_HEADS_H

#include "core/err.h"
#include "core/oid.h"
#include "core/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct head {
	char role[NAME_MAX_LEN + 1];
	struct oid release;
	uint64_t sequence;
	/* private: an open hash table from release to sequence */
	struct place *places;
	size_t count, cap;
};

struct heads {
	struct head *list;
	size_t count;
	bool partial; /* heads_load left older releases out */
};

/*
 * Reads every branch of the release repository at PATH, its NEWEST releases at most (0: all).
 * Blocks; a zeroed struct is empty.
 */
int heads_load(struct heads *heads, const char *path, size_t newest, struct err *err);
/*
 * Reads the rest on a worker and adds it to HEADS, which moves meanwhile: a long history does not
 * hold up a start, and a node that asks before gets a larger pack. *REST is NULL again when it is
 * done. What cannot be read is told, and left out.
 */
struct heads_rest;
void heads_load_rest(uv_loop_t *loop, const char *path, struct heads *heads,
		     struct heads_rest **rest);
/* HEADS is left alone from now on. NULL is fine. */
void heads_rest_stop(struct heads_rest *rest);
/* A role's head, or NULL. */
struct head *heads_find(struct heads *heads, const char *role);
/* A new newest release of ROLE. */
void heads_move(struct heads *heads, const char *role, const struct oid *release,
		uint64_t sequence);
/* The sequence of a release of this role, 0 if it is none. */
uint64_t head_position(const struct head *head, const struct oid *release);
void heads_clear(struct heads *heads);

#endif
