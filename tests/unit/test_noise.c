/*
 * The Noise engine, checked with vectors that other implementations made: the one for IKpsk1
 * always, those of every other pattern when they are there; then all that must be refused.
 */
#include "channel/noise.h"
#include "core/text.h"
#include "crypto/encode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#ifndef TEST_SRCDIR
#define TEST_SRCDIR "."
#endif

/*
 * --- patterns, as in sections 7.4, 7.5 and 18.1 of the specification: messages are separated by
 * '|' ---
 */

static const struct row {
	const char *name;
	bool initiator_known, responder_known; /* pre-messages -> s, <- s */
	const char *messages;
} rows[] = {
	{"N", false, true, "e es"},
	{"K", true, true, "e es ss"},
	{"X", false, true, "e es s ss"},
	{"NN", false, false, "e|e ee"},
	{"NK", false, true, "e es|e ee"},
	{"NX", false, false, "e|e ee s es"},
	{"XN", false, false, "e|e ee|s se"},
	{"XK", false, true, "e es|e ee|s se"},
	{"XX", false, false, "e|e ee s es|s se"},
	{"KN", true, false, "e|e ee se"},
	{"KK", true, true, "e es ss|e ee se"},
	{"KX", true, false, "e|e ee se s es"},
	{"IN", false, false, "e s|e ee se"},
	{"IK", false, true, "e es s ss|e ee se"},
	{"IX", false, false, "e s|e ee se s es"},
	{"NK1", false, true, "e|e ee es"},
	{"NX1", false, false, "e|e ee s|es"},
	{"X1N", false, false, "e|e ee|s|se"},
	{"X1K", false, true, "e es|e ee|s|se"},
	{"XK1", false, true, "e|e ee es|s se"},
	{"X1K1", false, true, "e|e ee es|s|se"},
	{"X1X", false, false, "e|e ee s es|s|se"},
	{"XX1", false, false, "e|e ee s|es s se"},
	{"X1X1", false, false, "e|e ee s|es s|se"},
	{"K1N", true, false, "e|e ee|se"},
	{"K1K", true, true, "e es|e ee|se"},
	{"KK1", true, true, "e|e ee se es"},
	{"K1K1", true, true, "e|e ee es|se"},
	{"K1X", true, false, "e|e ee s es|se"},
	{"KX1", true, false, "e|e ee se s|es"},
	{"K1X1", true, false, "e|e ee s|se es"},
	{"I1N", false, false, "e s|e ee|se"},
	{"I1K", false, true, "e es s|e ee|se"},
	{"IK1", false, true, "e s|e ee se es"},
	{"I1K1", false, true, "e s|e ee es|se"},
	{"I1X", false, false, "e s|e ee s es|se"},
	{"IX1", false, false, "e s|e ee se s|es"},
	{"I1X1", false, false, "e s|e ee s|se es"},
};

static const struct {
	const char *word;
	enum noise_token token;
} tokens[] = {
	{"e", NOISE_E},	  {"s", NOISE_S},   {"ee", NOISE_EE},
	{"es", NOISE_ES}, {"se", NOISE_SE}, {"ss", NOISE_SS},
};

static enum noise_token token_of(const char *word)
{
	for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++)
		if (strcmp(word, tokens[i].word) == 0)
			return tokens[i].token;
	fail_msg("no token %s", word);
	return NOISE_END;
}

static void add_token(enum noise_token *list, enum noise_token token, bool first)
{
	size_t n = 0;

	while (list[n] != NOISE_END)
		n++;
	assert_true(n + 1 < NOISE_TOKENS_MAX);
	if (first)
		memmove(list + 1, list, n * sizeof(*list));
	list[first ? 0 : n] = token;
}

