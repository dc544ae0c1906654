/* A group of peers: accepting, dialling, waits. See peer.h. */
#include "channel/peer_state.h"

#include "core/log.h"
#include "core/loop.h"
#include "core/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void group_release(struct peers *peers)
{
	if (peers->handles > 0 || peers_count(peers) > 0)
		return;
	slab_free(peers->slab);
	slab_free(peers->handshakes.slab);
	static_key_free(peers->key);
	free(peers);
}

/* --- accepting --- */

/* A line now and then: without descriptors this happens for each who comes. */
static void warn_accepting(struct peers *group, int status)
{
	uint64_t now = group->now();

	if (group->warned && now - group->warned < WARN_MS)
		return;
	group->warned = now;
	log_warning("channel", "listen", "accepting failed: %s", uv_strerror(status));
}

/*
 * Who dials honestly is through in a round trip: the oldest who are not have waited longest for
 * nothing, and make room. Not so one that waits for us, or whose bytes may be there unread: of all
 * nodes at once after a restart these would be closed, and come again.
 */
static bool makes_room(const struct peer *peer, uint64_t now)
{
	uint64_t wait = peer->state == PEER_UNPROVEN ? WAIT_ROOM_ANSWERED : WAIT_ROOM;

	return !peer->attempt && peer->heard < peer->group->looked && now - peer->heard >= wait;
}

/* Accepts the one that libuv has; it accepts no other before. */
static void accept_peer(struct peers *group, bool full)
{
	struct peer *peer = peer_new(group, false);
	int rc = uv_accept((uv_stream_t *)&group->listener, (uv_stream_t *)&peer->tcp);

	if (rc != 0) {
		peer_close(peer, "accepting failed: %s", uv_strerror(rc));
		return;
	}
	peer_name(peer);
	(void)uv_tcp_nodelay(&peer->tcp, 1); /* slower without, but right */
	if (full) {
		peer_hint(peer, PEER_HINT_BUSY);
		peer_close(peer, "as many connections as are taken are open");
		return;
	}
	peer_enter(peer, PEER_HELLO);
	peer_read(peer);
}

/* Between two of these all that had come was read. */
static void on_room(uv_timer_t *timer)
{
	struct peers *group = timer->data;
	struct peer_list *unproven = &group->unproven;
	uint64_t now = group->now();

	while (unproven->count > 0 && makes_room(unproven->last, now))
		peer_close(unproven->last, "made room: %zu handshakes are unfinished",
			   unproven->count);
	group->looked = now;
	if (unproven->count >= group->max_unproven)
		return;
	(void)uv_timer_stop(timer); /* never fails */
	accept_peer(group, false);
}

static void on_connection(uv_stream_t *listener, int status)
{
	struct peers *group = listener->data;

	if (group->closing)
		return;
	if (status != 0) {
		warn_accepting(group, status);
	} else if (peers_count(group) >= group->max_peers) {
		accept_peer(group, true);
	} else if (group->unproven.count < group->max_unproven) {
		accept_peer(group, false);
	} else {
		group->looked = 0;
		(void)uv_timer_start(&group->room, on_room, ROOM_MS, ROOM_MS); /* never fails */
	}
}

/* --- dialling --- */

static void dial_free(struct dial *dial)
{
	crypto_wipe(dial->join_key, sizeof(dial->join_key));
	if (dial->addresses)
		uv_freeaddrinfo(dial->addresses);
	free(dial);
}

void peer_drop_dial(struct peer *peer)
{
	struct dial *dial = peer->dial;

	if (!dial)
		return;
	peer->dial = NULL;
	dial->peer = NULL;
	if (dial->addresses)
		dial_free(dial);
	else
		/* its callback frees, cancelled or not */
		(void)uv_cancel((uv_req_t *)&dial->lookup);
}

static void dial_hello(struct peer *peer)
{
	uint8_t hello[HELLO_SIZE];
	struct buf out;
	struct err err;

	buf_init(&out, HELLO_SIZE + HANDSHAKE_FIRST);
	hello_format(&peer->hello, hello);
	buf_put(&out, hello, sizeof(hello));
	peer->noise = hello_noise(hello, peer->group->key, peer->public, peer->dial->join_key);
	peer_drop_dial(peer);
	if (noise_write(peer->noise, NULL, 0, &out, &err) != 0) {
		buf_clear(&out);
		peer_close(peer, "%s", err.text);
		return;
	}
	peer_enter(peer, PEER_HANDSHAKE);
	peer_write(peer, &out);
	peer_read(peer);
}

