/* The keys of a cluster: see key.h. */
#include "crypto/key.h"

#include "core/fs.h"
#include "crypto/encode.h"
#include "crypto/span.h"

#include <sodium.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define JOIN_LABEL "muster/1 join"

enum { STATIC_KEY_TEXT = 44 }; /* bytes of a node's key file: 43 of base64url and a newline */

static_assert(crypto_scalarmult_BYTES == KEY_SIZE && crypto_scalarmult_SCALARBYTES == KEY_SIZE,
	      "X25519");
static_assert(crypto_sign_PUBLICKEYBYTES == KEY_SIZE && crypto_sign_SEEDBYTES == KEY_SIZE,
	      "Ed25519");
static_assert(CLUSTER_ID_SIZE >= crypto_generichash_KEYBYTES_MIN, "the id is a key of BLAKE2b");

void crypto_setup(void)
{
	if (sodium_init() < 0)
		abort();
}

void *crypto_new(size_t n)
{
	void *data = sodium_malloc(n);

	if (!data)
		abort();
	return memset(data, 0, n);
}

void crypto_free(void *data)
{
	sodium_free(data); /* wipes; NULL is fine */
}

void crypto_random(void *out, size_t n)
{
	randombytes_buf(out, n);
}

void crypto_wipe(void *data, size_t n)
{
	sodium_memzero(data, n);
}

bool crypto_equal(const void *a, const void *b, size_t n)
{
	return sodium_memcmp(a, b, n) == 0;
}

static void wipe_buf(struct buf *buf)
{
	if (buf->data)
		crypto_wipe(buf->data, buf->cap);
	buf_clear(buf);
}

/* --- derived values --- */

char *key_fingerprint(const uint8_t public[static KEY_SIZE], char out[static KEY_FINGERPRINT_SIZE])
{
	uint8_t digest[crypto_generichash_BYTES];

	(void)crypto_generichash(digest, sizeof(digest), public, KEY_SIZE, NULL,
				 0); /* only for wrong sizes */
	return sodium_bin2hex(out, KEY_FINGERPRINT_SIZE, digest, (KEY_FINGERPRINT_SIZE - 1) / 2);
}

void key_release_public(const uint8_t seed[static KEY_SIZE], uint8_t public[static KEY_SIZE])
{
	uint8_t secret[crypto_sign_SECRETKEYBYTES];

	(void)crypto_sign_seed_keypair(public, secret, seed); /* always 0 */
	crypto_wipe(secret, sizeof(secret));
}

static void channel_public(const uint8_t secret[static KEY_SIZE], uint8_t public[static KEY_SIZE])
{
	(void)crypto_scalarmult_base(public, secret); /* always 0 */
}

/* The library fails only for sizes that it does not know. */
static void keyed_hash(uint8_t out[static KEY_SIZE], const uint8_t *key, size_t key_size,
		       const struct buf *parts)
{
	int rc;

	assert(!parts->failed);
	rc = crypto_generichash(out, KEY_SIZE, parts->data, parts->len, key, key_size);
	assert(rc == 0);
	(void)rc;
}

void key_role_tag(const uint8_t cluster_id[static CLUSTER_ID_SIZE], const char *role,
		  uint8_t tag[static ROLE_TAG_SIZE])
{
	uint8_t hash[KEY_SIZE];
	struct buf parts;

	buf_init(&parts, 4 + NAME_MAX_LEN);
	if (strcmp(role, "*") != 0)
		buf_put_part(&parts, role, strlen(role));
	keyed_hash(hash, cluster_id, CLUSTER_ID_SIZE, &parts);
	memcpy(tag, hash, ROLE_TAG_SIZE);
	buf_clear(&parts);
}

void key_join(const struct root_key *root, const uint8_t tag[static ROLE_TAG_SIZE],
	      uint8_t out[static KEY_SIZE])
{
	struct buf parts;

	buf_init(&parts, 64);
	buf_put_part(&parts, JOIN_LABEL, strlen(JOIN_LABEL));
	buf_put_be32(&parts, 4);
	buf_put_be32(&parts, root->epoch);
	buf_put_part(&parts, tag, ROLE_TAG_SIZE);
	keyed_hash(out, root->key, KEY_SIZE, &parts);
	buf_clear(&parts);
}

/* --- the cluster's identity --- */

struct identity *identity_new(void)
{
	struct identity *identity = crypto_new(sizeof(*identity));

