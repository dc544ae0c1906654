/* See fetcher.h. */
#include "fetcher.h"

#include "channel/pktline.h"

#include <git2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum {
	PACK_MAX = 64 << 20,
	PACK_COMMIT = 1,
	PACK_OFS_DELTA = 6,
	PACK_REF_DELTA = 7,
	OBJECT_LEAST = 9 /* bytes */
};

/* --- the conversation --- */

void fetcher_start(struct fetcher *fetcher, const char *ref, const struct oid *have)
{
	*fetcher = (struct fetcher){.has_have = have != NULL};
	(void)snprintf(fetcher->ref, sizeof(fetcher->ref), "%s", ref); /* ours fit */
	if (have)
		fetcher->have = *have;
	buf_init(&fetcher->in, PACK_MAX);
	buf_init(&fetcher->pack, PACK_MAX);
}

void fetcher_clear(struct fetcher *fetcher)
{
	buf_clear(&fetcher->in);
	buf_clear(&fetcher->pack);
}

/* "OID REF", and capabilities behind a NUL in the first. */
static void take_ref(struct fetcher *fetcher, const uint8_t *line, size_t n)
{
	size_t size = strlen(fetcher->ref);
	char hex[OID_HEX_SIZE] = {0};

	if (n < OID_HEX + 1 + size || memcmp(line + OID_HEX + 1, fetcher->ref, size) != 0)
		return;
	memcpy(hex, line, OID_HEX);
	(void)oid_parse(hex, &fetcher->tip); /* zero when it is none: refused at the flush */
}

static int ask(struct fetcher *fetcher, struct buf *out, struct err *err)
{
	char hex[OID_HEX_SIZE];

	if (oid_is_zero(&fetcher->tip))
		return err_set(err, ERR_GONE, "there is no %s", fetcher->ref);
	pktline_printf(out, "want %s side-band-64k ofs-delta\n", oid_hex(&fetcher->tip, hex));
	pktline_flush(out);
	if (fetcher->has_have)
		pktline_printf(out, "have %s\n", oid_hex(&fetcher->have, hex));
	pktline_printf(out, "done\n");
	fetcher->state = FETCHER_ANSWER;
	return 0;
}

static int take_line(struct fetcher *fetcher, const uint8_t *line, size_t n, struct err *err)
{
	if (fetcher->state == FETCHER_REFS) {
		take_ref(fetcher, line, n);
	} else if (fetcher->state == FETCHER_ANSWER && n > 3 &&
		   (line[0] == 'N' || line[0] == 'A')) {
		return 0; /* NAK, ACK */
	} else if (n > 0 && line[0] == 1) {
		fetcher->state = FETCHER_PACK;
		buf_put(&fetcher->pack, line + 1, n - 1);
	} else if (n == 0 || line[0] != 2) {
		return err_set(err, ERR_CORRUPT, "the server says: %.*s", (int)(n > 100 ? 100 : n),
			       line);
	}
	return 0;
}

int fetcher_feed(struct fetcher *fetcher, const void *data, size_t n, struct buf *out,
		 struct err *err)
{
	struct cursor c;
	int rc = 0;

	buf_put(&fetcher->in, data, n);
	c = cursor_of(fetcher->in.data, fetcher->in.len);
	while (rc == 0 && fetcher->state != FETCHER_DONE) {
		const uint8_t *line;
		size_t size;
		enum pktline_kind kind = pktline_next(&c, &line, &size, err);

		if (kind == PKTLINE_MORE)
			break;
		if (kind == PKTLINE_BAD)
			return -1;
		if (kind == PKTLINE_DATA)
			rc = take_line(fetcher, line, size, err);
		else if (fetcher->state == FETCHER_REFS)
			rc = ask(fetcher, out, err);
		else
			fetcher->state = FETCHER_DONE;
	}
	buf_consume(&fetcher->in, fetcher->in.len - c.left);
	return rc;
}

/* --- the pack --- */

struct commits {
	struct release *list;
	struct oid *ids;
	struct buf *raw; /* that others may be deltas of */
	size_t count;
	/* by id: the number of a commit and one, or 0; twice as many as objects, a power of two */
	uint32_t *slots;
	size_t slot_count;
};

