/* What may hold a node: see hold.h. */
#include "node/hold.h"

#include "core/limits.h"
#include "core/log.h"
#include "node/heal.h"
#include "node/quarantine.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define INIT_PREFIX "init-"

/* --- pins --- */

static bool may_pin(const struct chain_state *chain, const uint8_t signer[static KEY_SIZE])
{
	for (size_t i = 0; i < chain->key_count; i++)
		if (memcmp(chain->keys[i], signer, KEY_SIZE) == 0)
			return true;
	return false;
}

/* The newest pin that was accepted, once more: nothing follows from it. */
static bool is_last(const struct node_state *state, const struct pin *pin)
{
	char release[OID_HEX_SIZE];

	if (pin->sequence != state->pin_sequence || pin->hold != (state->pinned.release[0] != '\0'))
		return false;
	return !pin->hold || strcmp(oid_hex(&pin->release, release), state->pinned.release) == 0;
}

/* Only what was accepted here: in the log, or before the newest of it. */
static int check_release(const struct home *home, const struct node_state *state,
			 const struct oid *release, struct err *err)
{
	struct err why = {.code = ERR_NONE};
	struct repo *replica = NULL;
	bool descends = false;
	char hex[OID_HEX_SIZE];
	int rc;

	if (node_state_accepted(state, release))
		return 0;
	rc = replica_open(home, &replica, err);
	if (rc == 0 &&
	    repo_descends(replica, &state->chain.accepted, release, &descends, &why) != 0 &&
	    why.code != ERR_GONE)
		rc = err_set(err, why.code, "%s", why.text);
	/* it may have been, and is just not to be seen */
	if (rc == 0 && !descends && !replica_has(home, &state->chain))
		rc = err_set(err, ERR_RETRY,
			     "the replica has lost the release that was accepted last");
	if (rc == 0 && !descends)
		rc = err_set(err, ERR_REFUSED,
			     "holds at release %.12s, which was never accepted here",
			     oid_hex(release, hex));
	repo_free(replica);
	return rc;
}

static int check_pin(const struct home *home, const struct node_state *state, const struct pin *pin,
		     struct err *err)
{
	if (!may_pin(&state->chain, pin->signer))
		return err_set(err, ERR_REFUSED,
			       "is signed by a key that the newest release here does not name");
	/* the state keeps it as a signed number */
	if (pin->sequence > INT64_MAX)
		return err_set(err, ERR_REFUSED, "its sequence is out of range");
	if (pin->sequence <= state->pin_sequence)
		return err_set(err, ERR_REFUSED,
			       "has sequence %" PRIu64 ", accepted here was %" PRIu64,
			       pin->sequence, state->pin_sequence);
	return pin->hold ? check_release(home, state, &pin->release, err) : 0;
}

int hold_accept(const struct home *home, const struct node_state *state, const char *name,
		const void *raw, size_t size, struct pin *out, bool *fresh, struct err *err)
{
	const struct chain_state *chain = &state->chain;
	struct pin pin;
	int rc = 0;

	if (pin_parse(raw, size, &pin, err) != 0)
		return -1;
	if (memcmp(pin.cluster_id, chain->cluster_id, CLUSTER_ID_SIZE) != 0)
		rc = err_set(err, ERR_REFUSED, "is of another cluster");
	else if (strcmp(pin.node, name) != 0)
		rc = err_set(err, ERR_REFUSED, "is for node %s", pin.node);
	else if (!is_last(state, &pin)) /* which a key may have signed that is retired by now */
		rc = check_pin(home, state, &pin, err);
	if (rc != 0)
		return err_prefix(err, "pin");
	*fresh = !is_last(state, &pin);
	*out = pin;
	return 0;
}

/* --- what a revision means --- */

/* What was found so far. A match by a release's own id counts before one by its source. */
struct search {
	const char *prefix;
	bool by_id, by_source;
	bool several; /* by what counts */
	struct oid release, source;
	uint64_t sequence;
};

