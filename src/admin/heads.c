/* What each role's branch holds: see heads.h. */
#include "admin/heads.h"

#include "core/limits.h"
#include "core/log.h"
#include "core/loop.h"
#include "repo/git.h"
#include "repo/release.h"

#include <stdlib.h>
#include <string.h>

struct place {
	struct oid release;
	uint64_t sequence; /* 0: free */
};

/* An object id is as good as random: its first bytes are the hash. */
static size_t slot_of(const struct head *head, const struct oid *release)
{
	uint64_t hash;
	size_t slot;

	memcpy(&hash, release->id, sizeof(hash));
	slot = (size_t)hash & (head->cap - 1);
	while (head->places[slot].sequence && !oid_equal(&head->places[slot].release, release))
		slot = (slot + 1) & (head->cap - 1);
	return slot;
}

static void place_add(struct head *head, const struct oid *release, uint64_t sequence)
{
	size_t slot;

	if (head->count * 4 >= head->cap * 3) {
		struct place *old = head->places;
		size_t cap = head->cap;

		head->cap = cap ? cap * 2 : 64;
		head->places = mem_new(head->cap, sizeof(*head->places));
		for (size_t i = 0; i < cap; i++)
			if (old[i].sequence)
				head->places[slot_of(head, &old[i].release)] = old[i];
		free(old);
	}
	slot = slot_of(head, release);
	if (!head->places[slot].sequence)
		head->count++;
	head->places[slot] = (struct place){.release = *release, .sequence = sequence};
}

struct head *heads_find(struct heads *heads, const char *role)
{
	for (size_t i = 0; i < heads->count; i++)
		if (strcmp(heads->list[i].role, role) == 0)
			return heads->list + i;
	return NULL;
}

static struct head *head_add(struct heads *heads, const char *role)
{
	struct head *head;

	heads->list = mem_grow(heads->list, heads->count + 1, sizeof(*heads->list));
	head = heads->list + heads->count++;
	*head = (struct head){0};
	memcpy(head->role, role, strlen(role) + 1);
	return head;
}

void heads_move(struct heads *heads, const char *role, const struct oid *release, uint64_t sequence)
{
	struct head *head = heads_find(heads, role);

	if (!head)
		head = head_add(heads, role);
	head->release = *release;
	head->sequence = sequence;
	place_add(head, release, sequence);
}

uint64_t head_position(const struct head *head, const struct oid *release)
{
	return head->cap ? head->places[slot_of(head, release)].sequence : 0;
}

void heads_clear(struct heads *heads)
{
	for (size_t i = 0; i < heads->count; i++)
		free(heads->list[i].places);
	free(heads->list);
	*heads = (struct heads){0};
}

/* --- loading --- */

struct loading {
	struct heads *heads;
	struct repo *repo;
	size_t newest; /* releases of a branch; 0: all */
	struct err *err;
};

/* The parent of a release: the second header line, by the one form a release has. */
static int parent_of(struct repo *repo, const struct oid *oid, bool *has, struct oid *parent,
		     struct err *err)
{
	struct buf raw;
	struct cursor c;
	const char *line;
	size_t n;
	int rc;

	buf_init(&raw, LIMIT_COMMIT_SIZE);
	rc = repo_commit_raw(repo, oid, &raw, err);
	c = cursor_of(raw.data, raw.len);
	(void)cursor_line(&c, &n); /* tree */
	line = cursor_line(&c, &n);
	*has = rc == 0 && line && n == 7 + OID_HEX && memcmp(line, "parent ", 7) == 0;
	if (*has) {
		char hex[OID_HEX_SIZE];

		memcpy(hex, line + 7, OID_HEX);
		hex[OID_HEX] = '\0';
		if (oid_parse(hex, parent) != 0)
			rc = err_set(err, ERR_CORRUPT, "release %s: damaged", hex);
	}
	buf_clear(&raw);
	return rc;
}

