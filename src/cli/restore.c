/*
 * muster restore: an admin that came back from an older copy continues from a node's replica or a
 * mirror.
 */
#include "admin/audit.h"
#include "admin/restore.h"
#include "admin/setup.h"
#include "cli/cli.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct option options[] = {{"from", required_argument, NULL, 'f'},
					{"role", required_argument, NULL, 'r'},
					{NULL, 0, NULL, 0}};

static void print_role(const struct restored_role *role)
{
	char hex[OID_HEX_SIZE], source[OID_HEX_SIZE];

	(void)oid_hex(&role->release, hex); /* what is printed here is checked at exit */
	if (role->has_before && oid_equal(&role->before, &role->release)) {
		(void)printf("%s  release %.12s  sequence %llu  nothing newer there\n", role->name,
			     hex, (unsigned long long)role->sequence);
		return;
	}
	(void)printf("%s  release %.12s  sequence %llu  was %llu\n", role->name, hex,
		     (unsigned long long)role->sequence, (unsigned long long)role->sequence_before);
	if (role->source_lost)
		(void)fprintf(stderr,
			      "muster: the newest release of role %s was made from commit %.12s, "
			      "which main does not "
			      "have: main is older, and the next publication gives the nodes what "
			      "main holds. Bring "
			      "the missing commits back before you start the daemon (git pull from "
			      "a clone); what "
			      "was released is in git -C %s show %s:config.xml\n",
			      role->name, oid_hex(&role->source, source), "var/" ADMIN_RELEASES,
			      role->name); /* ditto */
}

static int restore_locked(struct cli *cli, const char *from, const char *role, struct err *err)
{
	struct identity *identity = NULL;
	struct restored restored = {.roles = NULL};
	char *who = audit_user(getuid());
	int rc = setup_open(cli->home, &identity, err);

	if (rc == 0)
		rc = restore_releases(cli->home, identity, from, role, who, &restored, err);
	for (size_t i = 0; rc == 0 && i < restored.count; i++)
		print_role(restored.roles + i);
	restored_clear(&restored);
	identity_free(identity);
	free(who);
	return rc;
}

int cmd_restore(struct cli *cli, int argc, char **argv, struct err *err)
{
	const char *from = NULL, *role = NULL;
	int option, rc;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'f' && !from)
			from = optarg;
		else if (option == 'r' && !role)
			role = optarg;
		else
			return cli_wrong_option(option, argv, err);
	}
	if (!from || optind < argc)
		return cli_usage(err, "restore takes --from REPO");
	if (role && !name_valid(role))
		return cli_usage(err, "\"%s\" is no name for a role", role);
	if (cli_open_admin(cli, err) != 0)
		return CLI_FAILED;
	/* a running daemon would not see it: it is to be stopped first, as the lock's error says */
	if (home_lock(cli->home, err) != 0)
		return CLI_FAILED;
	rc = restore_locked(cli, from, role, err);
	home_unlock(cli->home);
	return rc == 0 ? CLI_DONE : CLI_FAILED;
}
