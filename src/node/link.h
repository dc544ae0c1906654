/*
 * The link of a node to its admin: dials, registers, answers pings, tells what the admin says, and
 * dials again with back-off and full jitter when it is lost. A fetch goes through it as a socket
 * that it pumps.
 */
#ifndef MUSTER_NODE_LINK_H
#define MUSTER_NODE_LINK_H

#include "channel/control.h"
#include "core/buf.h"
#include "core/oid.h"
#include "crypto/key.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct link;

/* The admin's newest release of our role, and what else came with it. */
struct news {
	struct oid release;
	uint64_t sequence; /* 0: it has none */
	struct oid base;
	char pin[CONTROL_VALUE_MAX + 1]; /* of this node, base64; "": it has none */
	/* what the release adds to BASE, when that was sent with the news; else empty */
	struct buf pack;
};

/* Empties it. */
void news_clear(struct news *news);

struct link_calls {
	/* Fills what register and status tell: name, role, state, … */
	void (*tell)(void *arg, struct control_message *message);
	/*
	 * The admin tells its newest release. The pack may be taken, and an empty one left in its
	 * place.
	 */
	void (*head)(void *arg, struct news *news);
	/*
	 * Up, or down again, or not to be opened; REASON is NULL when up. It is dialled again after
	 * this call.
	 */
	void (*changed)(void *arg, bool up, const char *reason);
	/* The fetch's socket is closed and all of it was pumped, or the link was lost. */
	void (*fetched)(void *arg);
};

/* KEY and KEYSTORE are borrowed for its life, KEYSTORE until another is given. Dials at once. */
struct link *link_new(uv_loop_t *loop, const char *host, uint16_t port,
		      const struct keystore *keystore, const struct static_key *key,
		      const struct link_calls *calls, void *arg);
/*
 * Dials there from the next time on; NOW: closes what is open and dials after the shortest
 * back-off.
 */
void link_point(struct link *link, const char *host, uint16_t port, const struct keystore *keystore,
		bool now);
bool link_up(const struct link *link);
/* Up, and the admin gives it nothing until it is approved there. */
bool link_waits(const struct link *link);
/* Why it is not up, or what it waits for; "" when there is nothing to say. */
const char *link_reason(const struct link *link);
/* When the admin was last heard, seconds since the epoch; 0: never. */
int64_t link_contact(const struct link *link);
/* Sends what tell() says now, if up. */
void link_report(struct link *link);
/*
 * Asks for a fetch: gives the socket for transport_fetch, which the caller closes when done. False
 * when not up.
 */
bool link_fetch(struct link *link, int *fd);
/* Closes the connection and dials again after the back-off. */
void link_drop(struct link *link, const char *reason);
/* Ends; memory goes when the loop has closed the handles. NULL is fine. */
void link_free(struct link *link);

#endif
