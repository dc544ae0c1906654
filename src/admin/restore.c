/* Releases from elsewhere for an admin that has older ones: see restore.h. */
#include "admin/restore.h"

#include "admin/audit.h"
#include "admin/cycle.h"
#include "core/limits.h"
#include "core/log.h"
#include "repo/history.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define HEADS "refs/heads/"

struct restoring {
	const struct home *home;
	const struct identity *identity;
	const char *who;
	struct repo *from, *releases, *source;
	const char *role; /* NULL: all */
	struct restored *out;
	struct err *err;
};

static int read_release(struct repo *repo, const struct oid *oid, struct release *out,
			struct err *err)
{
	struct buf raw;
	int rc;

	buf_init(&raw, LIMIT_COMMIT_SIZE);
	rc = repo_commit_raw(repo, oid, &raw, err);
	if (rc == 0)
		rc = release_parse(raw.data, raw.len, out, err);
	buf_clear(&raw);
	return rc;
}

/* Where the chain is here: at the branch's release, or nowhere yet. */
static int place_here(struct restoring *r, struct restored_role *role, struct chain_state *state)
{
	char *ref = text_format(HEADS "%s", role->name);
	struct release release = {.sequence = 0};
	struct err why = {.code = ERR_NONE};
	int rc = repo_ref_get(r->releases, ref, &role->before, &why);

	free(ref);
	memcpy(state->cluster_id, r->identity->cluster_id, CLUSTER_ID_SIZE);
	memcpy(state->role, role->name, sizeof(state->role));
	if (rc != 0 && why.code != ERR_GONE)
		return err_set(r->err, why.code, "%s", why.text);
	role->has_before = rc == 0;
	if (!role->has_before) {
		state->key_count = r->identity->release_count;
		memcpy(state->keys, r->identity->release_public, state->key_count * KEY_SIZE);
		return 0;
	}
	rc = read_release(r->releases, &role->before, &release, r->err);
	if (rc == 0) {
		state->has_accepted = true;
		state->accepted = role->before;
		state->sequence = role->sequence_before = release.sequence;
		state->key_count = release.key_count;
		memcpy(state->keys, release.keys, sizeof(state->keys));
	}
	release_clear(&release);
	return rc;
}

static int check_signing(const struct restoring *r, const struct chain_state *state)
{
	for (size_t i = 0; i < r->identity->release_count; i++)
		for (size_t j = 0; j < state->key_count; j++)
			if (memcmp(r->identity->release_public[i], state->keys[j], KEY_SIZE) == 0)
				return 0;
	return err_set(r->err, ERR_REFUSED,
		       "its newest release (sequence %" PRIu64
		       ") may only be followed by one of a key that var/" ADMIN_KEY
		       " does not hold: that file is older than the last change of the release "
		       "key, and a newer copy "
		       "of it is needed",
		       state->sequence);
}

static int look_at_source(struct restoring *r, struct restored_role *role)
{
	struct release release = {.sequence = 0};
	struct err why = {.code = ERR_NONE};
	struct oid main;
	bool has = false;
	int rc = read_release(r->from, &role->release, &release, r->err);

	role->source = release.source;
	release_clear(&release);
	if (rc == 0)
		rc = repo_ref_get(r->source, ADMIN_MAIN, &main, r->err);
	if (rc == 0 && repo_descends(r->source, &main, &role->source, &has, &why) != 0 &&
	    why.code != ERR_GONE)
		rc = err_set(r->err, why.code, "%s", why.text);
	role->source_lost = !has;
	return rc;
}

/* Whether what is here has all that FROM's branch does: 1, 0 or -1. */
static int has_already(struct restoring *r, const struct restored_role *role, const struct oid *tip)
{
	struct err why = {.code = ERR_NONE};
	bool descends = false;

	if (!role->has_before)
		return 0;
	if (repo_descends(r->releases, &role->before, tip, &descends, &why) != 0 &&
	    why.code != ERR_GONE)
		return err_set(r->err, why.code, "%s", why.text);
	return descends;
}

