/*
 * sign: a signed release for every role whose slice is new, verified as a node will before any
 * branch moves. Whether a role needs one is decided here, since it needs the role's newest release.
 */
#include "admin/steps.h"

#include "core/limits.h"
#include "repo/chain.h"
#include "repo/tree.h"

#include <stdlib.h>
#include <string.h>

#define HEADS "refs/heads/"

/* The newest release of a role's branch, if there is one. */
static int read_tip(struct cycle *cycle, struct cycle_role *role, struct err *err)
{
	const struct identity *identity = cycle->in->identity;
	char *ref = text_format(HEADS "%s", role->name);
	struct err why = {.code = ERR_NONE};
	struct buf raw;
	int rc = repo_ref_get(cycle->releases, ref, &role->tip_oid, &why);

	buf_init(&raw, LIMIT_COMMIT_SIZE);
	if (rc != 0) {
		rc = why.code == ERR_GONE ? 0 : err_set(err, why.code, "%s", why.text);
		goto out;
	}
	rc = repo_commit_raw(cycle->releases, &role->tip_oid, &raw, err);
	if (rc == 0)
		rc = release_parse(raw.data, raw.len, &role->tip, err);
	if (rc != 0) {
		(void)err_prefix(err, "release.git: %s", ref);
		goto out;
	}
	role->has_tip = true;
	role->branch = role->tip_oid;
	if (memcmp(role->tip.cluster_id, identity->cluster_id, CLUSTER_ID_SIZE) != 0 ||
	    strcmp(role->tip.role, role->name) != 0)
		rc = err_set(err, ERR_REFUSED,
			     "release.git: %s holds releases of another cluster or role", ref);
out:
	buf_clear(&raw);
	free(ref);
	return rc;
}

struct branches {
	struct cycle *cycle;
	size_t known; /* roles of the configuration */
};

/* A branch without a role in the configuration is a removed role. */
static int add_removed(void *arg, const char *ref, const struct oid *oid)
{
	struct branches *branches = arg;
	struct cycle *cycle = branches->cycle;
	const char *name = ref + strlen(HEADS);
	struct cycle_role *role;

	(void)oid; /* read again with the others */
	if (!name_valid(name))
		return 0; /* not ours: no role has such a name */
	for (size_t i = 0; i < branches->known; i++)
		if (strcmp(cycle->roles[i].name, name) == 0)
			return 0;
	cycle->roles = mem_grow(cycle->roles, cycle->role_count + 1, sizeof(*cycle->roles));
	role = cycle->roles + cycle->role_count++;
	*role = (struct cycle_role){.removed = true};
	memcpy(role->name, name, strlen(name) + 1);
	return 0;
}

/* That the newest key, and it alone, may sign what comes after TIP. */
static bool keys_settled(const struct cycle *cycle, const struct release *tip)
{
	return tip->key_count == 1 &&
	       memcmp(tip->keys[0], cycle->in->identity->release_public[0], KEY_SIZE) == 0;
}

/* The key of the identity that may sign after TIP; the newest, if that may. NULL: none of them. */
static const uint8_t *signing_seed(const struct identity *identity, const struct release *tip)
{
	for (size_t i = 0; i < identity->release_count; i++)
		for (size_t j = 0; j < tip->key_count; j++)
			if (memcmp(identity->release_public[i], tip->keys[j], KEY_SIZE) == 0)
				return identity->release_seed[i];
	return NULL;
}

/* In the name of the admin and now, but never before the release before it: clocks jump. */
static char *committer(const struct cycle *cycle, const struct cycle_role *role)
{
	const char *mail = role->has_tip ? strrchr(role->tip.committer, '>') : NULL;
	int64_t now = text_now(), before = mail ? strtoll(mail + 1, NULL, 10) : 0;

	return release_committer(cycle->cluster.host, now > before ? now : before);
}

/*
 * What of a release depends on the keys and the place in the chain. Only the newest key may sign
 * what follows: from the release that announces it on, the one before is retired.
 */
static struct release release_after(const struct cycle *cycle, const struct cycle_role *role)
{
	const struct identity *identity = cycle->in->identity;
	struct release release = {.has_parent = role->has_tip,
				  .sequence = 1,
				  .source = cycle->out->source,
				  .key_count = 1};

	if (role->has_tip) {
		release.parent = role->tip_oid;
		release.sequence = role->tip.sequence + 1;
	}
	memcpy(release.cluster_id, identity->cluster_id, CLUSTER_ID_SIZE);
	memcpy(release.role, role->name, sizeof(release.role));
	memcpy(release.keys[0], identity->release_public[0], KEY_SIZE);
	return release;
}

/* Messages travel only where they belong: with exactly one commit, to a role that it changed. */
static void set_words(const struct cycle *cycle, const struct cycle_role *role, bool new_content,
		      struct release *release)
{
	release->committer = committer(cycle, role);
	if (new_content && cycle->author) {
		release->author = text_copy(cycle->author);
		release->message = text_copy(cycle->message);
		return;
	}
	release->author = text_copy(release->committer);
	release->message =
		text_format("publish %zu commits\n", new_content ? cycle->out->commits : 0);
}

/* The node's own verification, on what is held for the pack. */
static int verify_as_node(struct cycle *cycle, const struct cycle_role *role, const struct oid *oid,
			  struct err *err)
{
	const struct identity *identity = cycle->in->identity;
	struct chain_state state = {.has_accepted = role->has_tip};
	struct release release = {.sequence = 0};
	struct fileset content = {.count = 0};
	int rc;

