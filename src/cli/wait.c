/* muster wait: until this node is in a state or runs a release, for scripts. */
#include "cli/cli.h"
#include "control/client.h"
#include "core/limits.h"
#include "core/loop.h"
#include "node/runtime.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* milliseconds; the second while no daemon is there to ask */
enum { WAIT_DEFAULT = 60000, DAEMON_POLL = 50 };

static const struct option options[] = {
	{"state", required_argument, NULL, 's'},
	{"release", required_argument, NULL, 'r'},
	{"sequence", required_argument, NULL, 'q'},
	{"timeout", required_argument, NULL, 't'},
	{NULL, 0, NULL, 0},
};

struct wanted {
	const char *state;
	const char *release; /* a prefix of a release or of its source */
	uint64_t sequence;
	unsigned limit_ms;
	char seen[96]; /* what it is instead, for people */
};

static bool starts(const char *text, const char *prefix)
{
	return text && strncasecmp(text, prefix, strlen(prefix)) == 0;
}

static bool reached(const json_t *status, const struct wanted *wanted)
{
	if (wanted->state && strcasecmp(cli_string(status, "nodeState"), wanted->state) != 0)
		return false;
	if (wanted->release && !starts(cli_string(status, "transactionId"), wanted->release) &&
	    !starts(cli_string(status, "source"), wanted->release))
		return false;
	return (uint64_t)json_integer_value(json_object_get(status, "sequence")) >=
	       wanted->sequence;
}

static void see(const json_t *status, struct wanted *wanted)
{
	const char *release = cli_string(status, "transactionId");

	(void)snprintf(
		wanted->seen, sizeof(wanted->seen), ": the node is %s with %.12s, sequence %lld",
		cli_string(status, "nodeState"), release ? release : "no release",
		(long long)json_integer_value(json_object_get(status, "sequence"))); /* fits */
}

/* One conversation, until it is reached, time is up or the daemon goes. */
static int converse(struct ask *conversation, struct wanted *wanted, uint64_t deadline,
		    struct err *err)
{
	json_int_t version = 0;
	uint64_t now;

	/* what is reached already is seen with no time left too */
	while ((now = loop_now()) < deadline || version == 0) {
		json_t *answer = NULL,
		       *request = json_pack("{s:s, s:I}", "do", "status", "after", version);
		unsigned left = now < deadline ? (unsigned)(deadline - now) : WAIT_CONTROL;
		bool good;

		if (ask(conversation, request, left, &answer, err) != 0)
			return err->code == ERR_GONE || loop_now() < deadline ? CLI_NO_DAEMON
									      : CLI_TIMEOUT;
		version = json_integer_value(json_object_get(answer, "version"));
		good = reached(json_object_get(answer, "status"), wanted);
		see(json_object_get(answer, "status"), wanted);
		json_decref(answer);
		if (good)
			return CLI_DONE;
	}
	return CLI_TIMEOUT;
}

static bool is_state(const char *word)
{
	static const char *const words[] = {
#define X(name, serving) #name,
		NODE_STATES(X)
#undef X
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcasecmp(word, words[i]) == 0)
			return true;
	return false;
}

static bool is_prefix(const char *text)
{
	size_t n = strlen(text);

	return n >= 4 && n <= OID_HEX && strspn(text, "0123456789abcdefABCDEF") == n;
}

static int parse(int argc, char **argv, struct wanted *wanted, struct err *err)
{
	bool timed = false;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == '?' || (option == 's' && wanted->state) ||
		    (option == 'r' && wanted->release) || (option == 'q' && wanted->sequence) ||
		    (option == 't' && timed))
			return cli_wrong_option(option, argv, err);
		timed |= option == 't';
		if (option == 's' && !is_state(optarg))
			return cli_usage(err, "\"%s\" is no state of a node", optarg);
		if (option == 'r' && !is_prefix(optarg))
			return cli_usage(err, "\"%s\" is no release: 4 to 40 hex digits", optarg);
		if (option == 's')
			wanted->state = optarg;
		else if (option == 'r')
			wanted->release = optarg;
		else if (option == 'q' && text_number(optarg, UINT32_MAX, &wanted->sequence) != 0)
			return cli_usage(err, "\"%s\" is no sequence", optarg);
		else if (option == 't' && cli_seconds(optarg, &wanted->limit_ms) != 0)
			return cli_usage(err, "\"%s\" is no number of seconds", optarg);
	}
	if (!wanted->state && !wanted->release && !wanted->sequence)
		wanted->state = "RUNNING";
	return optind < argc ? cli_usage(err, "wait takes no \"%s\"", argv[optind]) : CLI_DONE;
}

int cmd_wait(struct cli *cli, int argc, char **argv, struct err *err)
{
	struct wanted wanted = {.limit_ms = WAIT_DEFAULT};
	const struct timespec pause = {.tv_nsec = DAEMON_POLL * 1000000L};
	struct ask *conversation;
	uint64_t deadline;
	int rc = parse(argc, argv, &wanted, err);

	if (rc != CLI_DONE)
		return rc;
	deadline = loop_now() + wanted.limit_ms;
	/* a daemon that starts, or starts again, is what a script may be waiting for */
	for (rc = CLI_NO_DAEMON; rc == CLI_NO_DAEMON;) {
		if (ask_open(cli->home, CONTROL_NODE, &conversation, err) == 0) {
			rc = converse(conversation, &wanted, deadline, err);
			ask_close(conversation);
		}
		if (loop_now() >= deadline)
			break;
		if (rc == CLI_NO_DAEMON)
			(void)nanosleep(&pause, NULL); /* cut short is fine */
	}
	if (rc == CLI_TIMEOUT)
		(void)err_set(err, ERR_RETRY, "not reached within %u s%s", wanted.limit_ms / 1000,
			      wanted.seen);
	return rc;
}
