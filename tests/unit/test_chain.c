/* Which releases a node accepts: real chains, and every way to offer one that must not be taken. */
#include "repo_fixture.h"

#include "repo/chain.h"

#include <time.h>

enum { CHAIN = 6 };

/* What a node knows that has only the cluster file: the ADMIN key. */
static struct chain_state fresh(struct fixture *f)
{
	struct chain_state state = {.key_count = 1};

	memset(state.cluster_id, 1, CLUSTER_ID_SIZE);
	memcpy(state.role, "web", sizeof("web"));
	memcpy(state.keys[0], f->keys[ADMIN], KEY_SIZE);
	return state;
}

/* What a node knows that accepted OID of sequence N, whose only key was KEY. */
static struct chain_state after(struct fixture *f, const struct oid *oid, uint64_t n, int key)
{
	struct chain_state state = fresh(f);

	state.has_accepted = true;
	state.accepted = *oid;
	state.sequence = n;
	memcpy(state.keys[0], f->keys[key], KEY_SIZE);
	return state;
}

/* The state must not move when something is refused. */
#define refused(f, state, tip, code, words)                                                        \
	do {                                                                                       \
		struct chain_state refused_before = *(state);                                      \
		struct release refused_out = {0};                                                  \
		must_fail(chain_verify((f)->repo, (state), (tip), &refused_out, err), code,        \
			  words);                                                                  \
		assert_memory_equal(&refused_before, (state), sizeof(refused_before));             \
		assert_null(refused_out.author);                                                   \
	} while (0)

/* A release on PARENT that keeps to all rules, to be spoilt. */
static struct release next(struct fixture *f, uint64_t n, const struct oid *parent)
{
	return new_release(f->repo, n, parent, "<config>next</config>\n", f->keys[ADMIN]);
}

static struct oid put_raw(struct fixture *f, char *raw)
{
	struct oid oid;

	must(object_write(f->repo, GIT_OBJECT_COMMIT, raw, strlen(raw), &oid, err));
	free(raw);
	return oid;
}

static char *raw_of(struct fixture *f, const struct oid *oid)
{
	struct buf raw;
	char *out;

	buf_init(&raw, LIMIT_COMMIT_SIZE);
	must(repo_commit_raw(f->repo, oid, &raw, err));
	out = text_copy(buf_text(&raw));
	buf_clear(&raw);
	return out;
}

static void accepts_from_nothing(void **state_)
{
	struct fixture *f = *state_;
	struct oid c[CHAIN];
	struct chain_state state = fresh(f);
	struct release out;

	put_chain(f, CHAIN, c);
	must(chain_verify(f->repo, &state, c + 3, &out, err));
	assert_true(state.has_accepted && oid_equal(&state.accepted, c + 3));
	assert_int_equal(state.sequence, 4);
	assert_int_equal(out.sequence, 4);
	assert_string_equal(state.role, "web");
	release_clear(&out);
	must(chain_verify(f->repo, &state, c + 5, NULL, err));
	assert_int_equal(state.sequence, 6);
}

static void accepts_what_it_has(void **state_)
{
	struct fixture *f = *state_;
	struct oid c[CHAIN];
	struct chain_state state;
	struct release out;

	put_chain(f, CHAIN, c);
	state = after(f, c + 2, 3, ADMIN);
	must(chain_verify(f->repo, &state, c + 2, NULL, err));
	must(chain_verify(f->repo, &state, c + 2, &out, err));
	assert_int_equal(out.sequence, 3);
	assert_int_equal(state.sequence, 3);
	release_clear(&out);
}

static void content_by_digest(void **state_)
{
	struct fixture *f = *state_;
	struct oid c[CHAIN];
	struct chain_state state = fresh(f);
	struct fileset set = {0};
	struct release out;

	put_chain(f, CHAIN, c);
	must(chain_verify(f->repo, &state, c + 1, &out, err));
	must(chain_content(f->repo, &out, &set, err));
	assert_int_equal(set.count, 3);
	assert_string_equal((char *)fileset_find(&set, "config.xml")->data, "<config>2</config>\n");
	fileset_clear(&set);
	release_clear(&out);
}

