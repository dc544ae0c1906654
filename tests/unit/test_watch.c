/*
 * The watch on main and the publications of a daemon, on a real loop: whatever way git moves main
 * is seen, bursts become one publication, and whoever waits gets the verdict on his commit.
 */
#include "admin_home.h"

#include "admin/admin.h"
#include "admin/watch.h"

#include <uv.h>

#define DEMO TEST_SRCDIR "/tests/fixtures/demo"

enum { DEADLINE = 60000 }; /* milliseconds: only a failed test waits as long */

static unsigned calls;

static void count_call(void *arg)
{
	(void)arg;
	calls++;
}

static void on_deadline(uv_timer_t *timer)
{
	(void)timer;
	fail_msg("nothing happened for %d ms", DEADLINE);
}

/* Runs the loop until *VALUE is at least WANTED. */
static void run_until(uv_loop_t *loop, const unsigned *value, unsigned wanted)
{
	uv_timer_t timer;

	assert_int_equal(uv_timer_init(loop, &timer), 0);
	assert_int_equal(uv_timer_start(&timer, on_deadline, DEADLINE, 0), 0);
	while (*value < wanted)
		(void)uv_run(loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&timer, NULL);
	(void)uv_run(loop, UV_RUN_NOWAIT);
}

/*
 * What is pending now; an event of inotify is there as soon as the command that caused it is over.
 */
static void drain(uv_loop_t *loop)
{
	for (int i = 0; i < 3; i++)
		(void)uv_run(loop, UV_RUN_NOWAIT);
}

static void close_loop(uv_loop_t *loop)
{
	(void)uv_run(loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(loop), 0);
}

static void test_watch_moves(void **unused)
{
	/* each moves main once */
	static const char *const moves[] = {
		"git commit -q --allow-empty -m one",
		"git commit -q --amend --allow-empty -m other",
		"git reset -q --hard HEAD~1",
		"git update-ref refs/heads/main topic",
		"git checkout -q -B main HEAD~1",
		"git merge -q --no-ff -m merged topic",
		"git push -q . +topic~1:main",
	};
	struct fixture *f = fixture_new();
	char *source = source_folder(f);
	struct watch *watch = NULL;
	struct err err;
	uv_loop_t loop;

	(void)unused;
	fixture_init(f, NULL);
	must_run(source, NULL, "git checkout -q -b topic");
	must_run(source, NULL, "git commit -q --allow-empty -m topic1");
	must_run(source, NULL, "git commit -q --allow-empty -m topic2");
	must_run(source, NULL, "git checkout -q main");
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(watch_new(&loop, &f->home, count_call, NULL, &watch, &err), 0);
	drain(&loop);
	for (size_t i = 0; i < sizeof(moves) / sizeof(moves[0]); i++) {
		calls = 0;
		if (run(source, NULL, moves[i]) != 0)
			fail_msg("%s", moves[i]);
		run_until(&loop, &calls, 1);
		drain(&loop);
		assert_int_equal(calls, 1);
	}
	/* what does not move main is not told: another branch, a tag, the index, packing */
	calls = 0;
	must_run(source, NULL, "git branch other");
	must_run(source, NULL, "git tag v1");
	write_text(source, "x.txt", "x");
	must_run(source, NULL, "git add x.txt");
	must_run(source, NULL, "git pack-refs --all");
	must_run(source, NULL, "git gc -q --prune=now");
	drain(&loop);
	assert_int_equal(calls, 0);
	/* and from packed refs on it is seen as before */
	must_run(source, NULL, "git commit -q -m packed");
	run_until(&loop, &calls, 1);
	calls = 0;
	must_run(source, NULL, "git pack-refs --all");
	must_run(source, NULL, "git update-ref -d refs/heads/main");
	must_run(source, NULL, "git update-ref refs/heads/main topic");
	run_until(&loop, &calls, 1);

	watch_free(watch);
	watch_free(NULL);
	calls = 0;
	must_run(source, NULL, "git update-ref refs/heads/main topic~1");
	close_loop(&loop);
	assert_int_equal(calls, 0);
	free(source);
	fixture_free(f);
}

