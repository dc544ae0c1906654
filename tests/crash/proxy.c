/*
 * proxy ADDRESS PORT TO-ADDRESS TO-PORT: hands on TCP connections, and faults on demand: a line of
 * stdin each,
 *
 *	cut PERCENT	each connection is reset with that chance (the seed is the process's
 *			number, unless SEED is set)
 *	stall MS	nothing is handed on for so long
 *	lose MS		what the far end says is not handed on for so long, what the near
 *			end says is
 *	refuse MS	new connections are closed at once for so long
 *
 * Says "ready" when it listens, and ends with its stdin.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PAIRS_MAX = 256, ROOM = 64 << 10 };

struct way {
	char bytes[ROOM];
	size_t used;
	bool ended; /* nothing more comes */
};

struct pair {
	int fd[2];	  /* near, far; -1: free */
	struct way way[2]; /* from near, from far */
};

static struct pair *pairs[PAIRS_MAX];
static int64_t stalled, losing, refusing; /* until then */

static int64_t now(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time); /* there is such a clock */
	return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static struct sockaddr_in address(const char *host, const char *port)
{
	struct sockaddr_in out = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};

	if (inet_pton(AF_INET, host, &out.sin_addr) != 1)
		abort();
	return out;
}

static void pair_end(int i)
{
	const struct linger hard = {.l_onoff = 1}; /* a reset, as when a machine is gone */

	for (int side = 0; side < 2; side++) {
		(void)setsockopt(pairs[i]->fd[side], SOL_SOCKET, SO_LINGER, &hard,
				 sizeof(hard));  /* else in order */
		(void)close(pairs[i]->fd[side]); /* its end is wanted */
	}
	free(pairs[i]);
	pairs[i] = NULL;
}

static void take_one(int listener, const struct sockaddr_in *to)
{
	int near = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), far, i = 0;

	if (near < 0)
		return;
	while (i < PAIRS_MAX && pairs[i])
		i++;
	far = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (i == PAIRS_MAX || now() < refusing || far < 0 ||
	    (connect(far, (const struct sockaddr *)to, sizeof(*to)) != 0 && errno != EINPROGRESS)) {
		(void)close(near); /* that is what it sees */
		if (far >= 0)
			(void)close(far); /* never used */
		return;
	}
	pairs[i] = calloc(1, sizeof(*pairs[i]));
	if (!pairs[i])
		abort();
	pairs[i]->fd[0] = near;
	pairs[i]->fd[1] = far;
}

/* Moves what there is from one side to the other; false when the connection is over. */
static bool pump(struct pair *pair, int from)
{
	struct way *way = pair->way + from;
	ssize_t n;

	if (!way->ended && way->used < ROOM) {
		n = read(pair->fd[from], way->bytes + way->used, ROOM - way->used);
		if (n < 0 && errno != EAGAIN)
			return false;
		if (n == 0)
			way->ended = true;
		if (n > 0)
			way->used += (size_t)n;
	}
	if (way->used > 0) {
		n = send(pair->fd[!from], way->bytes, way->used, MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN && errno != ENOTCONN)
			return false;
		if (n > 0) {
			memmove(way->bytes, way->bytes + n, way->used - (size_t)n);
			way->used -= (size_t)n;
		}
	}
	return !(way->ended && way->used == 0);
}

static void command(const char *line)
{
	char word[16] = "";
	long number = 0;

	if (sscanf(line, "%15s %ld", word, &number) != 2)
		return;
	if (strcmp(word, "stall") == 0)
		stalled = now() + number;
	else if (strcmp(word, "lose") == 0)
		losing = now() + number;
	else if (strcmp(word, "refuse") == 0)
		refusing = now() + number;
	else if (strcmp(word, "cut") == 0)
		for (int i = 0; i < PAIRS_MAX; i++)
			if (pairs[i] && random() % 100 < number)
				pair_end(i);
}

static bool read_commands(void)
{
	static char text[4096];
	static size_t used;
	ssize_t n = read(0, text + used, sizeof(text) - 1 - used);
	char *end;

	if (n <= 0)
		return false;
	used += (size_t)n;
	text[used] = '\0';
	while ((end = strchr(text, '\n'))) {
		*end = '\0';
		command(text);
		used -= (size_t)(end + 1 - text);
		memmove(text, end + 1, used + 1);
	}
	return true;
}

/* One round: waits for anything, then moves all that moves. */
static bool turn(int listener, const struct sockaddr_in *to)
{
	struct pollfd polls[2 + 2 * PAIRS_MAX] = {{.fd = listener, .events = POLLIN},
						  {.fd = 0, .events = POLLIN}};
	bool held = now() < stalled;
	nfds_t count = 2;

	for (int i = 0; i < PAIRS_MAX && !held; i++)
		for (int side = 0; pairs[i] && side < 2; side++) {
			const struct way *in = pairs[i]->way + side, *out = pairs[i]->way + !side;
			bool deaf = side == 1 && now() < losing;

			polls[count].fd = pairs[i]->fd[side];
			polls[count++].events =
				(short)((!in->ended && in->used < ROOM && !deaf ? POLLIN : 0) |
					(out->used > 0 ? POLLOUT : 0));
		}
	if (poll(polls, count, 20) < 0 && errno != EINTR)
		return false;
	if (polls[1].revents && !read_commands())
		return false;
	if (polls[0].revents)
		take_one(listener, to);
	for (int i = 0; i < PAIRS_MAX && !held; i++)
		if (pairs[i] && (!pump(pairs[i], 0) || (now() >= losing && !pump(pairs[i], 1))))
			pair_end(i);
	return true;
}

int main(int argc, char **argv)
{
	const int on = 1;
	const char *seed = getenv("SEED");
	struct sockaddr_in at, to;
	int listener;

	if (argc != 5) {
		(void)fputs("usage: proxy ADDRESS PORT TO-ADDRESS TO-PORT\n", stderr);
		return 2;
	}
	srandom(seed ? (unsigned)strtoul(seed, NULL, 10) : (unsigned)getpid());
	at = address(argv[1], argv[2]);
	to = address(argv[3], argv[4]);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
	    bind(listener, (const struct sockaddr *)&at, sizeof(at)) != 0 ||
	    listen(listener, 128) != 0) {
		perror("proxy");
		return 1;
	}
	puts("ready");
	if (fflush(stdout) != 0)
		return 1;
	while (turn(listener, &to))
		;
	return 0;
}
