/* See peers_bench.h. */
#include "peers_bench.h"
#include "fetcher.h"

#include "core/fs.h"
#include "core/text.h"
#include "crypto/encode.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { AT_ONCE = 8, WAIT_MS = 60000 };

static void die(const char *what)
{
	(void)fprintf(stderr, "fleet: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* never fails */
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int dial(const char *port)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
		die("connecting");
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* slower without, but right */
	return fd;
}

static void send_all(int fd, const void *data, size_t n)
{
	const char *at = data;

	while (n > 0) {
		ssize_t sent = send(fd, at, n, MSG_NOSIGNAL);

		if (sent < 0)
			die("sending");
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
	int n = snprintf(line + 4, sizeof(line) - 4, "git-upload-pack %s%chost=%s%c", argv[2], 0, argv[0], 0);
	char length[5];

	(void)snprintf(length, sizeof(length), "%04x", (unsigned)n + 4);
	memcpy(line, length, 4);
	asker->fd = dial(argv[1]);
	fetcher_start(&asker->fetcher, argv[3], have);
	send_all(asker->fd, line, (size_t)n + 4);
}

/* True when it has its pack. */
static bool asker_read(struct asker *asker)
{
	char bytes[64 << 10];
	ssize_t n = read(asker->fd, bytes, sizeof(bytes));
	struct buf out;
	struct err err;

	if (n <= 0)
		die("git daemon closed");
	buf_init(&out, 4096);
	if (fetcher_feed(&asker->fetcher, bytes, (size_t)n, &out, &err) != 0) {
		(void)fprintf(stderr, "fleet: git daemon: %s\n", err.text);
		exit(1);
	}
	send_all(asker->fd, out.data, out.len);
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
	uint64_t from = now_ns();

	if (oid_parse(argv[4], &have) != 0)
		die("the commit that is there");
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
			die("git daemon is silent");
		for (size_t i = 0; i < AT_ONCE; i++)
			if (polls[i].revents && asker_read(askers + i))
				done++;
	}
	(void)printf("{\"fetches\":%zu,\"all_ms\":%.1f}\n", done, (double)(now_ns() - from) / 1e6);
	return 0;
}

/* --- etcd --- */

struct watchers {
	pid_t pid;
	int in, out;
	char mark[32]; /* ends the value that is waited for */
	size_t matched;
};

static void watchers_start(struct watchers *w, const char *port, size_t count)
{
	int in[2], out[2];
	char endpoint[64];
	struct buf text;

	(void)snprintf(endpoint, sizeof(endpoint), "--endpoints=127.0.0.1:%s", port); /* fits */
	if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 || (w->pid = fork()) < 0)
		die("etcdctl");
	if (w->pid == 0) {
		(void)dup2(in[0], 0);
		(void)dup2(out[1], 1);
		(void)setenv("ETCDCTL_API", "3", 1);
		(void)execlp("etcdctl", "etcdctl", endpoint, "watch", "-i", (char *)NULL);
		_exit(127);
	}
	(void)close(in[0]);
	(void)close(out[1]);
	w->in = in[1];
	w->out = out[0];
	buf_init(&text, (size_t)64 << 20);
	for (size_t i = 0; i < count; i++)
		buf_puts(&text, "watch config\n");
	for (size_t at = 0; at < text.len;) {
		ssize_t n = write(w->in, text.data + at, text.len - at);

		if (n < 0)
			die("etcdctl");
		at += (size_t)n;
	}
	buf_clear(&text);
}

/* A put through the HTTP gateway, on a connection of its own; its answer is not waited for. */
static int put(const char *port, const char *body)
{
	char head[300];
	int fd = dial(port);

	(void)snprintf(head, sizeof(head),
		       "POST /v3/kv/put HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n",
		       strlen(body)); /* fits */
	send_all(fd, head, strlen(head));
	send_all(fd, body, strlen(body));
	return fd;
}

/* The request of ROUND: VALUE and a mark, in base64. */
static void put_body(const struct buf *value, const char *mark, struct buf *body)
{
	struct buf plain;

	buf_init(&plain, (size_t)64 << 20);
	buf_put(&plain, value->data, value->len);
	buf_puts(&plain, mark);
	buf_puts(body, "{\"key\":\"Y29uZmln\",\"value\":\""); /* the key: config */
	encode_base64(body, plain.data, plain.len);
	buf_puts(body, "\"}");
	buf_clear(&plain);
}

/* How many marks end in these bytes. */
static size_t count_marks(struct watchers *w, const char *bytes, size_t n)
{
	size_t found = 0, size = strlen(w->mark);

	for (size_t i = 0; i < n; i++) {
		if (bytes[i] == w->mark[w->matched])
			w->matched++;
		else
			w->matched = bytes[i] == w->mark[0];
		if (w->matched == size) {
			w->matched = 0;
			found++;
		}
	}
	return found;
}

/* Puts VALUE with a mark of the ROUND; the times at which COUNT watchers had it, or fewer within MS. */
static size_t round_of(struct watchers *w, char **argv, const struct buf *value, unsigned round, size_t count,
		       uint64_t *times, int ms)
{
	static char bytes[1 << 20];
	struct buf body;
	uint64_t from, end;
	size_t seen = 0;
	int fd;

	(void)snprintf(w->mark, sizeof(w->mark), "<!--~%08u~-->", round); /* fits */
	buf_init(&body, (size_t)128 << 20);
	put_body(value, w->mark, &body);
	from = now_ns();
	end = from + (uint64_t)ms * 1000000u;
	fd = put(argv[0], buf_text(&body));
	while (seen < count && now_ns() < end) {
		struct pollfd p = {.fd = w->out, .events = POLLIN};
		ssize_t n = poll(&p, 1, 100) > 0 ? read(w->out, bytes, sizeof(bytes)) : 0;
		size_t found = n > 0 ? count_marks(w, bytes, (size_t)n) : 0;

		for (uint64_t at = now_ns() - from; found > 0 && seen < count; found--)
			times[seen++] = at;
	}
	(void)close(fd);
	buf_clear(&body);
	return seen;
}