static void unsigned_tip(void **state_)
{
	struct fixture *f = *state_;
	struct oid c[CHAIN], bad;
	struct chain_state state;
	char *raw, *headers, *body, wanted[64], hex[OID_HEX_SIZE];

	put_chain(f, CHAIN, c);
	raw = raw_of(f, c + 4);
	split_raw(raw, &headers, &body);
	bad = put_raw(f, text_format("%s%s", headers, body));
	state = after(f, c + 3, 4, ADMIN);
	(void)snprintf(wanted, sizeof(wanted), "release %.12s: is not signed", oid_hex(&bad, hex));
	refused(f, &state, &bad, ERR_REFUSED, wanted);
	state = fresh(f);
	refused(f, &state, &bad, ERR_REFUSED, wanted);
	free(raw);
	free(headers);
	free(body);
}

static void signed_tip_on_an_unsigned_ancestor(void **state_)
{
	struct fixture *f = *state_;
	struct oid c[CHAIN], bad, tip;
	struct chain_state state;
	struct release r;
	char *raw, *headers, *body;

	put_chain(f, CHAIN, c);
	raw = raw_of(f, c + 4);
	split_raw(raw, &headers, &body);
	bad = put_raw(f, text_format("%s%s", headers, body));
	r = next(f, 6, &bad);
	tip = put_release(f->repo, &r, f->seeds[ADMIN]);
	state = after(f, c + 3, 4, ADMIN);
	refused(f, &state, &tip, ERR_REFUSED, "is not signed");
	free(raw);
	free(headers);
	free(body);
}

static void anchor_hides_nothing_after_it(void **state_)
{
	struct fixture *f = *state_;
	struct oid c[CHAIN], bad, tip;
	struct chain_state state = fresh(f);
	struct release r;

	put_chain(f, CHAIN, c);
	/* the tip is of a stranger, whom no release before names; the newest of the admin is its
	 * parent */
	r = next(f, 7, c + 5);
	tip = put_release(f->repo, &r, f->seeds[STRANGER]);
	refused(f, &state, &tip, ERR_REFUSED,
		"is signed by a key that the release before it does not name");
	/* on a foreign ancestor a tip that the cluster file's key signed is the anchor, and all
	 * before it is no concern: the admin vouches for it */
	r = next(f, 7, c + 5);
	bad = put_release(f->repo, &r, f->seeds[STRANGER]);
	r = next(f, 8, &bad);
	tip = put_release(f->repo, &r, f->seeds[ADMIN]);
	must(chain_verify(f->repo, &state, &tip, NULL, err));
	/* but not for a node that has accepted one before */
	state = after(f, c + 5, 6, ADMIN);
	refused(f, &state, &tip, ERR_REFUSED,
		"(sequence 7): is signed by a key that the release before it");
}

static void unknown_key(void **state_)
{
	struct fixture *f = *state_;
	struct oid c[CHAIN], tip;
	struct chain_state state;
	struct release r;

	put_chain(f, CHAIN, c);
	state = after(f, c + 5, 6, ADMIN);
	r = next(f, 7, c + 5);
	tip = put_release(f->repo, &r, f->seeds[STRANGER]);
	refused(f, &state, &tip, ERR_REFUSED, "(sequence 7): is signed by a key");
	/* whatever key it names for itself */
	r = next(f, 7, c + 5);
	memcpy(r.keys[0], f->keys[STRANGER], KEY_SIZE);
	tip = put_release(f->repo, &r, f->seeds[STRANGER]);
	refused(f, &state, &tip, ERR_REFUSED, "(sequence 7): is signed by a key");
}