	crypto_random(identity->cluster_id, CLUSTER_ID_SIZE);
	identity->root_count = 1;
	identity->roots[0].epoch = 1;
	crypto_random(identity->roots[0].key, KEY_SIZE);
	crypto_random(identity->channel_secret, KEY_SIZE);
	channel_public(identity->channel_secret, identity->channel_public);
	identity->release_count = 1;
	crypto_random(identity->release_seed[0], KEY_SIZE);
	key_release_public(identity->release_seed[0], identity->release_public[0]);
	return identity;
}

void identity_free(struct identity *identity)
{
	crypto_free(identity);
}

struct identity *identity_copy(const struct identity *identity)
{
	struct identity *copy = crypto_new(sizeof(*copy));

	*copy = *identity;
	return copy;
}

void identity_assign(struct identity *to, const struct identity *from)
{
	*to = *from;
}

int identity_add_root(struct identity *identity, struct err *err)
{
	struct root_key *roots = identity->roots;

	if (identity->root_count == IDENTITY_ROOTS)
		return err_set(err, ERR_REFUSED,
			       "there are two epochs already, %" PRIu32 " and %" PRIu32
			       ": genclust --retire ends the older one",
			       roots[0].epoch, roots[1].epoch);
	if (roots[0].epoch == UINT32_MAX)
		return err_set(err, ERR_REFUSED, "the epochs are used up");
	roots[1] = roots[0];
	roots[0].epoch++;
	crypto_random(roots[0].key, KEY_SIZE);
	identity->root_count = IDENTITY_ROOTS;
	return 0;
}

int identity_end_root(struct identity *identity, struct err *err)
{
	if (identity->root_count < IDENTITY_ROOTS)
		return err_set(err, ERR_REFUSED,
			       "there is only one epoch, %" PRIu32
			       ": genclust --rotate makes a new one first",
			       identity->roots[0].epoch);
	identity->root_count = 1;
	crypto_wipe(&identity->roots[1], sizeof(identity->roots[1]));
	return 0;
}

int identity_add_release(struct identity *identity, struct err *err)
{
	if (identity->release_count == IDENTITY_RELEASES)
		return err_set(err, ERR_REFUSED, "a change of the release key is under way");
	memcpy(identity->release_seed[1], identity->release_seed[0], KEY_SIZE);
	memcpy(identity->release_public[1], identity->release_public[0], KEY_SIZE);
	crypto_random(identity->release_seed[0], KEY_SIZE);
	key_release_public(identity->release_seed[0], identity->release_public[0]);
	identity->release_count = IDENTITY_RELEASES;
	return 0;
}

void identity_end_release(struct identity *identity)
{
	identity->release_count = 1;
	crypto_wipe(identity->release_seed[1], KEY_SIZE);
	crypto_wipe(identity->release_public[1], KEY_SIZE);
}

static void put_key_line(struct buf *out, const char *word, const uint8_t *key, size_t n)
{
	buf_printf(out, "%s ", word);
	encode_base64url(out, key, n);
	buf_puts(out, "\n");
}

void identity_format(const struct identity *identity, struct buf *out)
{
	/* Room for all at once: memory that grows would leave copies of keys behind. */
	size_t room = out->max - out->len;

	(void)buf_reserve(out, room < IDENTITY_TEXT_MAX ? room : IDENTITY_TEXT_MAX); /* fits */
	put_key_line(out, "cluster-id", identity->cluster_id, CLUSTER_ID_SIZE);
	for (size_t i = 0; i < identity->root_count; i++) {
		buf_printf(out, "root %" PRIu32, identity->roots[i].epoch);
		put_key_line(out, "", identity->roots[i].key, KEY_SIZE);
	}
	put_key_line(out, "channel", identity->channel_secret, KEY_SIZE);
	for (size_t i = 0; i < identity->release_count; i++)
		put_key_line(out, "release", identity->release_seed[i], KEY_SIZE);
}

/* Each takes the value of its line: NULL, or what is wrong with it; the secret is never told. */
static const char *take_cluster_id(struct identity *identity, struct span value, unsigned *seen)
{
	if ((*seen)++ > 0)
		return "a second cluster-id";
	if (decode_base64url_exact(value.at, value.n, identity->cluster_id, CLUSTER_ID_SIZE) != 0)
		return "the cluster-id is not 16 bytes in base64url";
	return NULL;
}

