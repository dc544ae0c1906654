/*
 * The list of revoked keys: what is read is written as it was understood, and a key is in it once.
 */
#include "fuzz.h"

#include "admin/revoked.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct revoked revoked = {.keys = NULL}, second = {.keys = NULL};
	struct err err = {.code = ERR_NONE};
	struct buf text, again;

	if (revoked_parse(size ? (const char *)data : "", size, &revoked, &err) != 0) {
		assert(err.code == ERR_CORRUPT && !revoked.keys);
		return 0;
	}
	buf_init(&text, 4 << 20);
	buf_init(&again, 4 << 20);
	revoked_format(&revoked, &text);
	assert(revoked_parse(text.data, text.len, &second, &err) == 0 &&
	       second.count == revoked.count);
	revoked_format(&second, &again);
	assert(fuzz_same(&again, text.data, text.len));
	for (size_t i = 0; i < revoked.count; i++) {
		const struct revoked_key *key = revoked.keys + i;

		assert(i == 0 || memcmp(key[-1].key, key->key, KEY_SIZE) < 0);
		assert(revoked_find(&second, key->key) == second.keys + i);
		assert(key->join_count <= REVOKED_JOINS);
		for (size_t k = 0; k < key->join_count; k++)
			assert(key->joins[k].epoch > 0 && revoked_knew(&second, key->joins + k));
	}
	revoked_clear(&revoked);
	revoked_clear(&second);
	buf_clear(&text);
	buf_clear(&again);
	return 0;
}
