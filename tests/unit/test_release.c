/* Releases as raw commits: one form, whoever signs; and stock git takes it. */
#include "repo_fixture.h"

#include "core/limits.h"

/* A signed release with a parent, as text. */
static char *sample(struct fixture *f)
{
	struct oid parent = {{5}};
	struct release r = new_release(f->repo, 2, &parent, "<config/>\n", f->keys[ADMIN]);
	struct buf raw;
	char *out;

	memcpy(r.keys[1], f->keys[NEXT], KEY_SIZE);
	r.key_count = 2;
	buf_init(&raw, LIMIT_COMMIT_SIZE);
	must(release_sign(&r, f->seeds[ADMIN], &raw, err));
	out = text_copy(buf_text(&raw));
	buf_clear(&raw);
	release_clear(&r);
	return out;
}

/* Parses TEXT, which must be refused; it is freed. */
#define refused(text, code, words)                                                                 \
	do {                                                                                       \
		char *refused_text = (text);                                                       \
		struct release refused_out;                                                        \
		must_fail(release_parse(refused_text, strlen(refused_text), &refused_out, err),    \
			  code, words);                                                            \
		free(refused_text);                                                                \
	} while (0)

/* The sample with WHAT replaced by WITH and signed again: only the form is wrong. */
static char *resigned(struct fixture *f, const char *what, const char *with)
{
	char *raw = sample(f), *headers, *body, *out;

	split_raw(raw, &headers, &body);
	if (strstr(headers, what))
		headers = swapped(headers, what, with);
	else
		body = swapped(body, what, with);
	out = signed_raw(f->seeds[ADMIN], headers, body);
	free(raw);
	free(headers);
	free(body);
	return out;
}

static void signed_and_parsed(void **state)
{
	struct fixture *f = *state;
	struct oid parent = {{5}};
	struct release r = new_release(f->repo, 2, &parent, "<config/>\n", f->keys[NEXT]), got;
	struct buf raw, again;

	r.removed = true;
	buf_init(&raw, LIMIT_COMMIT_SIZE);
	buf_init(&again, LIMIT_COMMIT_SIZE);
	must(release_sign(&r, f->seeds[ADMIN], &raw, err));
	must(release_parse(raw.data, raw.len, &got, err));
	assert_true(oid_equal(&got.tree, &r.tree) && got.has_parent &&
		    oid_equal(&got.parent, &parent));
	assert_string_equal(got.author, "Ada Writer <ada@example.com> 1700000000 +0100");
	assert_string_equal(got.committer, "muster <admin@admin.example.com> 1700000100 +0000");
	assert_string_equal(got.message, "change 2\n\nwhy it was made\n");
	assert_memory_equal(got.cluster_id, r.cluster_id, CLUSTER_ID_SIZE);
	assert_string_equal(got.role, "web");
	assert_int_equal(got.sequence, 2);
	assert_true(oid_equal(&got.source, &r.source));
	assert_memory_equal(got.digest, r.digest, DIGEST_SIZE);
	assert_int_equal(got.key_count, 1);
	assert_memory_equal(got.keys[0], f->keys[NEXT], KEY_SIZE);
	assert_true(got.removed);
	assert_memory_equal(got.signer, f->keys[ADMIN], KEY_SIZE);
	/* one form: the same again */
	must(release_sign(&got, f->seeds[ADMIN], &again, err));
	assert_int_equal(again.len, raw.len);
	assert_memory_equal(again.data, raw.data, raw.len);
	buf_clear(&raw);
	buf_clear(&again);
	release_clear(&r);
	release_clear(&got);
}

static void has_the_documented_form(void **state)
{
	struct fixture *f = *state;
	char *raw = sample(f), *headers, *body;

	split_raw(raw, &headers, &body);
	assert_true(text_starts(strstr(headers, "\nparent "),
				"\nparent 0500000000000000000000000000000000000000\n"
				"author Ada Writer <ada@example.com> 1700000000 +0100\n"
				"committer muster <admin@admin.example.com> 1700000100 +0000\n"));
	assert_true(text_starts(body, "\nchange 2\n\nwhy it was made\n\n"
				      "Muster-Cluster: 01010101010101010101010101010101\n"
				      "Muster-Role: web\nMuster-Sequence: 2\n"
				      "Muster-Source: abababababababababababababababababababab\n"
				      "Muster-Digest: blake2b-256:"));
	assert_true(text_ends(body, "=\n"));
	free(raw);
	free(headers);
	free(body);
}

