/* What is kept of the nodes: see registry.h. */
#include "admin/registry_files.h"

#include "core/fs.h"
#include "core/limits.h"
#include "core/log.h"
#include "core/loop.h"
#include "crypto/encode.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FOLDER	 "admin/nodes"
#define FRESH	 "admin/nodes.new" /* files on their way into FOLDER */
#define CONTACTS "admin/contacts"
enum {
	/* milliseconds from a node that is new, or a name that changed hands, to its file */
	WRITE_BEHIND = 1000,
	CONTACTS_BEHIND = 30000, /* milliseconds from a report to the file of all: it may be lost */
	WRITE_AGAIN = 30000,	 /* milliseconds until what could not be written is tried again */
	CONTACT_MAX = 32 << 10,	 /* bytes of one node's line: every byte of its report escaped */
};

/* Files to write, with their own copies. */
struct writing {
	struct registry *registry;
	int var, folder, fresh;
	struct flush *flushes; /* that are answered by it */
	char *revoked;	       /* the list, or NULL: it is as it was */
	bool revoked_failed;
	int rc; /* of all of it, and the first error */
	struct err err;
	size_t count;
	struct {
		char name[NAME_MAX_LEN + 1];
		char *text; /* NULL: it is to go */
		bool failed;
	} files[];
};

/* --- one node --- */

/*
 * What the node's own file says, and its line in the file of all; only the first is written before
 * an answer counts.
 */
char *node_format(const struct node *node)
{
	json_t *doc, *report = json_object();
	const char *word, *value;
	struct buf key;
	size_t at = 0;
	char *text;

	while ((word = report_next(node, &at, &value)))
		(void)json_object_set_new(report, word,
					  json_string(value)); /* only out of memory */
	buf_init(&key, 2 * KEY_SIZE);
	encode_base64url(&key, node->key, KEY_SIZE);
	doc = json_pack("{s:s, s:s, s:s, s:b, s:o, s:I, s:I, s:I, s:I, s:o}", "name", node->name,
			"role", node->role, "key", buf_text(&key), "approved", node->approved,
			"joins", joins_json(node->joins, node->join_count), "firstContact",
			(json_int_t)node->first_contact, "lastContact",
			(json_int_t)node->last_contact, "sequence", (json_int_t)node->sequence,
			"epoch", (json_int_t)node->epoch, "report", report);
	text = json_dumps(doc, JSON_COMPACT);
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

int node_parse(struct node *node, const struct buf *text)
{
	json_t *doc = json_loadb(buf_text(text), text->len, JSON_REJECT_DUPLICATES, NULL);
	json_t *joins = NULL, *report = NULL;
	const char *name = "", *role = "", *key = "";
	json_int_t first = 0, last = 0, sequence = 0, epoch = 0;
	int approved = 0;
	struct buf bytes;
	int rc = json_unpack(doc, "{s:s, s:s, s:s, s:b, s:o, s:I, s:I, s:I, s?I, s:o}", "name",
			     &name, "role", &role, "key", &key, "approved", &approved, "joins",
			     &joins, "firstContact", &first, "lastContact", &last, "sequence",
			     &sequence, "epoch", &epoch, "report", &report);

	buf_init(&bytes, KEY_SIZE);
	if (rc != 0 || strcmp(name, node->name) != 0 || !name_valid(role) ||
	    !json_is_object(report) || decode_base64url(key, strlen(key), &bytes) != 0 ||
	    bytes.len != KEY_SIZE ||
	    joins_parse(joins, node->joins, NODE_JOINS, &node->join_count) != 0) {
		node->join_count = 0;
		rc = -1;
	} else {
		memcpy(node->role, role, strlen(role) + 1);
		memcpy(node->key, bytes.data, KEY_SIZE);
		node->approved = approved;
		if (node->join_count)
			node->join = node->joins[node->join_count - 1];
		node->first_contact = first;
		node->last_contact = last;
		node->sequence = sequence > 0 ? (uint64_t)sequence : 0;
		node->epoch = epoch > 0 && epoch <= UINT32_MAX ? (uint32_t)epoch : 0;
		parse_report(node, report);
	}
	buf_clear(&bytes);
	json_decref(doc);
	return rc;
}

/*
 * What a kill left of a write has another name than what it holds, or holds nothing whole; a node
 * may be named like it.
 */
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
			log_warning("registry", name,
				    "its file is damaged: what was known of it starts anew");
		node = node_add(registry, name);
		*node = loaded;
		node->revoked = revoked_find(&registry->revoked, node->key) != NULL;
		if (node->revoked) /* the list was written, and the node's file was not */
			node->approved = false;
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
	size_t count = registry->forgotten_count;
	struct buf text;

	for (size_t i = 0; i < registry->count; i++)
		count += registry->nodes[i]->dirty;
	writing = mem_new(1, sizeof(*writing) + count * sizeof(writing->files[0]));
	*writing = (struct writing){.registry = registry,
				    .var = registry->var,
				    .folder = registry->folder,
				    .fresh = registry->fresh,
				    .flushes = registry->flushes};
	registry->flushes = NULL;
	if (registry->revoked_dirty) {
		buf_init(&text, (size_t)LIMIT_REVOKED * REVOKED_ENTRY);
		revoked_format(&registry->revoked, &text);
		writing->revoked = (char *)buf_steal(&text, NULL); /* ends in a NUL */
		registry->revoked_dirty = false;
	}
	for (size_t i = 0; i < registry->count; i++) {
		struct node *node = registry->nodes[i];

		if (!node->dirty)
			continue;
		node->dirty = false;
		memcpy(writing->files[writing->count].name, node->name, sizeof(node->name));
		writing->files[writing->count++].text = node_format(node);
	}
	for (size_t i = 0; i < registry->forgotten_count; i++) {
		/* unless it came back: then its file is written */
		if (!registry_find(registry, registry->forgotten[i]))
			memcpy(writing->files[writing->count++].name, registry->forgotten[i],
			       strlen(registry->forgotten[i]) + 1);
		free(registry->forgotten[i]);
	}
	registry->forgotten_count = 0;
	return writing;
}

