/* Edits of files by path: see edit.h. */
#include "config/edit.h"

#include "config/markup.h"
#include "config/merge.h"
#include "config/path.h"
#include "config/query.h"
#include "core/buf.h"
#include "core/limits.h"
#include "core/text.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define STEP "  " /* one level of indentation */

/* The files of a set, parsed each on its own: an edit is one of a file. */
struct edit {
	struct fileset *set;
	struct model *model;
	struct query *query;
	struct document **docs; /* by the number of the file; NULL: none of the configuration */
	struct document *merged;
	struct edited *out;
	struct err *err;
};

static void edit_close(struct edit *edit)
{
	for (size_t i = 0; edit->docs && i < edit->set->count; i++)
		document_free(edit->docs[i]);
	free(edit->docs);
	document_free(edit->merged);
	model_free(edit->model);
	query_free(edit->query);
}

static int edit_open(struct edit *edit, const char *path)
{
	struct fileset *set = edit->set;

	if (query_parse(path, &edit->query, edit->err) != 0 ||
	    merge_fileset(set, &edit->merged, &edit->model, edit->err) != 0)
		return -1;
	edit->docs = mem_new(set->count, sizeof(struct document *));
	for (size_t i = 0; i < set->count; i++) {
		const struct file *file = set->files + i;

		if (merge_uses(file->path) && strcmp(file->path, MERGE_MODEL_FILE) != 0 &&
		    document_parse(file->path, file->data, file->size, &edit->docs[i], edit->err) !=
			    0)
			return -1;
	}
	return 0;
}

static int refuse(struct edit *edit, size_t count, const char *reason)
{
	char *path = query_text(edit->query, count);

	(void)err_set(edit->err, ERR_REFUSED, "%.400s: %s", path, reason);
	free(path);
	return -1;
}

static enum xml_kind kind_of(const struct edit *edit, const xmlNode *node)
{
	struct model_props props;
	struct steps steps;
	const char *key;

	path_steps(node, &steps);
	model_match(edit->model, &steps, &props);
	return xml_kind(node, &props, &key);
}

/* --- text --- */

/* The number of start tags before that of NODE. */
static size_t index_of(const xmlNode *node, const xmlNode *at, bool *found)
{
	size_t count = 0;

	if (at == node) {
		*found = true;
		return 0;
	}
	count = 1;
	for (const xmlNode *child = xml_first(at); child && !*found; child = xml_next(child))
		count += index_of(node, child, found);
	return count;
}

static struct span span_of(const struct edit *edit, size_t file, const xmlNode *node)
{
	const struct file *f = edit->set->files + file;
	struct spans spans;
	struct span span;
	bool found = false;
	size_t index = index_of(node, xml_root(edit->docs[file]), &found);

	markup_read((const char *)f->data, f->size, &spans);
	assert(found && index < spans.count); /* the text is the one the tree was made of */
	span = spans.items[index];
	spans_clear(&spans);
	return span;
}

/* Puts TEXT in place of the bytes from START to END of a file, and remembers that the file is
 * changed. */
static void splice(struct edit *edit, size_t number, size_t start, size_t end,
		   const struct buf *text)
{
	struct file *file = edit->set->files + number;
	struct edited *out = edit->out;
	struct buf whole;

	buf_init(&whole, SIZE_MAX / 4);
	buf_put(&whole, file->data, start);
	buf_put(&whole, text->data, text->len);
	buf_put(&whole, file->data + end, file->size - end);
	buf_puts(&whole, "");
	free(file->data);
	file->data = buf_steal(&whole, &file->size);
	for (size_t i = 0; i < out->count; i++)
		if (out->paths[i] == file->path)
			return;
	out->paths = mem_grow(out->paths, out->count + 1, sizeof(*out->paths));
	out->paths[out->count++] = file->path;
}

/* --- a value --- */

/* Remarks in a leaf stay, behind its text. */
static void put_remarks(struct buf *out, const char *text, size_t from, size_t to)
{
	while (from < to) {
		const char *at = memmem(text + from, to - from, "<", 1), *end;

		if (!at)
			return;
		end = memmem(at, (size_t)(text + to - at), at[1] == '?' ? "?>" : "-->",
			     at[1] == '?' ? 2 : 3);
		if (!end)
			return;
		end += at[1] == '?' ? 2 : 3;
		buf_put(out, at, (size_t)(end - at));
		from = (size_t)(end - text);
	}
}

