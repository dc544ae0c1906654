/*
 * Objects of a repository as bytes, for the other files of repo/ and for channel/transport.c.
 * Whatever is read is looked at by header first, so that nothing larger than its limit is ever
 * unpacked.
 */
#ifndef MUSTER_REPO_OBJECT_H
#define MUSTER_REPO_OBJECT_H

#include "core/buf.h"
#include "core/limits.h"
#include "repo/git.h"

#include <git2.h>

#include <assert.h>
#include <string.h>

static_assert(OID_SIZE == GIT_OID_RAWSZ, "an id of git has 20 bytes");

static inline git_oid oid_to_git(const struct oid *oid)
{
	git_oid out;

	memcpy(out.id, oid->id, OID_SIZE);
	return out;
}

static inline struct oid oid_from_git(const git_oid *oid)
{
	struct oid out;

	memcpy(out.id, oid->id, OID_SIZE);
	return out;
}

/* What a commit or an annotated tag points to. */
struct links {
	struct oid tree;     /* of a commit */
	size_t parent_count; /* of a commit */
	struct oid parent;   /* its first parent */
	struct oid target;   /* of a tag: the object it names */
};

git_odb *repo_odb(struct repo *repo);
/*
 * Whether REF is at OLD (NULL: does not exist), asked while REF is locked; RETRY when it is not.
 */
int ref_is_at(struct repo *repo, const char *ref, const struct oid *old, struct err *err);
/*
 * Type and size from the header. REFUSED when larger than its type's limit, GONE when there is no
 * such object.
 */
int object_header(struct repo *repo, const struct oid *oid, git_object_t *type, size_t *size,
		  struct err *err);
/*
 * The object OID, which must be of TYPE and within its type's limit. The caller frees it
 * (git_odb_object_free).
 */
int object_read(struct repo *repo, const struct oid *oid, git_object_t type, git_odb_object **out,
		struct err *err);
/* The same when its header was looked at. */
int object_body(struct repo *repo, const struct oid *oid, git_odb_object **out, struct err *err);
/* Writes an object, durably. */
int object_write(struct repo *repo, git_object_t type, const void *data, size_t size,
		 struct oid *out, struct err *err);
/* What the commit or tag OID points to; TYPE says which it is. */
int object_links(struct repo *repo, const struct oid *oid, git_object_t type, struct links *out,
		 struct err *err);
/* The same from the raw bytes of a commit: as much as git itself looks at. -1 when it is none. */
int commit_links(const void *raw, size_t n, struct links *out);

#endif
