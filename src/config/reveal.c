/* Files with open secrets: see reveal.h. */
#include "config/reveal.h"

#include "config/markup.h"
#include "config/path.h"
#include "config/secret.h"
#include "config/xml.h"
#include "core/limits.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct revealing {
	const struct model *model;
	const struct sealer *sealer;
	const char *data;
	struct spans spans;
	size_t done; /* bytes of DATA that are in OUT */
	struct buf *out;
	struct err *err;
};

static int refuse(struct revealing *r, const struct secret_place *place, const struct err *why)
{
	char *path = path_text(place->node, r->model);

	(void)err_set(r->err, why->code, "%s:%u: %.500s: %s", xml_file(place->node), place->line,
		      path, why->text);
	free(path);
	return -1;
}

static int open_place(void *arg, const struct secret_place *place)
{
	struct revealing *r = arg;
	struct err why = {.code = ERR_NONE};
	struct buf path, plain;
	const struct span *span;
	int rc;

	/* a fault is check's to tell: the file must open to be mended */
	if (place->form != SECRET_SEALED)
		return 0;
	assert(place->ordinal < r->spans.count);
	span = &r->spans.items[place->ordinal];
	buf_init(&path, LIMIT_FILE_SIZE);
	buf_init(&plain, LIMIT_XML_SIZE);
	/* memory that grows leaves copies, and no value is longer than its sealed form */
	(void)buf_reserve(&plain, strlen(xml_text(place->node)));
	path_put_canonical(&path, place->node, r->model);
	rc = r->sealer->open(r->sealer->arg, SCOPE_CONFIG, buf_text(&path), xml_text(place->node),
			     &plain, &why);
	if (rc == 0) {
		buf_put(r->out, r->data + r->done, span->open_end - r->done);
		markup_put_text(r->out, buf_text(&plain));
		r->done = span->close_start;
	} else {
		rc = refuse(r, place, &why);
	}
	seal_wipe(&plain);
	buf_clear(&path);
	return rc;
}

int reveal_file(const char *name, const void *data, size_t len, const struct model *model,
		const struct sealer *sealer, struct buf *out, struct err *err)
{
	struct revealing r = {
		.model = model, .sealer = sealer, .data = data, .out = out, .err = err};
	struct document *doc = NULL;
	int rc = document_parse(name, data, len, &doc, err);

	if (rc != 0)
		return rc;
	markup_read(data, len, &r.spans);
	rc = secret_each(doc, model, open_place, &r);
	spans_clear(&r.spans);
	buf_put(out, r.data + r.done, len - r.done);
	seal_document_free(doc, model);
	if (rc == 0 && out->failed)
		rc = err_set(err, ERR_FULL, "%s: over %zu bytes", name, out->max);
	return rc;
}
