/* Parameters: see param.h. */
#include "config/param.h"

#include "config/path.h"
#include "config/secret.h"
#include "config/xml.h"
#include "core/buf.h"
#include "core/limits.h"
#include "core/text.h"
#include "crypto/key.h"
#include "crypto/seal.h"

#include <stdlib.h>
#include <string.h>

#define OPENING "#{"
#define BLANKS  " \t\r\n"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
#define DIGITS  "0123456789"

enum { NAME_MAX_BYTES = 128 };

struct param_value {
	char *name;
	char *value;
};

/* A parameter in a text: borrowed pieces of it. */
struct piece {
	const char *at; /* the '#' */
	const char *name;
	size_t name_len;
	const char *fallback; /* NULL: none */
	size_t fallback_len;
	size_t len; /* of all of it */
};

/* --- one text --- */

static size_t name_length(const char *text)
{
	return *text && strchr(DIGITS, *text) ? 0 : strspn(text, LETTERS DIGITS);
}

/* Muster's own variables hold secrets and settings of the daemon, and none of its values may get
 * into a configuration. */
static bool is_reserved(const char *name, size_t len)
{
	static const char *const words[] = {"CONFIG_ENCRYPTION_KEY", "CREDENTIALS_DIRECTORY"};

	if (len >= 7 && memcmp(name, "MUSTER_", 7) == 0)
		return true;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strlen(words[i]) == len && memcmp(name, words[i], len) == 0)
			return true;
	return false;
}

/* AT is at an OPENING. What is wrong with it, or NULL and PIECE. */
static const char *piece_read(const char *at, struct piece *piece)
{
	const char *p = at + strlen(OPENING), *end;

	*piece = (struct piece){.at = at};
	p += strspn(p, BLANKS);
	piece->name = p;
	piece->name_len = name_length(p);
	p += piece->name_len;
	p += strspn(p, BLANKS);
	if (piece->name_len == 0 || piece->name_len > NAME_MAX_BYTES || (*p != '}' && *p != '|'))
		return "\"#{\" begins no parameter: #{NAME} or #{NAME | default}, the name of "
		       "letters, digits and "
		       "underscores";
	if (*p == '|') {
		p++;
		p += strspn(p, BLANKS);
		end = strchr(p, '}');
		if (!end)
			return "a parameter without its \"}\"";
		piece->fallback = p;
		piece->fallback_len = (size_t)(end - p);
		while (piece->fallback_len > 0 && strchr(BLANKS, p[piece->fallback_len - 1]))
			piece->fallback_len--;
		p = end;
	}
	piece->len = (size_t)(p + 1 - at);
	return NULL;
}

bool param_in(const char *text)
{
	return strstr(text, OPENING) != NULL;
}

bool param_is_whole(const char *text)
{
	struct piece piece;

	return text_starts(text, OPENING) && !piece_read(text, &piece) && !piece.fallback &&
	       !text[piece.len];
}

const char *param_fault(const char *text, bool secret)
{
	bool found = false;
	struct piece piece;

	for (const char *at = text; (at = strstr(at, OPENING)); at += piece.len) {
		const char *fault = piece_read(at, &piece);

		/* a password may have anything in it */
		if (fault && secret) {
			piece.len = strlen(OPENING);
			continue;
		}
		if (fault)
			return fault;
		found = true;
		if (is_reserved(piece.name, piece.name_len))
			return "no parameter may be named MUSTER_*, CONFIG_ENCRYPTION_KEY or "
			       "CREDENTIALS_DIRECTORY";
	}
	if (found && secret && !param_is_whole(text))
		return "in a secret only a whole #{NAME} without default may stand for the value";
	return NULL;
}

/* --- all texts --- */

/* Calls FN for each leaf whose text has parameters. */
struct visit {
	const struct model *model;
	struct steps steps;
	void (*fn)(struct visit *visit, xmlNode *leaf);
	/* what FN works with */
	struct document *doc;
	struct params *out;
	const struct param_table *table;
	struct findings *findings;
};

