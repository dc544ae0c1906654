/* Several files, one configuration. */
#include "config/merge.h"

#include "config/xml.h"

#include "config_fixture.h"

#include <time.h>

enum { FILES_MAX = 4 };

/* Merges texts as a.xml, b.xml, …; NULL ends. */
static int merge_texts(const char *const *texts, const char *conf, struct document **out,
		       struct err *err)
{
	struct document *docs[FILES_MAX] = {NULL};
	struct model *model = NULL;
	size_t n = 0;
	int rc;

	assert_int_equal(model_parse("model.conf", conf, strlen(conf), &model, err), 0);
	for (; texts[n]; n++) {
		char name[] = {(char)('a' + n), '.', 'x', 'm', 'l', '\0'};

		docs[n] = parse_as(name, texts[n]);
	}
	rc = merge(docs, n, model, out, err);
	for (size_t i = 0; i < n; i++)
		document_free(docs[i]);
	model_free(model);
	return rc;
}

static void check_merge(const char *a, const char *b, const char *want)
{
	const char *const texts[] = {a, b, NULL};
	struct err err = {.code = ERR_NONE};
	struct document *doc;

	if (merge_texts(texts, "", &doc, &err))
		fail_msg("%s", err.text);
	assert_document(doc, want);
	document_free(doc);
}

static void refuse_merge(const char *a, const char *b, const char *want)
{
	const char *const texts[] = {a, b, NULL};
	struct err err = {.code = ERR_NONE};
	struct document *doc = NULL;

	if (merge_texts(texts, "", &doc, &err) == 0)
		fail_msg("merged, not refused with: %s", want);
	assert_null(doc);
	assert_int_equal(err.code, ERR_REFUSED);
	assert_string_equal(err.text, want);
}

#define PROFILES(x) ROOT "<profiles" BASE ">" x "</profiles></config>"

static void test_joins(void **state)
{
	(void)state;
	check_merge(
		PROFILES("<profile><id>a</id><x>1</x></profile>"),
		PROFILES("<profile><id>b</id></profile><profile><id>a</id><y/></profile>"),
		PROFILES("<profile><id>a</id><x>1</x><y/></profile><profile><id>b</id></profile>"));
	/* the same value in two files is one, an empty element is a container that holds nothing */
	check_merge(ROOT "<a><l>1</l><c/></a></config>", ROOT "<a><l>1</l><c><d/></c></a></config>",
		    ROOT "<a><l>1</l><c><d/></c></a></config>");
	check_merge(ROOT "<c><d/></c></config>", ROOT "<c> </c></config>",
		    ROOT "<c><d/></c></config>");
	/* the key text is exact, and so is the namespace */
	check_merge(ROOT "<e><id>a</id></e></config>", ROOT "<e><id> a</id></e></config>",
		    ROOT "<e><id>a</id></e><e><id> a</id></e></config>");
	check_merge(ROOT "<e xmlns='urn:1'/></config>", ROOT "<e xmlns='urn:2'>x</e></config>",
		    ROOT "<e xmlns='urn:1'/><e xmlns='urn:2'>x</e></config>");
}

static void test_first_seen_first_placed(void **state)
{
	(void)state;
	check_merge(ROOT "<z/><a/></config>", ROOT "<b/><a/><m/><z/></config>",
		    ROOT "<z/><a/><b/><m/></config>");
	check_merge("<!-- 1 -->" ROOT "<!-- 2 --><a><!-- 3 --></a></config>",
		    "<!-- 4 -->" ROOT "<a><!-- 5 --><b/></a></config>",
		    "<!-- 1 -->" ROOT
		    "<!-- 2 --><a><!-- 3 --><!-- 5 --><b/></a></config><!-- 4 -->");
}

static void test_leaf_lists(void **state)
{
	(void)state;
	check_merge(ROOT "<service-role><id>r</id><endpoints>a</endpoints><endpoints>b</endpoints>"
			 "</service-role></config>",
		    ROOT "<service-role><id>r</id><endpoints>c</endpoints><endpoints>a</endpoints>"
			 "</service-role></config>",
		    ROOT "<service-role><id>r</id><endpoints>a</endpoints><endpoints>b</endpoints>"
			 "<endpoints>c</endpoints></service-role></config>");
	/* those of a profile are no leaf-list, even while empty */
	check_merge(
		PROFILES("<profile><id>p</id><endpoints/></profile>"),
		PROFILES("<profile><id>p</id><endpoints><endpoint><id>e</id></endpoint></endpoints>"
			 "</profile>"),
		PROFILES("<profile><id>p</id><endpoints><endpoint><id>e</id></endpoint></endpoints>"
			 "</profile>"));
}

