/* The recorded control messages of tests/fixtures/peers/. */
#ifndef MUSTER_TESTS_PEER_WORDS_H
#define MUSTER_TESTS_PEER_WORDS_H

#include "channel/control.h"
#include "core/fs.h"
#include "core/limits.h"
#include "core/text.h"

#include <fcntl.h>
#include <stdlib.h>

/* The bytes of one; cleared by the caller. */
static inline void words_read(const char *name, struct buf *out)
{
	char *path = text_format(TEST_SRCDIR "/tests/fixtures/peers/%s", name);
	struct err err;

	buf_init(out, LIMIT_CONTROL_MESSAGE);
	if (fs_read(AT_FDCWD, path, out, &err) != 0)
		fail_msg("%s", err.text);
	free(path);
}

/* The message of one, which must be all there is; cleared by the caller. */
static inline void words_parse(const char *name, struct control_message *message)
{
	struct buf bytes;
	struct err err;

	words_read(name, &bytes);
	assert_int_equal(control_take(&bytes, message, &err), 1);
	assert_int_equal(bytes.len, 0);
	buf_clear(&bytes);
}

#endif
