/* A site's own RELAX NG: what it refuses, and what it must not know of. */
#include "config/schema.h"

#include "config_fixture.h"

#include "core/limits.h"

#define RNG(body)                                                                                  \
	"<grammar xmlns='http://relaxng.org/ns/structure/1.0'"                                     \
	" datatypeLibrary='http://www.w3.org/2001/XMLSchema-datatypes'>\n"                         \
	"<start><element name='config' ns='http://tail-f.com/ns/config/1.0'>\n" body               \
	"\n</element></start></grammar>"
#define SHOP                                                                                       \
	RNG("<element name='shop'><interleave>"                                                    \
	    "<optional><element name='port'><data type='integer'><param "                          \
	    "name='minInclusive'>1</param></data>"                                                 \
	    "</element></optional>"                                                                \
	    "<optional><element "                                                                  \
	    "name='colour'><choice><value>red</value><value>green</value></choice></element></"    \
	    "optional>"                                                                            \
	    "<optional><element name='sizes'><list><oneOrMore><data "                              \
	    "type='integer'/></oneOrMore></list></element></optional>"                             \
	    "<optional><element name='even'><data "                                                \
	    "type='integer'><except><value>3</value></except></data></element></optional>"         \
	    "<optional><element name='password'><data type='string'><param "                       \
	    "name='maxLength'>3</param></data></element></optional>"                               \
	    "<zeroOrMore><element name='item'><element name='id'><text/></element>"                \
	    "<element name='count'><data type='unsignedByte'/></element></element></zeroOrMore>"   \
	    "</interleave></element>")

/* The findings for BODY below config by a schema; WANT NULL: none, else the first has it. */
static void check_by(const char *schema, const char *body, const char *want)
{
	char *text =
		text_format("<config xmlns=\"http://tail-f.com/ns/config/1.0\">%s</config>", body);
	struct document *doc = parse(text);
	struct model *model = model_default();
	struct fileset files = {.files = NULL};
	struct findings findings = {.lines = NULL};
	struct err err = {.code = ERR_NONE};

	assert_int_equal(
		fileset_add(&files, "schema/x.rng", FILE_PLAIN, schema, strlen(schema), &err), 0);
	assert_int_equal(schema_check(&files, doc, model, &findings, &err), want ? -1 : 0);
	assert_int_equal(err.code, ERR_NONE);
	if (!want && findings.count)
		fail_msg("%s", findings.lines[0]);
	if (want && !findings.count)
		fail_msg("accepted: %s", body);
	if (want && !text_starts(findings.lines[0], want))
		fail_msg("\"%s\" does not begin with \"%s\"", findings.lines[0], want);
	for (size_t i = 0; i < findings.count; i++)
		assert_null(strchr(findings.lines[i], '\n'));
	findings_clear(&findings);
	fileset_clear(&files);
	document_free(doc);
	model_free(model);
	free(text);
}

static void test_good(void **state)
{
	(void)state;
	check_by(SHOP, "<shop/>", NULL);
	check_by(SHOP,
		 "<shop><port>80</port><colour>red</colour><sizes>1 2 "
		 "3</sizes><even>2</even></shop>",
		 NULL);
	check_by(SHOP,
		 "<shop><item><id>a</id><count>1</count></item><item><id>b</id><count>2</count></"
		 "item></shop>",
		 NULL);
}

static void test_bad(void **state)
{
	(void)state;
	check_by(SHOP, "<shop>\n<port>x</port></shop>",
		 "t.xml:2: /shop/port: \"x\" may not be the value here (schema/x.rng)");
	check_by(SHOP, "<shop>\n<port>0</port></shop>", "t.xml:2: /shop/port: ");
	check_by(SHOP, "<shop>\n<colour>blue</colour></shop>", "t.xml:2: /shop/colour: ");
	check_by(SHOP, "<shop>\n<even>3</even></shop>", "t.xml:2: /shop/even: ");
	check_by(SHOP, "<shop>\n<sizes>1 x</sizes></shop>", "t.xml:2: /shop/sizes: ");
	check_by(SHOP, "<shop>\n<nothing/></shop>", "t.xml:");
	check_by(SHOP, "<shop><item>\n<id>a</id>\n<count>256</count></item></shop>", "t.xml:");
	check_by(SHOP, "<other/>", "t.xml:1: ");
	check_by(SHOP, "", "t.xml:1: /: ");
}

