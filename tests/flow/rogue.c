/*
 * rogue WHAT PORT [ARGUMENT...]: a node that means ill, at the real admin on loopback. The keystore
 * is in ROGUE_KEYSTORE; its own key is a fresh one, or that of the file ROGUE_NODE_KEY. Exit 0 when
 * the admin did what it must; else what happened is on stderr, exit 1. See the table at the end for
 * WHAT.
 */
#include "../unit/wire_client.h"

#include "core/oid.h"
#include "core/text.h"

#include <fcntl.h>

static uint16_t port;
static struct keystore *keystore;

static int complain(const char *text)
{
	(void)fprintf(stderr, "rogue: %s\n", text); /* no one to tell */
	return 1;
}

static void dial(struct client *c)
{
	const char *stolen = getenv("ROGUE_NODE_KEY");
	struct static_key *key;
	struct err err;

	client_connect(c, port, NULL, NULL);
	if (!stolen)
		return;
	wire_must(static_key_load(AT_FDCWD, stolen, &key, &err) == 0);
	static_key_free(c->key);
	c->key = key;
}

/* Closed, after this one byte (0: none). */
static int closed_with(struct client *c, unsigned byte)
{
	bool closed = client_closed(c);
	size_t n = c->in.len;
	unsigned got = n ? c->in.data[0] : 0;

	client_clear(c);
	if (!closed)
		return complain("the connection stays");
	return n == (byte != 0) && got == byte ? 0 : complain("another answer than expected came");
}

static int wrong_key(char **args)
{
	struct client c;

	(void)args;
	keystore->join_key[7] ^= 0x40;
	dial(&c);
	client_prepare(&c, keystore, 0, 0);
	client_send(&c, c.first, FIRST_SIZE);
	return closed_with(&c, 0);
}

static int wrong_admin(char **args)
{
	struct client c;

	(void)args;
	crypto_random(keystore->admin_public, KEY_SIZE);
	dial(&c);
	client_prepare(&c, keystore, 0, 0);
	client_send(&c, c.first, FIRST_SIZE);
	return closed_with(&c, 0);
}

static int epoch(char **args)
{
	struct client c;

	dial(&c);
	client_prepare(&c, keystore, 0, args[0] ? (unsigned)strtoul(args[0], NULL, 10) : 0);
	client_send(&c, c.first, FIRST_SIZE);
	return closed_with(&c, PEER_HINT_EPOCH);
}

static int version(char **args)
{
	struct client c;

	(void)args;
	dial(&c);
	client_prepare(&c, keystore, 2, 0);
	client_send(&c, c.first, FIRST_SIZE);
	return closed_with(&c, PEER_HINT_VERSION);
}

/* NAME ROLE: an open, registered connection. */
static int join(struct client *c, const char *name, const char *role)
{
	dial(c);
	if (!client_join(c, keystore))
		return complain("no handshake");
	client_say(c, "register", "name", name, "role", role, NULL);
	return 0;
}

/* NAME ROLE CODE */
static int refused(char **args)
{
	struct control_message message;
	struct client c;
	int rc;

	if (join(&c, args[0], args[1]) != 0 || !client_hear(&c, &message))
		return complain("nothing came");
	rc = strcmp(message.word, "refused") == 0 &&
			     strcmp(control_get(&message, "code"), args[2]) == 0 &&
			     client_closed(&c)
		     ? 0
		     : complain("it was not refused as it should");
	control_clear(&message);
	client_clear(&c);
	return rc;
}

/* NAME ROLE WORD OID: asks for (want) or claims (have) what is another role's. */
static int foreign(char **args)
{
	bool want = strcmp(args[2], "want") == 0;
	struct client c;
	struct buf out;
	char tip[OID_HEX_SIZE] = "";
	int rc;

	if (join(&c, args[0], args[1]) != 0 || !client_hears(&c, "registered") ||
	    !client_hears(&c, "head"))
		return complain("it does not register");
	client_say(&c, "fetch", NULL);
	if (!client_git_ends(&c, "0000") || c.lanes[LANE_GIT].len < 4 + OID_HEX)
		return complain("no advertisement");
	memcpy(tip, c.lanes[LANE_GIT].data + 4, OID_HEX);
	buf_reset(&c.lanes[LANE_GIT]);
	buf_init(&out, 4096);
	pktline_printf(&out, "want %s\n", want ? args[3] : tip);
	pktline_flush(&out);
	if (!want)
		pktline_printf(&out, "have %s\n", args[3]);
	pktline_printf(&out, "done\n");
	client_record(&c, LANE_GIT, out.data, out.len);
	buf_clear(&out);
	if (want)
		rc = client_closed(&c) ? 0 : complain("the connection stays");
	else
		rc = client_git_ends(&c, "0000") ? 0 : complain("no pack");
	client_open_records(&c);
	if (rc == 0 && want && !memmem(c.lanes[LANE_GIT].data, c.lanes[LANE_GIT].len, "ERR ", 4))
		rc = complain("it was not refused");
	if (rc == 0 && !want && memcmp(c.lanes[LANE_GIT].data, "0008NAK\n", 8) != 0)
		rc = complain("it was acknowledged");
	client_clear(&c);
	return rc;
}

