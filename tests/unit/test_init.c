/*
 * What a node starts from, and what it refuses to start from: the order of the interface, without a
 * daemon.
 */
#include "node_home.h"

#include "config/cluster.h"
#include "config/document.h"
#include "crypto/key.h"
#include "node/runtime.h"
#include "repo/git.h"

#define ROLE "internal"

static struct identity *ours, *theirs;

static int libraries(void **state)
{
	(void)state;
	crypto_setup();
	config_setup();
	git_setup();
	ours = identity_new();
	theirs = identity_new();
	return 0;
}

static int end(void **state)
{
	(void)state;
	identity_free(ours);
	identity_free(theirs);
	return 0;
}

static void put_init(const struct place *p, const char *name, const char *text)
{
	char *path = text_format("init/%s", name);

	must(fs_make_dirs(p->home.etc_fd, "init", 0700, err));
	must(fs_write_atomic(p->home.etc_fd, path, text, strlen(text), 0600, err));
	free(path);
}

/* A cluster file for ROLE of the cluster of IDENTITY; its text, to be freed. */
static char *cluster_text(const struct identity *identity, const char *role)
{
	struct keystore *keystore = keystore_for(identity, role);
	struct cluster cluster = {.host = (char[]){"127.0.0.1"}, .port = 1};
	struct buf text, out;
	char *copy;

	buf_init(&text, 1 << 16);
	buf_init(&out, 1 << 16);
	keystore_format(keystore, &text);
	cluster.keystore = text_copy(buf_text(&text));
	cluster_format(&cluster, &out);
	copy = text_copy(buf_text(&out));
	free(cluster.keystore);
	buf_clear(&text);
	buf_clear(&out);
	keystore_free(keystore);
	return copy;
}

static void put_cluster(const struct place *p, const struct identity *identity, const char *role)
{
	char *text = cluster_text(identity, role);

	put_init(p, "cluster.xml", text);
	free(text);
}

static void put_demo(const struct place *p)
{
	static const char *const names[] = {"environment.xml", "facilities.xml", "login.xml",
					    "tokens.xml"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char *path = text_format(TEST_SRCDIR "/tests/fixtures/demo/%s", names[i]);
		struct buf text;

		buf_init(&text, 1 << 20);
		must(fs_read(AT_FDCWD, path, &text, err));
		put_init(p, names[i], buf_text(&text));
		buf_clear(&text);
		free(path);
	}
}

static const struct runtime_options plain = {.name = "node", .role = ROLE};
static const struct runtime_options forced = {.name = "node", .role = ROLE, .force_reload = true};

/* As a start would: the verdict of musterd --check. */
#define starts(p, options, words)                                                                  \
	do {                                                                                       \
		char *starts_said = NULL;                                                          \
		must(runtime_check(&(p)->home, options, &starts_said, err));                       \
		if (!strstr(starts_said, words))                                                   \
			fail_msg("\"%s\" instead of \"%s\"", starts_said, words);                  \
		free(starts_said);                                                                 \
	} while (0)
#define refuses(p, options, words)                                                                 \
	do {                                                                                       \
		char *refuses_said = NULL;                                                         \
		must_fail(runtime_check(&(p)->home, options, &refuses_said, err), ERR_NONE,        \
			  words);                                                                  \
		assert_null(refuses_said);                                                         \
	} while (0)

/* Starts for true, until the first configuration is active, and stops. */
static void on_changed(void *arg)
{
	(void)arg;
}

static void start_and_stop(const struct place *p, const struct runtime_options *options)
{
	struct proc *proc;
	struct runtime *runtime;
	uv_loop_t loop;

	must(proc_start(p->home.etc, &proc, err));
	assert_int_equal(uv_loop_init(&loop), 0);
	must(proc_attach(proc, &loop, err));
	must(runtime_start(&loop, &p->home, options, proc, on_changed, NULL, &runtime, err));
	for (int i = 0; i < 2000; i++) {
		json_t *status = runtime_status(runtime);
		const char *word = json_string_value(json_object_get(status, "nodeState"));
		bool done = strcmp(word, "BOOTING") != 0;

		json_decref(status);
		if (done)
			break;
		(void)uv_run(&loop, UV_RUN_NOWAIT);
		(void)usleep(5000);
	}
	runtime_stop(runtime);
	runtime_stop(runtime); /* twice is once */
	proc_free(proc);
	assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(uv_loop_close(&loop), 0);
}

static void nothing_at_all(void **state)
{
	struct place *p = *state;

	refuses(p, &plain, "nothing to start from");
	refuses(p, &forced, "nothing to start from");
	put_init(p, "notes.txt", "no configuration");
	refuses(p, &plain, "genclust");
	put_init(p, "empty.xml", "<config xmlns=\"http://tail-f.com/ns/config/1.0\"/>");
	refuses(p, &plain, "nothing to start from");
}

