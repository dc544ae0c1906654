/*
 * What may hold a node: which pins count, which revision a person means, and that its files are
 * what was released.
 */
#include "node_home.h"

#include "node/hold.h"
#include "node/quarantine.h"
#include "repo/tree.h"

/* from the third on another key signs, and the first one is retired */
enum { RELEASES = 5, ROTATED = 3 };

static const uint8_t old_seed[KEY_SIZE] = {42}, new_seed[KEY_SIZE] = {43},
		     foreign_seed[KEY_SIZE] = {44};

/* A node that accepted RELEASES releases; its log knows the newest only. */
struct scene {
	struct place *place;
	struct repo *replica;
	struct node_state state;
	struct oid releases[RELEASES + 1]; /* by their sequence */
	struct pin pin;			   /* a good one: hold at the second */
};

static struct oid source_of(unsigned n)
{
	struct oid oid = {{0xcc, 0xcc, 0xcc, 0xcc}};

	oid.id[4] = (uint8_t)n;
	return oid;
}

static void set_keys(struct release *r, unsigned n)
{
	r->key_count = 0;
	if (n < ROTATED)
		key_release_public(old_seed, r->keys[r->key_count++]);
	if (n >= ROTATED - 1)
		key_release_public(new_seed, r->keys[r->key_count++]);
}

/* Release N after PARENT, whatever SEED; its id, into the replica. LIES: its digest is another. */
static struct oid put_with_digest(struct scene *s, unsigned n, const struct oid *parent,
				  const uint8_t seed[static KEY_SIZE], const char *role, bool lies)
{
	struct release r = {.sequence = n, .has_parent = parent != NULL, .source = source_of(n)};
	struct fileset files = {0};
	char *text = text_format("<config>%u</config>\n", n);
	struct oid oid;
	struct buf raw;

	must(fileset_add(&files, "config.xml", FILE_PLAIN, text, strlen(text), err));
	must(tree_write(s->replica, &files, &r.tree, err));
	digest_fileset(&files, r.digest);
	r.digest[0] ^= lies;
	if (parent)
		r.parent = *parent;
	memset(r.cluster_id, 3, CLUSTER_ID_SIZE);
	memcpy(r.role, role, strlen(role) + 1);
	set_keys(&r, n);
	r.author = release_ident("Ada", "ada@example.com", 1700000000, 60);
	r.committer = release_committer("admin.example.com", 1700000100 + n);
	r.message = text_copy("a change\n");
	buf_init(&raw, LIMIT_COMMIT_SIZE);
	must(release_sign(&r, seed, &raw, err));
	must(repo_commit_write(s->replica, raw.data, raw.len, &oid, err));
	buf_clear(&raw);
	release_clear(&r);
	fileset_clear(&files);
	free(text);
	return oid;
}

static struct oid release_put(struct scene *s, unsigned n, const struct oid *parent,
			      const uint8_t seed[static KEY_SIZE], const char *role)
{
	return put_with_digest(s, n, parent, seed, role, false);
}

static void scene_open(struct scene *s, struct place *p)
{
	struct release newest = {.sequence = RELEASES};
	struct state_entry *entry;

	*s = (struct scene){.place = p, .state = {.known = true}};
	must(fs_make_dirs(p->home.var_fd, "node", 0700, err));
	must(replica_open(&p->home, &s->replica, err));
	for (unsigned n = 1; n <= RELEASES; n++)
		s->releases[n] = release_put(s, n, n > 1 ? s->releases + n - 1 : NULL,
					     n < ROTATED ? old_seed : new_seed, "web");
	memset(s->state.chain.cluster_id, 3, CLUSTER_ID_SIZE);
	memcpy(s->state.chain.role, "web", sizeof("web"));
	s->state.chain.has_accepted = true;
	s->state.chain.accepted = s->releases[RELEASES];
	s->state.chain.sequence = RELEASES;
	set_keys(&newest, RELEASES);
	s->state.chain.key_count = newest.key_count;
	memcpy(s->state.chain.keys, newest.keys, sizeof(newest.keys));
	entry = node_state_note(&s->state, s->releases + RELEASES, RELEASES);
	entry->source = source_of(RELEASES);
	s->state.pin_sequence = 7;
	s->pin = (struct pin){.hold = true,
			      .release = s->releases[2],
			      .sequence = 8,
			      .node = "node2",
			      .reason = "sessions are lost",
			      .tagger = "muster <admin@admin.example.com> 1700000000 +0000"};
	memset(s->pin.cluster_id, 3, CLUSTER_ID_SIZE);
}

