/* The publications of a daemon: see admin.h. */
#include "admin/admin.h"

#include "admin/setup.h"
#include "admin/watch.h"
#include "core/limits.h"
#include "core/log.h"
#include "core/loop.h"
#include "repo/git.h"
#include "repo/tidy.h"

#include <stdlib.h>
#include <string.h>

struct waiter {
	struct waiter *next;
	admin_done_fn *done; /* NULL: forgotten */
	void *arg;
	bool has_commit;
	struct oid commit;
	bool taken;   /* the publication that runs began after it came */
	bool on_main; /* set by that publication */
};

/* One publication: belongs to the worker thread until it is done. */
struct run {
	struct admin *admin;
	const struct home *home;
	struct identity *identity;
	struct oid *commits; /* of those who wait for one */
	bool *on_main;
	size_t commit_count;
	bool unlock; /* several failed before it */
	int rc;
	struct publication publication;
	struct admin_state state;
	struct err err;
};

enum { UNLOCK_AFTER = 4 * WAIT_BACKOFF_MIN }; /* the back-off after three failures */

struct admin {
	uv_loop_t *loop;
	const struct home *home;
	const struct identity *identity;
	admin_published_fn *published;
	void *arg;
	struct watch *watch;
	struct tidy *tidy; /* of release.git */
	uv_timer_t retry;
	uint32_t backoff; /* milliseconds until a failed publication is tried again */
	bool running;     /* a publication is on a worker thread */
	bool dirty;       /* main moved since that one began */
	bool stopped;
	bool closed;            /* the timer's handle is */
	struct waiter *waiters; /* in the order they came */
	struct oid source;      /* what the last publication looked at; zero before the first */
	struct admin_state state;
	char *failure;
};

static void begin(struct admin *admin);

static void admin_free_if_idle(struct admin *admin)
{
	if (!admin->stopped || admin->running || !admin->closed)
		return;
	state_clear(&admin->state);
	free(admin->failure);
	free(admin);
}

static void answer(struct waiter *waiter, const struct publication *publication,
		   const struct err *err)
{
	if (waiter->done)
		waiter->done(waiter->arg, publication, err);
	free(waiter);
}

/*
 * Which commits that are waited for are in what was looked at. On the worker thread: it reads
 * objects.
 */
static void find_commits(struct run *run)
{
	char *path = home_var(run->home, ADMIN_SOURCE);
	struct repo *source = NULL;

	if (run->commit_count && repo_open(path, &source, &run->err) == 0)
		for (size_t i = 0; i < run->commit_count; i++)
			/* an unknown commit is not on main either */
			(void)repo_descends(source, &run->publication.source, run->commits + i,
					    run->on_main + i, NULL);
	repo_free(source);
	free(path);
}

static void work(void *arg)
{
	struct run *run = arg;
	struct admin_input in = {.home = run->home, .identity = run->identity};
	struct err why;

	/* what is still wrong the publication will say */
	if (run->unlock && setup_unlock(run->home, &why) != 0)
		log_debug("publish", "", "%s", why.text);
	run->rc = cycle_run(&in, &run->publication, &run->err);
	if (run->rc == 0)
		find_commits(run);
	(void)state_read(run->home->var_fd, &run->state, NULL); /* empty when there is none */
}

static void run_free(struct run *run)
{
	identity_free(run->identity);
	free(run->commits);
	free(run->on_main);
	publication_clear(&run->publication);
	state_clear(&run->state);
	free(run);
}

/* Answers those whom this publication could see; DONE may bring new waiters or take others away. */
static void answer_taken(struct admin *admin, const struct run *run)
{
	struct waiter *waiter;
	size_t i = 0;

	for (waiter = admin->waiters; waiter; waiter = waiter->next)
		if (waiter->taken && waiter->has_commit)
			waiter->on_main = run->on_main[i++];
	for (;;) {
		struct waiter **at = &admin->waiters;
		struct err err = {.code = ERR_NONE};
		char hex[OID_HEX_SIZE];

		while (*at && !(*at)->taken)
			at = &(*at)->next;
		waiter = *at;
		if (!waiter)
			return;
		*at = waiter->next;
		if (run->rc == 0 && waiter->has_commit && !waiter->on_main)
			(void)err_set(&err, ERR_REFUSED,
				      "commit %s is not on main: publish by moving main to it",
				      oid_hex(&waiter->commit, hex));
		else if (run->rc != 0)
			err = run->err;
		answer(waiter, err.code == ERR_NONE ? &run->publication : NULL,
		       err.code == ERR_NONE ? NULL : &err);
	}
}

static void on_retry(uv_timer_t *timer)
{
	begin(timer->data);
}

/* A full disk has space again some time; a main that is not there is told by the watch. */
static void failed(struct admin *admin, const struct err *err)
{
	char *text = text_copy(err->text);

	if (!admin->failure || strcmp(admin->failure, text) != 0)
		log_error("publish", "", "failed: %s", text);
	free(admin->failure);
	admin->failure = text;
	admin->backoff = admin->backoff ? admin->backoff * 2 : WAIT_BACKOFF_MIN;
	if (admin->backoff > WAIT_BACKOFF_MAX)
		admin->backoff = WAIT_BACKOFF_MAX;
	(void)uv_timer_start(&admin->retry, on_retry, admin->backoff,
			     0); /* fails only when closing */
}

