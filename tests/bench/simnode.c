/* See simnode.h. */
#include "simnode.h"

#include "channel/control.h"
#include "channel/hello.h"
#include "core/limits.h"
#include "core/loop.h"
#include "core/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

enum {
	SIM_BUFFER = 80 << 20,
	SHARDS_MAX = 16,
	READ_MAX = 64 << 10,
	LEAST = 19 /* of priorities */
};

/* A part of the fleet: one thread. */
struct shard {
	uv_loop_t loop;
	uv_thread_t thread;
	uv_async_t stop;
	struct simfleet *fleet;
	size_t from, upto; /* its nodes */
	char read_buffer[READ_MAX];
};

struct outgoing {
	uv_write_t request;
	uint8_t *data;
};

static void node_dial(struct simnode *node);
static void node_fetch(struct simnode *node);

/* --- up and down --- */

static void on_back_off(uv_timer_t *timer)
{
	node_dial(timer->data);
}

static void on_closed(uv_handle_t *handle)
{
	struct simnode *node = (struct simnode *)handle;
	uint64_t away;

	node->connected = false;
	if (atomic_load(&node->fleet->stopping))
		return;
	if (!node->lost_at)
		node->lost_at = loop_now();
	away = loop_now() - node->lost_at; /* as node/link.c waits */
	away = away < WAIT_BACKOFF_MIN   ? WAIT_BACKOFF_MIN
	       : away > WAIT_BACKOFF_MAX ? WAIT_BACKOFF_MAX
					 : away;
	(void)uv_timer_start(&node->timer, on_back_off, loop_random((uint32_t)away),
			     0); /* never fails */
}

static void set_joined(struct simnode *node, bool joined)
{
	if (node->joined != joined)
		(void)atomic_fetch_add(&node->fleet->joined, joined ? 1 : (size_t)-1);
	node->joined = joined;
}

static void node_down(struct simnode *node, const char *why)
{
	struct simfleet *fleet = node->fleet;

	if (uv_is_closing((uv_handle_t *)&node->tcp))
		return;
	/* of many that end, the first says why */
	if (node->up && !atomic_load(&fleet->stopping) && atomic_fetch_add(&fleet->failed, 1) == 0)
		(void)snprintf(fleet->last_error, sizeof(fleet->last_error), "%s",
			       why); /* cut is fine */
	(void)atomic_fetch_sub(&fleet->up, node->up);
	set_joined(node, false);
	node->open = node->up = node->told = false;
	node->coming = 0;
	if (node->fetching && !node->verifying)
		fetcher_clear(&node->fetcher);
	if (!node->verifying)
		node->fetching = false;
	noise_free(node->noise);
	node->noise = NULL;
	buf_clear(&node->in);
	for (int i = 0; i < LANE_COUNT; i++)
		buf_clear(&node->lanes[i]);
	(void)uv_timer_stop(&node->timer); /* never fails */
	uv_close((uv_handle_t *)&node->tcp, on_closed);
}

/* --- sending --- */

static void on_sent(uv_write_t *request, int status)
{
	struct outgoing *outgoing = (struct outgoing *)request;
	struct simnode *node = (struct simnode *)request->handle;

	free(outgoing->data);
	free(outgoing);
	if (status != 0)
		node_down(node, uv_strerror(status));
}

static void node_write(struct simnode *node, struct buf *out)
{
	uv_buf_t bytes = uv_buf_init((char *)out->data, (unsigned)out->len);
	int done = uv_try_write((uv_stream_t *)&node->tcp, &bytes, 1);

	if (done > 0)
		buf_consume(out, (size_t)done);
	if (out->len) {
		struct outgoing *outgoing = mem_new(1, sizeof(*outgoing));
		size_t size;

		outgoing->data = buf_steal(out, &size);
		bytes = uv_buf_init((char *)outgoing->data, (unsigned)size);
		if (uv_write(&outgoing->request, (uv_stream_t *)&node->tcp, &bytes, 1, on_sent) !=
		    0)
			abort();
	}
	buf_clear(out);
}

static void node_send(struct simnode *node, enum lane lane, const struct buf *plain)
{
	struct buf out;
	struct err err;

	if (!node->open || plain->len == 0)
		return;
	buf_init(&out, SIM_BUFFER);
	if (record_seal(&node->records, lane, plain->data, plain->len, &out, &err) != 0)
		abort();
	node_write(node, &out);
}

