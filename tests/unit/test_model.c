/* The model: its lines, what matches, and what is refused. */
#include "config/model.h"

#include "config_fixture.h"

static struct model *model_of(const char *text)
{
	struct model *model = NULL;
	struct err err = {.code = ERR_NONE};

	if (model_parse("model.conf", text, strlen(text), &model, &err))
		fail_msg("%s", err.text);
	return model;
}

static void refuse_model(const char *text, size_t len, const char *want)
{
	struct model *model = NULL;
	struct err err = {.code = ERR_NONE};

	assert_int_equal(model_parse("model.conf", text, len, &model, &err), -1);
	assert_null(model);
	assert_int_equal(err.code, ERR_REFUSED);
	assert_has(err.text, want);
}

/* The properties at a path written `a/b/c`. */
static struct model_props at(const struct model *model, const char *path)
{
	struct steps steps = {.count = 0};
	struct model_props props;
	char *copy = text_copy(path), *rest = copy, *step;

	while ((step = strsep(&rest, "/")))
		steps_push(&steps, step);
	model_match(model, &steps, &props);
	free(copy);
	return props;
}

static void test_built_in(void **state)
{
	struct model *model = model_default();

	(void)state;
	assert_true(at(model, "environments/environment").flags & MODEL_CONTAINER);
	assert_true(at(model, "nacm").flags & MODEL_ADMIN_ONLY);
	assert_int_equal(at(model, "profiles/nacm").flags, 0);
	assert_true(at(model, "environments/environment/admin-service").flags & MODEL_ADMIN_ONLY);
	assert_true(at(model, "a/claims-mapper/id_token/claim").flags & MODEL_LEAF_LIST);
	assert_int_equal(at(model, "a/claims-mapper/claim").flags, 0);
	assert_int_equal(at(model, "claims/claim").flags, 0);
	assert_true(at(model, "x/y/client-secret").flags & MODEL_SECRET);
	assert_int_equal(at(model, "environments/environment/cluster/port").type, MODEL_PORT);
	assert_true(at(model, "facilities/data-sources/data-source").flags & MODEL_REFERENCED_ONLY);
	assert_int_not_equal(at(model, "facilities/data-sources/data-source").lists, 0);
	assert_int_equal(
		at(model, "facilities/data-sources/data-source").lists,
		at(model, "processing/account-managers/account-manager/account-data-source").refs);
	assert_true(at(model, "profiles/profile/endpoints").flags & MODEL_CONTAINER);
	model_free(model);
	model_free(NULL);
}

static void test_lines(void **state)
{
	struct model *model = model_of("# nothing\n"
				       "\n"
				       "  a/b\tcontainer   secret # why\r\n"
				       "/top type=enum:x|y\n"
				       "*/star leaf-list\n"
				       "any/* admin-only\n"
				       "a/r ref=l/e|/m/f");
	struct model_props props;

	(void)state;
	assert_int_equal(at(model, "z/a/b").flags, MODEL_CONTAINER | MODEL_SECRET);
	assert_int_equal(at(model, "b").flags, 0);
	props = at(model, "top");
	assert_int_equal(props.type, MODEL_ENUM);
	assert_string_equal(props.words, "x|y");
	assert_int_equal(at(model, "a/top").type, MODEL_ANY);
	assert_int_equal(at(model, "q/star").flags, MODEL_LEAF_LIST);
	assert_int_equal(at(model, "star").flags, 0);
	assert_int_equal(at(model, "any/thing").flags, MODEL_ADMIN_ONLY);
	props = at(model, "a/r");
	assert_int_equal(props.refs, at(model, "k/l/e").lists | at(model, "m/f").lists);
	assert_int_equal(at(model, "k/m/f").lists, 0);
	assert_string_equal(model_list_name(model, at(model, "m/f").lists), "/m/f");
	assert_string_equal(model_list_name(model, 0), "");
	model_free(model);
}

