/* Git bundles: see bundle.h. */
#include "repo/bundle.h"

#include "core/limits.h"
#include "core/text.h"
#include "repo/object.h"
#include "repo/pack.h"

#include <errno.h>
#include <git2/odb_backend.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_LINE "# v2 git bundle"
#define FIRST_WORDS "# v"

int bundle_write(struct repo *repo, const char *ref, struct buf *out, struct err *err)
{
	size_t before = out->len;
	char hex[OID_HEX_SIZE];
	struct oid tip;
	int rc = repo_ref_get(repo, ref, &tip, err);

	if (rc != 0)
		return rc;
	buf_printf(out, FIRST_LINE "\n%s %s\n\n", oid_hex(&tip, hex), ref);
	if (out->failed)
		rc = err_set(err, ERR_FULL, "bundle is larger than %zu bytes", out->max);
	else
		rc = pack_build(repo, &tip, NULL, out, err);
	if (rc != 0) {
		out->failed = false;
		out->len = before;
		if (out->data)
			out->data[before] = '\0';
	}
	return rc;
}

/* --- reading --- */

/* `OID NAME` */
static int parse_ref(const char *line, size_t n, struct oid *oid,
		     char name[static BUNDLE_REF_MAX + 1], struct err *err)
{
	char hex[OID_HEX_SIZE];
	int valid = 0;
	size_t len = n - OID_HEX - 1;

	if (n < OID_HEX + 2 || line[OID_HEX] != ' ')
		return err_set(err, ERR_CORRUPT, "bundle: not a ref in its head");
	memcpy(hex, line, OID_HEX);
	hex[OID_HEX] = '\0';
	if (oid_parse(hex, oid) != 0 || oid_is_zero(oid))
		return err_set(err, ERR_CORRUPT, "bundle: not an id in its head");
	if (len > BUNDLE_REF_MAX || memchr(line + OID_HEX + 1, '\0', len))
		return err_set(err, ERR_CORRUPT, "bundle: not the name of a ref in its head");
	memcpy(name, line + OID_HEX + 1, len);
	name[len] = '\0';
	if (git_reference_name_is_valid(&valid, name) != 0 || !valid)
		return err_set(err, ERR_CORRUPT, "bundle: not the name of a ref in its head");
	return 0;
}

static int check_first_line(const char *line, size_t n, struct err *err)
{
	if (n == strlen(FIRST_LINE) && memcmp(line, FIRST_LINE, n) == 0)
		return 0;
	if (n > strlen(FIRST_WORDS) && memcmp(line, FIRST_WORDS, strlen(FIRST_WORDS)) == 0)
		return err_set(err, ERR_REFUSED, "bundle: only version 2 is read");
	return err_set(err, ERR_CORRUPT, "is no git bundle");
}

/* One line after the first; *FOUND when it is REF. */
static int take_line(const char *line, size_t n, const char *ref, bool *found, struct oid *tip,
		     struct err *err)
{
	char name[BUNDLE_REF_MAX + 1];
	struct oid oid;

	if (line[0] == '-')
		return err_set(err, ERR_REFUSED,
			       "bundle: it needs other commits: make one of all history");
	if (line[0] == '@')
		return err_set(err, ERR_REFUSED, "bundle: it needs what Muster does not know");
	if (parse_ref(line, n, &oid, name, err) != 0)
		return -1;
	if (strcmp(name, ref) != 0)
		return 0;
	if (*found)
		return err_set(err, ERR_REFUSED, "bundle: %s is there twice", ref);
	*found = true;
	*tip = oid;
	return 0;
}

int bundle_head(const void *data, size_t n, const char *ref, size_t *pack, struct oid *tip,
		struct err *err)
{
	struct cursor c = cursor_of(data, n);
	struct oid oid = {{0}};
	bool found = false;
	const char *line;
	size_t len;

	line = cursor_line(&c, &len);
	if (!line && n > strlen(FIRST_LINE))
		return check_first_line(data, n, err); /* longer than the one that is right */
	if (line && check_first_line(line, len, err) != 0)
		return -1;
	while (line && (line = cursor_line(&c, &len)) && len > 0)
		if (take_line(line, len, ref, &found, &oid, err) != 0)
			return -1;
	if (!line && n >= BUNDLE_HEAD_MAX)
		return err_set(err, ERR_REFUSED, "bundle: more than %u bytes before the pack",
			       BUNDLE_HEAD_MAX);
	if (!line)
		return err_set(err, ERR_RETRY, "bundle: its head is cut off");
	if (!found)
		return err_set(err, ERR_GONE, "bundle: holds no %s", ref);
	*pack = n - c.left;
	*tip = oid;
	return 0;
}

static int read_some(int fd, struct buf *buf, struct err *err)
{
	size_t room = buf->max - buf->len;
	uint8_t *to = buf_reserve(buf, room);
	ssize_t n;

	do
		n = read(fd, to, room);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(err, "bundle");
	buf->len += (size_t)n;
	return n > 0;
}

/* Fills BUF as far as the file goes. */
static int fill(int fd, struct buf *buf, struct err *err)
{
	int rc = 1;

	while (rc == 1 && buf->len < buf->max)
		rc = read_some(fd, buf, err);
	return rc < 0 ? -1 : 0;
}

/* The pack: what is left of BUF, then what is left of the file. */
static int read_pack(struct repo *repo, int fd, struct buf *buf, size_t from, struct err *err)
{
	struct pack_sink *sink;
	int rc = pack_sink_new(repo, &sink, err);

	if (rc != 0)
		return rc;
	while (rc == 0 && buf->len > from) {
		rc = pack_sink_put(sink, buf->data + from, buf->len - from, err);
		from = 0;
		buf_reset(buf);
		if (rc == 0)
			rc = fill(fd, buf, err);
	}
	if (rc != 0)
		(void)pack_sink_end(sink, false, NULL); /* it failed already */
	else
		rc = pack_sink_end(sink, true, err);
	return rc == 0 ? 0 : err_prefix(err, "bundle");
}

int bundle_read(struct repo *repo, int fd, const char *ref, struct oid *tip, struct err *err)
{
	struct buf buf;
	struct oid oid;
	size_t pack;
	int rc;

	buf_init(&buf, BUNDLE_HEAD_MAX);
	rc = fill(fd, &buf, err);
	if (rc == 0)
		rc = bundle_head(buf.data, buf.len, ref, &pack, &oid, err);
	if (rc != 0 && err->code == ERR_RETRY)
		err->code = ERR_CORRUPT; /* there is no more of it */
	if (rc == 0 && buf.len - pack < 12)
		rc = err_set(err, ERR_CORRUPT, "bundle: its pack is cut off");
	if (rc == 0)
		rc = read_pack(repo, fd, &buf, pack, err);
	buf_clear(&buf);
	if (rc == 0)
		*tip = oid;
	return rc;
}