/* --- etcd, a connection for each watcher: its HTTP gateway, where each event is a message --- */

/* A message ends in two braces and the end of its chunk; LAST are the two bytes before. */
static bool ends_message(const char *bytes, size_t n, char last[static 2])
{
	bool ends = false;

	for (size_t i = 0; i < n; i++) {
		ends |= last[0] == '}' && last[1] == '}' && (bytes[i] == '\r' || bytes[i] == '\n');
		last[0] = last[1];
		last[1] = bytes[i];
	}
	return ends;
}

/* Until COUNT connections have had one more message; the times at which each had. */
static void next_messages(struct pollfd *polls, size_t count, uint64_t from, uint64_t *times)
{
	static char bytes[1 << 20];
	char *done = mem_new(count, 1), (*last)[2] = mem_new(count, sizeof(*last));
	size_t seen = 0;

	while (seen < count) {
		if (poll(polls, count, WAIT_MS) <= 0)
			die("etcd's gateway is silent");
		for (size_t i = 0; i < count; i++) {
			ssize_t n = polls[i].revents ? read(polls[i].fd, bytes, sizeof(bytes)) : -1;

			if (polls[i].revents && n <= 0)
				die("etcd's gateway closed");
			if (n > 0 && ends_message(bytes, (size_t)n, last[i]) && !done[i]) {
				done[i] = 1;
				times[seen++] = now_ns() - from;
			}
		}
	}
	free(done);
	free(last);
}

static void run_gateway(char **argv, const struct buf *value, size_t count, size_t rounds, double *out)
{
	static const char request[] = "{\"create_request\":{\"key\":\"Y29uZmln\"}}";
	struct pollfd *polls = mem_new(count, sizeof(*polls));
	uint64_t *times = mem_new(count, sizeof(*times));
	double first[100], median[100], last[100];
	char head[200];

	(void)snprintf(head, sizeof(head), "POST /v3/watch HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n",
		       sizeof(request) - 1); /* fits */
	for (size_t i = 0; i < count; i++) {
		polls[i] = (struct pollfd){.fd = dial(argv[0]), .events = POLLIN};
		send_all(polls[i].fd, head, strlen(head));
		send_all(polls[i].fd, request, sizeof(request) - 1);
	}
	next_messages(polls, count, now_ns(), times); /* "created" */
	for (size_t round = 0; round < rounds; round++) {
		struct buf body;
		char mark[32];
		uint64_t from;
		int fd;

		(void)snprintf(mark, sizeof(mark), "<!--~%08zu~-->", round); /* fits */
		buf_init(&body, (size_t)128 << 20);
		put_body(value, mark, &body);
		from = now_ns();
		fd = put(argv[0], buf_text(&body));
		next_messages(polls, count, from, times);
		(void)close(fd);
		buf_clear(&body);
		qsort(times, count, sizeof(*times), compare_times);
		first[round] = (double)times[0] / 1e6;
		median[round] = (double)times[count / 2] / 1e6;
		last[round] = (double)times[count - 1] / 1e6;
	}
	out[0] = median_of(first, rounds);
	out[1] = median_of(median, rounds);
	out[2] = median_of(last, rounds);
	for (size_t i = 0; i < count; i++)
		(void)close(polls[i].fd);
	free(polls);
	free(times);
}

int run_etcd(char **argv)
{
	size_t count = strtoul(argv[1], NULL, 10), rounds = strtoul(argv[2], NULL, 10), done = 0, ready = 0;
	uint64_t *times = mem_new(count, sizeof(*times));
	double first[100], median[100], last[100], gateway[3];
	struct watchers w = {0};
	struct buf value;
	struct err err;
	unsigned round = 0;

	buf_init(&value, (size_t)64 << 20);
	if (fs_read(AT_FDCWD, argv[3], &value, &err) != 0) {
		(void)fprintf(stderr, "fleet: %s\n", err.text);
		return 1;
	}
	watchers_start(&w, argv[0], count);
	/* until all are watching: etcdctl does not say when */
	for (int i = 0; i < 60 && ready < count; i++)
		ready = round_of(&w, argv, &value, round++, count, times, 1000);
	if (ready < count)
		die("etcd: not all watchers are there");
	for (; done < rounds && done < 100; done++) {
		if (round_of(&w, argv, &value, round++, count, times, WAIT_MS) < count)
			die("etcd: not all watchers were told");
		qsort(times, count, sizeof(*times), compare_times);
		first[done] = (double)times[0] / 1e6;
		median[done] = (double)times[count / 2] / 1e6;
		last[done] = (double)times[count - 1] / 1e6;
	}
	(void)kill(w.pid, SIGTERM);
	(void)waitpid(w.pid, NULL, 0); /* ours, and told to end */
	(void)close(w.in);
	(void)close(w.out);
	run_gateway(argv, &value, count, done, gateway);
	(void)printf("{\"watchers\":%zu,\"rounds\":%zu,\"first_ms\":%.2f,\"median_ms\":%.2f,\"last_ms\":%.2f,"
		     "\"own_first_ms\":%.2f,\"own_median_ms\":%.2f,\"own_last_ms\":%.2f}\n",
		     count, done, median_of(first, done), median_of(median, done), median_of(last, done), gateway[0],
		     gateway[1], gateway[2]);
	buf_clear(&value);
	free(times);
	return 0;
}
