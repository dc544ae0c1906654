/*
 * Changing the cluster's keys so that old and new overlap: the epoch of the join keys (genclust
 * --rotate and --retire) and the key that signs releases (`muster release-key rotate`). The calls
 * block: a worker of the daemon or a process with the home's lock makes them. Each takes an
 * IDENTITY that is the caller's own, and leaves in it what is on the disk then. What a kill leaves
 * undone is done by calling again. What is done is noted in the audit log.
 */
#ifndef MUSTER_ADMIN_KEYS_H
#define MUSTER_ADMIN_KEYS_H

#include "admin/registry.h"
#include "core/err.h"
#include "core/home.h"
#include "core/oid.h"
#include "crypto/key.h"
#include "repo/pin.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * Who asks, for the audit log (audit.h), and this admin's address, for what is signed and
 * committed.
 */
struct keys_by {
	const char *who, *host;
};

/* A new epoch, and a commit on main with its keystore. */
struct keys_epoch {
	bool fresh; /* false: it was there, and only the commit was missing */
	struct oid commit;
};

/*
 * A new epoch beside the one there is: first what can be refused is looked at (a work tree with
 * changes of its own, main not checked out, no secret to seal with), then cluster.key is replaced,
 * then main gets the commit. Each role's slice has its own keystore, so the next publication makes
 * a release for every role. REFUSED when there are two and main has the newest. In a home that is
 * not set up yet there is only cluster.key.
 */
int keys_add_epoch(const struct home *home, struct identity *identity, const struct keys_by *by,
		   struct keys_epoch *out, struct err *err);
/* Ends the older epoch; REFUSED when there is only one. */
int keys_end_epoch(const struct home *home, struct identity *identity, const struct keys_by *by,
		   struct err *err);

/*
 * A new release key beside the one there is. The next publication announces it on every branch and
 * signs with it. REFUSED when that is under way.
 */
int keys_add_release(const struct home *home, struct identity *identity, const struct keys_by *by,
		     struct err *err);

/* Pins that were signed again. */
struct keys_pin {
	struct pin pin;
	struct buf raw;
};
struct keys_pins {
	struct keys_pin *list;
	size_t count;
};

/*
 * The end of a change of the release key, after a publication: every branch must be at a release of
 * the new key (else REFUSED), every pin is signed again by it under a higher sequence, then the old
 * key leaves cluster.key. OUT, which keys_pins_clear ends, is set in any case.
 */
int keys_end_release(const struct home *home, struct identity *identity, const struct keys_by *by,
		     struct keys_pins *out, struct err *err);
void keys_pins_clear(struct keys_pins *pins);

/*
 * The names of the nodes that an end of the older epoch cuts off: who came last with another epoch
 * than the newest, or has not come since that is remembered. A new array.
 */
json_t *keys_cut_off(struct registry *registry, const struct identity *identity);

/*
 * What came of each, for who asked; new references. PUBLICATION (show_publication) and CUT_OFF move
 * in, and may be NULL.
 */
json_t *keys_epoch_json(const struct identity *identity, const struct keys_epoch *epoch,
			json_t *publication);
json_t *keys_ended_json(const struct identity *identity, uint32_t ended, json_t *cut_off);
json_t *keys_release_json(const struct identity *identity, size_t pins, json_t *publication);

#endif
