/*
 * chain FOLDER RELEASES: makes so many releases in a new repository FOLDER, each with a change of
 * its configuration, in ten packs as a node that was away fetches them; then verifies the chain as
 * a node does that knows the first, and the whole history with its files, as `muster verify` does.
 * Prints one JSON object. See README.md here; growth.sh runs it.
 */
#include "core/fileset.h"
#include "core/text.h"
#include "crypto/digest.h"
#include "crypto/key.h"
#include "repo/chain.h"
#include "repo/history.h"
#include "repo/pack.h"
#include "repo/tree.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { PACKS = 10, FILES = 20, FILE_BYTES = 500 };

struct chain {
	struct repo *repo;
	struct identity *identity;
	struct chain_state fresh;
	struct oid first, tip;
};

static void must(int rc, const struct err *err)
{
	if (rc != 0) {
		(void)fprintf(stderr, "chain: %s\n", err->text);
		exit(1);
	}
}

static double seconds(clockid_t clock)
{
	struct timespec t;

	(void)clock_gettime(clock, &t); /* never fails */
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A configuration of the role: of its files one changes with each release. */
static void change(struct fileset *files, uint64_t sequence)
{
	struct err err;

	for (uint64_t i = sequence == 1 ? 0 : FILES - 1; i < FILES; i++) {
		char path[40], text[FILE_BYTES];
		int n = snprintf(path, sizeof(path), "files/part-%02u.xml",
				 (unsigned)(sequence * (i + 1) % FILES));

		memset(text, 'x', sizeof(text));
		(void)snprintf(text, sizeof(text), "<config>%" PRIu64 " of %.*s</config>", sequence,
			       n, path); /* fits */
		if (sequence == 1)
			(void)snprintf(path, sizeof(path), "files/part-%02u.xml",
				       (unsigned)i); /* fits */
		must(fileset_put(files, path, FILE_PLAIN, text, sizeof(text), &err), &err);
	}
}

static void put_release(struct chain *chain, const struct fileset *files, uint64_t sequence)
{
	struct release release = {
		.sequence = sequence, .has_parent = sequence > 1, .parent = chain->tip};
	struct buf raw;
	struct err err;

	must(tree_write(chain->repo, files, &release.tree, &err), &err);
	digest_fileset(files, release.digest);
	release.author =
		release_ident("Bench", "bench@example.com", 1700000000 + (int64_t)sequence, 0);
	release.committer = release_committer("admin.example.com", 1700000000 + (int64_t)sequence);
	release.message = text_format("lifetime %" PRIu64 "\n", sequence);
	memcpy(release.cluster_id, chain->fresh.cluster_id, CLUSTER_ID_SIZE);
	memcpy(release.role, chain->fresh.role, sizeof(release.role));
	memset(release.source.id, (int)(sequence % 255) + 1, OID_SIZE);
	release.key_count = 1;
	memcpy(release.keys[0], chain->identity->release_public[0], KEY_SIZE);
	buf_init(&raw, LIMIT_COMMIT_SIZE);
	must(release_sign(&release, chain->identity->release_seed[0], &raw, &err), &err);
	must(repo_commit_write(chain->repo, raw.data, raw.len, &chain->tip, &err), &err);
	buf_clear(&raw);
	release_clear(&release);
}

static void make(struct chain *chain, uint64_t count)
{
	struct fileset files = {.count = 0};
	struct pack_writer *writer = NULL;
	struct err err;

	for (uint64_t i = 1; i <= count; i++) {
		if (!writer)
			must(pack_writer_new(chain->repo, &writer, &err), &err);
		change(&files, i);
		put_release(chain, &files, i);
		if (i == 1)
			chain->first = chain->tip;
		if (i == count || i % (count / PACKS + 1) == 0) {
			must(pack_writer_finish(writer, &err), &err);
			pack_writer_free(writer);
			writer = NULL;
		}
	}
	fileset_clear(&files);
}

int main(int argc, char **argv)
{
	struct chain chain = {.fresh = {.role = "internal", .key_count = 1}};
	uint64_t count = argc == 3 ? strtoull(argv[2], NULL, 10) : 0;
	struct chain_state state;
	struct rusage usage;
	double took, cpu, all;
	size_t seen;
	struct err err;

	if (count < 2) {
		(void)fprintf(stderr, "usage: chain FOLDER RELEASES\n");
		return 2;
	}
	crypto_setup();
	git_setup();
	chain.identity = identity_new();
	memcpy(chain.fresh.cluster_id, chain.identity->cluster_id, CLUSTER_ID_SIZE);
	memcpy(chain.fresh.keys[0], chain.identity->release_public[0], KEY_SIZE);
	must(repo_init_bare(argv[1], &chain.repo, &err), &err);
	make(&chain, count);
	repo_free(chain.repo);

	/* nothing of it is in memory */
	must(repo_open(argv[1], &chain.repo, &err), &err);
	state = chain.fresh;
	must(chain_verify(chain.repo, &state, &chain.first, NULL, &err), &err);
	took = seconds(CLOCK_MONOTONIC);
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
	must(chain_verify(chain.repo, &state, &chain.tip, NULL, &err), &err);
	took = seconds(CLOCK_MONOTONIC) - took;
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	(void)getrusage(RUSAGE_SELF, &usage); /* fails for no such question */
	repo_free(chain.repo);

	must(repo_open(argv[1], &chain.repo, &err), &err);
	state = chain.fresh;
	all = seconds(CLOCK_MONOTONIC);
	must(history_verify(chain.repo, &state, &chain.tip, &seen, &err), &err);
	all = seconds(CLOCK_MONOTONIC) - all;
	repo_free(chain.repo);
	(void)printf("{\"releases\":%" PRIu64
		     ",\"chain_per_s\":%.0f,\"chain_cpu_us\":%.1f,\"peak_kb\":%ld,"
		     "\"history_per_s\":%.0f}\n",
		     count, (double)(count - 1) / took, cpu * 1e6 / (double)(count - 1),
		     usage.ru_maxrss, (double)seen / all);
	identity_free(chain.identity);
	return 0;
}
