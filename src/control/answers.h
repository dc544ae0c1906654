/*
 * What the control sockets answer: admin_answers.c for the admin half, node_answers.c for the node
 * half.
 */
#ifndef MUSTER_CONTROL_ANSWERS_H
#define MUSTER_CONTROL_ANSWERS_H

#include "admin/admin.h"
#include "admin/serve.h"
#include "config/cluster.h"
#include "control/server.h"
#include "http/endpoints.h"
#include "node/runtime.h"

/*
 * Clients that wait until a document changes: a request with "after" below the version waits for
 * the next.
 */
struct waiters {
	struct client **list;
	size_t count;
	uint64_t version; /* of the document, from 1 */
};

/* True when the client was made to wait. */
bool waiters_add(struct waiters *waiters, struct client *client, const json_t *request);
/* The document changed: a new version, and each waiter is answered with what MAKE gives. */
void waiters_wake(struct waiters *waiters, json_t *(*make)(void *arg), void *arg);
void waiters_forget(struct waiters *waiters, const struct client *client);
void waiters_clear(struct waiters *waiters);

struct key_job;
struct member_job;
struct pin_job;

struct admin_answers {
	uv_loop_t *loop;
	const struct home *home;
	struct admin *admin;
	struct serve *serve;
	struct identity *identity; /* changed on the loop only: workers have copies */
	const char *listen_host;
	const char *host; /* where nodes reach this admin */
	const char *own_role;	 /* in a process that is both: of its node */
	/* in a process that is both: its document comes with the admin's */
	struct runtime *runtime;
	const struct endpoints *endpoints; /* or NULL */
	struct waiters waiters;
	struct member_job *member_jobs; /* of member_answer.c */
	struct pin_job *pin_jobs; /* of pin_answer.c */
	struct key_job *key_job;  /* of key_answer.c */
};

struct node_answers {
	struct runtime *runtime;
	const struct endpoints *endpoints; /* or NULL */
	struct waiters waiters;
};

/*
 * {"do":"member","act":"approve|revoke|forget","node":NAME,"key":DIGITS}: see admin/members.h; KEY
 * may be left out.
 */
void member_answer(struct admin_answers *answers, struct client *client, const json_t *request);
void member_client_gone(struct admin_answers *answers, const struct client *client);

/*
 * {"do":"pin","node":NAME,"rev":REV,"reason":TEXT}: holds the node at REV, without one lets it
 * follow. See pin_answer.c.
 */
void pin_answer(struct admin_answers *answers, struct client *client, const json_t *request);
void pin_client_gone(struct admin_answers *answers, const struct client *client);

/*
 * {"do":"keys","change":"rotate-epoch"|"retire-epoch"|"rotate-release"}: see admin/keys.h; one at a
 * time. The daemon's identity changes here and nowhere else. See key_answer.c.
 */
void key_answer(struct admin_answers *answers, struct client *client, const json_t *request);
void key_client_gone(struct admin_answers *answers, const struct client *client);
/*
 * A publication ended, or a pin was made: a change of the release key that is under way goes on, as
 * after a kill.
 */
void key_go_on(struct admin_answers *answers);

/*
 * In a process that is both, the node joins its own admin over loopback: with this; end it with
 * cluster_clear.
 */
void own_cluster(const struct admin_answers *answers, const char *role, struct cluster *out);

/* The status document of an admin, and of a process that is both; a new reference. */
json_t *admin_status(struct admin_answers *answers);
/* Of a node. */
json_t *node_status(struct node_answers *answers);

/* One line each, for the service manager; new strings. */
char *admin_line(const struct admin_answers *answers);
char *node_line(const struct node_answers *answers);

/* Both fit struct server's calls; ARG is one of the above. */
void admin_answer(void *arg, struct client *client, const json_t *request);
void admin_client_gone(void *arg, struct client *client);
void admin_changed(void *arg);
void node_answer(void *arg, struct client *client, const json_t *request);
void node_client_gone(void *arg, struct client *client);
void node_changed(void *arg);

#endif
