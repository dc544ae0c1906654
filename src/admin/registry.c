/* What is known of each node: see registry.h. */
#include "admin/registry_files.h"

#include "core/limits.h"
#include "core/log.h"
#include "core/loop.h"

#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NEAR_MAX = 3 }; /* names that are offered for one that is not known */

static size_t position(const struct registry *registry, const char *name, bool *found)
{
	size_t low = 0, high = registry->count;

	*found = false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(name, registry->nodes[middle]->name);

		if (order == 0) {
			*found = true;
			return middle;
		}
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

struct node *registry_find(struct registry *registry, const char *name)
{
	bool found;
	size_t at = position(registry, name, &found);

	return found ? registry->nodes[at] : NULL;
}

/* Names like the one that was asked for. */
static char *near_names(struct registry *registry, const char *name)
{
	struct buf out;
	size_t found = 0;

	buf_init(&out, NEAR_MAX * (NAME_MAX_LEN + 16));
	for (size_t i = 0; i < registry_count(registry) && found < NEAR_MAX; i++)
		if (text_near(registry_at(registry, i)->name, name))
			buf_printf(&out, "%s%s", found++ ? ", " : "; there is ",
				   registry_at(registry, i)->name);
	if (!found)
		buf_puts(&out, "; muster nodes lists them");
	return (char *)buf_steal(&out, NULL);
}

int registry_unknown(struct registry *registry, const char *name, struct err *err)
{
	char *near = near_names(registry, name);
	int rc = err_set(err, ERR_REFUSED, "no node is named \"%.70s\"%s", name, near);

	free(near);
	return rc;
}

struct node *node_add(struct registry *registry, const char *name)
{
	bool found;
	size_t at = position(registry, name, &found);
	struct node *node = mem_new(1, sizeof(*node));

	registry->nodes = mem_grow(registry->nodes, registry->count + 1, sizeof(*registry->nodes));
	memmove(registry->nodes + at + 1, registry->nodes + at,
		(registry->count - at) * sizeof(*registry->nodes));
	registry->count++;
	registry->nodes[at] = node;
	memcpy(node->name, name, strlen(name) + 1);
	return node;
}

void node_free(struct node *node)
{
	free(node->report);
	free(node->claim);
	free(node);
}

/* --- reports: keys and values, each with its NUL --- */

void report_set(struct node *node, const struct buf *report)
{
	free(node->report);
	node->report = report->len ? mem_new(report->len, 1) : NULL;
	node->report_size = report->len;
	if (report->len)
		memcpy(node->report, report->data, report->len);
}

void report_add(struct buf *report, const char *key, const char *value)
{
	json_t *text = json_string(value);

	if (text && report->len + strlen(key) + strlen(value) + 2 <= report->max) {
		buf_put(report, key, strlen(key) + 1);
		buf_put(report, value, strlen(value) + 1);
	}
	json_decref(text);
}

const char *report_next(const struct node *node, size_t *at, const char **value)
{
	const char *key;

	if (*at == node->report_size)
		return NULL;
	key = node->report + *at;
	*value = key + strlen(key) + 1;
	*at += strlen(key) + strlen(*value) + 2;
	return key;
}

/* --- nodes --- */

void registry_contact(struct node *node)
{
	node->last_contact = text_now();
}

/* Those who come like this wait for the admin. */
static bool needs_approval(const struct registry *registry, const struct join *join)
{
	return registry->approve || revoked_knew(&registry->revoked, join);
}

static bool is_key(const struct node *node, const uint8_t key[static KEY_SIZE])
{
	return crypto_equal(node->key, key, KEY_SIZE);
}

/* The name is approved for another key or role, and this one would have to be approved as well. */
static bool is_bound(const struct registry *registry, const struct node *node,
		     const struct claim *claim)
{
	if (!node->approved)
		return false;
	if (!is_key(node, claim->key))
		return needs_approval(registry, &claim->join);
	return registry->approve && strcmp(node->role, claim->role) != 0;
}

static int deny(struct node *node, const struct claim *claim, struct err *err)
{
	bool own = is_key(node, claim->key);

	if (!node->claim)
		node->claim = mem_new(1, sizeof(*node->claim));
	*node->claim = *claim;
	node->claim->at = loop_now();
	return err_set(err, ERR_DENIED,
		       "the name %s is approved for another %s: muster nodes approve %s on the "
		       "admin lets this one have it",
		       node->name, own ? "role" : "key", node->name);
}

/* Another key than before: nothing that was known of the name is of this one. */
static void change_key(struct node *node, const uint8_t key[static KEY_SIZE])
{
	memcpy(node->key, key, KEY_SIZE);
	free(node->report);
	free(node->claim);
	node->report = NULL;
	node->claim = NULL;
	node->report_size = node->join_count = 0;
	node->sequence = 0;
	node->approved = node->revoked = false;
}

static void change_role(struct registry *registry, struct node *node, const char *role)
{
	if (strcmp(node->role, role) == 0)
		return;
	memcpy(node->role, role, strlen(role) + 1);
	registry_touch(registry, node);
}

static void note_join(struct registry *registry, struct node *node, const struct join *join)
{
	node->join = *join;
	if (node->join_count == NODE_JOINS) { /* of epochs that are over, as a rule */
		bool known = false;

		for (size_t i = 0; i < NODE_JOINS; i++)
			known |= join_equal(node->joins + i, join);
		if (known)
			return;
		memmove(node->joins, node->joins + 1, --node->join_count * sizeof(node->joins[0]));
	}
	if (join_add(node->joins, &node->join_count, NODE_JOINS, join))
		registry_touch(registry, node);
}

bool registry_settle(struct registry *registry, struct node *node)
{
	if (node->approved || node->revoked || needs_approval(registry, &node->join))
		return false;
	node->approved = true;
	registry_touch(registry, node);
	return true;
}

/* The node that is missed least; NULL: none may be forgotten. */
static struct node *find_oldest(const struct registry *registry)
{
	int64_t age = text_now() - LIMIT_NODE_AGE;
	struct node *oldest = NULL;

	for (size_t i = 0; i < registry->count; i++) {
		struct node *node = registry->nodes[i];
		bool kept = node->approved && (registry->approve || node->last_contact > age);

		if (node->connected || node->revoked || kept)
			continue;
		/*
		 * those who wait and are away have nothing to lose, and anyone with a cluster file
		 * can make many
		 */
		if (!oldest || oldest->approved > node->approved ||
		    (oldest->approved == node->approved &&
		     oldest->last_contact > node->last_contact))
			oldest = node;
	}
	return oldest;
}

static int make_room(struct registry *registry, struct err *err)
{
	struct node *oldest;
	char last[TEXT_TIME_MAX];

	if (registry->count < registry->max)
		return 0;
	oldest = find_oldest(registry);
	if (!oldest)
		return err_set(err, ERR_FULL,
			       "the registry holds %zu nodes: forget some (muster nodes forget on "
			       "the admin)",
			       registry->count);
	log_notice("registry", oldest->name, "forgotten, to make room: last seen %s",
		   text_time(oldest->last_contact, last));
	registry_forget(registry, oldest);
	return 0;
}

int registry_register(struct registry *registry, const uint8_t key[static KEY_SIZE],
		      const struct join *join, const struct control_message *message,
		      struct node **out, struct err *err)
{
	const char *name = control_get(message, "name"), *role = control_get(message, "role");
	struct claim claim = {.join = *join};
	struct node *node;

	if (!name || !name_valid(name))
		return err_set(err, ERR_REFUSED, "\"%.70s\" is no name for a node",
			       name ? name : "");
	if (!role || !name_valid(role))
		return err_set(err, ERR_REFUSED, "\"%.70s\" is no name for a role",
			       role ? role : "");
	if (revoked_find(&registry->revoked, key))
		return err_set(err, ERR_DENIED, "the key of this node is revoked");
	memcpy(claim.key, key, KEY_SIZE);
	memcpy(claim.role, role, strlen(role) + 1);
	node = registry_find(registry, name);
	if (node && node->connected && !is_key(node, key))
		return err_set(err, ERR_REFUSED,
			       "the name %s belongs to another node that is connected", name);
	if (node && is_bound(registry, node, &claim))
		return deny(node, &claim, err);
	if (!node && make_room(registry, err) != 0)
		return -1;
	if (!node) {
		node = node_add(registry, name);
		node->first_contact = node->last_contact = text_now();
		memcpy(node->key, key, KEY_SIZE);
	} else if (!is_key(node, key)) {
		log_warning("registry", name,
			    "another key takes the name: a node made anew, or not the same");
		change_key(node, key);
	}
	change_role(registry, node, role);
	note_join(registry, node, join);
	(void)registry_settle(registry, node); /* or it waits */
	*out = node;
	return 0;
}

/* --- membership --- */

void registry_set_approve(struct registry *registry, bool approve)
{
	registry->approve = approve;
}

bool registry_asks_approval(const struct registry *registry)
{
	return registry->approve;
}

const struct claim *node_claim(const struct node *node)
{
	return node->claim && loop_now() - node->claim->at < WAIT_CLAIM ? node->claim : NULL;
}

void registry_approve(struct registry *registry, struct node *node,
		      const uint8_t key[static KEY_SIZE], const char *role, const struct join *join)
{
	const struct join known = *join; /* may be of what goes now */
	char as[NAME_MAX_LEN + 1];

	(void)snprintf(as, sizeof(as), "%s", role); /* fits: a valid name; likewise */
	if (!is_key(node, key)) {
		assert(!node->connected);
		change_key(node, key);
	}
	change_role(registry, node, as);
	note_join(registry, node, &known);
	free(node->claim);
	node->claim = NULL;
	node->approved = true;
	registry_touch(registry, node);
	registry_note(registry);
}

/*
 * A key that is revoked now: the node has nothing by it any more, under whatever name, and may
 * claim none.
 */
static void drop_key(struct registry *registry, struct node *node,
		     const uint8_t key[static KEY_SIZE])
{
	if (node->claim && crypto_equal(node->claim->key, key, KEY_SIZE)) {
		free(node->claim);
		node->claim = NULL;
	}
	if (!is_key(node, key))
		return;
	node->revoked = true;
	node->approved = false;
	registry_touch(registry, node);
}

int registry_revoke(struct registry *registry, struct node *node, const struct join *joins,
		    size_t count, struct err *err)
{
	struct revoked_key key = {.at = text_now()};

	memcpy(key.key, node->key, KEY_SIZE);
	memcpy(key.name, node->name, sizeof(key.name));
	memcpy(key.role, node->role, sizeof(key.role));
	for (size_t i = 0; i < count; i++)
		/* the caller's order is by weight */
		(void)join_add(key.joins, &key.join_count, REVOKED_JOINS, joins + i);
	if (revoked_add(&registry->revoked, &key, err) != 0)
		return -1;
	registry->revoked_dirty = true;
	for (size_t i = 0; i < registry->count; i++)
		drop_key(registry, registry->nodes[i], key.key);
	registry_note(registry);
	return 0;
}

void registry_forget(struct registry *registry, struct node *node)
{
	bool found;
	size_t at = position(registry, node->name, &found);

	assert(found && !node->connected);
	registry_remove_file(registry, node->name);
	registry->count--;
	memmove(registry->nodes + at, registry->nodes + at + 1,
		(registry->count - at) * sizeof(*registry->nodes));
	node_free(node);
	registry_note(registry);
}

const struct revoked *registry_revoked(const struct registry *registry)
{
	return &registry->revoked;
}

void registry_set_limit(struct registry *registry, size_t max_nodes)
{
	registry->max = max_nodes;
}

/* --- what they say --- */

void registry_report(struct registry *registry, struct node *node,
		     const struct control_message *message)
{
	struct buf report;

	buf_init(&report, LIMIT_REPORT);
	for (size_t i = 0; i < message->count; i++) {
		const char *key = message->pairs[i].key;

		if (strcmp(key, "name") != 0 &&
		    strcmp(key, "role") != 0) /* known, and not to be changed */
			report_add(&report, key, message->pairs[i].value);
	}
	report_set(node, &report);
	buf_clear(&report);
	node->sequence = control_get_number(message, "sequence", 0);
	if (node->sequence > INT64_MAX) /* its file and the status could not hold it */
		node->sequence = 0;
	registry_contact(node);
	registry_note(registry);
}

void registry_connected(struct registry *registry, struct node *node, bool connected)
{
	node->connected = connected;
	registry_contact(node);
	registry_note(registry);
}

void registry_epoch(struct registry *registry, struct node *node, uint32_t epoch)
{
	if (node->epoch == epoch)
		return;
	node->epoch = epoch;
	registry_touch(registry, node);
}

size_t registry_count(const struct registry *registry)
{
	return registry->count;
}

struct node *registry_at(struct registry *registry, size_t index)
{
	return registry->nodes[index];
}

const char *node_said(const struct node *node, const char *key)
{
	const char *word, *value;
	size_t at = 0;

	while ((word = report_next(node, &at, &value)))
		if (strcmp(word, key) == 0)
			return value;
	return "";
}
