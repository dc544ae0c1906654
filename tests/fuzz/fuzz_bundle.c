/*
 * What stands before the pack of a bundle, in whole and cut off at any place: it means one thing
 * only, and no less than all of it means anything.
 */
#include "fuzz.h"

#include "repo/bundle.h"

#define REF "refs/heads/web"

enum { CUTS = 300 }; /* places at the beginning that it is cut at */

/* What was found; the code is ERR_NONE when something was. */
struct found {
	size_t pack;
	struct oid tip;
	enum err_code code;
};

static struct found look(const uint8_t *data, size_t n)
{
	static const struct oid untouched = {{0x5a}};
	struct found found = {.pack = SIZE_MAX, .tip = untouched};
	struct err err = {.code = ERR_NONE};

	if (bundle_head(data, n, REF, &found.pack, &found.tip, &err) != 0) {
		assert(err.code == ERR_RETRY || err.code == ERR_GONE || err.code == ERR_REFUSED ||
		       err.code == ERR_CORRUPT);
		assert(found.pack == SIZE_MAX && oid_equal(&found.tip, &untouched));
		found.code = err.code;
		return found;
	}
	assert(found.pack <= n && memcmp(data + found.pack - 2, "\n\n", 2) == 0);
	assert(!oid_is_zero(&found.tip));
	return found;
}

/* Of the first N bytes of what means WHOLE. */
static void check_cut(const uint8_t *data, size_t n, const struct found *whole)
{
	struct found cut = look(data, n);

	if (whole->code == ERR_NONE && n >= whole->pack)
		assert(cut.code == ERR_NONE && cut.pack == whole->pack &&
		       oid_equal(&cut.tip, &whole->tip));
	else if (whole->code == ERR_NONE || whole->code == ERR_RETRY)
		assert(cut.code == ERR_RETRY);
	else
		assert(cut.code == ERR_RETRY || cut.code == whole->code);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	git_setup();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct found whole = look(data, size);

	for (size_t n = 0; n < size && n < CUTS; n++)
		check_cut(data, n, &whole);
	return 0;
}
