/* Sealing what is to be committed: see authoring.h. */
#include "admin/authoring.h"

#include "admin/cycle.h"
#include "admin/state.h"
#include "config/merge.h"
#include "core/fs.h"
#include "core/limits.h"
#include "core/text.h"
#include "repo/source.h"
#include "repo/tree.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A sealed value and where it stands. */
struct value {
	char *path; /* canonical */
	char *text;
};

struct values {
	struct value *items;
	size_t count;
};

struct work {
	struct authoring *authoring;
	const struct fileset *files; /* NULL: the work tree with DATA as the file NAME */
	const char *name;
	const void *data;
	size_t len;
	struct model *model;
	bool known; /* the two below are read */
	struct values before, now;
};

bool authoring_seals(const char *path)
{
	return merge_uses(path) && strcmp(path, MERGE_MODEL_FILE) != 0;
}

/* --- values and their places --- */

static int take_value(void *arg, const char *path, const char *text)
{
	struct values *values = arg;

	if ((values->count & (values->count - 1)) == 0) /* doubled when it is a power of two */
		values->items = mem_grow(values->items, values->count ? 2 * values->count : 1,
					 sizeof(*values->items));
	values->items[values->count].path = text_copy(path);
	values->items[values->count++].text = text_copy(text);
	return 0;
}

static void values_clear(struct values *values)
{
	for (size_t i = 0; i < values->count; i++) {
		free(values->items[i].path);
		free(values->items[i].text);
	}
	free(values->items);
	*values = (struct values){0};
}

static bool values_have(const struct values *values, const char *path, const char *text)
{
	for (size_t i = 0; i < values->count; i++)
		if (strcmp(values->items[i].text, text) == 0 &&
		    strcmp(values->items[i].path, path) == 0)
			return true;
	return false;
}

/* Of one file; what is no configuration has none. */
static void values_of_file(const char *name, const void *data, size_t len,
			   const struct model *model, struct values *out)
{
	struct document *doc = NULL;

	if (document_parse(name, data, len, &doc, NULL) == 0)
		(void)seal_each(doc, model, take_value, out); /* never stops */
	seal_document_free(doc, model);
}

static void values_of(const struct fileset *files, const char *but, const struct model *model,
		      struct values *out)
{
	for (size_t i = 0; i < files->count; i++) {
		const struct file *file = files->files + i;

		if (authoring_seals(file->path) && (!but || strcmp(file->path, but) != 0))
			values_of_file(file->path, file->data, file->size, model, out);
	}
}

int authoring_published(const struct home *home, struct repo *repo, struct oid *out,
			struct err *err)
{
	struct admin_state state;
	bool published;

	if (state_read(home->var_fd, &state, NULL) != 0)
		return repo_ref_get(repo, ADMIN_MAIN, out, err);
	published = state.has_published;
	*out = state.source;
	state_clear(&state);
	return published ? 0 : repo_ref_get(repo, ADMIN_MAIN, out, err);
}

static int read_model(const struct fileset *files, struct model **out, struct err *err)
{
	const struct file *file = fileset_find(files, MERGE_MODEL_FILE);

	if (file)
		return model_parse(file->path, (const char *)file->data, file->size, out, err);
	*out = model_default();
	return 0;
}

/* Where sealed values stood when they were published, and where they stand now. */
static void learn_places(struct work *work)
{
	struct authoring *authoring = work->authoring;
	struct fileset files = {.count = 0};
	struct model *model = NULL;
	struct oid commit;

	work->known = true;
	if (work->files)
		values_of(work->files, NULL, work->model, &work->now);
	else if (authoring->repo && source_read(authoring->repo, &files, NULL) == 0)
		values_of(&files, work->name, work->model, &work->now);
	fileset_clear(&files);
	if (work->name)
		values_of_file(work->name, work->data, work->len, work->model, &work->now);
	/* without what was published nothing was moved, and the check tells what does not open */
	if (authoring->repo &&
	    authoring_published(authoring->home, authoring->repo, &commit, NULL) == 0 &&
	    tree_read_commit(authoring->repo, &commit, &files, NULL) == 0 &&
	    read_model(&files, &model, NULL) == 0)
		values_of(&files, NULL, model, &work->before);
	model_free(model);
	fileset_clear(&files);
}