static void stock_git_verifies(void **state)
{
	struct fixture *f = *state;
	struct release r = new_release(f->repo, 1, NULL, "<config/>\n", f->keys[ADMIN]);
	struct oid oid;
	struct buf line;
	char *text, *command, hex[OID_HEX_SIZE];

	need("git");
	need("ssh-keygen");
	free(r.message);
	r.message = release_message_clean("grüße\n\nMuster-Via: page\nSigned-off-by: a <b@c>\n");
	oid = put_release(f->repo, &r, f->seeds[ADMIN]);
	must(repo_ref_set(f->repo, "refs/heads/web", NULL, &oid, err));
	buf_init(&line, 1000);
	buf_puts(&line, "muster namespaces=\"git\" ");
	sshsig_public_line(f->keys[ADMIN], &line);
	command = text_format("echo '%.*s' > ../allowed; git config gpg.ssh.allowedSignersFile "
			      "\"$PWD/../allowed\"; git verify-commit -v web && git fsck --strict",
			      (int)strcspn(buf_text(&line), "\n"), buf_text(&line));
	text = answer(f->path, command);
	assert_non_null(strstr(text, "Good \"git\" signature for muster with ED25519 key"));
	free(text);
	text = answer(f->path, "git log --show-signature web --");
	assert_non_null(strstr(text, "Good \"git\" signature for muster with ED25519 key"));
	assert_non_null(strstr(text, "grüße"));
	free(text);
	expect_answer(f->path, "git log --format='%an %ae %ad|%cn %ce %cd|%G?' --date=raw web --",
		      "Ada Writer ada@example.com 1700000000 +0100|muster admin@admin.example.com "
		      "1700000100 +0000|G");
	expect_answer(f->path, "git log --format='%(trailers:key=Muster-Role,valueonly)' web --",
		      "web\n");
	/* and what git makes of the bytes has the same id */
	text = answer(f->path, "git cat-file commit web | git hash-object -t commit --stdin");
	assert_string_equal(text, oid_hex(&oid, hex));
	free(text);
	/* another key is not trusted */
	buf_reset(&line);
	sshsig_public_line(f->keys[STRANGER], &line);
	free(command);
	command = text_format("echo 'muster %.*s' > ../allowed; git verify-commit web",
			      (int)strcspn(buf_text(&line), "\n"), buf_text(&line));
	assert_int_not_equal(run(f->path, NULL, command), 0);
	free(command);
	buf_clear(&line);
}

static void every_bit_flip(void **state)
{
	struct fixture *f = *state;
	char *raw = sample(f);
	size_t n = strlen(raw);
	uint8_t *copy = mem_new(n, 1);
	struct release out;

	for (size_t bit = 0; bit < n * 8; bit++) {
		memcpy(copy, raw, n);
		copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (release_parse(copy, n, &out, NULL) == 0)
			fail_msg("bit %zu of byte %zu was not noticed", bit % 8, bit / 8);
	}
	free(copy);
	free(raw);
}

static void every_truncation(void **state)
{
	struct fixture *f = *state;
	char *raw = sample(f), *sig = strstr(raw, "gpgsig "), *end = strstr(raw, "\n\n");
	size_t n = strlen(raw), first = (size_t)(sig - raw), last = (size_t)(end - raw);
	struct release out;
	uint8_t *copy;

	for (size_t cut = 0; cut < n; cut++) {
		copy = mem_new(cut, 1);
		memcpy(copy, raw, cut);
		assert_int_equal(release_parse(copy, cut, &out, NULL), -1);
		free(copy);
	}
	/* bytes taken out of the signature block, from its end and from its beginning, with the
	 * rest whole */
	for (size_t cut = first; cut < last; cut++) {
		copy = mem_new(n, 1);
		memcpy(copy, raw, cut);
		memcpy(copy + cut, raw + last, n - last);
		assert_int_equal(release_parse(copy, cut + n - last, &out, NULL), -1);
		memcpy(copy + first, raw + cut + 1, n - cut - 1);
		assert_int_equal(release_parse(copy, first + n - cut - 1, &out, NULL), -1);
		free(copy);
	}
	free(raw);
}

static void bytes_added(void **state)
{
	static const char *const extra[] = {"\n",
					    " ",
					    "x",
					    "\n\n",
					    "Muster-Role-State: removed\n",
					    "Muster-Role: web\n",
					    "\nMuster-Role: web\n"};
	struct fixture *f = *state;
	char *raw = sample(f);
	size_t n = strlen(raw);
	struct release out;

	for (size_t i = 0; i < sizeof(extra) / sizeof(extra[0]); i++) {
		/* the state of a role in its place is well formed, but not what was signed */
		refused(text_format("%s%s", raw, extra[i]),
			strcmp(extra[i], extra[4]) == 0 ? ERR_REFUSED : ERR_CORRUPT, "");
		refused(text_format("%s%s", extra[i], raw), ERR_CORRUPT, "");
	}
	/* the NUL that ends the string */
	must_fail(release_parse(raw, n + 1, &out, err), ERR_CORRUPT, "NUL");
	must_fail(release_parse("", 0, &out, err), ERR_CORRUPT, "ends where \"tree\"");
	free(raw);
}

