/*
 * libgit2 over a socket against the serving engine: a fetch, what is new, connections that are cut
 * anywhere, silence, and an admin that sends what it must not.
 */
#include "channel/pktline.h"
#include "channel/transport.h"
#include "channel/uploadpack.h"
#include "core/limits.h"
#include "core/loop.h"
#include "repo/pack.h"

#include "repo_fixture.h"

#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>

enum { RELEASES = 3, SOON = 20000 /* milliseconds, for what must not run out */ };

/* The other end, on a thread: serves, or plays back what a test made. */
struct server {
	struct fixture *f;
	int fd;
	const struct oid *chain;
	size_t count;	    /* of the chain; 0: no such branch */
	const char *ref;
	size_t cut;	    /* bytes sent before the connection ends */
	size_t sent;
	const struct buf *script; /* instead of the engine */
	const struct buf *answer; /* then, when the client is done asking */
	size_t flood;		  /* and that many side-band lines of nothing */
	bool silent;		  /* at the end wait for the client, not closing */
};

static uint64_t position(void *arg, const struct oid *oid)
{
	const struct server *s = arg;

	for (size_t i = 0; i < s->count; i++)
		if (oid_equal(oid, s->chain + i))
			return i + 1;
	return 0;
}

/* As much as the cut leaves; false when the connection is over. */
static bool give(struct server *s, struct buf *out)
{
	size_t n = out->len < s->cut - s->sent ? out->len : s->cut - s->sent;
	const uint8_t *at = out->data;

	s->sent += n;
	while (n > 0) {
		ssize_t done = send(s->fd, at, n, MSG_NOSIGNAL);

		if (done <= 0)
			return false;
		at += done;
		n -= (size_t)done;
	}
	buf_reset(out);
	return s->sent < s->cut;
}

static void serve(struct server *s)
{
	struct buf out, pack;
	struct uploadpack *up;
	char bytes[4096];
	struct err err;
	bool more;

	buf_init(&out, 1 << 20);
	buf_init(&pack, LIMIT_PACK_SIZE);
	up = uploadpack_new(s->ref, s->count ? s->chain + s->count - 1 : NULL, position, s, &out);
	more = give(s, &out);
	while (more && uploadpack_state(up) != UPLOADPACK_DONE) {
		ssize_t n = recv(s->fd, bytes, sizeof(bytes), 0);

		if (n <= 0)
			break;
		(void)uploadpack_feed(up, bytes, (size_t)n, &out, &err); /* OUT tells */
		more = give(s, &out);
		if (more && uploadpack_state(up) == UPLOADPACK_PACK) {
			if (pack_build(s->f->repo, uploadpack_tip(up), uploadpack_common(up), &pack,
				       &err) != 0)
				break;
			uploadpack_give(up, pack.data, pack.len);
		}
		while (more && uploadpack_state(up) == UPLOADPACK_SENDING) {
			uploadpack_send(up, &out);
			more = give(s, &out);
		}
	}
	uploadpack_free(up);
	buf_clear(&out);
	buf_clear(&pack);
}

/* libgit2 forgets what came before it asked. */
static bool await_done(struct server *s)
{
	char bytes[4096];
	ssize_t n;

	while ((n = recv(s->fd, bytes, sizeof(bytes), 0)) > 0)
		if (n >= 5 && memcmp(bytes + n - 5, "done\n", 5) == 0)
			return true;
	return false;
}

static void play(struct server *s)
{
	struct buf out;
	char *nothing = mem_new(PKTLINE_DATA_MAX, 1);

	buf_init(&out, 8 << 20);
	buf_put(&out, s->script->data, s->script->len);
	nothing[0] = 2; /* the band of progress, which nobody reads */
	if (give(s, &out) && s->answer && await_done(s)) {
		buf_put(&out, s->answer->data, s->answer->len);
		for (size_t i = 0; give(s, &out) && i < s->flood; i++)
			pktline_put(&out, nothing, PKTLINE_DATA_MAX);
	}
	buf_clear(&out);
	free(nothing);
}

static void *server_main(void *arg)
{
	struct server *s = arg;
	char byte;

	if (s->script)
		play(s);
	else
		serve(s);
	while (s->silent && recv(s->fd, &byte, 1, 0) > 0)
		;
	(void)close(s->fd); /* the client sees it */
	return NULL;
}

