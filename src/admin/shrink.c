/*
 * The shrink guard: a role whose slice loses over half of its elements is one that lost something
 * by mistake (a merge gone wrong, a file left out, the last endpoint unlisted), unless a commit
 * that is published says it is meant.
 */
#include "admin/steps.h"

#include "core/limits.h"
#include "repo/source.h"
#include "repo/tree.h"

#include <stdlib.h>
#include <string.h>

#define TRAILER "Muster-Allow-Shrink: yes"

bool shrink_allowed_by(const char *message)
{
	while (*message) {
		size_t n = strcspn(message, "\n");

		if (n == strlen(TRAILER) && memcmp(message, TRAILER, n) == 0)
			return true;
		message += n + (message[n] ? 1 : 0);
	}
	return false;
}

/* Elements of a config.xml of a release, which Muster wrote: a '<' in it begins or ends an element.
 */
static size_t count_elements(const struct file *file)
{
	const char *at = (const char *)file->data, *end = at + file->size;
	size_t count = 0;

	while ((at = memchr(at, '<', (size_t)(end - at))))
		count += *++at != '/';
	return count;
}

/* Elements of the role's newest release; 0 when there is none, or its role was removed. */
static int count_before(struct cycle *cycle, const struct cycle_role *role, size_t *out,
			struct err *err)
{
	char *ref = text_format("refs/heads/%s", role->name);
	struct release release = {.sequence = 0};
	struct fileset files = {.count = 0};
	struct err why = {.code = ERR_NONE};
	const struct file *file;
	struct oid tip;
	struct buf raw;
	int rc;

	*out = 0;
	buf_init(&raw, LIMIT_COMMIT_SIZE);
	rc = repo_ref_get(cycle->releases, ref, &tip, &why);
	free(ref);
	if (rc != 0)
		return why.code == ERR_GONE ? 0 : err_set(err, why.code, "%s", why.text);
	rc = repo_commit_raw(cycle->releases, &tip, &raw, err);
	if (rc == 0)
		rc = release_parse(raw.data, raw.len, &release, err);
	if (rc == 0 && !release.removed)
		rc = tree_read(cycle->releases, &release.tree, &files, err);
	file = fileset_find(&files, "config.xml");
	if (rc == 0 && file)
		*out = count_elements(file);
	fileset_clear(&files);
	release_clear(&release);
	buf_clear(&raw);
	/* a branch that is not what it should be is told by sign, with what is wrong */
	if (rc != 0 && (err->code == ERR_REFUSED || err->code == ERR_CORRUPT))
		rc = 0;
	return rc == 0 ? 0 : err_prefix(err, "release.git: %s", role->name);
}

int shrink_check(struct cycle *cycle, const struct cycle_role *role, struct err *err)
{
	size_t now, before;

	if (cycle->allow_shrink || !cycle->releases)
		return 0;
	if (count_before(cycle, role, &before, err) != 0)
		return -1;
	now = document_count(role->doc);
	if (now * 2 < before)
		findings_add(&cycle->out->findings,
			     "role %s would lose over half of its configuration: %zu elements in "
			     "its newest release, "
			     "%zu now; if that is meant, say so with muster commit --allow-shrink, "
			     "or a line " TRAILER " in the message of a commit on top",
			     role->name, before, now);
	return 0;
}

static int look(void *arg, const struct oid *oid)
{
	struct cycle *cycle = arg;
	struct buf raw;
	const char *message;

	buf_init(&raw, LIMIT_COMMIT_SIZE);
	if (repo_commit_raw(cycle->source, oid, &raw, NULL) == 0) {
		message = strstr(buf_text(&raw), "\n\n");
		cycle->allow_shrink |= message && shrink_allowed_by(message);
	}
	buf_clear(&raw);
	return 0;
}

int shrink_look(struct cycle *cycle, struct err *err)
{
	struct oid head;
	bool known;

	if (state_read(cycle->in->home->var_fd, &cycle->state, NULL) != 0 ||
	    !cycle->state.has_published ||
	    repo_ref_get(cycle->source, ADMIN_MAIN, &head, NULL) != 0 ||
	    repo_descends(cycle->source, &head, &cycle->state.source, &known, NULL) != 0)
		return 0;
	return source_range_each(cycle->source, &cycle->state.source, &head, look, cycle, err);
}
