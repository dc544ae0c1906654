/*
 * proxy PORT TARGET-PORT [CAPTURE]: what is between a node and its admin, on loopback. It forwards
 * TCP and does what a line on stdin says, then answers `ok`; ends with its input. CAPTURE gets
 * every byte that comes in, from either side.
 *
 *	pass		forward both ways (as at the start)
 *	block up	nothing more from those who dial to the target; `block down`: to them;
 *			`block`: neither
 *	after N		forward N bytes more to those who dial, then `block`
 *	cut		end all connections, as a machine does that knows nothing of them
 *	count		answers how many bytes came to the target's side and from it: `UP DOWN`
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PAIRS_MAX = 200, CHUNK = 1 << 14 };
enum direction { UP, DOWN, DIRECTIONS };

/*
 * What was read of one end and is not yet written to the other; ends[UP] is that of the one who
 * dialled.
 */
struct flow {
	char bytes[CHUNK];
	size_t used;
	bool ended, told; /* the source closed; the sink knows */
};

struct pair {
	int ends[DIRECTIONS]; /* -1: no pair */
	struct flow flows[DIRECTIONS];
};

static struct pair pairs[PAIRS_MAX];
static bool blocked[DIRECTIONS];
static long after = -1; /* bytes down until all is blocked; -1: no limit */
static unsigned long long counts[DIRECTIONS];
static FILE *capture;
static uint16_t target;

static void must(bool good, const char *what)
{
	if (good)
		return;
	(void)fprintf(stderr, "proxy: %s: %s\n", what, strerror(errno)); /* no one to tell */
	exit(1);
}

static struct sockaddr_in loopback(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return address;
}

static void drop(struct pair *pair, bool reset)
{
	const struct linger at_once = {.l_onoff = 1};

	for (int i = 0; i < DIRECTIONS; i++) {
		if (reset)
			(void)setsockopt(pair->ends[i], SOL_SOCKET, SO_LINGER, &at_once,
					 sizeof(at_once)); /* a close then */
		(void)close(pair->ends[i]); /* nothing is asked of it */
		pair->ends[i] = -1;
	}
}

static void take(int listening)
{
	int from = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct sockaddr_in to = loopback(target);
	struct pair *pair = pairs;
	int end;

	if (from < 0)
		return;
	while (pair < pairs + PAIRS_MAX && pair->ends[UP] >= 0)
		pair++;
	end = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (pair == pairs + PAIRS_MAX || end < 0 ||
	    connect(end, (struct sockaddr *)&to, sizeof(to)) != 0) {
		(void)close(from); /* as where nobody listens */
		if (end >= 0)
			(void)close(end); /* ditto */
		return;
	}
	(void)fcntl(end, F_SETFL, O_NONBLOCK); /* never fails on a socket */
	memset(pair, 0, sizeof(*pair));
	pair->ends[UP] = from;
	pair->ends[DOWN] = end;
	for (int i = 0; i < DIRECTIONS; i++)
		(void)setsockopt(pair->ends[i], IPPROTO_TCP, TCP_NODELAY, &(int){1},
				 sizeof(int)); /* slower without */
}

/* Reads the end that DIRECTION comes from; false when the pair is broken. */
static bool fill(struct pair *pair, enum direction direction)
{
	struct flow *flow = &pair->flows[direction];
	ssize_t n = read(pair->ends[direction], flow->bytes + flow->used, CHUNK - flow->used);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		flow->ended = true;
	if (capture && n > 0)
		must(fwrite(flow->bytes + flow->used, 1, (size_t)n, capture) == (size_t)n,
		     "capture");
	flow->used += (size_t)n;
	counts[direction] += (size_t)n;
	return true;
}

static bool drain(struct pair *pair, enum direction direction)
{
	struct flow *flow = &pair->flows[direction];
	size_t n = flow->used;
	ssize_t sent = 0;

	if (direction == DOWN && after >= 0 && n > (size_t)after)
		n = (size_t)after;
	if (n > 0)
		sent = send(pair->ends[!direction], flow->bytes, n, MSG_NOSIGNAL);
	if (sent < 0)
		return errno == EAGAIN || errno == EINTR;
	memmove(flow->bytes, flow->bytes + sent, flow->used - (size_t)sent);
	flow->used -= (size_t)sent;
	if (direction == DOWN && after >= 0) {
		after -= sent;
		if (after == 0) {
			blocked[UP] = blocked[DOWN] = true;
			after = -1;
		}
	}
	if (flow->ended && flow->used == 0 && !flow->told) {
		flow->told = true;
		(void)shutdown(pair->ends[!direction], SHUT_WR); /* gone already is fine */
	}
	return !pair->flows[UP].told || !pair->flows[DOWN].told;
}

