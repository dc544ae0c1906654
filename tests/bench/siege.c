/*
 * siege PORT ROLE TIP SECONDS SLOW SILENT HALF GARBAGE DEAF SAME: all that peers do to disturb the
 * admin on loopback, at once. The keystore is in SIEGE_KEYSTORE. Kept up for SECONDS or until stdin
 * closes; "ready" is said when all are there, and at the end one JSON object of what was done.
 *
 *	SLOW	connections that send a byte a second of a good beginning
 *	SILENT	connections that send nothing
 *	HALF	connections that send all of a good beginning but its last byte
 *	GARBAGE	connections a second that send 3000 random bytes
 *	DEAF	nodes that register, ask for TIP, and read nothing; every second one asks on and on
 *	SAME	times that one node asks for the newest release from the first on, and takes it
 *
 * Those that the admin closes are made again, all in all at most CONNECTIONS_MAX.
 */
#include "../unit/wire_client.h"

#include "core/oid.h"
#include "core/text.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

enum { CONNECTIONS_MAX = 200000, TICK_MS = 20, AGAIN_MS = 1000, HALF_MS = 10000, PINGS = 1000 };
enum kind { SLOW, SILENT, HALF, KINDS };

struct foe {
	int fd; /* -1: none */
	size_t sent;
	uint64_t next; /* ms: when it does something again */
};

struct siege {
	uint16_t port;
	const char *role, *tip;
	struct keystore *keystore;
	uint8_t first[FIRST_SIZE];
	struct foe *foes[KINDS];
	size_t counts[KINDS];
	size_t connections, closed, garbage, same, deaf_closed;
	struct client *deaf;
	size_t deaf_count;
};

static int open_one(struct siege *s)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(s->port)};
	int fd;

	if (s->connections >= CONNECTIONS_MAX)
		return -1;
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	s->connections++;
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 || errno == EINPROGRESS)
		return fd;
	(void)close(fd); /* nothing was sent */
	return -1;
}

static void foe_act(struct siege *s, enum kind kind, struct foe *foe, uint64_t now)
{
	static const size_t sizes[KINDS] = {[SLOW] = 1, [HALF] = FIRST_SIZE - 1};
	size_t n = sizes[kind];
	char byte;

	if (now < foe->next)
		return;
	/* half of a handshake is let be for ten seconds: then another is begun */
	foe->next = now + (kind == HALF ? HALF_MS : AGAIN_MS);
	if (foe->fd >= 0 && recv(foe->fd, &byte, 1, MSG_DONTWAIT) == 0) {
		(void)close(foe->fd); /* the admin did */
		foe->fd = -1;
		s->closed++;
	}
	if (foe->fd < 0) {
		foe->fd = open_one(s);
		foe->sent = 0;
	}
	if (foe->fd >= 0 && foe->sent + n <= FIRST_SIZE - 1 &&
	    send(foe->fd, s->first + foe->sent, n, MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
		foe->sent += n;
}

static void foes_act(struct siege *s, uint64_t now)
{
	for (enum kind kind = SLOW; kind < KINDS; kind++)
		for (size_t i = 0; i < s->counts[kind]; i++)
			foe_act(s, kind, s->foes[kind] + i, now);
}

static void foes_new(struct siege *s, enum kind kind, size_t count)
{
	s->counts[kind] = count;
	s->foes[kind] = mem_new(count ? count : 1, sizeof(struct foe));
	for (size_t i = 0; i < count; i++)
		s->foes[kind][i] =
			(struct foe){.fd = -1, .next = loop_now() + loop_random(AGAIN_MS)};
}

/* A connection of random bytes, a third of them behind a good hello. */
static void throw_garbage(struct siege *s)
{
	uint8_t bytes[3000];
	int fd = open_one(s);

	if (fd < 0)
		return;
	crypto_random(bytes, sizeof(bytes));
	if (s->garbage++ % 3 == 0)
		memcpy(bytes, s->first, HELLO_SIZE);
	(void)fcntl(fd, F_SETFL, 0); /* loopback takes it at once, or refuses */
	(void)send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL); /* the admin may have closed */
	(void)close(fd); /* nothing is asked of it */
}

/* --- with the keys of a cluster file --- */

static bool join(struct siege *s, struct client *c, const char *name)
{
	client_connect(c, s->port, NULL, NULL);
	if (!client_join(c, s->keystore))
		return false;
	client_say(c, "register", "name", name, "role", s->role, NULL);
	return true;
}

static void want(struct client *c, const char *tip)
{
	struct buf out;

	buf_init(&out, 4096);
	pktline_printf(&out, "want %s\n", tip);
	pktline_flush(&out);
	pktline_printf(&out, "done\n");
	client_record(c, LANE_GIT, out.data, out.len);
	buf_clear(&out);
}

static void deaf_new(struct siege *s, size_t count)
{
	char name[32];

	s->deaf_count = count;
	s->deaf = mem_new(count ? count : 1, sizeof(*s->deaf));
	for (size_t i = 0; i < count; i++) {
		struct client *c = s->deaf + i;

		(void)snprintf(name, sizeof(name), "deaf-%zu", i); /* fits */
		if (!join(s, c, name)) {
			(void)fprintf(stderr, "siege: %s does not get in\n", name);
			exit(1);
		}
		(void)setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &(int){4096},
				 sizeof(int));           /* the kernel's pleases too */
		(void)fcntl(c->fd, F_SETFL, O_NONBLOCK); /* never fails on a socket */
		client_say(c, "fetch", NULL);
		want(c, s->tip);
	}
}

