/* The shrink guard: a slice that loses over half of its elements is refused, unless a commit says
 * that it is meant. */
#include "publish_in.h"

#include "admin/trial.h"
#include "repo/source.h"

/* A file with COUNT elements that both roles get. */
static void put_elements(const struct fixture *f, unsigned count)
{
	struct buf text;

	buf_init(&text, 1u << 20);
	buf_puts(&text, "<config xmlns=\"http://tail-f.com/ns/config/1.0\">\n<extra "
			"xmlns=\"urn:extra\">\n");
	for (unsigned i = 0; i < count; i++)
		buf_printf(&text, "<e%u/>\n", i);
	buf_puts(&text, "</extra></config>\n");
	put(f, "extra.xml", buf_text(&text));
	buf_clear(&text);
}

static size_t elements_of(const struct fixture *f, const char *role)
{
	char *text = released(f, role, "config.xml");
	struct document *doc;
	struct err err;
	size_t count;

	assert_int_equal(document_parse("config.xml", text, strlen(text), &doc, &err), 0);
	count = document_count(doc);
	document_free(doc);
	free(text);
	return count;
}

/* What a trial of the work tree says; the number of findings. */
static size_t try_it(const struct fixture *f, unsigned flags)
{
	struct fileset files = {.count = 0};
	struct trial trial;
	struct err err;
	size_t count;

	assert_int_equal(trial_files(&f->home, NULL, &files, &err), 0);
	assert_int_equal(trial_run(&f->home, f->identity, &files, flags, &trial, &err), 0);
	count = trial.findings.count;
	for (size_t i = 0; i < count; i++)
		assert_non_null(strstr(trial.findings.lines[i], "would lose over half"));
	trial_clear(&trial);
	return count;
}

static void test_refused(void **unused)
{
	struct fixture *f = demo();
	size_t elements;

	(void)unused;
	put_elements(f, 1000);
	git_commit(f, "much");
	assert_int_equal(publish_main(f), 2);
	put_elements(f, 400);
	assert_int_equal(try_it(f, 0), 2);
	assert_int_equal(try_it(f, TRIAL_ALLOW_SHRINK), 0);
	git_commit(f, "little");
	must_refuse(f, "slice", "role default would lose over half of its configuration: ");
	must_refuse(f, "slice", "role internal would lose over half of its configuration: ");
	/* nor by the next commit, whatever that says of other things */
	put(f, "README.md", "x\n");
	git_commit(f, "Allow-Shrink: yes\n\nMuster-Via: Muster-Allow-Shrink: yes\n");
	must_refuse(f, "slice", "muster commit --allow-shrink");
	/* the half is enough, one less is not; default has the smaller rest */
	elements = elements_of(f, "default");
	put_elements(f, (unsigned)((elements + 1) / 2 - (elements - 1000)) - 1);
	git_commit(f, "less than half");
	must_refuse(f, "slice", "role default would lose over half");
	put_elements(f, (unsigned)((elements + 1) / 2 - (elements - 1000)));
	git_commit(f, "half");
	assert_int_equal(publish_main(f), 2);
	assert_int_equal(elements_of(f, "default"), (elements + 1) / 2);
	fixture_free(f);
}

static void test_allowed(void **unused)
{
	struct fixture *f = demo();

	(void)unused;
	put_elements(f, 1000);
	git_commit(f, "much");
	assert_int_equal(publish_main(f), 2);
	put_elements(f, 10);
	git_commit(f, "little");
	must_refuse(f, "slice", "would lose over half");
	/* said by a commit on top, which a trial knows too */
	git_commit(f, "it is meant\n\nMuster-Allow-Shrink: yes\n");
	assert_int_equal(try_it(f, 0), 0);
	assert_int_equal(publish_main(f), 2);
	/* what was allowed once is not allowed again */
	put_elements(f, 0);
	edit(f, "environment.xml", "<endpoints>internal-tokens-token</endpoints>", "");
	edit(f, "environment.xml", "<endpoints>internal-tokens-introspect</endpoints>", "");
	assert_int_equal(try_it(f, 0), 1);
	git_commit(f, "nothing left for internal");
	must_refuse(f, "slice", "role internal would lose over half");
	fixture_free(f);
}

/* A role that goes is no slice that shrinks, and one that comes back is not measured against what
 * it had. */
static void test_removed(void **unused)
{
	struct fixture *f = demo();
	char *source = source_folder(f), *all = read_text(source, "environment.xml"), *from, *to,
	     *less;

	(void)unused;
	put_elements(f, 1000);
	git_commit(f, "much");
	assert_int_equal(publish_main(f), 2);
	from = strstr(strstr(all, "<service-role>") + 1, "<service-role>");
	to = strstr(from, "</service-role>") + strlen("</service-role>");
	less = text_format("%.*s%s", (int)(from - all), all, to);
	put(f, "environment.xml", less);
	git_commit(f, "no role internal");
	assert_int_equal(publish_main(f), 1);
	put(f, "environment.xml", all);
	must_run(source, NULL, "git rm -q extra.xml");
	assert_int_equal(try_it(f, 0), 1); /* default alone */
	git_commit(f, "back\n\nMuster-Via: test\n");
	must_refuse(f, "slice", "role default would lose over half");
	git_commit(f, "meant\n\nMuster-Allow-Shrink: yes\n");
	assert_int_equal(publish_main(f), 2);
	free(less);
	free(all);
	free(source);
	fixture_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_allowed),
		cmocka_unit_test(test_removed),
	};

	libraries_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
