/*
 * The two endpoints of a daemon: the status document on one port (`/` and `/serving`, musterd(8)),
 * metrics in the Prometheus text format on the next.
 */
#ifndef MUSTER_HTTP_ENDPOINTS_H
#define MUSTER_HTTP_ENDPOINTS_H

#include "core/buf.h"
#include "core/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <uv.h>

/* The status document, as `muster status --json`, a new reference; made when asked for. */
typedef json_t *endpoints_status_fn(void *arg);

struct endpoints;

/* LISTEN is "ADDR:PORT"; port 0 takes two free ports. */
int endpoints_start(uv_loop_t *loop, const char *listen, endpoints_status_fn *status, void *arg,
		    struct endpoints **out, struct err *err);
/* "ADDR:PORT" of each. */
const char *endpoints_status(const struct endpoints *endpoints);
const char *endpoints_metrics(const struct endpoints *endpoints);
/* Adds both to a status document, which it gives back; NULL endpoints add nothing. */
json_t *endpoints_add(const struct endpoints *endpoints, json_t *status);
/* Stops; NULL is fine. */
void endpoints_stop(struct endpoints *endpoints);

/* The text of the metrics, made of the status document. */
void metrics_format(const json_t *status, struct buf *out);
/* The HTTP status that `/` (SERVING false) or `/serving` gives for it: 200 or 503. */
unsigned status_code(const json_t *status, bool serving);

#endif
