/* Templates: what they write, what they may not reach, and that none takes a node down. */
#include "config/render.h"

#include "config_fixture.h"

#include "core/child.h"
#include "core/limits.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#define XSL(body)                                                                                  \
	"<xsl:stylesheet version='1.0' xmlns:xsl='http://www.w3.org/1999/XSL/Transform'\n"         \
	" xmlns:c='http://tail-f.com/ns/config/1.0' xmlns:x='http://exslt.org/common'\n"           \
	" xmlns:saxon='http://icl.com/saxon' xmlns:xt='http://www.jclark.com/xt'\n"                \
	" extension-element-prefixes='x saxon xt'>\n"                                              \
	"<xsl:output method='text'/>\n" body "</xsl:stylesheet>"
#define ROOT_TEMPLATE(body) XSL("<xsl:template match='/'>" body "</xsl:template>\n")
#define NAME                "files/render.d/t.xsl"

static int run(const char *xsl, size_t max, struct buf *out, struct err *err)
{
	struct document *doc = parse(ROOT "<a><b>1</b><b>2 &lt; 3</b></a></config>");
	int rc;

	*err = (struct err){.code = ERR_NONE};
	buf_init(out, max);
	rc = render(doc, NAME, xsl, strlen(xsl), out, err);
	document_free(doc);
	return rc;
}

static void writes(const char *xsl, const char *want)
{
	struct err err;
	struct buf out;

	if (run(xsl, 1u << 20, &out, &err) != 0)
		fail_msg("%s", err.text);
	assert_string_equal(buf_text(&out), want);
	buf_clear(&out);
}

static void refused(const char *xsl, const char *want)
{
	struct err err;
	struct buf out;

	if (run(xsl, 1u << 20, &out, &err) == 0)
		fail_msg("wrote \"%s\", wanted: %s, of:\n%s", buf_text(&out), want, xsl);
	assert_int_equal(err.code, ERR_REFUSED);
	assert_null(strchr(err.text, '\n'));
	if (!strstr(err.text, want))
		fail_msg("\"%s\" has no \"%s\"", err.text, want);
	assert_true(text_starts(err.text, NAME ":"));
	assert_int_equal(out.len, 0);
	buf_clear(&out);
}

static void test_writes(void **state)
{
	(void)state;
	writes(ROOT_TEMPLATE(
		       "<xsl:for-each select='//c:b'>[<xsl:value-of select='.'/>]</xsl:for-each>"),
	       "[1][2 < 3]");
	writes(ROOT_TEMPLATE(""), "");
	/* a message is no error */
	writes(ROOT_TEMPLATE("<xsl:message>hello</xsl:message>x"), "x");
	/* CDATA is fine in a template */
	writes(ROOT_TEMPLATE("<![CDATA[<&>]]>"), "<&>");
	writes("<c:out xsl:version='1.0' xmlns:c='urn:o' "
	       "xmlns:xsl='http://www.w3.org/1999/XSL/Transform'/>",
	       "<?xml version=\"1.0\"?>\n<c:out xmlns:c=\"urn:o\"/>\n");
}

static void test_wrong(void **state)
{
	(void)state;
	refused("", NAME ":1: not well-formed");
	refused("<a>\n<b></a>", NAME ":2: ");
	refused("<a/>", NAME ":1: ");
	refused(ROOT_TEMPLATE("\n<xsl:value-of select='('/>"), NAME ":7: ");
	refused(ROOT_TEMPLATE("\n\n<xsl:value-of select='$nothing'/>"), NAME ":8: ");
	refused(ROOT_TEMPLATE("<xsl:call-template name='nothing'/>"), NAME ":6: ");
	refused(ROOT_TEMPLATE("<xsl:nothing/>"), NAME ":");
	refused(ROOT_TEMPLATE("<xsl:message terminate='yes'>not like this</xsl:message>"),
		"not like this");
	refused(ROOT_TEMPLATE("<xsl:value-of select='nothing()'/>"), NAME ":6: ");
	refused("<!DOCTYPE x [<!ENTITY e 'x'>]>" ROOT_TEMPLATE("&e;"), "DOCTYPE");
	refused("<!DOCTYPE x SYSTEM '/etc/passwd'>" ROOT_TEMPLATE(""), "DOCTYPE");
}

