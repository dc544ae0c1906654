/* What a check finds. */
#include "config/check.h"

#include "config_fixture.h"

/* The findings of a document; WANT lists them, NULL ends. */
static void check_text(const char *text, const char *conf, const char *const *want)
{
	struct document *doc = parse(text);
	struct findings findings = {.lines = NULL};
	struct err err = {.code = ERR_NONE};
	struct model *model;
	size_t n = 0;
	int rc;

	assert_int_equal(model_parse("model.conf", conf, strlen(conf), &model, &err), 0);
	rc = check(doc, model, &findings);
	for (; want[n]; n++) {
		if (n >= findings.count)
			fail_msg("not found: %s", want[n]);
		assert_string_equal(findings.lines[n], want[n]);
	}
	if (findings.count > n)
		fail_msg("found as well: %s", findings.lines[n]);
	assert_int_equal(rc, n ? -1 : 0);
	findings_clear(&findings);
	document_free(doc);
	model_free(model);
}

#define WANT(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NOTHING   ((const char *const[]){NULL})
#define ROLE(x)                                                                                    \
	"<environments" BASE "><environment><services><service-role>" x                            \
	"</service-role></services></environment></environments>"
#define AT_ROLE "/environments/environment/services/service-role"

static void test_well(void **state)
{
	(void)state;
	check_text(ROOT "</config>", "", NOTHING);
	check_text(
		ROOT ROLE(
			"<id>r</id><endpoints>e</endpoints>") "<profiles" BASE "><profile><id>p</"
							      "id><endpoints><endpoint><id>e</id></"
							      "endpoint></endpoints></profile>"
							      "</profiles></config>",
		"", NOTHING);
	/* two profiles may use one id, keys count for their own parent and namespace only */
	check_text(ROOT "<a><e><id>1</id></e><e><id>2</id></e></a><b><e><id>1</id></e></b>"
			"<e xmlns='urn:1'><id>1</id></e><e xmlns='urn:2'><id>1</id></e>"
			"<audience>x</audience><audience>x</audience></config>",
		   "", NOTHING);
}

static void test_endpoints(void **state)
{
	(void)state;
	check_text(ROOT "\n" ROLE("<id>r</id>\n<endpoints>token</endpoints>\n<endpoints> "
				  "e</endpoints>") "<profiles" BASE "><profile><id>token</"
						   "id><endpoints><endpoint><id>e</id>"
						   "</endpoint></endpoints></profile></profiles></"
						   "config>",
		   "",
		   WANT("t.xml:3: " AT_ROLE
			"[r]/endpoints: endpoint \"token\" is not defined by any "
			"profile",
			"t.xml:4: " AT_ROLE "[r]/endpoints: endpoint \" e\" is not defined by any "
			"profile"));
	/* an endpoint elsewhere is none of a profile */
	check_text(
		ROOT ROLE(
			"<id>r</id><endpoints>e</endpoints>") "<x><endpoints><endpoint><id>e</id></"
							      "endpoint></endpoints></x></config>",
		"",
		WANT("t.xml:1: " AT_ROLE "[r]/endpoints: endpoint \"e\" is not defined by any "
		     "profile"));
	check_text(ROOT ROLE("<id>r</id><endpoints/>") "</config>", "",
		   WANT("t.xml:1: " AT_ROLE "[r]/endpoints: endpoint \"\" is not defined by any "
			"profile"));
}

static void test_https(void **state)
{
	static const char store[] =
		"<facilities" BASE "><crypto><ssl><server-keystore><id>k</id></server-keystore></"
				   "ssl></crypto></facilities>";
	static const char missing[] = "https without a key store: name one in ssl-server-keystore";
	char *text;

	(void)state;
	check_text(ROOT ROLE("<id>r</id><protocol>http</protocol>") "</config>", "", NOTHING);
	check_text(ROOT ROLE("<id>r</id><protocol>#{P | https}</protocol>") "</config>", "",
		   NOTHING);
	text = text_format(ROOT ROLE("<id>r</id><protocol>https</protocol>"
				     "<ssl-server-keystore>k</ssl-server-keystore>") "%s</config>",
			   store);
	check_text(text, "", NOTHING);
	free(text);
	text = text_format("t.xml:2: " AT_ROLE "[r]/protocol: %s", missing);
	check_text(ROOT ROLE("<id>r</id>\n<protocol>https</protocol>") "</config>", "", WANT(text));
	check_text(
		ROOT ROLE(
			"<id>r</id>\n<protocol>https</protocol><ssl-server-keystore/>") "</config>",
		"", WANT(text));
	free(text);
	text = text_format(
		ROOT ROLE("<id>r</id><protocol>https</protocol>"
			  "<ssl-server-keystore>other</ssl-server-keystore>") "%s</config>",
		store);
	check_text(text, "",
		   WANT("t.xml:1: " AT_ROLE
			"[r]/ssl-server-keystore: \"other\" is not in ssl/server-keystore"));
	free(text);
	check_text(ROOT ROLE("<id>r</id><protocol>http</protocol>"
			     "<ssl-server-keystore>#{K}</ssl-server-keystore>") "</config>",
		   "",
		   WANT("t.xml:1: " AT_ROLE
			"[r]/ssl-server-keystore: no parameter may stand in a reference"));
}

