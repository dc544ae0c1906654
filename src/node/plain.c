/* The plain text copy: see plain.h. */
#include "node/plain.h"

#include "config/check.h"
#include "config/merge.h"
#include "config/param.h"
#include "config/render.h"
#include "config/seal.h"
#include "core/fs.h"
#include "core/limits.h"
#include "core/log.h"
#include "crypto/key.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define BASE      "plain" /* in run/: the folder of the copies, or a link to it */
#define PREFIX    "muster-"
#define UNDONE    ".tmp"

int plain_init(struct plain *plain, const struct home *home, const char *role, const char *group,
	       struct err *err)
{
	struct plain made = {.home = home, .memory = PLAIN_MEMORY};
	const struct group *entry = group ? getgrnam(group) : NULL;
	uint64_t number;

	memcpy(made.role, role, strlen(role) + 1);
	if (entry)
		made.group = entry->gr_gid;
	else if (group && text_number(group, UINT32_MAX - 1, &number) == 0)
		made.group = (gid_t)number;
	else if (group)
		return err_set(err, ERR_REFUSED,
			       "there is no group \"%s\" that could read the plain copy", group);
	made.shared = group != NULL;
	*plain = made;
	return 0;
}

/* --- its content --- */

/* With the secret as it is now, as with parameters. */
static int plain_open_secrets(const struct plain *plain, struct document *doc,
			      const struct model *model, struct err *err)
{
	struct keyring *ring = NULL;
	int rc = keyring_load(plain->home, &ring, err);

	if (rc == 0)
		rc = seal_open_document(doc, model, ring, plain->role, err);
	keyring_free(ring);
	return rc;
}

/* The values for parameters, read anew each time: an operator changes them while the node runs. */
static int read_params(const struct home *home, struct param_table *out, struct err *err)
{
	char *name = home_etc(home, PLAIN_PARAMS);
	struct err gone = {.code = ERR_NONE};
	struct buf text;
	int rc = 0;

	buf_init(&text, LIMIT_SMALL_FILE);
	if (fs_read_follow(home->etc_fd, PLAIN_PARAMS, &text, &gone) == 0)
		rc = param_table_parse(out, name, buf_text(&text), text.len, err);
	else if (gone.code != ERR_GONE)
		rc = err_set(err, gone.code, "%s/%s", home->etc, gone.text);
	if (rc == 0)
		param_table_environment(out, environ);
	if (text.data)
		crypto_wipe(text.data, text.len);
	buf_clear(&text);
	free(name);
	return rc;
}

static int first_of(const struct findings *findings, struct err *err)
{
	for (size_t i = 0; i < findings->count; i++)
		log_error("check", "", "%s", findings->lines[i]);
	if (findings->count > 1)
		return err_set(err, ERR_REFUSED, "%s (and %zu more)", findings->lines[0],
			       findings->count - 1);
	return err_set(err, ERR_REFUSED, "%s", findings->lines[0]);
}

int plain_document(const struct plain *plain, struct document *doc, const struct model *model,
		   struct err *err)
{
	struct param_table table = {.values = NULL};
	struct findings findings = {.lines = NULL};
	int rc = read_params(plain->home, &table, err);

	if (rc == 0 && params_fill(doc, model, &table, &findings) != 0)
		rc = first_of(&findings, err);
	if (rc == 0 && check_values(doc, model, &findings) != 0)
		rc = first_of(&findings, err);
	/* last, so that nothing of an opened secret is taken for a parameter */
	if (rc == 0)
		rc = plain_open_secrets(plain, doc, model, err);
	findings_clear(&findings);
	param_table_clear(&table);
	return rc;
}

static int run_template(const struct document *doc, const struct file *file, const char *name,
			struct fileset *out, struct err *err)
{
	struct buf text;
	int rc;

	if (render_target_check(file->path, name, err) != 0)
		return -1;
	buf_init(&text, LIMIT_RENDER_OUTPUT);
	rc = render(doc, file->path, file->data, file->size, &text, err);
	if (rc == 0)
		rc = fileset_add(out, name, FILE_PLAIN, buf_text(&text), text.len, err);
	if (text.data)
		crypto_wipe(text.data, text.len);
	buf_clear(&text);
	return rc;
}

static int run_templates(const struct document *doc, const struct fileset *files,
			 struct fileset *out, struct err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < files->count; i++) {
		char *name = render_target(files->files[i].path);

		if (name)
			rc = run_template(doc, files->files + i, name, out, err);
		free(name);
	}
	return rc;
}

