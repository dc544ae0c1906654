/* One document: what is read, what is refused, and the stable form. */
#include "config/document.h"

#include "config/path.h"
#include "config/xml.h"
#include "core/limits.h"

#include "config_fixture.h"

#include <libxml/parser.h>

static void check_stable(const char *text, const char *want)
{
	struct document *doc = parse(text), *again;
	char *first = text_of(doc), *second;

	assert_string_equal(first, want);
	again = parse(first);
	second = text_of(again);
	assert_string_equal(second, first);
	document_free(doc);
	document_free(again);
	free(first);
	free(second);
}

static void test_stable_form(void **state)
{
	(void)state;
	check_stable(ROOT "</config>", "<config xmlns=\"http://tail-f.com/ns/config/1.0\"/>\n");
	check_stable("<?xml version='1.0' encoding='utf-8'?>" ROOT "<b/>\n\n <a>1</a></config>",
		     ROOT "\n  <b/>\n  <a>1</a>\n</config>\n");
	check_stable("\xef\xbb\xbf" ROOT "<a><b> \n\t</b></a></config>",
		     ROOT "\n  <a>\n    <b/>\n  </a>\n</config>\n");
	check_stable("<!-- top -->" ROOT "<!-- in --><a/><!--\n  two\n--></config><!-- end -->",
		     "<!-- top -->\n" ROOT
		     "\n  <!-- in -->\n  <a/>\n  <!--\n  two\n-->\n</config>\n<!-- end -->\n");
	check_stable(ROOT "<?keep this?><a/><?bare?></config>",
		     ROOT "\n  <?keep this?>\n  <a/>\n  <?bare?>\n</config>\n");
	check_stable(ROOT "<a z='1' b='2' c='&lt;&amp;&quot;&#10;&#9;&#13;x'/></config>", ROOT
		     "\n  <a z=\"1\" b=\"2\" c=\"&lt;&amp;&quot;&#10;&#9;&#13;x\"/>\n</config>\n");
}

static void test_comments_in_leafs(void **state)
{
	(void)state;
	check_stable(ROOT "<a> <!-- none --> </a></config>",
		     ROOT "\n  <a>\n    <!-- none -->\n  </a>\n</config>\n");
	check_stable(ROOT "<a>one<!-- c -->two</a></config>",
		     ROOT "\n  <a>onetwo<!-- c --></a>\n</config>\n");
	check_stable(ROOT "<a> <!-- c -->x</a></config>",
		     ROOT "\n  <a> x<!-- c --></a>\n</config>\n");
	check_stable(ROOT "<a><!-- c --><?p?></a></config>",
		     ROOT "\n  <a>\n    <!-- c -->\n    <?p?>\n  </a>\n</config>\n");
}

static void test_values_are_exact(void **state)
{
	static const char *const values[] = {
		" leading",   "trailing ",
		"\ttab\t",    "line\nline",
		"cr&#13;end", "&#13;x",
		"&lt;a&gt;",  "a ]]&gt; b",
		"&amp;amp;",  "\xc3\xa9\xe2\x82\xac\xf0\x9f\x8d\x9e",
		"\"'",        "#{A | b}",
		"\\h&gt; ",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		char *text = text_format("%s<a>%s</a></config>", ROOT, values[i]);
		struct document *doc = parse(text), *again;
		char *form = text_of(doc);

		again = parse(form);
		assert_string_equal(xml_text(xml_first(xml_root(doc))),
				    xml_text(xml_first(xml_root(again))));
		assert_has(form, values[i]);
		document_free(doc);
		document_free(again);
		free(form);
		free(text);
	}
}

static void test_namespaces(void **state)
{
	(void)state;
	check_stable(ROOT "<t xmlns:as='urn:as'>as:x</t></config>",
		     ROOT "\n  <t xmlns:as=\"urn:as\">as:x</t>\n</config>\n");
	check_stable(ROOT "<p:t xmlns:p='urn:p' p:a='1' xml:lang='en'><q xmlns=''/></p:t></config>",
		     ROOT "\n  <p:t xmlns:p=\"urn:p\" p:a=\"1\" xml:lang=\"en\">\n"
			  "    <q xmlns=\"\"/>\n  </p:t>\n</config>\n");
	check_stable(
		"<c:config xmlns:c='http://tail-f.com/ns/config/1.0'><c:a/></c:config>",
		"<c:config xmlns:c=\"http://tail-f.com/ns/config/1.0\">\n  <c:a/>\n</c:config>\n");
}

