/*
 * Sealing a file as bytes: what comes out has nothing in the clear, is not changed by a second
 * pass, and opened again it is the same configuration.
 */
#include "fuzz.h"

#include "config/seal.h"

static struct model *model;
static struct keyring *ring;
static struct sealer sealer;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char secret[] =
		"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
	struct err err;

	(void)argc;
	(void)argv;
	crypto_setup();
	config_setup();
	model = model_default();
	assert(keyring_parse("etc/secret", secret, strlen(secret), &ring, &err) == 0);
	sealer = sealer_of(ring);
	return 0;
}

/* The stable form of a file with its secrets open; false when one does not open. */
static bool opened(const void *data, size_t size, struct buf *out)
{
	struct document *doc = NULL;
	struct err err;
	bool opens;

	buf_init(out, 64u << 20);
	assert(document_parse("f.xml", data, size, &doc, &err) == 0);
	opens = seal_open_document(doc, model, ring, NULL, &err) == 0;
	assert(document_serialise(doc, out, &err) == 0);
	seal_document_free(doc, model);
	return opens;
}

static void check_sealed(const void *data, size_t size, const struct buf *sealed, bool changed)
{
	const struct sealing how = {.model = model, .sealer = &sealer};
	struct findings findings = {.count = 0};
	struct err err = {.code = ERR_NONE};
	struct buf again, before, after;
	bool more = true;

	assert(changed || fuzz_same(sealed, data, size));
	assert(seal_scan("f.xml", buf_text(sealed), sealed->len, model, &findings) == 0);
	buf_init(&again, 64u << 20);
	assert(seal_file("f.xml", buf_text(sealed), sealed->len, &how, &again, &more, &findings,
			 &err) == 0);
	assert(!more && fuzz_same(&again, sealed->data, sealed->len));
	if (opened(data, size, &before)) {
		assert(opened(buf_text(sealed), sealed->len, &after));
		assert(fuzz_same(&after, before.data, before.len));
		buf_clear(&after);
	}
	buf_clear(&before);
	buf_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct sealing how = {.model = model, .sealer = &sealer};
	const void *bytes = size ? (const void *)data : "";
	struct findings findings = {.count = 0}, scanned = {.count = 0};
	struct err err = {.code = ERR_NONE};
	struct buf sealed;
	bool changed = false;

	buf_init(&sealed, 64u << 20);
	if (seal_file("f.xml", bytes, size, &how, &sealed, &changed, &findings, &err) == 0)
		check_sealed(bytes, size, &sealed, changed);
	else
		assert(findings.count > 0 || err.code == ERR_REFUSED || err.code == ERR_CORRUPT);
	(void)seal_scan("f.xml", bytes, size, model, &scanned);
	findings_clear(&findings);
	findings_clear(&scanned);
	buf_clear(&sealed);
	return 0;
}