static void succeeded(struct admin *admin)
{
	free(admin->failure);
	admin->failure = NULL;
	admin->backoff = 0;
	(void)uv_timer_stop(&admin->retry); /* never fails */
}

/* Whoever is called may publish again or stop us: both wait until the run is over. */
static void tell(struct admin *admin, struct run *run)
{
	state_clear(&admin->state);
	admin->state = run->state;
	run->state = (struct admin_state){.has_published = false};
	if (run->rc == 0) {
		succeeded(admin);
		admin->source = run->publication.source;
		admin->published(admin->arg, &run->publication);
		/* after the nodes were told: it takes its time on a worker */
		if (!admin->stopped)
			tidy_look(admin->tidy);
	} else {
		failed(admin, &run->err);
	}
	answer_taken(admin, run);
}

/* Whether main is at the commit that was looked at last, so that an event tells nothing new. */
static bool main_is_known(const struct admin *admin)
{
	return !admin->failure && watch_is_at(admin->watch, &admin->source);
}

static void done(void *arg)
{
	struct run *run = arg;
	struct admin *admin = run->admin;

	if (!admin->stopped)
		tell(admin, run);
	if (!admin->stopped && !admin->waiters && main_is_known(admin))
		admin->dirty = false;
	run_free(run);
	admin->running = false;
	if (admin->stopped)
		admin_free_if_idle(admin);
	else if (admin->dirty)
		begin(admin);
}

static void take_waiters(struct admin *admin, struct run *run)
{
	struct waiter *waiter;
	size_t count = 0;

	for (waiter = admin->waiters; waiter; waiter = waiter->next)
		count++;
	run->commits = mem_new(count, sizeof(*run->commits));
	run->on_main = mem_new(count, sizeof(*run->on_main));
	for (waiter = admin->waiters; waiter; waiter = waiter->next) {
		waiter->taken = true;
		if (waiter->has_commit)
			run->commits[run->commit_count++] = waiter->commit;
	}
}

static void begin(struct admin *admin)
{
	struct run *run;

	if (admin->stopped)
		return;
	if (admin->running) {
		admin->dirty = true;
		return;
	}
	run = mem_new(1, sizeof(*run));
	run->admin = admin;
	run->home = admin->home;
	run->identity = identity_copy(admin->identity);
	/* a lock that is there that long is nobody's: git has one for a moment */
	run->unlock = admin->backoff >= UNLOCK_AFTER;
	take_waiters(admin, run);
	admin->dirty = false;
	admin->running = true;
	loop_work(admin->loop, work, done, run);
}

static void on_main_moved(void *arg)
{
	struct admin *admin = arg;

	log_debug("watch", "main", "moved");
	if (admin->running || !main_is_known(admin))
		begin(admin);
}

int admin_start(uv_loop_t *loop, const struct home *home, const struct identity *identity,
		admin_published_fn *published, void *arg, struct admin **out, struct err *err)
{
	struct admin *admin = mem_new(1, sizeof(*admin));
	char *releases = home_var(home, ADMIN_RELEASES);

	*admin = (struct admin){.loop = loop,
				.home = home,
				.identity = identity,
				.published = published,
				.arg = arg,
				.tidy = tidy_new(loop, releases)};
	free(releases);
	/* the watch comes before the first look, so no move falls between them */
	if (watch_new(loop, home, on_main_moved, admin, &admin->watch, err) != 0) {
		tidy_free(admin->tidy);
		free(admin);
		return -1;
	}
	(void)uv_timer_init(loop, &admin->retry); /* never fails */
	admin->retry.data = admin;
	begin(admin);
	*out = admin;
	return 0;
}

void admin_publish(struct admin *admin, const struct oid *commit, admin_done_fn *done_fn, void *arg)
{
	struct waiter *waiter = mem_new(1, sizeof(*waiter)), **at = &admin->waiters;

	*waiter = (struct waiter){.done = done_fn, .arg = arg, .has_commit = commit != NULL};
	if (commit)
		waiter->commit = *commit;
	while (*at)
		at = &(*at)->next;
	*at = waiter;
	begin(admin);
}

void admin_forget(struct admin *admin, const void *arg)
{
	/*
	 * the memory stays until the answer that nobody hears: a running publication counts its
	 * waiters
	 */
	for (struct waiter *waiter = admin->waiters; waiter; waiter = waiter->next)
		if (waiter->arg == arg)
			waiter->done = NULL;
}

const struct admin_state *admin_state(const struct admin *admin)
{
	return &admin->state;
}

const char *admin_failure(const struct admin *admin)
{
	return admin->failure;
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct admin *admin = handle->data;

	admin->closed = true;
	admin_free_if_idle(admin);
}

void admin_stop(struct admin *admin)
{
	const struct err err = {.code = ERR_RETRY, .text = "the daemon stops"};
	struct waiter *waiter;

	if (!admin || admin->stopped)
		return;
	admin->stopped = true;
	watch_free(admin->watch);
	tidy_free(admin->tidy);
	uv_close((uv_handle_t *)&admin->retry, on_timer_closed);
	while ((waiter = admin->waiters)) {
		admin->waiters = waiter->next;
		answer(waiter, NULL, &err);
	}
}
