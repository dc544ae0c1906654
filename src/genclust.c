/* genclust: prints the cluster configuration that every node needs to join. See genclust(1). */
#include "cli/generate_cluster.h"
#include "config/document.h"
#include "core/limits.h"
#include "core/text.h"
#include "crypto/key.h"
#include "repo/git.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_REFUSED = 1, EXIT_USAGE = 2 };

static const char help[] =
	"usage: genclust -c HOST [-p PORT] [-r ROLE] [-k FILE] [--home DIR]\n"
	"                [--rotate | --retire]\n"
	"\n"
	"Prints the cluster configuration for the nodes' etc/init on stdout. It is a\n"
	"secret: give the file mode 0600.\n"
	"\n"
	"  -c, --config-service-host HOST  where nodes reach the admin (or\n"
	"                                  CONFIG_SERVICE_HOST)\n"
	"  -p, --config-service-port PORT  and its port, default 6789\n"
	"  -r, --service-role ROLE         nodes with this file join in that role only\n"
	"  -k, --key FILE                  the cluster's private identity, made if it is\n"
	"                                  not there; var/admin/cluster.key of the home\n"
	"      --rotate                    first a new key epoch; the old stays valid\n"
	"      --retire                    first the end of the older epoch: says who is\n"
	"                                  cut off\n"
	"      --home DIR                  the home (or MUSTER_HOME)\n"
	"      --help, --version\n"
	"\n"
	"exit: 0 done, 1 refused or failed, 2 wrong usage; see genclust(1)\n";

enum { OPTION_HOME = 256, OPTION_ROTATE, OPTION_RETIRE, OPTION_HELP, OPTION_VERSION };

static const struct option options[] = {
	{"config-service-host", required_argument, NULL, 'c'},
	{"config-service-port", required_argument, NULL, 'p'},
	{"service-role", required_argument, NULL, 'r'},
	{"key", required_argument, NULL, 'k'},
	{"home", required_argument, NULL, OPTION_HOME},
	{"rotate", no_argument, NULL, OPTION_ROTATE},
	{"retire", no_argument, NULL, OPTION_RETIRE},
	{"help", no_argument, NULL, OPTION_HELP},
	{"version", no_argument, NULL, OPTION_VERSION},
	{NULL, 0, NULL, 0},
};

struct arguments {
	const char *host, *port, *role, *key, *home;
	enum keys_change change;
};

static int usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static int usage(const char *fmt, ...)
{
	va_list ap;

	(void)fputs("genclust: ", stderr); /* stderr: there is no one to tell */
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputs(" (see genclust --help)\n", stderr);
	return EXIT_USAGE;
}

/* All of TEXT to stdout, or exit code 1: a cut file would be found out much later. */
static int print(const void *text, size_t n)
{
	if (fwrite(text, 1, n, stdout) == n && fflush(stdout) == 0)
		return EXIT_SUCCESS;
	(void)fprintf(stderr, "genclust: cannot write: %s\n", strerror(errno));
	return EXIT_REFUSED;
}

static int set_once(const char **value, const char *name)
{
	if (*value)
		return usage("%s is given twice", name);
	*value = optarg;
	return 0;
}

static int set_change(enum keys_change *value, enum keys_change change)
{
	if (*value != KEYS_NONE)
		return usage("--rotate and --retire exclude each other, and each is given once");
	*value = change;
	return 0;
}

/* 0 to go on, -1 for what was answered here (EXIT is set). */
static int read_arguments(int argc, char **argv, struct arguments *out, int *code)
{
	int option;

	*code = EXIT_SUCCESS;
	while (*code == EXIT_SUCCESS &&
	       (option = getopt_long(argc, argv, "c:p:r:k:", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			*code = set_once(&out->host, "-c");
			break;
		case 'p':
			*code = set_once(&out->port, "-p");
			break;
		case 'r':
			*code = set_once(&out->role, "-r");
			break;
		case 'k':
			*code = set_once(&out->key, "-k");
			break;
		case OPTION_HOME:
			*code = set_once(&out->home, "--home");
			break;
		case OPTION_ROTATE:
			*code = set_change(&out->change, KEYS_ROTATE_EPOCH);
			break;
		case OPTION_RETIRE:
			*code = set_change(&out->change, KEYS_RETIRE_EPOCH);
			break;
		case OPTION_HELP:
			*code = print(help, strlen(help));
			return -1;
		case OPTION_VERSION:
			*code = print("genclust " PACKAGE_VERSION "\n",
				      strlen("genclust " PACKAGE_VERSION "\n"));
			return -1;
		default: /* getopt_long said what is wrong */
			*code = EXIT_USAGE;
		}
	}
	if (*code == EXIT_SUCCESS && optind < argc)
		*code = usage("\"%s\" is no option", argv[optind]);
	return *code == EXIT_SUCCESS ? 0 : -1;
}

static int check_arguments(struct arguments *args, struct generate_cluster *what)
{
	uint64_t port = 0;

	if (!args->host)
		args->host = getenv("CONFIG_SERVICE_HOST");
	if (!args->host || !*args->host)
		return usage("no host: give it with -c HOST or CONFIG_SERVICE_HOST");
	if (!generate_cluster_host_valid(args->host))
		return usage("\"%s\" is not a host name or address", args->host);
	if (args->port && (text_number(args->port, UINT16_MAX, &port) != 0 || port == 0))
		return usage("\"%s\" is not a port: a number from 1 to 65535", args->port);
	if (args->role && !name_valid(args->role))
		return usage("\"%s\" is not a name for a role", args->role);
	if (args->key && !*args->key)
		return usage("-k needs the name of a file");
	*what = (struct generate_cluster){.host = args->host,
					  .port = (uint16_t)port,
					  .role = args->role,
					  .key_file = args->key,
					  .change = args->change};
	return EXIT_SUCCESS;
}

static int generate(const struct generate_cluster *what, struct home *home)
{
	struct err err = {.code = ERR_NONE};
	struct generated out;
	int code = EXIT_REFUSED, rc = generate_cluster(what, home, &out, &err);

	generated_tell(&out); /* also when what came after it failed */
	if (rc != 0)
		(void)fprintf(stderr, "genclust: %s\n", err.text);
	else
		code = print(out.text.data, out.text.len);
	if (code == EXIT_SUCCESS)
		(void)fprintf(stderr,
			      "The cluster's private identity %s %s. The admin needs it "
			      "(var/admin/cluster.key or "
			      "etc/cluster.key of its home) and nobody else may have it.\n",
			      out.made ? "was made and lies in" : "lies in", out.key_path);
	generated_clear(&out);
	return code;
}

int main(int argc, char **argv)
{
	struct arguments args = {.host = NULL};
	struct generate_cluster what;
	struct err err = {.code = ERR_NONE};
	struct home home;
	int code;

	if (read_arguments(argc, argv, &args, &code) != 0)
		return code;
	code = check_arguments(&args, &what);
	if (code != EXIT_SUCCESS)
		return code;
	crypto_setup();
	config_setup();
	git_setup();
	if (home_init(&home, args.home, &err) != 0 ||
	    (!args.key && home_become_owner(&home, &err) != 0)) {
		(void)fprintf(stderr, "genclust: %s\n", err.text);
		return EXIT_REFUSED;
	}
	code = generate(&what, &home);
	home_clear(&home);
	return code;
}
