/* What a node must remember: see state.h. */
#include "node/state.h"

#include "core/fs.h"
#include "core/limits.h"
#include "crypto/encode.h"

#include <assert.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATE_FILE "node/state"
#define COPY_FILE  "node/state.copy"
#define COPY_FRESH COPY_FILE ".tmp"
enum { STATE_VERSION = 1 };

static const char *const words[] = {
#define X(name, word) word,
	VERDICTS(X)
#undef X
};

const char *verdict_word(enum verdict verdict)
{
	return words[verdict];
}

struct state_entry *node_state_find(struct node_state *state, const struct oid *release)
{
	for (size_t i = 0; i < state->log_count; i++)
		if (oid_equal(&state->log[i].release, release))
			return state->log + i;
	return NULL;
}

bool node_state_accepted(const struct node_state *state, const struct oid *release)
{
	for (size_t i = 0; i < state->log_count; i++)
		if (oid_equal(&state->log[i].release, release))
			return true;
	return false;
}

const struct hold *node_state_hold(const struct node_state *state)
{
	if (state->here.release[0])
		return &state->here;
	return state->pinned.release[0] ? &state->pinned : NULL;
}

void hold_set(struct hold *hold, const char *release, const char *reason)
{
	*hold = (struct hold){.since = text_now()};
	memcpy(hold->release, release, strnlen(release, sizeof(hold->release) - 1));
	memcpy(hold->reason, reason, strnlen(reason, sizeof(hold->reason) - 1));
	reason_clean(hold->reason);
}

/*
 * What the next start needs: it is current, or will be. ACTIVE as well: after a loss the entry may
 * not say so.
 */
static bool is_needed(const struct node_state *state, const struct state_entry *entry)
{
	char name[OID_HEX_SIZE];

	(void)oid_hex(&entry->release, name);
	return entry->verdict == VERDICT_ACTIVE || strcmp(name, state->active) == 0 ||
	       strcmp(name, state->here.release) == 0 || strcmp(name, state->pinned.release) == 0;
}

static void drop_oldest(struct node_state *state)
{
	size_t at = state->log_count - 1;

	while (at > 0 && is_needed(state, state->log + at))
		at--;
	free(state->log[at].reason);
	memmove(state->log + at, state->log + at + 1,
		(state->log_count - at - 1) * sizeof(*state->log));
	state->log_count--;
}

struct state_entry *node_state_note(struct node_state *state, const struct oid *release,
				    uint64_t sequence)
{
	struct state_entry *entry = node_state_find(state, release);
	size_t at = 0;

	if (entry)
		return entry;
	if (state->log_count == STATE_LOG_MAX)
		drop_oldest(state);
	while (at < state->log_count && state->log[at].sequence > sequence)
		at++;
	entry = state->log + at;
	memmove(entry + 1, entry, (state->log_count - at) * sizeof(*state->log));
	state->log_count++;
	*entry = (struct state_entry){.release = *release, .sequence = sequence};
	return entry;
}

