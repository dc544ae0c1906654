/* What the admin shows: see show.h. */
#include "admin/show.h"

#include "config/merge.h"
#include "crypto/encode.h"
#include "repo/git.h"
#include "repo/tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECONDS_MAX UINT64_C(253402300799) /* the end of year 9999: RFC 3339 has no more */

static json_t *oid_json(const struct oid *oid)
{
	char hex[OID_HEX_SIZE];

	return oid_is_zero(oid) ? json_null() : json_string(oid_hex(oid, hex));
}

static json_t *text_json(const char *text)
{
	return *text ? json_string(text) : json_null();
}

/* A finding may quote any bytes of a file; JSON takes UTF-8. */
static json_t *any_text_json(const char *text)
{
	json_t *out = json_string(text);
	char *copy;

	if (out)
		return out;
	copy = text_copy(text);
	for (char *p = copy; *p; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	out = json_string(copy);
	free(copy);
	return out;
}

/* --- where it listens --- */

static int cluster_of_commit(struct repo *repo, const struct oid *commit, struct cluster *out,
			     struct settings *settings, struct err *err)
{
	struct fileset files = {0};
	struct document *doc = NULL;
	struct model *model = NULL;
	int rc = tree_read_commit(repo, commit, &files, err);

	if (rc == 0)
		rc = merge_fileset(&files, &doc, &model, err);
	if (rc == 0)
		rc = cluster_read(doc, out, err);
	if (rc == 0 && settings)
		*settings = settings_read(doc);
	document_free(doc);
	model_free(model);
	fileset_clear(&files);
	return rc;
}

int show_cluster(const struct home *home, struct cluster *out, struct settings *settings,
		 struct err *err)
{
	char *path = home_var(home, ADMIN_SOURCE);
	struct admin_state state = {0};
	struct repo *repo = NULL;
	struct oid commit;
	struct err none;
	int rc = repo_open(path, &repo, err);

	if (rc == 0 && state_read(home->var_fd, &state, &none) == 0 && state.has_published) {
		rc = cluster_of_commit(repo, &state.source, out, settings, &none);
		state_clear(&state);
		if (rc == 0)
			goto out;
		rc = 0; /* its history was rewritten and cleaned away: main it is */
	}
	if (rc == 0)
		rc = repo_ref_get(repo, ADMIN_MAIN, &commit, err);
	if (rc == 0)
		rc = cluster_of_commit(repo, &commit, out, settings, err);
out:
	state_clear(&state);
	repo_free(repo);
	free(path);
	return rc == 0 ? 0 : err_prefix(err, "%s", ADMIN_SOURCE);
}

/* --- publications --- */

static json_t *published_json(const struct admin_state *state)
{
	json_t *roles = json_object();

	for (size_t i = 0; i < state->role_count; i++) {
		const struct state_role *role = state->roles + i;

		/* fails only when memory is out */
		(void)json_object_set_new(roles, role->name,
					  json_pack("{s:o, s:I, s:b}", "release",
						    oid_json(&role->release), "sequence",
						    (json_int_t)role->sequence, "removed",
						    role->removed));
	}
	return json_pack("{s:o, s:o, s:o}", "source", oid_json(&state->source), "at",
			 text_json(state->at), "roles", roles);
}

static json_t *refused_json(const struct admin_state *state)
{
	json_t *reasons;

	if (!state->has_refused)
		return json_null();
	reasons = json_array();
	for (size_t i = 0; i < state->reason_count; i++)
		(void)json_array_append_new(
			reasons, any_text_json(state->reasons[i])); /* only out of memory */
	return json_pack("{s:o, s:o, s:s?, s:o}", "source", oid_json(&state->refused_source), "at",
			 text_json(state->refused_at), "step", state->step, "reasons", reasons);
}

/* --- holds --- */

enum holding { HOLDING_NONE, HOLDING_PENDING, HOLDING_DONE };

/* The node has taken this pin, or one after it. */
static bool has_taken(const struct node *node, const struct pinned *pinned)
{
	uint64_t sequence;

	return text_number(node_said(node, "pin-sequence"), UINT64_MAX, &sequence) == 0 &&
	       sequence >= pinned->sequence;
}

/*
 * What a node says counts, but for a hold of the admin's that it has not confirmed. A hold of its
 * own wins over that.
 */
static enum holding holding_of(struct serve *serve, const struct node *node)
{
	const struct pinned *pinned = pinboard_find(serve_pins(serve), node->name);
	const char *by = node_said(node, "held-by");
	bool by_admin = strcmp(by, "admin") == 0;

	if (strcmp(by, "node") == 0)
		return HOLDING_DONE;
	if (pinned && pinned->hold && !(by_admin && has_taken(node, pinned)))
		return HOLDING_PENDING;
	return by_admin ? HOLDING_DONE : HOLDING_NONE;
}

static json_t *time_json(int64_t seconds)
{
	char text[TEXT_TIME_MAX];

	return text_json(text_time(seconds, text));
}

static json_t *held_json(struct serve *serve, const struct node *node)
{
	const struct pinned *pinned = pinboard_find(serve_pins(serve), node->name);
	enum holding holding = holding_of(serve, node);
	uint64_t since = 0;

	if (holding == HOLDING_NONE)
		return json_null();
	if (holding == HOLDING_PENDING)
		return json_pack("{s:s, s:o, s:o, s:o, s:b}", "by", "admin", "release",
				 oid_json(&pinned->release), "since", time_json(pinned->since),
				 "reason", any_text_json(pinned->reason), "pending", true);
	(void)text_number(node_said(node, "held-since"), SECONDS_MAX, &since); /* else not known */
	return json_pack("{s:s, s:o, s:o, s:o, s:b}", "by", node_said(node, "held-by"), "release",
			 text_json(node_said(node, "held-release")), "since",
			 time_json((int64_t)since), "reason",
			 text_json(node_said(node, "held-reason")), "pending", false);
}

/* Those that are there and get nothing until they are approved. */
static json_int_t count_waiting(struct serve *serve)
{
	struct registry *registry = serve_registry(serve);
	json_int_t count = 0;

	for (size_t i = 0; i < registry_count(registry); i++)
		count += registry_at(registry, i)->connected && !registry_at(registry, i)->approved;
	return count;
}

static json_int_t count_held(struct serve *serve)
{
	struct registry *registry = serve_registry(serve);
	json_int_t count = 0;

	for (size_t i = 0; i < registry_count(registry); i++)
		count += holding_of(serve, registry_at(registry, i)) != HOLDING_NONE;
	return count;
}

/* Those that have not their role's newest release, also while they are away. */
static bool is_behind(struct serve *serve, const struct node *node)
{
	struct oid release;

	return serve_head(serve, node->role, &release) > node->sequence;
}

static bool is_rejecting(const struct node *node)
{
	return *node_said(node, "rejected-step") != '\0';
}

static void add_counts(struct serve *serve, json_t *out)
{
	struct registry *registry = serve_registry(serve);
	json_int_t behind = 0, rejected = 0;

	for (size_t i = 0; i < registry_count(registry); i++) {
		behind += is_behind(serve, registry_at(registry, i));
		rejected += is_rejecting(registry_at(registry, i));
	}
	/* all only out of memory */
	(void)json_object_set_new(out, "held", json_integer(count_held(serve)));
	(void)json_object_set_new(out, "unapproved", json_integer(count_waiting(serve)));
	(void)json_object_set_new(out, "behind", json_integer(behind));
	(void)json_object_set_new(out, "rejected", json_integer(rejected));
}

/* --- status --- */

static const char *node_word(const struct node *node)
{
	const char *word = node_said(node, "state");

	return *word ? word : "BOOTING";
}

static json_t *counts_json(struct serve *serve)
{
	struct registry *registry = serve_registry(serve);
	json_t *counts = json_object();

	for (size_t i = 0; i < registry_count(registry); i++) {
		const struct node *node = registry_at(registry, i);
		const char *word = node->connected ? node_word(node) : "AWAY";
		json_int_t count = json_integer_value(json_object_get(counts, word));

		(void)json_object_set_new(counts, word,
					  json_integer(count + 1)); /* only out of memory */
	}
	return counts;
}

/*
 * The node has accepted a release that this admin does not have: its copy of the releases is older
 * than the node's, and the node will not go back.
 */
static bool is_ahead(struct serve *serve, const struct node *node)
{
	struct oid accepted;

	return oid_parse(node_said(node, "accepted"), &accepted) == 0 &&
	       !serve_knows(serve, node->role, &accepted);
}

static json_int_t count_ahead(struct serve *serve)
{
	struct registry *registry = serve_registry(serve);
	json_int_t count = 0;

	for (size_t i = 0; i < registry_count(registry); i++)
		count += is_ahead(serve, registry_at(registry, i));
	return count;
}

json_t *show_status(const struct identity *identity, const struct admin *admin, struct serve *serve,
		    const char *listen_host)
{
	const struct admin_state *state = admin_state(admin);
	const char *failure = admin_failure(admin);
	const struct oid *head = state->has_refused ? &state->refused_source : &state->source;
	char listen[128];
	struct packcache_stats packs;
	struct buf id;
	json_t *out;

	serve_packs(serve, &packs);
	buf_init(&id, CLUSTER_ID_HEX_SIZE);
	encode_hex(&id, identity->cluster_id, CLUSTER_ID_SIZE);
	(void)snprintf(listen, sizeof(listen), "%.100s:%u", listen_host,
		       serve_port(serve)); /* fits */
	out = json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:I, s:{s:I, s:I, s:I}, s:s, s:n, s:s}",
			"cluster", buf_text(&id), "head", oid_json(head), "published",
			state->has_published ? published_json(state) : json_null(), "refused",
			refused_json(state), "failed",
			failure ? any_text_json(failure) : json_null(), "nodes", counts_json(serve),
			"ahead", count_ahead(serve), "packs", "built", (json_int_t)packs.built,
			"hits", (json_int_t)packs.hits, "bytes", (json_int_t)packs.bytes, "listen",
			listen, "ui", "version", PACKAGE_VERSION);
	buf_clear(&id);
	add_counts(serve, out);
	return out;
}

