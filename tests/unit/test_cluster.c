/* The cluster element: read, written, printed. */
#include "config/cluster.h"

#include "config_fixture.h"

#define CLUSTER(x)                                                                                 \
	ROOT "<environments" BASE "><environment><cluster>" x                                      \
	     "</cluster></environment></environments></config>"

static void test_read(void **state)
{
	struct cluster cluster;
	struct err err = {.code = ERR_NONE};
	struct document *doc =
		parse(CLUSTER("<keystore>\n  muster-cluster:1:x \n</keystore><host>a.b</host>"
			      "<port>1</port><admin-listening-host>::1"
			      "</admin-listening-host><other/>"));

	(void)state;
	assert_int_equal(cluster_read(doc, &cluster, &err), 0);
	assert_string_equal(cluster.host, "a.b");
	assert_int_equal(cluster.port, 1);
	assert_string_equal(cluster.listen_host, "::1");
	assert_string_equal(cluster.keystore, "muster-cluster:1:x");
	cluster_clear(&cluster);
	document_free(doc);
	doc = parse(CLUSTER("<host>h</host><keystore>muster:1:00000000:AAAA</keystore>"));
	assert_int_equal(cluster_read(doc, &cluster, &err), 0);
	assert_int_equal(cluster.port, CLUSTER_PORT);
	assert_null(cluster.listen_host);
	assert_null(cluster.keystore);
	cluster_clear(&cluster);
	document_free(doc);
	doc = parse(CLUSTER("<host>h</host><keystore> \n</keystore>"));
	assert_int_equal(cluster_read(doc, &cluster, &err), 0);
	assert_null(cluster.keystore);
	cluster_clear(&cluster);
	document_free(doc);
}