static void scene_close(struct scene *s)
{
	repo_free(s->replica);
	node_state_clear(&s->state);
}

static int judge(struct scene *s, const struct buf *raw, struct pin *out, bool *fresh,
		 struct err *err)
{
	return hold_accept(&s->place->home, &s->state, "node2", raw->data, raw->len, out, fresh,
			   err);
}

/* The pin as it is now, signed with SEED. */
static int offer(struct scene *s, const uint8_t seed[static KEY_SIZE], bool *fresh, struct err *err)
{
	struct pin out;
	struct buf raw;
	int rc;

	buf_init(&raw, PIN_RAW_MAX);
	pin_sign(&s->pin, seed, &raw);
	rc = judge(s, &raw, &out, fresh, err);
	if (rc == 0)
		assert_true(out.sequence == s->pin.sequence && out.hold == s->pin.hold);
	buf_clear(&raw);
	return rc;
}

#define takes(s, seed, wanted)                                                                     \
	do {                                                                                       \
		bool fresh = !(wanted);                                                            \
		must(offer(s, seed, &fresh, err));                                                 \
		assert_true(fresh == (wanted));                                                    \
	} while (0)

#define refuses(s, seed, words)                                                                    \
	do {                                                                                       \
		bool fresh = false;                                                                \
		must_fail(offer(s, seed, &fresh, err), ERR_REFUSED, words);                        \
	} while (0)

static void good_pins_count(void **state)
{
	struct scene s;

	scene_open(&s, *state);
	takes(&s, new_seed, true);
	s.pin.release = s.releases[RELEASES]; /* the newest, in the log */
	takes(&s, new_seed, true);
	s.pin.release = s.releases[1];
	s.pin.sequence = INT64_MAX;
	takes(&s, new_seed, true);
	s.pin.hold = false;
	/* follow names what the admin had then: nothing comes of it */
	s.pin.release = source_of(9);
	takes(&s, new_seed, true);
	scene_close(&s);
}

static void a14_each_is_refused(void **state)
{
	struct scene s;
	struct pin good;

	scene_open(&s, *state);
	good = s.pin;
	memcpy(s.pin.node, "node1", sizeof("node1"));
	refuses(&s, new_seed, "is for node node1");
	s.pin = good;
	s.pin.cluster_id[15] ^= 1;
	refuses(&s, new_seed, "of another cluster");
	s.pin = good;
	for (s.pin.sequence = 7; s.pin.sequence > 0; s.pin.sequence--)
		refuses(&s, new_seed, "accepted here was 7");
	s.pin.sequence = UINT64_C(1) + INT64_MAX;
	refuses(&s, new_seed, "out of range");
	s.pin = good;
	/* a retired one */
	refuses(&s, old_seed, "is signed by a key that the newest release here does not name");
	refuses(&s, foreign_seed, "is signed by a key");
	s.pin.hold = false;
	refuses(&s, old_seed, "is signed by a key");
	s.pin = good;
	s.pin.release = source_of(1);
	refuses(&s, new_seed, "never accepted here");
	/* in the replica, signed and all, but beside the line of those accepted, or after it */
	s.pin.release = release_put(&s, 4, s.releases + 2, new_seed, "web");
	refuses(&s, new_seed, "never accepted here");
	s.pin.release = release_put(&s, RELEASES + 1, s.releases + RELEASES, new_seed, "web");
	refuses(&s, new_seed, "never accepted here");
	s.pin.release = release_put(&s, 1, NULL, old_seed, "mail");
	refuses(&s, new_seed, "never accepted here");
	scene_close(&s);
}

