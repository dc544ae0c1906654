/* Secrets in the clear in commits: see scan.h. */
#include "admin/scan.h"

#include "config/merge.h"
#include "config/seal.h"
#include "core/limits.h"
#include "core/text.h"
#include "crypto/digest.h"
#include "repo/blobs.h"
#include "repo/oidset.h"

#include <stdlib.h>
#include <string.h>

#define FILES "files/"

struct scan {
	struct repo *repo;
	struct findings *findings;
	struct oidset seen; /* what was looked at, and by which model */

	/* of the commit at hand */
	const struct oid *commit;
	struct oid model_blob; /* zero: it has no model.conf */
	struct model *model;
	struct err *err;
};

struct scan *scan_new(struct repo *repo, struct findings *findings)
{
	struct scan *scan = mem_new(1, sizeof(*scan));

	scan->repo = repo;
	scan->findings = findings;
	return scan;
}

void scan_free(struct scan *scan)
{
	if (!scan)
		return;
	oidset_clear(&scan->seen);
	free(scan);
}

/* A blob counts once for each model and kind of place. */
static bool is_new(struct scan *scan, const struct oid *blob, char kind)
{
	uint8_t parts[2 * OID_SIZE + 1], digest[DIGEST_SIZE];
	struct oid key;

	memcpy(parts, blob->id, OID_SIZE);
	memcpy(parts + OID_SIZE, scan->model_blob.id, OID_SIZE);
	parts[2 * OID_SIZE] = (uint8_t)kind;
	digest_bytes(parts, sizeof(parts), digest);
	memcpy(key.id, digest, OID_SIZE);
	return oidset_add(&scan->seen, &key);
}

static void look(struct scan *scan, const char *path, const struct oid *blob,
		 const struct buf *data)
{
	static const char mark[] = "PRIVATE KEY-----";
	struct findings found = {.count = 0};
	char commit[OID_HEX_SIZE], hex[OID_HEX_SIZE];

	(void)oid_hex(scan->commit, commit);
	(void)oid_hex(blob, hex);
	if (text_starts(path, FILES)) {
		if (memmem(buf_text(data), data->len, mark, sizeof(mark) - 1))
			findings_add(&found, "%s: a private key", path);
	} else {
		(void)seal_scan(path, buf_text(data), data->len, scan->model, &found);
	}
	for (size_t i = 0; i < found.count; i++)
		findings_add(scan->findings,
			     "commit %.12s, blob %.12s: %s: take the commit out of the history "
			     "(git rebase, git commit --amend), and change the secret",
			     commit, hex, found.lines[i]);
	findings_clear(&found);
}

/* Whether a file must be looked at, and from now on no more. */
static bool take(struct scan *scan, const char *path, const struct oid *blob)
{
	if (text_starts(path, FILES))
		return is_new(scan, blob, 'f');
	return merge_uses(path) && strcmp(path, MERGE_MODEL_FILE) != 0 && is_new(scan, blob, 'x');
}

static int know_blob(void *arg, const char *path, const struct oid *blob)
{
	(void)take(arg, path, blob);
	return 0;
}

static int scan_blob(void *arg, const char *path, const struct oid *blob)
{
	struct scan *scan = arg;
	struct buf data;
	int rc;

	if (!take(scan, path, blob))
		return 0;
	buf_init(&data, LIMIT_FILE_SIZE);
	rc = blobs_read(scan->repo, blob, &data, scan->err);
	if (rc == 0)
		look(scan, path, blob, &data);
	seal_wipe(&data); /* it may hold a secret */
	return rc;
}

static int find_model(void *arg, const char *path, const struct oid *blob)
{
	struct scan *scan = arg;

	if (strcmp(path, MERGE_MODEL_FILE) == 0)
		scan->model_blob = *blob;
	return 0;
}

/* The commit's own model; one that cannot be read is told by the check, if the commit counts. */
static int read_model(struct scan *scan)
{
	struct err why = {.code = ERR_NONE};
	struct buf data;
	int rc = 0;

	scan->model = NULL;
	if (oid_is_zero(&scan->model_blob)) {
		scan->model = model_default();
		return 0;
	}
	buf_init(&data, LIMIT_FILE_SIZE);
	rc = blobs_read(scan->repo, &scan->model_blob, &data, scan->err);
	if (rc == 0 &&
	    model_parse(MERGE_MODEL_FILE, buf_text(&data), data.len, &scan->model, &why) != 0)
		scan->model = model_default();
	buf_clear(&data);
	return rc;
}

/* Learns which model the files of a commit are looked at by. */
static int begin(struct scan *scan, const struct oid *commit, struct err *err)
{
	scan->commit = commit;
	scan->model_blob = (struct oid){{0}};
	scan->err = err;
	return blobs_each(scan->repo, commit, find_model, scan, err);
}

int scan_known(struct scan *scan, const struct oid *commit, struct err *err)
{
	int rc = begin(scan, commit, err);

	return rc == 0 ? blobs_each(scan->repo, commit, know_blob, scan, err) : rc;
}

int scan_commit(struct scan *scan, const struct oid *commit, struct err *err)
{
	int rc = begin(scan, commit, err);

	if (rc == 0)
		rc = read_model(scan);
	if (rc == 0)
		rc = blobs_each(scan->repo, commit, scan_blob, scan, err);
	model_free(scan->model);
	scan->model = NULL;
	return rc;
}
