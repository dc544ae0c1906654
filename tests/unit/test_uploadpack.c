/*
 * The serving engine: every state, every way in and out of it, and what a node of another role may
 * ask in vain.
 */
#include "channel/pktline.h"
#include "channel/uploadpack.h"
#include "core/limits.h"
#include "core/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { HISTORY = 5 };

#define CAPABILITIES                                                                               \
	"multi_ack_detailed side-band-64k ofs-delta no-progress agent=muster/" PACKAGE_VERSION

/* Ids 11…, 22…, up to the tip; FF… is of another role. */
static struct oid id_of(unsigned n)
{
	struct oid oid;

	memset(oid.id, (int)(n * 0x11), OID_SIZE);
	return oid;
}

static uint64_t position(void *arg, const struct oid *oid)
{
	(void)arg;
	for (unsigned i = 1; i <= HISTORY; i++) {
		struct oid known = id_of(i);

		if (oid_equal(oid, &known))
			return i;
	}
	return 0;
}

struct talk {
	struct uploadpack *up;
	struct buf out; /* what the client sees */
};

static void talk_start(struct talk *t, bool has_tip)
{
	struct oid tip = id_of(HISTORY);

	buf_init(&t->out, 1 << 20);
	t->up = uploadpack_new("refs/heads/web", has_tip ? &tip : NULL, position, NULL, &t->out);
	assert_int_equal(uploadpack_state(t->up), UPLOADPACK_WANTS);
}

static void talk_end(struct talk *t)
{
	uploadpack_free(t->up);
	buf_clear(&t->out);
}

static void put_line(struct buf *to, const char *word, unsigned id, const char *rest)
{
	struct oid oid = id_of(id);
	char hex[OID_HEX_SIZE];

	pktline_printf(to, "%s %s%s", word, oid_hex(&oid, hex), rest);
}

static int feed(struct talk *t, const struct buf *in, struct err *err)
{
	*err = (struct err){.code = ERR_NONE};
	return uploadpack_feed(t->up, in->data, in->len, &t->out, err);
}

static void must_feed(struct talk *t, struct buf *in)
{
	struct err err;

	if (feed(t, in, &err) != 0)
		fail_msg("%s", err.text);
	buf_reset(in);
}

/* Refused with CODE and a sentence; the client is told the same, and the talk is over. */
static void must_refuse(struct talk *t, struct buf *in, enum err_code code, const char *words)
{
	struct err err;

	assert_int_equal(feed(t, in, &err), -1);
	assert_int_equal(err.code, code);
	if (!strstr(err.text, words))
		fail_msg("\"%s\" does not say \"%s\"", err.text, words);
	assert_true(t->out.len > 8 && memmem(t->out.data, t->out.len, "ERR ", 4));
	assert_non_null(memmem(t->out.data, t->out.len, words, strlen(words)));
	assert_int_equal(uploadpack_state(t->up), UPLOADPACK_DONE);
	buf_reset(&t->out);
	assert_int_equal(feed(t, in, &err), 0); /* whatever comes now is nothing */
	assert_int_equal(t->out.len, 0);
	buf_reset(in);
}

static void expect(struct talk *t, const char *wanted)
{
	assert_string_equal(buf_text(&t->out), wanted);
	buf_reset(&t->out);
}

static void test_advertisement(void **state)
{
	static const char zero[] = "0000000000000000000000000000000000000000 capabilities^{}";
	static const char tip[] = "5555555555555555555555555555555555555555 refs/heads/web";
	struct cursor c;
	const uint8_t *line;
	struct talk t;
	size_t n;
	struct err err;

	(void)state;
	for (int has_tip = 0; has_tip < 2; has_tip++) {
		const char *first = has_tip ? tip : zero;

		talk_start(&t, has_tip);
		c = cursor_of(t.out.data, t.out.len);
		assert_int_equal(pktline_next(&c, &line, &n, &err), PKTLINE_DATA);
		assert_int_equal(n, strlen(first) + 1 + strlen(CAPABILITIES) + 1);
		assert_memory_equal(line, first, strlen(first) + 1); /* with the NUL */
		assert_memory_equal(line + strlen(first) + 1, CAPABILITIES "\n",
				    strlen(CAPABILITIES) + 1);
		assert_int_equal(pktline_next(&c, &line, &n, &err), PKTLINE_FLUSH);
		assert_true(cursor_done(&c));
		talk_end(&t);
	}
}

