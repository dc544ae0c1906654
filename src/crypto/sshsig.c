/* SSH signatures: see sshsig.h. Field names are those of OpenSSH's PROTOCOL.sshsig. */
#include "crypto/sshsig.h"

#include "core/text.h"
#include "crypto/encode.h"

#include <sodium.h>

#include <assert.h>
#include <string.h>

#define ARMOUR_BEGIN "-----BEGIN SSH SIGNATURE-----\n"
#define ARMOUR_END   "-----END SSH SIGNATURE-----\n"
#define MAGIC        "SSHSIG"
#define KEY_TYPE     "ssh-ed25519"
#define HASH_NAME    "sha512"

enum {
	ARMOUR_COLUMNS = 70, /* what ssh-keygen writes */
	SIGNATURE_SIZE = 64,
	VERSION = 1,
	BLOB_MAX = 768,    /* bytes: what SSHSIG_ARMOUR_MAX can hold */
	MESSAGE_MAX = 512, /* bytes of what is signed: names and a hash */
};

static_assert(crypto_sign_PUBLICKEYBYTES == KEY_SIZE && crypto_sign_SEEDBYTES == KEY_SIZE,
	      "Ed25519");
static_assert(crypto_sign_BYTES == SIGNATURE_SIZE, "Ed25519");

static void put_string(struct buf *out, const char *text)
{
	buf_put_part(out, text, strlen(text));
}

/* The key or signature of the one type there is: string type, string value. */
static void put_typed(struct buf *out, const void *value, size_t n)
{
	buf_put_be32(out, (uint32_t)(4 + strlen(KEY_TYPE) + 4 + n));
	put_string(out, KEY_TYPE);
	buf_put_part(out, value, n);
}

/* What the signature is over: magic, namespace, reserved, hash name, hash of the message. */
static void put_signed_data(struct buf *out, const char *name_space, const void *message, size_t n)
{
	uint8_t hash[crypto_hash_sha512_BYTES];

	(void)crypto_hash_sha512(hash, message, n); /* always 0 */
	buf_puts(out, MAGIC);
	put_string(out, name_space);
	put_string(out, "");
	put_string(out, HASH_NAME);
	buf_put_part(out, hash, sizeof(hash));
	assert(!out->failed);
}

static void put_armour(struct buf *out, const struct buf *blob)
{
	struct buf text;

	buf_init(&text, 2 * BLOB_MAX);
	encode_base64(&text, blob->data, blob->len);
	assert(!text.failed);
	buf_puts(out, ARMOUR_BEGIN);
	for (size_t at = 0; at < text.len; at += ARMOUR_COLUMNS) {
		size_t left = text.len - at;

		buf_put(out, text.data + at, left < ARMOUR_COLUMNS ? left : ARMOUR_COLUMNS);
		buf_puts(out, "\n");
	}
	buf_puts(out, ARMOUR_END);
	buf_clear(&text);
}

void sshsig_sign(const uint8_t seed[static KEY_SIZE], const char *name_space, const void *message,
		 size_t n, struct buf *armour)
{
	uint8_t secret[crypto_sign_SECRETKEYBYTES], public[KEY_SIZE], signature[SIGNATURE_SIZE];
	struct buf data, blob;

	buf_init(&data, MESSAGE_MAX);
	buf_init(&blob, BLOB_MAX);
	put_signed_data(&data, name_space, message, n);
	(void)crypto_sign_seed_keypair(public, secret, seed); /* always 0 */
	(void)crypto_sign_detached(signature, NULL, data.data, data.len, secret); /* always 0 */
	crypto_wipe(secret, sizeof(secret));

	buf_puts(&blob, MAGIC);
	buf_put_be32(&blob, VERSION);
	put_typed(&blob, public, KEY_SIZE);
	put_string(&blob, name_space);
	put_string(&blob, "");
	put_string(&blob, HASH_NAME);
	put_typed(&blob, signature, SIGNATURE_SIZE);
	assert(!blob.failed);
	put_armour(armour, &blob);
	buf_clear(&data);
	buf_clear(&blob);
}

static int corrupt(struct err *err, const char *reason)
{
	return err_set(err, ERR_CORRUPT, "the signature is damaged: %s", reason);
}