/* --- nodes --- */

static json_t *rejected_json(const struct node *node)
{
	if (!is_rejecting(node))
		return json_null();
	return json_pack("{s:o, s:I, s:s, s:s}", "release",
			 text_json(node_said(node, "rejected-release")), "sequence",
			 (json_int_t)strtoll(node_said(node, "rejected-sequence"), NULL, 10),
			 "step", node_said(node, "rejected-step"), "reason",
			 node_said(node, "rejected-reason"));
}

/* The ids of the secret keys that a node says it holds. */
static json_t *keys_json(const struct node *node)
{
	char *copy = text_copy(node_said(node, "secret-keys")), *rest = copy, *id;
	json_t *out = json_array();

	while ((id = strsep(&rest, ",")))
		if (*id)
			(void)json_array_append_new(out, json_string(id)); /* only out of memory */
	free(copy);
	return out;
}

/* Who else wants its name. */
static json_t *claim_json(const struct node *node)
{
	const struct claim *claim = node_claim(node);
	char key[KEY_FINGERPRINT_SIZE];

	return claim ? json_pack("{s:s, s:s}", "key", key_fingerprint(claim->key, key), "role",
				 claim->role)
		     : json_null();
}

static json_t *node_json(struct serve *serve, const struct node *node)
{
	char first[TEXT_TIME_MAX], last[TEXT_TIME_MAX], key[KEY_FINGERPRINT_SIZE];
	struct oid release;
	uint64_t head = serve_head(serve, node->role, &release);
	uint64_t behind = head > node->sequence ? head - node->sequence : 0;

	return json_pack(
		"{s:s, s:s, s:s, s:b, s:o, s:I, s:I, s:b, s:I, s:o, s:o, s:b, s:b, s:s, s:o, s:o, "
		"s:o, s:o, s:o}",
		"name", node->name, "role", node->role, "nodeState", node_word(node), "connected",
		node->connected, "transactionId", text_json(node_said(node, "deployed")),
		"sequence", (json_int_t)node->sequence, "behind", (json_int_t)behind, "ahead",
		is_ahead(serve, node), "epoch", (json_int_t)node->epoch, "held",
		held_json(serve, node), "rejected", rejected_json(node), "approved", node->approved,
		"revoked", node->revoked, "key", key_fingerprint(node->key, key), "claim",
		claim_json(node), "firstContact", text_json(text_time(node->first_contact, first)),
		"lastContact", text_json(text_time(node->last_contact, last)), "secretKeys",
		keys_json(node), "version", text_json(node_said(node, "version")));
}

