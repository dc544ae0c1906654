/* Edits by path, as text; and what is found and compared by path. */
#include "config/edit.h"

#include "config_fixture.h"

#include "config/values.h"

#define HEAD "<!-- first -->\n" ROOT "\n"
#define TAIL "</config>\n"

static const char environment[] =
	HEAD "  <environments xmlns=\"https://curity.se/ns/conf/base\">\n"
	     "    <environment>\n"
	     "      <base-url   >https://a</base-url > <!-- where -->\n"
	     "      <services>\n"
	     "        <service-role>\n"
	     "          <id>default</id>\n"
	     "          <location>here &amp; <!-- or -->there</location>\n"
	     "          <port/>\n"
	     "          <endpoints>one</endpoints>\n"
	     "          <endpoints>two</endpoints> <!-- the second -->\n"
	     "        </service-role>\n"
	     "        <service-role><id>a/b]</id><location>there</location></service-role>\n"
	     "      </services>\n"
	     "    </environment>\n"
	     "  </environments>\n" TAIL;
static const char other[] =
	HEAD "  <b:environments xmlns:b=\"https://curity.se/ns/conf/base\"><b:environment>\n"
	     "    <b:base-url>https://a</b:base-url>\n"
	     "\t<b:empty  />\n"
	     "    <b:password>x</b:password></b:environment></b:environments>\n"
	     "  <x xmlns='urn:x' xmlns:m='urn:muster:1'><y m:secret='true'>1</y></x>\n" TAIL;

static struct fileset files(void)
{
	struct fileset set = {.files = NULL};
	struct err err;

	assert_int_equal(
		fileset_add(&set, "a.xml", FILE_PLAIN, environment, sizeof(environment) - 1, &err),
		0);
	assert_int_equal(fileset_add(&set, "b.xml", FILE_PLAIN, other, sizeof(other) - 1, &err), 0);
	assert_int_equal(fileset_add(&set, "files/c.xml", FILE_PLAIN, "<", 1, &err), 0);
	return set;
}

static const char *text_in(const struct fileset *set, const char *path)
{
	return (const char *)fileset_find(set, path)->data;
}

/* TEXT with OLD replaced by NEW once. */
static char *changed(const char *text, const char *old, const char *new)
{
	const char *at = strstr(text, old);

	assert_non_null(at);
	return text_format("%.*s%s%s", (int)(at - text), text, new, at + strlen(old));
}

/* Sets (VALUE NULL: deletes); in FILE just OLD becomes NEW, and nothing else changes in any file.
 */
static void edits(const char *path, const char *value, const char *file, const char *old,
		  const char *new)
{
	struct fileset set = files();
	struct edited edited = {.paths = NULL};
	struct err err = {.code = ERR_NONE};
	int rc = value ? edit_set(&set, path, value, &edited, &err)
		       : edit_delete(&set, path, &edited, &err);
	char *want;

	if (rc != 0)
		fail_msg("%s", err.text);
	assert_int_equal(edited.count, 1);
	assert_string_equal(edited.paths[0], file);
	want = changed(strcmp(file, "a.xml") == 0 ? environment : other, old, new);
	assert_string_equal(text_in(&set, file), want);
	assert_string_equal(text_in(&set, strcmp(file, "a.xml") == 0 ? "b.xml" : "a.xml"),
			    strcmp(file, "a.xml") == 0 ? other : environment);
	free(want);
	edited_clear(&edited);
	fileset_clear(&set);
}

static void refuses(const char *path, const char *value, const char *want)
{
	struct fileset set = files();
	struct edited edited = {.paths = NULL};
	struct err err = {.code = ERR_NONE};
	int rc = value ? edit_set(&set, path, value, &edited, &err)
		       : edit_delete(&set, path, &edited, &err);

	if (rc == 0)
		fail_msg("%s: not refused with: %s", path, want);
	assert_true(err.code == ERR_REFUSED || err.code == ERR_GONE);
	if (!strstr(err.text, want))
		fail_msg("\"%s\" has no \"%s\"", err.text, want);
	edited_clear(&edited);
	fileset_clear(&set);
}

#define ENV   "environments/environment/"
#define ROLES ENV "services/service-role"

