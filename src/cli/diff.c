/* muster diff: how the configuration differs, by path: the work tree from the last commit, or from
 * and between revisions. */
#include "admin/cycle.h"
#include "admin/trial.h"
#include "cli/cli.h"
#include "cli/work.h"
#include "config/merge.h"
#include "config/seal.h"
#include "config/slice.h"
#include "config/values.h"
#include "core/text.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static const struct option options[] = {
	{"role", required_argument, NULL, 'r'},
	{"reveal", no_argument, NULL, 'v'},
	{NULL, 0, NULL, 0},
};

struct asked {
	const char *role; /* NULL: all of it */
	bool reveal;
	bool has_role; /* in one of the two at least */
};

/* A role that is not in a revision has nothing there. */
static int cut(const struct document *doc, const struct model *model, struct asked *asked,
	       struct document **out, struct err *err)
{
	if (slice(doc, model, asked->role, NULL, out, err) == 0) {
		asked->has_role = true;
		return 0;
	}
	if (err->code != ERR_GONE)
		return -1;
	*out = document_new();
	return 0;
}

/* The values of a revision, or (NULL) of the work tree. */
static int read_values(struct cli *cli, const char *rev, struct asked *asked,
		       struct values *out, struct err *err)
{
	struct fileset files = {0};
	struct document *doc = NULL, *part = NULL;
	struct model *model = NULL;
	int rc = trial_files(cli->home, rev, &files, err);

	if (rc == 0 && asked->reveal)
		rc = work_reveal(cli, &files, NULL, err);
	if (rc == 0)
		rc = merge_fileset(&files, &doc, &model, err);
	if (rc == 0 && asked->role)
		rc = cut(doc, model, asked, &part, err);
	if (rc == 0)
		values_all(part ? part : doc, model, out);
	seal_document_free(part, model);
	seal_document_free(doc, model);
	model_free(model);
	work_wipe(&files);
	/* that there is no such revision names it */
	return rc == 0 || err->code == ERR_GONE ? rc
						: err_prefix(err, "%s", rev ? rev : "work tree");
}

static const char *shown(const struct value *value, bool reveal)
{
	return value->secret && !reveal ? VALUES_HIDDEN : value->text;
}

static void print(void *arg, const struct value *old, const struct value *new)
{
	const struct asked *asked = arg;
	const struct value *one = new ? new : old;
	char *line;

	if (old && new && (old->secret || new->secret) && !asked->reveal)
		line = text_format("~ %s: (changed)", one->path);
	else if (old && new)
		line = text_format("~ %s: %s -> %s", one->path, old->text, new->text);
	else
		line = text_format("%c %s%s%s", new ? '+' : '-', one->path, *one->text ? ": " : "",
				   shown(one, asked->reveal));
	cli_field(line, 0);
	free(line);
}

int cmd_diff(struct cli *cli, int argc, char **argv, struct err *err)
{
	struct asked asked = {.role = NULL};
	struct values old = {.items = NULL}, new = {.items = NULL};
	int option, rc;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'r' && !asked.role)
			asked.role = optarg;
		else if (option == 'v')
			asked.reveal = true;
		else
			return cli_wrong_option(option, argv, err);
	}
	if (argc - optind > 2)
		return cli_usage(err, "diff takes two revisions at most");
	if (asked.role && !name_valid(asked.role))
		return cli_usage(err, "\"%s\" is no name for a role", asked.role);
	if (work_open(cli, err) != 0)
		return CLI_FAILED;
	rc = read_values(cli, argv[optind] ? argv[optind] : ADMIN_MAIN, &asked, &old, err);
	if (rc == 0)
		rc = read_values(cli, argc - optind == 2 ? argv[optind + 1] : NULL, &asked, &new,
				 err);
	if (rc == 0 && asked.role && !asked.has_role)
		rc = err_set(err, ERR_GONE, "there is no role %s in these configurations",
			     asked.role);
	if (rc == 0)
		values_compare(&old, &new, print, &asked);
	values_clear(&old);
	values_clear(&new);
	return rc == 0 ? CLI_DONE : CLI_FAILED;
}