static void unsigned_cut_and_flipped(void **state)
{
	struct scene s;
	struct buf raw;
	struct pin out = {.sequence = 0};
	bool fresh;
	struct err why;
	size_t end;

	scene_open(&s, *state);
	buf_init(&raw, PIN_RAW_MAX);
	pin_sign(&s.pin, new_seed, &raw);
	for (size_t i = 0; i < raw.len; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			raw.data[i] ^= (uint8_t)(1u << bit);
			if (judge(&s, &raw, &out, &fresh, &why) == 0)
				fail_msg("bit %u of byte %zu", bit, i);
			assert_true(why.code == ERR_REFUSED || why.code == ERR_CORRUPT);
			assert_non_null(strstr(why.text, "pin: "));
			raw.data[i] ^= (uint8_t)(1u << bit);
		}
	}
	end = raw.len;
	for (raw.len = 0; raw.len < end; raw.len++)
		assert_int_equal(judge(&s, &raw, &out, &fresh, &why), -1);
	raw.len = (size_t)(strstr((char *)raw.data, "-----BEGIN") - (char *)raw.data);
	must_fail(judge(&s, &raw, &out, &fresh, err), ERR_REFUSED, "is not signed");
	raw.len = end;
	buf_put(&raw, "\n", 1);
	must_fail(judge(&s, &raw, &out, &fresh, err), ERR_NONE, "pin: ");
	assert_int_equal(out.sequence, 0);
	buf_clear(&raw);
	scene_close(&s);
}

/*
 * Also when the key that signed it is retired meanwhile: it was accepted, and nothing follows from
 * it.
 */
static void the_last_one_again_is_nothing_new(void **state)
{
	struct scene s;
	char hex[OID_HEX_SIZE];

	scene_open(&s, *state);
	s.state.pin_sequence = 8;
	hold_set(&s.state.pinned, oid_hex(s.releases + 2, hex), "-");
	takes(&s, new_seed, false);
	takes(&s, old_seed, false);
	takes(&s, foreign_seed, false);
	s.pin.release = s.releases[1];
	refuses(&s, new_seed, "has sequence 8, accepted here was 8");
	s.pin.release = s.releases[2];
	s.pin.hold = false;
	refuses(&s, new_seed, "has sequence 8, accepted here was 8");
	s.state.pinned = (struct hold){.since = 0};
	takes(&s, new_seed, false);
	s.pin.hold = true;
	refuses(&s, new_seed, "has sequence 8");
	memcpy(s.pin.node, "node1", sizeof("node1"));
	s.pin.hold = false;
	refuses(&s, new_seed, "is for node node1");
	scene_close(&s);
}

/* Whether that was accepted cannot be told: it is judged once the replica was fetched anew. */
static void not_refused_for_a_lost_replica(void **state)
{
	struct scene s;
	bool unused;

	scene_open(&s, *state);
	repo_free(s.replica);
	s.replica = NULL;
	must(fs_remove_tree(s.place->home.var_fd, "node/replica.git", err));
	must_fail(offer(&s, new_seed, &unused, err), ERR_RETRY, "the replica has lost");
	s.pin.release = s.releases[RELEASES];
	takes(&s, new_seed, true);
	scene_close(&s);
}

/* --- what a revision means --- */

static void means(struct scene *s, const char *rev, const struct oid *wanted)
{
	char name[REVISION_NAME_MAX] = "", hex[OID_HEX_SIZE];

	must(hold_find(&s->place->home, &s->state, rev, name, err));
	assert_string_equal(name, oid_hex(wanted, hex));
}

static void means_nothing(struct scene *s, const char *rev, const char *words)
{
	char name[REVISION_NAME_MAX];

	must_fail(hold_find(&s->place->home, &s->state, rev, name, err), ERR_REFUSED, words);
}