static void refuse_read(const char *text, const char *want)
{
	struct cluster cluster = {.host = NULL};
	struct err err = {.code = ERR_NONE};
	struct document *doc = parse(text);

	assert_int_equal(cluster_read(doc, &cluster, &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	assert_has(err.text, "t.xml:1: /environments/environment/cluster");
	assert_has(err.text, want);
	assert_null(cluster.host);
	document_free(doc);
}

static void test_refused(void **state)
{
	struct cluster cluster;
	struct err err = {.code = ERR_NONE};
	struct document *doc = parse(ROOT "<environments><environment/></environments></config>");
	char *text;

	(void)state;
	assert_int_equal(cluster_read(doc, &cluster, &err), -1);
	assert_int_equal(err.code, ERR_GONE);
	document_free(doc);
	refuse_read(CLUSTER(""), ": no host");
	refuse_read(CLUSTER("<host/>"), "/host: the host is empty");
	refuse_read(CLUSTER("<host> </host>"), "the host is empty");
	refuse_read(CLUSTER("<host>a b</host>"), "blanks or control characters");
	refuse_read(CLUSTER("<host>a\n</host>"), "blanks or control characters");
	refuse_read(CLUSTER("<host>a&#127;</host>"), "blanks or control characters");
	refuse_read(CLUSTER("<host>#{HOST}</host>"), "no parameter");
	refuse_read(CLUSTER("<host>a</host><host>a</host>"),
		    "/host: this stands for the second time");
	refuse_read(CLUSTER("<host><a/></host>"), "/host: elements where a value belongs");
	refuse_read(CLUSTER("<host>h</host><port/>"),
		    "/port: the port is no number from 1 to 65535");
	refuse_read(CLUSTER("<host>h</host><port>0</port>"), "the port");
	refuse_read(CLUSTER("<host>h</host><port>65536</port>"), "the port");
	refuse_read(CLUSTER("<host>h</host><port>-1</port>"), "the port");
	refuse_read(CLUSTER("<host>h</host><port>1 </port>"), "the port");
	refuse_read(CLUSTER("<host>h</host><port>x</port>"), "the port");
	refuse_read(CLUSTER("<host>h</host><port>99999999999999999999999</port>"), "the port");
	refuse_read(CLUSTER("<host>h</host><admin-listening-host>a b</admin-listening-host>"),
		    "/admin-listening-host: blanks");
	refuse_read(CLUSTER("<host>h</host><keystore><a/></keystore>"), "/keystore: elements");
	refuse_read(ROOT
		    "<environments" BASE "><environment><cluster><host>a</host></cluster>"
		    "</environment><environment><cluster><host>a</host></cluster></environment>"
		    "</environments></config>",
		    "a second cluster element");
	text = text_format(CLUSTER("<host>%0300d</host>"), 1);
	refuse_read(text, "the host is too long");
	free(text);
}

static void check_write(const char *before, const struct cluster *cluster, const char *after)
{
	struct document *doc = parse(before);
	struct err err = {.code = ERR_NONE};

	if (cluster_write(doc, cluster, &err))
		fail_msg("%s", err.text);
	assert_document(doc, after);
	document_free(doc);
}

static void test_write(void **state)
{
	struct cluster one = {.host = BORROW("h"), .port = 7, .keystore = BORROW("k&<")};
	struct cluster two = {.host = BORROW("h"), .port = 7, .listen_host = BORROW("::")};

	(void)state;
	check_write(ROOT "</config>", &one,
		    CLUSTER("<keystore>k&amp;&lt;</keystore><host>h</host><port>7</port>"));
	check_write(ROOT "<environments" BASE "/></config>", &two,
		    CLUSTER("<host>h</host><port>7</port><admin-listening-host>::</"
			    "admin-listening-host>"));
	/* where the old one was, with nothing of it left */
	check_write(
		ROOT "<environments" BASE "><environment><a/><cluster x='1'><host>old</host><y/>"
		     "</cluster><b/></environment></environments></config>",
		&one,
		ROOT
		"<environments" BASE "><environment><a/><cluster><keystore>k&amp;&lt;</keystore>"
		"<host>h</host><port>7</port></cluster><b/></environment></environments></config>");
	/* at the end, where there was none; in the namespace that it must have */
	check_write(ROOT "<environments" BASE
			 "><environment><a/></environment></environments><p/></config>",
		    &two,
		    ROOT "<environments" BASE
			 "><environment><a/><cluster><host>h</host><port>7</port>"
			 "<admin-listening-host>::</admin-listening-host></cluster></environment>"
			 "</environments><p/></config>");
	check_write(ROOT "<b:environments xmlns:b='https://curity.se/ns/conf/base'><b:environment/>"
			 "</b:environments></config>",
		    &two,
		    ROOT
		    "<b:environments xmlns:b='https://curity.se/ns/conf/base'><b:environment>"
		    "<cluster" BASE "><host>h</host><port>7</port><admin-listening-host>::"
		    "</admin-listening-host></cluster></b:environment></b:environments></config>");
}

static void test_write_refused(void **state)
{
	static const struct cluster bad[] = {
		{.host = NULL, .port = 1},
		{.host = BORROW(""), .port = 1},
		{.host = BORROW("a b"), .port = 1},
		{.host = BORROW("a"), .port = 0},
	};
	struct document *doc = parse(ROOT "</config>");

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err err = {.code = ERR_NONE};

		assert_int_equal(cluster_write(doc, &bad[i], &err), -1);
		assert_int_equal(err.code, ERR_REFUSED);
	}
	assert_document(doc, ROOT "</config>");
	document_free(doc);
}

static void test_format(void **state)
{
	struct cluster cluster = {.host = BORROW("admin.example.com"),
				  .port = 6789,
				  .keystore = BORROW("muster-cluster:1:x")};
	struct cluster again;
	struct err err = {.code = ERR_NONE};
	struct document *doc;
	struct buf out;

	(void)state;
	buf_init(&out, 4096);
	cluster_format(&cluster, &out);
	assert_string_equal(buf_text(&out),
			    "<config xmlns=\"http://tail-f.com/ns/config/1.0\">\n"
			    "  <environments xmlns=\"https://curity.se/ns/conf/base\">\n"
			    "    <environment>\n"
			    "      <cluster>\n"
			    "        <keystore>muster-cluster:1:x</keystore>\n"
			    "        <host>admin.example.com</host>\n"
			    "        <port>6789</port>\n"
			    "      </cluster>\n"
			    "    </environment>\n"
			    "  </environments>\n"
			    "</config>\n");
	doc = parse(buf_text(&out));
	assert_int_equal(cluster_read(doc, &again, &err), 0);
	assert_string_equal(again.keystore, cluster.keystore);
	cluster_clear(&again);
	document_free(doc);
	buf_clear(&out);
	buf_init(&out, 10);
	cluster_format(&cluster, &out);
	assert_true(out.failed);
	buf_clear(&out);
}

static void test_corpus(void **state)
{
	struct cluster cluster;
	struct err err = {.code = ERR_NONE};
	struct document *doc;
	struct model *model;

	(void)state;
	if (!have_folder(CORPUS)) {
		print_message("no ../shared/corpus: skipped\n");
		skip();
	}
	doc = merge_file(CORPUS "/cluster/cluster-config.xml", &model);
	assert_int_equal(cluster_read(doc, &cluster, &err), 0);
	assert_string_equal(cluster.host, "idsvr-admin");
	assert_int_equal(cluster.port, 6789);
	assert_int_equal(strncmp(cluster.keystore, "v:S.", 4), 0);
	cluster_clear(&cluster);
	document_free(doc);
	model_free(model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),   cmocka_unit_test(test_refused),
		cmocka_unit_test(test_write),  cmocka_unit_test(test_write_refused),
		cmocka_unit_test(test_format), cmocka_unit_test(test_corpus),
	};

	config_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