/* Where the commit ID stands, or the empty slot for it. */
static uint32_t *slot_of(const struct commits *commits, const uint8_t *id)
{
	size_t at = ((size_t)id[0] << 16 | (size_t)id[1] << 8 | id[2]) % commits->slot_count;

	while (commits->slots[at] &&
	       memcmp(commits->ids[commits->slots[at] - 1].id, id, OID_SIZE) != 0)
		at = (at + 1) % commits->slot_count;
	return commits->slots + at;
}

static int take_commit(struct commits *commits, const uint8_t *raw, size_t n, struct err *err)
{
	git_oid id;

	commits->list = mem_grow(commits->list, commits->count + 1, sizeof(*commits->list));
	commits->ids = mem_grow(commits->ids, commits->count + 1, sizeof(*commits->ids));
	commits->raw = mem_grow(commits->raw, commits->count + 1, sizeof(*commits->raw));
	if (release_parse(raw, n, commits->list + commits->count, err) != 0)
		return -1;
	if (git_odb_hash(&id, raw, n, GIT_OBJECT_COMMIT) != 0)
		abort();
	memcpy(commits->ids[commits->count].id, id.id, OID_SIZE);
	buf_init(commits->raw + commits->count, LIMIT_COMMIT_SIZE);
	buf_put(commits->raw + commits->count, raw, n);
	*slot_of(commits, id.id) = (uint32_t)commits->count + 1;
	commits->count++;
	return 0;
}

/* A number of a delta: seven bits a byte, lowest first. */
static size_t delta_number(struct cursor *c)
{
	size_t number = 0;
	uint8_t byte = 0x80;

	for (unsigned shift = 0; byte & 0x80 && shift < 35; shift += 7) {
		byte = cursor_u8(c);
		number |= (size_t)(byte & 0x7f) << shift;
	}
	return number;
}

/* A delta (gitformat-pack(5)) of BASE. */
static int delta_apply(const struct buf *base, const uint8_t *delta, size_t n, struct buf *out,
		       struct err *err)
{
	struct cursor c = cursor_of(delta, n);

	(void)delta_number(&c); /* of the base, whose id is right */
	(void)delta_number(&c); /* of what it gives, whose id is looked at */
	while (c.left > 0 && !c.failed) {
		uint8_t op = cursor_u8(&c);
		size_t at = 0, size = 0;

		if (!(op & 0x80)) {
			const uint8_t *bytes = cursor_bytes(&c, op);

			buf_put(out, bytes, bytes ? op : 0);
			continue;
		}
		for (unsigned i = 0; i < 4; i++)
			at |= op & 1 << i ? (size_t)cursor_u8(&c) << 8 * i : 0;
		for (unsigned i = 0; i < 3; i++)
			size |= op & 16 << i ? (size_t)cursor_u8(&c) << 8 * i : 0;
		size = size ? size : 0x10000;
		if (at > base->len || size > base->len - at)
			return err_set(err, ERR_CORRUPT, "a delta goes beyond its base");
		buf_put(out, base->data + at, size);
	}
	return c.failed || out->failed ? err_set(err, ERR_CORRUPT, "a delta is damaged") : 0;
}

/* The bases of deltas come before them; what is based on no commit is none. */
static int take_delta(struct commits *commits, const uint8_t *base, const uint8_t *delta, size_t n,
		      struct err *err)
{
	uint32_t number = *slot_of(commits, base);
	struct buf raw;
	int rc;

	if (!number)
		return 0;
	buf_init(&raw, LIMIT_COMMIT_SIZE);
	rc = delta_apply(commits->raw + number - 1, delta, n, &raw, err);
	if (rc == 0)
		rc = take_commit(commits, raw.data, raw.len, err);
	buf_clear(&raw);
	return rc;
}

/*
 * Type and size: three bits and four, then seven a byte, lowest first; BASE is that of a delta by
 * id.
 */
