/*
 * An admin that was restarted: its nodes come back soon, and not all at once; nor do they after a
 * long time.
 */
#include "peer_fixture.h"

#include "node/link.h"

#include <time.h>

enum { NODES = 50, DOWN_MS = 1000, WINDOW_MS = 50 };

/* Without a limit no node would come by itself for days, with one of none all would at once. */
#define LONG_MS (20 * 86400 * UINT64_C(1000))
enum { FIRST_MS = 10000, AT_ONCE_MS = 500, QUIET_MS = 20000 };

static uint64_t back[NODES]; /* ms: when it was registered again */
static unsigned fails[NODES]; /* dials that led nowhere, or connections that were lost */
static unsigned ups, pings;
static uint64_t passed; /* ms: by which the clock is ahead */

/* In place of the one that loop_now asks; the timers of the loop have their own. */
uint64_t uv_hrtime(void)
{
	struct timespec now;

	assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec + passed * 1000000;
}

struct member {
	struct link *link;
	struct static_key *key;
	size_t number;
};

static void on_tell(void *arg, struct control_message *message)
{
	char name[32];

	(void)snprintf(name, sizeof(name), "n%zu", ((struct member *)arg)->number); /* fits */
	control_add(message, "name", name);
	control_add(message, "role", "internal");
}

static void on_head(void *arg, struct news *news)
{
	(void)arg;
	(void)news;
}

static void on_changed(void *arg, bool up, const char *reason)
{
	const struct member *member = arg;

	(void)reason;
	if (!up) {
		fails[member->number]++;
		return;
	}
	back[member->number] = loop_now();
	ups++;
}

static void on_fetched(void *arg)
{
	(void)arg;
}

static const struct link_calls calls = {
	.tell = on_tell, .head = on_head, .changed = on_changed, .fetched = on_fetched};

/* The admin lets all in. */
static void side_act(struct side *side, enum call call, struct peer *peer)
{
	if (call == CALL_CONTROL && strcmp(side->word, "register") == 0)
		say(peer, CONTROL_REGISTERED);
	pings += call == CALL_CONTROL && strcmp(side->word, "ping") == 0;
}

static int by_time(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static struct member members[NODES];

static void go_up(struct fixture *f)
{
	ups = 0;
	f->admin.act = side_act;
	for (size_t i = 0; i < NODES; i++) {
		members[i] = (struct member){.key = random_key(), .number = i};
		members[i].link = link_new(&f->loop, "127.0.0.1", f->port, f->keystore,
					   members[i].key, &calls, members + i);
	}
	spin_until(f, ups == NODES);
	ups = 0;
}

static void end_admin(struct fixture *f)
{
	peers_free(f->admin.peers);
	f->admin.peers = NULL;
}

static void begin_admin(struct fixture *f)
{
	struct err err;

	f->admin.peers = peers_new(&f->loop, f->admin.key, &side_calls, &f->admin);
	assert_int_equal(peers_listen(f->admin.peers, "127.0.0.1", f->port, &err), 0);
}

static void go_down(struct fixture *f)
{
	for (size_t i = 0; i < NODES; i++) {
		link_free(members[i].link);
		fixture_settle(f);
		static_key_free(members[i].key);
	}
}

static void test_comeback(void **state)
{
	struct fixture *f = *state;
	uint64_t until;
	size_t most = 0;

	go_up(f);
	end_admin(f);
	for (until = loop_now() + DOWN_MS; loop_now() < until;)
		fixture_turn(f, 10);
	assert_int_equal(ups, 0);
	begin_admin(f);
	spin_until(f, ups == NODES);
	qsort(back, NODES, sizeof(back[0]), by_time);
	for (size_t i = 0; i < NODES; i++) {
		size_t n = 1;

		while (i + n < NODES && back[i + n] < back[i] + WINDOW_MS)
			n++;
		most = n > most ? n : most;
	}
	print_message("%d nodes back in %u ms, at most %zu of them in %d ms\n", NODES,
		      (unsigned)(back[NODES - 1] - back[0]), most, WINDOW_MS);
	go_down(f);
	assert_in_range(back[NODES - 1] - back[0], 200, 5000);
	assert_in_range(most, 1, NODES / 2);
}

static bool all_failed(void)
{
	for (size_t i = 0; i < NODES; i++)
		if (!fails[i])
			return false;
	return true;
}

static void test_long_away(void **state)
{
	struct fixture *f = *state;
	uint64_t began;

	go_up(f);
	end_admin(f);
	memset(fails, 0, sizeof(fails));
	spin_until(f, all_failed());
	passed = LONG_MS;
	memset(fails, 0, sizeof(fails));
	spin_until(f, all_failed());
	begin_admin(f);
	began = loop_now();
	while (loop_now() < began + AT_ONCE_MS || (ups == 0 && loop_now() < began + FIRST_MS))
		fixture_turn(f, 10);
	go_down(f);
	passed = 0;
	assert_in_range(ups, 1, NODES / 2);
}

/* Nothing is said for long: each node asks whether the admin is there, before silence ends it. */
static void test_quiet(void **state)
{
	struct fixture *f = *state;
	uint64_t began;

	go_up(f);
	pings = 0;
	passed = WAIT_PING + 1000;
	memset(fails, 0, sizeof(fails));
	began = loop_now();
	while (pings < NODES && loop_now() < began + QUIET_MS)
		fixture_turn(f, 10);
	go_down(f);
	passed = 0;
	assert_in_range(pings, NODES, 2 * NODES);
	for (size_t i = 0; i < NODES; i++)
		assert_int_equal(fails[i], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {peer_test(test_comeback), peer_test(test_long_away),
					   peer_test(test_quiet)};

	crypto_setup();
	log_setup(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
