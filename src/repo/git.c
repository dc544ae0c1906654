/* libgit2, set up and wrapped: see git.h. */
#include "repo/git.h"

#include "core/fs.h"
#include "core/limits.h"
#include "core/mapped.h"
#include "core/text.h"
#include "repo/object.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { REF_DEPTH = 16 }; /* folders within each other below refs/ */

struct repo {
	git_repository *git;
	git_odb *odb;
};

void git_setup(void)
{
	static const int levels[] = {GIT_CONFIG_LEVEL_PROGRAMDATA, GIT_CONFIG_LEVEL_SYSTEM,
				     GIT_CONFIG_LEVEL_XDG, GIT_CONFIG_LEVEL_GLOBAL};
	int rc = git_libgit2_init() < 0 ? -1 : 0;

	mapped_setup(); /* it maps what it reads */
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
		rc |= git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, levels[i], "");
	rc |= git_libgit2_opts(GIT_OPT_ENABLE_FSYNC_GITDIR, 1);
	rc |= git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 1);
	rc |= git_libgit2_opts(GIT_OPT_ENABLE_STRICT_OBJECT_CREATION, 1);
	rc |= git_libgit2_opts(GIT_OPT_ENABLE_STRICT_HASH_VERIFICATION, 1);
	/* every object is read once: a cache would only grow the daemon */
	rc |= git_libgit2_opts(GIT_OPT_ENABLE_CACHING, 0);
	rc |= git_libgit2_opts(GIT_OPT_SET_PACK_MAX_OBJECTS, (size_t)LIMIT_PACK_OBJECTS);
#if defined(HAVE_DECL_GIT_OPT_SET_PACK_MAX_OBJECT_SIZE) &&                                         \
	HAVE_DECL_GIT_OPT_SET_PACK_MAX_OBJECT_SIZE
	/* not in every libgit2 1.5: a delta that would unpack to more is refused before it does */
	rc |= git_libgit2_opts(GIT_OPT_SET_PACK_MAX_OBJECT_SIZE, (size_t)LIMIT_FILE_SIZE);
#endif
	assert(rc == 0);
	(void)rc;
}

