/* The admin's side of the channel: see serve.h. */
#include "admin/serve.h"

#include "admin/heads.h"
#include "channel/packcache.h"
#include "channel/peer.h"
#include "channel/uploadpack.h"
#include "core/limits.h"
#include "core/log.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct serve {
	const struct identity *identity;
	struct static_key *key;
	struct peers *peers;
	struct packcache *packs;
	struct registry *registry;
	struct heads heads;
	struct session *first;
};

/* One open peer. */
struct session {
	struct session *next, *previous;
	struct serve *serve;
	struct peer *peer;
	struct node *node; /* once registered */
	struct uploadpack *up;
	struct pack_ticket *ticket;
};

/* --- what is told to a node --- */

static void tell_head(struct session *session)
{
	const struct head *head = heads_find(&session->serve->heads, session->node->role);
	struct control_message message;
	char hex[OID_HEX_SIZE];

	control_start(&message, CONTROL_HEAD);
	if (head) {
		control_add(&message, "release", oid_hex(&head->release, hex));
		control_add_number(&message, "sequence", head->sequence);
	}
	peer_send_control(session->peer, &message);
	control_clear(&message);
}

static void tell(struct session *session, enum control_verb verb, const char *key, const char *value)
{
	struct control_message message;

	control_start(&message, verb);
	control_add(&message, key, value);
	peer_send_control(session->peer, &message);
	control_clear(&message);
}

static void refuse(struct session *session, const char *code, const char *text)
{
	struct control_message message;

	log_warning("serve", peer_address(session->peer), "refused: %s", text);
	control_start(&message, CONTROL_REFUSED);
	control_add(&message, "code", code);
	control_add(&message, "text", text);
	peer_send_control(session->peer, &message);
	control_clear(&message);
	peer_close(session->peer, "refused: %s", text);
}

/* --- fetches --- */

static uint64_t position_of(void *arg, const struct oid *oid)
{
	const struct session *session = arg;
	const struct head *head = heads_find(&session->serve->heads, session->node->role);

	return head ? head_position(head, oid) : 0;
}

static void end_fetch(struct session *session)
{
	uploadpack_free(session->up);
	session->up = NULL;
	packcache_give_back(session->ticket);
	session->ticket = NULL;
}

/* Sends as much of the pack as the peer takes now; the rest goes at drained. */
static void pump(struct session *session)
{
	struct buf line;

	buf_init(&line, RECORD_PLAIN_MAX + 16);
	while (session->up && uploadpack_state(session->up) == UPLOADPACK_SENDING &&
	       peer_pending(session->peer) < LIMIT_PEER_OUTPUT) {
		buf_reset(&line);
		uploadpack_send(session->up, &line);
		peer_send_git(session->peer, line.data, line.len);
	}
	buf_clear(&line);
	if (session->up && uploadpack_state(session->up) == UPLOADPACK_DONE) {
		packcache_give_back(session->ticket);
		session->ticket = NULL;
	}
}

static void on_pack(void *arg, const uint8_t *pack, size_t size, const struct err *err)
{
	struct session *session = arg;

	if (!pack) {
		log_error("serve", session->node->name, "the pack could not be built: %s", err->text);
		peer_close(session->peer, "the pack could not be built");
		return;
	}
	uploadpack_give(session->up, pack, size);
	pump(session);
}

static void ask_pack(struct session *session)
{
	const uint8_t *pack;
	size_t size;

	session->ticket = packcache_ask(session->serve->packs, uploadpack_tip(session->up),
					uploadpack_common(session->up), on_pack, session);
	pack = packcache_pack(session->ticket, &size);
	if (!pack)
		return;
	uploadpack_give(session->up, pack, size);
	pump(session);
}