/* COUNT: connections of garbage. */
static int garbage(char **args)
{
	int left = args[0] ? atoi(args[0]) : 1;
	uint8_t bytes[3000];

	for (; left > 0; left--) {
		struct client c;
		int rc;

		crypto_random(bytes, sizeof(bytes));
		if (left % 3 == 0)
			hello_format(
				&(struct hello){.version = HELLO_VERSION, .epoch = keystore->epoch},
				bytes);
		dial(&c);
		client_send(&c, bytes, sizeof(bytes));
		rc = closed_with(&c, 0);
		if (rc != 0)
			return rc;
	}
	return 0;
}

/* A good beginning, then a record with one bit wrong. */
static int bent(char **args)
{
	struct client c;
	struct buf out;
	int rc;

	if (join(&c, args[0], args[1]) != 0 || !client_hears(&c, "registered") ||
	    !client_hears(&c, "head"))
		return complain("it does not register");
	buf_init(&out, 4096);
	client_seal(&c, LANE_CONTROL, "0008ping0000", 12, &out);
	out.data[out.len - 1] ^= 1;
	client_send(&c, out.data, out.len);
	rc = client_closed(&c) ? 0 : complain("the connection stays");
	buf_clear(&out);
	client_clear(&c);
	return rc;
}

/* NAME ROLE: asks on and on, reads nothing, until it is cut off. */
static int deaf(char **args)
{
	struct buf out;
	struct client c;
	ssize_t n = 1;

	if (join(&c, args[0], args[1]) != 0 || !client_hears(&c, "registered") ||
	    !client_hears(&c, "head"))
		return complain("it does not register");
	for (uint64_t end = loop_now() + 6 * WIRE_DEADLINE; n > 0 && loop_now() < end;) {
		buf_init(&out, 1 << 20);
		for (int i = 0; i < 1000; i++)
			client_seal(&c, LANE_CONTROL, "0008ping0000", 12, &out);
		for (size_t at = 0; n > 0 && at < out.len; at += (size_t)n)
			n = send(c.fd, out.data + at, out.len - at, MSG_NOSIGNAL);
		buf_clear(&out);
	}
	client_clear(&c);
	return n > 0 ? complain("it may ask for ever") : 0;
}

/*
 * COUNT: half-open handshakes, some with all but a byte, held until stdin closes; "ready" is said
 * when they are there.
 */
static int half_open(char **args)
{
	int count = atoi(args[0]);
	struct client *all = mem_new((size_t)count, sizeof(*all));
	char byte;

	for (int i = 0; i < count; i++) {
		dial(all + i);
		client_prepare(all + i, keystore, 0, 0);
		if (send(all[i].fd, all[i].first, i % 2 ? 1 : FIRST_SIZE - 1, MSG_NOSIGNAL) <= 0)
			return complain("sending failed");
	}
	(void)puts("ready"); /* flushed below */
	(void)fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	for (int i = 0; i < count; i++)
		client_clear(all + i);
	free(all);
	return 0;
}

/*
 * COUNT ROLE: good nodes, for once, that do nothing, until stdin closes; "ready" is said when they
 * are registered.
 */
static int idle(char **args)
{
	int count = atoi(args[0]);
	struct client *all = mem_new((size_t)count, sizeof(*all));
	char name[32], byte;

	for (int i = 0; i < count; i++) {
		(void)snprintf(name, sizeof(name), "idle-%d", i); /* fits */
		if (join(all + i, name, args[1]) != 0 || !client_hears(all + i, "registered") ||
		    !client_hears(all + i, "head"))
			return complain("it does not register");
		client_say(all + i, "status", "state", "RUNNING", "version", "0.1.0", "accepted",
			   "0123456789012345678901234567890123456789", "deployed",
			   "0123456789012345678901234567890123456789", "sequence", "1", NULL);
	}
	(void)puts("ready"); /* flushed below */
	(void)fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	for (int i = 0; i < count; i++)
		client_clear(all + i);
	free(all);
	return 0;
}

/* A line of stdin, KEY=VALUE words, as a status. */
static void say_status(struct client *c, char *words)
{
	struct buf out;
	char *word;

	buf_init(&out, 1 << 16);
	pktline_printf(&out, "status");
	while ((word = strsep(&words, " ")))
		if (*word)
			pktline_printf(&out, "%s", word);
	pktline_flush(&out);
	client_record(c, LANE_CONTROL, out.data, out.len);
	buf_clear(&out);
}

static void print_heads(struct client *c)
{
	struct control_message message;
	struct err err;

	client_open_records(c);
	while (control_take(&c->lanes[LANE_CONTROL], &message, &err) == 1) {
		const char *sequence = control_get(&message, "sequence"),
			   *pin = control_get(&message, "pin");

		if (strcmp(message.word, "head") == 0)
			(void)printf("head %s %s\n", sequence ? sequence : "-",
				     pin ? pin : "-"); /* flushed below */
		control_clear(&message);
	}
	(void)fflush(stdout); /* a test that reads it would miss it */
}

