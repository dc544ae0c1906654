/*
 * hostile HOME PORT ROLE: an admin that means ill. It has the cluster's identity
 * (HOME/var/admin/cluster.key) and a copy of its releases, accepts nodes over the real channel, and
 * offers them what a line on stdin names (offences.c); it answers `RELEASE SEQUENCE` on stdout.
 * What is good it keeps as its newest. `hostile --list` prints name, step and words of each. `pin
 * HOW ACTION NODE RELEASE SEQUENCE` sends a pin with each head from then on, and `pin` none; `text
 * WORD` sends just that. After `since RELEASE` a node that is behind can fetch, and after `stall`
 * none can on this connection. `lie SEQUENCE` tells of a release that does not exist, and the
 * branch stays as it is. `bend bytes` damages the next pack that goes out with its news, and
 * `bend base` sends an empty one as what is missing to another release. Ends with its input.
 * `hostile --make HOME ROLE OFFENCE` only puts one on the role's branch of HOME.
 */
#include "offences.h"

#include "channel/peer.h"
#include "channel/uploadpack.h"
#include "crypto/encode.h"
#include "repo/object.h"
#include "repo/pin.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct hostile {
	uv_loop_t loop;
	uv_pipe_t input;
	struct buf lines;
	char bytes[256];
	struct identity *identity;
	struct static_key *key;
	struct peers *peers;
	struct peer *peer; /* the one node */
	bool registered;
	bool push;	       /* the pack goes out with the news of it */
	struct oid node_has; /* what the node says it accepted */
	bool stalled; /* what it asks for does not come */
	char bend[8]; /* what is wrong with the next pack that is pushed; "": nothing */
	struct uploadpack *up;
	struct offences offences;
	struct oid head;
	uint64_t sequence;
	struct buf pack;
	struct buf pin; /* as it is sent; empty: none is */
	char ref[sizeof("refs/heads/") + NAME_MAX_LEN];
};

/* The pack that goes out with the news; what is fetched later is as it should be. */
static void pushed(struct hostile *h, struct oid *base, struct buf *out)
{
	static const uint8_t empty[] = {'P',  'A',  'C',  'K',  0,    0,    0,    2,
					0,    0,    0,    0,    0x02, 0x9d, 0x08, 0x82,
					0x3b, 0xd8, 0xa8, 0xea, 0xb5, 0x10, 0xad, 0x6a,
					0xc7, 0x5c, 0x82, 0x3c, 0xfd, 0x3e, 0xd3, 0x1e};

	*base = h->node_has;
	if (strcmp(h->bend, "base") == 0) {
		base->id[0] ^= 1;
		buf_put(out, empty, sizeof(empty));
	} else {
		buf_put(out, h->pack.data, h->pack.len);
	}
	if (strcmp(h->bend, "bytes") == 0)
		out->data[out->len / 2] ^= 1;
	h->bend[0] = '\0';
}

static void tell_head(struct hostile *h)
{
	struct control_message message;
	char hex[OID_HEX_SIZE];
	struct buf pack;
	struct oid base;

	if (!h->registered)
		return;
	control_start(&message, CONTROL_HEAD);
	control_add(&message, "release", oid_hex(&h->head, hex));
	control_add_number(&message, "sequence", h->sequence);
	control_add(&message, "pin", h->pin.len ? buf_text(&h->pin) : NULL);
	if (h->push && !oid_is_zero(&h->node_has) && h->pack.len &&
	    h->pack.len <= LIMIT_PUSHED_PACK) {
		buf_init(&pack, LIMIT_PUSHED_PACK);
		pushed(h, &base, &pack);
		control_add(&message, "base", oid_hex(&base, hex));
		control_add_number(&message, "pack", pack.len);
		peer_send_control(h->peer, &message);
		peer_send_git(h->peer, pack.data, pack.len);
		buf_clear(&pack);
	} else {
		peer_send_control(h->peer, &message);
	}
	control_clear(&message);
}

/* --- the channel --- */

