/*
 * What a node remembers: it survives writing and reading, whatever was in it, and nothing else is
 * taken for it.
 */
#include "node_home.h"

#include "crypto/key.h"
#include "node/state.h"

#include <jansson.h>

static struct oid oid_of(unsigned n)
{
	struct oid oid = {{0}};

	oid.id[0] = (uint8_t)(n >> 8);
	oid.id[1] = (uint8_t)n;
	oid.id[19] = 1;
	return oid;
}

static struct node_state sample(void)
{
	struct node_state state = {.known = true};
	struct fileset init = {0};
	struct oid oid = oid_of(3);

	must(fileset_add(&init, "a.xml", FILE_PLAIN, "a", 1, err));
	must(fileset_add(&init, "b \xff.xml", FILE_PLAIN, "b", 1, err));

	memset(state.chain.cluster_id, 7, CLUSTER_ID_SIZE);
	memcpy(state.chain.role, "internal", sizeof("internal"));
	state.chain.has_accepted = true;
	state.chain.accepted = oid;
	state.chain.sequence = 3;
	state.chain.key_count = 2;
	memset(state.chain.keys[0], 1, KEY_SIZE);
	memset(state.chain.keys[1], 0xff, KEY_SIZE);
	memset(state.init_digest, 'a', STATE_DIGEST_MAX - 1);
	memset(state.active, 'b', REVISION_NAME_MAX - 1);
	memset(state.here.release, 'c', REVISION_NAME_MAX - 1);
	memset(state.here.reason, 'd', PIN_REASON_MAX);
	state.here.since = RELEASE_TIME_MAX;
	hold_set(&state.pinned, "init-1", "bytes \xff and \n");
	state.pin_sequence = INT64_MAX;
	memset(state.joined, 'c', REVISION_NAME_MAX - 1);
	state.init_wins = true;
	initdir_mark(&init, true, &state.init_marks);
	fileset_clear(&init);
	for (unsigned i = 1; i <= 3; i++) {
		struct state_entry *entry;

		oid = oid_of(i);
		entry = node_state_note(&state, &oid, i);
		entry->source = oid_of(100 + i);
		entry->activated_at = 1700000000 + i;
	}
	entry_verdict(state.log, VERDICT_REJECTED, "vet", "10-no: exit status 1");
	entry_verdict(state.log + 1, VERDICT_ACTIVE, "", NULL);
	entry_verdict(state.log + 2, VERDICT_BURNT, "activate",
		      "bytes \xff\xfe and \x01\n \xc3\xa4");
	return state;
}

static void write_state(const struct place *p, const struct node_state *state)
{
	char *text = node_state_format(state);

	must(fs_make_dirs(p->home.var_fd, "node", 0700, err));
	must(node_state_write(text, &p->home, err));
	free(text);
}

static void a_new_home_knows_nothing(void **state_)
{
	struct place *p = *state_;
	struct node_state state;

	must(node_state_load(&state, &p->home, err));
	assert_false(state.known);
	assert_int_equal(state.log_count, 0);
}

static void comes_back(void **state_)
{
	struct place *p = *state_;
	struct node_state state = sample(), back;
	char *first = node_state_format(&state), *second;
	struct oid oid = oid_of(2);

	write_state(p, &state);
	must(node_state_load(&back, &p->home, err));
	second = node_state_format(&back);
	assert_string_equal(first, second);
	assert_true(back.known && back.chain.has_accepted);
	assert_int_equal(back.chain.key_count, 2);
	assert_memory_equal(back.chain.keys, state.chain.keys, sizeof(back.chain.keys));
	assert_string_equal(back.active, state.active);
	assert_memory_equal(&back.here, &state.here, sizeof(back.here));
	assert_memory_equal(&back.pinned, &state.pinned, sizeof(back.pinned));
	assert_string_equal(back.pinned.reason, "bytes ? and ?");
	assert_true(back.pin_sequence == INT64_MAX);
	assert_string_equal(back.joined, state.joined);
	assert_true(back.init_wins);
	assert_int_equal(back.init_marks.count, 2);
	assert_null(initdir_difference(&state.init_marks, &back.init_marks));
	assert_string_equal(back.log[0].step, "vet");
	assert_null(node_state_find(&back, &oid)->reason);
	assert_string_equal(back.log[2].reason, "bytes ?? and ?? ??");
	node_state_clear(&state);
	node_state_clear(&back);
	node_state_clear(&back);
	free(first);
	free(second);
}

