/* Parameters: where they may stand, what is listed, and what fills them. */
#include "config/param.h"

#include "config_fixture.h"

#include "core/limits.h"

static struct param_table table_of(const char *text)
{
	struct param_table table = {.values = NULL};
	struct err err = {.code = ERR_NONE};

	if (param_table_parse(&table, "params", text, strlen(text), &err) != 0)
		fail_msg("%s", err.text);
	return table;
}

/* etc/params that must be refused with WANT. */
static void refuse_table(const char *text, size_t len, const char *want)
{
	struct param_table table = {.values = NULL};
	struct err err = {.code = ERR_NONE};

	if (param_table_parse(&table, "params", text, len, &err) == 0)
		fail_msg("accepted: %s", text);
	assert_int_equal(err.code, ERR_REFUSED);
	assert_string_equal(err.text, want);
	param_table_clear(&table);
}

/* What BODY becomes, or (WANT NULL) the one finding FINDING. */
static void fill(const char *body, const char *params, const char *want, const char *finding)
{
	char *text = text_format(ROOT "%s</config>", body);
	struct document *doc = parse(text);
	struct model *model = model_default();
	struct param_table table = table_of(params);
	struct findings findings = {.lines = NULL};
	int rc = params_fill(doc, model, &table, &findings);

	free(text);
	if (want) {
		for (size_t i = 0; i < findings.count; i++)
			print_message("%s\n", findings.lines[i]);
		assert_int_equal(rc, 0);
		text = text_format(ROOT "%s</config>", want);
		assert_document(doc, text);
		free(text);
	} else {
		assert_int_equal(rc, -1);
		assert_int_equal(findings.count, 1);
		assert_string_equal(findings.lines[0], finding);
	}
	findings_clear(&findings);
	param_table_clear(&table);
	document_free(doc);
	model_free(model);
}

static void test_fill(void **state)
{
	(void)state;
	fill("<a>#{X}</a>", "X=1\n", "<a>1</a>", NULL);
	fill("<a>#{X}</a>", "# a comment\n\nX=a=b c \n", "<a>a=b c </a>", NULL);
	fill("<a>http://#{HOST | localhost}:#{ PORT|80 }/</a>", "", "<a>http://localhost:80/</a>",
	     NULL);
	fill("<a>http://#{HOST | localhost}:#{ PORT|80 }/</a>", "PORT=81\nHOST=h",
	     "<a>http://h:81/</a>", NULL);
	fill("<a>#{X|}</a><b>#{X| a b }</b>", "", "<a/><b>a b</b>", NULL);
	fill("<a>#{X}</a>", "X=\n", "<a/>", NULL);
	fill("<a>#{X}</a>", "X=<&>\n", "<a>&lt;&amp;&gt;</a>", NULL);
	/* remarks stay, and in them there are no parameters */
	fill("<a>#{X}<!-- #{Y} --></a>", "X=1\n", "<a>1<!-- #{Y} --></a>", NULL);
	/* how to write what would begin a parameter */
	fill("<a>#{HASH | #}{X}</a>", "X=1\n", "<a>#{X}</a>", NULL);
	fill("<a>{X} $X #X # {X}</a>", "X=1\n", "<a>{X} $X #X # {X}</a>", NULL);
	fill("<password>#{PW}</password>", "PW=#{x\n", "<password>#{x</password>", NULL);
}

/* A value is a value: what it brings in is not looked at again. */
static void test_once(void **state)
{
	(void)state;
	fill("<a>#{X}</a>", "X=#{Y}\nY=2\n", "<a>#{Y}</a>", NULL);
	fill("<a>#{X}{Y}</a>", "X=#\nY=2\n", "<a>#{Y}</a>", NULL);
	fill("<a>#{X | #{Y}</a>", "Y=2\n", "<a>#{Y</a>", NULL);
}

static void test_missing(void **state)
{
	(void)state;
	fill("\n<a>\n<b>#{X}</b></a>", "Y=1\n", NULL,
	     "t.xml:3: /a/b: parameter X has no value in the environment or etc/params, and no "
	     "default");
	fill("<e><id>1</id><password>#{X}</password></e>", "", NULL,
	     "t.xml:1: /e[1]/password: parameter X has no value in the environment or etc/params, "
	     "and no default");
	fill("<a>#{X}</a>", "X=\xc3\n", NULL,
	     "t.xml:1: /a: parameter X has a value that is no text");
	fill("<a>#{X}</a>", "X=\xef\xbf\xbf\n", NULL,
	     "t.xml:1: /a: parameter X has a value that is no text");
}

