/* The git filter and hooks of the authoring repository: see hooks.h. */
#include "admin/hooks.h"

#include "admin/gitconfig.h"
#include "core/buf.h"
#include "core/fs.h"
#include "core/limits.h"
#include "core/log.h"
#include "core/text.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MARK	   "# muster wrote this, and writes it anew at each start"
#define ATTRIBUTES "*.xml filter=muster\n/files/** -filter\n/schema/** -filter\n"

static const char *const names[] = {"post-commit", "pre-commit", "pre-merge-commit", "pre-receive"};

static const char *used_program;

void hooks_use_program(const char *path)
{
	used_program = path;
}

/* A new string. */
static char *find_program(void)
{
	char self[PATH_MAX], *slash, *path;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (used_program)
		return text_copy(used_program);
	if (n > 0) {
		self[n] = '\0';
		slash = strrchr(self, '/');
		path = text_format("%.*s/muster", (int)(slash - self), self);
		if (access(path, X_OK) == 0)
			return path;
		free(path);
	}
	return text_copy(MUSTER_BINDIR "/muster");
}

/* TEXT as one word of a shell, a new string. */
static char *shell_quote(const char *text)
{
	struct buf out;

	buf_init(&out, LIMIT_SMALL_FILE);
	buf_puts(&out, "'");
	for (; *text; text++) {
		if (*text == '\'')
			buf_puts(&out, "'\\''");
		else
			buf_put_u8(&out, (uint8_t)*text);
	}
	buf_puts(&out, "'");
	return (char *)buf_steal(&out, NULL);
}

/* The program with the option that names this home, as shell words. */
static char *command_of(const struct home *home)
{
	char *program = find_program();
	char *quoted = shell_quote(program), *root, *quoted_root, *out;
	size_t n = strlen(home->var);

	/* a home of its own is a folder with etc, var and run in it */
	root = n > 4 && strcmp(home->var + n - 4, "/var") == 0 ? text_copy_n(home->var, n - 4)
								: text_copy("");
	if (strlen(root) + 4 == strlen(home->etc) && text_starts(home->etc, root) &&
	    text_ends(home->etc, "/etc")) {
		quoted_root = shell_quote(root);
		out = text_format("%s --home %s", quoted, quoted_root);
		free(quoted_root);
	} else {
		out = text_format("env -u MUSTER_HOME %s", quoted);
	}
	free(root);
	free(quoted);
	free(program);
	return out;
}

/* Writes a file unless it says so already. */
static int write_once(int dirfd, const char *path, const char *text, mode_t mode, struct err *err)
{
	struct err why = {.code = ERR_NONE};
	struct buf old;
	int rc;

	buf_init(&old, LIMIT_SMALL_FILE);
	rc = fs_read(dirfd, path, &old, &why);
	if (rc == 0 && strcmp(buf_text(&old), text) != 0 && !strstr(buf_text(&old), MARK)) {
		log_warning("setup", path,
			    "is not Muster's and stays: it has to call muster hook itself");
	} else if (rc != 0 || strcmp(buf_text(&old), text) != 0) {
		rc = rc == 0 || why.code == ERR_GONE
			     ? fs_write_atomic(dirfd, path, text, strlen(text), mode, err)
			     : err_set(err, why.code, "%s", why.text);
	}
	buf_clear(&old);
	return rc;
}

static int write_hook(int dirfd, const char *repo, const char *command, const char *name,
		      struct err *err)
{
	char *path = text_format("%s/hooks/%s", repo, name);
	char *text = text_format("#!/bin/sh\n" MARK "\nexec %s hook %s \"$@\"\n", command, name);
	int rc = write_once(dirfd, path, text, 0755, err);

	free(path);
	free(text);
	return rc;
}

static int write_settings(int dirfd, const char *repo, const char *command, struct err *err)
{
	char *clean = text_format("%s filter %%f", command), *quoted = gitconfig_quote(clean);
	char *path = text_format("%s/config", repo);
	/*
	 * git does not sync commits and branches by itself, and a release must not outlive the
	 * commit it was made from: main would seem rewound after a power cut; a push into main goes
	 * into the work tree too, unless that is being edited
	 */
	char *lines =
		text_format("[core]\n\tfsync = added,reference\n[receive]\n\tdenyCurrentBranch = "
			    "updateInstead\n"
			    "[filter \"muster\"]\n\tclean = %s\n\tsmudge = cat\n"
			    "\trequired = true\n",
			    quoted);
	int rc = gitconfig_set(dirfd, path, lines, err);

	free(lines);
	free(path);
	free(quoted);
	free(clean);
	return rc;
}

int hooks_write(const struct home *home, int dirfd, const char *repo, struct err *err)
{
	char *command = command_of(home), *folder = text_format("%s/hooks", repo);
	char *info = text_format("%s/info", repo), *attributes = text_format("%s/attributes", info);
	char *text = text_format(MARK "\n" ATTRIBUTES);
	int rc = fs_make_dirs(dirfd, folder, 0700, err);

	if (rc == 0)
		rc = fs_make_dirs(dirfd, info, 0700, err);
	if (rc == 0)
		rc = write_once(dirfd, attributes, text, 0644, err);
	for (size_t i = 0; rc == 0 && i < sizeof(names) / sizeof(names[0]); i++)
		rc = write_hook(dirfd, repo, command, names[i], err);
	if (rc == 0)
		rc = write_settings(dirfd, repo, command, err);
	free(text);
	free(attributes);
	free(info);
	free(folder);
	free(command);
	return rc;
}
