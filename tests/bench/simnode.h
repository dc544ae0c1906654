/*
 * A simulated runtime node: the real handshake, records, registration, keep-alives, back-off, fetch
 * conversation and verification of what a node gets, without a disk. Thousands of them share a
 * process: their connections a thread for each processor, each with a loop, and what they verify
 * the workers, which run when nothing else wants a processor: real nodes would do it elsewhere, all
 * at once. For benches.
 */
#ifndef MUSTER_BENCH_SIMNODE_H
#define MUSTER_BENCH_SIMNODE_H

#include "fetcher.h"

#include "channel/record.h"
#include "crypto/key.h"

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdint.h>
#include <uv.h>

struct simnode;
struct shard;

struct simfleet {
	struct sockaddr_in admin;
	const struct keystore *keystore;
	const char *role;
	char ref[64];
	size_t count, shard_count;
	/* nodes that are registered; that hold what the admin told is its newest */
	atomic_size_t up, joined;
	atomic_size_t failed;	  /* connections that ended when they should not have */
	atomic_bool stopping;
	struct simnode *nodes;
	struct shard *shards;
	/* A node holds a release, verified; called by the thread of its shard. */
	void (*holds)(struct simfleet *fleet, struct simnode *node);
	char last_error[256]; /* of one of those that ended; for people */
};

struct simnode {
	uv_tcp_t tcp; /* first: the handle is its node */
	uv_timer_t timer;
	struct simfleet *fleet;
	struct shard *shard;
	size_t number;
	struct static_key key; /* of a bench: not guarded */
	struct noise *noise;   /* during the handshake */
	struct record_state records;
	struct buf in, lanes[LANE_COUNT];
	struct fetcher fetcher;
	struct chain_state chain;
	struct oid head, base;
	size_t coming; /* bytes of a pack that was sent with the news */
	bool connected, open, up, joined, fetching, verifying, told;
	uint64_t lost_at;     /* ms: since when it is not up; 0: it is */
	uint64_t received_at; /* ns: when it had all of the newest release it holds */
	uint64_t verify_ns;   /* processor time that its verification took */
	uint64_t held_at;     /* ns: when it had verified that, among all those of this machine */
};

/* COUNT nodes that dial at once; ROLE and KEYSTORE are borrowed. */
void simfleet_start(struct simfleet *fleet, size_t count);
/* Closes all, and ends the threads. */
void simfleet_stop(struct simfleet *fleet);

#endif
