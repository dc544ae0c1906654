/* The Noise Protocol Framework: see noise.h. Names and numbers are the specification's. */
#include "channel/noise.h"

#include <sodium.h>

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum {
	BLOCK_SIZE = 128, /* bytes of a BLAKE2b block, for HMAC */
	NONCE_SIZE = 12,
	HKDF_OUTPUTS = 3,
};

static_assert(crypto_aead_chacha20poly1305_ietf_KEYBYTES == KEY_SIZE, "ChaChaPoly");
static_assert(crypto_aead_chacha20poly1305_ietf_NPUBBYTES == NONCE_SIZE, "ChaChaPoly");
static_assert(crypto_aead_chacha20poly1305_ietf_ABYTES == NOISE_TAG_SIZE, "ChaChaPoly");
static_assert(crypto_generichash_blake2b_BYTES_MAX == NOISE_HASH_SIZE, "BLAKE2b");
static_assert(crypto_scalarmult_curve25519_BYTES == KEY_SIZE, "25519");

const struct noise_pattern noise_ikpsk1 = {
	.name = "IKpsk1",
	.responder_static_known = true,
	.messages = {
		{NOISE_E, NOISE_ES, NOISE_S, NOISE_SS, NOISE_PSK},
		{NOISE_E, NOISE_EE, NOISE_SE},
	},
};

struct key_pair {
	bool known;
	uint8_t secret[KEY_SIZE];
	uint8_t public[KEY_SIZE];
};

struct remote_key {
	bool known;
	uint8_t public[KEY_SIZE];
};

struct noise {
	const struct noise_pattern *pattern;
	bool initiator;
	bool has_psk;    /* the pattern has a psk token */
	bool fixed;      /* e was given: a test */
	bool failed;     /* a message did not open: of no more use */
	size_t message;  /* index of the next */
	size_t psk_used; /* how many psks were mixed in */
	size_t psk_count;
	uint8_t psks[NOISE_PSKS_MAX][KEY_SIZE];
	struct key_pair s, e;
	struct remote_key rs, re;
	/* SymmetricState and CipherState (5.1, 5.2) */
	bool has_key;
	uint64_t n;
	uint8_t k[KEY_SIZE];
	uint8_t ck[NOISE_HASH_SIZE];
	uint8_t h[NOISE_HASH_SIZE];
};

/* --- primitives (4, 12) --- */

/* The library fails only for sizes that it does not know. */
static void must(int rc)
{
	assert(rc == 0);
	(void)rc;
}

/* One or two runs of bytes, hashed as one. */
static void hash_two(uint8_t out[static NOISE_HASH_SIZE], const void *a, size_t a_n, const void *b,
		     size_t b_n)
{
	crypto_generichash_blake2b_state state;

	must(crypto_generichash_blake2b_init(&state, NULL, 0, NOISE_HASH_SIZE));
	must(crypto_generichash_blake2b_update(&state, a, a_n));
	must(crypto_generichash_blake2b_update(&state, b, b_n));
	must(crypto_generichash_blake2b_final(&state, out, NOISE_HASH_SIZE));
	sodium_memzero(&state, sizeof(state));
}

/* HMAC-HASH (RFC 2104) with a key that fits in a block. */
static void hmac(uint8_t out[static NOISE_HASH_SIZE], const uint8_t *key, size_t key_n,
		 const uint8_t *data, size_t n)
{
	uint8_t pad[BLOCK_SIZE], inner[NOISE_HASH_SIZE];

	assert(key_n <= BLOCK_SIZE);
	memset(pad, 0x36, sizeof(pad));
	for (size_t i = 0; i < key_n; i++)
		pad[i] ^= key[i];
	hash_two(inner, pad, sizeof(pad), data, n);
	for (size_t i = 0; i < sizeof(pad); i++)
		pad[i] ^= 0x36 ^ 0x5c;
	hash_two(out, pad, sizeof(pad), inner, sizeof(inner));
	sodium_memzero(pad, sizeof(pad));
	sodium_memzero(inner, sizeof(inner));
}