static void start_wanting(struct talk *t, struct buf *in)
{
	talk_start(t, true);
	buf_reset(&t->out);
	buf_init(in, 4 << 20);
	put_line(in, "want", HISTORY, " multi_ack_detailed side-band-64k ofs-delta agent=git/2\n");
	pktline_flush(in);
	must_feed(t, in);
	assert_int_equal(uploadpack_state(t->up), UPLOADPACK_HAVES);
	assert_int_equal(t->out.len, 0);
}

static void test_clone(void **state)
{
	struct oid tip = id_of(HISTORY);
	struct talk t;
	struct buf in;

	(void)state;
	start_wanting(&t, &in);
	pktline_printf(&in, "done\n");
	must_feed(&t, &in);
	expect(&t, "0008NAK\n");
	assert_int_equal(uploadpack_state(t.up), UPLOADPACK_PACK);
	assert_true(oid_equal(uploadpack_tip(t.up), &tip));
	assert_null(uploadpack_common(t.up));
	uploadpack_give(t.up, (const uint8_t *)"PACK of little", 14);
	assert_int_equal(uploadpack_state(t.up), UPLOADPACK_SENDING);
	uploadpack_send(t.up, &t.out);
	expect(&t, "0013\1PACK of little0000");
	assert_int_equal(uploadpack_state(t.up), UPLOADPACK_DONE);
	pktline_flush(&in);
	must_feed(&t, &in); /* goodbye */
	assert_int_equal(t.out.len, 0);
	talk_end(&t);
	buf_clear(&in);
}

/* Of what is in common the newest counts, in whatever order it is told; each is acknowledged. */
static void test_common(void **state)
{
	struct oid common = id_of(4);
	struct talk t;
	struct buf in;

	(void)state;
	start_wanting(&t, &in);
	put_line(&in, "have", 2, "\n");
	put_line(&in, "have", 4, "\n");
	put_line(&in, "have", 3, "");
	put_line(&in, "have", 15, "\n");
	pktline_flush(&in);
	must_feed(&t, &in);
	expect(&t, "0038ACK 2222222222222222222222222222222222222222 common\n"
		   "0038ACK 4444444444444444444444444444444444444444 common\n"
		   "0038ACK 3333333333333333333333333333333333333333 common\n"
		   "0037ACK 4444444444444444444444444444444444444444 ready\n0008NAK\n");
	pktline_printf(&in, "done");
	must_feed(&t, &in);
	expect(&t, "0031ACK 4444444444444444444444444444444444444444\n");
	assert_true(oid_equal(uploadpack_common(t.up), &common));
	talk_end(&t);
	buf_clear(&in);
}

/* An id of another role's history reveals nothing, however often it is offered (B2). */
static void test_foreign_haves(void **state)
{
	struct talk t;
	struct buf in;

	(void)state;
	start_wanting(&t, &in);
	for (unsigned i = 6; i < 16; i++) {
		put_line(&in, "have", i, "\n");
		pktline_flush(&in);
		must_feed(&t, &in);
		expect(&t, "0008NAK\n");
	}
	assert_null(uploadpack_common(t.up));
	pktline_printf(&in, "done\n");
	must_feed(&t, &in);
	expect(&t, "0008NAK\n");
	assert_null(uploadpack_common(t.up)); /* it gets all of its own role's, as anyone */
	talk_end(&t);
	buf_clear(&in);
}

static void test_wrong_wants(void **state)
{
	static const char *const bad[] = {
		"want 555555555555555555555555555555555555555", /* a digit short */
		"want 55555555555555555555555555555555555555555",
		"want 555555555555555555555555555555555555555G",
		"want 555555555555555555555555555555555555555A",
		"want  5555555555555555555555555555555555555555",
		"want\t5555555555555555555555555555555555555555",
		"want",
		"want ",
		"",
		"Want 5555555555555555555555555555555555555555",
		"have 5555555555555555555555555555555555555555",
		"done",
		"shallow 5555555555555555555555555555555555555555",
		"deepen 1",
		"filter blob:none",
		"command=fetch",
	};
	struct talk t;
	struct buf in;

	(void)state;
	buf_init(&in, 4 << 20);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		talk_start(&t, true);
		pktline_printf(&in, "%s\n", bad[i]);
		must_refuse(&t, &in, ERR_CORRUPT, "expected a want");
		talk_end(&t);
	}
	/* an older release of this role, another role's, nothing */
	for (unsigned id = 0; id < 16; id++) {
		if (id == HISTORY)
			continue;
		talk_start(&t, true);
		put_line(&in, "want", id, "\n");
		must_refuse(&t, &in, ERR_REFUSED, "not our ref");
		talk_end(&t);
		/* also behind a good one */
		talk_start(&t, true);
		put_line(&in, "want", HISTORY, " ofs-delta\n");
		put_line(&in, "want", id, "\n");
		must_refuse(&t, &in, ERR_REFUSED, "not our ref");
		talk_end(&t);
	}
	talk_start(&t, false); /* there is nothing: not even the zero that was advertised */
	put_line(&in, "want", 0, "\n");
	must_refuse(&t, &in, ERR_REFUSED, "not our ref");
	talk_end(&t);
	buf_clear(&in);
}

