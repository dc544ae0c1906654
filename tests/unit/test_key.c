/*
 * The keys of a cluster: derived values (known ones made with Python's hashlib), texts, files,
 * refusals.
 */
#include "core/fs.h"
#include "crypto/encode.h"
#include "crypto/key.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/muster-key-XXXXXX";
static int folder_fd = -1;

static int make_folder(void **state)
{
	struct err err;

	(void)state;
	return mkdtemp(folder) ? fs_open_dir(AT_FDCWD, folder, &folder_fd, &err) : -1;
}

static int remove_folder(void **state)
{
	struct err err;

	(void)state;
	(void)close(folder_fd);
	return fs_remove_tree(AT_FDCWD, folder, &err);
}

static void assert_hex(const uint8_t *data, size_t n, const char *want)
{
	struct buf hex;

	buf_init(&hex, 1000);
	encode_hex(&hex, data, n);
	assert_string_equal(buf_text(&hex), want);
	buf_clear(&hex);
}

static void fill(uint8_t *to, size_t n, uint8_t from)
{
	for (size_t i = 0; i < n; i++)
		to[i] = (uint8_t)(from + i);
}

/* --- derived values --- */

static void test_derived(void **state)
{
	struct root_key root = {.epoch = 7};
	uint8_t id[CLUSTER_ID_SIZE], tag[ROLE_TAG_SIZE], key[KEY_SIZE];

	(void)state;
	fill(id, sizeof(id), 0);
	fill(root.key, KEY_SIZE, 32);
	key_role_tag(id, "internal", tag);
	assert_hex(tag, sizeof(tag), "f1f6b7e64a892a9a");
	key_join(&root, tag, key);
	assert_hex(key, KEY_SIZE,
		   "ce38b5d999a68063f64248a6b1865d82504205a2df47a0a3398608a20a1ccb26");
	key_role_tag(id, "*", tag);
	assert_hex(tag, sizeof(tag), "037c7d740ea79590");
	key_join(&root, tag, key);
	assert_hex(key, KEY_SIZE,
		   "767f798da7d5e6405225af25cbf57ecb3d9281074070049374488b021b64ec8b");
}

/* RFC 8032, section 7.1, test 1. */
static void test_release_public(void **state)
{
	uint8_t public[KEY_SIZE];
	struct buf seed;

	(void)state;
	buf_init(&seed, KEY_SIZE);
	assert_int_equal(
		decode_hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", 64,
			   &seed),
		0);
	key_release_public(seed.data, public);
	assert_hex(public, KEY_SIZE,
		   "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
	buf_clear(&seed);
}

static void test_memory(void **state)
{
	uint8_t *data = crypto_new(100), zeros[100] = {0};

	(void)state;
	assert_memory_equal(data, zeros, 100);
	crypto_random(data, 100);
	assert_memory_not_equal(data, zeros, 100);
	assert_false(crypto_equal(data, zeros, 100));
	crypto_wipe(data, 100);
	assert_true(crypto_equal(data, zeros, 100));
	crypto_free(data);
	crypto_free(NULL);
}

/* --- cluster.key --- */

/* A fixed identity of two epochs and two release keys. */
static struct identity *two_of_all(void)
{
	struct identity *identity = identity_new();

	fill(identity->cluster_id, CLUSTER_ID_SIZE, 1);
	identity->root_count = 2;
	identity->roots[1] = identity->roots[0];
	identity->roots[0].epoch = 2;
	crypto_random(identity->roots[0].key, KEY_SIZE);
	identity->release_count = 2;
	crypto_random(identity->release_seed[1], KEY_SIZE);
	key_release_public(identity->release_seed[1], identity->release_public[1]);
	return identity;
}

static void format_into(const struct identity *identity, struct buf *out)
{
	buf_init(out, IDENTITY_TEXT_MAX);
	identity_format(identity, out);
	assert_false(out->failed);
}

