/* muster check: the work tree, or a revision, as a publication would check it. */
#include "admin/trial.h"
#include "cli/cli.h"
#include "core/text.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static const struct option options[] = {{"role", required_argument, NULL, 'r'}, {NULL, 0, NULL, 0}};

static int by_name(const void *a, const void *b)
{
	const struct param *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	if (order == 0)
		order = strcmp(x->file, y->file);
	return order ? order : (x->line > y->line) - (x->line < y->line);
}

/* Where each parameter of the role stands, and its default there. */
static void print_params(struct params *params)
{
	int width = 0;

	if (params->count == 0)
		return;
	qsort(params->items, params->count, sizeof(*params->items), by_name);
	for (size_t i = 0; i < params->count; i++)
		if ((int)strlen(params->items[i].name) > width)
			width = (int)strlen(params->items[i].name);
	for (size_t i = 0; i < params->count; i++) {
		const struct param *param = params->items + i;
		char *rest;

		cli_field(param->name, width);
		rest = text_format("%s%s  %s:%u: %s", param->fallback ? "default " : "required",
				   param->fallback ? param->fallback : "", param->file, param->line,
				   param->path);
		cli_field(rest, 0);
		free(rest);
	}
}

static int report(struct trial *trial, const char *role, struct err *err)
{
	for (size_t i = 0; i < trial->findings.count; i++)
		cli_field(trial->findings.lines[i], 0);
	if (trial->findings.count > 0) {
		(void)err_set(err, ERR_REFUSED, "%zu finding%s: it would not be published",
			      trial->findings.count, trial->findings.count == 1 ? "" : "s");
		return CLI_FAILED;
	}
	for (size_t i = 0; role && i < trial->role_count; i++)
		if (strcmp(trial->roles[i].name, role) == 0) {
			print_params(&trial->roles[i].params);
			return CLI_DONE;
		}
	if (!role)
		return CLI_DONE;
	(void)err_set(err, ERR_REFUSED, "there is no role %s in this configuration", role);
	return CLI_FAILED;
}

int cmd_check(struct cli *cli, int argc, char **argv, struct err *err)
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
	if (argc - optind > 1)
		return cli_usage(err, "check takes one revision");
	if (cli_open_admin(cli, err) != 0 || cli_identity(cli, &identity, err) != 0)
		return CLI_FAILED;
	rc = trial_files(cli->home, argv[optind], &files, err);
	if (rc == 0)
		rc = trial_run(cli->home, identity, &files, 0, &trial, err);
	rc = rc == 0 ? report(&trial, role, err) : CLI_FAILED;
	trial_clear(&trial);
	fileset_clear(&files);
	identity_free(identity);
	return rc;
}
