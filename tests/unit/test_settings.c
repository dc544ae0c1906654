/* Muster's own settings: what is refused, what they are, and that slices and merges keep them. */
#include "config/settings.h"

#include "config/slice.h"
#include "config_fixture.h"

#define OURS   "<muster xmlns='urn:muster:1'>"
#define ROLES                                                                                      \
	"<environments" BASE "><environment><services><service-role><id>a</id></service-role>"     \
	"</services></environment></environments>"

/* The findings of a configuration, the last WANT of which is NULL. */
static void check_text(const char *text, const char *const *want)
{
	struct document *doc = parse(text);
	struct findings findings = {.lines = NULL};
	struct model *model = model_default();
	size_t n = 0;

	assert_int_equal(check(doc, model, &findings), want[0] ? -1 : 0);
	for (; want[n]; n++) {
		if (n >= findings.count)
			fail_msg("not found: %s", want[n]);
		assert_string_equal(findings.lines[n], want[n]);
	}
	if (findings.count > n)
		fail_msg("found as well: %s", findings.lines[n]);
	findings_clear(&findings);
	document_free(doc);
	model_free(model);
}

#define WANT(...) ((const char *const[]){__VA_ARGS__, NULL})

static void assert_settings(const struct settings *have, bool approve, unsigned health,
			    unsigned hook, unsigned keep)
{
	assert_int_equal(have->approve, approve);
	assert_int_equal(have->health_timeout, health);
	assert_int_equal(have->hook_timeout, hook);
	assert_int_equal(have->keep_revisions, keep);
}

/* One setting that is refused: then it has its default, too. */
static void refuse_setting(const char *setting, const char *reason)
{
	char *text = text_format(ROOT "\n" OURS "\n%s</muster></config>", setting);
	struct document *doc = parse(text);
	struct settings have = settings_read(doc), want = settings_default();

	check_text(text, WANT(reason));
	assert_settings(&have, want.approve, want.health_timeout, want.hook_timeout,
			want.keep_revisions);
	document_free(doc);
	free(text);
}

static struct settings read_text(const char *text)
{
	struct document *doc = parse(text);
	struct settings settings = settings_read(doc);

	document_free(doc);
	return settings;
}

static void test_default(void **state)
{
	struct settings settings = settings_default();

	(void)state;
	assert_settings(&settings, false, 10, 30, 10);
	settings = read_text(ROOT "</config>");
	assert_settings(&settings, false, 10, 30, 10);
	settings = read_text(ROOT OURS "</muster></config>");
	assert_settings(&settings, false, 10, 30, 10);
}

static void test_well(void **state)
{
	static const char low[] =
		ROOT OURS "<approve>true</approve><health-timeout>1</health-timeout><hook-timeout>1"
			  "</hook-timeout><keep-revisions>2</keep-revisions></muster></config>";
	static const char high[] =
		ROOT "<m:muster "
		     "xmlns:m='urn:muster:1'><m:health-timeout>3600</"
		     "m:health-timeout><m:hook-timeout>3600"
		     "</m:hook-timeout><m:keep-revisions>50</m:keep-revisions><m:approve>false</"
		     "m:approve></m:muster></config>";
	struct settings settings = read_text(low);

	(void)state;
	assert_settings(&settings, true, 1, 1, 2);
	check_text(low, WANT(NULL));
	settings = read_text(high);
	assert_settings(&settings, false, 3600, 3600, 50);
	check_text(high, WANT(NULL));
	/* a mirror is not looked into; one setting says nothing of the others */
	settings = read_text(
		ROOT OURS
		"<mirror><url>x</url></mirror><hook-timeout>7</hook-timeout></muster></config>");
	assert_settings(&settings, false, 10, 7, 10);
	check_text(ROOT OURS "<mirror>https://a</mirror></muster></config>", WANT(NULL));
	check_text(ROOT OURS
		   "<mirror><id>a</id></mirror><mirror><id>b</id></mirror></muster></config>",
		   WANT(NULL));
}