/*
 * NAME ROLE: prints each head it hears, `head SEQUENCE PIN` with - for what is not there, and says
 * of itself what comes on stdin, a status for each line; until stdin closes.
 */
static int listening(char **args)
{
	char bytes[4096], *rest, *line;
	struct client c;
	ssize_t n;

	if (join(&c, args[0], args[1]) != 0)
		return complain("it does not register");
	while (!c.ended) {
		struct pollfd from[] = {{.fd = STDIN_FILENO, .events = POLLIN},
					{.fd = c.fd, .events = POLLIN}};

		print_heads(&c);
		if (poll(from, 2, 20000) == 0)
			client_say(&c, "ping", NULL);
		if (from[1].revents)
			client_turn(&c);
		if (!from[0].revents)
			continue;
		n = read(STDIN_FILENO, bytes, sizeof(bytes) - 1);
		if (n <= 0)
			break;
		bytes[n] = '\0';
		for (rest = bytes; (line = strsep(&rest, "\n"));)
			if (*line)
				say_status(&c, line);
	}
	client_clear(&c);
	return c.ended ? complain("the admin closed") : 0;
}

/* `registered` is next, and says so of the approval. */
static bool hears_approved(struct client *c, const char *word)
{
	struct control_message message;
	const char *approved;
	bool good;

	if (!client_hear(c, &message))
		return false;
	approved = control_get(&message, "approved");
	good = strcmp(message.word, "registered") == 0 && approved && strcmp(approved, word) == 0;
	control_clear(&message);
	return good;
}

/* NAME ROLE: waits for approval, hears of nothing, and asks all the same. */
static int kept_out(char **args)
{
	struct client c;
	int rc;

	if (join(&c, args[0], args[1]) != 0 || !hears_approved(&c, "no"))
		return complain("it need not wait");
	client_say(&c, "status", "state", "IDLE", NULL);
	client_say(&c, "ping", NULL);
	if (!client_hears(&c, "pong"))
		return complain("it hears more than it may");
	client_say(&c, "fetch", NULL);
	rc = client_closed(&c) ? 0 : complain("the connection stays");
	client_open_records(&c);
	if (rc == 0 && (c.lanes[LANE_GIT].len > 0 || c.lanes[LANE_CONTROL].len > 0))
		rc = complain("it gets something");
	client_clear(&c);
	return rc;
}

/*
 * NAME ROLE: says "waits" when it does, and ends well when it then is approved on the same
 * connection and can fetch.
 */
static int waiting(char **args)
{
	struct client c;
	int rc;

	if (join(&c, args[0], args[1]) != 0 || !hears_approved(&c, "no"))
		return complain("it need not wait");
	(void)puts("waits"); /* flushed below */
	(void)fflush(stdout);
	if (!hears_approved(&c, "yes") || !client_hears(&c, "head"))
		return complain("it is not approved, or gets no head");
	client_say(&c, "fetch", NULL);
	rc = client_git_ends(&c, "0000") && c.lanes[LANE_GIT].len > OID_HEX
		     ? 0
		     : complain("no advertisement");
	client_clear(&c);
	return rc;
}

/*
 * NAME ROLE: joins like a good node, and hears of a release if WORD is head, of none if it is none.
 */
static int welcome(char **args)
{
	struct control_message message;
	struct client c;
	bool head;

	if (join(&c, args[0], args[1]) != 0 || !hears_approved(&c, "yes") ||
	    !client_hear(&c, &message))
		return complain("it is not let in");
	head = control_get(&message, "release");
	control_clear(&message);
	client_clear(&c);
	return head == (strcmp(args[2], "head") == 0)
		       ? 0
		       : complain("another head than it should have");
}

static const struct {
	const char *what;
	int (*run)(char **args);
	int args;
} table[] = {
	{"wrong-key", wrong_key, 0}, {"wrong-admin", wrong_admin, 0}, {"epoch", epoch, 0},
	{"version", version, 0},     {"refused", refused, 3},	      {"foreign", foreign, 4},
	{"garbage", garbage, 0},     {"bent", bent, 2},		      {"deaf", deaf, 2},
	{"half-open", half_open, 1}, {"idle", idle, 2},		      {"listen", listening, 2},
	{"kept-out", kept_out, 2},   {"waiting", waiting, 2},	      {"welcome", welcome, 3},
};

int main(int argc, char **argv)
{
	const char *text = getenv("ROGUE_KEYSTORE");
	struct err err;
	int rc = 2;

	if (argc < 3 || !text)
		return complain("usage: rogue WHAT PORT [ARGUMENT...], with ROGUE_KEYSTORE") + 1;
	port = (uint16_t)atoi(argv[2]);
	crypto_setup();
	if (keystore_parse(text, &keystore, &err) != 0)
		return complain(err.text);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (strcmp(table[i].what, argv[1]) == 0 && argc >= 3 + table[i].args)
			rc = table[i].run(argv + 3);
	keystore_free(keystore);
	return rc;
}
