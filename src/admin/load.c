/*
 * load: reads the commit's tree, merges its XML into one document, and looks at every commit since
 * the last published one: a burst is one publication, but none of its commits goes unseen.
 */
#include "admin/steps.h"

#include "admin/scan.h"
#include "config/merge.h"
#include "core/limits.h"
#include "core/log.h"
#include "repo/source.h"
#include "repo/tree.h"

#include <stdlib.h>
#include <string.h>

struct looking {
	struct cycle *cycle;
	struct scan *scan;
	struct err *err;
};

/* What follows the first blank line of a raw commit. */
static const char *message_of(const struct buf *raw)
{
	const char *blank = strstr(buf_text(raw), "\n\n");

	return blank ? blank + 2 : "";
}

/*
 * A message must not be able to say what only a release may, even where it would not travel; and
 * what is in the clear in any commit is in git for good.
 */
static int look_at(void *arg, const struct oid *oid)
{
	struct looking *looking = arg;
	struct cycle *cycle = looking->cycle;
	struct err why = {.code = ERR_NONE};
	char hex[OID_HEX_SIZE];
	struct buf raw;
	int rc;

	buf_init(&raw, LIMIT_COMMIT_SIZE);
	rc = repo_commit_raw(cycle->source, oid, &raw, looking->err);
	if (rc == 0 && shrink_allowed_by(message_of(&raw)))
		cycle->allow_shrink = true;
	if (rc == 0 && release_message_check(message_of(&raw), &why) != 0)
		findings_add(&cycle->out->findings,
			     "commit %.12s: %s: reword it (git commit --amend, git rebase)",
			     oid_hex(oid, hex), why.text);
	buf_clear(&raw);
	return rc == 0 ? scan_commit(looking->scan, oid, looking->err) : rc;
}

/*
 * The commit published last: OUT, or NULL when there is none, or none any more; then all of history
 * is looked at. A main that was rewritten is told: the releases have a chain of their own, which is
 * never rewound.
 */
static int published_before(struct cycle *cycle, const struct oid **out, struct err *err)
{
	const struct oid *before = &cycle->state.source, *now = &cycle->out->source;
	char from[OID_HEX_SIZE], to[OID_HEX_SIZE];
	struct err why = {.code = ERR_NONE};
	bool descends = false;

	*out = NULL;
	if (!cycle->state.has_published)
		return 0;
	if (repo_descends(cycle->source, before, before, &descends, &why) == 0) {
		*out = before;
		if (repo_descends(cycle->source, now, before, &descends, err) != 0)
			return -1;
	} else if (why.code != ERR_GONE) {
		return err_set(err, why.code, "%s", why.text);
	}
	cycle->out->rewritten = !descends;
	if (!descends)
		log_warning("load", "main",
			    "was rewritten: %s does not descend from %s, which was published last, "
			    "and is "
			    "published on top of it",
			    oid_hex(now, to), oid_hex(before, from));
	return 0;
}

/* How many commits, and who said what if it is one. */
static int read_commits(struct cycle *cycle, struct err *err)
{
	struct publication *out = cycle->out;
	const struct oid *before;
	struct looking looking = {.cycle = cycle, .err = err};
	struct source_range range = {.count = 0};
	int rc = published_before(cycle, &before, err);

	looking.scan = scan_new(cycle->source, &out->findings);
	/* another version may see more in what was published before */
	if (rc == 0 && before && strcmp(cycle->state.made_by, cycle->made_by) == 0)
		rc = scan_known(looking.scan, before, err);
	if (rc == 0)
		rc = source_range_each(cycle->source, before, &out->source, look_at, &looking, err);
	scan_free(looking.scan);
	if (rc != 0 || source_range(cycle->source, before, &out->source, &range, err) != 0)
		return -1;
	out->commits = range.count;
	if (range.author && range.message) {
		cycle->author = text_copy(range.author);
		cycle->message = release_message_clean(range.message);
	}
	source_range_clear(&range);
	return 0;
}

int load(struct cycle *cycle, struct err *err)
{
	if (read_commits(cycle, err) != 0 ||
	    tree_read_commit(cycle->source, &cycle->out->source, &cycle->files, err) != 0 ||
	    merge_fileset(&cycle->files, &cycle->doc, &cycle->model, err) != 0)
		return -1;
	cycle->out->settings = settings_read(cycle->doc);
	cycle->out->has_settings = true;
	return cycle->out->findings.count ? -1 : 0;
}
