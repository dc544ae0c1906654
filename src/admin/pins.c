/* Pins of nodes, and which release or commit a revision means: see pins.h. */
#include "admin/pins.h"

#include "admin/cycle.h"
#include "core/limits.h"
#include "core/log.h"
#include "core/text.h"
#include "repo/release.h"

#include <stdlib.h>
#include <string.h>

enum { PREFIX_MIN = 7 }; /* hex digits of a release id that are taken for one */

/*
 * Goes from a role's newest release back, until FN takes one (1), fails (-1) or there are no more
 * (GONE).
 */
static int find_release(struct repo *releases, const char *role,
			int (*fn)(void *arg, const struct oid *oid, const struct release *release),
			void *arg, struct oid *out, struct err *err)
{
	char *ref = text_format("refs/heads/%s", role);
	struct buf raw;
	bool more = true;
	int rc = repo_ref_get(releases, ref, out, err), got = 0;

	buf_init(&raw, LIMIT_COMMIT_SIZE);
	while (rc == 0 && got == 0 && more) {
		struct release release = {.sequence = 0};
		struct oid parent;

		buf_reset(&raw);
		rc = repo_commit_raw(releases, out, &raw, err);
		if (rc == 0)
			rc = release_parse(raw.data, raw.len, &release, err);
		if (rc == 0)
			got = fn(arg, out, &release);
		more = release.has_parent;
		parent = release.parent;
		release_clear(&release);
		if (rc == 0 && got == 0 && more)
			*out = parent;
	}
	buf_clear(&raw);
	free(ref);
	if (rc != 0 || got < 0)
		return -1;
	return got > 0 ? 0 : err_set(err, ERR_GONE, "role %s has no such release", role);
}

static int by_prefix(void *arg, const struct oid *oid, const struct release *release)
{
	char hex[OID_HEX_SIZE];

	(void)release; /* its id is what counts */
	return text_starts(oid_hex(oid, hex), arg);
}

struct by_source {
	struct repo *source;
	struct oid commit;
	struct err *err;
};

static int by_source(void *arg, const struct oid *oid, const struct release *release)
{
	struct by_source *by = arg;
	struct err why = {.code = ERR_NONE};
	bool descends = false;

	(void)oid; /* what it was made from is what counts */
	if (repo_descends(by->source, &by->commit, &release->source, &descends, &why) == 0)
		return descends;
	/* a commit that a rewritten main lost is no ancestor of anything */
	return why.code == ERR_GONE ? 0 : err_set(by->err, why.code, "%s", why.text);
}

static bool is_prefix(const char *rev)
{
	size_t n = strlen(rev);

	return n >= PREFIX_MIN && n <= OID_HEX && strspn(rev, "0123456789abcdef") == n;
}

int pin_resolve(const struct home *home, const char *role, const char *rev, struct oid *out,
		struct err *err)
{
	char *releases_path = home_var(home, ADMIN_RELEASES),
	     *source_path = home_var(home, ADMIN_SOURCE);
	struct repo *releases = NULL;
	struct by_source by = {.err = err};
	struct err none;
	int rc = repo_open(releases_path, &releases, err);

	if (rc == 0)
		rc = repo_open(source_path, &by.source, err);
	if (rc == 0 && (!is_prefix(rev) ||
			find_release(releases, role, by_prefix, (void *)rev, out, &none) != 0)) {
		rc = repo_resolve(by.source, rev, &by.commit, err);
		if (rc == 0)
			rc = find_release(releases, role, by_source, &by, out, err);
		if (rc != 0 && err->code == ERR_GONE)
			(void)err_set(err, ERR_REFUSED,
				      "role %s has no release of %s or of a commit before it", role,
				      rev);
	}
	repo_free(releases);
	repo_free(by.source);
	free(releases_path);
	free(source_path);
	return rc;
}

/* A release's id, looked for on all branches; its source. Several releases may be of one commit. */
struct by_release {
	struct repo *releases;
	const char *rev;
	struct oid source;
	bool found, several;
};

static int take_source(void *arg, const struct oid *oid, const struct release *release)
{
	struct by_release *by = arg;
	char hex[OID_HEX_SIZE];

	if (text_starts(oid_hex(oid, hex), by->rev)) {
		by->several |= by->found && !oid_equal(&by->source, &release->source);
		by->found = true;
		by->source = release->source;
	}
	return 0; /* on to the oldest: a prefix may mean another one, too */
}