static void writing_failed(struct writing *writing, const char *what, const struct err *err)
{
	/* a full disk fails all alike: one line is enough */
	if (writing->rc == 0) {
		log_warning("registry", what, "%s", err->text);
		writing->err = *err;
	}
	writing->rc = -1;
}

/* One step of all files; what failed before is left out. */
static void each_file(struct writing *writing,
		      int (*step)(struct writing *writing, size_t i, struct err *err))
{
	for (size_t i = 0; i < writing->count; i++) {
		struct err err;

		if (writing->files[i].failed || step(writing, i, &err) == 0)
			continue;
		writing->files[i].failed = true;
		writing_failed(writing, writing->files[i].name, &err);
	}
}

static int file_write(struct writing *writing, size_t i, struct err *err)
{
	const char *name = writing->files[i].name, *text = writing->files[i].text;

	if (!text)
		return 0;
	(void)unlinkat(writing->fresh, name, 0); /* what a failure left */
	return fs_write_unsynced(writing->fresh, name, text, strlen(text), 0600, err);
}

static int file_sync(struct writing *writing, size_t i, struct err *err)
{
	return writing->files[i].text ? fs_sync(writing->fresh, writing->files[i].name, err) : 0;
}

static int file_move(struct writing *writing, size_t i, struct err *err)
{
	const char *name = writing->files[i].name;
	int rc = writing->files[i].text ? renameat(writing->fresh, name, writing->folder, name)
					: unlinkat(writing->folder, name, 0);

	/* what is to go may never have been there */
	return rc == 0 || (!writing->files[i].text && errno == ENOENT)
		       ? 0
		       : err_sys(err, "%s/%s", FOLDER, name);
}

/*
 * Thousands that come for the first time together are written together: a sync for each alone would
 * take minutes.
 */
static void write_files(void *arg)
{
	struct writing *writing = arg;
	struct err err;

	/* before the nodes' files: a key that is revoked must not come back under any name */
	if (writing->revoked && fs_write_atomic(writing->var, REVOKED_FILE, writing->revoked,
						strlen(writing->revoked), 0600, &err) != 0) {
		writing->revoked_failed = true;
		writing_failed(writing, REVOKED_FILE, &err);
	}
	each_file(writing, file_write);
	each_file(writing, file_sync);
	each_file(writing, file_move);
	if (writing->count && fs_sync(writing->folder, ".", &err) != 0) {
		writing_failed(writing, FOLDER, &err);
		for (size_t i = 0; i < writing->count; i++)
			writing->files[i].failed = true;
	}
	for (size_t i = 0; i < writing->count; i++) {
		free(writing->files[i].text);
		writing->files[i].text = NULL;
	}
	free(writing->revoked);
}