static unsigned object_head(struct cursor *c, size_t *size, const uint8_t **base)
{
	uint8_t byte = cursor_u8(c);
	unsigned type = byte >> 4 & 7, shift = 4;

	*size = byte & 15;
	while (byte & 0x80 && shift < 60) {
		byte = cursor_u8(c);
		*size |= (size_t)(byte & 0x7f) << shift;
		shift += 7;
	}
	if (type == PACK_OFS_DELTA)
		while (cursor_u8(c) & 0x80 && !c->failed)
			;
	else if (type == PACK_REF_DELTA)
		*base = cursor_bytes(c, OID_SIZE);
	return type;
}

static int take_object(struct cursor *c, struct commits *commits, struct err *err)
{
	const uint8_t *base = NULL;
	size_t size;
	unsigned type = object_head(c, &size, &base);
	z_stream z = {.next_in = (Bytef *)c->at, .avail_in = (uInt)c->left};
	uint8_t *data;
	int rc = 0;

	if (c->failed || size > PACK_MAX)
		return err_set(err, ERR_CORRUPT, "no pack");
	data = mem_new(size + 1, 1);
	z.next_out = data;
	z.avail_out = (uInt)size + 1;
	if (inflateInit(&z) != Z_OK)
		abort();
	if (inflate(&z, Z_FINISH) != Z_STREAM_END || z.total_out != size)
		rc = err_set(err, ERR_CORRUPT, "an object of the pack does not unpack");
	(void)inflateEnd(&z); /* there is nothing to lose */
	(void)cursor_bytes(c, c->left - z.avail_in);
	if (rc == 0 && type == PACK_COMMIT)
		rc = take_commit(commits, data, size, err);
	else if (rc == 0 && base)
		rc = take_delta(commits, base, data, size, err);
	free(data);
	return rc;
}

static int accept_commits(const struct commits *commits, struct chain_state *state,
			  const struct oid *tip, struct err *err)
{
	if (!state->has_accepted) {
		const struct release *anchor = NULL;

		for (size_t i = 0; i < commits->count; i++)
			if (oid_equal(commits->ids + i, tip))
				anchor = commits->list + i;
		if (!anchor || memcmp(anchor->signer, state->keys[0], KEY_SIZE) != 0)
			return err_set(err, ERR_REFUSED,
				       "no release that a key of the cluster file signed");
		state->has_accepted = true;
		state->accepted = *tip;
		state->sequence = anchor->sequence;
		state->key_count = anchor->key_count;
		memcpy(state->keys, anchor->keys, sizeof(state->keys));
		return 0;
	}
	while (!oid_equal(&state->accepted, tip)) {
		size_t i = 0;

		while (i < commits->count && commits->list[i].sequence != state->sequence + 1)
			i++;
		if (i == commits->count)
			return err_set(err, ERR_REFUSED, "a release is missing");
		if (chain_step(state, commits->ids + i, commits->list + i, err) != 0)
			return -1;
	}
	return 0;
}

int pack_accept(const struct buf *pack, struct chain_state *state, const struct oid *tip,
		struct err *err)
{
	struct cursor c = cursor_of(pack->data, pack->len);
	struct commits commits = {.slot_count = 2};
	uint32_t count;
	int rc = 0;

	(void)cursor_be32(&c);
	(void)cursor_be32(&c);
	count = cursor_be32(&c);
	if (c.failed || memcmp(pack->data, "PACK", 4) != 0 || count > PACK_MAX / OBJECT_LEAST)
		return err_set(err, ERR_CORRUPT, "no pack");
	while (commits.slot_count < 2 * (size_t)count)
		commits.slot_count *= 2;
	commits.slots = mem_new(commits.slot_count, sizeof(*commits.slots));
	for (uint32_t i = 0; rc == 0 && i < count; i++)
		rc = take_object(&c, &commits, err);
	if (rc == 0)
		rc = accept_commits(&commits, state, tip, err);
	for (size_t i = 0; i < commits.count; i++) {
		release_clear(commits.list + i);
		buf_clear(commits.raw + i);
	}
	free(commits.raw);
	free(commits.slots);
	free(commits.list);
	free(commits.ids);
	return rc;
}
