/* Sealing and opening the secrets of a document: see seal.h. Files are sealed in seal_file.c. */
#include "config/seal.h"

#include "config/path.h"
#include "config/secret.h"
#include "config/xml.h"
#include "core/text.h"

#include <stdlib.h>
#include <string.h>

/* --- sealers --- */

static int ring_seal(void *arg, const char *scope, const char *path, const void *plain, size_t n,
		     struct buf *out, struct err *err)
{
	return keyring_seal(arg, scope, path, plain, n, out, err);
}

static int ring_open(void *arg, const char *scope, const char *path, const char *text,
		     struct buf *out, struct err *err)
{
	return keyring_open(arg, scope, path, text, out, err);
}

struct sealer sealer_of(const struct keyring *ring)
{
	return (struct sealer){
		.seal = ring_seal, .open = ring_open, .arg = (void *)(uintptr_t)ring};
}

/* --- what the walks share --- */

struct walk {
	struct document *doc;
	const struct model *model;
	const struct sealer *sealer;
	char *from; /* the scope that values are sealed for */
	char *to;   /* the scope they are to be sealed for, or NULL */
	struct findings *findings;
	struct err *err;
};

static char *canonical(const xmlNode *node, const struct model *model)
{
	struct buf path;

	buf_init(&path, LIMIT_FILE_SIZE);
	path_put_canonical(&path, node, model);
	return (char *)buf_steal(&path, NULL);
}

static void found(struct walk *walk, const struct secret_place *place, const char *reason)
{
	char *path = path_text(place->node, walk->model);

	findings_add(walk->findings, "%s:%u: %s: %s", xml_file(place->node), place->line, path,
		     reason);
	free(path);
}

/* A text that a leaf can hold: UTF-8 and no control characters but those XML has. */
static bool is_text(const struct buf *plain)
{
	for (size_t i = 0; i < plain->len; i++)
		if (plain->data[i] < 0x20 && !strchr("\t\r\n", plain->data[i]))
			return false;
	return !memchr(buf_text(plain), '\0', plain->len) && xmlCheckUTF8(BAD_CAST buf_text(plain));
}

/* Opens the value of a leaf into OUT. */
static int open_value(struct walk *walk, const xmlNode *node, struct buf *out, struct err *err)
{
	char *path = canonical(node, walk->model);
	int rc = walk->sealer->open(walk->sealer->arg, walk->from, path, xml_text(node), out, err);

	free(path);
	if (rc == 0 && !is_text(out))
		rc = err_set(err, ERR_CORRUPT, "what is sealed is no text");
	return rc;
}

static void walk_clear(struct walk *walk)
{
	free(walk->from);
	free(walk->to);
}

/* --- opening --- */

static int open_place(void *arg, const struct secret_place *place)
{
	struct walk *walk = arg;
	struct err why = {.code = ERR_NONE};
	struct buf plain;
	char *path;
	int rc;

	if (place->form != SECRET_SEALED)
		return 0;
	buf_init(&plain, LIMIT_XML_SIZE);
	rc = open_value(walk, place->node, &plain, &why);
	if (rc == 0) {
		xml_set_text(walk->doc, place->node, buf_text(&plain));
	} else {
		path = path_text(place->node, walk->model);
		(void)err_set(walk->err, why.code, "%s:%u: %.500s: %s", xml_file(place->node),
			      place->line, path, why.text);
		free(path);
	}
	seal_wipe(&plain);
	return rc;
}

int seal_open_document(struct document *doc, const struct model *model, const struct keyring *ring,
		       const char *scope_role, struct err *err)
{
	const struct sealer sealer = sealer_of(ring);
	struct walk walk = {.doc = doc,
			    .model = model,
			    .sealer = &sealer,
			    .from = scope_of(scope_role),
			    .err = err};
	int rc = secret_each(doc, model, open_place, &walk);

	walk_clear(&walk);
	return rc;
}

static int open_keystore(void *arg, const struct secret_place *place)
{
	return place->is_keystore ? open_place(arg, place) : 0;
}

int seal_open_cluster(struct document *doc, const struct model *model, const struct sealer *sealer,
		      const char *scope_role, struct err *err)
{
	struct walk walk = {.doc = doc,
			    .model = model,
			    .sealer = sealer,
			    .from = scope_of(scope_role),
			    .err = err};
	int rc = secret_each(doc, model, open_keystore, &walk);

	walk_clear(&walk);
	return rc;
}

static int wipe_place(void *arg, const struct secret_place *place)
{
	if (place->form == SECRET_PLAIN)
		xml_set_text(arg, place->node, "");
	return 0;
}

void seal_document_free(struct document *doc, const struct model *model)
{
	if (doc && model)
		(void)secret_each(doc, model, wipe_place, doc); /* never stops */
	document_free(doc);
}

