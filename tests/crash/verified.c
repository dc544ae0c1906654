/*
 * verified HOME...: what must hold at every instant, looked at from outside, whether the node runs
 * or not. A line for each home:
 *
 *	HOME none 0 ACCEPTED		there is no var/node/current
 *	HOME NAME SEQUENCE ACCEPTED	it leads to that revision, which is complete, has the digest
 *					of its signed release, and is one of those that the node
 *					accepted, the newest of which has the sequence ACCEPTED
 *
 * Exit 1, and a line on stderr for each, when one is otherwise.
 */
#include "core/fs.h"
#include "core/home.h"
#include "core/log.h"
#include "crypto/key.h"
#include "node/revision.h"
#include "repo/git.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum { TRIES = 50 }; /* as long as it is moved on while we look */

/* 0: it is as it must be; 1: it was moved meanwhile. */
static int look(const char *path, const struct home *home, struct err *err)
{
	char name[REVISION_NAME_MAX], again[REVISION_NAME_MAX];
	struct node_state state = {0};
	struct revision revision = {0};
	struct err why = {.code = ERR_NONE};
	int rc = revision_current(home, name, err);

	if (rc != 0 && err->code != ERR_GONE)
		return -1;
	/* what current leads to was accepted before */
	if (node_state_load(&state, home, err) != 0)
		return -1;
	if (rc != 0) {
		printf("%s none 0 %llu\n", path, (unsigned long long)state.chain.sequence);
		node_state_clear(&state);
		return 0;
	}
	rc = revision_read(home, name, &state, &revision, err);
	if (rc == 0)
		printf("%s %s %llu %llu\n", path, name,
		       (unsigned long long)revision.release.sequence,
		       (unsigned long long)state.chain.sequence);
	else if (revision_current(home, again, &why) != 0 || strcmp(name, again) != 0)
		rc = 1;
	revision_clear(&revision);
	node_state_clear(&state);
	return rc;
}

static int verify_home(const char *path)
{
	struct err err = {.code = ERR_NONE};
	struct home home;
	int rc = home_init(&home, path, &err);

	if (rc == 0)
		rc = fs_open_dir(AT_FDCWD, home.var, &home.var_fd, &err);
	for (int i = 0; rc >= 0 && i < TRIES; i++) {
		rc = look(path, &home, &err);
		if (rc == 0)
			break;
	}
	if (rc != 0)
		(void)fprintf(stderr, "verified: %s: %s\n", path, err.text);
	home_clear(&home);
	return rc;
}

int main(int argc, char **argv)
{
	int code = 0;

	crypto_setup();
	git_setup();
	log_setup(LOG_LEVEL_ERROR);
	for (int i = 1; i < argc; i++)
		if (verify_home(argv[i]) != 0)
			code = 1;
	return fflush(stdout) == 0 ? code : 1;
}