static void test_environment(void **state)
{
	static char *const env[] = {BORROW("A=env"),
				    BORROW("MUSTER_CONFIG_SECRET=no"),
				    BORROW("CONFIG_ENCRYPTION_KEY=no"),
				    BORROW("CREDENTIALS_DIRECTORY=no"),
				    BORROW("BASH_FUNC_x%%=() { :; }"),
				    BORROW("nothing"),
				    BORROW("=x"),
				    BORROW("B="),
				    NULL};
	struct param_table table = table_of("A=file\nC=file\n");

	(void)state;
	param_table_environment(&table, env);
	assert_string_equal(param_table_find(&table, "A"), "env");
	assert_string_equal(param_table_find(&table, "B"), "");
	assert_string_equal(param_table_find(&table, "C"), "file");
	assert_null(param_table_find(&table, "MUSTER_CONFIG_SECRET"));
	assert_null(param_table_find(&table, "CONFIG_ENCRYPTION_KEY"));
	assert_null(param_table_find(&table, "CREDENTIALS_DIRECTORY"));
	assert_null(param_table_find(&table, "BASH_FUNC_x%%"));
	assert_null(param_table_find(&table, "nothing"));
	assert_null(param_table_find(&table, ""));
	assert_int_equal(table.count, 3);
	param_table_clear(&table);
}

static void test_refused_tables(void **state)
{
	static const struct {
		const char *text, *want;
	} bad[] = {
		{"A=1\nB\n",
		 "params:2: is no NAME=value, the name of letters, digits and underscores"},
		{" A=1\n",
		 "params:1: is no NAME=value, the name of letters, digits and underscores"},
		{"A =1\n",
		 "params:1: is no NAME=value, the name of letters, digits and underscores"},
		{"=1\n", "params:1: is no NAME=value, the name of letters, digits and underscores"},
		{"1A=1\n",
		 "params:1: is no NAME=value, the name of letters, digits and underscores"},
		{"export A=1\n",
		 "params:1: is no NAME=value, the name of letters, digits and underscores"},
		{"A-B=1\n",
		 "params:1: is no NAME=value, the name of letters, digits and underscores"},
		{" \n", "params:1: is no NAME=value, the name of letters, digits and underscores"},
		{"A=1\n\n#\nA=1\n", "params:4: that name has a value already"},
		{"A=1\r\n", "params:1: a control character: values are lines of text"},
		{"MUSTER_X=1\n", "params:1: no parameter may be named MUSTER_*, "
				 "CONFIG_ENCRYPTION_KEY or CREDENTIALS_DIRECTORY"},
		{"CONFIG_ENCRYPTION_KEY=1\n", "params:1: no parameter may be named MUSTER_*, "
					      "CONFIG_ENCRYPTION_KEY or CREDENTIALS_DIRECTORY"},
	};
	struct buf text;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		refuse_table(bad[i].text, strlen(bad[i].text), bad[i].want);
	refuse_table("A=1\0\n", 5, "params:1: a NUL byte");
	buf_init(&text, 1u << 20);
	for (unsigned i = 0; i <= LIMIT_PARAMS; i++)
		buf_printf(&text, "A%u=1\n", i);
	refuse_table(buf_text(&text), text.len, "params:4097: too many parameters");
	buf_clear(&text);
}

static void test_list(void **state)
{
	struct document *doc =
		parse(ROOT "<a>#{X}#{Y | 1}</a>\n<e><id>k</id><password>#{X}</password>"
			   "<secret>a#{X}</secret></e><!-- #{Z} --></config>");
	struct model *model = model_default();
	struct params params = {.items = NULL};

	(void)state;
	params_list(doc, model, &params);
	assert_int_equal(params.count, 3);
	assert_string_equal(params.items[0].name, "X");
	assert_null(params.items[0].fallback);
	assert_string_equal(params.items[1].name, "Y");
	assert_string_equal(params.items[1].fallback, "1");
	assert_string_equal(params.items[1].path, "/a");
	assert_string_equal(params.items[2].path, "/e[k]/password");
	assert_string_equal(params.items[2].file, "t.xml");
	assert_int_equal(params.items[2].line, 2);
	params_clear(&params);
	document_free(doc);
	model_free(model);
}

/* What check says of a body; NULL: nothing. */
static void check_body(const char *body, const char *want)
{
	char *text = text_format(ROOT "%s</config>", body);
	struct document *doc = parse(text);
	struct model *model = model_default();
	struct findings findings = {.lines = NULL};

	(void)check(doc, model, &findings);
	if (want && findings.count == 0)
		fail_msg("accepted: %s", body);
	if (want)
		assert_has(findings.lines[0], want);
	else if (findings.count)
		fail_msg("%s", findings.lines[0]);
	findings_clear(&findings);
	document_free(doc);
	model_free(model);
	free(text);
}

