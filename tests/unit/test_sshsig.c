/*
 * SSH signatures. ssh-keygen is the oracle for both directions; every bit flip, truncation and
 * other form of the armour is refused.
 */
#include "core/fs.h"
#include "crypto/encode.h"
#include "crypto/sshsig.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define MESSAGE "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n\nmessage\n"

static uint8_t seed[KEY_SIZE], public[KEY_SIZE];

static void sign(const char *name_space, const char *message, struct buf *armour)
{
	buf_init(armour, SSHSIG_ARMOUR_MAX);
	sshsig_sign(seed, name_space, message, strlen(message), armour);
	assert_false(armour->failed);
}

/* NONE when it is taken, else the code. */
static enum err_code verdict(const char *armour, size_t len)
{
	uint8_t signer[KEY_SIZE] = {0}, untouched[KEY_SIZE] = {0};
	struct err err = {0};

	if (sshsig_verify(armour, len, SSHSIG_NAMESPACE, MESSAGE, strlen(MESSAGE), signer, &err) ==
	    0) {
		assert_memory_equal(signer, public, KEY_SIZE);
		return ERR_NONE;
	}
	assert_memory_equal(signer, untouched, KEY_SIZE);
	assert_true(err.code == ERR_CORRUPT || err.code == ERR_REFUSED);
	return err.code;
}

static enum err_code verdict_of(const struct buf *armour)
{
	return verdict(buf_text(armour), armour->len);
}

static void test_form(void **state)
{
	struct buf armour;
	const char *text, *line;

	(void)state;
	sign(SSHSIG_NAMESPACE, MESSAGE, &armour);
	text = buf_text(&armour);
	assert_int_equal(strncmp(text, "-----BEGIN SSH SIGNATURE-----\n", 30), 0);
	assert_string_equal(text + armour.len - 28, "-----END SSH SIGNATURE-----\n");
	line = strchr(text, '\n') + 1;
	for (int i = 0; i < 3; i++, line += 71)
		assert_int_equal(line[70], '\n');
	assert_int_equal(verdict_of(&armour), ERR_NONE);
	buf_clear(&armour);
}

static void test_every_bit(void **state)
{
	struct buf armour;

	(void)state;
	sign(SSHSIG_NAMESPACE, MESSAGE, &armour);
	for (size_t bit = 0; bit < 8 * armour.len; bit++) {
		armour.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_not_equal(verdict_of(&armour), ERR_NONE);
		armour.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(verdict_of(&armour), ERR_NONE);
	buf_clear(&armour);
}

static void test_every_truncation(void **state)
{
	struct buf armour;

	(void)state;
	sign(SSHSIG_NAMESPACE, MESSAGE, &armour);
	for (size_t n = 0; n < armour.len; n++) {
		/* exact, so that a read past the end is seen */
		char *head = text_copy_n(buf_text(&armour), n);

		assert_int_equal(verdict(head, n), ERR_CORRUPT);
		free(head);
		assert_int_equal(verdict(buf_text(&armour) + n + 1, armour.len - n - 1),
				 ERR_CORRUPT);
	}
	buf_clear(&armour);
}

/* A byte put in or taken out anywhere. */
static void test_every_insertion(void **state)
{
	static const char bytes[] = "\n\r\t -=A\0";
	struct buf armour, other;

	(void)state;
	sign(SSHSIG_NAMESPACE, MESSAGE, &armour);
	buf_init(&other, 2 * SSHSIG_ARMOUR_MAX);
	for (size_t at = 0; at <= armour.len; at++)
		for (size_t i = 0; i < sizeof(bytes) - 1; i++) {
			buf_reset(&other);
			buf_put(&other, armour.data, at);
			buf_put(&other, &bytes[i], 1);
			buf_put(&other, armour.data + at, armour.len - at);
			assert_int_equal(verdict_of(&other), ERR_CORRUPT);
		}
	for (size_t at = 0; at < armour.len; at++) {
		buf_reset(&other);
		buf_put(&other, armour.data, at);
		buf_put(&other, armour.data + at + 1, armour.len - at - 1);
		assert_int_equal(verdict_of(&other), ERR_CORRUPT);
	}
	buf_clear(&armour);
	buf_clear(&other);
}

/*
 * The same bytes in lines of another width, with other line ends, twice, or with something around.
 */
static void test_other_forms(void **state)
{
	static const char *const formats[] = {
		"%s\n", "\n%s", " %s", "%s%s", "%sx", "%s# comment\n", "x%s", "-%s",
	};
	struct buf armour, body, other;

	(void)state;
	sign(SSHSIG_NAMESPACE, MESSAGE, &armour);
	buf_init(&body, SSHSIG_ARMOUR_MAX);
	buf_init(&other, 8 * SSHSIG_ARMOUR_MAX);
	for (size_t at = 30; at < armour.len - 28; at++)
		if (armour.data[at] != '\n')
			buf_put(&body, armour.data + at, 1);
	for (size_t width = 1; width <= body.len; width++) {
		buf_reset(&other);
		buf_puts(&other, "-----BEGIN SSH SIGNATURE-----\n");
		for (size_t at = 0; at < body.len; at += width)
			buf_printf(&other, "%.*s\n", (int)width, buf_text(&body) + at);
		buf_puts(&other, "-----END SSH SIGNATURE-----\n");
		assert_int_equal(verdict_of(&other), width == 70 ? ERR_NONE : ERR_CORRUPT);
	}
	buf_reset(&other);
	for (const char *p = buf_text(&armour); *p; p++)
		buf_puts(&other, *p == '\n' ? "\r\n" : (char[]){*p, '\0'});
	assert_int_equal(verdict_of(&other), ERR_CORRUPT);
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		const char *format = formats[i], *p = strstr(format, "%s");

		buf_reset(&other);
		buf_put(&other, format, (size_t)(p - format));
		for (; strncmp(p, "%s", 2) == 0; p += 2)
			buf_puts(&other, buf_text(&armour));
		buf_puts(&other, p);
		assert_int_equal(verdict_of(&other), ERR_CORRUPT);
	}
	buf_clear(&armour);
	buf_clear(&body);
	buf_clear(&other);
}