/* A canonical path without its namespaces, for people. */
static char *for_people(const char *path)
{
	struct buf out;
	bool in_namespace = false;

	buf_init(&out, LIMIT_FILE_SIZE);
	for (const char *p = path; *p; p++) {
		bool escaped = *p == '\\' && p[1];

		if (!in_namespace && *p == '{' && p > path && p[-1] == '/')
			in_namespace = true;
		else if (in_namespace && *p == '}')
			in_namespace = false;
		else if (!in_namespace)
			buf_put(&out, p, escaped ? 2 : 1);
		p += escaped;
	}
	return (char *)buf_steal(&out, NULL);
}

static int on_moved(void *arg, const char *text, const char *path, struct buf *out)
{
	struct work *work = arg;
	struct authoring *authoring = work->authoring;
	struct authoring_move *move;

	if (!work->known)
		learn_places(work);
	for (size_t i = 0; i < work->before.count; i++) {
		const struct value *value = work->before.items + i;

		if (strcmp(value->text, text) != 0 ||
		    values_have(&work->now, value->path, text) ||
		    authoring->sealer->open(authoring->sealer->arg, SCOPE_CONFIG, value->path, text,
					    out, NULL) != 0)
			continue;
		authoring->moves = mem_grow(authoring->moves, authoring->move_count + 1,
					    sizeof(*authoring->moves));
		move = authoring->moves + authoring->move_count++;
		move->from = for_people(value->path);
		move->to = for_people(path);
		return 0;
	}
	return -1;
}

/* --- sealing --- */

/* What is wrong with a file is a finding; what is wrong with the machine is an error. */
static int seal_one(struct work *work, const char *name, const void *data, size_t len,
		    struct buf *out, bool *changed, struct findings *findings, struct err *err)
{
	const struct sealing how = {.model = work->model,
				    .sealer = work->authoring->sealer,
				    .renew = work->authoring->renew,
				    .moved = on_moved,
				    .arg = work};
	struct err why = {.code = ERR_NONE};

	if (seal_file(name, data, len, &how, out, changed, findings, &why) == 0)
		return 0;
	*changed = false;
	if (why.code == ERR_REFUSED || why.code == ERR_CORRUPT)
		findings_add(findings, "%s", why.text);
	else if (why.code != ERR_NONE)
		return err_set(err, why.code, "%s", why.text);
	return 0;
}

static void note_changed(struct authoring *authoring, const char *path)
{
	authoring->changed = mem_grow(authoring->changed, authoring->changed_count + 1,
				      sizeof(*authoring->changed));
	authoring->changed[authoring->changed_count++] = text_copy(path);
}

static int seal_in_place(struct work *work, struct file *file, struct findings *findings,
			 struct err *err)
{
	struct buf out;
	bool changed = false;
	int rc;

	buf_init(&out, LIMIT_XML_SIZE);
	rc = seal_one(work, file->path, file->data, file->size, &out, &changed, findings, err);
	if (rc == 0 && changed) {
		crypto_wipe(file->data, file->size);
		free(file->data);
		file->data = buf_steal(&out, &file->size);
		note_changed(work->authoring, file->path);
	}
	buf_clear(&out);
	return rc;
}

static void work_clear(struct work *work)
{
	model_free(work->model);
	values_clear(&work->before);
	values_clear(&work->now);
}

int authoring_seal(struct authoring *authoring, struct fileset *files, struct findings *findings,
		   struct err *err)
{
	struct work work = {.authoring = authoring, .files = files};
	size_t before = findings->count;
	int rc = read_model(files, &work.model, err);

	for (size_t i = 0; rc == 0 && i < files->count; i++)
		if (authoring_seals(files->files[i].path))
			rc = seal_in_place(&work, files->files + i, findings, err);
	work_clear(&work);
	return rc == 0 && findings->count > before ? -1 : rc;
}