/* The sequence that a release says it has; 0 when it is none. */
static uint64_t sequence_of(struct repo *repo, const struct oid *oid)
{
	struct release release = {.sequence = 0};
	struct buf raw;
	struct err why;
	uint64_t sequence = 0;

	buf_init(&raw, LIMIT_COMMIT_SIZE);
	if (repo_commit_raw(repo, oid, &raw, &why) == 0 &&
	    release_parse(raw.data, raw.len, &release, &why) == 0) {
		sequence = release.sequence;
		release_clear(&release);
	}
	buf_clear(&raw);
	return sequence;
}

static int load_branch(void *arg, const char *ref, const struct oid *tip)
{
	struct loading *loading = arg;
	struct head *head;
	struct oid *chain = NULL, at = *tip;
	uint64_t sequence;
	size_t count = 0;
	bool more = true;
	int rc = 0;

	if (!name_valid(ref + strlen("refs/heads/")))
		return 0; /* no branch of ours */
	/* what does not say where it stands is counted from the beginning */
	sequence = loading->newest ? sequence_of(loading->repo, tip) : 0;
	while (more && rc == 0 && (sequence == 0 || count < loading->newest)) {
		if ((count & (count - 1)) == 0)
			chain = mem_grow(chain, count ? count * 2 : 1, sizeof(*chain));
		chain[count++] = at;
		rc = parent_of(loading->repo, &at, &more, &at, loading->err);
	}
	if (rc == 0) {
		head = head_add(loading->heads, ref + strlen("refs/heads/"));
		head->release = *tip;
		head->sequence = more ? sequence : count;
		for (size_t i = 0; i < count && i < head->sequence; i++)
			place_add(head, chain + i, head->sequence - i);
		loading->heads->partial |= more;
	}
	free(chain);
	return rc;
}

int heads_load(struct heads *heads, const char *path, size_t newest, struct err *err)
{
	struct loading loading = {.heads = heads, .newest = newest, .err = err};
	int rc = repo_open(path, &loading.repo, err);

	if (rc == 0)
		rc = repo_ref_each(loading.repo, "refs/heads/", load_branch, &loading, err);
	repo_free(loading.repo);
	return rc;
}

/* --- the rest --- */

struct heads_rest {
	struct heads *into; /* NULL: nobody wants it any more */
	struct heads_rest **owner;
	char *path;
	struct heads heads;
	int rc;
	struct err err;
};

static void on_work(void *arg)
{
	struct heads_rest *rest = arg;

	rest->rc = heads_load(&rest->heads, rest->path, 0, &rest->err);
}

static void merge(struct heads *into, const struct heads *from)
{
	for (size_t i = 0; i < from->count; i++) {
		const struct head *older = from->list + i;
		struct head *head = heads_find(into, older->role);

		for (size_t at = 0; head && at < older->cap; at++)
			if (older->places[at].sequence)
				place_add(head, &older->places[at].release,
					  older->places[at].sequence);
	}
	into->partial = false;
}

static void on_done(void *arg)
{
	struct heads_rest *rest = arg;

	if (rest->into && rest->rc == 0)
		merge(rest->into, &rest->heads);
	else if (rest->into)
		log_warning("serve", "release.git", "old releases could not be read: %s",
			    rest->err.text);
	if (rest->owner)
		*rest->owner = NULL;
	heads_clear(&rest->heads);
	free(rest->path);
	free(rest);
}

void heads_load_rest(uv_loop_t *loop, const char *path, struct heads *heads,
		     struct heads_rest **rest)
{
	*rest = mem_new(1, sizeof(**rest));
	**rest = (struct heads_rest){.into = heads, .owner = rest, .path = text_copy(path)};
	loop_work(loop, on_work, on_done, *rest);
}

void heads_rest_stop(struct heads_rest *rest)
{
	if (!rest)
		return;
	rest->into = NULL;
	rest->owner = NULL;
}