/* The pattern of NAME ("XXpsk0+psk3"); the struct holds NAME. */
static void pattern_of(const char *name, struct noise_pattern *pattern, bool *one_way)
{
	size_t base = strcspn(name, "p"), message = 0;
	const struct row *row = NULL;
	char *copy, *save = NULL;

	*pattern = (struct noise_pattern){.name = name};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strlen(rows[i].name) == base && strncmp(rows[i].name, name, base) == 0)
			row = &rows[i];
	if (!row) {
		fail_msg("no pattern %s", name);
		return;
	}
	pattern->initiator_static_known = row->initiator_known;
	pattern->responder_static_known = row->responder_known;
	*one_way = !strchr(row->messages, '|');
	for (const char *p = row->messages; *p;) {
		char word[3] = "";
		size_t n = strcspn(p, " |");

		memcpy(word, p, n);
		add_token(pattern->messages[message], token_of(word), false);
		message += p[n] == '|';
		p += n + (p[n] != '\0');
	}
	/*
	 * psk0 stands at the start of the first message, pskN at the end of message N (section 9.4)
	 */
	copy = text_copy(name + base);
	for (char *word = strtok_r(copy, "+", &save); word; word = strtok_r(NULL, "+", &save)) {
		int place = word[3] - '0';

		assert_true(strncmp(word, "psk", 3) == 0 && place >= 0 &&
			    place <= NOISE_MESSAGES_MAX);
		add_token(pattern->messages[place > 0 ? place - 1 : 0], NOISE_PSK, place == 0);
	}
	free(copy);
}

/* --- vectors --- */

/* Bytes of a member in hex, or an empty buffer; FREE with buf_clear. */
static struct buf bytes_of(const json_t *hex)
{
	struct buf out;

	buf_init(&out, 100000);
	if (hex)
		assert_int_equal(decode_hex(json_string_value(hex), json_string_length(hex), &out),
				 0);
	return out;
}

static struct buf member(const json_t *object, const char *prefix, const char *name)
{
	char key[64];

	(void)snprintf(key, sizeof(key), "%s%s", prefix, name); /* fits */
	return bytes_of(json_object_get(object, key));
}

/* One side, made from the members that begin with PREFIX. */
static struct noise *side_of(const json_t *vector, const char *prefix,
			     const struct noise_pattern *pattern)
{
	struct buf prologue = member(vector, prefix, "prologue"),
		   secret = member(vector, prefix, "static");
	struct buf ephemeral = member(vector, prefix, "ephemeral");
	struct buf remote = member(vector, prefix, "remote_static");
	uint8_t psks[NOISE_PSKS_MAX][KEY_SIZE];
	bool initiator = strcmp(prefix, "init_") == 0;
	char key[16];
	struct noise_config config = {
		.pattern = pattern, .initiator = initiator, .prologue = prologue.data,
		.prologue_size = prologue.len, .psks = psks,
	};
	struct static_key local;
	struct noise *noise;
	json_t *list, *psk;
	size_t i;

	if (secret.len == KEY_SIZE) {
		struct noise_pattern nn = {.name = "NN", .messages = {{NOISE_E}}};
		struct noise_config pair = {.pattern = &nn, .initiator = true,
					    .ephemeral_secret = secret.data};
		struct buf public;

		/* the public key of a secret is what an engine sends for it */
		buf_init(&public, KEY_SIZE);
		noise = noise_new(&pair);
		assert_int_equal(noise_write(noise, NULL, 0, &public, NULL), 0);
		noise_free(noise);
		memcpy(local.secret, secret.data, KEY_SIZE);
		memcpy(local.public, public.data, KEY_SIZE);
		config.local = &local;
		buf_clear(&public);
	}
	if (initiator ? pattern->responder_static_known : pattern->initiator_static_known) {
		assert_int_equal(remote.len, KEY_SIZE);
		config.remote_public = remote.data;
	}
	if (ephemeral.len == KEY_SIZE)
		config.ephemeral_secret = ephemeral.data;
	(void)snprintf(key, sizeof(key), "%spsks", prefix); /* fits */
	list = json_object_get(vector, key);
	json_array_foreach(list, i, psk) {
		struct buf bytes = bytes_of(psk);

		assert_true(i < NOISE_PSKS_MAX && bytes.len == KEY_SIZE);
		memcpy(psks[config.psk_count++], bytes.data, KEY_SIZE);
		buf_clear(&bytes);
	}
	noise = noise_new(&config);
	buf_clear(&prologue);
	buf_clear(&secret);
	buf_clear(&ephemeral);
	buf_clear(&remote);
	return noise;
}

struct ends {
	struct noise *initiator, *responder;
	uint8_t send[2][KEY_SIZE], receive[2][KEY_SIZE]; /* 0: initiator */
	uint64_t nonce[2];
	bool one_way;
};