static int put_files(const struct document *doc, const struct fileset *files, struct fileset *out,
		     struct err *err)
{
	struct buf text;
	int rc;

	buf_init(&text, LIMIT_XML_SIZE);
	rc = document_serialise(doc, &text, err);
	if (rc == 0)
		rc = fileset_add(out, "config.xml", FILE_PLAIN, buf_text(&text), text.len, err);
	if (text.data)
		crypto_wipe(text.data, text.len);
	buf_clear(&text);
	for (size_t i = 0; rc == 0 && i < files->count; i++) {
		const struct file *file = files->files + i;

		if (text_starts(file->path, "files/"))
			rc = fileset_add(out, file->path, file->mode, file->data, file->size, err);
	}
	return rc;
}

static int compose(const struct plain *plain, const struct fileset *files, struct fileset *out,
		   struct err *err)
{
	struct document *doc = NULL;
	struct model *model = NULL;
	int rc = merge_fileset(files, &doc, &model, err);

	if (rc == 0)
		rc = plain_document(plain, doc, model, err);
	if (rc == 0)
		rc = put_files(doc, files, out, err);
	if (rc == 0)
		rc = run_templates(doc, files, out, err);
	seal_document_free(doc, model);
	model_free(model);
	return rc;
}

int plain_check(const struct plain *plain, const struct fileset *files, struct err *err)
{
	struct document *doc = NULL;
	struct model *model = NULL;
	int rc = merge_fileset(files, &doc, &model, err);

	if (rc == 0)
		rc = plain_document(plain, doc, model, err);
	seal_document_free(doc, model);
	model_free(model);
	return rc;
}

static void wipe(struct fileset *set)
{
	for (size_t i = 0; i < set->count; i++)
		crypto_wipe(set->files[i].data, set->files[i].size);
	fileset_clear(set);
}

/* --- where it lies --- */

/* A name that no one else has, with PREFIX, a new string. */
static char *random_name(const char *prefix)
{
	uint64_t number[2] = {0};

	if (getrandom(number, sizeof(number), 0) != sizeof(number))
		abort();
	return text_format("%s%016llx%016llx", prefix, (unsigned long long)number[0],
			   (unsigned long long)number[1]);
}

/* Who may read the folder or file FD besides this user. */
static int share(const struct plain *plain, int fd, mode_t mode, struct err *err)
{
	struct stat st;

	/* what is so already is not touched: the copy is watched */
	if (plain->shared)
		mode |= (mode & 0500) >> 3;
	if (fstat(fd, &st) != 0)
		return err_sys(err, "the plain copy");
	if (plain->shared && st.st_gid != plain->group && fchown(fd, (uid_t)-1, plain->group) != 0)
		return err_sys(err, "the plain copy cannot be given to group %u",
			       (unsigned)plain->group);
	if ((st.st_mode & 0777) != mode && fchmod(fd, mode) != 0)
		return err_sys(err, "the plain copy");
	return 0;
}

