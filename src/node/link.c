/* The link of a node to its admin: see link.h. */
#include "node/link.h"

#include "channel/peer.h"
#include "core/limits.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/text.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TICK_MS = 5000 }; /* how often silence is looked at while up */

#define WAITS "the admin has to approve this node: muster nodes there says how"

struct pump;

struct link {
	uv_loop_t *loop;
	uv_timer_t timer; /* back-off while down, ticks while up */
	struct peers *peers;
	struct peer *peer; /* NULL: none */
	struct pump *pump; /* of the fetch under way */
	/* bytes of the git lane that are still to come of what was sent with the news */
	size_t coming;
	struct news news;  /* which are told once they are there */
	char *host;
	uint16_t port;
	const struct keystore *keystore;
	const struct link_calls *calls;
	void *arg;
	bool up; /* registered */
	bool waits; /* and told that nothing comes until the admin approves it */
	bool closing;
	uint64_t lost; /* when it was last up, or began, in milliseconds; 0: it is up */
	int64_t contact;
	char reason[512]; /* why it is down, or what it waits for; "": neither */
};

/*
 * Carries bytes between a fetch's socket and the git lane. It outlives the link if libuv still has
 * it.
 */
struct pump {
	uv_pipe_t pipe;
	struct link *link; /* NULL: the link has let it go */
	char bytes[16 << 10];
};

struct pumped {
	uv_write_t request;
	uint8_t data[];
};

/* --- fetches --- */

static void on_pump_closed(uv_handle_t *handle)
{
	free(handle);
}

static void pump_end(struct pump *pump)
{
	struct link *link = pump->link;

	if (!link)
		return;
	pump->link = NULL;
	link->pump = NULL;
	uv_close((uv_handle_t *)&pump->pipe, on_pump_closed);
	link->calls->fetched(link->arg);
}

static void on_pump_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
	struct pump *pump = (struct pump *)handle;

	(void)suggested; /* a negotiation is small */
	*out = uv_buf_init(pump->bytes, sizeof(pump->bytes));
}

static void on_pump_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *bytes)
{
	struct pump *pump = (struct pump *)stream;

	if (n > 0 && pump->link && pump->link->peer)
		peer_send_git(pump->link->peer, bytes->base, (size_t)n);
	else if (n < 0)
		pump_end(pump);
}

static void on_pumped(uv_write_t *request, int status)
{
	struct pump *pump = (struct pump *)request->handle;

	free(request);
	if (status == 0 && pump->link && pump->link->peer &&
	    uv_stream_get_write_queue_size((uv_stream_t *)&pump->pipe) < LIMIT_PEER_OUTPUT / 2)
		peer_resume(pump->link->peer);
}

void news_clear(struct news *news)
{
	buf_clear(&news->pack);
	*news = (struct news){.sequence = 0};
	buf_init(&news->pack, LIMIT_PUSHED_PACK);
}

static void tell_news(struct link *link)
{
	link->calls->head(link->arg, &link->news);
	news_clear(&link->news);
}

/* What was sent with the news comes before all else of the lane. How much of the N bytes it was. */
static size_t take_pack(struct link *link, const uint8_t *data, size_t n)
{
	if (n > link->coming)
		n = link->coming;
	if (n == 0)
		return 0;
	buf_put(&link->news.pack, data, n);
	link->coming -= n;
	if (link->coming == 0)
		tell_news(link);
	return n;
}

static void on_git(struct peer *peer, const uint8_t *data, size_t n)
{
	struct link *link = peer_data(peer);
	struct pumped *pumped;
	uv_buf_t bytes;
	size_t taken = take_pack(link, data, n);

	data += taken;
	n -= taken;
	if (n == 0)
		return;
	if (!link->pump)
		return; /* the rest of a fetch that was given up: the channel is about to close */
	pumped = mem_new(1, sizeof(*pumped) + n);
	memcpy(pumped->data, data, n);
	bytes = uv_buf_init((char *)pumped->data, (unsigned)n);
	if (uv_write(&pumped->request, (uv_stream_t *)&link->pump->pipe, &bytes, 1, on_pumped) !=
	    0) {
		free(pumped);
		pump_end(link->pump);
		return;
	}
	if (uv_stream_get_write_queue_size((uv_stream_t *)&link->pump->pipe) > LIMIT_PEER_OUTPUT)
		peer_pause(peer);
}

