/* What a role gets. */
#include "config/slice.h"

#include "config_fixture.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

static const struct cluster cluster = {
	.host = BORROW("h"), .port = 7, .keystore = BORROW("k"), .listen_host = BORROW("::")};

/* The slice of ROLE of TEXT by the built-in model and CONF; the caller's. */
static struct document *slice_of(const char *text, const char *conf, const char *role)
{
	struct document *doc = parse(text), *out = NULL;
	struct err err = {.code = ERR_NONE};
	struct model *model;

	assert_int_equal(model_parse("m", conf, strlen(conf), &model, &err), 0);
	if (slice(doc, model, role, NULL, &out, &err))
		fail_msg("%s", err.text);
	document_free(doc);
	model_free(model);
	return out;
}

static void check_slice(const char *text, const char *conf, const char *role, const char *want)
{
	struct document *doc = slice_of(text, conf, role);

	assert_document(doc, want);
	document_free(doc);
}

#define ROLES(x)                                                                                   \
	"<environments" BASE "><environment><services>" x "</services></environment></"            \
	"environments>"
#define ROLE(id, x) "<service-role><id>" id "</id>" x "</service-role>"
#define EP(id)      "<endpoint><id>" id "</id></endpoint>"
#define PROFILE(id, x, endpoints)                                                                  \
	"<profile><id>" id "</id>" x "<endpoints>" endpoints "</endpoints></profile>"
#define PROFILES(x) "<profiles" BASE ">" x "</profiles>"
#define LISTS(id)   "<endpoints>" id "</endpoints>"

static void test_roles(void **state)
{
	struct document *doc = parse(ROOT ROLES(ROLE("b", "") ROLE("a", "")) "</config>");
	struct roles roles;
	struct err err = {.code = ERR_NONE};

	(void)state;
	assert_int_equal(slice_roles(doc, &roles, &err), 0);
	assert_int_equal(roles.count, 2);
	assert_string_equal(roles.names[0], "b");
	assert_string_equal(roles.names[1], "a");
	roles_clear(&roles);
	assert_int_equal(roles.count, 0);
	document_free(doc);
	doc = document_new();
	assert_int_equal(slice_roles(doc, &roles, &err), 0);
	assert_int_equal(roles.count, 0);
	roles_clear(&roles);
	document_free(doc);
	doc = parse(ROOT ROLES(ROLE("a", "") ROLE("a/b", "")) "</config>");
	assert_int_equal(slice_roles(doc, &roles, &err), -1);
	assert_string_equal(err.text, "t.xml:1: /environments/environment/services/"
				      "service-role[a\\/b]: \"a/b\" is no name for a role");
	document_free(doc);
}

static void test_rule_1(void **state)
{
	struct document *doc = parse(ROOT ROLES(ROLE("a", "")) "</config>"), *out = NULL;
	struct model *model = model_default();
	struct err err = {.code = ERR_NONE};

	(void)state;
	check_slice(ROOT ROLES(ROLE("a", "<x/>") "<zones/>" ROLE("b", "<y/>")) "</config>", "", "b",
		    ROOT ROLES("<zones/>" ROLE("b", "<y/>")) "</config>");
	assert_int_equal(slice(doc, model, "b", NULL, &out, &err), -1);
	assert_int_equal(err.code, ERR_GONE);
	assert_string_equal(err.text, "there is no service role \"b\" in the configuration");
	assert_null(out);
	model_free(model);
	document_free(doc);
}