static void test_containers_of_the_model(void **state)
{
	const char *const texts[] = {ROOT "<box><id>1</id></box></config>",
				     ROOT "<box><x/></box></config>", NULL};
	struct err err = {.code = ERR_NONE};
	struct document *doc;

	(void)state;
	assert_int_equal(merge_texts(texts, "/box container\n", &doc, &err), 0);
	assert_document(doc, ROOT "<box><id>1</id><x/></box></config>");
	document_free(doc);
	refuse_merge(
		texts[0], texts[1],
		"b.xml:1: /box: does not look like one of a list here, but does (if it is none, "
		"say container in model.conf) at a.xml:1");
	refuse_merge(
		texts[1], texts[0],
		"b.xml:1: /box[1]: looks like one of a list here (if it is none, say container "
		"in model.conf), but not at a.xml:1");
	refuse_merge(
		ROOT
		"<environments><environment><name>a</name></environment></environments></config>",
		ROOT
		"<environments><environment><name>b</name></environment></environments></config>",
		"b.xml:1: /environments/environment/name: the value is not the one at a.xml:1");
}

static void test_conflicts(void **state)
{
	(void)state;
	refuse_merge(PROFILES("\n<profile>\n<id>p</id>\n<x>1</x></profile>"),
		     PROFILES("\n\n<profile>\n<id>p</id>\n\n\n<x>2</x></profile>"),
		     "b.xml:7: /profiles/profile[p]/x: the value is not the one at a.xml:4");
	refuse_merge(ROOT "<x/></config>", ROOT "<x>1</x></config>",
		     "b.xml:1: /x: the value is not the one at a.xml:1");
	refuse_merge(ROOT "<x>1</x></config>", ROOT "\n<x> 1</x></config>",
		     "b.xml:2: /x: the value is not the one at a.xml:1");
	refuse_merge(ROOT "<x>1</x></config>", ROOT "<x><y/></x></config>",
		     "b.xml:1: /x: one has a value, the other elements: a.xml:1");
	refuse_merge(ROOT "<x><y/></x></config>", ROOT "<x>1</x></config>",
		     "b.xml:1: /x: one has a value, the other elements: a.xml:1");
	refuse_merge(PROFILES(""),
		     PROFILES("\n<profile><id>p</id></profile>\n<profile><id>p</id></profile>"),
		     "b.xml:3: /profiles/profile[p]: this key is already at b.xml:2");
	refuse_merge(PROFILES("<profile><id>p</id></profile>"),
		     PROFILES("\n<profile><id>p</id></profile>\n<profile><id>p</id></profile>"),
		     "b.xml:3: /profiles/profile[p]: this key is already at b.xml:2");
	refuse_merge(ROOT "<x><y/></x>\n<x><z/></x></config>", ROOT "</config>",
		     "a.xml:2: /x: this stands for the second time, first at a.xml:1");
	refuse_merge(ROOT "<x/></config>", ROOT "<x/>\n<x/></config>",
		     "b.xml:2: /x: this stands for the second time, first at b.xml:1");
	refuse_merge(ROOT "<a><x>1</x>\n<x>1</x></a></config>", ROOT "</config>",
		     "a.xml:2: /a/x: this stands for the second time, first at a.xml:1");
}

static void test_attributes(void **state)
{
	(void)state;
	check_merge(ROOT "<a t='1'/></config>", ROOT "<a u='2' t='1'/></config>",
		    ROOT "<a t='1' u='2'/></config>");
	check_merge(ROOT "<a xmlns:p='urn:1' p:t='1'/></config>",
		    ROOT "<a xmlns:p='urn:2' p:t='2'/></config>",
		    ROOT "<a xmlns:p='urn:1' xmlns:ns1='urn:2' p:t='1' ns1:t='2'/></config>");
	refuse_merge(ROOT "<a t='1'/></config>", ROOT "<a t='2'/></config>",
		     "b.xml:1: /a: an attribute has another value than at a.xml:1");
	refuse_merge("<config xmlns='http://tail-f.com/ns/config/1.0' t='1'/>",
		     "<config xmlns='http://tail-f.com/ns/config/1.0' t='2'/>",
		     "b.xml:1: /: an attribute has another value than at a.xml:1");
	/* who gets an element must not change by what a second file does not say */
	refuse_merge(ROOT "<a/></config>",
		     ROOT "<a xmlns:m='urn:muster:1' m:roles='x'><b/></a></config>",
		     "b.xml:1: /a: muster:roles is not the same as at a.xml:1");
	refuse_merge(ROOT "<a xmlns:m='urn:muster:1' m:roles='x'/></config>", ROOT "<a/></config>",
		     "b.xml:1: /a: muster:roles is not the same as at a.xml:1");
	refuse_merge(ROOT "<audience>1</audience><audience xmlns:m='urn:muster:1' m:roles='x'>1"
			  "</audience></config>",
		     ROOT "</config>",
		     "a.xml:1: /audience: muster:roles is not the same as at a.xml:1");
}

