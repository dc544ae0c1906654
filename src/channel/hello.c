/* The handshake of a channel: see hello.h. */
#include "channel/hello.h"

#include <string.h>

static const char magic[6] = {'M', 'U', 'S', 'T', 'E', 'R'};

void hello_format(const struct hello *hello, uint8_t out[static HELLO_SIZE])
{
	struct buf b;

	buf_init(&b, HELLO_SIZE);
	buf_put(&b, magic, sizeof(magic));
	buf_put_be16(&b, hello->version);
	buf_put_be32(&b, hello->epoch);
	buf_put(&b, hello->role_tag, sizeof(hello->role_tag));
	memcpy(out, b.data, HELLO_SIZE);
	buf_clear(&b);
}

int hello_parse(const uint8_t bytes[static HELLO_SIZE], struct hello *hello, struct err *err)
{
	struct cursor c = cursor_of(bytes, HELLO_SIZE);

	if (memcmp(cursor_bytes(&c, sizeof(magic)), magic, sizeof(magic)) != 0)
		return err_set(err, ERR_CORRUPT, "not a Muster channel");
	hello->version = cursor_be16(&c);
	hello->epoch = cursor_be32(&c);
	memcpy(hello->role_tag, cursor_bytes(&c, ROLE_TAG_SIZE), ROLE_TAG_SIZE);
	return 0;
}

struct noise *hello_noise(const uint8_t hello[static HELLO_SIZE], const struct static_key *local,
			  const uint8_t *remote, const uint8_t join_key[static KEY_SIZE])
{
	struct noise_config config = {
		.pattern = &noise_ikpsk1,
		.initiator = remote != NULL,
		.prologue = hello,
		.prologue_size = HELLO_SIZE,
		.local = local,
		.remote_public = remote,
		.psks = (const uint8_t(*)[KEY_SIZE])join_key,
		.psk_count = 1,
	};

	return noise_new(&config);
}
