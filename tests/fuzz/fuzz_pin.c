/*
 * Pins: raw signed tags. The input is read as it is; and, since nobody guesses a signature, once
 * more with one made here after it: what the corpus holds are tags without one.
 */
#include "signer.h"

#include "crypto/sshsig.h"
#include "repo/pin.h"

/* With one bit flipped it is a pin no more. */
static void check_flip(const struct buf *raw)
{
	struct buf copy;
	struct pin pin;
	struct err err;

	put_flipped(raw, raw->data[7] * 256u + raw->data[8] + raw->data[raw->len - 40] * 31u,
		    &copy);
	assert(pin_parse(copy.data, copy.len, &pin, &err) == -1);
	buf_clear(&copy);
}

/* True when it is a pin, which signing again makes once more; all within its limits. */
static bool check_raw(const struct buf *raw)
{
	struct pin pin = {.sequence = UINT64_MAX};
	struct err err = {.code = ERR_NONE};
	struct buf again;

	if (pin_parse(raw->data, raw->len, &pin, &err) != 0) {
		assert(err.code == ERR_CORRUPT || err.code == ERR_REFUSED);
		assert(pin.sequence == UINT64_MAX); /* as it was */
		return false;
	}
	assert(pin.sequence > 0 && name_valid(pin.node) && raw->len <= PIN_RAW_MAX);
	/* of a pin that another signed, the signature is its own */
	if (memcmp(pin.signer, public, KEY_SIZE) == 0) {
		buf_init(&again, PIN_RAW_MAX);
		pin_sign(&pin, seed, &again);
		assert(fuzz_same(&again, raw->data, raw->len));
		buf_clear(&again);
	}
	return true;
}

/* Any text becomes a reason that a pin may have, and one that is stays as it is. */
static void check_reason(const uint8_t *data, size_t size)
{
	char reason[PIN_REASON_MAX + 1], again[PIN_REASON_MAX + 1];
	char *text = fuzz_text(data, size);

	pin_reason(text, reason);
	pin_reason(reason, again);
	assert(reason[0] != '\0' && strcmp(reason, again) == 0);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf raw, armour;

	buf_init(&raw, size + 2 * SSHSIG_ARMOUR_MAX);
	buf_init(&armour, SSHSIG_ARMOUR_MAX);
	buf_put(&raw, data, size);
	(void)check_raw(&raw);
	sshsig_sign(seed, SSHSIG_NAMESPACE, data, size, &armour);
	buf_put(&raw, armour.data, armour.len);
	if (check_raw(&raw))
		check_flip(&raw);
	check_reason(data, size);
	buf_clear(&armour);
	buf_clear(&raw);
	return 0;
}