bool link_fetch(struct link *link, int *fd)
{
	struct control_message message;
	int pair[2];

	if (!link->up || link->pump ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
		return false;
	link->pump = mem_new(1, sizeof(*link->pump));
	link->pump->link = link;
	(void)uv_pipe_init(link->loop, &link->pump->pipe, 0); /* never fails */
	if (uv_pipe_open(&link->pump->pipe, pair[0]) != 0 ||
	    uv_read_start((uv_stream_t *)&link->pump->pipe, on_pump_alloc, on_pump_read) != 0) {
		(void)close(pair[1]); /* nothing was sent */
		link->pump->link = NULL;
		uv_close((uv_handle_t *)&link->pump->pipe, on_pump_closed);
		link->pump = NULL;
		return false;
	}
	control_start(&message, CONTROL_FETCH);
	peer_send_control(link->peer, &message);
	control_clear(&message);
	*fd = pair[1];
	return true;
}

/* --- what the admin says --- */

static void send_told(struct link *link, enum control_verb verb)
{
	struct control_message message;

	control_start(&message, verb);
	link->calls->tell(link->arg, &message);
	peer_send_control(link->peer, &message);
	control_clear(&message);
}

static void on_head(struct link *link, const struct control_message *message)
{
	const char *hex = control_get(message, "release"), *base = control_get(message, "base");
	const char *pin = control_get(message, "pin");
	uint64_t size = control_get_number(message, "pack", 0);
	struct news *news = &link->news;

	if (link->coming) {
		peer_close(link->peer, "news before the pack of the last ones was there");
		return;
	}
	news_clear(news);
	if (pin)
		memcpy(news->pin, pin, strlen(pin) + 1); /* a value fits */
	news->sequence = hex ? control_get_number(message, "sequence", 0) : 0;
	if (hex && (oid_parse(hex, &news->release) != 0 || news->sequence == 0)) {
		peer_close(link->peer, "the admin named no release: \"%.50s\"", hex);
		return;
	}
	if (base &&
	    (!hex || oid_parse(base, &news->base) != 0 || size == 0 || size > LIMIT_PUSHED_PACK)) {
		peer_close(link->peer, "the admin sends a pack of %llu bytes with its news",
			   (unsigned long long)size);
		return;
	}
	link->coming = base ? (size_t)size : 0;
	if (link->coming == 0)
		tell_news(link);
}

static void on_tick(uv_timer_t *timer);

/* It comes once more when a node that waited is approved. */
static void on_registered(struct link *link, const struct control_message *message)
{
	/* an admin that knows of none says nothing */
	const char *approved = control_get(message, "approved");
	bool waits = approved && strcmp(approved, "no") == 0;

	if (waits && !(link->up && link->waits))
		log_notice("link", link->host, WAITS);
	else if (!waits && !link->up)
		log_info("link", link->host, "registered at the admin");
	else if (!waits && link->waits)
		log_notice("link", link->host, "the admin approved this node");
	link->up = true;
	link->waits = waits;
	link->lost = 0;
	(void)snprintf(link->reason, sizeof(link->reason), "%s", waits ? WAITS : ""); /* fits */
	(void)uv_timer_start(&link->timer, on_tick, TICK_MS, TICK_MS); /* never fails */
	link->calls->changed(link->arg, true, NULL);
}

static void on_control(struct peer *peer, const struct control_message *message)
{
	struct link *link = peer_data(peer);
	const char *text = control_get(message, "text");
	struct control_message answer;

	link->contact = text_now();
	switch (message->verb) {
	case CONTROL_REGISTERED:
		on_registered(link, message);
		break;
	case CONTROL_REFUSED:
		peer_close(peer, "the admin refused this node: %s",
			   text ? text : "it does not say why");
		break;
	case CONTROL_HEAD:
		on_head(link, message);
		break;
	case CONTROL_PONG:
	case CONTROL_UNKNOWN:
		break;
	case CONTROL_REGISTER:
	case CONTROL_STATUS:
	case CONTROL_FETCH:
	case CONTROL_PING:
	case CONTROL_OTHER:
		control_start(&answer, CONTROL_UNKNOWN);
		control_add(&answer, "verb", message->word);
		peer_send_control(peer, &answer);
		control_clear(&answer);
		break;
	}
}

/* --- up and down --- */

static void dial(struct link *link)
{
	link->peer = peers_dial(link->peers, link->host, link->port, link->keystore);
	peer_set_data(link->peer, link);
}

static void on_back_off(uv_timer_t *timer)
{
	dial(timer->data);
}

/*
 * Full jitter: nodes that were cut off together do not come back together. The limit is the time it
 * has been away, so that the waits grow twofold at most, and an admin that was restarted in a
 * second has all of its nodes back in another.
 */
static void back_off(struct link *link)
{
	uint64_t limit;

	if (!link->lost)
		link->lost = loop_now();
	limit = loop_now() - link->lost;
	if (limit < WAIT_BACKOFF_MIN)
		limit = WAIT_BACKOFF_MIN;
	if (limit > WAIT_BACKOFF_MAX)
		limit = WAIT_BACKOFF_MAX;
	(void)uv_timer_start(&link->timer, on_back_off, loop_random((uint32_t)limit),
			     0); /* never fails */
}

static void on_tick(uv_timer_t *timer)
{
	struct link *link = timer->data;
	struct control_message message;

	if (!link->peer || peer_silence(link->peer) < WAIT_PING)
		return;
	control_start(&message, CONTROL_PING);
	peer_send_control(link->peer, &message);
	control_clear(&message);
}

static void on_open(struct peer *peer)
{
	send_told(peer_data(peer), CONTROL_REGISTER);
}

static void on_drained(struct peer *peer)
{
	(void)peer; /* a node sends little */
}

static void on_closed(struct peer *peer, const char *reason)
{
	struct link *link = peer_data(peer);

	link->peer = NULL;
	link->up = link->waits = false;
	link->coming = 0;
	news_clear(&link->news);
	if (link->pump)
		pump_end(link->pump);
	if (link->closing)
		return;
	(void)snprintf(link->reason, sizeof(link->reason), "%s", reason); /* cut is fine */
	back_off(link);
	link->calls->changed(link->arg, false, reason);
}

static enum peer_hint on_hello(void *arg, const struct hello *hello,
			       uint8_t join_key[static KEY_SIZE])
{
	(void)arg;
	(void)hello;
	(void)join_key;
	return PEER_HINT_BUSY; /* a node accepts nobody; it does not listen either */
}

static const struct peer_calls peer_calls = {
	.hello = on_hello,
	.open = on_open,
	.control = on_control,
	.git = on_git,
	.drained = on_drained,
	.closed = on_closed,
};

/* --- life --- */

struct link *link_new(uv_loop_t *loop, const char *host, uint16_t port,
		      const struct keystore *keystore, const struct static_key *key,
		      const struct link_calls *calls, void *arg)
{
	struct link *link = mem_new(1, sizeof(*link));

	link->loop = loop;
	link->host = text_copy(host);
	link->port = port;
	link->keystore = keystore;
	link->calls = calls;
	link->arg = arg;
	news_clear(&link->news);
	(void)uv_timer_init(loop, &link->timer); /* never fails */
	link->timer.data = link;
	link->peers = peers_new(loop, key, &peer_calls, link);
	dial(link);
	return link;
}

void link_point(struct link *link, const char *host, uint16_t port, const struct keystore *keystore,
		bool now)
{
	free(link->host);
	link->host = text_copy(host);
	link->port = port;
	link->keystore = keystore;
	if (!now)
		return;
	link->lost = 0;
	if (link->peer)
		link_drop(link, "another cluster configuration counts now");
	else
		back_off(link);
}

bool link_up(const struct link *link)
{
	return link && link->up;
}

bool link_waits(const struct link *link)
{
	return link_up(link) && link->waits;
}

const char *link_reason(const struct link *link)
{
	return link ? link->reason : "";
}

int64_t link_contact(const struct link *link)
{
	return link ? link->contact : 0;
}

void link_report(struct link *link)
{
	if (link_up(link))
		send_told(link, CONTROL_STATUS);
}

void link_drop(struct link *link, const char *reason)
{
	if (link->peer)
		peer_close(link->peer, "%s", reason);
}

static void on_timer_close(uv_handle_t *handle)
{
	struct link *link = handle->data;

	news_clear(&link->news);
	free(link->host);
	free(link);
}

void link_free(struct link *link)
{
	if (!link || link->closing)
		return;
	link->closing = true;
	peers_free(link->peers);
	uv_close((uv_handle_t *)&link->timer, on_timer_close);
}
