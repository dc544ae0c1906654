/* muster bundle: a role's releases as a git bundle on stdout, for a node's etc/init. */
#include "cli/cli.h"
#include "core/fs.h"
#include "core/limits.h"
#include "repo/bundle.h"

#include <getopt.h>
#include <stdlib.h>
#include <unistd.h>

static const struct option options[] = {{"role", required_argument, NULL, 'r'}, {NULL, 0, NULL, 0}};

static int make(struct cli *cli, const char *role, struct err *err)
{
	char *path = home_var(cli->home, ADMIN_RELEASES), *ref = text_format("refs/heads/%s", role);
	struct repo *releases = NULL;
	struct buf bundle;
	int rc = repo_open(path, &releases, err);

	buf_init(&bundle, LIMIT_PACK_SIZE + BUNDLE_HEAD_MAX);
	if (rc == 0 && bundle_write(releases, ref, &bundle, err) != 0)
		rc = err->code == ERR_GONE ? err_set(err, ERR_GONE, "role %s has no releases", role)
					   : -1;
	if (rc == 0 && fs_write_all(STDOUT_FILENO, bundle.data, bundle.len, err) != 0)
		rc = err_prefix(err, "output");
	buf_clear(&bundle);
	repo_free(releases);
	free(path);
	free(ref);
	return rc == 0 ? CLI_DONE : CLI_FAILED;
}

int cmd_bundle(struct cli *cli, int argc, char **argv, struct err *err)
{
	const char *role = NULL;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option != 'r' || role)
			return cli_wrong_option(option, argv, err);
		role = optarg;
	}
	if (!role || argc != optind)
		return cli_usage(err, "bundle takes --role ROLE and nothing else");
	if (!name_valid(role))
		return cli_usage(err, "\"%s\" is no name for a role", role);
	if (isatty(STDOUT_FILENO))
		return cli_usage(err, "a bundle is not for a terminal: send it to a file");
	return cli_open_admin(cli, err) == 0 ? make(cli, role, err) : CLI_FAILED;
}
