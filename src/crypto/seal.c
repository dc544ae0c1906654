/* Sealed values: see seal.h. */
#include "crypto/seal.h"

#include "core/limits.h"
#include "core/text.h"
#include "crypto/encode.h"

#include <sodium.h>

#include <assert.h>
#include <string.h>

#define SEAL_WORD  "muster:"
#define SEAL_LABEL "muster/1"

enum {
	NONCE_SIZE = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
	TAG_SIZE = crypto_aead_xchacha20poly1305_ietf_ABYTES,
	ID_HEX = SEAL_ID_HEX_SIZE - 1,
	PADDED_MAX = LIMIT_SECRET_VALUE + SEAL_PAD,
	SEALED_MAX = NONCE_SIZE + PADDED_MAX + TAG_SIZE,
	TEXT_MAX = sizeof(SEAL_PREFIX) + ID_HEX + 1 + (SEALED_MAX * 4 + 2) / 3,
};

static_assert(NONCE_SIZE == 24 && TAG_SIZE == 16, "the format says so");
static_assert(crypto_aead_xchacha20poly1305_ietf_KEYBYTES == KEY_SIZE, "a scope key");

void seal_wipe(struct buf *buf)
{
	if (buf->data)
		crypto_wipe(buf->data, buf->cap);
	buf_clear(buf);
}

/* The library fails only for sizes that it does not know. */
static void keyed_hash(uint8_t *out, size_t size, const uint8_t key[static KEY_SIZE],
		       const struct buf *parts)
{
	int rc;

	assert(!parts->failed);
	rc = crypto_generichash(out, size, parts->data, parts->len, key, KEY_SIZE);
	assert(rc == 0);
	(void)rc;
}

/* A hash over a label and a text (NULL: the label alone). */
static void derive(uint8_t out[static KEY_SIZE], const uint8_t key[static KEY_SIZE],
		   const char *label, const char *text)
{
	struct buf parts;

	buf_init(&parts, LIMIT_SMALL_FILE);
	buf_put_part(&parts, label, strlen(label));
	if (text)
		buf_put_part(&parts, text, strlen(text));
	keyed_hash(out, KEY_SIZE, key, &parts);
	buf_clear(&parts);
}

void seal_scope_key(const uint8_t secret[static KEY_SIZE], const char *scope,
		    uint8_t out[static KEY_SIZE])
{
	derive(out, secret, SEAL_LABEL " seal", scope);
}

void seal_key_from(const uint8_t scope_key[static KEY_SIZE], struct seal_key *out)
{
	uint8_t id[KEY_SIZE];

	memcpy(out->key, scope_key, KEY_SIZE);
	derive(out->nonce_key, scope_key, SEAL_LABEL " nonce", NULL);
	derive(id, scope_key, SEAL_LABEL " key id", NULL);
	(void)sodium_bin2hex(out->id, sizeof(out->id), id, SEAL_ID_SIZE); /* returns its argument */
}

bool seal_is(const char *text)
{
	size_t digits;

	if (!text_starts(text, SEAL_WORD))
		return false;
	text += strlen(SEAL_WORD);
	digits = strspn(text, "0123456789");
	return digits > 0 && text[digits] == ':';
}

/* Where the base64url begins, and the id; NULL when the head is not of the form. */
static const char *head_of(const char *text, char id[static SEAL_ID_HEX_SIZE], struct err *err)
{
	if (!text_starts(text, SEAL_PREFIX)) {
		if (seal_is(text))
			(void)err_set(err, ERR_REFUSED,
				      "sealed in a version that this Muster does not know (it "
				      "knows 1)");
		else
			(void)err_set(err, ERR_CORRUPT, "not a sealed value");
		return NULL;
	}
	text += strlen(SEAL_PREFIX);
	if (strspn(text, "0123456789abcdef") != ID_HEX || text[ID_HEX] != ':') {
		(void)err_set(err, ERR_CORRUPT, "a damaged sealed value: its key id is none");
		return NULL;
	}
	memcpy(id, text, ID_HEX);
	id[ID_HEX] = '\0';
	return text + ID_HEX + 1;
}

/* Appends nonce, ciphertext and tag. */
static int parse(const char *text, char id[static SEAL_ID_HEX_SIZE], struct buf *sealed,
		 struct err *err)
{
	const char *at = strnlen(text, TEXT_MAX) < TEXT_MAX ? head_of(text, id, err) : NULL;

	if (!at)
		return err && err->code != ERR_NONE
			       ? -1
			       : err_set(err, ERR_REFUSED, "a sealed value over %u bytes",
					 LIMIT_SECRET_VALUE);
	if (decode_base64url(at, strlen(at), sealed) != 0)
		return err_set(err, ERR_CORRUPT, "a damaged sealed value: not base64url");
	if (sealed->len < NONCE_SIZE + SEAL_PAD + TAG_SIZE ||
	    (sealed->len - NONCE_SIZE - TAG_SIZE) % SEAL_PAD != 0)
		return err_set(err, ERR_CORRUPT, "a damaged sealed value: of no right length");
	return 0;
}

int seal_key_id(const char *text, char id[static SEAL_ID_HEX_SIZE], struct err *err)
{
	struct err why = {.code = ERR_NONE};
	struct buf sealed;
	int rc;

	buf_init(&sealed, SEALED_MAX);
	rc = parse(text, id, &sealed, &why);
	buf_clear(&sealed);
	return rc == 0 ? 0 : err_set(err, why.code, "%s", why.text);
}