/* libgit2 keeps no errno; its sentence ends in the text of one. */
static enum err_code code_of_os(const char *sentence)
{
	static const struct {
		int number;
		enum err_code code;
	} known[] = {
		{ENOSPC, ERR_FULL},  {EDQUOT, ERR_FULL},  {EFBIG, ERR_FULL},  {EACCES, ERR_DENIED},
		{EPERM, ERR_DENIED}, {EROFS, ERR_DENIED}, {ENOENT, ERR_GONE},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (text_ends(sentence, strerror(known[i].number)))
			return known[i].code;
	return ERR_RETRY;
}

static enum err_code code_of_class(const git_error *last)
{
	switch (last ? last->klass : GIT_ERROR_NONE) {
	case GIT_ERROR_OS:
	case GIT_ERROR_FILESYSTEM:
		return code_of_os(last->message);
	case GIT_ERROR_ZLIB:
	case GIT_ERROR_ODB:
	case GIT_ERROR_OBJECT:
	case GIT_ERROR_TREE:
	case GIT_ERROR_TAG:
	case GIT_ERROR_INDEXER:
		return ERR_CORRUPT;
	case GIT_ERROR_INVALID:
	case GIT_ERROR_CONFIG:
		return ERR_REFUSED;
	default:
		return ERR_RETRY;
	}
}

static enum err_code code_of(int code, const git_error *last)
{
	switch (code) {
	case GIT_ENOTFOUND:
	case GIT_EUNBORNBRANCH:
		return ERR_GONE;
	case GIT_EOWNER:
	case GIT_EAUTH:
	case GIT_ECERTIFICATE:
		return ERR_DENIED;
	case GIT_EMISMATCH:
		return ERR_CORRUPT;
	case GIT_ELOCKED:
	case GIT_EMODIFIED:
	case GIT_EEXISTS:
		return ERR_RETRY;
	case GIT_EAMBIGUOUS:
	case GIT_EINVALIDSPEC:
	case GIT_EPEEL:
	case GIT_EBAREREPO:
	case GIT_EUNMERGED:
	case GIT_EINVALID:
		return ERR_REFUSED;
	default:
		return code_of_class(last);
	}
}

int git_err(struct err *err, int code, const char *fmt, ...)
{
	const git_error *last = git_error_last();
	const char *sentence = last && last->message ? last->message : "failed without a reason";
	char what[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap); /* cut is fine */
	va_end(ap);
	return err_set(err, code > 0 ? (enum err_code)code : code_of(code, last), "%s: %s", what,
		       sentence);
}

int repo_open(const char *path, struct repo **out, struct err *err)
{
	struct repo *repo = mem_new(1, sizeof(*repo));
	/* not the repository of a folder above, nor one that the environment names */
	int rc = git_repository_open_ext(&repo->git, path, GIT_REPOSITORY_OPEN_NO_SEARCH, NULL);

	if (rc == 0)
		rc = git_repository_odb(&repo->odb, repo->git);
	if (rc != 0) {
		const git_error *last = git_error_last();

		/* libgit2 1.5 says so when the owner is another and no configuration allows it */
		if (rc == GIT_EOWNER || (last && last->klass == GIT_ERROR_CONFIG &&
					 strstr(last->message, "safe.directory")))
			(void)err_set(err, ERR_DENIED, "%s: belongs to another user", path);
		else
			(void)git_err(err, rc, "%s", path);
		repo_free(repo);
		return -1;
	}
	*out = repo;
	return 0;
}

/* Writes FILE unless there is one. */
static int write_missing(int dirfd, const char *file, const char *text, struct err *err)
{
	if (faccessat(dirfd, file, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	return fs_write_atomic(dirfd, file, text, strlen(text), 0644, err);
}

/*
 * What git needs to take a folder for a repository, and nothing else. HEAD comes last, when all
 * else is synced: where it is, there is nothing to do.
 */
static int make_layout(int dirfd, const char *config, struct err *err)
{
	static const char *const folders[] = {"objects/info", "objects/pack", "refs/heads",
					      "refs/tags"};
	bool whole = faccessat(dirfd, "HEAD", F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
		     faccessat(dirfd, "config", F_OK, AT_SYMLINK_NOFOLLOW) == 0;

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		whole = whole && faccessat(dirfd, folders[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	if (whole)
		return 0;
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		if (fs_make_dirs(dirfd, folders[i], 0755, err) != 0)
			return -1;
	if (fs_sync(dirfd, "objects", err) != 0 || fs_sync(dirfd, "refs", err) != 0 ||
	    fs_sync(dirfd, "..", err) != 0 ||
	    write_missing(dirfd, "config", config, err) != 0)
		return -1;
	return write_missing(dirfd, "HEAD", "ref: refs/heads/main\n", err);
}

/* PATH is the folder of the repository itself. */
static int make_at(const char *path, const char *config, struct err *err)
{
	int fd, rc;

	if (fs_make_dirs(AT_FDCWD, path, 0700, err) != 0 ||
	    fs_open_dir(AT_FDCWD, path, &fd, err) != 0)
		return -1;
	rc = make_layout(fd, config, err);
	(void)close(fd); /* only a folder */
	return rc == 0 ? 0 : err_prefix(err, "%s", path);
}

int repo_make_bare(const char *path, struct err *err)
{
	return make_at(
		path, "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n",
		err);
}

int repo_init_bare(const char *path, struct repo **out, struct err *err)
{
	return repo_make_bare(path, err) == 0 ? repo_open(path, out, err) : -1;
}

int repo_init_worktree(const char *path, struct repo **out, struct err *err)
{
	char *folder = text_format("%s/.git", path);
	int rc = make_at(folder,
			 "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n"
			 "\tbare = false\n\tlogallrefupdates = true\n",
			 err);

	free(folder);
	return rc == 0 ? repo_open(path, out, err) : rc;
}

void repo_free(struct repo *repo)
{
	if (!repo)
		return;
	git_odb_free(repo->odb);
	git_repository_free(repo->git);
	free(repo);
}

const char *repo_path(const struct repo *repo)
{
	return git_repository_path(repo->git);
}

git_repository *repo_git2(struct repo *repo)
{
	return repo->git;
}

git_odb *repo_odb(struct repo *repo)
{
	return repo->odb;
}

int repo_ref_get(struct repo *repo, const char *ref, struct oid *out, struct err *err)
{
	git_oid id;
	int rc = git_reference_name_to_id(&id, repo->git, ref);

	if (rc != 0)
		return git_err(err, rc, "ref %.200s", ref);
	*out = oid_from_git(&id);
	return 0;
}

int ref_is_at(struct repo *repo, const char *ref, const struct oid *old, struct err *err)
{
	git_reference *now = NULL;
	struct oid id = {{0}};
	int rc = git_reference_lookup(&now, repo->git, ref);

	if (rc == GIT_ENOTFOUND)
		return old ? err_set(err, ERR_RETRY, "ref %s: is gone", ref) : 0;
	if (rc != 0)
		return git_err(err, rc, "ref %s", ref);
	rc = git_reference_type(now) == GIT_REFERENCE_DIRECT ? 0 : -1;
	if (rc == 0)
		id = oid_from_git(git_reference_target(now));
	git_reference_free(now);
	if (rc != 0)
		return err_set(err, ERR_REFUSED, "ref %s: is symbolic", ref);
	if (!old)
		return err_set(err, ERR_RETRY, "ref %s: exists already", ref);
	if (!oid_equal(&id, old))
		return err_set(err, ERR_RETRY, "ref %s: was moved by another", ref);
	return 0;
}

/* Under the ref's lock file, which stock git honours too: compare, then set. */
static int ref_swap(struct repo *repo, git_transaction *tx, const char *ref, const struct oid *old,
		    const git_oid *id, struct err *err)
{
	git_signature *who = NULL;
	int rc = git_transaction_lock_ref(tx, ref);

	if (rc != 0)
		return git_err(err, rc, "ref %s", ref);
	if (ref_is_at(repo, ref, old, err) != 0)
		return -1;
	rc = git_signature_now(&who, "muster",
			       "muster@localhost"); /* for the reflog of a work tree */
	if (rc == 0)
		rc = git_transaction_set_target(tx, ref, id, who, "muster: moved");
	if (rc == 0)
		rc = git_transaction_commit(tx);
	git_signature_free(who);
	return rc == 0 ? 0 : git_err(err, rc, "ref %s", ref);
}

/*
 * libgit2 syncs a file it writes and the file's folder, but not the one above, where that folder
 * may be new.
 */
static int sync_below(struct repo *repo, const char *folder, struct err *err)
{
	int fd, rc;

	if (fs_open_dir(AT_FDCWD, git_repository_commondir(repo->git), &fd, err) != 0)
		return -1;
	rc = fs_sync(fd, folder, err);
	(void)close(fd); /* only a folder */
	return rc;
}

int repo_sync_objects(struct repo *repo, struct err *err)
{
	return sync_below(repo, "objects", err);
}

int repo_ref_set(struct repo *repo, const char *ref, const struct oid *old, const struct oid *new,
		 struct err *err)
{
	git_oid id = oid_to_git(new);
	git_transaction *tx;
	int valid = 0, rc;

	if (!text_starts(ref, "refs/") || git_reference_name_is_valid(&valid, ref) != 0 || !valid)
		return err_set(err, ERR_REFUSED, "\"%.100s\" is no name for a ref", ref);
	if (!git_odb_exists(repo->odb, &id))
		return err_set(err, ERR_GONE, "ref %s: object %s does not exist", ref,
			       git_oid_tostr_s(&id));
	if (sync_below(repo, "objects", err) != 0)
		return -1;
	rc = git_transaction_new(&tx, repo->git);
	if (rc != 0)
		return git_err(err, rc, "ref %s", ref);
	rc = ref_swap(repo, tx, ref, old, &id, err);
	git_transaction_free(tx);
	return rc == 0 && !old ? sync_below(repo, "refs", err) : rc;
}

/* The refs of a walk. */
struct ref_list {
	struct ref_entry {
		char *name;
		struct oid oid;
	} * refs;
	size_t count, cap;
};

static void ref_list_add(struct ref_list *list, const char *name, const git_oid *id)
{
	if (list->count == list->cap) {
		list->cap = list->cap ? list->cap * 2 : 16;
		list->refs = mem_grow(list->refs, list->cap, sizeof(*list->refs));
	}
	list->refs[list->count++] =
		(struct ref_entry){.name = text_copy(name), .oid = oid_from_git(id)};
}

static int ref_order(const void *a, const void *b)
{
	return strcmp(((const struct ref_entry *)a)->name, ((const struct ref_entry *)b)->name);
}

static int ref_list_read(struct repo *repo, const char *prefix, struct ref_list *list)
{
	git_reference_iterator *it;
	git_reference *ref;
	int rc = git_reference_iterator_new(&it, repo->git);

	if (rc != 0)
		return rc;
	while ((rc = git_reference_next(&ref, it)) == 0) {
		if (git_reference_type(ref) == GIT_REFERENCE_DIRECT &&
		    text_starts(git_reference_name(ref), prefix))
			ref_list_add(list, git_reference_name(ref), git_reference_target(ref));
		git_reference_free(ref);
	}
	git_reference_iterator_free(it);
	return rc == GIT_ITEROVER ? 0 : rc;
}

int repo_ref_each(struct repo *repo, const char *prefix,
		  int (*fn)(void *arg, const char *ref, const struct oid *oid), void *arg,
		  struct err *err)
{
	struct ref_list list = {0};
	int rc = ref_list_read(repo, prefix, &list);

	if (rc != 0)
		rc = git_err(err, rc, "refs below %s", prefix);
	else if (list.count > 0)
		qsort(list.refs, list.count, sizeof(*list.refs), ref_order);
	for (size_t i = 0; i < list.count; i++) {
		if (rc == 0)
			rc = fn(arg, list.refs[i].name, &list.refs[i].oid);
		free(list.refs[i].name);
	}
	free(list.refs);
	return rc;
}

int repo_resolve(struct repo *repo, const char *rev, struct oid *out, struct err *err)
{
	const char *where = git_repository_workdir(repo->git); /* NULL: it is bare */
	git_object *object = NULL, *commit = NULL;
	int rc = git_revparse_single(&object, repo->git, rev);

	if (rc == 0)
		rc = git_object_peel(&commit, object, GIT_OBJECT_COMMIT);
	if (rc == 0)
		*out = oid_from_git(git_object_id(commit));
	else if (rc == GIT_ENOTFOUND)
		(void)err_set(err, ERR_GONE,
			      "there is no revision \"%.100s\" in %s: git log there lists them",
			      rev, where ? where : git_repository_path(repo->git));
	else if (rc == GIT_EAMBIGUOUS)
		(void)err_set(err, ERR_REFUSED,
			      "revision \"%.100s\" could be several: give more digits", rev);
	else
		(void)git_err(err, rc, "revision \"%.100s\"", rev);
	git_object_free(commit);
	git_object_free(object);
	return rc == 0 ? 0 : -1;
}

int repo_descends(struct repo *repo, const struct oid *oid, const struct oid *ancestor, bool *out,
		  struct err *err)
{
	git_oid id = oid_to_git(oid), above = oid_to_git(ancestor);
	struct links links;
	int rc;

	/* libgit2 does not tell a missing commit from a damaged one */
	if (object_links(repo, oid, GIT_OBJECT_COMMIT, &links, err) != 0 ||
	    object_links(repo, ancestor, GIT_OBJECT_COMMIT, &links, err) != 0)
		return -1;
	/* nor does it count a commit among its own descendants */
	rc = oid_equal(oid, ancestor) ? 1 : git_graph_descendant_of(repo->git, &id, &above);
	if (rc < 0)
		return git_err(err, rc, "commit %.12s", git_oid_tostr_s(&id));
	*out = rc == 1;
	return 0;
}

int repo_commit_raw(struct repo *repo, const struct oid *oid, struct buf *out, struct err *err)
{
	char hex[OID_HEX_SIZE];
	git_odb_object *object;

	if (object_read(repo, oid, GIT_OBJECT_COMMIT, &object, err) != 0)
		return -1;
	buf_put(out, git_odb_object_data(object), git_odb_object_size(object));
	git_odb_object_free(object);
	if (out->failed)
		return err_set(err, ERR_REFUSED, "commit %.12s: does not fit %zu bytes",
			       oid_hex(oid, hex), out->max);
	return 0;
}

int repo_commit_id(const void *data, size_t size, struct oid *out, struct err *err)
{
	git_oid id;
	int rc = git_odb_hash(&id, data, size, GIT_OBJECT_COMMIT);

	if (rc != 0)
		return git_err(err, rc, "commit");
	*out = oid_from_git(&id);
	return 0;
}

int repo_commit_write(struct repo *repo, const void *data, size_t size, struct oid *out,
		      struct err *err)
{
	if (size > LIMIT_COMMIT_SIZE)
		return err_set(err, ERR_REFUSED, "commit of %zu bytes, over the limit of %u", size,
			       LIMIT_COMMIT_SIZE);
	return object_write(repo, GIT_OBJECT_COMMIT, data, size, out, err);
}

/* Removes *.lock below the folder FD, which is closed. */
static int remove_locks(int fd, unsigned depth, struct err *err)
{
	DIR *dir = fdopendir(fd);
	struct dirent *entry;
	int rc = 0;

	if (!dir) {
		rc = err_sys(err, "refs");
		(void)close(fd); /* only read */
		return rc;
	}
	while (rc == 0 && (entry = readdir(dir))) {
		int below;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		below = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (below >= 0 && depth > 0)
			rc = remove_locks(below, depth - 1, err);
		else if (below >= 0)
			(void)close(below); /* deeper than any ref of ours: let be */
		else if (text_ends(entry->d_name, ".lock") && unlinkat(fd, entry->d_name, 0) != 0 &&
			 errno != ENOENT)
			rc = err_sys(err, "%s", entry->d_name);
	}
	(void)closedir(dir); /* only read */
	return rc;
}

int repo_remove_stale_locks(struct repo *repo, struct err *err)
{
	int fd, refs, rc;

	if (fs_open_dir(AT_FDCWD, git_repository_commondir(repo->git), &fd, err) != 0)
		return -1;
	rc = fs_open_dir(fd, "refs", &refs, err);
	if (rc == 0)
		rc = remove_locks(refs, REF_DEPTH, err);
	if (rc == 0 && unlinkat(fd, "packed-refs.lock", 0) != 0 && errno != ENOENT)
		rc = err_sys(err, "packed-refs.lock");
	(void)close(fd); /* only a folder */
	return rc;
}