/* What a parameter or a secret will be is not known: it may stand for any value, whatever the type,
 * and hides no other fault. */
static void test_blind(void **state)
{
	(void)state;
	check_by(SHOP, "<shop><port>#{PORT}</port></shop>", NULL);
	check_by(SHOP,
		 "<shop><port>8#{PORT | "
		 "0}</port><colour>#{C}</colour><sizes>#{S}</sizes><even>#{E}</even></shop>",
		 NULL);
	check_by(SHOP, "<shop><item><id>a</id><count>#{N}</count></item></shop>", NULL);
	check_by(SHOP, "<shop><password>much longer than three</password></shop>", NULL);
	check_by(SHOP, "<shop>\n<port>#{PORT}</port>\n<colour>blue</colour></shop>",
		 "t.xml:3: /shop/colour: ");
	check_by(SHOP, "<shop><port>#{PORT}</port><nothing>#{X}</nothing></shop>", "t.xml:");
	/* where nothing may stand nothing may stand */
	check_by(RNG("<element name='a'><empty/></element>"), "<a>#{X}</a>",
		 "t.xml:1: /a: there may be no value here (schema/x.rng)");
	/* the word that stands for them is none that a value could be */
	check_by(RNG("<element name='a'><value>x</value></element>"), "<a>x</a>", NULL);
	check_by(RNG("<element name='a'><value>x</value></element>"), "<a>y</a>", "t.xml:1: /a: ");
}

static void test_bad_schemas(void **state)
{
	(void)state;
	check_by("", "", "schema/x.rng:1: ");
	check_by("<a>\n</b>", "", "schema/x.rng:2: ");
	check_by("<a/>", "", "schema/x.rng:1: ");
	check_by("<data xmlns='http://relaxng.org/ns/structure/1.0' type='string'/>", "",
		 "schema/x.rng:1: ");
	check_by(RNG("\n<ref name='nothing'/>"), "", "schema/x.rng:");
	check_by(RNG("<data type='no-such-type'/>"), "", "schema/x.rng:");
	check_by("<!DOCTYPE x [<!ENTITY e SYSTEM '/etc/passwd'>]>" SHOP, "<shop/>",
		 "schema/x.rng:1: ");
}

/* A schema reads no file and no network, and cannot take the admin or a node with it. */
static void test_shut_in(void **state)
{
	char folder[] = "/tmp/muster-test.XXXXXX";
	char *path, *schema, *large;
	struct err err;

	(void)state;
	assert_non_null(mkdtemp(folder));
	path = text_format("%s/x.rng", folder);
	assert_int_equal(fs_write_new(AT_FDCWD, path, SHOP, strlen(SHOP), 0600, &err), 0);
	schema = text_format("<grammar xmlns='http://relaxng.org/ns/structure/1.0'><include "
			     "href='%s'/></grammar>",
			     path);
	check_by(schema, "<shop/>", "schema/x.rng:");
	free(schema);
	schema = text_format(
		"<externalRef xmlns='http://relaxng.org/ns/structure/1.0' href='file://%s'/>",
		path);
	check_by(schema, "<shop/>", "schema/x.rng:");
	free(schema);
	check_by("<externalRef xmlns='http://relaxng.org/ns/structure/1.0' "
		 "href='http://127.0.0.1:1/'/>",
		 "", "schema/x.rng:");
	large = mem_new(1, LIMIT_SMALL_FILE + 2);
	memset(large, ' ', LIMIT_SMALL_FILE + 1);
	check_by(large, "", "schema/x.rng:1: over 1048576 bytes");
	free(large);
	assert_int_equal(fs_remove_tree(AT_FDCWD, folder, &err), 0);
	free(path);
}

/* Only *.rng in schema/ are schemas; each is asked; and what was merged is told by where it came
 * from. */
