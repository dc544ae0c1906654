/* What is known of each node: see registry.h. */
#include "admin/registry.h"

#include "core/fs.h"
#include "core/limits.h"
#include "core/log.h"
#include "core/loop.h"
#include "crypto/encode.h"

#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FOLDER "admin/nodes"
enum {
	WRITE_BEHIND = 1000, /* milliseconds from a change to its file: contacts change often and may be lost */
	WRITE_AGAIN = 30000, /* milliseconds until what could not be written is tried again */
};

struct registry {
	uv_loop_t *loop;
	uv_timer_t timer;
	int folder;
	struct node **nodes; /* sorted by name */
	size_t count;
	void (*changed)(void *arg);
	void *arg;
	bool writing;
	bool again; /* there is more to write once that is done */
	bool closing;
};

/* Files to write, with their own copies. */
struct writing {
	struct registry *registry;
	int folder;
	size_t count;
	struct {
		char name[NAME_MAX_LEN + 1];
		char *text;
		bool failed;
	} files[];
};

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

static struct node *node_add(struct registry *registry, const char *name)
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

static void node_free(struct node *node)
{
	free(node->report);
	free(node);
}

/* --- reports: keys and values, each with its NUL --- */

static void report_set(struct node *node, const struct buf *report)
{
	free(node->report);
	node->report = report->len ? mem_new(report->len, 1) : NULL;
	node->report_size = report->len;
	if (report->len)
		memcpy(node->report, report->data, report->len);
}

/* Whole pairs, as many as fit; and only UTF-8, which is all that JSON takes: it is no loss. */
static void report_add(struct buf *report, const char *key, const char *value)
{
	json_t *text = json_string(value);

	if (text && report->len + strlen(key) + strlen(value) + 2 <= report->max) {
		buf_put(report, key, strlen(key) + 1);
		buf_put(report, value, strlen(value) + 1);
	}
	json_decref(text);
}

static const char *report_next(const struct node *node, size_t *at, const char **value)
{
	const char *key;

	if (*at == node->report_size)
		return NULL;
	key = node->report + *at;
	*value = key + strlen(key) + 1;
	*at += strlen(key) + strlen(*value) + 2;
	return key;
}

/* --- files --- */

static char *node_format(const struct node *node)
{
	json_t *doc, *report = json_object();
	const char *word, *value;
	struct buf key;
	size_t at = 0;
	char *text;

	while ((word = report_next(node, &at, &value)))
		(void)json_object_set_new(report, word, json_string(value)); /* only out of memory */
	buf_init(&key, 2 * KEY_SIZE);
	encode_base64url(&key, node->key, KEY_SIZE);
	doc = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:o}", "name", node->name, "role", node->role,
			"key", buf_text(&key), "firstContact", (json_int_t)node->first_contact,
			"lastContact", (json_int_t)node->last_contact, "sequence",
			(json_int_t)node->sequence, "report", report);
	text = json_dumps(doc, JSON_INDENT(1));
	json_decref(doc);
	buf_clear(&key);
	return text;
}

static void parse_report(struct node *node, json_t *report)
{
	const char *key, *text;
	json_t *value;
	struct buf out;

	buf_init(&out, LIMIT_REPORT);
	json_object_foreach(report, key, value) {
		text = json_string_value(value);
		if (text)
			report_add(&out, key, text);
	}
	report_set(node, &out);
	buf_clear(&out);
}

static int node_parse(struct node *node, const struct buf *text)
{
	json_t *doc = json_loadb(buf_text(text), text->len, JSON_REJECT_DUPLICATES, NULL), *report = NULL;
	const char *name = "", *role = "", *key = "";
	json_int_t first = 0, last = 0, sequence = 0;
	struct buf bytes;
	int rc = json_unpack(doc, "{s:s, s:s, s:s, s:I, s:I, s:I, s:o}", "name", &name, "role", &role,
			     "key", &key, "firstContact", &first, "lastContact", &last, "sequence",
			     &sequence, "report", &report);

	buf_init(&bytes, KEY_SIZE);
	if (rc != 0 || strcmp(name, node->name) != 0 || !name_valid(role) || !json_is_object(report) ||
	    decode_base64url(key, strlen(key), &bytes) != 0 || bytes.len != KEY_SIZE) {
		rc = -1;
	} else {
		memcpy(node->role, role, strlen(role) + 1);
		memcpy(node->key, bytes.data, KEY_SIZE);
		node->first_contact = first;
		node->last_contact = last;
		node->sequence = sequence > 0 ? (uint64_t)sequence : 0;
		parse_report(node, report);
	}
	buf_clear(&bytes);
	json_decref(doc);
	return rc;
}

/* What a kill left of a write has another name than what it holds, or holds nothing whole; a node may be named like it. */
static void load_one(struct registry *registry, const char *name)
{
	struct node *node, loaded = {.name = ""};
	struct buf text;
	struct err err;
	bool good = false;

	if (!name_valid(name) || registry->count >= LIMIT_NODES)
		return;
	buf_init(&text, LIMIT_SMALL_FILE);
	memcpy(loaded.name, name, strlen(name) + 1);
	if (fs_read(registry->folder, name, &text, &err) != 0)
		log_warning("registry", name, "%s", err.text);
	else
		good = node_parse(&loaded, &text) == 0;
	if (!good && text_ends(name, ".tmp")) {
		(void)unlinkat(registry->folder, name, 0); /* the next start tries again */
	} else {
		if (!good)
			log_warning("registry", name, "its file is damaged: what was known of it starts anew");
		node = node_add(registry, name);
		*node = loaded;
	}
	buf_clear(&text);
}