static void test_copy_and_count(void **state)
{
	static const char text[] = "<!-- c -->" ROOT "<a k='&amp;'><b>1</b><!-- d --></a></config>";
	struct document *doc = parse(text), *copy = document_copy(doc), *empty = document_new();
	char *a = text_of(doc), *b;

	(void)state;
	assert_int_equal(document_count(doc), 3);
	assert_int_equal(document_count(empty), 1);
	document_free(doc);
	b = text_of(copy);
	assert_string_equal(a, b);
	assert_string_equal(xml_file(xml_first(xml_root(copy))), "t.xml");
	free(a);
	free(b);
	document_free(copy);
	document_free(empty);
	document_free(NULL);
}

static void test_lines(void **state)
{
	struct document *doc;
	struct buf text;
	xmlNode *last;

	(void)state;
	buf_init(&text, 1u << 20);
	buf_puts(&text, ROOT);
	for (int i = 0; i < 70000; i++)
		buf_puts(&text, "\n");
	buf_puts(&text, "<a/><b>\n</b>\n<c\n/></config>");
	doc = parse_as("long.xml", buf_text(&text));
	last = xml_first(xml_root(doc));
	assert_int_equal(xml_line(last), 70001);
	assert_string_equal(xml_file(last), "long.xml");
	assert_int_equal(xml_line(xml_next(last)), 70001);
	assert_int_equal(xml_line(xml_next(xml_next(last))), 70004);
	document_free(doc);
	buf_puts(&text, "<");
	refuse(buf_text(&text), "t.xml:70004: not well-formed");
	buf_clear(&text);
}

static void test_refused(void **state)
{
	(void)state;
	refuse("", "t.xml:1: not well-formed");
	refuse("x", "t.xml:1: not well-formed");
	refuse(" ", "t.xml:1: not well-formed");
	refuse("<", "t.xml:1: not well-formed");
	refuse("<!", "t.xml:1: not well-formed");
	refuse("<config/>", "the root is <config>");
	refuse("<config xmlns='urn:other'/>", "t.xml:1: the root is <config> in \"urn:other\"");
	refuse("<data xmlns='http://tail-f.com/ns/config/1.0'/>", "the root is <data>");
	refuse(ROOT "text</config>", "text in <config>");
	refuse(ROOT "\n<a>text<b/></a></config>", "t.xml:2: text beside elements in <a>");
	refuse(ROOT "<a><b/>\ntext</a></config>", "t.xml:1: text beside elements in <a>");
	refuse(ROOT "<a/>text</config>", "text beside elements in <config>");
	refuse(ROOT "</config>text", "not well-formed");
	refuse("text" ROOT "</config>", "t.xml:1: not well-formed");
	refuse(ROOT "</config>" ROOT "</config>", "not well-formed");
	refuse(ROOT "\n<a>\n</config>", "t.xml:3: not well-formed");
	refuse(ROOT "<a b='1' b='2'/></config>", "not well-formed");
	refuse(ROOT "<p:a/></config>", "not well-formed");
	refuse(ROOT "<a p:b='1'/></config>", "not well-formed");
	refuse(ROOT "<a><!-- -- --></a></config>", "not well-formed");
	refuse(ROOT "&#1;</config>", "not well-formed");
	refuse(ROOT "&#xffff;</config>", "not well-formed");
	refuse(ROOT "\x01</config>", "not well-formed");
	refuse(ROOT "<a b='<'/></config>", "'<' in a tag");
	refuse(ROOT "<a b='x\n<c d='/></config>", "'<' in a tag");
}

