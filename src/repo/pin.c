/* Pins: see pin.h. */
#include "repo/pin.h"

#include "crypto/encode.h"
#include "crypto/sshsig.h"
#include "repo/line.h"
#include "repo/object.h"
#include "repo/release.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ARMOUR_START "-----BEGIN SSH SIGNATURE-----\n"

void pin_reason(const char *text, char out[static PIN_REASON_MAX + 1])
{
	size_t n;

	/* a blank at an end would be lost on people */
	text += strspn(text, " ");
	n = strlen(text);
	if (n > PIN_REASON_MAX)
		n = PIN_REASON_MAX;
	while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
		n--; /* not within a character of UTF-8 */
	memcpy(out, text, n);
	out[n] = '\0';
	text_escape_in_place(out);
	while (n > 0 && out[n - 1] == ' ')
		out[--n] = '\0';
	if (n == 0)
		memcpy(out, "-", 2);
}

static const char *pin_problem(const struct pin *pin)
{
	char reason[PIN_REASON_MAX + 1];

	if (!name_valid(pin->node))
		return "its node is no name";
	if (pin->sequence == 0)
		return "its sequence is 0";
	if (!release_committer_valid(pin->tagger))
		return "its tagger is not \"muster <admin@HOST> SECONDS +0000\"";
	pin_reason(pin->reason, reason);
	return strcmp(reason, pin->reason) == 0 ? NULL : "its reason is malformed";
}

static void put_payload(const struct pin *pin, struct buf *out)
{
	char hex[OID_HEX_SIZE];

	buf_printf(out, "object %s\ntype commit\ntag %s\ntagger %s\n\n%s %s\n\nMuster-Cluster: ",
		   oid_hex(&pin->release, hex), pin->node, pin->tagger,
		   pin->hold ? "hold" : "follow", pin->node);
	encode_hex(out, pin->cluster_id, CLUSTER_ID_SIZE);
	buf_printf(out,
		   "\nMuster-Node: %s\nMuster-Action: %s\nMuster-Pin-Sequence: %" PRIu64
		   "\nMuster-Reason: %s\n",
		   pin->node, pin->hold ? "hold" : "follow", pin->sequence, pin->reason);
}

void pin_sign(const struct pin *pin, const uint8_t seed[static KEY_SIZE], struct buf *raw)
{
	struct buf payload, armour;

	assert(!pin_problem(pin));
	buf_init(&payload, PIN_RAW_MAX);
	buf_init(&armour, SSHSIG_ARMOUR_MAX);
	put_payload(pin, &payload);
	assert(!payload.failed); /* the limits of the fields see to it */
	sshsig_sign(seed, SSHSIG_NAMESPACE, payload.data, payload.len, &armour);
	buf_put(raw, payload.data, payload.len);
	buf_put(raw, armour.data, armour.len);
	buf_clear(&payload);
	buf_clear(&armour);
}

static int take_fixed(struct cursor *c, const char *text, struct err *err)
{
	const char *line;
	size_t n;

	line = cursor_line(c, &n);
	if (!line || n != strlen(text) || memcmp(line, text, n) != 0)
		return err_set(err, ERR_CORRUPT, "has no line \"%s\" in its place", text);
	return 0;
}

static int parse_action(struct cursor *c, struct pin *pin, struct err *err)
{
	char text[32];

	if (line_text(c, "Muster-Action", ": ", text, sizeof(text), err) != 0)
		return -1;
	pin->hold = strcmp(text, "hold") == 0;
	if (!pin->hold && strcmp(text, "follow") != 0)
		return err_set(err, ERR_CORRUPT, "Muster-Action is neither hold nor follow");
	if (line_text(c, "Muster-Pin-Sequence", ": ", text, sizeof(text), err) != 0)
		return -1;
	if (text_number(text, UINT64_MAX, &pin->sequence) != 0)
		return err_set(err, ERR_CORRUPT, "Muster-Pin-Sequence is no number");
	return 0;
}