/* A client repository: bare, its branch at the first N of the chain. */
static struct repo *client_new(struct fixture *f, const char *name, const struct oid *at)
{
	char *path = text_format("%s/%s", f->folder, name);
	struct repo *repo;

	must(repo_init_bare(path, &repo, err));
	if (at) {
		char *command =
			text_format("git -C %s fetch -q ../a.git +tmp:refs/heads/web", path);
		struct repo *origin = f->repo;
		struct oid old;
		bool had = repo_ref_get(origin, "refs/heads/tmp", &old, NULL) == 0;

		must(repo_ref_set(origin, "refs/heads/tmp", had ? &old : NULL, at, err));
		sh(f->folder, command);
		free(command);
	}
	free(path);
	return repo;
}

static int fetch(struct server *s, struct repo *repo, unsigned limit_ms, struct oid *tip,
		 struct err *err)
{
	pthread_t thread;
	int ends[2], rc;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	s->fd = ends[0];
	s->sent = 0;
	*err = (struct err){.code = ERR_NONE};
	assert_int_equal(pthread_create(&thread, NULL, server_main, s), 0);
	rc = transport_fetch(repo, "web", ends[1], limit_ms, tip, err);
	assert_int_equal(close(ends[1]), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	return rc;
}

static void start(struct fixture *f, struct server *s, struct oid chain[RELEASES])
{
	put_chain(f, RELEASES, chain);
	*s = (struct server){.f = f,
			     .chain = chain,
			     .count = RELEASES,
			     .ref = "refs/heads/web",
			     .cut = SIZE_MAX};
}

static void must_be_at(struct repo *repo, const struct oid *oid)
{
	struct oid at;

	must(repo_ref_get(repo, "refs/heads/web", &at, err));
	assert_true(oid_equal(&at, oid));
}

/* What came is there; no ref is written for it. */
static void must_hold(struct repo *repo, const struct oid *oid)
{
	struct buf raw;

	buf_init(&raw, LIMIT_COMMIT_SIZE);
	must(repo_commit_raw(repo, oid, &raw, err));
	buf_clear(&raw);
}

static void must_lack(struct repo *repo, const char *ref)
{
	struct oid at;

	must_fail(repo_ref_get(repo, ref, &at, err), ERR_GONE, "");
}

static void test_fetch(void **state)
{
	struct fixture *f = *state;
	struct oid chain[RELEASES], tip;
	struct repo *repo;
	struct server s;
	struct err err;
	size_t all;

	start(f, &s, chain);
	repo = client_new(f, "b.git", NULL);
	if (fetch(&s, repo, SOON, &tip, &err) != 0)
		fail_msg("%s", err.text);
	assert_true(oid_equal(&tip, chain + RELEASES - 1));
	must_hold(repo, &tip);
	must_lack(repo, "refs/heads/web");
	all = s.sent;
	expect_answer(
		f->folder,
		"git -C b.git fsck --full --strict >fsck.log 2>&1 && git -C b.git for-each-ref",
		"");
	/* again: nothing but what is advertised */
	assert_int_equal(fetch(&s, repo, SOON, &tip, &err), 0);
	assert_true(oid_equal(&tip, chain + RELEASES - 1));
	assert_true(s.sent < 300);
	repo_free(repo);
	/* from the first release on: less than all */
	repo = client_new(f, "c.git", chain);
	assert_int_equal(fetch(&s, repo, SOON, &tip, &err), 0);
	assert_true(oid_equal(&tip, chain + RELEASES - 1));
	assert_true(s.sent < all);
	must_hold(repo, &tip);
	must_be_at(repo, chain);
	repo_free(repo);
}

/* Side-band lines of the largest size that git has, and a pack that is no multiple of them. */
static void test_large(void **state)
{
	enum { SIZE = (3 << 20) + 17 };
	struct fixture *f = *state;
	char *noise = mem_new(SIZE + 1, 1);
	struct oid chain[1], tip;
	struct release r;
	struct repo *repo;
	struct server s;
	struct err err;

	crypto_random(noise, SIZE);
	for (size_t i = 0; i < SIZE; i++)
		if (!noise[i])
			noise[i] = 'x';
	r = new_release(f->repo, 1, NULL, noise, f->keys[ADMIN]);
	chain[0] = put_release(f->repo, &r, f->seeds[ADMIN]);
	s = (struct server){
		.f = f, .chain = chain, .count = 1, .ref = "refs/heads/web", .cut = SIZE_MAX};
	repo = client_new(f, "b.git", NULL);
	if (fetch(&s, repo, SOON, &tip, &err) != 0)
		fail_msg("%s", err.text);
	assert_true(s.sent > SIZE);
	sh(f->folder, "git -C b.git fsck --full --strict >fsck.log 2>&1");
	repo_free(repo);
	free(noise);
}

static void test_no_branch(void **state)
{
	struct fixture *f = *state;
	struct oid chain[RELEASES], tip;
	struct repo *repo;
	struct server s;
	struct err err;

	start(f, &s, chain);
	repo = client_new(f, "b.git", NULL);
	s.count = 0;
	assert_int_equal(fetch(&s, repo, SOON, &tip, &err), -1);
	assert_int_equal(err.code, ERR_GONE);
	/* one of another name is none */
	s.count = RELEASES;
	s.ref = "refs/heads/ledger";
	assert_int_equal(fetch(&s, repo, SOON, &tip, &err), -1);
	assert_int_equal(err.code, ERR_GONE);
	must_lack(repo, "refs/heads/web");
	must_lack(repo, "refs/heads/ledger");
	repo_free(repo);
	/* also when the branch is there from before: it is not what came */
	repo = client_new(f, "c.git", chain);
	assert_int_equal(fetch(&s, repo, SOON, &tip, &err), -1);
	assert_int_equal(err.code, ERR_GONE);
	must_be_at(repo, chain);
	repo_free(repo);
}

/* Cut after each byte of the conversation: told, nothing moves, and the next fetch makes good. */
static void cut_everywhere(void **state, const struct oid *have, const char *name)
{
	struct fixture *f = *state;
	struct oid chain[RELEASES], tip;
	struct repo *repo;
	struct server s;
	struct err err;
	size_t whole;

	start(f, &s, chain);
	repo = client_new(f, "probe.git", have ? chain : NULL);
	assert_int_equal(fetch(&s, repo, SOON, &tip, &err), 0);
	whole = s.sent;
	repo_free(repo);
	repo = client_new(f, name, have ? chain : NULL);
	for (s.cut = 0; s.cut < whole; s.cut++) {
		int rc = fetch(&s, repo, SOON, &tip, &err);

		/* the last flush says nothing that the pack has not said */
		if (rc == 0 && s.cut + 4 >= whole)
			break;
		assert_int_equal(rc, -1);
		if (err.code != ERR_RETRY && err.code != ERR_CORRUPT)
			fail_msg("cut at %zu of %zu: %s: %s", s.cut, whole, err_code_text(err.code),
				 err.text);
		if (have) {
			must_be_at(repo, chain);
		} else {
			must_lack(repo, "refs/heads/web");
		}
	}
	assert_true(s.cut > 200);
	s.cut = SIZE_MAX;
	assert_int_equal(fetch(&s, repo, SOON, &tip, &err), 0);
	must_hold(repo, chain + RELEASES - 1);
	repo_free(repo);
}

static void test_cut_clone(void **state)
{
	cut_everywhere(state, NULL, "b.git");
}

static void test_cut_update(void **state)
{
	static const struct oid some;

	cut_everywhere(state, &some, "b.git");
}

/* --- an admin that is slow, or lies --- */

#define GOOD "multi_ack_detailed side-band-64k ofs-delta no-progress agent=x"

/* The advertisement that a fetch begins with, and an empty answer. */
static void advertise(struct server *s, struct buf *script, struct buf *reply,
		      const struct oid *tip)
{
	char hex[OID_HEX_SIZE];

	buf_init(script, 1 << 20);
	buf_init(reply, 1 << 20);
	pktline_printf(script, "%s refs/heads/web%c%s\n", oid_hex(tip, hex), 0, GOOD);
	pktline_flush(script);
	s->script = script;
	s->answer = reply;
}

/*
 * Plays SCRIPT; the fetch must fail, with one of two codes and a sentence that holds WORDS, and
 * leave nothing.
 */
static void must_not_fetch(struct fixture *f, struct server *s, unsigned limit_ms,
			   enum err_code code, const char *words)
{
	struct repo *repo = client_new(f, "victim.git", NULL);
	struct oid tip;
	struct err err;