/* --- slices --- */

/* What is in a leaf, in the clear, into OUT; CORRUPT and REFUSED as the opening says. */
static int plain_of(struct walk *walk, const struct secret_place *place, struct buf *out,
		    struct err *err)
{
	if (place->form == SECRET_SEALED)
		return open_value(walk, place->node, out, err);
	buf_puts(out, xml_text(place->node));
	return 0;
}

static int reseal_place(void *arg, const struct secret_place *place)
{
	struct walk *walk = arg;
	struct err why = {.code = ERR_NONE};
	struct buf plain, sealed;
	char *path;
	int rc;

	if (place->fault) {
		found(walk, place, place->fault);
		return 0;
	}
	if (place->form == SECRET_PASSED)
		return 0;
	buf_init(&plain, LIMIT_XML_SIZE);
	buf_init(&sealed, LIMIT_XML_SIZE);
	/* memory that grows leaves copies, and no value is longer than its sealed form */
	(void)buf_reserve(&plain, strlen(xml_text(place->node)));
	path = canonical(place->node, walk->model);
	rc = plain_of(walk, place, &plain, &why);
	if (rc == 0)
		rc = walk->sealer->seal(walk->sealer->arg, walk->to, path, plain.data, plain.len,
					&sealed, &why);
	if (rc == 0)
		xml_set_text(walk->doc, place->node, buf_text(&sealed));
	else
		found(walk, place, why.text);
	free(path);
	seal_wipe(&plain);
	buf_clear(&sealed);
	return 0;
}

int seal_for_role(struct document *doc, const struct model *model, const struct sealer *sealer,
		  const char *role, struct findings *findings)
{
	size_t before = findings->count;
	struct walk walk = {.doc = doc,
			    .model = model,
			    .sealer = sealer,
			    .from = scope_of(NULL),
			    .to = scope_of(role),
			    .findings = findings};

	(void)secret_each(doc, model, reseal_place, &walk); /* never stops */
	walk_clear(&walk);
	return findings->count > before ? -1 : 0;
}

static int check_place(void *arg, const struct secret_place *place)
{
	struct walk *walk = arg;
	struct err why = {.code = ERR_NONE};
	struct buf plain;

	if (place->fault) {
		found(walk, place, place->fault);
		return 0;
	}
	if (place->form == SECRET_PLAIN)
		found(walk, place, "a secret in the clear");
	if (place->form != SECRET_SEALED)
		return 0;
	buf_init(&plain, LIMIT_XML_SIZE);
	if (open_value(walk, place->node, &plain, &why) != 0)
		found(walk, place, why.text);
	seal_wipe(&plain);
	return 0;
}

int seal_check(const struct document *doc, const struct model *model, const struct sealer *sealer,
	       const char *role, struct findings *findings)
{
	size_t before = findings->count;
	struct walk walk = {
		.model = model, .sealer = sealer, .from = scope_of(role), .findings = findings};

	(void)secret_each(doc, model, check_place, &walk); /* never stops */
	walk_clear(&walk);
	return findings->count > before ? -1 : 0;
}

/* --- lists --- */

struct listing {
	const struct model *model;
	int (*fn)(void *arg, const char *path, const char *text);
	void (*tell)(void *arg, const char *place, const char *how);
	void *arg;
};

static int list_sealed(void *arg, const struct secret_place *place)
{
	struct listing *listing = arg;
	char *path;
	int rc;

	if (place->form != SECRET_SEALED)
		return 0;
	path = canonical(place->node, listing->model);
	rc = listing->fn(listing->arg, path, xml_text(place->node));
	free(path);
	return rc;
}

int seal_each(const struct document *doc, const struct model *model,
	      int (*fn)(void *arg, const char *path, const char *text), void *arg)
{
	struct listing listing = {.model = model, .fn = fn, .arg = arg};

	return secret_each(doc, model, list_sealed, &listing);
}

static int list_place(void *arg, const struct secret_place *place)
{
	static const char *const words[] = {
		[SECRET_PASSED] = "as it is",
		[SECRET_SEALED] = "sealed",
		[SECRET_PLAIN] = "in the clear",
	};
	struct listing *listing = arg;
	char *path;

	if (place->form == SECRET_NONE || !*xml_text(place->node))
		return 0;
	path = path_text(place->node, listing->model);
	listing->tell(listing->arg, path, words[place->form]);
	free(path);
	return 0;
}

void seal_list(const struct document *doc, const struct model *model,
	       void (*fn)(void *arg, const char *place, const char *how), void *arg)
{
	struct listing listing = {.model = model, .tell = fn, .arg = arg};

	(void)secret_each(doc, model, list_place, &listing); /* never stops */
}