static void refused_as(const char *armour, size_t len, const char *words)
{
	uint8_t signer[KEY_SIZE];
	struct err err = {0};

	assert_int_equal(sshsig_verify(armour, len, SSHSIG_NAMESPACE, MESSAGE, strlen(MESSAGE),
				       signer, &err),
			 -1);
	if (!strstr(err.text, words))
		fail_msg("\"%s\" instead of \"%s\"", err.text, words);
}

/* What no armour has is seen before anything is made of it. */
static void test_no_armour(void **state)
{
	struct buf armour, longer;

	(void)state;
	sign(SSHSIG_NAMESPACE, MESSAGE, &armour);
	buf_init(&longer, 2 * SSHSIG_ARMOUR_MAX);
	buf_put(&longer, armour.data, armour.len);
	while (longer.len <= SSHSIG_ARMOUR_MAX)
		buf_puts(&longer, "A");
	refused_as(buf_text(&longer), longer.len, "too long");
	refused_as(buf_text(&longer), longer.len - 1, "canonical form");
	armour.data[0] = '=';
	refused_as(buf_text(&armour), armour.len, "no line that begins it");
	refused_as("", 0, "no line that begins it");
	buf_clear(&armour);
	buf_clear(&longer);
}

/* --- other contents, in canonical armour --- */

struct fields {
	const char *magic, *key_type, *name_space, *reserved, *hash, *signature_type, *trailing;
	uint32_t version;
	size_t key_size, signature_size;
};

static const struct fields good = {
	.magic = "SSHSIG", .version = 1, .key_type = "ssh-ed25519", .name_space = "git",
	.reserved = "", .hash = "sha512", .signature_type = "ssh-ed25519", .trailing = "",
	.key_size = 32, .signature_size = 64,
};

static void put_text(struct buf *out, const char *text)
{
	buf_put_part(out, text, strlen(text));
}

static void put_armour(struct buf *out, const struct buf *blob)
{
	struct buf text;

	buf_init(&text, 10000);
	encode_base64(&text, blob->data, blob->len);
	buf_puts(out, "-----BEGIN SSH SIGNATURE-----\n");
	for (size_t at = 0; at < text.len; at += 70)
		buf_printf(out, "%.70s\n", buf_text(&text) + at);
	buf_puts(out, "-----END SSH SIGNATURE-----\n");
	buf_clear(&text);
}

