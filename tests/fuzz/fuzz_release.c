/*
 * Releases: raw signed commits. The input is read as it is; and, since nobody guesses a signature,
 * once more with its header gpgsig made here: what the corpus holds are commits without one.
 */
#include "signer.h"

#include "core/limits.h"
#include "crypto/sshsig.h"
#include "repo/release.h"

/* With one bit flipped it is a release no more. */
static void check_flip(const struct buf *raw)
{
	struct buf copy;
	struct release release;
	struct err err;

	put_flipped(raw, raw->data[5] * 256u + raw->data[6] + raw->data[raw->len - 2] * 31u,
		    &copy);
	assert(release_parse(copy.data, copy.len, &release, &err) == -1);
	buf_clear(&copy);
}

/* True when it is a release, which signing again makes once more. */
static bool check_raw(const struct buf *raw)
{
	struct release release = {0};
	struct err err = {.code = ERR_NONE};
	struct buf again;

	if (release_parse(raw->data, raw->len, &release, &err) != 0) {
		assert(err.code == ERR_CORRUPT || err.code == ERR_REFUSED);
		assert(!release.author && !release.message);
		return false;
	}
	/* of a release that another signed, the signature is its own */
	if (memcmp(release.signer, public, KEY_SIZE) == 0) {
		buf_init(&again, LIMIT_COMMIT_SIZE);
		assert(release_sign(&release, seed, &again, &err) == 0);
		assert(fuzz_same(&again, raw->data, raw->len));
		buf_clear(&again);
	}
	release_clear(&release);
	return true;
}

/* The input with the header gpgsig where it belongs: before the first blank line. */
static bool sign(const uint8_t *data, size_t size, struct buf *raw)
{
	const uint8_t *end = size ? memmem(data, size, "\n\n", 2) : NULL;
	struct cursor c;
	struct buf armour;
	const char *line;
	size_t n;

	if (!end || memmem(data, (size_t)(end - data), "\ngpgsig", 7))
		return false;
	buf_init(&armour, SSHSIG_ARMOUR_MAX);
	sshsig_sign(seed, SSHSIG_NAMESPACE, data, size, &armour);
	buf_put(raw, data, (size_t)(end - data) + 1);
	buf_puts(raw, "gpgsig");
	for (c = cursor_of(armour.data, armour.len); (line = cursor_line(&c, &n));) {
		buf_puts(raw, " ");
		buf_put(raw, line, n);
		buf_puts(raw, "\n");
	}
	buf_put(raw, end + 1, size - (size_t)(end - data) - 1);
	buf_clear(&armour);
	return true;
}

/* A message of any bytes becomes one that a release may have, and a second cleaning changes
 * nothing. */
static void check_message(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size), *clean = release_message_clean(text),
	     *again = release_message_clean(clean),
	     *ident = release_ident(text, text, (int64_t)size, 60),
	     *committer = release_committer(text, (int64_t)size);
	struct err err;

	assert(strcmp(clean, again) == 0);
	if (release_message_check(text, &err) == 0)
		assert(release_message_check(clean, &err) == 0);
	assert(strlen(ident) <= RELEASE_IDENT_MAX && strlen(committer) <= RELEASE_IDENT_MAX);
	free(text);
	free(clean);
	free(again);
	free(ident);
	free(committer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf raw;

	buf_init(&raw, 4 * LIMIT_COMMIT_SIZE);
	buf_put(&raw, data, size);
	(void)check_raw(&raw);
	buf_reset(&raw);
	if (sign(data, size, &raw) && check_raw(&raw))
		check_flip(&raw);
	check_message(data, size);
	buf_clear(&raw);
	return 0;
}
