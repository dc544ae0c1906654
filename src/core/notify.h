/*
 * Telling the service manager how it goes, as sd_notify(3) does: datagrams of NAME=value lines to
 * the socket that NOTIFY_SOCKET names. Own code: the protocol is one call, and libsystemd would
 * bring much else into the process.
 */
#ifndef MUSTER_CORE_NOTIFY_H
#define MUSTER_CORE_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct notify {
	int fd; /* -1: nobody wants to be told */
	struct sockaddr_un address;
	socklen_t address_size;
	uint64_t watchdog_ms; /* how often WATCHDOG=1 is to be told; 0: not at all */
};

/*
 * From the environment: NOTIFY_SOCKET (a path, or '@' and an abstract name), WATCHDOG_USEC,
 * WATCHDOG_PID. What cannot be used is as if it was not there.
 */
void notify_init(struct notify *notify);
/*
 * Sends one message, never waiting. False when it did not get there now (the manager is busy) and
 * is worth another try; true also when nobody wants it.
 */
bool notify_send(const struct notify *notify, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* RELOADING=1 with the time that goes with it. */
bool notify_reloading(const struct notify *notify);
void notify_clear(struct notify *notify);

#endif
