/* A whole release history: see history.h. */
#include "repo/history.h"

#include "core/limits.h"
#include "repo/object.h"
#include "repo/pack.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int read_release(struct repo *repo, const struct oid *oid, struct release *out,
			struct err *err)
{
	struct buf raw;
	int rc;

	buf_init(&raw, LIMIT_COMMIT_SIZE);
	rc = repo_commit_raw(repo, oid, &raw, err);
	if (rc == 0)
		rc = release_parse(raw.data, raw.len, out, err);
	buf_clear(&raw);
	return rc;
}

/* The ids from TIP back to the one after STATE's, or to the first release; free. */
static int read_ids(struct repo *repo, const struct chain_state *state, const struct oid *tip,
		    struct oid **out, size_t *count, struct err *err)
{
	struct oid *list = NULL, at = *tip;
	bool more = !(state->has_accepted && oid_equal(tip, &state->accepted));

	for (*count = 0; more;) {
		struct release release = {.sequence = 0};
		char hex[OID_HEX_SIZE];

		if (read_release(repo, &at, &release, err) != 0) {
			free(list);
			return err_prefix(err, "release %.12s", oid_hex(&at, hex));
		}
		if ((*count & (*count - 1)) == 0)
			list = mem_grow(list, *count ? *count * 2 : 1, sizeof(*list));
		list[(*count)++] = at;
		more = release.has_parent &&
		       !(state->has_accepted && oid_equal(&release.parent, &state->accepted));
		at = release.parent;
		release_clear(&release);
	}
	*out = list;
	return 0;
}

/* One release after STATE, and its files. */
static int verify_one(struct repo *repo, struct chain_state *state, const struct oid *oid,
		      struct err *err)
{
	struct release release = {.sequence = 0};
	struct fileset files = {.count = 0};
	char hex[OID_HEX_SIZE];
	int rc = read_release(repo, oid, &release, err);

	if (rc == 0 && !state->has_accepted) {
		state->key_count = 1;
		memcpy(state->keys[0], release.signer, KEY_SIZE);
	}
	if (rc == 0)
		rc = chain_step(state, oid, &release, err);
	if (rc == 0 && chain_content(repo, &release, &files, err) != 0)
		rc = err_prefix(err, "release %.12s (sequence %" PRIu64 ")", oid_hex(oid, hex),
				release.sequence);
	fileset_clear(&files);
	release_clear(&release);
	return rc;
}

int history_verify(struct repo *repo, struct chain_state *state, const struct oid *tip,
		   size_t *count, struct err *err)
{
	struct chain_state as_node = *state, place = *state;
	struct oid *list = NULL;
	int rc = chain_verify(repo, &as_node, tip, NULL, err);

	if (rc == 0)
		rc = read_ids(repo, state, tip, &list, count, err);
	for (size_t i = *count; rc == 0 && i > 0; i--)
		rc = verify_one(repo, &place, list + i - 1, err);
	free(list);
	if (rc == 0)
		*state = place;
	return rc;
}

static int put_pack(struct repo *repo, const struct buf *pack, struct err *err)
{
	git_indexer_progress progress = {0};
	git_odb_writepack *writer;
	int rc = git_odb_write_pack(&writer, repo_odb(repo), NULL, NULL);

	if (rc != 0)
		return git_err(err, rc, "pack");
	rc = writer->append(writer, pack->data, pack->len, &progress);
	if (rc == 0)
		rc = writer->commit(writer, &progress);
	if (rc != 0)
		rc = git_err(err, rc, "pack");
	writer->free(writer);
	return rc;
}

int history_copy(struct repo *from, struct repo *to, const struct oid *tip,
		 const struct oid *common, struct err *err)
{
	struct buf pack;
	int rc;

	buf_init(&pack, LIMIT_PACK_SIZE);
	rc = pack_build(from, tip, common, &pack, err);
	if (rc == 0)
		rc = put_pack(to, &pack, err);
	buf_clear(&pack);
	return rc;
}