	assert_int_equal(fetch(s, repo, limit_ms, &tip, &err), -1);
	if ((code != ERR_NONE && err.code != code) || !strstr(err.text, words))
		fail_msg("%s: %s", err_code_text(err.code), err.text);
	must_lack(repo, "refs/heads/web");
	repo_free(repo);
	sh(f->folder, "test -z \"$(find victim.git/objects -name '*.pack')\" && rm -rf victim.git");
}

static void test_silence(void **state)
{
	struct fixture *f = *state;
	struct oid chain[RELEASES];
	uint64_t began = loop_now();
	struct buf script, reply;
	struct server s;

	start(f, &s, chain);
	s.script = &script;
	s.silent = true;
	buf_init(&script, 100); /* not a byte */
	must_not_fetch(f, &s, 50, ERR_RETRY, "the fetch took too long");
	buf_puts(&script, "00");
	must_not_fetch(f, &s, 50, ERR_RETRY, "the fetch took too long");
	buf_clear(&script);
	advertise(&s, &script, &reply, chain);
	must_not_fetch(f, &s, 50, ERR_RETRY, "the fetch took too long");
	pktline_printf(&reply, "NAK\n");
	must_not_fetch(f, &s, 50, ERR_RETRY, "the fetch took too long");
	must_not_fetch(f, &s, 0, ERR_RETRY, "the fetch took too long");
	buf_clear(&script);
	buf_clear(&reply);
	assert_true(loop_now() - began < SOON);
}

static void test_garbage(void **state)
{
	static const char *const scripts[] = {"HTTP/1.1 400 Bad Request\r\n\r\n",
					      "0000",
					      "0004",
					      "zzzz",
					      "0008ERR ",
					      "0013ERR go away now"};
	static const char *const replies[] = {"zzzz",
					      "0003",
					      "0008wat\n",
					      "000aACK 12",
					      "0007NAK",
					      "0008NAK\n0000",
					      "0008NAK\n0015\1PACKxxxxyyyyzzzz0000",
					      "0008NAK\n0009\3no!!",
					      "0008NAK\n0009\4what",
					      "0021ERR upload-pack: not our ref\n"};
	struct fixture *f = *state;
	struct oid chain[RELEASES];
	struct buf script, reply;
	struct server s;

	start(f, &s, chain);
	s.script = &script;
	s.silent = true; /* who closes first is cut off, which another test is about */
	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
		buf_init(&script, 4096);
		buf_puts(&script, scripts[i]);
		must_not_fetch(f, &s, 100, ERR_NONE, "");
		buf_clear(&script);
	}
	for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		advertise(&s, &script, &reply, chain + 2);
		buf_puts(&reply, replies[i]);
		must_not_fetch(f, &s, 100, ERR_NONE, "");
		buf_clear(&script);
		buf_clear(&reply);
	}
}