static void on_git(struct peer *peer, const uint8_t *data, size_t n)
{
	struct session *session = peer_data(peer);
	struct buf out;
	struct err err;
	int rc;

	if (!session->up) {
		peer_close(peer, "git bytes without a fetch");
		return;
	}
	buf_init(&out, LIMIT_WANT_REQUEST * 2);
	rc = uploadpack_feed(session->up, data, n, &out, &err);
	if (out.len)
		peer_send_git(peer, out.data, out.len);
	buf_clear(&out);
	if (rc != 0) {
		log_warning("serve", session->node->name, "%s", err.text);
		peer_close(peer, "%s", err.text);
	} else if (uploadpack_state(session->up) == UPLOADPACK_PACK && !session->ticket) {
		ask_pack(session);
	}
}

static void on_fetch(struct session *session)
{
	const struct head *head = heads_find(&session->serve->heads, session->node->role);
	char ref[sizeof("refs/heads/") + NAME_MAX_LEN];
	struct buf out;

	if (session->up && uploadpack_state(session->up) != UPLOADPACK_DONE) {
		peer_close(session->peer, "a second fetch before the first was over");
		return;
	}
	end_fetch(session);
	memcpy(ref, "refs/heads/", sizeof("refs/heads/"));
	memcpy(ref + strlen(ref), session->node->role, strlen(session->node->role) + 1);
	buf_init(&out, LIMIT_WANT_REQUEST);
	session->up = uploadpack_new(ref, head ? &head->release : NULL, position_of, session, &out);
	peer_send_git(session->peer, out.data, out.len);
	buf_clear(&out);
}

/* --- registration --- */

/* The join key that a peer used is good for any role or for this one. */
static bool role_covered(const struct session *session, const char *role)
{
	const struct hello *hello = peer_hello(session->peer);
	uint8_t tag[ROLE_TAG_SIZE];

	key_role_tag(session->serve->identity->cluster_id, "*", tag);
	if (crypto_equal(tag, hello->role_tag, sizeof(tag)))
		return true;
	key_role_tag(session->serve->identity->cluster_id, role, tag);
	return crypto_equal(tag, hello->role_tag, sizeof(tag));
}

static void on_register(struct session *session, const struct control_message *message)
{
	const char *role = control_get(message, "role");
	struct node *node;
	struct err err;

	if (session->node) {
		peer_close(session->peer, "registered twice");
		return;
	}
	if (role && name_valid(role) && !role_covered(session, role)) {
		refuse(session, "role", "this cluster file does not let a node join in that role");
		return;
	}
	if (registry_register(session->serve->registry, peer_public(session->peer), message, &node,
			      &err) != 0) {
		refuse(session, "name", err.text);
		return;
	}
	if (node->session) {
		struct session *old = node->session;

		log_warning("serve", node->name, "the same key connected again: the newer one counts");
		peer_close(old->peer, "the same key connected again");
	}
	session->node = node;
	node->session = session;
	registry_report(session->serve->registry, node, message);
	registry_connected(session->serve->registry, node, true);
	log_info("serve", node->name, "registered in role %s from %s", node->role,
		 peer_address(session->peer));
	tell(session, CONTROL_REGISTERED, "version", PACKAGE_VERSION);
	tell_head(session);
}

/* --- the peer's calls --- */

static void on_control(struct peer *peer, const struct control_message *message)
{
	struct session *session = peer_data(peer);

	if (!session->node && message->verb != CONTROL_REGISTER && message->verb != CONTROL_PING &&
	    message->verb != CONTROL_OTHER) {
		peer_close(peer, "%s before register", message->word);
		return;
	}
	switch (message->verb) {
	case CONTROL_REGISTER:
		on_register(session, message);
		break;
	case CONTROL_STATUS:
		registry_report(session->serve->registry, session->node, message);
		break;
	case CONTROL_FETCH:
		on_fetch(session);
		break;
	case CONTROL_PING:
		if (session->node)
			registry_contact(session->node);
		tell(session, CONTROL_PONG, "", NULL);
		break;
	case CONTROL_UNKNOWN:
		break; /* never answered */
	case CONTROL_REGISTERED:
	case CONTROL_REFUSED:
	case CONTROL_HEAD:
	case CONTROL_PONG:
	case CONTROL_OTHER:
		tell(session, CONTROL_UNKNOWN, "verb", message->word);
		break;
	}
}

