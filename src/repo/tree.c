/* Trees of git as sets of files: see tree.h. */
#include "repo/tree.h"

#include "core/limits.h"
#include "core/text.h"
#include "repo/object.h"

#include <stdlib.h>
#include <string.h>

struct tree_reader tree_reader_of(const void *raw, size_t n)
{
	return (struct tree_reader){.rest = cursor_of(raw, n)};
}

/* A string that ends in END at the cursor, which is consumed; N is its length without END. */
static const char *text_until(struct cursor *c, char end, size_t *n)
{
	const uint8_t *stop = c->left ? memchr(c->at, end, c->left) : NULL;

	if (!stop)
		return NULL;
	*n = (size_t)(stop - c->at);
	return (const char *)cursor_bytes(c, *n + 1);
}

/* The mode of its digits as git writes them, or 0. */
static uint32_t mode_of(const char *digits, size_t n)
{
	static const struct {
		const char *digits;
		uint32_t mode;
	} modes[] = {{"100644", FILE_PLAIN}, {"100755", FILE_EXEC}, {"40000", TREE_FOLDER}};

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (n == strlen(modes[i].digits) && memcmp(digits, modes[i].digits, n) == 0)
			return modes[i].mode;
	return 0;
}

/* Git's order of entries: by bytes, as if a folder's name ended in '/'. */
static int entry_order(const char *a, uint32_t a_mode, const char *b, uint32_t b_mode)
{
	size_t n = 0;
	unsigned char x, y;

	while (a[n] && a[n] == b[n])
		n++;
	x = (unsigned char)(a[n] || a_mode != TREE_FOLDER ? a[n] : '/');
	y = (unsigned char)(b[n] || b_mode != TREE_FOLDER ? b[n] : '/');
	return (x > y) - (x < y);
}

int tree_next(struct tree_reader *reader, struct tree_entry *out, struct err *err)
{
	struct cursor *c = &reader->rest;
	const char *digits, *name = NULL;
	const uint8_t *id = NULL;
	size_t n = 0, name_len;
	const char *folder = reader->folder ? reader->folder : "";
	int folder_len = (int)reader->folder_len; /* at most LIMIT_PATH */

	if (cursor_done(c))
		return 0;
	digits = text_until(c, ' ', &n);
	if (digits)
		name = text_until(c, '\0', &name_len);
	if (name)
		id = cursor_bytes(c, OID_SIZE);
	if (!id)
		return err_set(err, ERR_CORRUPT, "%.*s%stree is cut off", folder_len, folder,
			       *folder ? ": " : "");
	if (strchr(name, '/') || !fileset_path_valid(name))
		return err_set(err, ERR_REFUSED, "\"%.*s%.80s\" is no name for a file", folder_len,
			       folder, name);
	*out = (struct tree_entry){.name = name, .mode = mode_of(digits, n)};
	if (!out->mode)
		return err_set(err, ERR_REFUSED, "%.*s%s: mode %.*s is not allowed", folder_len,
			       folder, name, (int)(n < 12 ? n : 12), digits);
	memcpy(out->oid.id, id, OID_SIZE);
	if (oid_is_zero(&out->oid))
		return err_set(err, ERR_CORRUPT, "%.*s%s: names no object", folder_len, folder,
			       name);
	if (reader->last && entry_order(reader->last, reader->last_mode, name, out->mode) >= 0)
		return err_set(err, ERR_CORRUPT, "%.*s%s: is out of order or there twice",
			       folder_len, folder, name);
	reader->last = name;
	reader->last_mode = out->mode;
	return 1;
}

/* What a walk over a tree has used up. */
struct reading {
	struct repo *repo;
	struct fileset *out;
	size_t total; /* bytes of files */
	size_t trees; /* bytes of trees: a tree that names one below twice, many times over, ends
			 here */
	char path[LIMIT_PATH + 2]; /* of the entry at hand */
};

static int read_file(struct reading *r, const struct tree_entry *entry, struct err *err)
{
	git_odb_object *object;
	git_object_t type;
	size_t size;
	int rc;

	if (object_header(r->repo, &entry->oid, &type, &size, err) != 0)
		return err_prefix(err, "%s", r->path);
	if (type != GIT_OBJECT_BLOB)
		return err_set(err, ERR_CORRUPT, "%s: is not a file", r->path);
	if (r->out->count >= LIMIT_TREE_FILES)
		return err_set(err, ERR_REFUSED, "more than %u files", LIMIT_TREE_FILES);
	r->total +=
		size; /* cannot wrap: each is below the limit of a file, and the sum is checked */
	if (r->total > LIMIT_TREE_SIZE)
		return err_set(err, ERR_REFUSED, "files of more than %u bytes together",
			       LIMIT_TREE_SIZE);
	if (object_body(r->repo, &entry->oid, &object, err) != 0)
		return err_prefix(err, "%s", r->path);
	rc = fileset_add(r->out, r->path, entry->mode, git_odb_object_data(object),
			 git_odb_object_size(object), err);
	git_odb_object_free(object);
	return rc;
}

static int read_folder(struct reading *r, const struct oid *tree, size_t prefix, struct err *err);

static int read_entry(struct reading *r, const struct tree_entry *entry, size_t prefix,
		      struct err *err)
{
	size_t n = strlen(entry->name);

