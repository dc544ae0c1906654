/* musterd: the daemon. Only options; control/daemon.c is what runs. */
#include "config/document.h"
#include "control/daemon.h"
#include "core/home.h"
#include "core/log.h"
#include "core/text.h"
#include "crypto/key.h"
#include "http/listener.h"
#include "repo/git.h"

#include <getopt.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { EXIT_USAGE = 2 };

enum {
	OPTION_HOME = 256,
	OPTION_VERSION,
	OPTION_HELP,
	OPTION_FORCE_RELOAD,
	OPTION_NO_STATUS,
	OPTION_STATUS_LISTEN,
	OPTION_LOG_LEVEL,
	OPTION_PLAIN_GROUP,
	OPTION_CHECK,
};

static const struct option long_options[] = {
	{"home", required_argument, NULL, OPTION_HOME},
	{"admin", no_argument, NULL, 'a'},
	{"no-admin", no_argument, NULL, 'n'},
	{"service-role", required_argument, NULL, 's'},
	{"service-name", required_argument, NULL, 'N'},
	{"force-reload", no_argument, NULL, OPTION_FORCE_RELOAD},
	{"no-status", no_argument, NULL, OPTION_NO_STATUS},
	{"status-listen", required_argument, NULL, OPTION_STATUS_LISTEN},
	{"plain-group", required_argument, NULL, OPTION_PLAIN_GROUP},
	{"log-level", required_argument, NULL, OPTION_LOG_LEVEL},
	{"check", no_argument, NULL, OPTION_CHECK},
	{"version", no_argument, NULL, OPTION_VERSION},
	{"help", no_argument, NULL, OPTION_HELP},
	{NULL, 0, NULL, 0},
};

static const char help[] =
	"usage: musterd [OPTION...]\n"
	"\n"
	"  -a, --admin              be the admin node (default; ADMIN=true)\n"
	"  -n, --no-admin           be no admin (ADMIN=false)\n"
	"  -s, --service-role ROLE  be a runtime node of that role (SERVICE_ROLE; with\n"
	"                           --no-admin: default)\n"
	"  -N, --service-name NAME  the node's name (SERVICE_NAME; the host name)\n"
	"      --force-reload       read etc/init again though there is a configuration\n"
	"      --status-listen ADDR:PORT\n"
	"                           status document; metrics on the next port; port 0:\n"
	"                           free ones (STATUS_LISTEN; 127.0.0.1:4465)\n"
	"      --no-status          neither\n"
	"      --plain-group GROUP  who may read the plain copy besides the daemon's\n"
	"                           user (PLAIN_GROUP)\n"
	"      --log-level LEVEL    error, warning, notice (default), info, debug\n"
	"                           (LOGGING_LEVEL)\n"
	"      --check              check what a start would, print the verdict, exit\n"
	"      --home DIR           the home: DIR/etc, DIR/var, DIR/run (MUSTER_HOME)\n"
	"      --version, --help\n"
	"\n"
	"exit: 0 stopped cleanly, 1 refused or failed, 2 wrong usage; see musterd(8)\n";

struct settings {
	const char *home;
	const char *role;
	const char *name;
	const char *level;
	const char *plain_group;
	const char *status_listen;
	bool no_status;
	bool admin, admin_given;
	bool force_reload;
	bool check;
};

static int usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static int usage(const char *fmt, ...)
{
	va_list ap;

	(void)fputs("musterd: ", stderr); /* there is no one to tell if it fails */
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap); /* ditto */
	va_end(ap);
	(void)fputs("; see musterd --help\n", stderr); /* ditto */
	return EXIT_USAGE;
}

/* One value for one option: a second, different one is a mistake. */
static int set_once(const char **value, const char *given, const char *option)
{
	if (*value && strcmp(*value, given) != 0)
		return usage("two values for %s", option);
	*value = given;
	return 0;
}

