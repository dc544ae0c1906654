/* muster commit: seal, check, commit, publish, and on request wait until the nodes run it. */
#include "admin/authoring.h"
#include "admin/trial.h"
#include "cli/cli.h"
#include "cli/follow.h"
#include "cli/work.h"
#include "control/sealing.h"
#include "repo/source.h"
#include "repo/tree.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPTION_ALLOW_SHRINK = 256, OPTION_WAIT, OPTION_JSON };

static const struct option options[] = {
	{"message", required_argument, NULL, 'm'},
	{"allow-shrink", no_argument, NULL, OPTION_ALLOW_SHRINK},
	{"wait", optional_argument, NULL, OPTION_WAIT},
	{"json", no_argument, NULL, OPTION_JSON},
	{NULL, 0, NULL, 0},
};

struct asked {
	const char *message;
	bool allow_shrink;
	struct follow_wish follow;
	char **paths; /* from the root of the work tree */
	size_t path_count;
};

static int parse(int argc, char **argv, struct asked *asked, struct err *err)
{
	int option;

	while ((option = getopt_long(argc, argv, "m:", options, NULL)) != -1) {
		if (option == 'm' && !asked->message)
			asked->message = optarg;
		else if (option == OPTION_ALLOW_SHRINK)
			asked->allow_shrink = true;
		else if (option == OPTION_JSON)
			asked->follow.json = true;
		else if (option == OPTION_WAIT)
			asked->follow.wait = true;
		else
			return cli_wrong_option(option, argv, err);
		if (option == OPTION_WAIT && optarg &&
		    cli_seconds(optarg, &asked->follow.wait_ms) != 0)
			return cli_usage(err, "\"%s\" is no number of seconds", optarg);
	}
	return CLI_DONE;
}

static void take_paths(struct cli *cli, struct asked *asked, char **words, int count)
{
	asked->paths = mem_new((size_t)count + 1, sizeof(*asked->paths));
	for (; asked->path_count < (size_t)count; asked->path_count++)
		asked->paths[asked->path_count] = work_path(cli, words[asked->path_count]);
}

static void free_paths(struct asked *asked)
{
	for (size_t i = 0; i < asked->path_count; i++)
		free(asked->paths[i]);
	free(asked->paths);
}

/* --- sealing and the check before --- */

static bool is_asked(const struct asked *asked, const char *path)
{
	for (size_t i = 0; i < asked->path_count; i++) {
		size_t n = strlen(asked->paths[i]);

		while (n > 0 && asked->paths[i][n - 1] == '/')
			n--;
		if (strncmp(path, asked->paths[i], n) == 0 && (path[n] == '\0' || path[n] == '/'))
			return true;
	}
	return asked->path_count == 0;
}

static int take(struct fileset *to, const struct fileset *from, const struct asked *asked,
		bool wanted, struct err *err)
{
	for (size_t i = 0; i < from->count; i++) {
		const struct file *f = from->files + i;

		if (is_asked(asked, f->path) == wanted &&
		    fileset_add(to, f->path, f->mode, f->data, f->size, err) != 0)
			return -1;
	}
	return 0;
}

/* What the commit would hold: the last one, and of the work tree what was asked for. */
static int would_be(struct repo *repo, const struct asked *asked, struct fileset *out,
		    struct err *err)
{
	struct fileset work = {0}, last = {0};
	struct oid head;
	int rc = source_read(repo, &work, err);

	if (rc == 0 && asked->path_count > 0)
		rc = repo_ref_get(repo, ADMIN_MAIN, &head, err);
	if (rc == 0 && asked->path_count > 0)
		rc = tree_read_commit(repo, &head, &last, err);
	if (rc == 0)
		rc = take(out, &last, asked, false, err);
	if (rc == 0)
		rc = take(out, &work, asked, true, err);
	fileset_clear(&work);
	fileset_clear(&last);
	return rc;
}

static void tell_moves(const struct authoring *authoring, bool json)
{
	for (size_t i = 0; !json && i < authoring->move_count; i++)
		(void)printf("moved  %s -> %s\n", authoring->moves[i].from,
			     authoring->moves[i].to); /* checked at exit */
}

