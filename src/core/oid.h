/* A git object id (SHA-1), so that code outside repo/ can name objects without libgit2. */
#ifndef MUSTER_CORE_OID_H
#define MUSTER_CORE_OID_H

#include <stdbool.h>
#include <stdint.h>

enum { OID_SIZE = 20, OID_HEX = 40, OID_HEX_SIZE = 41 };

struct oid {
	uint8_t id[OID_SIZE];
};

/* 40 lower-case hex digits and a NUL into OUT; returns OUT. */
char *oid_hex(const struct oid *oid, char out[static OID_HEX_SIZE]);
/* Exactly 40 lower-case hex digits, then the end of the string; 0 or -1. */
int oid_parse(const char *hex, struct oid *oid);
bool oid_equal(const struct oid *a, const struct oid *b);
bool oid_is_zero(const struct oid *oid);

#endif
