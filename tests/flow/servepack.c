/*
 * servepack REPO REF: the serving engine on stdin and stdout, for stock git as the client (the
 * transport ext:: and `git fetch-pack`). As the admin does it, but for one client and without a
 * loop.
 */
#include "channel/uploadpack.h"
#include "core/limits.h"
#include "repo/pack.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct serving {
	struct repo *repo;
	struct oid tip;
};

/* Where OID stands in the line of first parents, by asking the repository. */
static uint64_t position(void *arg, const struct oid *oid)
{
	struct serving *serving = arg;
	uint64_t count = 0;
	bool in = false;
	struct err err;

	if (repo_descends(serving->repo, &serving->tip, oid, &in, &err) != 0 || !in)
		return 0;
	for (struct oid at = *oid;;) { /* the distance to the root */
		char hex[OID_HEX_SIZE + 1], rev[64];
		struct oid parent;

		count++;
		(void)snprintf(rev, sizeof(rev), "%s^", oid_hex(&at, hex)); /* fits */
		if (repo_resolve(serving->repo, rev, &parent, &err) != 0)
			return count;
		at = parent;
	}
}

static int put(struct buf *out)
{
	const uint8_t *at = out->data;

	for (size_t left = out->len; left > 0;) {
		ssize_t n = write(STDOUT_FILENO, at, left);

		if (n <= 0)
			return -1;
		at += n;
		left -= (size_t)n;
	}
	buf_reset(out);
	return 0;
}

static int send_pack(struct serving *serving, struct uploadpack *up, struct buf *out,
		     struct err *err)
{
	struct buf pack;
	int rc;

	buf_init(&pack, LIMIT_PACK_SIZE);
	rc = pack_build(serving->repo, uploadpack_tip(up), uploadpack_common(up), &pack, err);
	if (rc == 0)
		uploadpack_give(up, pack.data, pack.len);
	while (rc == 0 && uploadpack_state(up) == UPLOADPACK_SENDING) {
		uploadpack_send(up, out);
		rc = put(out);
	}
	buf_clear(&pack);
	return rc;
}

/* -1: the conversation broke; ERR says why if the client is at fault. */
static int talk(struct serving *serving, const char *ref, bool has_tip, struct err *err)
{
	struct uploadpack *up;
	char bytes[4096];
	struct buf out;
	ssize_t n = 0;
	int rc;

	buf_init(&out, 1 << 20);
	up = uploadpack_new(ref, has_tip ? &serving->tip : NULL, position, serving, &out);
	rc = put(&out);
	while (rc == 0 && uploadpack_state(up) != UPLOADPACK_DONE &&
	       (n = read(STDIN_FILENO, bytes, sizeof(bytes))) > 0) {
		rc = uploadpack_feed(up, bytes, (size_t)n, &out, err);
		if (put(&out) != 0)
			rc = -1;
		if (rc == 0 && uploadpack_state(up) == UPLOADPACK_PACK)
			rc = send_pack(serving, up, &out, err);
	}
	uploadpack_free(up);
	buf_clear(&out);
	return rc;
}

int main(int argc, char **argv)
{
	struct serving serving = {0};
	struct err err = {.code = ERR_NONE};
	bool has_tip;
	int rc;

	if (argc != 3) {
		(void)fputs("usage: servepack REPO REF\n", stderr); /* no one to tell */
		return 2;
	}
	git_setup();
	rc = repo_open(argv[1], &serving.repo, &err);
	if (rc == 0) {
		has_tip = repo_ref_get(serving.repo, argv[2], &serving.tip, &err) == 0;
		err = (struct err){.code = ERR_NONE};
		rc = talk(&serving, argv[2], has_tip, &err);
	}
	repo_free(serving.repo);
	if (rc != 0)
		(void)fprintf(stderr, "servepack: %s\n", err.text); /* no one to tell */
	return rc != 0;
}
