/*
 * The handshake of a channel, both roles, with fixed keys. By its first byte the input is what a
 * stranger sends to the admin (hello and first message), what one sends to a node (second message),
 * or changes to an honest handshake: four bytes each, which of hello, first message, second message
 * and join key, an offset, and the bits to flip or the new length.
 */
#include "fuzz.h"

#include "channel/hello.h"

enum part { HELLO, FIRST, SECOND, JOIN_KEY, PARTS };
enum { MESSAGE_MAX = 128, CHANGES_MAX = 8 };

static struct static_key *admin, *node;
static const uint8_t admin_secret[KEY_SIZE] = "the admin of the fuzz harnesses";
static const uint8_t node_secret[KEY_SIZE] = "the node of the fuzz harnesses";
static const uint8_t ephemeral[2][KEY_SIZE] = {"responder's ephemeral", "initiator's ephemeral"};
static const uint8_t join_key[KEY_SIZE] = "the join key of the harnesses";

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	crypto_setup();
	admin = static_key_of(admin_secret);
	node = static_key_of(node_secret);
	return 0;
}

/* As hello_noise does, but that no byte is random. */
static struct noise *engine(bool initiator, const uint8_t *hello, const uint8_t *join)
{
	struct noise_config config = {
		.pattern = &noise_ikpsk1,
		.initiator = initiator,
		.prologue = hello,
		.prologue_size = HELLO_SIZE,
		.local = initiator ? node : admin,
		.remote_public = initiator ? admin->public : NULL,
		.psks = (const uint8_t(*)[KEY_SIZE])join,
		.psk_count = 1,
		.ephemeral_secret = ephemeral[initiator],
	};

	return noise_new(&config);
}

static void hello_make(uint8_t out[static HELLO_SIZE])
{
	struct hello hello = {.version = HELLO_VERSION, .epoch = 1};

	hello_format(&hello, out);
}

/* Reads an empty payload. */
static int read_message(struct noise *noise, const void *data, size_t n)
{
	struct buf payload;
	struct err err = {.code = ERR_NONE};
	int rc;

	buf_init(&payload, MESSAGE_MAX);
	rc = noise_read(noise, data, n, &payload, &err);
	assert(rc == 0 || err.code == ERR_DENIED || err.code == ERR_FULL);
	assert(rc == 0 || payload.len == 0);
	buf_clear(&payload);
	return rc;
}

static void write_message(struct noise *noise, struct buf *out)
{
	struct err err;

	assert(noise_my_turn(noise) && noise_write(noise, NULL, 0, out, &err) == 0);
}

static void stranger_at_admin(const uint8_t *data, size_t size)
{
	uint8_t hello[HELLO_SIZE] = {0};
	size_t n = size < HELLO_SIZE ? size : HELLO_SIZE;
	struct noise *noise;

	memcpy(hello, data, n);
	noise = engine(false, hello, join_key);
	/* the one first message that there is for these keys is in the corpus */
	if (read_message(noise, data + n, size - n) == 0)
		assert(memcmp(noise_remote_static(noise), node->public, KEY_SIZE) == 0);
	assert(!noise_done(noise));
	noise_free(noise);
}

static void stranger_at_node(const uint8_t *data, size_t size)
{
	uint8_t hello[HELLO_SIZE];
	struct noise *noise;
	struct buf first;

	hello_make(hello);
	noise = engine(true, hello, join_key);
	buf_init(&first, MESSAGE_MAX);
	write_message(noise, &first);
	assert(first.len == HANDSHAKE_FIRST);
	assert((read_message(noise, data, size) == 0) == noise_done(noise));
	buf_clear(&first);
	noise_free(noise);
}

/* Flips bits of one part, or changes the length of a message. */
static void change(struct buf *part, bool fixed, const uint8_t change[static 4])
{
	if (change[0] & 0x80 && !fixed) {
		size_t n = change[1] % (MESSAGE_MAX + 1);

		while (part->len < n)
			buf_put_u8(part, change[3]);
		part->len = n;
	} else if (part->len > 0) {
		part->data[change[1] % part->len] ^= change[3];
	}
}

static void change_all(struct buf *part, enum part which, struct cursor c)
{
	for (int i = 0; i < CHANGES_MAX && c.left >= 4; i++) {
		const uint8_t *bytes = cursor_bytes(&c, 4);

		if (bytes[2] % PARTS == which)
			change(part, which == HELLO || which == JOIN_KEY, bytes);
	}
}

/* The part as it arrives; *SAME becomes false when it differs. */
static struct buf arrive(const void *data, size_t n, enum part which, struct cursor changes,
			 bool *same)
{
	struct buf part;

	buf_init(&part, MESSAGE_MAX);
	buf_put(&part, data, n);
	change_all(&part, which, changes);
	if (!fuzz_same(&part, data, n))
		*same = false;
	return part;
}

static void check_agreed(const struct noise *a, const struct noise *b)
{
	uint8_t send[2][KEY_SIZE], receive[2][KEY_SIZE], hash[2][NOISE_HASH_SIZE];

	assert(noise_done(a) && noise_done(b));
	noise_split(a, send[0], receive[0], hash[0]);
	noise_split(b, send[1], receive[1], hash[1]);
	assert(memcmp(send[0], receive[1], KEY_SIZE) == 0 &&
	       memcmp(send[1], receive[0], KEY_SIZE) == 0);
	assert(memcmp(hash[0], hash[1], NOISE_HASH_SIZE) == 0);
	assert(memcmp(noise_remote_static(a), admin->public, KEY_SIZE) == 0);
	assert(memcmp(noise_remote_static(b), node->public, KEY_SIZE) == 0);
}

/* It ends well exactly when nothing was changed, and a change is seen by whoever gets it. */
static void changed_handshake(struct cursor c)
{
	uint8_t hello[HELLO_SIZE];
	bool same = true;
	struct buf message, heard, join, arrived;
	struct noise *a, *b;

	hello_make(hello);
	heard = arrive(hello, sizeof(hello), HELLO, c, &same);
	join = arrive(join_key, sizeof(join_key), JOIN_KEY, c, &same);
	a = engine(true, hello, join_key);
	b = engine(false, heard.data, join.data);
	buf_init(&message, MESSAGE_MAX);
	write_message(a, &message);
	arrived = arrive(message.data, message.len, FIRST, c, &same);
	assert((read_message(b, arrived.data, arrived.len) == 0) == same);
	if (same) {
		buf_reset(&message);
		buf_clear(&arrived);
		write_message(b, &message);
		assert(message.len == HANDSHAKE_SECOND);
		arrived = arrive(message.data, message.len, SECOND, c, &same);
		assert((read_message(a, arrived.data, arrived.len) == 0) == same);
		if (same)
			check_agreed(a, b);
	}
	noise_free(a);
	noise_free(b);
	buf_clear(&message);
	buf_clear(&arrived);
	buf_clear(&heard);
	buf_clear(&join);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_of(data, size);

	switch (cursor_u8(&c) % 3) {
	case 0:
		stranger_at_admin(c.at, c.left);
		break;
	case 1:
		stranger_at_node(c.at, c.left);
		break;
	default:
		changed_handshake(c);
	}
	return 0;
}
