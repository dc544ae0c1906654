/*
 * The control socket, both ends: what is no request, what is too much, and who goes away in
 * between.
 */
#include "node_home.h"

#include "control/client.h"
#include "control/server.h"
#include "core/limits.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

struct sockets {
	struct place *place;
	pid_t pid; /* serves */
};

static struct client *kept; /* one whose answer comes with the next request of another */

static void on_request(void *arg, struct client *client, const json_t *request)
{
	const char *what = json_string_value(json_object_get(request, "do"));

	if (what && strcmp(what, "keep") == 0) {
		kept = client;
	} else if (what && strcmp(what, "release") == 0) {
		client_answer(client, json_pack("{s:b}", "kept", kept != NULL));
		if (kept)
			client_answer(kept, json_object());
		kept = NULL;
	} else if (what && strcmp(what, "refuse") == 0) {
		client_refuse(client, ERR_DENIED, "not for you");
	} else if (what && strcmp(what, "bytes") == 0) {
		client_refuse(client, ERR_FULL, "caf\xe9");
	} else if (what && strcmp(what, "nothing") == 0) {
		client_answer(client, NULL);
	} else if (what && strcmp(what, "stop") == 0) {
		client_answer(client, json_object());
		server_stop(*(struct server **)arg);
	} else {
		client_answer(client, json_incref((json_t *)(uintptr_t)request));
	}
}

static void on_gone(void *arg, struct client *client)
{
	(void)arg;
	assert_true(kept == client);
	kept = NULL;
}

static _Noreturn void serve(const struct place *p, int ready)
{
	static struct server *server;
	uv_loop_t loop;
	char *path = home_run(&p->home, "test.sock");
	struct err err;

	(void)signal(SIGPIPE, SIG_IGN);
	if (uv_loop_init(&loop) != 0 ||
	    server_start(&loop, path, on_request, on_gone, &server, &server, &err) != 0 ||
	    write(ready, "x", 1) != 1)
		_exit(2);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	free(path);
	/* whatever was open is closed, and the socket is gone */
	_exit(uv_loop_close(&loop) == 0 ? 0 : 3);
}

static int sockets_setup(void **state)
{
	struct sockets *s = mem_new(1, sizeof(*s));
	int ends[2];
	char byte;

	(void)place_setup((void **)&s->place);
	assert_int_equal(pipe(ends), 0);
	s->pid = fork();
	assert_true(s->pid >= 0);
	if (s->pid == 0)
		serve(s->place, ends[1]);
	(void)close(ends[1]);
	assert_int_equal(read(ends[0], &byte, 1), 1);
	(void)close(ends[0]);
	*state = s;
	return 0;
}

static json_t *answer_of(const struct sockets *s, const char *what)
{
	struct ask *conversation;
	json_t *out = NULL;

	must(ask_open(&s->place->home, "test.sock", &conversation, err));
	must(ask(conversation, json_pack("{s:s}", "do", what), 20000, &out, err));
	ask_close(conversation);
	return out;
}

static int sockets_teardown(void **state)
{
	struct sockets *s = *state;
	int status = 0;

	if (s->pid) {
		json_decref(answer_of(s, "stop"));
		assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
		assert_int_equal(status, 0);
		assert_int_equal(faccessat(s->place->home.run_fd, "test.sock", F_OK, 0), -1);
	}
	(void)place_teardown((void **)&s->place);
	free(s);
	return 0;
}

#define sockets_test(name) cmocka_unit_test_setup_teardown(name, sockets_setup, sockets_teardown)

/* A client that keeps to no rule. */
static int dial(const struct sockets *s)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char *path = home_run(&s->place->home, "test.sock");
	struct timeval limit = {.tv_sec = 20};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0 && strlen(path) < sizeof(address.sun_path));
	memcpy(address.sun_path, path, strlen(path) + 1);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
	free(path);
	return fd;
}

static void expect_line(int fd, const char *wanted)
{
	char line[256] = "";
	size_t n = 0;

	while (n < sizeof(line) - 1 && read(fd, line + n, 1) == 1 && line[n] != '\n')
		n++;
	line[n] = '\0';
	assert_string_equal(line, wanted);
}

static void asks_and_answers(void **state)
{
	struct sockets *s = *state;
	struct ask *conversation;
	json_t *out;

	must(ask_open(&s->place->home, "test.sock", &conversation, err));
	for (int i = 0; i < 3; i++) {
		must(ask(conversation, json_pack("{s:i}", "number", i), 20000, &out, err));
		assert_int_equal(json_integer_value(json_object_get(out, "number")), i);
		json_decref(out);
	}
	must_fail(ask(conversation, json_pack("{s:s}", "do", "refuse"), 20000, &out, err),
		  ERR_DENIED, "not for you");
	must_fail(ask(conversation, json_pack("{s:s}", "do", "bytes"), 20000, &out, err),
		  ERR_REFUSED, "not text");
	must_fail(ask(conversation, json_pack("{s:s}", "do", "nothing"), 20000, &out, err),
		  ERR_CORRUPT, "no text");
	must_fail(ask(conversation, json_pack("{s:s}", "do", "keep"), 50, &out, err), ERR_RETRY,
		  "no answer within 0 s");
	ask_close(conversation);
}