static enum peer_hint on_hello(void *arg, const struct hello *hello,
			       uint8_t join_key[static KEY_SIZE])
{
	const struct hostile *h = arg;

	key_join(h->identity->roots, hello->role_tag, join_key);
	return PEER_HINT_NONE;
}

static void on_open(struct peer *peer)
{
	struct hostile *h = peers_arg(peer_group(peer));

	h->peer = peer;
}

/* Whatever it is, it is known: only what is new goes into the pack. */
static uint64_t position_of(void *arg, const struct oid *oid)
{
	struct hostile *h = arg;
	git_oid id = {{0}};

	memcpy(id.id, oid->id, OID_SIZE);
	return git_odb_exists(repo_odb(h->offences.repo), &id) ? 1 : 0;
}

static void on_fetch(struct hostile *h)
{
	struct buf out;

	if (h->stalled)
		return;
	buf_init(&out, 1 << 16);
	uploadpack_free(h->up);
	h->up = uploadpack_new(h->ref, &h->head, position_of, h, &out);
	peer_send_git(h->peer, out.data, out.len);
	buf_clear(&out);
}

static void on_control(struct peer *peer, const struct control_message *message)
{
	struct hostile *h = peers_arg(peer_group(peer));
	struct control_message answer;
	const char *accepted = control_get(message, "accepted");

	if (accepted)
		(void)oid_parse(accepted, &h->node_has); /* zero: nothing is pushed */
	if (message->verb == CONTROL_FETCH)
		on_fetch(h);
	if (message->verb != CONTROL_REGISTER && message->verb != CONTROL_PING)
		return;
	control_start(&answer, message->verb == CONTROL_PING ? CONTROL_PONG : CONTROL_REGISTERED);
	peer_send_control(peer, &answer);
	control_clear(&answer);
	if (message->verb == CONTROL_REGISTER) {
		h->registered = true;
		tell_head(h);
	}
}

static void on_git(struct peer *peer, const uint8_t *data, size_t n)
{
	struct hostile *h = peers_arg(peer_group(peer));
	struct buf out;
	struct err err;

	buf_init(&out, 4 << 20);
	if (!h->up || uploadpack_feed(h->up, data, n, &out, &err) != 0) {
		peer_close(peer, "fetch");
	} else {
		if (uploadpack_state(h->up) == UPLOADPACK_PACK)
			uploadpack_give(h->up, h->pack.data, h->pack.len);
		while (uploadpack_state(h->up) == UPLOADPACK_SENDING)
			uploadpack_send(h->up, &out);
		peer_send_git(peer, out.data, out.len);
	}
	buf_clear(&out);
}

static void on_drained(struct peer *peer)
{
	(void)peer; /* a pack of this test is small */
}

static void on_closed(struct peer *peer, const char *reason)
{
	struct hostile *h = peers_arg(peer_group(peer));

	(void)reason; /* the node's log has it */
	if (h->peer != peer)
		return;
	h->peer = NULL;
	h->registered = h->stalled = false;
	uploadpack_free(h->up);
	h->up = NULL;
}

static const struct peer_calls calls = {
	.hello = on_hello,
	.open = on_open,
	.control = on_control,
	.git = on_git,
	.drained = on_drained,
	.closed = on_closed,
};

/* --- commands --- */

/* The step that refuses it, "" for what is good. */
static const char *step_of(const char *name)
{
	const struct offence *o = offence_list;

	while (strcmp(o->name, name) != 0)
		o++;
	return o->step ? o->step : "";
}

static void command(struct hostile *h, const char *name)
{
	char hex[OID_HEX_SIZE];

	if (offences_make(&h->offences, name, &h->head, &h->sequence) != 0) {
		(void)fprintf(stderr, "hostile: no offence \"%s\"\n", name);
		exit(1);
	}
	buf_reset(&h->pack);
	offences_pack(&h->offences, &h->pack);
	if (strcmp(step_of(name), "verify") != 0)
		offences_accept(&h->offences, &h->head, *step_of(name) == '\0');
	(void)printf("%s %" PRIu64 "\n", oid_hex(&h->head, hex), h->sequence);
	(void)fflush(stdout);
	tell_head(h);
}