/* What is in the clear in FILES is sealed, there and in the work tree: only what was asked for. */
static int seal_before(struct cli *cli, struct repo *repo, const struct asked *asked,
		       struct fileset *files, struct findings *findings, struct err *err)
{
	struct sealing_by by = {.ring = NULL};
	struct authoring authoring = {.home = cli->home, .sealer = &by.sealer, .repo = repo};
	int rc = sealing_open(&by, cli->home, err);

	if (rc == 0)
		rc = authoring_seal(&authoring, files, findings, err);
	for (size_t i = 0; rc == 0 && i < authoring.changed_count; i++)
		if (is_asked(asked, authoring.changed[i]))
			rc = authoring_write(cli->home, files, authoring.changed[i], err);
	if (rc == 0)
		tell_moves(&authoring, asked->follow.json);
	authoring_clear(&authoring);
	sealing_close(&by);
	return rc;
}

static int check_before(struct cli *cli, struct repo *repo, const struct asked *asked,
			struct err *err)
{
	struct identity *identity = NULL;
	struct fileset files = {0};
	struct trial trial = {.role_count = 0};
	int rc = cli_identity(cli, &identity, err);

	if (rc == 0)
		rc = would_be(repo, asked, &files, err);
	if (rc == 0 && seal_before(cli, repo, asked, &files, &trial.findings, err) != 0)
		rc = trial.findings.count > 0 ? 0 : -1;
	else if (rc == 0)
		rc = trial_run(cli->home, identity, &files,
			       asked->allow_shrink ? TRIAL_ALLOW_SHRINK : 0, &trial, err);
	for (size_t i = 0; rc == 0 && i < trial.findings.count; i++)
		cli_field(trial.findings.lines[i], 0);
	if (rc == 0 && trial.findings.count > 0)
		rc = err_set(err, ERR_REFUSED, "%zu finding%s: nothing was committed",
			     trial.findings.count, trial.findings.count == 1 ? "" : "s");
	trial_clear(&trial);
	fileset_clear(&files);
	identity_free(identity);
	return rc;
}

/* --- the commit --- */

static int make_commit(struct repo *repo, const struct asked *asked, bool *changed,
		       struct oid *commit, struct err *err)
{
	struct source_person who = {0};
	char *message =
		text_format("%s%s", asked->message ? asked->message : "Change the configuration",
			    asked->allow_shrink ? "\n\nMuster-Allow-Shrink: yes\n" : "\n");
	const struct source_commit what = {.who = &who,
					   .message = message,
					   .paths = (const char *const *)asked->paths,
					   .path_count = asked->path_count};
	int rc = source_person(repo, &who, err);

	if (rc == 0)
		rc = source_commit(repo, &what, changed, commit, err);
	source_person_clear(&who);
	free(message);
	return rc;
}

static int commit_and_publish(struct cli *cli, struct repo *repo, const struct asked *asked,
			      struct err *err)
{
	bool changed = false;
	struct oid commit;
	char hex[OID_HEX_SIZE];

	if (check_before(cli, repo, asked, err) != 0 ||
	    make_commit(repo, asked, &changed, &commit, err) != 0)
		return CLI_FAILED;
	if (!changed) {
		(void)puts("nothing to commit"); /* checked at exit */
		return CLI_DONE;
	}
	if (!asked->follow.json)
		(void)printf("commit %.12s\n", oid_hex(&commit, hex)); /* checked at exit */
	return follow_commit(cli, &commit, &asked->follow, err);
}

int cmd_commit(struct cli *cli, int argc, char **argv, struct err *err)
{
	struct asked asked = {.follow.wait_ms = FOLLOW_WAIT};
	struct repo *repo = NULL;
	char *path;
	int rc = parse(argc, argv, &asked, err);

	if (rc != CLI_DONE)
		return rc;
	if (cli_open_admin(cli, err) != 0)
		return CLI_FAILED;
	take_paths(cli, &asked, argv + optind, argc - optind);
	path = home_var(cli->home, ADMIN_SOURCE);
	rc = repo_open(path, &repo, err) == 0 ? commit_and_publish(cli, repo, &asked, err)
					      : CLI_FAILED;
	repo_free(repo);
	free_paths(&asked);
	free(path);
	return rc;
}