static void test_files(void **state)
{
	struct fileset files = {.files = NULL};
	struct findings findings = {.lines = NULL};
	struct err err = {.code = ERR_NONE};
	struct document *doc;
	struct model *model;
	static const char a[] = ROOT "<shop><port>1</port></shop></config>";
	static const char b[] = ROOT "\n\n<shop>\n<colour>blue</colour></shop></config>";
	static const char any[] =
		"<element xmlns='http://relaxng.org/ns/structure/1.0'><anyName/><text/></element>";

	(void)state;
	assert_int_equal(fileset_add(&files, "a.xml", FILE_PLAIN, a, sizeof(a) - 1, &err), 0);
	assert_int_equal(fileset_add(&files, "b.xml", FILE_PLAIN, b, sizeof(b) - 1, &err), 0);
	assert_int_equal(fileset_add(&files, "files/x.rng", FILE_PLAIN, "<", 1, &err), 0);
	assert_int_equal(fileset_add(&files, "schema/README", FILE_PLAIN, "<", 1, &err), 0);
	assert_int_equal(merge_fileset(&files, &doc, &model, &err), 0);
	assert_int_equal(schema_check(&files, doc, model, &findings, &err), 0);
	assert_int_equal(fileset_add(&files, "schema/a.rng", FILE_PLAIN, SHOP, strlen(SHOP), &err),
			 0);
	assert_int_equal(
		fileset_add(&files, "schema/b.rng", FILE_PLAIN, any, sizeof(any) - 1, &err), 0);
	assert_int_equal(schema_check(&files, doc, model, &findings, &err), -1);
	assert_int_equal(findings.count, 2);
	assert_true(text_starts(findings.lines[0], "b.xml:4: /shop/colour: "));
	assert_true(text_starts(findings.lines[1], "a.xml:1: "));
	findings_clear(&findings);
	fileset_clear(&files);
	document_free(doc);
	model_free(model);
}

#define GRAMMAR "<grammar xmlns='http://relaxng.org/ns/structure/1.0'"                             \
		" ns='http://tail-f.com/ns/config/1.0'"                                            \
		" datatypeLibrary='http://www.w3.org/2001/XMLSchema-datatypes'>\n"
#define PORT                                                                                       \
	GRAMMAR "<define name='port'><element name='port'>\n<data "                                \
		"type='unsignedShort'/></element>"                                                 \
		"</define></grammar>"
#define WITH_PORT(include)                                                                         \
	GRAMMAR include "<start><element name='config' ns='http://tail-f.com/ns/config/1.0'>"      \
			"<optional><ref name='port'/></optional></element></start></grammar>"

/* The findings for BODY by schemas, of which NAMES and TEXTS end in NULL; WANT as above. */
static void check_by_parts(const char *const *parts, const char *body, const char *want)
{
	char *text =
		text_format("<config xmlns=\"http://tail-f.com/ns/config/1.0\">%s</config>", body);
	struct document *doc = parse(text);
	struct model *model = model_default();
	struct fileset files = {.files = NULL};
	struct findings findings = {.lines = NULL};
	struct err err = {.code = ERR_NONE};

	for (; *parts; parts += 2)
		assert_int_equal(fileset_add(&files, parts[0], FILE_PLAIN, parts[1],
					     strlen(parts[1]), &err),
				 0);
	if (schema_check(&files, doc, model, &findings, &err) != (want ? -1 : 0))
		fail_msg("%s, not %s", findings.count ? findings.lines[0] : "accepted",
			 want ? want : "accepted");
	if (want && !strstr(findings.lines[0], want))
		fail_msg("\"%s\" has no \"%s\"", findings.lines[0], want);
	assert_int_equal(findings.count, want ? 1 : 0);
	findings_clear(&findings);
	fileset_clear(&files);
	document_free(doc);
	model_free(model);
	free(text);
}