static bool is(const char *line, const char *word)
{
	return strcmp(line, word) == 0;
}

static void command(char *line)
{
	line[strcspn(line, "\n")] = '\0';
	if (is(line, "pass"))
		blocked[UP] = blocked[DOWN] = false;
	else if (is(line, "block up") || is(line, "block down") || is(line, "block"))
		blocked[UP] |= !is(line, "block down"), blocked[DOWN] |= !is(line, "block up");
	else if (strncmp(line, "after ", 6) == 0)
		after = strtol(line + 6, NULL, 10);
	else if (!is(line, "count") && !is(line, "cut"))
		must(false, line);
	for (struct pair *pair = pairs; is(line, "cut") && pair < pairs + PAIRS_MAX; pair++)
		if (pair->ends[UP] >= 0)
			drop(pair, true);
	if (is(line, "count"))
		(void)printf("%llu %llu\n", counts[UP], counts[DOWN]); /* flushed below */
	else
		(void)puts("ok"); /* ditto */
	must(fflush(stdout) == 0 && (!capture || fflush(capture) == 0), "writing");
}

static void turn(struct pollfd *fds, int listening)
{
	nfds_t count = 2;

	fds[0] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
	fds[1] = (struct pollfd){.fd = listening, .events = POLLIN};
	for (struct pair *pair = pairs; pair < pairs + PAIRS_MAX; pair++) {
		for (int i = 0; i < DIRECTIONS; i++) {
			const struct flow *in = &pair->flows[i], *out = &pair->flows[!i];
			short events = 0;

			if (pair->ends[UP] >= 0 && !blocked[i] && !in->ended && in->used < CHUNK)
				events |= POLLIN;
			if (pair->ends[UP] >= 0 && !blocked[!i] &&
			    (out->used > 0 || (out->ended && !out->told)))
				events |= POLLOUT;
			fds[count++] = (struct pollfd){.fd = events ? pair->ends[i] : -1,
						       .events = events};
		}
	}
	must(poll(fds, count, -1) > 0 || errno == EINTR, "poll");
}

static void forward(const struct pollfd *fds)
{
	for (size_t n = 0; n < PAIRS_MAX; n++) {
		struct pair *pair = pairs + n;

		for (int i = 0; i < DIRECTIONS && pair->ends[UP] >= 0; i++) {
			short events = fds[2 + DIRECTIONS * n + (size_t)i].revents;
			bool good = true;

			if ((events & (POLLIN | POLLHUP | POLLERR)) && !blocked[i] &&
			    !pair->flows[i].ended)
				good = fill(pair, i);
			if (good && (events & POLLOUT) && !blocked[!i])
				good = drain(pair, !i);
			if (!good)
				drop(pair, false);
		}
	}
}

int main(int argc, char **argv)
{
	static struct pollfd fds[2 + DIRECTIONS * PAIRS_MAX];
	struct sockaddr_in at;
	int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	char line[100];

	if (argc < 3)
		return 2;
	at = loopback((uint16_t)atoi(argv[1]));
	target = (uint16_t)atoi(argv[2]);
	for (struct pair *pair = pairs; pair < pairs + PAIRS_MAX; pair++)
		pair->ends[UP] = pair->ends[DOWN] = -1;
	if (argc > 3)
		must((capture = fopen(argv[3], "we")) != NULL, argv[3]);
	(void)signal(SIGPIPE, SIG_IGN); /* a valid number */
	(void)setvbuf(stdin, NULL, _IONBF, 0); /* so that poll sees what is left */
	must(setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) == 0,
	     "socket");
	must(bind(listening, (struct sockaddr *)&at, sizeof(at)) == 0 &&
		     listen(listening, 128) == 0,
	     "listen");
	for (;;) {
		turn(fds, listening);
		if (fds[0].revents && !fgets(line, sizeof(line), stdin))
			return 0;
		if (fds[0].revents)
			command(line);
		else
			forward(fds);
		if (fds[1].revents)
			take(listening);
	}
}
