/* Asking the daemon of a home: see client.h. */
#include "control/client.h"

#include "core/buf.h"
#include "core/fs.h"
#include "core/limits.h"
#include "core/loop.h"
#include "core/text.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct ask {
	int fd;
	struct buf in;
};

int ask_open(const struct home *home, const char *name, struct ask **out, struct err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char *path = home_run(home, name);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), rc = 0;

	if (fd < 0) {
		rc = err_sys(err, "socket");
	} else if (strlen(path) >= sizeof(address.sun_path)) {
		rc = err_set(err, ERR_REFUSED, "%s: path is too long for a socket", path);
	} else {
		memcpy(address.sun_path, path, strlen(path) + 1);
		rc = connect(fd, (struct sockaddr *)&address, sizeof(address));
		if (rc != 0 && (errno == ENOENT || errno == ECONNREFUSED))
			rc = err_set(err, ERR_GONE, "no daemon answers at %s: start musterd", path);
		else if (rc != 0)
			rc = err_sys(err, "%s", path);
	}
	free(path);
	if (rc != 0) {
		if (fd >= 0)
			(void)close(fd); /* nothing was sent */
		return rc;
	}
	*out = mem_new(1, sizeof(**out));
	(*out)->fd = fd;
	buf_init(&(*out)->in, LIMIT_CONTROL_ANSWER);
	return 0;
}

/* Until a whole line is in. */
static int receive(struct ask *ask, uint64_t deadline, struct err *err)
{
	while (!ask->in.len || !memchr(ask->in.data, '\n', ask->in.len)) {
		struct pollfd p = {.fd = ask->fd, .events = POLLIN};
		uint64_t now = loop_now();
		uint8_t *to;
		ssize_t n;
		int ready;

		if (now >= deadline)
			return err_set(err, ERR_RETRY, "no answer");
		ready = poll(&p, 1, (int)(deadline - now));
		if (ready < 0 && errno != EINTR)
			return err_sys(err, "poll");
		if (ready <= 0)
			continue;
		to = buf_reserve(&ask->in, 16 << 10);
		if (!to)
			return err_set(err, ERR_FULL, "the answer is too large");
		n = read(ask->fd, to, 16 << 10);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(err, ERR_GONE, "the daemon went away");
		ask->in.len += (size_t)n;
	}
	return 0;
}

static enum err_code code_of(const char *text)
{
	for (int code = ERR_NONE; code <= ERR_GONE; code++)
		if (strcmp(text, err_code_text((enum err_code)code)) == 0)
			return (enum err_code)code;
	return ERR_REFUSED;
}

int ask(struct ask *ask, json_t *request, unsigned limit_ms, json_t **out, struct err *err)
{
	char *text = json_dumps(request, JSON_COMPACT);
	char *line = text_format("%s\n", text ? text : "{}");
	const char *code, *sentence;
	struct cursor c;
	size_t n;
	json_t *answer;
	int rc = fs_write_all(ask->fd, line, strlen(line), err);

	json_decref(request);
	free(text);
	free(line);
	if (rc != 0)
		return err_set(err, ERR_GONE, "the daemon went away");
	if (receive(ask, loop_now() + limit_ms, err) != 0)
		return err->code != ERR_RETRY
			       ? -1
			       : err_set(err, ERR_RETRY,
					 "the daemon gave no answer within %u s: what was "
					 "asked may still be done, see its log",
					 limit_ms / 1000);
	c = cursor_of(ask->in.data, ask->in.len);
	line = (char *)cursor_line(&c, &n);
	answer = json_loadb(line, n, 0, NULL);
	buf_consume(&ask->in, n + 1);
	if (!answer)
		return err_set(err, ERR_CORRUPT, "the daemon's answer is damaged");
	if (json_unpack(answer, "{s:{s:s, s:s}}", "error", "code", &code, "text", &sentence) == 0) {
		rc = err_set(err, code_of(code), "%s", sentence);
		json_decref(answer);
		return rc;
	}
	*out = answer;
	return 0;
}

void ask_close(struct ask *ask)
{
	if (!ask)
		return;
	(void)close(ask->fd); /* only read */
	buf_clear(&ask->in);
	free(ask);
}