#define PARTS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* A schema of several files: what is included is looked at as the rest is, and is none itself. */
static void test_parts(void **state)
{
	static const char *const below[] = {"schema/site.rng",
					    WITH_PORT("<include href='parts/port.rng'/>"),
					    "schema/parts/port.rng", PORT, NULL};
	const char *const *port = PARTS("schema/port.rng", PORT, "schema/site.rng",
					WITH_PORT("<include href='port.rng'/>"));

	(void)state;
	check_by_parts(port, "", NULL);
	check_by_parts(port, "<port>80</port>", NULL);
	check_by_parts(port, "<port>#{PORT}</port>", NULL);
	check_by_parts(port, "<port>x</port>",
		       "t.xml:1: /port: \"x\" may not be the value here (schema/site.rng)");
	check_by_parts(below, "<port>#{PORT}</port>", NULL);
	check_by_parts(below, "<port>x</port>", "t.xml:1: /port: ");
	/* from one folder to another, by another, and by reference */
	check_by_parts(PARTS("schema/a/one.rng", WITH_PORT("<include href='../b/two.rng'/>"),
			     "schema/b/two.rng", GRAMMAR "<include href='three.rng'/></grammar>",
			     "schema/b/three.rng", PORT),
		       "<port>x</port>", "t.xml:1: /port: ");
	check_by_parts(PARTS("schema/site.rng", RNG("<externalRef href='one.rng'/>"),
			     "schema/one.rng",
			     "<element name='port' xmlns='http://relaxng.org/ns/structure/1.0' "
			     "ns='http://tail-f.com/ns/config/1.0' "
			     "datatypeLibrary='http://www.w3.org/2001/XMLSchema-datatypes'>"
			     "<data type='unsignedShort'/></element>"),
		       "<port>x</port>", "t.xml:");
	/* two schemas of one part */
	check_by_parts(PARTS("schema/port.rng", PORT, "schema/site.rng",
			     WITH_PORT("<include href='port.rng'/>"), "schema/other.rng",
			     WITH_PORT("<include href='./port.rng'/>")),
		       "<port>#{PORT}</port>", NULL);
}

static void test_bad_parts(void **state)
{
	static const char *const outside[] = {
		"nothing.rng",	 "../files/port.rng",  "../../schema/port.rng", "/schema/port.rng",
		"/etc/passwd",	 "file:///etc/passwd", "http://127.0.0.1:1/",	"port.xml",
		"muster:///x",	 "",		       "schema/port.rng",	"port.rng/",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
		char *include = text_format("\n<include href='%s'/>", outside[i]);
		char *schema = text_format(GRAMMAR "%s<start><text/></start></grammar>", include);

		check_by_parts(PARTS("schema/x.rng", schema, "files/port.rng", PORT,
				     "schema/port.xml", PORT, "port.rng", PORT),
			       "",
			       *outside[i] ? "schema/x.rng:3: include of what is no file in schema/"
					   : "schema/x.rng:1: includes itself");
		free(schema);
		free(include);
	}
	/* what is wrong in a part is told there */
	check_by_parts(PARTS("schema/port.rng", "<a>\n</b>", "schema/x.rng", RNG("<empty/>")), "",
		       "schema/port.rng:2: ");
	check_by_parts(PARTS("schema/port.rng",
			     "<?xml version='1.0'?>\n<!--\n-->" GRAMMAR
			     "<define name='port'>\n<element name='port'>\n<data type='nothing'/>"
				     "</element></define></grammar>",
			     "schema/x.rng", WITH_PORT("<include href='port.rng'/>")),
		       "", "schema/port.rng:6: ");
	check_by_parts(PARTS("schema/port.rng", GRAMMAR "<include href='port.rng'/></grammar>"), "",
		       "schema/port.rng:1: includes itself");
}

/* Circles end, and each in it is told. */
static void test_circle(void **state)
{
	struct fileset files = {.files = NULL};
	struct findings findings = {.lines = NULL};
	struct err err = {.code = ERR_NONE};
	struct document *doc = parse(ROOT "</config>");
	struct model *model = model_default();
	static const char *const names[] = {"a", "b", "c"};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		char *path = text_format("schema/%s.rng", names[i]);
		char *text = text_format(GRAMMAR "<include href='%s.rng'/></grammar>",
					 names[(i + 1) % 3]);

		assert_int_equal(fileset_add(&files, path, FILE_PLAIN, text, strlen(text), &err),
				 0);
		free(path);
		free(text);
	}
	assert_int_equal(schema_check(&files, doc, model, &findings, &err), -1);
	assert_int_equal(findings.count, 3);
	for (size_t i = 0; i < 3; i++)
		assert_non_null(strstr(findings.lines[i], ":1: includes itself"));
	findings_clear(&findings);
	fileset_clear(&files);
	document_free(doc);
	model_free(model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),    cmocka_unit_test(test_bad),
		cmocka_unit_test(test_blind),   cmocka_unit_test(test_bad_schemas),
		cmocka_unit_test(test_shut_in), cmocka_unit_test(test_files),
		cmocka_unit_test(test_parts),   cmocka_unit_test(test_bad_parts),
		cmocka_unit_test(test_circle),
	};

	config_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
