/* The keyring of a home: its text, where it comes from, what it opens. */
#include "core/fs.h"
#include "core/text.h"
#include "crypto/secret.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define A "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define B "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100"
#define PATH "/{urn:a}password"

static struct keyring *ring_of(const char *text)
{
	struct keyring *ring = NULL;
	struct err err = {.code = ERR_NONE};

	if (keyring_parse("etc/secret", text, strlen(text), &ring, &err) != 0)
		fail_msg("%s", err.text);
	return ring;
}

static char *sealed(const struct keyring *ring, const char *scope)
{
	struct err err = {.code = ERR_NONE};
	struct buf out;

	buf_init(&out, 4096);
	if (keyring_seal(ring, scope, PATH, "hunter2", 7, &out, &err) != 0)
		fail_msg("%s", err.text);
	return (char *)buf_steal(&out, NULL);
}

static void must_open(const struct keyring *ring, const char *scope, const char *text)
{
	struct err err = {.code = ERR_NONE};
	struct buf out;

	buf_init(&out, 4096);
	if (keyring_open(ring, scope, PATH, text, &out, &err) != 0)
		fail_msg("%s", err.text);
	assert_string_equal(buf_text(&out), "hunter2");
	seal_wipe(&out);
}

static void must_not_open(const struct keyring *ring, const char *scope, const char *text,
			  const char *want)
{
	struct err err = {.code = ERR_NONE};
	struct buf out;

	buf_init(&out, 4096);
	assert_int_equal(keyring_open(ring, scope, PATH, text, &out, &err), -1);
	if (!strstr(err.text, want))
		fail_msg("\"%s\" has no \"%s\"", err.text, want);
	assert_int_equal(out.len, 0);
	buf_clear(&out);
}

static void test_parse(void **state)
{
	static const struct {
		const char *text;
		size_t count, secrets;
	} good[] = {
		{A, 1, 1},
		{A "\n", 1, 1},
		{" " A " ,\n" B "\n", 2, 2},
		{"role:internal:" A, 1, 0},
		{A ",role:a.b-c:" B, 2, 1},
		{"FFEEDDCCBBAA99887766554433221100ffeeddccbbaa99887766554433221100", 1, 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct keyring *ring = ring_of(good[i].text);

		assert_int_equal(keyring_count(ring), good[i].count);
		assert_int_equal(keyring_secrets(ring), good[i].secrets);
		keyring_free(ring);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *text, *want;
	} bad[] = {
		{"", "entry 1 is empty"},
		{"\n", "entry 1 is empty"},
		{A ",", "entry 2 is empty"},
		{"," A, "entry 1 is empty"},
		{"0001", "entry 1 is too short"},
		{A ",00", "entry 2 is too short"},
		{A "00", "entry 1 is too long"},
		{"password", "neither 64 hex digits"},
		{A " " B, "neither 64 hex digits"},
		{"role:internal", "has no key"},
		{"role::" A, "names no role"},
		{"role:../x:" A, "names no role"},
		{"role:HEAD:" A, "names no role"},
		{"role:internal:" A "0", "too long"},
		{"role:internal:", "too short"},
		{"role:a:b:" A, "neither"},
	};
	struct keyring *ring = NULL;
	struct buf many;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err err = {.code = ERR_NONE};

		assert_int_equal(
			keyring_parse("etc/secret", bad[i].text, strlen(bad[i].text), &ring, &err),
			-1);
		assert_int_equal(err.code, ERR_REFUSED);
		if (!strstr(err.text, bad[i].want))
			fail_msg("\"%s\" has no \"%s\"", err.text, bad[i].want);
		assert_null(strstr(err.text, "0102"));
		assert_null(strstr(err.text, "password"));
	}
	assert_int_equal(keyring_parse("x", A "\0", 65, &ring, NULL), -1); /* a NUL */
	buf_init(&many, 1 << 16);
	for (size_t i = 0; i <= LIMIT_SECRET_KEYS; i++)
		buf_printf(&many, "%s%s", i ? "," : "", A);
	assert_int_equal(keyring_parse("x", buf_text(&many), many.len, &ring, NULL), -1);
	buf_clear(&many);
}

static void test_first_seals(void **state)
{
	struct keyring *a = ring_of(A), *b = ring_of(B), *ab = ring_of(A "," B);
	char *by_a = sealed(a, "config"), *by_b = sealed(b, "config"),
	     *by_ab = sealed(ab, "config");

	(void)state;
	assert_string_equal(by_a, by_ab);
	must_open(ab, "config", by_a);
	must_open(ab, "config", by_b);
	must_not_open(a, "config", by_b,
		      "which is not in etc/secret (for config it holds 246c084b)");
	must_not_open(a, "role/default", by_a, "sealed with key 246c084b, which is not in");
	must_not_open(b, "config", by_a, "sealed with key 246c084b, which is not in");
	free(by_a);
	free(by_b);
	free(by_ab);
	keyring_free(a);
	keyring_free(b);
	keyring_free(ab);
}