static void visit_leafs(struct visit *visit, xmlNode *parent)
{
	for (xmlNode *node = xml_first(parent); node; node = xml_next(node)) {
		struct model_props props;
		const char *text = xml_text(node);

		steps_push(&visit->steps, xml_name(node));
		if (param_in(text)) {
			model_match(visit->model, &visit->steps, &props);
			if (!secret_leaf(node, &props) || param_is_whole(text))
				visit->fn(visit, node);
		}
		visit_leafs(visit, node);
		steps_pop(&visit->steps);
	}
}

static void list_leaf(struct visit *visit, xmlNode *leaf)
{
	struct piece piece;

	for (const char *at = xml_text(leaf); (at = strstr(at, OPENING)); at += piece.len) {
		struct params *out = visit->out;

		if (piece_read(at, &piece))
			return; /* check says so */
		if ((out->count & (out->count - 1)) == 0)
			out->items = mem_grow(out->items, out->count ? out->count * 2 : 1,
					      sizeof(*out->items));
		out->items[out->count++] = (struct param){
			.name = text_copy_n(piece.name, piece.name_len),
			.fallback = piece.fallback ? text_copy_n(piece.fallback, piece.fallback_len)
						   : NULL,
			.file = text_copy(xml_file(leaf)),
			.line = xml_line(leaf),
			.path = path_text(leaf, visit->model),
		};
	}
}

void params_list(const struct document *doc, const struct model *model, struct params *out)
{
	struct visit visit = {.model = model, .fn = list_leaf, .out = out};

	visit_leafs(&visit, xml_root(doc));
}

void params_clear(struct params *params)
{
	for (size_t i = 0; i < params->count; i++) {
		free(params->items[i].name);
		free(params->items[i].fallback);
		free(params->items[i].file);
		free(params->items[i].path);
	}
	free(params->items);
	*params = (struct params){.items = NULL};
}

/* --- filling --- */

static void found(struct visit *visit, const xmlNode *leaf, const struct piece *piece,
		  const char *reason)
{
	char *path = path_text(leaf, visit->model);

	findings_add(visit->findings, "%s:%u: %s: parameter %.*s %s", xml_file(leaf),
		     xml_line(leaf), path, (int)piece->name_len, piece->name, reason);
	free(path);
}

/* XML holds UTF-8 and of the control characters only tab, newline and carriage return. */
static bool can_be_held(const char *value)
{
	for (const unsigned char *p = (const unsigned char *)value; *p; p++)
		if (*p < 0x20 && !strchr(BLANKS, *p))
			return false;
	return xmlCheckUTF8(BAD_CAST value) && !strstr(value, "\xef\xbf\xbe") &&
	       !strstr(value, "\xef\xbf\xbf");
}

static void put_value(struct visit *visit, const xmlNode *leaf, const struct piece *piece,
		      struct buf *text)
{
	char *name = text_copy_n(piece->name, piece->name_len);
	const char *value = param_table_find(visit->table, name);

	if (value && !can_be_held(value))
		found(visit, leaf, piece, "has a value that is no text");
	else if (value)
		buf_puts(text, value);
	else if (piece->fallback)
		buf_put(text, piece->fallback, piece->fallback_len);
	else
		found(visit, leaf, piece,
		      "has no value in the environment or etc/params, and no default");
	free(name);
}

static void fill_leaf(struct visit *visit, xmlNode *leaf)
{
	const char *at = xml_text(leaf), *next;
	struct piece piece;
	struct buf text;

	buf_init(&text, LIMIT_XML_SIZE);
	for (; (next = strstr(at, OPENING)); at = next + piece.len) {
		buf_put(&text, at, (size_t)(next - at));
		if (piece_read(next, &piece)) {
			piece.len = strlen(OPENING); /* check refuses it */
			buf_puts(&text, OPENING);
		} else {
			put_value(visit, leaf, &piece, &text);
		}
	}
	buf_puts(&text, at);
	if (text.failed)
		found(visit, leaf, &piece, "and the others make the value too long");
	xml_set_text(visit->doc, leaf, buf_text(&text));
	seal_wipe(&text); /* the value of a parameter may be a secret */
}

