/*
 * Sealing a file of the authoring repository as bytes: only the values change, so that a person's
 * own layout, and with it every diff, stays as it is.
 */
#include "config/seal.h"

#include "config/markup.h"
#include "config/path.h"
#include "config/secret.h"
#include "config/xml.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

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
	buf_put(filing->out, filing->data + filing->done, span->open_end - filing->done);
	if (span->close_start - span->open_end != sealed->len ||
	    memcmp(filing->data + span->open_end, buf_text(sealed), sealed->len) != 0)
		filing->changed = true;
	buf_put(filing->out, sealed->data, sealed->len);
	filing->done = span->close_start;
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
	if (memchr(filing->data + span->open_end, '<', span->close_start - span->open_end)) {
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
	/* memory that grows leaves copies, and no value is longer than its sealed form */
	(void)buf_reserve(&plain, strlen(text));
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
	markup_read(data, len, &filing.spans);
	rc = secret_each(doc, how->model, file_place, &filing);
	buf_put(out, filing.data + filing.done, len - filing.done);
	if (rc == 0 && out->failed)
		rc = err_set(err, ERR_FULL, "%s: over %zu bytes", name, out->max);
	spans_clear(&filing.spans);
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
