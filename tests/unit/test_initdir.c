/* etc/init: which of its files count, and how what is there differs from what was loaded of it. */
#include "node_home.h"

#include "config/cluster.h"
#include "config/document.h"
#include "config/initdir.h"
#include "core/limits.h"
#include "crypto/key.h"

#include <sys/wait.h>

#define CONFIG	    "<config xmlns=\"http://tail-f.com/ns/config/1.0\">"
#define ENVIRONMENT CONFIG "<environments xmlns=\"https://curity.se/ns/conf/base\"><environment>"
#define CLOSE	    "</environment></environments></config>"
#define CLUSTER	    "<cluster><keystore>k</keystore><host>h</host></cluster>"

static int libraries(void **state)
{
	(void)state;
	crypto_setup();
	config_setup();
	return 0;
}

static void put_init(const struct place *p, const char *name, const char *text)
{
	char *path = text_format("init/%s", name);

	must(fs_make_dirs(p->home.etc_fd, "init", 0700, err));
	must(fs_write_atomic(p->home.etc_fd, path, text, strlen(text), 0600, err));
	free(path);
}

static void in_etc(const struct place *p, const char *command)
{
	char *line = text_format("cd '%s' && %s", p->home.etc, command);
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		(void)execl("/bin/sh", "sh", "-c", line, (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	free(line);
}

static struct initdir_marks marks_now(const struct place *p, bool but_cluster)
{
	struct fileset files = {0};
	struct initdir_marks marks;

	must(initdir_read(&p->home, &files, err));
	initdir_mark(&files, but_cluster, &marks);
	initdir_clear(&files);
	return marks;
}

/* What is there now against LOADED: TEXT, or NULL for no difference. */
static void differs(const struct place *p, const struct initdir_marks *loaded, const char *text)
{
	struct initdir_marks now = marks_now(p, true);
	char *said = initdir_difference(loaded, &now);

	if (!text)
		assert_null(said);
	else if (!said)
		fail_msg("no difference instead of \"%s\"", text);
	else
		assert_string_equal(said, text);
	free(said);
	initdir_marks_clear(&now);
}

static void which_files_count(void **state)
{
	struct place *p = *state;
	struct fileset files = {0};

	must(initdir_read(&p->home, &files, err)); /* no folder */
	assert_int_equal(files.count, 0);
	put_init(p, "b.xml", "b");
	put_init(p, "a.xml", "a");
	put_init(p, ".a.xml", "no");
	put_init(p, "a.xml.orig", "no");
	put_init(p, "a.bundle", "no");
	must(initdir_read(&p->home, &files, err));
	assert_int_equal(files.count, 2);
	assert_string_equal(files.files[0].path, "a.xml");
	initdir_clear(&files);
	/* the folder and the files may be links, as mounted ones are */
	in_etc(p, "mv init mounted && ln -s mounted init && mv mounted/a.xml a && ln -s ../a "
		  "mounted/a.xml");
	must(initdir_read(&p->home, &files, err));
	assert_int_equal(files.count, 2);
	initdir_clear(&files);
	in_etc(p, "rm a");
	must_fail(initdir_read(&p->home, &files, err), ERR_NONE, "etc/init: a.xml");
	assert_int_equal(files.count, 0);
	in_etc(p, "rm mounted/a.xml && mkdir mounted/a.xml");
	must_fail(initdir_read(&p->home, &files, err), ERR_NONE, "etc/init: ");
	in_etc(p, "rm init && touch init");
	must_fail(initdir_read(&p->home, &files, err), ERR_NONE, "etc/init");
}

static void differences(void **state)
{
	struct place *p = *state;
	struct initdir_marks loaded, nothing = {.known = false};

	put_init(p, "a.xml", "a");
	put_init(p, "b.xml", "b");
	put_init(p, "c.xml", "c");
	loaded = marks_now(p, true);
	differs(p, &loaded, NULL);
	put_init(p, "a.xml", "a"); /* the same bytes in another file */
	differs(p, &loaded, NULL);
	put_init(p, "a.xml", "");
	differs(p, &loaded, "a.xml (changed)");
	in_etc(p, "mv init/b.xml init/d.xml && rm init/c.xml");
	differs(p, &loaded, "a.xml (changed), d.xml (new), b.xml (gone), c.xml (gone)");
	differs(p, &nothing, NULL); /* not known: no difference */
	in_etc(p, "rm -r init");
	differs(p, &loaded, "a.xml (gone), b.xml (gone), c.xml (gone)");
	in_etc(p, "mkdir init && for i in 1 2 3 4 5 6 7 8 9; do touch init/$i.xml; done");
	differs(p, &loaded,
		"1.xml (new), 2.xml (new), 3.xml (new), 4.xml (new), 5.xml (new), 6.xml (new), "
		"7.xml (new), 8.xml (new), "
		"9.xml (new), a.xml (gone) and 2 more");
	initdir_marks_clear(&loaded);
	initdir_marks_clear(&loaded);
}

/*
 * A file with nothing but the cluster is taken up when it changes; whatever has more is
 * configuration.
 */
static void cluster_files(void **state)
{
	static const char *const more[] = {
		CONFIG "</config>",
		ENVIRONMENT CLOSE,
		ENVIRONMENT CLUSTER "<name>n</name>" CLOSE,
		ENVIRONMENT "<name>n</name>" CLUSTER CLOSE,
		ENVIRONMENT CLUSTER CLUSTER CLOSE,
		CONFIG "<profiles xmlns=\"https://curity.se/ns/conf/base\"/></config>",
		ENVIRONMENT CLUSTER "</environment></environments><nacm xmlns=\"urn:x\"/></config>",
		"<oops",
		"",
	};
	struct place *p = *state;
	struct initdir_marks marks;

	put_init(p, "a.xml", ENVIRONMENT CLUSTER CLOSE);
	marks = marks_now(p, true);
	assert_int_equal(marks.count, 0);
	initdir_marks_clear(&marks);
	marks = marks_now(p, false);
	assert_int_equal(marks.count, 1);
	initdir_marks_clear(&marks);
	for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
		put_init(p, "a.xml", more[i]);
		marks = marks_now(p, true);
		if (marks.count != 1)
			fail_msg("taken for a cluster file: %s", more[i]);
		initdir_marks_clear(&marks);
	}
}

static void parse_is_strict(void **state)
{
#define ALMOST "000000000000000000000000000000000000000000000000000000000000000"
#define ZEROS  "0" ALMOST
	static const char *const bad[] = {
		"[]",
		"7",
		"null",
		"\"\"",
		"{\"a.xml\":null}",
		"{\"a.xml\":7}",
		"{\"a.xml\":\"\"}",
		"{\"a.xml\":\"0" ZEROS "\"}",
		"{\"a.xml\":\"g" ALMOST "\"}",
		"{\"a\":\"" ZEROS "\"}",
		"{\"\":\"" ZEROS "\"}",
		"{\"../a.xml\":\"" ZEROS "\"}",
		"{\".a.xml\":\"" ZEROS "\"}",
		"{\"a.xml\":\"" ZEROS "\",\"b.xml\":\"A" ALMOST "\"}",
	};
	struct initdir_marks marks = {.known = false};
	json_t *doc, *again;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		doc = json_loads(bad[i], JSON_DECODE_ANY, NULL);
		assert_non_null(doc);
		if (initdir_marks_parse(doc, &marks) == 0)
			fail_msg("taken: %s", bad[i]);
		assert_false(marks.known || marks.items);
		json_decref(doc);
	}
	doc = json_loads("{\"a.xml\":\"" ZEROS "\",\"b.xml\":\"" ZEROS "\"}", 0, NULL);
	assert_int_equal(initdir_marks_parse(doc, &marks), 0);
	assert_int_equal(marks.count, 2);
	again = initdir_marks_json(&marks);
	assert_true(json_equal(doc, again));
	json_decref(doc);
	json_decref(again);
	initdir_marks_clear(&marks);
	doc = json_object();
	for (unsigned i = 0; i <= LIMIT_XML_FILES; i++) {
		char *name = text_format("%u.xml", i);

		(void)json_object_set_new(doc, name, json_string(ZEROS));
		free(name);
	}
	assert_int_equal(initdir_marks_parse(doc, &marks), -1);
	(void)json_object_del(doc, "0.xml");
	assert_int_equal(initdir_marks_parse(doc, &marks), 0);
	initdir_marks_clear(&marks);
	json_decref(doc);
}

/* Names that are no UTF-8, two of which look the same then. */
static void strange_names(void **state)
{
	struct place *p = *state;
	struct initdir_marks marks, back;
	json_t *doc;

	put_init(p, "a\xff.xml", "1");
	put_init(p, "a\xfe.xml", "2");
	put_init(p, "\xc3\xa4.xml", "3");
	marks = marks_now(p, true);
	assert_int_equal(marks.count, 2);
	doc = initdir_marks_json(&marks);
	assert_int_equal(initdir_marks_parse(doc, &back), 0);
	differs(p, &back, NULL);
	json_decref(doc);
	initdir_marks_clear(&marks);
	initdir_marks_clear(&back);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		place_test(which_files_count), place_test(differences),	  place_test(cluster_files),
		place_test(parse_is_strict),   place_test(strange_names),
	};

	return cmocka_run_group_tests(tests, libraries, NULL);
}
