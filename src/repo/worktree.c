/* The authoring repository's work tree: see source.h. */
#include "repo/source.h"

#include "core/fs.h"
#include "core/limits.h"
#include "core/log.h"
#include "core/text.h"
#include "repo/object.h"
#include "repo/release.h"
#include "repo/worklock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- commits --- */

/* Where a commit goes: the branch of HEAD and the commit it is at. */
struct place {
	char *ref;
	bool born;
	struct oid head;
	struct oid tree; /* of HEAD, when born */
};

static int place_find(struct repo *repo, const struct source_commit *commit, struct place *out,
		      struct err *err)
{
	struct place place = {0};
	git_reference *head;
	struct links links;
	int rc = git_reference_lookup(&head, repo_git2(repo), "HEAD");

	if (rc != 0)
		return git_err(err, rc, "HEAD");
	if (git_reference_type(head) == GIT_REFERENCE_SYMBOLIC)
		place.ref = text_copy(git_reference_symbolic_target(head));
	git_reference_free(head);
	if (!place.ref)
		return err_set(err, ERR_REFUSED,
			       "HEAD is at a commit and on no branch: check out a "
			       "branch first");
	if (commit->branch && strcmp(place.ref, commit->branch) != 0) {
		(void)err_set(err, ERR_REFUSED,
			      "HEAD is on %.100s and not on %s: check that out first", place.ref,
			      commit->branch);
		goto fail;
	}
	if (repo_ref_get(repo, place.ref, &place.head, err) == 0)
		place.born = true;
	else if (err && err->code != ERR_GONE)
		goto fail;
	if (place.born && object_links(repo, &place.head, GIT_OBJECT_COMMIT, &links, err) != 0)
		goto fail;
	if (place.born)
		place.tree = links.tree;
	*out = place;
	return 0;
fail:
	free(place.ref);
	return -1;
}

/* Writes the commit of TREE on top of PLACE and moves the branch, unless another moved it. */
static int place_commit(struct repo *repo, struct work_lock *lock, const struct place *place,
			const struct source_commit *commit, const struct oid *tree, struct oid *out,
			struct err *err)
{
	size_t len = strlen(commit->message);
	bool ends = len > 0 && commit->message[len - 1] == '\n';
	char hex[OID_HEX_SIZE], *who;
	struct git_signature *now = NULL;
	struct buf raw;
	int rc = git_signature_now(&now, "muster", "muster"); /* for the local zone */

	if (rc != 0)
		return git_err(err, rc, "commit");
	who = release_ident(commit->who->name, commit->who->mail, now->when.time, now->when.offset);
	git_signature_free(now);
	buf_init(&raw, LIMIT_COMMIT_SIZE);
	buf_printf(&raw, "tree %s\n", oid_hex(tree, hex));
	if (place->born)
		buf_printf(&raw, "parent %s\n", oid_hex(&place->head, hex));
	buf_printf(&raw, "author %s\ncommitter %s\n\n%s%s", who, who, commit->message,
		   ends ? "" : "\n");
	free(who);
	if (raw.failed)
		rc = err_set(err, ERR_REFUSED, "message is longer than %u bytes",
			     LIMIT_COMMIT_SIZE);
	if (rc == 0)
		rc = repo_commit_write(repo, raw.data, raw.len, out, err);
	buf_clear(&raw);
	if (rc == 0)
		rc = work_lock_move_ref(lock, place->born ? &place->head : NULL, out, err);
	return rc;
}

/* The index holds the files of HEAD, in memory only. */
static int index_reset(struct repo *repo, git_index *index, const struct place *place,
		       struct err *err)
{
	git_oid id = oid_to_git(&place->tree);
	git_tree *tree = NULL;
	int rc;

	if (!place->born)
		return git_index_clear(index) == 0 ? 0 : git_err(err, -1, "index");
	rc = git_tree_lookup(&tree, repo_git2(repo), &id);
	if (rc == 0)
		rc = git_index_read_tree(index, tree);
	git_tree_free(tree);
	return rc == 0 ? 0 : git_err(err, rc, "index");
}

