/* What a node needs to join, as text: see key.h. */
#include "core/text.h"
#include "crypto/encode.h"
#include "crypto/key.h"
#include "crypto/span.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#define KEYSTORE_WORD   "muster-cluster:"
#define KEYSTORE_PREFIX KEYSTORE_WORD "1:"

enum { KEYSTORE_TEXT_MAX = 768 }; /* bytes: all parts at their largest */

struct keystore *keystore_for(const struct identity *identity, const char *role)
{
	struct keystore *keystore = crypto_new(sizeof(*keystore));
	const struct root_key *root = &identity->roots[0];
	uint8_t tag[ROLE_TAG_SIZE];

	assert(strcmp(role, "*") == 0 || name_valid(role));
	assert(identity->root_count > 0);
	memcpy(keystore->cluster_id, identity->cluster_id, CLUSTER_ID_SIZE);
	keystore->epoch = root->epoch;
	memcpy(keystore->role, role, strlen(role) + 1);
	memcpy(keystore->admin_public, identity->channel_public, KEY_SIZE);
	/* the newest only: who is new to the cluster need not believe one that is about to end */
	keystore->release_count = 1;
	memcpy(keystore->release_public[0], identity->release_public[0], KEY_SIZE);
	key_role_tag(identity->cluster_id, role, tag);
	key_join(root, tag, keystore->join_key);
	return keystore;
}

struct keystore *keystore_copy(const struct keystore *keystore)
{
	struct keystore *copy = crypto_new(sizeof(*copy));

	*copy = *keystore;
	return copy;
}

void keystore_free(struct keystore *keystore)
{
	crypto_free(keystore);
}

void keystore_format(const struct keystore *keystore, struct buf *out)
{
	size_t room = out->max - out->len;

	/* Room for all at once: memory that grows would leave copies of keys behind. */
	(void)buf_reserve(out, room < KEYSTORE_TEXT_MAX ? room : KEYSTORE_TEXT_MAX); /* fits */
	buf_puts(out, KEYSTORE_PREFIX);
	encode_base64url(out, keystore->cluster_id, CLUSTER_ID_SIZE);
	buf_printf(out, ".%" PRIu32 ".%s.", keystore->epoch, keystore->role);
	encode_base64url(out, keystore->admin_public, KEY_SIZE);
	for (size_t i = 0; i < keystore->release_count; i++) {
		buf_puts(out, i == 0 ? "." : ",");
		encode_base64url(out, keystore->release_public[i], KEY_SIZE);
	}
	buf_puts(out, ".");
	encode_base64url(out, keystore->join_key, KEY_SIZE);
}

static int span_role(struct span span, char role[static NAME_MAX_LEN + 1])
{
	if (span.n > NAME_MAX_LEN || memchr(span.at, '\0', span.n))
		return -1;
	memcpy(role, span.at, span.n);
	role[span.n] = '\0';
	return strcmp(role, "*") == 0 || name_valid(role) ? 0 : -1;
}

static const char *take_release_keys(struct keystore *keystore, struct span keys)
{
	bool more = true;

	while (more) {
		size_t i = keystore->release_count;
		struct span key = span_take(&keys, ',');

		/* a key that a comma follows has another after it, be it empty */
		more = keys.at != key.at + key.n;
		if (i >= LIMIT_RELEASE_KEYS)
			return "it has too many release keys";
		if (span_key(key, keystore->release_public[i]) != 0)
			return "a release key is not 32 bytes in base64url";
		for (size_t j = 0; j < i; j++)
			if (crypto_equal(keystore->release_public[j], keystore->release_public[i],
					 KEY_SIZE))
				return "it has the same release key twice";
		keystore->release_count++;
	}
	return NULL;
}

/* A role may hold dots, so what stands after it is taken from the end. NULL, or what is wrong. */
static const char *keystore_fill(struct keystore *keystore, struct span text)
{
	struct span id = span_take(&text, '.');
	struct span epoch = span_take(&text, '.');
	struct span join = span_take_last(&text, '.');
	struct span releases = span_take_last(&text, '.');
	struct span admin = span_take_last(&text, '.');

	if (decode_base64url_exact(id.at, id.n, keystore->cluster_id, CLUSTER_ID_SIZE) != 0)
		return "the cluster id is not 16 bytes in base64url";
	if (span_epoch(epoch, &keystore->epoch) != 0)
		return "the epoch is not a number from 1";
	if (span_role(text, keystore->role) != 0)
		return "the role is neither a name nor \"*\"";
	if (span_key(admin, keystore->admin_public) != 0)
		return "the admin's key is not 32 bytes in base64url";
	if (span_key(join, keystore->join_key) != 0)
		return "the join key is not 32 bytes in base64url";
	return take_release_keys(keystore, releases);
}

int keystore_parse(const char *text, struct keystore **out, struct err *err)
{
	struct keystore *keystore;
	const char *fault;

	if (text_starts(text, "v:S.") || (text_starts(text, "data:") && strstr(text, ";aes,")))
		return err_set(
			err, ERR_REFUSED,
			"this is the keystore of another product (the Curity Identity Server); "
			"genclust makes one for Muster");
	if (!text_starts(text, KEYSTORE_WORD))
		return err_set(
			err, ERR_CORRUPT,
			"this is not a keystore of Muster, which begins with " KEYSTORE_PREFIX
			"; genclust makes one");
	if (!text_starts(text, KEYSTORE_PREFIX))
		return err_set(
			err, ERR_REFUSED,
			"the keystore has a version that this Muster does not know (it knows 1)");
	text += strlen(KEYSTORE_PREFIX);
	keystore = crypto_new(sizeof(*keystore));
	fault = keystore_fill(keystore, (struct span){.at = text, .n = strlen(text)});
	if (fault) {
		keystore_free(keystore);
		return err_set(err, ERR_CORRUPT, "the keystore is damaged: %s", fault);
	}
	*out = keystore;
	return 0;
}
