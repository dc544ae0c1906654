/* muster set and muster delete: edits of the work tree by path. */
#include "admin/authoring.h"
#include "admin/trial.h"
#include "cli/cli.h"
#include "cli/work.h"
#include "config/edit.h"
#include "config/values.h"
#include "core/buf.h"
#include "core/limits.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct option options[] = {{NULL, 0, NULL, 0}};

/* All of stdin, without the newline that an editor or echo ends it with. */
static int read_stdin(struct buf *out, struct err *err)
{
	for (;;) {
		char bytes[4096];
		ssize_t n = read(STDIN_FILENO, bytes, sizeof(bytes));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "standard input");
		if (n == 0)
			break;
		buf_put(out, bytes, (size_t)n);
		crypto_wipe(bytes, (size_t)n);
	}
	if (out->failed)
		return err_set(err, ERR_REFUSED, "standard input: over %zu bytes", out->max);
	if (out->len > 0 && out->data[out->len - 1] == '\n')
		out->data[--out->len] = '\0';
	if (out->len > 0 && memchr(out->data, '\0', out->len))
		return err_set(err, ERR_REFUSED, "standard input: a NUL byte");
	return 0;
}

static int write_all(struct cli *cli, struct fileset *set, const struct edited *edited,
		     struct err *err)
{
	if (edited->count == 0)
		(void)puts("it is so already"); /* checked at exit */
	for (size_t i = 0; i < edited->count; i++) {
		if (authoring_write(cli->home, set, edited->paths[i], err) != 0)
			return -1;
		(void)printf("%s\n", edited->paths[i]); /* ditto */
	}
	return 0;
}

/* A command line can be read by anyone on the machine, and stays in a history. */
static int check_secret(const struct fileset *files, const char *path, const char *value,
			struct err *err)
{
	bool secret;

	if (values_is_secret(files, path, &secret, err) != 0)
		return -1;
	if (!secret || strcmp(value, "-") == 0)
		return 0;
	return err_set(err, ERR_REFUSED,
		       "%.300s is a secret: give it on standard input, with - as the value", path);
}

int cmd_set(struct cli *cli, int argc, char **argv, struct err *err)
{
	struct fileset files = {0};
	struct edited edited = {.paths = NULL};
	const char *path, *value;
	struct buf text;
	int rc;

	if (getopt_long(argc, argv, "+", options, NULL) != -1)
		return cli_wrong_option('?', argv, err);
	if (argc - optind != 2)
		return cli_usage(err, "set takes a path and a value");
	path = argv[optind];
	value = argv[optind + 1];
	if (work_open(cli, err) != 0)
		return CLI_FAILED;
	buf_init(&text, LIMIT_SMALL_FILE);
	buf_puts(&text, "");
	rc = trial_files(cli->home, NULL, &files, err);
	if (rc == 0)
		rc = check_secret(&files, path, value, err);
	if (rc == 0 && strcmp(value, "-") == 0) {
		rc = read_stdin(&text, err);
		value = buf_text(&text);
	}
	if (rc == 0)
		rc = edit_set(&files, path, value, &edited, err);
	if (rc == 0 && edited.count > 0)
		rc = work_seal(cli, &files, err);
	if (rc == 0)
		rc = write_all(cli, &files, &edited, err);
	if (text.data)
		crypto_wipe(text.data, text.len);
	buf_clear(&text);
	edited_clear(&edited);
	work_wipe(&files);
	return rc == 0 ? CLI_DONE : CLI_FAILED;
}

int cmd_delete(struct cli *cli, int argc, char **argv, struct err *err)
{
	struct fileset files = {0};
	struct edited edited = {.paths = NULL};
	int rc;

	if (getopt_long(argc, argv, "+", options, NULL) != -1)
		return cli_wrong_option('?', argv, err);
	if (argc - optind != 1)
		return cli_usage(err, "delete takes one path");
	if (work_open(cli, err) != 0)
		return CLI_FAILED;
	rc = trial_files(cli->home, NULL, &files, err);
	if (rc == 0)
		rc = edit_delete(&files, argv[optind], &edited, err);
	if (rc == 0)
		rc = write_all(cli, &files, &edited, err);
	edited_clear(&edited);
	fileset_clear(&files);
	return rc == 0 ? CLI_DONE : CLI_FAILED;
}
