/*
 * muster rollback and muster resume: back to what was, and on again: the whole cluster, or one
 * node.
 */
#include "admin/pinning.h"
#include "admin/pins.h"
#include "admin/scan.h"
#include "admin/setup.h"
#include "admin/show.h"
#include "admin/trial.h"
#include "cli/cli.h"
#include "cli/follow.h"
#include "cli/here.h"
#include "control/client.h"
#include "core/limits.h"
#include "repo/release.h"
#include "repo/source.h"
#include "repo/tree.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRAILER "Muster-Allow-Shrink: yes"

enum { SUBJECT_MAX = 200 /* bytes of another commit's subject that a message quotes */ };

struct asked {
	bool here;
	const char *node;
	const char *reason;
	const char *message;
	struct follow_wish follow;
	const char *rev;
};

static void print_findings(const struct findings *findings)
{
	for (size_t i = 0; i < findings->count; i++)
		cli_field(findings->lines[i], 0);
}

/* --- the whole cluster --- */

/* The first line of a commit's message, a new string; cut, but not within a character of UTF-8. */
static int subject_of(struct repo *repo, const struct oid *commit, char **out, struct err *err)
{
	struct buf raw;
	const char *at;
	size_t n;

	buf_init(&raw, LIMIT_COMMIT_SIZE);
	if (repo_commit_raw(repo, commit, &raw, err) != 0) {
		buf_clear(&raw);
		return -1;
	}
	at = strstr(buf_text(&raw), "\n\n");
	at = at ? at + strspn(at, "\n") : "";
	n = strcspn(at, "\n");
	if (n > SUBJECT_MAX) {
		n = SUBJECT_MAX;
		while (n > 0 && ((unsigned char)at[n] & 0xc0) == 0x80)
			n--;
	}
	*out = text_copy_n(at, n);
	buf_clear(&raw);
	return 0;
}

/*
 * What the commit is to say; a new string. The publication would refuse some of it, but only once
 * it is committed.
 */
static int make_message(struct repo *repo, const char *asked, const struct oid *to, char **out,
			struct err *err)
{
	char hex[OID_HEX_SIZE], *subject = NULL, *message;
	int rc;

	if (!asked && subject_of(repo, to, &subject, err) != 0)
		return -1;
	message = asked ? text_format("%s\n\n" TRAILER "\n", asked)
			: text_format("roll back to %.12s: %s\n\n" TRAILER "\n", oid_hex(to, hex),
				      subject);
	free(subject);
	rc = release_message_check(message, err);
	if (rc == 0)
		*out = message;
	else
		free(message);
	return rc;
}

/* Whether the files of TO would be published: as they are, since they are committed as they are. */
static int check_files(struct cli *cli, struct repo *repo, const struct oid *to, struct err *err)
{
	struct identity *identity = NULL;
	struct fileset files = {0};
	struct trial trial = {.role_count = 0};
	struct scan *scan;
	int rc = cli_identity(cli, &identity, err);

	if (rc == 0)
		rc = tree_read_commit(repo, to, &files, err);
	if (rc == 0)
		rc = trial_run(cli->home, identity, &files, TRIAL_ALLOW_SHRINK, &trial, err);
	if (rc == 0 && trial.findings.count == 0) {
		scan = scan_new(repo, &trial.findings);
		rc = scan_commit(scan, to, err);
		scan_free(scan);
	}
	if (rc == 0 && trial.findings.count > 0) {
		print_findings(&trial.findings);
		rc = err_set(
			err, ERR_REFUSED,
			"%zu finding%s: that revision cannot be published any more, and nothing "
			"was changed",
			trial.findings.count, trial.findings.count == 1 ? "" : "s");
	}
	trial_clear(&trial);
	fileset_clear(&files);
	identity_free(identity);
	return rc;
}

static int commit_files(struct repo *repo, const char *message, const struct oid *files_of,
			bool *changed, struct oid *out, struct err *err)
{
	struct source_person who = {0};
	const struct source_commit what = {.who = &who, .message = message, .branch = ADMIN_MAIN};
	int rc = source_person(repo, &who, err);

	if (rc == 0)
		rc = source_commit_tree(repo, &what, files_of, changed, out, err);
	source_person_clear(&who);
	return rc;
}

/* CHANGED false: main has these files already. */
static int roll_back(struct cli *cli, struct repo *repo, const struct asked *asked, bool *changed,
		     struct oid *commit, struct err *err)
{
	struct oid to, head;
	char *message = NULL;
	bool same = false;
	int rc = source_resolve(cli->home, repo, asked->rev, &to, err);

