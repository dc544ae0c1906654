/* See peers_bench.h. */
#include "peers_bench.h"
#include "fetcher.h"


#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { AT_ONCE = 8, WAIT_MS = 60000 };

void peer_die(const char *what)
{
	(void)fprintf(stderr, "fleet: %s: %s\n", what, strerror(errno));
	exit(1);
}

uint64_t peer_now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* never fails */
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t peer_cpu(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); /* never fails */
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int peer_dial(const char *port)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
		peer_die("connecting");
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on,
			 sizeof(on)); /* slower without, but right */
	return fd;
}

void peer_send_all(int fd, const void *data, size_t n)
{
	const char *at = data;

	while (n > 0) {
		ssize_t sent = send(fd, at, n, MSG_NOSIGNAL);

		if (sent < 0)
			peer_die("sending");
		at += sent;
		n -= (size_t)sent;
	}
}

/* --- git daemon --- */

struct asker {
	int fd; /* -1: idle */
	struct fetcher fetcher;
};

static void asker_begin(struct asker *asker, char **argv, const struct oid *have)
{
	char line[500];
	int n = snprintf(line + 4, sizeof(line) - 4, "git-upload-pack %s%chost=%s%c", argv[2], 0,
			 argv[0], 0);
	char length[5];

	(void)snprintf(length, sizeof(length), "%04x", (unsigned)n + 4);
	memcpy(line, length, 4);
	asker->fd = peer_dial(argv[1]);
	fetcher_start(&asker->fetcher, argv[3], have);
	peer_send_all(asker->fd, line, (size_t)n + 4);
}

/* True when it has its pack. */
static bool asker_read(struct asker *asker)
{
	char bytes[64 << 10];
	ssize_t n = read(asker->fd, bytes, sizeof(bytes));
	struct buf out;
	struct err err;

	if (n <= 0)
		peer_die("git daemon closed");
	buf_init(&out, 4096);
	if (fetcher_feed(&asker->fetcher, bytes, (size_t)n, &out, &err) != 0) {
		(void)fprintf(stderr, "fleet: git daemon: %s\n", err.text);
		exit(1);
	}
	peer_send_all(asker->fd, out.data, out.len);
	buf_clear(&out);
	if (asker->fetcher.state != FETCHER_DONE)
		return false;
	fetcher_clear(&asker->fetcher);
	(void)close(asker->fd); /* it has all */
	asker->fd = -1;
	return true;
}

int run_git(char **argv)
{
	size_t wanted = strtoul(argv[5], NULL, 10), begun = 0, done = 0;
	struct asker askers[AT_ONCE];
	struct oid have;
	uint64_t from = peer_now();

	if (oid_parse(argv[4], &have) != 0)
		peer_die("the commit that is there");
	for (size_t i = 0; i < AT_ONCE; i++)
		askers[i].fd = -1;
	while (done < wanted) {
		struct pollfd polls[AT_ONCE];

		for (size_t i = 0; i < AT_ONCE; i++) {
			if (askers[i].fd < 0 && begun < wanted) {
				asker_begin(askers + i, argv, &have);
				begun++;
			}
			polls[i] = (struct pollfd){.fd = askers[i].fd, .events = POLLIN};
		}
		if (poll(polls, AT_ONCE, WAIT_MS) <= 0)
			peer_die("git daemon is silent");
		for (size_t i = 0; i < AT_ONCE; i++)
			if (polls[i].revents && asker_read(askers + i))
				done++;
	}
	(void)printf("{\"fetches\":%zu,\"all_ms\":%.1f}\n", done,
		     (double)(peer_now() - from) / 1e6);
	return 0;
}
