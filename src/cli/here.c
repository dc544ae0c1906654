/* muster rollback --here and resume --here: see here.h. */
#include "cli/here.h"

#include "control/client.h"
#include "core/limits.h"

#include <stdio.h>

int rollback_here(struct cli *cli, const char *rev, const char *reason, struct err *err)
{
	json_t *request =
		json_pack("{s:s, s:s, s:s*}", "do", "rollback", "rev", rev, "reason", reason);
	json_t *answer = NULL;
	int rc;

	if (!request)
		return cli_usage(err, "a revision and a reason are text in UTF-8");
	rc = cli_ask(cli, CONTROL_NODE, request, WAIT_ROLLBACK, &answer, err);
	if (rc == CLI_DONE)
		(void)printf(
			"%s runs here and stays, sequence %lld: muster resume --here ends that\n",
			cli_string(answer, "release"),
			(long long)json_integer_value(
				json_object_get(answer, "sequence"))); /* checked at exit */
	json_decref(answer);
	return rc;
}

static int print_resumed(const json_t *answer, struct err *err)
{
	const char *pinned = cli_string(answer, "pinned");
	long long burnt = json_integer_value(json_object_get(answer, "forgotten"));

	if (burnt > 0)
		(void)printf("%lld burnt release%s may be tried again\n", burnt,
			     burnt == 1 ? "" : "s"); /* checked at exit */
	if (!json_is_true(json_object_get(answer, "ended"))) {
		if (!pinned) {
			(void)puts("this node was not held here: it follows its role"); /* ditto */
			return CLI_DONE;
		}
		(void)err_set(err, ERR_REFUSED,
			      "it is the admin that holds this node, at %.12s: muster resume "
			      "--node NAME there ends that",
			      pinned);
		return CLI_FAILED;
	}
	if (pinned)
		(void)printf("the hold made here is ended; the admin's counts again, at %.12s\n",
			     pinned); /* ditto */
	else
		(void)puts("the hold is ended: this node follows its role again"); /* ditto */
	return CLI_DONE;
}

int resume_here(struct cli *cli, struct err *err)
{
	json_t *answer = NULL;
	int rc = cli_ask(cli, CONTROL_NODE, json_pack("{s:s}", "do", "resume"), WAIT_CONTROL,
			 &answer, err);

	if (rc == CLI_DONE)
		rc = print_resumed(answer, err);
	json_decref(answer);
	return rc;
}