/* What could not be written is still to be. */
static void take_back(struct registry *registry, const struct writing *writing)
{
	registry->revoked_dirty |= writing->revoked_failed;
	for (size_t i = 0; i < writing->count; i++) {
		struct node *node = registry_find(registry, writing->files[i].name);

		if (!writing->files[i].failed)
			continue;
		if (node)
			node->dirty = true;
		else
			registry_remove_file(registry, writing->files[i].name);
	}
}

static void answer_flushes(struct writing *writing)
{
	struct flush *flush;

	while ((flush = writing->flushes)) {
		writing->flushes = flush->next;
		flush->done(flush->arg, writing->rc, &writing->err);
		free(flush);
	}
}

/* --- what all said last: one file, for it changes with every release --- */

struct noting {
	struct registry *registry;
	int var;
	struct buf text;
};

static void write_contacts(void *arg)
{
	struct noting *noting = arg;
	struct err err;

	if (fs_replace(noting->var, CONTACTS, noting->text.data, noting->text.len, 0600, &err) != 0)
		log_warning("registry", CONTACTS, "%s", err.text);
	buf_clear(&noting->text);
}

static struct noting *noting_new(struct registry *registry)
{
	struct noting *noting = mem_new(1, sizeof(*noting));

	noting->registry = registry;
	noting->var = registry->var;
	buf_init(&noting->text, (size_t)LIMIT_NODES * CONTACT_MAX);
	for (size_t i = 0; i < registry->count; i++) {
		char *text = node_format(registry->nodes[i]);

		buf_puts(&noting->text, text);
		buf_put_u8(&noting->text, '\n');
		free(text);
	}
	registry->stale = false;
	return noting;
}

/* A line of it; one whose node is not there any more, or has another key, is of no use. */
static void take_contact(struct registry *registry, const char *line, size_t n)
{
	struct node said = {.sequence = 0}, *node;
	json_t *doc = json_loadb(line, n, 0, NULL);
	const char *name = json_string_value(json_object_get(doc, "name"));
	struct buf text;

	node = name && name_valid(name) ? registry_find(registry, name) : NULL;
	if (node) {
		memcpy(said.name, node->name, sizeof(said.name));
		buf_init(&text, n);
		buf_put(&text, line, n);
		if (node_parse(&said, &text) == 0 && crypto_equal(said.key, node->key, KEY_SIZE) &&
		    strcmp(said.role, node->role) == 0) {
			free(node->report);
			node->report = said.report;
			node->report_size = said.report_size;
			node->last_contact = said.last_contact;
			node->sequence = said.sequence;
		} else {
			free(said.report);
		}
		buf_clear(&text);
	}
	json_decref(doc);
}

static void load_contacts(struct registry *registry)
{
	struct buf text;
	struct cursor lines;
	struct err err;
	const char *line;
	size_t n;

	buf_init(&text, (size_t)LIMIT_NODES * CONTACT_MAX);
	if (fs_read(registry->var, CONTACTS, &text, &err) != 0 && err.code != ERR_GONE)
		log_warning("registry", CONTACTS, "%s", err.text);
	lines = cursor_of(text.data, text.len);
	while (lines.left && (line = cursor_line(&lines, &n)))
		take_contact(registry, line, n);
	buf_clear(&text);
}

static void registry_release(struct registry *registry)
{
	struct writing *rest = writing_new(registry);

	write_files(rest);
	answer_flushes(rest);
	free(rest);
	if (registry->stale) {
		struct noting *noting = noting_new(registry);

		write_contacts(noting);
		free(noting);
	}
	for (size_t i = 0; i < registry->count; i++)
		node_free(registry->nodes[i]);
	free(registry->nodes);
	free(registry->forgotten);
	revoked_clear(&registry->revoked);
	(void)close(registry->folder); /* folders */
	(void)close(registry->fresh);
	free(registry);
}

static void on_timer_close(uv_handle_t *handle)
{
	struct registry *registry = handle->data;

	if (--registry->handles == 0)
		registry_release(registry);
}

/* Once nothing is being written. */
static void registry_close(struct registry *registry)
{
	if (registry->writing || registry->noting)
		return;
	uv_close((uv_handle_t *)&registry->timer, on_timer_close);
	uv_close((uv_handle_t *)&registry->contacts, on_timer_close);
}

static void on_timer(uv_timer_t *timer);
static void on_contacts(uv_timer_t *timer);

static void begin_writing(struct registry *registry);