static void node_say(struct simnode *node, enum control_verb verb)
{
	struct control_message message;
	struct buf plain;
	char text[OID_HEX_SIZE];

	control_start(&message, verb);
	if (verb == CONTROL_REGISTER || verb == CONTROL_STATUS) {
		char name[32];

		(void)snprintf(name, sizeof(name), "node%05zu", node->number); /* fits */
		control_add(&message, "name", name);
		control_add(&message, "role", node->fleet->role);
		control_add(&message, "version", PACKAGE_VERSION);
		control_add(&message, "packs", "yes");
		control_add(&message, "state", node->chain.has_accepted ? "RUNNING" : "IDLE");
		if (node->chain.has_accepted) {
			control_add(&message, "accepted", oid_hex(&node->chain.accepted, text));
			control_add(&message, "deployed", text);
			control_add_number(&message, "sequence", node->chain.sequence);
		}
	}
	buf_init(&plain, LIMIT_CONTROL_MESSAGE * 2);
	control_put(&message, &plain);
	node_send(node, LANE_CONTROL, &plain);
	buf_clear(&plain);
	control_clear(&message);
}

/* --- verifying, on a worker as a node does --- */

struct job {
	uv_work_t request;
	struct simnode *node;
	struct chain_state chain;
	int rc;
	struct err err;
};

static uint64_t thread_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* there is such a clock */
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void on_verify(uv_work_t *request)
{
	static thread_local bool lowered;
	struct job *job = request->data;

	if (!lowered)
		lowered = setpriority(PRIO_PROCESS, 0, LEAST) == 0; /* of this thread, with Linux */
	job->node->verify_ns = thread_ns();
	job->rc = pack_accept(&job->node->fetcher.pack, &job->chain, &job->node->fetcher.tip,
			      &job->err);
	job->node->verify_ns = thread_ns() - job->node->verify_ns;
	job->node->held_at = uv_hrtime();
}

static void on_verified(uv_work_t *request, int status)
{
	struct job *job = request->data;
	struct simnode *node = job->node;

	(void)status; /* nothing cancels it */
	fetcher_clear(&node->fetcher);
	node->fetching = node->verifying = false;
	if (job->rc != 0) {
		(void)fprintf(stderr, "node %zu: %s\n", node->number, job->err.text);
		abort(); /* the bench measures what is accepted: nothing may be refused */
	}
	node->chain = job->chain;
	free(job);
	node->fleet->holds(node->fleet, node);
	node_say(node, CONTROL_STATUS);
	if (node->up)
		node_fetch(node);
}

static void node_verify(struct simnode *node)
{
	struct job *job = mem_new(1, sizeof(*job));

	node->verifying = true;
	node->received_at = uv_hrtime();
	job->request.data = job;
	job->node = node;
	job->chain = node->chain;
	if (uv_queue_work(&node->shard->loop, &job->request, on_verify, on_verified) != 0)
		abort();
}

/* --- fetching --- */

/* What was sent with the news; true when that was all. */
static bool take_pack(struct simnode *node)
{
	struct buf *lane = &node->lanes[LANE_GIT];
	size_t n = lane->len < node->coming ? lane->len : node->coming;

	if (n == 0)
		return false;
	buf_put(&node->fetcher.pack, lane->data, n);
	buf_consume(lane, n);
	node->coming -= n;
	if (node->coming == 0)
		node_verify(node);
	return lane->len == 0;
}

static void node_fetch(struct simnode *node)
{
	struct chain_state *chain = &node->chain;
	bool has = chain->has_accepted && oid_equal(&chain->accepted, &node->head);

	set_joined(node, has && node->told);
	if (has || node->fetching || oid_is_zero(&node->head))
		return;
	node->fetching = true;
	fetcher_start(&node->fetcher, node->fleet->ref,
		      chain->has_accepted ? &chain->accepted : NULL);
	node_say(node, CONTROL_FETCH);
}

static void take_git(struct simnode *node)
{
	struct buf out;
	struct err err;

	if (take_pack(node))
		return;
	buf_init(&out, 4096);
	if (node->fetching && !node->verifying &&
	    fetcher_feed(&node->fetcher, node->lanes[LANE_GIT].data, node->lanes[LANE_GIT].len,
			 &out, &err) != 0) {
		(void)fprintf(stderr, "node %zu: %s\n", node->number, err.text);
		abort();
	}
	buf_clear(&node->lanes[LANE_GIT]);
	node_send(node, LANE_GIT, &out);
	buf_clear(&out);
	if (!node->fetching || node->verifying || node->fetcher.state != FETCHER_DONE)
		return;
	node_verify(node);
}

