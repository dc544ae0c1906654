/* muster: the command line. Only the options before the subcommand; cli/commands.c is the table. */
#include "cli/cli.h"
#include "config/document.h"
#include "repo/git.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { OPTION_HOME = 256, OPTION_VERSION, OPTION_HELP };

static const struct option long_options[] = {
	{"home", required_argument, NULL, OPTION_HOME},
	{"version", no_argument, NULL, OPTION_VERSION},
	{"help", no_argument, NULL, OPTION_HELP},
	{NULL, 0, NULL, 0},
};

static const struct command *find(const char *name)
{
	for (const struct command *c = commands; c->name; c++)
		if (c->run && strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

static int run(const struct command *command, const char *home_option, int argc, char **argv,
	       struct err *err)
{
	struct home home;
	struct cli cli = {.home = &home};
	int rc;

	if (home_init(&home, home_option, err) != 0)
		return CLI_FAILED;
	if (home_become_owner(&home, err) != 0) {
		home_clear(&home);
		return CLI_FAILED;
	}
	optind = 0; /* a fresh scan, for the subcommand's options */
	opterr = 0;
	rc = command->run(&cli, argc, argv, err);
	home_clear(&home);
	if (fflush(stdout) != 0 && rc == CLI_DONE) {
		(void)err_sys(err, "output");
		rc = CLI_FAILED;
	}
	return rc;
}

int main(int argc, char **argv)
{
	const struct rlimit no_core = {0, 0};
	const struct command *command;
	const char *home = NULL;
	struct err err = {.code = ERR_NONE};
	int option, rc, wrong = 1;

	opterr = 0;
	for (; (option = getopt_long(argc, argv, "+", long_options, NULL)) != -1; wrong = optind) {
		if (option == OPTION_HELP)
			return help_all();
		if (option == OPTION_VERSION)
			return puts("muster " PACKAGE_VERSION) == EOF || fflush(stdout) != 0;
		if (option != OPTION_HOME) {
			(void)fprintf(
				stderr,
				"muster: wrong option, or no value for it: %s; see muster --help\n",
				argv[wrong]); /* no one else to tell */
			return CLI_USAGE;
		}
		if (home && strcmp(home, optarg) != 0) {
			(void)fprintf(
				stderr,
				"muster: two values for --home; see muster --help\n"); /* ditto */
			return CLI_USAGE;
		}
		home = optarg;
	}
	command = argv[optind] ? find(argv[optind]) : NULL;
	if (!command) {
		(void)fprintf(stderr, "muster: %s%s; see muster --help\n",
			      argv[optind] ? "no command " : "no command",
			      argv[optind] ? argv[optind] : ""); /* no one else to tell */
		return CLI_USAGE;
	}
	if (help_asked(argc - optind, argv + optind))
		return help_command(command);
	/* secrets may be in memory; best effort in a short-lived program */
	(void)setrlimit(RLIMIT_CORE, &no_core);
	crypto_setup();
	config_setup();
	git_setup();
	rc = run(command, home, argc - optind, argv + optind, &err);
	if (rc != CLI_DONE && err.code != ERR_NONE)
		(void)fprintf(stderr, "muster: %s: %s%s%s%s\n", command->name, err.text,
			      rc == CLI_USAGE ? "; see muster " : "",
			      rc == CLI_USAGE ? command->name : "",
			      rc == CLI_USAGE ? " --help" : ""); /* no one else to tell */
	return rc;
}
