/* muster request: the operational command that users of the seed product know for genclust. */
#include "cli/cli.h"
#include "cli/generate_cluster.h"

#include <stdio.h>
#include <string.h>

static const char *const path[] = {"environments", "environment", "generate-cluster"};
enum { PATH_LENGTH = sizeof(path) / sizeof(path[0]) };

static int print(struct cli *cli, const struct generate_cluster *what, struct err *err)
{
	struct generated out;
	int rc = generate_cluster(what, cli->home, &out, err);

	if (rc == 0 && fwrite(buf_text(&out.text), 1, out.text.len, stdout) != out.text.len)
		rc = err_sys(err, "output");
	if (rc == 0)
		(void)fprintf(stderr,
			      "the private identity lies in %s: the admin needs it, nobody else\n",
			      out.key_path); /* there is no one to tell if it fails */
	generated_clear(&out);
	return rc == 0 ? CLI_DONE : CLI_FAILED;
}

int cmd_request(struct cli *cli, int argc, char **argv, struct err *err)
{
	struct generate_cluster what = {.host = NULL};
	uint64_t port;
	int i;

	for (i = 0; i < PATH_LENGTH; i++)
		if (i + 1 >= argc || strcmp(argv[i + 1], path[i]) != 0)
			return cli_usage(err, "request environments environment generate-cluster "
					      "host HOST [port PORT]");
	for (i++; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "host") == 0 && !what.host) {
			what.host = argv[i + 1];
		} else if (strcmp(argv[i], "port") == 0 && !what.port) {
			if (text_number(argv[i + 1], 65535, &port) != 0 || port == 0)
				return cli_usage(err, "\"%s\" is no port", argv[i + 1]);
			what.port = (uint16_t)port;
		} else {
			return cli_usage(err, "generate-cluster takes no \"%s\" here", argv[i]);
		}
	}
	if (i != argc || !what.host)
		return cli_usage(err, "generate-cluster host HOST [port PORT]");
	if (!generate_cluster_host_valid(what.host))
		return cli_usage(err, "\"%s\" is no host", what.host);
	return print(cli, &what, err);
}