static void unsigned_release(void **state)
{
	struct fixture *f = *state;
	char *raw = sample(f), *headers, *body;

	split_raw(raw, &headers, &body);
	refused(text_format("%s%s", headers, body), ERR_REFUSED, "is not signed");
	free(raw);
	free(headers);
	free(body);
}

/* The sample's signature block with WHAT replaced by WITH. */
static char *rewrapped(struct fixture *f, const char *what, const char *with)
{
	char *raw = sample(f), *sig = strstr(raw, "gpgsig "), *out;

	out = text_format("%.*s%s", (int)(sig - raw), raw, "");
	sig = swapped(text_copy(sig), what, with);
	free(raw);
	raw = text_format("%s%s", out, sig);
	free(out);
	free(sig);
	return raw;
}

static void armour_in_other_forms(void **state)
{
	struct fixture *f = *state;
	char *raw = sample(f),
	     *line = strstr(raw, "SIGNATURE-----\n ") + strlen("SIGNATURE-----\n ");
	char *first = text_copy_n(line, strcspn(line, "\n"));
	char *moved = text_format("%.*s\n %s", 64, first, first + 64), *joined;

	assert_int_equal(strlen(first), 70);
	/* lines of another length */
	refused(rewrapped(f, first, moved), ERR_CORRUPT, "");
	free(moved);
	moved = text_format("%s\n ", first);
	joined = text_format("%s", first);
	refused(rewrapped(f, moved, joined), ERR_CORRUPT, "");
	/* blanks, empty lines, carriage returns */
	refused(rewrapped(f, "SIGNATURE-----\n ", "SIGNATURE-----\n \n "), ERR_CORRUPT, "");
	refused(rewrapped(f, "SIGNATURE-----\n ", "SIGNATURE-----\n  "), ERR_CORRUPT, "");
	refused(rewrapped(f, "SIGNATURE-----\n ", "SIGNATURE-----\r\n "), ERR_CORRUPT, "");
	refused(rewrapped(f, "SIGNATURE-----\n ", "SIGNATURE----- \n "), ERR_CORRUPT, "");
	refused(rewrapped(f, "gpgsig -", "gpgsig  -"), ERR_CORRUPT, "");
	refused(rewrapped(f, "gpgsig -", "gpgsig\t-"), ERR_CORRUPT, "gpgsig");
	refused(rewrapped(f, "gpgsig -", "GPGSIG -"), ERR_CORRUPT, "gpgsig");
	refused(rewrapped(f, "gpgsig -", "gpgsig-sha256 -"), ERR_CORRUPT, "gpgsig");
	refused(rewrapped(f, "gpgsig -", "gpgsig comment\n -"), ERR_CORRUPT, "");
	refused(rewrapped(f, "-----END SSH SIGNATURE-----\n", "-----END SSH SIGNATURE-----\n \n"),
		ERR_CORRUPT, "");
	refused(rewrapped(f, "-----END SSH SIGNATURE-----\n", "-----END SSH SIGNATURE-----\n x\n"),
		ERR_CORRUPT, "");
	refused(rewrapped(f, " -----END SSH SIGNATURE-----\n", ""), ERR_CORRUPT, "");
	refused(rewrapped(f, "\n -----END", "=\n -----END"), ERR_CORRUPT, "");
	refused(rewrapped(f, "BEGIN SSH", "BEGIN PGP"), ERR_CORRUPT, "");
	free(first);
	free(moved);
	free(joined);
	free(raw);
}

static void signature_too_long(void **state)
{
	struct fixture *f = *state;
	char *many = mem_new(4001, 1), *line;

	memset(many, 'A', 4000);
	line = text_format("-----BEGIN SSH SIGNATURE-----\n %s\n", many);
	refused(rewrapped(f, "-----BEGIN SSH SIGNATURE-----\n", line), ERR_CORRUPT, "too long");
	free(line);
	for (size_t i = 1; i < 4000; i += 2) {
		many[i - 1] = '\n';
		many[i] = ' ';
	}
	line = text_format("-----BEGIN SSH SIGNATURE-----%s", many);
	refused(rewrapped(f, "-----BEGIN SSH SIGNATURE-----", line), ERR_CORRUPT, "too long");
	free(line);
	free(many);
}

