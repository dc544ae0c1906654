/* The audit log: see audit.h. */
#include "admin/audit.h"

#include "core/fs.h"
#include "core/text.h"

#include <fcntl.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	WHO_MAX = 80,		/* bytes of a name in a line */
	LINE_MAX_SIZE = 2048,	/* bytes of a line */
	PASSWD_MAX = 64 << 10,	/* bytes of a user's entry */
};

char *audit_user(uid_t uid)
{
	struct passwd entry, *found = NULL;
	char *space = mem_new(PASSWD_MAX, 1), *out;

	if (getpwuid_r(uid, &entry, space, PASSWD_MAX, &found) == 0 && found)
		out = text_format("%s/%u", found->pw_name, uid);
	else
		out = text_format("uid/%u", uid);
	free(space);
	return out;
}

/* No one but the end of a line ends it, and no one but a blank divides words. */
static void clean(char *text, bool word)
{
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 127 || (word && *p == ' '))
			*p = '?';
}

/* A kill or a full disk may have left half a line. */
static bool ends_in_line(int fd)
{
	struct stat st;
	char last = '\n';

	return fstat(fd, &st) != 0 || st.st_size == 0 || pread(fd, &last, 1, st.st_size - 1) != 1 ||
	       last == '\n';
}

static int append(const struct home *home, const char *line, struct err *err)
{
	int fd = openat(home->var_fd, AUDIT_FILE,
			O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	char *whole;
	int rc;

	if (fd < 0)
		return err_sys(err, "%s", AUDIT_FILE);
	whole = text_format("%s%s\n", ends_in_line(fd) ? "" : "\n", line);
	rc = fs_write_all(fd, whole, strlen(whole), err); /* one write: lines of two do not mix */
	free(whole);
	if (rc == 0 && fsync(fd) != 0)
		rc = err_sys(err, "%s", AUDIT_FILE);
	(void)close(fd); /* it is synced, or has failed */
	return rc == 0 ? fs_sync(home->var_fd, "admin", err) : err_prefix(err, "%s", AUDIT_FILE);
}

int audit_note(const struct home *home, const char *who, struct err *err, const char *fmt, ...)
{
	char time[TEXT_TIME_MAX], name[WHO_MAX], what[LINE_MAX_SIZE], *line;
	va_list ap;
	int rc;

	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap); /* cut is fine */
	va_end(ap);
	(void)snprintf(name, sizeof(name), "%s", who); /* likewise */
	clean(name, true);
	clean(what, false);
	line = text_format("%s %s %s", text_time(text_now(), time), name, what);
	rc = append(home, line, err);
	free(line);
	return rc;
}