static void replace_text(struct edit *edit, size_t number, const xmlNode *leaf, const char *value)
{
	const char *text = (const char *)edit->set->files[number].data;
	struct span span = span_of(edit, number, leaf);
	struct buf out;

	buf_init(&out, SIZE_MAX / 4);
	if (span.closed) {
		/* without the '/' and blanks before it */
		size_t tag = span.open_end - 2;

		while (strchr(" \t\r\n", text[tag - 1]))
			tag--;
		buf_puts(&out, ">");
		markup_put_text(&out, value);
		buf_printf(&out, "</%.*s>", (int)span.name_len, text + span.start + 1);
		splice(edit, number, tag, span.end, &out);
	} else {
		markup_put_text(&out, value);
		put_remarks(&out, text, span.open_end, span.close_start);
		splice(edit, number, span.open_end, span.close_start, &out);
	}
	buf_clear(&out);
}

/* --- what is not there --- */

/* A line of its own before AT, indented as the line of an element at START is, and by STEPS more
 * levels. */
static void put_line(struct buf *out, const char *text, size_t start, unsigned steps)
{
	size_t indent = markup_indent(text, start);

	if (indent == SIZE_MAX)
		return; /* more than one element a line: so is this one */
	buf_puts(out, "\n");
	buf_put(out, text + start - indent, indent);
	while (steps-- > 0)
		buf_puts(out, STEP);
}

static void put_declaration(struct buf *out, const xmlNs *ns)
{
	buf_printf(out, " xmlns%s%s=\"", ns->prefix ? ":" : "",
		   ns->prefix ? (const char *)ns->prefix : "");
	markup_put_text(out, ns->href ? (const char *)ns->href : "");
	buf_puts(out, "\"");
}

/* An item more of a leaf-list, behind SIBLING. */
static void add_item(struct edit *edit, size_t number, const xmlNode *sibling, const char *value)
{
	const char *text = (const char *)edit->set->files[number].data;
	struct span span = span_of(edit, number, sibling);
	struct buf out;

	buf_init(&out, SIZE_MAX / 4);
	put_line(&out, text, span.start, 0);
	/* its start tag once more: the prefix and what is declared on it */
	buf_put(&out, text + span.start, span.name_len + 1);
	for (const xmlNs *ns = sibling->nsDef; ns; ns = ns->next)
		put_declaration(&out, ns);
	buf_puts(&out, ">");
	markup_put_text(&out, value);
	buf_printf(&out, "</%.*s>", (int)span.name_len, text + span.start + 1);
	splice(edit, number, span.end, span.end, &out);
	buf_clear(&out);
}

/* What the key leaf of an entry at step COUNT is called, by other entries of such lists; NULL:
 * there are none. */
static const char *key_name(const struct edit *edit, size_t count)
{
	struct query any = {.count = count + 1};
	struct nodes nodes = {.items = NULL};
	const char *name = NULL;

	for (size_t i = 0; i <= count; i++)
		any.steps[i].name = edit->query->steps[i].name; /* borrowed, of any key */
	query_find(&any, any.count, edit->merged, edit->model, &nodes);
	for (size_t i = 0; i < nodes.count && !name; i++)
		if (kind_of(edit, nodes.items[i]) == XML_ENTRY)
			name = xml_name(xml_key_leaf(nodes.items[i]));
	nodes_clear(&nodes);
	return name;
}

/* Whether the elements at step COUNT are entries of a list, so that one of them must be named. */
static bool is_list(const struct edit *edit, size_t count)
{
	return key_name(edit, count) != NULL;
}

/* What steps FROM and on would be, LEVEL levels below what stands at START of TEXT. */
static int put_steps(struct edit *edit, struct buf *out, const char *text, size_t start,
		     const char *prefix, size_t from, unsigned level, const char *value)
{
	const struct query_step *step = edit->query->steps + from;
	bool last = from + 1 == edit->query->count;
	const char *key = step->key ? key_name(edit, from) : NULL;

	if (step->key && !key)
		return refuse(edit, from + 1,
			      "there is no such entry, and no other that says what its key is "
			      "called: add it in the file");
	if (!step->key && !last && is_list(edit, from))
		return refuse(edit, from + 1,
			      "is a list: say which entry, with its key in brackets");
	put_line(out, text, start, level);
	buf_printf(out, "<%s%s", prefix, step->name);
	/* right below the root nothing says the namespace */
	if (from == 0)
		buf_printf(out, " xmlns=\"%s\"",
			   strcmp(step->name, "muster") == 0 ? NS_MUSTER : NS_BASE);
	buf_puts(out, ">");
	if (last) {
		markup_put_text(out, value);
	} else {
		if (key) {
			put_line(out, text, start, level + 1);
			buf_printf(out, "<%s%s>", prefix, key);
			markup_put_text(out, step->key);
			buf_printf(out, "</%s%s>", prefix, key);
		}
		if (put_steps(edit, out, text, start, prefix, from + 1, level + 1, value) != 0)
			return -1;
		put_line(out, text, start, level);
	}
	buf_printf(out, "</%s%s>", prefix, step->name);
	return 0;
}