/* More than a pack may have, in lines that are no pack at all. */
static void test_endless(void **state)
{
	struct fixture *f = *state;
	struct oid chain[RELEASES];
	struct buf script, reply;
	struct server s;

	start(f, &s, chain);
	advertise(&s, &script, &reply, chain + 2);
	pktline_printf(&reply, "NAK\n");
	s.silent = true;
	s.flood = LIMIT_PACK_SIZE / PKTLINE_DATA_MAX + 100;
	must_not_fetch(f, &s, 10 * SOON, ERR_REFUSED, "bytes came");
	buf_clear(&script);
	buf_clear(&reply);
}

static void test_too_many_objects(void **state)
{
	static const uint32_t counts[] = {LIMIT_PACK_OBJECTS + 1, UINT32_MAX / 2, UINT32_MAX,
					  LIMIT_PACK_OBJECTS + 1};
	enum { LAST = sizeof(counts) / sizeof(counts[0]) - 1 };
	struct fixture *f = *state;
	struct oid chain[RELEASES];
	struct buf script, reply, head;
	struct server s;

	start(f, &s, chain);
	s.silent = true;
	for (size_t i = 0; i <= LAST; i++) {
		/* ours stands behind libgit2's own limit */
		size_t limit = i == LAST ? UINT32_MAX : LIMIT_PACK_OBJECTS;

		assert_int_equal(git_libgit2_opts(GIT_OPT_SET_PACK_MAX_OBJECTS, limit), 0);
		buf_init(&head, 4096);
		buf_puts(&head, "\1PACK");
		buf_put_be32(&head, 2);
		buf_put_be32(&head, counts[i]);
		for (int n = 0; n < 100; n++)
			buf_put_be32(&head, 0x78780000);
		advertise(&s, &script, &reply, chain + 2);
		pktline_printf(&reply, "NAK\n");
		pktline_put(&reply, head.data, head.len);
		must_not_fetch(f, &s, SOON, ERR_NONE,
			       i == LAST ? "a pack of 1000001 objects" : "too many objects");
		buf_clear(&script);
		buf_clear(&reply);
		buf_clear(&head);
	}
	assert_int_equal(
		git_libgit2_opts(GIT_OPT_SET_PACK_MAX_OBJECTS, (size_t)LIMIT_PACK_OBJECTS), 0);
}

