/* Hooks: their order, environment, time limit and end, by the real runner. */
#include "node_home.h"

#include "core/proc.h"

#include <signal.h>

struct hooks {
	struct place *place;
	uv_loop_t loop;
	struct proc *proc;
	char *folder; /* of the hooks */
	char *said;   /* a file they write to */
	unsigned done;
	struct proc_result result;
};

static int hooks_setup(void **state)
{
	struct hooks *h = mem_new(1, sizeof(*h));

	(void)place_setup((void **)&h->place);
	h->folder = home_etc(&h->place->home, "hooks");
	h->said = home_var(&h->place->home, "said");
	must(proc_start(h->place->home.etc, &h->proc, err));
	assert_int_equal(uv_loop_init(&h->loop), 0);
	must(proc_attach(h->proc, &h->loop, err));
	*state = h;
	return 0;
}

static int hooks_teardown(void **state)
{
	struct hooks *h = *state;

	proc_free(h->proc);
	assert_int_equal(uv_run(&h->loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(uv_loop_close(&h->loop), 0);
	(void)place_teardown((void **)&h->place);
	free(h->folder);
	free(h->said);
	free(h);
	return 0;
}

#define hooks_test(name) cmocka_unit_test_setup_teardown(name, hooks_setup, hooks_teardown)

static void hook(struct hooks *h, const char *name, mode_t mode, const char *script)
{
	char *path = text_format("hooks/%s", name),
	     *text = text_format("#!/bin/sh\nsaid='%s'\n%s\n", h->said, script);

	must(fs_make_dirs(h->place->home.etc_fd, "hooks", 0700, err));
	must(fs_write_atomic(h->place->home.etc_fd, path, text, strlen(text), mode, err));
	free(path);
	free(text);
}

static void on_done(void *arg, const struct proc_result *result)
{
	struct hooks *h = arg;

	h->done++;
	h->result = *result;
	uv_stop(&h->loop);
}

static const struct proc_result *run(struct hooks *h, const char *argument, unsigned limit_ms)
{
	char one[] = "MUSTER_NAME=node with blanks", two[] = "MUSTER_ROLE=";
	char *env[] = {one, two, NULL};
	struct proc_call call = {.step = "test",
				 .folder = h->folder,
				 .argument = argument,
				 .env = env,
				 .limit_ms = limit_ms};

	h->done = 0;
	proc_run(h->proc, &call, on_done, h);
	assert_int_equal(h->done, 0); /* later, never at once */
	(void)uv_run(&h->loop, UV_RUN_DEFAULT);
	assert_int_equal(h->done, 1);
	return &h->result;
}

/* With a limit on all of them together too. */
static const struct proc_result *run_total(struct hooks *h, unsigned limit_ms, unsigned total_ms,
					   bool again)
{
	char *env[] = {NULL};
	struct proc_call call = {.step = "test",
				 .folder = h->folder,
				 .env = env,
				 .limit_ms = limit_ms,
				 .total_ms = total_ms,
				 .again = again};

	h->done = 0;
	proc_run(h->proc, &call, on_done, h);
	(void)uv_run(&h->loop, UV_RUN_DEFAULT);
	assert_int_equal(h->done, 1);
	return &h->result;
}

static void no_folder_is_fine(void **state)
{
	assert_true(run(*state, NULL, 10000)->ok);
}

static void in_order_with_their_environment(void **state)
{
	struct hooks *h = *state;
	char *text;

	hook(h, "20-b", 0755, "echo \"b $# $1\" >>\"$said\"");
	hook(h, "10-a", 0755,
	     "echo \"a $1\" >>\"$said\"; pwd >>\"$said\"; env | grep -vE '^(PWD|SHLVL|_|OLDPWD)=' "
	     "| sort >>\"$said\"");
	hook(h, ".hidden", 0755, "echo hidden >>\"$said\"");
	hook(h, "10-a~", 0755, "echo backup >>\"$said\"");
	hook(h, "15-plain", 0644, "echo plain >>\"$said\"");
	log_setup(LOG_LEVEL_ERROR);
	assert_true(run(h, "the argument", 10000)->ok);
	text = get_file(h->place, "said");
	assert_string_equal(text, "a the argument\n/\nMUSTER_NAME=node with blanks\nMUSTER_ROLE=\n"
				  "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/"
				  "bin\nb 1 the argument\n");
	free(text);
	/* without an argument there is none */
	must(fs_remove_tree(h->place->home.var_fd, "said", err));
	hook(h, "10-a", 0755, ":");
	assert_true(run(h, NULL, 10000)->ok);
	text = get_file(h->place, "said");
	assert_string_equal(text, "b 0 \n");
	free(text);
}

static void the_first_failure_ends_it(void **state)
{
	struct hooks *h = *state;

	hook(h, "10", 0755, "exit 7");
	hook(h, "20", 0755, "echo >\"$said\"");
	assert_false(run(h, NULL, 10000)->ok);
	assert_string_equal(h->result.text, "10: exit status 7");
	hook(h, "10", 0755, "kill -9 $$");
	assert_false(run(h, NULL, 10000)->ok);
	assert_string_equal(h->result.text, "10: killed by signal 9");
	must(fs_write_atomic(h->place->home.etc_fd, "hooks/10", "#!/no/such/program\n", 19, 0755,
			     err));
	assert_false(run(h, NULL, 10000)->ok);
	assert_string_equal(h->result.text, "10: exit status 126");
	assert_int_equal(access(h->said, F_OK), -1);
}

/* The number that a hook wrote, of a process that must be gone. */
static void expect_gone(struct hooks *h)
{
	char *text = get_file(h->place, "said");
	pid_t pid = (pid_t)atoi(text);

	assert_true(pid > 1);
	/* killed already, though whoever inherited it may not have collected it yet */
	for (int i = 0; kill(pid, 0) == 0 && i < 1000; i++) {
		char *path = text_format("/proc/%d/stat", (int)pid), state = '?';
		FILE *f = fopen(path, "r");

		if (f && fscanf(f, "%*d %*s %c", &state) != 1)
			state = '?';
		if (f)
			(void)fclose(f);
		free(path);
		if (state == 'Z' || state == 'X')
			break;
		(void)usleep(10000);
		assert_int_not_equal(i, 999);
	}
	free(text);
}

/* Ends what a hook left running on purpose. */
static void end_left(struct hooks *h)
{
	char *text = get_file(h->place, "said");
	pid_t pid = (pid_t)atoi(text);

	assert_true(pid > 1);
	assert_int_equal(kill(pid, SIGKILL), 0);
	free(text);
}

static void a_hang_is_killed_with_its_group(void **state)
{
	struct hooks *h = *state;

	hook(h, "10", 0755, "sleep 600 & echo $! >\"$said\"; wait");
	assert_false(run(h, NULL, 300)->ok);
	assert_string_equal(h->result.text, "10: did not end within 300 ms and was killed");
	expect_gone(h);
	/* so is what a hook leaves behind that fails */
	hook(h, "10", 0755, "sleep 600 & echo $! >\"$said\"; exit 1");
	assert_false(run(h, NULL, 10000)->ok);
	expect_gone(h);
}

/*
 * Hooks that start others without end: the group goes as a whole, and what left the group does not
 * hold anything up.
 */
static void forks_are_killed(void **state)
{
	struct hooks *h = *state;

	hook(h, "10", 0755,
	     "for i in 1 2 3 4 5 6 7 8; do (sleep 600 & sleep 600 & wait) & done; sleep 600 & echo "
	     "$! >\"$said\"; wait");
	assert_false(run(h, NULL, 500)->ok);
	assert_string_equal(h->result.text, "10: did not end within 500 ms and was killed");
	expect_gone(h);
	/* one that ended well is not waited for through the output that its children hold open */
	hook(h, "10", 0755, "setsid sleep 600 & echo $! >\"$said\"");
	assert_true(run(h, NULL, 60000)->ok);
	end_left(h);
}

/* All of them together have a limit too. */
static void the_total_ends_them(void **state)
{
	struct hooks *h = *state;

	hook(h, "10", 0755, "sleep 0.3; echo one >>\"$said\"");
	hook(h, "20", 0755, "sleep 600 & echo $! >\"$said\"; wait");
	hook(h, "30", 0755, "echo >\"$said.three\"");
	assert_false(run_total(h, 10000, 1500, false)->ok);
	assert_true(text_starts(h->result.text, "20: did not end within "));
	assert_in_range(atoi(h->result.text + strlen("20: did not end within ")), 1, 1200);
	expect_gone(h);
	hook(h, "20", 0755, "sleep 0.3");
	hook(h, "10", 0755, "while :; do :; done");
	assert_false(run_total(h, 200, 10000, false)->ok);
	assert_string_equal(h->result.text, "10: did not end within 200 ms and was killed");
	hook(h, "10", 0755, "exit 0");
	assert_true(run_total(h, 10000, 10000, false)->ok);
}

/* How often WORDS are in the file that the runner's log goes to. */
static unsigned logged(struct hooks *h, const char *words)
{
	char *text = get_file(h->place, "log");
	unsigned count = 0;

	for (const char *at = text; (at = strstr(at, words)); at++)
		count++;
	free(text);
	return count;
}

/* Starts the runner anew, with a log that can be read. */
static void log_to_file(struct hooks *h)
{
	char *path = home_var(&h->place->home, "log");
	int before = dup(2), fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	assert_true(before >= 0 && fd >= 0);
	proc_free(h->proc);
	(void)uv_run(&h->loop, UV_RUN_DEFAULT);
	log_setup(LOG_LEVEL_NOTICE);
	assert_int_equal(dup2(fd, 2), 2);
	must(proc_start(h->place->home.etc, &h->proc, err));
	assert_int_equal(dup2(before, 2), 2);
	log_setup(LOG_LEVEL_ERROR);
	must(proc_attach(h->proc, &h->loop, err));
	(void)close(before);
	(void)close(fd);
	free(path);
}

/* What a round says again is not in the log again; what is new is, until that is too much. */
static void rounds_do_not_fill_the_log(void **state)
{
	struct hooks *h = *state;

	log_to_file(h);
	hook(h, "10", 0755,
	     "echo 'no answer'; echo twice; echo twice; echo \"code $(cat \"$said\" 2>&1)\"; exit "
	     "1");
	hook(h, "05-plain", 0644, "");
	put_file(h->place, "said", "500");
	for (int i = 0; i < 5; i++)
		assert_false(run_total(h, 10000, 10000, i > 0)->ok);
	assert_int_equal(logged(h, "test 10: no answer"), 1);
	assert_int_equal(logged(h, "test 10: twice"), 2); /* in one round it says what it likes */
	assert_int_equal(logged(h, "test 10: code 500"), 1);
	assert_int_equal(logged(h, "is no executable file"), 1);
	put_file(h->place, "said", "502");
	assert_false(run_total(h, 10000, 10000, true)->ok);
	assert_int_equal(logged(h, "code 502"), 1);
	/* another call is no later round */
	assert_false(run_total(h, 10000, 10000, false)->ok);
	assert_int_equal(logged(h, "test 10: no answer"), 2);
	for (int i = 0; i < 8; i++) {
		char *round = text_format("%d", i);

		put_file(h->place, "said", round);
		hook(h, "10", 0755,
		     "n=$(cat \"$said\"); i=0; while [ $i -lt 150 ]; do i=$((i + 1)); echo \"new "
		     "$n $i\"; done");
		assert_true(run_total(h, 10000, 10000, i > 0)->ok);
		free(round);
	}
	assert_in_range(logged(h, "test 10: new"), 450, 512);
}

static void output_without_end(void **state)
{
	struct hooks *h = *state;

	hook(h, "10", 0755, "while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done");
	assert_false(run(h, NULL, 500)->ok);
	hook(h, "10", 0755, "head -c 1000000 /dev/zero; echo; exec >&- 2>&-; exit 0");
	assert_true(run(h, NULL, 10000)->ok);
}

/* A line without end is logged in pieces, and not all of it. */
static void a_line_without_end(void **state)
{
	struct hooks *h = *state;

	log_to_file(h);
	hook(h, "10", 0755, "head -c 102300 /dev/zero | tr '\\0' y");
	assert_true(run(h, NULL, 60000)->ok);
	assert_int_equal(logged(h, "test 10: yyy"), 100);
	hook(h, "10", 0755, "head -c 1000000 /dev/zero | tr '\\0' z");
	assert_true(run(h, NULL, 60000)->ok);
	assert_int_equal(logged(h, "test 10: zzz"), 200);
	assert_int_equal(logged(h, "test 10: its further output is dropped"), 1);
}

static void calls_wait_for_each_other(void **state)
{
	struct hooks *h = *state;
	char *env[] = {NULL}, *text;

	hook(h, "10", 0755, "echo \"$1 in\" >>\"$said\"; sleep 0.1; echo \"$1 out\" >>\"$said\"");
	for (int i = 0; i < 3; i++) {
		char name[2] = {(char)('a' + i), '\0'};

		proc_run(h->proc,
			 &(struct proc_call){.step = "test",
					     .folder = h->folder,
					     .argument = name,
					     .env = env,
					     .limit_ms = 10000},
			 on_done, h);
	}
	while (h->done < 3)
		(void)uv_run(&h->loop, UV_RUN_DEFAULT);
	text = get_file(h->place, "said");
	assert_string_equal(text, "a in\na out\nb in\nb out\nc in\nc out\n");
	free(text);
}

/*
 * What a daemon that was taken over might ask for: programs that it wrote itself, and variables
 * that load them.
 */
static void nothing_else_is_run(void **state)
{
	struct hooks *h = *state;
	const char *own = h->place->home.etc;
	char *folders[] = {home_var(&h->place->home, "hooks"),
			   text_format("%s/hooks/in", own),
			   text_format("%s/../var/hooks", own),
			   text_format("%s/..", own),
			   text_format("%s/.", own),
			   text_format("%s/", own),
			   text_copy(own),
			   text_format("%sx/hooks", own),
			   text_copy("hooks"),
			   text_copy("/")};
	const char *const bad[] = {"LD_PRELOAD=/x.so", "PATH=/x", "BASH_ENV=/x",
				   "MUSTER=1",         "",        "X=MUSTER_NAME=x"};
	char good[] = "MUSTER_NAME=x", *folder = h->folder,
	     *script = text_format("#!/bin/sh\necho ran >>'%s'\n", h->said);

	hook(h, "10", 0755, "echo ran >>\"$said\"");
	must(fs_make_dirs(h->place->home.etc_fd, "hooks/in", 0700, err));
	must(fs_write_atomic(h->place->home.etc_fd, "hooks/in/10", script, strlen(script), 0755,
			     err));
	must(fs_make_dirs(h->place->home.var_fd, "hooks", 0700, err));
	must(fs_write_atomic(h->place->home.var_fd, "hooks/10", script, strlen(script), 0755, err));
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		h->folder = folders[i];
		assert_false(run(h, NULL, 10000)->ok);
		assert_non_null(strstr(h->result.text, "not understood"));
		free(folders[i]);
	}
	h->folder = folder;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char *one = text_copy(bad[i]), *env[] = {good, one, NULL};
		struct proc_call call = {
			.step = "test", .folder = h->folder, .env = env, .limit_ms = 10000};

		proc_run(h->proc, &call, on_done, h);
		(void)uv_run(&h->loop, UV_RUN_DEFAULT);
		assert_false(h->result.ok);
		free(one);
	}
	assert_int_equal(access(h->said, F_OK), -1);
	must(fs_remove_tree(h->place->home.etc_fd, "hooks/in", err));
	assert_true(run(h, NULL, 10000)->ok);
	assert_int_equal(access(h->said, F_OK), 0);
	free(script);
}

