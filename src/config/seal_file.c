/*
 * Sealing a file of the authoring repository as bytes: only the values change, so that a person's
 * own layout, and with it every diff, stays as it is.
 */
#include "config/seal.h"

#include "config/path.h"
#include "config/secret.h"
#include "config/xml.h"
#include "core/text.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* What stands between the tags of an element. */
struct span {
	size_t from, to;
};

/* Of every element, in document order. */
struct spans {
	struct span *items;
	size_t count;
};

struct scanner {
	const char *data;
	size_t len;
	size_t at;
	size_t open[LIMIT_XML_DEPTH + 2]; /* ordinals of the elements that are open */
	size_t depth;
	struct spans *out;
};

/* Moves past the next END; the file is well-formed, so it is there. */
static void skip_past(struct scanner *s, const char *end)
{
	const char *found = memmem(s->data + s->at, s->len - s->at, end, strlen(end));

	s->at = found ? (size_t)(found - s->data) + strlen(end) : s->len;
}

/* From a start tag's name past its '>', which may stand in an attribute's value as well. */
static void start_tag(struct scanner *s)
{
	struct spans *out = s->out;
	char quote = '\0', last = '\0';

	for (; s->at < s->len; s->at++) {
		char c = s->data[s->at];

		if (quote)
			quote = c == quote ? '\0' : quote;
		else if (c == '"' || c == '\'')
			quote = c;
		else if (c == '>')
			break;
		last = c;
	}
	s->at += s->at < s->len;
	if ((out->count & (out->count - 1)) == 0) /* doubled when it is a power of two */
		out->items = mem_grow(out->items, out->count ? 2 * out->count : 1,
				      sizeof(*out->items));
	out->items[out->count] = (struct span){.from = s->at, .to = s->at};
	if (last != '/') {
		assert(s->depth < sizeof(s->open) / sizeof(s->open[0]));
		s->open[s->depth++] = out->count;
	}
	out->count++;
}

static void end_tag(struct scanner *s)
{
	assert(s->depth > 0);
	s->out->items[s->open[--s->depth]].to = s->at - 2;
	skip_past(s, ">");
}

/* Of DATA, which document_parse has taken: well-formed, no CDATA, no DTD. */
static void spans_find(const char *data, size_t len, struct spans *out)
{
	struct scanner s = {.data = data, .len = len, .out = out};

	while (s.at < len) {
		skip_past(&s, "<");
		if (s.at >= len)
			break;
		if (data[s.at] == '/') {
			s.at++;
			end_tag(&s);
		} else if (len - s.at >= 3 && memcmp(data + s.at, "!--", 3) == 0) {
			s.at += 3;
			skip_past(&s, "-->");
		} else if (data[s.at] == '?') {
			skip_past(&s, "?>");
		} else {
			start_tag(&s);
		}
	}
}

struct filing {
	const struct sealing *how;
	const char *data;
	struct spans spans;
	size_t done; /* bytes of DATA that are in OUT */
	struct buf *out;
	bool changed;
	struct findings *findings;
	struct err *err;
};

static void found(struct filing *filing, const struct secret_place *place, const char *reason)
{
	char *path = path_text(place->node, filing->how->model);

	findings_add(filing->findings, "%s:%u: %s: %s", xml_file(place->node), place->line, path,
		     reason);
	free(path);
}

/*
 * The plain text of a sealed value that is to be sealed again, or nothing: 1, or 0 when it stays as
 * it is. Without a key it stays: what needs it says so.
 */
static int open_again(const struct sealing *how, const char *path, const char *text,
		      struct buf *plain)
{
	struct err why = {.code = ERR_NONE};

	if (!how->sealer || (!how->renew && !how->moved))
		return 0;
	if (how->sealer->open(how->sealer->arg, SCOPE_CONFIG, path, text, plain, &why) == 0)
		return how->renew;
	return why.code == ERR_CORRUPT && how->moved &&
	       how->moved(how->arg, text, path, plain) == 0;
}

/* Takes over what stands before the value, then the sealed value in its place. */
static void replace(struct filing *filing, const struct span *span, const struct buf *sealed)
{
	buf_put(filing->out, filing->data + filing->done, span->from - filing->done);
	if (span->to - span->from != sealed->len ||
	    memcmp(filing->data + span->from, buf_text(sealed), sealed->len) != 0)
		filing->changed = true;
	buf_put(filing->out, sealed->data, sealed->len);
	filing->done = span->to;
}