static bool matches(const struct oid *oid, const char *prefix)
{
	char hex[OID_HEX_SIZE];

	return text_starts(oid_hex(oid, hex), prefix);
}

static void search_take(struct search *search, const struct oid *release, uint64_t sequence,
			const struct oid *source)
{
	search->release = *release;
	search->source = *source;
	search->sequence = sequence;
}

static void search_look(struct search *search, const struct oid *release, uint64_t sequence,
			const struct oid *source)
{
	if (matches(release, search->prefix) && !search->by_id) {
		search_take(search, release, sequence, source);
		search->by_id = true;
		search->several = false;
	} else if (matches(release, search->prefix)) {
		search->several |= !oid_equal(&search->release, release);
	} else if (!search->by_id && matches(source, search->prefix)) {
		search->several |= search->by_source && !oid_equal(&search->source, source);
		if (!search->by_source || sequence > search->sequence)
			search_take(search, release, sequence, source);
		search->by_source = true;
	}
}

/* One release of the replica, and which is before it; false when there is none. */
static bool search_commit(struct search *search, struct repo *replica, struct oid *at)
{
	struct release release = {.sequence = 0};
	struct buf raw;
	struct err err;
	bool more = false;

	buf_init(&raw, LIMIT_COMMIT_SIZE);
	if (repo_commit_raw(replica, at, &raw, &err) == 0 &&
	    release_parse(raw.data, raw.len, &release, &err) == 0) {
		search_look(search, at, release.sequence, &release.source);
		more = release.has_parent;
		*at = release.parent;
		release_clear(&release);
	}
	buf_clear(&raw);
	return more;
}

/* All that was ever accepted; a replica that is damaged has as much of it as can be read. */
static void search_replica(struct search *search, const struct home *home,
			   const struct node_state *state)
{
	struct oid at = state->chain.accepted;
	struct repo *replica;
	struct err err;

	if (!state->chain.has_accepted)
		return;
	if (replica_open(home, &replica, &err) != 0) {
		log_warning("hold", home->var, "the replica is not searched: %s", err.text);
		return;
	}
	while (search_commit(search, replica, &at))
		; /* one after the other */
	repo_free(replica);
}

static int find_release(const struct home *home, const struct node_state *state, const char *rev,
			char out[static REVISION_NAME_MAX], struct err *err)
{
	struct search search = {.prefix = rev};
	const struct state_entry *entry = NULL;

	for (size_t i = 0; i < state->log_count; i++)
		search_look(&search, &state->log[i].release, state->log[i].sequence,
			    &state->log[i].source);
	search_replica(&search, home, state);
	if (search.several)
		return err_set(err, ERR_REFUSED,
			       "\"%s\" means more than one release: give more digits", rev);
	if (!search.by_id && !search.by_source)
		return err_set(err, ERR_REFUSED,
			       "\"%s\" is no release that was accepted here, nor the source of "
			       "one: see muster log",
			       rev);
	for (size_t i = 0; i < state->log_count; i++)
		if (oid_equal(&state->log[i].release, &search.release))
			entry = state->log + i;
	(void)oid_hex(&search.release, out);
	if (entry && entry->verdict == VERDICT_BURNT)
		return err_set(err, ERR_REFUSED,
			       "release %.12s is burnt, its activation failed: mend that, and "
			       "muster resume --here lets it be tried again",
			       out);
	return 0;
}