/* The teardown stops it while one runs and one waits: both are answered, nothing outlives it. */
static void a_stop_answers_all(void **state)
{
	struct hooks *h = *state;
	char *env[] = {NULL};
	struct proc_call call = {
		.step = "test", .folder = h->folder, .env = env, .limit_ms = 60000};

	hook(h, "10", 0755, "echo $$ >\"$said.new\"; mv \"$said.new\" \"$said\"; exec sleep 600");
	proc_run(h->proc, &call, on_done, h);
	proc_run(h->proc, &call, on_done, h);
	for (int i = 0; access(h->said, F_OK) != 0; i++) {
		(void)uv_run(&h->loop, UV_RUN_NOWAIT);
		(void)usleep(10000);
		assert_true(i < 3000);
	}
	proc_free(h->proc);
	assert_int_equal(h->done, 2);
	assert_false(h->result.ok);
	while (uv_run(&h->loop, UV_RUN_DEFAULT) != 0)
		;
	expect_gone(h);
	must(proc_start(h->place->home.etc, &h->proc, err)); /* for the teardown */
	must(proc_attach(h->proc, &h->loop, err));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		hooks_test(no_folder_is_fine),
		hooks_test(in_order_with_their_environment),
		hooks_test(the_first_failure_ends_it),
		hooks_test(a_hang_is_killed_with_its_group),
		hooks_test(forks_are_killed),
		hooks_test(the_total_ends_them),
		hooks_test(rounds_do_not_fill_the_log),
		hooks_test(output_without_end),
		hooks_test(a_line_without_end),
		hooks_test(calls_wait_for_each_other),
		hooks_test(nothing_else_is_run),
		hooks_test(a_stop_answers_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