int params_fill(struct document *doc, const struct model *model, const struct param_table *table,
		struct findings *findings)
{
	struct visit visit = {
		.model = model, .fn = fill_leaf, .doc = doc, .table = table, .findings = findings};
	size_t before = findings->count;

	visit_leafs(&visit, xml_root(doc));
	return findings->count > before ? -1 : 0;
}

/* --- tables --- */

static struct param_value *find(const struct param_table *table, const char *name, size_t len)
{
	for (size_t i = 0; i < table->count; i++)
		if (strlen(table->values[i].name) == len &&
		    memcmp(table->values[i].name, name, len) == 0)
			return table->values + i;
	return NULL;
}

/* A value may be a secret. */
static void forget(struct param_value *slot)
{
	if (slot->value)
		crypto_wipe(slot->value, strlen(slot->value));
	free(slot->value);
	slot->value = NULL;
}

static void set(struct param_table *table, const char *name, size_t len, const char *value,
		size_t value_len)
{
	struct param_value *slot = find(table, name, len);

	if (!slot) {
		table->values = mem_grow(table->values, table->count + 1, sizeof(*table->values));
		slot = table->values + table->count++;
		*slot = (struct param_value){.name = text_copy_n(name, len)};
	}
	forget(slot);
	slot->value = text_copy_n(value, value_len);
}

const char *param_table_find(const struct param_table *table, const char *name)
{
	const struct param_value *slot = find(table, name, strlen(name));

	return slot ? slot->value : NULL;
}

static bool is_name(const char *name, size_t len)
{
	return len > 0 && len <= NAME_MAX_BYTES && name_length(name) == len;
}

/* What is wrong with LINE, LEN bytes without NUL and newline in a text that goes on behind it; NULL
 * when it is added. */
static const char *add_line(struct param_table *table, const char *line, size_t len)
{
	const char *equals = memchr(line, '=', len);
	size_t name_len = equals ? (size_t)(equals - line) : 0;

	if (len == 0 || *line == '#')
		return NULL;
	if (!equals || !is_name(line, name_len))
		return "is no NAME=value, the name of letters, digits and underscores";
	if (is_reserved(line, name_len))
		return "no parameter may be named MUSTER_*, CONFIG_ENCRYPTION_KEY or "
		       "CREDENTIALS_DIRECTORY";
	for (size_t i = name_len; i < len; i++)
		if ((unsigned char)line[i] < 0x20 && line[i] != '\t')
			return "a control character: values are lines of text";
	if (table->count >= LIMIT_PARAMS)
		return "too many parameters";
	if (find(table, line, name_len))
		return "that name has a value already";
	set(table, line, name_len, equals + 1, len - name_len - 1);
	return NULL;
}

int param_table_parse(struct param_table *table, const char *file, const char *text, size_t len,
		      struct err *err)
{
	unsigned number = 0;

	if (len > LIMIT_SMALL_FILE)
		return err_set(err, ERR_REFUSED, "%s:1: over %u bytes", file, LIMIT_SMALL_FILE);
	while (len > 0) {
		const char *end = memchr(text, '\n', len), *fault;
		size_t n = end ? (size_t)(end - text) : len;

		number++;
		if (memchr(text, '\0', n))
			return err_set(err, ERR_REFUSED, "%s:%u: a NUL byte", file, number);
		fault = add_line(table, text, n);
		if (fault)
			return err_set(err, ERR_REFUSED, "%s:%u: %s", file, number, fault);
		n += end ? 1 : 0;
		text += n;
		len -= n;
	}
	return 0;
}

void param_table_environment(struct param_table *table, char *const env[])
{
	for (size_t i = 0; env && env[i]; i++) {
		const char *equals = strchr(env[i], '=');
		size_t len = equals ? (size_t)(equals - env[i]) : 0;

		if (equals && is_name(env[i], len) && !is_reserved(env[i], len))
			set(table, env[i], len, equals + 1, strlen(equals + 1));
	}
}

void param_table_clear(struct param_table *table)
{
	for (size_t i = 0; i < table->count; i++) {
		free(table->values[i].name);
		forget(table->values + i);
	}
	free(table->values);
	*table = (struct param_table){.values = NULL};
}