/* Whether the index can be read. One that is not there is fine while there is no commit. */
static bool index_is_sound(struct repo *repo, const char *path, bool born)
{
	git_index *index = NULL;
	/* libgit2 takes an empty file for one that vanished while it was read */
	bool sound = faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) != 0
			     ? !born
			     : git_repository_index(&index, repo_git2(repo)) == 0 &&
				       git_index_read(index, 1) == 0;

	git_index_free(index);
	return sound;
}

/* Where there is none. */
static int index_make(struct repo *repo, const struct place *place, struct err *err)
{
	struct work_lock lock;
	int rc = work_lock_take(&lock, repo, NULL, err);

	if (rc != 0)
		return rc;
	rc = index_reset(repo, lock.index, place, err);
	if (rc == 0 && (rc = git_index_write(lock.index)) != 0)
		(void)git_err(err, rc, "index");
	if (rc == 0)
		rc = work_lock_put_index(&lock, err);
	work_lock_release(&lock);
	return rc == 0 ? 0 : -1;
}

int source_mend(struct repo *repo, struct err *err)
{
	const struct source_commit on_any = {.branch = NULL};
	char *path = text_format("%sindex", repo_path(repo));
	struct place place = {0};
	struct err why = {.code = ERR_NONE};
	int rc = 0;

	/* a HEAD that is no branch is for whoever is at work there */
	if (place_find(repo, &on_any, &place, &why) != 0 || index_is_sound(repo, path, place.born))
		goto out;
	if (unlink(path) != 0 && errno != ENOENT)
		rc = err_sys(err, "%s", path);
	else
		rc = index_make(repo, &place, err);
	if (rc == 0)
		log_warning("load", path, "was damaged, and is made anew from the last commit");
out:
	free(place.ref);
	free(path);
	return rc;
}

/* The index of the repository, as it is on the disk now. */
static int index_open(struct repo *repo, git_index **out, struct err *err)
{
	git_index *index = NULL;
	int rc;

	if (source_mend(repo, err) != 0)
		return -1;
	rc = git_repository_index(&index, repo_git2(repo));
	if (rc == 0)
		rc = git_index_read(index, 1);
	if (rc != 0) {
		git_index_free(index);
		return git_err(err, rc, "index of %s", repo_path(repo));
	}
	*out = index;
	return 0;
}

/* What is asked of each path that differs. */
struct adding {
	const struct source_commit *commit;
	struct err *err;
};

