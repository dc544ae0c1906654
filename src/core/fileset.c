/* A set of files in memory: see fileset.h. */
#include "core/fileset.h"

#include "core/buf.h"
#include "core/fs.h"
#include "core/limits.h"
#include "core/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

static bool part_valid(const char *part, size_t n)
{
	if (n == 0 || (n == 1 && part[0] == '.') || (n == 2 && part[0] == '.' && part[1] == '.'))
		return false;
	return !(n == 4 && strncasecmp(part, ".git", 4) == 0);
}

bool fileset_path_valid(const char *path)
{
	const char *part = path;

	if (strnlen(path, LIMIT_PATH + 1) > LIMIT_PATH)
		return false;
	for (const char *p = path;; p++) {
		if ((unsigned char)*p < 0x20 && *p)
			return false;
		if (*p == 0x7f || *p == '\\')
			return false;
		if (*p == '/' || !*p) {
			if (!part_valid(part, (size_t)(p - part)))
				return false;
			part = p + 1;
		}
		if (!*p)
			return true;
	}
}

/* The index of PATH, or where it belongs. */
static size_t position(const struct fileset *set, const char *path, bool *found)
{
	size_t low = 0, high = set->count;

	*found = false;
	/* files mostly come in order: look at the end first */
	if (high > 0 && strcmp(path, set->files[high - 1].path) > 0)
		return high;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(path, set->files[middle].path);

		if (order == 0) {
			*found = true;
			return middle;
		}
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

int fileset_add(struct fileset *set, const char *path, uint32_t mode, const void *data, size_t size,
		struct err *err)
{
	bool found;
	size_t at;
	struct file *file;

	if (!fileset_path_valid(path))
		return err_set(err, ERR_REFUSED, "\"%.80s\" is no path for a file", path);
	if (mode != FILE_PLAIN && mode != FILE_EXEC)
		return err_set(err, ERR_REFUSED, "%s: mode %o is not allowed", path, mode);
	at = position(set, path, &found);
	if (found)
		return err_set(err, ERR_REFUSED, "%s: is there twice", path);
	if (set->count == set->cap) {
		set->cap = set->cap ? set->cap * 2 : 16;
		set->files = mem_grow(set->files, set->cap, sizeof(*set->files));
	}
	memmove(set->files + at + 1, set->files + at, (set->count - at) * sizeof(*set->files));
	set->count++;
	file = set->files + at;
	*file = (struct file){
		.path = text_copy(path), .mode = mode, .data = mem_new(size + 1, 1), .size = size};
	if (size)
		memcpy(file->data, data, size);
	return 0;
}

const struct file *fileset_find(const struct fileset *set, const char *path)
{
	bool found;
	size_t at = position(set, path, &found);

	return found ? set->files + at : NULL;
}

int fileset_put(struct fileset *set, const char *path, uint32_t mode, const void *data, size_t size,
		struct err *err)
{
	bool found;
	size_t at = position(set, path, &found);
	struct file *file = set->files + at;
	uint8_t *copy;

	if (!found)
		return fileset_add(set, path, mode, data, size, err);
	copy = mem_new(size + 1, 1);
	if (size > 0)
		memcpy(copy, data, size);
	free(file->data);
	file->data = copy;
	file->size = size;
	return 0;
}

bool fileset_equal(const struct fileset *a, const struct fileset *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		const struct file *x = a->files + i, *y = b->files + i;

		if (strcmp(x->path, y->path) != 0 || x->mode != y->mode || x->size != y->size ||
		    memcmp(x->data, y->data, x->size) != 0)
			return false;
	}
	return true;
}

void fileset_clear(struct fileset *set)
{
	for (size_t i = 0; i < set->count; i++) {
		free(set->files[i].path);
		free(set->files[i].data);
	}
	free(set->files);
	*set = (struct fileset){0};
}

/* What a walk over a folder has used up. */
struct walk {
	struct fileset *set;
	size_t total;
};

static int read_folder(struct walk *walk, int dirfd, const char *prefix, struct err *err);

static int read_entry(struct walk *walk, int dirfd, const char *prefix, const char *name,
		      struct err *err)
{
	char *path = text_format("%s%s", prefix, name);
	struct stat st;
	struct buf data;
	int rc = 0, fd = -1;

	buf_init(&data, LIMIT_FILE_SIZE);
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
		rc = err_sys(err, "%s", path);
	} else if (S_ISDIR(st.st_mode)) {
		char *below = text_format("%s/", path);

		fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			rc = err_sys(err, "%s", path);
		else if (strlen(below) > LIMIT_PATH)
			rc = err_set(err, ERR_REFUSED, "%s: path is too long", path);
		else
			rc = read_folder(walk, fd, below, err);
		free(below);
	} else if (!S_ISREG(st.st_mode)) {
		rc = err_set(err, ERR_REFUSED, "%s: neither a file nor a folder", path);
	} else {
		rc = fs_read(dirfd, name, &data, err);
		walk->total += data.len;
		if (rc == 0 &&
		    (walk->total > LIMIT_TREE_SIZE || walk->set->count >= LIMIT_TREE_FILES))
			rc = err_set(err, ERR_REFUSED, "%s: too many files or too large", path);
		if (rc == 0)
			rc = fileset_add(walk->set, path,
					 st.st_mode & 0100 ? FILE_EXEC : FILE_PLAIN,
					 buf_text(&data), data.len, err);
	}
	if (fd >= 0)
		(void)close(fd); /* only read */
	buf_clear(&data);
	free(path);
	return rc;
}

static int read_folder(struct walk *walk, int dirfd, const char *prefix, struct err *err)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		rc = err_sys(err, "%s", *prefix ? prefix : ".");
		if (fd >= 0)
			(void)close(fd); /* only read */
		return rc;
	}
	while (rc == 0 && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			rc = read_entry(walk, dirfd, prefix, entry->d_name, err);
	(void)closedir(dir); /* only read */
	return rc;
}

int fileset_read_dir(struct fileset *set, int dirfd, struct err *err)
{
	struct walk walk = {.set = set};

	return read_folder(&walk, dirfd, "", err);
}

/* Syncs every folder of the set, deepest last being no matter: each is synced once. */
static int sync_folders(const struct fileset *set, int dirfd, struct err *err)
{
	char *last = text_copy("");
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < set->count; i++) {
		char *folder = text_copy(set->files[i].path), *slash;

		while (rc == 0 && (slash = strrchr(folder, '/'))) {
			*slash = '\0';
			if (strcmp(folder, last) == 0)
				break;
			rc = fs_sync(dirfd, folder, err);
			free(last);
			last = text_copy(folder);
		}
		free(folder);
	}
	free(last);
	return rc == 0 ? fs_sync(dirfd, ".", err) : rc;
}

int fileset_write_dir(const struct fileset *set, int dirfd, struct err *err)
{
	for (size_t i = 0; i < set->count; i++) {
		const struct file *file = set->files + i;
		char *slash = strrchr(file->path, '/');
		char *folder = slash ? text_copy_n(file->path, (size_t)(slash - file->path)) : NULL;
		int rc = folder ? fs_make_dirs(dirfd, folder, 0700, err) : 0;

		free(folder);
		if (rc == 0)
			rc = fs_write_unsynced(dirfd, file->path, file->data, file->size,
					       file->mode == FILE_EXEC ? 0700 : 0600, err);
		if (rc != 0)
			return rc;
	}
	for (size_t i = 0; i < set->count; i++)
		if (fs_sync(dirfd, set->files[i].path, err) != 0)
			return -1;
	return sync_folders(set, dirfd, err);
}
