/* The links of commits and annotated tags, with libgit2 as oracle. */
#include "fuzz.h"
#include "memory_repo.h"

static struct memory_repo memory;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	memory_repo_init(&memory);
	return 0;
}

static bool same_id(const struct oid *a, const git_oid *b)
{
	return b && memcmp(a->id, b->id, OID_SIZE) == 0;
}

/* What libgit2 takes for a commit has the same links here, or is refused: it takes ids in capitals,
 * which git never writes. */
static void check_commit(const struct oid *oid, const struct links *links, int rc, bool capitals)
{
	git_oid id = oid_to_git(oid);
	git_commit *commit;

	if (git_commit_lookup(&commit, repo_git2(memory.repo), &id) != 0)
		return;
	assert(rc == 0 || capitals);
	if (rc != 0) {
		git_commit_free(commit);
		return;
	}
	assert(same_id(&links->tree, git_commit_tree_id(commit)));
	assert(links->parent_count == git_commit_parentcount(commit));
	if (links->parent_count > 0)
		assert(same_id(&links->parent, git_commit_parent_id(commit, 0)));
	git_commit_free(commit);
}

static void check_tag(const struct oid *oid, const struct links *links, int rc, bool capitals)
{
	git_oid id = oid_to_git(oid);
	git_tag *tag;

	if (git_tag_lookup(&tag, repo_git2(memory.repo), &id) != 0)
		return;
	assert(rc == 0 ? same_id(&links->target, git_tag_target_id(tag)) : capitals);
	git_tag_free(tag);
}

static bool has_capitals(const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (data[i] >= 'A' && data[i] <= 'F')
			return true;
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct links links = {.parent_count = 0}, raw = {.parent_count = 0};
	const void *bytes = size ? (const void *)data : "";
	struct oid oid;
	struct err err;
	int rc;

	if (size > LIMIT_COMMIT_SIZE)
		return 0;
	assert(object_write(memory.repo, GIT_OBJECT_COMMIT, bytes, size, &oid, &err) == 0);
	rc = object_links(memory.repo, &oid, GIT_OBJECT_COMMIT, &links, &err);
	assert(rc == commit_links(bytes, size, &raw) && memcmp(&links, &raw, sizeof(raw)) == 0);
	check_commit(&oid, &links, rc, has_capitals(data, size));
	links = (struct links){.parent_count = 0};
	assert(object_write(memory.repo, GIT_OBJECT_TAG, bytes, size, &oid, &err) == 0);
	rc = object_links(memory.repo, &oid, GIT_OBJECT_TAG, &links, &err);
	check_tag(&oid, &links, rc, has_capitals(data, size));
	memory_repo_reset(&memory);
	return 0;
}