static void test_refused_markup(void **state)
{
	(void)state;
	refuse("<!DOCTYPE config>" ROOT "</config>", "t.xml:1: a DOCTYPE is not allowed");
	refuse("<!-- c -->\n<!DOCTYPE config []>" ROOT "</config>", "t.xml:2: a DOCTYPE");
	refuse("<!DOCTYPE c [<!ENTITY a 'b'>]>" ROOT "&a;</config>", "a DOCTYPE");
	refuse(ROOT "&a;</config>", "not well-formed");
	refuse(ROOT "<a b='&c;'/></config>", "not well-formed");
	refuse(ROOT "\n<a><![CDATA[x]]></a></config>", "t.xml:2: CDATA is not allowed");
	refuse(ROOT "<!ELEMENT a></config>", "not well-formed");
	refuse(ROOT
	       "<x:include xmlns:x='http://www.w3.org/2001/XInclude' href='/etc/group'/></config>",
	       "XInclude is not allowed");
	refuse("<?xml version='1.0' encoding='ISO-8859-1'?>" ROOT "</config>", "UTF-8");
	refuse("<?xml version='1.0' encoding='UTF-16'?>" ROOT "</config>", "UTF-8");
	refuse("<?xml version='1.0' encoding=''?>" ROOT "</config>", "UTF-8");
	refuse("<?xml version='1.0' encoding='UTF-7'?>" ROOT "+ADw-a/+AD4-</config>", "UTF-8");
}

static void test_refused_bytes(void **state)
{
	static const char *const bad[] = {
		"\x80", "\xc3",     "\xc0\x80",     "\xed\xa0\x80", "\xf4\x90\x80\x80",
		"\xff", "\xe2\x82", "\xef\xbf\xbf",
	};
	static const char *const places[] = {
		"%s<a>%s</a></config>", "%s<!-- %s --></config>", "%s<a b='%s'/></config>",
		"%s<?p %s?></config>",  "%s<a%s/></config>",      "%s</config><!-- %s -->",
	};
	static const char nul[] = ROOT "<a>\0</a></config>";

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		for (size_t j = 0; j < sizeof(places) / sizeof(places[0]); j++) {
			char *text;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
			text = text_format(places[j], ROOT, bad[i]);
#pragma GCC diagnostic pop
			refuse(text, "t.xml:1: ");
			free(text);
		}
	refuse_bytes(nul, sizeof(nul) - 1, "t.xml:1: a NUL byte");
	refuse_bytes("<\0c\0>\0", 6, "a NUL byte");
	refuse_bytes("\xff\xfe<\0", 4, "a NUL byte");
	/* EBCDIC would begin so, and the parser reads it if it gets it */
	refuse_bytes("Lo\xa7\x94", 4, "it does not begin with '<'");
}

/* Whatever the library is asked to read, it opens nothing by itself. */
static void test_nothing_is_opened(void **state)
{
	static const char path[] = FIXTURES "/demo/tokens.xml";

	(void)state;
	assert_int_equal(access(path, R_OK), 0);
	assert_null(xmlReadFile(path, NULL, XML_PARSE_NOERROR | XML_PARSE_NOWARNING));
}

/* N opening tags, then N closing ones. */
static char *nested(unsigned n)
{
	struct buf text;

	buf_init(&text, 16u << 20);
	buf_puts(&text, ROOT);
	for (unsigned i = 0; i < n; i++)
		buf_puts(&text, "<a>");
	for (unsigned i = 0; i < n; i++)
		buf_puts(&text, "</a>");
	buf_puts(&text, "</config>");
	return (char *)buf_steal(&text, NULL);
}

static void test_depth(void **state)
{
	char *text = nested(LIMIT_XML_DEPTH - 1);
	struct document *doc = parse(text);
	struct buf path;
	xmlNode *node;

	(void)state;
	for (node = xml_root(doc); xml_first(node);)
		node = xml_first(node);
	buf_init(&path, 1u << 20);
	path_put(&path, node, NULL);
	path_put_canonical(&path, node, NULL);
	assert_false(path.failed);
	buf_clear(&path);
	document_free(doc);
	free(text);
	for (unsigned n = LIMIT_XML_DEPTH; n <= 1000000; n *= 7) {
		text = nested(n);
		refuse(text, "too many elements within each other");
		free(text);
	}
}

static char *repeat(const char *before, const char *part, size_t n, const char *after)
{
	struct buf text;

	buf_init(&text, 80u << 20);
	buf_puts(&text, before);
	for (size_t i = 0; i < n; i++)
		buf_puts(&text, part);
	buf_puts(&text, after);
	return (char *)buf_steal(&text, NULL);
}