static void on_connected(uv_connect_t *request, int status)
{
	struct peer *peer = (struct peer *)request->handle;

	free(request);
	if (peer->state >= PEER_FAILED)
		return;
	if (status != 0) {
		peer_close(peer, "connection failed: %s", uv_strerror(status));
		return;
	}
	peer_name(peer);
	(void)uv_tcp_nodelay(&peer->tcp, 1); /* slower without, but right */
	dial_hello(peer);
}

static void dial_next(struct peer *peer)
{
	struct dial *dial = peer->dial;
	uv_connect_t *request = mem_new(1, sizeof(*request));
	int rc = uv_tcp_connect(request, &peer->tcp, dial->next->ai_addr, on_connected);

	if (rc != 0) {
		free(request);
		peer_close(peer, "connection failed: %s", uv_strerror(rc));
	}
}

static void on_looked_up(uv_getaddrinfo_t *request, int status, struct addrinfo *addresses)
{
	struct dial *dial = request->data;
	unsigned count = 0;

	dial->addresses = addresses;
	if (!dial->peer) {
		dial_free(dial);
		return;
	}
	for (struct addrinfo *a = addresses; a; a = a->ai_next)
		count++;
	if (status != 0 || count == 0) {
		struct peer *peer = dial->peer;

		peer->dial = NULL;
		dial_free(dial);
		peer_close(peer, "name lookup of the admin failed: %s", uv_strerror(status));
		return;
	}
	/*
	 * one of them at random: back-off tries the others in time, and no one address takes all
	 * nodes
	 */
	dial->next = addresses;
	for (uint32_t skip = loop_random(count); skip > 0; skip--)
		dial->next = dial->next->ai_next;
	dial_next(dial->peer);
}

struct peer *peers_dial(struct peers *peers, const char *host, uint16_t port,
			const struct keystore *keystore)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
				 .ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV};
	struct peer *peer = peer_new(peers, true);
	struct dial *dial = mem_new(1, sizeof(*dial));
	char service[8];
	int rc;

	(void)snprintf(service, sizeof(service), "%u", port); /* fits */
	(void)snprintf(peer->address, sizeof(peer->address), "%.50s:%u", host,
		       port); /* cut is fine */
	peer->hello = (struct hello){.version = HELLO_VERSION, .epoch = keystore->epoch};
	key_role_tag(keystore->cluster_id, keystore->role, peer->hello.role_tag);
	memcpy(peer->public, keystore->admin_public, KEY_SIZE);
	memcpy(dial->join_key, keystore->join_key, KEY_SIZE);
	dial->peer = peer;
	dial->lookup.data = dial;
	peer->dial = dial;
	rc = uv_getaddrinfo(peers->loop, &dial->lookup, on_looked_up, host, service, &hints);
	if (rc != 0) { /* no request is under way; told from the loop, as all failures are */
		peer->dial = NULL;
		dial_free(dial);
		peer_fail(peer, "name lookup of the admin failed: no such name can be");
	}
	return peer;
}

/* --- waits --- */

static void sweep_open(struct peer *peer, uint64_t now)
{
	size_t queued = uv_stream_get_write_queue_size((uv_stream_t *)&peer->tcp);

	if (queued != peer->queued)
		peer->moved = now;
	peer->queued = queued;
	peer->asked = 0;
	if (peer->reading && now - peer->heard > WAIT_SILENCE)
		peer_close(peer, "silent for %u ms", WAIT_SILENCE);
	else if (queued && now - peer->moved > WAIT_SILENCE)
		peer_close(peer, "does not read for %u ms", WAIT_SILENCE);
	else if (peer->limit && now > peer->limit)
		peer_close(peer, "%s took too long", peer->what);
}

static void sweep_peer(struct peer *peer, uint64_t now)
{
	uint64_t age = now - peer->since;

	switch (peer->state) {
	case PEER_CONNECTING:
		if (age > WAIT_CONNECT)
			peer_close(peer, "no connection within %u ms", WAIT_CONNECT);
		break;
	case PEER_HELLO:
	case PEER_HANDSHAKE:
	case PEER_UNPROVEN:
		if (age > WAIT_HANDSHAKE)
			peer_close(peer, "no handshake within %u ms", WAIT_HANDSHAKE);
		break;
	case PEER_OPEN:
		sweep_open(peer, now);
		break;
	case PEER_FAILED:
		peer_close(peer, "%s", peer->failed);
		break;
	case PEER_CLOSING:
		break;
	}
}