static void test_rule_2(void **state)
{
	(void)state;
	/* endpoints by the role; a profile that had none stays */
	check_slice(
		ROOT ROLES(ROLE("a", LISTS("1")) ROLE("b", LISTS("2")))
			PROFILES(PROFILE("p", "", EP("1") EP("2") EP("3")) PROFILE("q", "", EP("2"))
					 PROFILE("r", "<x/>", "")) "</config>",
		"", "a",
		ROOT ROLES(ROLE("a", LISTS("1")))
			PROFILES(PROFILE("p", "", EP("1")) PROFILE("r", "<x/>", "")) "</config>");
	/* mentioned by what stays, and by what that mentions; not by what goes or by itself */
	check_slice(ROOT ROLES(ROLE("a", LISTS("1"))) PROFILES(
			    PROFILE("p", "<u>q</u>", EP("1")) PROFILE("q", "<u>r</u>", EP("2"))
				    PROFILE("r", "", EP("3"))
					    PROFILE("s", "<u>s</u><v>t</v>", EP("4"))
						    PROFILE("t", "<v>s</v>", EP("5"))) "</config>",
		    "", "a",
		    ROOT ROLES(ROLE("a", LISTS("1")))
			    PROFILES(PROFILE("p", "<u>q</u>", EP("1")) PROFILE("q", "<u>r</u>", "")
					     PROFILE("r", "", "")) "</config>");
	/* a mention is the whole text */
	check_slice(ROOT ROLES(ROLE("a", LISTS("1")))
			    PROFILES(PROFILE("p", "<u>q </u><v>qq</v>", EP("1"))
					     PROFILE("q", "", EP("2"))) "</config>",
		    "", "a",
		    ROOT ROLES(ROLE("a", LISTS("1")))
			    PROFILES(PROFILE("p", "<u>q </u><v>qq</v>", EP("1"))) "</config>");
	/* a reference to another list is no mention */
	check_slice(ROOT ROLES(ROLE("a", LISTS("1"))) PROFILES(PROFILE(
			    "p", "<u>q</u>", EP("1")) PROFILE("q", "", EP("2"))) "</config>",
		    "profile/u ref=data-sources/data-source\n", "a",
		    ROOT ROLES(ROLE("a", LISTS("1")))
			    PROFILES(PROFILE("p", "<u>q</u>", EP("1"))) "</config>");
	check_slice(ROOT ROLES(ROLE("a", LISTS("1"))) PROFILES(PROFILE(
			    "p", "<u>q</u>", EP("1")) PROFILE("q", "", EP("2"))) "</config>",
		    "profile/u ref=profiles/profile\n", "a",
		    ROOT ROLES(ROLE("a", LISTS("1"))) PROFILES(
			    PROFILE("p", "<u>q</u>", EP("1")) PROFILE("q", "", "")) "</config>");
}

static void test_rule_2_off(void **state)
{
	static const char profiles[] = PROFILES(PROFILE("p", "", EP("1")));
	char *text =
		text_format("%s%s%s</config>", ROOT, ROLES(ROLE("a", "") ROLE("b", "")), profiles);
	char *want = text_format("%s%s%s</config>", ROOT, ROLES(ROLE("a", "")), profiles);

	(void)state;
	check_slice(text, "", "a", want);
	free(text);
	free(want);
	/* on as soon as some role lists one */
	text = text_format("%s%s%s</config>", ROOT, ROLES(ROLE("a", "") ROLE("b", LISTS("1"))),
			   profiles);
	want = text_format("%s%s%s</config>", ROOT, ROLES(ROLE("a", "")), PROFILES(""));
	check_slice(text, "", "a", want);
	free(text);
	free(want);
}

static void test_rule_3(void **state)
{
	(void)state;
	check_slice(
		ROOT "<nacm xmlns='urn:n'><x/></nacm><environments" BASE "><environment><a/>"
		     "<admin-service><b/></admin-service><cluster><host>x</host></"
		     "cluster><services>" ROLE(
			     "a", "") "</services></environment></environments><aaa><c/></aaa>"
				      "<x><nacm/></x></config>",
		"x/y admin-only", "a",
		ROOT "<environments" BASE "><environment><a/><services>" ROLE(
			"a", "") "</services></environment></environments><x><nacm/></x></config>");
}

#define SOURCE(id, x) "<data-source><id>" id "</id>" x "</data-source>"
#define SOURCES(x)    "<data-sources>" x "</data-sources>"