/* No file is read, whatever way is tried. */
static void test_reads_nothing(void **state)
{
	char folder[] = "/tmp/muster-test.XXXXXX";
	char *path, *text;
	struct err err;

	(void)state;
	assert_non_null(mkdtemp(folder));
	path = text_format("%s/x.xml", folder);
	assert_int_equal(fs_write_new(AT_FDCWD, path, "<x>secret</x>", 13, 0600, &err), 0);
	text = text_format(ROOT_TEMPLATE("<xsl:copy-of select=\"document('%s')\"/>"), path);
	refused(text, NAME ":6: document: a template reads no other document");
	free(text);
	text = text_format(ROOT_TEMPLATE("<xsl:copy-of select=\"document('file://%s')/x\"/>"),
			   path);
	refused(text, NAME ":6: document: a template reads no other document");
	free(text);
	refused(ROOT_TEMPLATE("<xsl:copy-of select=\"document('')\"/>"), NAME ":6: ");
	refused(ROOT_TEMPLATE("<xsl:copy-of select=\"document('http://127.0.0.1:1/')\"/>"),
		NAME ":6: document: ");
	text = text_format(XSL("<xsl:import href='%s'/>"), path);
	refused(text, NAME ":");
	free(text);
	text = text_format(XSL("<xsl:include href='%s'/>"), path);
	refused(text, NAME ":");
	free(text);
	assert_int_equal(fs_remove_tree(AT_FDCWD, folder, &err), 0);
	free(path);
}

/* And none written. */
static void test_writes_nothing(void **state)
{
	static const char *const elements[] = {
		"<xsl:document href='%s'>x</xsl:document>",
		"<x:document href='%s'>x</x:document>",
		"<saxon:output file='%s'>x</saxon:output>",
		"<xt:document href='%s'>x</xt:document>",
	};
	char folder[] = "/tmp/muster-test.XXXXXX";
	char *path;
	struct err err;

	(void)state;
	assert_non_null(mkdtemp(folder));
	path = text_format("%s/x.xml", folder);
	for (size_t i = 0; i < sizeof(elements) / sizeof(elements[0]); i++) {
		char *body = text_format("%s%s%s", "BEGIN", elements[i], "END");
		const char *before = ROOT_TEMPLATE("@");
		const char *at = strchr(before, '@');
		char *element = NULL, *text, *hole = strstr(body, "%s");
		struct buf out;

		element = text_format("%.*s%s%s", (int)(hole - body), body, path, hole + 2);
		text = text_format("%.*s%s%s", (int)(at - before), before, element, at + 1);
		assert_int_equal(run(text, 1u << 20, &out, &err), -1);
		assert_int_equal(err.code, ERR_REFUSED);
		buf_clear(&out);
		assert_int_equal(access(path, F_OK), -1);
		free(text);
		free(element);
		free(body);
	}
	assert_int_equal(fs_remove_tree(AT_FDCWD, folder, &err), 0);
	free(path);
}

