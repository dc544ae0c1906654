/*
 * What another hand damages: found in folders, made anew from the replica, and a lost state only
 * from what is verified.
 */
#include "node_home.h"

#include "node/heal.h"
#include "node/quarantine.h"
#include "repo/tree.h"

#include <dirent.h>

enum { CHAIN = 6, ROTATED = 4 }; /* from release 4 on the second key signs */

static const uint8_t seeds[3][KEY_SIZE] = {{42}, {43}, {44}}; /* the last is a stranger's */

/* --- manifests --- */

struct folder {
	struct fileset files;
	struct manifest manifest;
	int fd;
};

static void fill(struct folder *f)
{
	must(fileset_add(&f->files, "a/b/deep", FILE_PLAIN, "deep\n", 5, err));
	must(fileset_add(&f->files, "a/x", FILE_EXEC, "#!\n", 3, err));
	must(fileset_add(&f->files, "a.b", FILE_PLAIN, "", 0, err));
	must(fileset_add(&f->files, "config.xml", FILE_PLAIN, "<config/>\n", 10, err));
}

static void make(struct place *p, struct folder *f)
{
	*f = (struct folder){.fd = -1};
	fill(f);
	must(fs_remove_tree(p->home.var_fd, "folder", err));
	must(fs_make_dirs(p->home.var_fd, "folder", 0700, err));
	must(fs_open_dir(p->home.var_fd, "folder", &f->fd, err));
	must(fileset_write_dir(&f->files, f->fd, err));
	manifest_of(&f->files, &f->manifest);
	must(manifest_check(&f->manifest, f->fd, err));
}

static void end(struct folder *f)
{
	manifest_clear(&f->manifest);
	fileset_clear(&f->files);
	(void)close(f->fd);
}

static void write_in(int fd, const char *path, const char *text)
{
	int file = openat(fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(file >= 0);
	assert_int_equal(write(file, text, strlen(text)), strlen(text));
	(void)close(file);
}

static void change(int fd, const char *what)
{
	if (strcmp(what, "edit") == 0)
		write_in(fd, "config.xml", "<konfig/>\n");
	else if (strcmp(what, "grow") == 0)
		write_in(fd, "a.b", "x");
	else if (strcmp(what, "cut") == 0)
		write_in(fd, "a/b/deep", "");
	else if (strcmp(what, "remove") == 0)
		assert_int_equal(unlinkat(fd, "a/b/deep", 0), 0);
	else if (strcmp(what, "remove folder") == 0)
		must(fs_remove_tree(fd, "a", err));
	else if (strcmp(what, "add") == 0)
		write_in(fd, "a/b/more", "");
	else if (strcmp(what, "add folder") == 0)
		assert_int_equal(mkdirat(fd, "empty", 0700), 0);
	else if (strcmp(what, "newline") == 0)
		write_in(fd, "a\nb", "");
	else if (strcmp(what, "link") == 0)
		assert_int_equal(unlinkat(fd, "a.b", 0) | symlinkat("config.xml", fd, "a.b"), 0);
	else if (strcmp(what, "pipe") == 0)
		assert_int_equal(unlinkat(fd, "a.b", 0) | mkfifoat(fd, "a.b", 0600), 0);
	else if (strcmp(what, "folder for file") == 0)
		assert_int_equal(unlinkat(fd, "a.b", 0) | mkdirat(fd, "a.b", 0700), 0);
	else if (strcmp(what, "file for folder") == 0) {
		must(fs_remove_tree(fd, "a/b", err));
		write_in(fd, "a/b", "deep\n");
	} else if (strcmp(what, "readable") == 0)
		assert_int_equal(fchmodat(fd, "config.xml", 0644, 0), 0);
	else if (strcmp(what, "not executable") == 0)
		assert_int_equal(fchmodat(fd, "a/x", 0600, 0), 0);
	else if (strcmp(what, "open folder") == 0)
		assert_int_equal(fchmodat(fd, "a/b", 0755, 0), 0);
	else if (strcmp(what, "open") == 0)
		assert_int_equal(fchmod(fd, 0755), 0);
	else
		fail_msg("%s", what);
}

static void every_change_is_found(void **state)
{
	static const struct {
		const char *what;
		enum err_code code;
		const char *words;
	} cases[] = {
		{"edit", ERR_CORRUPT, "config.xml: was edited"},
		{"grow", ERR_CORRUPT, "a.b: was edited"},
		{"cut", ERR_CORRUPT, "a/b/deep: was edited"},
		{"remove", ERR_CORRUPT, "a/b/deep: is gone"},
		{"remove folder", ERR_CORRUPT, "a: is gone"},
		{"add", ERR_CORRUPT, "a/b/more: was added"},
		{"add folder", ERR_CORRUPT, "empty: was added"},
		{"newline", ERR_CORRUPT, "a?b: was added"},
		{"link", ERR_CORRUPT, "a.b: is no file any more"},
		{"pipe", ERR_CORRUPT, "a.b: is no file any more"},
		{"folder for file", ERR_CORRUPT, "a.b: is no file any more"},
		{"file for folder", ERR_CORRUPT, "a/b: is no folder any more"},
		{"readable", ERR_DENIED, "config.xml: has another mode"},
		{"not executable", ERR_DENIED, "a/x: has another mode"},
		{"open folder", ERR_DENIED, "a/b: has another mode"},
		{"open", ERR_DENIED, ".: has another mode"},
	};
	struct place *p = *state;
	struct folder f;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		make(p, &f);
		change(f.fd, cases[i].what);
		must_fail(manifest_check(&f.manifest, f.fd, err), cases[i].code, cases[i].words);
		end(&f);
	}
	/* another mode does not hide another content */
	make(p, &f);
	change(f.fd, "open folder");
	change(f.fd, "edit");
	must_fail(manifest_check(&f.manifest, f.fd, err), ERR_CORRUPT, "was edited");
	end(&f);
}

