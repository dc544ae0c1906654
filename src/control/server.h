/*
 * The local control socket: a line of JSON in, a line of JSON out, for the command line of the same
 * machine. Who may open the socket is decided by its mode (0660) and by the peer's credentials.
 */
#ifndef MUSTER_CONTROL_SERVER_H
#define MUSTER_CONTROL_SERVER_H

#include "core/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>
#include <uv.h>

struct server;
struct client; /* one who asked; answered once for each request */

/* A request, borrowed; answered by client_answer, now or later. */
typedef void server_fn(void *arg, struct client *client, const json_t *request);
/* The client went away before it was answered; its pointer must not be used any more. */
typedef void server_gone_fn(void *arg, struct client *client);

/* Listens on PATH (whatever socket was there is replaced: the home is locked). */
int server_start(uv_loop_t *loop, const char *path, server_fn *fn, server_gone_fn *gone, void *arg,
		 struct server **out, struct err *err);
/* Takes over the reference. */
void client_answer(struct client *client, json_t *answer);
/* The user at the other end. */
uid_t client_uid(const struct client *client);
/* {"error":{"code":…,"text":…}} */
void client_refuse(struct client *client, enum err_code code, const char *text);
/* Stops and removes the socket; memory goes when the loop has closed the handles. NULL is fine. */
void server_stop(struct server *server);

#endif