static void signature_moved(void **state)
{
	struct fixture *f = *state;
	char *raw = sample(f), *headers, *body, *sig, *committer;

	split_raw(raw, &headers, &body);
	sig = text_copy_n(strstr(raw, "gpgsig "),
			  (size_t)(strstr(raw, "\n\n") + 1 - strstr(raw, "gpgsig ")));
	committer = strstr(headers, "committer ");
	refused(text_format("%.*s%s%s%s", (int)(committer - headers), headers, sig, committer,
			    body),
		ERR_CORRUPT, "\"committer\" belongs");
	refused(text_format("%s%s%s", sig, headers, body), ERR_CORRUPT, "\"tree\" belongs");
	refused(text_format("%s%s%s%s", headers, sig, sig, body), ERR_CORRUPT,
		"after its signature");
	refused(text_format("%s%s%s%s", headers, body, "\n", sig), ERR_REFUSED, "is not signed");
	refused(text_format("%s%sgpgsig-sha256 x\n%s", headers, sig, body), ERR_CORRUPT,
		"after its signature");
	free(raw);
	free(headers);
	free(body);
	free(sig);
}

static void two_signatures_that_both_hold(void **state)
{
	struct fixture *f = *state;
	char *raw = sample(f), *headers, *body, *payload;
	struct buf twice;

	split_raw(raw, &headers, &body);
	payload = text_format("%s%s", headers, body);
	buf_init(&twice, LIMIT_COMMIT_SIZE);
	buf_puts(&twice, headers);
	put_gpgsig(&twice, "gpgsig", "git", f->seeds[ADMIN], payload);
	put_gpgsig(&twice, "gpgsig", "git", f->seeds[NEXT], payload);
	buf_puts(&twice, body);
	refused(text_copy(buf_text(&twice)), ERR_CORRUPT, "after its signature");
	buf_clear(&twice);
	free(raw);
	free(headers);
	free(body);
	free(payload);
}

static void signature_over_other_bytes(void **state)
{
	struct fixture *f = *state;
	char *raw = sample(f), *headers, *body;
	struct buf made;

	/* what is signed holds, what stands there was changed: well formed in every byte */
	refused(swapped(text_copy(raw), "change 2", "change 3"), ERR_REFUSED, "");
	refused(swapped(text_copy(raw), "Muster-Sequence: 2", "Muster-Sequence: 3"), ERR_REFUSED,
		"");
	refused(swapped(text_copy(raw), "Muster-Role: web", "Muster-Role: wec"), ERR_REFUSED, "");
	refused(swapped(text_copy(raw), "parent 05", "parent 06"), ERR_REFUSED, "");
	split_raw(raw, &headers, &body);
	buf_init(&made, LIMIT_COMMIT_SIZE);
	buf_puts(&made, headers);
	put_gpgsig(&made, "gpgsig", "git", f->seeds[ADMIN], "something else");
	buf_puts(&made, body);
	refused(text_copy(buf_text(&made)), ERR_REFUSED, "");
	buf_clear(&made);
	free(raw);
	free(headers);
	free(body);
}

static void other_namespace(void **state)
{
	static const char *const spaces[] = {"file", "Git", "git ", "gi", "muster"};
	struct fixture *f = *state;
	char *raw = sample(f), *headers, *body, *payload;

	split_raw(raw, &headers, &body);
	payload = text_format("%s%s", headers, body);
	for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++) {
		struct buf made;

		buf_init(&made, LIMIT_COMMIT_SIZE);
		buf_puts(&made, headers);
		put_gpgsig(&made, "gpgsig", spaces[i], f->seeds[ADMIN], payload);
		buf_puts(&made, body);
		refused(text_copy(buf_text(&made)), ERR_REFUSED, "");
		buf_clear(&made);
	}
	free(raw);
	free(headers);
	free(body);
	free(payload);
}