/* The repository replaced by another (a restored backup, a clone). */
static void test_watch_replaced(void **unused)
{
	struct fixture *f = fixture_new();
	char *source = source_folder(f);
	struct watch *watch = NULL;
	struct err err;
	uv_loop_t loop;

	(void)unused;
	fixture_init(f, NULL);
	must_run(f->home.var, NULL, "cp -a admin/config copy");
	must_run("/", NULL, "git -C %s commit -q --allow-empty -m newer", source);
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(watch_new(&loop, &f->home, count_call, NULL, &watch, &err), 0);
	calls = 0;
	must_run(f->home.var, NULL, "mv admin/config old");
	must_run(f->home.var, NULL, "mv copy admin/config");
	run_until(&loop, &calls, 1);
	drain(&loop);
	calls = 0;
	must_run(source, NULL, "git commit -q --allow-empty -m seen");
	run_until(&loop, &calls, 1);
	calls = 0;
	must_run(source, NULL, "cp -a .git .git2");
	must_run(source, NULL, "rm -r .git");
	must_run(source, NULL, "mv .git2 .git");
	must_run(source, NULL, "git commit -q --allow-empty -m too");
	run_until(&loop, &calls, 1);
	watch_free(watch);
	close_loop(&loop);
	free(source);
	fixture_free(f);
}

/*
 * More happens in the work tree than the queue of events holds: a move that is lost in it is seen.
 */
static void test_watch_overflow(void **unused)
{
	struct fixture *f = fixture_new();
	char *source = source_folder(f), *path = text_format("%s/busy", source);
	FILE *file = fopen("/proc/sys/fs/inotify/max_queued_events", "re");
	struct watch *watch = NULL;
	unsigned limit = 0;
	struct err err;
	uv_loop_t loop;

	(void)unused;
	assert_non_null(file);
	assert_int_equal(fscanf(file, "%u", &limit), 1);
	(void)fclose(file);
	fixture_init(f, NULL);
	must_run(source, NULL, "git commit -q --allow-empty -m one");
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(watch_new(&loop, &f->home, count_call, NULL, &watch, &err), 0);
	drain(&loop);
	calls = 0;
	for (unsigned i = 0; i < limit / 2 + 100; i++) { /* two events at least, no two the same */
		int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

		assert_true(fd >= 0);
		(void)close(fd);
		assert_int_equal(unlink(path), 0);
	}
	must_run(source, NULL, "git update-ref refs/heads/main HEAD~1");
	run_until(&loop, &calls, 1);
	watch_free(watch);
	close_loop(&loop);
	free(path);
	free(source);
	fixture_free(f);
}

static void test_watch_nothing(void **unused)
{
	struct fixture *f = fixture_new();
	struct watch *watch = NULL;
	struct err err = {.code = ERR_NONE};
	uv_loop_t loop;

	(void)unused;
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(watch_new(&loop, &f->home, count_call, NULL, &watch, &err), -1);
	assert_null(watch);
	assert_true(text_starts(err.text, "watch"));
	close_loop(&loop);
	fixture_free(f);
}

/* --- the daemon's side --- */

struct daemon {
	struct fixture *f;
	char *source;
	uv_loop_t loop;
	struct admin *admin;
	unsigned published, changed, answered;
	size_t commits; /* of the last publication */
	bool refused;   /* likewise */
};

struct asked {
	struct daemon *daemon;
	unsigned answers;
	bool published, refused;
	struct oid source;
	char text[1024];
};

static void on_published(void *arg, const struct publication *publication)
{
	struct daemon *d = arg;

	d->published++;
	d->changed += (unsigned)publication_changed(publication);
	d->commits = publication->commits;
	d->refused = publication->refused;
}

static void on_answer(void *arg, const struct publication *publication, const struct err *err)
{
	struct asked *asked = arg;

	asked->answers++;
	asked->daemon->answered++;
	if (publication) {
		asked->refused = publication->refused;
		asked->published = !publication->refused;
		asked->source = publication->source;
	} else {
		(void)snprintf(asked->text, sizeof(asked->text), "%s", err->text);
	}
}

static struct daemon *daemon_new(void)
{
	struct daemon *d = mem_new(1, sizeof(*d));
	struct err err;

	d->f = fixture_new();
	fixture_init(d->f, DEMO);
	d->source = source_folder(d->f);
	assert_int_equal(uv_loop_init(&d->loop), 0);
	if (admin_start(&d->loop, &d->f->home, d->f->identity, on_published, d, &d->admin, &err) !=
	    0)
		fail_msg("%s", err.text);
	return d;
}