	if (rc == 0)
		rc = repo_ref_get(repo, ADMIN_MAIN, &head, err);
	if (rc == 0)
		rc = source_same(repo, &head, &to, &same, err);
	if (rc == 0 && same)
		return 0;
	if (rc == 0)
		rc = make_message(repo, asked->message, &to, &message, err);
	if (rc == 0)
		rc = check_files(cli, repo, &to, err);
	if (rc == 0)
		rc = commit_files(repo, message, &to, changed, commit, err);
	free(message);
	return rc;
}

static int whole_cluster(struct cli *cli, const struct asked *asked, struct err *err)
{
	struct repo *repo = NULL;
	struct oid commit;
	bool changed = false;
	char hex[OID_HEX_SIZE], *path;
	int rc;

	if (cli_open_admin(cli, err) != 0)
		return CLI_FAILED;
	path = home_var(cli->home, ADMIN_SOURCE);
	rc = repo_open(path, &repo, err);
	if (rc == 0)
		rc = roll_back(cli, repo, asked, &changed, &commit, err);
	repo_free(repo);
	free(path);
	if (rc != 0)
		return CLI_FAILED;
	if (!changed) {
		(void)puts(
			"nothing to roll back: main holds just these files"); /* checked at exit */
		return CLI_DONE;
	}
	(void)printf("commit %.12s\n", oid_hex(&commit, hex)); /* checked at exit */
	return follow_commit(cli, &commit, &asked->follow, err);
}

/* --- one node, from the admin --- */

/* The registry as it is on the disk: the home is locked, so no daemon changes it. */
static int pin_with(struct cli *cli, const struct identity *identity, struct registry *registry,
		    const struct pinning_wish *wish, json_t **out, struct err *err)
{
	struct pinboard board = {.list = NULL};
	struct pinning pinning;
	int rc = pinboard_load(&board, cli->home, identity->cluster_id, err);

	if (rc == 0)
		rc = pinning_begin(registry, &board, wish, &pinning, err);
	pinboard_clear(&board);
	if (rc != 0)
		return rc;
	if (!pinning.needless)
		rc = pinning_run(&pinning, cli->home, identity, err);
	if (rc == 0)
		*out = pinning_json(&pinning);
	pinning_clear(&pinning);
	return rc;
}

static void on_changed(void *arg)
{
	(void)arg; /* no node is connected here */
}

static int pin_locked(struct cli *cli, struct pinning_wish *wish, json_t **out, struct err *err)
{
	struct identity *identity = NULL;
	struct registry *registry = NULL;
	struct cluster cluster = {0};
	uv_loop_t loop;
	int rc = setup_open(cli->home, &identity, err);

	if (rc == 0)
		rc = show_cluster(cli->home, &cluster, NULL, err);
	if (rc == 0 && uv_loop_init(&loop) != 0) {
		rc = err_set(err, ERR_RETRY, "the event loop cannot be made");
	} else if (rc == 0) {
		wish->host = cluster.host;
		rc = registry_open(&loop, cli->home, on_changed, NULL, &registry, err);
		if (rc == 0)
			rc = pin_with(cli, identity, registry, wish, out, err);
		registry_free(registry);
		(void)uv_run(&loop, UV_RUN_DEFAULT); /* until nothing is left */
		(void)uv_loop_close(&loop);	     /* nothing is */
	}
	cluster_clear(&cluster);
	identity_free(identity);
	return rc;
}

/* Without a daemon: in this process, under the home's lock. */
static int pin_here(struct cli *cli, const struct asked *asked, json_t **out, struct err *err)
{
	struct pinning_wish wish = {
		.node = asked->node, .rev = asked->rev, .reason = asked->reason};
	int rc;

	if (cli_open_admin(cli, err) != 0)
		return -1;
	if (home_lock(cli->home, err) != 0)
		return -1;
	rc = pin_locked(cli, &wish, out, err);
	home_unlock(cli->home);
	return rc;
}

static bool is_true(const json_t *answer, const char *key)
{
	return json_is_true(json_object_get(answer, key));
}

