/* The serving side of a git fetch: see uploadpack.h. */
#include "channel/uploadpack.h"

#include "channel/pktline.h"
#include "core/limits.h"
#include "core/text.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* No thin-pack, no shallow, no filter: less to ask for is less to get wrong. */
#define CAPABILITIES                                                                               \
	"multi_ack_detailed side-band-64k ofs-delta no-progress agent=muster/" PACKAGE_VERSION

enum {
	BAND_DATA = 1,
	BAND_MAX = PKTLINE_DATA_MAX - 1, /* pack bytes in one side-band line */
	LINE_MAX = 1000,		 /* bytes of a client's line: an id and capabilities */
};

struct uploadpack {
	enum uploadpack_state state;
	char *ref;
	bool has_tip;
	struct oid tip;
	uploadpack_position_fn *position;
	void *arg;
	struct buf in;
	bool wanted;
	size_t haves; /* and flushes: each costs an answer */
	struct oid common;
	uint64_t common_position; /* 0: nothing in common yet */
	const uint8_t *pack;
	size_t size;
	size_t sent;
};

struct uploadpack *uploadpack_new(const char *ref, const struct oid *tip,
				  uploadpack_position_fn *position, void *arg, struct buf *out)
{
	struct uploadpack *up = mem_new(1, sizeof(*up));
	char hex[OID_HEX_SIZE];

	*up = (struct uploadpack){.ref = text_copy(ref), .position = position, .arg = arg};
	buf_init(&up->in, LIMIT_WANT_REQUEST);
	if (tip) {
		up->has_tip = true;
		up->tip = *tip;
	}
	pktline_printf(out, "%s %s%c%s\n", oid_hex(&up->tip, hex), tip ? ref : "capabilities^{}", 0,
		       CAPABILITIES);
	pktline_flush(out);
	return up;
}

void uploadpack_free(struct uploadpack *up)
{
	if (!up)
		return;
	buf_clear(&up->in);
	free(up->ref);
	free(up);
}

enum uploadpack_state uploadpack_state(const struct uploadpack *up)
{
	return up->state;
}

const struct oid *uploadpack_tip(const struct uploadpack *up)
{
	return &up->tip;
}

const struct oid *uploadpack_common(const struct uploadpack *up)
{
	return up->common_position ? &up->common : NULL;
}

/* Ends the conversation: tells the client, and the caller. */
static int fail(struct uploadpack *up, struct buf *out, enum err_code code, const char *text,
		struct err *err)
{
	up->state = UPLOADPACK_DONE;
	buf_clear(&up->in);
	pktline_printf(out, "ERR %s\n", text);
	return err_set(err, code, "%s", text);
}

/*
 * A line without its newline as "WORD oid[ rest]"; NULL when it is not that word, and OID unset
 * when malformed.
 */
static bool parse_word(const char *line, size_t n, const char *word, struct oid *oid,
		       bool *well_formed)
{
	size_t w = strlen(word);
	char hex[OID_HEX_SIZE];

	*well_formed = false;
	if (n < w + 1 || memcmp(line, word, w) != 0 || line[w] != ' ')
		return false;
	if (n >= w + 1 + OID_HEX) {
		memcpy(hex, line + w + 1, OID_HEX);
		hex[OID_HEX] = '\0';
		*well_formed = oid_parse(hex, oid) == 0 &&
			       (n == w + 1 + OID_HEX || line[w + 1 + OID_HEX] == ' ');
	}
	return true;
}

static int take_want(struct uploadpack *up, const char *line, size_t n, struct buf *out,
		     struct err *err)
{
	struct oid oid;
	bool well_formed;

	if (!parse_word(line, n, "want", &oid, &well_formed) || !well_formed)
		return fail(up, out, ERR_CORRUPT, "upload-pack: expected a want", err);
	if (!up->has_tip || !oid_equal(&oid, &up->tip))
		return fail(up, out, ERR_REFUSED, "upload-pack: not our ref", err);
	up->wanted = true;
	return 0;
}

static int take_have(struct uploadpack *up, const char *line, size_t n, struct buf *out,
		     struct err *err)
{
	struct oid oid;
	bool well_formed;
	uint64_t position;
	char hex[OID_HEX_SIZE];

	if (n == 4 && memcmp(line, "done", 4) == 0) {
		if (up->common_position)
			pktline_printf(out, "ACK %s\n", oid_hex(&up->common, hex));
		else
			pktline_printf(out, "NAK\n");
		up->state = UPLOADPACK_PACK;
		return 0;
	}
	if (!parse_word(line, n, "have", &oid, &well_formed) || !well_formed)
		return fail(up, out, ERR_CORRUPT, "upload-pack: expected a have", err);
	if (++up->haves > LIMIT_HAVES)
		return fail(up, out, ERR_CORRUPT, "upload-pack: too many haves", err);
	position = up->position(up->arg, &oid);
	if (!position)
		return 0;
	/* a role's history is one line, so one commit in common settles it */
	pktline_printf(out, "ACK %s common\n", oid_hex(&oid, hex));
	if (position > up->common_position) {
		up->common_position = position;
		up->common = oid;
	}
	return 0;
}

