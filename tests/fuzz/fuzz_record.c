/*
 * Records of a channel. An input whose first byte is even is what a peer without the key sends.
 * Else it is a script: the records are sealed here, then come whole, forged with the right key, or
 * with bits flipped on the way.
 */
#include "fuzz.h"

#include "channel/noise.h"
#include "channel/record.h"

enum { STEPS_MAX = 12, STREAM_MAX = 4 << 20, FIRST_ROOM = 1000 };

struct script {
	struct record_state sender;
	struct buf wire;
	struct buf sent[LANE_COUNT]; /* what was sealed for each lane */
	bool forged;                 /* the last record is one that must be refused */
	bool flipped;
};

static void state_init(struct record_state *state, uint8_t mode)
{
	memset(state, 0, sizeof(*state));
	memset(state->send_key, 0x5a, KEY_SIZE);
	memset(state->receive_key, 0x5a, KEY_SIZE);
	/* just before the key changes */
	state->sent = state->received = mode & 2 ? RECORD_REKEY - 2 : 0;
}

/* A record with any plain bytes, as only one who has the key can make it. */
static void forge(struct script *script, struct cursor *c)
{
	size_t n = cursor_u8(c) % 8;
	const uint8_t *plain = cursor_bytes(c, n);

	if (!plain)
		return;
	script->forged = n < 2 || plain[0] >= LANE_COUNT;
	if (!script->forged)
		buf_put(&script->sent[plain[0]], plain + 1, n - 1);
	buf_put_be16(&script->wire, (uint16_t)(n + NOISE_TAG_SIZE));
	noise_encrypt(script->sender.send_key, script->sender.sent++, NULL, 0, plain, n,
		      &script->wire);
	if (script->sender.sent % RECORD_REKEY == 0)
		noise_rekey(script->sender.send_key);
}

static void seal(struct script *script, enum lane lane, struct cursor *c)
{
	size_t n = cursor_be16(c) + cursor_u8(c) % 2 * 65536u;
	uint8_t *data = mem_new(n, 1);
	struct err err;

	memset(data, cursor_u8(c), n);
	assert(record_seal(&script->sender, lane, data, n, &script->wire, &err) == 0);
	buf_put(&script->sent[lane], data, n);
	free(data);
}

static void run_script(struct script *script, struct cursor *c)
{
	for (int i = 0; i < STEPS_MAX && c->left > 0 && !script->forged; i++) {
		uint8_t step = cursor_u8(c);

		if (step % 4 == 3 && script->wire.len > 0) {
			script->wire.data[cursor_be32(c) % script->wire.len] ^=
				(uint8_t)(1u << step / 4 % 8);
			script->flipped = true;
		} else if (step % 4 == 2) {
			forge(script, c);
		} else {
			seal(script, (enum lane)(step % 2), c);
		}
	}
}

/* Opens all there is; a lane that is full is tried again with room. The last result. */
static int receive(struct buf *wire, uint8_t mode, struct buf *lanes)
{
	struct record_state state;
	struct err err = {.code = ERR_NONE};
	enum lane lane;
	int rc;

	state_init(&state, mode);
	for (;;) {
		size_t before = wire->len, lengths[LANE_COUNT] = {lanes[0].len, lanes[1].len};
		uint64_t received = state.received;

		rc = record_open(&state, wire, &lane, lanes, &err);
		if (rc == 1) {
			assert(lane < LANE_COUNT && lanes[lane].len > lengths[lane] &&
			       wire->len < before);
			continue;
		}
		assert(wire->len == before && state.received == received);
		assert(lanes[0].len == lengths[0] && lanes[1].len == lengths[1]);
		if (rc == 0 || err.code != ERR_FULL)
			break;
		for (int i = 0; i < LANE_COUNT; i++) {
			assert(lanes[i].max < STREAM_MAX);
			lanes[i].max = STREAM_MAX;
		}
	}
	assert(rc == 0 || err.code == ERR_DENIED);
	return rc;
}

/* Whatever happens on the way, nothing comes out that was not sealed, and all of it when nothing
 * happened. */
static void check_script(struct cursor *c, uint8_t mode)
{
	struct script script = {.forged = false};
	struct buf lanes[LANE_COUNT];
	int rc;

	state_init(&script.sender, mode);
	buf_init(&script.wire, STREAM_MAX);
	for (int i = 0; i < LANE_COUNT; i++) {
		buf_init(&lanes[i], FIRST_ROOM);
		buf_init(&script.sent[i], STREAM_MAX);
	}
	run_script(&script, c);
	rc = receive(&script.wire, mode, lanes);
	for (int i = 0; i < LANE_COUNT; i++) {
		assert(lanes[i].len <= script.sent[i].len);
		assert(lanes[i].len == 0 ||
		       memcmp(lanes[i].data, script.sent[i].data, lanes[i].len) == 0);
		if (!script.flipped)
			assert(lanes[i].len == script.sent[i].len);
		buf_clear(&lanes[i]);
		buf_clear(&script.sent[i]);
	}
	if (!script.flipped)
		assert(rc == (script.forged ? -1 : 0));
	buf_clear(&script.wire);
}

/* No record of a stranger opens. */
static void check_stranger(const uint8_t *data, size_t size, uint8_t mode)
{
	struct buf wire, lanes[LANE_COUNT];

	buf_init(&wire, size + 1);
	buf_put(&wire, data, size);
	for (int i = 0; i < LANE_COUNT; i++)
		buf_init(&lanes[i], FIRST_ROOM);
	(void)receive(&wire, mode, lanes);
	for (int i = 0; i < LANE_COUNT; i++) {
		assert(lanes[i].len == 0);
		buf_clear(&lanes[i]);
	}
	buf_clear(&wire);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	crypto_setup();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_of(data, size);
	uint8_t mode = cursor_u8(&c);

	if (mode % 2)
		check_script(&c, mode);
	else
		check_stranger(c.at, c.left, mode);
	return 0;
}