/* Makes steps FROM and on at the end of PARENT. */
static int add_steps(struct edit *edit, size_t number, const xmlNode *parent, size_t from,
		     const char *value)
{
	const char *text = (const char *)edit->set->files[number].data;
	struct span span = span_of(edit, number, parent);
	const char *colon = from == 0 ? NULL : memchr(text + span.start, ':', span.name_len + 1);
	char *prefix =
		colon ? text_copy_n(text + span.start + 1, (size_t)(colon - (text + span.start)))
		      : text_copy("");
	size_t at = span.close_start;
	struct buf out;
	int rc;

	buf_init(&out, SIZE_MAX / 4);
	if (span.closed) {
		at = span.open_end - 2;
		while (strchr(" \t\r\n", text[at - 1]))
			at--;
		buf_puts(&out, ">");
	} else {
		while (at > span.open_end && strchr(" \t\r\n", text[at - 1]))
			at--;
	}
	rc = put_steps(edit, &out, text, span.start, prefix, from, 1, value);
	if (rc == 0) {
		put_line(&out, text, span.start, 0);
		if (span.closed)
			buf_printf(&out, "</%.*s>", (int)span.name_len, text + span.start + 1);
		splice(edit, number, at, span.closed ? span.end : span.close_start, &out);
	}
	buf_clear(&out);
	free(prefix);
	return rc;
}

static size_t child_count(const xmlNode *node)
{
	size_t count = 0;

	for (const xmlNode *child = xml_first(node); child; child = xml_next(child))
		count++;
	return count;
}

/* The file whose element at the first COUNT steps has most in it: 1 and FILE, NODE; 0 when none has
 * it; -1. */
static int find_home(struct edit *edit, size_t count, size_t *file, const xmlNode **node)
{
	*node = NULL;
	for (size_t i = 0; i < edit->set->count; i++) {
		struct nodes nodes = {.items = NULL};
		const xmlNode *found;
		size_t n;

		if (!edit->docs[i])
			continue;
		query_find(edit->query, count, edit->docs[i], edit->model, &nodes);
		n = nodes.count;
		found = n > 0 ? nodes.items[0] : NULL;
		nodes_clear(&nodes);
		if (n > 1)
			return refuse(edit, count,
				      "is several: say which, with the key in brackets");
		if (!found || (*node && child_count(found) <= child_count(*node)))
			continue;
		*node = found;
		*file = i;
	}
	return *node != NULL;
}

/* In the file that has most of what is there of the path. */
static int create(struct edit *edit, const char *value)
{
	for (size_t count = edit->query->count; count-- > 0;) {
		const xmlNode *node;
		size_t file = 0;
		int there = find_home(edit, count, &file, &node);

		if (there < 0)
			return -1;
		if (there && *xml_text(node))
			return refuse(edit, count, "has a value, and nothing can be in it");
		if (there)
			return add_steps(edit, file, node, count, value);
	}
	return refuse(edit, 0, "there is no file of the configuration");
}

/* --- set --- */

static int check_value(struct edit *edit, const char *value)
{
	for (const unsigned char *p = (const unsigned char *)value; *p; p++)
		if (*p < 0x20 && !strchr("\t\r\n", *p))
			return refuse(edit, edit->query->count,
				      "a control character cannot be in a value");
	if (!xmlCheckUTF8(BAD_CAST value))
		return refuse(edit, edit->query->count, "the value is not UTF-8");
	return 0;
}

/* All of NODES are one element of the merged configuration, or items of one leaf-list. */
static bool is_one_place(const struct edit *edit, const struct nodes *nodes)
{
	char *first = path_text(nodes->items[0], edit->model);
	bool same = true;

	for (size_t i = 1; same && i < nodes->count; i++) {
		char *other = path_text(nodes->items[i], edit->model);

		same = strcmp(first, other) == 0;
		free(other);
	}
	free(first);
	return same;
}

static int set_leafs(struct edit *edit, const char *value)
{
	for (size_t i = 0; i < edit->set->count; i++) {
		struct nodes nodes = {.items = NULL};

		if (!edit->docs[i])
			continue;
		query_find(edit->query, edit->query->count, edit->docs[i], edit->model, &nodes);
		if (nodes.count > 0 && strcmp(xml_text(nodes.items[0]), value) != 0)
			replace_text(edit, i, nodes.items[0], value);
		nodes_clear(&nodes);
	}
	return 0;
}