static void check_handshake_message(struct ends *ends, bool by_initiator, const struct buf *payload,
				    const struct buf *want)
{
	struct noise *writer = by_initiator ? ends->initiator : ends->responder;
	struct noise *reader = by_initiator ? ends->responder : ends->initiator;
	struct err err = {0};
	struct buf sent, got;

	buf_init(&sent, NOISE_MESSAGE_MAX);
	buf_init(&got, NOISE_MESSAGE_MAX);
	assert_true(noise_my_turn(writer));
	assert_false(noise_my_turn(reader));
	assert_int_equal(noise_write(writer, payload->data, payload->len, &sent, &err), 0);
	assert_int_equal(sent.len, want->len);
	assert_memory_equal(sent.data, want->data, want->len);
	assert_int_equal(noise_read(reader, want->data, want->len, &got, &err), 0);
	assert_int_equal(got.len, payload->len);
	assert_memory_equal(got.data, payload->data, payload->len);
	buf_clear(&sent);
	buf_clear(&got);
}

static void check_transport_message(struct ends *ends, bool by_initiator, const struct buf *payload,
				    const struct buf *want)
{
	int from = by_initiator ? 0 : 1;
	uint64_t nonce = ends->nonce[from]++;
	struct buf sent, got;

	buf_init(&sent, NOISE_MESSAGE_MAX);
	buf_init(&got, NOISE_MESSAGE_MAX);
	noise_encrypt(ends->send[from], nonce, NULL, 0, payload->data, payload->len, &sent);
	assert_int_equal(sent.len, want->len);
	assert_memory_equal(sent.data, want->data, want->len);
	assert_int_equal(
		noise_decrypt(ends->receive[1 - from], nonce, NULL, 0, want->data, want->len, &got),
		0);
	assert_int_equal(got.len, payload->len);
	assert_memory_equal(got.data, payload->data, payload->len);
	assert_int_equal(noise_decrypt(ends->receive[1 - from], nonce + 1, NULL, 0, want->data,
				       want->len, &got),
			 -1);
	buf_clear(&sent);
	buf_clear(&got);
}

static void check_split(struct ends *ends, const json_t *vector)
{
	struct buf want = member(vector, "", "handshake_hash");
	uint8_t hashes[2][NOISE_HASH_SIZE];

	assert_true(noise_done(ends->responder));
	assert_false(noise_my_turn(ends->initiator));
	assert_false(noise_my_turn(ends->responder));
	noise_split(ends->initiator, ends->send[0], ends->receive[0], hashes[0]);
	noise_split(ends->responder, ends->send[1], ends->receive[1], hashes[1]);
	assert_memory_equal(ends->send[0], ends->receive[1], KEY_SIZE);
	assert_memory_equal(ends->send[1], ends->receive[0], KEY_SIZE);
	assert_memory_not_equal(ends->send[0], ends->send[1], KEY_SIZE);
	assert_memory_equal(hashes[0], hashes[1], NOISE_HASH_SIZE);
	if (want.len > 0) {
		assert_int_equal(want.len, NOISE_HASH_SIZE);
		assert_memory_equal(hashes[0], want.data, NOISE_HASH_SIZE);
	}
	buf_clear(&want);
}

static void check_vector(const json_t *vector)
{
	const char *name = json_string_value(json_object_get(vector, "protocol_name"));
	size_t messages = 0, handshake = 0, i;
	struct noise_pattern pattern;
	struct ends ends = {0};
	char *middle;
	json_t *message;

	assert_non_null(name);
	assert_true(text_starts(name, "Noise_") && text_ends(name, "_25519_ChaChaPoly_BLAKE2b"));
	middle = text_copy_n(name + 6, strcspn(name + 6, "_"));
	pattern_of(middle, &pattern, &ends.one_way);
	if (strcmp(middle, "IKpsk1") == 0) /* the product's own table */
		pattern = noise_ikpsk1;
	ends.initiator = side_of(vector, "init_", &pattern);
	ends.responder = side_of(vector, "resp_", &pattern);
	json_array_foreach(json_object_get(vector, "messages"), i, message) {
		struct buf payload = member(message, "", "payload"),
			   want = member(message, "", "ciphertext");
		bool by_initiator = i % 2 == 0;

		if (!noise_done(ends.initiator)) {
			check_handshake_message(&ends, by_initiator, &payload, &want);
			handshake++;
			if (noise_done(ends.initiator))
				check_split(&ends, vector);
		} else {
			check_transport_message(&ends, ends.one_way || by_initiator, &payload,
						&want);
		}
		messages++;
		buf_clear(&payload);
		buf_clear(&want);
	}
	assert_true(handshake > 0 && messages > handshake);
	noise_free(ends.initiator);
	noise_free(ends.responder);
	free(middle);
}