/*
 * A peer that is closed moves to the closed list, where there is nothing to do: following NEXT
 * there is harmless.
 */
static void sweep_list(struct peer_list *list, uint64_t now)
{
	for (struct peer *peer = list->first, *next; peer; peer = next) {
		next = peer->next;
		sweep_peer(peer, now);
	}
}

void peers_sweep(struct peers *peers)
{
	uint64_t now = peers->now();

	sweep_list(&peers->unproven, now);
	sweep_list(&peers->others, now);
}

static void on_sweep(uv_timer_t *timer)
{
	peers_sweep(timer->data);
}

void sweep_soon(struct peers *peers)
{
	if (!peers->closing)
		(void)uv_timer_start(&peers->sweep, on_sweep, 0, SWEEP_MS); /* never fails */
}

/* --- the group --- */

struct peers *peers_new(uv_loop_t *loop, const struct static_key *key,
			const struct peer_calls *calls, void *arg)
{
	struct peers *peers = mem_new(1, sizeof(*peers));

	peers->loop = loop;
	peers->key = static_key_of(key->secret);
	peers->calls = calls;
	peers->arg = arg;
	peers->now = loop_now;
	peers->max_peers = LIMIT_PEERS;
	peers->max_unproven = LIMIT_HANDSHAKES;
	peers->slab = slab_new(sizeof(struct record_state));
	peers->handshakes.slab = slab_new(handshake_memory());
	(void)uv_timer_init(loop, &peers->sweep);   /* never fails */
	(void)uv_timer_init(loop, &peers->room);    /* never fails */
	(void)uv_tcp_init(loop, &peers->listener); /* never fails without a socket */
	peers->sweep.data = peers->room.data = peers->listener.data = peers;
	peers->handles = 3;
	(void)uv_timer_start(&peers->sweep, on_sweep, SWEEP_MS, SWEEP_MS); /* never fails */
	return peers;
}

int peers_listen(struct peers *peers, const char *host, uint16_t port, struct err *err)
{
	struct sockaddr_storage address;
	int size = sizeof(address);
	int rc = uv_ip4_addr(host, port, (struct sockaddr_in *)&address);

	if (rc != 0)
		rc = uv_ip6_addr(host, port, (struct sockaddr_in6 *)&address);
	if (rc != 0)
		return err_set(err, ERR_REFUSED, "listen: \"%s\" is not an address of this machine",
			       host);
	rc = uv_tcp_bind(&peers->listener, (struct sockaddr *)&address, 0);
	if (rc == 0)
		rc = uv_listen((uv_stream_t *)&peers->listener, BACKLOG, on_connection);
	if (rc != 0)
		return err_set(err, ERR_REFUSED, "listen: %s port %u: %s", host, port,
			       uv_strerror(rc));
	rc = uv_tcp_getsockname(&peers->listener, (struct sockaddr *)&address, &size);
	if (rc != 0)
		return err_set(err, ERR_REFUSED, "listen: %s", uv_strerror(rc));
	peers->port =
		ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
						    : ((struct sockaddr_in *)&address)->sin_port);
	return 0;
}

static void on_group_close(uv_handle_t *handle)
{
	struct peers *peers = handle->data;

	peers->handles--;
	group_release(peers);
}

void peers_free(struct peers *peers)
{
	if (!peers || peers->closing)
		return;
	peers->closing = true;
	/* each goes to the closed list; closed() may close others as well */
	while (peers->unproven.first || peers->others.first)
		peer_close(peers->unproven.first ? peers->unproven.first : peers->others.first,
			   "stopping");
	uv_close((uv_handle_t *)&peers->sweep, on_group_close);
	uv_close((uv_handle_t *)&peers->room, on_group_close);
	uv_close((uv_handle_t *)&peers->listener, on_group_close);
}

void *peers_arg(const struct peers *peers)
{
	return peers->arg;
}

uint16_t peers_port(const struct peers *peers)
{
	return peers->port;
}

size_t peers_count(const struct peers *peers)
{
	return peers->unproven.count + peers->others.count + peers->closed.count;
}

void peers_allow(struct peers *peers, size_t max_peers, size_t max_unproven)
{
	peers->max_peers = max_peers;
	peers->max_unproven = max_unproven;
}

void peers_set_clock(struct peers *peers, uint64_t (*now)(void))
{
	peers->now = now;
}
