/* What the subcommands of `muster` share. Each is one file; commands.c is their table. */
#ifndef MUSTER_CLI_CLI_H
#define MUSTER_CLI_CLI_H

#include "admin/cycle.h"
#include "core/err.h"
#include "core/home.h"
#include "crypto/key.h"

#include <jansson.h>
#include <stdbool.h>

/* Exit codes of all programs. */
enum cli_exit { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_NO_DAEMON = 3, CLI_TIMEOUT = 4 };

struct cli {
	struct home *home; /* resolved; a command that needs it open opens it */
};

/*
 * A subcommand: ARGV[0] is its name. Gives an exit code; for other than CLI_DONE the sentence for
 * stderr is in ERR (empty: it has said everything itself).
 */
typedef int command_fn(struct cli *cli, int argc, char **argv, struct err *err);

struct command {
	const char *name;
	const char *arguments;
	/*
	 * A few words, then, after a newline, what `muster COMMAND --help` adds: lines. NULL: not
	 * for people, and not in the help. The help sets two commands in a line while the words are
	 * few (27 bytes).
	 */
	const char *summary;
	command_fn *run; /* NULL: a heading */
};

extern const struct command commands[]; /* a NULL name ends it */

command_fn cmd_bundle, cmd_check, cmd_commit, cmd_delete, cmd_diff, cmd_edit, cmd_filter, cmd_get,
	cmd_hook, cmd_init, cmd_log, cmd_nodes, cmd_publish, cmd_release_key, cmd_request,
	cmd_restore, cmd_resume, cmd_rollback, cmd_secret, cmd_set, cmd_slice, cmd_status,
	cmd_verify, cmd_wait;

/* --- help.c; exit codes --- */

int help_all(void);
int help_command(const struct command *command);
/* Whether the arguments of a subcommand ask for its help. */
bool help_asked(int argc, char **argv);

/* --- helpers --- */

/* Wrong usage: the sentence, and CLI_USAGE. */
int cli_usage(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/*
 * The same for an OPTION that the command does not take as it stands: what getopt_long gave, of
 * ARGV.
 */
int cli_wrong_option(int option, char **argv, struct err *err);
/* Opens an existing home. */
int cli_open(struct cli *cli, struct err *err);
/* The same, and GONE when it is no admin home that is set up. */
int cli_open_admin(struct cli *cli, struct err *err);
/* The identity of an admin home that is set up and open. */
int cli_identity(struct cli *cli, struct identity **out, struct err *err);
/* One request to a daemon's socket: CLI_DONE and the answer, or the exit code that fits. */
int cli_ask(struct cli *cli, const char *socket, json_t *request, unsigned limit_ms, json_t **out,
	    struct err *err);
/* Prints a JSON document; CLI_DONE, or CLI_FAILED when stdout is closed or full. */
int cli_print_json(const json_t *document, struct err *err);
/* Prints a field, escaped, and padded to WIDTH; NULL prints "-". */
void cli_field(const char *text, int width);
const char *cli_string(const json_t *document, const char *key);
/* A number of seconds given on the command line; 0 or -1. */
int cli_seconds(const char *text, unsigned *ms);
/*
 * The verdict of a publication as the daemon's JSON or one's own; the exit code for it. Findings go
 * to stdout.
 */
int cli_verdict(const json_t *publication, struct err *err);
/* What a publication changed, a line a role. */
void cli_print_roles(const json_t *publication);
/*
 * Publishes COMMIT (or main when NULL) in this process, under the home's lock. A new reference in
 * OUT.
 */
int cli_publish_here(struct cli *cli, const struct oid *commit, json_t **out, struct err *err);

#endif