static size_t check_file(const char *path)
{
	json_t *root = json_load_file(path, 0, NULL), *vector;
	size_t i, count = 0;

	assert_non_null(root);
	json_array_foreach(json_object_get(root, "vectors"), i, vector) {
		check_vector(vector);
		count++;
	}
	json_decref(root);
	return count;
}

static void test_own_vector(void **state)
{
	(void)state;
	assert_int_equal(check_file(TEST_SRCDIR "/tests/vectors/ikpsk1.json"), 1);
}

static void test_all_vectors(void **state)
{
	static const char path[] = TEST_SRCDIR "/../shared/vectors/noise.json";
	size_t count;

	(void)state;
	if (access(path, R_OK) != 0) {
		print_message("skipped: %s is not there\n", path);
		skip();
	}
	count = check_file(path);
	print_message("%zu vectors\n", count);
	assert_true(count >= 100);
}

/* --- IKpsk1 with what must not get through --- */

struct pair {
	struct static_key *node, *admin;
	uint8_t psk[1][KEY_SIZE];
	struct noise_config initiator, responder;
};

static struct static_key *random_static_key(void)
{
	struct static_key *key = crypto_new(sizeof(*key));
	struct identity *identity = identity_new();

	memcpy(key->secret, identity->channel_secret, KEY_SIZE);
	memcpy(key->public, identity->channel_public, KEY_SIZE);
	identity_free(identity);
	return key;
}

static void pair_init(struct pair *pair)
{
	*pair = (struct pair){.node = random_static_key(), .admin = random_static_key()};
	crypto_random(pair->psk, sizeof(pair->psk));
	pair->initiator = (struct noise_config){
		.pattern = &noise_ikpsk1,
		.initiator = true,
		.prologue = "hello",
		.prologue_size = 5,
		.local = pair->node,
		.remote_public = pair->admin->public,
		.psks = (const uint8_t(*)[KEY_SIZE])pair->psk,
		.psk_count = 1,
	};
	pair->responder = pair->initiator;
	pair->responder.initiator = false;
	pair->responder.local = pair->admin;
	pair->responder.remote_public = NULL;
}

static void pair_clear(struct pair *pair)
{
	static_key_free(pair->node);
	static_key_free(pair->admin);
}

/* The first message of an initiator, which is kept. */
static struct noise *start(const struct noise_config *config, struct buf *message)
{
	struct noise *noise = noise_new(config);

	buf_init(message, NOISE_MESSAGE_MAX);
	assert_int_equal(noise_write(noise, NULL, 0, message, NULL), 0);
	return noise;
}

/* Whether a fresh responder takes the message; it must be DENIED if not, and stay so. */
static bool taken(const struct noise_config *config, const uint8_t *message, size_t n)
{
	struct noise *noise = noise_new(config);
	struct err err = {0};
	struct buf payload;
	int rc;

	buf_init(&payload, NOISE_MESSAGE_MAX);
	rc = noise_read(noise, message, n, &payload, &err);
	if (rc != 0) {
		assert_int_equal(err.code, ERR_DENIED);
		assert_int_equal(payload.len, 0);
		assert_false(noise_my_turn(noise));
		assert_false(noise_done(noise));
	}
	buf_clear(&payload);
	noise_free(noise);
	return rc == 0;
}