static void what_is_no_request(void **state)
{
	static const char *const bad[] = {
		"\n", "x\n", "[]\n", "{\n", "7\n", "\"do\"\n", "{\"a\":1,\"a\":2}\n", "{}{}\n"};
	struct sockets *s = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int fd = dial(s);

		assert_int_equal(write(fd, bad[i], strlen(bad[i])), strlen(bad[i]));
		expect_line(fd, "{\"error\":{\"code\":\"damaged\",\"text\":\"the request is not a "
				"JSON object\"}}");
		assert_int_equal(write(fd, "{}\n", 3), 3); /* the conversation goes on */
		expect_line(fd, "{}");
		(void)close(fd);
	}
}

static void too_much_is_closed(void **state)
{
	struct sockets *s = *state;
	char *text = mem_new(2 * LIMIT_CONTROL_REQUEST, 1);
	int fd = dial(s);
	char byte;

	memset(text, 'x', 2 * LIMIT_CONTROL_REQUEST);
	(void)send(fd, text, 2 * LIMIT_CONTROL_REQUEST,
		   MSG_NOSIGNAL); /* may be closed in the middle */
	assert_true(read(fd, &byte, 1) <= 0);
	(void)close(fd);
	free(text);
	json_decref(answer_of(s, "still there"));
}

/* Many requests in one write, and nobody who reads: all are answered once someone does. */
static void many_at_once(void **state)
{
	enum { COUNT = 10000 };
	struct sockets *s = *state;
	int fd = dial(s);

	for (int i = 0; i < COUNT; i += 100) {
		char lines[301] = "";

		for (int j = 0; j < 100; j++)
			memcpy(lines + 3 * j, "{}\n", 3);
		assert_int_equal(write(fd, lines, 300), 300);
		if (i % 1000 == 900)
			for (int j = 0; j < 1000; j++)
				expect_line(fd, "{}");
	}
	(void)close(fd);
}

static void going_away(void **state)
{
	struct sockets *s = *state;
	int fd = dial(s);
	json_t *out;

	assert_int_equal(write(fd, "{\"do\":\"keep\"}\n{}\n", 17), 17);
	json_decref(answer_of(s, "another")); /* comes first though it asked later */
	out = answer_of(s, "release");
	assert_true(json_is_true(json_object_get(out, "kept")));
	json_decref(out);
	expect_line(fd, "{}");
	expect_line(fd, "{}");
	assert_int_equal(write(fd, "{\"do\":\"keep\"}\n", 14), 14);
	(void)close(fd);
	for (int i = 0; i < 100; i++) {
		out = answer_of(s, "release"); /* a client that is gone is not answered */
		json_decref(out);
	}
}

static void turned_away(void **state)
{
	struct sockets *s = *state;
	int fds[LIMIT_CONTROL_CLIENTS], one;
	char byte;

	for (size_t i = 0; i < LIMIT_CONTROL_CLIENTS; i++) {
		fds[i] = dial(s);
		assert_int_equal(write(fds[i], "{}\n", 3), 3);
		expect_line(fds[i], "{}");
	}
	one = dial(s);
	assert_true(read(one, &byte, 1) <= 0);
	(void)close(one);
	for (size_t i = 0; i < LIMIT_CONTROL_CLIENTS; i++)
		(void)close(fds[i]);
	/* there is room again once the daemon has seen them go */
	for (int i = 0; i < 1000; i++) {
		one = dial(s);
		if (send(one, "{}\n", 3, MSG_NOSIGNAL) == 3 && read(one, &byte, 1) == 1)
			break;
		(void)close(one);
		(void)usleep(10000);
		assert_int_not_equal(i, 999);
	}
	(void)close(one);
}

static void a_killed_daemon(void **state)
{
	struct sockets *s = *state;
	struct ask *conversation;
	json_t *out;
	int status;

	must(ask_open(&s->place->home, "test.sock", &conversation, err));
	assert_int_equal(kill(s->pid, SIGKILL), 0);
	assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
	s->pid = 0;
	(void)signal(SIGPIPE, SIG_IGN);
	must_fail(ask(conversation, json_object(), 20000, &out, err), ERR_GONE, "went away");
	ask_close(conversation);
	/* its socket is still there, and nobody listens */
	must_fail(ask_open(&s->place->home, "test.sock", &conversation, err), ERR_GONE,
		  "start musterd");
	must_fail(ask_open(&s->place->home, "none.sock", &conversation, err), ERR_GONE,
		  "start musterd");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		sockets_test(asks_and_answers),   sockets_test(what_is_no_request),
		sockets_test(too_much_is_closed), sockets_test(many_at_once),
		sockets_test(going_away),         sockets_test(turned_away),
		sockets_test(a_killed_daemon),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
