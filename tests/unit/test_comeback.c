/* An admin that was restarted: its nodes come back soon, and not all at once. */
#include "peer_fixture.h"

#include "node/link.h"

enum { NODES = 50, DOWN_MS = 1000, WINDOW_MS = 50 };

static uint64_t back[NODES]; /* ms: when it was registered again */
static unsigned ups;

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
	if (!up)
		return;
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
}

static int by_time(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void test_comeback(void **state)
{
	static struct member members[NODES];
	struct fixture *f = *state;
	uint64_t until;
	struct err err;
	size_t most = 0;

	f->admin.act = side_act;
	for (size_t i = 0; i < NODES; i++) {
		members[i] = (struct member){.key = random_key(), .number = i};
		members[i].link = link_new(&f->loop, "127.0.0.1", f->port, f->keystore,
					   members[i].key, &calls, members + i);
	}
	spin_until(f, ups == NODES);
	ups = 0;
	peers_free(f->admin.peers);
	f->admin.peers = NULL;
	for (until = loop_now() + DOWN_MS; loop_now() < until;)
		fixture_turn(f, 10);
	assert_int_equal(ups, 0);
	f->admin.peers = peers_new(&f->loop, f->admin.key, &side_calls, &f->admin);
	assert_int_equal(peers_listen(f->admin.peers, "127.0.0.1", f->port, &err), 0);
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
	assert_in_range(back[NODES - 1] - back[0], 200, 5000);
	assert_in_range(most, 1, NODES / 2);
	for (size_t i = 0; i < NODES; i++) {
		link_free(members[i].link);
		fixture_settle(f);
		static_key_free(members[i].key);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {peer_test(test_comeback)};

	crypto_setup();
	log_setup(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