static void a_whole_history_of_a_stranger(void **state_)
{
	struct fixture *f = *state_;
	struct oid c[CHAIN], tip = {{0}};
	struct chain_state state = fresh(f);
	struct release r;

	for (unsigned i = 1; i <= 4; i++) {
		r = new_release(f->repo, i, i > 1 ? &tip : NULL, "x", f->keys[STRANGER]);
		tip = put_release(f->repo, &r, f->seeds[STRANGER]);
	}
	refused(f, &state, &tip, ERR_REFUSED, "(sequence 1): is the first one, and no key");
	put_chain(f, CHAIN, c);
	state = after(f, c + 1, 2, ADMIN);
	refused(f, &state, &tip, ERR_REFUSED, "does not descend from the accepted release");
}

/* A chain that goes over from ADMIN to NEXT: 1 and 2 by ADMIN, 2 names both, 3 by NEXT names NEXT
 * only, 4 by NEXT. */
static void rotate(struct fixture *f, struct oid c[static 4])
{
	struct release r = new_release(f->repo, 1, NULL, "1", f->keys[ADMIN]);

	c[0] = put_release(f->repo, &r, f->seeds[ADMIN]);
	r = new_release(f->repo, 2, c, "2", f->keys[NEXT]);
	memcpy(r.keys[1], f->keys[ADMIN], KEY_SIZE);
	r.key_count = 2;
	c[1] = put_release(f->repo, &r, f->seeds[ADMIN]);
	r = new_release(f->repo, 3, c + 1, "3", f->keys[NEXT]);
	c[2] = put_release(f->repo, &r, f->seeds[NEXT]);
	r = new_release(f->repo, 4, c + 2, "4", f->keys[NEXT]);
	c[3] = put_release(f->repo, &r, f->seeds[NEXT]);
}

static void keys_rotate(void **state_)
{
	struct fixture *f = *state_;
	struct chain_state state = fresh(f);
	struct oid c[4], tip;
	struct release r;

	rotate(f, c);
	/* a new node with the old cluster file gets there by the newest that the old key signed */
	must(chain_verify(f->repo, &state, c + 3, NULL, err));
	assert_int_equal(state.key_count, 1);
	assert_memory_equal(state.keys[0], f->keys[NEXT], KEY_SIZE);
	/* the retired key signs no more */
	r = next(f, 5, c + 3);
	tip = put_release(f->repo, &r, f->seeds[ADMIN]);
	refused(f, &state, &tip, ERR_REFUSED,
		"(sequence 5): is signed by a key that the release before it");
	/* nor below a tip of the new key */
	r = next(f, 6, &tip);
	tip = put_release(f->repo, &r, f->seeds[NEXT]);
	refused(f, &state, &tip, ERR_REFUSED, "release");
}

static void retired_key_after_a_rollback(void **state_)
{
	struct fixture *f = *state_;
	struct chain_state state;
	struct oid c[4], tip;
	struct release r;

	rotate(f, c);
	/* deployed is 2 again, but accepted stays 4: a sibling on top of 2 by the key that was good
	 * then */
	state = after(f, c + 3, 4, NEXT);
	for (uint64_t n = 3; n <= 6; n++) {
		r = next(f, n, c + 1);
		tip = put_release(f->repo, &r, f->seeds[ADMIN]);
		refused(f, &state, &tip, ERR_REFUSED, "release");
	}
	/* the key that the cluster file had is not asked any more */
	r = next(f, 5, c + 3);
	tip = put_release(f->repo, &r, f->seeds[RETIRED]);
	refused(f, &state, &tip, ERR_REFUSED, "signed by a key");
}

static void older_and_siblings(void **state_)
{
	struct fixture *f = *state_;
	struct oid c[CHAIN], side;
	struct chain_state state;
	struct release r;

	put_chain(f, CHAIN, c);
	state = after(f, c + 4, 5, ADMIN);
	refused(f, &state, c + 3, ERR_REFUSED,
		"(sequence 4): does not descend from the accepted release");
	refused(f, &state, c, ERR_REFUSED, "(sequence 1): does not descend");
	/* a rewound branch: the same sequence, and one above */
	r = next(f, 5, c + 3);
	side = put_release(f->repo, &r, f->seeds[ADMIN]);
	refused(f, &state, &side, ERR_REFUSED, "(sequence 5): does not descend");
	r = next(f, 6, &side);
	side = put_release(f->repo, &r, f->seeds[ADMIN]);
	refused(f, &state, &side, ERR_REFUSED, "(sequence 5): does not descend");
	/* a new history */
	r = next(f, 1, NULL);
	side = put_release(f->repo, &r, f->seeds[ADMIN]);
	refused(f, &state, &side, ERR_REFUSED, "(sequence 1): does not descend");
	must(chain_verify(f->repo, &state, c + 5, NULL, err));
}

