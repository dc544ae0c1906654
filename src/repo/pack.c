/* Packs: see pack.h. */
#include "repo/pack.h"

#include "core/limits.h"
#include "repo/object.h"
#include "repo/oidset.h"
#include "repo/tree.h"

#include <string.h>

enum { TAG_DEPTH = 4 }; /* tags that name tags: ours never do */

/* --- what a release reaches --- */

/* A walk from a release back to one that is known; objects of the known one's files are not met. */
struct walk {
	struct repo *repo;
	struct oidset seen;    /* what was met, and what is known */
	size_t open;           /* bytes of the trees being read, one within the other */
	git_packbuilder *pack; /* where what is met goes; NULL: it is only looked at */
	bool marking;          /* what is met is known: nothing is done but to remember it */
};

static int meet(struct walk *w, const struct oid *oid, git_object_t type, const char *name,
		struct err *err)
{
	git_oid id = oid_to_git(oid);
	git_object_t got;
	size_t size;
	int rc;

	if (w->seen.count > LIMIT_PACK_OBJECTS)
		return err_set(err, ERR_REFUSED, "more than %u objects", LIMIT_PACK_OBJECTS);
	if (w->marking)
		return 0;
	if (object_header(w->repo, oid, &got, &size, err) != 0)
		return -1;
	if (got != type)
		return err_set(err, ERR_CORRUPT, "object %.12s is a %s, not a %s",
			       git_oid_tostr_s(&id), git_object_type2string(got),
			       git_object_type2string(type));
	rc = w->pack ? git_packbuilder_insert(w->pack, &id, name) : 0;
	return rc == 0 ? 0 : git_err(err, rc, "object %.12s", git_oid_tostr_s(&id));
}

static int walk_tree(struct walk *w, const struct oid *tree, const char *name, size_t prefix,
		     struct err *err);

static int walk_entry(struct walk *w, const struct tree_entry *entry, size_t prefix,
		      struct err *err)
{
	prefix += strlen(entry->name) + 1;
	if (prefix > LIMIT_PATH + 1)
		return err_set(err, ERR_REFUSED, "%.80s: path is longer than %u bytes", entry->name,
			       LIMIT_PATH);
	if (entry->mode == TREE_FOLDER)
		return walk_tree(w, &entry->oid, entry->name, prefix, err);
	if (!oidset_add(&w->seen, &entry->oid))
		return 0;
	return meet(w, &entry->oid, GIT_OBJECT_BLOB, entry->name, err);
}

/* PREFIX, the bytes of the folder's path, bounds the recursion. */
static int walk_tree(struct walk *w, const struct oid *tree, const char *name, size_t prefix,
		     struct err *err)
{
	struct tree_reader reader;
	struct tree_entry entry;
	git_odb_object *object;
	size_t size;
	int rc;

	if (!oidset_add(&w->seen, tree))
		return 0;
	if (meet(w, tree, GIT_OBJECT_TREE, name, err) != 0 ||
	    object_read(w->repo, tree, GIT_OBJECT_TREE, &object, err) != 0)
		return -1;
	size = git_odb_object_size(object);
	reader = tree_reader_of(git_odb_object_data(object), size);
	w->open += size;
	if (w->open > 2 * TREE_OBJECT_SIZE)
		rc = err_set(err, ERR_REFUSED, "folders of more than %u entries", LIMIT_TREE_FILES);
	else
		while ((rc = tree_next(&reader, &entry, err)) == 1 &&
		       (rc = walk_entry(w, &entry, prefix, err)) == 0)
			;
	w->open -= size;
	git_odb_object_free(object);
	return rc;
}

/* The commit that TIP is or, by tags, which are met, names. */
static int walk_tags(struct walk *w, const struct oid *tip, struct oid *out, bool *tag,
		     struct err *err)
{
	struct links links;
	git_object_t type;
	size_t size;