void reason_clean(char *reason)
{
	/* JSON takes UTF-8 only */
	json_t *good = json_string(reason);

	text_escape_in_place(reason);
	for (char *p = reason; !good && *p; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	json_decref(good);
}

void entry_verdict(struct state_entry *entry, enum verdict verdict, const char *step,
		   const char *reason)
{
	char *copy = reason ? text_copy(reason) : NULL; /* it may be the entry's own */

	entry->verdict = verdict;
	memset(entry->step, 0, sizeof(entry->step));
	memcpy(entry->step, step, strnlen(step, sizeof(entry->step) - 1));
	/* from a state file that was edited it may be anything, and is cut */
	reason_clean(entry->step);
	free(entry->reason);
	entry->reason = copy;
	if (entry->reason)
		reason_clean(entry->reason);
}

void node_state_clear(struct node_state *state)
{
	for (size_t i = 0; i < state->log_count; i++)
		free(state->log[i].reason);
	initdir_marks_clear(&state->init_marks);
	*state = (struct node_state){0};
}

/* --- writing --- */

static json_t *key_json(const uint8_t key[static KEY_SIZE])
{
	struct buf text;
	json_t *out;

	buf_init(&text, 2 * KEY_SIZE);
	encode_base64(&text, key, KEY_SIZE);
	out = json_string(buf_text(&text));
	buf_clear(&text);
	return out;
}

static json_t *entry_json(const struct state_entry *entry)
{
	char release[OID_HEX_SIZE], source[OID_HEX_SIZE];

	return json_pack("{s:s, s:s, s:I, s:I, s:s, s:s, s:s?}", "release",
			 oid_hex(&entry->release, release), "source",
			 oid_hex(&entry->source, source), "sequence", (json_int_t)entry->sequence,
			 "activatedAt", (json_int_t)entry->activated_at, "verdict",
			 words[entry->verdict], "step", entry->step, "reason", entry->reason);
}

static json_t *hold_json(const struct hold *hold)
{
	if (!hold->release[0])
		return json_null();
	return json_pack("{s:s, s:I, s:s}", "release", hold->release, "since",
			 (json_int_t)hold->since, "reason", hold->reason);
}

/* What a start is compared with. */
static void add_start(json_t *doc, const struct node_state *state)
{
	int rc = json_object_set_new(doc, "initWins", json_boolean(state->init_wins));

	if (rc == 0 && state->init_marks.known)
		rc = json_object_set_new(doc, "initFiles", initdir_marks_json(&state->init_marks));
	if (rc == 0)
		rc = json_object_set_new(doc, "joined", json_string(state->joined));
	assert(rc == 0); /* its name is of a revision, thus UTF-8 */
}

char *node_state_format(const struct node_state *state)
{
	const struct chain_state *chain = &state->chain;
	json_t *keys = json_array(), *log = json_array(), *doc;
	char accepted[OID_HEX_SIZE], *text;
	struct buf id;

	buf_init(&id, CLUSTER_ID_HEX_SIZE);
	encode_hex(&id, chain->cluster_id, CLUSTER_ID_SIZE);
	for (size_t i = 0; i < chain->key_count; i++)
		(void)json_array_append_new(keys,
					    key_json(chain->keys[i])); /* only out of memory */
	for (size_t i = 0; i < state->log_count; i++)
		(void)json_array_append_new(log,
					    entry_json(state->log + i)); /* only out of memory */
	doc = json_pack("{s:i, s:s, s:s, s:s, s:I, s:o, s:s, s:s, s:o, s:o, s:I, s:o}", "version",
			STATE_VERSION, "cluster", buf_text(&id), "role", chain->role, "accepted",
			chain->has_accepted ? oid_hex(&chain->accepted, accepted) : "", "sequence",
			(json_int_t)chain->sequence, "keys", keys, "init", state->init_digest,
			"active", state->active, "here", hold_json(&state->here), "pinned",
			hold_json(&state->pinned), "pinSequence", (json_int_t)state->pin_sequence,
			"log", log);
	add_start(doc, state);
	text = json_dumps(doc, JSON_INDENT(1));
	assert(text); /* every string in it is ours or was checked to be UTF-8 */
	json_decref(doc);
	buf_clear(&id);
	return text;
}

/* Not synced, and not missed: it is for the day on which another hand takes the state itself. */
static void write_copy(const char *text, const struct home *home)
{
	struct err err;

	(void)unlinkat(home->var_fd, COPY_FRESH, 0); /* what a kill left */
	if (fs_write_unsynced(home->var_fd, COPY_FRESH, text, strlen(text), 0600, &err) != 0 ||
	    renameat(home->var_fd, COPY_FRESH, home->var_fd, COPY_FILE) != 0)
		(void)unlinkat(home->var_fd, COPY_FRESH, 0); /* the older one stays */
}

int node_state_write(const char *text, const struct home *home, struct err *err)
{
	/* first, so that it is never behind: what was accepted must not be lowered by a loss */
	write_copy(text, home);
	return fs_write_atomic(home->var_fd, STATE_FILE, text, strlen(text), 0600, err);
}

/* --- reading --- */

static int parse_keys(struct chain_state *chain, const json_t *keys)
{
	size_t i;
	json_t *key;

	if (json_array_size(keys) > LIMIT_RELEASE_KEYS)
		return -1;
	json_array_foreach(keys, i, key) {
		const char *text = json_string_value(key);
		struct buf bytes;
		int rc;

		buf_init(&bytes, KEY_SIZE);
		rc = text ? decode_base64(text, strlen(text), &bytes) : -1;
		if (rc == 0 && bytes.len == KEY_SIZE)
			memcpy(chain->keys[chain->key_count++], bytes.data, KEY_SIZE);
		else
			rc = -1;
		buf_clear(&bytes);
		if (rc != 0)
			return -1;
	}
	return 0;
}

static int parse_verdict(const char *word, enum verdict *out)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(words[i], word) == 0) {
			*out = (enum verdict)i;
			return 0;
		}
	}
	return -1;
}

static int parse_entry(struct node_state *state, const json_t *doc)
{
	struct state_entry entry = {0};
	const char *release, *source, *verdict, *step;
	json_t *reason;
	json_int_t sequence, activated;

	if (json_unpack((json_t *)doc, "{s:s, s:s, s:I, s:I, s:s, s:s, s:o}", "release", &release,
			"source", &source, "sequence", &sequence, "activatedAt", &activated,
			"verdict", &verdict, "step", &step, "reason", &reason) != 0)
		return -1;
	if (oid_parse(release, &entry.release) != 0 || oid_parse(source, &entry.source) != 0 ||
	    parse_verdict(verdict, &entry.verdict) != 0 || sequence < 0 ||
	    state->log_count == STATE_LOG_MAX || !(json_is_null(reason) || json_is_string(reason)))
		return -1;
	entry.sequence = (uint64_t)sequence;
	entry.activated_at = activated;
	entry_verdict(&entry, entry.verdict, step, json_string_value(reason));
	state->log[state->log_count++] = entry;
	return 0;
}

