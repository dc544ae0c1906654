/*
 * One message for many peers: see peers_send. Nonces, keys and socket of a peer are its own, so
 * that threads can seal and send for different ones; all else of a peer stays with the loop.
 */
#include "channel/peer_state.h"

#include "core/loop.h"
#include "core/text.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/socket.h>

/* What goes to one peer. */
struct outgoing {
	const struct peer_message *message;
	int fd; /* to send to at once; -1 when bytes of before are still waiting */
	struct buf sealed; /* after the sending: what the socket did not take */
	bool failed;
	bool moved;
};

/* On any thread. What fails here fails again when the loop sends the rest, and is told there. */
static void seal_and_send(void *arg, size_t i)
{
	struct outgoing *out = (struct outgoing *)arg + i;
	ssize_t sent;

	if (!peer_seal(out->message->peer, out->message->parts, out->message->part_count,
		       &out->sealed)) {
		out->failed = true;
		return;
	}
	if (out->fd < 0 || out->sealed.len == 0)
		return;
	do
		sent = send(out->fd, out->sealed.data, out->sealed.len,
			    MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent <= 0)
		return;
	out->moved = true;
	buf_consume(&out->sealed, (size_t)sent);
	if (out->sealed.len == 0)
		buf_clear(&out->sealed); /* thousands of them would be memory for nothing */
}

/* What the loop knows of the peer afterwards. */
static void outgoing_end(struct outgoing *out)
{
	struct peer *peer = out->message->peer;

	if (out->moved)
		peer->moved = peer->group->now();
	if (out->failed)
		peer_fail(peer, SEND_TOO_MUCH);
	else if (out->sealed.len)
		peer_write(peer, &out->sealed);
	buf_clear(&out->sealed);
}

void peers_send(struct peers *peers, const struct peer_message *messages, size_t count)
{
	struct outgoing *all = mem_new(count ? count : 1, sizeof(*all));
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		struct peer *peer = messages[i].peer;
		struct outgoing *out = &all[n];

		if (!peer_sendable(peer))
			continue;
		out->message = &messages[i];
		buf_init(&out->sealed, UINT_MAX);
		if (peer->sending || uv_fileno((uv_handle_t *)&peer->tcp, &out->fd) != 0)
			out->fd = -1;
		n++;
	}
	loop_spread(peers->loop, n, seal_and_send, all);
	for (size_t i = 0; i < n; i++)
		outgoing_end(&all[i]);
	free(all);
}