static int take_flush(struct uploadpack *up, struct buf *out, struct err *err)
{
	char hex[OID_HEX_SIZE];

	if (up->state == UPLOADPACK_WANTS) {
		/* a flush without a want: the client has seen what there is and leaves */
		up->state = up->wanted ? UPLOADPACK_HAVES : UPLOADPACK_DONE;
		return 0;
	}
	if (++up->haves > LIMIT_HAVES)
		return fail(up, out, ERR_CORRUPT, "upload-pack: too many haves", err);
	if (up->common_position)
		pktline_printf(out, "ACK %s ready\n", oid_hex(&up->common, hex));
	pktline_printf(out, "NAK\n");
	return 0;
}

static int take_line(struct uploadpack *up, const uint8_t *data, size_t n, struct buf *out,
		     struct err *err)
{
	const char *line = (const char *)data;

	if (n > LINE_MAX)
		return fail(up, out, ERR_CORRUPT, "upload-pack: a line is too long", err);
	if (n > 0 && line[n - 1] == '\n')
		n--;
	return up->state == UPLOADPACK_WANTS ? take_want(up, line, n, out, err)
					     : take_have(up, line, n, out, err);
}

/* All whole lines at C. */
static int take_lines(struct uploadpack *up, struct cursor *c, struct buf *out, struct err *err)
{
	int rc = 0;

	while (rc == 0 && (up->state == UPLOADPACK_WANTS || up->state == UPLOADPACK_HAVES)) {
		const uint8_t *line;
		size_t size;
		enum pktline_kind kind = pktline_next(c, &line, &size, err);

		if (kind == PKTLINE_MORE)
			break;
		if (kind == PKTLINE_BAD)
			rc = fail(up, out, ERR_CORRUPT, "upload-pack: not a pkt-line", err);
		else if (kind == PKTLINE_FLUSH)
			rc = take_flush(up, out, err);
		else
			rc = take_line(up, line, size, out, err);
	}
	return rc;
}

int uploadpack_feed(struct uploadpack *up, const void *data, size_t n, struct buf *out,
		    struct err *err)
{
	struct cursor c;

	if (up->state == UPLOADPACK_DONE)
		return 0; /* a flush as goodbye */
	if (up->state == UPLOADPACK_PACK || up->state == UPLOADPACK_SENDING)
		return n ? fail(up, out, ERR_CORRUPT, "upload-pack: more after done", err) : 0;
	buf_put(&up->in, data, n);
	if (up->in.failed)
		return fail(up, out, ERR_CORRUPT, "upload-pack: request too large", err);
	c = cursor_of(up->in.data, up->in.len);
	if (take_lines(up, &c, out, err) != 0)
		return -1;
	if (c.left && up->state == UPLOADPACK_PACK)
		return fail(up, out, ERR_CORRUPT, "upload-pack: more after done", err);
	if (out->failed)
		return fail(up, out, ERR_CORRUPT, "upload-pack: too many answers at once", err);
	if (up->state == UPLOADPACK_DONE)
		c.left = 0;
	buf_consume(&up->in, up->in.len - c.left);
	if (up->in.len == 0)
		buf_clear(&up->in);
	return 0;
}

void uploadpack_give(struct uploadpack *up, const uint8_t *pack, size_t size)
{
	assert(up->state == UPLOADPACK_PACK);
	up->pack = pack;
	up->size = size;
	up->state = UPLOADPACK_SENDING;
}

void uploadpack_send(struct uploadpack *up, struct buf *out)
{
	size_t n = up->size - up->sent;
	uint8_t head[5];

	assert(up->state == UPLOADPACK_SENDING);
	if (n > BAND_MAX)
		n = BAND_MAX;
	if (n > 0) {
		static const char digits[] = "0123456789abcdef";
		size_t length = n + sizeof(head);

		for (int i = 0; i < 4; i++)
			head[i] = (uint8_t)digits[length >> (4 * (3 - i)) & 15];
		head[4] = BAND_DATA;
		buf_put(out, head, sizeof(head));
		buf_put(out, up->pack + up->sent, n);
		up->sent += n;
	}
	if (up->sent == up->size) {
		pktline_flush(out);
		up->state = UPLOADPACK_DONE;
	}
}
