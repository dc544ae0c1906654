/*
 * A state that was lost: what this node accepted is found again in what it still has, by the rule
 * for a node that has accepted nothing yet (muster-formats(5), "What a node accepts"): nothing on
 * the disk is believed that the cluster file does not vouch for.
 */
#include "node/heal.h"

#include "core/fs.h"
#include "core/log.h"
#include "repo/chain.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A release whose signed commit is in a revision. */
struct signed_one {
	struct oid oid;
	struct release release;
};

struct found {
	struct signed_one *list;
	size_t count;
};

/* --- revisions --- */

static void read_signed(int dirfd, const char *name, struct found *found)
{
	char *path = text_format("%s/release", name);
	struct signed_one one = {.release = {.sequence = 0}};
	struct err why;
	struct oid oid;
	struct buf raw;

	buf_init(&raw, LIMIT_COMMIT_SIZE);
	if (oid_parse(name, &oid) == 0 && fs_read(dirfd, path, &raw, &why) == 0 &&
	    repo_commit_id(raw.data, raw.len, &one.oid, &why) == 0 && oid_equal(&oid, &one.oid) &&
	    release_parse(raw.data, raw.len, &one.release, &why) == 0) {
		found->list = mem_grow(found->list, found->count + 1, sizeof(one));
		found->list[found->count++] = one;
	}
	buf_clear(&raw);
	free(path);
}

static int by_sequence(const void *a, const void *b)
{
	uint64_t x = ((const struct signed_one *)a)->release.sequence;
	uint64_t y = ((const struct signed_one *)b)->release.sequence;

	return x < y ? -1 : x > y;
}

/* All that are there, lowest sequence first. */
static void find_signed(const struct home *home, struct found *found)
{
	int fd = openat(home->var_fd, "node/revisions",
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	while (dir && found->count < STATE_LOG_MAX && (entry = readdir(dir)))
		read_signed(fd, entry->d_name, found);
	if (dir)
		(void)closedir(dir); /* only read */
	else if (fd >= 0)
		(void)close(fd); /* ditto */
	if (found->count > 0)
		qsort(found->list, found->count, sizeof(*found->list), by_sequence);
}

static void found_clear(struct found *found)
{
	for (size_t i = 0; i < found->count; i++)
		release_clear(&found->list[i].release);
	free(found->list);
}

/* --- the chain --- */

static void note(struct node_state *state, const struct oid *oid, const struct release *release)
{
	struct state_entry *entry = node_state_note(state, oid, release->sequence);

	entry->source = release->source;
	entry_verdict(entry, VERDICT_PAST, "", NULL);
}

/* Whether a key of the cluster file signed it: BEFORE has nothing accepted. */
static bool is_anchor(const struct chain_state *before, const struct oid *oid,
		      const struct release *release)
{
	struct chain_state copy = *before;
	struct err why;

	return chain_step(&copy, oid, release, &why) == 0;
}

/*
 * With nothing accepted: the newest that a key of the cluster file signed, and those before it.
 * Then every one that follows.
 */
static void take_revisions(const struct home *home, struct node_state *state)
{
	const struct chain_state before = state->chain;
	struct found found = {.list = NULL};
	struct err why;

	find_signed(home, &found);
	for (size_t i = 0; !before.has_accepted && i < found.count; i++) {
		const struct signed_one *one = found.list + i;
		struct chain_state anchor = before;

		if (chain_step(&anchor, &one->oid, &one->release, &why) == 0) {
			note(state, &one->oid, &one->release);
			state->chain = anchor;
		}
	}
	for (size_t i = 0; state->chain.has_accepted && i < found.count; i++) {
		const struct signed_one *one = found.list + i;

		if (chain_step(&state->chain, &one->oid, &one->release, &why) == 0)
			note(state, &one->oid, &one->release);
	}
	found_clear(&found);
}

/*
 * The releases that a start may serve: from the anchor to the tip each was verified, and those
 * before it count as long as a key of the cluster file signed them as well.
 */
static void note_chain(struct repo *replica, const struct chain_state *before,
		       struct node_state *state)
{
	struct {
		struct oid release, source;
	} list[STATE_LOG_MAX / 2];
	struct oid at = state->chain.accepted;
	size_t count = 0;
	bool more = true, anchored = false;

	while (more && count < STATE_LOG_MAX / 2) {
		struct release release;
		struct err why;
		struct buf raw;

		buf_init(&raw, LIMIT_COMMIT_SIZE);
		if (repo_commit_raw(replica, &at, &raw, &why) != 0 ||
		    release_parse(raw.data, raw.len, &release, &why) != 0) {
			buf_clear(&raw);
			break;
		}
		buf_clear(&raw);
		more = !anchored || is_anchor(before, &at, &release);
		anchored |= is_anchor(before, &at, &release);
		if (more) {
			list[count].release = at;
			list[count++].source = release.source;
			more = release.has_parent;
		}
		at = release.parent;
		release_clear(&release);
	}
	while (count > 0) {
		struct state_entry *entry;

		count--;
		entry = node_state_note(state, &list[count].release, state->chain.sequence - count);
		entry_verdict(entry, VERDICT_PAST, "", NULL);
		entry->source = list[count].source;
	}
}

static void take_replica(const struct home *home, struct node_state *state)
{
	const struct chain_state before = state->chain;
	char *path = home_var(home, "node/replica.git"),
	     *ref = text_format("refs/heads/%s", before.role);
	struct repo *replica = NULL;
	struct err why;
	struct oid tip;

	if (repo_open(path, &replica, &why) == 0 && repo_ref_get(replica, ref, &tip, &why) == 0 &&
	    chain_verify(replica, &state->chain, &tip, NULL, &why) == 0)
		note_chain(replica, &before, state);
	repo_free(replica);
	free(ref);
	free(path);
}

bool recover_state(const struct home *home, const struct chain_state *chain,
		   struct node_state *state)
{
	struct node_state made = {.known = true, .chain = *chain};
	char name[REVISION_NAME_MAX];
	struct err why;
	struct oid oid;

	take_replica(home, &made);
	take_revisions(home, &made);
	if (!made.chain.has_accepted) {
		node_state_clear(&made);
		return false;
	}
	if (revision_current(home, name, &why) == 0 && oid_parse(name, &oid) == 0 &&
	    node_state_accepted(&made, &oid)) {
		memcpy(made.active, name, sizeof(name));
		entry_verdict(node_state_find(&made, &oid), VERDICT_ACTIVE, "", NULL);
	}
	*state = made;
	log_warning("init", "state", "made anew from what is verified here, up to sequence %llu",
		    (unsigned long long)made.chain.sequence);
	return true;
}
