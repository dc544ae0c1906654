/* A sealed value: only the one form opens, and what opens is sealed to the same bytes again. */
#include "fuzz.h"

#include "crypto/seal.h"

static struct seal_key key;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	uint8_t secret[KEY_SIZE], scope_key[KEY_SIZE];

	(void)argc;
	(void)argv;
	crypto_setup();
	for (size_t i = 0; i < KEY_SIZE; i++)
		secret[i] = (uint8_t)i;
	seal_scope_key(secret, "config", scope_key);
	seal_key_from(scope_key, &key);
	return 0;
}

static void must_seal(const void *plain, size_t n, struct buf *out)
{
	struct err err;

	assert(seal_put(&key, "config", "/p", plain, n, out, &err) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size), id[SEAL_ID_HEX_SIZE];
	struct err err = {.code = ERR_NONE};
	struct buf plain, sealed, again;

	buf_init(&plain, 1 << 20);
	buf_init(&sealed, 1 << 20);
	buf_init(&again, 1 << 20);
	if (seal_key_id(text, id, &err) != 0)
		assert(err.code == ERR_CORRUPT || err.code == ERR_REFUSED);
	else
		assert(seal_is(text) && strlen(id) == SEAL_ID_HEX_SIZE - 1);
	if (seal_open(&key, "config", "/p", text, &plain, &err) == 0) {
		must_seal(plain.data, plain.len, &again);
		/* the id is not authenticated: it only says which key to try */
		assert(again.len == strlen(text) &&
		       memcmp(again.data + 17, text + 17, again.len - 17) == 0);
	}
	seal_wipe(&plain);
	buf_reset(&again);

	/* the input as a plain text */
	if (size <= LIMIT_SECRET_VALUE) {
		must_seal(data, size, &sealed);
		assert(seal_open(&key, "config", "/p", buf_text(&sealed), &plain, &err) == 0);
		assert(fuzz_same(&plain, data, size));
		must_seal(plain.data, plain.len, &again);
		assert(fuzz_same(&again, sealed.data, sealed.len));
	}
	seal_wipe(&plain);
	buf_clear(&sealed);
	buf_clear(&again);
	free(text);
	return 0;
}