static void test_rule_4(void **state)
{
	(void)state;
	check_slice(ROOT ROLES(ROLE("a", "<w>1</w>")) SOURCES(
			    SOURCE("1", "<n>2</n>") SOURCE("2", "") SOURCE("3", "<n>3</n>")
				    SOURCE("4", "<n>5</n>") SOURCE("5", "<n>4</n>")) "</config>",
		    "", "a",
		    ROOT ROLES(ROLE("a", "<w>1</w>"))
			    SOURCES(SOURCE("1", "<n>2</n>") SOURCE("2", "")) "</config>");
	/* with a reference, only entries of its list */
	check_slice(ROOT ROLES(ROLE("a", "")) "<w>1</w>" SOURCES(
			    SOURCE("1", "")) "<account-managers>"
					     "<account-manager><id>1</id></account-manager></"
					     "account-managers></config>",
		    "/w ref=data-sources/data-source\n", "a",
		    ROOT ROLES(ROLE("a", "")) "<w>1</w>" SOURCES(
			    SOURCE("1", "")) "<account-managers/></config>");
	/* mentioned first without, later with the reference, and the other way round */
	check_slice(
		ROOT ROLES(ROLE("a", "")) "<v>1</v><w>1</w>" SOURCES(SOURCE(
			"1", "")) "<account-managers><account-manager><id>1</id></account-manager>"
				  "</account-managers></config>",
		"/w ref=data-sources/data-source\n", "a",
		ROOT ROLES(ROLE("a", "")) "<v>1</v><w>1</w>" SOURCES(SOURCE(
			"1", "")) "<account-managers><account-manager><id>1</id></account-manager>"
				  "</account-managers></config>");
	/* what goes mentions nothing: nacm, other roles, profiles, other entries */
	check_slice(ROOT
		    "<nacm><x>1</x></nacm>" ROLES(ROLE("b", LISTS("2") "<w>1</w>") ROLE("a", ""))
			    PROFILES(PROFILE("p", "<s>1</s>", EP("2")))
				    SOURCES(SOURCE("1", "")) "</config>",
		    "", "a", ROOT ROLES(ROLE("a", "")) PROFILES("") SOURCES("") "</config>");
	/* rules 2 and 4 through each other */
	check_slice(
		ROOT ROLES(ROLE("a", LISTS("1"))) SOURCES(SOURCE("s", "<n>q</n>"))
			PROFILES(PROFILE("p", "<u>s</u>", EP("1")) PROFILE(
				"q", "<u>t</u>",
				EP("2"))) "<facilities>" SOURCES(SOURCE("t", "")) "</facilities></"
										  "config>",
		"", "a",
		ROOT ROLES(ROLE("a", LISTS("1"))) SOURCES(SOURCE("s", "<n>q</n>"))
			PROFILES(PROFILE("p", "<u>s</u>", EP("1")) PROFILE(
				"q", "<u>t</u>",
				"")) "<facilities>" SOURCES(SOURCE("t",
								   "")) "</facilities></config>");
}

#define MUSTER_ROOT                                                                                \
	"<config xmlns='http://tail-f.com/ns/config/1.0' xmlns:muster='urn:muster:1' "             \
	"xmlns:keep='urn:k'>"

static void test_rule_5(void **state)
{
	(void)state;
	check_slice(
		MUSTER_ROOT ROLES(ROLE("a", "")) "<x muster:roles='b'/><y muster:roles=' b\na '>"
						 "<z m:roles='ab' xmlns:m='urn:muster:1'/><w "
						 "keep:roles='b'/></y></config>",
		"", "a",
		"<config xmlns='http://tail-f.com/ns/config/1.0' xmlns:keep='urn:k'>" ROLES(
			ROLE("a", "")) "<y><w keep:roles='b'/></y></config>");
	/* the declaration stays where something else uses it */
	check_slice(MUSTER_ROOT ROLES(ROLE("a", "")) "<p muster:secret='true'>x</p></config>", "",
		    "a", MUSTER_ROOT ROLES(ROLE("a", "")) "<p muster:secret='true'>x</p></config>");
	check_slice(ROOT ROLES(ROLE("a", "")) "<muster xmlns='urn:muster:1'><approve>true</approve>"
					      "</muster></config>",
		    "", "a",
		    ROOT ROLES(ROLE("a", "")) "<muster xmlns='urn:muster:1'><approve>true</approve>"
					      "</muster></config>");
	/*
	 * what is not for the role does not count: an endpoint, a profile's mention, a list's value
	 */
	check_slice(
		MUSTER_ROOT ROLES(ROLE("a", LISTS("1") "<endpoints muster:roles='b'>2</endpoints>"))
			PROFILES(PROFILE("p", "", EP("1")) PROFILE("q", "", EP("2"))) "</config>",
		"", "a",
		"<config xmlns='http://tail-f.com/ns/config/1.0' xmlns:keep='urn:k'>" ROLES(
			ROLE("a", LISTS("1"))) PROFILES(PROFILE("p", "", EP("1"))) "</config>");
	check_slice(MUSTER_ROOT ROLES(ROLE("a", LISTS("1"))) PROFILES(PROFILE(
			    "p", "", EP("1")) PROFILE("q", "",
						      "<endpoint muster:roles='b'><id>1</id>"
						      "</endpoint>")) "</config>",
		    "", "a",
		    "<config xmlns='http://tail-f.com/ns/config/1.0' xmlns:keep='urn:k'>" ROLES(
			    ROLE("a", LISTS("1"))) PROFILES(PROFILE("p", "", EP("1"))) "</config>");
	check_slice("<!-- 1 --><?p?>" ROOT
		    "<!-- 2 -->" ROLES(ROLE("a", "<x>v<!-- 3 --></x>")) "<?q?></config><!-- 4 -->",
		    "", "a", ROOT ROLES(ROLE("a", "<x>v</x>")) "</config>");
}