/* A real signature cut out of our armour, put together again with other FIELDS. */
static enum err_code verdict_with(const struct fields *f)
{
	uint8_t key[200] = {0}, signature[200] = {0};
	struct buf armour, text, blob, other;
	enum err_code code;

	sign(SSHSIG_NAMESPACE, MESSAGE, &armour);
	buf_init(&text, 1000);
	buf_init(&blob, 1000);
	buf_init(&other, 2000);
	for (size_t at = 30; at < armour.len - 28; at++)
		if (armour.data[at] != '\n')
			buf_put(&text, armour.data + at, 1);
	assert_int_equal(decode_base64(buf_text(&text), text.len, &blob), 0);
	memcpy(key, blob.data + 10 + 4 + 15 + 4, 32);
	memcpy(signature, blob.data + blob.len - 64, 64);
	assert_memory_equal(key, public, KEY_SIZE);

	buf_reset(&blob);
	buf_puts(&blob, f->magic);
	buf_put_be32(&blob, f->version);
	buf_put_be32(&blob, (uint32_t)(4 + strlen(f->key_type) + 4 + f->key_size));
	put_text(&blob, f->key_type);
	buf_put_part(&blob, key, f->key_size);
	put_text(&blob, f->name_space);
	put_text(&blob, f->reserved);
	put_text(&blob, f->hash);
	buf_put_be32(&blob, (uint32_t)(4 + strlen(f->signature_type) + 4 + f->signature_size));
	put_text(&blob, f->signature_type);
	buf_put_part(&blob, signature, f->signature_size);
	buf_puts(&blob, f->trailing);
	assert_false(blob.failed);
	put_armour(&other, &blob);
	code = verdict_of(&other);
	buf_clear(&armour);
	buf_clear(&text);
	buf_clear(&blob);
	buf_clear(&other);
	return code;
}

static void test_fields(void **state)
{
	struct fields f = good;

	(void)state;
	assert_int_equal(verdict_with(&f), ERR_NONE);
#define TRY(field, value, code)                                                                    \
	do {                                                                                       \
		f = good;                                                                          \
		f.field = value;                                                                   \
		assert_int_equal(verdict_with(&f), code);                                          \
	} while (0)
	TRY(magic, "SSHSIH", ERR_CORRUPT);
	TRY(magic, "", ERR_CORRUPT);
	TRY(version, 0, ERR_CORRUPT);
	TRY(version, 2, ERR_CORRUPT);
	TRY(version, 0x01000000, ERR_CORRUPT);
	TRY(key_type, "ssh-rsa", ERR_REFUSED);
	TRY(key_type, "sk-ssh-ed25519@openssh.com", ERR_REFUSED);
	TRY(key_type, "ecdsa-sha2-nistp256", ERR_REFUSED);
	TRY(key_type, "", ERR_REFUSED);
	TRY(signature_type, "rsa-sha2-512", ERR_REFUSED);
	TRY(signature_type, "ssh-ed25519 ", ERR_REFUSED);
	TRY(name_space, "file", ERR_REFUSED);
	TRY(name_space, "", ERR_REFUSED);
	TRY(name_space, "git ", ERR_REFUSED);
	TRY(name_space, "GIT", ERR_REFUSED);
	TRY(hash, "sha256", ERR_REFUSED);
	TRY(hash, "SHA512", ERR_REFUSED);
	TRY(hash, "", ERR_REFUSED);
	TRY(reserved, "x", ERR_CORRUPT);
	TRY(trailing, "x", ERR_CORRUPT);
	TRY(trailing, "xxxx", ERR_CORRUPT);
	TRY(key_size, 31, ERR_CORRUPT);
	TRY(key_size, 33, ERR_CORRUPT);
	TRY(key_size, 0, ERR_CORRUPT);
	TRY(signature_size, 63, ERR_CORRUPT);
	TRY(signature_size, 65, ERR_CORRUPT);
	TRY(signature_size, 128, ERR_CORRUPT);
#undef TRY
}

