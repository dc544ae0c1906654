/* What a folder must hold: see manifest.h. */
#include "node/manifest.h"

#include "core/buf.h"
#include "core/fs.h"
#include "core/limits.h"
#include "core/text.h"
#include "crypto/key.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct manifest_entry *)a)->path,
		      ((const struct manifest_entry *)b)->path);
}

static void sort(struct manifest *manifest)
{
	if (manifest->count > 0)
		qsort(manifest->entries, manifest->count, sizeof(*manifest->entries), by_path);
}

static struct manifest_entry *add(struct manifest *manifest, char *take_path, uint32_t mode)
{
	struct manifest_entry *entry;

	manifest->entries =
		mem_grow(manifest->entries, manifest->count + 1, sizeof(*manifest->entries));
	entry = manifest->entries + manifest->count++;
	*entry = (struct manifest_entry){.path = take_path, .mode = mode};
	return entry;
}

/* The folders above PATH that are not those of the file before it, LAST: the set is in order. */
static void add_folders(struct manifest *manifest, const char *path, const char *last)
{
	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		size_t n = (size_t)(slash - path);

		if (strncmp(path, last, n + 1) != 0)
			(void)add(manifest, text_copy_n(path, n), MANIFEST_FOLDER);
	}
}

void manifest_of(const struct fileset *set, struct manifest *out)
{
	const char *last = "";

	for (size_t i = 0; i < set->count; i++) {
		const struct file *file = set->files + i;
		struct manifest_entry *entry;

		add_folders(out, file->path, last);
		entry = add(out, text_copy(file->path), file->mode);
		entry->size = file->size;
		digest_bytes(file->data, file->size, entry->digest);
		last = file->path;
	}
	sort(out);
}

void manifest_add(struct manifest *manifest, const char *name, const void *data, size_t size)
{
	struct manifest_entry *entry = add(manifest, text_copy(name), FILE_PLAIN);

	entry->size = size;
	digest_bytes(data, size, entry->digest);
	sort(manifest);
}

void manifest_clear(struct manifest *manifest)
{
	for (size_t i = 0; i < manifest->count; i++)
		free(manifest->entries[i].path);
	free(manifest->entries);
	*manifest = (struct manifest){.entries = NULL};
}

/* --- looking --- */

struct looking {
	const struct manifest *manifest;
	bool *seen; /* which entries are there */
	char *mode; /* the first path whose mode alone is another, or NULL */
};

static int drift(struct err *err, const char *path, const char *what)
{
	return err_set(err, ERR_CORRUPT, "%s: %s", path, what);
}

/* Who may do what: the node itself, the group if there is one, nobody else. */
static bool mode_fits(const struct manifest *manifest, const struct stat *st, uint32_t mode)
{
	mode_t want = mode == FILE_PLAIN ? 0600 : 0700;

	if (manifest->shared)
		want |= (want & 0500) >> 3;
	return (st->st_mode & 0777) == want &&
	       (!manifest->shared || st->st_gid == manifest->group);
}

static int look_file(const struct manifest_entry *entry, int dirfd, const char *name,
		     const struct stat *st, struct err *err)
{
	uint8_t digest[DIGEST_SIZE];
	struct buf data;
	int rc;

	if (!S_ISREG(st->st_mode))
		return drift(err, entry->path, "is no file any more");
	if (st->st_size < 0 || (size_t)st->st_size != entry->size)
		return drift(err, entry->path, "was edited");
	buf_init(&data, LIMIT_FILE_SIZE);
	rc = fs_read(dirfd, name, &data, err);
	if (rc == 0) {
		digest_bytes(data.data, data.len, digest);
		if (memcmp(digest, entry->digest, sizeof(digest)) != 0)
			rc = drift(err, entry->path, "was edited");
	} else if (err->code == ERR_DENIED) {
		err->code = ERR_CORRUPT; /* its mode is another, and the node is not root */
	}
	if (data.data)
		crypto_wipe(data.data, data.len);
	buf_clear(&data);
	return rc;
}

static int look_folder(struct looking *looking, int dirfd, const char *prefix, struct err *err);

static int look_below(struct looking *looking, const struct manifest_entry *entry, int dirfd,
		      const char *name, struct err *err)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), rc;
	char *below;

	if (fd < 0)
		return drift(err, entry->path, "is no folder any more");
	below = text_format("%s/", entry->path);
	rc = look_folder(looking, fd, below, err);
	(void)close(fd); /* only read */
	free(below);
	return rc;
}

static int look(struct looking *looking, int dirfd, const char *prefix, const char *name,
		struct err *err)
{
	const struct manifest *manifest = looking->manifest;
	char *path = text_format("%s%s", prefix, name);
	const struct manifest_entry key = {.path = path}, *entry;
	struct stat st;
	int rc;

	entry = manifest->count == 0
			? NULL
			: bsearch(&key, manifest->entries, manifest->count, sizeof(key), by_path);
	if (!entry) {
		text_escape_in_place(path);
		rc = drift(err, path, "was added");
	} else if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
		rc = drift(err, path, "is gone");
	} else {
		rc = entry->mode == MANIFEST_FOLDER ? look_below(looking, entry, dirfd, name, err)
						    : look_file(entry, dirfd, name, &st, err);
		if (!looking->mode && !mode_fits(manifest, &st, entry->mode))
			looking->mode = text_copy(path);
		looking->seen[entry - manifest->entries] = true;
	}
	free(path);
	return rc;
}

static int look_folder(struct looking *looking, int dirfd, const char *prefix, struct err *err)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!dir) {
		rc = err_sys(err, "%s", *prefix ? prefix : ".");
		if (fd >= 0)
			(void)close(fd); /* only read */
		return rc;
	}
	while (rc == 0 && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			rc = look(looking, dirfd, prefix, entry->d_name, err);
	(void)closedir(dir); /* only read */
	return rc;
}

int manifest_check(const struct manifest *manifest, int dirfd, struct err *err)
{
	struct looking looking = {.manifest = manifest,
				  .seen = mem_new(manifest->count + 1, sizeof(bool))};
	struct stat st;
	int rc = fstat(dirfd, &st) == 0 ? 0 : err_sys(err, ".");

	if (rc == 0)
		rc = look_folder(&looking, dirfd, "", err);
	for (size_t i = 0; rc == 0 && i < manifest->count; i++)
		if (!looking.seen[i])
			rc = drift(err, manifest->entries[i].path, "is gone");
	if (!looking.mode && rc == 0 && !mode_fits(manifest, &st, MANIFEST_FOLDER))
		looking.mode = text_copy(".");
	if (rc == 0 && looking.mode)
		rc = err_set(err, ERR_DENIED, "%s: has another mode", looking.mode);
	free(looking.mode);
	free(looking.seen);
	return rc;
}