/* --- control --- */

static void on_ping(uv_timer_t *timer)
{
	node_say(timer->data, CONTROL_PING);
}

static void take_message(struct simnode *node, const struct control_message *message)
{
	const char *hex = control_get(message, "release");

	if (message->verb == CONTROL_REGISTERED) {
		node->up = true;
		node->lost_at = 0;
		(void)atomic_fetch_add(&node->fleet->up, 1);
		/* spread, as those of nodes that were started one by one are */
		(void)uv_timer_start(&node->timer, on_ping, loop_random(WAIT_PING),
				     WAIT_PING); /* never fails */
	} else if (message->verb == CONTROL_HEAD) {
		node->told = true;
		node->coming = control_get_number(message, "pack", 0);
		if (hex && oid_parse(hex, &node->head) != 0)
			abort();
		/* it is of what this node said it has, and nothing is being fetched */
		if (node->coming) {
			node->fetching = true;
			fetcher_start(&node->fetcher, node->fleet->ref, &node->chain.accepted);
			node->fetcher.tip = node->head;
			set_joined(node, false);
		} else {
			node_fetch(node);
		}
	} else if (message->verb == CONTROL_REFUSED) {
		(void)fprintf(stderr, "node %zu was refused: %s\n", node->number,
			      control_get(message, "text"));
		abort();
	}
}

static void take_control(struct simnode *node)
{
	struct control_message message;
	struct err err;

	while (control_take(&node->lanes[LANE_CONTROL], &message, &err) == 1) {
		take_message(node, &message);
		control_clear(&message);
	}
	if (node->lanes[LANE_CONTROL].len == 0)
		buf_clear(&node->lanes[LANE_CONTROL]);
}

/* --- receiving --- */

static bool take_second(struct simnode *node)
{
	struct buf payload;
	struct err err;
	int rc;

	if (node->in.len < HANDSHAKE_SECOND)
		return false;
	buf_init(&payload, 0);
	rc = noise_read(node->noise, node->in.data, HANDSHAKE_SECOND, &payload, &err);
	buf_clear(&payload);
	if (rc != 0) {
		node_down(node, err.text);
		return false;
	}
	node->records = (struct record_state){0};
	noise_split(node->noise, node->records.send_key, node->records.receive_key, NULL);
	noise_free(node->noise);
	node->noise = NULL;
	buf_consume(&node->in, HANDSHAKE_SECOND);
	node->open = true;
	node_say(node, CONTROL_REGISTER);
	return true;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
	struct simnode *node = (struct simnode *)handle;

	(void)suggested; /* what is read is handled at once */
	*out = uv_buf_init(node->shard->read_buffer, READ_MAX);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *bytes)
{
	struct simnode *node = (struct simnode *)stream;
	enum lane lane;
	struct err err;

	if (n < 0)
		node_down(node, uv_strerror((int)n));
	if (n <= 0)
		return;
	buf_put(&node->in, bytes->base, (size_t)n);
	if (!node->open && !take_second(node))
		return;
	while (node->open) {
		int got = record_open(&node->records, &node->in, &lane, node->lanes, &err);

		if (got < 0)
			node_down(node, err.text);
		if (got <= 0)
			break;
		if (lane == LANE_CONTROL)
			take_control(node);
		else
			take_git(node);
	}
	if (node->in.len == 0)
		buf_clear(&node->in);
}

/* --- dialling --- */

static void on_connected(uv_connect_t *request, int status)
{
	struct simnode *node = (struct simnode *)request->handle;
	const struct keystore *keystore = node->fleet->keystore;
	struct hello hello = {.version = HELLO_VERSION, .epoch = keystore->epoch};
	uint8_t bytes[HELLO_SIZE];
	struct buf out;
	struct err err;

	free(request);
	if (status != 0) {
		node_down(node, uv_strerror(status));
		return;
	}
	(void)uv_tcp_nodelay(&node->tcp, 1); /* slower without, but right */
	key_role_tag(keystore->cluster_id, keystore->role, hello.role_tag);
	hello_format(&hello, bytes);
	node->noise = hello_noise(bytes, &node->key, keystore->admin_public, keystore->join_key);
	buf_init(&out, HELLO_SIZE + HANDSHAKE_FIRST);
	buf_put(&out, bytes, sizeof(bytes));
	if (noise_write(node->noise, NULL, 0, &out, &err) != 0 ||
	    uv_read_start((uv_stream_t *)&node->tcp, on_alloc, on_read) != 0)
		abort();
	node_write(node, &out);
}

