/* Which leaves are secret: see secret.h. */
#include "config/secret.h"

#include "config/param.h"
#include "core/text.h"
#include "crypto/encode.h"
#include "crypto/seal.h"

#include <stdlib.h>
#include <string.h>

#define PRIVATE_MARK "PRIVATE KEY-----"
#define BASE64	     "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
#define BLANKS	     " \t\r\n"
#define NAME_CHARS   "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"

enum { PRIVATE_MAX = 1 << 20 /* bytes of base64 that are looked into */ };

/* --- forms of a value --- */

/* `$5$[rounds=N$]SALT$HASH` as crypt(3) writes SHA-256 (43 characters) and SHA-512 (86). */
static bool is_hash(const char *text)
{
	static const char salt[] = BASE64 ".";
	size_t hash, n;

	if (!text_starts(text, "$5$") && !text_starts(text, "$6$"))
		return false;
	hash = text[1] == '5' ? 43 : 86;
	text += 3;
	if (text_starts(text, "rounds=")) {
		n = strspn(text + 7, "0123456789");
		if (n == 0 || n > 9 || text[7 + n] != '$')
			return false;
		text += 7 + n + 1;
	}
	n = strspn(text, salt);
	if (n > 16 || text[n] != '$')
		return false;
	text += n + 1;
	return strspn(text, salt) == hash && text[hash] == '\0';
}

/* `v:S.…` or `data:TYPE;aes,v:S.…`: sealed by the seed product with a key of its own. */
static bool is_foreign(const char *text)
{
	static const char body[] = BASE64 "-_=.";
	static const char type[] = NAME_CHARS "/+";

	if (text_starts(text, "data:")) {
		text += 5;
		text += strspn(text, type);
		if (!text_starts(text, ";aes,"))
			return false;
		text += 5;
	}
	if (!text_starts(text, "v:S."))
		return false;
	text += 4;
	return *text && text[strspn(text, body)] == '\0';
}

/* The form of a trimmed text. */
static enum secret_form form_of(const char *text, bool is_keystore, const char **fault)
{
	const char *wrong = param_fault(text, true);

	if (wrong && !*fault)
		*fault = wrong;
	if (!*text || is_hash(text) || wrong || param_is_whole(text))
		return SECRET_PASSED;
	if (is_foreign(text)) {
		if (is_keystore)
			*fault = "this is the keystore of another product (the Curity Identity "
				 "Server); genclust makes one for Muster";
		return SECRET_PASSED;
	}
	return seal_is(text) ? SECRET_SEALED : SECRET_PLAIN;
}

static char *trimmed(const char *text)
{
	size_t n;

	text += strspn(text, BLANKS);
	n = strlen(text);
	while (n > 0 && strchr(BLANKS, text[n - 1]))
		n--;
	return text_copy_n(text, n);
}

static void wipe_text(char *text)
{
	crypto_wipe(text, strlen(text));
	free(text);
}

/* With blanks around it, what would be passed as it is would be sealed as a value of its own. */
static enum secret_form form_of_leaf(const char *text, bool is_keystore, const char **fault)
{
	char *inner = trimmed(text);
	enum secret_form form = form_of(inner, is_keystore, fault);

	if (form != SECRET_PLAIN && *inner && strcmp(inner, text) != 0 && !*fault)
		*fault = "there are blanks around the value: take them away";
	wipe_text(inner);
	return form;
}

/* --- private keys in the clear --- */

static bool has_mark(const char *text, size_t len)
{
	return memmem(text, len, PRIVATE_MARK, sizeof(PRIVATE_MARK) - 1) != NULL;
}

/* A private key as JSON (RFC 7517): "kty", and "d" or "k" with a value. */
static bool is_private_jwk(const char *text)
{
	static const char *const members[] = {"\"d\"", "\"k\""};

	if (!strstr(text, "\"kty\""))
		return false;
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		const char *at = strstr(text, members[i]);

		if (at && at[3 + strspn(at + 3, BLANKS)] == ':')
			return true;
	}
	return false;
}

/* Base64, blanks in it or not, of a PEM block. */
static bool is_encoded_pem(const char *text)
{
	const char *data = text_starts(text, "data:") ? strstr(text, ";base64,") : NULL;
	struct buf plain, packed;
	bool found;

	data = data ? data + strlen(";base64,") : text;
	data += strspn(data, BLANKS);
	if (!text_starts(data, "LS0tLS1CRUdJTi")) /* -----BEGIN */
		return false;
	buf_init(&packed, PRIVATE_MAX);
	buf_init(&plain, PRIVATE_MAX);
	for (; *data && *data != '='; data++)
		if (!strchr(BLANKS, *data))
			buf_put_u8(&packed, (uint8_t)*data);
	while (packed.len % 4 && !packed.failed)
		buf_puts(&packed, "=");
	found = packed.failed ||
		decode_base64(buf_text(&packed), packed.len, &plain) != 0 || /* cannot be told */
		has_mark(buf_text(&plain), plain.len);
	seal_wipe(&packed);
	seal_wipe(&plain);
	return found;
}

