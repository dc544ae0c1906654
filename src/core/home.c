/* The home of a daemon: see home.h. */
#include "core/home.h"

#include "core/fs.h"
#include "core/limits.h"
#include "core/text.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOCK_FILE "lock"
enum { LOCK_PAUSE = 20 }; /* milliseconds between two tries */

int home_init(struct home *home, const char *home_option, struct err *err)
{
	const char *root = home_option ? home_option : getenv("MUSTER_HOME");
	char cwd[PATH_MAX];
	const char *slash = "/";

	*home = (struct home){.etc_fd = -1, .var_fd = -1, .run_fd = -1, .lock_fd = -1};
	if (!root || !*root) {
		home->etc = text_copy(MUSTER_ETC);
		home->var = text_copy(MUSTER_VAR);
		home->run = text_copy(MUSTER_RUN);
		return 0;
	}
	cwd[0] = '\0';
	if (root[0] == '/')
		slash = "";
	else if (!getcwd(cwd, sizeof(cwd)))
		return err_sys(err, "current folder");
	home->etc = text_format("%s%s%s/etc", cwd, slash, root);
	home->var = text_format("%s%s%s/var", cwd, slash, root);
	home->run = text_format("%s%s%s/run", cwd, slash, root);
	return 0;
}

static int open_one(const char *path, bool make, mode_t mode, int *fd, struct err *err)
{
	if (make && fs_keep_dirs(AT_FDCWD, path, mode, err) != 0)
		return -1;
	return fs_open_dir(AT_FDCWD, path, fd, err);
}

/* After a reboot run/ is not there before a daemon makes it. */
static int open_run(struct home *home, bool make, struct err *err)
{
	struct err why = {.code = ERR_NONE};

	if (open_one(home->run, make, 0755, &home->run_fd, &why) == 0)
		return 0;
	if (!make && why.code == ERR_GONE)
		return 0;
	return err_set(err, why.code, "%s", why.text);
}

int home_become_owner(const struct home *home, struct err *err)
{
	struct stat st;

	if (geteuid() != 0 || stat(home->var, &st) != 0 || st.st_uid == 0)
		return 0;
	if (setgroups(0, NULL) != 0 || setresgid(st.st_gid, st.st_gid, st.st_gid) != 0 ||
	    setresuid(st.st_uid, st.st_uid, st.st_uid) != 0)
		return err_sys(err, "home: becoming user %lu, whose %s is",
			       (unsigned long)st.st_uid, home->var);
	return 0;
}

/* Files that another user makes here would be closed to the one whose home it is. */
static int check_owner(const struct home *home, struct err *err)
{
	struct stat st;

	if (fstat(home->var_fd, &st) != 0)
		return err_sys(err, "home: %s", home->var);
	if (st.st_uid != geteuid())
		return err_set(err, ERR_REFUSED,
			       "home: %s belongs to user %lu, not %lu: start as that user",
			       home->var, (unsigned long)st.st_uid, (unsigned long)geteuid());
	return 0;
}

int home_open(struct home *home, bool make, struct err *err)
{
	if (open_one(home->etc, make, 0755, &home->etc_fd, err) != 0 ||
	    open_one(home->var, make, 0700, &home->var_fd, err) != 0 ||
	    open_run(home, make, err) != 0)
		return err_prefix(err, "home");
	if (check_owner(home, err) != 0)
		return -1;
	if (make && faccessat(home->var_fd, ".", W_OK, AT_EACCESS) != 0)
		return err_sys(err, "home: %s is not writable", home->var);
	return 0;
}

int home_lock(struct home *home, struct err *err)
{
	int fd = openat(home->var_fd, LOCK_FILE, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	char text[32] = "";
	unsigned waited = 0;

	if (fd < 0)
		return err_sys(err, "%s/%s", home->var, LOCK_FILE);
	while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		const struct timespec pause = {.tv_nsec = LOCK_PAUSE * 1000000L};
		int number = errno;
		ssize_t n;

		if ((number == EWOULDBLOCK || number == EINTR) && waited < WAIT_LOCK) {
			waited += LOCK_PAUSE;
			(void)nanosleep(&pause, NULL); /* cut short is fine */
			continue;
		}
		n = read(fd, text, sizeof(text) - 1);
		(void)close(fd); /* only read */
		errno = number;
		if (number != EWOULDBLOCK)
			return err_sys(err, "%s/%s", home->var, LOCK_FILE);
		text[n > 0 ? strcspn(text, "\n") : 0] = '\0';
		return err_set(err, ERR_REFUSED, "%s is in use by process %s: stop that one first",
			       home->var, *text ? text : "(unknown)");
	}
	(void)snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	/* the number is only for the sentence above: the lock is what counts */
	if (ftruncate(fd, 0) == 0 && pwrite(fd, text, strlen(text), 0) < 0)
		errno = 0;
	home->lock_fd = fd;
	return 0;
}

void home_unlock(struct home *home)
{
	if (home->lock_fd >= 0)
		(void)close(home->lock_fd); /* the lock goes with it */
	home->lock_fd = -1;
}

char *home_etc(const struct home *home, const char *path)
{
	return text_format("%s/%s", home->etc, path);
}

char *home_var(const struct home *home, const char *path)
{
	return text_format("%s/%s", home->var, path);
}

char *home_run(const struct home *home, const char *path)
{
	return text_format("%s/%s", home->run, path);
}

static void close_one(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd); /* a folder */
	*fd = -1;
}

void home_clear(struct home *home)
{
	home_unlock(home);
	close_one(&home->etc_fd);
	close_one(&home->var_fd);
	close_one(&home->run_fd);
	free(home->etc);
	free(home->var);
	free(home->run);
	home->etc = home->var = home->run = NULL;
}
