/* The admin's side of the channel: see serve.h. */
#include "admin/session.h"

#include "core/limits.h"
#include "core/log.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* For all but nodes: files, clients, what libraries need. */
enum { DESCRIPTORS_RESERVED = 256, HEADS_AT_START = 1000 /* releases of a role: 13 ms */ };

/* --- what is told to a node --- */

static void tell(struct session *session, enum control_verb verb, const char *key,
		 const char *value)
{
	struct control_message message;

	control_start(&message, verb);
	control_add(&message, key, value);
	peer_send_control(session->peer, &message);
	control_clear(&message);
}

/* It is known here; what it may have is next, or comes with its approval. */
static void tell_registered(struct session *session)
{
	struct control_message message;

	control_start(&message, CONTROL_REGISTERED);
	control_add(&message, "version", PACKAGE_VERSION);
	control_add(&message, "approved", session->node->approved ? "yes" : "no");
	peer_send_control(session->peer, &message);
	control_clear(&message);
	tell_head(session);
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
	uint64_t position = head ? head_position(head, oid) : 0;

	/* what was released since the fetch began is not in the history of what it offers */
	return position && position <= head_position(head, uploadpack_tip(session->up)) ? position
											: 0;
}

static void end_fetch(struct session *session)
{
	peer_limit(session->peer, 0, NULL);
	uploadpack_free(session->up);
	session->up = NULL;
	packcache_give_back(session->ticket);
	session->ticket = NULL;
}

/*
 * Sends as much of the pack as the peer takes now; the rest goes at drained. An idle node keeps
 * nothing of a fetch.
 */
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
	if (session->up && uploadpack_state(session->up) == UPLOADPACK_DONE)
		end_fetch(session);
}

static void on_pack(void *arg, const uint8_t *pack, size_t size, const struct err *err)
{
	struct session *session = arg;

	if (!pack) {
		log_error("serve", session->node->name, "the pack could not be built: %s",
			  err->text);
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
		if (!session->fetched)
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
	} else if (uploadpack_state(session->up) == UPLOADPACK_DONE) {
		end_fetch(session);
	}
}

static void on_fetch(struct session *session)
{
	const struct head *head = heads_find(&session->serve->heads, session->node->role);
	char ref[sizeof("refs/heads/") + NAME_MAX_LEN];
	struct buf out;

	if (!session->node->approved) {
		peer_close(session->peer, "a fetch before it is approved");
		return;
	}
	if (session->up) {
		peer_close(session->peer, "a second fetch before the first was over");
		return;
	}
	memcpy(ref, "refs/heads/", sizeof("refs/heads/"));
	memcpy(ref + strlen(ref), session->node->role, strlen(session->node->role) + 1);
	buf_init(&out, LIMIT_WANT_REQUEST);
	session->up = uploadpack_new(ref, head ? &head->release : NULL, position_of, session, &out);
	peer_send_git(session->peer, out.data, out.len);
	buf_clear(&out);
	session->fetched = true;
	peer_limit(session->peer, WAIT_FETCH, "the fetch"); /* a pack is held as long as it lasts */
}

/* --- registration --- */

static struct session **bucket_of(struct serve *serve, const struct peer *peer)
{
	const uint8_t *key = peer_public(peer);

	return &serve->by_key[(key[0] | key[1] << 8) % BUCKETS];
}

/*
 * A node is its key: of two connections with one, the newer counts, whatever names they come with.
 */
static void replace_older(struct session *session)
{
	struct session *old = *bucket_of(session->serve, session->peer);

	while (old && !crypto_equal(peer_public(old->peer), peer_public(session->peer), KEY_SIZE))
		old = old->next_by_key;
	if (!old)
		return;
	log_warning("serve", old->node->name, "the same key connected again: the newer one counts");
	peer_close(old->peer, "the same key connected again");
}

static void session_bind(struct session *session, struct node *node)
{
	struct session **bucket = bucket_of(session->serve, session->peer);

	session->node = node;
	node->session = session;
	session->next_by_key = *bucket;
	*bucket = session;
}