/* HKDF(chaining_key, input_key_material, COUNT) (4.3). */
static void hkdf(uint8_t out[][NOISE_HASH_SIZE], size_t count, const uint8_t *ck,
		 const uint8_t *ikm, size_t ikm_n)
{
	uint8_t temp[NOISE_HASH_SIZE], block[NOISE_HASH_SIZE + 1];
	size_t used = 0;

	assert(count <= HKDF_OUTPUTS);
	hmac(temp, ck, NOISE_HASH_SIZE, ikm, ikm_n);
	for (size_t i = 0; i < count; i++) {
		block[used++] = (uint8_t)(i + 1);
		hmac(out[i], temp, sizeof(temp), block, used);
		memcpy(block, out[i], NOISE_HASH_SIZE);
		used = NOISE_HASH_SIZE;
	}
	sodium_memzero(temp, sizeof(temp));
	sodium_memzero(block, sizeof(block));
}

static void make_nonce(uint8_t out[static NONCE_SIZE], uint64_t n)
{
	memset(out, 0, NONCE_SIZE);
	for (size_t i = 0; i < 8; i++)
		out[4 + i] = (uint8_t)(n >> (8 * i));
}

void noise_encrypt(const uint8_t key[static KEY_SIZE], uint64_t nonce, const void *ad, size_t ad_n,
		   const void *plain, size_t n, struct buf *out)
{
	uint8_t bytes[NONCE_SIZE];
	uint8_t *to = n <= out->max ? buf_reserve(out, n + NOISE_TAG_SIZE) : NULL;

	if (!to) {
		out->failed = true;
		return;
	}
	make_nonce(bytes, nonce);
	must(crypto_aead_chacha20poly1305_ietf_encrypt(to, NULL, plain, n, ad, ad_n, NULL, bytes,
						       key));
	out->len += n + NOISE_TAG_SIZE;
	out->data[out->len] = '\0';
}

int noise_decrypt(const uint8_t key[static KEY_SIZE], uint64_t nonce, const void *ad, size_t ad_n,
		  const void *cipher, size_t n, struct buf *out)
{
	uint8_t bytes[NONCE_SIZE];
	uint8_t *to;
	int rc;

	if (n < NOISE_TAG_SIZE)
		return -1;
	n -= NOISE_TAG_SIZE;
	to = buf_reserve(out, n);
	if (!to)
		return -1;
	make_nonce(bytes, nonce);
	rc = crypto_aead_chacha20poly1305_ietf_decrypt(to, NULL, NULL, cipher, n + NOISE_TAG_SIZE,
						       ad, ad_n, bytes, key);
	if (rc == 0)
		out->len += n;
	out->data[out->len] = '\0';
	return rc == 0 ? 0 : -1;
}

void noise_rekey(uint8_t key[static KEY_SIZE])
{
	uint8_t nonce[NONCE_SIZE], zeros[KEY_SIZE] = {0}, sealed[KEY_SIZE + NOISE_TAG_SIZE];

	make_nonce(nonce, UINT64_MAX);
	must(crypto_aead_chacha20poly1305_ietf_encrypt(sealed, NULL, zeros, sizeof(zeros), NULL, 0,
						       NULL, nonce, key));
	memcpy(key, sealed, KEY_SIZE);
	sodium_memzero(sealed, sizeof(sealed));
}

/* --- SymmetricState (5.2) --- */

static void mix_hash(struct noise *noise, const void *data, size_t n)
{
	hash_two(noise->h, noise->h, NOISE_HASH_SIZE, data, n);
}

static void set_key(struct noise *noise, const uint8_t *key)
{
	memcpy(noise->k, key, KEY_SIZE); /* the first 32 bytes of a hash */
	noise->n = 0;
	noise->has_key = true;
}

static void mix_key(struct noise *noise, const uint8_t *ikm)
{
	uint8_t out[2][NOISE_HASH_SIZE];

	hkdf(out, 2, noise->ck, ikm, KEY_SIZE);
	memcpy(noise->ck, out[0], NOISE_HASH_SIZE);
	set_key(noise, out[1]);
	sodium_memzero(out, sizeof(out));
}