static void test_handshake(void **state)
{
	uint8_t send[2][KEY_SIZE], receive[2][KEY_SIZE], hash[2][NOISE_HASH_SIZE];
	struct noise *initiator, *responder;
	struct buf first, second, payload;
	struct pair pair;

	(void)state;
	pair_init(&pair);
	initiator = start(&pair.initiator, &first);
	responder = noise_new(&pair.responder);
	buf_init(&second, NOISE_MESSAGE_MAX);
	buf_init(&payload, 0);
	assert_int_equal(first.len, 96);
	assert_null(noise_remote_static(responder));
	assert_int_equal(noise_read(responder, first.data, first.len, &payload, NULL), 0);
	assert_memory_equal(noise_remote_static(responder), pair.node->public, KEY_SIZE);
	assert_int_equal(noise_write(responder, NULL, 0, &second, NULL), 0);
	assert_int_equal(second.len, 48);
	assert_true(noise_done(responder));
	assert_false(noise_done(initiator));
	assert_int_equal(noise_read(initiator, second.data, second.len, &payload, NULL), 0);
	assert_true(noise_done(initiator));
	noise_split(initiator, send[0], receive[0], hash[0]);
	noise_split(responder, send[1], receive[1], hash[1]);
	noise_split(responder, NULL, NULL, NULL);
	assert_memory_equal(send[0], receive[1], KEY_SIZE);
	assert_memory_equal(send[1], receive[0], KEY_SIZE);
	assert_memory_equal(hash[0], hash[1], NOISE_HASH_SIZE);
	/*
	 * every handshake has other keys: a replayed first message gives the one who replays it
	 * nothing
	 */
	noise_free(responder);
	responder = noise_new(&pair.responder);
	buf_reset(&second);
	assert_int_equal(noise_read(responder, first.data, first.len, &payload, NULL), 0);
	assert_int_equal(noise_write(responder, NULL, 0, &second, NULL), 0);
	noise_split(responder, send[0], NULL, NULL);
	assert_memory_not_equal(send[0], send[1], KEY_SIZE);
	noise_free(initiator);
	noise_free(responder);
	noise_free(NULL);
	buf_clear(&first);
	buf_clear(&second);
	buf_clear(&payload);
	pair_clear(&pair);
}