static void sequences(void **state_)
{
	static const uint64_t wrong[] = {2, 5, 6, 8, 100, UINT64_MAX};
	struct fixture *f = *state_;
	struct oid c[CHAIN], tip, top;
	struct chain_state state;
	struct release r;

	put_chain(f, CHAIN, c);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		state = after(f, c + 5, 6, ADMIN);
		r = next(f, wrong[i], c + 5);
		tip = put_release(f->repo, &r, f->seeds[ADMIN]);
		refused(f, &state, &tip, ERR_REFUSED, "follows sequence 6");
		/* and in between; above the highest there is none */
		r = next(f, wrong[i] == UINT64_MAX ? wrong[i] : wrong[i] + 1, &tip);
		top = put_release(f->repo, &r, f->seeds[ADMIN]);
		refused(f, &state, &top, ERR_REFUSED, "");
		/* before the anchor no one looks, after it all must follow */
		state = fresh(f);
		memcpy(state.keys[0], f->keys[RETIRED], KEY_SIZE);
		refused(f, &state, &tip, ERR_REFUSED, "follows sequence 6");
	}
}

static void other_role_or_cluster(void **state_)
{
	struct fixture *f = *state_;
	struct oid c[CHAIN], tip;
	struct chain_state state;
	struct release r;

	put_chain(f, CHAIN, c);
	state = after(f, c + 5, 6, ADMIN);
	r = next(f, 7, c + 5);
	memcpy(r.role, "api", sizeof("api"));
	tip = put_release(f->repo, &r, f->seeds[ADMIN]);
	refused(f, &state, &tip, ERR_REFUSED, "(sequence 7): is of role api, not web");
	r = next(f, 8, &tip);
	tip = put_release(f->repo, &r, f->seeds[ADMIN]);
	refused(f, &state, &tip, ERR_REFUSED, "release");
	r = next(f, 7, c + 5);
	r.cluster_id[3] ^= 1;
	tip = put_release(f->repo, &r, f->seeds[ADMIN]);
	refused(f, &state, &tip, ERR_REFUSED, "(sequence 7): is of another cluster");
	/* as the anchor too */
	state = fresh(f);
	refused(f, &state, &tip, ERR_REFUSED, "is of another cluster");
	memcpy(state.role, "api", sizeof("api"));
	refused(f, &state, c + 5, ERR_REFUSED, "is of role web, not api");
	state = after(f, c + 1, 2, ADMIN);
	state.cluster_id[0] ^= 1;
	refused(f, &state, c + 5, ERR_REFUSED, "is of another cluster");
}

/* The same signature under other bytes: another commit id that stock git would take. */
static void twins(void **state_)
{
	static const struct {
		const char *what, *with;
	} rows[] = {
		{"gpgsig ", "encoding UTF-8\ngpgsig "},
		{"gpgsig ", "mergetag object 00\n type commit\ngpgsig "},
		{"gpgsig ", "x y\ngpgsig "},
		{"SIGNATURE-----\n ", "SIGNATURE-----\n \n "},
		{" -----END SSH SIGNATURE-----\n", " -----END SSH SIGNATURE-----\n \n"},
		{" -----END SSH SIGNATURE-----\n", " -----END SSH SIGNATURE-----\ngpgsig x\n"},
		{"gpgsig -----BEGIN", "gpgsig x\n -----BEGIN"},
		{"gpgsig -----BEGIN", "gpgsig-sha256 x\ngpgsig -----BEGIN"},
	};
	struct fixture *f = *state_;
	struct chain_state state;
	struct oid c[CHAIN], twin, tip;
	struct release r;

	put_chain(f, CHAIN, c);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		twin = put_raw(f, swapped(raw_of(f, c + 5), rows[i].what, rows[i].with));
		state = after(f, c + 4, 5, ADMIN);
		refused(f, &state, &twin, ERR_CORRUPT, "release");
		r = next(f, 7, &twin);
		tip = put_release(f->repo, &r, f->seeds[ADMIN]);
		refused(f, &state, &tip, ERR_CORRUPT, "release");
	}
}

