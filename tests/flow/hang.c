/*
 * Preloaded: the lookup of the host hang.invalid hangs, as a resolver does whose name server does
 * not answer; every other works. And with HANG_RENAME=MILLISECONDS each renameat takes that long
 * before it happens, as on a busy disk.
 */
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int lookup_fn(const char *node, const char *service, const struct addrinfo *hints,
		      struct addrinfo **out);

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
		struct addrinfo **out)
{
	lookup_fn *next = (lookup_fn *)dlsym(RTLD_NEXT, "getaddrinfo");

	while (node && strcmp(node, "hang.invalid") == 0)
		(void)pause();
	return next ? next(node, service, hints, out) : EAI_FAIL;
}

typedef int rename_fn(int from_fd, const char *from, int to_fd, const char *to);

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	rename_fn *next = (rename_fn *)dlsym(RTLD_NEXT, "renameat");
	const char *wait = getenv("HANG_RENAME");

	if (wait)
		(void)usleep((unsigned)strtoul(wait, NULL, 10) * 1000);
	return next ? next(from_fd, from, to_fd, to) : -1;
}
