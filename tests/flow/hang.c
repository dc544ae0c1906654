/* Preloaded: the lookup of the host hang.invalid hangs, as a resolver does whose name server does not answer. Every other works. */
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>

typedef int lookup_fn(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **out);

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
	lookup_fn *next = (lookup_fn *)dlsym(RTLD_NEXT, "getaddrinfo");

	while (node && strcmp(node, "hang.invalid") == 0)
		(void)pause();
	return next ? next(node, service, hints, out) : EAI_FAIL;
}
