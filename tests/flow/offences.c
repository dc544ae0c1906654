/* Releases as a hostile admin makes them: see offences.h. */
#include "offences.h"

#include "core/fileset.h"
#include "core/fs.h"
#include "crypto/sshsig.h"
#include "repo/chain.h"
#include "repo/object.h"
#include "repo/tree.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What must work here, or the test is of no use. */
#define must(call)                                                                                 \
	do {                                                                                       \
		struct err must_err = {.code = ERR_NONE};                                          \
		struct err *err = &must_err;                                                       \
		if ((call) != 0) {                                                                 \
			(void)fprintf(stderr, "hostile: %s: %s\n", #call, must_err.text);          \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

/* --- parts --- */

static void read_files(struct offences *o, struct fileset *out)
{
	must(tree_read(o->repo, &o->good_tree, out, err));
}

/*
 * The files of the tip with another config.xml: CONFIG, or the same with a comment that makes it
 * differ.
 */
static void change_files(struct offences *o, const char *config, struct fileset *out)
{
	struct fileset old = {.count = 0};
	char *text;

	read_files(o, &old);
	for (size_t i = 0; i < old.count; i++) {
		const struct file *file = old.files + i;
		bool is_config = strcmp(file->path, "config.xml") == 0;

		text = is_config && !config
			       ? text_format("%s<!-- %u -->\n", (char *)file->data, o->count)
			       : text_copy(is_config ? config : (char *)file->data);
		must(fileset_add(out, file->path, file->mode, text,
				 is_config ? strlen(text) : file->size, err));
		free(text);
	}
	fileset_clear(&old);
}

static void set_files(struct offences *o, const struct fileset *files, struct release *r)
{
	must(tree_write(o->repo, files, &r->tree, err));
	digest_fileset(files, r->digest);
}

/*
 * A release on ON (its id) after RELEASE, not yet signed and with that one's files; cleared by the
 * caller.
 */
static struct release bare(struct offences *o, const struct oid *on, const struct release *release)
{
	struct release r = *release;

	o->count++;
	r.has_parent = true;
	r.parent = *on;
	r.sequence++;
	r.author = text_copy(release->author);
	r.committer = text_copy(release->committer);
	r.message = text_format("change %u\n", o->count);
	return r;
}

/* A good one, with a change in its files. */
static struct release after(struct offences *o, const struct oid *on, const struct release *release)
{
	struct release r = bare(o, on, release);
	struct fileset files = {.count = 0};

	change_files(o, NULL, &files);
	set_files(o, &files, &r);
	fileset_clear(&files);
	return r;
}

static struct release next(struct offences *o)
{
	return after(o, &o->tip, &o->release);
}

static struct oid put_raw(struct offences *o, const void *raw, size_t n)
{
	struct oid oid;

	must(object_write(o->repo, GIT_OBJECT_COMMIT, raw, n, &oid, err));
	return oid;
}

/* Signs R with SEED; the raw commit as text, to be freed. */
static char *raw_of(struct release *r, const uint8_t seed[static KEY_SIZE])
{
	struct buf raw;
	char *text;

	buf_init(&raw, LIMIT_COMMIT_SIZE);
	must(release_sign(r, seed, &raw, err));
	text = text_copy(buf_text(&raw));
	buf_clear(&raw);
	return text;
}

/* Signs, writes and clears R; OUT and SEQUENCE are its. */
static void put(struct offences *o, struct release *r, const uint8_t seed[static KEY_SIZE],
		struct oid *out, uint64_t *sequence)
{
	char *raw = raw_of(r, seed);

	*out = put_raw(o, raw, strlen(raw));
	*sequence = r->sequence;
	free(raw);
	release_clear(r);
}

/* A good next release as text, and its sequence. */
static char *good_raw(struct offences *o, uint64_t *sequence)
{
	struct release r = next(o);
	char *raw = raw_of(&r, o->seed);

	*sequence = r.sequence;
	release_clear(&r);
	return raw;
}

/* Writes and frees TEXT. */
static void put_text(struct offences *o, char *text, struct oid *out)
{
	*out = put_raw(o, text, strlen(text));
	free(text);
}

/* TEXT with the first WHAT replaced; TEXT is freed. */
static char *swapped(char *text, const char *what, const char *with)
{
	char *at = strstr(text, what), *out;

	if (!at) {
		(void)fprintf(stderr, "hostile: \"%s\" is not there\n", what);
		exit(1);
	}
	out = text_format("%.*s%s%s", (int)(at - text), text, with, at + strlen(what));
	free(text);
	return out;
}

/* What stands before the signature, the signature's header, and what stands after it. */
struct pieces {
	char *headers, *signature, *body;
};

static struct pieces cut(char *raw)
{
	char *at = strstr(raw, "gpgsig "), *end = strstr(raw, "\n\n") + 1;
	struct pieces p = {.headers = text_copy_n(raw, (size_t)(at - raw)),
			   .signature = text_copy_n(at, (size_t)(end - at)),
			   .body = text_copy(end)};

	free(raw);
	return p;
}

static void pieces_clear(struct pieces *p)
{
	free(p->headers);
	free(p->signature);
	free(p->body);
}

/* The signature of PAYLOAD as git writes its header. */
static char *signature_of(const uint8_t seed[static KEY_SIZE], const char *name_space,
			  const char *payload)
{
	struct buf armour, out;
	char *text;

	buf_init(&armour, SSHSIG_ARMOUR_MAX);
	buf_init(&out, 2 * SSHSIG_ARMOUR_MAX);
	sshsig_sign(seed, name_space, payload, strlen(payload), &armour);
	buf_puts(&out, "gpgsig");
	for (const char *p = buf_text(&armour); *p; p = strchr(p, '\n') + 1)
		buf_printf(&out, " %.*s\n", (int)(strchr(p, '\n') - p), p);
	text = text_copy(buf_text(&out));
	buf_clear(&armour);
	buf_clear(&out);
	return text;
}

/* Headers and body with a good signature over them. */
static char *resigned(struct offences *o, const char *headers, const char *body)
{
	char *payload = text_format("%s%s", headers, body);
	char *signature = signature_of(o->seed, SSHSIG_NAMESPACE, payload);
	char *raw = text_format("%s%s%s", headers, signature, body);

	free(payload);
	free(signature);
	return raw;
}

/* --- A1: signatures --- */

static void make_unsigned(struct offences *o, struct oid *out, uint64_t *sequence)
{
	struct pieces p = cut(good_raw(o, sequence));

	put_text(o, text_format("%s%s", p.headers, p.body), out);
	pieces_clear(&p);
}

static void make_two_signatures(struct offences *o, struct oid *out, uint64_t *sequence)
{
	struct pieces p = cut(good_raw(o, sequence));

	put_text(o, text_format("%s%s%s%s", p.headers, p.signature, p.signature, p.body), out);
	pieces_clear(&p);
}

/* A header that git knows, signed with the rest. */
static void make_header(struct offences *o, struct oid *out, uint64_t *sequence)
{
	struct pieces p = cut(good_raw(o, sequence));
	char *headers = text_format("%sencoding UTF-8\n", p.headers);

	put_text(o, resigned(o, headers, p.body), out);
	free(headers);
	pieces_clear(&p);
}

/* A header that git leaves out of what is signed: the signature fits. */
static void make_second_kind(struct offences *o, struct oid *out, uint64_t *sequence)
{
	struct pieces p = cut(good_raw(o, sequence));

	put_text(o, text_format("%s%sgpgsig-sha256 x\n%s", p.headers, p.signature, p.body), out);
	pieces_clear(&p);
}

static void make_second_parent(struct offences *o, struct oid *out, uint64_t *sequence)
{
	struct pieces p = cut(good_raw(o, sequence));
	char hex[OID_HEX_SIZE], *parent = text_format("parent %s\nauthor", oid_hex(&o->tip, hex));

	p.headers = swapped(p.headers, "author", parent);
	put_text(o, resigned(o, p.headers, p.body), out);
	free(parent);
	pieces_clear(&p);
}

static void make_rewrapped(struct offences *o, struct oid *out, uint64_t *sequence)
{
	char *raw = good_raw(o, sequence);
	char *line = strchr(strstr(raw, "BEGIN SSH SIGNATURE"), '\n') + 2;

	/* the first armour line cut in two: stock git takes that */
	put_text(o, text_format("%.*s%.30s\n %s", (int)(line - raw), raw, line, line + 30), out);
	free(raw);
}

static void make_padded(struct offences *o, struct oid *out, uint64_t *sequence)
{
	put_text(o, swapped(good_raw(o, sequence), "-----END SSH SIGNATURE-----\n",
			    "-----END SSH SIGNATURE-----\n \n"),
		 out);
}

static void make_moved(struct offences *o, struct oid *out, uint64_t *sequence)
{
	struct pieces p = cut(good_raw(o, sequence));
	char *author = strstr(p.headers, "author ");

	put_text(o,
		 text_format("%.*s%s%s%s", (int)(author - p.headers), p.headers, p.signature,
			     author, p.body),
		 out);
	pieces_clear(&p);
}

static void make_unknown_key(struct offences *o, struct oid *out, uint64_t *sequence)
{
	struct release r = next(o);
	uint8_t stranger[KEY_SIZE];

	crypto_random(stranger, sizeof(stranger));
	put(o, &r, stranger, out, sequence);
}

/* It names itself for what follows. */
static void make_own_key(struct offences *o, struct oid *out, uint64_t *sequence)
{
	struct release r = next(o);
	uint8_t stranger[KEY_SIZE];

	crypto_random(stranger, sizeof(stranger));
	key_release_public(stranger, r.keys[0]);
	r.key_count = 1;
	put(o, &r, stranger, out, sequence);
}

static void make_other_bytes(struct offences *o, struct oid *out, uint64_t *sequence)
{
	put_text(o, swapped(good_raw(o, sequence), "\n\nchange", "\n\nChange"), out);
}

static void make_namespace(struct offences *o, struct oid *out, uint64_t *sequence)
{
	struct pieces p = cut(good_raw(o, sequence));
	char *payload = text_format("%s%s", p.headers, p.body);
	char *signature = signature_of(o->seed, "file", payload);

	put_text(o, text_format("%s%s%s", p.headers, signature, p.body), out);
	free(payload);
	free(signature);
	pieces_clear(&p);
}

static void make_flipped(struct offences *o, struct oid *out, uint64_t *sequence)
{
	char *raw = good_raw(o, sequence), *end = strstr(raw, "\n -----END SSH");

	end[-8] = end[-8] == 'A' ? 'B' : 'A'; /* within the 64 bytes of the signature itself */
	put_text(o, raw, out);
}

static void make_truncated(struct offences *o, struct oid *out, uint64_t *sequence)
{
	char *raw = good_raw(o, sequence), *end = strstr(raw, "\n -----END SSH");

	put_text(o, text_format("%.*s%s", (int)(end - 4 - raw), raw, end), out);
	free(raw);
}

/* The key that signed before the rotation. */
static void make_retired(struct offences *o, struct oid *out, uint64_t *sequence)
{
	struct release r = next(o);

	put(o, &r, o->retired, out, sequence);
}

/* The release before the tip: its id and its fields. */
static struct release older(struct offences *o, struct oid *oid)
{
	struct release r;
	struct buf raw;

	*oid = o->release.parent;
	buf_init(&raw, LIMIT_COMMIT_SIZE);
	must(repo_commit_raw(o->repo, oid, &raw, err));
	must(release_parse(raw.data, raw.len, &r, err));
	buf_clear(&raw);
	return r;
}

/* A chain of its own, from before the rotation to one above the tip. */
static void make_retired_chain(struct offences *o, struct oid *out, uint64_t *sequence)
{
	struct oid on;
	struct release at = older(o, &on);

	while (at.sequence <= o->release.sequence) {
		struct release r = after(o, &on, &at);
		struct release copy = r;

		copy.author = text_copy(r.author);
		copy.committer = text_copy(r.committer);
		copy.message = text_copy(r.message);
		key_release_public(o->retired, r.keys[0]);
		r.key_count = 1;
		release_clear(&at);
		put(o, &r, o->retired, &on, sequence);
		at = copy;
	}
	release_clear(&at);
	*out = on;
}

/* --- A2 to A4: the place in the chain --- */

/* A good release on top of the bad one that MAKE makes. */
static void on_top(struct offences *o, void (*make)(struct offences *, struct oid *, uint64_t *),
		   struct oid *out, uint64_t *sequence)
{
	struct release between = bare(o, &o->tip, &o->release), r;
	struct oid bad;

	make(o, &bad, sequence);
	r = after(o, &bad, &between);
	release_clear(&between);
	put(o, &r, o->seed, out, sequence);
}

static void make_on_unsigned(struct offences *o, struct oid *out, uint64_t *sequence)
{
	on_top(o, make_unsigned, out, sequence);
}

static void make_on_foreign(struct offences *o, struct oid *out, uint64_t *sequence)
{
	on_top(o, make_unknown_key, out, sequence);
}

static void make_older(struct offences *o, struct oid *out, uint64_t *sequence)
{
	*out = o->release.parent;
	*sequence = o->release.sequence - 1;
}

/* The same, with a lie about what it is. */
static void make_older_as_newer(struct offences *o, struct oid *out, uint64_t *sequence)
{
	*out = o->release.parent;
	*sequence = o->release.sequence + 1;
}

static void make_sibling(struct offences *o, struct oid *out, uint64_t *sequence)
{
	struct oid on;
	struct release before = older(o, &on), r = after(o, &on, &before);

	release_clear(&before);
	put(o, &r, o->seed, out, sequence);
}

static void make_rewound(struct offences *o, struct oid *out, uint64_t *sequence)
{
	struct release between = bare(o, &o->tip, &o->release), r;
	struct oid side;

	make_sibling(o, &side, sequence);
	between.sequence = *sequence;
	r = after(o, &side, &between);
	release_clear(&between);
	put(o, &r, o->seed, out, sequence);
}

static void make_new_history(struct offences *o, struct oid *out, uint64_t *sequence)
{
	struct release r = next(o);

	r.has_parent = false;
	r.sequence = 1;
	put(o, &r, o->seed, out, sequence);
	*sequence = o->release.sequence + 1;
}

static void make_skipped(struct offences *o, struct oid *out, uint64_t *sequence)
{
	struct release r = next(o);

	r.sequence++;
	put(o, &r, o->seed, out, sequence);
}

static void make_repeated(struct offences *o, struct oid *out, uint64_t *sequence)
{
	struct release r = next(o);

	r.sequence--;
	put(o, &r, o->seed, out, sequence);
}

static void make_huge(struct offences *o, struct oid *out, uint64_t *sequence)
{
	struct release r = next(o);

	r.sequence = UINT64_MAX;
	put(o, &r, o->seed, out, sequence);
}

static void make_other_role(struct offences *o, struct oid *out, uint64_t *sequence)
{
	struct release r = next(o);

	memcpy(r.role, "elsewhere", sizeof("elsewhere"));
	put(o, &r, o->seed, out, sequence);
}

static void make_other_cluster(struct offences *o, struct oid *out, uint64_t *sequence)
{
	struct release r = next(o);

	crypto_random(r.cluster_id, sizeof(r.cluster_id));
	put(o, &r, o->seed, out, sequence);
}

/* --- A5 and A8: the tree and the text --- */

static void make_digest(struct offences *o, struct oid *out, uint64_t *sequence)
{
	struct release r = next(o);

	r.digest[0] ^= 1;
	put(o, &r, o->seed, out, sequence);
}

/* A file that the digest does not count. */
static void make_extra_file(struct offences *o, struct oid *out, uint64_t *sequence)
{
	struct release r = bare(o, &o->tip, &o->release);
	struct fileset files = {.count = 0};

	change_files(o, NULL, &files);
	digest_fileset(&files, r.digest);
	must(fileset_add(&files, "files/more", FILE_PLAIN, "x", 1, err));
	must(tree_write(o->repo, &files, &r.tree, err));
	fileset_clear(&files);
	put(o, &r, o->seed, out, sequence);
}

static void change_body(struct offences *o, const char *what, const char *with, struct oid *out,
			uint64_t *sequence)
{
	struct pieces p = cut(good_raw(o, sequence));

	p.body = swapped(p.body, what, with);
	put_text(o, resigned(o, p.headers, p.body), out);
	pieces_clear(&p);
}

static void make_trailer_twice(struct offences *o, struct oid *out, uint64_t *sequence)
{
	char *role = text_format("Muster-Role: %s\n", o->role),
	     *twice = text_format("%s%s", role, role);

	change_body(o, role, twice, out, sequence);
	free(role);
	free(twice);
}

static void make_trailer_order(struct offences *o, struct oid *out, uint64_t *sequence)
{
	char *role = text_format("Muster-Role: %s\n", o->role);
	char *order = text_format("%sMuster-Cluster: ", role);

	change_body(o, "Muster-Cluster: ", order, out, sequence);
	free(role);
	free(order);
}

static void make_smuggled(struct offences *o, struct oid *out, uint64_t *sequence)
{
	change_body(o, "\nchange", "\nMuster-Sequence: 1\nchange", out, sequence);
}

/* A tree with one entry more, made by hand; the digest is that of the files that are fine. */
static void entry_more(struct offences *o, const char *mode, const char *name, struct oid *out,
		       uint64_t *sequence)
{
	struct release r = bare(o, &o->tip, &o->release);
	struct fileset files = {.count = 0};
	const struct file *config;
	struct buf tree, first;
	struct oid blob;
	bool before = strcmp(name, "config.xml") < 0;

	read_files(o, &files);
	config = fileset_find(&files, "config.xml");
	buf_init(&tree, 1 << 16);
	buf_init(&first, 1 << 16);
	must(object_write(o->repo, GIT_OBJECT_BLOB, config->data, config->size, &blob, err));
	buf_puts(&first, "100644 config.xml");
	buf_put_u8(&first, 0);
	buf_put(&first, blob.id, OID_SIZE);
	if (!before)
		buf_put(&tree, first.data, first.len);
	buf_printf(&tree, "%s %s", mode, name);
	buf_put_u8(&tree, 0);
	buf_put(&tree, blob.id, OID_SIZE);
	if (before)
		buf_put(&tree, first.data, first.len);
	must(object_write(o->repo, GIT_OBJECT_TREE, tree.data, tree.len, &r.tree, err));
	buf_clear(&tree);
	buf_clear(&first);
	fileset_clear(&files);
	put(o, &r, o->seed, out, sequence);
}

static void make_link(struct offences *o, struct oid *out, uint64_t *sequence)
{
	entry_more(o, "120000", "link", out, sequence);
}

static void make_module(struct offences *o, struct oid *out, uint64_t *sequence)
{
	entry_more(o, "160000", "module", out, sequence);
}

static void make_mode(struct offences *o, struct oid *out, uint64_t *sequence)
{
	entry_more(o, "100666", "mode", out, sequence);
}

static void make_up(struct offences *o, struct oid *out, uint64_t *sequence)
{
	entry_more(o, "100644", "..", out, sequence);
}

static void make_absolute(struct offences *o, struct oid *out, uint64_t *sequence)
{
	entry_more(o, "100644", "/etc/passwd", out, sequence);
}

static void make_dot_git(struct offences *o, struct oid *out, uint64_t *sequence)
{
	entry_more(o, "100644", ".GIT", out, sequence);
}

static void make_newline(struct offences *o, struct oid *out, uint64_t *sequence)
{
	entry_more(o, "100644", "new\nline \xff", out, sequence);
}

static void make_long(struct offences *o, struct oid *out, uint64_t *sequence)
{
	char name[301];

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	entry_more(o, "100644", name, out, sequence);
}

static void make_twice(struct offences *o, struct oid *out, uint64_t *sequence)
{
	entry_more(o, "100644", "config.xml", out, sequence);
}

/* An object that the release does not reach. */
static void make_stray(struct offences *o, struct oid *out, uint64_t *sequence)
{
	struct release r = next(o);
	struct oid blob;

	must(object_write(o->repo, GIT_OBJECT_BLOB, "stray", 5, &blob, err));
	put(o, &r, o->seed, out, sequence);
}

/* A file that unpacks to more than any may have. */
static void make_bomb(struct offences *o, struct oid *out, uint64_t *sequence)
{
	struct release r = bare(o, &o->tip, &o->release);
	struct fileset files = {.count = 0};
	size_t size = LIMIT_FILE_SIZE + 1;
	uint8_t *zeros = mem_new(size, 1);

	change_files(o, NULL, &files);
	must(fileset_add(&files, "files/bomb", FILE_PLAIN, zeros, size, err));
	set_files(o, &files, &r);
	fileset_clear(&files);
	free(zeros);
	put(o, &r, o->seed, out, sequence);
}

/* A file whose content came with `stray`, which was refused, and does not come again. */
static void make_relies(struct offences *o, struct oid *out, uint64_t *sequence)
{
	struct release r = bare(o, &o->tip, &o->release);
	struct buf tree;
	git_oid blob;

	if (git_odb_hash(&blob, "stray", 5, GIT_OBJECT_BLOB) != 0)
		exit(1);
	buf_init(&tree, 4096);
	buf_puts(&tree, "100644 config.xml");
	buf_put_u8(&tree, 0);
	buf_put(&tree, blob.id, OID_SIZE);
	must(object_write(o->repo, GIT_OBJECT_TREE, tree.data, tree.len, &r.tree, err));
	buf_clear(&tree);
	put(o, &r, o->seed, out, sequence);
}

/* --- what verify lets pass --- */

static void with_files(struct offences *o, const char *config, const char *more, struct oid *out,
		       uint64_t *sequence)
{
	struct release r = bare(o, &o->tip, &o->release);
	struct fileset files = {.count = 0};

	change_files(o, config, &files);
	if (more)
		must(fileset_add(&files, more, FILE_PLAIN, "x", 1, err));
	set_files(o, &files, &r);
	fileset_clear(&files);
	put(o, &r, o->seed, out, sequence);
}

static void make_other_file(struct offences *o, struct oid *out, uint64_t *sequence)
{
	with_files(o, NULL, "release", out, sequence);
}

static void make_no_xml(struct offences *o, struct oid *out, uint64_t *sequence)
{
	with_files(o, "<config", NULL, out, sequence);
}

static void make_laughs(struct offences *o, struct oid *out, uint64_t *sequence)
{
	with_files(o,
		   "<!DOCTYPE config [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;\">]>\n"
		   "<config xmlns=\"http://tail-f.com/ns/config/1.0\">&b;</config>\n",
		   NULL, out, sequence);
}

/* --- sealed values in a wrong place --- */

/* The config.xml of FILES, a new string. */
static char *config_of(const struct fileset *files)
{
	return text_copy((char *)fileset_find(files, "config.xml")->data);
}

/*
 * A release whose config.xml is CONFIG with NEW (LEN bytes) in the place of the keystore's sealed
 * text.
 */
static void with_keystore(struct offences *o, const char *config, const char *new, size_t len,
			  struct oid *out, uint64_t *sequence)
{
	const char *at = strstr(config, "<keystore>muster:1:") + strlen("<keystore>");
	char *text = text_format("%.*s%.*s%s", (int)(at - config), config, (int)len, new,
				 strchr(at, '<'));

	with_files(o, text, NULL, out, sequence);
	free(text);
}

static char *good_config(struct offences *o)
{
	struct fileset files = {.count = 0};
	char *text;

	read_files(o, &files);
	text = config_of(&files);
	fileset_clear(&files);
	return text;
}

static void make_sealed_moved(struct offences *o, struct oid *out, uint64_t *sequence)
{
	char *config = good_config(o), *at = strstr(config, "muster:1:"),
	     *end = strstr(config, "</config>");
	char *text = text_format("%.*s<password>%.*s</password></config>", (int)(end - config),
				 config, (int)strcspn(at, "<"), at);

	with_files(o, text, NULL, out, sequence);
	free(text);
	free(config);
}

static void make_sealed_role(struct offences *o, struct oid *out, uint64_t *sequence)
{
	struct fileset files = {.count = 0};
	char *config = good_config(o), *other, *at;
	struct repo *base = NULL;
	struct oid tip;

	must(repo_open(o->base, &base, err));
	must(repo_ref_get(base, "refs/heads/default", &tip, err));
	must(tree_read_commit(base, &tip, &files, err));
	other = config_of(&files);
	at = strstr(other, "muster:1:");
	with_keystore(o, config, at, strcspn(at, "<"), out, sequence);
	fileset_clear(&files);
	repo_free(base);
	free(other);
	free(config);
}

static void make_sealed_key(struct offences *o, struct oid *out, uint64_t *sequence)
{
	static const char text[] =
		"muster:1:246c084b:wW7gpSLBWJlJhd4mzqoqGysYMTvZHeTxQvgmygzxClRLAmaJpcwex3Tt4-"
		"LQTwxLuCTM1xVbRhW5atNwNv-b1ChoDBvIHgoD";
	char *config = good_config(o);

	with_keystore(o, config, text, strlen(text), out, sequence);
	free(config);
}

static void make_sealed_flipped(struct offences *o, struct oid *out, uint64_t *sequence)
{
	char *config = good_config(o), *at = strstr(config, "muster:1:") + 40;

	*at = *at == 'A' ? 'B' : 'A';
	with_files(o, config, NULL, out, sequence);
	free(config);
}

static void make_sealed_cut(struct offences *o, struct oid *out, uint64_t *sequence)
{
	char *config = good_config(o), *at = strstr(config, "muster:1:");

	with_keystore(o, config, at, strcspn(at, "<") - 4, out, sequence);
	free(config);
}

static void make_plain_secret(struct offences *o, struct oid *out, uint64_t *sequence)
{
	char *config = good_config(o);

	with_keystore(o, config, "in-the-clear", strlen("in-the-clear"), out, sequence);
	free(config);
}

static void make_good(struct offences *o, struct oid *out, uint64_t *sequence)
{
	struct release r = next(o);

	put(o, &r, o->seed, out, sequence);
}

/* Names a new key beside the old one, which signs for the last time. */
static void make_announce(struct offences *o, struct oid *out, uint64_t *sequence)
{
	struct release r = next(o);

	memcpy(o->retired, o->seed, KEY_SIZE);
	crypto_random(o->seed, KEY_SIZE);
	key_release_public(o->retired, r.keys[0]);
	key_release_public(o->seed, r.keys[1]);
	r.key_count = 2;
	put(o, &r, o->retired, out, sequence);
}

static void make_rotate(struct offences *o, struct oid *out, uint64_t *sequence)
{
	struct release r = next(o);

	key_release_public(o->seed, r.keys[0]);
	r.key_count = 1;
	put(o, &r, o->seed, out, sequence);
}

/* The key that was retired may sign again: the way back to the true admin. */
static void make_restore(struct offences *o, struct oid *out, uint64_t *sequence)
{
	struct release r = next(o);

	key_release_public(o->retired, r.keys[0]);
	r.key_count = 1;
	put(o, &r, o->seed, out, sequence);
	memcpy(o->seed, o->retired, KEY_SIZE);
}

#define SIGNER "is signed by a key that the release before it does not name"

const struct offence offence_list[] = {
	{"unsigned", "verify", "is not signed", make_unsigned},
	{"two-signatures", "verify", "release ", make_two_signatures},
	{"header", "verify", "release ", make_header},
	{"second-kind", "verify", "release ", make_second_kind},
	{"second-parent", "verify", "release ", make_second_parent},
	{"rewrapped", "verify", "release ", make_rewrapped},
	{"padded", "verify", "release ", make_padded},
	{"moved", "verify", "release ", make_moved},
	{"unknown-key", "verify", SIGNER, make_unknown_key},
	{"own-key", "verify", SIGNER, make_own_key},
	{"other-bytes", "verify", "signature", make_other_bytes},
	{"namespace", "verify", "namespace", make_namespace},
	{"flipped", "verify", "signature", make_flipped},
	{"truncated", "verify", "release ", make_truncated},
	{"on-unsigned", "verify", "is not signed", make_on_unsigned},
	{"on-foreign", "verify", SIGNER, make_on_foreign},
	{"older", "verify", "behind this node", make_older},
	{"older-as-newer", "verify", "does not descend", make_older_as_newer},
	{"sibling", "verify", "does not descend", make_sibling},
	{"rewound", "verify", "does not descend", make_rewound},
	{"new-history", "verify", "does not descend", make_new_history},
	{"skipped", "verify", "follows sequence", make_skipped},
	{"repeated", "verify", "follows sequence", make_repeated},
	{"huge", "verify", "follows sequence", make_huge},
	{"other-role", "verify", "is of role elsewhere", make_other_role},
	{"other-cluster", "verify", "is of another cluster", make_other_cluster},
	{"digest", "verify", "its files are not those of its digest", make_digest},
	{"extra-file", "verify", "its files are not those of its digest", make_extra_file},
	{"trailer-twice", "verify", "release ", make_trailer_twice},
	{"trailer-order", "verify", "release ", make_trailer_order},
	{"smuggled", "verify", "release ", make_smuggled},
	{"link", "verify", "link", make_link},
	{"module", "verify", "module", make_module},
	{"mode", "verify", "mode", make_mode},
	{"up", "verify", "release ", make_up},
	{"absolute", "verify", "release ", make_absolute},
	{"dot-git", "verify", "release ", make_dot_git},
	{"newline", "verify", "release ", make_newline},
	{"long", "verify", "release ", make_long},
	{"twice", "verify", "release ", make_twice},
	{"stray", "verify", "does not reach it", make_stray},
	{"relies", "verify", "not found", make_relies},
	{"bomb", "verify", "over the limit", make_bomb},
	{"other-file", "check", "release: a release holds no such file", make_other_file},
	{"no-xml", "check", "config.xml:1", make_no_xml},
	{"laughs", "check", "config.xml:1", make_laughs},
	{"sealed-moved", "check", "/password: does not open with key", make_sealed_moved},
	{"sealed-role", "check", "/keystore: sealed with key", make_sealed_role},
	{"sealed-key", "check", "/keystore: sealed with key 246c084b, which is not in",
	 make_sealed_key},
	{"sealed-flipped", "check", "/keystore: does not open with key", make_sealed_flipped},
	{"sealed-cut", "check", "/keystore: a damaged sealed value", make_sealed_cut},
	{"plain-secret", "check", "/keystore: a secret in the clear", make_plain_secret},
	{"announce", NULL, NULL, make_announce},
	{"rotate", NULL, NULL, make_rotate},
	{"retired", "verify", SIGNER, make_retired},
	{"retired-chain", "verify", "does not descend", make_retired_chain},
	{"restore", NULL, NULL, make_restore},
	{"good", NULL, NULL, make_good},
	{NULL, NULL, NULL, NULL},
};

/* --- the scratch repository --- */

static void read_tip(struct offences *o, struct repo *base)
{
	struct buf raw;

	release_clear(&o->release);
	buf_init(&raw, LIMIT_COMMIT_SIZE);
	must(repo_commit_raw(base, &o->tip, &raw, err));
	must(release_parse(raw.data, raw.len, &o->release, err));
	buf_clear(&raw);
}

void offences_open(struct offences *o, const char *base, const char *role,
		   const struct identity *identity)
{
	char *ref = text_format("refs/heads/%s", role);
	struct repo *repo;

	*o = (struct offences){.base = text_copy(base), .scratch = text_format("%s.scratch", base)};
	memcpy(o->role, role, strlen(role) + 1);
	memcpy(o->seed, identity->release_seed[0], KEY_SIZE);
	must(repo_open(base, &repo, err));
	must(repo_ref_get(repo, ref, &o->tip, err));
	read_tip(o, repo);
	o->good_tree = o->release.tree;
	repo_free(repo);
	free(ref);
}

int offences_make(struct offences *o, const char *name, struct oid *out, uint64_t *sequence)
{
	const struct offence *offence = offence_list;
	char *file = text_format("%s/objects/info/alternates", o->scratch);
	char *objects = text_format("%s/objects\n", o->base);

	while (offence->name && strcmp(offence->name, name) != 0)
		offence++;
	repo_free(o->repo);
	must(fs_remove_tree(AT_FDCWD, o->scratch, err));
	must(repo_init_bare(o->scratch, &o->repo, err));
	repo_free(o->repo);
	must(fs_write_new(AT_FDCWD, file, objects, strlen(objects), 0600, err));
	must(repo_open(o->scratch, &o->repo, err));
	free(file);
	free(objects);
	if (!offence->name)
		return -1;
	offence->make(o, out, sequence);
	return 0;
}

static git_odb *own_objects(const struct offences *o)
{
	char *path = text_format("%s/objects", o->scratch);
	git_odb_backend *loose;
	git_odb *odb;

	if (git_odb_new(&odb) != 0 || git_odb_backend_loose(&loose, path, -1, 0, 0, 0) != 0 ||
	    git_odb_add_backend(odb, loose, 1) != 0)
		exit(1);
	free(path);
	return odb;
}

static int copy_object(const git_oid *id, void *arg)
{
	git_odb **odbs = arg;
	git_odb_object *object;
	git_oid same;
	int rc = git_odb_read(&object, odbs[0], id);

	if (rc == 0) {
		rc = git_odb_write(&same, odbs[1], git_odb_object_data(object),
				   git_odb_object_size(object), git_odb_object_type(object));
		git_odb_object_free(object);
	}
	return rc;
}

void offences_place(struct offences *o, const struct oid *release)
{
	char *ref = text_format("refs/heads/%s", o->role);
	git_odb *odbs[2] = {own_objects(o)};
	struct repo *base;

	must(repo_open(o->base, &base, err));
	odbs[1] = repo_odb(base);
	if (git_odb_foreach(odbs[0], copy_object, odbs) != 0)
		exit(1);
	git_odb_free(odbs[0]);
	must(repo_ref_set(base, ref, &o->tip, release, err));
	repo_free(base);
	free(ref);
}

void offences_accept(struct offences *o, const struct oid *release, bool good)
{
	struct repo *base;

	offences_place(o, release);
	o->tip = *release;
	must(repo_open(o->base, &base, err));
	read_tip(o, base);
	if (good)
		o->good_tree = o->release.tree;
	repo_free(base);
}

static int insert_object(const git_oid *id, void *arg)
{
	return git_packbuilder_insert(arg, id, NULL);
}

static int put_bytes(void *bytes, size_t size, void *arg)
{
	buf_put(arg, bytes, size);
	return 0;
}

void offences_pack(struct offences *o, struct buf *out)
{
	git_odb *own = own_objects(o);
	git_packbuilder *pack;

	if (git_packbuilder_new(&pack, repo_git2(o->repo)) != 0 ||
	    git_odb_foreach(own, insert_object, pack) != 0 ||
	    git_packbuilder_foreach(pack, put_bytes, out) != 0) {
		(void)fprintf(stderr, "hostile: pack: %s\n", git_error_last()->message);
		exit(1);
	}
	git_packbuilder_free(pack);
	git_odb_free(own);
}

void offences_pack_since(struct offences *o, const struct oid *old, struct buf *out)
{
	git_oid from = oid_to_git(old), to = oid_to_git(&o->tip);
	git_packbuilder *pack;
	git_revwalk *walk;
	struct repo *base;

	must(repo_open(o->base, &base, err));
	buf_reset(out);
	if (git_revwalk_new(&walk, repo_git2(base)) != 0 || git_revwalk_push(walk, &to) != 0 ||
	    git_revwalk_hide(walk, &from) != 0 ||
	    git_packbuilder_new(&pack, repo_git2(base)) != 0 ||
	    git_packbuilder_insert_walk(pack, walk) != 0 ||
	    git_packbuilder_foreach(pack, put_bytes, out) != 0)
		exit(1);
	git_packbuilder_free(pack);
	git_revwalk_free(walk);
	repo_free(base);
}

void offences_close(struct offences *o)
{
	repo_free(o->repo);
	must(fs_remove_tree(AT_FDCWD, o->scratch, err));
	release_clear(&o->release);
	free(o->base);
	free(o->scratch);
}
