/*
 * muster edit: $EDITOR on a copy of a file of the work tree, with its secrets open, on a memory
 * file system; what comes back is checked and sealed before it is in the work tree.
 */
#include "admin/authoring.h"
#include "admin/trial.h"
#include "cli/cli.h"
#include "cli/work.h"
#include "config/merge.h"
#include "core/fs.h"
#include "core/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MEMORY "/dev/shm"

static const struct option options[] = {{NULL, 0, NULL, 0}};

/* One file on its way through the editor. */
struct editing {
	struct cli *cli;
	char *path; /* in the work tree */
	char *folder;     /* private, in memory */
	char *copy;
	int dirfd;
};

/* --- the copy --- */

static int open_folder(struct editing *editing, struct err *err)
{
	const struct home *home = editing->cli->home;
	int memory = open(MEMORY, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const char *name = strrchr(editing->path, '/');
	int rc = 0;

	if (fs_is_memory(home->run_fd))
		editing->folder = home_run(home, "edit-XXXXXX");
	else if (memory >= 0 && fs_is_memory(memory))
		editing->folder = text_copy(MEMORY "/muster-edit-XXXXXX");
	else
		rc = err_set(err, ERR_REFUSED,
			     "there is no memory file system for a copy with open secrets: use "
			     "muster set, or edit the "
			     "file as it is");
	if (memory >= 0)
		(void)close(memory); /* a folder */
	if (rc == 0 && !mkdtemp(editing->folder)) {
		rc = err_sys(err, "%s", editing->folder);
		free(editing->folder);
		editing->folder = NULL;
	}
	if (rc == 0)
		rc = fs_open_dir(AT_FDCWD, editing->folder, &editing->dirfd, err);
	if (rc == 0)
		editing->copy =
			text_format("%s/%s", editing->folder, name ? name + 1 : editing->path);
	return rc;
}

static void close_folder(struct editing *editing)
{
	struct err err;

	if (editing->dirfd >= 0)
		(void)close(editing->dirfd); /* a folder */
	if (editing->folder && fs_remove_tree(AT_FDCWD, editing->folder, &err) != 0)
		(void)fprintf(stderr, "muster: %s stays: %s\n", editing->folder,
			      err.text); /* no one else to tell */
	free(editing->folder);
	free(editing->copy);
}

/* --- the editor --- */

/* As a shell runs it, since it may be words: "code --wait". */
static int run_editor(const char *copy, struct err *err)
{
	const char *editor = getenv("VISUAL");
	char *command;
	int status = 0;
	pid_t pid;

	if (!editor || !*editor)
		editor = getenv("EDITOR");
	command = text_format("%s \"$1\"", editor && *editor ? editor : "vi");
	(void)fflush(stdout); /* what was said comes first */
	pid = fork();
	if (pid == 0) {
		(void)execl("/bin/sh", "sh", "-c", command, "sh", copy, (char *)NULL);
		_exit(127);
	}
	free(command);
	if (pid < 0)
		return err_sys(err, "fork");
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return err_set(err, ERR_REFUSED, "the editor failed: nothing was changed");
}

/* --- what came back --- */

static int copy_files(const struct fileset *from, struct fileset *to, struct err *err)
{
	for (size_t i = 0; i < from->count; i++)
		if (fileset_add(to, from->files[i].path, from->files[i].mode, from->files[i].data,
				from->files[i].size, err) != 0)
			return -1;
	return 0;
}

static bool same_bytes(const struct file *a, const struct file *b)
{
	return a->size == b->size && memcmp(a->data, b->data, a->size) == 0;
}

/* The work tree with the edited file, sealed, in OUT. CHANGED false: it is as it was. */
static int take_copy(struct editing *editing, struct fileset *out, bool *changed, struct err *err)
{
	const char *name = strrchr(editing->copy, '/') + 1;
	const struct file *file;
	struct buf text;
	struct fileset before = {0};
	int rc;

	buf_init(&text, LIMIT_XML_SIZE);
	rc = fs_read(editing->dirfd, name, &text, err);
	if (rc == 0)
		rc = trial_files(editing->cli->home, NULL, out, err);
	if (rc == 0)
		rc = copy_files(out, &before, err);
	if (rc == 0)
		rc = fileset_put(out, editing->path, FILE_PLAIN, buf_text(&text), text.len, err);
	if (rc == 0)
		rc = work_seal(editing->cli, out, err);
	file = fileset_find(&before, editing->path);
	if (rc == 0)
		*changed = !file || !same_bytes(file, fileset_find(out, editing->path));
	fileset_clear(&before);
	if (text.data)
		crypto_wipe(text.data, text.len);
	buf_clear(&text);
	return rc;
}

static int check_files(struct editing *editing, const struct fileset *files, struct err *err)
{
	struct identity *identity = NULL;
	struct fileset copy = {0};
	struct trial trial = {.role_count = 0};
	size_t count;
	int rc = cli_identity(editing->cli, &identity, err);

	if (rc == 0)
		rc = copy_files(files, &copy, err);
	if (rc == 0)
		rc = trial_run(editing->cli->home, identity, &copy, TRIAL_ALLOW_SHRINK, &trial,
			       err);
	count = rc == 0 ? trial.findings.count : 0;
	for (size_t i = 0; i < count; i++)
		cli_field(trial.findings.lines[i], 0);
	if (count > 0)
		rc = err_set(err, ERR_REFUSED, "%zu finding%s: nothing was changed", count,
			     count == 1 ? "" : "s");
	trial_clear(&trial);
	fileset_clear(&copy);
	identity_free(identity);
	return rc;
}

/* Whether a person at a terminal wants to mend it. */
static bool again(const struct err *err)
{
	char answer[16] = "";

	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
		return false;
	(void)fflush(stdout); /* the findings come first */
	(void)fprintf(stderr, "muster: edit: %s\nedit again? [Y/n] ",
		      err->text); /* no one else to tell */
	if (!fgets(answer, sizeof(answer), stdin))
		return false;
	return answer[0] != 'n' && answer[0] != 'N';
}

static int edit(struct editing *editing, struct err *err)
{
	for (;;) {
		struct fileset files = {0};
		bool changed = false;
		int rc = run_editor(editing->copy, err);

		if (rc != 0)
			return -1;
		rc = take_copy(editing, &files, &changed, err);
		if (rc == 0 && !changed)
			(void)puts("nothing was changed"); /* checked at exit */
		if (rc == 0 && changed)
			rc = check_files(editing, &files, err);
		if (rc == 0 && changed)
			rc = authoring_write(editing->cli->home, &files, editing->path, err);
		if (rc == 0 && changed)
			(void)printf("%s\n", editing->path); /* ditto */
		work_wipe(&files);
		if (rc == 0 || !again(err))
			return rc;
	}
}

/* The one file of the configuration; REFUSED, with their names, where there are more. */
static int only_file(const struct fileset *files, char **out, struct err *err)
{
	size_t count = 0;
	struct buf names;

	buf_init(&names, LIMIT_SMALL_FILE);
	for (size_t i = 0; i < files->count; i++) {
		const char *path = files->files[i].path;

		if (merge_uses(path) && strcmp(path, MERGE_MODEL_FILE) != 0)
			buf_printf(&names, "%s%s", count++ ? " " : "", path);
	}
	buf_puts(&names, "");
	if (count == 1)
		*out = text_copy(buf_text(&names));
	else
		(void)err_set(err, ERR_REFUSED,
			      "the configuration is %zu files: say which one: %.300s", count,
			      buf_text(&names));
	buf_clear(&names);
	return count == 1 ? 0 : -1;
}

static int begin(struct editing *editing, struct fileset *files, struct err *err)
{
	const struct file *file;

	if (!editing->path && only_file(files, &editing->path, err) != 0)
		return -1;
	file = fileset_find(files, editing->path);
	if (!file || !merge_uses(editing->path))
		return err_set(err, ERR_GONE, "%s is no file of the configuration", editing->path);
	if (work_reveal(editing->cli, files, editing->path, err) != 0 ||
	    open_folder(editing, err) != 0)
		return -1;
	file = fileset_find(files, editing->path);
	return fs_write_new(editing->dirfd, strrchr(editing->copy, '/') + 1, file->data, file->size,
			    0600, err);
}

int cmd_edit(struct cli *cli, int argc, char **argv, struct err *err)
{
	struct editing editing = {.cli = cli, .dirfd = -1};
	struct fileset files = {0};
	int rc;

	if (getopt_long(argc, argv, "", options, NULL) != -1)
		return cli_wrong_option('?', argv, err);
	if (argc - optind > 1)
		return cli_usage(err, "edit takes one file");
	if (work_open(cli, err) != 0)
		return CLI_FAILED;
	editing.path = argv[optind] ? work_path(cli, argv[optind]) : NULL;
	rc = trial_files(cli->home, NULL, &files, err);
	if (rc == 0)
		rc = begin(&editing, &files, err);
	if (rc == 0)
		rc = edit(&editing, err);
	close_folder(&editing);
	free(editing.path);
	work_wipe(&files);
	return rc == 0 ? CLI_DONE : CLI_FAILED;
}