/* Behind the last one of the last file that has some. */
static int add_to_list(struct edit *edit, const char *value)
{
	for (size_t i = edit->set->count; i-- > 0;) {
		struct nodes nodes = {.items = NULL};

		if (!edit->docs[i])
			continue;
		query_find(edit->query, edit->query->count, edit->docs[i], edit->model, &nodes);
		if (nodes.count > 0) {
			add_item(edit, i, nodes.items[nodes.count - 1], value);
			nodes_clear(&nodes);
			return 0;
		}
		nodes_clear(&nodes);
	}
	return refuse(edit, edit->query->count, "is in no file");
}

static int set_there(struct edit *edit, const struct nodes *nodes, const char *value)
{
	size_t count = edit->query->count;

	if (!is_one_place(edit, nodes))
		return refuse(edit, count, "is several: say which, with the key in brackets");
	if (xml_first(nodes->items[0]))
		return refuse(edit, count, "has elements in it, and takes no value");
	if (kind_of(edit, nodes->items[0]) != XML_ITEM)
		return set_leafs(edit, value);
	for (size_t i = 0; i < nodes->count; i++)
		if (strcmp(xml_text(nodes->items[i]), value) == 0)
			return 0;
	return add_to_list(edit, value);
}

/* What was edited must still be a configuration. */
static int check_result(struct edit *edit)
{
	struct document *doc = NULL;
	struct model *model = NULL;
	int rc = merge_fileset(edit->set, &doc, &model, edit->err);

	document_free(doc);
	model_free(model);
	return rc;
}

int edit_set(struct fileset *set, const char *path, const char *value, struct edited *out,
	     struct err *err)
{
	struct edit edit = {.set = set, .out = out, .err = err};
	struct nodes nodes = {.items = NULL};
	int rc = edit_open(&edit, path);

	if (rc == 0 && (edit.query->count == 0 || edit.query->steps[edit.query->count - 1].key))
		rc = refuse(&edit, edit.query->count, "is no leaf");
	if (rc == 0)
		rc = check_value(&edit, value);
	if (rc == 0)
		query_find(edit.query, edit.query->count, edit.merged, edit.model, &nodes);
	if (rc == 0)
		rc = nodes.count > 0 ? set_there(&edit, &nodes, value) : create(&edit, value);
	if (rc == 0 && out->count > 0)
		rc = check_result(&edit);
	nodes_clear(&nodes);
	edit_close(&edit);
	return rc;
}

/* --- delete --- */

static bool is_key(const xmlNode *node)
{
	return node->parent->type == XML_ELEMENT_NODE && xml_key_leaf(node->parent) == node;
}

static void remove_nodes(struct edit *edit, size_t number, const struct nodes *nodes)
{
	/* from the end on: what is before keeps its place */
	for (size_t i = nodes->count; i-- > 0;) {
		const struct file *file = edit->set->files + number;
		const char *text = (const char *)file->data;
		struct span span = span_of(edit, number, nodes->items[i]);
		size_t indent = markup_indent(text, span.start);
		struct buf nothing;

		buf_init(&nothing, 0);
		if (indent != SIZE_MAX && span.end < file->size && text[span.end] == '\n') {
			span.start -= indent;
			span.end++;
		}
		splice(edit, number, span.start, span.end, &nothing);
		buf_clear(&nothing);
	}
}

static int delete_there(struct edit *edit, const struct nodes *nodes)
{
	size_t count = edit->query->count;

	if (nodes->count == 0) {
		(void)refuse(edit, count, "there is no such place");
		edit->err->code = ERR_GONE;
		return -1;
	}
	if (!is_one_place(edit, nodes))
		return refuse(edit, count, "is several: say which, with the key in brackets");
	if (kind_of(edit, nodes->items[0]) == XML_ONE && is_key(nodes->items[0]))
		return refuse(edit, count, "is the key of its entry: delete the entry");
	for (size_t i = 0; i < edit->set->count; i++) {
		struct nodes own = {.items = NULL};

		if (!edit->docs[i])
			continue;
		query_find(edit->query, count, edit->docs[i], edit->model, &own);
		remove_nodes(edit, i, &own);
		nodes_clear(&own);
	}
	return 0;
}

int edit_delete(struct fileset *set, const char *path, struct edited *out, struct err *err)
{
	struct edit edit = {.set = set, .out = out, .err = err};
	struct nodes nodes = {.items = NULL};
	int rc = edit_open(&edit, path);

	if (rc == 0 && edit.query->count == 0)
		rc = refuse(&edit, 0, "is all of it");
	if (rc == 0)
		query_find(edit.query, edit.query->count, edit.merged, edit.model, &nodes);
	if (rc == 0)
		rc = delete_there(&edit, &nodes);
	if (rc == 0)
		rc = check_result(&edit);
	nodes_clear(&nodes);
	edit_close(&edit);
	return rc;
}

void edited_clear(struct edited *edited)
{
	free(edited->paths);
	*edited = (struct edited){.paths = NULL};
}