static void signature_block_in_a_repository(void **state_)
{
	struct fixture *f = *state_;
	struct chain_state state;
	struct oid c[2], twin;
	char *raw, *copy;
	size_t first, last;

	put_chain(f, 2, c);
	raw = raw_of(f, c + 1);
	first = (size_t)(strstr(raw, "gpgsig ") - raw);
	last = (size_t)(strstr(raw, "\n\n") + 1 - raw);
	state = after(f, c, 1, ADMIN);
	/* one flip in each byte, the bit changing from byte to byte (all of them: test_release.c)
	 */
	for (size_t i = first; i < last; i++) {
		copy = text_copy(raw);
		copy[i] = (char)(copy[i] ^ 1 << i % 7);
		if (!copy[i])
			copy[i] = 'x';
		twin = put_raw(f, copy);
		must_fail(chain_verify(f->repo, &state, &twin, NULL, err), ERR_NONE, "release");
	}
	for (size_t i = first; i < last; i += 5) {
		copy = text_format("%.*s%s", (int)i, raw, raw + last);
		twin = put_raw(f, copy);
		must_fail(chain_verify(f->repo, &state, &twin, NULL, err), ERR_NONE, "release");
	}
	free(raw);
	must(chain_verify(f->repo, &state, c + 1, NULL, err));
}

/* What is signed by a good key and still has no place in a chain. */
static void trailers_and_headers(void **state_)
{
	static const struct {
		const char *what, *with;
	} rows[] = {
		{"Muster-Sequence: 6", "Muster-Sequence: 6\nMuster-Sequence: 6"},
		{"Muster-Role: web\nMuster-Sequence: 6", "Muster-Sequence: 6\nMuster-Role: web"},
		{"why it was made", "Muster-Role: api"},
		{"why it was made",
		 "Muster-Cluster: 01010101010101010101010101010101\nMuster-Role: api"},
		{"=\n", "=\nMuster-Keys: AAAA\n"},
		{"=\n", "=\n\nMuster-Role: api\n"},
		{"author ", "encoding UTF-8\nauthor "},
	};
	struct fixture *f = *state_;
	struct chain_state state;
	struct oid c[CHAIN], bad;

	put_chain(f, CHAIN, c);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *raw = raw_of(f, c + 5), *headers, *body;

		split_raw(raw, &headers, &body);
		if (strstr(headers, rows[i].what))
			headers = swapped(headers, rows[i].what, rows[i].with);
		else
			body = swapped(body, rows[i].what, rows[i].with);
		bad = put_raw(f, signed_raw(f->seeds[ADMIN], headers, body));
		state = after(f, c + 4, 5, ADMIN);
		refused(f, &state, &bad, ERR_CORRUPT, "release");
		free(raw);
		free(headers);
		free(body);
	}
}

static void missing_and_wrong_objects(void **state_)
{
	struct fixture *f = *state_;
	struct oid c[CHAIN], none = {{8}}, tip, blob = put_blob(f->repo, "x");
	struct chain_state state;
	struct release r;

	put_chain(f, CHAIN, c);
	state = after(f, c + 1, 2, ADMIN);
	refused(f, &state, &none, ERR_CORRUPT, "release 080000000000");
	refused(f, &state, &blob, ERR_CORRUPT, "not a commit");
	r = next(f, 7, &none);
	tip = put_release(f->repo, &r, f->seeds[ADMIN]);
	refused(f, &state, &tip, ERR_CORRUPT, "release 080000000000");
	r = next(f, 7, &blob);
	tip = put_release(f->repo, &r, f->seeds[ADMIN]);
	refused(f, &state, &tip, ERR_CORRUPT, "not a commit");
}

