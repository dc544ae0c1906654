/* Versions mix: the node of today at admins of the first version and of later ones. */
#include "peer_fixture.h"

#include "peer_words.h"

#include "node/link.h"

struct heard {
	unsigned heads, ups, downs;
	struct oid release;
	uint64_t sequence;
	char reason[300];
};

struct here {
	struct fixture *f;
	struct link *link;
	struct static_key *key;
	struct heard heard;
};

static char unknown_verb[CONTROL_WORD_MAX + 1];
static unsigned registers, unknowns;

static void on_tell(void *arg, struct control_message *message)
{
	(void)arg;
	control_add(message, "name", "n1");
	control_add(message, "role", "internal");
}

static void on_head(void *arg, struct news *news)
{
	struct heard *heard = &((struct here *)arg)->heard;

	heard->heads++;
	heard->release = news->release;
	heard->sequence = news->sequence;
}

static void on_changed(void *arg, bool up, const char *reason)
{
	struct heard *heard = &((struct here *)arg)->heard;

	*(up ? &heard->ups : &heard->downs) += 1;
	(void)snprintf(heard->reason, sizeof(heard->reason), "%s", reason ? reason : "");
}

static void on_fetched(void *arg)
{
	(void)arg;
}

static const struct link_calls calls = {
	.tell = on_tell, .head = on_head, .changed = on_changed, .fetched = on_fetched};

static int setup(void **state)
{
	struct here *h = mem_new(1, sizeof(*h));

	(void)fixture_setup((void **)&h->f); /* asserts */
	h->key = random_key();
	registers = unknowns = 0;
	h->link = link_new(&h->f->loop, "127.0.0.1", h->f->port, h->f->keystore, h->key, &calls, h);
	spin_until(h->f, h->f->admin.calls[CALL_CONTROL] == 1);
	assert_string_equal(h->f->admin.word, "register");
	*state = h;
	return 0;
}

static int teardown(void **state)
{
	struct here *h = *state;

	link_free(h->link);
	/* asserts; the loop ends with the link's last handle */
	(void)fixture_teardown((void **)&h->f);
	static_key_free(h->key);
	free(h);
	return 0;
}

static void admin_says(struct here *h, const char *name)
{
	struct control_message message;

	words_parse(name, &message);
	assert_non_null(h->f->admin.peer);
	peer_send_control(h->f->admin.peer, &message);
	control_clear(&message);
}

/* The node still answers, so that whatever it would have said to what came before is there. */
static void must_hear(struct here *h, const char *word)
{
	size_t before = h->f->admin.calls[CALL_CONTROL];

	spin_until(h->f, h->f->admin.calls[CALL_CONTROL] > before);
	assert_string_equal(h->f->admin.word, word);
}

static void must_stay(struct here *h)
{
	fixture_settle(h->f);
	assert_int_equal(h->heard.downs, 0);
	assert_non_null(h->f->admin.peer);
}

static void test_first_version(void **state)
{
	struct here *h = *state;

	admin_says(h, "admin-1-registered");
	spin_until(h->f, h->heard.ups == 1);
	assert_false(link_waits(h->link)); /* it knows of no approval */
	admin_says(h, "admin-1-head-none");
	spin_until(h->f, h->heard.heads == 1);
	assert_int_equal(h->heard.sequence, 0);
	admin_says(h, "admin-1-head");
	spin_until(h->f, h->heard.heads == 2);
	assert_int_equal(h->heard.sequence, 7);
	assert_int_equal(h->heard.release.id[1], 0x23);
	admin_says(h, "admin-1-pong");
	must_stay(h);
}

static void test_later_keys(void **state)
{
	struct here *h = *state;

	admin_says(h, "admin-later-registered");
	spin_until(h->f, h->heard.ups == 1);
	admin_says(h, "admin-later-head");
	spin_until(h->f, h->heard.heads == 1);
	assert_int_equal(h->heard.sequence, 7);
	must_stay(h);
}

static void side_act(struct side *side, enum call call, struct peer *peer)
{
	(void)peer;
	if (call != CALL_CONTROL)
		return;
	if (strcmp(side->word, "unknown") == 0)
		unknowns++;
	if (strcmp(side->word, "register") == 0)
		registers++;
	memcpy(unknown_verb, side->word, sizeof(unknown_verb));
}

/* Answered `unknown`; what only a node says likewise; `unknown` itself never. */
static void test_later_verb(void **state)
{
	struct here *h = *state;

	h->f->admin.act = side_act;
	admin_says(h, "admin-1-registered");
	spin_until(h->f, h->heard.ups == 1);
	admin_says(h, "admin-later-verb");
	must_hear(h, "unknown");
	admin_says(h, "node-1-fetch");
	must_hear(h, "unknown");
	assert_int_equal(unknowns, 2);
	admin_says(h, "either-1-unknown");
	must_stay(h);
	assert_int_equal(unknowns, 2);
	assert_int_equal(registers, 0);
}

static void test_refused(void **state)
{
	struct here *h = *state;

	admin_says(h, "admin-1-refused");
	spin_until(h->f, h->heard.downs == 1);
	if (!strstr(h->heard.reason, "belongs to another node"))
		fail_msg("\"%s\"", h->heard.reason);
	assert_false(link_up(h->link));
}

/* By one that gives no reason, in words of its own. */
static void test_refused_without_a_word(void **state)
{
	struct control_message message;
	struct here *h = *state;

	control_start(&message, CONTROL_REFUSED);
	control_add(&message, "why", "later versions have another key for it");
	peer_send_control(h->f->admin.peer, &message);
	control_clear(&message);
	spin_until(h->f, h->heard.downs == 1);
	assert_non_null(strstr(h->heard.reason, "it does not say why"));
}

#define link_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		link_test(test_first_version),
		link_test(test_later_keys),
		link_test(test_later_verb),
		link_test(test_refused),
		link_test(test_refused_without_a_word),
	};

	crypto_setup();
	log_setup(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