static void test_set(void **state)
{
	(void)state;
	edits(ROLES "[default]/location", "at <home> & \"away\"\r", "a.xml",
	      "here &amp; <!-- or -->there", "at &lt;home&gt; &amp; \"away\"&#13;<!-- or -->");
	edits("/" ROLES "[default]/port", "8443", "a.xml", "<port/>", "<port>8443</port>");
	edits(ROLES "[a\\/b\\]]/location", "x", "a.xml", "<location>there", "<location>x");
	edits(ROLES "[a\\/b\\]]/location", "", "a.xml", "<location>there", "<location>");
	edits(ENV "empty", "full", "b.xml", "<b:empty  />", "<b:empty>full</b:empty>");
	edits("x/y", "2", "b.xml", ">1<", ">2<");
}

/* One value in two files is one value. */
static void test_set_everywhere(void **state)
{
	struct fileset set = files();
	struct edited edited = {.paths = NULL};
	struct err err;

	(void)state;
	assert_int_equal(edit_set(&set, ENV "base-url", "https://b", &edited, &err), 0);
	assert_int_equal(edited.count, 2);
	assert_has(text_in(&set, "a.xml"), "<base-url   >https://b</base-url > <!-- where -->");
	assert_has(text_in(&set, "b.xml"), "<b:base-url>https://b</b:base-url>");
	edited_clear(&edited);
	/* so already */
	assert_int_equal(edit_set(&set, ENV "base-url", "https://b", &edited, &err), 0);
	assert_int_equal(edited.count, 0);
	assert_int_equal(edit_set(&set, ROLES "[default]/endpoints", "two", &edited, &err), 0);
	assert_int_equal(edited.count, 0);
	assert_int_equal(edit_delete(&set, ENV "base-url", &edited, &err), 0);
	assert_int_equal(edited.count, 2);
	assert_lacks(text_in(&set, "a.xml"), "base-url");
	assert_lacks(text_in(&set, "b.xml"), "base-url");
	edited_clear(&edited);
	fileset_clear(&set);
}

static void test_add(void **state)
{
	(void)state;
	/* to a leaf-list, behind the last one */
	edits(ROLES "[default]/endpoints", "three", "a.xml", "<endpoints>two</endpoints>",
	      "<endpoints>two</endpoints>\n          <endpoints>three</endpoints>");
	/* a leaf, where the rest of its parent is */
	edits(ROLES "[default]/protocol", "http", "a.xml", "<!-- the second -->\n",
	      "<!-- the second -->\n          <protocol>http</protocol>\n");
	edits(ROLES "[a\\/b\\]]/port", "1", "a.xml", "<location>there</location></service-role>",
	      "<location>there</location>\n          <port>1</port>\n        </service-role>");
	/* what is above it as well, in the namespace and with the prefix of what is there */
	edits(ENV "empty/deep/er", "1", "b.xml", "<b:empty  />",
	      "<b:empty>\n\t  <b:deep>\n\t    <b:er>1</b:er>\n\t  </b:deep>\n\t</b:empty>");
	/* a new entry of a list that has others, and one below the root */
	edits(ROLES "[new]/location", "far", "a.xml", "      </services>",
	      "        <service-role>\n          <id>new</id>\n          <location>far</location>\n"
	      "        </service-role>\n      </services>");
	edits("facilities/mail", "1", "b.xml", "</y></x>\n</config>",
	      "</y></x>\n  <facilities xmlns=\"https://curity.se/ns/conf/base\">\n"
	      "    <mail>1</mail>\n  </facilities>\n</config>");
	/* Muster's own settings have a namespace of theirs */
	edits("muster/hook-timeout", "5", "b.xml", "</y></x>\n</config>",
	      "</y></x>\n  <muster xmlns=\"urn:muster:1\">\n    <hook-timeout>5</hook-timeout>\n"
	      "  </muster>\n</config>");
}

static void test_delete(void **state)
{
	(void)state;
	edits(ROLES "[default]/port", NULL, "a.xml", "          <port/>\n", "");
	edits(ROLES "[default]/endpoints[one]", NULL, "a.xml",
	      "          <endpoints>one</endpoints>\n", "");
	edits(ROLES "[default]/endpoints[two]", NULL, "a.xml", "<endpoints>two</endpoints>", "");
	edits(ROLES "[default]/endpoints", NULL, "a.xml",
	      "          <endpoints>one</endpoints>\n          <endpoints>two</endpoints> <!-- the "
	      "second -->\n",
	      "           <!-- the second -->\n");
	edits(ROLES "[a\\/b\\]]", NULL, "a.xml",
	      "        <service-role><id>a/b]</id><location>there</location></service-role>\n", "");
	edits("x", NULL, "b.xml",
	      "  <x xmlns='urn:x' xmlns:m='urn:muster:1'><y m:secret='true'>1</y></x>\n", "");
}

