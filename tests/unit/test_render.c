/* Templates: what they write, what they may not reach, and that none takes a node down. */
#include "config/render.h"

#include "config_fixture.h"

#include "core/child.h"
#include "core/limits.h"

#include <signal.h>

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
	refused(text, "rights");
	free(text);
	text = text_format(ROOT_TEMPLATE("<xsl:copy-of select=\"document('file://%s')/x\"/>"),
			   path);
	refused(text, "rights");
	free(text);
	refused(ROOT_TEMPLATE("<xsl:copy-of select=\"document('')\"/>"), NAME ":6: ");
	refused(ROOT_TEMPLATE("<xsl:copy-of select=\"document('http://127.0.0.1:1/')\"/>"),
		"rights");
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
		/* refused, or not known and without effect */
		if (run(text, 1u << 20, &out, &err) != 0)
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_writes),        cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_reads_nothing), cmocka_unit_test(test_writes_nothing),
		cmocka_unit_test(test_bounded),       cmocka_unit_test(test_child),
	};

	config_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