static void test_not_over_this(void **state)
{
	struct buf armour;
	struct err err = {0};
	uint8_t signer[KEY_SIZE];

	(void)state;
	sign(SSHSIG_NAMESPACE, MESSAGE "x", &armour);
	assert_int_equal(verdict_of(&armour), ERR_REFUSED);
	buf_clear(&armour);
	sign("file", MESSAGE, &armour);
	assert_int_equal(verdict_of(&armour), ERR_REFUSED);
	assert_int_equal(sshsig_verify(buf_text(&armour), armour.len, "file", MESSAGE,
				       strlen(MESSAGE), signer, &err),
			 0);
	assert_int_equal(sshsig_verify(buf_text(&armour), armour.len, "file", MESSAGE,
				       strlen(MESSAGE) - 1, signer, &err),
			 -1);
	assert_int_equal(err.code, ERR_REFUSED);
	buf_clear(&armour);
	sign(SSHSIG_NAMESPACE, "", &armour);
	assert_int_equal(sshsig_verify(buf_text(&armour), armour.len, SSHSIG_NAMESPACE, NULL, 0,
				       signer, NULL),
			 0);
	assert_memory_equal(signer, public, KEY_SIZE);
	buf_clear(&armour);
}

/*
 * Ed25519 must not be malleable: s + L is the same number, and small-order keys verify anything in
 * lax code.
 */
static void test_malleable(void **state)
{
	static const uint8_t order[32] = {
		0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7,
		0xa2, 0xde, 0xf9, 0xde, 0x14, [31] = 0x10,
	};
	struct buf armour, text, blob, other;
	unsigned carry = 0;
	uint8_t *s;

	(void)state;
	sign(SSHSIG_NAMESPACE, MESSAGE, &armour);
	buf_init(&text, 1000);
	buf_init(&blob, 1000);
	buf_init(&other, 2000);
	for (size_t at = 30; at < armour.len - 28; at++)
		if (armour.data[at] != '\n')
			buf_put(&text, armour.data + at, 1);
	assert_int_equal(decode_base64(buf_text(&text), text.len, &blob), 0);
	s = blob.data + blob.len - 32;
	for (size_t i = 0; i < 32; i++) {
		carry += s[i] + order[i];
		s[i] = (uint8_t)carry;
		carry >>= 8;
	}
	put_armour(&other, &blob);
	assert_int_equal(verdict_of(&other), ERR_REFUSED);
	/* key and R are the point of order 1, s is 0 */
	memset(blob.data + 10 + 4 + 15 + 4, 0, 32);
	blob.data[10 + 4 + 15 + 4] = 1;
	memset(blob.data + blob.len - 64, 0, 64);
	blob.data[blob.len - 64] = 1;
	buf_reset(&other);
	put_armour(&other, &blob);
	assert_int_equal(verdict_of(&other), ERR_REFUSED);
	buf_clear(&armour);
	buf_clear(&text);
	buf_clear(&blob);
	buf_clear(&other);
}

static void test_odd_texts(void **state)
{
	static const char *const rows[] = {
		"",
		"\n",
		"-----BEGIN SSH SIGNATURE-----",
		"-----BEGIN SSH SIGNATURE-----\n",
		"-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----\n",
		"-----BEGIN SSH SIGNATURE-----\n\n-----END SSH SIGNATURE-----\n",
		"-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----\n",
		"-----BEGIN SSH SIGNATURE-----\nU1NIU0lHAAAAAf////8=\n-----END SSH "
		"SIGNATURE-----\n",
		"-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n",
		"-----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----\n",
	};
	char *big = malloc(100000);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(verdict(rows[i], strlen(rows[i])), ERR_CORRUPT);
	memset(big, 'A', 100000);
	assert_int_equal(verdict(big, 100000), ERR_CORRUPT);
	memset(big, '\n', 100000);
	assert_int_equal(verdict(big, 100000), ERR_CORRUPT);
	free(big);
}

/* --- ssh-keygen --- */

static char folder[] = "/tmp/muster-sshsig-XXXXXX";
static int folder_fd = -1;