/* Shared with a group: it may read and no more, and another group may not. */
static void another_group_is_found(void **state)
{
	struct place *p = *state;
	struct folder f;

	make(p, &f);
	f.manifest.shared = true;
	f.manifest.group = getegid();
	must_fail(manifest_check(&f.manifest, f.fd, err), ERR_DENIED, "has another mode");
	assert_int_equal(fchmod(f.fd, 0750), 0);
	for (size_t i = 0; i < f.manifest.count; i++) {
		const struct manifest_entry *entry = f.manifest.entries + i;

		assert_int_equal(fchmodat(f.fd, entry->path,
					  entry->mode == FILE_PLAIN ? 0640 : 0750, 0),
				 0);
	}
	must(manifest_check(&f.manifest, f.fd, err));
	f.manifest.group++;
	must_fail(manifest_check(&f.manifest, f.fd, err), ERR_DENIED, "has another mode");
	end(&f);
}

static void what_is_the_same_is_none(void **state)
{
	struct place *p = *state;
	struct folder f;

	make(p, &f);
	write_in(f.fd, "config.xml", "<config/>\n");
	must(manifest_check(&f.manifest, f.fd, err));
	assert_int_equal(unlinkat(f.fd, "a/x", 0), 0);
	write_in(f.fd, "a/x", "#!\n");
	assert_int_equal(fchmodat(f.fd, "a/x", 0700, 0), 0);
	must(manifest_check(&f.manifest, f.fd, err));
	/* for a group it must be as that group may read it */
	f.manifest.shared = true;
	f.manifest.group = getegid();
	must_fail(manifest_check(&f.manifest, f.fd, err), ERR_DENIED, "has another mode");
	f.manifest.shared = false;
	manifest_add(&f.manifest, "release", "r", 1);
	must_fail(manifest_check(&f.manifest, f.fd, err), ERR_CORRUPT, "release: is gone");
	write_in(f.fd, "release", "r");
	must(manifest_check(&f.manifest, f.fd, err));
	end(&f);
}

