/* What is told to a service manager, byte for byte, and what of its environment is used. */
#include "core/notify.h"
#include "core/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct manager {
	int fd;
	char path[128]; /* to be removed; "": the socket is abstract */
	char name[128]; /* for NOTIFY_SOCKET */
};

static struct manager manager_new(const char *folder)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct manager manager = {
		.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
	socklen_t size = sizeof(sa_family_t);

	if (folder) {
		assert_true(snprintf(manager.path, sizeof(manager.path), "%s/socket", folder) <
			    100);
		memcpy(manager.name, manager.path, sizeof(manager.name));
		memcpy(address.sun_path, manager.path, strlen(manager.path));
		size = sizeof(address);
	}
	assert_true(manager.fd >= 0);
	assert_int_equal(bind(manager.fd, (struct sockaddr *)&address, size), 0);
	if (!folder) {
		size = sizeof(address);
		assert_int_equal(getsockname(manager.fd, (struct sockaddr *)&address, &size), 0);
		memcpy(manager.name, address.sun_path,
		       size - offsetof(struct sockaddr_un, sun_path));
		manager.name[0] = '@';
	}
	assert_int_equal(setenv("NOTIFY_SOCKET", manager.name, 1), 0);
	return manager;
}

static void manager_end(struct manager *manager)
{
	assert_int_equal(close(manager->fd), 0);
	if (manager->path[0])
		assert_int_equal(unlink(manager->path), 0);
	assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
}

/* The next message is just TEXT; NULL: there is none. */
static void hears(const struct manager *manager, const char *text)
{
	char message[4096];
	ssize_t n = recv(manager->fd, message, sizeof(message) - 1, 0);

	if (!text) {
		assert_int_equal(n, -1);
		assert_int_equal(errno, EAGAIN);
		return;
	}
	assert_true(n >= 0);
	message[n] = '\0';
	assert_string_equal(message, text);
}

static void talk(const struct manager *manager)
{
	struct notify notify;

	notify_init(&notify);
	assert_true(notify.fd >= 0);
	assert_int_not_equal(fcntl(notify.fd, F_GETFD) & FD_CLOEXEC, 0);
	assert_true(notify_send(&notify, "READY=1"));
	assert_true(notify_send(&notify, "STATUS=%s %d", "sequence", 7));
	hears(manager, "READY=1");
	hears(manager, "STATUS=sequence 7");
	hears(manager, NULL);
	notify_clear(&notify);
	notify_clear(&notify);
	assert_true(notify_send(&notify, "READY=1"));
	hears(manager, NULL);
}

static void test_path(void **state)
{
	char folder[] = "/tmp/muster-test.XXXXXX";
	struct manager manager;

	(void)state;
	assert_non_null(mkdtemp(folder));
	manager = manager_new(folder);
	talk(&manager);
	manager_end(&manager);
	assert_int_equal(rmdir(folder), 0);
}

static void test_abstract(void **state)
{
	struct manager manager = manager_new(NULL);

	(void)state;
	assert_int_equal(manager.name[0], '@');
	talk(&manager);
	manager_end(&manager);
}

static void test_nobody(void **state)
{
	char long_name[300] = "/";
	const char *const names[] = {
		"", "@", "/", "socket", "unix:/x", long_name, "/nonexistent/socket"};
	struct notify notify;

	(void)state;
	memset(long_name + 1, 'a', sizeof(long_name) - 2);
	assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
	assert_int_equal(setenv("WATCHDOG_USEC", "1000000", 1), 0);
	for (size_t i = 0; i <= sizeof(names) / sizeof(names[0]); i++) {
		if (i > 0)
			assert_int_equal(setenv("NOTIFY_SOCKET", names[i - 1], 1), 0);
		notify_init(&notify);
		if (i < sizeof(names) / sizeof(names[0])) {
			assert_int_equal(notify.fd, -1);
			assert_int_equal(notify.watchdog_ms, 0);
		}
		/* not worth another try */
		assert_true(notify_send(&notify, "READY=1"));
		assert_true(notify_reloading(&notify));
		notify_clear(&notify);
	}
	assert_int_equal(unsetenv("WATCHDOG_USEC"), 0);
}

