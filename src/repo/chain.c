/* Which releases a node accepts: see chain.h. */
#include "repo/chain.h"

#include "repo/object.h"
#include "repo/tree.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

/* Bytes of an id in a sentence. */
#define SHORT_ID 12

/* An error about RELEASE: "release ID (sequence N): WHAT". */
#define refuse(err, oid, release, fmt, ...)                                                        \
	err_set(err, ERR_REFUSED, "release %.*s (sequence %" PRIu64 "): " fmt, SHORT_ID,           \
		oid_hex(oid, (char[OID_HEX_SIZE]){0}), (release)->sequence, __VA_ARGS__)

static bool may_sign(const struct chain_state *state, const uint8_t signer[static KEY_SIZE])
{
	for (size_t i = 0; i < state->key_count; i++)
		if (memcmp(state->keys[i], signer, KEY_SIZE) == 0)
			return true;
	return false;
}

/* STATE's place in the chain becomes that of RELEASE; cluster and role stay. */
static void state_move(struct chain_state *state, const struct oid *oid,
		       const struct release *release)
{
	state->has_accepted = true;
	state->accepted = *oid;
	state->sequence = release->sequence;
	state->key_count = release->key_count;
	memcpy(state->keys, release->keys, sizeof(state->keys));
}

static int check_place(const struct chain_state *state, const struct oid *oid,
		       const struct release *release, struct err *err)
{
	char before[OID_HEX_SIZE];

	if (memcmp(release->cluster_id, state->cluster_id, CLUSTER_ID_SIZE) != 0)
		return refuse(err, oid, release, "%s", "is of another cluster");
	if (strcmp(release->role, state->role) != 0)
		return refuse(err, oid, release, "is of role %s, not %s", release->role,
			      state->role);
	if (!state->has_accepted)
		return 0;
	(void)oid_hex(&state->accepted, before);
	if (!release->has_parent || !oid_equal(&release->parent, &state->accepted))
		return refuse(err, oid, release,
			      "does not follow release %.*s (sequence %" PRIu64 ")", SHORT_ID,
			      before, state->sequence);
	/* not + 1, which could wrap; a release has a sequence from 1 */
	if (release->sequence - 1 != state->sequence)
		return refuse(err, oid, release, "follows sequence %" PRIu64, state->sequence);
	return 0;
}

int chain_step(struct chain_state *state, const struct oid *oid, const struct release *release,
	       struct err *err)
{
	if (check_place(state, oid, release, err) != 0)
		return -1;
	if (!may_sign(state, release->signer))
		return refuse(err, oid, release, "is signed by a key that %s does not name",
			      state->has_accepted ? "the release before it" : "the cluster file");
	state_move(state, oid, release);
	return 0;
}

/* For whoever asked, a history with holes is a damaged one. */
static void missing_is_damage(struct err *err)
{
	if (err && err->code == ERR_GONE)
		err->code = ERR_CORRUPT;
}

/* A release that was read, with what names it. */
struct link {
	struct oid oid;
	struct release release;
};

static int link_read(struct repo *repo, const struct oid *oid, struct link *out, struct err *err)
{
	char hex[OID_HEX_SIZE];
	struct buf raw;
	int rc;

	buf_init(&raw, LIMIT_COMMIT_SIZE);
	rc = repo_commit_raw(repo, oid, &raw, err);
	if (rc != 0)
		missing_is_damage(err);
	else
		rc = release_parse(raw.data, raw.len, &out->release, err);
	buf_clear(&raw);
	if (rc != 0)
		return err_prefix(err, "release %.*s", SHORT_ID, oid_hex(oid, hex));
	out->oid = *oid;
	return 0;
}

/* A removed role's last release has the files of the one before. */
static int check_removed(struct repo *repo, const struct link *link, struct err *err)
{
	struct links before;

	if (!link->release.removed)
		return 0;
	if (object_links(repo, &link->release.parent, GIT_OBJECT_COMMIT, &before, err) != 0) {
		missing_is_damage(err);
		return -1;
	}
	if (!oid_equal(&before.tree, &link->release.tree))
		return refuse(err, &link->oid, &link->release, "%s",
			      "says that its role is removed, and changes files");
	return 0;
}

