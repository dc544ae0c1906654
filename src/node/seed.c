/*
 * A new node's first releases from etc/init: a bundle there is verified like a fetch, with the keys
 * of the cluster file, and goes through the same quarantine into the replica, so that the first
 * update brings only what is newer.
 */
#include "node/quarantine.h"
#include "node/steps.h"

#include "core/limits.h"
#include "core/log.h"
#include "repo/bundle.h"
#include "repo/pack.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INIT_FOLDER "init"
enum { BUNDLES_MAX = 64 }; /* that are looked at */

/* Links are followed: what is mounted are links. */
static int open_bundle(int dirfd, const char *name, int *fd, struct err *err)
{
	struct stat st;

	*fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (*fd < 0)
		return err_sys(err, "%s", name);
	if (fstat(*fd, &st) == 0 && S_ISREG(st.st_mode))
		return 0;
	(void)close(*fd); /* only read */
	return err_set(err, ERR_REFUSED, "not a regular file");
}

/* All that verify does for a fetch, the files of the newest release included. */
static int verify(struct repo *quarantine, struct chain_state *chain, const struct oid *tip,
		  struct release *release, struct err *err)
{
	struct fileset files = {0};
	int rc = chain_verify(quarantine, chain, tip, release, err);

	if (rc != 0)
		return rc;
	rc = pack_check_reachable(quarantine, tip, NULL, err);
	if (rc == 0)
		rc = chain_content(quarantine, release, &files, err);
	fileset_clear(&files);
	if (rc != 0)
		release_clear(release);
	return rc;
}

static int take_bundle(const struct home *home, int fd, struct node_state *state, struct err *err)
{
	struct chain_state chain = state->chain;
	char *ref = text_format("refs/heads/%s", chain.role);
	struct repo *quarantine = NULL;
	struct release release = {.sequence = 0};
	struct state_entry *entry;
	struct oid tip;
	int rc = quarantine_make(home, &chain, &quarantine, err);

	if (rc == 0)
		rc = bundle_read(quarantine, fd, ref, &tip, err);
	if (rc == 0)
		rc = verify(quarantine, &chain, &tip, &release, err);
	repo_free(quarantine);
	if (rc == 0)
		rc = quarantine_release(home, chain.role, &tip, err);
	if (rc == 0) {
		state->chain = chain;
		entry = node_state_note(state, &tip, release.sequence);
		entry->source = release.source;
		entry_verdict(entry, VERDICT_ACCEPTED, "", NULL);
	}
	release_clear(&release);
	free(ref);
	return rc;
}

/* One file; what is wrong with it is told, and the node starts without it. */
static bool try_bundle(const struct home *home, int dirfd, const char *name,
		       struct node_state *state)
{
	struct err err = {.code = ERR_NONE};
	int fd, rc = open_bundle(dirfd, name, &fd, &err);

	if (rc == 0) {
		rc = take_bundle(home, fd, state, &err);
		(void)close(fd); /* only read */
	}
	if (rc == 0)
		log_notice("init", name, "releases up to sequence %llu taken",
			   (unsigned long long)state->chain.sequence);
	else if (err.code == ERR_GONE)
		log_info("init", name, "not used: %s", err.text);
	else
		log_error("init", name, "not used: %s", err.text);
	return rc == 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names of etc/init/\*.bundle in byte order; how many. */
static size_t list(DIR *dir, char *names[static BUNDLES_MAX])
{
	struct dirent *entry;
	size_t count = 0;

	while (count < BUNDLES_MAX && (entry = readdir(dir)))
		if (text_ends(entry->d_name, ".bundle") && entry->d_name[0] != '.')
			names[count++] = text_copy(entry->d_name);
	if (count > 0)
		qsort(names, count, sizeof(*names), by_name);
	return count;
}

int seed_replica(const struct home *home, struct node_state *state, struct err *err)
{
	/* with nothing accepted its log is empty: nothing is shared */
	struct node_state next = *state;
	char *names[BUNDLES_MAX], *text;
	bool taken = false;
	size_t count;
	DIR *dir;
	int fd, rc = 0;

	if (state->chain.has_accepted || state->chain.key_count == 0 || state->log_count > 0)
		return 0;
	fd = openat(home->etc_fd, INIT_FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		rc = fd < 0 && errno == ENOENT ? 0 : err_sys(err, "%s/" INIT_FOLDER, home->etc);
		if (fd >= 0)
			(void)close(fd); /* only read */
		return rc;
	}
	count = list(dir, names);
	for (size_t i = 0; i < count; i++) {
		taken = taken || try_bundle(home, fd, names[i], &next);
		free(names[i]);
	}
	(void)closedir(dir); /* only read */
	if (!taken)
		return 0;
	/* after the packs: what was accepted is in the replica */
	text = node_state_format(&next);
	rc = node_state_write(text, home, err);
	free(text);
	if (rc == 0)
		*state = next;
	return rc;
}