static const char *take_root(struct identity *identity, struct span value, unsigned *seen)
{
	size_t i = identity->root_count;
	struct root_key *root;

	if ((*seen)++ >= IDENTITY_ROOTS)
		return "more than two roots";
	root = &identity->roots[i];
	if (span_epoch(span_take(&value, ' '), &root->epoch) != 0)
		return "the epoch of a root is not a number from 1";
	if (span_key(value, root->key) != 0)
		return "the key of a root is not 32 bytes in base64url";
	if (i > 0 && root->epoch >= identity->roots[i - 1].epoch)
		return "the roots are not in the order of their epochs, newest first";
	identity->root_count++;
	return NULL;
}

static const char *take_channel(struct identity *identity, struct span value, unsigned *seen)
{
	if ((*seen)++ > 0)
		return "a second channel key";
	if (span_key(value, identity->channel_secret) != 0)
		return "the channel key is not 32 bytes in base64url";
	channel_public(identity->channel_secret, identity->channel_public);
	return NULL;
}

static const char *take_release(struct identity *identity, struct span value, unsigned *seen)
{
	size_t i = identity->release_count;

	if ((*seen)++ >= IDENTITY_RELEASES)
		return "more than two release keys";
	if (span_key(value, identity->release_seed[i]) != 0)
		return "the release key is not 32 bytes in base64url";
	if (i > 0 && crypto_equal(identity->release_seed[0], identity->release_seed[i], KEY_SIZE))
		return "the same release key twice";
	key_release_public(identity->release_seed[i], identity->release_public[i]);
	identity->release_count++;
	return NULL;
}

static const struct {
	const char *word;
	const char *(*take)(struct identity *identity, struct span value, unsigned *seen);
} identity_lines[] = {
	{"cluster-id", take_cluster_id},
	{"root", take_root},
	{"channel", take_channel},
	{"release", take_release},
};

enum { IDENTITY_LINES = sizeof(identity_lines) / sizeof(identity_lines[0]) };

static const char *take_line(struct identity *identity, struct span line,
			     unsigned seen[static IDENTITY_LINES])
{
	struct span word = span_take(&line, ' ');

	for (size_t i = 0; i < IDENTITY_LINES; i++)
		if (span_is(word, identity_lines[i].word))
			return identity_lines[i].take(identity, line, &seen[i]);
	return "the line begins with no known word";
}

static int identity_fill(struct identity *identity, const char *text, size_t len, struct err *err)
{
	struct cursor c = cursor_of(text, len);
	unsigned seen[IDENTITY_LINES] = {0};

	for (unsigned number = 1; c.left > 0; number++) {
		struct span line;
		const char *fault;

		line.at = cursor_line(&c, &line.n);
		fault = line.at ? take_line(identity, line, seen) : "the line does not end";
		if (fault)
			return err_set(err, ERR_CORRUPT, "line %u: %s", number, fault);
	}
	for (size_t i = 0; i < IDENTITY_LINES; i++)
		if (seen[i] == 0)
			return err_set(err, ERR_CORRUPT, "there is no line \"%s\"",
				       identity_lines[i].word);
	return 0;
}

int identity_parse(const char *text, size_t len, struct identity **out, struct err *err)
{
	struct identity *identity = crypto_new(sizeof(*identity));

	if (identity_fill(identity, text, len, err) != 0) {
		identity_free(identity);
		return -1;
	}
	*out = identity;
	return 0;
}

/* --- files of secrets --- */

/*
 * Reads one, refusing what others than its owner may read or write. OUT gets its room at the
 * start: memory that grows leaves copies.
 */
static int secret_read(int dirfd, const char *file, bool follow, struct buf *out, struct err *err)
{
	struct stat st;

	if (fstatat(dirfd, file, &st, follow ? 0 : AT_SYMLINK_NOFOLLOW) != 0)
		return err_sys(err, "%s", file);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_REFUSED, "%s: is not a regular file", file);
	if (st.st_mode & (S_IRWXG | S_IRWXO))
		return err_set(err, ERR_REFUSED,
			       "%s: has mode %04o, but only its owner may use it: chmod 600", file,
			       (unsigned)st.st_mode & 07777u);
	(void)buf_reserve(out, out->max); /* empty: fits */
	return follow ? fs_read_follow(dirfd, file, out, err) : fs_read(dirfd, file, out, err);
}

static int identity_read(int dirfd, const char *file, bool follow, struct identity **out,
			 struct err *err)
{
	struct buf text;
	int rc;

	buf_init(&text, IDENTITY_TEXT_MAX);
	rc = secret_read(dirfd, file, follow, &text, err);
	if (rc == 0) {
		rc = identity_parse(buf_text(&text), text.len, out, err);
		if (rc != 0)
			(void)err_prefix(err, "%s", file);
	}
	wipe_buf(&text);
	return rc;
}

