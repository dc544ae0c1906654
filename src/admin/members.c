/* Who is of the cluster: see members.h. */
#include "admin/members.h"

#include "admin/audit.h"
#include "admin/pins.h"
#include "core/log.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { KEY_DIGITS_MIN = 8 /* of a fingerprint that is asked for */ };

static const char *const words[] = {
#define X(name, word) [MEMBER_##name] = (word),
	MEMBER_ACTS(X)
#undef X
};

enum member_act member_act_of(const char *word)
{
	for (int i = 0; i < MEMBER_NONE; i++)
		if (strcmp(word, words[i]) == 0)
			return (enum member_act)i;
	return MEMBER_NONE;
}

static bool is_zero(const uint8_t key[static KEY_SIZE])
{
	static const uint8_t none[KEY_SIZE];

	return memcmp(key, none, KEY_SIZE) == 0;
}

/* The key is the one that is meant; the fingerprint goes to OUT. */
static int take_key(const struct member_wish *wish, const uint8_t key[static KEY_SIZE],
		    struct member *out, struct err *err)
{
	if (is_zero(key) && wish->act != MEMBER_FORGET)
		return err_set(err, ERR_REFUSED,
			       "nothing is known of the key of %s: wait until it comes",
			       wish->node);
	if (!is_zero(key))
		(void)key_fingerprint(key, out->key);
	if (wish->key && strncmp(out->key, wish->key, strlen(wish->key)) != 0)
		return err_set(err, ERR_REFUSED, "the key of %s is %s: another than was asked for",
			       wish->node, out->key);
	return 0;
}

/* --- approve --- */

/* What asks for approval: a claim to the name, or the node that waits under it. */
static int approve_node(struct serve *serve, struct node *node, const struct member_wish *wish,
			struct member *out, struct err *err)
{
	const struct claim *claim = node_claim(node);
	struct registry *registry = serve_registry(serve);

	if (claim && wish->key && take_key(wish, claim->key, out, err) != 0)
		claim = NULL; /* it is the node itself that is meant, or nobody */
	if (take_key(wish, claim ? claim->key : node->key, out, err) != 0)
		return -1;
	if (!claim && node->revoked)
		return err_set(err, ERR_REFUSED,
			       "the key of %s is revoked for good: remove var/node/node.key on "
			       "that machine, so that it "
			       "comes with a fresh one",
			       node->name);
	out->changed = claim || !node->approved;
	out->replaced = claim && node->approved;
	if (!out->changed)
		return 0;
	if (claim)
		serve_cut(serve, node, "its name was approved for another key or role");
	registry_approve(registry, node, claim ? claim->key : node->key,
			 claim ? claim->role : node->role, claim ? &claim->join : &node->join);
	memcpy(out->role, node->role, sizeof(out->role));
	serve_admit(serve, node);
	return 0;
}

/* --- revoke --- */

/*
 * The join keys that the node has in its hands: those it came with, and, as its slice has the
 * cluster file, those of its role.
 */
static void find_joins(const struct node *node, const struct identity *identity, struct member *out)
{
	struct join join;

	(void)join_add(out->joins, &out->join_count, REVOKED_JOINS, &node->join);
	for (size_t i = 0; i < identity->root_count && node->approved; i++) {
		join.epoch = identity->roots[i].epoch;
		key_role_tag(identity->cluster_id, node->role, join.role_tag);
		(void)join_add(out->joins, &out->join_count, REVOKED_JOINS,
			       &join); /* holds two epochs of both */
	}
	for (size_t i = node->join_count; i > 0; i--)
		(void)join_add(out->joins, &out->join_count, REVOKED_JOINS, node->joins + i - 1);
}

/*
 * A machine may have come with its key under several names: what matters most is of the one that is
 * meant.
 */
static void find_all_joins(struct serve *serve, const struct node *meant,
			   const struct identity *identity, struct member *out)
{
	struct registry *registry = serve_registry(serve);

	find_joins(meant, identity, out);
	for (size_t i = 0; i < registry_count(registry); i++) {
		const struct node *node = registry_at(registry, i);

		if (node != meant && crypto_equal(node->key, meant->key, KEY_SIZE))
			find_joins(node, identity, out);
	}
}

static void cut_key(struct serve *serve, const struct node *meant)
{
	struct registry *registry = serve_registry(serve);

	for (size_t i = 0; i < registry_count(registry); i++) {
		const struct node *node = registry_at(registry, i);

		if (crypto_equal(node->key, meant->key, KEY_SIZE))
			serve_cut(serve, node, "its key was revoked");
	}
}