/* --- bombs: packs made by hand --- */

static void sha1_block(uint32_t h[static 5], const uint8_t *block)
{
	uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];

	for (int i = 0; i < 16; i++)
		w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
		       (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
	for (int i = 16; i < 80; i++) {
		uint32_t x = w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16];

		w[i] = x << 1 | x >> 31;
	}
	for (int i = 0; i < 80; i++) {
		uint32_t f = i < 20              ? (b & c) | (~b & d)
			     : i >= 40 && i < 60 ? (b & c) | (b & d) | (c & d)
						 : b ^ c ^ d;
		static const uint32_t k[] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
		uint32_t next = (a << 5 | a >> 27) + f + e + k[i / 20] + w[i];

		e = d;
		d = c;
		c = b << 30 | b >> 2;
		b = a;
		a = next;
	}
	h[0] += a;
	h[1] += b;
	h[2] += c;
	h[3] += d;
	h[4] += e;
}

/* Appends the SHA-1 of what is there (FIPS 180-4): a pack ends in it. */
static void put_trailer(struct buf *pack)
{
	uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
	size_t n = pack->len, whole = n / 64 * 64;
	uint8_t last[128] = {0};
	size_t end = n - whole < 56 ? 64 : 128;

	for (size_t i = 0; i < whole; i += 64)
		sha1_block(h, pack->data + i);
	memcpy(last, pack->data + whole, n - whole);
	last[n - whole] = 0x80;
	for (int i = 0; i < 8; i++)
		last[end - 1 - (size_t)i] = (uint8_t)((uint64_t)n * 8 >> 8 * i);
	for (size_t i = 0; i < end; i += 64)
		sha1_block(h, last + i);
	for (int i = 0; i < 5; i++)
		buf_put_be32(pack, h[i]);
}

static void put_varint(struct buf *out, uint64_t n)
{
	for (; n >= 0x80; n >>= 7)
		buf_put_u8(out, (uint8_t)(n | 0x80));
	buf_put_u8(out, (uint8_t)n);
}

/* The header of an object that says to have SIZE bytes; BASE for a delta (7). */
static void put_head(struct buf *pack, uint8_t type, uint64_t size, const git_oid *base)
{
	buf_put_u8(pack, (uint8_t)((size > 15 ? 0x80 : 0) | type << 4 | (size & 15)));
	if (size > 15)
		put_varint(pack, size >> 4);
	if (base)
		buf_put(pack, base->id, sizeof(base->id));
}

/* A zlib stream of stored blocks. */
static void put_stored(struct buf *pack, const uint8_t *data, size_t n)
{
	uint32_t a = 1, b = 0;

	for (size_t i = 0; i < n; i++) {
		a = (a + data[i]) % 65521;
		b = (b + a) % 65521;
	}
	buf_put_be16(pack, 0x7801);
	for (size_t at = 0, part; at < n; at += part) {
		part = n - at < 65535 ? n - at : 65535;
		buf_put_u8(pack, at + part == n);
		buf_put_u8(pack, (uint8_t)part);
		buf_put_u8(pack, (uint8_t)(part >> 8));
		buf_put_u8(pack, (uint8_t)~part);
		buf_put_u8(pack, (uint8_t)(~part >> 8));
		buf_put(pack, data + at, part);
	}
	buf_put_be32(pack, b << 16 | a);
}