static void test_first_message_damage(void **state)
{
	struct noise *initiator;
	struct buf first;
	struct pair pair;

	(void)state;
	pair_init(&pair);
	initiator = start(&pair.initiator, &first);
	assert_true(taken(&pair.responder, first.data, first.len));
	for (size_t n = 0; n < first.len; n++)
		assert_false(taken(&pair.responder, first.data, n));
	for (size_t bit = 0; bit < 8 * first.len; bit++) {
		first.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(taken(&pair.responder, first.data, first.len));
		first.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	buf_put(&first, "x", 1);
	assert_false(taken(&pair.responder, first.data, first.len));
	noise_free(initiator);
	buf_clear(&first);
	pair_clear(&pair);
}

/*
 * The initiator is rebuilt for each try, with the same ephemeral key, since a failed one is of no
 * more use.
 */
static bool second_taken(const struct pair *pair, const uint8_t *ephemeral, const uint8_t *message,
			 size_t n)
{
	struct noise_config config = pair->initiator;
	struct err err = {0};
	struct buf first, payload;
	struct noise *initiator;
	int rc;

	config.ephemeral_secret = ephemeral;
	initiator = start(&config, &first);
	buf_init(&payload, NOISE_MESSAGE_MAX);
	rc = noise_read(initiator, message, n, &payload, &err);
	if (rc != 0) {
		assert_int_equal(err.code, ERR_DENIED);
		assert_int_equal(payload.len, 0);
		assert_false(noise_done(initiator));
		/* of no more use, even for a good message */
		assert_int_equal(noise_read(initiator, message, n, &payload, &err), -1);
		assert_int_equal(err.code, ERR_DENIED);
	}
	noise_free(initiator);
	buf_clear(&first);
	buf_clear(&payload);
	return rc == 0;
}

static void test_second_message_damage(void **state)
{
	struct noise *initiator, *responder;
	struct buf first, second, payload;
	uint8_t ephemeral[KEY_SIZE];
	struct pair pair;

	(void)state;
	pair_init(&pair);
	crypto_random(ephemeral, sizeof(ephemeral));
	pair.initiator.ephemeral_secret = ephemeral;
	initiator = start(&pair.initiator, &first);
	responder = noise_new(&pair.responder);
	buf_init(&second, NOISE_MESSAGE_MAX);
	buf_init(&payload, 0);
	assert_int_equal(noise_read(responder, first.data, first.len, &payload, NULL), 0);
	assert_int_equal(noise_write(responder, NULL, 0, &second, NULL), 0);
	assert_true(second_taken(&pair, ephemeral, second.data, second.len));
	for (size_t n = 0; n < second.len; n++)
		assert_false(second_taken(&pair, ephemeral, second.data, n));
	for (size_t bit = 0; bit < 8 * second.len; bit++) {
		second.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(second_taken(&pair, ephemeral, second.data, second.len));
		second.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	/* reflected: a node's own message sent back, whole and cut to the size */
	assert_false(second_taken(&pair, ephemeral, first.data, first.len));
	assert_false(second_taken(&pair, ephemeral, first.data, second.len));
	/* and to the admin, its own answer */
	assert_false(taken(&pair.responder, second.data, second.len));
	/* the answer to another handshake */
	ephemeral[0] ^= 8;
	assert_false(second_taken(&pair, ephemeral, second.data, second.len));
	noise_free(initiator);
	noise_free(responder);
	buf_clear(&first);
	buf_clear(&second);
	buf_clear(&payload);
	pair_clear(&pair);
}

static void test_other_inputs(void **state)
{
	struct static_key *stranger = random_static_key();
	struct noise_config other;
	struct noise *initiator;
	uint8_t psk[1][KEY_SIZE];
	struct buf first;
	struct pair pair;

	(void)state;
	pair_init(&pair);
	initiator = start(&pair.initiator, &first);
	other = pair.responder;
	other.prologue = "hellp";
	assert_false(taken(&other, first.data, first.len));
	other.prologue_size = 4;
	assert_false(taken(&other, first.data, first.len));
	other = pair.responder;
	other.local = stranger;
	assert_false(taken(&other, first.data, first.len));
	other = pair.responder;
	memcpy(psk, pair.psk, sizeof(psk));
	psk[0][31] ^= 1;
	other.psks = (const uint8_t(*)[KEY_SIZE])psk;
	assert_false(taken(&other, first.data, first.len));
	noise_free(initiator);
	buf_clear(&first);
	static_key_free(stranger);
	pair_clear(&pair);
}

/* A false admin that has the cluster file, so the join key, but not the admin's private key. */
static void test_false_admin(void **state)
{
	struct static_key *own = random_static_key(), *mixed = crypto_new(sizeof(*mixed));
	struct noise *initiator;
	struct buf first;
	struct pair pair;

	(void)state;
	pair_init(&pair);
	initiator = start(&pair.initiator, &first);
	pair.responder.local = own;
	assert_false(taken(&pair.responder, first.data, first.len));
	memcpy(mixed->secret, own->secret, KEY_SIZE);
	memcpy(mixed->public, pair.admin->public, KEY_SIZE);
	pair.responder.local = mixed;
	assert_false(taken(&pair.responder, first.data, first.len));
	noise_free(initiator);
	buf_clear(&first);
	static_key_free(own);
	static_key_free(mixed);
	pair_clear(&pair);
}

/* Keys of a peer that make the shared secret all zero, whatever ours is. */
static void test_weak_keys(void **state)
{
	static const char *const weak[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"0000000000000000000000000000000000000000000000000000000000000080",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	};
	struct pair pair;

	(void)state;
	pair_init(&pair);
	for (size_t i = 0; i < sizeof(weak) / sizeof(weak[0]); i++) {
		struct noise_config config = pair.initiator;
		uint8_t message[96];
		struct err err = {0};
		struct noise *noise;
		struct buf key, out;

		buf_init(&key, KEY_SIZE);
		buf_init(&out, NOISE_MESSAGE_MAX);
		assert_int_equal(decode_hex(weak[i], 64, &key), 0);
		crypto_random(message, sizeof(message));
		memcpy(message, key.data, KEY_SIZE);
		assert_false(taken(&pair.responder, message, sizeof(message)));
		config.remote_public = key.data;
		noise = noise_new(&config);
		buf_puts(&out, "kept");
		assert_int_equal(noise_write(noise, NULL, 0, &out, &err), -1);
		assert_int_equal(err.code, ERR_DENIED);
		assert_string_equal(buf_text(&out), "kept");
		assert_false(noise_my_turn(noise));
		noise_free(noise);
		buf_clear(&key);
		buf_clear(&out);
	}
	pair_clear(&pair);
}

/* What does not fit changes nothing: it can be tried again. */
static void test_room(void **state)
{
	uint8_t *big = calloc(1, NOISE_MESSAGE_MAX + 1);
	struct noise *initiator, *responder;
	struct err err = {0};
	struct buf out, payload;
	struct pair pair;

	(void)state;
	pair_init(&pair);
	initiator = noise_new(&pair.initiator);
	responder = noise_new(&pair.responder);
	buf_init(&out, 95);
	assert_int_equal(noise_write(initiator, NULL, 0, &out, &err), -1);
	assert_int_equal(err.code, ERR_FULL);
	assert_int_equal(out.len, 0);
	buf_init(&out, 2 * NOISE_MESSAGE_MAX);
	assert_int_equal(noise_write(initiator, big, NOISE_MESSAGE_MAX - 95, &out, &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	assert_int_equal(noise_write(initiator, big, SIZE_MAX, &out, &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	assert_int_equal(noise_write(initiator, big, NOISE_MESSAGE_MAX - 96, &out, &err), 0);
	assert_int_equal(out.len, NOISE_MESSAGE_MAX);
	buf_init(&payload, NOISE_MESSAGE_MAX - 97);
	assert_int_equal(noise_read(responder, out.data, out.len, &payload, &err), -1);
	assert_int_equal(err.code, ERR_FULL);
	buf_init(&payload, NOISE_MESSAGE_MAX - 96);
	assert_int_equal(noise_read(responder, out.data, out.len, &payload, &err), 0);
	assert_int_equal(payload.len, NOISE_MESSAGE_MAX - 96);
	buf_put(&out, "x", 1);
	assert_false(taken(&pair.responder, out.data, out.len));
	noise_free(initiator);
	noise_free(responder);
	buf_clear(&out);
	buf_clear(&payload);
	pair_clear(&pair);
	free(big);
}

static void test_transport(void **state)
{
	uint8_t key[KEY_SIZE], plain[50];
	struct buf sealed, open;

	(void)state;
	crypto_random(key, sizeof(key));
	crypto_random(plain, sizeof(plain));
	buf_init(&sealed, 1000);
	buf_init(&open, 1000);
	buf_puts(&open, "kept");
	noise_encrypt(key, 5, "ad", 2, plain, sizeof(plain), &sealed);
	assert_int_equal(sealed.len, sizeof(plain) + NOISE_TAG_SIZE);
	for (size_t n = 0; n < sealed.len; n++)
		assert_int_equal(noise_decrypt(key, 5, "ad", 2, sealed.data, n, &open), -1);
	for (size_t bit = 0; bit < 8 * sealed.len; bit++) {
		sealed.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(noise_decrypt(key, 5, "ad", 2, sealed.data, sealed.len, &open),
				 -1);
		sealed.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(noise_decrypt(key, 4, "ad", 2, sealed.data, sealed.len, &open), -1);
	assert_int_equal(noise_decrypt(key, 5, "ae", 2, sealed.data, sealed.len, &open), -1);
	assert_int_equal(noise_decrypt(key, 5, NULL, 0, sealed.data, sealed.len, &open), -1);
	assert_string_equal(buf_text(&open), "kept");
	assert_int_equal(noise_decrypt(key, 5, "ad", 2, sealed.data, sealed.len, &open), 0);
	assert_memory_equal(open.data + 4, plain, sizeof(plain));
	key[0] ^= 1;
	assert_int_equal(noise_decrypt(key, 5, "ad", 2, sealed.data, sealed.len, &open), -1);
	buf_clear(&open);
	buf_init(&open, sizeof(plain) - 1);
	key[0] ^= 1;
	assert_int_equal(noise_decrypt(key, 5, "ad", 2, sealed.data, sealed.len, &open), -1);
	buf_clear(&sealed);
	buf_init(&sealed, sizeof(plain) + NOISE_TAG_SIZE - 1);
	noise_encrypt(key, 5, "ad", 2, plain, sizeof(plain), &sealed);
	assert_true(sealed.failed);
	buf_clear(&sealed);
	buf_clear(&open);
}

/*
 * REKEY(k) is the second block of ChaCha20's key stream: this one was made with a Python
 * implementation of RFC 8439.
 */
static void test_rekey(void **state)
{
	uint8_t key[KEY_SIZE];
	struct buf want;

	(void)state;
	for (size_t i = 0; i < KEY_SIZE; i++)
		key[i] = (uint8_t)i;
	noise_rekey(key);
	buf_init(&want, KEY_SIZE);
	assert_int_equal(
		decode_hex("50835543a205b22c9323f2022bc4f67d838f90e61d5ccf33c4513e01f85b5042", 64,
			   &want),
		0);
	assert_memory_equal(key, want.data, KEY_SIZE);
	buf_clear(&want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own_vector),
		cmocka_unit_test(test_all_vectors),
		cmocka_unit_test(test_handshake),
		cmocka_unit_test(test_first_message_damage),
		cmocka_unit_test(test_second_message_damage),
		cmocka_unit_test(test_other_inputs),
		cmocka_unit_test(test_false_admin),
		cmocka_unit_test(test_weak_keys),
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_transport),
		cmocka_unit_test(test_rekey),
	};

	crypto_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