static void test_refused(void **state)
{
	static const char *const values[] = {"0",
					     "3601",
					     "-1",
					     "+5",
					     "5 ",
					     "05",
					     "1e2",
					     "0x5",
					     "5s",
					     "true",
					     "99999999999999999999999"};

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		char *setting = text_format("<health-timeout>%s</health-timeout>", values[i]);
		char *reason = text_format(
			"t.xml:3: /muster/health-timeout: \"%s\" is not a number from 1 to 3600",
			values[i]);

		refuse_setting(setting, reason);
		free(setting);
		free(reason);
	}
	refuse_setting("<hook-timeout/>",
		       "t.xml:3: /muster/hook-timeout: \"\" is not a number from 1 to 3600");
	refuse_setting("<hook-timeout> 5</hook-timeout>",
		       "t.xml:3: /muster/hook-timeout: \" 5\" is not a number from 1 to 3600");
	refuse_setting("<keep-revisions>1</keep-revisions>",
		       "t.xml:3: /muster/keep-revisions: \"1\" is not a number from 2 to 50");
	refuse_setting("<keep-revisions>51</keep-revisions>",
		       "t.xml:3: /muster/keep-revisions: \"51\" is not a number from 2 to 50");
	refuse_setting("<approve>yes</approve>",
		       "t.xml:3: /muster/approve: \"yes\" is not true or false");
	refuse_setting("<approve>TRUE</approve>",
		       "t.xml:3: /muster/approve: \"TRUE\" is not true or false");
	refuse_setting("<approve/>", "t.xml:3: /muster/approve: \"\" is not true or false");
	refuse_setting("<health-timout>5</health-timout>",
		       "t.xml:3: /muster/health-timout: Muster has no such setting");
	refuse_setting("<roles/>", "t.xml:3: /muster/roles: Muster has no such setting");
	refuse_setting("<hook-timeout><x/></hook-timeout>",
		       "t.xml:3: /muster/hook-timeout: this setting is one value");
	refuse_setting(
		"<hook-timeout>#{T}</hook-timeout>",
		"t.xml:3: /muster/hook-timeout: no parameter may stand in a setting of Muster");
	refuse_setting("<approve>#{A | true}</approve>",
		       "t.xml:3: /muster/approve: no parameter may stand in a setting of Muster");
	refuse_setting("<hook-timeout xmlns='urn:x'>5</hook-timeout>",
		       "t.xml:3: /muster/hook-timeout: only settings of the namespace urn:muster:1 "
		       "may stand here");
}

/* What looks like settings and would not count is refused: nobody would notice. */
static void test_misplaced(void **state)
{
	(void)state;
	check_text(ROOT "\n<muster><approve>true</approve></muster></config>",
		   WANT("t.xml:2: /muster: Muster's settings are in the namespace urn:muster:1: "
			"<muster "
			"xmlns=\"urn:muster:1\">"));
	check_text(ROOT "\n<muster" BASE "><approve>perhaps</approve></muster></config>",
		   WANT("t.xml:2: /muster: Muster's settings are in the namespace urn:muster:1: "
			"<muster "
			"xmlns=\"urn:muster:1\">"));
	check_text(ROOT "\n<approve xmlns='urn:muster:1'>true</approve></config>",
		   WANT("t.xml:2: /approve: Muster's settings stand in <muster>"));
	check_text(ROOT "\n<muster xmlns='urn:muster:1'>true</muster></config>",
		   WANT("t.xml:2: /muster: settings stand in elements of their own"));
	/* twice */
	check_text(
		ROOT
		"\n" OURS
		"<hook-timeout>5</hook-timeout>\n<hook-timeout>6</hook-timeout></muster></config>",
		WANT("t.xml:3: /muster/hook-timeout: this stands for the second time, first at "
		     "t.xml:2"));
	/* all of them are told */
	check_text(ROOT "\n" OURS "\n<x/>\n<approve>1</approve></muster></config>",
		   WANT("t.xml:3: /muster/x: Muster has no such setting",
			"t.xml:4: /muster/approve: \"1\" is not true or false"));
}

