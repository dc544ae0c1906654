/*
 * The pack cache: built once for all who ask, given back at any time, bounded, and closed in the
 * middle.
 */
#include "channel/packcache.h"
#include "core/limits.h"
#include "core/loop.h"

#include "repo_fixture.h"

#include <uv.h>

enum { RELEASES = 4, ASKERS = 50 };

struct here {
	struct fixture *f;
	uv_loop_t loop;
	struct packcache *cache;
	struct oid chain[RELEASES];
};

/* One who asks. */
struct asker {
	struct here *here;
	struct pack_ticket *ticket;
	unsigned called;
	bool good;
	size_t size;
	char error[1024];
	void (*act)(struct asker *asker);
};

static int setup(void **state)
{
	struct here *h = mem_new(1, sizeof(*h));
	void *fixture = NULL;

	assert_int_equal(fixture_setup(&fixture), 0);
	h->f = fixture;
	put_chain(h->f, RELEASES, h->chain);
	assert_int_equal(uv_loop_init(&h->loop), 0);
	h->cache = packcache_new(&h->loop, h->f->path);
	*state = h;
	return 0;
}

static void run_out(struct here *h)
{
	(void)uv_run(&h->loop, UV_RUN_DEFAULT); /* until no work is left */
}

static int teardown(void **state)
{
	struct here *h = *state;
	void *fixture = h->f;

	packcache_free(h->cache);
	run_out(h);
	assert_int_equal(uv_loop_close(&h->loop), 0);
	free(h);
	return fixture_teardown(&fixture);
}

static void on_ready(void *arg, const uint8_t *pack, size_t size, const struct err *err)
{
	struct asker *a = arg;

	a->called++;
	a->good = pack != NULL;
	a->size = size;
	if (pack)
		assert_memory_equal(pack, "PACK", 4);
	else
		(void)snprintf(a->error, sizeof(a->error), "%s", err->text);
	if (a->act)
		a->act(a);
}

static void ask(struct here *h, struct asker *a, unsigned tip, unsigned common)
{
	*a = (struct asker){.here = h, .act = a->act};
	a->ticket = packcache_ask(h->cache, h->chain + tip, common ? h->chain + common - 1 : NULL,
				  on_ready, a);
}

static struct packcache_stats stats(struct here *h)
{
	struct packcache_stats out;

	packcache_stats(h->cache, &out);
	return out;
}

static void give_back(struct asker *a)
{
	packcache_give_back(a->ticket);
	a->ticket = NULL;
}

static void test_built_once(void **state)
{
	struct asker askers[ASKERS] = {{0}};
	struct here *h = *state;
	const uint8_t *pack;
	size_t size;

	for (int i = 0; i < ASKERS; i++) {
		ask(h, askers + i, 3, 0);
		assert_null(packcache_pack(askers[i].ticket, &size));
		assert_int_equal(size, 0);
		assert_int_equal(askers[i].called, 0); /* never from within */
	}
	run_out(h);
	pack = packcache_pack(askers[0].ticket, &size);
	for (int i = 0; i < ASKERS; i++) {
		assert_int_equal(askers[i].called, 1);
		assert_true(askers[i].good);
		assert_ptr_equal(packcache_pack(askers[i].ticket, &size),
				 pack); /* the same bytes */
		assert_int_equal(size, askers[i].size);
		give_back(askers + i);
	}
	assert_int_equal(stats(h).built, 1);
	assert_int_equal(stats(h).hits, ASKERS - 1);
	assert_int_equal(stats(h).bytes, askers[0].size);
	ask(h, askers, 3, 0); /* there at once, and nobody is called */
	assert_non_null(packcache_pack(askers[0].ticket, &size));
	run_out(h);
	assert_int_equal(askers[0].called, 0);
	give_back(askers);
}

static void test_what_is_asked(void **state)
{
	struct asker a = {0}, b = {0}, c = {0};
	struct here *h = *state;

	ask(h, &a, 3, 0);
	ask(h, &b, 3, 1);
	ask(h, &c, 2, 0);
	run_out(h);
	assert_int_equal(stats(h).built, 3);
	assert_true(a.size > b.size);
	assert_true(a.size > c.size);
	give_back(&a);
	give_back(&b);
	give_back(&c);
}