/* --- a node's home with releases --- */

struct node {
	struct place *place;
	struct node_state state; /* with the newest accepted */
	struct chain_state given; /* what the cluster file says */
	struct oid oid[CHAIN + 1];
	char name[CHAIN + 1][OID_HEX_SIZE];
};

static void files_of(unsigned n, struct fileset *files)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "<config>%u</config>\n", n);
	must(fileset_add(files, "config.xml", FILE_PLAIN, text, strlen(text), err));
	must(fileset_add(files, "files/same", FILE_EXEC, "same\n", 5, err));
}

/* A release and its revision; SIGNER is an index of seeds. */
static void add_release(struct node *node, struct repo *repo, unsigned n, int signer, int next)
{
	struct release r = {.sequence = n, .key_count = 1};
	struct fileset files = {.count = 0};
	struct buf raw;

	files_of(n, &files);
	must(tree_write(repo, &files, &r.tree, err));
	if (n > 1) {
		r.has_parent = true;
		r.parent = node->oid[n - 1];
	}
	memset(r.source.id, 2, OID_SIZE);
	memcpy(r.cluster_id, node->given.cluster_id, CLUSTER_ID_SIZE);
	memcpy(r.role, "web", 4);
	digest_fileset(&files, r.digest);
	key_release_public(seeds[next], r.keys[0]);
	r.author = release_ident("Ada", "ada@example.com", 1700000000, 60);
	r.committer = release_committer("admin.example.com", 1700000100);
	r.message = text_copy("a change\n");
	buf_init(&raw, LIMIT_COMMIT_SIZE);
	must(release_sign(&r, seeds[signer], &raw, err));
	must(repo_commit_write(repo, raw.data, raw.len, &node->oid[n], err));
	(void)oid_hex(&node->oid[n], node->name[n]);
	must(revision_write(&node->place->home, node->name[n], &files, raw.data, raw.len, err));
	buf_clear(&raw);
	fileset_clear(&files);
	release_clear(&r);
}

static void accept_all(struct node *node)
{
	struct node_state *state = &node->state;

	state->known = true;
	state->chain = node->given;
	state->chain.has_accepted = true;
	state->chain.accepted = node->oid[CHAIN];
	state->chain.sequence = CHAIN;
	for (unsigned n = 1; n <= CHAIN; n++)
		entry_verdict(node_state_note(state, &node->oid[n], n),
			      n == CHAIN ? VERDICT_ACTIVE : VERDICT_PAST, "", NULL);
	memcpy(state->active, node->name[CHAIN], sizeof(node->name[CHAIN]));
	must(revision_swap(&node->place->home, node->name[CHAIN], err));
	must(quarantine_branch(&node->place->home, "web", &node->oid[CHAIN], err));
}

/*
 * Releases 1 to CHAIN; the key of the cluster file signs the first, another one those from ROTATED
 * on.
 */
static void node_make(struct place *p, struct node *node)
{
	struct repo *repo;

	*node = (struct node){.place = p, .given = {.key_count = 1}};
	memset(node->given.cluster_id, 3, CLUSTER_ID_SIZE);
	memcpy(node->given.role, "web", 4);
	key_release_public(seeds[0], node->given.keys[0]);
	must(fs_make_dirs(p->home.var_fd, "node", 0700, err));
	must(replica_open(&p->home, &repo, err));
	for (unsigned n = 1; n <= CHAIN; n++)
		add_release(node, repo, n, n >= ROTATED, n >= ROTATED - 1);
	repo_free(repo);
	accept_all(node);
}

static char *in_revision(const struct node *node, unsigned n, const char *file)
{
	return text_format("node/revisions/%s/%s", node->name[n], file);
}