static void test_refused(void **state)
{
	static const char *const paths[] = {"a//b",  "a/", "//a", "a[b",   "a[b]c", "a b",
					    "a[b]]", "",   "/",   "a/[b]", "*"};

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		refuses(paths[i], "x", "");
		refuses(paths[i], NULL, "");
	}
	refuses(ROLES "/location", "x", "is several: say which");
	refuses(ROLES, NULL, "is several: say which");
	refuses(ROLES "[default]", "x", "is no leaf");
	refuses(ROLES "[default]/endpoints[three]", "x", "is no leaf");
	refuses(ENV "services", "x", "has elements in it");
	refuses(ENV "base-url/x", "y", "has a value, and nothing can be in it");
	refuses(ENV "services/zone[z]/x", "y", "no other that says what its key is called");
	refuses(ROLES "/new/x", "y", "is several: say which");
	refuses(ENV "base-url", "\x01", "a control character");
	refuses(ENV "base-url", "\xff", "not UTF-8");
	refuses(ENV "nothing", NULL, "there is no such place");
	refuses(ROLES "[none]", NULL, "there is no such place");
	refuses(ROLES "[default]/id", NULL, "is the key of its entry");
	/* it would not merge any more */
	refuses(ROLES "[a\\/b\\]]/id", "default", "this key is already at");
}

static void test_secret(void **state)
{
	struct fileset set = files();
	struct err err;
	bool secret;

	(void)state;
	assert_int_equal(values_is_secret(&set, ENV "password", &secret, &err), 0);
	assert_true(secret);
	assert_int_equal(values_is_secret(&set, ENV "new/client-secret", &secret, &err), 0);
	assert_true(secret);
	assert_int_equal(values_is_secret(&set, "x/y", &secret, &err), 0);
	assert_true(secret);
	assert_int_equal(values_is_secret(&set, ENV "base-url", &secret, &err), 0);
	assert_false(secret);
	assert_int_equal(values_is_secret(&set, "a//b", &secret, &err), -1);
	fileset_clear(&set);
}

/* Whatever is in the text besides elements does not lead astray. */
static void test_markup(void **state)
{
	static const char text[] =
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<?pi <a> ?><!-- <a> -->" ROOT
		"<a b='>' c=\"/>\" xmlns:d='urn:d'><!-- </a> --><?x </a>?><d:e "
		"f='<'/></a></config>";
	struct fileset set = {.files = NULL};
	struct edited edited = {.paths = NULL};
	struct err err = {.code = ERR_NONE};
	char *want = changed(text, "<d:e f='<'/>", "<d:e f='&lt;'>1</d:e>"),
	     *good = changed(text, "'<'", "'&lt;'");

	(void)state;
	assert_int_equal(fileset_add(&set, "a.xml", FILE_PLAIN, good, strlen(good), &err), 0);
	if (edit_set(&set, "a/e", "1", &edited, &err) != 0)
		fail_msg("%s", err.text);
	assert_string_equal(text_in(&set, "a.xml"), want);
	edited_clear(&edited);
	fileset_clear(&set);
	free(want);
	free(good);
}

/* --- values --- */

static void test_values(void **state)
{
	struct fileset set = files();
	struct values values = {.items = NULL};
	struct document *doc;
	struct model *model;
	struct err err;

	(void)state;
	assert_int_equal(merge_fileset(&set, &doc, &model, &err), 0);
	assert_int_equal(values_at(doc, model, ROLES "/id", true, &values, &err), 0);
	assert_int_equal(values.count, 2);
	assert_string_equal(values.items[0].text, "default");
	assert_string_equal(values.items[1].path, "/" ROLES "[a\\/b\\]]/id");
	values_clear(&values);
	assert_int_equal(values_at(doc, model, ROLES "[default]/endpoints", true, &values, &err),
			 0);
	assert_int_equal(values.count, 2);
	values_clear(&values);
	assert_int_equal(values_at(doc, model, ENV "password", true, &values, &err), 0);
	assert_string_equal(values.items[0].text, VALUES_HIDDEN);
	values_clear(&values);
	assert_int_equal(values_at(doc, model, ENV "password", false, &values, &err), 0);
	assert_string_equal(values.items[0].text, "x");
	values_clear(&values);
	/* nor is a secret in what is shown of the elements above it */
	assert_int_equal(values_at(doc, model, "/", true, &values, &err), 0);
	assert_int_equal(values.count, 1);
	assert_has(values.items[0].text, ">(secret)</b:password>");
	assert_has(values.items[0].text, ">(secret)</y>");
	values_clear(&values);
	assert_int_equal(values_at(doc, model, "x", false, &values, &err), 0);
	assert_string_equal(values.items[0].text, "<x xmlns=\"urn:x\" xmlns:m=\"urn:muster:1\">\n  "
						  "<y m:secret=\"true\">1</y>\n</x>\n");
	values_clear(&values);
	assert_int_equal(values_at(doc, model, "none", false, &values, &err), 0);
	assert_int_equal(values.count, 0);
	assert_int_equal(values_at(doc, model, "a//b", false, &values, &err), -1);
	document_free(doc);
	model_free(model);
	fileset_clear(&set);
}

