/*
 * muster filter: git's clean filter for the authoring repository: a file in, the file with its
 * secrets sealed out.
 */
#include "admin/authoring.h"
#include "cli/cli.h"
#include "control/sealing.h"
#include "core/limits.h"
#include "core/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int read_input(struct buf *out, struct err *err)
{
	for (;;) {
		uint8_t *to = buf_reserve(out, 64 << 10);
		ssize_t n;

		if (!to)
			return err_set(err, ERR_REFUSED, "over %u bytes", LIMIT_XML_SIZE);
		n = read(STDIN_FILENO, to, 64 << 10);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "input");
		if (n == 0)
			return 0;
		out->len += (size_t)n;
	}
}

static int seal_input(struct cli *cli, const char *path, const struct buf *in, struct buf *out,
		      struct err *err)
{
	struct sealing_by by = {.ring = NULL};
	struct authoring authoring = {.home = cli->home, .sealer = &by.sealer};
	struct findings findings = {.count = 0};
	char *source = home_var(cli->home, ADMIN_SOURCE);
	int rc = sealing_open(&by, cli->home, err);

	if (rc == 0 && repo_open(source, &authoring.repo, NULL) != 0)
		authoring.repo = NULL; /* then nothing was moved */
	if (rc == 0)
		rc = authoring_seal_file(&authoring, path, in->data, in->len, out, &findings, err);
	for (size_t i = 0; i < findings.count; i++)
		(void)fprintf(stderr, "%s\n", findings.lines[i]); /* no one else to tell */
	if (findings.count > 0)
		(void)err_set(err, ERR_REFUSED,
			      "%s: not added: it would put a secret in the clear into git", path);
	findings_clear(&findings);
	authoring_clear(&authoring);
	repo_free(authoring.repo);
	sealing_close(&by);
	free(source);
	return rc;
}

int cmd_filter(struct cli *cli, int argc, char **argv, struct err *err)
{
	struct buf in, out;
	const struct buf *result = &out;
	int rc;

	if (argc != 2)
		return cli_usage(err, "filter takes the path of a file");
	if (cli_open(cli, err) != 0)
		return CLI_FAILED;
	buf_init(&in, LIMIT_XML_SIZE + (64 << 10));
	buf_init(&out, LIMIT_XML_SIZE);
	rc = read_input(&in, err);
	if (rc == 0 && (in.len == 0 || !authoring_seals(argv[1])))
		result = &in;
	else if (rc == 0)
		rc = seal_input(cli, argv[1], &in, &out, err);
	if (rc == 0 && (fwrite(buf_text(result), 1, result->len, stdout) != result->len ||
			fflush(stdout) != 0))
		rc = err_sys(err, "output");
	seal_wipe(&in);
	buf_clear(&out);
	return rc == 0 ? CLI_DONE : CLI_FAILED;
}
