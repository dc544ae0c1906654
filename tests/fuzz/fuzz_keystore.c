/* The keystore of a cluster file. */
#include "fuzz.h"

#include "crypto/key.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	crypto_setup();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	struct keystore *keystore = NULL;
	struct err err = {.code = ERR_NONE};
	struct buf again;

	buf_init(&again, 4096);
	if (keystore_parse(text, &keystore, &err) == 0) {
		keystore_format(keystore, &again);
		assert(fuzz_same(&again, text, strlen(text)));
		assert(keystore->epoch > 0 && keystore->release_count > 0);
		assert(strcmp(keystore->role, "*") == 0 || name_valid(keystore->role));
	} else {
		assert(!keystore && (err.code == ERR_CORRUPT || err.code == ERR_REFUSED));
	}
	keystore_free(keystore);
	buf_clear(&again);
	free(text);
	return 0;
}