static void test_zones(void **state)
{
	static const char zones[] =
		"<environments" BASE
		"><environment><services><zones><zone><id>z</id></zone></zones>"
		"<service-role><id>r</id><zone>%s</zone><zones>%s</zones></service-role>"
		"</services></environment></environments>";
	char *body = text_format(zones, "z", "z"), *text = text_format(ROOT "%s</config>", body);

	(void)state;
	check_text(text, "", NOTHING);
	free(text);
	free(body);
	body = text_format(zones, "y", "x");
	text = text_format(ROOT "%s</config>", body);
	check_text(text, "",
		   WANT("t.xml:1: " AT_ROLE "[r]/zone: \"y\" is not in services/zones/zone",
			"t.xml:1: " AT_ROLE "[r]/zones: \"x\" is not in services/zones/zone"));
	free(text);
	free(body);
}

static void test_roles(void **state)
{
	static const char *const bad[] = {"common", "HEAD",   "a b",  "a/b",
					  "..",     "a.lock", "a..b", "-a"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char *text = text_format(ROOT ROLE("<id>%s</id>") "</config>", bad[i]);
		struct findings findings = {.lines = NULL};
		struct document *doc = parse(text);
		struct model *model = model_default();

		assert_int_equal(check(doc, model, &findings), -1);
		assert_int_equal(findings.count, 1);
		assert_has(findings.lines[0], "is no name for a role");
		findings_clear(&findings);
		document_free(doc);
		model_free(model);
		free(text);
	}
	check_text(ROOT ROLE("<protocol>http</protocol>") "</config>", "",
		   WANT("t.xml:1: " AT_ROLE ": \"\" is no name for a role"));
}

static void test_keys(void **state)
{
	(void)state;
	check_text(ROOT "\n<e><id>1</id></e>\n<e><id>1</id></e>\n<e><id>1</id></e></config>", "",
		   WANT("t.xml:3: /e[1]: this key is already at t.xml:2",
			"t.xml:4: /e[1]: this key is already at t.xml:2"));
	check_text(ROOT "\n<x>1</x>\n<x>2</x></config>", "",
		   WANT("t.xml:3: /x: this stands for the second time, first at t.xml:2"));
	check_text(ROOT "<e><id/></e><f><name> </name></f></config>", "",
		   WANT("t.xml:1: /e[]: the key is empty", "t.xml:1: /f[]: the key is empty"));
	check_text(ROOT "<e><id>#{ID}</id></e></config>", "",
		   WANT("t.xml:1: /e[#{ID}]: no parameter may stand in a key"));
	check_text(ROOT "<e><id>#{ID}</id></e></config>", "/e container", NOTHING);
}

static void test_references(void **state)
{
	static const char conf[] = "r ref=l/e\nq ref=l/e|m/f\n";

	(void)state;
	check_text(ROOT "<l><e><id>1</id></e></l><m><f><id>2</id></f></m><a><r>1</r><q>2</q></a>"
			"<b><q>1</q><r/></b></config>",
		   conf, NOTHING);
	check_text(ROOT
		   "<l><e><id>1</id></e></l><m><f><id>2</id></f></m>\n<r>2</r>\n<q>3</q></config>",
		   conf,
		   WANT("t.xml:2: /r: \"2\" is not in l/e", "t.xml:3: /q: \"3\" is not in l/e"));
	check_text(ROOT "<r>#{X}</r></config>", conf,
		   WANT("t.xml:1: /r: no parameter may stand in a reference"));
	check_text(ROOT "<l><e><id>1</id></e></l><r>1 </r></config>", conf,
		   WANT("t.xml:1: /r: \"1 \" is not in l/e"));
}

