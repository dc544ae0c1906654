/* Lines of signed objects: see line.h. */
#include "repo/line.h"

#include "crypto/encode.h"

#include <string.h>

int line_value(struct cursor *c, const char *key, const char *divider, const char **value,
		      size_t *n, struct err *err)
{
	size_t k = strlen(key), d = strlen(divider), len;
	const char *line = cursor_line(c, &len);

	if (!line)
		return err_set(err, ERR_CORRUPT, "ends where \"%s\" belongs", key);
	if (len < k + d || memcmp(line, key, k) != 0 || memcmp(line + k, divider, d) != 0)
		return err_set(err, ERR_CORRUPT, "has \"%.*s\" where \"%s\" belongs",
			       (int)(len < 40 ? len : 40), line, key);
	*value = line + k + d;
	*n = len - k - d;
	return 0;
}

int line_text(struct cursor *c, const char *key, const char *divider, char *out, size_t size,
		     struct err *err)
{
	const char *value;
	size_t n;

	if (line_value(c, key, divider, &value, &n, err) != 0)
		return -1;
	if (n >= size)
		return err_set(err, ERR_CORRUPT, "%s is longer than %zu bytes", key, size - 1);
	memcpy(out, value, n);
	out[n] = '\0';
	return 0;
}

int line_oid(struct cursor *c, const char *key, const char *divider, struct oid *out,
		    struct err *err)
{
	char hex[OID_HEX_SIZE];

	if (line_text(c, key, divider, hex, sizeof(hex), err) != 0)
		return -1;
	if (oid_parse(hex, out) != 0)
		return err_set(err, ERR_CORRUPT, "%s is no object id", key);
	return 0;
}

int line_hex(struct cursor *c, const char *key, const char *divider, uint8_t *out,
		     size_t size, struct err *err)
{
	const char *value;
	struct buf bytes;
	size_t n;
	int rc;

	if (line_value(c, key, divider, &value, &n, err) != 0)
		return -1;
	buf_init(&bytes, size);
	rc = decode_hex(value, n, &bytes);
	if (rc == 0 && bytes.len == size)
		memcpy(out, bytes.data, size);
	else
		rc = err_set(err, ERR_CORRUPT, "%s is malformed", key);
	buf_clear(&bytes);
	return rc;
}