static void other_commits_of_git(void **state_)
{
	struct fixture *f = *state_;
	struct oid c[CHAIN], tip;
	struct chain_state state;
	char *text;

	need("git");
	put_chain(f, CHAIN, c);
	must(repo_ref_set(f->repo, "refs/heads/web", NULL, c + 5, err));
	state = after(f, c + 4, 5, ADMIN);
	/* a plain commit, a merge, a tag */
	text = answer(f->path, "git commit-tree -m x -p web web^{tree}");
	assert_int_equal(oid_parse(text, &tip), 0);
	free(text);
	refused(f, &state, &tip, ERR_REFUSED, "is not signed");
	text = answer(f->path, "git commit-tree -m x -p web -p web~2 web^{tree}");
	assert_int_equal(oid_parse(text, &tip), 0);
	free(text);
	refused(f, &state, &tip, ERR_CORRUPT, "\"author\" belongs");
	text = answer(f->path, "git tag -a -m x t web && git rev-parse t");
	assert_int_equal(oid_parse(text, &tip), 0);
	free(text);
	refused(f, &state, &tip, ERR_CORRUPT, "not a commit");
}

static void removed_roles(void **state_)
{
	struct fixture *f = *state_;
	struct oid c[CHAIN], gone, tip;
	struct chain_state state;
	struct release r, out;
	struct fileset set = {0};

	put_chain(f, 2, c);
	state = after(f, c + 1, 2, ADMIN);
	r = new_release(f->repo, 3, c + 1, "<config>2</config>\n", f->keys[ADMIN]);
	r.removed = true;
	gone = put_release(f->repo, &r, f->seeds[ADMIN]);
	must(chain_verify(f->repo, &state, &gone, &out, err));
	assert_true(out.removed);
	must(chain_content(f->repo, &out, &set, err));
	fileset_clear(&set);
	release_clear(&out);
	/* twice (a rotation), and back */
	r = new_release(f->repo, 4, &gone, "<config>2</config>\n", f->keys[ADMIN]);
	r.removed = true;
	tip = put_release(f->repo, &r, f->seeds[ADMIN]);
	must(chain_verify(f->repo, &state, &tip, NULL, err));
	r = new_release(f->repo, 5, &tip, "other", f->keys[ADMIN]);
	tip = put_release(f->repo, &r, f->seeds[ADMIN]);
	must(chain_verify(f->repo, &state, &tip, NULL, err));
	/* but it changes nothing: directly after the accepted one, in between, as the anchor */
	r = new_release(f->repo, 3, c + 1, "changed", f->keys[ADMIN]);
	r.removed = true;
	gone = put_release(f->repo, &r, f->seeds[ADMIN]);
	state = after(f, c + 1, 2, ADMIN);
	refused(f, &state, &gone, ERR_REFUSED, "(sequence 3): says that its role is removed");
	r = new_release(f->repo, 4, &gone, "changed", f->keys[ADMIN]);
	tip = put_release(f->repo, &r, f->seeds[ADMIN]);
	refused(f, &state, &tip, ERR_REFUSED, "(sequence 3): says that its role is removed");
	state = fresh(f);
	refused(f, &state, &gone, ERR_REFUSED, "(sequence 3): says that its role is removed");
}

