/*
 * What serve.c (who is connected, and what they ask) and tell.c (what they are told) share. For
 * these two only.
 */
#ifndef MUSTER_ADMIN_SESSION_H
#define MUSTER_ADMIN_SESSION_H

#include "admin/heads.h"
#include "admin/pinboard.h"
#include "admin/registry.h"
#include "admin/serve.h"
#include "channel/packcache.h"
#include "channel/peer.h"
#include "channel/uploadpack.h"

enum { BUCKETS = 4096 }; /* sessions by their keys */

struct serve {
	const struct identity *identity;
	struct static_key *key;
	struct peers *peers;
	struct packcache *packs;
	struct registry *registry;
	struct heads heads;
	struct heads_rest *rest; /* being read, or NULL */
	struct pinboard pins;
	/* packs that are being built for releases that nodes are to be told of */
	struct push *pushes;
	struct session *first;
	struct session *by_key[BUCKETS]; /* those that registered */
};

/* One open peer. */
struct session {
	struct session *next, *previous;
	struct session *next_by_key;
	struct serve *serve;
	struct peer *peer;
	struct node *node; /* once registered */
	struct uploadpack *up; /* while a conversation is under way */
	struct pack_ticket *ticket;
	bool fetched; /* one was: its goodbye may still come */
};

/* --- tell.c --- */
/*
 * The newest release of its role, and its pin: it must know of both, and either may be what is new.
 * One that waits for approval hears of neither.
 */
void tell_head(struct session *session);
/*
 * A role has a new release after BASE (NULL: its first): all of its approved nodes are told, and
 * those that have accepted BASE get with it what it adds, if that is small: no question, no answer.
 */
void tell_release(struct serve *serve, const char *role, const struct oid *base);
/* Lets go of what was to be told. */
void tell_stop(struct serve *serve);

#endif