/* What is wrong is signed: only the form speaks against it. */
static const struct {
	const char *what, *with, *words;
} forms[] = {
	/* headers */
	{"author Ada", "encoding ISO-8859-1\nauthor Ada", "\"author\" belongs"},
	{"committer muster", "encoding ISO-8859-1\ncommitter muster", "\"committer\" belongs"},
	{"+0000\n", "+0000\nencoding ISO-8859-1\n", "\"gpgsig\" belongs"},
	{"+0000\n", "+0000\nmergetag object 05\n type commit\n", "\"gpgsig\" belongs"},
	{"+0000\n", "+0000\nHG:extra x\n", "\"gpgsig\" belongs"},
	{"+0000\n", "+0000\n\n", "is not signed"},
	{"parent 05", "parent 0600000000000000000000000000000000000000\nparent 05",
	 "\"author\" belongs"},
	{"parent 05", "parent 0500000000000000000000000000000000000000\nparent 05",
	 "\"author\" belongs"},
	{"tree ", "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\ntree ", "\"author\" belongs"},
	{"tree ", "tree  ", "longer"},
	{"tree ", "Tree ", "\"tree\" belongs"},
	{"parent 05", "parent 5", "no object id"},
	{"parent 050", "parent 05A", "no object id"},
	{"parent 0500000000000000000000000000000000000000\n", "", "does not fit its parent"},
	/* author */
	{"Ada Writer <", "<", "author is malformed"},
	{"Ada Writer <", " Ada Writer <", "author is malformed"},
	{"Ada Writer <", "Ada Writer  <", "author is malformed"},
	{"Ada Writer <", "Ada < Writer <", "author is malformed"},
	{"Ada Writer <", "Ada > Writer <", "author is malformed"},
	{"Ada Writer", "Ada\tWriter", "author is malformed"},
	{"Ada Writer", "Ada\033[2JWriter", "author is malformed"},
	{"ada@example.com>", "ada@example.com", "author is malformed"},
	{"ada@example.com>", "ada@example.com>>", "author is malformed"},
	{"ada@example.com> 17", "ada@example.com>  17", "author is malformed"},
	{"1700000000 +0100", "1700000000 +0100 ", "author is malformed"},
	{"1700000000 +0100", "1700000000 0100", "author is malformed"},
	{"1700000000 +0100", "1700000000 +1500", "author is malformed"},
	{"1700000000 +0100", "1700000000 +0160", "author is malformed"},
	{"1700000000 +0100", "1700000000 -0000", "author is malformed"},
	{"1700000000 +0100", "1700000000", "author is malformed"},
	{"1700000000 +0100", "-1700000000 +0100", "author is malformed"},
	{"1700000000 +0100", "01700000000 +0100", "author is malformed"},
	{"1700000000 +0100", "99999999999999999999 +0100", "author is malformed"},
	{"1700000000 +0100", "253402300800 +0100", "author is malformed"},
	/* committer */
	{"committer muster <", "committer Muster <", "committer is not"},
	{"committer muster <admin@", "committer muster <root@", "committer is not"},
	{"admin@admin.example.com", "admin@", "committer is not"},
	{"admin@admin.example.com", "admin@a b", "committer is not"},
	{"admin@admin.example.com>", "admin@admin.example.com>>", "committer is not"},
	{"1700000100 +0000", "1700000100 +0100", "committer is not"},
	{"1700000100 +0000", "1700000100 -0000", "committer is not"},
	/* message */
	{"\nchange 2", "\n\nchange 2", "message is not"},
	{"\nchange 2", "\n \nchange 2", "message is not"},
	{"made\n\n", "made\n\n\n", "message is not"},
	{"made\n\n", "made \n\n", "message is not"},
	{"made\n\n", "made\n \n\n", "message is not"},
	{"change 2", "change\r", "message is not"},
	{"change 2", "change\033[31m", "message is not"},
	{"change 2\n\nwhy it was made\n\n", "", "no trailers"},
	{"change 2\n\nwhy it was made\n\n", "\n", ""},
	{"why it was made", "Muster-Role: other", "message is not"},
	{"why it was made", "why\nMuster-Keys: x", "message is not"},
	{"why it was made", "Muster-Role-State: removed", "message is not"},
	{"why it was made", "Muster-Anything", "message is not"},
	{"why it was made", "Muster-Allow-Shrink: no", "message is not"},
	{"why it was made", "Muster-Allow-Shrink: yes ok", "message is not"},
	/* trailers */
	{"Muster-Cluster: ", "muster-cluster: ", "\"Muster-Cluster\" belongs"},
	{"Muster-Cluster: ", "Muster-Cluster:", "\"Muster-Cluster\" belongs"},
	{"Muster-Cluster: ", "Muster-Cluster:  ", "malformed"},
	{"Muster-Cluster: 0101", "Muster-Cluster: 010", "malformed"},
	{"Muster-Cluster: 0101", "Muster-Cluster: 010101", "malformed"},
	{"Muster-Cluster: 0101", "Muster-Cluster: 010A", "malformed"},
	{"Muster-Cluster: ", "Other: x\nMuster-Cluster: ", "\"Muster-Cluster\" belongs"},
	{"Muster-Role: web\n", "", "\"Muster-Role\" belongs"},
	{"Muster-Role: web\n", "Muster-Role: web\nMuster-Role: web\n",
	 "\"Muster-Sequence\" belongs"},
	{"Muster-Role: web\n", "Muster-Role: web\nMuster-Role: other\n",
	 "\"Muster-Sequence\" belongs"},
	{"Muster-Role: web\n", "Muster-Role: web\n more\n", "\"Muster-Sequence\" belongs"},
	{"Muster-Role: web", "Muster-Role: ../x", "role is no name"},
	{"Muster-Role: web", "Muster-Role: HEAD", "role is no name"},
	{"Muster-Role: web", "Muster-Role: ", "role is no name"},
	{"Muster-Role: web", "Muster-Role: web ", "role is no name"},
	{"Muster-Role: web\nMuster-Sequence: 2\n", "Muster-Sequence: 2\nMuster-Role: web\n",
	 "\"Muster-Role\" belongs"},
	{"Muster-Sequence: 2", "Muster-Sequence: 02", "no number"},
	{"Muster-Sequence: 2", "Muster-Sequence: +2", "no number"},
	{"Muster-Sequence: 2", "Muster-Sequence: -2", "no number"},
	{"Muster-Sequence: 2", "Muster-Sequence: 2 ", "no number"},
	{"Muster-Sequence: 2", "Muster-Sequence: 0x2", "no number"},
	{"Muster-Sequence: 2", "Muster-Sequence: 18446744073709551616", "no number"},
	{"Muster-Sequence: 2", "Muster-Sequence: ", "no number"},
	{"Muster-Sequence: 2", "Muster-Sequence: 0", "does not fit its parent"},
	{"Muster-Sequence: 2", "Muster-Sequence: 1", "does not fit its parent"},
	{"Muster-Source: ab", "Muster-Source: a", "no object id"},
	{"Muster-Source: ab", "Muster-Source: AB", "no object id"},
	{"Muster-Source: ab", "Muster-Source: abab", "longer"},
	{"blake2b-256:", "sha256:", "\"Muster-Digest\" belongs"},
	{"blake2b-256:", "blake2b-256: ", "malformed"},
	{"blake2b-256:", "blake2b-256:00", "malformed"},
	{"=\n", "\n", "malformed"},
	{"=\n", "==\n", "malformed"},
	{"= ", "=  ", "malformed"},
	{"= ", "=\t", "malformed"},
	{"=\n", "= \n", "malformed"},
	{"Muster-Keys: ", "Muster-Keys:  ", "malformed"},
	{"=\n", "=\nMuster-Role-State: active\n", "not \"removed\""},
	{"=\n", "=\nMuster-Role-State: removed\nMuster-Role-State: removed\n", "more after"},
	{"=\n", "=\nSigned-off-by: x\n", "\"Muster-Role-State\" belongs"},
};

