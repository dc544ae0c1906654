/* Releases as raw commits: see release.h. */
#include "repo/release.h"

#include "crypto/encode.h"
#include "crypto/sshsig.h"
#include "repo/line.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define COMMITTER_START "muster <admin@"
#define COMMITTER_HOST  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:[]-"
#define NO_MESSAGE      "(no message)"
#define CUT             "\n[cut]"
#define BLANKS          " \t\n"

enum {
	HOST_MAX = 255,     /* bytes of the committer's host: a DNS name */
	PERSON_MAX = 400,   /* bytes of a name or a mail address: two fit RELEASE_IDENT_MAX with the
			       rest */
	ZONE_MAX = 14 * 60, /* minutes: no zone of the world is further from UTC */
};

/* --- text --- */

static bool is_control(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

/* Where to cut TEXT so that at most MAX bytes stay and no UTF-8 character is torn. */
static size_t cut_at(const char *text, size_t len, size_t max)
{
	size_t n = max;

	if (len <= max)
		return len;
	while (n > max - 3 && (text[n] & 0xc0) == 0x80)
		n--;
	return n;
}

static size_t trimmed(const char *text, size_t n)
{
	while (n > 0 && strchr(BLANKS, text[n - 1]))
		n--;
	return n;
}

/* A copy without the control characters that a message may not hold. */
static char *printable(const char *message)
{
	char *out = mem_new(strlen(message) + 1, 1);
	size_t n = 0;

	for (const char *p = message; *p; p++)
		if (!is_control(*p) || *p == '\n' || *p == '\t')
			out[n++] = *p;
	return out;
}

static bool line_allowed(const char *line, size_t n)
{
	static const char shrink[] = "Muster-Allow-Shrink: yes";

	if (!text_starts(line, "Muster-") || text_starts(line, "Muster-Via: "))
		return true;
	return n == strlen(shrink) && memcmp(line, shrink, n) == 0;
}

/* The number of the first line that is not allowed, or 0. */
static unsigned forbidden_line(const char *text)
{
	unsigned number = 1;

	for (const char *line = text; *line; number++) {
		const char *end = strchrnul(line, '\n');

		if (!line_allowed(line, (size_t)(end - line)))
			return number;
		line = *end ? end + 1 : end;
	}
	return 0;
}

int release_message_check(const char *message, struct err *err)
{
	/*
	 * cleaning must not bring about a line that was not seen here: it drops control characters,
	 * and the last line may be trimmed or cut
	 */
	char *text = printable(message), *clean = release_message_clean(message);
	unsigned number = forbidden_line(text);

	if (number == 0)
		number = forbidden_line(clean);
	free(text);
	free(clean);
	if (number > 0)
		return err_set(err, ERR_REFUSED,
			       "message, line %u: begins with \"Muster-\", as only lines of a "
			       "release may",
			       number);
	return 0;
}

char *release_message_clean(const char *message)
{
	char *text = printable(message), *out;
	const char *start = text;
	size_t n;

	for (size_t blank; start[blank = strspn(start, " \t")] == '\n';)
		start += blank + 1;
	n = trimmed(start, strlen(start));
	if (n == 0)
		out = text_copy(NO_MESSAGE "\n");
	else if (n < RELEASE_MESSAGE_MAX)
		out = text_format("%.*s\n", (int)n, start);
	else
		out = text_format(
			"%.*s" CUT "\n",
			(int)trimmed(start, cut_at(start, n, RELEASE_MESSAGE_MAX - sizeof(CUT))),
			start);
	free(text);
	return out;
}

/* A name or a mail address without what would end it, within PERSON_MAX; a new string. */
static char *person_part(const char *text)
{
	char *out = mem_new(strlen(text) + 1, 1);
	size_t n = 0;

	for (const char *p = text; *p; p++)
		if (!is_control(*p) && *p != '<' && *p != '>' && (n > 0 || *p != ' '))
			out[n++] = *p;
	out[trimmed(out, cut_at(out, n, PERSON_MAX))] = '\0';
	return out;
}

char *release_ident(const char *name, const char *mail, int64_t seconds, int zone)
{
	char *who = person_part(name), *at = person_part(mail), *out;

	if (seconds < 0)
		seconds = 0;
	if (seconds > RELEASE_TIME_MAX)
		seconds = RELEASE_TIME_MAX;
	if (zone > ZONE_MAX || zone < -ZONE_MAX)
		zone = 0;
	out = text_format("%s <%s> %" PRId64 " %c%02d%02d", *who ? who : "unknown", at, seconds,
			  zone < 0 ? '-' : '+', abs(zone) / 60, abs(zone) % 60);
	free(who);
	free(at);
	return out;
}

char *release_committer(const char *host, int64_t seconds)
{
	char name[HOST_MAX + 1] = "";
	size_t n = 0;

	for (const char *p = host; *p && n < HOST_MAX; p++)
		if (strchr(COMMITTER_HOST, *p))
			name[n++] = *p;
	if (seconds < 0 || seconds > RELEASE_TIME_MAX)
		seconds = 0;
	return text_format(COMMITTER_START "%s> %" PRId64 " +0000", n ? name : "localhost",
			   seconds);
}

/* --- fields --- */

/* `SECONDS ZONE` as release_ident writes it, to the end of the string. */
static bool time_valid(const char *text)
{
	size_t n = strspn(text, "0123456789");
	const char *zone = text + n + 1;
	char seconds[16] = "";
	uint64_t value;
	int minutes;

	if (n == 0 || n >= sizeof(seconds) || text[n] != ' ')
		return false;
	memcpy(seconds, text, n);
	if (text_number(seconds, RELEASE_TIME_MAX, &value) != 0)
		return false;
	if (strlen(zone) != 5 || strspn(zone + 1, "0123456789") != 4 || zone[3] > '5')
		return false;
	minutes =
		(zone[1] - '0') * 600 + (zone[2] - '0') * 60 + (zone[3] - '0') * 10 + zone[4] - '0';
	return minutes <= ZONE_MAX && (zone[0] == '+' || (zone[0] == '-' && minutes > 0));
}

static bool part_valid(const char *part, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (is_control(part[i]) || part[i] == '<' || part[i] == '>')
			return false;
	return n <= PERSON_MAX && (n == 0 || (part[0] != ' ' && part[n - 1] != ' '));
}

static bool ident_valid(const char *ident)
{
	const char *mail = strstr(ident, " <"), *end = mail ? strchr(mail, '>') : NULL;

	if (!end || mail == ident || end[1] != ' ')
		return false;
	return part_valid(ident, (size_t)(mail - ident)) &&
	       part_valid(mail + 2, (size_t)(end - mail - 2)) && time_valid(end + 2);
}

bool release_committer_valid(const char *ident)
{
	const char *host = ident + strlen(COMMITTER_START);
	size_t n;

	if (!text_starts(ident, COMMITTER_START))
		return false;
	n = strspn(host, COMMITTER_HOST);
	return n > 0 && n <= HOST_MAX && text_starts(host + n, "> ") && time_valid(host + n + 2) &&
	       text_ends(ident, " +0000");
}

static bool message_valid(const char *message)
{
	char *clean = release_message_clean(message);
	bool same = strcmp(clean, message) == 0;

	free(clean);
	return same && release_message_check(message, NULL) == 0;
}

static bool keys_valid(const struct release *release)
{
	if (release->key_count == 0 || release->key_count > LIMIT_RELEASE_KEYS)
		return false;
	for (size_t i = 0; i < release->key_count; i++)
		for (size_t j = 0; j < i; j++)
			if (memcmp(release->keys[i], release->keys[j], KEY_SIZE) == 0)
				return false;
	return true;
}

/* What is wrong with the fields, or NULL. */
static const char *release_problem(const struct release *release)
{
	if (!ident_valid(release->author))
		return "its author is malformed";
	if (!release_committer_valid(release->committer))
		return "its committer is not \"muster <admin@HOST> SECONDS +0000\"";
	if (!message_valid(release->message))
		return "its message is not one that a release may have";
	if (!name_valid(release->role))
		return "its role is no name";
	if (release->sequence == 0 || release->has_parent != (release->sequence > 1))
		return "its sequence number does not fit its parent";
	if (!keys_valid(release))
		return "it names no keys, too many, or one twice";
	if (release->removed && !release->has_parent)
		return "it is the first one and says that its role is removed";
	return NULL;
}

/* --- writing --- */

static void put_headers(const struct release *release, struct buf *out)
{
	char hex[OID_HEX_SIZE];

	buf_printf(out, "tree %s\n", oid_hex(&release->tree, hex));
	if (release->has_parent)
		buf_printf(out, "parent %s\n", oid_hex(&release->parent, hex));
	buf_printf(out, "author %s\ncommitter %s\n", release->author, release->committer);
}

static void put_body(const struct release *release, struct buf *out)
{
	char hex[OID_HEX_SIZE], digest[DIGEST_HEX_SIZE];

	buf_printf(out, "\n%s\nMuster-Cluster: ", release->message);
	encode_hex(out, release->cluster_id, CLUSTER_ID_SIZE);
	buf_printf(out, "\nMuster-Role: %s\nMuster-Sequence: %" PRIu64 "\nMuster-Source: %s\n",
		   release->role, release->sequence, oid_hex(&release->source, hex));
	buf_printf(out, "Muster-Digest: blake2b-256:%s\nMuster-Keys:",
		   digest_hex(release->digest, digest));
	for (size_t i = 0; i < release->key_count; i++) {
		buf_puts(out, " ");
		encode_base64(out, release->keys[i], KEY_SIZE);
	}
	buf_puts(out, release->removed ? "\nMuster-Role-State: removed\n" : "\n");
}

/* The header gpgsig: each line but the first begins with a blank. */
static void put_signature(const struct buf *armour, struct buf *out)
{
	struct cursor c = cursor_of(armour->data, armour->len);
	const char *line, *start = "gpgsig";
	size_t n;

	while (!cursor_done(&c)) {
		line = cursor_line(&c, &n);
		assert(line); /* an armour ends in a newline */
		buf_printf(out, "%s ", start);
		buf_put(out, line, n);
		buf_puts(out, "\n");
		start = "";
	}
}

int release_sign(const struct release *release, const uint8_t seed[static KEY_SIZE],
		 struct buf *raw, struct err *err)
{
	struct buf payload, armour;

	assert(!release_problem(release));
	buf_init(&payload, LIMIT_COMMIT_SIZE);
	buf_init(&armour, SSHSIG_ARMOUR_MAX);
	put_headers(release, &payload);
	put_body(release, &payload);
	assert(!payload.failed); /* the limits of the fields see to it */
	sshsig_sign(seed, SSHSIG_NAMESPACE, payload.data, payload.len, &armour);
	assert(!armour.failed);
	put_headers(release, raw);
	put_signature(&armour, raw);
	put_body(release, raw);
	buf_clear(&payload);
	buf_clear(&armour);
	if (raw->failed)
		return err_set(err, ERR_REFUSED, "release does not fit %zu bytes", raw->max);
	return 0;
}

/* --- reading --- */

static int line_ident(struct cursor *c, const char *key, char **out, struct err *err)
{
	char ident[RELEASE_IDENT_MAX + 1];

	if (line_text(c, key, " ", ident, sizeof(ident), err) != 0)
		return -1;
	*out = text_copy(ident);
	return 0;
}

/* Whether the next line begins with TEXT. */
static bool at_text(const struct cursor *c, const char *text)
{
	size_t n = strlen(text);

	return c->left >= n && memcmp(c->at, text, n) == 0;
}

/* The lines of the header gpgsig as an armour, and the blank line that ends the headers. */
static int parse_signature(struct cursor *c, struct buf *armour, struct err *err)
{
	const char *line;
	size_t n;

	if (at_text(c, "\n"))
		return err_set(err, ERR_REFUSED, "is not signed");
	if (line_value(c, "gpgsig", " ", &line, &n, err) != 0)
		return -1;
	for (;;) {
		buf_put(armour, line, n);
		buf_puts(armour, "\n");
		if (!at_text(c, " "))
			break;
		line = cursor_line(c, &n);
		if (!line)
			return err_set(err, ERR_CORRUPT, "ends within its signature");
		line++;
		n--;
	}
	if (armour->failed)
		return err_set(err, ERR_CORRUPT, "has a signature that is too long");
	line = cursor_line(c, &n);
	if (!line || n != 0)
		return err_set(err, ERR_CORRUPT, "has \"%.*s\" after its signature",
			       (int)(n < 40 ? n : 40), line ? line : "");
	return 0;
}

static int parse_headers(struct cursor *c, struct release *out, struct buf *armour, struct err *err)
{
	if (line_oid(c, "tree", " ", &out->tree, err) != 0)
		return -1;
	out->has_parent = at_text(c, "parent ");
	if (out->has_parent && line_oid(c, "parent", " ", &out->parent, err) != 0)
		return -1;
	if (line_ident(c, "author", &out->author, err) != 0 ||
	    line_ident(c, "committer", &out->committer, err) != 0)
		return -1;
	return parse_signature(c, armour, err);
}

/* The message is all before the last blank line. */
static int parse_message(struct cursor *c, struct release *out, struct err *err)
{
	const char *body = (const char *)c->at;
	size_t n = c->left;

	while (n >= 2 && (body[n - 1] != '\n' || body[n - 2] != '\n'))
		n--;
	if (n < 2)
		return err_set(err, ERR_CORRUPT, "has no trailers");
	out->message = text_copy_n(body, n - 1);
	(void)cursor_bytes(c, n); /* in range: it was found there */
	return 0;
}

static int parse_keys(struct cursor *c, struct release *out, struct err *err)
{
	const char *value, *end;
	size_t n;

	if (line_value(c, "Muster-Keys", ": ", &value, &n, err) != 0)
		return -1;
	for (end = value + n; value <= end; out->key_count++) {
		const char *blank = memchr(value, ' ', (size_t)(end - value));
		const char *stop = blank ? blank : end;
		struct buf key;
		int rc;

		if (out->key_count == LIMIT_RELEASE_KEYS)
			return err_set(err, ERR_CORRUPT, "names more than %u keys",
				       LIMIT_RELEASE_KEYS);
		buf_init(&key, KEY_SIZE);
		rc = decode_base64(value, (size_t)(stop - value), &key);
		if (rc == 0 && key.len == KEY_SIZE)
			memcpy(out->keys[out->key_count], key.data, KEY_SIZE);
		else
			rc = err_set(err, ERR_CORRUPT, "Muster-Keys is malformed");
		buf_clear(&key);
		if (rc != 0)
			return -1;
		value = stop + 1;
	}
	return 0;
}

static int parse_trailers(struct cursor *c, struct release *out, struct err *err)
{
	char text[32];

	if (line_hex(c, "Muster-Cluster", ": ", out->cluster_id, CLUSTER_ID_SIZE, err) != 0 ||
	    line_text(c, "Muster-Role", ": ", out->role, sizeof(out->role), err) != 0 ||
	    line_text(c, "Muster-Sequence", ": ", text, sizeof(text), err) != 0)
		return -1;
	if (text_number(text, UINT64_MAX, &out->sequence) != 0)
		return err_set(err, ERR_CORRUPT, "Muster-Sequence is no number");
	if (line_oid(c, "Muster-Source", ": ", &out->source, err) != 0 ||
	    line_hex(c, "Muster-Digest", ": blake2b-256:", out->digest, DIGEST_SIZE, err) != 0 ||
	    parse_keys(c, out, err) != 0)
		return -1;
	if (!cursor_done(c)) {
		if (line_text(c, "Muster-Role-State", ": ", text, sizeof(text), err) != 0)
			return -1;
		if (strcmp(text, "removed") != 0)
			return err_set(err, ERR_CORRUPT, "Muster-Role-State is not \"removed\"");
		out->removed = true;
	}
	if (!cursor_done(c))
		return err_set(err, ERR_CORRUPT, "has more after its trailers");
	return 0;
}

static int parse_fields(const void *raw, size_t n, struct release *out, struct buf *armour,
			struct err *err)
{
	struct cursor c = cursor_of(raw, n);
	const char *problem;

	if (n > LIMIT_COMMIT_SIZE)
		return err_set(err, ERR_CORRUPT, "is larger than %u bytes", LIMIT_COMMIT_SIZE);
	if (n > 0 && memchr(raw, '\0', n))
		return err_set(err, ERR_CORRUPT, "holds a NUL");
	if (parse_headers(&c, out, armour, err) != 0 || parse_message(&c, out, err) != 0 ||
	    parse_trailers(&c, out, err) != 0)
		return -1;
	problem = release_problem(out);
	return problem ? err_set(err, ERR_CORRUPT, "%s", problem) : 0;
}

/* Writes it again: the same bytes, and the signature over what is signed. */
static int check_form(const void *raw, size_t n, struct release *release, const struct buf *armour,
		      struct err *err)
{
	struct buf text;
	int rc = 0;

	buf_init(&text, LIMIT_COMMIT_SIZE);
	put_headers(release, &text);
	put_signature(armour, &text);
	put_body(release, &text);
	if (text.len != n || memcmp(text.data, raw, n) != 0)
		rc = err_set(err, ERR_CORRUPT, "is not in the one form that Muster writes");
	buf_reset(&text);
	put_headers(release, &text);
	put_body(release, &text);
	if (rc == 0)
		rc = sshsig_verify(buf_text(armour), armour->len, SSHSIG_NAMESPACE, text.data,
				   text.len, release->signer, err);
	buf_clear(&text);
	return rc;
}

int release_parse(const void *raw, size_t n, struct release *out, struct err *err)
{
	struct release release = {0};
	struct buf armour;
	int rc;

	buf_init(&armour, SSHSIG_ARMOUR_MAX);
	rc = parse_fields(raw, n, &release, &armour, err);
	if (rc == 0)
		rc = check_form(raw, n, &release, &armour, err);
	buf_clear(&armour);
	if (rc == 0)
		*out = release;
	else
		release_clear(&release);
	return rc;
}

void release_clear(struct release *release)
{
	free(release->author);
	free(release->committer);
	free(release->message);
	*release = (struct release){0};
}
