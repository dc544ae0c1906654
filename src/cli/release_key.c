/* muster release-key: the key that signs releases. */
#include "cli/cli.h"
#include "cli/cluster_keys.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

static const struct option options[] = {{"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};

static int print(const json_t *answer, struct err *err)
{
	const json_t *publication = json_object_get(answer, "publication");

	/* checked at exit, as what follows */
	(void)printf("new release key  %s\n", cli_string(answer, "key"));
	if (cli_verdict(publication, err) != CLI_DONE) {
		(void)err_prefix(
			err, "the key is made, and counts with the next publication that passes");
		return CLI_FAILED;
	}
	cli_print_roles(publication);
	if (!json_is_true(json_object_get(answer, "done"))) {
		(void)err_set(err, ERR_RETRY, "the old key is not retired yet: run this once more");
		return CLI_FAILED;
	}
	(void)printf("the old key is retired; pins signed again: %lld\n",
		     (long long)json_integer_value(json_object_get(answer, "pins")));
	(void)puts("next  back up var/" ADMIN_KEY
		   ": older copies of it sign nothing any more; give new nodes a cluster file\n"
		   "      that genclust prints now");
	return CLI_DONE;
}

/* The document alone, and the same exit code. */
static int print_json(const json_t *answer, struct err *err)
{
	int rc = cli_print_json(answer, err);

	if (rc == CLI_DONE && !json_is_true(json_object_get(answer, "done"))) {
		(void)err_set(err, ERR_RETRY,
			      "the old key is not retired yet: mend what is refused, and run this "
			      "once more");
		rc = CLI_FAILED;
	}
	return rc;
}

int cmd_release_key(struct cli *cli, int argc, char **argv, struct err *err)
{
	bool json = false;
	json_t *answer = NULL;
	int option, rc;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option != 'j')
			return cli_wrong_option(option, argv, err);
		json = true;
	}
	if (argc - optind != 1 || strcmp(argv[optind], "rotate") != 0)
		return cli_usage(err, "release-key takes rotate");
	if (cli_open_admin(cli, err) != 0 ||
	    cluster_keys_change(cli->home, KEYS_ROTATE_RELEASE, &answer, err) != 0)
		return CLI_FAILED;
	rc = json ? print_json(answer, err) : print(answer, err);
	json_decref(answer);
	return rc;
}
