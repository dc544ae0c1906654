/* The keyring of a home: see secret.h. Where it comes from is in secret_source.c. */
#include "crypto/secret.h"

#include "core/fs.h"
#include "core/text.h"
#include "crypto/encode.h"
#include "crypto/secret_internal.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROLE_WORD "role:"

enum { SECRET_HEX = 2 * KEY_SIZE };

struct keyring *keyring_new(void)
{
	return crypto_new(sizeof(struct keyring));
}

struct keyring *keyring_copy(const struct keyring *ring)
{
	struct keyring *copy = keyring_new();

	memcpy(copy, ring, sizeof(*copy));
	return copy;
}

void keyring_free(struct keyring *ring)
{
	crypto_free(ring);
}

/* --- text --- */

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* What is wrong with the digits, or NULL. In place, since what is parsed is secret. */
static const char *parse_key(const char *text, size_t n, uint8_t key[static KEY_SIZE])
{
	for (size_t i = 0; i < n; i++)
		if (digit(text[i]) < 0)
			return "is neither 64 hex digits nor role:NAME:64 hex digits";
	if (n < SECRET_HEX)
		return "is too short: 64 hex digits are needed (openssl rand -hex 32 makes them)";
	if (n > SECRET_HEX)
		return "is too long: 64 hex digits are needed";
	for (size_t i = 0; i < KEY_SIZE; i++)
		key[i] = (uint8_t)(digit(text[2 * i]) << 4 | digit(text[2 * i + 1]));
	return NULL;
}

static const char *parse_entry(const char *text, size_t n, struct keyring_entry *out)
{
	size_t word = strlen(ROLE_WORD), name;
	const char *colon;

	if (n < word || memcmp(text, ROLE_WORD, word) != 0)
		return parse_key(text, n, out->key);
	colon = memchr(text + word, ':', n - word);
	if (!colon)
		return "has no key: role:NAME:64 hex digits";
	name = (size_t)(colon - text) - word;
	if (name > NAME_MAX_LEN)
		return "names no role";
	memcpy(out->role, text + word, name);
	out->role[name] = '\0';
	if (!name_valid(out->role))
		return "names no role";
	return parse_key(colon + 1, n - word - name - 1, out->key);
}

static int add_entry(struct keyring *ring, const char *text, size_t n, struct err *err)
{
	const char *fault;

	while (n > 0 && isspace((unsigned char)*text)) {
		text++;
		n--;
	}
	while (n > 0 && isspace((unsigned char)text[n - 1]))
		n--;
	if (ring->count == LIMIT_SECRET_KEYS)
		return err_set(err, ERR_REFUSED, "%s: more than %u entries", ring->source,
			       LIMIT_SECRET_KEYS);
	fault = n == 0 ? "is empty" : parse_entry(text, n, &ring->entries[ring->count]);
	if (fault)
		return err_set(err, ERR_REFUSED, "%s: entry %zu %s", ring->source, ring->count + 1,
			       fault);
	ring->count++;
	return 0;
}

int keyring_parse(const char *source, const char *text, size_t len, struct keyring **out,
		  struct err *err)
{
	struct keyring *ring = keyring_new();
	int rc = 0;

	(void)snprintf(ring->source, sizeof(ring->source), "%s", source); /* cut is fine */
	for (bool more = true; more && rc == 0;) {
		const char *comma = memchr(text, ',', len);
		size_t n = comma ? (size_t)(comma - text) : len;

		rc = add_entry(ring, text, n, err);
		more = comma != NULL;
		if (more) {
			text += n + 1;
			len -= n + 1;
		}
	}
	if (rc != 0)
		keyring_free(ring);
	else
		*out = ring;
	return rc;
}

static void put_entry(const char *role, const uint8_t key[static KEY_SIZE], struct buf *out)
{
	if (*role)
		buf_printf(out, ROLE_WORD "%s:", role);
	encode_hex(out, key, KEY_SIZE);
}