static void test_role_not_for_itself(void **state)
{
	struct document *doc = parse(MUSTER_ROOT ROLES("<service-role muster:roles='b'><id>a</id>"
						       "</service-role>") "</config>");
	struct model *model = model_default();
	struct err err = {.code = ERR_NONE};
	struct document *out = NULL;

	(void)state;
	assert_int_equal(slice(doc, model, "a", NULL, &out, &err), -1);
	assert_int_equal(err.code, ERR_GONE);
	document_free(doc);
	doc = parse("<config xmlns='http://tail-f.com/ns/config/1.0' xmlns:m='urn:muster:1' "
		    "m:roles='b'>" ROLES(ROLE("a", "")) "</config>");
	assert_int_equal(slice(doc, model, "a", NULL, &out, &err), -1);
	document_free(doc);
	model_free(model);
}

static void test_cluster(void **state)
{
	struct document *doc =
		parse(ROOT "<environments" BASE "><environment><cluster><keystore>old"
			   "</keystore><host>old</host></cluster><services>" ROLE(
				   "a", "") "</services></environment></environments></config>");
	struct cluster bad = {.host = BORROW("a b"), .port = 1};
	struct model *model = model_default();
	struct err err = {.code = ERR_NONE};
	struct document *out = NULL;
	char *before = text_of(doc), *after;

	(void)state;
	assert_int_equal(slice(doc, model, "a", &bad, &out, &err), -1);
	assert_null(out);
	assert_int_equal(slice(doc, model, "a", &cluster, &out, &err), 0);
	assert_document(out,
			ROOT "<environments" BASE "><environment><cluster><keystore>k</keystore>"
			     "<host>h</host><port>7</port></cluster><services>" ROLE(
				     "a", "") "</services></environment></environments></config>");
	after = text_of(doc); /* the configuration is as it was */
	assert_string_equal(before, after);
	free(before);
	free(after);
	document_free(doc);
	document_free(out);
	model_free(model);
}

static void test_origins(void **state)
{
	struct document *doc =
		slice_of(ROOT "\n" ROLES(ROLE("a", "\n<x/><x/>")) "</config>", "", "a");
	struct findings findings = {.lines = NULL};
	struct model *model = model_default();

	(void)state;
	assert_int_equal(check(doc, model, &findings), -1);
	assert_int_equal(strncmp(findings.lines[0], "t.xml:3: ", 9), 0);
	findings_clear(&findings);
	document_free(doc);
	model_free(model);
}

/* Ids that all look alike to a table, chains of mentions, many lists: all of it linear. */
static void test_linear(void **state)
{
	double took[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		int n = i ? 40000 : 5000;
		struct document *doc, *out;
		struct timespec start, end;
		struct model *model = model_default();
		struct err err = {.code = ERR_NONE};
		struct buf text;

		buf_init(&text, 64u << 20);
		buf_puts(&text, ROOT ROLES(ROLE("a", LISTS("e"))) "<w>0</w>" PROFILES(
					"") "<data-sources>");
		for (int j = 0; j < n; j++)
			buf_printf(&text, SOURCE("%d", "<n>%d</n>"), j, j + 1);
		buf_puts(&text, "</data-sources></config>");
		doc = parse(buf_text(&text));
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
		assert_int_equal(slice(doc, model, "a", NULL, &out, &err), 0);
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
		took[i] = (double)(end.tv_sec - start.tv_sec) +
			  (double)(end.tv_nsec - start.tv_nsec) / 1e9;
		assert_int_equal(document_count(out), document_count(doc));
		document_free(doc);
		document_free(out);
		model_free(model);
		buf_clear(&text);
	}
	assert_true(took[1] < took[0] * 8 * 4); /* quadratic would be 64 times */
}