/* A delta that repeats its base of SIZE bytes so often, and SAYS what comes out. */
static void put_repeats(struct buf *pack, const git_oid *base, size_t size, unsigned times,
			uint64_t says)
{
	struct buf delta;

	buf_init(&delta, 4096);
	put_varint(&delta, size);
	put_varint(&delta, says);
	for (unsigned i = 0; i < times; i++) {
		buf_put_u8(&delta, 0xf0); /* copy, from 0, a size of three bytes */
		for (int shift = 0; shift < 24; shift += 8)
			buf_put_u8(&delta, (uint8_t)(size >> shift));
	}
	put_head(pack, 7, delta.len, base);
	put_stored(pack, delta.data, delta.len);
	buf_clear(&delta);
}

static void begin_pack(struct buf *pack, uint32_t objects)
{
	buf_init(pack, 4 << 20);
	buf_puts(pack, "PACK");
	buf_put_be32(pack, 2);
	buf_put_be32(pack, objects);
}

static void put_pack(struct buf *reply, const struct buf *pack)
{
	pktline_printf(reply, "NAK\n");
	for (size_t at = 0; at < pack->len;) {
		size_t part = pack->len - at < 60000 ? pack->len - at : 60000;
		struct buf line;

		buf_init(&line, 1 << 16);
		buf_put_u8(&line, 1);
		buf_put(&line, pack->data + at, part);
		pktline_put(reply, line.data, line.len);
		buf_clear(&line);
		at += part;
	}
	pktline_flush(reply);
}

static int is_unreadable(const git_oid *id, void *repo)
{
	struct oid oid = oid_from_git(id);
	git_odb_object *object;
	git_object_t type;
	size_t size;
	struct err err;

	if (object_header(repo, &oid, &type, &size, &err) != 0)
		return 0;
	/* what is below the limit must be what it says */
	if (object_body(repo, &oid, &object, &err) != 0)
		return 0;
	assert_int_equal(git_odb_object_size(object), size);
	git_odb_object_free(object);
	return 0;
}

/*
 * A pack that libgit2 takes although an object lies about its size: whoever reads that object is
 * told.
 */
static void takes_lies(struct fixture *f, struct server *s, const struct oid *tip)
{
	struct repo *repo = client_new(f, "victim.git", NULL);
	struct oid got;
	struct err why;

	if (fetch(s, repo, SOON, &got, &why) == 0)
		assert_int_equal(git_odb_foreach(repo_odb(repo), is_unreadable, repo), 0);
	must_fail(pack_check_reachable(repo, tip, NULL, err), ERR_CORRUPT, "not found");
	repo_free(repo);
	sh(f->folder, "rm -rf victim.git");
}

static void refuses_pack(struct fixture *f, struct server *s, const struct oid *tip,
			 struct buf *take_pack, const char *words)
{
	struct buf script, reply;

	put_trailer(take_pack);
	advertise(s, &script, &reply, tip);
	buf_clear(&reply);
	buf_init(&reply, 8 << 20);
	put_pack(&reply, take_pack);
	if (words)
		must_not_fetch(f, s, SOON, ERR_NONE, words);
	else
		takes_lies(f, s, tip);
	buf_clear(&script);
	buf_clear(&reply);
	buf_clear(take_pack);
}

enum { BASE = 1 << 20, TIMES = 15 };

/* Without that option libgit2 unpacks it first; verify refuses it then. */
#if defined(HAVE_DECL_GIT_OPT_SET_PACK_MAX_OBJECT_SIZE) &&                                         \
	HAVE_DECL_GIT_OPT_SET_PACK_MAX_OBJECT_SIZE
#define OVERLY_LARGE "overly large object"
#else
#define OVERLY_LARGE NULL
#endif