static void test_roles(void **state)
{
	struct keyring *a = ring_of(A "," B), *role, *none = keyring_new();
	char *internal = sealed(a, "role/internal"), *config = sealed(a, "config"), *copy;
	char id[SEAL_ID_HEX_SIZE];
	struct err err = {.code = ERR_NONE};
	struct buf text, out;

	(void)state;
	buf_init(&text, 4096);
	buf_init(&out, 4096);
	assert_int_equal(keyring_put_role(a, "internal", &text, &err), 0);
	role = ring_of(buf_text(&text));
	assert_int_equal(keyring_count(role), 2); /* both, so that a rotation loses nobody */
	must_open(role, "role/internal", internal);
	copy = sealed(role, "role/internal");
	assert_string_equal(copy, internal);
	must_not_open(role, "config", config, "only keys of other roles");
	must_not_open(role, "role/default", internal, "only keys of other roles");
	must_not_open(none, "role/internal", internal, "there is no secret here");
	assert_false(keyring_seals(role, "config", id));
	assert_false(keyring_seals(none, "config", id));
	assert_true(keyring_seals(a, "config", id));
	assert_string_equal(id, "246c084b");
	assert_int_equal(keyring_seal(role, "config", PATH, "x", 1, &out, &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	assert_int_equal(keyring_put_role(none, "internal", &out, &err), -1);
	assert_int_equal(err.code, ERR_GONE);
	buf_reset(&out);
	keyring_put_ids(role, "role/internal", &out);
	assert_int_equal(out.len, 17);
	keyring_put_ids(role, "role/other", &out);
	assert_int_equal(out.len, 17);
	free(copy);
	free(internal);
	free(config);
	seal_wipe(&text);
	buf_clear(&out);
	keyring_free(a);
	keyring_free(role);
	keyring_free(none);
}

static void test_rotation(void **state)
{
	struct keyring *ring = ring_of(A);
	char *before = sealed(ring, "config"), *after, id[SEAL_ID_HEX_SIZE];
	struct err err = {.code = ERR_NONE};

	(void)state;
	assert_int_equal(keyring_add_fresh(ring, &err), 0);
	assert_true(keyring_id(ring, 1, "config", id));
	after = sealed(ring, "config");
	assert_string_equal(before, after);
	free(after);
	assert_int_equal(keyring_promote(ring, "00000000", &err), -1);
	assert_int_equal(err.code, ERR_GONE);
	assert_int_equal(keyring_promote(ring, id, &err), 0);
	after = sealed(ring, "config");
	assert_string_not_equal(before, after);
	assert_int_equal(strncmp(after + 9, id, 8), 0);
	must_open(ring, "config", before);
	assert_int_equal(keyring_promote(ring, id, &err), 0); /* once more changes nothing */
	must_open(ring, "config", before);
	assert_int_equal(keyring_count(ring), 2);
	while (keyring_count(ring) < LIMIT_SECRET_KEYS)
		assert_int_equal(keyring_add_fresh(ring, &err), 0);
	assert_int_equal(keyring_add_fresh(ring, &err), -1);
	free(before);
	free(after);
	keyring_free(ring);
}

/* --- sources --- */

struct place {
	char *folder;
	struct home home;
};

static void forget_variables(void)
{
	static const char *const names[] = {"MUSTER_CONFIG_SECRET", "CONFIG_ENCRYPTION_KEY",
					    "MUSTER_CONFIG_SECRET_FILE", "CREDENTIALS_DIRECTORY"};

	for (size_t i = 0; i < 4; i++)
		assert_int_equal(unsetenv(names[i]), 0);
}

static int setup(void **state)
{
	struct place *p = mem_new(1, sizeof(*p));
	const char *base = getenv("TMPDIR");
	struct err err;

	forget_variables();
	p->folder = text_format("%s/muster-test.XXXXXX", base && *base ? base : "/tmp");
	assert_non_null(mkdtemp(p->folder));
	assert_int_equal(home_init(&p->home, p->folder, &err), 0);
	assert_int_equal(home_open(&p->home, true, &err), 0);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;
	struct err err;

	forget_variables();
	home_clear(&p->home);
	assert_int_equal(fs_remove_tree(AT_FDCWD, p->folder, &err), 0);
	free(p->folder);
	free(p);
	return 0;
}

static void write_as(const struct place *p, const char *name, const char *text, mode_t mode)
{
	struct err err;

	assert_int_equal(fs_write_atomic(p->home.etc_fd, name, text, strlen(text), 0600, &err), 0);
	assert_int_equal(fchmodat(p->home.etc_fd, name, mode, 0), 0);
}

static void loads(const struct place *p, const char *source, size_t count)
{
	struct keyring *ring = NULL;
	struct err err = {.code = ERR_NONE};

	if (keyring_load(&p->home, &ring, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(keyring_count(ring), count);
	assert_non_null(strstr(keyring_source(ring), source));
	keyring_free(ring);
}

static void refused(const struct place *p, const char *want)
{
	struct keyring *ring = NULL;
	struct err err = {.code = ERR_NONE};

	assert_int_equal(keyring_load(&p->home, &ring, &err), -1);
	assert_null(ring);
	assert_int_equal(err.code, ERR_REFUSED);
	if (!strstr(err.text, want))
		fail_msg("\"%s\" has no \"%s\"", err.text, want);
}

static void test_order(void **state)
{
	struct place *p = *state;
	char *file = home_etc(&p->home, "named");

	loads(p, "", 0);
	write_as(p, "secret", A "," A "," A "," A "," A, 0600);
	loads(p, "etc/secret", 5);
	write_as(p, "muster.secret", A "," A "," A "," A, 0444);
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", p->home.var, 1), 0);
	loads(p, "etc/secret", 5); /* the folder has no such credential */
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", p->home.etc, 1), 0);
	loads(p, "muster.secret", 4);
	write_as(p, "named", A "," A "," A, 0600);
	assert_int_equal(setenv("MUSTER_CONFIG_SECRET_FILE", file, 1), 0);
	loads(p, "named", 3);
	assert_int_equal(setenv("CONFIG_ENCRYPTION_KEY", A "," A, 1), 0);
	loads(p, "CONFIG_ENCRYPTION_KEY", 2);
	assert_int_equal(setenv("MUSTER_CONFIG_SECRET", A, 1), 0);
	loads(p, "MUSTER_CONFIG_SECRET", 1);
	assert_int_equal(setenv("MUSTER_CONFIG_SECRET", "", 1), 0);
	loads(p, "CONFIG_ENCRYPTION_KEY", 2);
	free(file);
}

/* The first that is there counts: one that cannot be used is not passed over. */
static void test_bad_sources(void **state)
{
	static const mode_t open_modes[] = {0604, 0602, 0601, 0666, 0644, 0620, 0777};
	struct place *p = *state;
	char *missing = home_etc(&p->home, "missing");

	for (size_t i = 0; i < sizeof(open_modes) / sizeof(open_modes[0]); i++) {
		write_as(p, "secret", A, open_modes[i]);
		refused(p, "chmod 600");
	}
	write_as(p, "secret", A, 0640); /* a mounted one is often its group's */
	loads(p, "etc/secret", 1);
	write_as(p, "secret", "0123", 0600);
	refused(p, "etc/secret: entry 1 is too short");
	write_as(p, "secret", "", 0600);
	refused(p, "entry 1 is empty");
	write_as(p, "secret", A, 0600);
	assert_int_equal(setenv("MUSTER_CONFIG_SECRET_FILE", missing, 1), 0);
	refused(p, "MUSTER_CONFIG_SECRET_FILE: ");
	assert_int_equal(setenv("MUSTER_CONFIG_SECRET", "short", 1), 0);
	refused(p, "MUSTER_CONFIG_SECRET: entry 1");
	assert_int_equal(unsetenv("MUSTER_CONFIG_SECRET"), 0);
	assert_int_equal(unsetenv("MUSTER_CONFIG_SECRET_FILE"), 0);
	assert_int_equal(unlinkat(p->home.etc_fd, "secret", 0), 0);
	assert_int_equal(mkdirat(p->home.etc_fd, "secret", 0700), 0);
	refused(p, "not a regular file");
	free(missing);
}

static void test_save(void **state)
{
	struct place *p = *state;
	struct keyring *ring = ring_of(A ",role:internal:" B), *back = NULL;
	struct err err;
	struct stat st;
	struct buf text;

	buf_init(&text, 4096);
	assert_int_equal(keyring_save(&p->home, ring, &err), 0);
	assert_int_equal(fstatat(p->home.etc_fd, "secret", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(fs_read(p->home.etc_fd, "secret", &text, &err), 0);
	assert_string_equal(buf_text(&text), A ",role:internal:" B "\n");
	assert_int_equal(keyring_load(&p->home, &back, &err), 0);
	assert_true(keyring_is_file(back));
	keyring_free(back);
	/* a mounted secret is a link, which must not be replaced */
	assert_int_equal(renameat(p->home.etc_fd, "secret", p->home.etc_fd, "real"), 0);
	assert_int_equal(symlinkat("real", p->home.etc_fd, "secret"), 0);
	assert_int_equal(keyring_load(&p->home, &back, &err), 0);
	assert_false(keyring_is_file(back));
	keyring_free(back);
	keyring_free(ring);
	buf_clear(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_first_seals),
		cmocka_unit_test(test_roles),
		cmocka_unit_test(test_rotation),
		cmocka_unit_test_setup_teardown(test_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_sources, setup, teardown),
		cmocka_unit_test_setup_teardown(test_save, setup, teardown),
	};

	crypto_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