static void tree_that_is_not_the_digest(void **state_)
{
	struct fixture *f = *state_;
	struct release r = next(f, 1, NULL),
		       other = new_release(f->repo, 1, NULL, "other", f->keys[ADMIN]);
	struct oid tree = r.tree;
	struct fileset set = {0};

	/* another content under the same id, as a collision would have it: to the digest it is the
	 * same case */
	r.tree = other.tree;
	must_fail(chain_content(f->repo, &r, &set, err), ERR_CORRUPT, "not those of its digest");
	r.tree = tree;
	r.digest[31] ^= 1;
	must_fail(chain_content(f->repo, &r, &set, err), ERR_CORRUPT, "not those of its digest");
	r.digest[31] ^= 1;
	memset(r.tree.id, 9, OID_SIZE);
	must_fail(chain_content(f->repo, &r, &set, err), ERR_CORRUPT, "release of sequence 1");
	r.tree = tree;
	must(chain_content(f->repo, &r, &set, err));
	/* every way in which a set of files can differ */
	for (int way = 0; way < 6; way++) {
		struct fileset changed = {0};

		for (size_t i = 0; i < set.count; i++) {
			const struct file *file = set.files + i;
			bool at = i == 1;
			size_t size = file->size - (at && way == 4);
			uint32_t mode = at && way == 1 ? FILE_EXEC : file->mode;

			if (at && way == 2)
				continue;
			must(fileset_add(&changed,
					 at && way == 3 ? "files/logs/log.conF" : file->path, mode,
					 file->data, size, err));
		}
		if (way == 0)
			add_file(&changed, "files/extra", "");
		if (way == 5)
			changed.files[0].data[0] ^= 1;
		must(tree_write(f->repo, &changed, &r.tree, err));
		fileset_clear(&changed);
		must_fail(chain_content(f->repo, &r, &changed, err), ERR_CORRUPT,
			  "not those of its digest");
		assert_int_equal(changed.count, 0);
	}
	fileset_clear(&set);
	release_clear(&r);
	release_clear(&other);
}

static void tree_with_links(void **state_)
{
	struct fixture *f = *state_;
	struct release r = next(f, 1, NULL);
	struct fileset set = {0};
	struct oid blob = put_blob(f->repo, "/etc/passwd");
	struct buf tree;

	buf_init(&tree, 1000);
	put_entry(&tree, "120000", "config.xml", &blob);
	r.tree = put_tree(f->repo, &tree);
	must_fail(chain_content(f->repo, &r, &set, err), ERR_REFUSED, "mode 120000");
	buf_reset(&tree);
	put_entry(&tree, "100644", "../config.xml", &blob);
	r.tree = put_tree(f->repo, &tree);
	must_fail(chain_content(f->repo, &r, &set, err), ERR_REFUSED, "no name");
	buf_clear(&tree);
	release_clear(&r);
}

static void steps(void **state_)
{
	struct fixture *f = *state_;
	struct oid c[2], wrong = {{4}};
	struct chain_state state = fresh(f), before;
	struct release r[2];

	put_chain(f, 2, c);
	for (int i = 0; i < 2; i++) {
		char *raw = raw_of(f, c + i);

		must(release_parse(raw, strlen(raw), r + i, err));
		free(raw);
	}
	must(chain_step(&state, c, r, err));
	before = state;
	must_fail(chain_step(&state, c, r, err), ERR_REFUSED,
		  "(sequence 1): does not follow release");
	assert_memory_equal(&before, &state, sizeof(state));
	state.accepted = wrong;
	must_fail(chain_step(&state, c + 1, r + 1, err), ERR_REFUSED,
		  "does not follow release 040000000000");
	state = before;
	state.key_count = 0;
	must_fail(chain_step(&state, c + 1, r + 1, err), ERR_REFUSED, "signed by a key");
	state = before;
	must(chain_step(&state, c + 1, r + 1, err));
	assert_int_equal(state.sequence, 2);
	state = fresh(f);
	state.key_count = 0;
	must_fail(chain_step(&state, c, r, err), ERR_REFUSED,
		  "that the cluster file does not name");
	release_clear(r);
	release_clear(r + 1);
}

/* The newest releases in a repository of their own, all before in the one that its alternates name.
 */