static void a_revision_is_made_anew(void **state)
{
	struct node node;
	struct revision revision;
	bool mended;

	node_make(*state, &node);
	for (unsigned n = 1; n <= CHAIN; n++) {
		char *path = in_revision(&node, n, "config.xml");

		must(mend_revision(&node.place->home, node.name[n], &node.state, &revision, &mended,
				   err));
		assert_false(mended);
		revision_clear(&revision);
		if (n % 2)
			put_file(node.place, path, "<config>other</config>\n");
		else
			must(fs_remove_tree(node.place->home.var_fd, path, err));
		must(mend_revision(&node.place->home, node.name[n], &node.state, &revision, &mended,
				   err));
		assert_true(mended);
		assert_int_equal(revision.release.sequence, n);
		revision_clear(&revision);
		must(revision_read(&node.place->home, node.name[n], &node.state, &revision, err));
		revision_clear(&revision);
		free(path);
	}
	node_state_clear(&node.state);
}

/* What is told is what was wrong first, and nothing is believed that was not accepted. */
static void only_from_what_was_accepted(void **state)
{
	struct place *p = *state;
	struct node node;
	struct revision revision;
	bool mended;
	char *path;

	node_make(p, &node);
	path = in_revision(&node, CHAIN, "config.xml");
	put_file(p, path, "other");
	free(path);
	node.state.log[0].release.id[0] ^= 1;
	must_fail(mend_revision(&p->home, node.name[CHAIN], &node.state, &revision, &mended, err),
		  ERR_CORRUPT, "this node never accepted");
	must_fail(mend_read(&p->home, node.name[CHAIN], &node.state, &revision, err), ERR_GONE,
		  "never accepted");
	node.state.log[0].release.id[0] ^= 1;
	node.state.chain.role[0] = 'x';
	must_fail(mend_read(&p->home, node.name[CHAIN], &node.state, &revision, err), ERR_CORRUPT,
		  "cluster or role");
	node.state.chain.role[0] = 'w';
	must_fail(mend_read(&p->home, "../x", &node.state, &revision, err), ERR_CORRUPT, "no name");
	must_fail(mend_read(&p->home, "init-x", &node.state, &revision, err), ERR_NONE, "");
	must(fs_remove_tree(p->home.var_fd, "node/replica.git", err));
	must_fail(mend_revision(&p->home, node.name[CHAIN], &node.state, &revision, &mended, err),
		  ERR_CORRUPT, "digest");
	assert_false(mended);
	/* an older one that was good, by its verdict */
	must(mend_older(&p->home, node.name[CHAIN], &node.state, &revision, err));
	assert_string_equal(revision.name, node.name[CHAIN - 1]);
	revision_clear(&revision);
	entry_verdict(node_state_find(&node.state, &node.oid[CHAIN - 1]), VERDICT_BURNT, "activate",
		      "bad");
	entry_verdict(node_state_find(&node.state, &node.oid[CHAIN - 2]), VERDICT_REJECTED, "vet",
		      "bad");
	must(mend_older(&p->home, node.name[CHAIN], &node.state, &revision, err));
	assert_string_equal(revision.name, node.name[CHAIN - 3]);
	revision_clear(&revision);
	node_state_clear(&node.state);
}

/* --- the replica --- */