static int say(const char *text)
{
	return fputs(text, stdout) == EOF || fflush(stdout) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int parse_option(int option, struct settings *settings)
{
	switch (option) {
	case OPTION_HOME:
		return set_once(&settings->home, optarg, "--home");
	case 's':
		return set_once(&settings->role, optarg, "--service-role");
	case 'N':
		return set_once(&settings->name, optarg, "--service-name");
	case OPTION_PLAIN_GROUP:
		return set_once(&settings->plain_group, optarg, "--plain-group");
	case OPTION_LOG_LEVEL:
		return set_once(&settings->level, optarg, "--log-level");
	case 'a':
	case 'n':
		if (settings->admin_given && settings->admin != (option == 'a'))
			return usage("%s", "--admin and --no-admin");
		settings->admin = option == 'a';
		settings->admin_given = true;
		return 0;
	case OPTION_FORCE_RELOAD:
		settings->force_reload = true;
		return 0;
	case OPTION_NO_STATUS:
		settings->no_status = true;
		return 0;
	case OPTION_STATUS_LISTEN:
		return set_once(&settings->status_listen, optarg, "--status-listen");
	case OPTION_CHECK:
		settings->check = true;
		return 0;
	default:
		return usage("%s", "wrong option");
	}
}

static int parse_environment(struct settings *settings)
{
	const char *admin = getenv("ADMIN");

	if (!settings->role)
		settings->role = getenv("SERVICE_ROLE");
	if (!settings->name)
		settings->name = getenv("SERVICE_NAME");
	if (!settings->level)
		settings->level = getenv("LOGGING_LEVEL");
	if (!settings->plain_group)
		settings->plain_group = getenv("PLAIN_GROUP");
	if (settings->plain_group && !*settings->plain_group)
		settings->plain_group = NULL;
	if (!settings->status_listen)
		settings->status_listen = getenv("STATUS_LISTEN");
	if (settings->no_status)
		settings->status_listen = NULL; /* of the environment */
	else if (!settings->status_listen || !*settings->status_listen)
		settings->status_listen = "127.0.0.1:4465";
	if (!settings->admin_given && admin) {
		if (strcasecmp(admin, "true") != 0 && strcasecmp(admin, "false") != 0)
			return usage("ADMIN is true or false, not \"%s\"", admin);
		settings->admin = strcasecmp(admin, "true") == 0;
	} else if (!settings->admin_given) {
		settings->admin = true;
	}
	if (settings->role && !*settings->role)
		settings->role = NULL;
	if (!settings->role && !settings->admin)
		settings->role = "default";
	return 0;
}

static int check_settings(struct settings *settings)
{
	static char host[256];
	char address[HTTP_ADDRESS_MAX];
	uint16_t port;
	struct err err;
	enum log_level level = LOG_LEVEL_NOTICE;

	if (settings->level && log_level_parse(settings->level, &level) != 0)
		return usage("\"%s\" is no log level", settings->level);
	log_setup(level);
	if (settings->status_listen &&
	    http_address_parse(settings->status_listen, address, &port, &err) != 0)
		return usage("%s (--status-listen)", err.text);
	if (settings->role && !name_valid(settings->role))
		return usage("\"%s\" is no name for a role", settings->role);
	if (!settings->name || !*settings->name) {
		if (gethostname(host, sizeof(host) - 1) != 0)
			return usage("%s", "the host name cannot be read: give --service-name");
		settings->name = host;
	}
	if (settings->role && !name_valid(settings->name))
		return usage("\"%s\" is no name for a node: give --service-name", settings->name);
	return 0;
}

/* Secrets live in this process: no core file, and no other process of this user looks into it. */
static void shut_in(void)
{
	const struct rlimit none = {0, 0};

	if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_DUMPABLE, 0) != 0)
		log_warning("daemon", "", "core files could not be turned off");
}

static int run_check(struct home *home, const struct daemon_options *options, struct err *err)
{
	char *verdict = NULL;
	int rc = daemon_check(home, options, &verdict, err);

	if (rc == 0 && (printf("%s\n", verdict) < 0 || fflush(stdout) != 0))
		rc = err_sys(err, "output");
	free(verdict);
	return rc;
}

/*
 * What a worker thread gives back goes to the system and to the other threads: by default each
 * keeps a heap of its own, and a node that joined the packs of a long history never gets small
 * again.
 */
static void share_memory(void)
{
#ifdef __GLIBC__
	(void)mallopt(M_ARENA_MAX, 1);		 /* where it fails, memory is as it was */
	(void)mallopt(M_MMAP_THRESHOLD, 128 << 10); /* and does not grow with what was freed */
	(void)mallopt(M_TRIM_THRESHOLD, 128 << 10);
#endif
}

int main(int argc, char **argv)
{
	struct settings settings = {0};
	struct home home;
	struct err err = {0};
	bool lingers = false;
	int option, rc;

	opterr = 0;
	while ((option = getopt_long(argc, argv, "ans:N:", long_options, NULL)) != -1) {
		if (option == OPTION_HELP || option == OPTION_VERSION)
			return say(option == OPTION_HELP ? help : "musterd " PACKAGE_VERSION "\n");
		if (option == '?')
			return usage("wrong option or no value: %s", argv[optind - 1]);
		rc = parse_option(option, &settings);
		if (rc != 0)
			return rc;
	}
	if (optind < argc)
		return usage("\"%s\" is no option", argv[optind]);
	if (settings.no_status && settings.status_listen)
		return usage("%s", "--no-status and --status-listen exclude each other");
	rc = parse_environment(&settings);
	if (rc == 0)
		rc = check_settings(&settings);
	if (rc != 0)
		return rc;
	share_memory();
	shut_in();
	crypto_setup();
	config_setup();
	git_setup();
	const struct daemon_options options = {.admin = settings.admin,
					       .role = settings.role,
					       .name = settings.name,
					       .status_listen = settings.status_listen,
					       .plain_group = settings.plain_group,
					       .force_reload = settings.force_reload};

	rc = home_init(&home, settings.home, &err);
	if (rc == 0)
		rc = home_open(&home, !settings.check, &err);
	if (rc == 0)
		rc = settings.check ? run_check(&home, &options, &err)
				    : daemon_run(&home, &options, &lingers, &err);
	home_clear(&home);
	if (rc != 0)
		/* there is no one to tell if it fails */
		(void)fprintf(stderr, "musterd: %s\n", err.text);
	if (lingers)
		_exit(rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
	return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
