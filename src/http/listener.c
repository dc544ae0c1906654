/* A small HTTP listener: see listener.h. */
#include "http/listener.h"

#include "core/limits.h"
#include "core/text.h"

#include <assert.h>
#include <microhttpd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct listener {
	uv_poll_t poll;	  /* libmicrohttpd's epoll descriptor */
	uv_timer_t timer; /* its time-outs */
	struct MHD_Daemon *daemon;
	http_page_fn *page;
	void *arg;
	uint16_t port;
	bool local; /* only this machine can reach it */
	bool closing;
	int handles;
};

static enum MHD_Result reply(struct MHD_Connection *connection, unsigned code, const char *type,
			     struct buf *body)
{
	size_t size = 0;
	uint8_t *data = buf_steal(body, &size);
	struct MHD_Response *response = MHD_create_response_from_buffer(
		size, data, data ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
	enum MHD_Result rc;

	if (!response) {
		free(data);
		return MHD_NO;
	}
	/* these fail only when memory is out; the answer is then without the header */
	(void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	(void)MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	if (code == MHD_HTTP_METHOD_NOT_ALLOWED)
		(void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	rc = MHD_queue_response(connection, code, response);
	MHD_destroy_response(response);
	return rc;
}

/* A start that fails says why by itself only in a log of libmicrohttpd's: bind tells it better. */
static int address_of(const char *host, uint16_t port, struct sockaddr_storage *out,
		      struct err *err)
{
	*out = (struct sockaddr_storage){0};
	if (uv_ip4_addr(host, port, (struct sockaddr_in *)out) == 0 ||
	    uv_ip6_addr(host, port, (struct sockaddr_in6 *)out) == 0)
		return 0;
	return err_set(err, ERR_REFUSED, "listen: \"%s\" is no address", host);
}

static bool is_local(const struct sockaddr_storage *address)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;

	return address->ss_family == AF_INET ? ntohl(v4->sin_addr.s_addr) >> 24 == 127
					     : IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

/*
 * Whether the Host header is an address, or localhost. A name of another's that leads to this
 * machine is what makes a browser here give a stranger's page what only this machine may read.
 */
static bool is_own_name(const char *text)
{
	static const char local[] = "localhost";
	char host[HTTP_ADDRESS_MAX];
	struct sockaddr_storage address;
	size_t n = strlen(text);
	uint16_t port;
	struct err err;

	if (n >= sizeof(host))
		return false;
	if (strncasecmp(text, local, sizeof(local) - 1) == 0)
		return text[sizeof(local) - 1] == '\0' || text[sizeof(local) - 1] == ':';
	if (http_address_parse(text, host, &port, &err) != 0 ||
	    address_of(host, 0, &address, &err) != 0) {
		memcpy(host, text, n + 1);
		if (n > 1 && host[0] == '[' && host[n - 1] == ']') {
			host[n - 1] = '\0';
			memmove(host, host + 1, n - 1);
		}
		return address_of(host, 0, &address, &err) == 0;
	}
	return true;
}

static bool is_foreign(const struct listener *listener, struct MHD_Connection *connection)
{
	const char *host =
		MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);

	return listener->local && host && !is_own_name(host);
}

/* What is refused is told in words; NULL: it is not. */
static const char *words(unsigned code)
{
	switch (code) {
	case MHD_HTTP_NOT_FOUND:
		return "not found";
	case MHD_HTTP_METHOD_NOT_ALLOWED:
		return "only GET and HEAD";
	case MHD_HTTP_BAD_REQUEST:
		return "Host is neither localhost nor an address";
	default:
		return NULL;
	}
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_size, void **state)
{
	struct listener *listener = arg;
	struct http_answer answer = {.code = MHD_HTTP_NOT_FOUND,
				     .type = "text/plain; charset=utf-8"};
	enum MHD_Result rc;

	(void)version;
	(void)upload;
	(void)state;
	if (*upload_size) { /* a body is taken in and dropped */
		*upload_size = 0;
		return MHD_YES;
	}
	buf_init(&answer.body, LIMIT_CONTROL_ANSWER);
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		answer.code = MHD_HTTP_METHOD_NOT_ALLOWED;
	else if (is_foreign(listener, connection))
		answer.code = MHD_HTTP_BAD_REQUEST;
	else
		listener->page(listener->arg, url, &answer);
	if (words(answer.code)) {
		buf_reset(&answer.body);
		buf_printf(&answer.body, "%s\n", words(answer.code));
	}
	rc = reply(connection, answer.code, answer.type, &answer.body);
	buf_clear(&answer.body);
	return rc;
}

/* Lets libmicrohttpd work, and asks when it wants to be called again. */
static void run(struct listener *listener);

static void on_timer(uv_timer_t *timer)
{
	run(timer->data);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	(void)status; /* libmicrohttpd finds out itself */
	(void)events; /* readable is all that was asked for */
	run(poll->data);
}

static unsigned connections(const struct listener *listener)
{
	const union MHD_DaemonInfo *info =
		MHD_get_daemon_info(listener->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);

	return info ? info->num_connections : 0;
}

static void run(struct listener *listener)
{
	MHD_UNSIGNED_LONG_LONG wait = 0;
	unsigned before;

	if (listener->closing)
		return;
	before = connections(listener);
	(void)MHD_run(listener->daemon); /* fails only on a daemon of another kind */
	/*
	 * at its limit it listens no more, and when there is room again only the run after that
	 * begins it anew
	 */
	if (connections(listener) < before)
		(void)uv_timer_start(&listener->timer, on_timer, 0, 0); /* never fails */
	else if (MHD_get_timeout(listener->daemon, &wait) == MHD_YES)
		(void)uv_timer_start(&listener->timer, on_timer, wait, 0); /* never fails */
	else
		(void)uv_timer_stop(&listener->timer); /* never fails */
}

static void on_close(uv_handle_t *handle)
{
	struct listener *listener = handle->data;

	if (--listener->handles > 0)
		return;
	MHD_stop_daemon(listener->daemon);
	free(listener);
}

int listener_start(uv_loop_t *loop, const char *host, uint16_t port, http_page_fn *page, void *arg,
		   struct listener **out, struct err *err)
{
	struct listener *listener = mem_new(1, sizeof(*listener));
	struct sockaddr_storage address;
	unsigned flags = MHD_USE_EPOLL;
	const union MHD_DaemonInfo *info;

	if (address_of(host, port, &address, err) != 0) {
		free(listener);
		return -1;
	}
	if (address.ss_family == AF_INET6)
		flags |= MHD_USE_IPv6;
	listener->local = is_local(&address);
	listener->page = page;
	listener->arg = arg;
	listener->daemon = MHD_start_daemon(
		flags, port, NULL, NULL, on_request, listener, MHD_OPTION_SOCK_ADDR, &address,
		MHD_OPTION_CONNECTION_LIMIT, LIMIT_HTTP_CONNECTIONS,
		MHD_OPTION_PER_IP_CONNECTION_LIMIT, LIMIT_HTTP_ADDRESS,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)(WAIT_HTTP / 1000),
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)LIMIT_HTTP_MEMORY, MHD_OPTION_END);
	if (!listener->daemon) {
		free(listener);
		return err_set(err, ERR_REFUSED,
			       "listen: %s port %u cannot be taken: is it in use? --status-listen "
			       "names another, --no-status none",
			       host, port);
	}
	info = MHD_get_daemon_info(listener->daemon, MHD_DAEMON_INFO_BIND_PORT);
	listener->port = info ? info->port : port;
	info = MHD_get_daemon_info(listener->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	assert(info); /* it was started with epoll */
	(void)uv_timer_init(loop, &listener->timer); /* never fails */
	if (uv_poll_init(loop, &listener->poll, info->epoll_fd) != 0) {
		listener->closing = true;
		listener->timer.data = listener;
		listener->handles = 1;
		uv_close((uv_handle_t *)&listener->timer, on_close);
		return err_set(err, ERR_RETRY, "listen: the loop does not take it");
	}
	listener->timer.data = listener->poll.data = listener;
	listener->handles = 2;
	(void)uv_poll_start(&listener->poll, UV_READABLE,
			    on_ready); /* fails only on a closing handle */
	*out = listener;
	return 0;
}

uint16_t listener_port(const struct listener *listener)
{
	return listener->port;
}

void listener_stop(struct listener *listener)
{
	if (!listener || listener->closing)
		return;
	listener->closing = true;
	uv_close((uv_handle_t *)&listener->poll, on_close);
	uv_close((uv_handle_t *)&listener->timer, on_close);
}

int http_address_parse(const char *text, char host[static HTTP_ADDRESS_MAX], uint16_t *port,
		       struct err *err)
{
	const char *colon = strrchr(text, ':');
	size_t n = colon ? (size_t)(colon - text) : 0;
	uint64_t number;

	if (!colon || n == 0 || n >= HTTP_ADDRESS_MAX ||
	    text_number(colon + 1, 65535, &number) != 0)
		return err_set(err, ERR_REFUSED, "\"%.80s\" is not ADDR:PORT", text);
	if (text[0] == '[' && text[n - 1] == ']') {
		text++;
		n -= 2;
	}
	memcpy(host, text, n);
	host[n] = '\0';
	*port = (uint16_t)number;
	return 0;
}