/* The work tree's own model. */
static int read_work_model(const struct home *home, struct model **out, struct err *err)
{
	struct err why = {.code = ERR_NONE};
	struct buf text;
	int rc;

	buf_init(&text, LIMIT_SMALL_FILE);
	rc = fs_read(home->var_fd, ADMIN_SOURCE "/" MERGE_MODEL_FILE, &text, &why);
	if (rc == 0) {
		rc = model_parse(MERGE_MODEL_FILE, buf_text(&text), text.len, out, err);
	} else if (why.code == ERR_GONE) {
		*out = model_default();
		rc = 0;
	} else {
		(void)err_set(err, why.code, "%s", why.text);
	}
	buf_clear(&text);
	return rc;
}

int authoring_seal_file(struct authoring *authoring, const char *name, const void *data, size_t len,
			struct buf *out, struct findings *findings, struct err *err)
{
	struct work work = {.authoring = authoring, .name = name, .data = data, .len = len};
	size_t before = findings->count;
	bool changed;
	int rc = read_work_model(authoring->home, &work.model, err);

	if (rc == 0)
		rc = seal_one(&work, name, data, len, out, &changed, findings, err);
	work_clear(&work);
	return rc == 0 && findings->count > before ? -1 : rc;
}

/* The folder of the file PATH. */
static int sync_above(int dirfd, const char *path, struct err *err)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash ? text_copy_n(path, (size_t)(slash - path)) : text_copy(".");
	int rc = fs_sync(dirfd, folder, err);

	free(folder);
	return rc;
}

/*
 * Below .git first: what a kill leaves there is seen by nobody, where in the work tree it would be
 * a file to commit.
 */
static int write_below(int fd, const struct file *file, mode_t mode, struct err *err)
{
	char *written = text_format(".git/muster-%ld.new", (long)getpid());
	int rc = fs_remove_tree(fd, written, err);

	if (rc == 0)
		rc = fs_write_new(fd, written, file->data, file->size, mode, err);
	if (rc == 0 && renameat(fd, written, fd, file->path) != 0)
		rc = err_sys(err, "%s", file->path);
	if (rc == 0)
		rc = sync_above(fd, file->path, err);
	free(written);
	return rc;
}

int authoring_write(const struct home *home, const struct fileset *files, const char *path,
		    struct err *err)
{
	const struct file *file = fileset_find(files, path);
	struct stat st;
	int fd, rc;

	if (fs_open_dir(home->var_fd, ADMIN_SOURCE, &fd, err) != 0)
		return -1;
	rc = fstatat(fd, path, &st, AT_SYMLINK_NOFOLLOW);
	if (rc != 0)
		rc = err_sys(err, "%s", path);
	else
		rc = write_below(fd, file, st.st_mode & 0777, err);
	(void)close(fd); /* a folder */
	return rc;
}

static bool same(const struct file *a, const struct file *b)
{
	return a && b && a->mode == b->mode && a->size == b->size &&
	       memcmp(a->data, b->data, a->size) == 0;
}

int authoring_untouched(const struct fileset *work, const struct fileset *head,
			const struct fileset *sealed, struct err *err)
{
	const char *path = NULL;

	for (size_t i = 0; !path && i < work->count; i++) {
		const struct file *file = work->files + i;

		if (!same(file, fileset_find(head, file->path)) &&
		    !same(file, fileset_find(sealed, file->path)))
			path = file->path;
	}
	for (size_t i = 0; !path && i < head->count; i++)
		if (!fileset_find(work, head->files[i].path))
			path = head->files[i].path;
	return path ? err_set(err, ERR_REFUSED,
			      "%s: has changes that are not committed: commit them first, then go "
			      "on",
			      path)
		    : 0;
}

void authoring_clear(struct authoring *authoring)
{
	for (size_t i = 0; i < authoring->changed_count; i++)
		free(authoring->changed[i]);
	for (size_t i = 0; i < authoring->move_count; i++) {
		free(authoring->moves[i].from);
		free(authoring->moves[i].to);
	}
	free(authoring->changed);
	free(authoring->moves);
	authoring->changed = NULL;
	authoring->moves = NULL;
	authoring->changed_count = authoring->move_count = 0;
}
