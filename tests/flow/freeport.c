/*
 * Prints a TCP port that nobody uses just now on any local address: tests have no fixed ports.
 * Where there are such it is one that the system gives to nobody who has not asked for it: a test
 * may come to listen on it much later, and again after it has stopped.
 */
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PORT_MIN = 10240, PORT_MAX = 65535, ROOM_MIN = 1000, TRIES = 1000 };

/* The ports below or above the range of those that are given out. */
static bool find_room(unsigned *from, unsigned *count)
{
	FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
	unsigned low = 0, high = 0;
	int n = file ? fscanf(file, "%u %u", &low, &high) : 0;

	if (file)
		(void)fclose(file); /* only read */
	if (n != 2 || low > high || high > PORT_MAX)
		return false;
	if (low >= PORT_MIN + ROOM_MIN) {
		*from = PORT_MIN;
		*count = low - PORT_MIN;
		return true;
	}
	*from = high + 1;
	*count = PORT_MAX - high;
	return *from >= PORT_MIN && *count >= ROOM_MIN;
}

/* PORT, or with 0 any that is free; 0 when it is taken. */
static unsigned try_port(unsigned port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_ANY),
	};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool free = fd >= 0 && bind(fd, (struct sockaddr *)&address, size) == 0 &&
		    getsockname(fd, (struct sockaddr *)&address, &size) == 0;

	if (fd >= 0)
		(void)close(fd); /* nothing was written to it */
	return free ? ntohs(address.sin_port) : 0;
}

int main(void)
{
	unsigned from, count, port = 0;
	uint32_t random;

	if (find_room(&from, &count))
		for (int i = 0; port == 0 && i < TRIES; i++)
			if (getrandom(&random, sizeof(random), 0) == (ssize_t)sizeof(random))
				port = try_port(from + random % count);
	if (port == 0)
		port = try_port(0);
	if (port == 0) {
		perror("freeport");
		return 1;
	}
	printf("%u\n", port);
	return fflush(stdout) ? 1 : 0;
}