static void mix_key_and_hash(struct noise *noise, const uint8_t *ikm)
{
	uint8_t out[3][NOISE_HASH_SIZE];

	hkdf(out, 3, noise->ck, ikm, KEY_SIZE);
	memcpy(noise->ck, out[0], NOISE_HASH_SIZE);
	mix_hash(noise, out[1], NOISE_HASH_SIZE);
	set_key(noise, out[2]);
	sodium_memzero(out, sizeof(out));
}

static void encrypt_and_hash(struct noise *noise, const void *plain, size_t n, struct buf *out)
{
	size_t start = out->len;

	if (noise->has_key)
		noise_encrypt(noise->k, noise->n++, noise->h, NOISE_HASH_SIZE, plain, n, out);
	else
		buf_put(out, plain, n);
	assert(!out->failed); /* noise_write measured it */
	mix_hash(noise, out->data + start, out->len - start);
}

static int decrypt_and_hash(struct noise *noise, const uint8_t *data, size_t n, struct buf *out)
{
	if (!data)
		return -1;
	if (!noise->has_key)
		buf_put(out, data, n);
	else if (noise_decrypt(noise->k, noise->n++, noise->h, NOISE_HASH_SIZE, data, n, out) != 0)
		return -1;
	mix_hash(noise, data, n);
	return 0;
}

/* --- HandshakeState (5.3, 9) --- */

static void start_symmetric(struct noise *noise)
{
	char name[NOISE_HASH_SIZE + 1] = "Noise_";
	size_t n = strlen(name), left = sizeof(name) - n;
	int put = snprintf(name + n, left, "%s_25519_ChaChaPoly_BLAKE2b", noise->pattern->name);

	assert(put >= 0 && (size_t)put < left); /* longer names would be hashed */
	memcpy(noise->h, name, NOISE_HASH_SIZE);
	memcpy(noise->ck, noise->h, NOISE_HASH_SIZE);
}

static size_t pattern_psks(const struct noise_pattern *pattern)
{
	size_t count = 0;

	for (size_t i = 0; i < NOISE_MESSAGES_MAX; i++)
		for (size_t j = 0; j < NOISE_TOKENS_MAX; j++)
			count += pattern->messages[i][j] == NOISE_PSK;
	return count;
}

static void mix_pre_message(struct noise *noise, bool of_initiator)
{
	bool own = of_initiator == noise->initiator;

	assert(own ? noise->s.known : noise->rs.known);
	mix_hash(noise, own ? noise->s.public : noise->rs.public, KEY_SIZE);
}

static void set_pair(struct key_pair *pair, const uint8_t *secret)
{
	memcpy(pair->secret, secret, KEY_SIZE);
	must(crypto_scalarmult_curve25519_base(pair->public, pair->secret));
	pair->known = true;
}

struct noise *noise_new(const struct noise_config *config)
{
	struct noise *noise = crypto_new(sizeof(*noise));

	noise->pattern = config->pattern;
	noise->initiator = config->initiator;
	noise->psk_count = config->psk_count;
	noise->has_psk = config->psk_count > 0;
	assert(config->psk_count <= NOISE_PSKS_MAX);
	assert(config->psk_count == pattern_psks(config->pattern));
	for (size_t i = 0; i < config->psk_count; i++)
		memcpy(noise->psks[i], config->psks[i], KEY_SIZE);
	if (config->local) {
		noise->s.known = true;
		memcpy(noise->s.secret, config->local->secret, KEY_SIZE);
		memcpy(noise->s.public, config->local->public, KEY_SIZE);
	}
	if (config->remote_public) {
		memcpy(noise->rs.public, config->remote_public, KEY_SIZE);
		noise->rs.known = true;
	}
	if (config->ephemeral_secret) {
		set_pair(&noise->e, config->ephemeral_secret);
		noise->fixed = true;
	}
	start_symmetric(noise);
	mix_hash(noise, config->prologue, config->prologue_size);
	if (config->pattern->initiator_static_known)
		mix_pre_message(noise, true);
	if (config->pattern->responder_static_known)
		mix_pre_message(noise, false);
	return noise;
}