/* Whether NAME, a file or folder that was asked for, is PATH or holds it. */
static bool covers(const char *name, const char *path)
{
	size_t n = strlen(name);

	while (n > 0 && name[n - 1] == '/')
		n--;
	if (n == 1 && name[0] == '.')
		return true;
	return strncmp(name, path, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/*
 * libgit2's answers: 0 take it, 1 leave it, below 0 stop. Its own matching would take names for
 * patterns.
 */
static int consider(const char *path, const char *matched, void *arg)
{
	const struct adding *adding = arg;
	const struct source_commit *commit = adding->commit;
	bool wanted = commit->path_count == 0;

	(void)matched; /* nothing was given to match */
	for (size_t i = 0; i < commit->path_count; i++)
		wanted |= covers(commit->paths[i], path);
	if (!wanted)
		return 1;
	if (text_ends(path, "/")) {
		(void)err_set(adding->err, ERR_REFUSED, "%.200s: is a repository of its own", path);
		return GIT_EUSER;
	}
	return 0;
}

/* Puts what the work tree has, and has no more, into the index; with paths only these. */
static int index_add(git_index *index, const struct source_commit *commit, struct err *err)
{
	struct adding adding = {.commit = commit, .err = err};
	int rc = git_index_add_all(index, NULL, GIT_INDEX_ADD_DEFAULT, consider, &adding);

	if (rc == GIT_EUSER)
		return -1;
	return rc == 0 ? 0 : git_err(err, rc, "work tree");
}

/* Whether git knows NAME, a file or a folder that holds one. */
static bool is_tracked(git_index *index, const char *name)
{
	char *below = text_format("%s/", name);
	size_t at;
	bool is = git_index_get_bypath(index, name, 0) ||
		  git_index_find_prefix(&at, index, below) == 0;

	free(below);
	return is;
}

/* Refuses a path that names nothing that could be committed, as a slip of the pen does. */
static int check_path(struct repo *repo, git_index *index, const char *asked, struct err *err)
{
	size_t n = strlen(asked);
	char *name = text_copy_n(asked, n - text_ends(asked, "/"));
	char *path = text_format("%s%s", git_repository_workdir(repo_git2(repo)), name);
	bool all = strcmp(name, ".") == 0;
	bool tracked = !all && fileset_path_valid(name) && is_tracked(index, name);
	struct stat st;
	int ignored = 0, rc = 0;

	if (!tracked && !((all || fileset_path_valid(name)) && lstat(path, &st) == 0))
		rc = err_set(err, ERR_REFUSED, "%.200s: no such file or folder in %s", asked,
			     git_repository_workdir(repo_git2(repo)));
	else if (!tracked && !all &&
		 git_ignore_path_is_ignored(&ignored, repo_git2(repo), name) == 0 && ignored)
		rc = err_set(err, ERR_REFUSED,
			     "%.200s: is ignored, by a .gitignore or .git/info/exclude", asked);
	free(name);
	free(path);
	return rc;
}

/* It must not look like "nothing changed". */
static int check_paths(struct repo *repo, git_index *index, const struct source_commit *commit,
		       struct err *err)
{
	for (size_t i = 0; i < commit->path_count; i++)
		if (check_path(repo, index, commit->paths[i], err) != 0)
			return -1;
	return 0;
}

/*
 * The tree to commit. The index on the disk follows, so that git sees nothing staged afterwards but
 * what was before.
 */
static int stage(struct repo *repo, struct work_lock *lock, const struct place *place,
		 const struct source_commit *commit, struct oid *tree, struct err *err)
{
	git_index *index = lock->index;
	git_oid id;
	int rc;

	if (git_index_has_conflicts(index))
		return err_set(err, ERR_REFUSED, "there are conflicts that are not resolved");
	if (check_paths(repo, index, commit, err) != 0)
		return -1;
	if (commit->path_count > 0 && index_reset(repo, index, place, err) != 0)
		return -1;
	if (index_add(index, commit, err) != 0)
		return -1;
	rc = git_index_write_tree(&id, index);
	if (rc == 0 && commit->path_count > 0) {
		rc = git_index_read(index, 1);
		if (rc == 0 && index_add(index, commit, err) != 0)
			return -1;
	}
	if (rc != 0)
		return git_err(err, rc, "index");
	/* the index says which trees and files are among the objects, and later that is believed */
	if (repo_sync_objects(repo, err) != 0)
		return -1;
	rc = git_index_write(index);
	if (rc != 0)
		return git_err(err, rc, "index");
	*tree = oid_from_git(&id);
	return work_lock_put_index(lock, err);
}

/* Whether a commit may be made now at all. */
static int check_state(struct repo *repo, struct err *err)
{
	if (git_repository_is_bare(repo_git2(repo)))
		return err_set(err, ERR_REFUSED, "%s has no work tree", repo_path(repo));
	if (git_repository_state(repo_git2(repo)) != GIT_REPOSITORY_STATE_NONE)
		return err_set(err, ERR_REFUSED,
			       "a merge, rebase or the like goes on: finish it "
			       "with git first");
	return 0;
}

/* The tree without any files, that an unborn branch has. */
static struct oid empty_tree(void)
{
	git_oid id;

	(void)git_odb_hash(&id, "", 0, GIT_OBJECT_TREE); /* of no bytes: cannot fail */
	return oid_from_git(&id);
}

int source_commit(struct repo *repo, const struct source_commit *commit, bool *changed,
		  struct oid *out, struct err *err)
{
	struct oid tree, before = empty_tree();
	struct work_lock lock;
	struct place place;
	int rc;

	if (check_state(repo, err) != 0 || source_mend(repo, err) != 0 ||
	    place_find(repo, commit, &place, err) != 0)
		return -1;
	if (place.born)
		before = place.tree;
	rc = work_lock_take(&lock, repo, place.ref, err);
	if (rc == 0) {
		rc = stage(repo, &lock, &place, commit, &tree, err);
		if (rc == 0) {
			*changed = !oid_equal(&tree, &before);
			if (*changed)
				rc = place_commit(repo, &lock, &place, commit, &tree, out, err);
		}
		work_lock_release(&lock);
	}
	free(place.ref);
	return rc;
}

/* libgit2 tells of a file in the way before it changes anything. */
static int on_conflict(git_checkout_notify_t why, const char *path, const git_diff_file *baseline,
		       const git_diff_file *target, const git_diff_file *workdir, void *arg)
{
	(void)why, (void)baseline, (void)target, (void)workdir; /* only conflicts are asked for */
	(void)err_set(
		arg, ERR_REFUSED,
		"%.200s: is not under git, and in the way of a file of that name: move it away",
		path);
	return GIT_EUSER;
}

/*
 * The work tree and the index get the files of TREE; what is not in it goes, but what is not under
 * git stays.
 */
static int checkout(struct repo *repo, const struct oid *tree, struct err *err)
{
	git_checkout_options options;
	git_oid id = oid_to_git(tree);
	git_object *object = NULL;
	int rc = git_checkout_options_init(&options, GIT_CHECKOUT_OPTIONS_VERSION);

	options.checkout_strategy = GIT_CHECKOUT_SAFE;
	options.notify_flags = GIT_CHECKOUT_NOTIFY_CONFLICT;
	options.notify_cb = on_conflict;
	options.notify_payload = err;
	if (rc == 0)
		rc = git_object_lookup(&object, repo_git2(repo), &id, GIT_OBJECT_TREE);
	if (rc == 0)
		rc = git_checkout_tree(repo_git2(repo), object, &options);
	git_object_free(object);
	if (rc == GIT_EUSER)
		return -1;
	return rc == 0 ? 0 : git_err(err, rc, "work tree");
}

/* Whether the work tree or the index differs from HEAD, by FLAGS of libgit2's status. */
static int differs(struct repo *repo, unsigned flags, bool *out, struct err *err)
{
	git_status_options options;
	git_status_list *list;
	int rc;

	if (source_mend(repo, err) != 0)
		return -1;
	rc = git_status_options_init(&options, GIT_STATUS_OPTIONS_VERSION);
	options.show = GIT_STATUS_SHOW_INDEX_AND_WORKDIR;
	options.flags = flags | GIT_STATUS_OPT_EXCLUDE_SUBMODULES;
	if (rc == 0)
		rc = git_status_list_new(&list, repo_git2(repo), &options);
	if (rc != 0)
		return git_err(err, rc, "work tree");
	*out = git_status_list_entrycount(list) > 0;
	git_status_list_free(list);
	return 0;
}

int source_commit_tree(struct repo *repo, const struct source_commit *commit,
		       const struct oid *files_of, bool *changed, struct oid *out, struct err *err)
{
	struct work_lock lock;
	struct place place;
	struct links links;
	bool dirty;
	int rc;

	if (check_state(repo, err) != 0 || differs(repo, 0, &dirty, err) != 0)
		return -1;
	if (dirty)
		return err_set(err, ERR_REFUSED,
			       "the work tree has changes that are not committed: commit them, or "
			       "put them away with git stash");
	if (object_links(repo, files_of, GIT_OBJECT_COMMIT, &links, err) != 0 ||
	    place_find(repo, commit, &place, err) != 0)
		return -1;
	if (place.born && oid_equal(&links.tree, &place.tree)) {
		*changed = false;
		free(place.ref);
		return 0;
	}
	/* the files first: a kill in between leaves changes that can be seen, not a commit that
	 * seems undone */
	rc = work_lock_take(&lock, repo, place.ref, err);
	if (rc == 0) {
		rc = checkout(repo, &links.tree, err);
		if (rc == 0)
			rc = work_lock_put_index(&lock, err);
		if (rc == 0)
			rc = place_commit(repo, &lock, &place, commit, &links.tree, out, err);
		if (rc == 0)
			*changed = true;
		work_lock_release(&lock);
	}
	free(place.ref);
	return rc;
}

/* --- the work tree --- */

int source_changed(struct repo *repo, bool *out, struct err *err)
{
	return differs(repo, GIT_STATUS_OPT_INCLUDE_UNTRACKED, out, err);
}

/* Adds one file of the work tree. */
static int read_file(int dirfd, const char *path, uint32_t mode, size_t *total, struct fileset *out,
		     struct err *err)
{
	struct buf data;
	int rc;

	if (mode != FILE_PLAIN && mode != FILE_EXEC)
		return err_set(err, ERR_REFUSED, "%s: mode %o is not allowed", path,
			       (unsigned)mode);
	if (out->count >= LIMIT_TREE_FILES)
		return err_set(err, ERR_REFUSED, "more than %u files", LIMIT_TREE_FILES);
	buf_init(&data, LIMIT_FILE_SIZE);
	rc = fs_read(dirfd, path, &data, err);
	/* root put it there, with the umask that secrets have */
	if (rc != 0 && err->code == ERR_DENIED)
		rc = err_set(
			err, ERR_DENIED,
			"%s: user %lu, whose work tree it is in, may not read it: give it to him",
			path, (unsigned long)geteuid());
	*total += data.len;
	if (rc == 0 && *total > LIMIT_TREE_SIZE)
		rc = err_set(err, ERR_REFUSED, "files of more than %u bytes together",
			     LIMIT_TREE_SIZE);
	if (rc == 0)
		rc = fileset_add(out, path, mode, data.data, data.len, err);
	buf_clear(&data);
	return rc;
}

/* What the index and the work tree hold, as one list. */
static int list_files(struct repo *repo, git_diff **out, struct err *err)
{
	git_diff_options options;
	git_index *index = NULL;
	int rc = git_diff_options_init(&options, GIT_DIFF_OPTIONS_VERSION);

	if (rc != 0)
		return git_err(err, rc, "work tree");
	if (index_open(repo, &index, err) != 0)
		return -1;
	options.flags = GIT_DIFF_INCLUDE_UNTRACKED | GIT_DIFF_RECURSE_UNTRACKED_DIRS |
			GIT_DIFF_INCLUDE_UNMODIFIED | GIT_DIFF_INCLUDE_TYPECHANGE |
			GIT_DIFF_INCLUDE_UNREADABLE | GIT_DIFF_SKIP_BINARY_CHECK;
	rc = git_diff_index_to_workdir(out, repo_git2(repo), index, &options);
	git_index_free(index);
	return rc == 0 ? 0 : git_err(err, rc, "work tree");
}

int source_read(struct repo *repo, struct fileset *out, struct err *err)
{
	const char *root = git_repository_workdir(repo_git2(repo));
	git_diff *diff;
	size_t total = 0;
	int fd, rc = 0;

	if (!root)
		return err_set(err, ERR_REFUSED, "%s has no work tree", repo_path(repo));
	if (list_files(repo, &diff, err) != 0)
		return -1;
	if (fs_open_dir(AT_FDCWD, root, &fd, err) != 0) {
		git_diff_free(diff);
		return -1;
	}
	for (size_t i = 0; rc == 0 && i < git_diff_num_deltas(diff); i++) {
		const git_diff_delta *delta = git_diff_get_delta(diff, i);

		if (delta->status != GIT_DELTA_DELETED)
			rc = read_file(fd, delta->new_file.path, delta->new_file.mode, &total, out,
				       err);
	}
	(void)close(fd); /* only a folder */
	git_diff_free(diff);
	if (rc != 0)
		fileset_clear(out);
	return rc;
}