static void print_pin(const json_t *answer, bool by_daemon)
{
	const char *node = cli_string(answer, "node"), *when = "";

	if (!is_true(answer, "changed")) {
		(void)printf("%s is not held: nothing to resume\n", node); /* checked at exit */
		return;
	}
	if (!by_daemon)
		when = ", when it is told: no daemon runs";
	else if (!is_true(answer, "connected"))
		when = ", when it is back";
	if (is_true(answer, "held"))
		(void)printf("%s is held at release %.12s%s\n", node, cli_string(answer, "release"),
			     when); /* ditto */
	else
		(void)printf("%s follows its role again%s\n", node, when); /* ditto */
	if (is_true(answer, "heldHere"))
		(void)printf("%s has a hold of its own, which counts first: muster resume --here "
			     "there ends it\n",
			     node); /* ditto */
}

/* To ASKED's revision, or without one to what its role has. */
static int one_node(struct cli *cli, const struct asked *asked, struct err *err)
{
	json_t *request = json_pack("{s:s, s:s, s:s*, s:s*}", "do", "pin", "node", asked->node,
				    "rev", asked->rev, "reason", asked->reason);
	json_t *answer = NULL;
	bool by_daemon = true;
	int rc;

	if (!request)
		return cli_usage(err, "a node, a revision and a reason are text in UTF-8");
	rc = cli_ask(cli, CONTROL_ADMIN, request, WAIT_PUBLISH, &answer, err);
	if (rc == CLI_NO_DAEMON) {
		by_daemon = false;
		rc = pin_here(cli, asked, &answer, err) == 0 ? CLI_DONE : CLI_FAILED;
	}
	if (rc == CLI_DONE)
		print_pin(answer, by_daemon);
	json_decref(answer);
	return rc;
}

/* --- the command lines --- */

enum { OPTION_HERE = 256, OPTION_NODE, OPTION_REASON, OPTION_WAIT };

static const struct option rollback_options[] = {
	{"here", no_argument, NULL, OPTION_HERE},
	{"message", required_argument, NULL, 'm'},
	{"node", required_argument, NULL, OPTION_NODE},
	{"reason", required_argument, NULL, OPTION_REASON},
	{"wait", optional_argument, NULL, OPTION_WAIT},
	{NULL, 0, NULL, 0},
};

static const struct option resume_options[] = {
	{"here", no_argument, NULL, OPTION_HERE},
	{"node", required_argument, NULL, OPTION_NODE},
	{NULL, 0, NULL, 0},
};

static int parse(int argc, char **argv, const struct option *options, struct asked *asked,
		 struct err *err)
{
	int option;

	while ((option = getopt_long(argc, argv, options == rollback_options ? "m:" : "", options,
				     NULL)) != -1) {
		if (option == 'm' && !asked->message)
			asked->message = optarg;
		else if (option == OPTION_NODE && !asked->node)
			asked->node = optarg;
		else if (option == OPTION_REASON && !asked->reason)
			asked->reason = optarg;
		else if (option == OPTION_HERE)
			asked->here = true;
		else if (option == OPTION_WAIT)
			asked->follow.wait = true;
		else
			return cli_wrong_option(option, argv, err);
		if (option == OPTION_WAIT && optarg &&
		    cli_seconds(optarg, &asked->follow.wait_ms) != 0)
			return cli_usage(err, "\"%s\" is no number of seconds", optarg);
	}
	if (asked->here && asked->node)
		return cli_usage(err, "--here and --node exclude each other");
	return CLI_DONE;
}

int cmd_rollback(struct cli *cli, int argc, char **argv, struct err *err)
{
	struct asked asked = {.follow.wait_ms = FOLLOW_WAIT};
	int rc = parse(argc, argv, rollback_options, &asked, err);
	bool one = asked.here || asked.node;

	if (rc != CLI_DONE)
		return rc;
	if (argc - optind != 1 || !*argv[optind])
		return cli_usage(err, "rollback takes one revision");
	if (one && (asked.message || asked.follow.wait))
		return cli_usage(err, "-m and --wait go with a rollback of the whole cluster");
	if (!one && asked.reason)
		return cli_usage(err, "--reason goes with --node and --here; the whole cluster's "
				      "is the message, -m");
	asked.rev = argv[optind];
	if (asked.node)
		return one_node(cli, &asked, err);
	return asked.here ? rollback_here(cli, asked.rev, asked.reason, err)
			  : whole_cluster(cli, &asked, err);
}

int cmd_resume(struct cli *cli, int argc, char **argv, struct err *err)
{
	struct asked asked = {.here = false};
	int rc = parse(argc, argv, resume_options, &asked, err);

	if (rc != CLI_DONE)
		return rc;
	if (optind < argc || (!asked.here && !asked.node))
		return cli_usage(err, "resume takes --node NAME or --here");
	return asked.node ? one_node(cli, &asked, err) : resume_here(cli, err);
}
