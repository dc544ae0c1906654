/* The plain copy: where it lies, what is in it, who may read it, and that it is whole or not there.
 */
#include "admin_home.h"

#include "config/merge.h"
#include "core/fileset.h"
#include "core/limits.h"
#include "node/plain.h"
#include "node/steps.h"

#include <grp.h>
#include <limits.h>

#define CONFIG                                                                                     \
	"<config xmlns=\"http://tail-f.com/ns/config/1.0\">\n"                                     \
	"  <a><host>#{HOST | localhost}</host><password>#{PW}</password></a></config>\n"
#define TEMPLATE                                                                                   \
	"<xsl:stylesheet version='1.0' xmlns:xsl='http://www.w3.org/1999/XSL/Transform'"           \
	" xmlns:c='http://tail-f.com/ns/config/1.0'><xsl:output method='text'/>"                   \
	"<xsl:template match='/'>host <xsl:value-of select='//c:host'/></xsl:template>"            \
	"</xsl:stylesheet>"

static void add(struct fileset *set, const char *path, uint32_t mode, const char *text)
{
	struct err err;

	if (fileset_add(set, path, mode, text, strlen(text), &err) != 0)
		fail_msg("%s", err.text);
}

static struct fileset slice_files(const char *config)
{
	struct fileset set = {.count = 0};

	add(&set, "config.xml", FILE_PLAIN, config);
	add(&set, "files/a/run", FILE_EXEC, "#!/bin/sh\n");
	add(&set, "files/render.d/service.conf.xsl", FILE_PLAIN, TEMPLATE);
	add(&set, "schema/unused", FILE_PLAIN, "x");
	return set;
}

static struct plain plain_of(const struct fixture *f, const char *group)
{
	struct err err;
	struct plain plain;

	if (plain_init(&plain, &f->home, "default", group, &err) != 0)
		fail_msg("%s", err.text);
	return plain;
}

