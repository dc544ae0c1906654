/*
 * What registry.c (who the nodes are) and registry_files.c (what is kept of them) share. For these
 * two only.
 */
#ifndef MUSTER_ADMIN_REGISTRY_FILES_H
#define MUSTER_ADMIN_REGISTRY_FILES_H

#include "admin/registry.h"

/* One who waits until all is on the disk. */
struct flush {
	struct flush *next;
	void (*done)(void *arg, int rc, const struct err *err);
	void *arg;
};

struct registry {
	uv_loop_t *loop;
	uv_timer_t timer;    /* of the nodes' files */
	uv_timer_t contacts; /* of the one with what all said last */
	int handles;
	int var, folder, fresh;
	struct node **nodes; /* sorted by name */
	size_t count, max;
	bool approve;
	struct revoked revoked;
	bool revoked_dirty;
	char **forgotten; /* names whose files are to go */
	size_t forgotten_count;
	struct flush *flushes;
	void (*changed)(void *arg);
	void *arg;
	bool writing;
	bool again; /* there is more to write once that is done */
	bool stale; /* the file of contacts is older than what is known */
	bool noting; /* it is being written */
	bool closing;
};

/* --- registry.c --- */
/* A node of that name, which is not there yet. */
struct node *node_add(struct registry *registry, const char *name);
void node_free(struct node *node);
/* A report is keys and values, each with its NUL. */
void report_set(struct node *node, const struct buf *report);
/* Whole pairs, as many as fit; and only UTF-8, which is all that JSON takes: it is no loss. */
void report_add(struct buf *report, const char *key, const char *value);
/* The next key and its value from *AT on; NULL at the end. */
const char *report_next(const struct node *node, size_t *at, const char **value);

/* --- registry_files.c --- */
/* A node as JSON (free); and read from that, when it is of the name that NODE has: 0 or -1. */
char *node_format(const struct node *node);
int node_parse(struct node *node, const struct buf *text);
/* Who a node is changed: on the disk soon. */
void registry_touch(struct registry *registry, struct node *node);
/* The file of this name is to go. */
void registry_remove_file(struct registry *registry, const char *name);
/* What one said changed: on the disk some time. */
void registry_note(struct registry *registry);

#endif