static void in_a_quarantine(void **state_)
{
	struct fixture *f = *state_;
	char *path = text_format("%s/q.git", f->folder);
	struct oid c[CHAIN], tip;
	struct chain_state state, anchor = fresh(f);
	struct fileset set = {0};
	struct release out, r;
	struct repo *q;

	put_chain(f, CHAIN, c);
	sh(f->folder, "mkdir -p q.git/objects/info && echo ../../a.git/objects > "
		      "q.git/objects/info/alternates");
	must(repo_init_bare(path, &q, err));
	r = new_release(q, 7, c + 5, "in quarantine", f->keys[ADMIN]);
	tip = put_release(q, &r, f->seeds[ADMIN]);
	state = after(f, c + 3, 4, ADMIN);
	must_fail(chain_verify(f->repo, &state, &tip, NULL, err), ERR_CORRUPT, "release");
	must(chain_verify(q, &state, &tip, &out, err));
	assert_int_equal(state.sequence, 7);
	must(chain_verify(q, &anchor, &tip, NULL, err));
	must(chain_content(q, &out, &set, err));
	fileset_clear(&set);
	release_clear(&out);
	/* a removed role whose parent is outside */
	r = new_release(q, 7, c + 5, "<config>6</config>\n", f->keys[ADMIN]);
	r.removed = true;
	tip = put_release(q, &r, f->seeds[ADMIN]);
	state = after(f, c + 5, 6, ADMIN);
	must(chain_verify(q, &state, &tip, NULL, err));
	repo_free(q);
	free(path);
}

static void long_chains(void **state_)
{
	enum { LONG = 3000 };
	struct fixture *f = *state_;
	struct oid *c = mem_new(LONG, sizeof(*c));
	struct chain_state state = fresh(f);
	struct release r = new_release(f->repo, 1, NULL, "x", f->keys[ADMIN]);
	struct timespec from, to;
	double seconds;

	(void)git_libgit2_opts(GIT_OPT_ENABLE_FSYNC_GITDIR, 0); /* of the test's own making */
	for (unsigned i = 0; i < LONG; i++) {
		struct buf raw;

		r.has_parent = i > 0;
		r.sequence = i + 1;
		if (i > 0)
			r.parent = c[i - 1];
		buf_init(&raw, LIMIT_COMMIT_SIZE);
		must(release_sign(&r, f->seeds[i == 0 ? ADMIN : NEXT], &raw, err));
		must(repo_commit_write(f->repo, raw.data, raw.len, c + i, err));
		buf_clear(&raw);
		memcpy(r.keys[0], f->keys[NEXT], KEY_SIZE);
		if (i == 0) {
			/* the first one names the key of all others, so that a new node walks all
			 * the way */
			r.sequence = 1;
			r.has_parent = false;
			buf_init(&raw, LIMIT_COMMIT_SIZE);
			must(release_sign(&r, f->seeds[ADMIN], &raw, err));
			must(repo_commit_write(f->repo, raw.data, raw.len, c, err));
			buf_clear(&raw);
		}
	}
	must(repo_ref_set(f->repo, "refs/heads/web", NULL, c + LONG - 1, err));
	if (run("/", NULL, "command -v git") == 0)
		sh(f->path, "git repack -adq");
	repo_free(f->repo);
	must(repo_open(f->path, &f->repo, err));
	assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &from), 0);
	must(chain_verify(f->repo, &state, c + LONG - 1, NULL, err));
	assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &to), 0);
	seconds = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
	print_message("  %.0f releases a second\n", LONG / seconds);
	assert_int_equal(state.sequence, LONG);
	release_clear(&r);
	free(c);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		repo_test(accepts_from_nothing),
		repo_test(accepts_what_it_has),
		repo_test(content_by_digest),
		repo_test(unsigned_tip),
		repo_test(signed_tip_on_an_unsigned_ancestor),
		repo_test(anchor_hides_nothing_after_it),
		repo_test(unknown_key),
		repo_test(a_whole_history_of_a_stranger),
		repo_test(keys_rotate),
		repo_test(retired_key_after_a_rollback),
		repo_test(older_and_siblings),
		repo_test(sequences),
		repo_test(other_role_or_cluster),
		repo_test(twins),
		repo_test(signature_block_in_a_repository),
		repo_test(trailers_and_headers),
		repo_test(missing_and_wrong_objects),
		repo_test(other_commits_of_git),
		repo_test(removed_roles),
		repo_test(tree_that_is_not_the_digest),
		repo_test(tree_with_links),
		repo_test(steps),
		repo_test(in_a_quarantine),
		repo_test(long_chains),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
