/* The hello's bytes, and the handshake over them. */
#include "channel/hello.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct hello sample = {
	.version = 0x0102,
	.epoch = 0x03040506,
	.role_tag = {0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7},
};

static void test_bytes(void **state)
{
	static const uint8_t wanted[HELLO_SIZE] = {
		'M',  'U',  'S',  'T',	'E',  'R',  0x01, 0x02, 0x03, 0x04,
		0x05, 0x06, 0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7,
	};
	uint8_t bytes[HELLO_SIZE];
	struct hello hello;
	struct err err;

	(void)state;
	hello_format(&sample, bytes);
	assert_memory_equal(bytes, wanted, sizeof(wanted));
	assert_int_equal(hello_parse(bytes, &hello, &err), 0);
	assert_int_equal(hello.version, sample.version);
	assert_int_equal(hello.epoch, sample.epoch);
	assert_memory_equal(hello.role_tag, sample.role_tag, ROLE_TAG_SIZE);
}

/* A bit of the magic: refused; any other: another hello, never the same. */
static void test_every_bit(void **state)
{
	uint8_t bytes[HELLO_SIZE], again[HELLO_SIZE];
	struct hello hello;
	struct err err;

	(void)state;
	hello_format(&sample, bytes);
	for (size_t bit = 0; bit < 8 * sizeof(bytes); bit++) {
		int rc;

		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		err.code = ERR_NONE;
		rc = hello_parse(bytes, &hello, &err);
		assert_int_equal(rc, bit < 48 ? -1 : 0);
		if (rc == 0) {
			hello_format(&hello, again);
			assert_memory_equal(again, bytes, sizeof(bytes));
		} else {
			assert_int_equal(err.code, ERR_CORRUPT);
		}
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

struct ends {
	struct static_key *node, *admin;
	uint8_t join[KEY_SIZE];
	uint8_t hello[HELLO_SIZE];
};

static void ends_init(struct ends *e)
{
	uint8_t secret[KEY_SIZE];

	crypto_random(secret, sizeof(secret));
	e->node = static_key_of(secret);
	crypto_random(secret, sizeof(secret));
	e->admin = static_key_of(secret);
	crypto_random(e->join, sizeof(e->join));
	hello_format(&sample, e->hello);
}

static void ends_clear(struct ends *e)
{
	static_key_free(e->node);
	static_key_free(e->admin);
}

/* One message from one engine to the other, with a bit flipped (-1: none). */
static int pass(struct noise *from, struct noise *to, size_t size, int bit)
{
	struct buf message, payload;
	struct err err;
	int rc;

	buf_init(&message, size);
	buf_init(&payload, 0);
	assert_int_equal(noise_write(from, NULL, 0, &message, &err), 0);
	assert_int_equal(message.len, size);
	if (bit >= 0)
		message.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	rc = noise_read(to, message.data, message.len, &payload, &err);
	buf_clear(&message);
	buf_clear(&payload);
	return rc;
}

static void test_handshake(void **state)
{
	uint8_t a[KEY_SIZE], b[KEY_SIZE], c[KEY_SIZE], d[KEY_SIZE];
	struct noise *node, *admin;
	struct ends e;

	(void)state;
	ends_init(&e);
	node = hello_noise(e.hello, e.node, e.admin->public, e.join);
	admin = hello_noise(e.hello, e.admin, NULL, e.join);
	assert_int_equal(pass(node, admin, HANDSHAKE_FIRST, -1), 0);
	assert_int_equal(pass(admin, node, HANDSHAKE_SECOND, -1), 0);
	assert_true(noise_done(node) && noise_done(admin));
	assert_memory_equal(noise_remote_static(admin), e.node->public, KEY_SIZE);
	noise_split(node, a, b, NULL);
	noise_split(admin, c, d, NULL);
	assert_memory_equal(a, d, KEY_SIZE);
	assert_memory_equal(b, c, KEY_SIZE);
	noise_free(node);
	noise_free(admin);
	ends_clear(&e);
}

/* Message 1 under a changed hello, join key, admin key; every changed bit of both messages. */
static void test_refused(void **state)
{
	struct ends e;

	(void)state;
	ends_init(&e);
	for (int bit = 0; bit < 8 * HELLO_SIZE; bit++) {
		struct noise *node = hello_noise(e.hello, e.node, e.admin->public, e.join), *admin;

		e.hello[bit / 8] ^= (uint8_t)(1 << bit % 8);
		admin = hello_noise(e.hello, e.admin, NULL, e.join);
		e.hello[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(pass(node, admin, HANDSHAKE_FIRST, -1), -1);
		noise_free(node);
		noise_free(admin);
	}
	for (int bit = 0; bit < 8 * HANDSHAKE_FIRST; bit++) {
		struct noise *node = hello_noise(e.hello, e.node, e.admin->public, e.join);
		struct noise *admin = hello_noise(e.hello, e.admin, NULL, e.join);

		/* X25519 does not look at the last bit of a key; the hash does */
		assert_int_equal(pass(node, admin, HANDSHAKE_FIRST, bit), -1);
		noise_free(node);
		noise_free(admin);
	}
	for (int bit = 0; bit < 8 * HANDSHAKE_SECOND; bit++) {
		struct noise *node = hello_noise(e.hello, e.node, e.admin->public, e.join);
		struct noise *admin = hello_noise(e.hello, e.admin, NULL, e.join);

		assert_int_equal(pass(node, admin, HANDSHAKE_FIRST, -1), 0);
		assert_int_equal(pass(admin, node, HANDSHAKE_SECOND, bit), -1);
		noise_free(node);
		noise_free(admin);
	}
	ends_clear(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_every_bit),
		cmocka_unit_test(test_handshake),
		cmocka_unit_test(test_refused),
	};

	crypto_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
