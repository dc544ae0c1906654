/* Paths of a tree: each line of the input is one. */
#include "fuzz.h"

#include "core/fileset.h"
#include "core/limits.h"
#include "crypto/digest.h"
#include "crypto/key.h"

#include <strings.h>

enum { LINES_MAX = 64 };

/* The rule once more, part by part. */
static bool path_expected(const char *path)
{
	char *copy = text_copy(path), *rest = copy, *part;
	bool good = strlen(path) <= LIMIT_PATH;

	while ((part = strsep(&rest, "/")))
		if (!*part || strcmp(part, ".") == 0 || strcmp(part, "..") == 0 ||
		    strcasecmp(part, ".git") == 0)
			good = false;
	for (const char *p = path; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f || *p == '\\')
			good = false;
	free(copy);
	return good;
}

static void add(struct fileset *set, const char *path)
{
	bool known = fileset_find(set, path) != NULL, good = path_expected(path);
	size_t before = set->count;
	struct err err;
	int rc = fileset_add(set, path, strlen(path) % 2 ? FILE_PLAIN : FILE_EXEC, path,
			     strlen(path), &err);

	assert(fileset_path_valid(path) == good);
	assert((rc == 0) == (good && !known));
	assert(set->count == before + (rc == 0));
	if (good)
		assert(strcmp(fileset_find(set, path)->path, path) == 0);
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
	char *text = fuzz_text(data, size), *rest = text, *lines[LINES_MAX];
	struct fileset up = {0}, down = {0};
	uint8_t digest[2][DIGEST_SIZE];
	size_t count = 0;

	while (count < LINES_MAX && (lines[count] = strsep(&rest, "\n")))
		count++;
	for (size_t i = 0; i < count; i++)
		add(&up, lines[i]);
	for (size_t i = count; i > 0; i--)
		add(&down, lines[i - 1]);
	for (size_t i = 1; i < up.count; i++)
		assert(strcmp(up.files[i - 1].path, up.files[i].path) < 0);
	assert(fileset_equal(&up, &down));
	digest_fileset(&up, digest[0]);
	digest_fileset(&down, digest[1]);
	assert(memcmp(digest[0], digest[1], DIGEST_SIZE) == 0);
	fileset_clear(&up);
	fileset_clear(&down);
	free(text);
	return 0;
}