static void note(void *arg, const struct value *old, const struct value *new)
{
	buf_printf(arg, "%s%s %s\n", old ? "-" : "", new ? "+" : "", old ? old->path : new->path);
}

static void test_compare(void **state)
{
	struct fileset set = files();
	struct values before = {.items = NULL}, after = {.items = NULL};
	struct edited edited = {.paths = NULL};
	struct document *doc;
	struct model *model;
	struct err err;
	struct buf out;

	(void)state;
	buf_init(&out, 10000);
	assert_int_equal(merge_fileset(&set, &doc, &model, &err), 0);
	values_all(doc, model, &before);
	values_all(doc, model, &after);
	values_compare(&before, &after, note, &out);
	assert_int_equal(out.len, 0);
	values_clear(&after);
	document_free(doc);
	model_free(model);
	assert_int_equal(edit_set(&set, ENV "password", "y", &edited, &err), 0);
	assert_int_equal(edit_set(&set, ROLES "[default]/endpoints", "three", &edited, &err), 0);
	assert_int_equal(edit_delete(&set, ROLES "[default]/endpoints[one]", &edited, &err), 0);
	assert_int_equal(edit_delete(&set, ROLES "[default]/port", &edited, &err), 0);
	assert_int_equal(merge_fileset(&set, &doc, &model, &err), 0);
	values_all(doc, model, &after);
	values_compare(&before, &after, note, &out);
	assert_string_equal(buf_text(&out), "-+ /" ENV "password\n"
					    "- /" ROLES "[default]/endpoints\n"
					    "+ /" ROLES "[default]/endpoints\n"
					    "- /" ROLES "[default]/port\n");
	values_clear(&before);
	values_clear(&after);
	edited_clear(&edited);
	buf_clear(&out);
	document_free(doc);
	model_free(model);
	fileset_clear(&set);
}

/* Every leaf of the corpus can be set, and nothing but it changes. */
static void set_all(const char *name, struct document *doc, const struct model *model)
{
	struct values values = {.items = NULL};
	struct fileset set = {.files = NULL};
	struct err err = {.code = ERR_NONE};
	char *text = text_of(doc);

	values_all(doc, model, &values);
	assert_int_equal(fileset_add(&set, "a.xml", FILE_PLAIN, text, strlen(text), &err), 0);
	for (size_t i = 0; i < values.count; i += 1 + values.count / 25) {
		struct edited edited = {.paths = NULL};
		struct values now = {.items = NULL};

		if (strlen(values.items[i].path) > 150 ||
		    edit_set(&set, values.items[i].path, "#{NEW}", &edited, &err) != 0)
			continue; /* a key with what a path cannot hold, or a parameter where none
				     may stand */
		assert_int_equal(values_at(doc, model, values.items[i].path, false, &now, &err), 0);
		if (now.count == 0)
			fail_msg("%s: %s", name, values.items[i].path);
		values_clear(&now);
		edited_clear(&edited);
		assert_int_equal(fileset_put(&set, "a.xml", FILE_PLAIN, text, strlen(text), &err),
				 0);
	}
	values_clear(&values);
	fileset_clear(&set);
	free(text);
}

static void test_corpus(void **state)
{
	(void)state;
	each_of_corpus(set_all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set),     cmocka_unit_test(test_set_everywhere),
		cmocka_unit_test(test_add),     cmocka_unit_test(test_delete),
		cmocka_unit_test(test_refused), cmocka_unit_test(test_secret),
		cmocka_unit_test(test_markup),  cmocka_unit_test(test_values),
		cmocka_unit_test(test_compare), cmocka_unit_test(test_corpus),
	};

	config_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
