/* muster get: what the configuration says at a path: on the admin that of the work tree, on a node
 * that of its local copy. */
#include "admin/setup.h"
#include "admin/trial.h"
#include "cli/cli.h"
#include "cli/work.h"
#include "config/merge.h"
#include "config/seal.h"
#include "config/values.h"
#include "core/fs.h"
#include "core/limits.h"
#include "node/plain.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

static const struct option options[] = {{"reveal", no_argument, NULL, 'r'}, {NULL, 0, NULL, 0}};

static int read_file(int dirfd, const char *folder, const char *name, bool needed,
		     struct fileset *set, struct err *err)
{
	char *path = text_format("%s%s", folder, name);
	struct err why = {.code = ERR_NONE};
	struct buf text;
	int rc;

	buf_init(&text, LIMIT_XML_SIZE);
	/* the folder may be a link, as run/current is */
	rc = dirfd < 0 ? err_set(&why, ERR_GONE, "%s: there is no run/", path)
		       : fs_read_follow(dirfd, path, &text, &why);
	if (rc == 0)
		rc = fileset_add(set, name, FILE_PLAIN, buf_text(&text), text.len, err);
	else if (why.code == ERR_GONE && !needed)
		rc = 0;
	else
		(void)err_set(err, why.code, "%s: this node has no configuration here%s", why.text,
			      why.code == ERR_DENIED ? " that you may read" : "");
	if (text.data)
		crypto_wipe(text.data, text.len);
	buf_clear(&text);
	free(path);
	return rc;
}

/* With secrets open only the plain copy has it. */
static int read_node(const struct home *home, bool reveal, struct fileset *set, struct err *err)
{
	if (read_file(home->var_fd, "node/current/", "model.conf", false, set, err) != 0)
		return -1;
	return reveal ? read_file(home->run_fd, PLAIN_CURRENT "/", "config.xml", true, set, err)
		      : read_file(home->var_fd, "node/current/", "config.xml", true, set, err);
}

static void print(const struct values *values)
{
	for (size_t i = 0; i < values->count; i++)
		/* what is no leaf is XML, which ends in a newline; checked at exit */
		(void)printf("%s%s", values->items[i].text, values->items[i].leaf ? "\n" : "");
}

static int get(struct cli *cli, const char *path, bool reveal, struct err *err)
{
	bool admin = setup_done(cli->home);
	struct fileset files = {0};
	struct document *doc = NULL;
	struct model *model = NULL;
	struct values values = {.items = NULL};
	int rc = admin ? trial_files(cli->home, NULL, &files, err)
		       : read_node(cli->home, reveal, &files, err);

	if (rc == 0 && admin && reveal)
		rc = work_reveal(cli, &files, NULL, err);
	if (rc == 0)
		rc = merge_fileset(&files, &doc, &model, err);
	if (rc == 0)
		rc = values_at(doc, model, path, !reveal, &values, err);
	if (rc == 0 && values.count == 0)
		rc = err_set(err, ERR_GONE, "%s: there is nothing", path);
	if (rc == 0)
		print(&values);
	values_clear(&values);
	seal_document_free(doc, model);
	model_free(model);
	work_wipe(&files);
	return rc == 0 ? CLI_DONE : CLI_FAILED;
}

int cmd_get(struct cli *cli, int argc, char **argv, struct err *err)
{
	bool reveal = false;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option != 'r')
			return cli_wrong_option(option, argv, err);
		reveal = true;
	}
	if (argc - optind != 1)
		return cli_usage(err, "get takes one path");
	if (cli_open(cli, err) != 0)
		return CLI_FAILED;
	return get(cli, argv[optind], reveal, err);
}