static void test_wrong_haves(void **state)
{
	static const char *const bad[] = {
		"have 222222222222222222222222222222222222222",
		"have 22222222222222222222222222222222222222222",
		"have zz22222222222222222222222222222222222222",
		"have",
		"",
		"done ",
		"Done",
		"want 5555555555555555555555555555555555555555",
	};
	struct talk t;
	struct buf in;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		start_wanting(&t, &in);
		pktline_printf(&in, "%s\n", bad[i]);
		must_refuse(&t, &in, ERR_CORRUPT, "expected a have");
		talk_end(&t);
		buf_clear(&in);
	}
}

static void test_not_pktlines(void **state)
{
	static const char *const bad[] = {"0001", "0002", "0003", "zzzz", "-001",
					  "00 4", "fff5", "ffff", "GET "};
	struct talk t;
	struct buf in;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		for (int wanting = 0; wanting < 2; wanting++) {
			if (wanting) {
				start_wanting(&t, &in);
			} else {
				talk_start(&t, true);
				buf_init(&in, 100);
			}
			buf_puts(&in, bad[i]);
			must_refuse(&t, &in, ERR_CORRUPT, "not a pkt-line");
			talk_end(&t);
			buf_clear(&in);
		}
	}
}

/* A flush without a want is a client that has seen what there is. */
static void test_leave(void **state)
{
	struct talk t;
	struct buf in;

	(void)state;
	buf_init(&in, 100);
	for (int has_tip = 0; has_tip < 2; has_tip++) {
		talk_start(&t, has_tip);
		buf_reset(&t.out);
		pktline_flush(&in);
		must_feed(&t, &in);
		assert_int_equal(uploadpack_state(t.up), UPLOADPACK_DONE);
		assert_int_equal(t.out.len, 0);
		talk_end(&t);
	}
	buf_clear(&in);
}

static void test_too_many(void **state)
{
	struct talk t;
	struct buf in;

	(void)state;
	/* haves, known and unknown ones */
	for (unsigned id = 2; id < 10; id += 6) {
		start_wanting(&t, &in);
		for (unsigned i = 0; i < LIMIT_HAVES; i++) {
			put_line(&in, "have", id, "\n");
			must_feed(&t, &in);
			buf_reset(&t.out);
		}
		put_line(&in, "have", id, "\n");
		must_refuse(&t, &in, ERR_CORRUPT, "too many haves");
		talk_end(&t);
		buf_clear(&in);
	}
	/* and rounds: each flush costs an answer */
	start_wanting(&t, &in);
	for (unsigned i = 0; i < LIMIT_HAVES; i++) {
		pktline_flush(&in);
		must_feed(&t, &in);
		buf_reset(&t.out);
	}
	pktline_flush(&in);
	must_refuse(&t, &in, ERR_CORRUPT, "too many haves");
	talk_end(&t);
	buf_clear(&in);
}

/* Small questions with large answers: the answers have a bound of their own. */
static void test_too_many_answers(void **state)
{
	struct talk t;
	struct err err;
	struct buf in;

	(void)state;
	start_wanting(&t, &in);
	put_line(&in, "have", 2, "\n");
	for (int i = 0; i < 4000; i++)
		pktline_flush(&in);
	buf_clear(&t.out);
	buf_init(&t.out, 2 * LIMIT_WANT_REQUEST);
	assert_int_equal(feed(&t, &in, &err), -1);
	assert_int_equal(err.code, ERR_CORRUPT);
	assert_int_equal(uploadpack_state(t.up), UPLOADPACK_DONE);
	talk_end(&t);
	buf_clear(&in);
}

static void test_too_large(void **state)
{
	struct talk t;
	struct buf in;
	char *text = mem_new(LIMIT_WANT_REQUEST + 2, 1);

	(void)state;
	memset(text, 'x', LIMIT_WANT_REQUEST + 1);
	start_wanting(&t, &in);
	pktline_printf(&in, "have %.1500s", text);
	must_refuse(&t, &in, ERR_CORRUPT, "a line is too long");
	talk_end(&t);
	buf_clear(&in);
	start_wanting(&t, &in);
	buf_puts(&in, "fff0"); /* a line that is not whole before the limit */
	buf_puts(&in, text);
	must_refuse(&t, &in, ERR_CORRUPT, "request too large");
	talk_end(&t);
	buf_clear(&in);
	free(text);
}

