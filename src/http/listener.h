/*
 * A small HTTP listener for documents that are made when asked for: GET and HEAD, nothing else, no
 * bodies taken. On the loop, without threads; bounded in connections, time and memory.
 */
#ifndef MUSTER_HTTP_LISTENER_H
#define MUSTER_HTTP_LISTENER_H

#include "core/buf.h"
#include "core/err.h"

#include <stdint.h>
#include <uv.h>

enum { HTTP_ADDRESS_MAX = 80 }; /* bytes of "ADDR:PORT" and its NUL */

struct http_answer {
	unsigned code;	   /* HTTP status; 404 unless the page sets it */
	const char *type; /* static text; text/plain unless set */
	struct buf body;
};

/* Answers PATH (without a query). */
typedef void http_page_fn(void *arg, const char *path, struct http_answer *answer);

struct listener;

/*
 * Listens on HOST (an address) and PORT (0: a free one). On a loopback address requests whose Host
 * is a name other than localhost are refused (400).
 */
int listener_start(uv_loop_t *loop, const char *host, uint16_t port, http_page_fn *page, void *arg,
		   struct listener **out, struct err *err);
uint16_t listener_port(const struct listener *listener);
/* Stops; memory goes when the loop has closed the handles. NULL is fine. */
void listener_stop(struct listener *listener);

/*
 * Splits "ADDR:PORT" or "[ADDR]:PORT"; HOST has room for HTTP_ADDRESS_MAX. REFUSED when it is not
 * that.
 */
int http_address_parse(const char *text, char host[static HTTP_ADDRESS_MAX], uint16_t *port,
		       struct err *err);

#endif