static void a_cluster_file_alone(void **state)
{
	struct place *p = *state;

	put_cluster(p, ours, "*");
	starts(p, &plain, "nothing until the admin gives it a release; admin 127.0.0.1");
	put_cluster(p, ours, ROLE);
	starts(p, &plain, "nothing until");
	put_cluster(p, ours, "default");
	refuses(p, &plain, "is for role default, this node is of role internal");
	assert_int_equal(faccessat(p->home.var_fd, "node", F_OK, 0),
			 -1); /* looking changes nothing */
}

/* Every character of a keystore that is left out, and each one changed. */
static void a_damaged_keystore(void **state)
{
	struct place *p = *state;
	char *text = cluster_text(ours, "*"), *start = strstr(text, "muster-cluster:"),
	     *stop = strstr(text, "</keystore>");

	for (char *at = start; at < stop; at++) {
		char *cut = text_format("%.*s%s", (int)(at - text), text, at + 1), old = *at;

		put_init(p, "cluster.xml", cut);
		free(cut);
		/*
		 * one that names another epoch or another key is whole: who has it is told at the
		 * admin
		 */
		if (at < start + 17 || at[1] == '<' || *at == '.')
			refuses(p, &plain, "init");
		*at = '!';
		put_init(p, "cluster.xml", text);
		refuses(p, &plain, "init");
		*at = old;
	}
	free(text);
}

static void a_complete_configuration(void **state)
{
	struct place *p = *state;

	put_demo(p);
	starts(p, &plain, "the configuration in etc/init; no admin");
	put_cluster(p, ours, "*");
	starts(p, &plain, "the configuration in etc/init; admin 127.0.0.1");
	start_and_stop(p, &plain);
	starts(p, &plain, "its last configuration init-");
	/* a mistake in etc/init does not stop what can serve */
	put_init(p, "tokens.xml", "<config");
	starts(p, &plain, "its last configuration init-");
	refuses(p, &forced, "tokens.xml");
	put_init(p, "tokens.xml", "<config xmlns=\"http://tail-f.com/ns/config/1.0\"/>");
	/* the endpoints are gone: in the operator's file and line */
	refuses(p, &forced, "environment.xml:");
	put_demo(p);
	starts(p, &forced, "the configuration in etc/init");
}

static void another_role(void **state)
{
	static const struct runtime_options other = {.name = "node", .role = "default"};
	static const struct runtime_options other_forced = {
		.name = "node", .role = "default", .force_reload = true};
	struct place *p = *state;

	put_cluster(p, ours, "*");
	start_and_stop(p, &plain);
	starts(p, &other, "nothing until"); /* there was nothing to lose */
	put_demo(p);
	start_and_stop(p, &plain);
	refuses(p, &other,
		"the local copy is of role internal, not default: start with --force-reload");
	starts(p, &other_forced, "role default would serve the configuration in etc/init");
	start_and_stop(p, &other_forced);
	refuses(p, &plain, "the local copy is of role default, not internal");
	starts(p, &other, "its last configuration init-");
}

static void another_cluster(void **state)
{
	struct place *p = *state;

	put_demo(p);
	put_cluster(p, ours, "*");
	start_and_stop(p, &plain);
	put_cluster(p, theirs, "*");
	refuses(p, &plain, "is of another cluster than the cluster file in");
	starts(p, &forced, "the configuration in etc/init");
	put_cluster(p, ours, "*");
	starts(p, &plain, "its last configuration");
	must(fs_remove_tree(p->home.etc_fd, "init", err));
	starts(p, &plain, "its last configuration"); /* which holds the cluster */
}

static void a_first_cluster_later(void **state)
{
	struct place *p = *state;

	put_demo(p);
	start_and_stop(p, &plain);
	put_cluster(p, ours, "*");
	starts(p, &plain, "its last configuration init-");
	starts(p, &plain, "; admin 127.0.0.1");
	start_and_stop(p, &plain);
	put_cluster(p, theirs, "*");
	refuses(p, &plain, "another cluster");
}

static void a_damaged_state(void **state)
{
	struct place *p = *state;

	put_demo(p);
	put_cluster(p, ours, "*");
	start_and_stop(p, &plain);
	put_file(p, "node/state", "{\"version\":1}");
	starts(p, &plain, "its last configuration"); /* its copy is whole */
	put_file(p, "node/state.copy", "{\"version\":1}");
	/* there is no release that it could be made of */
	starts(p, &plain, "the configuration in etc/init");
	starts(p, &forced, "the configuration in etc/init");
	start_and_stop(p, &forced);
	starts(p, &plain, "its last configuration");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		place_test(nothing_at_all),	      place_test(a_cluster_file_alone),
		place_test(a_damaged_keystore),	      place_test(a_complete_configuration),
		place_test(another_role),	      place_test(another_cluster),
		place_test(a_first_cluster_later),    place_test(a_damaged_state),
	};

	return cmocka_run_group_tests(tests, libraries, end);
}