static void every_truncation_is_damage(void **state_)
{
	struct place *p = *state_;
	struct node_state state = sample(), back;
	char *text = node_state_format(&state);

	must(fs_make_dirs(p->home.var_fd, "node", 0700, err));
	for (size_t n = 0; n < strlen(text); n += n < 600 ? 1 : 37) {
		/* in place: durability is not what is tested here */
		int fd = openat(p->home.var_fd, "node/state",
				O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

		assert_int_equal(write(fd, text, n), n);
		assert_int_equal(close(fd), 0);
		must_fail(node_state_load(&back, &p->home, err), ERR_CORRUPT, "damaged");
		assert_false(back.known);
	}
	free(text);
	node_state_clear(&state);
}

/*
 * It is what was written last, whatever becomes of the state; and a copy that cannot be made keeps
 * nobody from writing.
 */
static void a_copy_is_kept(void **state_)
{
	struct place *p = *state_;
	struct node_state state = sample(), back;
	char *text = node_state_format(&state), *again;

	assert_false(node_state_load_copy(&back, &p->home));
	assert_false(back.known);
	put_file(p, "node/state.copy.tmp", "left by a kill");
	write_state(p, &state);
	must(fs_remove_tree(p->home.var_fd, "node/state", err));
	assert_true(node_state_load_copy(&back, &p->home));
	again = node_state_format(&back);
	assert_string_equal(again, text);
	free(again);
	node_state_clear(&back);
	state.pin_sequence = 7;
	write_state(p, &state);
	assert_true(node_state_load_copy(&back, &p->home));
	assert_int_equal(back.pin_sequence, 7);
	node_state_clear(&back);
	put_file(p, "node/state.copy", "{\"version\":1}");
	assert_false(node_state_load_copy(&back, &p->home));
	assert_false(back.known);
	must(fs_remove_tree(p->home.var_fd, "node/state.copy", err));
	must(fs_make_dirs(p->home.var_fd, "node/state.copy/x", 0700, err));
	write_state(p, &state);
	must(node_state_load(&back, &p->home, err));
	assert_int_equal(back.pin_sequence, 7);
	node_state_clear(&back);
	free(text);
	node_state_clear(&state);
}

/*
 * Members that were thought of later: without them nothing is known of etc/init, so that nothing
 * differs from it.
 */
static void an_older_one_is_read(void **state_)
{
	static const char *const later[] = {"initWins", "initFiles", "joined"};
	static const struct {
		const char *member, *value;
	} bad[] = {
		{"initWins", "1"},
		{"initWins", "null"},
		{"initFiles", "[]"},
		{"initFiles", "null"},
		{"initFiles", "{\"a.xml\":\"00\"}"},
		{"joined", "null"},
		{"joined", "\"a/b\""},
		{"joined", "7"},
		{"joined",
		 "\"0123456789012345678901234567890123456789012345678901234567890123456789"
		 "0123456789\""},
	};
	struct place *p = *state_;
	struct node_state state = sample(), back;
	char *text = node_state_format(&state), *changed;
	json_t *doc = json_loads(text, 0, NULL);

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		json_t *copy = json_deep_copy(doc);

		(void)json_object_set_new(copy, bad[i].member,
					  json_loads(bad[i].value, JSON_DECODE_ANY, NULL));
		changed = json_dumps(copy, 0);
		put_file(p, "node/state", changed);
		must_fail(node_state_load(&back, &p->home, err), ERR_CORRUPT, "damaged");
		free(changed);
		json_decref(copy);
	}
	for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++)
		(void)json_object_del(doc, later[i]);
	changed = json_dumps(doc, 0);
	put_file(p, "node/state", changed);
	must(node_state_load(&back, &p->home, err));
	assert_true(back.known && back.chain.has_accepted);
	assert_false(back.init_wins || back.init_marks.known || back.joined[0]);
	node_state_clear(&back);
	node_state_clear(&state);
	json_decref(doc);
	free(changed);
	free(text);
}

