/* repo/pin: one canonical signed form; whatever else is refused. */
#include "repo/pin.h"

#include "core/fs.h"
#include "crypto/sshsig.h"
#include "repo/release.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct identity *identity;

static int setup(void **state)
{
	(void)state;
	crypto_setup();
	identity = identity_new();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	identity_free(identity);
	return 0;
}

static struct pin good(void)
{
	struct pin pin = {.hold = true, .sequence = 3};

	memset(pin.release.id, 0xab, OID_SIZE);
	memcpy(pin.node, "node1", 6);
	memcpy(pin.cluster_id, identity->cluster_id, CLUSTER_ID_SIZE);
	memcpy(pin.reason, "the new one loses sessions", 27);
	memcpy(pin.tagger, "muster <admin@admin.example.com> 1700000000 +0000", 50);
	return pin;
}

static void sign(const struct pin *pin, struct buf *raw)
{
	buf_init(raw, PIN_RAW_MAX);
	pin_sign(pin, identity->release_seed[0], raw);
	assert_false(raw->failed);
}

static void comes_back_as_it_was(void **state)
{
	struct pin in = good(), out;
	struct buf raw;
	struct err err;

	(void)state;
	for (int hold = 0; hold < 2; hold++) {
		in.hold = hold;
		sign(&in, &raw);
		assert_int_equal(pin_parse(raw.data, raw.len, &out, &err), 0);
		assert_memory_equal(out.signer, identity->release_public[0], KEY_SIZE);
		assert_int_equal(out.hold, hold);
		assert_true(out.sequence == 3);
		assert_string_equal(out.reason, in.reason);
		assert_string_equal(out.node, "node1");
		assert_true(oid_equal(&out.release, &in.release));
		buf_clear(&raw);
	}
}

static void longest_fields_fit(void **state)
{
	struct pin in = good(), out;
	struct buf raw;
	struct err err;

	(void)state;
	memset(in.node, 'n', NAME_MAX_LEN);
	in.node[NAME_MAX_LEN] = '\0';
	memset(in.reason, 'r', PIN_REASON_MAX);
	in.reason[PIN_REASON_MAX] = '\0';
	in.sequence = UINT64_MAX;
	in.hold = false;
	(void)snprintf(in.tagger, sizeof(in.tagger), "muster <admin@%0255d> 9999999999 +0000", 0);
	sign(&in, &raw);
	assert_int_equal(pin_parse(raw.data, raw.len, &out, &err), 0);
	buf_clear(&raw);
}

static void every_flip_and_cut_is_refused(void **state)
{
	struct pin in = good(), out;
	struct buf raw;
	struct err err;

	(void)state;
	sign(&in, &raw);
	for (size_t bit = 0; bit < raw.len * 8; bit++) {
		raw.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(pin_parse(raw.data, raw.len, &out, &err), -1);
		raw.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (size_t n = 0; n < raw.len; n++)
		assert_int_equal(pin_parse(raw.data, n, &out, &err), -1);
	assert_int_equal(pin_parse(raw.data, raw.len, &out, &err), 0);
	buf_clear(&raw);
}

/* A pin whose text is changed and signed again by the right key: only the one form is taken. */
static void signed_but_other_forms_are_refused(void **state)
{
	static const char *const changes[][2] = {
		{"type commit", "type tree"},
		{"tag node1", "tag node2"},
		{"Muster-Action: hold", "Muster-Action: stop"},
		{"Muster-Action: hold", "Muster-Action: follow"}, /* the message says hold */
		{"Muster-Pin-Sequence: 3", "Muster-Pin-Sequence: 03"},
		{"Muster-Pin-Sequence: 3", "Muster-Pin-Sequence: 0"},
		{"Muster-Pin-Sequence: 3", "Muster-Pin-Sequence: -3"},
		{"Muster-Node: node1", "Muster-Node: node2"},
		{"Muster-Node: node1", "Muster-Node: ../x"},
		{"Muster-Reason: the", "Muster-Reason:  the"},
		{"Muster-Reason: the", "Muster-Reason: the\nMuster-Reason: the"},
		{"Muster-Cluster: ", "Muster-Cluster: 00"},
		{"hold node1\n", "hold node1 \n"},
		{"tagger muster <", "tagger someone <"},
		{"+0000", "+0100"},
		{"object ", "object  "},
	};
	struct pin in = good(), out;
	struct buf raw;
	struct err err;

	(void)state;
	sign(&in, &raw);
	*strstr((char *)raw.data, "-----BEGIN") = '\0';
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		const char *text = buf_text(&raw), *at = strstr(text, changes[i][0]);
		struct buf other;

		assert_non_null(at);
		buf_init(&other, PIN_RAW_MAX * 2);
		buf_put(&other, text, (size_t)(at - text));
		buf_puts(&other, changes[i][1]);
		buf_puts(&other, at + strlen(changes[i][0]));
		sshsig_sign(identity->release_seed[0], SSHSIG_NAMESPACE, other.data, other.len,
			    &other);
		assert_int_equal(pin_parse(other.data, other.len, &out, &err), -1);
		buf_clear(&other);
	}
	buf_clear(&raw);
}

/* A pin that says what a signature cannot make good; the fields are written as pin_sign does it. */
static void must_refuse(const char *node, const char *reason, const char *words)
{
	struct pin out;
	struct buf raw;
	struct err err;

	buf_init(&raw, 8000);
	buf_printf(&raw,
		   "object %040d\ntype commit\ntag %s\n"
		   "tagger muster <admin@admin.example.com> 1700000000 +0000\n\nhold %s\n\n"
		   "Muster-Cluster: %032d\nMuster-Node: %s\nMuster-Action: hold\n"
		   "Muster-Pin-Sequence: 3\nMuster-Reason: %s\n",
		   1, node, node, 0, node, reason);
	sshsig_sign(identity->release_seed[0], SSHSIG_NAMESPACE, raw.data, raw.len, &raw);
	assert_false(raw.failed);
	assert_int_equal(pin_parse(raw.data, raw.len, &out, &err), words ? -1 : 0);
	if (words && !strstr(err.text, words))
		fail_msg("\"%s\" instead of \"%s\"", err.text, words);
	buf_clear(&raw);
}