static bool is_private_key(const char *text)
{
	return has_mark(text, strlen(text)) || is_private_jwk(text) || is_encoded_pem(text);
}

/* --- elements in text that is not parsed --- */

/* A tag's name, without its prefix, as a new string; NULL when it is no start tag. */
static char *tag_name(const char *tag, const char *end)
{
	size_t n = 0;
	const char *name = tag;

	while (tag + n < end && !strchr(BLANKS "/><=\"'!?", tag[n]))
		n++;
	for (size_t i = 0; i < n; i++)
		if (tag[i] == ':')
			name = tag + i + 1;
	return tag + n > name ? text_copy_n(name, (size_t)(tag + n - name)) : NULL;
}

/* Whether the text between a start tag and the next tag is a value in the clear. */
static bool is_plain_value(const char *from, const char *end)
{
	const char *stop = memchr(from, '<', (size_t)(end - from)), *fault = NULL;
	char *raw = text_copy_n(from, (size_t)((stop ? stop : end) - from));
	char *value = trimmed(raw), id[SEAL_ID_HEX_SIZE];
	enum secret_form form = form_of(value, false, &fault);
	bool plain = form == SECRET_PLAIN || fault ||
		     (form == SECRET_SEALED && seal_key_id(value, id, NULL) != 0);

	wipe_text(value);
	wipe_text(raw);
	return plain;
}

/* The tag that begins after TAG's '<' and ends at its '>'. */
static bool is_secret_tag(const char *tag, const char *close, const struct model *model)
{
	static const char attribute[] = "secret=";
	char *name = tag_name(tag, close);
	bool secret =
		name && (model_secret_name(model, name) ||
			 memmem(tag, (size_t)(close - tag), attribute, sizeof(attribute) - 1));

	free(name);
	return secret;
}

bool secret_in_text(const char *text, size_t len, const struct model *model)
{
	const char *end = text + len, *at = text;

	if (has_mark(text, len))
		return true;
	while (at < end && (at = memchr(at, '<', (size_t)(end - at)))) {
		const char *tag = ++at;
		const char *close = memchr(tag, '>', (size_t)(end - tag));

		if (!close)
			return false;
		if (close[-1] != '/' && is_secret_tag(tag, close, model) &&
		    is_plain_value(close + 1, end))
			return true;
	}
	return false;
}

/* --- the walk --- */

struct walk {
	const struct model *model;
	struct steps steps;
	size_t ordinal;
	int (*fn)(void *arg, const struct secret_place *place);
	void *arg;
};

static bool is_cluster_keystore(const struct steps *steps)
{
	static const char *const names[] = {"environments", "environment", "cluster", "keystore"};

	if (steps->count != 4)
		return false;
	for (size_t i = 0; i < 4; i++)
		if (strcmp(steps->names[i], names[i]) != 0)
			return false;
	return true;
}

bool secret_leaf(const xmlNode *node, const struct model_props *props)
{
	return props->flags & MODEL_SECRET ||
	       xmlHasNsProp(node, BAD_CAST "secret", BAD_CAST NS_MUSTER);
}

/* Whether the leaf is said to be secret by an attribute; FAULT when it says something else. */
static bool says_secret(const xmlNode *node, const char **fault)
{
	char *value = xml_attribute(node, NS_MUSTER, "secret");
	bool secret = value != NULL;

	if (value && strcmp(value, "true") != 0)
		*fault = "muster:secret is \"true\" or is not there";
	free(value);
	return secret;
}

static enum secret_form look_at(struct walk *walk, struct secret_place *place, bool is_key)
{
	const xmlNode *node = place->node;
	const char *text = xml_text(node);
	struct model_props props;

	model_match(walk->model, &walk->steps, &props);
	if (says_secret(node, &place->fault) || props.flags & MODEL_SECRET) {
		place->is_keystore = is_cluster_keystore(&walk->steps);
		if (is_key)
			place->fault = "the key of a list entry cannot be a secret";
		return form_of_leaf(text, place->is_keystore, &place->fault);
	}
	text += strspn(text, BLANKS);
	if (seal_is(text))
		place->fault =
			"a sealed value, but the leaf is no secret: say so in model.conf, or "
			"with muster:secret=\"true\"";
	else if (is_private_key(text))
		place->fault = "a private key in the clear: say in model.conf, or with "
			       "muster:secret=\"true\", that the leaf is a secret, so that it is "
			       "sealed";
	return SECRET_NONE;
}