void keyring_format(const struct keyring *ring, struct buf *out)
{
	(void)buf_reserve(out, KEYRING_TEXT_MAX); /* memory that grows leaves copies */
	for (size_t i = 0; i < ring->count; i++) {
		buf_puts(out, i ? "," : "");
		put_entry(ring->entries[i].role, ring->entries[i].key, out);
	}
	buf_puts(out, "\n");
}

int keyring_save(const struct home *home, const struct keyring *ring, struct err *err)
{
	struct buf text;
	int rc;

	buf_init(&text, KEYRING_TEXT_MAX);
	keyring_format(ring, &text);
	assert(!text.failed);
	rc = fs_write_atomic(home->etc_fd, SECRET_FILE, text.data, text.len, 0600, err);
	seal_wipe(&text);
	return rc == 0 ? 0 : err_prefix(err, "%s", home->etc);
}

/* --- what it holds --- */

const char *keyring_source(const struct keyring *ring)
{
	return ring->source;
}

bool keyring_is_file(const struct keyring *ring)
{
	return ring->is_file;
}

size_t keyring_count(const struct keyring *ring)
{
	return ring->count;
}

size_t keyring_secrets(const struct keyring *ring)
{
	size_t count = 0;

	for (size_t i = 0; i < ring->count; i++)
		count += !*ring->entries[i].role;
	return count;
}

int keyring_add_fresh(struct keyring *ring, struct err *err)
{
	if (ring->count == LIMIT_SECRET_KEYS)
		return err_set(err, ERR_REFUSED,
			       "%s: there are %u entries already: remove old ones", ring->source,
			       LIMIT_SECRET_KEYS);
	crypto_random(ring->entries[ring->count].key, KEY_SIZE);
	ring->entries[ring->count].role[0] = '\0';
	ring->count++;
	return 0;
}

int keyring_promote(struct keyring *ring, const char *id, struct err *err)
{
	char own[SEAL_ID_HEX_SIZE];
	struct keyring *old;

	for (size_t i = 0; i < ring->count; i++) {
		if (!keyring_id(ring, i, SCOPE_CONFIG, own) || strcmp(own, id) != 0)
			continue;
		old = keyring_copy(ring);
		ring->entries[0] = old->entries[i];
		memcpy(ring->entries + 1, old->entries, i * sizeof(ring->entries[0]));
		keyring_free(old);
		return 0;
	}
	return err_set(err, ERR_GONE, "%s: no configuration secret has the key id %s", ring->source,
		       id);
}

/* --- scopes --- */

char *scope_of(const char *role)
{
	return role ? text_format(SCOPE_ROLE "%s", role) : text_copy(SCOPE_CONFIG);
}

/* The scope key of an entry; false when it has none. */
static bool scope_key(const struct keyring_entry *entry, const char *scope,
		      uint8_t key[static KEY_SIZE])
{
	if (!*entry->role) {
		seal_scope_key(entry->key, scope, key);
		return true;
	}
	if (!text_starts(scope, SCOPE_ROLE) ||
	    strcmp(scope + strlen(SCOPE_ROLE), entry->role) != 0)
		return false;
	memcpy(key, entry->key, KEY_SIZE);
	return true;
}

static bool entry_key(const struct keyring_entry *entry, const char *scope, struct seal_key *out)
{
	uint8_t key[KEY_SIZE];
	bool fits = scope_key(entry, scope, key);

	if (fits)
		seal_key_from(key, out);
	crypto_wipe(key, sizeof(key));
	return fits;
}

bool keyring_id(const struct keyring *ring, size_t index, const char *scope,
		char id[static SEAL_ID_HEX_SIZE])
{
	struct seal_key key;
	bool fits = index < ring->count && entry_key(&ring->entries[index], scope, &key);

	if (!fits)
		return false;
	memcpy(id, key.id, sizeof(key.id));
	crypto_wipe(&key, sizeof(key));
	return true;
}

