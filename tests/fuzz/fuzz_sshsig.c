/*
 * SSH signatures. The input is taken as an armour, as the blob that belongs into one (the armour is
 * made here, or hardly any input would get behind it), and as a message to sign.
 */
#include "fuzz.h"

#include "crypto/encode.h"
#include "crypto/sshsig.h"

static const char message[] = "what the signatures of the corpus are over\n";
static const uint8_t seed[KEY_SIZE] = "the seed of the fuzz harnesses";
static uint8_t public[KEY_SIZE];
static struct buf ours; /* the one armour that is good for MESSAGE */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	crypto_setup();
	key_release_public(seed, public);
	buf_init(&ours, SSHSIG_ARMOUR_MAX);
	sshsig_sign(seed, SSHSIG_NAMESPACE, message, strlen(message), &ours);
	return 0;
}

/* Whoever has no key gets no further than the one signature there is. */
static void check_armour(const char *armour, size_t n)
{
	uint8_t signer[KEY_SIZE];
	struct err err = {.code = ERR_NONE};

	if (sshsig_verify(armour, n, SSHSIG_NAMESPACE, message, strlen(message), signer, &err) ==
	    0) {
		assert(memcmp(signer, public, KEY_SIZE) == 0);
		assert(fuzz_same(&ours, armour, n));
	} else {
		assert(err.code == ERR_CORRUPT || err.code == ERR_REFUSED);
	}
}

static void check_blob(const uint8_t *data, size_t size)
{
	struct buf text, armour;

	buf_init(&text, 2 * size + 8);
	buf_init(&armour, 4 * size + 128);
	encode_base64(&text, data, size);
	buf_puts(&armour, "-----BEGIN SSH SIGNATURE-----\n");
	for (size_t at = 0; at < text.len; at += 70) {
		buf_put(&armour, text.data + at, text.len - at < 70 ? text.len - at : 70);
		buf_puts(&armour, "\n");
	}
	buf_puts(&armour, "-----END SSH SIGNATURE-----\n");
	check_armour(buf_text(&armour), armour.len);
	buf_clear(&text);
	buf_clear(&armour);
}

/* A signature over the input is good for it and for nothing else, with no bit flipped. */
static void check_message(const uint8_t *data, size_t size)
{
	uint8_t signer[KEY_SIZE], *other = mem_new(size + 1, 1);
	size_t at = size ? data[0] * 3u : 0;
	struct buf armour;
	struct err err;

	memcpy(other, data, size);
	other[size ? at % size : 0] ^= 1;
	buf_init(&armour, SSHSIG_ARMOUR_MAX);
	sshsig_sign(seed, "other", data, size, &armour);
	assert(sshsig_verify(buf_text(&armour), armour.len, "other", data, size, signer, &err) ==
	       0);
	assert(memcmp(signer, public, KEY_SIZE) == 0);
	assert(sshsig_verify(buf_text(&armour), armour.len, "git", data, size, signer, &err) == -1);
	assert(sshsig_verify(buf_text(&armour), armour.len, "other", other, size ? size : 1, signer,
			     &err) == -1);
	armour.data[at % armour.len] ^= (uint8_t)(1u << size % 8);
	assert(sshsig_verify(buf_text(&armour), armour.len, "other", data, size, signer, &err) ==
	       -1);
	buf_clear(&armour);
	free(other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_armour(size ? (const char *)data : "", size);
	check_blob(data, size);
	check_message(size ? data : (const uint8_t *)"", size);
	return 0;
}