static int search_branch(void *arg, const char *ref, const struct oid *oid)
{
	struct by_release *by = arg;
	struct oid none;
	struct err err;

	(void)oid; /* found again by its name */
	/* a branch that cannot be read holds nothing that is looked for */
	(void)find_release(by->releases, ref + strlen("refs/heads/"), take_source, by, &none, &err);
	return 0;
}

int source_resolve(const struct home *home, struct repo *source, const char *rev, struct oid *out,
		   struct err *err)
{
	char *path = home_var(home, ADMIN_RELEASES), hex[OID_HEX_SIZE];
	struct by_release by = {.rev = rev};
	int rc = is_prefix(rev) ? repo_open(path, &by.releases, err) : 0;

	if (rc == 0 && by.releases)
		rc = repo_ref_each(by.releases, "refs/heads/", search_branch, &by, err);
	if (rc == 0 && by.several)
		rc = err_set(err, ERR_REFUSED,
			     "\"%s\" means more than one release: give more digits", rev);
	else if (rc == 0)
		rc = repo_resolve(source, by.found ? oid_hex(&by.source, hex) : rev, out, err);
	if (rc != 0 && err->code == ERR_GONE && by.found)
		(void)err_set(err, ERR_GONE,
			      "release %s was made from commit %.12s, which the authoring "
			      "repository does not have any more",
			      rev, hex);
	repo_free(by.releases);
	free(path);
	return rc;
}

/*
 * The sequence of the pin that is there; 0 when there is none, or none that can be read any more.
 */
static uint64_t sequence_of(struct repo *releases, const char *node)
{
	struct buf raw;
	struct pin pin = {.sequence = 0};
	struct err err = {.code = ERR_NONE};

	buf_init(&raw, PIN_RAW_MAX);
	if ((pin_load(releases, node, &raw, &err) != 0 ||
	     pin_parse(raw.data, raw.len, &pin, &err) != 0) &&
	    err.code != ERR_GONE)
		log_warning("pins", node,
			    "its last pin is unreadable, a new one takes its place: %s", err.text);
	buf_clear(&raw);
	return pin.sequence;
}

/* What a pin names: the release to hold at, or for follow just the newest there is. */
static int target_of(const struct home *home, struct repo *releases, const struct pin_wish *wish,
		     struct oid *out, struct err *err)
{
	char *ref;
	int rc;

	if (wish->rev)
		return pin_resolve(home, wish->role, wish->rev, out, err);
	ref = text_format("refs/heads/%s", wish->role);
	rc = repo_ref_get(releases, ref, out, err);
	free(ref);
	return rc;
}

int pin_make(const struct home *home, const struct identity *identity, const struct pin_wish *wish,
	     struct pin *out, struct buf *raw, struct err *err)
{
	char *path = home_var(home, ADMIN_RELEASES),
	     *tagger = release_committer(wish->host, text_now());
	struct repo *releases = NULL;
	struct pin pin = {.hold = wish->rev != NULL};
	int rc = repo_open(path, &releases, err);

	if (rc == 0)
		rc = target_of(home, releases, wish, &pin.release, err);
	if (rc == 0) {
		uint64_t before = sequence_of(releases, wish->node);

		pin.sequence = 1 + (before > wish->above ? before : wish->above);
		if (pin.sequence == 0)
			rc = err_set(err, ERR_REFUSED, "pins of %s: their numbers are used up",
				     wish->node);
	}
	if (rc == 0) {
		memcpy(pin.node, wish->node, strlen(wish->node) + 1);
		memcpy(pin.cluster_id, identity->cluster_id, CLUSTER_ID_SIZE);
		memcpy(pin.tagger, tagger, strlen(tagger) + 1);
		pin_reason(wish->reason ? wish->reason : "", pin.reason);
		/*
		 * while the key is changed nodes know the older one; the change ends with all pins
		 * signed again
		 */
		pin_sign(&pin, identity->release_seed[identity->release_count - 1], raw);
		rc = pin_store(releases, wish->node, raw, err);
	}
	if (rc == 0)
		*out = pin;
	repo_free(releases);
	free(tagger);
	free(path);
	return rc;
}

int pins_forget(const struct home *home, const char *node, struct err *err)
{
	char *path = home_var(home, ADMIN_RELEASES);
	struct repo *repo = NULL;
	int rc = repo_open(path, &repo, err);

	if (rc == 0)
		rc = pin_remove(repo, node, err);
	repo_free(repo);
	free(path);
	return rc;
}
