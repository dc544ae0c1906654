/*
 * An admin home: made once and completely, of what etc/init holds, and opened only by its own
 * identity.
 */
#include "admin_home.h"

#include "admin/gitconfig.h"
#include "admin/initfiles.h"
#include "config/cluster.h"

#define DEMO TEST_SRCDIR "/tests/fixtures/demo/."

static int init_with(struct fixture *f, const char *host, uint16_t port, struct err *err)
{
	struct setup_options options = {.host = host, .port = port};
	struct findings findings = {.count = 0};
	int rc;

	err->code = ERR_NONE;
	err->text[0] = '\0';
	rc = setup_init(&f->home, &options, &findings, NULL, err);
	findings_clear(&findings);
	return rc;
}

static void must_init(struct fixture *f, const char *host, uint16_t port)
{
	struct err err;

	if (init_with(f, host, port, &err) != 0)
		fail_msg("%s", err.text);
}

static void must_not_init(struct fixture *f, const char *why)
{
	struct err err;

	assert_int_equal(init_with(f, NULL, 0, &err), -1);
	if (!strstr(err.text, why))
		fail_msg("\"%s\" does not say \"%s\"", err.text, why);
	assert_false(setup_done(&f->home));
	assert_int_equal(faccessat(f->home.var_fd, "admin", F_OK, 0), -1); /* nothing at all */
}

static void reopen(struct fixture *f)
{
	struct err err;

	identity_free(f->identity);
	f->identity = NULL;
	if (setup_open(&f->home, &f->identity, &err) != 0)
		fail_msg("%s", err.text);
}

static void must_not_open(struct fixture *f, enum err_code code, const char *why)
{
	struct err err = {.code = ERR_NONE};
	struct identity *identity = NULL;

	assert_int_equal(setup_open(&f->home, &identity, &err), -1);
	assert_null(identity);
	assert_int_equal(err.code, code);
	if (!strstr(err.text, why))
		fail_msg("\"%s\" does not say \"%s\"", err.text, why);
}

/* The cluster file of IDENTITY, as genclust prints it; a new string. */
static char *cluster_file(const struct identity *identity, const char *host, uint16_t port)
{
	struct keystore *keystore = keystore_for(identity, "*");
	struct cluster cluster = {.port = port};
	struct buf text, out;
	char *host_copy = text_copy(host), *file;

	buf_init(&text, 1 << 16);
	buf_init(&out, 1 << 16);
	keystore_format(keystore, &text);
	cluster.host = host_copy;
	cluster.keystore = (char *)text.data;
	cluster_format(&cluster, &out);
	file = text_copy(buf_text(&out));
	free(host_copy);
	buf_clear(&text);
	buf_clear(&out);
	keystore_free(keystore);
	return file;
}

static void put_init(struct fixture *f, const char *name, const char *text)
{
	char *path = text_format("init/%s", name);

	write_text(f->home.etc, path, text);
	free(path);
}

static char *in_config(const struct fixture *f, const char *name)
{
	char *source = source_folder(f), *text = read_text(source, name);

	free(source);
	return text;
}

