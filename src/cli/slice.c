/* muster slice: what a role would get, on stdout. */
#include "admin/trial.h"
#include "cli/cli.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

static const struct option options[] = {{"role", required_argument, NULL, 'r'}, {NULL, 0, NULL, 0}};

static int print(const struct trial *trial, const char *role, struct err *err)
{
	const struct file *config = NULL;

	for (size_t i = 0; i < trial->findings.count; i++)
		cli_field(trial->findings.lines[i], 0);
	if (trial->findings.count > 0) {
		(void)err_set(err, ERR_REFUSED, "%zu finding%s: there is no slice",
			      trial->findings.count, trial->findings.count == 1 ? "" : "s");
		return CLI_FAILED;
	}
	for (size_t i = 0; i < trial->role_count; i++)
		if (strcmp(trial->roles[i].name, role) == 0)
			config = fileset_find(&trial->roles[i].tree, "config.xml");
	if (!config) {
		(void)err_set(err, ERR_GONE, "there is no role %s in this configuration", role);
		return CLI_FAILED;
	}
	if (fwrite(config->data, 1, config->size, stdout) != config->size) {
		(void)err_sys(err, "output");
		return CLI_FAILED;
	}
	return CLI_DONE;
}

int cmd_slice(struct cli *cli, int argc, char **argv, struct err *err)
{
	const char *role = NULL;
	struct identity *identity = NULL;
	struct fileset files = {0};
	struct trial trial = {.role_count = 0};
	int option, rc;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option != 'r' || role)
			return cli_wrong_option(option, argv, err);
		role = optarg;
	}
	if (!role || argc - optind > 1)
		return cli_usage(err, "slice takes --role ROLE and one revision at most");
	if (cli_open_admin(cli, err) != 0 || cli_identity(cli, &identity, err) != 0)
		return CLI_FAILED;
	rc = trial_files(cli->home, argv[optind], &files, err);
	if (rc == 0)
		rc = trial_run(cli->home, identity, &files, TRIAL_ALLOW_SHRINK, &trial, err);
	rc = rc == 0 ? print(&trial, role, err) : CLI_FAILED;
	trial_clear(&trial);
	fileset_clear(&files);
	identity_free(identity);
	return rc;
}