	*out = *tip;
	*tag = false;
	for (int i = 0; i <= TAG_DEPTH; i++) {
		if (object_header(w->repo, out, &type, &size, err) != 0)
			return -1;
		if (type != GIT_OBJECT_TAG)
			break;
		*tag = true;
		if (!oidset_add(&w->seen, out) || meet(w, out, GIT_OBJECT_TAG, NULL, err) != 0 ||
		    object_links(w->repo, out, GIT_OBJECT_TAG, &links, err) != 0)
			return -1;
		*out = links.target;
	}
	if (type != GIT_OBJECT_COMMIT)
		return err_set(err, ERR_REFUSED, "names no commit");
	return 0;
}

static int mark_known(struct walk *w, const struct oid *known, struct err *err)
{
	struct links links;
	int rc = object_links(w->repo, known, GIT_OBJECT_COMMIT, &links, err);

	w->marking = true;
	if (rc == 0)
		rc = walk_tree(w, &links.tree, NULL, 0, err);
	w->marking = false;
	return rc;
}

/* From the commit AT back to KNOWN (NULL: to the first). */
static int walk_commits(struct walk *w, const struct oid *at, const struct oid *known,
			struct err *err)
{
	struct links links = {.parent = *at, .parent_count = 1};
	char hex[OID_HEX_SIZE];

	for (;;) {
		struct oid oid = links.parent;

		if (known && oid_equal(&oid, known))
			return 0;
		if (!oidset_add(&w->seen, &oid) ||
		    meet(w, &oid, GIT_OBJECT_COMMIT, NULL, err) != 0 ||
		    object_links(w->repo, &oid, GIT_OBJECT_COMMIT, &links, err) != 0 ||
		    walk_tree(w, &links.tree, NULL, 0, err) != 0)
			return err_prefix(err, "release %.12s", oid_hex(&oid, hex));
		if (links.parent_count > 1)
			return err_set(err, ERR_REFUSED, "release %.12s has more than one parent",
				       oid_hex(&oid, hex));
		if (links.parent_count == 0)
			break;
	}
	return known ? err_set(err, ERR_REFUSED, "release %.12s does not descend from %.12s",
			       oid_hex(at, hex), oid_hex(known, (char[OID_HEX_SIZE]){0}))
		     : 0;
}

static int walk(struct walk *w, const struct oid *tip, const struct oid *known, struct err *err)
{
	char hex[OID_HEX_SIZE];
	struct oid commit;
	bool tag, below = false;

	if (walk_tags(w, tip, &commit, &tag, err) != 0)
		return err_prefix(err, "release %.12s", oid_hex(tip, hex));
	if (known && mark_known(w, known, err) != 0)
		return err_prefix(err, "release %.12s", oid_hex(known, hex));
	/* a pin may name what was known long before */
	if (tag && known && repo_descends(w->repo, known, &commit, &below, err) != 0)
		return -1;
	return below ? 0 : walk_commits(w, &commit, known, err);
}

/* --- building --- */

static int put_bytes(void *bytes, size_t size, void *arg)
{
	struct buf *out = arg;

	buf_put(out, bytes, size);
	return out->failed ? -1 : 0;
}

int pack_build(struct repo *repo, const struct oid *tip, const struct oid *common, struct buf *out,
	       struct err *err)
{
	struct walk w = {.repo = repo};
	size_t before = out->len;
	int rc = git_packbuilder_new(&w.pack, repo_git2(repo));

	if (rc != 0)
		return git_err(err, rc, "pack");
	(void)git_packbuilder_set_threads(w.pack, 1); /* returns the number of threads */
	rc = walk(&w, tip, common, err);
	if (rc == 0) {
		rc = git_packbuilder_foreach(w.pack, put_bytes, out);
		if (out->failed)
			rc = err_set(err, ERR_FULL, "pack is larger than %zu bytes", out->max);
		else if (rc != 0)
			rc = git_err(err, rc, "pack");
	}
	if (rc != 0) {
		out->len = before;
		out->failed = false;
		if (out->data)
			out->data[before] = '\0';
	}
	git_packbuilder_free(w.pack);
	oidset_clear(&w.seen);
	return rc;
}