/* What is good, and what is wrong with the others. */
static void sign_pin(struct hostile *h, const char *how, struct pin *pin)
{
	static const uint8_t foreign[KEY_SIZE] = {7};
	struct buf raw;

	memcpy(pin->cluster_id, h->identity->cluster_id, CLUSTER_ID_SIZE);
	if (strcmp(how, "cluster") == 0)
		pin->cluster_id[0] ^= 1;
	buf_init(&raw, PIN_RAW_MAX);
	pin_sign(pin, strcmp(how, "foreign") == 0   ? foreign
		      : strcmp(how, "retired") == 0 ? h->offences.retired
						    : h->offences.seed,
		 &raw);
	if (strcmp(how, "unsigned") == 0)
		raw.len = (size_t)(strstr(buf_text(&raw), "-----BEGIN") - buf_text(&raw));
	else if (strcmp(how, "reason") == 0)
		raw.data[(size_t)(strstr(buf_text(&raw), "-----BEGIN") - buf_text(&raw)) - 2] ^= 1;
	encode_base64(&h->pin, raw.data, raw.len);
	buf_clear(&raw);
}

static void command_pin(struct hostile *h, char *line)
{
	struct pin pin = {.tagger = "muster <admin@127.0.0.1> 1700000000 +0000",
			  .reason = "because I can"};
	const char *word[6];
	size_t count = 0;

	for (char *at = strtok(line, " "); at && count < 6; at = strtok(NULL, " "))
		word[count++] = at;
	buf_reset(&h->pin);
	if (count == 2) {
		buf_puts(&h->pin, word[1]);
	} else if (count == 6) {
		pin.hold = strcmp(word[2], "hold") == 0;
		(void)snprintf(pin.node, sizeof(pin.node), "%s", word[3]);
		if (oid_parse(word[4], &pin.release) != 0 ||
		    text_number(word[5], UINT64_MAX, &pin.sequence) != 0)
			exit(1);
		sign_pin(h, word[1], &pin);
	}
	(void)printf("pin %zu\n", h->pin.len);
	(void)fflush(stdout);
	tell_head(h);
}

/* What is fetched has all that a node lacks which has this one. */
static void command_since(struct hostile *h, const char *hex)
{
	struct oid old;

	if (oid_parse(hex, &old) != 0)
		exit(1);
	offences_pack_since(&h->offences, &old, &h->pack);
	(void)printf("since %zu\n", h->pack.len);
	(void)fflush(stdout);
}

static void command_stall(struct hostile *h)
{
	h->stalled = true;
	(void)printf("stalled\n");
	(void)fflush(stdout);
}

static void command_bend(struct hostile *h, const char *what)
{
	(void)snprintf(h->bend, sizeof(h->bend), "%s", what);
	(void)printf("bent %s\n", h->bend);
	(void)fflush(stdout);
}

/* The node asks for it, and finds what the branch has. */
static void command_lie(struct hostile *h, const char *sequence)
{
	struct control_message message;
	char hex[OID_HEX_SIZE];
	struct oid none;

	crypto_random(none.id, sizeof(none.id));
	control_start(&message, CONTROL_HEAD);
	control_add(&message, "release", oid_hex(&none, hex));
	control_add(&message, "sequence", sequence);
	peer_send_control(h->peer, &message);
	control_clear(&message);
	(void)printf("%s %s\n", hex, sequence);
	(void)fflush(stdout);
}

static void stop(struct hostile *h)
{
	peers_free(h->peers);
	uv_close((uv_handle_t *)&h->input, NULL);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
	struct hostile *h = handle->data;

	(void)suggested;
	*out = uv_buf_init(h->bytes, sizeof(h->bytes));
}