void noise_free(struct noise *noise)
{
	crypto_free(noise);
}

/* DH(own, remote). A peer's key that makes it all zero is refused, as 12.1 allows: the key would be
 * known to all. */
static int mix_dh(struct noise *noise, const struct key_pair *own, const struct remote_key *remote)
{
	uint8_t shared[KEY_SIZE];
	int rc;

	assert(own->known && remote->known);
	rc = crypto_scalarmult_curve25519(shared, own->secret, remote->public);
	if (rc == 0 && sodium_is_zero(shared, sizeof(shared)))
		rc = -1;
	if (rc == 0)
		mix_key(noise, shared);
	sodium_memzero(shared, sizeof(shared));
	return rc;
}

/* A token that both sides process alike: 0, or -1 for a weak key. */
static int mix_token(struct noise *noise, enum noise_token token)
{
	bool initiator = noise->initiator;

	switch (token) {
	case NOISE_EE:
		return mix_dh(noise, &noise->e, &noise->re);
	case NOISE_ES:
		return initiator ? mix_dh(noise, &noise->e, &noise->rs)
				 : mix_dh(noise, &noise->s, &noise->re);
	case NOISE_SE:
		return initiator ? mix_dh(noise, &noise->s, &noise->re)
				 : mix_dh(noise, &noise->e, &noise->rs);
	case NOISE_SS:
		return mix_dh(noise, &noise->s, &noise->rs);
	case NOISE_PSK:
		assert(noise->psk_used < noise->psk_count);
		mix_key_and_hash(noise, noise->psks[noise->psk_used++]);
		return 0;
	case NOISE_E:
	case NOISE_S:
	case NOISE_END:
		break;
	}
	assert(!"a token that one side writes");
	return -1;
}

/* With a psk, an ephemeral key is mixed into the key as well (9.2). */
static void mix_ephemeral(struct noise *noise, const uint8_t *public)
{
	mix_hash(noise, public, KEY_SIZE);
	if (noise->has_psk)
		mix_key(noise, public);
}

static const enum noise_token *current_tokens(const struct noise *noise)
{
	return noise->pattern->messages[noise->message];
}

/* Bytes of the next message beyond its payload. */
static size_t overhead(const struct noise *noise)
{
	bool has_key = noise->has_key;
	size_t n = 0;

	for (const enum noise_token *token = current_tokens(noise); *token != NOISE_END; token++) {
		if (*token == NOISE_S)
			n += KEY_SIZE + (has_key ? NOISE_TAG_SIZE : 0);
		else if (*token == NOISE_E)
			n += KEY_SIZE;
		if (*token != NOISE_S && (*token != NOISE_E || noise->has_psk))
			has_key = true;
	}
	return n + (has_key ? NOISE_TAG_SIZE : 0);
}

static int write_token(struct noise *noise, enum noise_token token, struct buf *out)
{
	if (token == NOISE_S) {
		assert(noise->s.known);
		encrypt_and_hash(noise, noise->s.public, KEY_SIZE, out);
		return 0;
	}
	if (token != NOISE_E)
		return mix_token(noise, token);
	if (!noise->fixed) {
		uint8_t secret[KEY_SIZE];

		randombytes_buf(secret, sizeof(secret));
		set_pair(&noise->e, secret);
		sodium_memzero(secret, sizeof(secret));
	}
	buf_put(out, noise->e.public, KEY_SIZE);
	mix_ephemeral(noise, noise->e.public);
	return 0;
}

static int fail(struct noise *noise, struct err *err, const char *reason)
{
	noise->failed = true;
	return err_set(err, ERR_DENIED, "handshake message %zu: %s", noise->message + 1, reason);
}

int noise_write(struct noise *noise, const void *payload, size_t n, struct buf *out,
		struct err *err)
{
	size_t start = out->len, size;

