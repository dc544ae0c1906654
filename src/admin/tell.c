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

/* The message, and with an addition its pack after it. */
static size_t head_parts(const struct buf *head, const struct addition *addition,
			 struct peer_bytes parts[static 2])
{
	parts[0] = (struct peer_bytes){LANE_CONTROL, head->data, head->len};
	if (!addition)
		return 1;
	parts[1] = (struct peer_bytes){LANE_GIT, addition->pack, addition->size};
	return 2;
}

/* One that is this node's alone. */
static void tell_one(struct session *session, const struct addition *addition)
{
	const struct pinned *pinned = pinboard_find(&session->serve->pins, session->node->name);
	struct peer_bytes parts[2];
	struct buf head;

	buf_init(&head, LIMIT_CONTROL_MESSAGE * 2);
	put_head(heads_find(&session->serve->heads, session->node->role), addition,
		 pinned ? pinned->wire : NULL, &head);
	peer_send(session->peer, parts, head_parts(&head, addition, parts));
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

/* All of them at once, but those who have a pin: that is theirs alone. */
static void tell_sessions(struct serve *serve, const char *role, const struct addition *addition,
			  const struct buf *bare, const struct buf *full)
{
	struct peer_message *messages =
		mem_new(peers_count(serve->peers) + 1, sizeof(*messages)); /* a session is a peer */
	struct peer_bytes bare_parts[2], full_parts[2];
	size_t bare_count = head_parts(bare, NULL, bare_parts);
	size_t full_count = head_parts(full, addition, full_parts);
	char base[OID_HEX_SIZE] = "";
	size_t count = 0;

	if (addition)
		(void)oid_hex(addition->base, base);
	for (struct session *s = serve->first; s; s = s->next) { /* telling closes none */
		bool with;

		if (!s->node || !s->node->approved || strcmp(s->node->role, role) != 0)
			continue;
		with = addition && takes(s, base);
		if (pinboard_find(&serve->pins, s->node->name))
			tell_one(s, with ? addition : NULL);
		else if (with)
			messages[count++] = (struct peer_message){s->peer, full_parts, full_count};
		else
			messages[count++] = (struct peer_message){s->peer, bare_parts, bare_count};
	}
	peers_send(serve->peers, messages, count);
	free(messages);
}

static void tell_role(struct serve *serve, const char *role, const struct addition *addition)
{
	const struct head *head = heads_find(&serve->heads, role);
	struct buf bare, full; /* made once */

	buf_init(&bare, LIMIT_CONTROL_MESSAGE * 2);
	buf_init(&full, LIMIT_CONTROL_MESSAGE * 2);
	put_head(head, NULL, NULL, &bare);
	if (addition)
		put_head(head, addition, NULL, &full);
	tell_sessions(serve, role, addition, &bare, &full);
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