	memcpy(state.cluster_id, identity->cluster_id, CLUSTER_ID_SIZE);
	memcpy(state.role, role->name, sizeof(state.role));
	if (role->has_tip) {
		state.accepted = role->tip_oid;
		state.sequence = role->tip.sequence;
		state.key_count = role->tip.key_count;
		memcpy(state.keys, role->tip.keys, sizeof(state.keys));
	} else {
		state.key_count = 1;
		memcpy(state.keys[0], identity->release_public[0], KEY_SIZE);
	}
	rc = chain_verify(cycle->releases, &state, oid, &release, err);
	if (rc == 0)
		rc = chain_content(cycle->releases, &release, &content, err);
	fileset_clear(&content);
	release_clear(&release);
	return rc == 0 ? 0 : err_prefix(err, "the new release of role %s", role->name);
}

static int make_release(struct cycle *cycle, struct cycle_role *role, const uint8_t *digest,
			bool new_content, struct err *err)
{
	struct release release = release_after(cycle, role);
	struct buf raw;
	int rc = 0;

	buf_init(&raw, LIMIT_COMMIT_SIZE);
	memcpy(release.digest, digest, DIGEST_SIZE);
	release.removed = role->removed;
	set_words(cycle, role, new_content, &release);
	if (role->removed)
		release.tree = role->tip.tree;
	else
		rc = tree_write(cycle->releases, &role->tree, &release.tree, err);
	if (rc == 0)
		rc = release_sign(&release, cycle->in->identity->release_seed[0], &raw, err);
	if (rc == 0)
		rc = repo_commit_write(cycle->releases, raw.data, raw.len, &role->next_oid, err);
	if (rc == 0)
		rc = verify_as_node(cycle, role, &role->next_oid, err);
	if (rc == 0) {
		role->changed = true;
		role->next_sequence = release.sequence;
	}
	release_clear(&release);
	buf_clear(&raw);
	return rc;
}

/*
 * A release that the old key signs, that names the new one and changes nothing else. It becomes the
 * tip, and the branch goes past it at once: no node is ever asked to stop there.
 */
static int announce_key(struct cycle *cycle, struct cycle_role *role, struct err *err)
{
	const uint8_t *seed = signing_seed(cycle->in->identity, &role->tip);
	struct release release = release_after(cycle, role), made;
	struct oid oid;
	struct buf raw;
	int rc = 0;

	if (!seed)
		return err_set(
			err, ERR_REFUSED,
			"release.git: the newest release of role %s names no key of cluster.key: "
			"is cluster.key older than it?",
			role->name);
	buf_init(&raw, LIMIT_COMMIT_SIZE);
	release.source = role->tip.source;
	release.removed = role->tip.removed;
	release.tree = role->tip.tree;
	memcpy(release.digest, role->tip.digest, DIGEST_SIZE);
	set_words(cycle, role, false, &release);
	rc = release_sign(&release, seed, &raw, err);
	if (rc == 0)
		rc = repo_commit_write(cycle->releases, raw.data, raw.len, &oid, err);
	if (rc == 0)
		rc = verify_as_node(cycle, role, &oid, err);
	if (rc == 0)
		rc = release_parse(raw.data, raw.len, &made, err);
	if (rc == 0) {
		release_clear(&role->tip);
		role->tip = made;
		role->tip_oid = oid;
	}
	release_clear(&release);
	buf_clear(&raw);
	return rc;
}

/* Whether the tip is not yet a release of the newest key that leaves it to sign the next. */
static bool key_is_new(const struct cycle *cycle, const struct cycle_role *role)
{
	const uint8_t *newest = cycle->in->identity->release_public[0];

	return !keys_settled(cycle, &role->tip) || memcmp(role->tip.signer, newest, KEY_SIZE) != 0;
}

static int sign_role(struct cycle *cycle, struct cycle_role *role, struct err *err)
{
	uint8_t digest[DIGEST_SIZE];
	bool new_content, new_key;

	if (read_tip(cycle, role, err) != 0)
		return -1;
	new_key = role->has_tip && key_is_new(cycle, role);
	if (new_key &&
	    signing_seed(cycle->in->identity, &role->tip) != cycle->in->identity->release_seed[0] &&
	    announce_key(cycle, role, err) != 0)
		return -1;
	if (role->removed) {
		memcpy(digest, role->tip.digest, DIGEST_SIZE);
		if (role->tip.removed && !new_key)
			return 0;
		return make_release(cycle, role, digest, false, err);
	}
	digest_fileset(&role->tree, digest);
	new_content = !role->has_tip || role->tip.removed ||
		      memcmp(role->tip.digest, digest, DIGEST_SIZE) != 0;
	if (!new_content && !new_key)
		return 0;
	return make_release(cycle, role, digest, new_content, err);
}

int sign(struct cycle *cycle, struct err *err)
{
	struct branches branches = {.cycle = cycle, .known = cycle->role_count};

	if (repo_ref_each(cycle->releases, HEADS, add_removed, &branches, err) != 0 ||
	    pack_writer_new(cycle->releases, &cycle->objects, err) != 0)
		return -1;
	for (size_t i = 0; i < cycle->role_count; i++)
		if (sign_role(cycle, cycle->roles + i, err) != 0)
			return -1;
	return 0;
}