/* One member changed to what it must not be. */
static void every_member_is_looked_at(void **state_)
{
	static const struct {
		const char *member, *value;
	} rows[] = {
		{"version", "2"},         {"version", "\"1\""},
		{"cluster", "\"\""},      {"cluster", "\"0g\""},
		{"cluster", "7"},         {"role", "\"../x\""},
		{"role", "\"\""},         {"accepted", "\"12\""},
		{"sequence", "-1"},       {"sequence", "1.5"},
		{"keys", "[\"AAAA\"]"},   {"keys", "[7]"},
		{"init", "null"},         {"active", "\"a/b\""},
		{"active", "null"},       {"log", "[{}]"},
		{"log", "[7]"},           {"here", "7"},
		{"here", "{}"},           {"here", "\"x\""},
		{"pinned", "[]"},         {"pinned", "{\"release\":7}"},
		{"pinSequence", "-1"},    {"pinSequence", "0"},
		{"pinSequence", "\"1\""},
	};
	struct place *p = *state_;
	struct node_state state = sample(), back;
	char *text = node_state_format(&state);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_t *doc = json_loads(text, 0, NULL);
		char *changed;

		assert_int_equal(
			json_object_set_new(doc, rows[i].member,
					    json_loads(rows[i].value, JSON_DECODE_ANY, NULL)),
			0);
		changed = json_dumps(doc, 0);
		put_file(p, "node/state", changed);
		must_fail(node_state_load(&back, &p->home, err), ERR_CORRUPT, "damaged");
		(void)json_object_del(doc, rows[i].member);
		free(changed);
		changed = json_dumps(doc, 0);
		put_file(p, "node/state", changed);
		must_fail(node_state_load(&back, &p->home, err), ERR_CORRUPT, "damaged");
		free(changed);
		json_decref(doc);
	}
	free(text);
	node_state_clear(&state);
}

static void entries_are_looked_at(void **state_)
{
	static const struct {
		const char *member, *value;
	} rows[] = {{"release", "\"x\""},       {"source", "\"\""},      {"sequence", "-1"},
		    {"activatedAt", "\"now\""}, {"verdict", "\"fine\""}, {"verdict", "7"},
		    {"step", "null"},           {"reason", "7"}};
	struct place *p = *state_;
	struct node_state state = sample(), back;
	char *text = node_state_format(&state);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_t *doc = json_loads(text, 0, NULL),
		       *entry = json_array_get(json_object_get(doc, "log"), 1);
		char *changed;

		(void)json_object_set_new(entry, rows[i].member,
					  json_loads(rows[i].value, JSON_DECODE_ANY, NULL));
		changed = json_dumps(doc, 0);
		put_file(p, "node/state", changed);
		must_fail(node_state_load(&back, &p->home, err), ERR_CORRUPT, "damaged");
		free(changed);
		json_decref(doc);
	}
	free(text);
	node_state_clear(&state);
}

static void holds_are_looked_at(void **state_)
{
	static const struct {
		const char *member, *value;
	} rows[] = {{"release", "\"\""},       {"release", "\"a/b\""}, {"release", "null"},
		    {"since", "-1"},           {"since", "\"\""},      {"since", "1.5"},
		    {"since", "253402300800"}, {"reason", "null"}};
	struct place *p = *state_;
	struct node_state state = sample(), back;
	char *text = node_state_format(&state);

	for (size_t i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
		json_t *doc = json_loads(text, 0, NULL),
		       *hold = json_object_get(doc, i % 2 ? "here" : "pinned");
		char *changed;

		(void)json_object_set_new(hold, rows[i / 2].member,
					  json_loads(rows[i / 2].value, JSON_DECODE_ANY, NULL));
		changed = json_dumps(doc, 0);
		put_file(p, "node/state", changed);
		must_fail(node_state_load(&back, &p->home, err), ERR_CORRUPT, "damaged");
		free(changed);
		json_decref(doc);
	}
	free(text);
	node_state_clear(&state);
}