static void daemon_free(struct daemon *d)
{
	admin_stop(d->admin);
	close_loop(&d->loop);
	free(d->source);
	fixture_free(d->f);
	free(d);
}

static struct oid head(const struct daemon *d, const char *rev)
{
	char out[OUTPUT_MAX];
	struct oid oid;

	must_run(d->source, out, "git rev-parse %s", rev);
	out[OID_HEX] = '\0';
	assert_int_equal(oid_parse(out, &oid), 0);
	return oid;
}

static void commit(struct daemon *d, const char *ttl, const char *message)
{
	char *text = read_text(d->source, "tokens.xml"), *at = strstr(text, "<access-token-ttl>");
	char *changed = text_format("%.*s<access-token-ttl>%s%s", (int)(at - text), text, ttl,
				    strchr(at, '/') - 1);

	write_text(d->source, "tokens.xml", changed);
	must_run(d->source, NULL, "git commit -q -a -m %s", message);
	free(changed);
	free(text);
}

/* A start publishes; then each move of main does. */
static void test_daemon(void **unused)
{
	struct daemon *d = daemon_new();

	(void)unused;
	run_until(&d->loop, &d->published, 1);
	assert_int_equal(d->changed, 2);
	assert_true(admin_state(d->admin)->has_published);
	commit(d, "10", "ten");
	run_until(&d->loop, &d->published, 2);
	assert_int_equal(d->changed, 3);
	assert_null(admin_failure(d->admin));
	/* refused: told, and the state says so while what was published stays */
	write_text(d->source, "broken.xml", "<oops");
	must_run(d->source, NULL, "git -c filter.muster.clean=cat add broken.xml");
	must_run(d->source, NULL, "git -c filter.muster.clean=cat commit -q -n -m broken");
	run_until(&d->loop, &d->published, 3);
	assert_true(d->refused);
	assert_true(admin_state(d->admin)->has_refused && admin_state(d->admin)->has_published);
	daemon_free(d);
}

/* Twenty commits while the loop stands still, and any number of hints: two publications at most. */
static void test_burst(void **unused)
{
	struct daemon *d = daemon_new();
	struct oid last;

	(void)unused;
	run_until(&d->loop, &d->published, 1);
	for (int i = 0; i < 20; i++) {
		char *number = text_format("%d", 1000 + i);

		commit(d, number, number);
		free(number);
	}
	last = head(d, "main");
	run_until(&d->loop, &d->published, 2);
	drain(&d->loop);
	assert_int_equal(d->published, 2);
	assert_int_equal(d->commits, 20);
	assert_int_equal(d->changed, 3);
	assert_true(oid_equal(&admin_state(d->admin)->source, &last));
	daemon_free(d);
}

static void test_waiters(void **unused)
{
	struct daemon *d = daemon_new();
	struct asked first = {.daemon = d}, second = {.daemon = d}, any = {.daemon = d},
		     gone = {.daemon = d}, lost = {.daemon = d}, unknown = {.daemon = d};
	struct oid one, two, side, none = {.id = {3}};
	unsigned published;

	(void)unused;
	/* the first publication is on its way already: those who come now are for the next */
	commit(d, "10", "ten");
	one = head(d, "main");
	admin_publish(d->admin, &one, on_answer, &first);
	commit(d, "11", "eleven");
	two = head(d, "main");
	admin_publish(d->admin, &two, on_answer, &second);
	admin_publish(d->admin, NULL, on_answer, &any);
	admin_publish(d->admin, NULL, on_answer, &gone);
	admin_forget(d->admin, &gone);
	run_until(&d->loop, &d->answered, 3);
	assert_true(first.published && second.published && any.published);
	assert_true(oid_equal(&first.source, &two)); /* a descendant of it */
	assert_int_equal(first.answers, 1);
	assert_int_equal(gone.answers, 0);

	/* published before: answered at once, with what is published */
	admin_publish(d->admin, &one, on_answer, &first);
	run_until(&d->loop, &d->answered, 4);
	assert_int_equal(first.answers, 2);
	assert_true(first.published);

	/* on no main: an error that says so */
	must_run(d->source, NULL, "git checkout -q -b side");
	commit(d, "12", "aside");
	side = head(d, "HEAD");
	admin_publish(d->admin, &side, on_answer, &lost);
	admin_publish(d->admin, &none, on_answer, &unknown);
	run_until(&d->loop, &d->answered, 6);
	assert_false(lost.published || lost.refused || unknown.published || unknown.refused);
	assert_non_null(strstr(lost.text, "is not on main"));
	assert_non_null(strstr(unknown.text, "is not on main"));

	/* refused */
	must_run(d->source, NULL, "git checkout -q main");
	write_text(d->source, "broken.xml", "<oops");
	must_run(d->source, NULL, "git -c filter.muster.clean=cat add broken.xml");
	must_run(d->source, NULL, "git -c filter.muster.clean=cat commit -q -n -m broken");
	one = head(d, "main");
	published = d->published;
	admin_publish(d->admin, &one, on_answer, &second);
	run_until(&d->loop, &d->answered, 7);
	assert_true(second.refused);
	/* the event of that commit asks for no second publication of it */
	drain(&d->loop);
	assert_int_equal(d->published, published + 1);
	daemon_free(d);
}

