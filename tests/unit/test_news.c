/*
 * The news of an admin, and the pack that may come with them, as the node's link takes them: in
 * pieces, cut off, too much, in between.
 */
#include "peer_fixture.h"

#include "core/limits.h"
#include "core/log.h"
#include "node/link.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RELEASE "0123456789abcdef0123456789abcdef01234567"
#define BASE	"fedcba9876543210fedcba9876543210fedcba98"

struct here {
	struct fixture *f;
	struct link *link;
	struct static_key *key;
	unsigned heads, fetched, downs;
	struct news last; /* its pack is PACK */
	struct buf pack;
	char reason[300];
};

static void on_tell(void *arg, struct control_message *message)
{
	(void)arg;
	control_add(message, "name", "n1");
	control_add(message, "role", "internal");
}

static void on_head(void *arg, struct news *news)
{
	struct here *h = arg;

	h->heads++;
	h->last = *news;
	buf_reset(&h->pack);
	buf_put(&h->pack, news->pack.data, news->pack.len);
}

static void on_changed(void *arg, bool up, const char *reason)
{
	struct here *h = arg;

	h->downs += !up;
	(void)snprintf(h->reason, sizeof(h->reason), "%s", reason ? reason : "");
}

static void on_fetched(void *arg)
{
	((struct here *)arg)->fetched++;
}

static const struct link_calls calls = {
	.tell = on_tell, .head = on_head, .changed = on_changed, .fetched = on_fetched};

static void admin_says(struct here *h, enum control_verb verb)
{
	say(h->f->admin.peer, verb);
}

static int setup(void **state)
{
	struct here *h = mem_new(1, sizeof(*h));

	(void)fixture_setup((void **)&h->f); /* asserts */
	h->key = random_key();
	buf_init(&h->pack, LIMIT_PUSHED_PACK);
	h->link = link_new(&h->f->loop, "127.0.0.1", h->f->port, h->f->keystore, h->key, &calls, h);
	spin_until(h->f, h->f->admin.calls[CALL_CONTROL] == 1);
	admin_says(h, CONTROL_REGISTERED);
	spin_until(h->f, link_up(h->link));
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
	buf_clear(&h->pack);
	free(h);
	return 0;
}

/* NULL: without that. */
static void tell(struct here *h, const char *release, const char *base, const char *pack)
{
	struct control_message message;

	control_start(&message, CONTROL_HEAD);
	control_add(&message, "release", release);
	control_add(&message, "sequence", "7");
	control_add(&message, "base", base);
	control_add(&message, "pack", pack);
	assert_non_null(h->f->admin.peer);
	peer_send_control(h->f->admin.peer, &message);
	control_clear(&message);
}

static void send_pack(struct here *h, const char *bytes)
{
	peer_send_git(h->f->admin.peer, bytes, strlen(bytes));
}

static void stays(struct here *h, unsigned heads)
{
	fixture_settle(h->f);
	assert_int_equal(h->heads, heads);
	assert_int_equal(h->downs, 0);
}

static void closes(struct here *h, const char *why)
{
	spin_until(h->f, h->downs == 1);
	assert_int_equal(h->heads, 0);
	assert_non_null(strstr(h->reason, why));
}

static void a_pack_in_pieces(void **state)
{
	struct here *h = *state;

	tell(h, RELEASE, BASE, "6");
	stays(h, 0); /* not before all of it is there */
	send_pack(h, "ab");
	stays(h, 0);
	send_pack(h, "cdef");
	spin_until(h->f, h->heads == 1);
	assert_int_equal(h->last.sequence, 7);
	assert_int_equal(h->last.base.id[0], 0xfe);
	assert_int_equal(h->pack.len, 6);
	assert_memory_equal(h->pack.data, "abcdef", 6);
	/* nothing of it is in the next ones */
	tell(h, RELEASE, NULL, NULL);
	spin_until(h->f, h->heads == 2);
	assert_int_equal(h->pack.len, 0);
	assert_true(oid_is_zero(&h->last.base));
}