static void test_fails(void **state)
{
	struct asker a = {0}, b = {0}, c = {0};
	struct here *h = *state;
	size_t size;

	memset(&h->chain[3], 0xee, OID_SIZE); /* no such release */
	ask(h, &a, 3, 0);
	ask(h, &b, 3, 0);
	ask(h, &c, 0, 2); /* what is in common is newer */
	run_out(h);
	assert_true(a.called == 1 && b.called == 1 && c.called == 1);
	assert_false(a.good || b.good || c.good);
	assert_true(strlen(a.error) > 0);
	assert_non_null(strstr(c.error, "does not descend"));
	assert_null(packcache_pack(a.ticket, &size));
	assert_int_equal(stats(h).built, 0);
	assert_int_equal(stats(h).bytes, 0);
	give_back(&a);
	/* who asks next tries again, also while one still holds the failure */
	h->chain[3] = h->chain[2];
	ask(h, &a, 3, 0);
	run_out(h);
	assert_true(a.good);
	give_back(&a);
	give_back(&b);
	give_back(&c);
}

/* A repository that is not there yet, and then is. */
static void test_late_repository(void **state)
{
	struct here *h = *state;
	char *path = text_format("%s/later.git", h->f->folder);
	struct asker a = {0};

	packcache_free(h->cache);
	h->cache = packcache_new(&h->loop, path);
	ask(h, &a, 3, 0);
	run_out(h);
	assert_false(a.good);
	give_back(&a);
	sh(h->f->folder, "cp -r a.git later.git");
	ask(h, &a, 3, 0);
	run_out(h);
	assert_true(a.good);
	give_back(&a);
	free(path);
}

static void test_given_back_before(void **state)
{
	struct asker a = {0}, b = {0}, c = {0};
	struct here *h = *state;

	ask(h, &a, 3, 0); /* is being built */
	ask(h, &b, 3, 1); /* waits */
	ask(h, &c, 3, 2); /* waits, for two */
	give_back(&a);
	give_back(&b);
	run_out(h);
	assert_int_equal(a.called, 0);
	assert_int_equal(b.called, 0);
	assert_true(c.called == 1 && c.good);
	/* the one that waited and that nobody wanted any more was not built */
	assert_int_equal(stats(h).built, 2);
	give_back(&c);
	packcache_give_back(NULL);
}

static void give_all_back(struct asker *a)
{
	while (a->act) /* the array ends with one that has none */
		give_back(a++);
}

/* Who is told first gives every ticket back: the others are not told. */
static void test_given_back_within(void **state)
{
	struct asker askers[4] = {
		{.act = give_all_back}, {.act = give_all_back}, {.act = give_all_back}};
	struct here *h = *state;
	unsigned told = 0;

	/* the newest ticket is told first: it is the first of the array */
	for (int i = 2; i >= 0; i--)
		ask(h, askers + i, 3, 0);
	run_out(h);
	for (int i = 0; i < 3; i++)
		told += askers[i].called;
	assert_int_equal(told, 1);
}

static void ask_again(struct asker *a)
{
	if (a->called > 3)
		return;
	packcache_give_back(a->ticket);
	a->ticket = packcache_ask(a->here->cache, a->here->chain + 3, NULL, on_ready, a);
}

static void test_ask_within(void **state)
{
	struct asker a = {.act = ask_again};
	struct here *h = *state;

	ask(h, &a, 3, 0);
	run_out(h);
	assert_int_equal(a.called, 1); /* it is there */
	give_back(&a);
	a.act = ask_again;
	memset(&h->chain[3], 0xee, OID_SIZE);
	ask(h, &a, 3, 0);
	run_out(h);
	assert_int_equal(a.called, 4); /* tried anew each time, from the loop */
	give_back(&a);
}

static void free_cache(struct asker *a)
{
	give_back(a);
	packcache_free(a->here->cache);
	a->here->cache = NULL;
}

static void test_free_within(void **state)
{
	struct asker a = {.act = free_cache};
	struct here *h = *state;

	ask(h, &a, 3, 0);
	run_out(h);
	assert_int_equal(a.called, 1);
	assert_null(h->cache);
}

