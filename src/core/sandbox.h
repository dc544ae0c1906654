/*
 * The walls of the daemon, so that whoever takes it over by a fault of a parser gets little:
 * Landlock for files, seccomp for system calls, both for good and for all that it forks later. What
 * the kernel does not have is left out and told.
 */
#ifndef MUSTER_CORE_SANDBOX_H
#define MUSTER_CORE_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

/*
 * A folder with all below it, or a file; absolute, links are followed now. What is not there is
 * passed over.
 */
struct sandbox_path {
	const char *path;
	bool write; /* make, change and remove too; else only read */
};

enum {
	SANDBOX_FILES = 1, /* nothing but the paths can be opened, nothing at all be executed */
	SANDBOX_CALLS = 2, /* system calls that a daemon has no use for fail with EPERM */
};

/*
 * Raises the walls around this thread and those it makes: call it before there is any other.
 * Besides PATHS the process may read what name lookups and the C library need. Returns the bits of
 * what holds now; what does not is told at info.
 */
unsigned sandbox_enter(const struct sandbox_path *paths, size_t count);

#endif