static void test_prefixes(void **state)
{
	(void)state;
	/* declared above, needed below */
	check_merge(ROOT "<p><a/></p></config>", ROOT "<p xmlns:q='urn:q'><t>q:x</t></p></config>",
		    ROOT "<p xmlns:q='urn:q'><a/><t>q:x</t></p></config>");
	/* the prefix is taken there: what comes brings its own meaning */
	check_merge(ROOT "<p xmlns:q='urn:1'><a>q:x</a></p></config>",
		    ROOT "<p xmlns:q='urn:2'><b><t>q:x</t></b></p></config>",
		    ROOT
		    "<p xmlns:q='urn:1'><a>q:x</a><b xmlns:q='urn:2'><t>q:x</t></b></p></config>");
	check_merge(
		"<c:config xmlns:c='http://tail-f.com/ns/config/1.0'><p xmlns='urn:p'/></c:config>",
		ROOT "<q:p xmlns:q='urn:p'><q:r/><s/></q:p></config>",
		"<c:config xmlns:c='http://tail-f.com/ns/config/1.0'><p xmlns='urn:p' "
		"xmlns:q='urn:p'><q:r xmlns='http://tail-f.com/ns/config/1.0'/>"
		"<s xmlns='http://tail-f.com/ns/config/1.0'/></p></c:config>");
	check_merge(ROOT "<p xmlns='urn:p'/></config>",
		    "<c:config xmlns:c='http://tail-f.com/ns/config/1.0'><q:p "
		    "xmlns:q='urn:p'><r/></q:p>"
		    "</c:config>",
		    "<config xmlns='http://tail-f.com/ns/config/1.0' "
		    "xmlns:c='http://tail-f.com/ns/config/1.0'><p xmlns='urn:p' xmlns:q='urn:p'>"
		    "<r xmlns=''/></p></config>");
	refuse_merge(ROOT "<t xmlns:q='urn:1'>q:x</t></config>",
		     ROOT "<t xmlns:q='urn:2'>q:x</t></config>",
		     "b.xml:1: /t: the prefix of the value is another namespace than at a.xml:1");
	check_merge(ROOT "<t>urn:x</t></config>", ROOT "<t>urn:x</t></config>",
		    ROOT "<t>urn:x</t></config>");
}

static void test_origins(void **state)
{
	const char *const texts[] = {ROOT "<a>\n<b/></a></config>",
				     ROOT "\n\n<a>\n<c/></a></config>", NULL};
	struct err err = {.code = ERR_NONE};
	struct document *doc;
	xmlNode *a;

	(void)state;
	assert_int_equal(merge_texts(texts, "", &doc, &err), 0);
	a = xml_first(xml_root(doc));
	assert_string_equal(xml_file(a), "a.xml");
	assert_int_equal(xml_line(a), 1);
	assert_int_equal(xml_line(xml_first(a)), 2);
	assert_string_equal(xml_file(xml_next(xml_first(a))), "b.xml");
	assert_int_equal(xml_line(xml_next(xml_first(a))), 4);
	document_free(doc);
}

static void add(struct fileset *set, const char *path, const char *text)
{
	assert_int_equal(fileset_add(set, path, FILE_PLAIN, text, strlen(text), NULL), 0);
}

static void test_fileset(void **state)
{
	struct fileset set = {.files = NULL};
	struct err err = {.code = ERR_NONE};
	struct document *doc;
	struct model *model;

	(void)state;
	assert_true(merge_uses("a.xml") && merge_uses("x/y/a.xml") && merge_uses("model.conf"));
	assert_true(merge_uses("x/files/a.xml"));
	assert_false(merge_uses("files/a.xml") || merge_uses("schema/a.xml"));
	assert_false(merge_uses("x/model.conf") || merge_uses("a.xml.bak") || merge_uses("README"));
	assert_int_equal(merge_fileset(&set, &doc, &model, &err), 0);
	assert_document(doc, ROOT "</config>");
	document_free(doc);
	model_free(model);
	add(&set, "b.xml", ROOT "<box><id>1</id></box></config>");
	add(&set, "a/a.xml", ROOT "<box><x/></box></config>");
	add(&set, "files/common/a.xml", "no XML");
	add(&set, "schema/a.xml", "no XML");
	add(&set, "notes.txt", "no XML");
	assert_int_equal(merge_fileset(&set, &doc, &model, &err), -1);
	assert_has(err.text, "b.xml:1: /box[1]: ");
	add(&set, "model.conf", "box container");
	assert_int_equal(merge_fileset(&set, &doc, &model, &err), 0);
	assert_document(doc, ROOT "<box><x/><id>1</id></box></config>");
	document_free(doc);
	model_free(model);
	add(&set, "c.xml", ROOT "\n<a></config>");
	assert_int_equal(merge_fileset(&set, &doc, &model, &err), -1);
	assert_has(err.text, "c.xml:2: not well-formed");
	fileset_clear(&set);
	add(&set, "model.conf", "box\n");
	assert_int_equal(merge_fileset(&set, &doc, &model, &err), -1);
	assert_string_equal(err.text, "model.conf:1: a pattern without a property");
	fileset_clear(&set);
}