static int look_at_remark(struct walk *walk, const xmlNode *remark, xmlNode *around)
{
	struct secret_place place = {
		.node = around,
		.ordinal = walk->ordinal,
		.line = (unsigned)xmlGetLineNo(remark),
		.fault = "a secret in the clear in a comment: git would keep it for ever"};
	const char *text = remark->content ? (const char *)remark->content : "";

	if (remark->type == XML_ELEMENT_NODE || remark->type == XML_TEXT_NODE ||
	    !secret_in_text(text, strlen(text), walk->model))
		return 0;
	return walk->fn(walk->arg, &place);
}

/* An attribute is looked at as a leaf of its name in the element would be: it cannot be sealed. */
static const char *attribute_fault(struct walk *walk, const xmlNode *node, const char *ns,
				   const char *name)
{
	char *value = xml_attribute(node, ns, name), *inner = trimmed(value);
	const char *fault = NULL, *wrong = NULL;
	struct model_props props;

	steps_push(&walk->steps, name);
	model_match(walk->model, &walk->steps, &props);
	steps_pop(&walk->steps);
	if (props.flags & MODEL_SECRET && (form_of(inner, false, &wrong) != SECRET_PASSED || wrong))
		fault = "a secret in an attribute, where it cannot be sealed: make it an element";
	else if (is_private_key(inner))
		fault = "a private key in the clear in an attribute: make it an element, and say "
			"that it "
			"is a secret";
	wipe_text(inner);
	wipe_text(value);
	return fault;
}

static int look_at_attributes(struct walk *walk, const struct secret_place *at)
{
	int rc = 0;

	for (const xmlAttr *a = at->node->properties; a && rc == 0; a = a->next) {
		const char *ns = a->ns ? (const char *)a->ns->href : NULL;
		struct secret_place place = *at;

		if (!ns || strcmp(ns, NS_MUSTER) != 0)
			place.fault = attribute_fault(walk, at->node, ns, (const char *)a->name);
		else if (strcmp((const char *)a->name, "secret") == 0 && !xml_is_leaf(at->node))
			place.fault = "muster:secret is for a value, and elements are in this";
		if (place.fault)
			rc = walk->fn(walk->arg, &place);
	}
	return rc;
}

static int walk_element(struct walk *walk, xmlNode *node, bool is_key);

static int walk_children(struct walk *walk, xmlNode *node)
{
	struct model_props props;
	const char *key;
	const xmlNode *key_leaf = NULL;
	xmlNode *next;
	int rc = 0;

	model_match(walk->model, &walk->steps, &props);
	if (xml_kind(node, &props, &key) == XML_ENTRY)
		key_leaf = xml_key_leaf(node);
	for (xmlNode *child = node->children; child && rc == 0; child = next) {
		next = child->next;
		if (child->type != XML_ELEMENT_NODE) {
			rc = look_at_remark(walk, child, node);
			continue;
		}
		steps_push(&walk->steps, xml_name(child));
		rc = walk_element(walk, child, child == key_leaf);
		steps_pop(&walk->steps);
	}
	return rc;
}

static int walk_element(struct walk *walk, xmlNode *node, bool is_key)
{
	struct secret_place place = {
		.node = node, .ordinal = walk->ordinal++, .line = xml_line(node)};
	int rc = look_at_attributes(walk, &place);

	if (rc == 0 && node->parent && node->parent->type == XML_ELEMENT_NODE &&
	    xml_is_leaf(node)) {
		place.form = look_at(walk, &place, is_key);
		if (place.form != SECRET_NONE || place.fault)
			rc = walk->fn(walk->arg, &place);
	}
	return rc == 0 ? walk_children(walk, node) : rc;
}

int secret_each(const struct document *doc, const struct model *model,
		int (*fn)(void *arg, const struct secret_place *place), void *arg)
{
	struct walk walk = {.model = model, .fn = fn, .arg = arg};
	xmlNode *root = xml_root(doc);
	int rc = 0;

	for (xmlNode *node = doc->xml->children; node && rc == 0; node = node->next)
		rc = node->type == XML_ELEMENT_NODE ? walk_element(&walk, node, false)
						    : look_at_remark(&walk, node, root);
	return rc;
}