static int load_all(struct registry *registry, struct err *err)
{
	int fd = openat(registry->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		(void)err_sys(err, "%s", FOLDER);
		if (fd >= 0)
			(void)close(fd); /* only read */
		return -1;
	}
	while ((entry = readdir(dir)))
		load_one(registry, entry->d_name);
	(void)closedir(dir); /* only read */
	return 0;
}

static struct writing *writing_new(struct registry *registry)
{
	struct writing *writing;
	size_t count = 0;

	for (size_t i = 0; i < registry->count; i++)
		count += registry->nodes[i]->dirty;
	writing = mem_new(1, sizeof(*writing) + count * sizeof(writing->files[0]));
	writing->registry = registry;
	writing->folder = registry->folder;
	for (size_t i = 0; i < registry->count; i++) {
		struct node *node = registry->nodes[i];

		if (!node->dirty)
			continue;
		node->dirty = false;
		memcpy(writing->files[writing->count].name, node->name, sizeof(node->name));
		writing->files[writing->count++].text = node_format(node);
	}
	return writing;
}

static void write_files(void *arg)
{
	struct writing *writing = arg;

	for (size_t i = 0; i < writing->count; i++) {
		struct err err;
		const char *text = writing->files[i].text;

		writing->files[i].failed = fs_write_atomic(writing->folder, writing->files[i].name, text,
							   strlen(text), 0600, &err) != 0;
		/* a full disk fails all alike: once is enough */
		if (writing->files[i].failed && (i == 0 || !writing->files[i - 1].failed))
			log_warning("registry", writing->files[i].name, "%s", err.text);
		free(writing->files[i].text);
	}
}

static void registry_release(struct registry *registry)
{
	struct writing *rest = writing_new(registry);

	write_files(rest);
	free(rest);
	for (size_t i = 0; i < registry->count; i++)
		node_free(registry->nodes[i]);
	free(registry->nodes);
	(void)close(registry->folder); /* a folder */
	free(registry);
}

static void on_timer_close(uv_handle_t *handle)
{
	registry_release(handle->data);
}

static void on_timer(uv_timer_t *timer);

static void on_written(void *arg)
{
	struct writing *writing = arg;
	struct registry *registry = writing->registry;
	bool failed = false;

	for (size_t i = 0; i < writing->count; i++) {
		if (!writing->files[i].failed)
			continue;
		registry_find(registry, writing->files[i].name)->dirty = true; /* nodes stay */
		failed = true;
	}
	free(writing);
	registry->writing = false;
	if (registry->closing)
		uv_close((uv_handle_t *)&registry->timer, on_timer_close);
	else if (registry->again || (failed && !uv_is_active((uv_handle_t *)&registry->timer)))
		(void)uv_timer_start(&registry->timer, on_timer, failed ? WRITE_AGAIN : WRITE_BEHIND,
				     0); /* never fails */
}

static void on_timer(uv_timer_t *timer)
{
	struct registry *registry = timer->data;

	registry->again = registry->writing;
	if (registry->writing)
		return;
	registry->writing = true;
	loop_work(registry->loop, write_files, on_written, writing_new(registry));
}

static void touch(struct registry *registry, struct node *node)
{
	node->dirty = true;
	if (!uv_is_active((uv_handle_t *)&registry->timer) && !registry->closing)
		(void)uv_timer_start(&registry->timer, on_timer, WRITE_BEHIND, 0); /* never fails */
	registry->changed(registry->arg);
}

int registry_open(uv_loop_t *loop, const struct home *home, void (*changed)(void *arg), void *arg,
		  struct registry **out, struct err *err)
{
	struct registry *registry;
	int folder;

	if (fs_make_dirs(home->var_fd, FOLDER, 0700, err) != 0 ||
	    fs_open_dir(home->var_fd, FOLDER, &folder, err) != 0)
		return -1;
	registry = mem_new(1, sizeof(*registry));
	*registry = (struct registry){.loop = loop, .folder = folder, .changed = changed, .arg = arg};
	(void)uv_timer_init(loop, &registry->timer); /* never fails */
	registry->timer.data = registry;
	if (load_all(registry, err) != 0) {
		registry_free(registry);
		return -1;
	}
	*out = registry;
	return 0;
}

void registry_free(struct registry *registry)
{
	if (!registry || registry->closing)
		return;
	registry->closing = true;
	if (!registry->writing)
		uv_close((uv_handle_t *)&registry->timer, on_timer_close);
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

	if (!name || !name_valid(name))
		return err_set(err, ERR_REFUSED, "\"%.70s\" is no name for a node", name ? name : "");
	if (!role || !name_valid(role))
		return err_set(err, ERR_REFUSED, "\"%.70s\" is no name for a role", role ? role : "");
	node = registry_find(registry, name);
	if (node && node->connected && !crypto_equal(node->key, key, KEY_SIZE))
		return err_set(err, ERR_REFUSED, "the name %s belongs to another node that is connected", name);
	if (!node && registry->count >= LIMIT_NODES)
		return err_set(err, ERR_FULL, "the registry holds %u nodes: forget some", LIMIT_NODES);
	if (!node) {
		node = node_add(registry, name);
		node->first_contact = text_now();
		memcpy(node->key, key, KEY_SIZE);
	} else if (!crypto_equal(node->key, key, KEY_SIZE)) {
		log_warning("registry", name, "another key takes the name: a node made anew, or not the same");
		memcpy(node->key, key, KEY_SIZE);
		free(node->report);
		node->report = NULL;
		node->report_size = 0;
		node->sequence = 0;
	}
	memcpy(node->role, role, strlen(role) + 1);
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
	touch(registry, node);
}

void registry_connected(struct registry *registry, struct node *node, bool connected)
{
	node->connected = connected;
	registry_contact(node);
	touch(registry, node);
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