/* The folder of ours that the link run/plain leads to; GONE when there is none (any more). */
static int open_private(const struct plain *plain, char **path, int *fd, struct err *err)
{
	char target[256], *prefix = text_format("%s/" PREFIX, plain->memory);
	struct stat st;
	int rc = fs_read_link(plain->home->run_fd, BASE, target, sizeof(target), err);

	if (rc == 0 && (!text_starts(target, prefix) || strchr(target + strlen(prefix), '/')))
		rc = err_set(err, ERR_GONE, "leads elsewhere");
	free(prefix);
	if (rc != 0)
		return -1;
	*fd = open(target, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (*fd < 0)
		return err_sys(err, "%s", target);
	/* after a reboot someone else may have made a folder of that name */
	if (fstat(*fd, &st) != 0 || st.st_uid != geteuid() || (st.st_mode & 07027) != 0 ||
	    !fs_is_memory(*fd)) {
		(void)close(*fd); /* a folder */
		return err_set(err, ERR_GONE, "%s is not ours", target);
	}
	*path = text_copy(target);
	return 0;
}

static int make_private(const struct plain *plain, char **path, int *fd, struct err *err)
{
	char *name = random_name(PREFIX), *target = text_format("%s/%s", plain->memory, name);
	/* a folder of a time when run/ was in memory may stand in the link's place */
	int rc = fs_remove_tree(plain->home->run_fd, BASE, err);

	/* the link first: what a kill leaves is a link to nothing, not a folder that no one knows
	 * of */
	if (rc == 0)
		rc = fs_swap_link(plain->home->run_fd, BASE, target, err);
	if (rc == 0 && mkdir(target, 0700) != 0)
		rc = err_sys(err, "%s", target);
	if (rc == 0)
		rc = open_private(plain, path, fd, err);
	free(target);
	free(name);
	return rc;
}

static int open_in_run(const struct plain *plain, char **path, int *fd, struct err *err)
{
	int run = plain->home->run_fd;
	struct stat st;

	/* a link of a time when run/ was on a disk */
	if (fstatat(run, BASE, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode) &&
	    fs_remove_tree(run, BASE, err) != 0)
		return -1;
	if (mkdirat(run, BASE, 0700) != 0 && errno != EEXIST)
		return err_sys(err, "%s/" BASE, plain->home->run);
	if (fs_open_dir(run, BASE, fd, err) != 0)
		return -1;
	*path = home_run(plain->home, BASE);
	return 0;
}

static bool memory_there(const struct plain *plain)
{
	int fd = open(plain->memory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool there = fd >= 0 && fs_is_memory(fd);

	if (fd >= 0)
		(void)close(fd); /* a folder */
	return there;
}

/* The folder of the copies, made if need be: as run/current is to name it, and open. *FD -1: there
 * is no memory file system. */
static int open_base(const struct plain *plain, char **path, int *fd, struct err *err)
{
	struct err gone = {.code = ERR_NONE};
	int rc;

	*fd = -1;
	*path = NULL;
	if (fs_is_memory(plain->home->run_fd))
		rc = open_in_run(plain, path, fd, err);
	else if (!memory_there(plain))
		return 0;
	else if (open_private(plain, path, fd, &gone) == 0)
		rc = 0;
	else
		rc = make_private(plain, path, fd, err);
	if (rc == 0)
		rc = share(plain, *fd, 0700, err);
	return rc;
}

/* The name of the copy that run/current leads to, if it is one in the folder BASE_PATH; else "". */
static void current_name(const struct plain *plain, const char *base_path, char *out, size_t size)
{
	char target[512];
	size_t n = strlen(base_path);

	*out = '\0';
	if (fs_read_link(plain->home->run_fd, PLAIN_CURRENT, target, sizeof(target), NULL) != 0 ||
	    strncmp(target, base_path, n) != 0 || target[n] != '/' || strchr(target + n + 1, '/') ||
	    strlen(target + n + 1) >= size)
		return;
	memcpy(out, target + n + 1, strlen(target + n + 1) + 1);
}

/* --- making it --- */

static int share_path(const struct plain *plain, int dirfd, const char *path, mode_t mode,
		      struct err *err)
{
	int fd = openat(dirfd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), rc;

	if (fd < 0)
		return err_sys(err, "%s", path);
	rc = share(plain, fd, mode, err);
	(void)close(fd); /* only its mode changed */
	return rc;
}

/* Also of a copy that was made when another group, or none, was to read it. */
static int share_all(const struct plain *plain, int base, const char *name,
		     const struct fileset *set, struct err *err)
{
	int dirfd = -1, rc = fs_open_dir(base, name, &dirfd, err);

	if (rc == 0)
		rc = share(plain, dirfd, 0700, err);
	for (size_t i = 0; rc == 0 && i < set->count; i++) {
		char *path = text_copy(set->files[i].path), *slash;

		rc = share_path(plain, dirfd, path, set->files[i].mode == FILE_EXEC ? 0700 : 0600,
				err);
		while (rc == 0 && (slash = strrchr(path, '/'))) {
			*slash = '\0';
			rc = share_path(plain, dirfd, path, 0700, err);
		}
		free(path);
	}
	if (dirfd >= 0)
		(void)close(dirfd); /* a folder */
	return rc;
}

/* Writes a copy under a random name, which it has only when it is complete. */
static int write_copy(int base, const struct fileset *set, char **out, struct err *err)
{
	char *name = random_name(""), *undone = text_format("%s" UNDONE, name);
	int fd = -1, rc = 0;

	if (mkdirat(base, undone, 0700) != 0)
		rc = err_sys(err, "the plain copy");
	if (rc == 0)
		rc = fs_open_dir(base, undone, &fd, err);
	if (rc == 0)
		rc = fileset_write_dir(set, fd, err);
	if (rc == 0 && renameat(base, undone, base, name) != 0)
		rc = err_sys(err, "the plain copy");
	if (fd >= 0)
		(void)close(fd); /* a folder */
	if (rc != 0)
		(void)fs_remove_tree(base, undone,
				     NULL); /* what is left goes with the next cleaning */
	free(undone);
	if (rc == 0)
		*out = name;
	else
		free(name);
	return rc;
}

/* Modes are set right later. */
static bool holds(int base, const char *name, const struct manifest *manifest)
{
	struct err err = {.code = ERR_NONE};
	bool same = false;
	int fd = -1;

	if (fs_open_dir(base, name, &fd, NULL) == 0)
		same = manifest_check(manifest, fd, &err) == 0 || err.code == ERR_DENIED;
	if (fd >= 0)
		(void)close(fd); /* only read */
	return same;
}

/* A complete copy with just this content, a new string, or NULL. CURRENT is looked at first. */
static char *find_copy(int base, const char *current, const struct manifest *set)
{
	int fd = openat(base, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	char *found = *current && holds(base, current, set) ? text_copy(current) : NULL;
	const struct dirent *entry;

	while (dir && !found && (entry = readdir(dir)))
		if (entry->d_name[0] != '.' && !text_ends(entry->d_name, UNDONE) &&
		    holds(base, entry->d_name, set))
			found = text_copy(entry->d_name);
	if (dir)
		(void)closedir(dir); /* only read */
	else if (fd >= 0)
		(void)close(fd); /* ditto */
	return found;
}

int plain_prepare(const struct plain *plain, const struct fileset *files, char **path,
		  bool *is_current, struct manifest *made, struct err *err)
{
	struct fileset set = {.count = 0};
	struct manifest manifest = {.shared = plain->shared, .group = plain->group};
	char *base_path = NULL, *name = NULL, current[128] = "";
	int base = -1, rc = compose(plain, files, &set, err);

	if (rc == 0)
		rc = open_base(plain, &base_path, &base, err);
	if (rc == 0 && base >= 0) {
		manifest_of(&set, &manifest);
		current_name(plain, base_path, current, sizeof(current));
		name = find_copy(base, current, &manifest);
		if (!name)
			rc = write_copy(base, &set, &name, err);
		if (rc == 0)
			rc = share_all(plain, base, name, &set, err);
	}
	if (rc == 0) {
		*path = name ? text_format("%s/%s", base_path, name) : NULL;
		*is_current = name && strcmp(name, current) == 0;
	}
	if (rc == 0 && made) {
		*made = manifest; /* moved to the caller */
		manifest = (struct manifest){.entries = NULL};
	}
	manifest_clear(&manifest);
	if (base >= 0)
		(void)close(base); /* a folder */
	free(name);
	free(base_path);
	wipe(&set);
	return rc;
}

int plain_publish(const struct plain *plain, const char *path, struct err *err)
{
	int run = plain->home->run_fd;
	struct stat st;

	if (!path && unlinkat(run, PLAIN_CURRENT, 0) != 0 && errno != ENOENT)
		return err_sys(err, "%s/" PLAIN_CURRENT, plain->home->run);
	if (!path)
		return 0;
	/* whatever else was put there; a link is replaced by the rename */
	if (fstatat(run, PLAIN_CURRENT, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISLNK(st.st_mode) &&
	    fs_remove_tree(run, PLAIN_CURRENT, err) != 0)
		return -1;
	return fs_swap_link(run, PLAIN_CURRENT, path, err);
}

void plain_clean(const struct plain *plain)
{
	char *base_path = NULL, current[128];
	const struct dirent *entry;
	struct err err = {.code = ERR_NONE};
	int base = -1, fd = -1;
	DIR *dir = NULL;

	if (open_base(plain, &base_path, &base, &err) == 0 && base >= 0) {
		current_name(plain, base_path, current, sizeof(current));
		fd = openat(base, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		dir = fd < 0 ? NULL : fdopendir(fd);
	}
	while (dir && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
		    strcmp(entry->d_name, current) != 0 &&
		    fs_remove_tree(base, entry->d_name, &err) != 0)
			log_warning("activate", "plain copy", "an old one stays: %s", err.text);
	if (dir)
		(void)closedir(dir); /* only read */
	else if (fd >= 0)
		(void)close(fd); /* ditto */
	if (base >= 0)
		(void)close(base); /* a folder */
	free(base_path);
}