bool keyring_seals(const struct keyring *ring, const char *scope, char id[static SEAL_ID_HEX_SIZE])
{
	for (size_t i = 0; i < ring->count; i++)
		if (keyring_id(ring, i, scope, id))
			return true;
	return false;
}

void keyring_put_ids(const struct keyring *ring, const char *scope, struct buf *out)
{
	size_t before = out->len;
	char id[SEAL_ID_HEX_SIZE];

	for (size_t i = 0; i < ring->count; i++) {
		if (!keyring_id(ring, i, scope, id) ||
		    (out->len > before && strstr(buf_text(out) + before, id)))
			continue;
		buf_puts(out, out->len > before ? "," : "");
		buf_puts(out, id);
	}
}

int keyring_put_role(const struct keyring *ring, const char *role, struct buf *out, struct err *err)
{
	char *scope = scope_of(role);
	size_t before = out->len;

	for (size_t i = 0; i < ring->count; i++) {
		uint8_t key[KEY_SIZE];

		if (!scope_key(&ring->entries[i], scope, key))
			continue;
		buf_puts(out, out->len > before ? "," : "");
		put_entry(role, key, out);
		crypto_wipe(key, sizeof(key));
	}
	free(scope);
	return out->len > before ? 0
				 : err_set(err, ERR_GONE, "there is no configuration secret here");
}

/* --- sealing and opening --- */

int keyring_seal(const struct keyring *ring, const char *scope, const char *path, const void *plain,
		 size_t n, struct buf *out, struct err *err)
{
	for (size_t i = 0; i < ring->count; i++) {
		struct seal_key key;
		int rc;

		if (!entry_key(&ring->entries[i], scope, &key))
			continue;
		rc = seal_put(&key, scope, path, plain, n, out, err);
		crypto_wipe(&key, sizeof(key));
		return rc;
	}
	if (ring->count == 0)
		return err_set(err, ERR_REFUSED,
			       "there is no configuration secret to seal it with: put one into "
			       "etc/secret");
	return err_set(err, ERR_REFUSED, "%s holds no key that seals for %s", ring->source, scope);
}

/* Why nothing here has the key. */
static int no_key(const struct keyring *ring, const char *scope, const char *id, struct err *err)
{
	struct buf ids;
	int rc;

	buf_init(&ids, LIMIT_SMALL_FILE);
	keyring_put_ids(ring, scope, &ids);
	if (ring->count == 0)
		rc = err_set(err, ERR_REFUSED,
			     "sealed with key %s, but there is no secret here to open it with: put "
			     "the role key (muster secret role-key, on the admin) or the "
			     "configuration secret into etc/secret",
			     id);
	else if (ids.len == 0)
		rc = err_set(err, ERR_REFUSED,
			     "sealed with key %s for %s, but %s holds only keys of other roles", id,
			     scope, ring->source);
	else
		rc = err_set(err, ERR_REFUSED,
			     "sealed with key %s, which is not in %s (for %s it holds %s)", id,
			     ring->source, scope, buf_text(&ids));
	buf_clear(&ids);
	return rc;
}

int keyring_open(const struct keyring *ring, const char *scope, const char *path, const char *text,
		 struct buf *out, struct err *err)
{
	char id[SEAL_ID_HEX_SIZE];
	bool tried = false;
	int rc = -1;

	if (seal_key_id(text, id, err) != 0)
		return -1;
	for (size_t i = 0; i < ring->count && rc != 0; i++) {
		struct seal_key key;

		if (!entry_key(&ring->entries[i], scope, &key))
			continue;
		if (strcmp(key.id, id) == 0) {
			tried = true;
			rc = seal_open(&key, scope, path, text, out, err);
		}
		crypto_wipe(&key, sizeof(key));
	}
	return tried ? rc : no_key(ring, scope, id, err);
}