/* Field by field; what else could differ from the one form is seen by writing it again. */
static int parse_fields(struct cursor *c, struct pin *pin, struct err *err)
{
	char tag[NAME_MAX_LEN + 1];
	const char *value, *problem;
	size_t n;

	if (line_oid(c, "object", " ", &pin->release, err) != 0 ||
	    take_fixed(c, "type commit", err) != 0 ||
	    line_text(c, "tag", " ", tag, sizeof(tag), err) != 0 ||
	    line_text(c, "tagger", " ", pin->tagger, sizeof(pin->tagger), err) != 0 ||
	    take_fixed(c, "", err) != 0)
		return -1;
	if (!cursor_line(c, &n) || take_fixed(c, "", err) != 0)
		return err_set(err, ERR_CORRUPT, "has no message of one line");
	if (line_hex(c, "Muster-Cluster", ": ", pin->cluster_id, CLUSTER_ID_SIZE, err) != 0 ||
	    line_text(c, "Muster-Node", ": ", pin->node, sizeof(pin->node), err) != 0 ||
	    parse_action(c, pin, err) != 0 ||
	    line_value(c, "Muster-Reason", ": ", &value, &n, err) != 0)
		return -1;
	if (n > PIN_REASON_MAX)
		return err_set(err, ERR_CORRUPT, "Muster-Reason is longer than %d bytes",
			       PIN_REASON_MAX);
	memcpy(pin->reason, value, n);
	pin->reason[n] = '\0';
	problem = pin_problem(pin);
	return problem ? err_set(err, ERR_CORRUPT, "%s", problem) : 0;
}

int pin_parse(const void *raw, size_t n, struct pin *out, struct err *err)
{
	struct pin pin = {.sequence = 0};
	struct cursor c = cursor_of(raw, n);
	struct buf payload;
	int rc;

	if (n > PIN_RAW_MAX || (n > 0 && memchr(raw, '\0', n)))
		return err_set(err, ERR_CORRUPT, "pin: is larger than %d bytes or holds a NUL",
			       PIN_RAW_MAX);
	if (parse_fields(&c, &pin, err) != 0)
		return err_prefix(err, "pin");
	buf_init(&payload, PIN_RAW_MAX);
	put_payload(&pin, &payload);
	if (payload.len != n - c.left || memcmp(payload.data, raw, payload.len) != 0)
		rc = err_set(err, ERR_CORRUPT, "is not in the one form that Muster writes");
	else if (c.left < strlen(ARMOUR_START) ||
		 memcmp(c.at, ARMOUR_START, strlen(ARMOUR_START)) != 0)
		rc = err_set(err, ERR_REFUSED, "is not signed");
	else
		rc = sshsig_verify((const char *)c.at, c.left, SSHSIG_NAMESPACE, payload.data,
				   payload.len, pin.signer, err);
	buf_clear(&payload);
	if (rc != 0)
		return err_prefix(err, "pin");
	*out = pin;
	return 0;
}

/* --- in a repository --- */

int pin_load(struct repo *repo, const char *node, struct buf *raw, struct err *err)
{
	char *ref = text_format("refs/pins/%s", node);
	git_odb_object *object;
	struct oid oid;
	int rc = repo_ref_get(repo, ref, &oid, err);

	free(ref);
	if (rc != 0)
		return rc;
	if (object_read(repo, &oid, GIT_OBJECT_TAG, &object, err) != 0)
		return -1;
	buf_put(raw, git_odb_object_data(object), git_odb_object_size(object));
	git_odb_object_free(object);
	return raw->failed ? err_set(err, ERR_CORRUPT, "pin of %s: larger than a pin can be", node)
			   : 0;
}

int pin_store(struct repo *repo, const char *node, const struct buf *raw, struct err *err)
{
	char *ref = text_format("refs/pins/%s", node);
	struct oid old, new;
	struct err why = {.code = ERR_NONE};
	bool has = repo_ref_get(repo, ref, &old, &why) == 0;
	int rc = has || why.code == ERR_GONE ? 0 : err_set(err, why.code, "%s", why.text);

	if (rc == 0)
		rc = object_write(repo, GIT_OBJECT_TAG, raw->data, raw->len, &new, err);
	if (rc == 0 && !(has && oid_equal(&old, &new)))
		rc = repo_ref_set(repo, ref, has ? &old : NULL, &new, err);
	free(ref);
	return rc;
}

int pin_remove(struct repo *repo, const char *node, struct err *err)
{
	char *ref = text_format("refs/pins/%s", node);
	struct err why = {.code = ERR_NONE};
	int rc = repo_ref_remove(repo, ref, &why);

	free(ref);
	return rc == 0 || why.code == ERR_GONE ? 0 : err_set(err, why.code, "%s", why.text);
}