int identity_load(int dirfd, const char *file, struct identity **out, struct err *err)
{
	return identity_read(dirfd, file, false, out, err);
}

int identity_load_follow(int dirfd, const char *file, struct identity **out, struct err *err)
{
	return identity_read(dirfd, file, true, out, err);
}

static int sync_folder_of(int dirfd, const char *file, struct err *err)
{
	const char *slash = strrchr(file, '/');
	char *folder = slash ? text_copy_n(file, (size_t)(slash - file) + 1) : text_copy(".");
	int rc = fs_sync(dirfd, folder, err);

	free(folder);
	return rc;
}

/* A link, unlike a rename, never takes the place of a file that came in between. */
static int write_if_absent(int dirfd, const char *file, const struct buf *text, struct err *err)
{
	char *name = text_format("%s.new-%08" PRIx32, file, randombytes_random());
	int rc = fs_write_new(dirfd, name, text->data, text->len, 0600, err);

	if (rc != 0)
		goto out;
	if (linkat(dirfd, name, dirfd, file, 0) != 0)
		rc = errno == EEXIST ? err_set(err, ERR_REFUSED, "%s: is there already", file)
				     : err_sys(err, "%s: cannot be made", file);
	if (unlinkat(dirfd, name, 0) != 0 && rc == 0)
		rc = err_sys(err, "%s: cannot be removed", name);
	if (rc == 0)
		rc = sync_folder_of(dirfd, file, err);
out:
	free(name);
	return rc;
}

int identity_save(int dirfd, const char *file, const struct identity *identity, struct err *err)
{
	struct buf text;
	int rc;

	buf_init(&text, IDENTITY_TEXT_MAX);
	identity_format(identity, &text);
	assert(!text.failed);
	rc = write_if_absent(dirfd, file, &text, err);
	wipe_buf(&text);
	return rc;
}

int identity_replace(int dirfd, const char *file, const struct identity *identity, struct err *err)
{
	struct buf text;
	int rc;

	buf_init(&text, IDENTITY_TEXT_MAX);
	identity_format(identity, &text);
	assert(!text.failed);
	rc = fs_write_atomic(dirfd, file, text.data, text.len, 0600, err);
	wipe_buf(&text);
	return rc;
}

/* --- a node's own key --- */

static int static_key_make(int dirfd, const char *file, struct static_key *key, struct err *err)
{
	struct buf text;
	int rc;

	crypto_random(key->secret, KEY_SIZE);
	buf_init(&text, STATIC_KEY_TEXT);
	(void)buf_reserve(&text, STATIC_KEY_TEXT); /* fits */
	encode_base64url(&text, key->secret, KEY_SIZE);
	buf_puts(&text, "\n");
	assert(text.len == STATIC_KEY_TEXT);
	rc = fs_write_atomic(dirfd, file, text.data, text.len, 0600, err);
	wipe_buf(&text);
	return rc;
}

static int static_key_read(int dirfd, const char *file, struct static_key *key, struct err *err)
{
	struct buf text;
	int rc;

	buf_init(&text, IDENTITY_TEXT_MAX);
	rc = secret_read(dirfd, file, false, &text, err);
	if (rc == 0 &&
	    (text.len != STATIC_KEY_TEXT || text.data[text.len - 1] != '\n' ||
	     decode_base64url_exact(buf_text(&text), text.len - 1, key->secret, KEY_SIZE) != 0))
		rc = err_set(err, ERR_CORRUPT, "%s: is not 32 bytes in base64url and a newline",
			     file);
	wipe_buf(&text);
	return rc;
}

int static_key_load(int dirfd, const char *file, struct static_key **out, struct err *err)
{
	struct static_key *key = crypto_new(sizeof(*key));
	struct err fault = {0};
	int rc = static_key_read(dirfd, file, key, &fault);

	if (rc != 0 && fault.code == ERR_GONE)
		rc = static_key_make(dirfd, file, key, &fault);
	if (rc != 0) {
		static_key_free(key);
		return err_set(err, fault.code, "%s", fault.text);
	}
	channel_public(key->secret, key->public);
	*out = key;
	return 0;
}

struct static_key *static_key_of(const uint8_t secret[static KEY_SIZE])
{
	struct static_key *key = crypto_new(sizeof(*key));

	memcpy(key->secret, secret, KEY_SIZE);
	channel_public(key->secret, key->public);
	return key;
}

void static_key_free(struct static_key *key)
{
	crypto_free(key);
}