/* Each role has them, as they are written, and a node reads the same of its slice. */
static void test_slice(void **state)
{
	struct document *doc = parse(
		"<config xmlns='http://tail-f.com/ns/config/1.0' xmlns:m='urn:muster:1'>" ROLES
		"<x m:roles='b'/><m:muster><m:health-timeout>4</m:health-timeout>"
		"<m:hook-timeout m:roles='a'>5</m:hook-timeout>"
		"<m:keep-revisions m:roles='b'>6</m:keep-revisions></m:muster></config>");
	struct model *model = model_default();
	struct document *part = NULL;
	struct settings settings;
	struct fileset files = {.files = NULL};
	struct err err = {.code = ERR_NONE};
	char *text;

	(void)state;
	assert_int_equal(slice(doc, model, "a", NULL, &part, &err), 0);
	text = text_of(part);
	assert_lacks(text, "roles");
	assert_lacks(text, "keep-revisions");
	assert_int_equal(fileset_add(&files, "config.xml", FILE_PLAIN, text, strlen(text), &err),
			 0);
	settings = settings_of_slice(&files);
	assert_settings(&settings, false, 4, 5, 10);
	free(text);
	fileset_clear(&files);
	document_free(part);
	document_free(doc);
	model_free(model);
}

static void test_merge(void **state)
{
	static const char a[] = ROOT OURS "<approve>true</approve></muster></config>";
	static const char b[] = ROOT OURS "<hook-timeout>9</hook-timeout></muster></config>";
	static const char c[] = ROOT OURS "<hook-timeout>8</hook-timeout></muster></config>";
	struct fileset files = {.files = NULL};
	struct err err = {.code = ERR_NONE};
	struct document *doc = NULL;
	struct model *model = NULL;
	struct settings settings;

	(void)state;
	assert_int_equal(fileset_add(&files, "a.xml", FILE_PLAIN, a, sizeof(a) - 1, &err), 0);
	assert_int_equal(fileset_add(&files, "b.xml", FILE_PLAIN, b, sizeof(b) - 1, &err), 0);
	assert_int_equal(merge_fileset(&files, &doc, &model, &err), 0);
	settings = settings_read(doc);
	assert_settings(&settings, true, 10, 9, 10);
	document_free(doc);
	model_free(model);
	assert_int_equal(fileset_add(&files, "c.xml", FILE_PLAIN, c, sizeof(c) - 1, &err), 0);
	assert_int_equal(merge_fileset(&files, &doc, &model, &err), -1);
	assert_has(err.text, "c.xml:1: /muster/hook-timeout");
	fileset_clear(&files);
}

/* A node does not stop over what the check of another version let pass. */
static void test_unreadable(void **state)
{
	struct fileset files = {.files = NULL};
	struct err err = {.code = ERR_NONE};
	struct settings settings = settings_of_slice(&files);

	(void)state;
	assert_settings(&settings, false, 10, 30, 10);
	assert_int_equal(fileset_add(&files, "config.xml", FILE_PLAIN, "<", 1, &err), 0);
	settings = settings_of_slice(&files);
	assert_settings(&settings, false, 10, 30, 10);
	fileset_clear(&files);
	settings = read_text(ROOT OURS
			     "<later>1</later><hook-timeout>5</hook-timeout></muster></config>");
	assert_settings(&settings, false, 10, 5, 10);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_default),	   cmocka_unit_test(test_well),
		cmocka_unit_test(test_refused),	   cmocka_unit_test(test_misplaced),
		cmocka_unit_test(test_slice),	   cmocka_unit_test(test_merge),
		cmocka_unit_test(test_unreadable),
	};

	config_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
