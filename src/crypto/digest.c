/* The digest of a set of files: see digest.h. */
#include "crypto/digest.h"

#include <sodium.h>

#include <assert.h>
#include <string.h>

static_assert(DIGEST_SIZE == crypto_generichash_BYTES, "BLAKE2b-256");

/* The library fails only for sizes that it does not know. */
static void must(int rc)
{
	assert(rc == 0);
	(void)rc;
}

void digest_bytes(const void *data, size_t n, uint8_t out[static DIGEST_SIZE])
{
	must(crypto_generichash(out, DIGEST_SIZE, data, n, NULL, 0));
}

static void add_be(uint8_t *to, uint64_t v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
}

/* A part: its be32 length, then its bytes. */
static void add_part(crypto_generichash_state *state, const void *data, size_t n)
{
	uint8_t size[4];

	assert(n <= UINT32_MAX);
	add_be(size, n, sizeof(size));
	must(crypto_generichash_update(state, size, sizeof(size)));
	must(crypto_generichash_update(state, data, n));
}

void digest_fileset(const struct fileset *set, uint8_t out[static DIGEST_SIZE])
{
	crypto_generichash_state state;

	must(crypto_generichash_init(&state, NULL, 0, DIGEST_SIZE));
	for (size_t i = 0; i < set->count; i++) {
		const struct file *file = &set->files[i];
		uint8_t mode[4], size[8], digest[DIGEST_SIZE];

		assert(i == 0 || strcmp(set->files[i - 1].path, file->path) < 0);
		add_be(mode, file->mode, sizeof(mode));
		add_be(size, file->size, sizeof(size));
		digest_bytes(file->data, file->size, digest);
		add_part(&state, file->path, strlen(file->path));
		add_part(&state, mode, sizeof(mode));
		add_part(&state, size, sizeof(size));
		add_part(&state, digest, sizeof(digest));
	}
	must(crypto_generichash_final(&state, out, DIGEST_SIZE));
}

char *digest_hex(const uint8_t digest[static DIGEST_SIZE], char out[static DIGEST_HEX_SIZE])
{
	return sodium_bin2hex(out, DIGEST_HEX_SIZE, digest, DIGEST_SIZE);
}