static void test_bounds(void **state)
{
	char *text = repeat(ROOT "<a>", "0123456789abcdef", 1 << 20, "</a></config>");
	struct document *doc = parse(text); /* one value of 16 MB is well */

	(void)state;
	document_free(doc);
	free(text);
	text = repeat(ROOT "<a ", "x='1' ", 100, "/></config>");
	refuse(text, "t.xml:1: too many attributes");
	free(text);
	text = repeat(ROOT "<a ", "xmlns:x='1' ", 1000000, "/></config>");
	refuse(text, "t.xml:1: too many attributes");
	free(text);
	text = repeat(ROOT, "<a/>", 2100000, "</config>");
	refuse(text, "too many elements");
	free(text);
	text = repeat(ROOT "<a>", "<!---->x", 200000,
		      "</a></config>"); /* linear, or it takes minutes */
	doc = parse(text);
	assert_int_equal(strlen(xml_text(xml_first(xml_root(doc)))), 200000);
	document_free(doc);
	free(text);
	text = repeat("", " ", (64u << 20) + 1, "");
	refuse(text, "t.xml:1: over");
	free(text);
}

static void test_output_bound(void **state)
{
	struct document *doc = parse(ROOT "<a>0123456789</a></config>");
	struct err err = {.code = ERR_NONE};
	struct buf out;

	(void)state;
	buf_init(&out, 20);
	assert_int_equal(document_serialise(doc, &out, &err), -1);
	assert_int_equal(err.code, ERR_FULL);
	buf_clear(&out);
	document_free(doc);
}

