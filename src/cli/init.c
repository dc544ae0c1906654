/* muster init: sets up an admin home. */
#include "admin/setup.h"
#include "cli/cli.h"
#include "crypto/secret.h"

#include <getopt.h>
#include <stdio.h>

static const struct option options[] = {{"host", required_argument, NULL, 'h'},
					{"port", required_argument, NULL, 'p'},
					{NULL, 0, NULL, 0}};

static int make(struct cli *cli, const struct setup_options *what, struct err *err)
{
	struct findings findings = {.count = 0};
	struct oid first;
	char hex[OID_HEX_SIZE];
	int rc;

	if (home_open(cli->home, true, err) != 0 || home_lock(cli->home, err) != 0)
		return CLI_FAILED;
	rc = setup_init(cli->home, what, &findings, &first, err);
	for (size_t i = 0; i < findings.count; i++)
		cli_field(findings.lines[i], 0);
	findings_clear(&findings);
	home_unlock(cli->home);
	if (rc != 0)
		return CLI_FAILED;
	(void)printf("admin home set up in %s\n"
		     "first commit    %.12s\n"
		     "edit and commit %s/" ADMIN_SOURCE "\n"
		     "private key     %s/" ADMIN_KEY " (keep a copy in a safe place)\n"
		     "secret          %s/" SECRET_FILE
		     ", unless another was given (keep a copy too)\n"
		     "next            musterd --admin, and for the nodes genclust -c HOST and "
		     "muster secret role-key ROLE\n",
		     cli->home->var, oid_hex(&first, hex), cli->home->var, cli->home->var,
		     cli->home->etc); /* checked at exit */
	return CLI_DONE;
}

int cmd_init(struct cli *cli, int argc, char **argv, struct err *err)
{
	struct setup_options what = {.host = NULL};
	uint64_t port;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'h' && !what.host) {
			what.host = optarg;
		} else if (option == 'p' && !what.port) {
			if (text_number(optarg, 65535, &port) != 0 || port == 0)
				return cli_usage(err, "\"%s\" is no port", optarg);
			what.port = (uint16_t)port;
		} else {
			return cli_wrong_option(option, argv, err);
		}
	}
	if (optind < argc)
		return cli_usage(err, "init takes no \"%s\"", argv[optind]);
	return make(cli, &what, err);
}