/* --- looking --- */

/* Opens what REPO itself holds: its packs and loose objects, without alternates. */
static int open_own(struct repo *repo, git_odb **out)
{
	git_buf path = GIT_BUF_INIT;
	git_odb_backend *backend = NULL;
	git_odb *odb = NULL;
	int rc = git_repository_item_path(&path, repo_git2(repo), GIT_REPOSITORY_ITEM_OBJECTS);

	if (rc == 0)
		rc = git_odb_new(&odb);
	if (rc == 0)
		rc = git_odb_backend_pack(&backend, path.ptr);
	if (rc == 0)
		rc = git_odb_add_backend(odb, backend, 2);
	if (rc == 0)
		rc = git_odb_backend_loose(&backend, path.ptr, -1, 0, 0, 0);
	if (rc == 0)
		rc = git_odb_add_backend(odb, backend, 1);
	git_buf_dispose(&path);
	if (rc == 0)
		*out = odb;
	else
		git_odb_free(odb);
	return rc;
}

/* What is asked of each object of one's own. */
struct looking {
	const struct walk *walk;
	size_t count;
	struct err *err;
};

static int look(const git_oid *id, void *arg)
{
	struct looking *l = arg;
	struct oid oid = oid_from_git(id);

	if (++l->count > LIMIT_PACK_OBJECTS)
		(void)err_set(l->err, ERR_REFUSED, "more than %u objects", LIMIT_PACK_OBJECTS);
	else if (!oidset_has(&l->walk->seen, &oid))
		(void)err_set(l->err, ERR_REFUSED,
			      "object %.12s is in the pack, but the release does not reach it",
			      git_oid_tostr_s(id));
	else
		return 0;
	return GIT_EUSER;
}

int pack_check_reachable(struct repo *repo, const struct oid *tip, const struct oid *accepted,
			 struct err *err)
{
	struct walk w = {.repo = repo};
	struct looking looking = {.walk = &w, .err = err};
	git_odb *own;
	int rc = walk(&w, tip, accepted, err);

	if (rc != 0) {
		oidset_clear(&w.seen);
		if (err && err->code == ERR_GONE)
			err->code = ERR_CORRUPT; /* a hole in what was fetched */
		return -1;
	}
	rc = open_own(repo, &own);
	if (rc == 0) {
		rc = git_odb_foreach(own, look, &looking);
		git_odb_free(own);
	}
	oidset_clear(&w.seen);
	if (rc == GIT_EUSER)
		return -1;
	return rc == 0 ? 0 : git_err(err, rc, "objects");
}

/* What a look at every object needs. */
struct reading {
	struct repo *repo;
	const atomic_bool *stop;
	struct err *err;
};

static int read_one(const git_oid *id, void *arg)
{
	struct reading *r = arg;
	struct oid oid = oid_from_git(id);
	git_odb_object *object;
	git_object_t type;
	size_t size;

	if (r->stop && atomic_load(r->stop)) {
		(void)err_set(r->err, ERR_RETRY, "objects: stopped");
		return GIT_EUSER;
	}
	/* libgit2 compares what it reads with the id */
	if (object_header(r->repo, &oid, &type, &size, r->err) != 0 ||
	    object_body(r->repo, &oid, &object, r->err) != 0)
		return GIT_EUSER;
	git_odb_object_free(object);
	return 0;
}

int pack_check_whole(struct repo *repo, const struct oid *tip, const atomic_bool *stop,
		     struct err *err)
{
	struct walk w = {.repo = repo};
	struct reading reading = {.repo = repo, .stop = stop, .err = err};
	git_odb *own;
	int rc = walk(&w, tip, NULL, err);

	oidset_clear(&w.seen);
	if (rc != 0)
		return -1;
	rc = open_own(repo, &own);
	if (rc == 0) {
		rc = git_odb_foreach(own, read_one, &reading);
		git_odb_free(own);
	}
	if (rc == GIT_EUSER)
		return -1;
	return rc == 0 ? 0 : git_err(err, rc, "objects");
}