static void test_more_after_done(void **state)
{
	struct talk t;
	struct err err;
	struct buf in;

	(void)state;
	start_wanting(&t, &in);
	pktline_printf(&in, "done\n");
	pktline_flush(&in); /* in the same bytes */
	must_refuse(&t, &in, ERR_CORRUPT, "more after done");
	talk_end(&t);
	buf_clear(&in);
	for (int sending = 0; sending < 2; sending++) {
		start_wanting(&t, &in);
		pktline_printf(&in, "done\n");
		must_feed(&t, &in);
		if (sending)
			uploadpack_give(t.up, (const uint8_t *)"PACK", 4);
		assert_int_equal(uploadpack_feed(t.up, "", 0, &t.out, &err), 0);
		put_line(&in, "have", 1, "\n");
		must_refuse(&t, &in, ERR_CORRUPT, "more after done");
		talk_end(&t);
		buf_clear(&in);
	}
}

/* A whole conversation in all ways to cut it in two, and byte by byte: the same answers. */
static void test_split(void **state)
{
	struct talk t;
	struct buf whole, answer;
	struct err err;

	(void)state;
	buf_init(&whole, 4096);
	buf_init(&answer, 4096);
	put_line(&whole, "want", HISTORY, " ofs-delta\n");
	pktline_flush(&whole);
	put_line(&whole, "have", 9, "\n");
	put_line(&whole, "have", 3, "\n");
	pktline_flush(&whole);
	pktline_printf(&whole, "done\n");
	for (size_t cut = 0; cut <= whole.len + 1; cut++) {
		talk_start(&t, true);
		if (cut <= whole.len) {
			assert_int_equal(uploadpack_feed(t.up, whole.data, cut, &t.out, &err), 0);
			assert_int_equal(uploadpack_feed(t.up, whole.data + cut, whole.len - cut,
							 &t.out, &err),
					 0);
		} else {
			for (size_t i = 0; i < whole.len; i++)
				assert_int_equal(
					uploadpack_feed(t.up, whole.data + i, 1, &t.out, &err), 0);
		}
		assert_int_equal(uploadpack_state(t.up), UPLOADPACK_PACK);
		if (cut == 0)
			buf_put(&answer, t.out.data, t.out.len);
		assert_int_equal(t.out.len, answer.len);
		assert_memory_equal(t.out.data, answer.data, answer.len);
		talk_end(&t);
	}
	buf_clear(&whole);
	buf_clear(&answer);
}

/*
 * Sizes around a side-band line's: every byte once, each line within git's limit, one flush at the
 * end.
 */
static void test_bands(void **state)
{
	static const size_t sizes[] = {1, 65514, 65515, 65516, 131030, 131031, 300000};
	uint8_t *pack = mem_new(300000, 1);

	(void)state;
	for (size_t i = 0; i < 300000; i++)
		pack[i] = (uint8_t)(i * 2654435761u >> 24);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct buf in, got;
		const uint8_t *line;
		struct cursor c;
		struct talk t;
		struct err err;
		size_t n;

		start_wanting(&t, &in);
		pktline_printf(&in, "done\n");
		must_feed(&t, &in);
		buf_reset(&t.out);
		uploadpack_give(t.up, pack, sizes[i]);
		while (uploadpack_state(t.up) == UPLOADPACK_SENDING)
			uploadpack_send(t.up, &t.out);
		buf_init(&got, 300000);
		c = cursor_of(t.out.data, t.out.len);
		while (pktline_next(&c, &line, &n, &err) == PKTLINE_DATA) {
			assert_int_equal(line[0], 1);
			buf_put(&got, line + 1, n - 1);
		}
		assert_true(cursor_done(&c));
		assert_int_equal(got.len, sizes[i]);
		assert_memory_equal(got.data, pack, got.len);
		buf_clear(&got);
		buf_clear(&in);
		talk_end(&t);
	}
	free(pack);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_advertisement), cmocka_unit_test(test_clone),
		cmocka_unit_test(test_common),	      cmocka_unit_test(test_foreign_haves),
		cmocka_unit_test(test_wrong_wants),   cmocka_unit_test(test_wrong_haves),
		cmocka_unit_test(test_not_pktlines),  cmocka_unit_test(test_leave),
		cmocka_unit_test(test_too_many),      cmocka_unit_test(test_too_many_answers),
		cmocka_unit_test(test_too_large),     cmocka_unit_test(test_more_after_done),
		cmocka_unit_test(test_split),	      cmocka_unit_test(test_bands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
