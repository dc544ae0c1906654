/* Objects as bytes: see object.h. */
#include "repo/object.h"

#include "core/text.h"
#include "repo/tree.h"

/* The limit of an object's size by its type, in bytes; 0: no such object is expected. */
static size_t size_limit(git_object_t type)
{
	switch ((int)type) {
	case GIT_OBJECT_BLOB:
		return LIMIT_FILE_SIZE;
	case GIT_OBJECT_TREE:
		return TREE_OBJECT_SIZE;
	case GIT_OBJECT_COMMIT:
	case GIT_OBJECT_TAG:
		return LIMIT_COMMIT_SIZE;
	default:
		return 0;
	}
}

int object_header(struct repo *repo, const struct oid *oid, git_object_t *type, size_t *size,
		  struct err *err)
{
	git_oid id = oid_to_git(oid);
	git_object_t got;
	size_t n;
	int rc = git_odb_read_header(&n, &got, repo_odb(repo), &id);

	if (rc != 0)
		return git_err(err, rc, "object %.12s", git_oid_tostr_s(&id));
	if (n > size_limit(got))
		return err_set(
			err, ERR_REFUSED, "object %.12s: %s of %zu bytes, over the limit of %zu",
			git_oid_tostr_s(&id), git_object_type2string(got), n, size_limit(got));
	*type = got;
	*size = n;
	return 0;
}

int object_body(struct repo *repo, const struct oid *oid, git_odb_object **out, struct err *err)
{
	git_oid id = oid_to_git(oid);
	int rc = git_odb_read(out, repo_odb(repo), &id);

	return rc == 0 ? 0 : git_err(err, rc, "object %.12s", git_oid_tostr_s(&id));
}

int object_read(struct repo *repo, const struct oid *oid, git_object_t type, git_odb_object **out,
		struct err *err)
{
	char hex[OID_HEX_SIZE];
	git_object_t got;
	size_t size;

	if (object_header(repo, oid, &got, &size, err) != 0)
		return -1;
	if (got != type)
		return err_set(err, ERR_CORRUPT, "object %.12s is a %s, not a %s",
			       oid_hex(oid, hex), git_object_type2string(got),
			       git_object_type2string(type));
	return object_body(repo, oid, out, err);
}

int object_write(struct repo *repo, git_object_t type, const void *data, size_t size,
		 struct oid *out, struct err *err)
{
	git_oid id;
	int rc = git_odb_write(&id, repo_odb(repo), data, size, type);

	if (rc != 0)
		return git_err(err, rc, "write %s", git_object_type2string(type));
	*out = oid_from_git(&id);
	return 0;
}

/* A header line `KEY <id>` at the cursor; false, and nothing consumed, when another stands there.
 */
static bool id_line(struct cursor *c, const char *key, struct oid *out)
{
	struct cursor at = *c;
	size_t n, k = strlen(key);
	const char *line = cursor_line(&at, &n);
	char hex[OID_HEX_SIZE] = "";

	if (!line || n != k + 1 + OID_HEX || memcmp(line, key, k) != 0 || line[k] != ' ')
		return false;
	memcpy(hex, line + k + 1, OID_HEX);
	if (oid_parse(hex, out) != 0)
		return false;
	*c = at;
	return true;
}

int commit_links(const void *raw, size_t n, struct links *out)
{
	struct cursor c = cursor_of(raw, n);
	static const char word[] = "parent ";
	struct links links = {0};
	struct oid parent;

	if (!id_line(&c, "tree", &links.tree))
		return -1;
	while (id_line(&c, "parent", &parent))
		if (links.parent_count++ == 0)
			links.parent = parent;
	/* a parent that is not understood is none to be passed over: git would follow it */
	if (c.left >= strlen(word) && memcmp(c.at, word, strlen(word)) == 0)
		return -1;
	*out = links;
	return 0;
}

int object_links(struct repo *repo, const struct oid *oid, git_object_t type, struct links *out,
		 struct err *err)
{
	char hex[OID_HEX_SIZE];
	git_odb_object *object;
	struct cursor c;
	int rc;

	if (object_read(repo, oid, type, &object, err) != 0)
		return -1;
	c = cursor_of(git_odb_object_data(object), git_odb_object_size(object));
	if (type == GIT_OBJECT_TAG)
		rc = id_line(&c, "object", &out->target) ? 0 : -1;
	else
		rc = commit_links(c.at, c.left, out);
	git_odb_object_free(object);
	if (rc != 0)
		return err_set(err, ERR_CORRUPT, "%s %.12s is malformed",
			       git_object_type2string(type), oid_hex(oid, hex));
	return 0;
}