static void fields_out_of_bounds_are_refused(void **state)
{
	char longest[PIN_RAW_MAX + 1] = "";
	struct pin in = good(), out;
	struct buf raw;
	struct err err;

	(void)state;
	must_refuse("node1", "because", NULL);
	must_refuse("../node1", "because", "its node is no name");
	must_refuse("", "because", "its node is no name");
	memset(longest, 'r', sizeof(longest) - 1);
	must_refuse("node1", longest + PIN_RAW_MAX - PIN_REASON_MAX, NULL);
	must_refuse("node1", longest + PIN_RAW_MAX - PIN_REASON_MAX - 1,
		    "Muster-Reason is longer than 200 bytes");
	must_refuse("node1", longest + PIN_RAW_MAX - 2 * PIN_REASON_MAX,
		    "Muster-Reason is longer than 200 bytes");
	must_refuse("node1", longest, "is larger than 1400 bytes");
	must_refuse(longest + PIN_RAW_MAX - NAME_MAX_LEN - 1, "because", "longer than");
	sign(&in, &raw);
	raw.data[strlen("object ")] = '\0';
	assert_int_equal(pin_parse(raw.data, raw.len, &out, &err), -1);
	assert_non_null(strstr(err.text, "holds a NUL"));
	buf_clear(&raw);
}

static void unsigned_and_wrong_namespace_are_refused(void **state)
{
	struct pin in = good(), out;
	struct buf raw;
	struct err err;

	(void)state;
	sign(&in, &raw);
	raw.len = (size_t)(strstr(buf_text(&raw), "-----BEGIN") - buf_text(&raw));
	assert_int_equal(pin_parse(raw.data, raw.len, &out, &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	assert_non_null(strstr(err.text, "not signed"));
	sshsig_sign(identity->release_seed[0], "file", raw.data, raw.len, &raw);
	assert_int_equal(pin_parse(raw.data, raw.len, &out, &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	buf_clear(&raw);
}

static void reasons_become_one_clean_line(void **state)
{
	char out[PIN_REASON_MAX + 1], longest[PIN_REASON_MAX + 10];

	(void)state;
	pin_reason("two\nlines\t\x1b[31m  ", out);
	assert_string_equal(out, "two?lines??[31m");
	pin_reason("", out);
	assert_string_equal(out, "-");
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	memcpy(longest + PIN_REASON_MAX - 1, "\xc3\xa9", 2); /* a character over the limit */
	pin_reason(longest, out);
	assert_int_equal(strlen(out), PIN_REASON_MAX - 1);
}

/* Runs CMD; its exit status. */
static int run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static int run(const char *fmt, ...)
{
	char cmd[4096];
	va_list ap;
	pid_t pid;
	int status = -1;

	va_start(ap, fmt);
	(void)vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	pid = fork();
	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", cmd, (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void stock_git_verifies_it(void **state)
{
	char folder[] = "/tmp/muster-pin.XXXXXX";
	struct pin in = good();
	struct buf raw, signers;
	struct err err;
	char *path;

	(void)state;
	if (run("command -v git ssh-keygen >/dev/null") != 0) {
		print_message("skipped: git or ssh-keygen is missing\n");
		skip();
	}
	assert_non_null(mkdtemp(folder));
	assert_int_equal(
		run("cd %s && git init -q --bare r && cd r && T=$(git mktree </dev/null) && "
		    "git -c user.name=a -c user.email=b commit-tree -m x $T >../commit",
		    folder),
		0);
	path = text_format("%s/commit", folder);
	buf_init(&signers, 4096);
	assert_int_equal(fs_read(AT_FDCWD, path, &signers, &err), 0);
	signers.data[OID_HEX] = '\0';
	assert_int_equal(oid_parse(buf_text(&signers), &in.release), 0);
	free(path);
	sign(&in, &raw);
	path = text_format("%s/tag", folder);
	assert_int_equal(fs_write_new(AT_FDCWD, path, raw.data, raw.len, 0600, &err), 0);
	free(path);
	buf_reset(&signers);
	buf_puts(&signers, "admin@admin.example.com ");
	sshsig_public_line(identity->release_public[0], &signers);
	buf_puts(&signers, "\n");
	path = text_format("%s/signers", folder);
	assert_int_equal(fs_write_new(AT_FDCWD, path, signers.data, signers.len, 0600, &err), 0);
	free(path);
	assert_int_equal(
		run("cd %s/r && git update-ref refs/tags/node1 $(git hash-object -t tag -w ../tag) "
		    "&& "
		    "git -c gpg.ssh.allowedSignersFile=%s/signers verify-tag node1 2>/dev/null",
		    folder, folder),
		0);
	assert_int_equal(run("rm -rf %s", folder), 0);
	buf_clear(&raw);
	buf_clear(&signers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_back_as_it_was),
		cmocka_unit_test(longest_fields_fit),
		cmocka_unit_test(every_flip_and_cut_is_refused),
		cmocka_unit_test(signed_but_other_forms_are_refused),
		cmocka_unit_test(fields_out_of_bounds_are_refused),
		cmocka_unit_test(unsigned_and_wrong_namespace_are_refused),
		cmocka_unit_test(reasons_become_one_clean_line),
		cmocka_unit_test(stock_git_verifies_it),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