static int seal_value(struct filing *filing, const struct secret_place *place, const char *path,
		      const struct buf *plain)
{
	const struct sealer *sealer = filing->how->sealer;
	const struct span *span;
	struct buf sealed;
	int rc;

	assert(place->ordinal < filing->spans.count);
	span = &filing->spans.items[place->ordinal];
	if (memchr(filing->data + span->from, '<', span->to - span->from)) {
		found(filing, place, "a comment within a secret value: put it beside");
		return 0;
	}
	if (!sealer)
		return err_set(filing->err, ERR_REFUSED, "there is nothing to seal it with");
	buf_init(&sealed, LIMIT_XML_SIZE);
	rc = sealer->seal(sealer->arg, SCOPE_CONFIG, path, plain->data, plain->len, &sealed,
			  filing->err);
	if (rc == 0)
		replace(filing, span, &sealed);
	else
		(void)err_prefix(filing->err, "%s:%u", xml_file(place->node), place->line);
	buf_clear(&sealed);
	return rc;
}

static int file_place(void *arg, const struct secret_place *place)
{
	struct filing *filing = arg;
	const char *text = xml_text(place->node);
	char id[SEAL_ID_HEX_SIZE];
	struct err why = {.code = ERR_NONE};
	struct buf plain, path;
	int rc = 0;

	if (place->fault) {
		found(filing, place, place->fault);
		return 0;
	}
	if (place->form == SECRET_PASSED)
		return 0;
	if (place->form == SECRET_SEALED && seal_key_id(text, id, &why) != 0) {
		found(filing, place, why.text);
		return 0;
	}
	buf_init(&path, LIMIT_FILE_SIZE);
	buf_init(&plain, LIMIT_XML_SIZE);
	(void)buf_reserve(&plain, LIMIT_SECRET_VALUE); /* memory that grows leaves copies; fits */
	path_put_canonical(&path, place->node, filing->how->model);
	if (place->form == SECRET_PLAIN)
		buf_puts(&plain, text);
	if (place->form == SECRET_PLAIN || open_again(filing->how, buf_text(&path), text, &plain))
		rc = seal_value(filing, place, buf_text(&path), &plain);
	seal_wipe(&plain);
	buf_clear(&path);
	return rc;
}

int seal_file(const char *name, const void *data, size_t len, const struct sealing *how,
	      struct buf *out, bool *changed, struct findings *findings, struct err *err)
{
	struct filing filing = {
		.how = how, .data = data, .out = out, .findings = findings, .err = err};
	size_t before = findings->count;
	struct document *doc = NULL;
	int rc = document_parse(name, data, len, &doc, err);

	if (rc != 0)
		return rc;
	spans_find(data, len, &filing.spans);
	rc = secret_each(doc, how->model, file_place, &filing);
	buf_put(out, filing.data + filing.done, len - filing.done);
	if (rc == 0 && out->failed)
		rc = err_set(err, ERR_FULL, "%s: over %zu bytes", name, out->max);
	free(filing.spans.items);
	seal_document_free(doc, how->model);
	if (rc == 0)
		*changed = filing.changed;
	return rc == 0 && findings->count > before ? -1 : rc;
}

/* --- looking only --- */

static int scan_place(void *arg, const struct secret_place *place)
{
	struct filing *filing = arg;
	char id[SEAL_ID_HEX_SIZE];
	struct err why = {.code = ERR_NONE};

	if (place->fault)
		found(filing, place, place->fault);
	else if (place->form == SECRET_PLAIN)
		found(filing, place, "a secret in the clear");
	else if (place->form == SECRET_SEALED &&
		 seal_key_id(xml_text(place->node), id, &why) != 0)
		found(filing, place, why.text);
	return 0;
}

int seal_scan(const char *name, const void *data, size_t len, const struct model *model,
	      struct findings *findings)
{
	const struct sealing how = {.model = model};
	struct filing filing = {.how = &how, .findings = findings};
	size_t before = findings->count;
	struct document *doc = NULL;
	struct err why = {.code = ERR_NONE};

	if (document_parse(name, data, len, &doc, &why) == 0)
		(void)secret_each(doc, model, scan_place, &filing); /* never stops */
	else if (len > 0 && secret_in_text(data, len, model))
		findings_add(findings,
			     "%s: looks like a secret in the clear, in a file that is no "
			     "configuration",
			     name);
	seal_document_free(doc, model);
	return findings->count > before ? -1 : 0;
}