static void on_input(uv_stream_t *stream, ssize_t n, const uv_buf_t *bytes)
{
	struct hostile *h = stream->data;
	struct cursor c;
	const char *line;
	size_t size;

	if (n < 0) {
		stop(h);
		return;
	}
	buf_put(&h->lines, bytes->base, (size_t)n);
	c = cursor_of(h->lines.data, h->lines.len);
	while ((line = cursor_line(&c, &size))) {
		char *name = text_copy_n(line, size);

		if (text_starts(name, "pin") || text_starts(name, "text "))
			command_pin(h, name);
		else if (text_starts(name, "since "))
			command_since(h, name + strlen("since "));
		else if (text_starts(name, "lie "))
			command_lie(h, name + strlen("lie "));
		else if (text_starts(name, "bend "))
			command_bend(h, name + strlen("bend "));
		else if (strcmp(name, "stall") == 0)
			command_stall(h);
		else
			command(h, name);
		free(name);
	}
	buf_consume(&h->lines, h->lines.len - c.left);
}

static int list(void)
{
	for (const struct offence *o = offence_list; o->name; o++)
		if (o->step)
			(void)printf("%s\t%s\t%s\n", o->name, o->step, o->words);
	return fflush(stdout) == 0 ? 0 : 1;
}

static int fail(const struct err *err)
{
	(void)fprintf(stderr, "hostile: %s\n", err->text);
	return 1;
}

static struct identity *identity_of(const char *home)
{
	struct err err = {.code = ERR_NONE};
	int fd = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct identity *identity;

	if (identity_load(fd, "var/admin/cluster.key", &identity, &err) != 0)
		exit(fail(&err));
	(void)close(fd);
	return identity;
}

static int make(const char *home, const char *role, const char *name)
{
	struct offences offences;
	struct identity *identity = identity_of(home);
	char *releases = text_format("%s/var/admin/release.git", home);
	char hex[OID_HEX_SIZE];
	struct oid oid;
	uint64_t sequence;
	int rc;

	offences_open(&offences, releases, role, identity);
	rc = offences_make(&offences, name, &oid, &sequence);
	if (rc == 0) {
		offences_place(&offences, &oid);
		rc = printf("%s\n", oid_hex(&oid, hex)) < 0 || fflush(stdout) != 0;
	}
	offences_close(&offences);
	identity_free(identity);
	free(releases);
	return rc == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	static struct hostile h;
	struct err err = {.code = ERR_NONE};
	uint64_t port;
	char *releases;

	if (argc == 2 && strcmp(argv[1], "--list") == 0)
		return list();
	crypto_setup();
	git_setup();
	if (argc == 5 && strcmp(argv[1], "--make") == 0)
		return make(argv[2], argv[3], argv[4]);
	h.push = argc == 5 && strcmp(argv[4], "push") == 0;
	if (argc != 4 + h.push || text_number(argv[2], 65535, &port) != 0 || !name_valid(argv[3])) {
		(void)fprintf(stderr, "usage: hostile HOME PORT ROLE [push]\n");
		return 2;
	}
	releases = text_format("%s/var/admin/release.git", argv[1]);
	h.identity = identity_of(argv[1]);
	offences_open(&h.offences, releases, argv[3], h.identity);
	(void)snprintf(h.ref, sizeof(h.ref), "refs/heads/%s", argv[3]);
	(void)uv_loop_init(&h.loop);
	buf_init(&h.lines, 1 << 16);
	buf_init(&h.pack, 16 << 20);
	buf_init(&h.pin, CONTROL_VALUE_MAX);
	h.key = static_key_of(h.identity->channel_secret);
	h.peers = peers_new(&h.loop, h.key, &calls, &h);
	command(&h, "good");
	(void)uv_pipe_init(&h.loop, &h.input, 0);
	h.input.data = &h;
	if (peers_listen(h.peers, "127.0.0.1", (uint16_t)port, &err) != 0)
		return fail(&err);
	if (uv_pipe_open(&h.input, 0) != 0 ||
	    uv_read_start((uv_stream_t *)&h.input, on_alloc, on_input) != 0)
		return 1;
	(void)uv_run(&h.loop, UV_RUN_DEFAULT);
	(void)uv_loop_close(&h.loop);
	offences_close(&h.offences);
	static_key_free(h.key);
	identity_free(h.identity);
	buf_clear(&h.lines);
	buf_clear(&h.pack);
	buf_clear(&h.pin);
	free(releases);
	return 0;
}