static void test_checked(void **state)
{
	static const char begins[] = "\"#{\" begins no parameter";
	static const char reserved[] = "no parameter may be named";
	static const char whole[] = "in a secret only a whole #{NAME} without default may stand";

	(void)state;
	check_body("<a>#{X}-#{Y | 1}</a>", NULL);
	check_body("<a>#{}</a>", begins);
	check_body("<a>#{X</a>", begins);
	check_body("<a>#{X Y}</a>", begins);
	check_body("<a>#{1X}</a>", begins);
	check_body("<a>#{X-Y}</a>", begins);
	check_body("<a>#{X} #{</a>", begins);
	check_body("<a>#{X | y</a>", "a parameter without its \"}\"");
	check_body("<a>#{MUSTER_CONFIG_SECRET}</a>", reserved);
	check_body("<a>#{MUSTER_}</a>", reserved);
	check_body("<a>#{CONFIG_ENCRYPTION_KEY | x}</a>", reserved);
	check_body("<a>#{ CREDENTIALS_DIRECTORY }</a>", reserved);
	check_body("<a>#{MUSTER}</a>", NULL);
	check_body("<password>#{MUSTER_X}</password>", reserved);
	check_body("<password>#{X}</password>", NULL);
	check_body("<password>#{X | hunter2}</password>", whole);
	check_body("<password>a#{X}</password>", whole);
	check_body("<password>#{X} </password>", whole);
	check_body("<password>#{X}#{Y}</password>", whole);
	/* a password may have anything in it */
	check_body("<password>p#{w</password>", NULL);
	check_body("<e><id>#{X}</id></e>", "no parameter may stand in a key");
	check_body(
		"<jwt-issuer-settings><signing-key-id>#{X}</signing-key-id></jwt-issuer-settings>",
		"no parameter may stand in a reference");
}

/* What was filled is of its type; "#{" in it is no parameter any more. */
static void test_values(void **state)
{
	static const char *const names[] = {"70000", "80", "#{X}"};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct document *doc =
			parse(ROOT "<cluster><port>#{P}</port></cluster><a>#{P}</a></config>");
		struct model *model = model_default();
		char *text = text_format("P=%s\n", names[i]);
		struct param_table table = table_of(text);
		struct findings findings = {.lines = NULL};

		assert_int_equal(params_fill(doc, model, &table, &findings), 0);
		assert_int_equal(check_values(doc, model, &findings), i == 1 ? 0 : -1);
		if (i == 0)
			assert_string_equal(
				findings.lines[0],
				"t.xml:1: /cluster/port: \"70000\" is not a port from 1 to 65535");
		findings_clear(&findings);
		param_table_clear(&table);
		document_free(doc);
		model_free(model);
		free(text);
	}
}

/* Every cut of a parameter is one, or no parameter, or refused: never read past its end. */
static void test_cut(void **state)
{
	static const char whole[] = "a#{NAME | some default}b#{ X }";

	(void)state;
	for (size_t len = 0; len <= strlen(whole); len++)
		for (size_t from = 0; from <= len; from++) {
			char *text = text_copy_n(whole + from, len - from);

			(void)param_fault(text, false);
			(void)param_fault(text, true);
			free(text);
		}
	assert_null(param_fault(whole, false));
}

/* Values that are each fine, and together over what a document may be. */
static void test_too_long(void **state)
{
	enum { VALUE = 1000000, TIMES = 68 };
	struct buf body;
	char *value = mem_new(VALUE + 1, 1), *params;

	(void)state;
	memset(value, 'x', VALUE);
	params = text_format("A=%s\n", value);
	buf_init(&body, 1 << 20);
	buf_puts(&body, "<a>");
	for (int i = 0; i < TIMES; i++)
		buf_puts(&body, "#{A}");
	buf_puts(&body, "</a>");
	fill(buf_text(&body), params, NULL,
	     "t.xml:1: /a: parameter A and the others make the value too long");
	buf_clear(&body);
	free(params);
	free(value);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fill),    cmocka_unit_test(test_once),
		cmocka_unit_test(test_missing), cmocka_unit_test(test_environment),
		cmocka_unit_test(test_list),    cmocka_unit_test(test_refused_tables),
		cmocka_unit_test(test_checked), cmocka_unit_test(test_values),
		cmocka_unit_test(test_cut),     cmocka_unit_test(test_too_long),
	};

	config_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
