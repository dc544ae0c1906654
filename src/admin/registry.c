/* What is known of each node: see registry.h. */
#include "admin/registry_files.h"

#include "core/limits.h"
#include "core/log.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

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

int registry_register(struct registry *registry, const uint8_t key[static KEY_SIZE],
		      const struct control_message *message, struct node **out, struct err *err)
{
	const char *name = control_get(message, "name"), *role = control_get(message, "role");
	struct node *node;
	bool fresh;

	if (!name || !name_valid(name))
		return err_set(err, ERR_REFUSED, "\"%.70s\" is no name for a node", name ? name : "");
	if (!role || !name_valid(role))
		return err_set(err, ERR_REFUSED, "\"%.70s\" is no name for a role", role ? role : "");
	node = registry_find(registry, name);
	if (node && node->connected && !crypto_equal(node->key, key, KEY_SIZE))
		return err_set(err, ERR_REFUSED, "the name %s belongs to another node that is connected", name);
	if (!node && registry->count >= LIMIT_NODES)
		return err_set(err, ERR_FULL, "the registry holds %u nodes: forget some", LIMIT_NODES);
	fresh = !node || !crypto_equal(node->key, key, KEY_SIZE);
	if (!node) {
		node = node_add(registry, name);
		node->first_contact = text_now();
		memcpy(node->key, key, KEY_SIZE);
	} else if (fresh) {
		log_warning("registry", name, "another key takes the name: a node made anew, or not the same");
		memcpy(node->key, key, KEY_SIZE);
		free(node->report);
		node->report = NULL;
		node->report_size = 0;
		node->sequence = 0;
	}
	if (strcmp(node->role, role) != 0 || fresh) {
		memcpy(node->role, role, strlen(role) + 1);
		registry_touch(registry, node);
	}
	*out = node;
	return 0;
}

void registry_report(struct registry *registry, struct node *node, const struct control_message *message)
{
	struct buf report;

	buf_init(&report, LIMIT_REPORT);
	for (size_t i = 0; i < message->count; i++) {
		const char *key = message->pairs[i].key;

		if (strcmp(key, "name") != 0 && strcmp(key, "role") != 0) /* known, and not to be changed */
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
