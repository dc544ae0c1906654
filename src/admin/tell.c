/*
 * What connected nodes are told: the newest release of their role, their pin, and, with a small
 * release, what it adds to the one before, for those that have that one. A question and an answer
 * less for each of thousands is most of what a release costs.
 */
#include "admin/session.h"

#include "core/limits.h"
#include "core/log.h"

#include <stdlib.h>
#include <string.h>

/* A pack that is being built for the nodes of a role. */
struct push {
	struct push *next;
	struct serve *serve;
	char role[NAME_MAX_LEN + 1];
	struct oid base;
	struct pack_ticket *ticket;
};

/* What is sent with the news: what the release adds to BASE. */
struct addition {
	const struct oid *base;
	const uint8_t *pack;
	size_t size;
};

/* The message, as it goes to every node of the role that has no pin. */
static void put_head(const struct head *head, const struct addition *addition, const char *pin,
		     struct buf *out)
{
	struct control_message message;
	char hex[OID_HEX_SIZE];

	control_start(&message, CONTROL_HEAD);
	if (head) {
		control_add(&message, "release", oid_hex(&head->release, hex));
		control_add_number(&message, "sequence", head->sequence);
	}
	if (addition) {
		control_add(&message, "base", oid_hex(addition->base, hex));
		control_add_number(&message, "pack", addition->size);
	}
	control_add(&message, "pin", pin);
	control_put(&message, out);
	control_clear(&message);
}

static void send_head(struct session *session, const struct buf *head,
		      const struct addition *addition)
{
	const struct peer_bytes parts[] = {
		{LANE_CONTROL, head->data, head->len},
		{LANE_GIT, addition ? addition->pack : NULL, addition ? addition->size : 0},
	};

	peer_send(session->peer, parts, addition ? 2 : 1);
}

/* One that is this node's alone. */
static void tell_one(struct session *session, const struct addition *addition)
{
	const struct pinned *pinned = pinboard_find(&session->serve->pins, session->node->name);
	struct buf head;

	buf_init(&head, LIMIT_CONTROL_MESSAGE * 2);
	put_head(heads_find(&session->serve->heads, session->node->role), addition,
		 pinned ? pinned->wire : NULL, &head);
	send_head(session, &head, addition);
	buf_clear(&head);
}

void tell_head(struct session *session)
{
	if (session->node->approved)
		tell_one(session, NULL);
}

/* It has BASE, says that it takes packs, and nothing of its git lane is under way. */
static bool takes(const struct session *session, const char *base)
{
	return !session->up && peer_pending(session->peer) == 0 &&
	       strcmp(node_said(session->node, "accepted"), base) == 0 &&
	       strcmp(node_said(session->node, "packs"), "yes") == 0;
}

static void tell_role(struct serve *serve, const char *role, const struct addition *addition)
{
	const struct head *head = heads_find(&serve->heads, role);
	struct buf bare, full; /* made once */
	char base[OID_HEX_SIZE] = "";

	buf_init(&bare, LIMIT_CONTROL_MESSAGE * 2);
	buf_init(&full, LIMIT_CONTROL_MESSAGE * 2);
	put_head(head, NULL, NULL, &bare);
	if (addition) {
		put_head(head, addition, NULL, &full);
		(void)oid_hex(addition->base, base);
	}
	for (struct session *s = serve->first; s; s = s->next) { /* telling closes none */
		const struct addition *with;

		if (!s->node || !s->node->approved || strcmp(s->node->role, role) != 0)
			continue;
		with = addition && takes(s, base) ? addition : NULL;
		if (pinboard_find(&serve->pins, s->node->name))
			tell_one(s, with);
		else
			send_head(s, with ? &full : &bare, with);
	}
	buf_clear(&bare);
	buf_clear(&full);
}

static void push_free(struct push *push)
{
	struct push **link = &push->serve->pushes;

	while (*link != push)
		link = &(*link)->next;
	*link = push->next;
	packcache_give_back(push->ticket);
	free(push);
}

static void push_done(struct push *push, const uint8_t *pack, size_t size)
{
	const struct addition addition = {.base = &push->base, .pack = pack, .size = size};

	tell_role(push->serve, push->role, pack && size <= LIMIT_PUSHED_PACK ? &addition : NULL);
	push_free(push);
}

static void on_pack(void *arg, const uint8_t *pack, size_t size, const struct err *err)
{
	struct push *push = arg;

	if (!pack) /* who fetches hears it as well */
		log_warning("serve", push->role, "the pack could not be built: %s", err->text);
	push_done(push, pack, size);
}

void tell_release(struct serve *serve, const char *role, const struct oid *base)
{
	const struct head *head = heads_find(&serve->heads, role);
	struct push *push = serve->pushes;
	const uint8_t *pack;
	size_t size;

	while (push && strcmp(push->role, role) != 0)
		push = push->next;
	if (push) { /* its nodes were not told of BASE */
		packcache_give_back(push->ticket);
	} else if (!base) {
		tell_role(serve, role, NULL);
		return;
	} else {
		push = mem_new(1, sizeof(*push));
		push->next = serve->pushes;
		serve->pushes = push;
		push->serve = serve;
		push->base = *base;
		memcpy(push->role, role, strlen(role) + 1);
	}
	push->ticket = packcache_ask(serve->packs, &head->release, &push->base, on_pack, push);
	pack = packcache_pack(push->ticket, &size);
	if (pack)
		push_done(push, pack, size);
}

void tell_stop(struct serve *serve)
{
	while (serve->pushes)
		push_free(serve->pushes);
}