/* A manager that is busy stops nobody, and what did not get there is said to be so. */
static void test_busy(void **state)
{
	struct manager manager = manager_new(NULL);
	struct notify notify;
	int sent = 0;

	(void)state;
	notify_init(&notify);
	while (sent < 100000 && notify_send(&notify, "STATUS=%d", sent))
		sent++;
	assert_true(sent > 0 && sent < 100000);
	hears(&manager, "STATUS=0");
	assert_true(notify_send(&notify, "READY=1"));
	for (int i = 1; i < sent; i++) {
		char *text = text_format("STATUS=%d", i);

		hears(&manager, text);
		free(text);
	}
	hears(&manager, "READY=1");
	manager_end(&manager);
	assert_true(notify_send(&notify, "READY=1")); /* it is gone for good */
	notify_clear(&notify);
}

static void test_long_status(void **state)
{
	struct manager manager = manager_new(NULL);
	struct notify notify;
	char text[4000], message[4096];
	ssize_t n;

	(void)state;
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	notify_init(&notify);
	assert_true(notify_send(&notify, "STATUS=%s", text));
	n = recv(manager.fd, message, sizeof(message), 0);
	assert_true(n > 1000 && n < 2100);
	notify_clear(&notify);
	manager_end(&manager);
}

static void test_reloading(void **state)
{
	struct manager manager = manager_new(NULL);
	struct timespec before, after;
	struct notify notify;
	char message[4096];
	long long usec;
	ssize_t n;

	(void)state;
	notify_init(&notify);
	assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &before), 0);
	assert_true(notify_reloading(&notify));
	assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &after), 0);
	n = recv(manager.fd, message, sizeof(message) - 1, 0);
	assert_true(n > 0);
	message[n] = '\0';
	assert_int_equal(strncmp(message, "RELOADING=1\nMONOTONIC_USEC=", 27), 0);
	usec = strtoll(message + 27, NULL, 10);
	assert_true(usec >= (long long)before.tv_sec * 1000000 + before.tv_nsec / 1000);
	assert_true(usec <= (long long)after.tv_sec * 1000000 + after.tv_nsec / 1000);
	notify_clear(&notify);
	manager_end(&manager);
}

static void test_watchdog(void **state)
{
	char own[16];
	const struct {
		const char *usec, *pid;
		uint64_t ms;
	} rows[] = {
		{"30000000", NULL, 15000},
		{"30000000", own, 15000},
		{"3000", NULL, 1},
		{"1", NULL, 1},
		{"0", NULL, 0},
		{"", NULL, 0},
		{"-1", NULL, 0},
		{"1s", NULL, 0},
		{"99999999999999999999", NULL, 0},
		{"30000000", "1", 0},
		{"30000000", "", 0},
		{"30000000", "x", 0},
		{NULL, own, 0},
	};
	struct manager manager = manager_new(NULL);

	(void)state;
	(void)snprintf(own, sizeof(own), "%ld", (long)getpid());
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct notify notify;

		assert_int_equal(unsetenv("WATCHDOG_USEC"), 0);
		assert_int_equal(unsetenv("WATCHDOG_PID"), 0);
		if (rows[i].usec)
			assert_int_equal(setenv("WATCHDOG_USEC", rows[i].usec, 1), 0);
		if (rows[i].pid)
			assert_int_equal(setenv("WATCHDOG_PID", rows[i].pid, 1), 0);
		notify_init(&notify);
		if (notify.watchdog_ms != rows[i].ms)
			fail_msg("row %zu: %llu", i, (unsigned long long)notify.watchdog_ms);
		notify_clear(&notify);
	}
	assert_int_equal(unsetenv("WATCHDOG_USEC"), 0);
	assert_int_equal(unsetenv("WATCHDOG_PID"), 0);
	manager_end(&manager);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_path),	    cmocka_unit_test(test_abstract),
		cmocka_unit_test(test_nobody),	    cmocka_unit_test(test_busy),
		cmocka_unit_test(test_long_status), cmocka_unit_test(test_reloading),
		cmocka_unit_test(test_watchdog),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
