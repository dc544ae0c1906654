/* muster log: the releases this node has had. */
#include "cli/cli.h"
#include "control/client.h"
#include "core/limits.h"

#include <getopt.h>
#include <stdio.h>

static const struct option options[] = {{"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};

static void print_row(const json_t *row)
{
	char sequence[32];

	(void)snprintf(sequence, sizeof(sequence), "%lld",
		       (long long)json_integer_value(json_object_get(row, "sequence"))); /* fits */
	cli_field(sequence, 8);
	cli_field(cli_string(row, "release"), 40);
	cli_field(cli_string(row, "source"), 40);
	cli_field(cli_string(row, "activatedAt"), 20);
	cli_field(cli_string(row, "verdict"), 8);
	cli_field(cli_string(row, "reason"), 0);
}

static void cut(json_t *log, uint64_t count)
{
	while (json_array_size(log) > count)
		(void)json_array_remove(log, json_array_size(log) - 1); /* it is there */
}

int cmd_log(struct cli *cli, int argc, char **argv, struct err *err)
{
	bool json = false, counted = false;
	uint64_t count = UINT32_MAX;
	json_t *answer = NULL, *log, *row;
	size_t i;
	int option, rc;

	while ((option = getopt_long(argc, argv, "n:", options, NULL)) != -1) {
		if ((option != 'n' && option != 'j') || (option == 'n' && counted))
			return cli_wrong_option(option, argv, err);
		if (option == 'n' && text_number(optarg, UINT32_MAX, &count) != 0)
			return cli_usage(err, "\"%s\" is no number", optarg);
		counted |= option == 'n';
		json |= option == 'j';
	}
	if (optind < argc)
		return cli_usage(err, "log takes no \"%s\"", argv[optind]);
	rc = cli_ask(cli, CONTROL_NODE, json_pack("{s:s}", "do", "log"), WAIT_CONTROL, &answer,
		     err);
	if (rc != CLI_DONE)
		return rc;
	log = json_object_get(answer, "log");
	cut(log, count);
	if (json) {
		rc = cli_print_json(log, err);
	} else {
		(void)printf("%-8s  %-40s  %-40s  %-20s  %-8s  %s\n", "SEQUENCE", "RELEASE",
			     "SOURCE", "ACTIVATED", "VERDICT", "REASON"); /* checked at exit */
		json_array_foreach(log, i, row)
			print_row(row);
	}
	json_decref(answer);
	return rc;
}
