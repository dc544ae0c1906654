/* Where the configuration secret comes from: see secret.h. */
#include "crypto/secret.h"

#include "core/fs.h"
#include "core/text.h"
#include "crypto/secret_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CREDENTIAL "muster.secret"

/*
 * The value of a variable; one that is empty is none (containers set those they have no value for).
 */
static const char *variable(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

/* What a mode allows beyond what a secret may be used for, or NULL. */
static const char *mode_fault(mode_t mode)
{
	if (mode & S_IRWXO)
		return "others than its owner and group may use it";
	return mode & S_IWGRP ? "others than its owner may change it" : NULL;
}

/* A secret's file through links (mounted secrets are links). GONE when it is not there. */
static int load_file(int dirfd, const char *path, const char *name, bool minds_mode,
		     struct keyring **out, struct err *err)
{
	const char *fault;
	struct stat st;
	struct buf text;
	int rc;

	if (fstatat(dirfd, path, &st, 0) != 0)
		return err_sys(err, "%s", name);
	fault = minds_mode ? mode_fault(st.st_mode) : NULL;
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_REFUSED, "%s: is not a regular file", name);
	if (fault)
		return err_set(err, ERR_REFUSED, "%s: has mode %04o, so %s: chmod 600", name,
			       (unsigned)st.st_mode & 07777u, fault);
	buf_init(&text, KEYRING_TEXT_MAX);
	(void)buf_reserve(&text, text.max); /* memory that grows leaves copies; fits */
	rc = fs_read_follow(dirfd, path, &text, err);
	if (rc == 0)
		rc = keyring_parse(name, buf_text(&text), text.len, out, err);
	seal_wipe(&text);
	return rc;
}

/* A file that was named must be there. */
static int load_named(const char *variable_name, const char *path, bool minds_mode,
		      struct keyring **out, struct err *err)
{
	struct err why = {.code = ERR_NONE};

	if (load_file(AT_FDCWD, path, path, minds_mode, out, &why) == 0)
		return 0;
	return err_set(err, why.code == ERR_GONE ? ERR_REFUSED : why.code, "%s: %s", variable_name,
		       why.text);
}

/* etc/secret, or nothing; READABLE: nothing too when it may not be read. */
static int load_etc(const struct home *home, bool readable, struct keyring **out, struct err *err)
{
	char *name = home_etc(home, SECRET_FILE);
	struct err why = {.code = ERR_NONE};
	struct stat st;
	int rc = load_file(home->etc_fd, SECRET_FILE, name, true, out, &why);

	free(name);
	if (rc != 0 && (why.code == ERR_GONE || (readable && why.code == ERR_DENIED))) {
		*out = keyring_new();
		return 0;
	}
	if (rc != 0)
		return err_set(err, why.code, "%s", why.text);
	(*out)->is_file = fstatat(home->etc_fd, SECRET_FILE, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			  S_ISREG(st.st_mode);
	return 0;
}

static int load(const struct home *home, bool readable, struct keyring **out, struct err *err)
{
	static const char *const values[] = {"MUSTER_CONFIG_SECRET", "CONFIG_ENCRYPTION_KEY"};
	const char *named = variable("MUSTER_CONFIG_SECRET_FILE");
	const char *folder = variable("CREDENTIALS_DIRECTORY");
	char *path;
	int rc;

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		const char *value = variable(values[i]);

		if (value)
			return keyring_parse(values[i], value, strlen(value), out, err);
	}
	if (named)
		return load_named("MUSTER_CONFIG_SECRET_FILE", named, true, out, err);
	path = folder ? text_format("%s/" CREDENTIAL, folder) : NULL;
	/* systemd sees to the modes of its credentials */
	if (path && faccessat(AT_FDCWD, path, F_OK, 0) == 0)
		rc = load_named("credential " CREDENTIAL, path, false, out, err);
	else
		rc = load_etc(home, readable, out, err);
	free(path);
	return rc;
}

int keyring_load(const struct home *home, struct keyring **out, struct err *err)
{
	return load(home, false, out, err);
}

int keyring_load_readable(const struct home *home, struct keyring **out, struct err *err)
{
	return load(home, true, out, err);
}