/*
 * A fault of the machine: who waits is told, and it is tried again until it is over, without
 * another commit.
 */
static void test_failure(void **unused)
{
	struct daemon *d = daemon_new();
	struct asked asked = {.daemon = d};

	(void)unused;
	run_until(&d->loop, &d->published, 1);
	must_run(d->f->home.var, NULL, "mv admin/release.git away");
	commit(d, "10", "ten");
	admin_publish(d->admin, NULL, on_answer, &asked);
	run_until(&d->loop, &d->answered, 1);
	assert_false(asked.published || asked.refused);
	assert_non_null(strstr(asked.text, "release.git"));
	assert_non_null(admin_failure(d->admin));
	must_run(d->f->home.var, NULL, "mv away admin/release.git");
	run_until(&d->loop, &d->published, 2);
	assert_null(admin_failure(d->admin));
	assert_int_equal(d->changed, 3);
	daemon_free(d);
}

/* A lock that a disk did not let go of while it failed: nobody has to take it away. */
static void test_lock_left(void **unused)
{
	struct daemon *d = daemon_new();
	struct asked asked = {.daemon = d};

	(void)unused;
	run_until(&d->loop, &d->published, 1);
	write_text(d->f->folder, "var/admin/release.git/refs/heads/internal.lock", "");
	commit(d, "10", "ten");
	admin_publish(d->admin, NULL, on_answer, &asked);
	run_until(&d->loop, &d->answered, 1);
	/* it may be another's, at first */
	assert_non_null(strstr(asked.text, "is locked by another"));
	run_until(&d->loop, &d->published, 2);
	assert_null(admin_failure(d->admin));
	assert_int_equal(d->changed, 3);
	daemon_free(d);
}

/*
 * Stopped while a publication runs: waiters are answered, nothing is called later, no memory stays.
 */
static void test_stop(void **unused)
{
	struct daemon *d = daemon_new();
	struct asked asked = {.daemon = d};

	(void)unused;
	admin_publish(d->admin, NULL, on_answer, &asked);
	admin_stop(d->admin);
	admin_stop(d->admin);
	assert_int_equal(asked.answers, 1);
	assert_string_equal(asked.text, "the daemon stops");
	close_loop(&d->loop);
	assert_int_equal(d->published, 0);
	admin_stop(NULL);
	free(d->source);
	fixture_free(d->f);
	free(d);
}

static void stop_in_answer(void *arg, const struct publication *publication, const struct err *err)
{
	struct asked *asked = arg;

	on_answer(arg, publication, err);
	admin_stop(asked->daemon->admin);
}

static void test_stop_in_callback(void **unused)
{
	struct daemon *d = daemon_new();
	struct asked asked = {.daemon = d}, later = {.daemon = d};

	(void)unused;
	admin_publish(d->admin, NULL, stop_in_answer, &asked);
	admin_publish(d->admin, NULL, on_answer, &later);
	run_until(&d->loop, &d->answered, 2);
	assert_true(asked.published);
	assert_string_equal(later.text, "the daemon stops");
	close_loop(&d->loop);
	free(d->source);
	fixture_free(d->f);
	free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_watch_moves),
		cmocka_unit_test(test_watch_replaced),
		cmocka_unit_test(test_watch_overflow),
		cmocka_unit_test(test_watch_nothing),
		cmocka_unit_test(test_daemon),
		cmocka_unit_test(test_burst),
		cmocka_unit_test(test_waiters),
		cmocka_unit_test(test_failure),
		cmocka_unit_test(test_lock_left),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_stop_in_callback),
	};

	libraries_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