static void put_associated(struct buf *out, const char *scope, const char *path)
{
	buf_put_part(out, SEAL_LABEL, strlen(SEAL_LABEL));
	buf_put_part(out, scope, strlen(scope));
	buf_put_part(out, path, strlen(path));
}

static void nonce_of(const struct seal_key *key, const struct buf *associated, const void *plain,
		     size_t n, uint8_t nonce[static NONCE_SIZE])
{
	struct buf parts;

	buf_init(&parts, associated->len + 4 + n);
	(void)buf_reserve(&parts, parts.max); /* memory that grows leaves copies; fits */
	buf_put(&parts, associated->data, associated->len);
	buf_put_part(&parts, plain, n);
	keyed_hash(nonce, NONCE_SIZE, key->nonce_key, &parts);
	seal_wipe(&parts);
}

/* NONCE, ciphertext and tag of the padded plain text, appended. */
static void encrypt(const struct seal_key *key, const struct buf *associated, const void *plain,
		    size_t n, struct buf *out)
{
	size_t padded = (n / SEAL_PAD + 1) * SEAL_PAD;
	uint8_t *at;
	int rc;

	(void)buf_reserve(out, NONCE_SIZE + padded + TAG_SIZE); /* the caller made room */
	at = out->data + out->len;
	nonce_of(key, associated, plain, n, at);
	if (n > 0)
		memcpy(at + NONCE_SIZE, plain, n);
	memset(at + NONCE_SIZE + n, 0, padded - n);
	at[NONCE_SIZE + n] = 0x80;
	rc = crypto_aead_xchacha20poly1305_ietf_encrypt(at + NONCE_SIZE, NULL, at + NONCE_SIZE,
							padded, associated->data, associated->len,
							NULL, at, key->key);
	assert(rc == 0); /* never fails */
	(void)rc;
	out->len += NONCE_SIZE + padded + TAG_SIZE;
}

int seal_put(const struct seal_key *key, const char *scope, const char *path, const void *plain,
	     size_t n, struct buf *out, struct err *err)
{
	struct buf associated, sealed;

	if (n > LIMIT_SECRET_VALUE)
		return err_set(err, ERR_REFUSED, "a secret of %zu bytes, over %u", n,
			       LIMIT_SECRET_VALUE);
	buf_init(&associated, LIMIT_FILE_SIZE);
	buf_init(&sealed, SEALED_MAX);
	put_associated(&associated, scope, path);
	assert(!associated.failed); /* a path is below the size of a file */
	encrypt(key, &associated, plain, n, &sealed);
	buf_puts(out, SEAL_PREFIX);
	buf_puts(out, key->id);
	buf_puts(out, ":");
	encode_base64url(out, sealed.data, sealed.len);
	buf_clear(&associated);
	buf_clear(&sealed);
	return out->failed ? err_set(err, ERR_FULL, "no room for a sealed value") : 0;
}

/* Decrypts into ROOM, which takes it, and takes the padding off: the length, or -1. */
static ssize_t decrypt(const struct seal_key *key, const struct buf *associated,
		       const struct buf *sealed, uint8_t *room)
{
	uint8_t nonce[NONCE_SIZE];
	unsigned long long padded;
	size_t n;

	if (crypto_aead_xchacha20poly1305_ietf_decrypt(
		    room, &padded, NULL, sealed->data + NONCE_SIZE, sealed->len - NONCE_SIZE,
		    associated->data, associated->len, sealed->data, key->key) != 0 ||
	    sodium_unpad(&n, room, padded, SEAL_PAD) != 0)
		return -1;
	/* with another nonce one value would have many forms */
	nonce_of(key, associated, room, n, nonce);
	return crypto_equal(nonce, sealed->data, NONCE_SIZE) ? (ssize_t)n : -1;
}

int seal_open(const struct seal_key *key, const char *scope, const char *path, const char *text,
	      struct buf *out, struct err *err)
{
	struct err why = {.code = ERR_NONE};
	char id[SEAL_ID_HEX_SIZE];
	struct buf associated, sealed;
	ssize_t n = -1;
	uint8_t *room;
	int rc;

	buf_init(&associated, LIMIT_FILE_SIZE);
	buf_init(&sealed, SEALED_MAX);
	put_associated(&associated, scope, path);
	rc = parse(text, id, &sealed, &why);
	room = rc == 0 ? buf_reserve(out, sealed.len) : NULL;
	if (room && !associated.failed)
		n = decrypt(key, &associated, &sealed, room);
	if (room) /* the padding, or what did not open */
		crypto_wipe(room + (n > 0 ? n : 0), sealed.len - (size_t)(n > 0 ? n : 0));
	if (n > 0)
		out->len += (size_t)n;
	buf_clear(&associated);
	buf_clear(&sealed);
	if (rc != 0)
		return err_set(err, why.code, "%s", why.text);
	if (!room)
		return err_set(err, ERR_FULL, "no room for a secret");
	return n >= 0 ? 0
		      : err_set(err, ERR_CORRUPT,
				"does not open with key %s: it was changed, or belongs to another "
				"place",
				key->id);
}
