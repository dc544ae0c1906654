/* See fetcher.h. */
#include "fetcher.h"

#include "channel/pktline.h"

#include <git2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { PACK_MAX = 64 << 20, PACK_COMMIT = 1, PACK_OFS_DELTA = 6, PACK_REF_DELTA = 7, PACK_HEADER = 12 };

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
	} else if (fetcher->state == FETCHER_ANSWER && n > 3 && (line[0] == 'N' || line[0] == 'A')) {
		return 0; /* NAK, ACK */
	} else if (n > 0 && line[0] == 1) {
		fetcher->state = FETCHER_PACK;
		buf_put(&fetcher->pack, line + 1, n - 1);
	} else if (n == 0 || line[0] != 2) {
		return err_set(err, ERR_CORRUPT, "the server says: %.*s", (int)(n > 100 ? 100 : n), line);
	}
	return 0;
}

int fetcher_feed(struct fetcher *fetcher, const void *data, size_t n, struct buf *out, struct err *err)
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
	size_t count;
};

static int take_commit(struct commits *commits, const uint8_t *raw, size_t n, struct err *err)
{
	git_oid id;

	commits->list = mem_grow(commits->list, commits->count + 1, sizeof(*commits->list));
	commits->ids = mem_grow(commits->ids, commits->count + 1, sizeof(*commits->ids));
	if (release_parse(raw, n, commits->list + commits->count, err) != 0)
		return -1;
	if (git_odb_hash(&id, raw, n, GIT_OBJECT_COMMIT) != 0)
		abort();
	memcpy(commits->ids[commits->count++].id, id.id, OID_SIZE);
	return 0;
}

/* Type and size: three bits and four, then seven a byte, lowest first. */
static unsigned object_head(struct cursor *c, size_t *size)
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
		(void)cursor_bytes(c, OID_SIZE); /* what it is a delta of; failure stays in the cursor */
	return type;
}

static int take_object(struct cursor *c, struct commits *commits, struct err *err)
{
	size_t size;
	unsigned type = object_head(c, &size);
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
	free(data);
	return rc;
}

static int accept_commits(const struct commits *commits, struct chain_state *state, const struct oid *tip,
			  struct err *err)
{
	if (!state->has_accepted) {
		const struct release *anchor = NULL;

		for (size_t i = 0; i < commits->count; i++)
			if (oid_equal(commits->ids + i, tip))
				anchor = commits->list + i;
		if (!anchor || memcmp(anchor->signer, state->keys[0], KEY_SIZE) != 0)
			return err_set(err, ERR_REFUSED, "no release that a key of the cluster file signed");
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

int pack_accept(const struct buf *pack, struct chain_state *state, const struct oid *tip, struct err *err)
{
	struct cursor c = cursor_of(pack->data, pack->len);
	struct commits commits = {0};
	uint32_t count;
	int rc = 0;

	(void)cursor_be32(&c);
	(void)cursor_be32(&c);
	count = cursor_be32(&c);
	if (c.failed || memcmp(pack->data, "PACK", 4) != 0)
		rc = err_set(err, ERR_CORRUPT, "no pack");
	for (uint32_t i = 0; rc == 0 && i < count; i++)
		rc = take_object(&c, &commits, err);
	if (rc == 0)
		rc = accept_commits(&commits, state, tip, err);
	for (size_t i = 0; i < commits.count; i++)
		release_clear(commits.list + i);
	free(commits.list);
	free(commits.ids);
	return rc;
}