static void other_forms(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct err err = {.code = ERR_NONE};
		char *raw = resigned(f, forms[i].what, forms[i].with);
		struct release out;

		if (release_parse(raw, strlen(raw), &out, &err) == 0)
			fail_msg("taken: \"%s\" for \"%s\"", forms[i].with, forms[i].what);
		if (!strstr(err.text, forms[i].words))
			fail_msg("\"%s\" for \"%s\": \"%s\" instead of \"%s\"", forms[i].with,
				 forms[i].what, err.text, forms[i].words);
		assert_true(err.code == ERR_CORRUPT || err.code == ERR_REFUSED);
		free(raw);
	}
}

static void keys_of_all_counts(void **state)
{
	struct fixture *f = *state;
	char *raw = sample(f), *keys = strstr(raw, "Muster-Keys: ") + strlen("Muster-Keys: ");
	char *one = text_copy_n(keys, 44), *two = text_copy_n(keys, 89);
	struct buf many;

	buf_init(&many, 4096);
	for (unsigned i = 0; i <= LIMIT_RELEASE_KEYS; i++)
		buf_printf(&many, "%s%.*s%c%s", i ? " " : "", 10, one, 'A' + (char)i, one + 11);
	refused(resigned(f, two, buf_text(&many)), ERR_CORRUPT, "more than 8 keys");
	many.data[44 * LIMIT_RELEASE_KEYS + LIMIT_RELEASE_KEYS - 1] = '\0';
	free(raw);
	raw = resigned(f, two, buf_text(&many));
	{
		struct release out;

		must(release_parse(raw, strlen(raw), &out, err));
		assert_int_equal(out.key_count, LIMIT_RELEASE_KEYS);
		release_clear(&out);
	}
	free(raw);
	raw = text_format("%s %s", one, one);
	refused(resigned(f, two, raw), ERR_CORRUPT, "twice");
	refused(resigned(f, two, ""), ERR_CORRUPT, "malformed");
	/* bits that base64 does not use */
	one[42] = (char)(one[42] + 1);
	refused(resigned(f, two, one), ERR_CORRUPT, "malformed");
	free(raw);
	free(one);
	free(two);
	buf_clear(&many);
}

static void first_releases(void **state)
{
	struct fixture *f = *state;
	struct release r = new_release(f->repo, 1, NULL, "x", f->keys[ADMIN]), out;
	char *headers, *body;
	struct buf raw;

	buf_init(&raw, LIMIT_COMMIT_SIZE);
	must(release_sign(&r, f->seeds[ADMIN], &raw, err));
	must(release_parse(raw.data, raw.len, &out, err));
	assert_false(out.has_parent);
	release_clear(&out);
	split_raw(buf_text(&raw), &headers, &body);
	body = swapped(body, "=\n", "=\nMuster-Role-State: removed\n");
	refused(signed_raw(f->seeds[ADMIN], headers, body), ERR_CORRUPT, "first one");
	body = swapped(body, "\nMuster-Role-State: removed\n", "\n");
	body = swapped(body, "Sequence: 1\n", "Sequence: 2\n");
	refused(signed_raw(f->seeds[ADMIN], headers, body), ERR_CORRUPT, "does not fit its parent");
	free(headers);
	free(body);
	buf_clear(&raw);
	release_clear(&r);
}