	assert(noise_my_turn(noise));
	size = overhead(noise);
	if (n > NOISE_MESSAGE_MAX - size)
		return err_set(err, ERR_REFUSED, "a handshake message cannot carry %zu bytes", n);
	if (out->failed || size + n > out->max - out->len)
		return err_set(err, ERR_FULL, "no room for a handshake message of %zu bytes",
			       size + n);
	for (const enum noise_token *token = current_tokens(noise); *token != NOISE_END; token++)
		if (write_token(noise, *token, out) != 0) {
			if (out->data) {
				out->len = start;
				out->data[start] = '\0';
			}
			return fail(noise, err, "the peer's key is weak");
		}
	encrypt_and_hash(noise, payload, n, out);
	assert(out->len - start == size + n);
	noise->message++;
	return 0;
}

static int read_static(struct noise *noise, struct cursor *c)
{
	size_t n = KEY_SIZE + (noise->has_key ? NOISE_TAG_SIZE : 0);
	struct buf public;
	int rc;

	assert(!noise->rs.known);
	buf_init(&public, KEY_SIZE);
	rc = decrypt_and_hash(noise, cursor_bytes(c, n), n, &public);
	if (rc == 0) {
		assert(public.len == KEY_SIZE);
		memcpy(noise->rs.public, public.data, KEY_SIZE);
		noise->rs.known = true;
	}
	buf_clear(&public);
	return rc;
}

static int read_token(struct noise *noise, enum noise_token token, struct cursor *c)
{
	const uint8_t *public;

	if (token == NOISE_S)
		return read_static(noise, c);
	if (token != NOISE_E)
		return mix_token(noise, token);
	public = cursor_bytes(c, KEY_SIZE);
	if (!public)
		return -1;
	memcpy(noise->re.public, public, KEY_SIZE);
	noise->re.known = true;
	mix_ephemeral(noise, public);
	return 0;
}

int noise_read(struct noise *noise, const void *message, size_t n, struct buf *payload,
	       struct err *err)
{
	struct cursor c = cursor_of(message, n);
	size_t size;

	assert(!noise_done(noise) && !noise_my_turn(noise));
	if (noise->failed)
		return fail(noise, err, "one before it did not open");
	size = overhead(noise);
	if (n > NOISE_MESSAGE_MAX || n < size)
		return fail(noise, err, "it has the wrong size");
	if (payload->failed || n - size > payload->max - payload->len)
		return err_set(err, ERR_FULL, "no room for the payload of a handshake message");
	for (const enum noise_token *token = current_tokens(noise); *token != NOISE_END; token++)
		if (read_token(noise, *token, &c) != 0)
			return fail(noise, err, "it does not open");
	if (decrypt_and_hash(noise, c.at, c.left, payload) != 0)
		return fail(noise, err, "it does not open");
	noise->message++;
	return 0;
}

bool noise_my_turn(const struct noise *noise)
{
	return !noise->failed && !noise_done(noise) &&
	       (noise->message % 2 == 0) == noise->initiator;
}

bool noise_done(const struct noise *noise)
{
	return !noise->failed && current_tokens(noise)[0] == NOISE_END;
}

const uint8_t *noise_remote_static(const struct noise *noise)
{
	return noise->rs.known ? noise->rs.public : NULL;
}

void noise_split(const struct noise *noise, uint8_t send[KEY_SIZE], uint8_t receive[KEY_SIZE],
		 uint8_t hash[NOISE_HASH_SIZE])
{
	uint8_t keys[2][NOISE_HASH_SIZE];

	assert(noise_done(noise));
	hkdf(keys, 2, noise->ck, NULL, 0);
	if (send)
		memcpy(send, keys[noise->initiator ? 0 : 1], KEY_SIZE);
	if (receive)
		memcpy(receive, keys[noise->initiator ? 1 : 0], KEY_SIZE);
	if (hash)
		memcpy(hash, noise->h, NOISE_HASH_SIZE);
	sodium_memzero(keys, sizeof(keys));
}
