/* Telling the service manager how it goes: see notify.h. */
#include "core/notify.h"

#include "core/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MESSAGE_MAX = 2048 }; /* bytes: a status line and a word or two */

static int find_address(struct notify *notify, const char *name)
{
	size_t n = strlen(name);

	if ((name[0] != '/' && name[0] != '@') || n < 2 || n >= sizeof(notify->address.sun_path))
		return -1;
	notify->address.sun_family = AF_UNIX;
	memcpy(notify->address.sun_path, name, n);
	notify->address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	if (name[0] == '@')
		/* an abstract name, which ends with its length */
		notify->address.sun_path[0] = '\0';
	else
		notify->address_size++;
	return 0;
}

/* Half of what the manager waits, so that one late turn of the loop is no death. */
static uint64_t watchdog_ms(void)
{
	const char *pid = getenv("WATCHDOG_PID"), *wait = getenv("WATCHDOG_USEC");
	uint64_t number, usec;

	if (!wait || text_number(wait, INT64_MAX, &usec) != 0)
		return 0;
	if (pid && (text_number(pid, INT32_MAX, &number) != 0 || (pid_t)number != getpid()))
		return 0;
	return usec >= 2000 ? usec / 2000 : usec > 0;
}

void notify_init(struct notify *notify)
{
	const char *name = getenv("NOTIFY_SOCKET");

	*notify = (struct notify){.fd = -1};
	if (!name || find_address(notify, name) != 0)
		return;
	notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (notify->fd >= 0)
		notify->watchdog_ms = watchdog_ms();
}

bool notify_send(const struct notify *notify, const char *fmt, ...)
{
	char text[MESSAGE_MAX];
	va_list ap;
	ssize_t n;

	if (notify->fd < 0)
		return true;
	va_start(ap, fmt);
	/* cut is fine: only a status can be that long */
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	do
		n = sendto(notify->fd, text, strlen(text), MSG_NOSIGNAL,
			   (const struct sockaddr *)&notify->address, notify->address_size);
	while (n < 0 && errno == EINTR);
	return n >= 0 || (errno != EAGAIN && errno != ENOBUFS);
}

bool notify_reloading(const struct notify *notify)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* there is such a clock */
	return notify_send(notify, "RELOADING=1\nMONOTONIC_USEC=%lld",
			   (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

void notify_clear(struct notify *notify)
{
	if (notify->fd >= 0)
		(void)close(notify->fd); /* nothing waits in it */
	notify->fd = -1;
}