static char *prepare(const struct plain *plain, const struct fileset *set, bool want_current)
{
	struct err err;
	char *path = NULL;
	bool is_current = !want_current;

	if (plain_prepare(plain, set, &path, &is_current, NULL, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(is_current, want_current);
	return path;
}

static void publish(const struct plain *plain, const char *path)
{
	struct err err;

	if (plain_publish(plain, path, &err) != 0)
		fail_msg("%s", err.text);
}

static void refuse(const struct plain *plain, const struct fileset *set, const char *want)
{
	struct err err = {.code = ERR_NONE};
	char *path = NULL;
	bool is_current;

	if (plain_prepare(plain, set, &path, &is_current, NULL, &err) == 0)
		fail_msg("made, not refused with: %s", want);
	assert_int_equal(err.code, ERR_REFUSED);
	if (!strstr(err.text, want))
		fail_msg("\"%s\" has no \"%s\"", err.text, want);
}

static char *link_of(const struct fixture *f, const char *name)
{
	char target[PATH_MAX];

	if (fs_read_link(f->home.run_fd, name, target, sizeof(target), NULL) != 0)
		return NULL;
	return text_copy(target);
}

/* What a node keeps on a memory file system outlives its home: not a test's. */
static void forget(struct fixture *f)
{
	char *base = link_of(f, "plain");
	struct err err;

	if (base && text_starts(base, PLAIN_MEMORY "/muster-"))
		(void)fs_remove_tree(AT_FDCWD, base, &err);
	free(base);
	fixture_free(f);
}

static size_t copies_of(const struct fixture *f)
{
	char *folder = text_format("%s/plain", f->home.run);
	char out[OUTPUT_MAX];
	size_t count = 0;

	must_run(folder, out, "ls -A");
	for (const char *at = out; (at = strchr(at, '\n')); at++)
		count++;
	free(folder);
	return count;
}

static mode_t mode_of(const char *folder, const char *path, gid_t *group)
{
	char *full = text_format("%s/%s", folder, path);
	struct stat st;

	assert_int_equal(stat(full, &st), 0);
	free(full);
	if (group)
		*group = st.st_gid;
	return st.st_mode & 07777;
}

static void test_content(void **unused)
{
	struct fixture *f = fixture_new();
	struct plain plain = plain_of(f, NULL);
	struct fileset set = slice_files(CONFIG);
	char *path, *current, *text;
	int fd;

	(void)unused;
	write_text(f->home.etc, "params", "# ours\nPW=hunter2\n");
	path = prepare(&plain, &set, false);
	assert_null(link_of(f, "current"));
	publish(&plain, path);
	current = link_of(f, "current");
	assert_string_equal(current, path);
	text = read_text(current, "config.xml");
	assert_string_equal(
		text,
		"<config xmlns=\"http://tail-f.com/ns/config/1.0\">\n"
		"  <a>\n    <host>localhost</host>\n    <password>hunter2</password>\n  </a>\n"
		"</config>\n");
	free(text);
	text = read_text(current, "service.conf");
	assert_string_equal(text, "host localhost");
	free(text);
	text = read_text(current, "files/a/run");
	assert_string_equal(text, "#!/bin/sh\n");
	free(text);
	assert_int_equal(mode_of(current, ".", NULL), 0700);
	assert_int_equal(mode_of(current, "..", NULL), 0700);
	assert_int_equal(mode_of(current, "files/a", NULL), 0700);
	assert_int_equal(mode_of(current, "files/a/run", NULL), 0700);
	assert_int_equal(mode_of(current, "config.xml", NULL), 0600);
	text = text_format("%s/schema", current);
	assert_int_equal(access(text, F_OK), -1);
	free(text);
	fd = open(current, O_RDONLY | O_DIRECTORY);
	assert_true(fs_is_memory(fd));
	(void)close(fd);
	free(path);
	/* the same again is the one that is there */
	path = prepare(&plain, &set, true);
	assert_string_equal(path, current);
	assert_int_equal(copies_of(f), 1);
	free(path);
	free(current);
	fileset_clear(&set);
	forget(f);
}

/* What is opened is what it is, also where it reads like a parameter that has a value. */
static void test_opened_is_no_parameter(void **unused)
{
	static const char key[] =
		"0707070707070707070707070707070707070707070707070707070707070707";
	struct fixture *f = fixture_new();
	struct plain plain = plain_of(f, NULL);
	struct keyring *ring = NULL;
	struct fileset set;
	char *config, *path, *text;
	struct buf sealed;
	struct err err;

	(void)unused;
	write_text(f->home.etc, "params", "PW=hunter2\n");
	write_text(f->home.etc, "secret", key);
	must_run(f->folder, NULL, "chmod 600 etc/secret");
	buf_init(&sealed, 4096);
	assert_int_equal(keyring_load(&f->home, &ring, &err), 0);
	assert_int_equal(keyring_seal(ring, SCOPE_ROLE "default",
				      "/{http:\\/\\/tail-f.com\\/ns\\/config\\/1.0}password",
				      "#{PW}", 5, &sealed, &err),
			 0);
	config = text_format("<config xmlns=\"http://tail-f.com/ns/config/1.0\">"
			     "<password>%s</password></config>",
			     buf_text(&sealed));
	set = slice_files(config);
	path = prepare(&plain, &set, false);
	publish(&plain, path);
	text = read_text(path, "config.xml");
	assert_non_null(strstr(text, "<password>#{PW}</password>"));
	assert_null(strstr(text, "hunter2"));
	free(text);
	free(path);
	free(config);
	fileset_clear(&set);
	buf_clear(&sealed);
	keyring_free(ring);
	forget(f);
}

/* A candidate is there beside the one in use; the old one goes when it is told to. */
static void test_change(void **unused)
{
	struct fixture *f = fixture_new();
	struct plain plain = plain_of(f, NULL);
	struct fileset set = slice_files(CONFIG);
	char *first, *second, *again, *current;

	(void)unused;
	write_text(f->home.etc, "params", "PW=one\n");
	first = prepare(&plain, &set, false);
	publish(&plain, first);
	write_text(f->home.etc, "params", "PW=two\n");
	second = prepare(&plain, &set, false);
	assert_string_not_equal(first, second);
	current = link_of(f, "current");
	assert_string_equal(current, first);
	free(current);
	/* one that was made before is taken again */
	again = prepare(&plain, &set, false);
	assert_string_equal(again, second);
	assert_int_equal(copies_of(f), 2);
	publish(&plain, second);
	plain_clean(&plain);
	assert_int_equal(copies_of(f), 1);
	assert_int_equal(access(first, F_OK), -1);
	assert_int_equal(access(second, F_OK), 0);
	free(again);
	/* what a kill left is not taken for one, and goes */
	again = text_format("%s.tmp", second);
	assert_int_equal(rename(second, again), 0);
	free(second);
	second = prepare(&plain, &set, false);
	publish(&plain, second);
	plain_clean(&plain);
	assert_int_equal(copies_of(f), 1);
	assert_int_equal(access(again, F_OK), -1);
	free(again);
	free(first);
	free(second);
	fileset_clear(&set);
	forget(f);
}

/* What someone changed in it is not it. */
static void test_damaged(void **unused)
{
	struct fixture *f = fixture_new();
	struct plain plain = plain_of(f, NULL);
	struct fileset set = slice_files(CONFIG);
	char *first, *second;

	(void)unused;
	write_text(f->home.etc, "params", "PW=one\n");
	first = prepare(&plain, &set, false);
	publish(&plain, first);
	write_text(first, "config.xml", "<config/>");
	second = prepare(&plain, &set, false);
	assert_string_not_equal(first, second);
	publish(&plain, second);
	plain_clean(&plain);
	free(second);
	free(first);
	/* after a reboot there is nothing where run/plain and run/current lead to */
	first = link_of(f, "plain");
	if (first) {
		struct err err;

		assert_int_equal(fs_remove_tree(AT_FDCWD, first, &err), 0);
		second = prepare(&plain, &set, false);
		assert_false(text_starts(second, first));
		publish(&plain, second);
		free(second);
		free(first);
		first = link_of(f, "plain");
		/* nor is a folder taken that others may write to, or that is somewhere else */
		assert_int_equal(chmod(first, 0777), 0);
		second = prepare(&plain, &set, false);
		assert_false(text_starts(second, first));
		assert_int_equal(fs_remove_tree(AT_FDCWD, first, &err), 0);
		free(second);
		free(first);
		first = link_of(f, "plain");
		assert_int_equal(fs_remove_tree(AT_FDCWD, first, &err), 0);
		assert_int_equal(
			fs_swap_link(f->home.run_fd, "plain", "/dev/shm/muster-x/../y", &err), 0);
		second = prepare(&plain, &set, false);
		assert_null(strstr(second, "/../"));
		free(second);
	}
	free(first);
	/* something else in the link's place */
	(void)unlinkat(f->home.run_fd, "current", 0); /* a link to what is gone */
	write_text(f->home.run, "current/x", "y");
	second = prepare(&plain, &set, false);
	publish(&plain, second);
	first = link_of(f, "current");
	assert_string_equal(first, second);
	free(first);
	free(second);
	fileset_clear(&set);
	forget(f);
}

static void test_refused(void **unused)
{
	struct fixture *f = fixture_new();
	struct plain plain = plain_of(f, NULL);
	struct fileset set = slice_files(CONFIG);

	(void)unused;
	refuse(&plain, &set,
	       "config.xml:2: /a/password: parameter PW has no value in the environment or "
	       "etc/params");
	write_text(f->home.etc, "params", "PW=1\nPW=2\n");
	refuse(&plain, &set, "/params:2: that name has a value already");
	write_text(f->home.etc, "params", "PW 1\n");
	refuse(&plain, &set, "/params:1: is no NAME=value");
	write_text(f->home.etc, "params", "PW=1\n");
	add(&set, "files/render.d/other.xsl", FILE_PLAIN, "<a/>");
	refuse(&plain, &set, "files/render.d/other.xsl:1: ");
	fileset_clear(&set);
	set = slice_files(CONFIG);
	add(&set, "files/render.d/config.xml.xsl", FILE_PLAIN, TEMPLATE);
	refuse(&plain, &set, "files/render.d/config.xml.xsl:1: would write over config.xml");
	fileset_clear(&set);
	set = slice_files(CONFIG);
	add(&set, "files/render.d/files.xsl", FILE_PLAIN, TEMPLATE);
	refuse(&plain, &set, "files/render.d/files.xsl:1: would write over files");
	fileset_clear(&set);
	/* a value of the wrong type, which no one could see before */
	set = slice_files(
		"<config "
		"xmlns=\"http://tail-f.com/ns/config/1.0\"><cluster><port>#{P}</port></cluster>"
		"</config>");
	write_text(f->home.etc, "params", "P=http\n");
	refuse(&plain, &set, "config.xml:1: /cluster/port: \"http\" is not a port");
	write_text(f->home.etc, "params", "P=80\n");
	free(prepare(&plain, &set, false));
	fileset_clear(&set);
	forget(f);
}

static void test_no_memory(void **unused)
{
	struct fixture *f = fixture_new();
	struct plain plain = plain_of(f, NULL);
	struct fileset set = slice_files(CONFIG);
	char *path;

	(void)unused;
	write_text(f->home.etc, "params", "PW=1\n");
	if (fs_is_memory(f->home.run_fd)) {
		print_message("the home is on a memory file system: skipped\n");
		fileset_clear(&set);
		fixture_free(f);
		skip();
	}
	path = prepare(&plain, &set, false);
	publish(&plain, path);
	free(path);
	/* a folder on a disk, and none: then nothing plain is written, and the link goes */
	path = text_format("%s/disk", f->folder);
	assert_int_equal(mkdir(path, 0700), 0);
	plain.memory = path;
	assert_null(prepare(&plain, &set, false));
	must_run(path, NULL, "rmdir %s", path);
	assert_null(prepare(&plain, &set, false));
	publish(&plain, NULL);
	assert_null(link_of(f, "current"));
	plain_clean(&plain);
	free(path);
	/* but what is wrong is still told */
	write_text(f->home.etc, "params", "");
	refuse(&plain, &set, "parameter PW has no value");
	fileset_clear(&set);
	forget(f);
}

static void test_group(void **unused)
{
	struct fixture *f = fixture_new();
	struct fileset set = slice_files(CONFIG);
	char number[16];
	struct plain plain;
	struct err err;
	char *path, *other;
	gid_t group;

	(void)unused;
	assert_int_equal(plain_init(&plain, &f->home, "default", "no-such-group", &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	assert_int_equal(plain_init(&plain, &f->home, "default", "99999999999", &err), -1);
	write_text(f->home.etc, "params", "PW=1\n");
	plain = plain_of(f, NULL);
	path = prepare(&plain, &set, false);
	assert_int_equal(mode_of(path, "config.xml", NULL), 0600);
	(void)snprintf(number, sizeof(number), "%u", (unsigned)getegid());
	plain = plain_of(f, number);
	/* one that was made before is shared too */
	other = prepare(&plain, &set, false);
	assert_string_equal(path, other);
	assert_int_equal(mode_of(path, "..", &group), 0750);
	assert_int_equal(group, getegid());
	assert_int_equal(mode_of(path, ".", NULL), 0750);
	assert_int_equal(mode_of(path, "config.xml", &group), 0640);
	assert_int_equal(group, getegid());
	assert_int_equal(mode_of(path, "files", NULL), 0750);
	assert_int_equal(mode_of(path, "files/a/run", NULL), 0750);
	free(path);
	free(other);
	fileset_clear(&set);
	forget(f);
}

/* --- the step check of a node, on what a hostile admin could sign --- */

static void check_refuses(const struct fileset *set, const char *want)
{
	struct err err = {.code = ERR_NONE};

	if (check_files(set, NULL, "default", &err) == 0)
		fail_msg("accepted, not refused with: %s", want);
	assert_int_equal(err.code, ERR_REFUSED);
	if (!strstr(err.text, want))
		fail_msg("\"%s\" has no \"%s\"", err.text, want);
}

static void test_check(void **unused)
{
	static const char *const bad[] = {
		"laughs", "external", "xinclude", "doctype", "cdata",    "utf8",         "latin1",
		"mixed",  "outside",  "unclosed", "root",    "endpoint", "duplicate-key"};
	static const char head[] = "<config xmlns=\"http://tail-f.com/ns/config/1.0\">";
	struct fileset set = {.count = 0};
	struct err err;
	struct buf text;

	(void)unused;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char *name = text_format("%s/tests/fixtures/bad/%s.xml", TEST_SRCDIR, bad[i]);

		buf_init(&text, 1 << 20);
		assert_int_equal(fs_read(AT_FDCWD, name, &text, &err), 0);
		assert_int_equal(
			fileset_add(&set, "config.xml", FILE_PLAIN, text.data, text.len, &err), 0);
		check_refuses(&set, "config.xml:");
		fileset_clear(&set);
		buf_clear(&text);
		free(name);
	}
	buf_init(&text, 1 << 20);
	buf_puts(&text, head);
	for (int i = 0; i < 10000; i++)
		buf_puts(&text, "<a>");
	add(&set, "config.xml", FILE_PLAIN, buf_text(&text));
	check_refuses(&set, "config.xml:1: too many elements within each other");
	fileset_clear(&set);
	buf_reset(&text);
	buf_puts(&text, head);
	buf_put(&text, "<a>\0</a></config>", strlen("<a>0</a></config>"));
	assert_int_equal(fileset_add(&set, "config.xml", FILE_PLAIN, text.data, text.len, &err), 0);
	check_refuses(&set, "config.xml:1: a NUL byte");
	fileset_clear(&set);
	buf_clear(&text);
	/* a schema that came with it, and parameters where none may be */
	set = slice_files("<config xmlns=\"http://tail-f.com/ns/config/1.0\"><a>x</a></config>");
	assert_int_equal(check_files(&set, NULL, "default", &err), 0);
	add(&set, "schema/x.rng", FILE_PLAIN,
	    "<element name='config' ns='http://tail-f.com/ns/config/1.0' "
	    "xmlns='http://relaxng.org/ns/structure/1.0'>"
	    "<element name='a'><value>y</value></element></element>");
	check_refuses(&set, "config.xml:1: /a: \"x\" may not be the value here (schema/x.rng)");
	fileset_clear(&set);
	set = slice_files(
		"<config xmlns=\"http://tail-f.com/ns/config/1.0\"><a>#{MUSTER_X}</a></config>");
	check_refuses(&set, "config.xml:1: /a: no parameter may be named MUSTER_*");
	fileset_clear(&set);
	set = slice_files("<config xmlns=\"http://tail-f.com/ns/config/1.0\"><password>#{X | "
			  "y}</password></config>");
	check_refuses(&set, "in a secret only a whole #{NAME} without default");
	fileset_clear(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_content),   cmocka_unit_test(test_change),
		cmocka_unit_test(test_damaged),   cmocka_unit_test(test_refused),
		cmocka_unit_test(test_no_memory), cmocka_unit_test(test_group),
		cmocka_unit_test(test_check),     cmocka_unit_test(test_opened_is_no_parameter),
	};

	libraries_setup();
	log_setup(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
