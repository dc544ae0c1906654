/* What --help says: see cli.h. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

enum {
	NAME_WIDTH = 11,
	LINE = 79,   /* a terminal may break a line that has 80 */
	COLUMN = 38, /* of two in a line */
};

static int summary_width(const struct command *command)
{
	return (int)strcspn(command->summary, "\n");
}

static bool is_heading(const struct command *command)
{
	return command->name && !command->run;
}

static bool is_shown(const struct command *command)
{
	return command->name && command->run && command->summary;
}

/* "  NAME     SUMMARY" in one column. */
static bool is_short(const struct command *command)
{
	return 2 + NAME_WIDTH + 1 + summary_width(command) <= COLUMN;
}

/* The commands below one heading, two a line where both are short; gives what follows them. */
static const struct command *print_group(const struct command *c)
{
	for (; is_shown(c); c++) {
		(void)printf("  %-*s %.*s", NAME_WIDTH, c->name, summary_width(c),
			     c->summary); /* checked at the end */
		if (is_short(c) && is_shown(c + 1) && is_short(c + 1)) {
			int used = 2 + NAME_WIDTH + 1 + summary_width(c);

			c++;
			(void)printf("%*s  %-*s %.*s", COLUMN + 1 - used, "", NAME_WIDTH, c->name,
				     summary_width(c), c->summary); /* ditto */
		}
		(void)puts(""); /* ditto */
	}
	return c;
}

int help_all(void)
{
	const struct command *c = commands;

	(void)puts(
		"usage: muster [--home DIR] COMMAND [ARGUMENTS]\n"
		"       muster COMMAND --help, muster --version"); /* checked below, as all of it */
	while (c->name) {
		if (is_heading(c))
			(void)printf("%s:\n", c->summary);
		c = is_shown(c) ? print_group(c) : c + 1;
	}
	(void)puts("exit: 0 done, 1 refused or failed, 2 wrong usage, 3 no daemon, 4 time ran out");
	return fflush(stdout) == 0 ? CLI_DONE : CLI_FAILED;
}

/* Up to the next blank that is not within brackets. */
static int part_length(const char *text)
{
	int n = 0;

	for (int depth = 0; text[n] && (text[n] != ' ' || depth > 0); n++)
		depth += (text[n] == '[') - (text[n] == ']');
	return n;
}

/* The arguments after USED columns, broken into lines. */
static void print_arguments(const char *arguments, int used)
{
	const int indent = used;

	while (*arguments) {
		int n = part_length(arguments);

		if (used + 1 + n > LINE && used > indent)
			(void)printf("\n%*s", used = indent, ""); /* checked at the end */
		used += printf(" %.*s", n, arguments);
		arguments += n + (arguments[n] == ' ');
	}
	(void)puts("\n"); /* ditto */
}

int help_command(const struct command *command)
{
	const char *rest = command->summary ? strchr(command->summary, '\n') : NULL;

	print_arguments(command->arguments,
			printf("usage: muster %s", command->name)); /* checked below */
	if (command->summary)
		(void)printf("%.*s\n%s", summary_width(command), command->summary,
			     rest ? rest + 1 : "");
	else
		(void)puts("git calls this");
	(void)puts("\nsee muster(1)");
	return fflush(stdout) == 0 ? CLI_DONE : CLI_FAILED;
}

bool help_asked(int argc, char **argv)
{
	if (argc < 2)
		return false;
	/* after an action too: muster secret rotate --help */
	return strcmp(argv[1], "--help") == 0 ||
	       (argc == 3 && argv[1][0] != '-' && strcmp(argv[2], "--help") == 0);
}