static void test_types(void **state)
{
	static const char conf[] =
		"port type=port\nbool type=boolean\nnum type=number\nhost type=host\n"
		"word type=enum:one|two\npass type=port secret\n";
	static const struct {
		const char *name, *good[4], *bad[6];
	} types[] = {
		{"port", {"1", "65535", "#{PORT}"}, {"0", "65536", "-1", " 1", "1 ", "01"}},
		{"bool", {"true", "false", "#{B | true}"}, {"True", "1", "yes", "true "}},
		{"num", {"0", "18446744073709551615"}, {"-1", "1.5", "x", "18446744073709551616"}},
		{"host", {"a.b", "::1", "[::1]:80", "10.0.0.1"}, {"a b", "a/b", "\xc3\xa9"}},
		{"word", {"one", "two"}, {"One", "three", "one|two", "on"}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		for (size_t j = 0; j < 4 && types[i].good[j]; j++) {
			char *text = text_format(ROOT "<%s>%s</%s></config>", types[i].name,
						 types[i].good[j], types[i].name);

			check_text(text, conf, NOTHING);
			free(text);
		}
		for (size_t j = 0; j < 6 && types[i].bad[j]; j++) {
			char *text = text_format(ROOT "<%s>%s</%s></config>", types[i].name,
						 types[i].bad[j], types[i].name);
			struct findings findings = {.lines = NULL};
			struct document *doc = parse(text);
			struct err err = {.code = ERR_NONE};
			struct model *model;

			assert_int_equal(model_parse("m", conf, strlen(conf), &model, &err), 0);
			assert_int_equal(check(doc, model, &findings), -1);
			assert_has(findings.lines[0], "is not ");
			findings_clear(&findings);
			document_free(doc);
			model_free(model);
			free(text);
		}
	}
	check_text(ROOT "<pass>hunter2</pass></config>", conf, NOTHING); /* never shown */
	check_text(ROOT "<word/></config>", conf, WANT("t.xml:1: /word: \"\" is not one|two"));
}

static void test_muster_roles(void **state)
{
	(void)state;
	check_text("<config xmlns='http://tail-f.com/ns/config/1.0' xmlns:m='urn:muster:1'>"
		   "<a m:roles=' x  y '/><b roles=''/></config>",
		   "", NOTHING);
	check_text("<config xmlns='http://tail-f.com/ns/config/1.0' xmlns:m='urn:muster:1'>"
		   "<a m:roles=''/><b m:roles='x a/b'/><c><id m:roles='x'>1</id></c></config>",
		   "",
		   WANT("t.xml:1: /a: muster:roles names no role",
			"t.xml:1: /b: muster:roles: \"a/b\" is no name for a role",
			"t.xml:1: /c[1]/id: muster:roles cannot be on the root or on a key"));
	check_text("<config xmlns='http://tail-f.com/ns/config/1.0' xmlns:m='urn:muster:1' "
		   "m:roles='x'/>",
		   "", WANT("t.xml:1: /: muster:roles cannot be on the root or on a key"));
	check_text("<config xmlns='http://tail-f.com/ns/config/1.0' xmlns:m='urn:muster:1' m:x=''>"
		   "<a m:role='x'/><b m:secret='true' role='x'>1</b></config>",
		   "",
		   WANT("t.xml:1: /: there is no attribute \"x\" in urn:muster:1: roles or secret",
			"t.xml:1: /a: there is no attribute \"role\" in urn:muster:1: roles or "
			"secret"));
}

static void test_bounded(void **state)
{
	struct findings findings = {.lines = NULL};
	struct model *model = model_default();
	struct document *doc;
	struct buf text;

	(void)state;
	buf_init(&text, 16u << 20);
	buf_puts(&text, ROOT);
	for (unsigned i = 0; i < LIMIT_FINDINGS + 100; i++)
		buf_puts(&text, "<x/>");
	buf_puts(&text, "</config>");
	doc = parse(buf_text(&text));
	assert_int_equal(check(doc, model, &findings), -1);
	assert_int_equal(findings.count, LIMIT_FINDINGS);
	findings_clear(&findings);
	assert_int_equal(findings.count, 0);
	document_free(doc);
	/* a key as long as a file, with what a terminal would obey */
	buf_reset(&text);
	buf_puts(&text, ROOT "<e><id>");
	for (unsigned i = 0; i < 100000; i++)
		buf_puts(&text, "\xc3\xa9\n");
	buf_puts(&text, "</id><x/><x/></e></config>");
	doc = parse(buf_text(&text));
	assert_int_equal(check(doc, model, &findings), -1);
	assert_true(strlen(findings.lines[0]) < 500);
	assert_null(strchr(findings.lines[0], '\n'));
	findings_clear(&findings);
	document_free(doc);
	model_free(model);
	buf_clear(&text);
}

/* After a merge each finding names the file that the element came from. */
static void test_origins(void **state)
{
	struct fileset set = {.files = NULL};
	struct findings findings = {.lines = NULL};
	struct err err = {.code = ERR_NONE};
	static const char a[] = ROOT ROLE("<id>r</id>") "</config>";
	static const char b[] =
		ROOT "\n\n" ROLE("<id>r</id>\n<endpoints>x</endpoints>") "</config>";
	struct document *doc;
	struct model *model;

	(void)state;
	assert_int_equal(fileset_add(&set, "a.xml", FILE_PLAIN, a, sizeof(a) - 1, &err), 0);
	assert_int_equal(fileset_add(&set, "b.xml", FILE_PLAIN, b, sizeof(b) - 1, &err), 0);
	assert_int_equal(merge_fileset(&set, &doc, &model, &err), 0);
	assert_int_equal(check(doc, model, &findings), -1);
	assert_string_equal(findings.lines[0],
			    "b.xml:4: " AT_ROLE "[r]/endpoints: endpoint \"x\" is "
			    "not defined by any profile");
	findings_clear(&findings);
	fileset_clear(&set);
	document_free(doc);
	model_free(model);
}

static void test_fixtures(void **state)
{
	struct findings findings = {.lines = NULL};
	struct model *model;
	struct document *doc = merge_folder(FIXTURES "/shop", &model);

	(void)state;
	assert_int_equal(check(doc, model, &findings), 0);
	document_free(doc);
	model_free(model);
	doc = merge_file(FIXTURES "/bad/endpoint.xml", &model);
	assert_int_equal(check(doc, model, &findings), -1);
	assert_int_equal(findings.count, 1);
	assert_string_equal(findings.lines[0], "endpoint.xml:7: " AT_ROLE
					       "[front]/endpoints: endpoint \"nowhere\" is not "
					       "defined by any profile");
	findings_clear(&findings);
	document_free(doc);
	model_free(model);
}

/* gitops lacks a file that defines three endpoints; nothing else in the corpus is wrong. */
static void of_corpus(const char *name, struct document *doc, const struct model *model)
{
	static const char *const missing[] = {
		"environments.xml:23: " AT_ROLE "[default]/endpoints: endpoint "
		"\"authentication-service-anonymous\" is not defined by any profile",
		"environments.xml:24: " AT_ROLE "[default]/endpoints: endpoint "
		"\"authentication-service-authentication\" is not defined by any profile",
		"environments.xml:25: " AT_ROLE "[default]/endpoints: endpoint "
		"\"authentication-service-registration\" is not defined by any profile",
	};
	struct findings findings = {.lines = NULL};
	size_t want = strcmp(name, "gitops") == 0 ? 3 : 0;
	int rc = check(doc, model, &findings);

	for (size_t i = want; i < findings.count; i++)
		print_error("%s: %s\n", name, findings.lines[i]);
	assert_int_equal(findings.count, want);
	assert_int_equal(rc, want ? -1 : 0);
	for (size_t i = 0; i < want; i++)
		assert_string_equal(findings.lines[i], missing[i]);
	findings_clear(&findings);
}

static void test_corpus(void **state)
{
	(void)state;
	each_of_corpus(of_corpus);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_well),         cmocka_unit_test(test_endpoints),
		cmocka_unit_test(test_https),        cmocka_unit_test(test_zones),
		cmocka_unit_test(test_roles),        cmocka_unit_test(test_keys),
		cmocka_unit_test(test_references),   cmocka_unit_test(test_types),
		cmocka_unit_test(test_muster_roles), cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_origins),      cmocka_unit_test(test_fixtures),
		cmocka_unit_test(test_corpus),
	};

	config_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