/* Runs ssh-keygen in the folder with file INPUT as its input; gives its exit code. */
static int ssh_keygen(const char *input, const char *const argv[])
{
	pid_t pid = fork();
	int status = 0;

	assert_true(pid >= 0);
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);
		int in;

		if (fchdir(folder_fd) != 0)
			_exit(126);
		in = input ? open(input, O_RDONLY) : null;
		if (in < 0 || dup2(in, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0)
			_exit(126);
		/* the exit code says that it failed */
		(void)execvp("ssh-keygen", (char *const *)argv);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void write_file(const char *name, const void *data, size_t n, mode_t mode)
{
	struct err err = {0};

	assert_int_equal(fs_write_atomic(folder_fd, name, data, n, mode, &err), 0);
}

static void write_allowed(const uint8_t *key)
{
	struct buf line;

	buf_init(&line, 1000);
	buf_puts(&line, "muster ");
	sshsig_public_line(key, &line);
	buf_puts(&line, "\n");
	write_file("allowed", line.data, line.len, 0644);
	buf_clear(&line);
}

static void read_file(const char *name, struct buf *out)
{
	struct err err = {0};

	buf_init(out, 10000);
	assert_int_equal(fs_read(folder_fd, name, out, &err), 0);
}

/* A key of ssh-keygen's, or the test is skipped. */
static void make_ssh_key(void)
{
	const char *const argv[] = {"ssh-keygen", "-q",   "-t", "ed25519", "-N", "",
				    "-C",         "test", "-f", "key",     NULL};
	int code;

	(void)unlinkat(folder_fd, "key", 0);	 /* of a test before */
	(void)unlinkat(folder_fd, "key.pub", 0); /* of a test before */
	code = ssh_keygen(NULL, argv);
	if (code == 127) {
		print_message("skipped: there is no ssh-keygen\n");
		skip();
	}
	assert_int_equal(code, 0);
}

static int verify_with_ssh(const char *name_space, const char *message)
{
	const char *const argv[] = {"ssh-keygen", "-q",        "-Y",     "verify", "-f",
				    "allowed",    "-I",        "muster", "-n",     name_space,
				    "-s",         "signature", NULL};

	write_file("message", message, strlen(message), 0644);
	return ssh_keygen("message", argv);
}

static void test_ssh_takes_ours(void **state)
{
	uint8_t stranger[KEY_SIZE];
	struct buf armour;

	(void)state;
	make_ssh_key();
	sign(SSHSIG_NAMESPACE, MESSAGE, &armour);
	write_file("signature", armour.data, armour.len, 0644);
	write_allowed(public);
	assert_int_equal(verify_with_ssh("git", MESSAGE), 0);
	assert_int_not_equal(verify_with_ssh("git", MESSAGE "x"), 0);
	assert_int_not_equal(verify_with_ssh("file", MESSAGE), 0);
	memcpy(stranger, public, KEY_SIZE);
	stranger[0] ^= 1;
	write_allowed(stranger);
	assert_int_not_equal(verify_with_ssh("git", MESSAGE), 0);
	buf_clear(&armour);
}

/*
 * The seed within the file of an unencrypted key: it follows the second copy of the public key and
 * a size.
 */
static void seed_of_file(uint8_t out[static KEY_SIZE], uint8_t out_public[static KEY_SIZE])
{
	struct buf file, text, blob;
	struct cursor c;
	const uint8_t *at;
	size_t n;

	read_file("key", &file);
	buf_init(&text, 10000);
	buf_init(&blob, 10000);
	c = cursor_of(file.data, file.len);
	for (;;) {
		const char *line = cursor_line(&c, &n);

		if (!line)
			break;
		if (line[0] != '-')
			buf_put(&text, line, n);
	}
	assert_int_equal(decode_base64(buf_text(&text), text.len, &blob), 0);
	at = memmem(blob.data, blob.len, "ssh-ed25519\0\0\0 ", 15);
	assert_non_null(at);
	at = memmem(at + 1, blob.len - (size_t)(at + 1 - blob.data), "ssh-ed25519\0\0\0 ", 15);
	assert_non_null(at);
	memcpy(out_public, at + 15, KEY_SIZE);
	memcpy(out, at + 15 + KEY_SIZE + 4, KEY_SIZE);
	buf_clear(&file);
	buf_clear(&text);
	buf_clear(&blob);
}

static void test_ours_is_ssh(void **state)
{
	const char *const argv[] = {"ssh-keygen", "-q", "-Y",  "sign",    "-f",
				    "key",        "-n", "git", "message", NULL};
	uint8_t ssh_seed[KEY_SIZE], ssh_public[KEY_SIZE], derived[KEY_SIZE], signer[KEY_SIZE];
	struct buf theirs, ours, line, pub;
	struct err err = {0};

	(void)state;
	make_ssh_key();
	write_file("message", MESSAGE, strlen(MESSAGE), 0644);
	(void)unlinkat(folder_fd, "message.sig", 0); /* of a test before */
	assert_int_equal(ssh_keygen(NULL, argv), 0);
	read_file("message.sig", &theirs);
	assert_int_equal(sshsig_verify(buf_text(&theirs), theirs.len, "git", MESSAGE,
				       strlen(MESSAGE), signer, &err),
			 0);
	seed_of_file(ssh_seed, ssh_public);
	key_release_public(ssh_seed, derived);
	assert_memory_equal(signer, ssh_public, KEY_SIZE);
	assert_memory_equal(derived, ssh_public, KEY_SIZE);
	/* Ed25519 is deterministic: the same key over the same bytes gives the same armour */
	buf_init(&ours, SSHSIG_ARMOUR_MAX);
	sshsig_sign(ssh_seed, "git", MESSAGE, strlen(MESSAGE), &ours);
	assert_string_equal(buf_text(&ours), buf_text(&theirs));
	/* and the public line is that of key.pub */
	read_file("key.pub", &pub);
	buf_init(&line, 1000);
	sshsig_public_line(ssh_public, &line);
	buf_puts(&line, " test\n");
	assert_string_equal(buf_text(&line), buf_text(&pub));
	buf_clear(&theirs);
	buf_clear(&ours);
	buf_clear(&line);
	buf_clear(&pub);
}

/* What ssh-keygen makes with other keys and hashes is sound, but not ours. */
static void test_ssh_others_refused(void **state)
{
	const char *const ecdsa[] = {"ssh-keygen", "-q", "-t",    "ecdsa", "-N",
				     "",           "-f", "other", NULL};
	const char *const rsa[] = {"ssh-keygen", "-q", "-t", "rsa",   "-b", "2048",
				   "-N",         "",   "-f", "other", NULL};
	const char *const sign_other[] = {"ssh-keygen", "-q", "-Y",  "sign",    "-f",
					  "other",      "-n", "git", "message", NULL};
	const char *const sign_256[] = {"ssh-keygen",     "-q", "-Y",  "sign", "-O",
					"hashalg=sha256", "-f", "key", "-n",   "git",
					"message",        NULL};
	struct {
		const char *const *make, *const *sign;
		enum err_code code;
	} rows[] = {
		{ecdsa, sign_other, ERR_REFUSED},
		{rsa, sign_other, ERR_REFUSED},
		{NULL, sign_256, ERR_REFUSED},
	};

	(void)state;
	make_ssh_key();
	write_file("message", MESSAGE, strlen(MESSAGE), 0644);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf armour;

		(void)unlinkat(folder_fd, "other", 0);	     /* of the row before */
		(void)unlinkat(folder_fd, "other.pub", 0);   /* of the row before */
		(void)unlinkat(folder_fd, "message.sig", 0); /* of the row before */
		if (rows[i].make)
			assert_int_equal(ssh_keygen(NULL, rows[i].make), 0);
		if (ssh_keygen(NULL, rows[i].sign) != 0) {
			assert_ptr_equal(rows[i].sign, sign_256); /* an option since OpenSSH 8.9 */
			continue;
		}
		read_file("message.sig", &armour);
		assert_int_equal(verdict_of(&armour), rows[i].code);
		buf_clear(&armour);
	}
}

static int setup(void **state)
{
	struct err err;

	(void)state;
	crypto_random(seed, sizeof(seed));
	key_release_public(seed, public);
	return mkdtemp(folder) ? fs_open_dir(AT_FDCWD, folder, &folder_fd, &err) : -1;
}

static int teardown(void **state)
{
	struct err err;

	(void)state;
	(void)close(folder_fd);
	return fs_remove_tree(AT_FDCWD, folder, &err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_form),
		cmocka_unit_test(test_every_bit),
		cmocka_unit_test(test_every_truncation),
		cmocka_unit_test(test_every_insertion),
		cmocka_unit_test(test_other_forms),
		cmocka_unit_test(test_no_armour),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_not_over_this),
		cmocka_unit_test(test_malleable),
		cmocka_unit_test(test_odd_texts),
		cmocka_unit_test(test_ssh_takes_ours),
		cmocka_unit_test(test_ours_is_ssh),
		cmocka_unit_test(test_ssh_others_refused),
	};

	crypto_setup();
	return cmocka_run_group_tests(tests, setup, teardown);
}
