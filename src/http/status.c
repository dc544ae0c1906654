/* status: the document on the status port, and both ports' listeners. See endpoints.h. */
#include "http/endpoints.h"
#include "http/listener.h"

#include "core/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HTTP_OK = 200, HTTP_UNAVAILABLE = 503 };

struct endpoints {
	struct listener *status, *metrics;
	endpoints_status_fn *document;
	void *arg;
	char status_address[HTTP_ADDRESS_MAX], metrics_address[HTTP_ADDRESS_MAX];
};

unsigned status_code(const json_t *status, bool serving)
{
	const json_t *good = json_object_get(status, serving ? "isServing" : "isReady");

	/* a plain admin has neither: it listens, or it would not answer */
	return !good || json_is_true(good) ? HTTP_OK : HTTP_UNAVAILABLE;
}

static void on_status(void *arg, const char *path, struct http_answer *answer)
{
	struct endpoints *endpoints = arg;
	json_t *document;
	char *text;

	if (strcmp(path, "/") != 0 && strcmp(path, "/serving") != 0)
		return;
	document = endpoints->document(endpoints->arg);
	text = json_dumps(document, JSON_COMPACT);
	answer->code = status_code(document, strcmp(path, "/serving") == 0);
	answer->type = "application/json";
	buf_printf(&answer->body, "%s\n", text ? text : "{}");
	free(text);
	json_decref(document);
}

static void on_metrics(void *arg, const char *path, struct http_answer *answer)
{
	struct endpoints *endpoints = arg;
	json_t *document;

	if (strcmp(path, "/metrics") != 0)
		return;
	document = endpoints->document(endpoints->arg);
	answer->code = HTTP_OK;
	answer->type = "text/plain; version=0.0.4; charset=utf-8";
	metrics_format(document, &answer->body);
	json_decref(document);
}

static void name_address(char out[static HTTP_ADDRESS_MAX], const char *host, uint16_t port)
{
	(void)snprintf(out, HTTP_ADDRESS_MAX, strchr(host, ':') ? "[%.60s]:%u" : "%.60s:%u", host,
		       port); /* fits */
}

int endpoints_start(uv_loop_t *loop, const char *listen, endpoints_status_fn *status, void *arg,
		    struct endpoints **out, struct err *err)
{
	struct endpoints *endpoints = mem_new(1, sizeof(*endpoints));
	char host[HTTP_ADDRESS_MAX];
	uint16_t port = 0;
	int rc = http_address_parse(listen, host, &port, err);

	endpoints->document = status;
	endpoints->arg = arg;
	if (rc == 0 && port == 65535)
		rc = err_set(err, ERR_REFUSED, "%s: there is no next port for the metrics", listen);
	if (rc == 0)
		rc = listener_start(loop, host, port, on_status, endpoints, &endpoints->status,
				    err);
	if (rc == 0)
		rc = listener_start(loop, host, port ? (uint16_t)(port + 1) : 0, on_metrics,
				    endpoints, &endpoints->metrics, err);
	if (rc != 0) {
		endpoints_stop(endpoints);
		return err_prefix(err, "status");
	}
	name_address(endpoints->status_address, host, listener_port(endpoints->status));
	name_address(endpoints->metrics_address, host, listener_port(endpoints->metrics));
	*out = endpoints;
	return 0;
}

const char *endpoints_status(const struct endpoints *endpoints)
{
	return endpoints->status_address;
}

const char *endpoints_metrics(const struct endpoints *endpoints)
{
	return endpoints->metrics_address;
}

json_t *endpoints_add(const struct endpoints *endpoints, json_t *status)
{
	if (endpoints) { /* these fail only when memory is out */
		(void)json_object_set_new(status, "status", json_string(endpoints->status_address));
		(void)json_object_set_new(status, "metrics",
					  json_string(endpoints->metrics_address));
	}
	return status;
}

void endpoints_stop(struct endpoints *endpoints)
{
	if (!endpoints)
		return;
	listener_stop(endpoints->status);
	listener_stop(endpoints->metrics);
	free(endpoints); /* a stopped listener asks for no page any more */
}
