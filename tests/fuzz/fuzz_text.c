/* Small texts: names of roles and nodes, numbers, object ids, log levels, escaping. */
#include "fuzz.h"

#include "core/log.h"
#include "core/oid.h"

#include <git2.h>

#include <errno.h>
#include <inttypes.h>

/* A name is a folder and a part of a ref without further ado. */
static void check_name(const char *name)
{
	char *ref = text_format("refs/heads/%s", name);
	int valid = 0;

	if (name_valid(name)) {
		assert(git_reference_name_is_valid(&valid, ref) == 0 && valid);
		assert(!strchr(name, '/') && name[0] != '.' && name[0] != '-');
		assert(strlen(name) <= NAME_MAX_LEN);
	}
	free(ref);
}

/* The C library as oracle: what it reads and writes again is what is a number here. */
static void check_number(const char *text, uint64_t max)
{
	char *end, *again = NULL;
	uint64_t want, value = 0;
	bool is_number;

	errno = 0;
	want = strtoull(text, &end, 10);
	again = text_format("%" PRIu64, want);
	is_number = errno == 0 && strcmp(text, again) == 0 && want <= max;
	assert((text_number(text, max, &value) == 0) == is_number);
	if (is_number)
		assert(value == want);
	free(again);
}

static void check_oid(const char *text)
{
	struct oid oid;
	char hex[OID_HEX_SIZE];

	if (oid_parse(text, &oid) == 0)
		assert(strcmp(oid_hex(&oid, hex), text) == 0);
}

static void check_escape(const char *text)
{
	char *copy = text_copy(text);

	text_escape_in_place(copy);
	assert(strlen(copy) == strlen(text));
	for (const char *p = copy; *p; p++)
		assert((unsigned char)*p >= 0x20 && *p != 0x7f);
	free(copy);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	assert(git_libgit2_init() > 0);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	enum log_level level;
	int64_t seconds = 0;
	char when[TEXT_TIME_MAX];

	check_name(text);
	check_number(text, UINT64_MAX);
	check_number(text, UINT16_MAX);
	check_number(text, INT64_MAX);
	check_number(text, 3);
	check_oid(text);
	check_escape(text);
	if (log_level_parse(text, &level) == 0)
		assert(level <= LOG_LEVEL_DEBUG);
	memcpy(&seconds, data, size < sizeof(seconds) ? size : sizeof(seconds));
	assert(strlen(text_time(seconds, when)) < TEXT_TIME_MAX);
	free(text);
	return 0;
}
