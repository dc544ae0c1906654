/*
 * The serving side of a fetch, asked for wants and haves: the first byte chooses whether there is a
 * ref, the rest is what the client says. The history has three releases: ids of forty times the
 * digit 1, 2 or 3, the last one the tip.
 */
#include "fuzz.h"

#include "channel/pktline.h"
#include "channel/uploadpack.h"
#include "core/limits.h"

enum { HISTORY = 3, PACK_SIZE = 70000, OUT_MAX = 16 << 20 };

static uint8_t pack[PACK_SIZE];

static uint64_t position(void *arg, const struct oid *oid)
{
	(void)arg;
	for (uint8_t i = 1; i <= HISTORY; i++) {
		struct oid known;

		memset(known.id, i * 0x11, OID_SIZE);
		if (oid_equal(oid, &known))
			return i;
	}
	return 0;
}

struct talk {
	struct buf out;
	enum uploadpack_state state; /* before the pack was sent */
	struct oid common;
	int rc;
};

/* One conversation, fed in pieces of PIECE bytes up to the first refusal. */
static void converse(const uint8_t *data, size_t size, size_t piece, bool has_ref,
		     struct talk *talk)
{
	struct uploadpack *up;
	struct err err = {.code = ERR_NONE};
	struct oid tip;

	*talk = (struct talk){.rc = 0};
	buf_init(&talk->out, OUT_MAX);
	memset(tip.id, HISTORY * 0x11, OID_SIZE);
	up = uploadpack_new("refs/heads/internal", has_ref ? &tip : NULL, position, NULL,
			    &talk->out);
	for (size_t at = 0; at < size && talk->rc == 0; at += piece)
		talk->rc = uploadpack_feed(up, data + at, size - at < piece ? size - at : piece,
					   &talk->out, &err);
	talk->state = uploadpack_state(up);
	if (talk->rc != 0)
		assert(talk->state == UPLOADPACK_DONE &&
		       (err.code == ERR_REFUSED || err.code == ERR_CORRUPT));
	if (talk->state == UPLOADPACK_PACK) {
		const struct oid *common = uploadpack_common(up);

		assert(has_ref && oid_equal(uploadpack_tip(up), &tip));
		assert(!common || position(NULL, common) > 0);
		if (common)
			talk->common = *common;
		uploadpack_give(up, pack, sizeof(pack));
		while (uploadpack_state(up) == UPLOADPACK_SENDING)
			uploadpack_send(up, &talk->out);
	}
	uploadpack_free(up);
	assert(!talk->out.failed);
}

/* All that is answered is whole pkt-lines; the side band holds the pack. */
static void check_answers(const struct talk *talk)
{
	struct cursor c = cursor_of(talk->out.data, talk->out.len);
	size_t sent = 0;

	while (!cursor_done(&c)) {
		const uint8_t *line;
		size_t n;
		struct err err;
		enum pktline_kind kind = pktline_next(&c, &line, &n, &err);

		assert(kind == PKTLINE_DATA || kind == PKTLINE_FLUSH);
		if (kind == PKTLINE_DATA && n > 0 && line[0] == 1)
			sent += n - 1;
	}
	assert(sent == (talk->state == UPLOADPACK_PACK ? sizeof(pack) : 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct talk whole, pieces;
	bool has_ref = size == 0 || data[0] % 2 == 0;

	if (size == 0 || size > LIMIT_WANT_REQUEST)
		return 0;
	converse(data + 1, size - 1, size, has_ref, &whole);
	converse(data + 1, size - 1, data[0] / 2 % 7 + 1, has_ref, &pieces);
	check_answers(&whole);
	assert(whole.rc == pieces.rc && whole.state == pieces.state);
	assert(oid_equal(&whole.common, &pieces.common));
	assert(fuzz_same(&whole.out, pieces.out.data, pieces.out.len));
	buf_clear(&whole.out);
	buf_clear(&pieces.out);
	return 0;
}