static void test_too_many_files(void **state)
{
	struct fileset set = {.files = NULL};
	struct err err = {.code = ERR_NONE};
	struct document *doc;
	struct model *model;

	(void)state;
	for (unsigned i = 0; i <= LIMIT_XML_FILES; i++) {
		char *path = text_format("%04u.xml", i);

		add(&set, path, ROOT "</config>");
		free(path);
	}
	assert_int_equal(merge_fileset(&set, &doc, &model, &err), -1);
	assert_has(err.text, "XML files");
	fileset_clear(&set);
}

static void test_bad_fixture(void **state)
{
	struct fileset set = {.files = NULL};
	struct err err = {.code = ERR_NONE};
	struct document *doc;
	struct model *model;
	struct buf data;

	(void)state;
	buf_init(&data, 4096);
	assert_int_equal(fs_read_follow(AT_FDCWD, FIXTURES "/bad/duplicate-key.xml", &data, &err),
			 0);
	add(&set, "duplicate-key.xml", buf_text(&data));
	assert_int_equal(merge_fileset(&set, &doc, &model, &err), -1);
	assert_string_equal(err.text, "duplicate-key.xml:6: /profiles/profile[ledger]: this key is "
				      "already at duplicate-key.xml:3");
	buf_clear(&data);
	fileset_clear(&set);
}

/* A list of N entries with a leaf-list of N values. */
static char *long_lists(int n)
{
	struct buf text;

	buf_init(&text, 64u << 20);
	buf_puts(&text, ROOT "<l>");
	for (int i = 0; i < n; i++)
		buf_printf(&text, "<e><id>%d</id><v>%d</v></e><endpoints>%d</endpoints>\n", i, i,
			   i);
	buf_puts(&text, "</l></config>");
	return (char *)buf_steal(&text, NULL);
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Eight times the size may take 32 times the processor time, for caches; quadratic would be 64
 * times. */
static void test_linear(void **state)
{
	double took[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		char *text = long_lists(i ? 80000 : 10000);
		const char *const texts[] = {text, text, NULL};
		struct err err = {.code = ERR_NONE};
		struct document *doc;
		double start = seconds();

		assert_int_equal(merge_texts(texts, "", &doc, &err), 0);
		took[i] = seconds() - start;
		assert_int_equal(document_count(doc), 2 + 4 * (i ? 80000 : 10000));
		document_free(doc);
		free(text);
	}
	assert_true(took[1] < took[0] * 8 * 4);
}

/* A merged configuration in its stable form merges to itself. */
static void itself(const char *name, struct document *doc, const struct model *model)
{
	struct err err = {.code = ERR_NONE};
	char *first = text_of(doc), *second, *third;
	struct document *again = parse(first), *merged;

	second = text_of(again);
	assert_string_equal(first, second);
	if (merge(&again, 1, model, &merged, &err))
		fail_msg("%s: %s", name, err.text);
	third = text_of(merged);
	assert_string_equal(first, third);
	document_free(again);
	document_free(merged);
	free(first);
	free(second);
	free(third);
}

static void test_shop(void **state)
{
	struct model *model;
	struct document *doc = merge_folder(FIXTURES "/shop", &model);
	char *text = text_of(doc);

	(void)state;
	itself("shop", doc, model);
	assert_has(text, "<name>tea</name>\n              <colour>green</colour>\n"
			 "              <height>3</height>");
	assert_has(text, "<greeting>\tCaf\xc3\xa9 &amp; \"m\xc3\xa1s\"</greeting>");
	free(text);
	document_free(doc);
	model_free(model);
}

static void test_corpus(void **state)
{
	(void)state;
	each_of_corpus(itself);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_joins),       cmocka_unit_test(test_first_seen_first_placed),
		cmocka_unit_test(test_leaf_lists),  cmocka_unit_test(test_containers_of_the_model),
		cmocka_unit_test(test_conflicts),   cmocka_unit_test(test_attributes),
		cmocka_unit_test(test_prefixes),    cmocka_unit_test(test_origins),
		cmocka_unit_test(test_fileset),     cmocka_unit_test(test_too_many_files),
		cmocka_unit_test(test_bad_fixture), cmocka_unit_test(test_linear),
		cmocka_unit_test(test_shop),        cmocka_unit_test(test_corpus),
	};

	config_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