static void test_later_lines_win(void **state)
{
	struct model *model = model_of("a/x type=port ref=l/one\n"
				       "*/x type=boolean\n"
				       "x ref=l/two secret\n"
				       "a/* type=number\n"
				       "cluster/port type=number\n");
	struct model_props props = at(model, "a/x");

	(void)state;
	assert_int_equal(props.type, MODEL_NUMBER);
	assert_string_equal(model_list_name(model, props.refs), "l/two");
	assert_int_equal(props.flags, MODEL_SECRET);
	assert_int_equal(at(model, "b/x").type, MODEL_BOOLEAN);
	assert_int_equal(at(model, "environments/environment/cluster/port").type, MODEL_NUMBER);
	model_free(model);
}

static void test_refused(void **state)
{
	static const struct {
		const char *text, *want;
	} bad[] = {
		{"a", "model.conf:1: a pattern without a property"},
		{"\n\na b", "model.conf:3: \"b\" is no property"},
		{"a Container", "\"Container\" is no property"},
		{"a secret,container", "is no property"},
		{"a type=", "\"\" is no type"},
		{"a type=enum", "is no type"},
		{"a type=enum:", "is no type"},
		{"a type=string", "\"string\" is no type"},
		{"a ref=", "ref="},
		{"a ref=b||c", "ref="},
		{"a ref=b//c", "ref="},
		{"/ secret", "\"/\" is no path pattern"},
		{"a//b secret", "is no path pattern"},
		{"a/ secret", "is no path pattern"},
		{"//a secret", "is no path pattern"},
		{"a[1] secret", "is no path pattern"},
		{"a*b secret", "is no path pattern"},
		{"** secret", "is no path pattern"},
		{"{urn:x}a secret", "is no path pattern"},
		{"p:a secret", "is no path pattern"},
		{"\x01 secret", "is no path pattern"},
		{"a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t/u/v/w/x/y/z/1/2/3/4/5/6/7/8 secret",
		 "is no path pattern"},
	};
	struct buf text;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		refuse_model(bad[i].text, strlen(bad[i].text), bad[i].want);
	refuse_model("a secret\0", 9, "model.conf:1: a NUL");
	buf_init(&text, 16u << 20);
	for (int i = 0; i < 5000; i++)
		buf_puts(&text, " ");
	refuse_model(buf_text(&text), text.len, "model.conf:1: ");
	buf_reset(&text);
	for (int i = 0; i < 2000; i++)
		buf_printf(&text, "a%d secret\n", i);
	refuse_model(buf_text(&text), text.len, "patterns");
	buf_reset(&text);
	for (int i = 0; i < 64; i++)
		buf_printf(&text, "a%d ref=list%d\n", i, i);
	refuse_model(buf_text(&text), text.len, "more than 63 lists");
	buf_reset(&text);
	while (text.len <= LIMIT_SMALL_FILE)
		buf_puts(&text, "# a comment\n");
	refuse_model(buf_text(&text), text.len, "over");
	buf_clear(&text);
}

static void test_every_flip_and_cut(void **state)
{
	static const char text[] =
		"# c\n/a/*/b container type=enum:x|y ref=l/m|n secret\nq leaf-list\n";
	char copy[sizeof(text)];

	(void)state;
	for (size_t i = 0; i < sizeof(text) - 1; i++)
		for (int bit = 0; bit <= 8; bit++) {
			struct model *model = NULL;
			struct err err = {.code = ERR_NONE};
			size_t len = sizeof(text) - 1;

			memcpy(copy, text, sizeof(text));
			if (bit == 8)
				len = i;
			else
				copy[i] = (char)(copy[i] ^ 1 << bit);
			if (model_parse("m", copy, len, &model, &err) == 0)
				model_free(model);
			else
				assert_int_equal(strncmp(err.text, "m:", 2), 0);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_built_in),           cmocka_unit_test(test_lines),
		cmocka_unit_test(test_later_lines_win),    cmocka_unit_test(test_refused),
		cmocka_unit_test(test_every_flip_and_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
