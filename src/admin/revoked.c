/* Revoked keys: see revoked.h. */
#include "admin/revoked.h"

#include "core/fs.h"
#include "core/text.h"
#include "crypto/encode.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX ((size_t)LIMIT_REVOKED * REVOKED_ENTRY)

static size_t position(const struct revoked *revoked, const uint8_t key[static KEY_SIZE],
		       bool *found)
{
	size_t low = 0, high = revoked->count;

	*found = false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = memcmp(key, revoked->keys[middle].key, KEY_SIZE);

		if (order == 0) {
			*found = true;
			return middle;
		}
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

const struct revoked_key *revoked_find(const struct revoked *revoked,
				       const uint8_t key[static KEY_SIZE])
{
	bool found;
	size_t at = position(revoked, key, &found);

	return found ? revoked->keys + at : NULL;
}

int revoked_add(struct revoked *revoked, const struct revoked_key *key, struct err *err)
{
	bool found;
	size_t at = position(revoked, key->key, &found);

	if (found)
		return 0;
	if (revoked->count >= LIMIT_REVOKED)
		return err_set(err, ERR_FULL, "%u keys are revoked, which is all that are kept",
			       LIMIT_REVOKED);
	revoked->keys = mem_grow(revoked->keys, revoked->count + 1, sizeof(*revoked->keys));
	memmove(revoked->keys + at + 1, revoked->keys + at,
		(revoked->count - at) * sizeof(*revoked->keys));
	revoked->keys[at] = *key;
	revoked->count++;
	return 0;
}

bool join_equal(const struct join *a, const struct join *b)
{
	return a->epoch == b->epoch && memcmp(a->role_tag, b->role_tag, ROLE_TAG_SIZE) == 0;
}

bool join_add(struct join *list, size_t *count, size_t max, const struct join *join)
{
	for (size_t i = 0; i < *count; i++)
		if (join_equal(list + i, join))
			return false;
	if (*count == max)
		return false;
	list[(*count)++] = *join;
	return true;
}

bool revoked_knew(const struct revoked *revoked, const struct join *join)
{
	for (size_t i = 0; i < revoked->count; i++)
		for (size_t k = 0; k < revoked->keys[i].join_count; k++)
			if (join_equal(revoked->keys[i].joins + k, join))
				return true;
	return false;
}

void revoked_clear(struct revoked *revoked)
{
	free(revoked->keys);
	*revoked = (struct revoked){.keys = NULL};
}

/* --- the file --- */

json_t *joins_json(const struct join *joins, size_t count)
{
	json_t *out = json_array();

	for (size_t i = 0; i < count; i++) {
		struct buf tag;

		buf_init(&tag, 2 * ROLE_TAG_SIZE);
		encode_hex(&tag, joins[i].role_tag, ROLE_TAG_SIZE);
		(void)json_array_append_new(out,
					    json_pack("[I, s]", (json_int_t)joins[i].epoch,
						      buf_text(&tag))); /* only out of memory */
		buf_clear(&tag);
	}
	return out;
}

static int join_parse(json_t *doc, struct join *out)
{
	json_int_t epoch = 0;
	const char *text = "";
	struct buf tag;
	int rc = json_unpack_ex(doc, NULL, JSON_STRICT, "[I, s]", &epoch, &text);

	buf_init(&tag, ROLE_TAG_SIZE);
	if (rc == 0 && (epoch < 1 || epoch > UINT32_MAX ||
			decode_hex(text, strlen(text), &tag) != 0 || tag.len != ROLE_TAG_SIZE))
		rc = -1;
	if (rc == 0) {
		out->epoch = (uint32_t)epoch;
		memcpy(out->role_tag, tag.data, ROLE_TAG_SIZE);
	}
	buf_clear(&tag);
	return rc;
}

int joins_parse(json_t *list, struct join *out, size_t max, size_t *count)
{
	json_t *doc;
	size_t i;

	if (!json_is_array(list) || json_array_size(list) > max)
		return -1;
	*count = json_array_size(list);
	json_array_foreach(list, i, doc)
		if (join_parse(doc, out + i) != 0)
			return -1;
	return 0;
}

static json_t *key_json(const struct revoked_key *key)
{
	struct buf text;
	json_t *out;

	buf_init(&text, 2 * KEY_SIZE);
	encode_base64url(&text, key->key, KEY_SIZE);
	out = json_pack("{s:s, s:s, s:s, s:I, s:o}", "key", buf_text(&text), "name", key->name,
			"role", key->role, "at", (json_int_t)key->at, "joins",
			joins_json(key->joins, key->join_count));
	buf_clear(&text);
	return out;
}

void revoked_format(const struct revoked *revoked, struct buf *out)
{
	json_t *list = json_array(), *doc;
	char *text;

	for (size_t i = 0; i < revoked->count; i++)
		(void)json_array_append_new(list,
					    key_json(revoked->keys + i)); /* only out of memory */
	doc = json_pack("{s:i, s:o}", "version", 1, "revoked", list);
	text = json_dumps(doc, JSON_COMPACT);
	buf_puts(out, text);
	buf_puts(out, "\n");
	free(text);
	json_decref(doc);
}

static int key_parse(json_t *doc, struct revoked_key *out)
{
	const char *key = "", *name = "", *role = "";
	json_int_t at = 0;
	json_t *joins = NULL;

	*out = (struct revoked_key){.at = 0};
	if (json_unpack_ex(doc, NULL, JSON_STRICT, "{s:s, s:s, s:s, s:I, s:o}", "key", &key, "name",
			   &name, "role", &role, "at", &at, "joins", &joins) != 0 ||
	    !name_valid(name) || !name_valid(role) ||
	    decode_base64url_exact(key, strlen(key), out->key, KEY_SIZE) != 0)
		return -1;
	memcpy(out->name, name, strlen(name) + 1);
	memcpy(out->role, role, strlen(role) + 1);
	out->at = at;
	return joins_parse(joins, out->joins, REVOKED_JOINS, &out->join_count);
}

int revoked_parse(const void *data, size_t len, struct revoked *out, struct err *err)
{
	json_t *doc = json_loadb(data, len, JSON_REJECT_DUPLICATES, NULL), *list = NULL, *item;
	struct revoked revoked = {.keys = NULL};
	struct revoked_key key;
	int version = 0;
	int rc = json_unpack_ex(doc, NULL, JSON_STRICT, "{s:i, s:o}", "version", &version,
				"revoked", &list);
	size_t i;

	if (rc == 0 && (version != 1 || !json_is_array(list)))
		rc = -1;
	for (i = 0; rc == 0 && i < json_array_size(list); i++) {
		item = json_array_get(list, i);
		rc = key_parse(item, &key);
		if (rc == 0 &&
		    (revoked_find(&revoked, key.key) || revoked_add(&revoked, &key, NULL) != 0))
			rc = -1;
	}
	json_decref(doc);
	if (rc == 0) {
		*out = revoked;
		return 0;
	}
	revoked_clear(&revoked);
	return err_set(err, ERR_CORRUPT, "the list of revoked keys is damaged");
}

int revoked_load(int var_fd, struct revoked *out, struct err *err)
{
	struct err why = {.code = ERR_NONE};
	struct buf text;
	int rc;

	buf_init(&text, FILE_MAX);
	rc = fs_read(var_fd, REVOKED_FILE, &text, &why);
	if (rc == 0)
		rc = revoked_parse(buf_text(&text), text.len, out, &why);
	else if (why.code == ERR_GONE)
		rc = 0; /* nobody was */
	buf_clear(&text);
	if (rc == 0)
		return 0;
	return err_set(err, why.code,
		       "%s: %s: take it from a backup; without it revoked nodes come back",
		       REVOKED_FILE, why.text);
}