static void test_bounded(void **state)
{
	struct err err;
	struct buf out;
	char *large;

	(void)state;
	/* calls itself for ever */
	refused(XSL("<xsl:template match='/' name='t'><xsl:call-template "
		    "name='t'/></xsl:template>"),
		NAME ":");
	/* writes too much */
	assert_int_equal(run(ROOT_TEMPLATE("0123456789"), 9, &out, &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	assert_has(err.text, "over 9 bytes");
	buf_clear(&out);
	large = mem_new(1, LIMIT_SMALL_FILE + 2);
	memset(large, ' ', LIMIT_SMALL_FILE + 1);
	refused(large, "over 1048576 bytes");
	free(large);
#if !defined(__SANITIZE_ADDRESS__)
	/* a text that doubles: the sanitizer's allocator would tell of it on its own */
	refused(XSL("<xsl:template match='/'><xsl:call-template name='t'>"
		    "<xsl:with-param name='s' "
		    "select=\"'0123456789abcdef'\"/></xsl:call-template></xsl:template>"
		    "<xsl:template name='t'><xsl:param name='s'/><xsl:param name='n' select='40'/>"
		    "<xsl:if test='$n > 0'><xsl:call-template name='t'>"
		    "<xsl:with-param name='s' select='concat($s,$s)'/><xsl:with-param name='n' "
		    "select='$n - 1'/>"
		    "</xsl:call-template></xsl:if></xsl:template>"),
		NAME ":");
#endif
}

/* --- the child itself --- */

static int spin(void *arg, struct buf *out, struct err *err)
{
	(void)arg;
	(void)err;
	for (volatile unsigned i = 0;; i++)
		if (out->failed)
			return 0;
}

static int die(void *arg, struct buf *out, struct err *err)
{
	(void)out;
	(void)err;
	(void)raise(*(int *)arg);
	return 0;
}

static int reach_out(void *arg, struct buf *out, struct err *err)
{
	(void)arg;
	if (open("/dev/null", O_RDONLY) >= 0 || fcntl(0, F_GETFD) >= 0 || fcntl(2, F_GETFD) >= 0)
		return err_set(err, ERR_DENIED, "opened");
	buf_puts(out, "shut in");
	return 0;
}

static int complain(void *arg, struct buf *out, struct err *err)
{
	(void)arg;
	buf_puts(out, "half");
	return err_set(err, ERR_CORRUPT, "of itself");
}

static void test_child(void **state)
{
	const struct child_limits limits = {.seconds = 1, .memory = 64u << 20};
	struct err err = {.code = ERR_NONE};
	struct buf out;
	int number;

	(void)state;
	buf_init(&out, 100);
	assert_int_equal(child_run(reach_out, NULL, &limits, &out, &err), 0);
	assert_string_equal(buf_text(&out), "shut in");
	buf_reset(&out);
	assert_int_equal(child_run(spin, NULL, &limits, &out, &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	assert_string_equal(err.text, "took over 1 seconds");
	number = SIGSEGV;
	assert_int_equal(child_run(die, &number, &limits, &out, &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	number = SIGTERM;
	assert_int_equal(child_run(die, &number, &limits, &out, &err), -1);
	assert_int_equal(child_run(complain, NULL, &limits, &out, &err), -1);
	assert_int_equal(err.code, ERR_CORRUPT);
	assert_string_equal(err.text, "of itself");
	assert_int_equal(out.len, 0);
	buf_clear(&out);
}

static atomic_bool busy;

static void allocate(size_t times)
{
	void *volatile parts[64];

	for (size_t n = 0; n < times; n++) {
		for (size_t i = 0; i < 64; i++)
			parts[i] = malloc(16 + i * 50);
		for (size_t i = 0; i < 64; i++)
			free(parts[i]);
	}
}

static void *allocate_on(void *arg)
{
	(void)arg;
	while (atomic_load(&busy))
		allocate(1);
	return NULL;
}

static int allocate_too(void *arg, struct buf *out, struct err *err)
{
	(void)arg;
	(void)err;
	allocate(30);
	buf_puts(out, "x");
	return 0;
}

/* The daemon has worker threads: what they hold when the child is made must not hold that up. */
static void test_child_beside_threads(void **state)
{
	const struct child_limits limits = {.seconds = 10, .memory = 64u << 20};
	struct err err = {.code = ERR_NONE};
	pthread_t threads[3];
	struct buf out;

	(void)state;
	buf_init(&out, 100);
	atomic_store(&busy, true);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, allocate_on, NULL), 0);
	for (int i = 0; i < 60; i++) {
		if (child_run(allocate_too, NULL, &limits, &out, &err) != 0)
			fail_msg("%s", err.text);
		assert_string_equal(buf_text(&out), "x");
		buf_reset(&out);
	}
	atomic_store(&busy, false);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	buf_clear(&out);
}

/* --- a look before anything runs --- */

/* The first finding for TEMPLATE at PATH; WANT NULL: none. */
static void looked_at(const char *path, const char *xsl, const char *want)
{
	struct fileset files = {.files = NULL};
	struct findings findings = {.lines = NULL};
	struct err err = {.code = ERR_NONE};

	assert_int_equal(fileset_add(&files, path, FILE_PLAIN, xsl, strlen(xsl), &err), 0);
	if (render_check(&files, &findings, &err) != (want ? -1 : 0))
		fail_msg("%s, wanted: %s, of:\n%s", findings.count ? findings.lines[0] : err.text,
			 want ? want : "nothing", xsl);
	assert_int_equal(err.code, ERR_NONE);
	assert_int_equal(findings.count, want ? 1 : 0);
	if (want && !text_starts(findings.lines[0], want))
		fail_msg("\"%s\" does not begin with \"%s\"", findings.lines[0], want);
	findings_clear(&findings);
	fileset_clear(&files);
}

#define AT "files/common/render.d/t.xsl"

static void test_check(void **state)
{
	(void)state;
	looked_at(AT, ROOT_TEMPLATE("x"), NULL);
	/* what only a run shows is left to the node: there is no value of a parameter here */
	looked_at(AT, ROOT_TEMPLATE("<xsl:message terminate='yes'>no</xsl:message>"), NULL);
	looked_at("files/internal/render.d/t.xsl", "<a>\n<b></a>",
		  "files/internal/render.d/t.xsl:2: ");
	looked_at(AT, "<a/>", AT ":1: ");
	looked_at(AT, "<!DOCTYPE x>" ROOT_TEMPLATE("x"), AT ":1: a DOCTYPE");
	looked_at(AT, ROOT_TEMPLATE("\n<xsl:value-of select='('/>"), AT ":7: ");
	looked_at(AT, ROOT_TEMPLATE("<xsl:nothing/>"), AT ":");
	looked_at(AT, XSL("<xsl:import href='other.xsl'/>"), AT ":");
	looked_at(AT, XSL("<xsl:include href='other.xsl'/>"), AT ":");
	looked_at("files/common/render.d/config.xml.xsl", ROOT_TEMPLATE("x"),
		  "files/common/render.d/config.xml.xsl:1: would write over config.xml");
	looked_at("files/common/render.d/files.xsl", ROOT_TEMPLATE("x"),
		  "files/common/render.d/files.xsl:1: would write over files");
	/* no templates: not looked at */
	looked_at("files/common/t.xsl", "<a", NULL);
	looked_at("files/common/render.d/t.xml", "<a", NULL);
	looked_at("files/common/render.d/more/t.xsl", "<a", NULL);
	looked_at("files/common/render.d/.xsl", "<a", NULL);
	looked_at("schema/render.d/t.xsl", "<a", NULL);
}

static void test_check_calls(void **state)
{
	(void)state;
	looked_at(AT, ROOT_TEMPLATE("\n<xsl:value-of select='1'/>\n<xsl:value-of "
				    "select=\"document('a.xml')\"/>"),
		  AT ":8: document: ");
	looked_at(AT, ROOT_TEMPLATE("<xsl:if test='false()'><xsl:copy-of "
				    "select='1 + document (\"\")'/></xsl:if>"),
		  AT ":6: document: ");
	looked_at(AT, ROOT_TEMPLATE("<a b='{{x}} {document(\"u\")/x}'/>"), AT ":6: document: ");
	looked_at(AT, ROOT_TEMPLATE("<a b='{document(\"u\")'/>"), AT ":6: ");
	looked_at(AT, XSL("<xsl:key name='k' match='a' use='document(.)'/>"), AT ":6: document: ");
	looked_at(AT, XSL("<xsl:variable name='v' select='document(.)'/>"), AT ":6: document: ");
	looked_at(AT, ROOT_TEMPLATE("<xsl:value-of select='nothing()'/>"), AT ":6: nothing: ");
	looked_at(AT, ROOT_TEMPLATE("<xsl:value-of select='saxon:evaluate(1)'/>"),
		  AT ":6: saxon:evaluate: ");
	looked_at(AT, ROOT_TEMPLATE("<xsl:value-of select='x:node-set(.)'/>"),
		  AT ":6: x:node-set: ");
	looked_at(AT, ROOT_TEMPLATE("<xsl:value-of select='unbound:f(1)'/>"), AT ":6: unbound:f: ");
	/* what looks like it, and is none */
	looked_at(AT, ROOT_TEMPLATE("<xsl:value-of select=\"'document(1)'\"/>"), NULL);
	looked_at(AT, ROOT_TEMPLATE("<a b='document(1) {{document(1)}} {\"document(1)\"}'/>"),
		  NULL);
	looked_at(AT, ROOT_TEMPLATE("document(1)<!-- document(1) -->"), NULL);
	looked_at(AT, ROOT_TEMPLATE("<xsl:value-of select='document | my-document[(1)]'/>"), NULL);
	looked_at(AT, ROOT_TEMPLATE("<xsl:if test='(1 = 1) and (2 div (3)) or self::node()'>"
				    "<xsl:value-of select='//text() | //comment() | "
				    "child::processing-instruction()'/></xsl:if>"),
		  NULL);
	/* all that XPath and XSLT have */
	looked_at(AT,
		  ROOT_TEMPLATE("<xsl:value-of select='concat(name(.), string-length(.), "
				"generate-id(), current(), format-number(1, \"0\"), "
				"system-property(\"a\"), normalize-space(.), position(), last(), "
				"translate(., \"a\", \"b\"), key(\"k\", 1), sum(//c:b), "
				"count(.))'/>"),
		  NULL);
}

static void test_check_extensions(void **state)
{
	(void)state;
	looked_at(AT, ROOT_TEMPLATE("\n<xsl:document href='a'>x</xsl:document>"),
		  AT ":7: document: ");
	looked_at(AT, ROOT_TEMPLATE("<x:document href='a'>x</x:document>"), AT ":6: document: ");
	looked_at(AT, ROOT_TEMPLATE("<xt:document href='a'>x</xt:document>"), AT ":6: document: ");
	looked_at(AT, ROOT_TEMPLATE("<saxon:output file='a'>x</saxon:output>"), AT ":6: output: ");
	looked_at(AT, ROOT_TEMPLATE("<x:what-is-not-known/>"), AT ":6: what-is-not-known: ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_writes),        cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_reads_nothing), cmocka_unit_test(test_writes_nothing),
		cmocka_unit_test(test_bounded),       cmocka_unit_test(test_child),
		cmocka_unit_test(test_child_beside_threads),
		cmocka_unit_test(test_check),         cmocka_unit_test(test_check_calls),
		cmocka_unit_test(test_check_extensions),
	};

	config_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