	if (prefix + n > LIMIT_PATH)
		return err_set(err, ERR_REFUSED, "%.*s%.40s…: path is longer than %u bytes",
			       (int)prefix, r->path, entry->name, LIMIT_PATH);
	memcpy(r->path + prefix, entry->name, n + 1);
	if (entry->mode != TREE_FOLDER)
		return read_file(r, entry, err);
	/* a file of that name comes before the folder in git's order */
	if (fileset_find(r->out, r->path))
		return err_set(err, ERR_CORRUPT, "%s: is a file and a folder", r->path);
	r->path[prefix + n] = '/';
	r->path[prefix + n + 1] = '\0';
	return read_folder(r, &entry->oid, prefix + n + 1, err);
}

/* The path's first PREFIX bytes are those of the folder; its length bounds the recursion. */
static int read_folder(struct reading *r, const struct oid *tree, size_t prefix, struct err *err)
{
	struct tree_reader reader;
	struct tree_entry entry;
	git_odb_object *object;
	int rc;

	if (prefix > LIMIT_PATH)
		return err_set(err, ERR_REFUSED, "%s: path is longer than %u bytes", r->path,
			       LIMIT_PATH);
	if (object_read(r->repo, tree, GIT_OBJECT_TREE, &object, err) != 0)
		return prefix ? err_prefix(err, "%.*s", (int)prefix, r->path) : -1;
	reader = tree_reader_of(git_odb_object_data(object), git_odb_object_size(object));
	/* the path's first bytes stay as they are while this folder is read */
	reader.folder = r->path;
	reader.folder_len = prefix;
	r->trees += git_odb_object_size(object);
	if (r->trees > 2 * TREE_OBJECT_SIZE)
		rc = err_set(err, ERR_REFUSED, "folders of more than %u entries", LIMIT_TREE_FILES);
	else if (prefix && git_odb_object_size(object) == 0)
		/* git does not write one, and the digest of the files would not notice it */
		rc = err_set(err, ERR_REFUSED, "%.*s: folder is empty", (int)prefix, r->path);
	else
		while ((rc = tree_next(&reader, &entry, err)) == 1 &&
		       (rc = read_entry(r, &entry, prefix, err)) == 0)
			;
	git_odb_object_free(object);
	return rc;
}

int tree_read(struct repo *repo, const struct oid *tree, struct fileset *out, struct err *err)
{
	struct reading r = {.repo = repo, .out = out};
	int rc = read_folder(&r, tree, 0, err);

	if (rc != 0)
		fileset_clear(out);
	return rc;
}

int tree_read_commit(struct repo *repo, const struct oid *commit, struct fileset *out,
		     struct err *err)
{
	struct links links;

	if (object_links(repo, commit, GIT_OBJECT_COMMIT, &links, err) != 0)
		return -1;
	return tree_read(repo, &links.tree, out, err);
}

static void put_entry(struct buf *tree, const char *name, size_t n, uint32_t mode,
		      const struct oid *oid)
{
	buf_printf(tree, "%o ", (unsigned)mode);
	buf_put(tree, name, n);
	buf_put_u8(tree, 0);
	buf_put(tree, oid->id, OID_SIZE);
}

/* The files of a set that are below one folder: those with the same first bytes stand together. */
struct run {
	const struct fileset *set;
	size_t first, end; /* which files */
	size_t prefix;     /* bytes of the folder's path, with its '/' */
};

static int write_folder(struct repo *repo, struct run run, struct oid *out, struct err *err);

/* Writes the folder that begins at RUN's first file, and moves RUN past it. */
static int write_below(struct repo *repo, struct run *run, struct buf *tree, struct err *err)
{
	const char *path = run->set->files[run->first].path;
	size_t n = (size_t)(strchr(path + run->prefix, '/') - path);
	struct run below = {.set = run->set, .first = run->first, .prefix = n + 1};
	char *folder = text_copy_n(path, n);
	struct oid oid;
	int rc = 0;

	while (run->first < run->end && strncmp(run->set->files[run->first].path, path, n + 1) == 0)
		run->first++;
	below.end = run->first;
	if (fileset_find(run->set, folder))
		rc = err_set(err, ERR_REFUSED, "%s: is a file and a folder", folder);
	free(folder);
	if (rc == 0)
		rc = write_folder(repo, below, &oid, err);
	if (rc == 0)
		put_entry(tree, path + run->prefix, n - run->prefix, TREE_FOLDER, &oid);
	return rc;
}

/* The order of the set, by whole paths, is git's order of entries. */
static int write_folder(struct repo *repo, struct run run, struct oid *out, struct err *err)
{
	struct buf tree;
	int rc = 0;

	buf_init(&tree, TREE_OBJECT_SIZE);
	while (rc == 0 && run.first < run.end) {
		const struct file *file = run.set->files + run.first;
		const char *name = file->path + run.prefix;
		struct oid oid;

		if (strchr(name, '/')) {
			rc = write_below(repo, &run, &tree, err);
			continue;
		}
		rc = object_write(repo, GIT_OBJECT_BLOB, file->data, file->size, &oid, err);
		if (rc == 0)
			put_entry(&tree, name, strlen(name), file->mode, &oid);
		run.first++;
	}
	if (rc == 0 && tree.failed)
		rc = err_set(err, ERR_REFUSED, "a folder with too many files");
	if (rc == 0)
		rc = object_write(repo, GIT_OBJECT_TREE, tree.len ? tree.data : (const void *)"",
				  tree.len, out, err);
	buf_clear(&tree);
	return rc;
}

int tree_write(struct repo *repo, const struct fileset *set, struct oid *out, struct err *err)
{
	return write_folder(repo, (struct run){.set = set, .end = set->count}, out, err);
}