/* The bytes inside the armour, which must be what put_armour makes of them. */
static int unarmour(const char *armour, size_t len, struct buf *blob, struct err *err)
{
	struct cursor c = cursor_of(armour, len);
	const uint8_t *begin = cursor_bytes(&c, strlen(ARMOUR_BEGIN));
	struct buf text, again;
	int rc;

	buf_init(&text, SSHSIG_ARMOUR_MAX);
	buf_init(&again, SSHSIG_ARMOUR_MAX);
	if (len > SSHSIG_ARMOUR_MAX) {
		rc = corrupt(err, "it is too long for an Ed25519 one");
		goto out;
	}
	if (!begin || memcmp(begin, ARMOUR_BEGIN, strlen(ARMOUR_BEGIN)) != 0) {
		rc = corrupt(err, "it has no line that begins it");
		goto out;
	}
	for (;;) {
		size_t n = 0;
		const char *line = cursor_line(&c, &n);

		if (!line || n == 0 || line[0] == '-')
			break;
		buf_put(&text, line, n);
	}
	if (decode_base64(buf_text(&text), text.len, blob) != 0) {
		rc = corrupt(err, "it is not base64");
		goto out;
	}
	/* Any other form of the same bytes would be a second commit id for one signature. */
	put_armour(&again, blob);
	if (again.failed || again.len != len || memcmp(again.data, armour, len) != 0) {
		rc = corrupt(err, "its armour is not in the one canonical form");
		goto out;
	}
	rc = 0;
out:
	buf_clear(&text);
	buf_clear(&again);
	return rc;
}

/* The fields of the blob, borrowed. */
struct sshsig {
	struct part {
		const uint8_t *data;
		size_t n;
	} key, name_space, reserved, hash, signature;
};

static struct part part_of(struct cursor *c)
{
	struct part part;

	part.data = cursor_part(c, BLOB_MAX, &part.n);
	return part;
}

static bool part_is(struct part part, const char *text)
{
	return part.n == strlen(text) && memcmp(part.data, text, part.n) == 0;
}

/* The value of a typed part; REFUSED for another type, CORRUPT for another size. */
static int typed_value(struct part part, size_t size, const uint8_t **value, struct err *err)
{
	struct cursor c = cursor_of(part.data, part.n);
	struct part type = part_of(&c), inner;

	if (c.failed)
		return corrupt(err, "a field is cut");
	if (!part_is(type, KEY_TYPE))
		return err_set(err, ERR_REFUSED, "the signature is not of the type " KEY_TYPE);
	inner = part_of(&c);
	if (!cursor_done(&c) || inner.n != size)
		return corrupt(err, "a key or signature has the wrong size");
	*value = inner.data;
	return 0;
}

static int sshsig_parse(const struct buf *blob, struct sshsig *sig, struct err *err)
{
	struct cursor c = cursor_of(blob->data, blob->len);
	const uint8_t *magic = cursor_bytes(&c, strlen(MAGIC));

	if (!magic || memcmp(magic, MAGIC, strlen(MAGIC)) != 0)
		return corrupt(err, "it does not begin with " MAGIC);
	if (cursor_be32(&c) != VERSION)
		return corrupt(err, "it has an unknown version");
	sig->key = part_of(&c);
	sig->name_space = part_of(&c);
	sig->reserved = part_of(&c);
	sig->hash = part_of(&c);
	sig->signature = part_of(&c);
	if (!cursor_done(&c))
		return corrupt(err, "a field is cut, or bytes follow the last one");
	if (sig->reserved.n != 0)
		return corrupt(err, "its reserved field is not empty");
	return 0;
}

static int sshsig_check(const struct sshsig *sig, const char *name_space, const struct buf *data,
			uint8_t signer[static KEY_SIZE], struct err *err)
{
	const uint8_t *public, *signature;

	if (typed_value(sig->key, KEY_SIZE, &public, err) != 0 ||
	    typed_value(sig->signature, SIGNATURE_SIZE, &signature, err) != 0)
		return -1;
	if (!part_is(sig->name_space, name_space))
		return err_set(err, ERR_REFUSED, "the signature is not for the namespace \"%s\"",
			       name_space);
	if (!part_is(sig->hash, HASH_NAME))
		return err_set(err, ERR_REFUSED, "the signature does not use " HASH_NAME);
	if (crypto_sign_verify_detached(signature, data->data, data->len, public) != 0)
		return err_set(err, ERR_REFUSED, "the signature is not over these bytes");
	memcpy(signer, public, KEY_SIZE);
	return 0;
}

int sshsig_verify(const char *armour, size_t len, const char *name_space, const void *message,
		  size_t n, uint8_t signer[static KEY_SIZE], struct err *err)
{
	struct buf blob, data;
	struct sshsig sig = {0};
	int rc;

	buf_init(&blob, BLOB_MAX);
	buf_init(&data, MESSAGE_MAX);
	rc = unarmour(armour, len, &blob, err);
	if (rc == 0)
		rc = sshsig_parse(&blob, &sig, err);
	if (rc == 0) {
		put_signed_data(&data, name_space, message, n);
		rc = sshsig_check(&sig, name_space, &data, signer, err);
	}
	buf_clear(&blob);
	buf_clear(&data);
	return rc;
}

void sshsig_public_line(const uint8_t public[static KEY_SIZE], struct buf *out)
{
	struct buf blob;

	buf_init(&blob, BLOB_MAX);
	put_string(&blob, KEY_TYPE);
	buf_put_part(&blob, public, KEY_SIZE);
	buf_puts(out, KEY_TYPE " ");
	encode_base64(out, blob.data, blob.len);
	buf_clear(&blob);
}
