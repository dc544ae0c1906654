/* The authoring repository's files without a work tree: see blobs.h. */
#include "repo/blobs.h"

#include "core/limits.h"
#include "core/text.h"
#include "repo/object.h"
#include "repo/source.h"
#include "repo/worklock.h"

#include <stdlib.h>
#include <string.h>

struct visit {
	int (*fn)(void *arg, const char *path, const struct oid *blob);
	void *arg;
	int rc; /* of FN */
};

/* libgit2's answers: below 0 stop, 0 go on. */
static int visit_entry(const char *root, const git_tree_entry *entry, void *arg)
{
	struct visit *visit = arg;
	struct oid blob = oid_from_git(git_tree_entry_id(entry));
	char *path;

	if (git_tree_entry_type(entry) != GIT_OBJECT_BLOB ||
	    git_tree_entry_filemode(entry) == GIT_FILEMODE_LINK)
		return 0;
	path = text_format("%s%s", root, git_tree_entry_name(entry));
	visit->rc = visit->fn(visit->arg, path, &blob);
	free(path);
	return visit->rc == 0 ? 0 : GIT_EUSER;
}

int blobs_each(struct repo *repo, const struct oid *commit,
	       int (*fn)(void *arg, const char *path, const struct oid *blob), void *arg,
	       struct err *err)
{
	struct visit visit = {.fn = fn, .arg = arg};
	struct links links;
	git_tree *tree = NULL;
	git_oid id;
	int rc;

	if (object_links(repo, commit, GIT_OBJECT_COMMIT, &links, err) != 0)
		return -1;
	id = oid_to_git(&links.tree);
	rc = git_tree_lookup(&tree, repo_git2(repo), &id);
	if (rc == 0)
		rc = git_tree_walk(tree, GIT_TREEWALK_PRE, visit_entry, &visit);
	git_tree_free(tree);
	if (rc == 0 || visit.rc != 0)
		return visit.rc;
	return git_err(err, rc, "tree of %.12s", git_oid_tostr_s(&id));
}

int blobs_read(struct repo *repo, const struct oid *blob, struct buf *out, struct err *err)
{
	git_odb_object *object;

	if (object_read(repo, blob, GIT_OBJECT_BLOB, &object, err) != 0)
		return -1;
	buf_put(out, git_odb_object_data(object), git_odb_object_size(object));
	git_odb_object_free(object);
	return out->failed ? err_set(err, ERR_REFUSED, "blob is too large") : 0;
}

/* Adds one file of an index. */
static int take_entry(struct repo *repo, const git_index_entry *entry, size_t *total,
		      struct fileset *out, struct err *err)
{
	struct oid blob = oid_from_git(&entry->id);
	struct buf data;
	int rc;

	if (entry->mode != FILE_PLAIN && entry->mode != FILE_EXEC)
		return err_set(err, ERR_REFUSED, "%s: mode %o is not allowed", entry->path,
			       (unsigned)entry->mode);
	if (out->count >= LIMIT_TREE_FILES)
		return err_set(err, ERR_REFUSED, "more than %u files", LIMIT_TREE_FILES);
	buf_init(&data, LIMIT_FILE_SIZE);
	rc = blobs_read(repo, &blob, &data, err);
	*total += data.len;
	if (rc == 0 && *total > LIMIT_TREE_SIZE)
		rc = err_set(err, ERR_REFUSED, "files of more than %u bytes together",
			     LIMIT_TREE_SIZE);
	if (rc == 0)
		rc = fileset_add(out, entry->path, entry->mode, buf_text(&data), data.len, err);
	buf_clear(&data);
	return rc;
}

int blobs_read_index(struct repo *repo, const char *path, struct fileset *out, struct err *err)
{
	git_index *index = NULL;
	size_t total = 0;
	int rc =
		path ? git_index_open(&index, path) : git_repository_index(&index, repo_git2(repo));

	if (rc == 0)
		rc = git_index_read(index, 1);
	if (rc != 0) {
		git_index_free(index);
		return git_err(err, rc, "index");
	}
	if (git_index_has_conflicts(index))
		rc = err_set(err, ERR_REFUSED, "there are conflicts that are not resolved");
	for (size_t i = 0; rc == 0 && i < git_index_entrycount(index); i++)
		rc = take_entry(repo, git_index_get_byindex(index, i), &total, out, err);
	git_index_free(index);
	if (rc != 0)
		fileset_clear(out);
	return rc;
}

int blobs_settle(struct repo *repo, const char *path, const void *data, size_t size,
		 struct err *err)
{
	const git_index_entry *entry;
	struct work_lock lock;
	git_oid id;
	int rc = git_odb_hash(&id, data, size, GIT_OBJECT_BLOB);

	if (rc != 0)
		return git_err(err, rc, "%s", path);
	if (work_lock_take(&lock, repo, NULL, err) != 0)
		return -1;
	entry = git_index_get_bypath(lock.index, path, 0);
	if (entry && git_oid_equal(&entry->id, &id)) {
		rc = git_index_add_bypath(lock.index, path);
		if (rc == 0)
			rc = git_index_write(lock.index);
		rc = rc == 0 ? work_lock_put_index(&lock, err) : git_err(err, rc, "index");
	}
	work_lock_release(&lock);
	return rc;
}

int blobs_add_objects(struct repo *repo, const char *path, struct err *err)
{
	int rc = git_odb_add_disk_alternate(repo_odb(repo), path);

	return rc == 0 ? 0 : git_err(err, rc, "%s", path);
}

int blobs_each_new(struct repo *repo, const struct oid *new,
		   int (*fn)(void *arg, const struct oid *commit), void *arg, struct err *err)
{
	git_oid id = oid_to_git(new);
	git_revwalk *walk = NULL;
	int rc = git_revwalk_new(&walk, repo_git2(repo)), got = GIT_ITEROVER;

	if (rc == 0)
		rc = git_revwalk_sorting(walk, GIT_SORT_TOPOLOGICAL | GIT_SORT_REVERSE);
	if (rc == 0)
		rc = git_revwalk_push(walk, &id);
	if (rc == 0)
		rc = git_revwalk_hide_glob(walk, "refs/*");
	if (rc != 0) {
		git_revwalk_free(walk);
		return git_err(err, rc, "commits up to %.12s", git_oid_tostr_s(&id));
	}
	while (rc == 0 && (got = git_revwalk_next(&id, walk)) == 0) {
		struct oid oid = oid_from_git(&id);

		rc = fn(arg, &oid);
	}
	git_revwalk_free(walk);
	return rc == 0 && got != GIT_ITEROVER ? git_err(err, got, "commits") : rc;
}