/* Every second one asks on, in whole records, as far as the connection takes them. */
static void deaf_act(struct siege *s)
{
	for (size_t i = 0; i < s->deaf_count; i += 2) {
		struct client *c = s->deaf + i;
		struct buf out;
		size_t at = 0;
		ssize_t n;

		if (c->ended)
			continue;
		buf_init(&out, 1 << 20);
		for (int k = 0; k < PINGS; k++)
			client_seal(c, LANE_CONTROL, "0008ping0000", 12, &out);
		do {
			n = send(c->fd, out.data + at, out.len - at, MSG_NOSIGNAL | MSG_DONTWAIT);
			at += n > 0 ? (size_t)n : 0;
		} while (n > 0 && at < out.len);
		/*
		 * a record that was cut cannot be gone on with: from then on it only reads nothing
		 */
		if (at < out.len) {
			c->ended = true;
			s->deaf_closed += n < 0 && errno != EAGAIN;
		}
		buf_clear(&out);
	}
}

static bool same_once(struct siege *s, struct client *c)
{
	char tip[OID_HEX_SIZE] = "";

	client_say(c, "fetch", NULL);
	if (!client_git_ends(c, "0000") || c->lanes[LANE_GIT].len < 4 + OID_HEX)
		return false;
	memcpy(tip, c->lanes[LANE_GIT].data + 4, OID_HEX);
	buf_reset(&c->lanes[LANE_GIT]);
	want(c, tip);
	if (!client_git_ends(c, "0000"))
		return false;
	buf_reset(&c->lanes[LANE_GIT]);
	buf_reset(&c->lanes[LANE_CONTROL]); /* heads, of releases that come meanwhile */
	s->same++;
	return true;
}

/* --- all at once --- */

static bool over(uint64_t end)
{
	struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
	char byte;

	return loop_now() >= end || (poll(&in, 1, 0) > 0 && read(STDIN_FILENO, &byte, 1) <= 0);
}

static void keep_up(struct siege *s, uint64_t end, size_t garbage, size_t same)
{
	uint64_t begun = loop_now();
	bool ready = false;
	struct client asker;

	if (same && !join(s, &asker, "asker"))
		exit(1);
	while (!over(end)) {
		uint64_t now = loop_now(), next = now + TICK_MS;

		foes_act(s, now);
		while (s->garbage * 1000 < garbage * (now - begun))
			throw_garbage(s);
		deaf_act(s);
		/* one in a turn: who asks more often is closed */
		if (s->same < same && !same_once(s, &asker)) {
			(void)fprintf(stderr,
				      "siege: what one asks for again and again does not come\n");
			exit(1);
		}
		if (!ready && now - begun > 2 * AGAIN_MS)
			ready = puts("ready") >= 0 && fflush(stdout) == 0;
		now = loop_now();
		if (now < next)
			(void)poll(NULL, 0, (int)(next - now)); /* the pace of it */
	}
}

int main(int argc, char **argv)
{
	const char *text = getenv("SIEGE_KEYSTORE");
	struct siege s = {.connections = 0};
	struct rlimit limit;
	struct client c = {.fd = -1};
	size_t numbers[7];
	struct err err;

	if (argc != 11 || !text)
		return 2;
	for (int i = 0; i < 7; i++)
		numbers[i] = strtoul(argv[4 + i], NULL, 10);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit); /* fewer attack then */
	}
	(void)signal(SIGPIPE, SIG_IGN); /* a valid number */
	crypto_setup();
	if (keystore_parse(text, &s.keystore, &err) != 0)
		return 2;
	s.port = (uint16_t)atoi(argv[1]);
	s.role = argv[2];
	s.tip = argv[3];
	c.key = random_key();
	client_prepare(&c, s.keystore, 0, 0);
	memcpy(s.first, c.first, FIRST_SIZE);
	for (enum kind kind = SLOW; kind < KINDS; kind++)
		foes_new(&s, kind, numbers[1 + kind]);
	deaf_new(&s, numbers[5]);
	keep_up(&s, loop_now() + numbers[0] * 1000, numbers[4], numbers[6]);
	(void)printf(
		"{\"connections\":%zu,\"closed\":%zu,\"garbage\":%zu,\"deaf\":%zu,\"same\":%zu}\n",
		s.connections, s.closed, s.garbage, s.deaf_count, s.same);
	return fflush(stdout) == 0 ? 0 : 1;
}