static void test_empty(void **unused)
{
	struct fixture *f = fixture_new();
	char out[OUTPUT_MAX], *source = source_folder(f), *text;
	char host[65] = "";
	struct stat st;

	(void)unused;
	must_init(f, NULL, 0);
	assert_true(setup_done(&f->home));
	text = in_config(f, "cluster.xml");
	assert_int_equal(gethostname(host, sizeof(host) - 1), 0);
	assert_non_null(strstr(text, host));
	assert_non_null(strstr(text, "<port>6789</port>"));
	assert_non_null(strstr(text, "<keystore>muster:1:"));
	assert_null(strstr(text, "muster-cluster"));
	free(text);
	must_run(source, out, "git status --porcelain --branch");
	assert_string_equal(out, "## main\n");
	must_run(source, out, "git log --format=%an:%s");
	assert_string_equal(out, "muster:configuration of etc/init\n");
	must_run(source, out, "git config receive.denyCurrentBranch");
	assert_string_equal(out, "updateInstead\n");
	must_run(source, NULL, "git fsck --strict");
	assert_int_equal(fstatat(f->home.var_fd, ADMIN_KEY, &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(fstatat(f->home.var_fd, "admin", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	reopen(f);
	free(source);
	fixture_free(f);
}

static void test_again(void **unused)
{
	struct fixture *f = fixture_new();
	struct err err;
	char *before, *after;

	(void)unused;
	must_not_open(f, ERR_GONE, "muster init");
	must_init(f, "a.example.com", 7000);
	before = read_text(f->home.var, ADMIN_KEY);
	assert_int_equal(init_with(f, "b.example.com", 0, &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	assert_non_null(strstr(err.text, "is set up already"));
	after = read_text(f->home.var, ADMIN_KEY);
	assert_string_equal(before, after);
	free(before);
	free(after);
	after = in_config(f, "cluster.xml");
	assert_non_null(strstr(after, "<host>a.example.com</host>"));
	assert_non_null(strstr(after, "<port>7000</port>"));
	free(after);
	fixture_free(f);
}

/* genclust ran first: its key is used, and its file may lie in etc/init. */
static void test_after_genclust(void **unused)
{
	struct fixture *f = fixture_new();
	struct identity *identity = identity_new();
	struct err err;
	char *file = cluster_file(identity, "hub.example.com", 7001), *text, out[OUTPUT_MAX];
	char *source = source_folder(f);

	(void)unused;
	assert_int_equal(fs_make_dirs(f->home.var_fd, "admin", 0700, &err), 0);
	assert_int_equal(identity_save(f->home.var_fd, ADMIN_KEY, identity, &err), 0);
	init_files(f, DEMO);
	put_init(f, "node.xml", file);
	must_init(f, NULL, 0);
	reopen(f);
	assert_memory_equal(f->identity->cluster_id, identity->cluster_id, CLUSTER_ID_SIZE);
	text = in_config(f, "node.xml");
	assert_non_null(strstr(text, "<host>hub.example.com</host>"));
	assert_non_null(strstr(text, "<port>7001</port>"));
	assert_non_null(strstr(text, "<keystore>muster:1:"));
	assert_null(strstr(text, "muster-cluster"));
	free(text);
	/* in git neither: not the blob, not in any other file */
	assert_int_equal(run(source, out, "git grep -q muster-cluster HEAD"), 1);
	must_run(source, out, "git ls-files");
	assert_string_equal(out,
			    "environment.xml\nfacilities.xml\nlogin.xml\nnode.xml\ntokens.xml\n");
	/* the other files as the operator wrote them */
	must_run(source, NULL, "diff %s login.xml", TEST_SRCDIR "/tests/fixtures/demo/login.xml");
	free(source);
	free(file);
	identity_free(identity);
	fixture_free(f);
}

static void test_host_option_wins(void **unused)
{
	struct fixture *f = fixture_new();
	struct identity *identity = identity_new();
	struct err err;
	char *file = cluster_file(identity, "hub.example.com", 7001), *text;

	(void)unused;
	assert_int_equal(identity_save(f->home.etc_fd, "cluster.key", identity, &err), 0);
	put_init(f, "cluster.xml", file);
	must_init(f, "new.example.com", 0);
	text = in_config(f, "cluster.xml");
	assert_non_null(strstr(text, "<host>new.example.com</host>"));
	assert_non_null(strstr(text, "<port>7001</port>"));
	free(text);
	free(file);
	identity_free(identity);
	fixture_free(f);
}

/* Containers mount the key and the files, as links. */
static void test_mounted(void **unused)
{
	struct fixture *f = fixture_new();
	struct identity *identity = identity_new();
	struct err err;
	char *file = cluster_file(identity, "hub.example.com", 7001);

	(void)unused;
	write_text(f->folder, "mount/..data/cluster.xml", file);
	assert_int_equal(fs_make_dirs(f->home.etc_fd, "init/..data", 0700, &err), 0);
	must_run(f->folder, NULL, "ln -s ../../mount/..data/cluster.xml etc/init/cluster.xml");
	must_run(f->folder, NULL, "mkdir mount/key");
	assert_int_equal(identity_save(f->home.etc_fd, "../mount/key/k", identity, &err), 0);
	must_run(f->folder, NULL, "ln -s ../mount/key/k etc/cluster.key");
	must_init(f, NULL, 0);
	reopen(f);
	assert_memory_equal(f->identity->cluster_id, identity->cluster_id, CLUSTER_ID_SIZE);
	identity_free(identity);
	/* from now on var/ has it: the one in etc may go, or be another */
	must_run(f->folder, NULL, "rm etc/cluster.key");
	reopen(f);
	free(file);
	fixture_free(f);
}

/* D5: a cluster file of another cluster, of none, damaged, of the seed product; nothing is made. */
static void test_wrong_cluster(void **unused)
{
	struct fixture *f = fixture_new();
	struct identity *ours = identity_new(), *other = identity_new();
	struct err err;
	char *file = cluster_file(other, "hub.example.com", 7001), *at, id[3];

	(void)unused;
	put_init(f, "cluster.xml", file);
	must_not_init(f, "there is no cluster.key");
	(void)snprintf(id, sizeof(id), "%02x", other->cluster_id[0]);
	must_not_init(f, id);
	assert_int_equal(identity_save(f->home.etc_fd, "cluster.key", ours, &err), 0);
	must_not_init(f, "etc/init/cluster.xml is of cluster ");
	must_not_init(f, "this admin's cluster.key is of cluster ");
	/* the id alone counts too: what is signed for another cluster is of no use here */
	memcpy(other->channel_public, ours->channel_public, KEY_SIZE);
	free(file);
	file = cluster_file(other, "hub.example.com", 7001);
	put_init(f, "cluster.xml", file);
	must_not_init(f, "etc/init/cluster.xml is of cluster ");
	at = strstr(file, "muster-cluster:1:");
	at[20] = at[20] == 'A' ? 'B' : 'A';
	at[30] = '!';
	put_init(f, "cluster.xml", file);
	must_not_init(f, "etc/init/cluster.xml");
	put_init(f, "cluster.xml",
		 "<config xmlns=\"http://tail-f.com/ns/config/1.0\"><environments "
		 "xmlns=\"https://curity.se/ns/conf/base\">"
		 "<environment><cluster><keystore>v:S.abc==.def==.ghi==</keystore><host>a</host></"
		 "cluster></environment>"
		 "</environments></config>");
	must_not_init(f, "etc/init/cluster.xml: keystore");
	must_run(f->folder, NULL, "chmod 644 etc/cluster.key");
	must_not_init(f, "etc/cluster.key");
	/* D4: the key of one role seals nothing for the others */
	must_run(f->folder, NULL, "rm etc/cluster.key etc/init/cluster.xml");
	write_text(f->home.etc, "secret",
		   "role:internal:"
		   "0707070707070707070707070707070707070707070707070707070707070707");
	must_run(f->folder, NULL, "chmod 600 etc/secret");
	must_not_init(f, "etc/secret holds role keys only");
	free(file);
	identity_free(ours);
	identity_free(other);
	fixture_free(f);
}

/* D1: what is wrong in etc/init is told before anything is made. */
static void test_bad_files(void **unused)
{
	struct fixture *f = fixture_new();

	(void)unused;
	put_init(f, "a.xml", "<config xmlns=\"http://tail-f.com/ns/config/1.0\"><open>");
	must_not_init(f, "a.xml:1");
	put_init(f, "a.xml", "<other/>");
	must_not_init(f, "a.xml:1");
	must_run(f->folder, NULL, "rm etc/init/a.xml");
	init_files(f, DEMO);
	edit_text(f->home.etc, "init/environment.xml", "internal-tokens-token", "no-such-endpoint");
	must_not_init(f, "no-such-endpoint");
	edit_text(f->home.etc, "init/environment.xml", "no-such-endpoint", "internal-tokens-token");
	must_run(f->folder, NULL, "mkdir etc/init/folder.xml");
	must_not_init(f, "folder.xml");
	must_run(f->folder, NULL, "rmdir etc/init/folder.xml");
	put_init(f, ".hidden.xml", "<oops");
	put_init(f, "notes.txt", "x");
	must_init(f, NULL, 0);
	fixture_free(f);
}

/* A kill half-way leaves no authoring repository, and the next call goes on with the same key. */
static void test_killed(void **unused)
{
	struct fixture *f = fixture_new();
	char *before, *after;

	(void)unused;
	must_init(f, NULL, 0);
	before = read_text(f->home.var, ADMIN_KEY);
	must_run(f->home.var, NULL, "mv admin/config admin/.config.new");
	must_run(f->home.var, NULL, "rm admin/.config.new/.git/HEAD");
	must_not_open(f, ERR_GONE, "muster init");
	must_init(f, NULL, 0);
	after = read_text(f->home.var, ADMIN_KEY);
	assert_string_equal(before, after);
	assert_int_equal(faccessat(f->home.var_fd, "admin/.config.new", F_OK, 0), -1);
	/* before release.git was complete */
	must_run(f->home.var, NULL,
		 "rm -r admin/config admin/release.git/HEAD admin/release.git/refs");
	must_init(f, NULL, 0);
	reopen(f);
	/* a rest of an older attempt beside a complete home is swept */
	must_run(f->home.var, NULL, "mkdir -p admin/.config.new/.git");
	reopen(f);
	assert_int_equal(faccessat(f->home.var_fd, "admin/.config.new", F_OK, 0), -1);
	free(before);
	free(after);
	fixture_free(f);
}

static void test_open_other_cluster(void **unused)
{
	struct fixture *f = fixture_new();
	struct identity *other = identity_new();
	char *file = cluster_file(other, "hub.example.com", 7001), *own;

	(void)unused;
	must_init(f, NULL, 0);
	reopen(f);
	put_init(f, "cluster.xml", file);
	must_not_open(f, ERR_REFUSED, "etc/init/cluster.xml is of cluster ");
	own = cluster_file(f->identity, "elsewhere.example.com", 1);
	put_init(f, "cluster.xml", own);
	reopen(f);
	/*
	 * etc/init is read at a first start only: what is no configuration any more does not stop a
	 * start
	 */
	put_init(f, "other.xml", "<oops");
	reopen(f);
	/* the same cluster, another admin key */
	memcpy(other->cluster_id, f->identity->cluster_id, CLUSTER_ID_SIZE);
	free(own);
	own = cluster_file(other, "hub.example.com", 7001);
	put_init(f, "cluster.xml", own);
	must_not_open(f, ERR_REFUSED, "with another admin key");
	free(own);
	free(file);
	identity_free(other);
	fixture_free(f);
}

static void test_open_repairs(void **unused)
{
	struct fixture *f = fixture_new();
	char *releases = home_var(&f->home, ADMIN_RELEASES), out[OUTPUT_MAX];
	char *expected = text_format("%s/allowed_signers\n", releases);

	(void)unused;
	must_init(f, NULL, 0);
	reopen(f);
	write_text(releases, "refs/heads/internal.lock", "");
	must_run(releases, NULL, "git config user.comment mine");
	reopen(f);
	assert_int_equal(run(releases, NULL, "ls refs/heads/internal.lock"), 2);
	must_run(releases, out, "git config user.comment");
	assert_string_equal(out, "mine\n");
	must_run(releases, out, "git config gpg.ssh.allowedSignersFile");
	assert_string_equal(out, expected);
	/* the home was moved: the path follows */
	edit_text(releases, "config", releases, "/elsewhere");
	reopen(f);
	must_run(releases, out, "git config --get-all gpg.ssh.allowedSignersFile");
	assert_string_equal(out, expected);
	/* gone altogether: made anew */
	must_run(f->home.var, NULL, "rm -r admin/release.git");
	reopen(f);
	must_run(releases, NULL, "git fsck");
	/* without the key nothing goes */
	must_run(f->home.var, NULL, "mv admin/cluster.key key");
	must_not_open(f, ERR_REFUSED, "cluster.key");
	must_run(f->home.var, NULL, "mv key admin/cluster.key");
	must_run(f->home.var, NULL, "chmod 640 admin/cluster.key");
	must_not_open(f, ERR_REFUSED, "cluster.key");
	free(expected);
	free(releases);
	fixture_free(f);
}

static void test_gitconfig(void **unused)
{
	struct fixture *f = fixture_new();
	struct err err;
	char *quoted = gitconfig_quote("a \"b\" \\c\n[x]"), *line, out[OUTPUT_MAX], *text, *again;

	(void)unused;
	write_text(f->folder, "config", "[core]\n\tbare = true");
	line = text_format("[test]\n\tvalue = %s\n", quoted);
	assert_int_equal(gitconfig_set(f->home.var_fd, "../config", line, &err), 0);
	must_run(f->folder, out, "git config -f config test.value");
	assert_string_equal(out, "a \"b\" \\c\n[x]\n");
	text = read_text(f->folder, "config");
	assert_int_equal(gitconfig_set(f->home.var_fd, "../config", line, &err), 0);
	again = read_text(f->folder, "config");
	assert_string_equal(text, again);
	must_run(f->folder, NULL, "git config -f config later.value 1");
	assert_int_equal(gitconfig_set(f->home.var_fd, "../config", "[test]\n\tvalue = 2\n", &err),
			 0);
	must_run(f->folder, out, "git config -f config --get-all test.value");
	assert_string_equal(out, "2\n");
	must_run(f->folder, out, "git config -f config later.value");
	assert_string_equal(out, "1\n");
	must_run(f->folder, out, "git config -f config core.bare");
	assert_string_equal(out, "true\n");
	assert_int_equal(gitconfig_set(f->home.var_fd, "../none", line, &err), -1);
	assert_int_equal(err.code, ERR_GONE);
	free(text);
	free(again);
	free(line);
	free(quoted);
	fixture_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_after_genclust),
		cmocka_unit_test(test_host_option_wins),
		cmocka_unit_test(test_mounted),
		cmocka_unit_test(test_wrong_cluster),
		cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_open_other_cluster),
		cmocka_unit_test(test_open_repairs),
		cmocka_unit_test(test_gitconfig),
	};

	libraries_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