/*
 * Whether LINK is the first release to verify: 1 when it follows from STATE, 0 when the one before
 * must be looked at, -1 when the walk cannot end well.
 */
static int is_first(const struct chain_state *state, const struct link *link, struct err *err)
{
	const struct release *release = &link->release;
	struct chain_state copy = *state;
	char hex[OID_HEX_SIZE];

	if (!state->has_accepted) {
		if (may_sign(state, release->signer))
			return chain_step(&copy, &link->oid, release, err) == 0 ? 1 : -1;
		if (!release->has_parent)
			return refuse(
				err, &link->oid, release, "%s",
				"is the first one, and no key of the cluster file signed it or "
				"any after it");
		return 0;
	}
	if (release->has_parent && oid_equal(&release->parent, &state->accepted))
		return chain_step(&copy, &link->oid, release, err) == 0 ? 1 : -1;
	/* the sequence falls by one with each step back, so this also bounds the walk */
	if (!release->has_parent || release->sequence <= state->sequence)
		return refuse(err, &link->oid, release,
			      "does not descend from the accepted release %.*s (sequence %" PRIu64
			      ")",
			      SHORT_ID, oid_hex(&state->accepted, hex), state->sequence);
	return 0;
}

/*
 * Verifies TIP, and all between it and the first, from the newest back: each release is read once,
 * and few are in memory. The order does not matter: a release is accepted when each one follows
 * from the one before it.
 */
static int walk_back(struct repo *repo, const struct chain_state *state, const struct link *tip,
		     struct err *err)
{
	struct link link = *tip, before; /* the tip's fields stay the caller's */
	int rc;

	while ((rc = is_first(state, &link, err)) >= 0) {
		struct chain_state place = *state;
		bool done = rc == 1;

		rc = check_removed(repo, &link, err);
		if (rc != 0 || done)
			break;
		rc = link_read(repo, &link.release.parent, &before, err);
		if (rc != 0)
			break;
		state_move(&place, &before.oid, &before.release);
		rc = chain_step(&place, &link.oid, &link.release, err);
		if (!oid_equal(&link.oid, &tip->oid))
			release_clear(&link.release);
		link = before;
		if (rc != 0)
			break;
	}
	if (!oid_equal(&link.oid, &tip->oid))
		release_clear(&link.release);
	return rc;
}

int chain_verify(struct repo *repo, struct chain_state *state, const struct oid *tip,
		 struct release *out, struct err *err)
{
	bool there = state->has_accepted && oid_equal(tip, &state->accepted);
	struct link link;

	if (there && !out)
		return 0;
	if (link_read(repo, tip, &link, err) != 0)
		return -1;
	if (!there) {
		if (walk_back(repo, state, &link, err) != 0) {
			release_clear(&link.release);
			return -1;
		}
		state_move(state, tip, &link.release);
	}
	if (out)
		*out = link.release; /* moved to the caller */
	else
		release_clear(&link.release);
	return 0;
}

int chain_content(struct repo *repo, const struct release *release, struct fileset *out,
		  struct err *err)
{
	uint8_t digest[DIGEST_SIZE];
	struct fileset set = {0};

	if (tree_read(repo, &release->tree, &set, err) != 0) {
		missing_is_damage(err);
		return err_prefix(err, "release of sequence %" PRIu64, release->sequence);
	}
	digest_fileset(&set, digest);
	if (memcmp(digest, release->digest, DIGEST_SIZE) != 0) {
		fileset_clear(&set);
		return err_set(err, ERR_CORRUPT,
			       "release of sequence %" PRIu64
			       ": its files are not those of its digest",
			       release->sequence);
	}
	*out = set;
	return 0;
}