static void on_written(void *arg)
{
	struct writing *writing = arg;
	struct registry *registry = writing->registry;
	bool failed = writing->rc != 0;

	registry->writing = false;
	take_back(registry, writing);
	answer_flushes(writing); /* these may ask for more */
	free(writing);
	if (registry->writing)
		return;
	if (registry->closing)
		registry_close(registry);
	else if (registry->flushes)
		begin_writing(registry);
	else if (registry->again || (failed && !uv_is_active((uv_handle_t *)&registry->timer)))
		(void)uv_timer_start(&registry->timer, on_timer,
				     failed ? WRITE_AGAIN : WRITE_BEHIND, 0); /* never fails */
}

static void begin_writing(struct registry *registry)
{
	registry->writing = true;
	loop_work(registry->loop, write_files, on_written, writing_new(registry));
}

static void on_timer(uv_timer_t *timer)
{
	struct registry *registry = timer->data;

	registry->again = registry->writing;
	if (!registry->writing)
		begin_writing(registry);
}

static void on_noted(void *arg)
{
	struct noting *noting = arg;
	struct registry *registry = noting->registry;

	free(noting);
	registry->noting = false;
	if (registry->closing)
		registry_close(registry);
	else if (registry->stale)
		(void)uv_timer_start(&registry->contacts, on_contacts, CONTACTS_BEHIND,
				     0); /* never fails */
}

static void on_contacts(uv_timer_t *timer)
{
	struct registry *registry = timer->data;

	registry->noting = true;
	loop_work(registry->loop, write_contacts, on_noted, noting_new(registry));
}

void registry_touch(struct registry *registry, struct node *node)
{
	node->dirty = true;
	if (!uv_is_active((uv_handle_t *)&registry->timer) && !registry->closing)
		(void)uv_timer_start(&registry->timer, on_timer, WRITE_BEHIND, 0); /* never fails */
}

void registry_remove_file(struct registry *registry, const char *name)
{
	registry->forgotten = mem_grow(registry->forgotten, registry->forgotten_count + 1,
				       sizeof(*registry->forgotten));
	registry->forgotten[registry->forgotten_count++] = text_copy(name);
	if (!uv_is_active((uv_handle_t *)&registry->timer) && !registry->closing)
		(void)uv_timer_start(&registry->timer, on_timer, WRITE_BEHIND, 0); /* never fails */
}

void registry_flush(struct registry *registry,
		    void (*done)(void *arg, int rc, const struct err *err), void *arg)
{
	struct flush *flush = mem_new(1, sizeof(*flush)), **at = &registry->flushes;

	*flush = (struct flush){.done = done, .arg = arg};
	while (*at)
		at = &(*at)->next;
	*at = flush;
	if (!registry->writing && !registry->closing)
		begin_writing(registry);
}

void registry_note(struct registry *registry)
{
	registry->stale = true;
	if (!registry->noting && !registry->closing &&
	    !uv_is_active((uv_handle_t *)&registry->contacts))
		(void)uv_timer_start(&registry->contacts, on_contacts, CONTACTS_BEHIND,
				     0); /* never fails */
	registry->changed(registry->arg);
}

/* --- life --- */

int registry_open(uv_loop_t *loop, const struct home *home, void (*changed)(void *arg), void *arg,
		  struct registry **out, struct err *err)
{
	struct registry *registry;
	int folder, fresh;

	if (fs_remove_tree(home->var_fd, FRESH, err) != 0 ||
	    fs_make_dirs(home->var_fd, FRESH, 0700, err) != 0 ||
	    fs_keep_dirs(home->var_fd, FOLDER, 0700, err) != 0 ||
	    fs_open_dir(home->var_fd, FOLDER, &folder, err) != 0)
		return -1;
	if (fs_open_dir(home->var_fd, FRESH, &fresh, err) != 0) {
		(void)close(folder); /* a folder */
		return -1;
	}
	registry = mem_new(1, sizeof(*registry));
	*registry = (struct registry){.loop = loop,
				      .var = home->var_fd,
				      .folder = folder,
				      .fresh = fresh,
				      .max = LIMIT_NODES,
				      .changed = changed,
				      .arg = arg,
				      .handles = 2};
	(void)uv_timer_init(loop, &registry->timer); /* these never fail */
	(void)uv_timer_init(loop, &registry->contacts);
	registry->timer.data = registry->contacts.data = registry;
	if (revoked_load(home->var_fd, &registry->revoked, err) != 0 ||
	    load_all(registry, err) != 0) {
		registry_free(registry);
		return -1;
	}
	load_contacts(registry);
	*out = registry;
	return 0;
}

void registry_free(struct registry *registry)
{
	if (!registry || registry->closing)
		return;
	registry->closing = true;
	registry_close(registry);
}