/* Whether xmllint takes TEXT; true where there is no xmllint. */
static bool xmllint_takes(const char *text)
{
	int fd, status;
	pid_t pid;

	if (access("/usr/bin/xmllint", X_OK) != 0)
		return true;
	fd = memfd_create("slice", MFD_CLOEXEC);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)dup2(fd, STDIN_FILENO);
		(void)execl("/usr/bin/xmllint", "xmllint", "--noout", "--nonet", "-", (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	(void)close(fd);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Every role's slice is stable, the same each time, well-formed, checked, and its own slice. */
static void slices_of(const char *name, struct document *doc, const struct model *model)
{
	bool whole = strcmp(name, "gitops") != 0; /* which lacks endpoints */
	struct findings findings = {.lines = NULL};
	struct err err = {.code = ERR_NONE};
	struct roles roles;

	assert_int_equal(slice_roles(doc, &roles, &err), 0);
	for (size_t i = 0; i < roles.count; i++) {
		struct document *one, *two, *three;
		char *a, *b, *c;

		assert_int_equal(slice(doc, model, roles.names[i], &cluster, &one, &err), 0);
		assert_int_equal(slice(doc, model, roles.names[i], &cluster, &two, &err), 0);
		assert_int_equal(slice(one, model, roles.names[i], &cluster, &three, &err), 0);
		a = text_of(one);
		b = text_of(two);
		c = text_of(three);
		assert_string_equal(a, b);
		assert_string_equal(a, c);
		assert_document(one, a);
		assert_true(xmllint_takes(a));
		assert_int_equal(check(one, model, &findings), whole ? 0 : -1);
		findings_clear(&findings);
		assert_lacks(a, "<nacm");
		assert_lacks(a, "<aaa");
		assert_lacks(a, "<admin-service");
		assert_lacks(a, "<!--");
		assert_lacks(a, "admin-listening-host");
		document_free(one);
		document_free(two);
		document_free(three);
		free(a);
		free(b);
		free(c);
	}
	roles_clear(&roles);
}

static char *slice_text(const struct document *doc, const struct model *model, const char *role)
{
	struct err err = {.code = ERR_NONE};
	struct document *out;
	char *text;

	if (slice(doc, model, role, &cluster, &out, &err))
		fail_msg("%s", err.text);
	text = text_of(out);
	document_free(out);
	return text;
}

static void test_shop(void **state)
{
	struct model *model;
	struct document *doc = merge_folder(FIXTURES "/shop", &model);
	char *front = slice_text(doc, model, "front"), *back = slice_text(doc, model, "back");

	(void)state;
	slices_of("shop", doc, model);
	assert_has(front, "<id>catalogue-browse</id>");
	assert_has(front, "<id>catalogue-search</id>");
	assert_lacks(front, "catalogue-edit");
	assert_has(front, "<id>sign-in</id>");
	assert_lacks(front, "<id>sign-in-form</id>");
	assert_has(front, "<id>stock-db</id>");
	assert_has(front, "<id>people-db</id>"); /* by the profile that stays without endpoints */
	assert_lacks(front, "ledger");
	assert_lacks(front, "archive-db");
	assert_lacks(front, "receipts");
	assert_lacks(front, "urn:muster:1");
	assert_lacks(front, "admin-tls");
	assert_has(back, "<id>ledger-post</id>");
	assert_has(back, "<id>ledger-db</id>");
	assert_has(back, "<id>archive-db</id>"); /* by another data source */
	assert_has(back, "<id>receipts</id>");
	assert_lacks(back, "roles=");
	assert_lacks(back, "spare-db"); /* which mentions itself */
	assert_lacks(back, "catalogue");
	assert_lacks(back, "sign-in");
	assert_lacks(back, "stock-db");
	free(front);
	free(back);
	document_free(doc);
	model_free(model);
}

static void test_corpus(void **state)
{
	(void)state;
	each_of_corpus(slices_of);
}

static void test_two_roles(void **state)
{
	struct document *doc;
	struct model *model;
	char *internal, *fallback;

	(void)state;
	if (!have_folder(CORPUS)) {
		print_message("no ../shared/corpus: skipped\n");
		skip();
	}
	doc = merge_folder(CORPUS "/two-roles", &model);
	internal = slice_text(doc, model, "internal");
	fallback = slice_text(doc, model, "default");
	assert_has(internal, "<id>token-service-internal</id>");
	assert_has(internal, "<id>internal-token-service-anonymous</id>");
	assert_has(internal, "<id>internal-token-service-introspect</id>");
	assert_has(internal, "<id>internal-token-service-token</id>");
	assert_lacks(internal, "authentication-service");
	assert_lacks(internal, "<id>token-service</id>");
	assert_lacks(internal, "<id>default</id>\n          <protocol>");
	assert_lacks(fallback, "token-service-internal");
	assert_has(fallback, "<id>token-service-userinfo</id>");
	assert_has(fallback, "<id>applications</id>");
	free(internal);
	free(fallback);
	document_free(doc);
	model_free(model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_roles),   cmocka_unit_test(test_rule_1),
		cmocka_unit_test(test_rule_2),  cmocka_unit_test(test_rule_2_off),
		cmocka_unit_test(test_rule_3),  cmocka_unit_test(test_rule_4),
		cmocka_unit_test(test_rule_5),  cmocka_unit_test(test_role_not_for_itself),
		cmocka_unit_test(test_cluster), cmocka_unit_test(test_origins),
		cmocka_unit_test(test_linear),  cmocka_unit_test(test_shop),
		cmocka_unit_test(test_corpus),  cmocka_unit_test(test_two_roles),
	};

	config_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