static void test_bad_files(void **state)
{
	static const struct {
		const char *file, *want;
	} bad[] = {
		{"cdata.xml", ":2: CDATA is not allowed"},
		{"doctype.xml", ":1: a DOCTYPE is not allowed"},
		{"external.xml", ":1: a DOCTYPE is not allowed"},
		{"latin1.xml", ":1: the encoding must be UTF-8"},
		{"laughs.xml", ":1: a DOCTYPE is not allowed"},
		{"mixed.xml", ":2: text beside elements in <a>"},
		{"outside.xml", ":3: not well-formed"},
		{"root.xml", ":1: the root is <data>"},
		{"unclosed.xml", ":3: not well-formed"},
		{"utf8.xml", ":2: not well-formed"},
		{"xinclude.xml", ":2: XInclude is not allowed"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char *path = text_format("%s/bad/%s", FIXTURES, bad[i].file);
		struct err err = {.code = ERR_NONE};
		struct document *doc;
		struct buf data;

		buf_init(&data, 1u << 20);
		assert_int_equal(fs_read_follow(AT_FDCWD, path, &data, &err), 0);
		assert_int_equal(document_parse(bad[i].file, data.data, data.len, &doc, &err), -1);
		assert_int_equal(strncmp(err.text, bad[i].file, strlen(bad[i].file)), 0);
		assert_has(err.text, bad[i].want);
		buf_clear(&data);
		free(path);
	}
}

/* Each file of a folder: what is written of it is read again, as the same, and written the same. */
static size_t check_folder(const char *path)
{
	struct fileset set = {.files = NULL};
	size_t count = 0;

	read_folder(path, &set);
	for (size_t i = 0; i < set.count; i++) {
		struct document *doc, *again;
		char *first, *second;

		if (!text_ends(set.files[i].path, ".xml"))
			continue;
		doc = parse_as(set.files[i].path, (const char *)set.files[i].data);
		first = text_of(doc);
		again = parse(first);
		second = text_of(again);
		assert_string_equal(second, first);
		assert_int_equal(document_count(again), document_count(doc));
		document_free(doc);
		document_free(again);
		free(first);
		free(second);
		count++;
	}
	fileset_clear(&set);
	return count;
}

static void test_files(void **state)
{
	static const char *const corpus[] = {"cluster", "gitops", "kubernetes", "two-roles",
					     "whole"};

	(void)state;
	assert_int_equal(check_folder(FIXTURES "/demo"), 4);
	assert_int_equal(check_folder(FIXTURES "/shop"), 4);
	for (size_t i = 0; have_folder(CORPUS) && i < sizeof(corpus) / sizeof(corpus[0]); i++) {
		char *path = text_format("%s/%s", CORPUS, corpus[i]);

		assert_true(check_folder(path) > 0);
		free(path);
	}
}

/* Whatever is accepted has a stable form that is accepted again. */
static void try_bytes(const char *data, size_t len)
{
	struct err err = {.code = ERR_NONE};
	struct document *doc = NULL, *again;
	char *first, *second;

	if (document_parse("t.xml", data, len, &doc, &err)) {
		assert_null(strchr(err.text, '\n'));
		assert_int_equal(strncmp(err.text, "t.xml:", 6), 0);
		return;
	}
	first = text_of(doc);
	again = parse(first);
	second = text_of(again);
	assert_string_equal(first, second);
	assert_int_equal(document_count(doc), document_count(again));
	document_free(doc);
	document_free(again);
	free(first);
	free(second);
}

static void test_every_flip_and_cut(void **state)
{
	static const char text[] = "<?xml version='1.0' encoding='UTF-8'?>\n<!-- c -->" ROOT
				   "<p xmlns:as=\"urn:a\" tags='x &amp; y'><id>k\xc3\xa9&#13;</id>"
				   "<t>as:x<!-- in --></t><?pi data?><e/></p></config>\n";
	char copy[sizeof(text)];

	(void)state;
	for (size_t len = 0; len < sizeof(text); len++)
		try_bytes(text, len);
	for (size_t i = 0; i < sizeof(text) - 1; i++)
		for (int bit = 0; bit < 8; bit++) {
			memcpy(copy, text, sizeof(text));
			copy[i] = (char)(copy[i] ^ 1 << bit);
			try_bytes(copy, sizeof(text) - 1);
		}
	for (size_t i = 0; i < sizeof(text) - 1; i++) /* a piece lost */
		for (size_t n = 1; n < 6 && i + n < sizeof(text); n++) {
			memcpy(copy, text, i);
			memcpy(copy + i, text + i + n, sizeof(text) - 1 - i - n);
			try_bytes(copy, sizeof(text) - 1 - n);
		}
}

static void test_paths(void **state)
{
	struct document *doc = parse(
		ROOT "<profiles" BASE
		     "><profile><id>a/b]c\\d\n}</id><s xmlns=''><x>1</x></s></profile>"
		     "</profiles><environments" BASE "><environment><name>n</name></environment>"
		     "</environments></config>");
	struct model *model = model_default();
	xmlNode *profile = xml_first(xml_first(xml_root(doc)));
	xmlNode *environment = xml_first(xml_next(xml_first(xml_root(doc))));
	char *path;
	struct buf out;

	(void)state;
	path = path_text(xml_first(xml_next(xml_first(profile))), model);
	assert_string_equal(path, "/profiles/profile[a\\/b\\]c\\\\d?}]/s/x");
	free(path);
	path = path_text(environment, model);
	assert_string_equal(path, "/environments/environment");
	free(path);
	path = path_text(environment, NULL);
	assert_string_equal(path, "/environments/environment[n]");
	free(path);
	path = path_text(xml_root(doc), model);
	assert_string_equal(path, "/");
	free(path);
	buf_init(&out, 4096);
	path_put_canonical(&out, xml_next(xml_first(profile)), model);
	assert_string_equal(
		buf_text(&out),
		"/{https:\\/\\/curity.se\\/ns\\/conf\\/base}profiles"
		"/{https:\\/\\/curity.se\\/ns\\/conf\\/base}profile[a\\/b\\]c\\\\d\n\\}]/{}s");
	buf_clear(&out);
	model_free(model);
	document_free(doc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stable_form),
		cmocka_unit_test(test_comments_in_leafs),
		cmocka_unit_test(test_values_are_exact),
		cmocka_unit_test(test_namespaces),
		cmocka_unit_test(test_copy_and_count),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_refused_markup),
		cmocka_unit_test(test_refused_bytes),
		cmocka_unit_test(test_nothing_is_opened),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_output_bound),
		cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_every_flip_and_cut),
		cmocka_unit_test(test_paths),
	};

	config_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