static void node_dial(struct simnode *node)
{
	uv_connect_t *request = mem_new(1, sizeof(*request));

	(void)uv_tcp_init(&node->shard->loop, &node->tcp); /* never fails without a socket */
	node->connected = true;
	buf_init(&node->in, SIM_BUFFER);
	for (int i = 0; i < LANE_COUNT; i++)
		buf_init(&node->lanes[i], SIM_BUFFER);
	if (uv_tcp_connect(request, &node->tcp, (const struct sockaddr *)&node->fleet->admin,
			   on_connected) != 0)
		abort();
}

static void node_init(struct simnode *node)
{
	const struct keystore *keystore = node->fleet->keystore;
	uint8_t secret[KEY_SIZE];
	struct static_key *key;

	crypto_random(secret, sizeof(secret));
	key = static_key_of(secret);
	node->key = *key;
	static_key_free(key);
	memcpy(node->chain.cluster_id, keystore->cluster_id, CLUSTER_ID_SIZE);
	memcpy(node->chain.role, node->fleet->role, strlen(node->fleet->role) + 1);
	node->chain.key_count = 1;
	memcpy(node->chain.keys[0], keystore->release_public[0], KEY_SIZE);
	(void)uv_timer_init(&node->shard->loop, &node->timer); /* never fails */
	node->timer.data = node;
}

/* --- the threads --- */

static void on_stop(uv_async_t *async)
{
	struct shard *shard = async->data;

	for (size_t i = shard->from; i < shard->upto; i++) {
		struct simnode *node = shard->fleet->nodes + i;

		if (node->connected)
			node_down(node, "stopping");
		uv_close((uv_handle_t *)&node->timer, NULL);
	}
	uv_close((uv_handle_t *)async, NULL);
}

static void shard_run(void *arg)
{
	struct shard *shard = arg;

	for (size_t i = shard->from; i < shard->upto; i++)
		node_dial(shard->fleet->nodes + i);
	(void)uv_run(&shard->loop, UV_RUN_DEFAULT); /* until all is closed */
}

static void shard_start(struct simfleet *fleet, size_t number)
{
	struct shard *shard = fleet->shards + number;

	shard->fleet = fleet;
	shard->from = fleet->count * number / fleet->shard_count;
	shard->upto = fleet->count * (number + 1) / fleet->shard_count;
	if (uv_loop_init(&shard->loop) != 0 ||
	    uv_async_init(&shard->loop, &shard->stop, on_stop) != 0)
		abort();
	shard->stop.data = shard;
	for (size_t i = shard->from; i < shard->upto; i++) {
		struct simnode *node = fleet->nodes + i;

		node->fleet = fleet;
		node->shard = shard;
		node->number = i;
		node_init(node);
	}
	if (uv_thread_create(&shard->thread, shard_run, shard) != 0)
		abort();
}

void simfleet_start(struct simfleet *fleet, size_t count)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	char workers[8];

	fleet->count = count;
	fleet->shard_count = processors < 1            ? 1
			     : processors > SHARDS_MAX ? SHARDS_MAX
						       : (size_t)processors;
	(void)snprintf(workers, sizeof(workers), "%zu", fleet->shard_count); /* fits */
	(void)setenv("UV_THREADPOOL_SIZE", workers, 1); /* nothing has worked yet */
	fleet->nodes = mem_new(count, sizeof(*fleet->nodes));
	fleet->shards = mem_new(fleet->shard_count, sizeof(*fleet->shards));
	(void)snprintf(fleet->ref, sizeof(fleet->ref), "refs/heads/%s",
		       fleet->role); /* names fit */
	for (size_t i = 0; i < fleet->shard_count; i++)
		shard_start(fleet, i);
}

void simfleet_stop(struct simfleet *fleet)
{
	atomic_store(&fleet->stopping, true);
	for (size_t i = 0; i < fleet->shard_count; i++)
		(void)uv_async_send(&fleet->shards[i].stop); /* never fails */
	for (size_t i = 0; i < fleet->shard_count; i++) {
		(void)uv_thread_join(&fleet->shards[i].thread); /* it ends when all is closed */
		(void)uv_loop_close(&fleet->shards[i].loop);	/* nothing is left */
	}
	free(fleet->nodes);
	free(fleet->shards);
}
