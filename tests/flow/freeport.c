/* Prints a TCP port of 127.0.0.1 that nobody listens on just now: tests have no fixed ports. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) ||
	    getsockname(fd, (struct sockaddr *)&address, &size)) {
		perror("freeport");
		return 1;
	}
	(void)close(fd); /* nothing was written to it */
	printf("%u\n", (unsigned)ntohs(address.sin_port));
	return fflush(stdout) ? 1 : 0;
}
