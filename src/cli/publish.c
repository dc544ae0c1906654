/* muster publish: a publication in this process, for use without a running daemon. */
#include "cli/cli.h"

#include "repo/git.h"

#include <getopt.h>
#include <stdlib.h>

static const struct option options[] = {{"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};

static int resolve(struct cli *cli, const char *rev, struct oid *out, struct err *err)
{
	char *path = home_var(cli->home, ADMIN_SOURCE);
	struct repo *repo = NULL;
	int rc = repo_open(path, &repo, err);

	if (rc == 0)
		rc = repo_resolve(repo, rev, out, err);
	repo_free(repo);
	free(path);
	return rc;
}

int cmd_publish(struct cli *cli, int argc, char **argv, struct err *err)
{
	bool json = false;
	json_t *publication = NULL;
	struct oid commit;
	int option, rc;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option != 'j')
			return cli_wrong_option(option, argv, err);
		json = true;
	}
	if (argc - optind > 1)
		return cli_usage(err, "publish takes one revision");
	if (cli_open_admin(cli, err) != 0 ||
	    (argv[optind] && resolve(cli, argv[optind], &commit, err) != 0) ||
	    cli_publish_here(cli, argv[optind] ? &commit : NULL, &publication, err) != 0)
		return CLI_FAILED;
	rc = cli_verdict(publication, err);
	if (rc == CLI_DONE && json)
		rc = cli_print_json(publication, err);
	else if (rc == CLI_DONE)
		cli_print_roles(publication);
	json_decref(publication);
	return rc;
}