static void revisions_by_id_and_by_source(void **state)
{
	struct scene s;
	char hex[OID_HEX_SIZE];
	struct oid oid;

	scene_open(&s, *state);
	for (unsigned n = 1; n <= RELEASES; n++) {
		means(&s, oid_hex(s.releases + n, hex), s.releases + n);
		hex[HOLD_PREFIX_MIN] = '\0';
		means(&s, hex, s.releases + n);
		hex[HOLD_PREFIX_MIN - 1] = '\0';
		means_nothing(&s, hex, "is no revision");
		oid = source_of(n);
		means(&s, oid_hex(&oid, hex), s.releases + n);
		hex[10] = '\0';
		means(&s, hex, s.releases + n);
		hex[8] = '\0'; /* all of them */
		means_nothing(&s, hex, "means more than one release");
	}
	means_nothing(&s, "", "is no revision");
	means_nothing(&s, "HEAD", "is no revision");
	means_nothing(&s, "ABCDEF0", "is no revision");
	means_nothing(&s, "../../state", "is no revision");
	means_nothing(&s, "00000000000000000000000000000000000000000", "is no revision");
	means_nothing(&s, "0000000", "is no release that was accepted here");
	/* what is in the replica and not in the line of those accepted */
	oid = release_put(&s, RELEASES + 1, s.releases + RELEASES, new_seed, "web");
	means_nothing(&s, oid_hex(&oid, hex), "is no release that was accepted here");
	scene_close(&s);
}

static void of_one_source_the_newest(void **state)
{
	struct scene s;
	struct oid source = source_of(2);
	char hex[OID_HEX_SIZE];

	scene_open(&s, *state);
	s.state.log[0].source = source;
	s.state.log[0].sequence = RELEASES;
	means(&s, oid_hex(&source, hex), s.releases + RELEASES);
	scene_close(&s);
}

/* The log alone says enough, and two ids that begin alike are two. */
static void without_a_replica(void **state)
{
	struct scene s;
	struct oid twin;
	char hex[OID_HEX_SIZE];

	scene_open(&s, *state);
	repo_free(s.replica);
	s.replica = NULL;
	must(fs_remove_tree(s.place->home.var_fd, "node/replica.git", err));
	means(&s, oid_hex(s.releases + RELEASES, hex), s.releases + RELEASES);
	means_nothing(&s, oid_hex(s.releases + 1, hex), "is no release that was accepted here");
	twin = s.releases[RELEASES];
	twin.id[OID_SIZE - 1] ^= 1;
	(void)node_state_note(&s.state, &twin, 1);
	(void)oid_hex(&twin, hex);
	hex[20] = '\0';
	means_nothing(&s, hex, "means more than one release");
	means(&s, oid_hex(&twin, hex), &twin);
	scene_close(&s);
}

static void burnt_ones_are_refused(void **state)
{
	struct scene s;
	char hex[OID_HEX_SIZE];

	scene_open(&s, *state);
	entry_verdict(s.state.log, VERDICT_BURNT, "activate", "no");
	means_nothing(&s, oid_hex(s.releases + RELEASES, hex), "resume --here");
	entry_verdict(s.state.log, VERDICT_REJECTED, "vet", "no");
	means(&s, oid_hex(s.releases + RELEASES, hex), s.releases + RELEASES);
	scene_close(&s);
}

static void revisions_of_etc_init(void **state)
{
	struct scene s;
	char name[REVISION_NAME_MAX];

	scene_open(&s, *state);
	means_nothing(&s, "init-0011223", "there is no revision");
	must(fs_make_dirs(s.place->home.var_fd, "node/revisions/init-00112233", 0700, err));
	must(fs_make_dirs(s.place->home.var_fd, "node/revisions/init-00112244.tmp", 0700, err));
	must(hold_find(&s.place->home, &s.state, "init-0011223", name, err));
	assert_string_equal(name, "init-00112233");
	means_nothing(&s, "init-00112244", "there is no revision");
	means_nothing(&s, "init-001122", "is no revision");
	must(fs_make_dirs(s.place->home.var_fd, "node/revisions/init-00112234", 0700, err));
	means_nothing(&s, "init-0011223", "means more than one revision");
	scene_close(&s);
}