static int verify_branch(struct restoring *r, struct restored_role *role, const struct oid *tip)
{
	struct chain_state state = {.has_accepted = false};
	size_t count = 0;
	int rc = place_here(r, role, &state), has;

	if (rc != 0)
		return rc;
	has = has_already(r, role, tip);
	if (has != 0) {
		role->release = role->before;
		role->sequence = role->sequence_before;
		return has < 0 ? -1 : 0;
	}
	role->release = *tip;
	rc = history_verify(r->from, &state, tip, &count, r->err);
	if (rc == 0)
		rc = check_signing(r, &state);
	if (rc == 0)
		rc = look_at_source(r, role);
	role->sequence = state.sequence;
	return rc;
}

static int on_branch(void *arg, const char *ref, const struct oid *tip)
{
	struct restoring *r = arg;
	const char *name = ref + strlen(HEADS);
	struct restored_role *role;

	if (r->role && strcmp(name, r->role) != 0)
		return 0;
	if (!name_valid(name))
		return err_set(r->err, ERR_REFUSED, "branch \"%.80s\" is no role", name);
	r->out->roles = mem_grow(r->out->roles, r->out->count + 1, sizeof(*r->out->roles));
	role = r->out->roles + r->out->count++;
	*role = (struct restored_role){.has_before = false};
	memcpy(role->name, name, strlen(name) + 1);
	return verify_branch(r, role, tip) == 0 ? 0 : err_prefix(r->err, "role %s", name);
}

static int take_branch(struct restoring *r, const struct restored_role *role)
{
	char *ref = text_format(HEADS "%s", role->name), hex[OID_HEX_SIZE];
	const struct oid *before = role->has_before ? &role->before : NULL;
	int rc = 0;

	if (!before || !oid_equal(before, &role->release)) {
		rc = history_copy(r->from, r->releases, &role->release, before, r->err);
		if (rc == 0)
			rc = repo_ref_set(r->releases, ref, before, &role->release, r->err);
		if (rc == 0)
			log_notice("restore", role->name,
				   "release %s sequence %" PRIu64 " is taken from elsewhere",
				   oid_hex(&role->release, hex), role->sequence);
		if (rc == 0)
			rc = audit_note(r->home, r->who, r->err,
					"restore role %s sequence %" PRIu64, role->name,
					role->sequence);
	}
	free(ref);
	return rc;
}

static int restore_from(struct restoring *r, const char *from)
{
	int rc = repo_ref_each(r->from, HEADS, on_branch, r, r->err);

	if (rc == 0 && r->out->count == 0)
		rc = err_set(r->err, ERR_GONE, "%s holds no releases%s%s", from,
			     r->role ? " of role " : "", r->role ? r->role : "");
	/* each branch is a point of no return of its own; again, the others follow */
	for (size_t i = 0; rc == 0 && i < r->out->count; i++)
		rc = take_branch(r, r->out->roles + i);
	return rc;
}

int restore_releases(const struct home *home, const struct identity *identity, const char *from,
		     const char *role, const char *who, struct restored *out, struct err *err)
{
	char *releases = home_var(home, ADMIN_RELEASES), *source = home_var(home, ADMIN_SOURCE);
	struct restoring r = {.home = home,
			      .identity = identity,
			      .who = who,
			      .role = role,
			      .out = out,
			      .err = err};
	int rc = repo_open(from, &r.from, err);

	*out = (struct restored){.roles = NULL};
	if (rc == 0)
		rc = repo_open(releases, &r.releases, err);
	if (rc == 0)
		rc = repo_open(source, &r.source, err);
	if (rc == 0)
		rc = restore_from(&r, from);
	if (rc != 0)
		restored_clear(out);
	repo_free(r.from);
	repo_free(r.releases);
	repo_free(r.source);
	free(releases);
	free(source);
	return rc;
}

void restored_clear(struct restored *restored)
{
	free(restored->roles);
	*restored = (struct restored){.roles = NULL};
}
