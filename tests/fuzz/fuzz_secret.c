/* The entries of etc/secret. */
#include "fuzz.h"

#include "crypto/secret.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	crypto_setup();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct keyring *ring = NULL, *again = NULL;
	struct err err = {.code = ERR_NONE};
	struct buf text, other;

	buf_init(&text, 1 << 16);
	buf_init(&other, 1 << 16);
	if (keyring_parse("etc/secret", size ? (const char *)data : "", size, &ring, &err) == 0) {
		assert(keyring_count(ring) > 0 && keyring_count(ring) <= LIMIT_SECRET_KEYS);
		assert(keyring_secrets(ring) <= keyring_count(ring));
		keyring_format(ring, &text);
		assert(keyring_parse("again", buf_text(&text), text.len, &again, &err) == 0);
		keyring_format(again, &other);
		assert(fuzz_same(&other, text.data, text.len));
	} else {
		assert(!ring && err.code == ERR_REFUSED);
	}
	keyring_free(ring);
	keyring_free(again);
	seal_wipe(&text);
	seal_wipe(&other);
	return 0;
}