static void test_free_while_building(void **state)
{
	struct here *h = *state;

	for (int i = 0; i < 20; i++) {
		struct asker a = {0}, b = {0};

		ask(h, &a, 3, 0);
		ask(h, &b, 2, 0);
		if (i % 2)
			(void)uv_run(&h->loop, UV_RUN_NOWAIT);
		give_back(&a);
		give_back(&b);
		packcache_free(h->cache);
		h->cache = packcache_new(&h->loop, h->f->path);
	}
	run_out(h);
}

/*
 * Large packs: what no one holds goes, oldest use first; while too much is held, nothing is begun.
 */
static void test_bounds(void **state)
{
	enum { COUNT = 4, SIZE = 22 << 20 };
	struct asker askers[COUNT] = {{0}}, late = {0};
	struct here *h = *state;
	struct oid tips[COUNT];
	char *noise = mem_new(SIZE + 1, 1);
	size_t size;

	static_assert((size_t)SIZE * 3 > LIMIT_PACK_CACHE, "three are too much");
	for (int i = 0; i < COUNT; i++) {
		struct release r;

		crypto_random(noise, SIZE);
		for (size_t at = 0; at < SIZE; at++)
			if (!noise[at])
				noise[at] = 'x';
		r = new_release(h->f->repo, 1, NULL, noise, h->f->keys[ADMIN]);
		tips[i] = put_release(h->f->repo, &r, h->f->seeds[ADMIN]);
	}
	free(noise);
	memcpy(h->chain, tips, sizeof(tips));
	for (unsigned i = 0; i < 3; i++)
		ask(h, askers + i, i, 0);
	run_out(h);
	for (unsigned i = 0; i < 3; i++)
		assert_true(askers[i].good);
	assert_true(stats(h).bytes > LIMIT_PACK_CACHE); /* all are held: one more than the limit */
	ask(h, &late, 3, 0);
	run_out(h);
	assert_int_equal(late.called, 0);
	give_back(askers); /* the first goes, there is room */
	run_out(h);
	assert_true(late.called == 1 && late.good);
	for (unsigned i = 1; i < 3; i++)
		give_back(askers + i);
	give_back(&late);
	assert_true(stats(h).bytes <= LIMIT_PACK_CACHE);
	ask(h, &late, 3, 0); /* the last used one is still there */
	assert_non_null(packcache_pack(late.ticket, &size));
	give_back(&late);
}

/* Small ones are not kept for ever either: those go that nobody took for longest. */
static void test_kept(void **state)
{
	enum { COUNT = 48, PAIRS = COUNT * (COUNT - 1) / 2 };
	struct here *h = *state;
	struct oid chain[COUNT];
	struct asker a = {.here = h};
	uint64_t built;
	size_t size;

	static_assert(PAIRS > LIMIT_PACKS_KEPT, "all are more than are kept");
	put_chain(h->f, COUNT, chain);
	for (unsigned tip = 1; tip < COUNT; tip++) {
		for (unsigned common = 0; common < tip; common++) {
			a.ticket = packcache_ask(h->cache, chain + tip, chain + common, on_ready,
						 &a);
			run_out(h);
			give_back(&a);
		}
		/* the first is used again and again */
		a.ticket = packcache_ask(h->cache, chain + 1, chain, on_ready, &a);
		assert_non_null(packcache_pack(a.ticket, &size));
		give_back(&a);
	}
	built = stats(h).built;
	assert_int_equal(built, PAIRS);
	a.ticket = packcache_ask(h->cache, chain + COUNT - 1, chain + COUNT - 2, on_ready, &a);
	assert_non_null(packcache_pack(a.ticket, &size));
	give_back(&a);
	a.ticket = packcache_ask(h->cache, chain + 2, chain, on_ready, &a);
	assert_null(packcache_pack(a.ticket, &size));
	run_out(h);
	give_back(&a);
	assert_int_equal(stats(h).built, built + 1);
}

#define cache_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cache_test(test_built_once),	   cache_test(test_what_is_asked),
		cache_test(test_fails),		   cache_test(test_late_repository),
		cache_test(test_given_back_before), cache_test(test_given_back_within),
		cache_test(test_ask_within),	   cache_test(test_free_within),
		cache_test(test_free_while_building), cache_test(test_bounds),
		cache_test(test_kept),
	};

	git_setup(); /* once more: the worker threads' part of libgit2 outlives each test */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