static void test_identity_round_trip(void **state)
{
	(void)state;
	for (int two = 0; two < 2; two++) {
		struct identity *identity = two ? two_of_all() : identity_new(), *back = NULL;
		struct err err = {0};
		struct buf text;

		format_into(identity, &text);
		assert_int_equal(identity_parse(buf_text(&text), text.len, &back, &err), 0);
		assert_memory_equal(identity, back, sizeof(*identity));
		identity_free(back);
		identity_free(identity);
		buf_clear(&text);
	}
	identity_free(NULL);
}

static void test_identity_text(void **state)
{
	static const char text[] = "cluster-id AQIDBAUGBwgJCgsMDQ4PEA\n"
				   "root 2 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"
				   "root 1 AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"
				   "channel dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo\n"
				   "release nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A\n";
	struct identity *identity = NULL;
	struct err err = {0};
	struct buf again;

	(void)state;
	assert_int_equal(identity_parse(text, strlen(text), &identity, &err), 0);
	assert_int_equal(identity->root_count, 2);
	assert_int_equal(identity->roots[0].epoch, 2);
	assert_int_equal(identity->roots[1].key[0], 1);
	/* RFC 7748, section 6.1: Alice */
	assert_hex(identity->channel_public, KEY_SIZE,
		   "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
	assert_hex(identity->release_public[0], KEY_SIZE,
		   "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
	format_into(identity, &again);
	assert_string_equal(buf_text(&again), text);
	buf_clear(&again);
	identity_free(identity);
}

/* Refused, or a text of which nothing was lost: whatever parses is what would be written. */
static bool identity_taken(const char *text, size_t len)
{
	struct identity *identity = NULL;
	struct err err = {0};
	struct buf again;

	if (identity_parse(text, len, &identity, &err) != 0) {
		assert_null(identity);
		assert_int_equal(err.code, ERR_CORRUPT);
		return false;
	}
	format_into(identity, &again);
	assert_int_equal(again.len, len);
	assert_memory_equal(again.data, text, len);
	buf_clear(&again);
	identity_free(identity);
	return true;
}

static void test_identity_damage(void **state)
{
	struct identity *identity = two_of_all();
	struct buf text;
	size_t refused = 0;

	(void)state;
	format_into(identity, &text);
	/* a whole last line may go: there is one release key less */
	for (size_t len = 0; len < text.len; len++)
		if (identity_taken(buf_text(&text), len))
			assert_int_equal(len, text.len - strlen("release ") - 44);
	for (size_t bit = 0; bit < 8 * text.len; bit++) {
		text.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		refused += !identity_taken(buf_text(&text), text.len);
		text.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_true(refused > text.len);
	for (size_t at = 0; at <= text.len; at++)
		for (const char *p = "\n\r \tA0.,="; *p; p++) {
			struct buf longer;

			buf_init(&longer, IDENTITY_TEXT_MAX);
			buf_put(&longer, text.data, at);
			buf_put(&longer, p, 1);
			buf_put(&longer, text.data + at, text.len - at);
			/* only an epoch can take a digit more */
			if (identity_taken(buf_text(&longer), longer.len))
				assert_int_equal(*p, '0');
			buf_clear(&longer);
		}
	buf_clear(&text);
	identity_free(identity);
}

#define ID "cluster-id AQIDBAUGBwgJCgsMDQ4PEA\n"
#define KEY "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define DOTTED_KEY "x." KEY
#define KEY2 "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define KEY3 "AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define ROOT "root 1 " KEY "\n"
#define CHANNEL "channel " KEY "\n"
#define RELEASE "release " KEY "\n"

static void test_identity_refused(void **state)
{
	static const struct {
		const char *text, *reason;
	} rows[] = {
		{"", "there is no line \"cluster-id\""},
		{ROOT CHANNEL RELEASE, "there is no line \"cluster-id\""},
		{ID CHANNEL RELEASE, "there is no line \"root\""},
		{ID ROOT RELEASE, "there is no line \"channel\""},
		{ID ROOT CHANNEL, "there is no line \"release\""},
		{ID ID ROOT CHANNEL RELEASE, "line 2: a second cluster-id"},
		{ID ROOT CHANNEL CHANNEL RELEASE, "line 4: a second channel key"},
		{ID ROOT ROOT CHANNEL RELEASE, "line 3: the roots are not in the order"},
		{ID ROOT "root 2 " KEY2 "\n" CHANNEL RELEASE,
		 "line 3: the roots are not in the order"},
		{ID "root 3 " KEY "\nroot 2 " KEY "\n" ROOT CHANNEL RELEASE,
		 "line 4: more than two roots"},
		{ID "root 0 " KEY "\n" CHANNEL RELEASE, "line 2: the epoch of a root"},
		{ID "root 01 " KEY "\n" CHANNEL RELEASE, "line 2: the epoch of a root"},
		{ID "root -1 " KEY "\n" CHANNEL RELEASE, "line 2: the epoch of a root"},
		{ID "root 4294967296 " KEY "\n" CHANNEL RELEASE, "line 2: the epoch of a root"},
		{ID "root " KEY "\n" CHANNEL RELEASE, "line 2: the epoch of a root"},
		{ID "root  1 " KEY "\n" CHANNEL RELEASE, "line 2: the epoch of a root"},
		{ID "root 1  " KEY "\n" CHANNEL RELEASE, "line 2: the key of a root"},
		{ID "root 1\n" CHANNEL RELEASE, "line 2: the key of a root"},
		{ID "root 1 " KEY "A\n" CHANNEL RELEASE, "line 2: the key of a root"},
		{ID ROOT CHANNEL RELEASE RELEASE, "line 5: the same release key twice"},
		{ID ROOT CHANNEL RELEASE "release " KEY2 "\nrelease " KEY3 "\n",
		 "line 6: more than two release keys"},
		{ID ROOT CHANNEL "release " KEY "=\n", "line 4: the release key"},
		{ID ROOT "channel\n" RELEASE, "line 3: the channel key"},
		{ID ROOT CHANNEL "release " KEY, "line 4: the line does not end"},
		{ID "\n" ROOT CHANNEL RELEASE, "line 2: the line begins with no known word"},
		{"# comment\n" ID ROOT CHANNEL RELEASE,
		 "line 1: the line begins with no known word"},
		{ID ROOT CHANNEL RELEASE "approve yes\n",
		 "line 5: the line begins with no known word"},
		{"cluster-id AQIDBAUGBwgJCgsMDQ4PEA \n" ROOT CHANNEL RELEASE,
		 "line 1: the cluster-id"},
		{"cluster-id AQIDBAUGBwgJCgsMDQ4PEA\r\n" ROOT CHANNEL RELEASE,
		 "line 1: the cluster-id"},
		{"cluster-id AQIDBAUGBwgJCgsMDQ4PEB\n" ROOT CHANNEL RELEASE,
		 "line 1: the cluster-id"},
		{"cluster-id AQIDBAUGBwgJCgsMDQ4P\n" ROOT CHANNEL RELEASE,
		 "line 1: the cluster-id"},
		{"Cluster-id AQIDBAUGBwgJCgsMDQ4PEA\n" ROOT CHANNEL RELEASE,
		 "line 1: the line begins"},
	};
	static const char nul[] = ID "root 1\0 " KEY "\n" CHANNEL RELEASE;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct identity *identity = NULL;
		struct err err = {0};

		assert_int_equal(
			identity_parse(rows[i].text, strlen(rows[i].text), &identity, &err), -1);
		assert_int_equal(err.code, ERR_CORRUPT);
		assert_non_null(strstr(err.text, rows[i].reason));
		assert_null(strstr(err.text, "AAAA"));
	}
	assert_false(identity_taken(nul, sizeof(nul) - 1));
}

static void test_identity_files(void **state)
{
	struct identity *identity = two_of_all(), *other = identity_new(), *back = NULL;
	struct err err = {0};
	struct stat st;

	(void)state;
	assert_int_equal(identity_load(folder_fd, "cluster.key", &back, &err), -1);
	assert_int_equal(err.code, ERR_GONE);
	assert_int_equal(identity_save(folder_fd, "cluster.key", identity, &err), 0);
	assert_int_equal(fstatat(folder_fd, "cluster.key", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(identity_load(folder_fd, "cluster.key", &back, &err), 0);
	assert_memory_equal(identity, back, sizeof(*identity));
	identity_free(back);
	/* a second one never takes its place */
	assert_int_equal(identity_save(folder_fd, "cluster.key", other, &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	assert_int_equal(identity_load(folder_fd, "cluster.key", &back, &err), 0);
	assert_memory_equal(identity, back, sizeof(*identity));
	identity_free(back);
	/* but for a rotation */
	assert_int_equal(identity_replace(folder_fd, "cluster.key", other, &err), 0);
	assert_int_equal(identity_load(folder_fd, "cluster.key", &back, &err), 0);
	assert_memory_equal(other, back, sizeof(*identity));
	identity_free(back);
	assert_int_equal(mkdirat(folder_fd, "sub", 0700), 0);
	assert_int_equal(identity_save(folder_fd, "sub/cluster.key", other, &err), 0);
	assert_int_equal(identity_save(folder_fd, "none/cluster.key", other, &err), -1);
	identity_free(identity);
	identity_free(other);
}

static void test_identity_file_refused(void **state)
{
	static const mode_t modes[] = {0640, 0620, 0610, 0604, 0602, 0601, 0644, 0666, 0777, 0440};
	struct identity *identity = identity_new(), *back = NULL;
	struct err err = {0};

	(void)state;
	assert_int_equal(identity_save(folder_fd, "modes.key", identity, &err), 0);
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		char mode[8];

		(void)snprintf(mode, sizeof(mode), "%04o", (unsigned)modes[i]); /* fits */
		assert_int_equal(fchmodat(folder_fd, "modes.key", modes[i], 0), 0);
		assert_int_equal(identity_load(folder_fd, "modes.key", &back, &err), -1);
		assert_int_equal(err.code, ERR_REFUSED);
		assert_non_null(strstr(err.text, mode));
		assert_non_null(strstr(err.text, "modes.key"));
	}
	assert_int_equal(fchmodat(folder_fd, "modes.key", 0400, 0), 0);
	assert_int_equal(symlinkat("modes.key", folder_fd, "link.key"), 0);
	assert_int_equal(identity_load(folder_fd, "link.key", &back, &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	assert_int_equal(identity_load_follow(folder_fd, "link.key", &back, &err), 0);
	identity_free(back);
	assert_int_equal(fchmodat(folder_fd, "modes.key", 0444, 0), 0);
	assert_int_equal(identity_load_follow(folder_fd, "link.key", &back, &err), -1);
	assert_int_equal(identity_load(folder_fd, ".", &back, &err), -1);
	assert_int_equal(fs_write_new(folder_fd, "empty.key", "", 0, 0600, &err), 0);
	assert_int_equal(identity_load(folder_fd, "empty.key", &back, &err), -1);
	assert_int_equal(err.code, ERR_CORRUPT);
	assert_non_null(strstr(err.text, "empty.key"));
	identity_free(identity);
}

static void test_identity_file_large(void **state)
{
	struct identity *back = NULL;
	struct err err = {0};
	char *big = calloc(1, IDENTITY_TEXT_MAX + 1);

	(void)state;
	memset(big, '\n', IDENTITY_TEXT_MAX + 1);
	assert_int_equal(fs_write_new(folder_fd, "big.key", big, IDENTITY_TEXT_MAX + 1, 0600, &err),
			 0);
	assert_int_equal(identity_load(folder_fd, "big.key", &back, &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	free(big);
}

/* --- a node's own key --- */

static void test_static_key(void **state)
{
	struct static_key *key = NULL, *again = NULL;
	struct err err = {0};
	struct stat st;

	(void)state;
	assert_int_equal(static_key_load(folder_fd, "node.key", &key, &err), 0);
	assert_int_equal(fstatat(folder_fd, "node.key", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, 44);
	assert_int_equal(static_key_load(folder_fd, "node.key", &again, &err), 0);
	assert_memory_equal(key, again, sizeof(*key));
	static_key_free(key);
	static_key_free(again);
	static_key_free(NULL);
	assert_int_equal(static_key_load(folder_fd, "node2.key", &key, NULL), 0);
	assert_int_equal(static_key_load(folder_fd, "node.key", &again, NULL), 0);
	assert_memory_not_equal(key, again, sizeof(*key));
	static_key_free(key);
	static_key_free(again);
	assert_int_equal(static_key_load(folder_fd, "none/node.key", &key, &err), -1);
	assert_int_equal(fs_write_new(folder_fd, "known.key",
				      "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo\n", 44, 0600,
				      &err),
			 0);
	assert_int_equal(static_key_load(folder_fd, "known.key", &key, &err), 0);
	assert_hex(key->public, KEY_SIZE,
		   "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
	static_key_free(key);
}

static void test_static_key_refused(void **state)
{
	static const char *const rows[] = {
		"",
		"\n",
		KEY,
		KEY "\r\n",
		KEY " \n",
		" " KEY "\n",
		KEY "\n\n",
		KEY "A\n",
		KEY "=\n",
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB\n",
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA+\n",
	};
	struct static_key *key = NULL;
	struct err err = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf kept;

		assert_int_equal(
			fs_write_atomic(folder_fd, "bad.key", rows[i], strlen(rows[i]), 0600, &err),
			0);
		assert_int_equal(static_key_load(folder_fd, "bad.key", &key, &err), -1);
		assert_int_equal(err.code, ERR_CORRUPT);
		assert_null(key);
		/* a damaged key is never replaced: it is the node's name */
		buf_init(&kept, 1000);
		assert_int_equal(fs_read(folder_fd, "bad.key", &kept, &err), 0);
		assert_string_equal(buf_text(&kept), rows[i]);
		buf_clear(&kept);
	}
	assert_int_equal(fs_write_atomic(folder_fd, "bad.key", KEY "\n", 44, 0644, &err), 0);
	assert_int_equal(static_key_load(folder_fd, "bad.key", &key, &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	assert_non_null(strstr(err.text, "0644"));
	assert_int_equal(symlinkat("node.key", folder_fd, "node-link.key"), 0);
	assert_int_equal(static_key_load(folder_fd, "node-link.key", &key, &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	assert_int_equal(symlinkat("nowhere", folder_fd, "node-dangling.key"), 0);
	assert_int_equal(static_key_load(folder_fd, "node-dangling.key", &key, &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
}

/* --- changes --- */

static void test_epochs(void **state)
{
	struct identity *identity = identity_new();
	struct root_key first = identity->roots[0];
	struct err err;

	(void)state;
	assert_int_equal(identity_end_root(identity, &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	assert_int_equal(identity_add_root(identity, &err), 0);
	assert_int_equal(identity->root_count, 2);
	assert_int_equal(identity->roots[0].epoch, 2);
	assert_memory_not_equal(identity->roots[0].key, first.key, KEY_SIZE);
	assert_memory_equal(&identity->roots[1], &first, sizeof(first));
	assert_int_equal(identity_add_root(identity, &err), -1);
	assert_non_null(strstr(err.text, "2 and 1"));
	assert_int_equal(identity->roots[0].epoch, 2);
	assert_int_equal(identity_end_root(identity, &err), 0);
	assert_int_equal(identity->root_count, 1);
	assert_int_equal(identity->roots[0].epoch, 2);
	assert_memory_not_equal(identity->roots[1].key, first.key, KEY_SIZE);
	identity->roots[0].epoch = UINT32_MAX;
	assert_int_equal(identity_add_root(identity, &err), -1);
	assert_int_equal(identity->root_count, 1);
	identity_free(identity);
}

static void test_release_keys(void **state)
{
	struct identity *identity = identity_new(), *same = identity_new();
	uint8_t seed[KEY_SIZE], public[KEY_SIZE];
	struct err err;

	(void)state;
	memcpy(seed, identity->release_seed[0], KEY_SIZE);
	assert_int_equal(identity_add_release(identity, &err), 0);
	assert_memory_equal(identity->release_seed[1], seed, KEY_SIZE);
	assert_memory_not_equal(identity->release_seed[0], seed, KEY_SIZE);
	for (size_t i = 0; i < 2; i++) {
		key_release_public(identity->release_seed[i], public);
		assert_memory_equal(identity->release_public[i], public, KEY_SIZE);
	}
	assert_int_equal(identity_add_release(identity, &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	identity_assign(same, identity);
	assert_memory_equal(same, identity, sizeof(*same));
	identity_end_release(identity);
	assert_int_equal(identity->release_count, 1);
	assert_memory_not_equal(identity->release_seed[1], seed, KEY_SIZE);
	assert_int_equal(same->release_count, 2);
	identity_free(same);
	identity_free(identity);
}

/* --- keystore --- */

static void test_keystore_for(void **state)
{
	struct identity *identity = two_of_all();
	struct keystore *internal = keystore_for(identity, "internal"),
			*any = keystore_for(identity, "*");
	uint8_t tag[ROLE_TAG_SIZE], join[KEY_SIZE];

	(void)state;
	assert_memory_equal(internal->cluster_id, identity->cluster_id, CLUSTER_ID_SIZE);
	assert_int_equal(internal->epoch, 2);
	assert_string_equal(internal->role, "internal");
	assert_memory_equal(internal->admin_public, identity->channel_public, KEY_SIZE);
	assert_int_equal(internal->release_count, 1);
	assert_memory_equal(internal->release_public[0], identity->release_public[0], KEY_SIZE);
	key_role_tag(identity->cluster_id, "internal", tag);
	key_join(&identity->roots[0], tag, join);
	assert_memory_equal(internal->join_key, join, KEY_SIZE);
	assert_memory_not_equal(internal->join_key, any->join_key, KEY_SIZE);
	keystore_free(internal);
	keystore_free(any);
	keystore_free(NULL);
	identity_free(identity);
}

static char *keystore_text(const struct identity *identity, const char *role, size_t releases)
{
	struct keystore *keystore = keystore_for(identity, role);
	struct buf text;

	while (keystore->release_count < releases)
		crypto_random(keystore->release_public[keystore->release_count++], KEY_SIZE);
	buf_init(&text, 4096);
	keystore_format(keystore, &text);
	assert_false(text.failed);
	keystore_free(keystore);
	return (char *)buf_steal(&text, NULL);
}

/* Refused as damaged, or a text of which nothing was lost. */
static bool keystore_taken(const char *text, char role[static NAME_MAX_LEN + 1])
{
	struct keystore *keystore = NULL;
	struct err err = {0};
	struct buf again;

	if (keystore_parse(text, &keystore, &err) != 0) {
		assert_null(keystore);
		assert_true(err.code == ERR_CORRUPT || err.code == ERR_REFUSED);
		return false;
	}
	buf_init(&again, 4096);
	keystore_format(keystore, &again);
	assert_string_equal(buf_text(&again), text);
	buf_clear(&again);
	memcpy(role, keystore->role, NAME_MAX_LEN + 1);
	keystore_free(keystore);
	return true;
}

static void test_keystore_round_trip(void **state)
{
	static const char *const roles[] = {
		"*", "internal", "a", "a.b.c", "role-1_x.y",
		"0123456789012345678901234567890123456789012345678901234567890123",
		/* a role that looks like a key */
		KEY, DOTTED_KEY,
	};
	struct identity *identity = two_of_all();
	char got[NAME_MAX_LEN + 1];

	(void)state;
	identity->roots[0].epoch = UINT32_MAX;
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
		for (size_t releases = 2; releases <= LIMIT_RELEASE_KEYS; releases++) {
			char *text = keystore_text(identity, roles[i], releases);

			assert_int_equal(
				strncmp(text, "muster-cluster:1:AQIDBAUGBwgJCgsMDQ4PEA.4294967295.",
					51),
				0);
			assert_true(keystore_taken(text, got));
			assert_string_equal(got, roles[i]);
			free(text);
		}
	identity_free(identity);
}

static void test_keystore_damage(void **state)
{
	struct identity *identity = two_of_all();
	char *text = keystore_text(identity, "internal", 2), got[NAME_MAX_LEN + 1];
	size_t len = strlen(text), refused = 0;

	(void)state;
	for (size_t n = 0; n < len; n++) {
		char *copy = text_copy_n(text, n);

		assert_false(keystore_taken(copy, got));
		free(copy);
	}
	for (size_t bit = 0; bit < 8 * len; bit++) {
		text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
		refused += !keystore_taken(text, got);
		text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
	}
	assert_true(refused > len);
	for (size_t at = 0; at <= len; at++)
		for (const char *p = " \n\r=+/"; *p; p++) {
			char *longer = text_format("%.*s%c%s", (int)at, text, *p, text + at);

			assert_false(keystore_taken(longer, got));
			free(longer);
		}
	free(text);
	identity_free(identity);
}

#define PREFIX "muster-cluster:1:"
#define CID "AQIDBAUGBwgJCgsMDQ4PEA"

static void test_keystore_refused(void **state)
{
	static const struct {
		const char *text;
		enum err_code code;
		const char *reason;
	} rows[] = {
		{"v:S.RjNrUUZ3WlZ6TjhqSFE5eQ==.abc.def", ERR_REFUSED, "Curity Identity Server"},
		{"data:text/plain;aes,v:S.RjNrUUZ3WlZ6TjhqSFE5eQ==", ERR_REFUSED,
		 "genclust makes one"},
		{"data:application/p12;aes,v:S.abc", ERR_REFUSED, "another product"},
		{"muster-cluster:2:" CID, ERR_REFUSED, "version"},
		{"muster-cluster:11:" CID, ERR_REFUSED, "version"},
		{"muster-cluster:", ERR_REFUSED, "version"},
		{"", ERR_CORRUPT, "not a keystore of Muster"},
		{"data:text/plain;base64,abcd", ERR_CORRUPT, "not a keystore of Muster"},
		{"muster:1:abcd:efgh", ERR_CORRUPT, "not a keystore of Muster"},
		{" " PREFIX CID ".1.*." KEY "." KEY2 "." KEY3, ERR_CORRUPT,
		 "not a keystore of Muster"},
		{"Muster-cluster:1:" CID ".1.*." KEY "." KEY2 "." KEY3, ERR_CORRUPT,
		 "not a keystore"},
		{PREFIX, ERR_CORRUPT, "cluster id"},
		{PREFIX CID, ERR_CORRUPT, "epoch"},
		{PREFIX CID ".1.*." KEY "." KEY2, ERR_CORRUPT, "role"},
		{PREFIX CID ".1." KEY "." KEY2 "." KEY3, ERR_CORRUPT, "role"},
		{PREFIX CID ".0.*." KEY "." KEY2 "." KEY3, ERR_CORRUPT, "epoch"},
		{PREFIX CID ".01.*." KEY "." KEY2 "." KEY3, ERR_CORRUPT, "epoch"},
		{PREFIX CID ".4294967296.*." KEY "." KEY2 "." KEY3, ERR_CORRUPT, "epoch"},
		{PREFIX CID ".1..*." KEY "." KEY2 "." KEY3, ERR_CORRUPT, "role"},
		{PREFIX CID ".1.." KEY "." KEY2 "." KEY3, ERR_CORRUPT, "role"},
		{PREFIX CID ".1.**." KEY "." KEY2 "." KEY3, ERR_CORRUPT, "role"},
		{PREFIX CID ".1.a..b." KEY "." KEY2 "." KEY3, ERR_CORRUPT, "role"},
		{PREFIX CID ".1.HEAD." KEY "." KEY2 "." KEY3, ERR_CORRUPT, "role"},
		{PREFIX CID ".1.a/b." KEY "." KEY2 "." KEY3, ERR_CORRUPT, "role"},
		{PREFIX CID ".1.-a." KEY "." KEY2 "." KEY3, ERR_CORRUPT, "role"},
		{PREFIX CID ".1.*.AAAA." KEY2 "." KEY3, ERR_CORRUPT, "admin's key"},
		{PREFIX CID ".1.*." KEY "." KEY2 ".AAAA", ERR_CORRUPT, "join key"},
		{PREFIX CID ".1.*." KEY "." KEY2 "." KEY3 ".", ERR_CORRUPT, "damaged"},
		{PREFIX CID ".1.*." KEY "." KEY2 "." KEY3 "." KEY, ERR_CORRUPT, "role"},
		{PREFIX CID ".1.*." KEY ".." KEY3, ERR_CORRUPT, "release key"},
		{PREFIX CID ".1.*." KEY "." KEY2 ",." KEY3, ERR_CORRUPT, "release key"},
		{PREFIX CID ".1.*." KEY ".," KEY2 "." KEY3, ERR_CORRUPT, "release key"},
		{PREFIX CID ".1.*." KEY "." KEY2 ",," KEY "." KEY3, ERR_CORRUPT, "release key"},
		{PREFIX CID ".1.*." KEY "." KEY2 "," KEY2 "." KEY3, ERR_CORRUPT,
		 "same release key"},
	};
	struct keystore *keystore = NULL;
	char got[NAME_MAX_LEN + 1];
	struct err err = {0};

	(void)state;
	assert_true(keystore_taken(PREFIX CID ".1.*." KEY "." KEY2 "." KEY3, got));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(keystore_parse(rows[i].text, &keystore, &err), -1);
		assert_int_equal(err.code, rows[i].code);
		assert_non_null(strstr(err.text, rows[i].reason));
		assert_null(strstr(err.text, KEY3));
		assert_null(keystore);
	}
}

static void test_keystore_too_many(void **state)
{
	struct identity *identity = two_of_all();
	char *text = keystore_text(identity, "*", LIMIT_RELEASE_KEYS);
	char *last = strrchr(text, '.'), *more, got[NAME_MAX_LEN + 1];

	(void)state;
	assert_true(keystore_taken(text, got));
	*last = '\0';
	more = text_format("%s,%s.%s", text, KEY, last + 1);
	assert_false(keystore_taken(more, got));
	free(more);
	free(text);
	identity_free(identity);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_derived),
		cmocka_unit_test(test_release_public),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_identity_round_trip),
		cmocka_unit_test(test_identity_text),
		cmocka_unit_test(test_identity_damage),
		cmocka_unit_test(test_identity_refused),
		cmocka_unit_test(test_identity_files),
		cmocka_unit_test(test_identity_file_refused),
		cmocka_unit_test(test_identity_file_large),
		cmocka_unit_test(test_static_key),
		cmocka_unit_test(test_static_key_refused),
		cmocka_unit_test(test_epochs),
		cmocka_unit_test(test_release_keys),
		cmocka_unit_test(test_keystore_for),
		cmocka_unit_test(test_keystore_round_trip),
		cmocka_unit_test(test_keystore_damage),
		cmocka_unit_test(test_keystore_refused),
		cmocka_unit_test(test_keystore_too_many),
	};

	crypto_setup();
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
