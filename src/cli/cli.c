/* What the subcommands share: see cli.h. */
#include "cli/cli.h"

#include "admin/setup.h"
#include "admin/show.h"
#include "cli/cluster_keys.h"
#include "control/client.h"
#include "core/loop.h"
#include "core/text.h"

#include <ctype.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int cli_usage(struct err *err, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap); /* cut is fine */
	va_end(ap);
	(void)err_set(err, ERR_REFUSED, "%s", text); /* main adds where help is */
	return CLI_USAGE;
}

int cli_wrong_option(int option, char **argv, struct err *err)
{
	if (option != '?')
		return cli_usage(err, "an option is given twice");
	/* a letter may stand among others, and what stands before optind is another word then */
	if (isalnum(optopt) && argv[optind - 1][1] != '-')
		return cli_usage(err, "wrong option, or no value for it: -%c", optopt);
	return cli_usage(err, "wrong option, or no value for it: %s", argv[optind - 1]);
}

int cli_open(struct cli *cli, struct err *err)
{
	return home_open(cli->home, false, err);
}

int cli_open_admin(struct cli *cli, struct err *err)
{
	if (cli_open(cli, err) != 0)
		return -1;
	if (!setup_done(cli->home))
		return err_set(err, ERR_GONE,
			       "%s is no admin home: do this on the admin (muster init makes one)",
			       cli->home->var);
	return 0;
}

int cli_identity(struct cli *cli, struct identity **out, struct err *err)
{
	return identity_load(cli->home->var_fd, ADMIN_KEY, out, err);
}

/* Nobody answers at SOCKET: says so if the daemon that does run here is of the other kind. */
static void tell_other(struct cli *cli, const char *socket, struct err *err)
{
	bool wants_admin = strcmp(socket, CONTROL_ADMIN) == 0;
	struct ask *conversation;
	struct err ignored;

	if (ask_open(cli->home, wants_admin ? CONTROL_NODE : CONTROL_ADMIN, &conversation,
		     &ignored) != 0)
		return;
	ask_close(conversation);
	(void)err_set(err, ERR_GONE,
		      wants_admin ? "the daemon here is a node and no admin: do this on the admin"
				  : "the daemon here is an admin and no node: do this on the node");
}

int cli_ask(struct cli *cli, const char *socket, json_t *request, unsigned limit_ms, json_t **out,
	    struct err *err)
{
	struct ask *conversation;
	int rc;

	if (ask_open(cli->home, socket, &conversation, err) != 0) {
		json_decref(request);
		if (err->code != ERR_GONE)
			return CLI_FAILED;
		tell_other(cli, socket, err);
		return CLI_NO_DAEMON;
	}
	rc = ask(conversation, request, limit_ms, out, err);
	ask_close(conversation);
	if (rc == 0)
		return CLI_DONE;
	return err->code == ERR_GONE ? CLI_NO_DAEMON : CLI_FAILED;
}

int cli_print_json(const json_t *document, struct err *err)
{
	if (json_dumpf(document, stdout, JSON_INDENT(2)) == 0 && puts("") != EOF &&
	    fflush(stdout) == 0)
		return CLI_DONE;
	(void)err_sys(err, "output");
	return CLI_FAILED;
}

void cli_field(const char *text, int width)
{
	char *copy = text_copy(text && *text ? text : "-");

	text_escape_in_place(copy);
	(void)printf(width ? "%-*s  " : "%*s\n", width, copy); /* flushed and checked at the end */
	free(copy);
}

const char *cli_string(const json_t *document, const char *key)
{
	return json_string_value(json_object_get(document, key));
}

int cli_seconds(const char *text, unsigned *ms)
{
	uint64_t seconds;

	if (text_number(text, 1000000, &seconds) != 0)
		return -1;
	*ms = (unsigned)seconds * 1000;
	return 0;
}

int cli_verdict(const json_t *publication, struct err *err)
{
	const json_t *reasons = json_object_get(publication, "reasons");
	const char *step = cli_string(publication, "step");
	size_t i;
	json_t *reason;

	if (!json_is_true(json_object_get(publication, "refused")))
		return CLI_DONE;
	json_array_foreach(reasons, i, reason)
		cli_field(json_string_value(reason), 0);
	(void)err_set(err, ERR_REFUSED,
		      "%.12s is refused at %s, for %zu reason%s; what was published before stays",
		      cli_string(publication, "source") ? cli_string(publication, "source")
							: "main",
		      step ? step : "a step", json_array_size(reasons),
		      json_array_size(reasons) == 1 ? "" : "s");
	return CLI_FAILED;
}

void cli_print_roles(const json_t *publication)
{
	size_t i, changed = 0;
	json_t *role;

	json_array_foreach(json_object_get(publication, "roles"), i, role) {
		if (!json_is_true(json_object_get(role, "changed")))
			continue;
		changed++;
		(void)printf("%s  release %.12s  sequence %lld%s\n", cli_string(role, "role"),
			     cli_string(role, "release"),
			     (long long)json_integer_value(json_object_get(role, "sequence")),
			     json_is_true(json_object_get(role, "removed"))
				     ? "  (role removed)"
				     : ""); /* checked at exit */
	}
	if (changed == 0)
		(void)puts("nothing changed for any role"); /* checked at exit */
}

int cli_publish_here(struct cli *cli, const struct oid *commit, json_t **out, struct err *err)
{
	struct identity *identity = NULL;
	struct publication publication = {.commits = 0};
	struct admin_input in = {.home = cli->home, .commit = commit};
	int rc;

	if (home_lock(cli->home, err) != 0)
		return -1;
	rc = setup_open(cli->home, &identity, err);
	in.identity = identity;
	if (rc == 0) {
		rc = cycle_run(&in, &publication, err);
		if (rc == 0 && !publication.refused)
			rc = cluster_keys_finish(cli->home, identity, err);
		if (rc == 0)
			*out = show_publication(&publication);
		publication_clear(&publication);
	}
	identity_free(identity);
	home_unlock(cli->home);
	return rc;
}
