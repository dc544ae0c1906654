/* cluster.key: its lines may come in another order than they are written in. */
#include "fuzz.h"

#include "crypto/key.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	crypto_setup();
	return 0;
}

/* The keystore that the identity gives is one that a node can read. */
static void check_keystore(const struct identity *identity)
{
	struct keystore *made = keystore_for(identity, "internal"), *read = NULL;
	struct buf text;
	struct err err;

	buf_init(&text, 4096);
	keystore_format(made, &text);
	assert(keystore_parse(buf_text(&text), &read, &err) == 0);
	assert(memcmp(made, read, sizeof(*made)) == 0);
	keystore_free(made);
	keystore_free(read);
	buf_clear(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct identity *identity = NULL, *second = NULL;
	struct err err = {.code = ERR_NONE};
	struct buf text, again;

	buf_init(&text, IDENTITY_TEXT_MAX);
	buf_init(&again, IDENTITY_TEXT_MAX);
	if (identity_parse((const char *)data, size, &identity, &err) == 0) {
		identity_format(identity, &text);
		assert(identity_parse(buf_text(&text), text.len, &second, &err) == 0);
		identity_format(second, &again);
		assert(text.len == size && fuzz_same(&again, text.data, text.len));
		assert(memcmp(identity, second, sizeof(*identity)) == 0);
		check_keystore(identity);
	} else {
		assert(!identity && err.code == ERR_CORRUPT);
	}
	identity_free(identity);
	identity_free(second);
	buf_clear(&text);
	buf_clear(&again);
	return 0;
}