/* What this node is held at is what the next start has to verify, however old it is. */
static void held_ones_are_kept(void **state_)
{
	struct node_state state = {.known = true};
	struct oid here = oid_of(1), pinned = oid_of(2), active = oid_of(3), oid;
	char hex[OID_HEX_SIZE];

	(void)state_;
	hold_set(&state.here, oid_hex(&here, hex), "-");
	hold_set(&state.pinned, oid_hex(&pinned, hex), "-");
	(void)node_state_note(&state, &here, 1);
	(void)node_state_note(&state, &pinned, 2);
	entry_verdict(node_state_note(&state, &active, 3), VERDICT_ACTIVE, "", NULL);
	for (unsigned i = 4; i < 3 * STATE_LOG_MAX; i++) {
		oid = oid_of(i);
		(void)node_state_note(&state, &oid, i);
		assert_true(node_state_accepted(&state, &here) &&
			    node_state_accepted(&state, &pinned) &&
			    node_state_accepted(&state, &active));
	}
	assert_int_equal(state.log_count, STATE_LOG_MAX);
	/* one that was gone has its place again */
	oid = oid_of(4);
	assert_true(node_state_note(&state, &oid, 4) == state.log + STATE_LOG_MAX - 4);
	for (size_t i = 1; i < state.log_count; i++)
		assert_true(state.log[i - 1].sequence > state.log[i].sequence);
	node_state_clear(&state);
}

/*
 * However many releases are refused after it: what is active stays known, or the next start could
 * not verify it.
 */
static void the_active_one_is_kept(void **state_)
{
	struct place *p = *state_;
	struct node_state state = {.known = true}, back;
	struct oid active = oid_of(1), oid;

	memcpy(state.chain.role, "a", 2);
	entry_verdict(node_state_note(&state, &active, 1), VERDICT_ACTIVE, "", NULL);
	for (unsigned i = 2; i < 3 * STATE_LOG_MAX; i++) {
		oid = oid_of(i);
		entry_verdict(node_state_note(&state, &oid, i), VERDICT_REJECTED, "vet", "no");
		assert_true(node_state_accepted(&state, &active));
		assert_true(node_state_accepted(&state, &oid));
	}
	assert_int_equal(state.log_count, STATE_LOG_MAX);
	assert_true(oid_equal(&state.log[0].release, &oid));
	assert_true(node_state_note(&state, &oid, 7) == state.log); /* once */
	oid = oid_of(2);
	assert_false(node_state_accepted(&state, &oid));
	write_state(p, &state);
	must(node_state_load(&back, &p->home, err));
	assert_int_equal(back.log_count, STATE_LOG_MAX);
	assert_true(node_state_accepted(&back, &active));
	node_state_clear(&state);
	node_state_clear(&back);
}

/*
 * So is what a start falls back to, also where the verdicts were lost with the state and made anew.
 */
static void the_one_to_fall_back_to_is_kept(void **state_)
{
	struct node_state state = {.known = true};
	struct oid active = oid_of(1), oid;
	char hex[OID_HEX_SIZE];

	(void)state_;
	entry_verdict(node_state_note(&state, &active, 1), VERDICT_PAST, "", NULL);
	memcpy(state.active, oid_hex(&active, hex), OID_HEX_SIZE);
	for (unsigned i = 2; i < 2 * STATE_LOG_MAX; i++) {
		oid = oid_of(i);
		entry_verdict(node_state_note(&state, &oid, i), VERDICT_REJECTED, "check", "no");
		assert_true(node_state_accepted(&state, &active));
	}
	assert_int_equal(state.log_count, STATE_LOG_MAX);
	node_state_clear(&state);
}

static void a_verdict_may_repeat_its_reason(void **state_)
{
	struct node_state state = sample();

	(void)state_;
	entry_verdict(state.log + 2, VERDICT_BURNT, "activate", state.log[2].reason);
	assert_string_equal(state.log[2].reason, "bytes ?? and ?? ??");
	entry_verdict(state.log, VERDICT_REJECTED, "a step of more than 16 bytes", NULL);
	assert_string_equal(state.log[0].step, "a step of more ");
	node_state_clear(&state);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		place_test(a_new_home_knows_nothing),
		place_test(comes_back),
		place_test(every_truncation_is_damage),
		place_test(a_copy_is_kept),
		place_test(an_older_one_is_read),
		place_test(every_member_is_looked_at),
		place_test(entries_are_looked_at),
		place_test(the_active_one_is_kept),
		cmocka_unit_test(the_one_to_fall_back_to_is_kept),
		place_test(a_verdict_may_repeat_its_reason),
		place_test(holds_are_looked_at),
		place_test(held_ones_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
