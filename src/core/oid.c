/* Git object ids: see oid.h. */
#include "core/oid.h"

#include <string.h>

static const char digits[] = "0123456789abcdef";

char *oid_hex(const struct oid *oid, char out[static OID_HEX_SIZE])
{
	for (int i = 0; i < OID_SIZE; i++) {
		out[2 * i] = digits[oid->id[i] >> 4];
		out[2 * i + 1] = digits[oid->id[i] & 15];
	}
	out[OID_HEX] = '\0';
	return out;
}

int oid_parse(const char *hex, struct oid *oid)
{
	struct oid value = {{0}};

	if (strnlen(hex, OID_HEX_SIZE) != OID_HEX)
		return -1;
	for (int i = 0; i < OID_HEX; i++) {
		const char *digit = memchr(digits, hex[i], 16);

		if (!digit)
			return -1;
		value.id[i / 2] = (uint8_t)(value.id[i / 2] << 4 | (digit - digits));
	}
	*oid = value;
	return 0;
}

bool oid_equal(const struct oid *a, const struct oid *b)
{
	return memcmp(a->id, b->id, OID_SIZE) == 0;
}

bool oid_is_zero(const struct oid *oid)
{
	static const struct oid zero;

	return oid_equal(oid, &zero);
}
