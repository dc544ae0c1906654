/*
 * The accepting side's handshakes. Five multiplications on the curve take longer than all else that
 * a peer costs, and after a restart every node comes at once: so they are done on worker threads, a
 * few peers at a time, in the order in which the peers came, and the loop goes on serving those
 * that are connected.
 */
#include "channel/peer_state.h"

#include "core/loop.h"

#include <stdlib.h>
#include <string.h>

enum {
	BATCH = 8, /* handshakes of one job: about a millisecond */
	JOBS = 3,  /* under way at once: of libuv's four threads one is left for publications */
};

/* One handshake, from when the first message is in until it is answered. Guarded. */
struct attempt {
	struct attempt *next, *previous; /* while it waits for its turn */
	struct peer *peer;		 /* NULL: gone meanwhile */
	bool begun;
	int rc;
	uint8_t first[HELLO_SIZE + HANDSHAKE_FIRST];
	uint8_t join_key[KEY_SIZE];
	uint8_t answer[HANDSHAKE_SECOND];
	uint8_t public[KEY_SIZE], send_key[KEY_SIZE], receive_key[KEY_SIZE];
};

struct batch {
	struct peers *group;
	size_t count;
	struct attempt *attempts[BATCH];
};

size_t handshake_memory(void)
{
	return sizeof(struct attempt);
}

/* --- those that wait --- */

static void queue_add(struct handshakes *queue, struct attempt *attempt)
{
	attempt->previous = queue->last;
	if (queue->last)
		queue->last->next = attempt;
	else
		queue->first = attempt;
	queue->last = attempt;
}

static void queue_remove(struct handshakes *queue, struct attempt *attempt)
{
	if (attempt->previous)
		attempt->previous->next = attempt->next;
	else
		queue->first = attempt->next;
	if (attempt->next)
		attempt->next->previous = attempt->previous;
	else
		queue->last = attempt->previous;
	attempt->next = attempt->previous = NULL;
}

void handshake_forget(struct peer *peer)
{
	struct attempt *attempt = peer->attempt;

	peer->attempt = NULL;
	if (!attempt)
		return;
	attempt->peer = NULL;
	if (attempt->begun)
		return; /* its job gives it back */
	queue_remove(&peer->group->handshakes, attempt);
	slab_give(peer->group->handshakes.slab, attempt);
}

/* --- on a worker --- */

static int answer(struct attempt *attempt, const struct static_key *key)
{
	struct noise *noise = hello_noise(attempt->first, key, NULL, attempt->join_key);
	struct buf payload, second;
	struct err err;
	int rc;

	buf_init(&payload, 0);
	buf_init(&second, HANDSHAKE_SECOND);
	rc = noise_read(noise, attempt->first + HELLO_SIZE, HANDSHAKE_FIRST, &payload, &err);
	if (rc == 0)
		rc = noise_write(noise, NULL, 0, &second, &err);
	if (rc == 0 && second.len == HANDSHAKE_SECOND) {
		memcpy(attempt->answer, second.data, HANDSHAKE_SECOND);
		memcpy(attempt->public, noise_remote_static(noise), KEY_SIZE);
		noise_split(noise, attempt->send_key, attempt->receive_key, NULL);
	} else {
		rc = -1;
	}
	buf_clear(&payload);
	buf_clear(&second);
	noise_free(noise);
	return rc;
}

static void on_work(void *arg)
{
	struct batch *batch = arg;

	for (size_t i = 0; i < batch->count; i++)
		batch->attempts[i]->rc = answer(batch->attempts[i], batch->group->key);
}

/* --- back on the loop --- */

static void begin_jobs(struct peers *group);

static void attempt_done(struct attempt *attempt)
{
	struct peer *peer = attempt->peer;
	struct buf out;

	if (!peer)
		return;
	peer->attempt = NULL;
	if (attempt->rc != 0) {
		peer_close(peer, HANDSHAKE_REFUSED);
		return;
	}
	peer_established(peer, attempt->public, attempt->send_key, attempt->receive_key);
	buf_init(&out, HANDSHAKE_SECOND);
	buf_put(&out, attempt->answer, HANDSHAKE_SECOND);
	peer_write(peer, &out);
	if (peer->in.len)
		peer_handle_input(peer);
}

static void on_done(void *arg)
{
	struct batch *batch = arg;
	struct peers *group = batch->group;

	for (size_t i = 0; i < batch->count; i++) {
		attempt_done(batch->attempts[i]);
		slab_give(group->handshakes.slab, batch->attempts[i]);
	}
	free(batch);
	group->handshakes.jobs--;
	group->handles--;
	begin_jobs(group);
	if (group->closing)
		group_release(group);
}

static void begin_jobs(struct peers *group)
{
	struct handshakes *queue = &group->handshakes;

	while (queue->first && queue->jobs < JOBS) {
		struct batch *batch = mem_new(1, sizeof(*batch));

		batch->group = group;
		while (queue->first && batch->count < BATCH) {
			struct attempt *attempt = queue->first;

			queue_remove(queue, attempt);
			attempt->begun = true;
			batch->attempts[batch->count++] = attempt;
		}
		queue->jobs++;
		group->handles++; /* it outlives its peers */
		loop_work(group->loop, on_work, on_done, batch);
	}
}

/* --- what came --- */

static void hello_unknown(struct peer *peer, enum peer_hint hint)
{
	peer_hint(peer, hint);
	peer_close(peer, "hello with version %u and epoch %u is not known here",
		   peer->hello.version, peer->hello.epoch);
}

bool handshake_hello(struct peer *peer)
{
	struct err err;

	if (peer->in.len < HELLO_SIZE)
		return false;
	if (hello_parse(peer->in.data, &peer->hello, &err) != 0) {
		peer_close(peer, "%s", err.text);
		return false;
	}
	if (peer->hello.version != HELLO_VERSION) {
		hello_unknown(peer, PEER_HINT_VERSION);
		return false;
	}
	peer_enter(peer, PEER_HANDSHAKE);
	return true;
}

void handshake_first(struct peer *peer)
{
	struct handshakes *queue = &peer->group->handshakes;
	uint8_t join_key[KEY_SIZE];
	struct attempt *attempt;
	enum peer_hint hint;

	if (peer->attempt || peer->in.len < HELLO_SIZE + HANDSHAKE_FIRST)
		return;
	hint = peer->group->calls->hello(peer->group->arg, &peer->hello, join_key);
	if (hint != PEER_HINT_NONE) {
		hello_unknown(peer, hint);
		return;
	}
	attempt = slab_take(queue->slab);
	attempt->peer = peer;
	memcpy(attempt->first, peer->in.data, sizeof(attempt->first));
	memcpy(attempt->join_key, join_key, KEY_SIZE);
	crypto_wipe(join_key, sizeof(join_key));
	buf_consume(&peer->in, sizeof(attempt->first));
	peer->attempt = attempt;
	queue_add(queue, attempt);
	begin_jobs(peer->group);
}
