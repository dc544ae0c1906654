/*
 * The process that runs hooks. A request is one packet: be32 limit of each and be32 of all in
 * milliseconds (0: none), be32 again (0 or 1), parts step, folder, argument, be32 count, that many
 * parts NAME=value. An answer is one packet: 'y' or 'n', then a sentence.
 */
#ifndef MUSTER_CORE_RUNNER_H
#define MUSTER_CORE_RUNNER_H

enum {
	RUNNER_REQUEST_MAX = 32 << 10, /* bytes */
	RUNNER_ANSWER_MAX = 600,       /* bytes */
	RUNNER_ENV_MAX = 64,	       /* variables */
	RUNNER_LINES_MAX = 200,	       /* lines of output of one hook that go to the log */
	RUNNER_SAID_MAX = 512,	       /* lines that are remembered from one call to the next */
};

/*
 * Serves requests on FD until it closes; never returns. Only folders in ETC are run, and only with
 * variables MUSTER_*: whoever has taken over the daemon, inside its walls, must not get out of them
 * by what it asks for here.
 */
_Noreturn void runner_main(int fd, const char *etc);

#endif