static void session_unbind(struct session *session)
{
	struct session **link = bucket_of(session->serve, session->peer);

	while (*link != session)
		link = &(*link)->next_by_key;
	*link = session->next_by_key;
	session->node->session = NULL;
	registry_connected(session->serve->registry, session->node, false);
	session->node = NULL;
}

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

/* The word of a refusal, by its error. */
static const char *refusal_code(const struct err *err)
{
	return err->code == ERR_FULL ? "full" : err->code == ERR_DENIED ? "approval" : "name";
}

static void on_register(struct session *session, const struct control_message *message)
{
	const struct hello *hello = peer_hello(session->peer);
	const char *role = control_get(message, "role");
	struct join join = {.epoch = hello->epoch};
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
	memcpy(join.role_tag, hello->role_tag, sizeof(join.role_tag));
	if (registry_register(session->serve->registry, peer_public(session->peer), &join, message,
			      &node, &err) != 0) {
		bool revoked = revoked_find(registry_revoked(session->serve->registry),
					    peer_public(session->peer));

		refuse(session, revoked ? "revoked" : refusal_code(&err), err.text);
		return;
	}
	replace_older(session);
	session_bind(session, node);
	peer_limit(session->peer, 0, NULL);
	registry_report(session->serve->registry, node, message);
	registry_epoch(session->serve->registry, node, hello->epoch);
	registry_connected(session->serve->registry, node, true);
	log_info("serve", node->name, "registered in role %s from %s", node->role,
		 peer_address(session->peer));
	if (!node->approved)
		log_notice("serve", node->name,
			   "waits for approval in role %s: muster nodes approve %s", node->role,
			   node->name);
	tell_registered(session);
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

static const struct root_key *root_of(const struct serve *serve, uint32_t epoch)
{
	const struct identity *identity = serve->identity;

	for (size_t i = 0; i < identity->root_count; i++)
		if (identity->roots[i].epoch == epoch)
			return identity->roots + i;
	return NULL;
}

static enum peer_hint on_hello(void *arg, const struct hello *hello,
			       uint8_t join_key[static KEY_SIZE])
{
	const struct root_key *root = root_of(arg, hello->epoch);

	if (!root)
		return PEER_HINT_EPOCH;
	key_join(root, hello->role_tag, join_key);
	return PEER_HINT_NONE;
}

static bool close_retired(const struct serve *serve, struct peer *peer)
{
	uint32_t epoch = peer_hello(peer)->epoch;

	if (root_of(serve, epoch))
		return false;
	peer_close(peer, "epoch %u of the cluster key has ended", epoch);
	return true;
}

static void on_open(struct peer *peer)
{
	struct serve *serve = peers_arg(peer_group(peer));
	struct session *session;

	if (close_retired(serve, peer))
		return; /* it ended between the hello and now */
	session = mem_new(1, sizeof(*session));
	session->serve = serve;
	session->peer = peer;
	session->next = serve->first;
	if (serve->first)
		serve->first->previous = session;
	serve->first = session;
	peer_set_data(peer, session);
	peer_limit(peer, WAIT_HANDSHAKE, "registering");
}

static void on_drained(struct peer *peer)
{
	if (peer_data(peer))
		pump(peer_data(peer));
}

static void on_closed(struct peer *peer, const char *reason)
{
	struct session *session = peer_data(peer);

	log_info("serve", session && session->node ? session->node->name : peer_address(peer),
		 "closed: %s", reason);
	if (!session)
		return;
	end_fetch(session);
	if (session->node)
		session_unbind(session);
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

/*
 * Raises the soft limit on descriptors as far as LIMIT_PEERS needs it, and takes no more
 * connections than it allows: with none left, nothing could be published or written either.
 */
static void allow_peers(struct serve *serve)
{
	const rlim_t wanted = LIMIT_PEERS + DESCRIPTORS_RESERVED;
	struct rlimit limit = {0, 0};
	size_t peers = LIMIT_PEERS;

	(void)getrlimit(RLIMIT_NOFILE, &limit); /* fails for no other resource either */
	if (limit.rlim_cur < wanted) {
		struct rlimit more = {limit.rlim_max < wanted ? limit.rlim_max : wanted,
				      limit.rlim_max};

		if (setrlimit(RLIMIT_NOFILE, &more) == 0)
			limit = more;
	}
	if (limit.rlim_cur < wanted) {
		peers = limit.rlim_cur > 2 * DESCRIPTORS_RESERVED
				? limit.rlim_cur - DESCRIPTORS_RESERVED
				: limit.rlim_cur / 2;
		log_notice("serve", "",
			   "the limit of %llu descriptors allows %zu connections, not %u",
			   (unsigned long long)limit.rlim_cur, peers, LIMIT_PEERS);
	} else {
		log_info("serve", "", "room for %zu connections", peers);
	}
	peers_allow(serve->peers, peers, LIMIT_HANDSHAKES);
}

void serve_published(struct serve *serve, const struct publication *publication)
{
	for (size_t i = 0; i < publication->role_count; i++) {
		const struct publication_role *role = publication->roles + i;
		const struct head *head = heads_find(&serve->heads, role->name);
		struct oid base = head ? head->release : (struct oid){{0}};

		if (head && oid_equal(&base, &role->release))
			continue;
		heads_move(&serve->heads, role->name, &role->release, role->sequence);
		tell_release(serve, role->name, head ? &base : NULL);
	}
}

void serve_admit(struct serve *serve, const struct node *node)
{
	(void)serve; /* a session knows its own */
	if (node->session)
		tell_registered(node->session);
}

void serve_cut(struct serve *serve, const struct node *node, const char *why)
{
	(void)serve; /* likewise */
	if (node->session)
		peer_close(((struct session *)node->session)->peer, "%s", why);
}

void serve_set_approve(struct serve *serve, bool approve)
{
	if (approve == registry_asks_approval(serve->registry))
		return;
	log_notice("serve", "", approve ? "nodes that are not known need approval from now on"
					: "nodes that are not known need no approval any more");
	registry_set_approve(serve->registry, approve);
	for (struct session *s = serve->first; s; s = s->next) /* telling closes none */
		if (s->node && registry_settle(serve->registry, s->node))
			tell_registered(s);
}

void serve_pinned(struct serve *serve, const struct pin *pin, const struct buf *raw)
{
	const struct node *node = registry_find(serve->registry, pin->node);

	/* an absent one is told when it registers */
	if (pinboard_put(&serve->pins, pin, raw) && node && node->session)
		tell_head(node->session);
}

void serve_forget_pin(struct serve *serve, const char *node)
{
	pinboard_remove(&serve->pins, node);
}

void serve_keys_changed(struct serve *serve)
{
	for (struct session *s = serve->first, *next; s; s = next) {
		next = s->next; /* closing one frees it and no other */
		(void)close_retired(serve, s->peer);
	}
}

bool serve_knows(struct serve *serve, const char *role, const struct oid *release)
{
	const struct head *head = heads_find(&serve->heads, role);

	return head && head_position(head, release) > 0;
}

const struct pinboard *serve_pins(const struct serve *serve)
{
	return &serve->pins;
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
	allow_peers(serve);
	serve->packs = packcache_new(loop, releases);
	rc = heads_load(&serve->heads, releases, HEADS_AT_START, err);
	if (rc == 0)
		rc = pinboard_load(&serve->pins, home, identity->cluster_id, err);
	if (rc == 0)
		rc = registry_open(loop, home, nodes_changed, arg, &serve->registry, err);
	if (rc == 0)
		rc = peers_listen(serve->peers, listen_host, port, err);
	if (rc == 0 && serve->heads.partial)
		heads_load_rest(loop, releases, &serve->heads, &serve->rest);
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

struct peers *serve_peers(struct serve *serve)
{
	return serve->peers;
}

void serve_packs(const struct serve *serve, struct packcache_stats *out)
{
	packcache_stats(serve->packs, out);
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
	tell_stop(serve);
	peers_free(serve->peers); /* every session ends in it */
	assert(!serve->first);
	packcache_free(serve->packs);
	registry_free(serve->registry);
	heads_rest_stop(serve->rest);
	heads_clear(&serve->heads);
	pinboard_clear(&serve->pins);
	static_key_free(serve->key);
	free(serve);
}
