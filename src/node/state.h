/*
 * What a node must remember, in var/node/state (JSON, replaced atomically): the newest release it
 * ever accepted, with the keys that may sign the next, what it is held at, and what became of the
 * releases it had. Beside it is a copy, state.copy, for the case that another hand removes or
 * damages it.
 */
#ifndef MUSTER_NODE_STATE_H
#define MUSTER_NODE_STATE_H

#include "config/initdir.h"
#include "core/err.h"
#include "core/home.h"
#include "core/oid.h"
#include "repo/chain.h"
#include "repo/pin.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	STATE_LOG_MAX = 100,	/* releases remembered */
	REVISION_NAME_MAX = 80, /* bytes: 40 hex digits, or "init-" and 64, and a NUL */
	STATE_DIGEST_MAX = 72,	/* bytes of a digest in hex and a NUL */
};

/* What became of a release here. */
#define VERDICTS(X)                                                                                \
	X(ACCEPTED, "accepted")                                                                    \
	X(REJECTED, "rejected")                                                                    \
	X(ACTIVE, "active")                                                                        \
	X(BURNT, "burnt")                                                                          \
	X(PAST, "past")

enum verdict {
#define X(name, word) VERDICT_##name,
	VERDICTS(X)
#undef X
};

struct state_entry {
	struct oid release;
	struct oid source;
	uint64_t sequence;
	int64_t activated_at; /* seconds; 0: never */
	enum verdict verdict;
	char step[16]; /* that rejected it */
	char *reason;  /* NULL: none */
};

/* What this node is held at: newer releases are accepted, and not deployed. */
struct hold {
	char release[REVISION_NAME_MAX]; /* the revision's name; "": it is not held */
	int64_t since;			 /* seconds */
	char reason[PIN_REASON_MAX + 1]; /* fit for JSON */
};

struct node_state {
	bool known; /* there is a cluster and a role: false in a new home */
	struct chain_state chain;
	char init_digest[STATE_DIGEST_MAX]; /* of the cluster file in etc/init that was read last */
	/* that one changed while there was another cluster configuration: it counts first */
	bool init_wins;
	struct initdir_marks init_marks; /* etc/init as it was loaded first; for the loop */
	/* the revision whose cluster configuration led to the admin last; "": none */
	char joined[REVISION_NAME_MAX];
	/* the revision last activated, what a start falls back to; "": none */
	char active[REVISION_NAME_MAX];
	/* the hold made on this node: while there is one, the admin's has no effect */
	struct hold here;
	struct hold pinned;    /* the hold of the newest pin, if that is one */
	/* of the newest pin accepted: an older one is never accepted again; 0: none was */
	uint64_t pin_sequence;
	struct state_entry log[STATE_LOG_MAX]; /* newest first */
	size_t log_count;
};

/* Reads it; a home without one gives a state that is not known. CORRUPT when it is damaged. */
int node_state_load(struct node_state *state, const struct home *home, struct err *err);
/* The copy instead; false when there is none that is whole, and then STATE is not known. */
bool node_state_load_copy(struct node_state *state, const struct home *home);
/* Its text (free), and writing that: apart, so that a worker can write what the loop has. */
char *node_state_format(const struct node_state *state);
int node_state_write(const char *text, const struct home *home, struct err *err);
void node_state_clear(struct node_state *state);

/* The entry of a release, or NULL. */
struct state_entry *node_state_find(struct node_state *state, const struct oid *release);
/* Whether the release was accepted here: it passed verify, whatever came of it later. */
bool node_state_accepted(const struct node_state *state, const struct oid *release);
/*
 * The entry of an accepted release, added before the first that is not newer if it is not there.
 * When there are too many, the oldest goes that is neither active nor held: those must stay known
 * as accepted, or the next start could not verify them.
 */
struct state_entry *node_state_note(struct node_state *state, const struct oid *release,
				    uint64_t sequence);
void entry_verdict(struct state_entry *entry, enum verdict verdict, const char *step,
		   const char *reason);
const char *verdict_word(enum verdict verdict);
/* The hold that is in force, NULL for none: the node's own before the admin's. */
const struct hold *node_state_hold(const struct node_state *state);
/* Makes it a hold at a revision, from now on. */
void hold_set(struct hold *hold, const char *release, const char *reason);
/*
 * Makes a reason fit for JSON, a terminal and the channel, whatever bytes a file name in it had: in
 * place.
 */
void reason_clean(char *reason);

#endif
