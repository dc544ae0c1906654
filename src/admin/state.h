/*
 * var/admin/state: what was published last, and why the newest commit was refused if it was. One
 * JSON document, made for people and for the next start; a copy of it is what `muster status`
 * shows. Losing it loses no release: the role branches are the truth.
 */
#ifndef MUSTER_ADMIN_STATE_H
#define MUSTER_ADMIN_STATE_H

#include "core/buf.h"
#include "core/err.h"
#include "core/oid.h"
#include "core/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ADMIN_STATE_FILE "admin/state" /* below var/ */

/* A role's newest release. */
struct state_role {
	char name[NAME_MAX_LEN + 1];
	struct oid release;
	uint64_t sequence;
	struct oid source; /* the authoring commit it was made from */
	bool removed;	   /* the role is not in the configuration any more */
};

struct admin_state {
	bool has_published;
	struct oid source; /* the authoring commit published last */
	char at[TEXT_TIME_MAX];
	char *made_by;            /* version of the program and release keys: others look again */
	struct state_role *roles; /* in byte order of the names */
	size_t role_count;

	bool has_refused; /* the newest commit looked at was refused; what is above still holds */
	struct oid refused_source;
	char refused_at[TEXT_TIME_MAX];
	char *step;     /* the step that refused */
	char **reasons; /* one line each */
	size_t reason_count;
};

/*
 * Reads it. GONE when there is none yet, CORRUPT when it is not what state_write writes; OUT is
 * then empty.
 */
int state_read(int var_fd, struct admin_state *out, struct err *err);
/*
 * Replaces it atomically: after a power cut it is the old or the new one, and from the old one the
 * next start comes to the new one again.
 */
int state_write(int var_fd, const struct admin_state *state, struct err *err);

/*
 * The document as bytes, and back. Text that is not UTF-8 (a path in a reason) is written with '?'.
 */
void state_format(const struct admin_state *state, struct buf *out);
int state_parse(const void *data, size_t len, struct admin_state *out, struct err *err);

/* Adds a role; the caller keeps the order. */
struct state_role *state_add_role(struct admin_state *state, const char *name);
const struct state_role *state_find_role(const struct admin_state *state, const char *name);
void state_set_published(struct admin_state *state, const struct oid *source, const char *made_by);
void state_set_refused(struct admin_state *state, const struct oid *source, const char *step,
		       char *const *reasons, size_t count);
void state_drop_refused(struct admin_state *state);
void state_copy(const struct admin_state *from, struct admin_state *to);
/* Frees what it holds; a zeroed struct is empty. */
void state_clear(struct admin_state *state);

#endif