static int find_init(const struct home *home, const char *rev, char out[static REVISION_NAME_MAX],
		     struct err *err)
{
	int fd = openat(home->var_fd, "node/revisions",
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	size_t count = 0;

	if (!dir && fd >= 0)
		(void)close(fd); /* only read */
	while (dir && (entry = readdir(dir))) {
		size_t n = strlen(entry->d_name);

		if (!text_starts(entry->d_name, rev) || n >= REVISION_NAME_MAX ||
		    text_ends(entry->d_name, ".tmp"))
			continue;
		memcpy(out, entry->d_name, n + 1);
		count++;
	}
	if (dir)
		(void)closedir(dir); /* only read */
	if (count == 0)
		return err_set(err, ERR_REFUSED, "there is no revision \"%.80s\" here", rev);
	return count == 1
		       ? 0
		       : err_set(err, ERR_REFUSED, "\"%.80s\" means more than one revision", rev);
}

int hold_find(const struct home *home, const struct node_state *state, const char *rev,
	      char out[static REVISION_NAME_MAX], struct err *err)
{
	size_t n = strlen(rev);

	if (text_starts(rev, INIT_PREFIX) && n >= strlen(INIT_PREFIX) + HOLD_PREFIX_MIN)
		return find_init(home, rev, out, err);
	if (n < HOLD_PREFIX_MIN || n > OID_HEX || strspn(rev, "0123456789abcdef") != n)
		return err_set(err, ERR_REFUSED,
			       "\"%.80s\" is no revision: 7 to 40 hex digits of a release or of "
			       "its source, or init-...",
			       rev);
	return find_release(home, state, rev, out, err);
}

/* --- the files --- */

/* That it may stand where it stands: the one before it names who signed it. */
static int check_place(struct repo *replica, const struct node_state *state,
		       const struct revision *revision, struct err *err)
{
	struct chain_state before = state->chain;
	struct release parent = {.sequence = 0};
	struct buf raw;
	int rc = 0;

	before.has_accepted = revision->release.has_parent;
	before.key_count = 1;
	/* nothing is before the first one */
	memcpy(before.keys[0], revision->release.signer, KEY_SIZE);
	buf_init(&raw, LIMIT_COMMIT_SIZE);
	if (before.has_accepted) {
		rc = repo_commit_raw(replica, &revision->release.parent, &raw, err);
		if (rc == 0)
			rc = release_parse(raw.data, raw.len, &parent, err);
		before.accepted = revision->release.parent;
		before.sequence = parent.sequence;
		before.key_count = parent.key_count;
		memcpy(before.keys, parent.keys, sizeof(before.keys));
	}
	if (rc == 0)
		rc = chain_step(&before, &revision->oid, &revision->release, err);
	release_clear(&parent);
	buf_clear(&raw);
	return rc;
}

static int read_replica(const struct home *home, const struct node_state *state, const char *name,
			struct revision *out, struct err *err)
{
	struct revision revision = {.is_init = false};
	struct repo *replica = NULL;
	struct buf raw;
	int rc = oid_parse(name, &revision.oid);

	if (rc != 0)
		return err_set(err, ERR_GONE, "it is not here any more");
	memcpy(revision.name, name, strlen(name) + 1);
	buf_init(&raw, LIMIT_COMMIT_SIZE);
	rc = replica_open(home, &replica, err);
	if (rc == 0)
		rc = repo_commit_raw(replica, &revision.oid, &raw, err);
	if (rc == 0)
		rc = release_parse(raw.data, raw.len, &revision.release, err);
	if (rc == 0)
		revision.raw = buf_steal(&raw, &revision.raw_size);
	buf_clear(&raw);
	if (rc == 0)
		rc = check_place(replica, state, &revision, err);
	if (rc == 0)
		rc = chain_content(replica, &revision.release, &revision.files, err);
	repo_free(replica);
	if (rc == 0)
		*out = revision;
	else
		revision_clear(&revision);
	return rc;
}

int hold_read(const struct home *home, const struct node_state *state, const char *name,
	      struct revision *out, struct err *err)
{
	struct err unsound;

	if (revision_read(home, name, state, out, &unsound) == 0)
		return 0;
	if (read_replica(home, state, name, out, err) == 0)
		return 0;
	if (err->code == ERR_GONE)
		err->code = ERR_REFUSED; /* waiting does not bring it back */
	return err_prefix(err, "revision %.12s", name);
}