static enum peer_hint on_hello(void *arg, const struct hello *hello, uint8_t join_key[static KEY_SIZE])
{
	const struct serve *serve = arg;

	for (size_t i = 0; i < serve->identity->root_count; i++) {
		if (serve->identity->roots[i].epoch != hello->epoch)
			continue;
		key_join(serve->identity->roots + i, hello->role_tag, join_key);
		return PEER_HINT_NONE;
	}
	return PEER_HINT_EPOCH;
}

static void on_open(struct peer *peer)
{
	struct serve *serve = peers_arg(peer_group(peer));
	struct session *session = mem_new(1, sizeof(*session));

	session->serve = serve;
	session->peer = peer;
	session->next = serve->first;
	if (serve->first)
		serve->first->previous = session;
	serve->first = session;
	peer_set_data(peer, session);
}

static void on_drained(struct peer *peer)
{
	if (peer_data(peer))
		pump(peer_data(peer));
}

static void on_closed(struct peer *peer, const char *reason)
{
	struct session *session = peer_data(peer);

	log_info("serve", session && session->node ? session->node->name : peer_address(peer), "closed: %s",
		 reason);
	if (!session)
		return;
	end_fetch(session);
	if (session->node && session->node->session == session) {
		session->node->session = NULL;
		registry_connected(session->serve->registry, session->node, false);
	}
	if (session->previous)
		session->previous->next = session->next;
	else
		session->serve->first = session->next;
	if (session->next)
		session->next->previous = session->previous;
	peer_set_data(peer, NULL);
	free(session);
}

static const struct peer_calls calls = {
	.hello = on_hello,
	.open = on_open,
	.control = on_control,
	.git = on_git,
	.drained = on_drained,
	.closed = on_closed,
};

/* --- life --- */

void serve_published(struct serve *serve, const struct publication *publication)
{
	for (size_t i = 0; i < publication->role_count; i++) {
		const struct publication_role *role = publication->roles + i;
		const struct head *head = heads_find(&serve->heads, role->name);

		if (head && oid_equal(&head->release, &role->release))
			continue;
		heads_move(&serve->heads, role->name, &role->release, role->sequence);
		for (struct session *s = serve->first, *next; s; s = next) {
			next = s->next; /* telling may close it */
			if (s->node && strcmp(s->node->role, role->name) == 0)
				tell_head(s);
		}
	}
}

int serve_start(uv_loop_t *loop, const struct home *home, const struct identity *identity,
		const char *listen_host, uint16_t port, void (*nodes_changed)(void *arg), void *arg,
		struct serve **out, struct err *err)
{
	char *releases = home_var(home, ADMIN_RELEASES);
	struct serve *serve = mem_new(1, sizeof(*serve));
	int rc;

	serve->identity = identity;
	serve->key = static_key_of(identity->channel_secret);
	serve->peers = peers_new(loop, serve->key, &calls, serve);
	serve->packs = packcache_new(loop, releases);
	rc = heads_load(&serve->heads, releases, err);
	if (rc == 0)
		rc = registry_open(loop, home, nodes_changed, arg, &serve->registry, err);
	if (rc == 0)
		rc = peers_listen(serve->peers, listen_host, port, err);
	if (rc == 0)
		*out = serve;
	else
		serve_stop(serve);
	free(releases);
	return rc;
}

struct registry *serve_registry(struct serve *serve)
{
	return serve->registry;
}

uint16_t serve_port(const struct serve *serve)
{
	return peers_port(serve->peers);
}

uint64_t serve_head(struct serve *serve, const char *role, struct oid *release)
{
	const struct head *head = heads_find(&serve->heads, role);

	*release = head ? head->release : (struct oid){{0}};
	return head ? head->sequence : 0;
}

void serve_stop(struct serve *serve)
{
	if (!serve)
		return;
	peers_free(serve->peers); /* every session ends in it */
	assert(!serve->first);
	packcache_free(serve->packs);
	registry_free(serve->registry);
	heads_clear(&serve->heads);
	static_key_free(serve->key);
	free(serve);
}