static void too_large(void **state)
{
	struct fixture *f = *state;
	char *many = mem_new(LIMIT_COMMIT_SIZE + 1, 1), *line;

	memset(many, 'm', LIMIT_COMMIT_SIZE);
	refused(resigned(f, "change 2", many), ERR_CORRUPT, "larger than");
	many[RELEASE_MESSAGE_MAX] = '\0';
	refused(resigned(f, "change 2", many), ERR_CORRUPT, "message is not");
	many[RELEASE_IDENT_MAX] = '\0';
	refused(resigned(f, "Ada Writer", many), ERR_CORRUPT, "longer than");
	many[500] = '\0';
	refused(resigned(f, "Ada Writer", many), ERR_CORRUPT, "author is malformed");
	refused(resigned(f, "admin.example.com", many), ERR_CORRUPT, "committer is not");
	refused(resigned(f, "Role: web", many), ERR_CORRUPT, "belongs");
	line = text_format("Role: %s", many);
	refused(resigned(f, "Role: web", line), ERR_CORRUPT, "longer than");
	free(line);
	free(many);
}

static void messages_cleaned(void **state)
{
	static const struct {
		const char *in, *out;
	} rows_[] = {
		{"", "(no message)\n"},
		{"\n \n\t\n", "(no message)\n"},
		{"\r\n\001", "(no message)\n"},
		{"one", "one\n"},
		{"one\n", "one\n"},
		{"\n\n \n one  \n\n", " one\n"},
		{"one\r\n\r\ntwo\r\n", "one\n\ntwo\n"},
		{"a\033[31mb\a\177c", "a[31mbc\n"},
		{"a\tb \n\n\n c\n\n \t\n", "a\tb \n\n\n c\n"},
		{"gr\xc3\xbc\xc3\x9f"
		 "e",
		 "gr\xc3\xbc\xc3\x9f"
		 "e\n"},
		{"latin gr\xfc\xdf"
		 "e",
		 "latin gr\xfc\xdf"
		 "e\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows_) / sizeof(rows_[0]); i++) {
		char *once = release_message_clean(rows_[i].in),
		     *twice = release_message_clean(once);

		assert_string_equal(once, rows_[i].out);
		assert_string_equal(twice, once);
		free(once);
		free(twice);
	}
}

static void long_messages_are_cut(void **state)
{
	(void)state;
	for (size_t shift = 0; shift < 4; shift++) {
		char *text = mem_new(3 * RELEASE_MESSAGE_MAX, 1), *once, *twice;
		size_t n = shift;

		memset(text, 'x', shift);
		while (n < 2 * RELEASE_MESSAGE_MAX) {
			memcpy(text + n, "\xe2\x82\xac", 3);
			n += 3;
		}
		once = release_message_clean(text);
		twice = release_message_clean(once);
		assert_true(strlen(once) <= RELEASE_MESSAGE_MAX);
		assert_true(strlen(once) > RELEASE_MESSAGE_MAX - 16);
		assert_true(text_ends(once, "\xe2\x82\xac\n[cut]\n"));
		assert_string_equal(once, twice);
		free(text);
		free(once);
		free(twice);
	}
}

static void messages_checked(void **state)
{
	static const char *const good[] = {"",
					   "x\n",
					   "a Muster-Role: x\n",
					   " Muster-Role: x",
					   "muster-ui: x",
					   "x\n\nMuster-Via: page\n",
					   "Muster-Allow-Shrink: yes\n",
					   "x\nMuster-Allow-Shrink: yes",
					   "Muster\n-Role: x",
					   "Musterd: x"};
	static const struct {
		const char *text, *words;
	} bad[] = {
		{"Muster-Role: x", "line 1:"},
		{"x\n\nMuster-Keys: x\n", "line 3:"},
		{"x\nMuster-\n", "line 2:"},
		{"Muster-Allow-Shrink: no", "line 1:"},
		{"Muster-Allow-Shrink: yes \n", "line 1:"},
		{"Muster-Allow-Shrink: yes and more\n", "line 1:"},
		{"Muster-Allow-Shrink", "line 1:"},
		{"Muster-Viable: x", "line 1:"},
		{"Muster-Via:x", "line 1:"},
		/* cleaning takes these away */
		{"\rMuster-Role: x", "line 1:"},
		{"a\n\r\r\001Muster-Role: x", "line 2:"},
		{"a\nMus\001ter-Role: x", "line 2:"},
		{"a\nMuster\033-Role: x", "line 2:"},
		{"x\n\nMuster-Via: ", "line 3:"},
		{"x\n\nMuster-Via: \001 \n\n", "line 3:"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		must(release_message_check(good[i], err));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		must_fail(release_message_check(bad[i].text, err), ERR_REFUSED, bad[i].words);
}

/* A line that is allowed as it is may not be once the message is cut within it. */
static void message_cut_within_a_line(void **state)
{
	static const char line[] = "\nMuster-Allow-Shrink: yes\n";
	size_t refused = 0;

	(void)state;
	for (size_t before = RELEASE_MESSAGE_MAX - 50; before < RELEASE_MESSAGE_MAX; before++) {
		char *message = mem_new(before + sizeof(line) + 100, 1), *clean;

		memset(message, 'x', before);
		memcpy(message + before, line, strlen(line));
		memset(message + before + strlen(line), 'y', 99);
		clean = release_message_clean(message);
		if (release_message_check(message, NULL) == 0)
			must(release_message_check(clean, err));
		else
			refused++;
		free(clean);
		free(message);
	}
	assert_true(refused > 0 && refused < 50);
}

static void idents_made(void **state)
{
	static const struct {
		const char *name, *mail;
		int64_t seconds;
		int zone;
		const char *out;
	} rows_[] = {
		{"Ada", "a@b", 5, 0, "Ada <a@b> 5 +0000"},
		{"Ada", "a@b", 5, -90, "Ada <a@b> 5 -0130"},
		{"", "", -5, 0, "unknown <> 0 +0000"},
		{"  A<d>a \n", " a@b ", 5, 345, "Ada <a@b> 5 +0545"},
		{"Ada\033", "a b", INT64_MAX, 100000, "Ada <a b> 253402300799 +0000"},
		{"Ü", "ü@b", 5, 840, "Ü <ü@b> 5 +1400"},
	};
	char many[2000] = "", *out;

	(void)state;
	for (size_t i = 0; i < sizeof(rows_) / sizeof(rows_[0]); i++) {
		out = release_ident(rows_[i].name, rows_[i].mail, rows_[i].seconds, rows_[i].zone);
		assert_string_equal(out, rows_[i].out);
		free(out);
	}
	memset(many, 'x', sizeof(many) - 1);
	out = release_ident(many, many, 1, 0);
	assert_true(strlen(out) < RELEASE_IDENT_MAX);
	free(out);
	out = release_committer(many, 1);
	assert_true(strlen(out) < RELEASE_IDENT_MAX);
	free(out);
	out = release_committer("a b>\n<c.d", -1);
	assert_string_equal(out, "muster <admin@abc.d> 0 +0000");
	free(out);
	out = release_committer("", 7);
	assert_string_equal(out, "muster <admin@localhost> 7 +0000");
	free(out);
}

/* Whatever a source commit says, what is made of it is taken. */
static void odd_sources_make_good_releases(void **state)
{
	static const char *const texts[] = {"",
					    "\n",
					    "  x",
					    "a\n\n\nb\r\n",
					    "\033]0;x\a",
					    "\xff\xfe",
					    "<>",
					    "Muster-Via: page",
					    "tree 1\nparent 2",
					    "gpgsig x",
					    "x\n\nMuster-Allow-Shrink: yes\n\n"};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct release r = new_release(f->repo, 1, NULL, "x", f->keys[ADMIN]), out;
		struct buf raw;

		buf_init(&raw, LIMIT_COMMIT_SIZE);
		free(r.message);
		free(r.author);
		free(r.committer);
		r.message = release_message_clean(texts[i]);
		r.author = release_ident(texts[i], texts[i], 1, 0);
		r.committer = release_committer(texts[i], 1);
		must(release_sign(&r, f->seeds[ADMIN], &raw, err));
		must(release_parse(raw.data, raw.len, &out, err));
		assert_string_equal(out.message, r.message);
		release_clear(&r);
		release_clear(&out);
		buf_clear(&raw);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		repo_test(signed_and_parsed),
		repo_test(has_the_documented_form),
		repo_test(stock_git_verifies),
		repo_test(every_bit_flip),
		repo_test(every_truncation),
		repo_test(bytes_added),
		repo_test(unsigned_release),
		repo_test(armour_in_other_forms),
		repo_test(signature_too_long),
		repo_test(signature_moved),
		repo_test(two_signatures_that_both_hold),
		repo_test(signature_over_other_bytes),
		repo_test(other_namespace),
		repo_test(other_forms),
		repo_test(keys_of_all_counts),
		repo_test(first_releases),
		repo_test(too_large),
		repo_test(messages_cleaned),
		repo_test(long_messages_are_cut),
		repo_test(messages_checked),
		repo_test(message_cut_within_a_line),
		repo_test(idents_made),
		repo_test(odd_sources_make_good_releases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