static void test_bombs(void **state)
{
	struct fixture *f = *state;
	struct oid chain[RELEASES];
	uint8_t *zeros = mem_new(BASE * TIMES, 1);
	git_oid base, larger;
	struct buf pack;
	struct server s;
	struct rusage before, after;

	assert_int_equal(getrusage(RUSAGE_SELF, &before), 0);
	start(f, &s, chain);
	s.silent = true;
	assert_int_equal(git_odb_hash(&base, zeros, BASE, GIT_OBJECT_BLOB), 0);
	assert_int_equal(git_odb_hash(&larger, zeros, BASE * TIMES, GIT_OBJECT_BLOB), 0);
	/* what it says */
	begin_pack(&pack, 1);
	put_head(&pack, 3, 1ull << 40, NULL);
	put_stored(&pack, zeros, 10);
	refuses_pack(f, &s, chain, &pack, NULL);
	begin_pack(&pack, 1);
	put_head(&pack, 3, 10, NULL);
	put_stored(&pack, zeros, BASE);
	refuses_pack(f, &s, chain, &pack, NULL);
	/* what a delta says */
	begin_pack(&pack, 2);
	put_head(&pack, 3, BASE, NULL);
	put_stored(&pack, zeros, BASE);
	put_repeats(&pack, &base, BASE, TIMES, 1ull << 40);
	refuses_pack(f, &s, chain, &pack, "failed to apply delta");
	/* and what deltas upon each other really are: 2 GB */
	begin_pack(&pack, 3);
	put_head(&pack, 3, BASE, NULL);
	put_stored(&pack, zeros, BASE);
	put_repeats(&pack, &base, BASE, TIMES, BASE * TIMES);
	put_repeats(&pack, &larger, BASE * TIMES, 140, (uint64_t)BASE * TIMES * 140);
	refuses_pack(f, &s, chain, &pack, OVERLY_LARGE);
	assert_int_equal(getrusage(RUSAGE_SELF, &after), 0);
	assert_in_range(after.ru_maxrss - before.ru_maxrss, 0, 512 << 10);
	free(zeros);
}

/*
 * A good pack, of which the branch that was promised is no part; and a good one that is cut or
 * bent.
 */
static void test_other_pack(void **state)
{
	struct fixture *f = *state;
	struct oid chain[RELEASES], none, tip;
	struct buf script, reply, pack, line;
	struct repo *repo;
	struct server s;
	struct err why;

	start(f, &s, chain);
	s.silent = true;
	memset(&none, 0x77, sizeof(none));
	buf_init(&pack, 1 << 20);
	buf_init(&line, 1 << 20);
	must(pack_build(f->repo, chain, NULL, &pack, err));
	buf_put_u8(&line, 1);
	buf_put(&line, pack.data, pack.len);
	advertise(&s, &script, &reply, &none);
	pktline_printf(&reply, "NAK\n");
	pktline_put(&reply, line.data, line.len);
	pktline_flush(&reply);
	repo = client_new(f, "b.git", NULL);
	(void)fetch(&s, repo, SOON, &tip, &why); /* the step verify looks for what is not there */
	must_lack(repo, "refs/heads/web");
	repo_free(repo);
	buf_clear(&script);
	buf_clear(&reply);
	for (size_t i = 0; i < pack.len; i += 13) {
		line.data[1 + i] ^= 0x10;
		advertise(&s, &script, &reply, chain);
		pktline_printf(&reply, "NAK\n");
		pktline_put(&reply, line.data, line.len);
		pktline_flush(&reply);
		must_not_fetch(f, &s, 100, ERR_NONE, "");
		line.data[1 + i] ^= 0x10;
		buf_clear(&script);
		buf_clear(&reply);
	}
	buf_clear(&pack);
	buf_clear(&line);
}

/* The client gives up at once when its descriptor is dead. */
static void test_dead(void **state)
{
	struct fixture *f = *state;
	struct repo *repo = client_new(f, "b.git", NULL);
	struct oid tip;
	struct err err;
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	assert_int_equal(close(ends[0]), 0);
	assert_int_equal(transport_fetch(repo, "web", ends[1], SOON, &tip, &err), -1);
	assert_int_equal(err.code, ERR_RETRY);
	assert_int_equal(close(ends[1]), 0);
	repo_free(repo);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		repo_test(test_fetch),
		repo_test(test_large),
		repo_test(test_no_branch),
		repo_test(test_cut_clone),
		repo_test(test_cut_update),
		repo_test(test_silence),
		repo_test(test_garbage),
		repo_test(test_endless),
		repo_test(test_too_many_objects),
		repo_test(test_bombs),
		repo_test(test_other_pack),
		repo_test(test_dead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
