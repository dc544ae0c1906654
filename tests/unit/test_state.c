/* The admin's state file: what is written is read, and nothing else is. */
#include "admin_home.h"

static struct admin_state sample(void)
{
	struct admin_state state = {.has_published = false};
	struct oid source = {.id = {1, 2, 3}}, refused = {.id = {9}};
	char *reasons[] = {(char[]){"a.xml:3: /environments: is wrong"},
			   (char[]){"caf\xe9.xml: bytes"}};
	struct state_role *role;

	state_set_published(&state, &source, "0.1.0 abcdef");
	role = state_add_role(&state, "default");
	role->release = (struct oid){.id = {7}};
	role->sequence = 42;
	role = state_add_role(&state, "old");
	role->sequence = 3;
	role->release = (struct oid){.id = {8}};
	role->removed = true;
	state_set_refused(&state, &refused, "check", reasons, 2);
	return state;
}

static void same(const struct admin_state *a, const struct admin_state *b)
{
	struct buf x, y;

	buf_init(&x, 1 << 20);
	buf_init(&y, 1 << 20);
	state_format(a, &x);
	state_format(b, &y);
	assert_string_equal(buf_text(&x), buf_text(&y));
	buf_clear(&x);
	buf_clear(&y);
}

static void test_round_trip(void **unused)
{
	struct admin_state state = sample(), back, copy;
	const struct state_role *role;
	struct err err;
	struct buf text;

	(void)unused;
	buf_init(&text, 1 << 20);
	state_format(&state, &text);
	assert_int_equal(state_parse(text.data, text.len, &back, &err), 0);
	same(&state, &back);
	assert_true(back.has_published && back.has_refused);
	assert_string_equal(back.at, state.at);
	assert_string_equal(back.step, "check");
	assert_string_equal(back.reasons[0], state.reasons[0]);
	assert_string_equal(back.reasons[1], "caf?.xml: bytes"); /* was not UTF-8 */
	role = state_find_role(&back, "old");
	assert_true(role && role->removed && role->sequence == 3);
	assert_null(state_find_role(&back, "none"));
	state_copy(&back, &copy);
	same(&back, &copy);
	state_drop_refused(&copy);
	assert_false(copy.has_refused);
	assert_int_equal(copy.reason_count, 0);
	state_clear(&state);
	state_clear(&back);
	state_clear(&copy);
	buf_clear(&text);
}

static void test_empty(void **unused)
{
	struct admin_state state = {.has_published = false}, back;
	struct err err;
	struct buf text;

	(void)unused;
	buf_init(&text, 1 << 20);
	state_format(&state, &text);
	assert_int_equal(state_parse(text.data, text.len, &back, &err), 0);
	assert_false(back.has_published || back.has_refused);
	state_clear(&back);
	buf_clear(&text);
}

/*
 * Cut or changed anywhere: an error, or a state that can be written again; never a crash or a leak.
 */
static void test_damage(void **unused)
{
	struct admin_state state = sample(), back;
	struct err err;
	struct buf text;

	(void)unused;
	buf_init(&text, 1 << 20);
	state_format(&state, &text);
	for (size_t n = 0; n + 1 < text.len; n++) /* all but the last newline is needed */
		assert_int_equal(state_parse(text.data, n, &back, &err), -1);
	for (size_t bit = 0; bit < text.len * 8; bit++) {
		text.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		if (state_parse(text.data, text.len, &back, &err) == 0)
			state_clear(&back);
		else
			assert_int_equal(err.code, ERR_CORRUPT);
		text.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	state_clear(&state);
	buf_clear(&text);
}

static void test_refused_documents(void **unused)
{
#define ID "0102030000000000000000000000000000000000"
	static const char *const bad[] = {
		"",
		"[]",
		"null",
		"{}",
		"{\"published\":null}",
		"{\"refused\":null}",
		"{\"published\":1,\"refused\":null}",
		"{\"published\":null,\"refused\":null,\"refused\":null}",
		"{\"published\":{\"source\":\"01\",\"at\":\"\",\"by\":\"\",\"roles\":{}},"
		"\"refused\":null}",
		"{\"published\":{\"source\":\"" ID
		"\",\"at\":\"\",\"by\":\"\",\"roles\":[]},\"refused\":null}",
		"{\"published\":{\"source\":\"" ID
		"\",\"at\":\"\",\"by\":\"\",\"roles\":{\"../x\":{\"release\":\"" ID
		"\",\"sequence\":1}}},\"refused\":null}",
		"{\"published\":{\"source\":\"" ID
		"\",\"at\":\"\",\"by\":\"\",\"roles\":{\"x\":{\"release\":\"" ID
		"\",\"sequence\":0}}},\"refused\":null}",
		"{\"published\":{\"source\":\"" ID
		"\",\"at\":\"\",\"by\":\"\",\"roles\":{\"x\":{\"release\":\"" ID
		"\",\"sequence\":-5}}},\"refused\":null}",
		"{\"published\":{\"source\":\"" ID
		"\",\"at\":\"0123456789012345678901234567890123456789\",\"by\":\"\","
		"\"roles\":{}},\"refused\":null}",
		"{\"published\":null,\"refused\":{\"source\":\"" ID
		"\",\"at\":\"\",\"step\":\"check\",\"reasons\":[1]}}",
		"{\"published\":null,\"refused\":{\"source\":\"" ID
		"\",\"at\":\"\",\"reasons\":[]}}",
	};
	struct admin_state state;
	struct err err;

	(void)unused;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err.code = ERR_NONE;
		assert_int_equal(state_parse(bad[i], strlen(bad[i]), &state, &err), -1);
		assert_int_equal(err.code, ERR_CORRUPT);
	}
}

static void test_file(void **unused)
{
	struct fixture *f = fixture_new();
	struct admin_state state = sample(), back;
	struct err err;
	char *many[2000], *long_reason = text_format("%01000d", 7);

	(void)unused;
	assert_int_equal(fs_make_dirs(f->home.var_fd, "admin", 0700, &err), 0);
	assert_int_equal(state_read(f->home.var_fd, &back, &err), -1);
	assert_int_equal(err.code, ERR_GONE);
	assert_int_equal(state_write(f->home.var_fd, &state, &err), 0);
	assert_int_equal(state_read(f->home.var_fd, &back, &err), 0);
	same(&state, &back);
	state_clear(&back);
	write_text(f->home.var, ADMIN_STATE_FILE, "{");
	assert_int_equal(state_read(f->home.var_fd, &back, &err), -1);
	assert_int_equal(err.code, ERR_CORRUPT);
	assert_false(back.has_published);

	/* more reasons than fit: told in short, what was published is kept */
	for (size_t i = 0; i < sizeof(many) / sizeof(many[0]); i++)
		many[i] = long_reason;
	state_set_refused(&state, &state.source, "check", many, sizeof(many) / sizeof(many[0]));
	assert_int_equal(state_write(f->home.var_fd, &state, &err), 0);
	assert_int_equal(state_read(f->home.var_fd, &back, &err), 0);
	assert_int_equal(back.reason_count, 1);
	assert_true(back.has_published && state_find_role(&back, "default"));
	state_clear(&back);
	state_clear(&state);
	free(long_reason);
	fixture_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_empty),
		cmocka_unit_test(test_damage),     cmocka_unit_test(test_refused_documents),
		cmocka_unit_test(test_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