json_t *show_nodes(struct serve *serve)
{
	struct registry *registry = serve_registry(serve);
	json_t *out = json_array();

	for (size_t i = 0; i < registry_count(registry); i++) {
		const struct node *node = registry_at(registry, i);
		json_t *row = node_json(serve, node);

		/* both only out of memory */
		(void)json_object_set_new(
			row, "drift", json_integer(strtoll(node_said(node, "drift"), NULL, 10)));
		(void)json_array_append_new(out, row);
	}
	return out;
}

json_t *show_revoked(struct serve *serve)
{
	const struct revoked *revoked = registry_revoked(serve_registry(serve));
	char key[KEY_FINGERPRINT_SIZE];
	json_t *out = json_array();

	for (size_t i = 0; i < revoked->count; i++) /* fails only when memory is out */
		(void)json_array_append_new(
			out, json_pack("{s:s, s:s, s:s, s:o}", "key",
				       key_fingerprint(revoked->keys[i].key, key), "name",
				       revoked->keys[i].name, "role", revoked->keys[i].role, "at",
				       time_json(revoked->keys[i].at)));
	return out;
}

json_t *show_publication(const struct publication *publication)
{
	json_t *roles = json_array(), *reasons = json_array();

	for (size_t i = 0; i < publication->role_count; i++) {
		const struct publication_role *role = publication->roles + i;

		/*
		 * for who asks about a commit, what it changed is changed by it, also when main's
		 * move was seen and published before the question came; fails only when memory is
		 * out
		 */
		(void)json_array_append_new(
			roles,
			json_pack("{s:s, s:o, s:I, s:b, s:b}", "role", role->name, "release",
				  oid_json(&role->release), "sequence", (json_int_t)role->sequence,
				  "changed", oid_equal(&role->source, &publication->source),
				  "removed", role->removed));
	}
	for (size_t i = 0; i < publication->findings.count; i++)
		(void)json_array_append_new(
			reasons, any_text_json(publication->findings.lines[i])); /* ditto */
	return json_pack("{s:o, s:I, s:b, s:b, s:s?, s:o, s:o}", "source",
			 oid_json(&publication->source), "commits",
			 (json_int_t)publication->commits, "rewritten", publication->rewritten,
			 "refused", publication->refused, "step", publication->step, "reasons",
			 reasons, "roles", roles);
}