/* The name of a revision: no path. */
static bool is_revision(const char *name)
{
	return strlen(name) < REVISION_NAME_MAX && !strchr(name, '/');
}

static int parse_hold(struct hold *hold, json_t *doc)
{
	const char *release, *reason;
	json_int_t since;

	if (json_is_null(doc))
		return 0;
	if (json_unpack(doc, "{s:s, s:I, s:s}", "release", &release, "since", &since, "reason",
			&reason) != 0 ||
	    !*release || !is_revision(release) || since < 0 || since > RELEASE_TIME_MAX ||
	    strlen(reason) > PIN_REASON_MAX)
		return -1;
	hold_set(hold, release, reason);
	hold->since = since;
	return 0;
}

static int parse_holds(struct node_state *state, json_t *doc)
{
	json_t *here, *pinned;
	json_int_t sequence;

	if (json_unpack(doc, "{s:o, s:o, s:I}", "here", &here, "pinned", &pinned, "pinSequence",
			&sequence) != 0 ||
	    sequence < 0 || parse_hold(&state->here, here) != 0 ||
	    parse_hold(&state->pinned, pinned) != 0)
		return -1;
	state->pin_sequence = (uint64_t)sequence;
	return state->pinned.release[0] && sequence == 0 ? -1 : 0;
}

/* Members that a state written before they were thought of lacks. */
static int parse_start(struct node_state *state, const json_t *doc)
{
	const json_t *wins = json_object_get(doc, "initWins"),
		     *files = json_object_get(doc, "initFiles");
	const json_t *joined = json_object_get(doc, "joined");
	const char *name = joined ? json_string_value(joined) : "";

	if ((wins && !json_is_boolean(wins)) || !name || strlen(name) >= sizeof(state->joined) ||
	    strchr(name, '/'))
		return -1;
	state->init_wins = json_is_true(wins);
	memcpy(state->joined, name, strlen(name) + 1);
	return files ? initdir_marks_parse(files, &state->init_marks) : 0;
}

static int parse_state(struct node_state *state, json_t *doc)
{
	struct chain_state *chain = &state->chain;
	const char *cluster, *role, *accepted, *init, *active;
	json_t *keys, *log, *entry;
	json_int_t version, sequence;
	struct buf id;
	size_t i;
	int rc;

	if (json_unpack(doc, "{s:I, s:s, s:s, s:s, s:I, s:o, s:s, s:s, s:o}", "version", &version,
			"cluster", &cluster, "role", &role, "accepted", &accepted, "sequence",
			&sequence, "keys", &keys, "init", &init, "active", &active, "log",
			&log) != 0)
		return -1;
	buf_init(&id, CLUSTER_ID_SIZE);
	rc = decode_hex(cluster, strlen(cluster), &id) == 0 && id.len == CLUSTER_ID_SIZE ? 0 : -1;
	if (rc == 0)
		memcpy(chain->cluster_id, id.data, CLUSTER_ID_SIZE);
	buf_clear(&id);
	chain->has_accepted = *accepted != '\0';
	if (rc != 0 || version != STATE_VERSION || !name_valid(role) || sequence < 0 ||
	    strlen(init) >= sizeof(state->init_digest) || !is_revision(active) ||
	    parse_holds(state, doc) != 0 || parse_keys(chain, keys) != 0 ||
	    (*accepted && oid_parse(accepted, &chain->accepted) != 0))
		return -1;
	memcpy(chain->role, role, strlen(role) + 1);
	memcpy(state->init_digest, init, strlen(init) + 1);
	memcpy(state->active, active, strlen(active) + 1);
	chain->sequence = (uint64_t)sequence;
	json_array_foreach(log, i, entry)
		if (parse_entry(state, entry) != 0)
			return -1;
	if (parse_start(state, doc) != 0)
		return -1;
	state->known = true;
	return 0;
}

/* A file that is not there is not known. */
static int load_file(struct node_state *state, const struct home *home, const char *file,
		     struct err *err)
{
	struct buf text;
	json_t *doc = NULL;
	int rc;

	*state = (struct node_state){0};
	buf_init(&text, LIMIT_SMALL_FILE);
	rc = fs_read(home->var_fd, file, &text, err);
	if (rc != 0 && err->code == ERR_GONE) {
		buf_clear(&text);
		return 0;
	}
	if (rc == 0) {
		doc = json_loadb(buf_text(&text), text.len, JSON_REJECT_DUPLICATES, NULL);
		rc = doc ? parse_state(state, doc) : -1;
		if (rc != 0)
			(void)err_set(err, ERR_CORRUPT, "%s/%s: damaged", home->var, file);
	}
	if (rc != 0)
		node_state_clear(state);
	json_decref(doc);
	buf_clear(&text);
	return rc;
}

int node_state_load(struct node_state *state, const struct home *home, struct err *err)
{
	return load_file(state, home, STATE_FILE, err);
}

bool node_state_load_copy(struct node_state *state, const struct home *home)
{
	struct err err;

	return load_file(state, home, COPY_FILE, &err) == 0 && state->known;
}