static int revoke_node(struct serve *serve, const struct identity *identity, struct node *node,
		  const struct member_wish *wish, struct member *out, struct err *err)
{
	const struct revoked_key *known;

	if (take_key(wish, node->key, out, err) != 0)
		return -1;
	out->changed = !node->revoked;
	if (out->changed) {
		find_all_joins(serve, node, identity, out);
		if (registry_revoke(serve_registry(serve), node, out->joins, out->join_count,
				    err) != 0)
			return -1;
	}
	known = revoked_find(registry_revoked(serve_registry(serve)), node->key);
	memcpy(out->joins, known->joins, sizeof(out->joins));
	out->join_count = known->join_count;
	cut_key(serve, node);
	return 0;
}

/* --- forget --- */

static int forget_node(struct serve *serve, struct node *node, const struct member_wish *wish,
		       struct member *out, struct err *err)
{
	if (take_key(wish, node->key, out, err) != 0)
		return -1;
	if (node->connected)
		return err_set(err, ERR_REFUSED,
			       "%s is connected: stop it first, or muster nodes revoke %s",
			       node->name, node->name);
	out->changed = true;
	registry_forget(serve_registry(serve), node);
	return 0;
}

/*
 * Of one that is not in the registry any more a pin may be left: a kill came in between, or it was
 * forgotten to make room.
 */
static bool forget_pin(struct serve *serve, const struct member_wish *wish, struct member *out)
{
	if (wish->act != MEMBER_FORGET || wish->key ||
	    !pinboard_find(serve_pins(serve), wish->node))
		return false;
	(void)snprintf(out->node, sizeof(out->node), "%s", wish->node); /* a pin has a valid name */
	out->changed = true;
	return true;
}

/* --- all --- */

static bool key_digits(const char *text)
{
	size_t n = strlen(text);

	if (n < KEY_DIGITS_MIN || n >= KEY_FINGERPRINT_SIZE)
		return false;
	for (; *text; text++)
		if (!isdigit((unsigned char)*text) && (*text < 'a' || *text > 'f'))
			return false;
	return true;
}

int member_change(struct serve *serve, const struct identity *identity,
		  const struct member_wish *wish, struct member *out, struct err *err)
{
	struct node *node = registry_find(serve_registry(serve), wish->node);
	int rc;

	*out = (struct member){.act = wish->act};
	memcpy(out->cluster_id, identity->cluster_id, sizeof(out->cluster_id));
	if (wish->key && !key_digits(wish->key))
		return err_set(err, ERR_REFUSED,
			       "\"%.70s\" is not %d to %d hex digits of a key's fingerprint",
			       wish->key, KEY_DIGITS_MIN, KEY_FINGERPRINT_SIZE - 1);
	if (!node)
		return forget_pin(serve, wish, out)
			       ? 0
			       : registry_unknown(serve_registry(serve), wish->node, err);
	memcpy(out->node, node->name, sizeof(out->node));
	memcpy(out->role, node->role, sizeof(out->role));
	out->connected = node->connected;
	if (wish->act == MEMBER_APPROVE)
		rc = approve_node(serve, node, wish, out, err);
	else if (wish->act == MEMBER_REVOKE)
		rc = revoke_node(serve, identity, node, wish, out, err);
	else
		rc = forget_node(serve, node, wish, out, err);
	if (rc == 0 && out->changed)
		log_notice("members", out->node, "%s: role %s, key %s", words[out->act], out->role,
			   out->key);
	return rc;
}

int member_settle(const struct member *member, const struct home *home, const char *who,
		  struct err *err)
{
	/* what was so already is noted again: the first time may have failed */
	if (member->act == MEMBER_FORGET && pins_forget(home, member->node, err) != 0)
		return -1;
	return audit_note(home, who, err, "%s %s role %s key %s", words[member->act], member->node,
			  *member->role ? member->role : "-", *member->key ? member->key : "-");
}

void member_done(const struct member *member, struct serve *serve)
{
	if (member->act == MEMBER_FORGET)
		serve_forget_pin(serve, member->node);
}

/* The role that a join key is for, as far as it can be known. */
static const char *role_of(const struct member *member, const struct join *join)
{
	uint8_t tag[ROLE_TAG_SIZE];

	key_role_tag(member->cluster_id, "*", tag);
	if (memcmp(tag, join->role_tag, sizeof(tag)) == 0)
		return "*";
	key_role_tag(member->cluster_id, member->role, tag);
	return memcmp(tag, join->role_tag, sizeof(tag)) == 0 ? member->role : "";
}

json_t *member_json(const struct member *member)
{
	json_t *joins = json_array();

	for (size_t i = 0; i < member->join_count; i++) /* fails only when memory is out */
		(void)json_array_append_new(
			joins, json_pack("{s:I, s:s}", "epoch", (json_int_t)member->joins[i].epoch,
					 "role", role_of(member, member->joins + i)));
	return json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:b, s:o}", "act", words[member->act],
			 "node", member->node, "role", member->role, "key", member->key, "changed",
			 member->changed, "connected", member->connected, "replaced",
			 member->replaced, "joinKeys", joins);
}