static char *a_file_in(const struct place *p, const char *folder)
{
	int fd = openat(p->home.var_fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fdopendir(fd);
	const struct dirent *entry;
	char *out = NULL;

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			out = text_format("%s/%s", folder, entry->d_name);
	(void)closedir(dir);
	assert_non_null(out);
	return out;
}

/* The loose object of a release's commit. */
static char *object_of(const struct node *node, unsigned n)
{
	return text_format("node/replica.git/objects/%.2s/%s", node->name[n], node->name[n] + 2);
}

static void a_damaged_replica_is_found(void **state)
{
	struct place *p = *state;
	struct node node;
	struct err why = {.code = ERR_NONE};
	char *path, *folder;

	node_make(p, &node);
	must(replica_check(&p->home, &node.state.chain, NULL, err));
	assert_true(replica_has(&p->home, &node.state.chain));
	for (unsigned n = 1; n <= CHAIN; n++) {
		path = object_of(&node, n);
		must(fs_replace(p->home.var_fd, path, "rubbish", 7, 0400, err));
		assert_int_equal(replica_check(&p->home, &node.state.chain, NULL, &why), -1);
		assert_int_equal(replica_has(&p->home, &node.state.chain), n != CHAIN);
		must(fs_remove_tree(p->home.var_fd, path, err));
		must_fail(replica_check(&p->home, &node.state.chain, NULL, err), ERR_GONE,
			  "release");
		free(path);
		node_state_clear(&node.state);
		must(fs_remove_tree(p->home.var_fd, "node", err));
		node_make(p, &node);
	}
	/* a branch that is wrong is set right */
	put_file(p, "node/replica.git/refs/heads/web", "rubbish");
	must(replica_check(&p->home, &node.state.chain, NULL, err));
	path = get_file(p, "node/replica.git/refs/heads/web");
	assert_memory_equal(path, node.name[CHAIN], OID_HEX);
	free(path);
	/*
	 * it is to blame for what fails only when it is damaged, and only a fault of content makes
	 * it suspect
	 */
	(void)err_set(&why, ERR_CORRUPT, "x");
	assert_false(replica_suspect(&p->home, &node.state.chain, &why));
	folder = text_format("node/replica.git/objects/%.2s", node.name[2]);
	path = a_file_in(p, folder);
	must(fs_remove_tree(p->home.var_fd, path, err));
	(void)err_set(&why, ERR_RETRY, "x");
	assert_false(replica_suspect(&p->home, &node.state.chain, &why));
	assert_int_equal(faccessat(p->home.var_fd, "node/replica.git", F_OK, 0), 0);
	(void)err_set(&why, ERR_REFUSED, "x");
	assert_true(replica_suspect(&p->home, &node.state.chain, &why));
	assert_int_equal(why.code, ERR_RETRY);
	assert_int_equal(faccessat(p->home.var_fd, "node/replica.git", F_OK, 0), -1);
	must_fail(replica_check(&p->home, &node.state.chain, NULL, err), ERR_NONE, "");
	/* with nothing accepted there is nothing to miss */
	must(replica_check(&p->home, &node.given, NULL, err));
	assert_false(replica_has(&p->home, &node.given));
	free(path);
	free(folder);
	node_state_clear(&node.state);
}

/* --- a lost state --- */

#define recovered(node, n, active_name)                                                            \
	do {                                                                                       \
		struct node_state made = {.known = false};                                         \
		assert_true(recover_state(&(node)->place->home, &(node)->given, &made));           \
		assert_true(made.known && made.chain.has_accepted);                                \
		assert_int_equal(made.chain.sequence, n);                                          \
		assert_true(oid_equal(&made.chain.accepted, &(node)->oid[n]));                     \
		assert_string_equal(made.active, active_name);                                     \
		for (unsigned i = 1; i <= CHAIN; i++)                                              \
			assert_int_equal(node_state_accepted(&made, &(node)->oid[i]), i <= (n));   \
		assert_true(oid_equal(&made.log[0].release, &(node)->oid[n]));                     \
		node_state_clear(&made);                                                           \
	} while (0)

static void from_the_replica(void **state)
{
	struct place *p = *state;
	struct node node;

	node_make(p, &node);
	recovered(&node, CHAIN, node.name[CHAIN]);
	must(fs_remove_tree(p->home.var_fd, "node/revisions", err));
	recovered(&node, CHAIN, node.name[CHAIN]);
	/* the branch behind: the revisions have the rest, as far as one follows from the other */
	must(quarantine_branch(&p->home, "web", &node.oid[2], err));
	recovered(&node, 2, "");
	node_state_clear(&node.state);
}

static void from_the_revisions(void **state)
{
	struct place *p = *state;
	struct node node;
	char *path;

	node_make(p, &node);
	must(quarantine_branch(&p->home, "web", &node.oid[2], err));
	recovered(&node, CHAIN, node.name[CHAIN]);
	must(fs_remove_tree(p->home.var_fd, "node/replica.git", err));
	recovered(&node, CHAIN, node.name[CHAIN]);
	/*
	 * a hole after the key of the cluster file was retired: what is behind it cannot be vouched
	 * for
	 */
	path = in_revision(&node, ROTATED, "release");
	must(fs_remove_tree(p->home.var_fd, path, err));
	recovered(&node, ROTATED - 1, "");
	free(path);
	/* a hole before it can */
	path = in_revision(&node, ROTATED, "");
	must(fs_remove_tree(p->home.var_fd, path, err));
	free(path);
	path = in_revision(&node, 1, "release");
	put_file(p, path, "rubbish");
	free(path);
	must(revision_swap(&p->home, node.name[2], err));
	{
		struct node_state made = {.known = false};

		assert_true(recover_state(&p->home, &node.given, &made));
		assert_int_equal(made.chain.sequence, ROTATED - 1);
		assert_false(node_state_accepted(&made, &node.oid[1]));
		assert_true(node_state_accepted(&made, &node.oid[2]));
		assert_string_equal(made.active, node.name[2]);
		node_state_clear(&made);
	}
	node_state_clear(&node.state);
}

/* A cluster file of after the rotation: what the retired key signed is not to be served for it. */
static void not_from_a_retired_key(void **state)
{
	struct place *p = *state;
	struct node_state made = {.known = false};
	struct node node;

	node_make(p, &node);
	key_release_public(seeds[1], node.given.keys[0]);
	must(fs_remove_tree(p->home.var_fd, "node/revisions", err));
	assert_true(recover_state(&p->home, &node.given, &made));
	assert_int_equal(made.chain.sequence, CHAIN);
	for (unsigned i = 1; i <= CHAIN; i++)
		assert_int_equal(node_state_accepted(&made, &node.oid[i]), i >= ROTATED);
	node_state_clear(&made);
	node_state_clear(&node.state);
}

static void nothing_is_believed(void **state)
{
	struct place *p = *state;
	struct node_state made = {.known = false};
	struct node node;
	struct repo *repo;

	node_make(p, &node);
	key_release_public(seeds[2], node.given.keys[0]);
	assert_false(recover_state(&p->home, &node.given, &made));
	key_release_public(seeds[0], node.given.keys[0]);
	node.given.cluster_id[0] ^= 1;
	assert_false(recover_state(&p->home, &node.given, &made));
	node.given.cluster_id[0] ^= 1;
	node.given.role[0] = 'x';
	assert_false(recover_state(&p->home, &node.given, &made));
	node.given.role[0] = 'w';
	node.given.key_count = 0;
	assert_false(recover_state(&p->home, &node.given, &made));
	node.given.key_count = 1;
	assert_false(made.known);
	/*
	 * a stranger's release on top: in the replica it spoils the branch, but not what the
	 * revisions say
	 */
	must(replica_open(&p->home, &repo, err));
	add_release(&node, repo, CHAIN, 2, 2);
	repo_free(repo);
	must(quarantine_branch(&p->home, "web", &node.oid[CHAIN], err));
	must(revision_swap(&p->home, node.name[CHAIN], err));
	assert_true(recover_state(&p->home, &node.given, &made));
	assert_false(node_state_accepted(&made, &node.oid[CHAIN]));
	assert_int_equal(made.chain.sequence, CHAIN); /* its twin, which the other key signed */
	assert_string_equal(made.active, "");
	node_state_clear(&made);
	node_state_clear(&node.state);
}

static int libraries(void **state)
{
	(void)state;
	crypto_setup();
	git_setup();
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		place_test(every_change_is_found),	 place_test(another_group_is_found),
		place_test(what_is_the_same_is_none),	 place_test(not_from_a_retired_key),
		place_test(a_revision_is_made_anew),	 place_test(only_from_what_was_accepted),
		place_test(a_damaged_replica_is_found), place_test(from_the_replica),
		place_test(from_the_revisions),	 place_test(nothing_is_believed),
	};

	return cmocka_run_group_tests(tests, libraries, NULL);
}