/* --- the files --- */

static int read_one(struct scene *s, const struct oid *release, unsigned *n, struct err *err)
{
	struct revision revision = {.is_init = false};
	char hex[OID_HEX_SIZE];
	int rc = hold_read(&s->place->home, &s->state, oid_hex(release, hex), &revision, err);

	if (rc == 0) {
		*n = (unsigned)revision.release.sequence;
		assert_int_equal(revision.files.count, 1);
		assert_string_equal(revision.name, hex);
		assert_non_null(revision.raw);
	} else {
		assert_int_equal(revision.files.count, 0);
	}
	revision_clear(&revision);
	return rc;
}

static void read_from_the_replica(void **state)
{
	struct scene s;
	unsigned got = 0;

	scene_open(&s, *state);
	for (unsigned n = 1; n <= RELEASES; n++) {
		must(read_one(&s, s.releases + n, &got, err));
		assert_int_equal(got, n);
	}
	scene_close(&s);
}

/* The replica is the node's own, and still nothing in it is believed. */
static void what_does_not_verify_is_not_read(void **state)
{
	struct scene s;
	struct oid oid;
	unsigned n;

	scene_open(&s, *state);
	oid = release_put(&s, 4, s.releases + 3, old_seed, "web");
	must_fail(read_one(&s, &oid, &n, err), ERR_REFUSED,
		  "is signed by a key that the release before it does not name");
	oid = release_put(&s, 5, s.releases + 3, new_seed, "web");
	must_fail(read_one(&s, &oid, &n, err), ERR_REFUSED, "follows sequence 3");
	oid = release_put(&s, 4, s.releases + 3, new_seed, "mail");
	must_fail(read_one(&s, &oid, &n, err), ERR_REFUSED, "is of role mail");
	oid = release_put(&s, 1, NULL, old_seed, "mail");
	must_fail(read_one(&s, &oid, &n, err), ERR_REFUSED, "is of role mail");
	oid = put_with_digest(&s, 4, s.releases + 3, new_seed, "web", true);
	must_fail(read_one(&s, &oid, &n, err), ERR_CORRUPT, "not those of its digest");
	oid = source_of(1);
	must_fail(read_one(&s, &oid, &n, err), ERR_REFUSED, "revision cccccccc01");
	s.state.chain.cluster_id[0] ^= 1;
	must_fail(read_one(&s, s.releases + 2, &n, err), ERR_REFUSED, "another cluster");
	scene_close(&s);
}

static void the_nodes_own_hold_comes_first(void **state)
{
	struct node_state node = {.known = true};

	(void)state;
	assert_null(node_state_hold(&node));
	hold_set(&node.pinned, "a", "-");
	assert_string_equal(node_state_hold(&node)->release, "a");
	hold_set(&node.here, "b", "bytes \xff and \n");
	assert_string_equal(node_state_hold(&node)->release, "b");
	assert_string_equal(node.here.reason, "bytes ? and ?");
	assert_true(node.here.since > 1700000000);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		place_test(good_pins_count),
		place_test(a14_each_is_refused),
		place_test(unsigned_cut_and_flipped),
		place_test(the_last_one_again_is_nothing_new),
		place_test(not_refused_for_a_lost_replica),
		place_test(revisions_by_id_and_by_source),
		place_test(of_one_source_the_newest),
		place_test(without_a_replica),
		place_test(burnt_ones_are_refused),
		place_test(revisions_of_etc_init),
		place_test(read_from_the_replica),
		place_test(what_does_not_verify_is_not_read),
		cmocka_unit_test(the_nodes_own_hold_comes_first),
	};

	crypto_setup();
	git_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
