/* muster verify: a whole release history, offline, as a node would; prints the first fault. */
#include "cli/cli.h"
#include "config/cluster.h"
#include "core/fs.h"
#include "core/limits.h"
#include "repo/history.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

static const struct option options[] = {{"cluster", required_argument, NULL, 'c'},
					{"role", required_argument, NULL, 'r'},
					{NULL, 0, NULL, 0}};

struct verification {
	struct repo *repo;
	const struct keystore *keystore;
	const char *role; /* NULL: every branch */
	size_t roles;
	struct err *err;
};

static int read_keystore(const char *path, struct keystore **out, struct err *err)
{
	struct buf text;
	struct document *doc = NULL;
	struct cluster cluster = {0};
	int rc;

	buf_init(&text, LIMIT_SMALL_FILE);
	rc = fs_read_follow(AT_FDCWD, path, &text, err);
	if (rc == 0)
		rc = document_parse(path, buf_text(&text), text.len, &doc, err);
	if (rc == 0 && cluster_read(doc, &cluster, err) != 0)
		rc = err_prefix(err, "%s", path);
	if (rc == 0 && !cluster.keystore)
		rc = err_set(err, ERR_REFUSED, "%s: has no keystore", path);
	if (rc == 0 && keystore_parse(cluster.keystore, out, err) != 0)
		rc = err_prefix(err, "%s", path);
	cluster_clear(&cluster);
	document_free(doc);
	buf_clear(&text);
	return rc;
}

static int verify_role(struct verification *v, const char *role, const struct oid *tip,
		       size_t *count)
{
	struct chain_state state = {.key_count = v->keystore->release_count};

	memcpy(state.cluster_id, v->keystore->cluster_id, CLUSTER_ID_SIZE);
	memcpy(state.role, role, strlen(role) + 1);
	memcpy(state.keys, v->keystore->release_public, sizeof(state.keys));
	return history_verify(v->repo, &state, tip, count, v->err);
}

static int on_branch(void *arg, const char *ref, const struct oid *tip)
{
	struct verification *v = arg;
	const char *role = ref + strlen("refs/heads/");
	size_t count = 0;

	if (v->role && strcmp(role, v->role) != 0)
		return 0;
	v->roles++;
	if (!name_valid(role))
		return err_set(v->err, ERR_REFUSED, "branch \"%.80s\" is no role", role);
	if (verify_role(v, role, tip, &count) != 0)
		return err_prefix(v->err, "role %s", role);
	(void)printf("%s  %zu releases verified\n", role, count); /* checked at exit */
	return 0;
}

int cmd_verify(struct cli *cli, int argc, char **argv, struct err *err)
{
	struct verification v = {.err = err};
	const char *file = NULL;
	struct keystore *keystore = NULL;
	int option, rc;

	(void)cli; /* offline: no home is needed */
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'c' && !file)
			file = optarg;
		else if (option == 'r' && !v.role)
			v.role = optarg;
		else
			return cli_wrong_option(option, argv, err);
	}
	if (!file || argc - optind != 1)
		return cli_usage(err, "verify takes --cluster FILE and one repository");
	rc = read_keystore(file, &keystore, err);
	v.keystore = keystore;
	if (rc == 0)
		rc = repo_open(argv[optind], &v.repo, err);
	if (rc == 0)
		rc = repo_ref_each(v.repo, "refs/heads/", on_branch, &v, err);
	if (rc == 0 && v.roles == 0)
		rc = err_set(err, ERR_GONE, "%s holds no releases%s%s", argv[optind],
			     v.role ? " of role " : "", v.role ? v.role : "");
	repo_free(v.repo);
	keystore_free(keystore);
	return rc == 0 ? CLI_DONE : CLI_FAILED;
}