/* A fetch that was asked for while a pack came: what was sent first is not the fetch's. */
static void a_fetch_in_between(void **state)
{
	struct here *h = *state;
	char bytes[64] = "";
	ssize_t n = -1;
	int fd;

	tell(h, RELEASE, BASE, "6");
	send_pack(h, "abc");
	stays(h, 0);
	assert_true(link_fetch(h->link, &fd));
	spin_until(h->f, strcmp(h->f->admin.word, "fetch") == 0);
	send_pack(h, "defREST");
	spin_until(h->f, h->heads == 1);
	assert_memory_equal(h->pack.data, "abcdef", 6);
	spin_until(h->f, (n = read(fd, bytes, sizeof(bytes))) > 0);
	assert_int_equal(n, 4);
	assert_memory_equal(bytes, "REST", 4);
	/* and the other way round: news with a pack while the fetch is under way */
	tell(h, RELEASE, BASE, "2");
	send_pack(h, "ghMORE");
	spin_until(h->f, h->heads == 2);
	assert_memory_equal(h->pack.data, "gh", 2);
	spin_until(h->f, (n = read(fd, bytes, sizeof(bytes))) > 0);
	assert_memory_equal(bytes, "MORE", 4);
	assert_int_equal(h->fetched, 0);
	assert_int_equal(close(fd), 0);
	spin_until(h->f, h->fetched == 1);
}

static void news_in_between(void **state)
{
	struct here *h = *state;

	tell(h, RELEASE, BASE, "6");
	send_pack(h, "abc");
	tell(h, RELEASE, NULL, NULL);
	closes(h, "before the pack of the last ones");
}

/* What was cut off is not told, and not mixed with what comes on the next connection. */
static void cut_off(void **state)
{
	struct here *h = *state;

	tell(h, RELEASE, BASE, "6");
	send_pack(h, "abc");
	fixture_settle(h->f);
	peer_close(h->f->admin.peer, "a test");
	closes(h, "closed");
	spin_until(h->f, h->f->admin.peer && strcmp(h->f->admin.word, "register") == 0);
	admin_says(h, CONTROL_REGISTERED);
	tell(h, RELEASE, BASE, "3");
	send_pack(h, "xyz");
	spin_until(h->f, h->heads == 1);
	assert_int_equal(h->pack.len, 3);
	assert_memory_equal(h->pack.data, "xyz", 3);
}

/* Bytes that nobody asked for go nowhere; a size without a base is none. */
static void bytes_of_nothing(void **state)
{
	struct here *h = *state;

	send_pack(h, "stray");
	tell(h, RELEASE, NULL, "5");
	send_pack(h, "stray");
	spin_until(h->f, h->heads == 1);
	stays(h, 1);
	assert_int_equal(h->pack.len, 0);
}

static void the_largest(void **state)
{
	struct here *h = *state;
	char *bytes = mem_new(LIMIT_PUSHED_PACK + 1, 1),
	     *size = text_format("%u", LIMIT_PUSHED_PACK);

	memset(bytes, 'x', LIMIT_PUSHED_PACK);
	tell(h, RELEASE, BASE, size);
	send_pack(h, bytes);
	spin_until(h->f, h->heads == 1);
	assert_int_equal(h->pack.len, LIMIT_PUSHED_PACK);
	free(bytes);
	free(size);
}

#define refused(name, release, base, pack, why)                                                    \
	static void name(void **state)                                                             \
	{                                                                                          \
		tell(*state, release, base, pack);                                                 \
		closes(*state, why);                                                               \
	}

refused(too_large, RELEASE, BASE, "16385", "sends a pack of 16385 bytes")
refused(far_too_large, RELEASE, BASE, "18446744073709551615", "sends a pack of")
refused(of_nothing, RELEASE, BASE, "0", "sends a pack of 0 bytes")
refused(without_size, RELEASE, BASE, NULL, "sends a pack of 0 bytes")
refused(with_no_number, RELEASE, BASE, "6x", "sends a pack of 0 bytes")
refused(on_no_base, RELEASE, "fedc", "6", "sends a pack of")
refused(of_no_release, NULL, BASE, "6", "sends a pack of")
refused(no_id, "0123", BASE, "6", "named no release")

int main(void)
{
#define news_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	static const struct CMUnitTest tests[] = {
		news_test(a_pack_in_pieces), news_test(a_fetch_in_between),
		news_test(news_in_between),  news_test(cut_off),
		news_test(bytes_of_nothing), news_test(the_largest),
		news_test(too_large),        news_test(far_too_large),
		news_test(of_nothing),       news_test(without_size),
		news_test(with_no_number),   news_test(on_no_base),
		news_test(of_no_release),    news_test(no_id),
	};

	_Static_assert(LIMIT_PUSHED_PACK == 16384, "what is one byte too many above");
	crypto_setup();
	log_setup(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
