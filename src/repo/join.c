/*
 * Joining packs: see pack.h. A pack comes with each fetch and each publication; what is younger is
 * joined first, so that old history is rarely copied.
 */
#include "repo/pack.h"

#include "core/fs.h"
#include "core/limits.h"
#include "core/text.h"
#include "repo/object.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	JOIN_AT = 8,   /* packs from which on some are joined */
	JOIN_KEEP = 5, /* packs that a joining leaves as they are, at most */
	JOIN_RATIO = 2, /* a pack with more than so many times the objects joined is left, too */
	JOIN_LOOSE = 64, /* loose objects from which on they are joined */
	STEM_SIZE = 5 + OID_HEX, /* bytes of "pack-" and an id */
};

/* What belongs to a pack. The index goes first: without it nobody looks for the pack. */
static const char *const endings[] = {".idx", ".pack", ".rev", ".bitmap", ".mtimes", NULL};

struct pack_file {
	char stem[STEM_SIZE + 1];
	uint32_t objects;
};

struct join {
	const char *path;
	int objects_fd, pack_fd;
	struct pack_file *packs; /* those that may be joined; after the choice: those that are */
	size_t count, cap;
	bool others;		  /* someone else keeps these packs: git with an index over many */
	struct git_oid *loose;
	size_t loose_count, loose_cap;
	struct git_oid *ids; /* of all objects to be joined */
	size_t id_count, id_cap;
	atomic_bool *stop;
};

/* --- what is there --- */

static bool is_stem(const char *name)
{
	char hex[OID_HEX_SIZE];
	struct oid oid;

	if (strlen(name) < STEM_SIZE || !text_starts(name, "pack-"))
		return false;
	memcpy(hex, name + 5, OID_HEX);
	hex[OID_HEX] = '\0';
	return oid_parse(hex, &oid) == 0;
}

static bool has(int fd, const char *stem, const char *ending)
{
	char *name = text_format("%s%s", stem, ending);
	bool there = faccessat(fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;

	free(name);
	return there;
}

/* The number of objects by a pack's header, 0 when it cannot be read. */
static uint32_t count_objects(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	uint8_t head[12];
	struct cursor c = cursor_of(head, sizeof(head));
	bool whole = fd >= 0 && read(fd, head, sizeof(head)) == sizeof(head);

	if (fd >= 0)
		(void)close(fd); /* only read */
	(void)cursor_be64(&c); /* magic and version: libgit2 looks at them */
	return whole ? cursor_be32(&c) : 0;
}

static void note_pack(struct join *j, const char *name)
{
	struct pack_file pack = {.objects = count_objects(j->pack_fd, name)};

	memcpy(pack.stem, name, STEM_SIZE);
	if (!pack.objects || !has(j->pack_fd, pack.stem, ".idx") ||
	    has(j->pack_fd, pack.stem, ".keep") || has(j->pack_fd, pack.stem, ".promisor"))
		return;
	if (j->count == j->cap) {
		j->cap = j->cap ? j->cap * 2 : 16;
		j->packs = mem_grow(j->packs, j->cap, sizeof(*j->packs));
	}
	j->packs[j->count++] = pack;
}

/* Calls FN for each name in a folder. */
static int each_name(int dirfd, const char *folder, void (*fn)(struct join *j, const char *name),
		     struct join *j, struct err *err)
{
	int fd = openat(dirfd, folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		int rc = err_sys(err, "%s/objects/%s", j->path, folder);

		if (fd >= 0)
			(void)close(fd); /* only read */
		return rc;
	}
	while ((entry = readdir(dir)))
		fn(j, entry->d_name);
	(void)closedir(dir); /* only read */
	return 0;
}

static void on_pack_name(struct join *j, const char *name)
{
	if (text_starts(name, "multi-pack-index"))
		j->others = true;
	else if (is_stem(name) && strcmp(name + STEM_SIZE, ".pack") == 0)
		note_pack(j, name);
}

static int add_id(struct git_oid **list, size_t *count, size_t *cap, const git_oid *id)
{
	if (*count >= LIMIT_PACK_OBJECTS)
		return GIT_EUSER;
	if (*count == *cap) {
		*cap = *cap ? *cap * 2 : 256;
		*list = mem_grow(*list, *cap, sizeof(**list));
	}
	(*list)[(*count)++] = *id;
	return 0;
}

static int on_loose(const git_oid *id, void *arg)
{
	struct join *j = arg;

	return add_id(&j->loose, &j->loose_count, &j->loose_cap, id);
}

static int on_packed(const git_oid *id, void *arg)
{
	struct join *j = arg;

	return add_id(&j->ids, &j->id_count, &j->id_cap, id);
}

/* Every object of one backend, which is taken. */
static int each_object(git_odb_backend *backend, git_odb_foreach_cb fn, struct join *j,
		       const char *what, struct err *err)
{
	git_odb *odb;
	int rc = git_odb_new(&odb);

	if (rc == 0) {
		rc = git_odb_add_backend(odb, backend, 1);
		if (rc == 0)
			rc = git_odb_foreach(odb, fn, j);
		git_odb_free(odb);
	}
	if (rc == GIT_EUSER)
		return err_set(err, ERR_FULL, "%s: more than %u objects", what, LIMIT_PACK_OBJECTS);
	return rc == 0 ? 0 : git_err(err, rc, "%s", what);
}

static int list_loose(struct join *j, struct err *err)
{
	char *folder = text_format("%s/objects", j->path);
	git_odb_backend *backend;
	int rc = git_odb_backend_loose(&backend, folder, -1, 0, 0, 0);

	rc = rc == 0 ? each_object(backend, on_loose, j, "loose objects", err)
		     : git_err(err, rc, "%s", folder);
	free(folder);
	return rc;
}

/* Opens one pack by its index. */
static int open_pack(const struct join *j, const char *stem, git_odb_backend **out, struct err *err)
{
	char *name = text_format("%s/objects/pack/%s.idx", j->path, stem);
	int rc = git_odb_backend_one_pack(out, name);

	if (rc != 0)
		(void)git_err(err, rc, "%s", stem);
	free(name);
	return rc == 0 ? 0 : -1;
}

/* --- which --- */

static int by_size(const void *a, const void *b)
{
	const struct pack_file *x = a, *y = b;

	return (x->objects > y->objects) - (x->objects < y->objects);
}

/*
 * The smallest ones, until the next is so much larger than all of them that it is left for a later
 * time: an object is copied again only when as many have come, about a logarithm of times.
 * Simulated for 100,000 packs of one size: at most 7 stay, and each object is copied 17 times.
 */
static void choose(struct join *j)
{
	size_t n = 0, sum = 0;

	if (j->others || j->count < JOIN_AT) {
		j->count = 0;
		return;
	}
	qsort(j->packs, j->count, sizeof(*j->packs), by_size);
	while (n < j->count && (n < 2 || j->count - n > JOIN_KEEP ||
				j->packs[n].objects <= JOIN_RATIO * sum))
		sum += j->packs[n++].objects;
	j->count = n;
}

/* --- the new pack --- */

static int on_progress(int stage, uint32_t current, uint32_t total, void *arg)
{
	const struct join *j = arg;

	(void)stage;
	(void)current;
	(void)total;
	return j->stop && atomic_load(j->stop) ? GIT_EUSER : 0;
}

/* Their objects as one pack; libgit2 syncs it, its index and the folder. */
static int write_pack(struct join *j, char stem[static STEM_SIZE + 1], struct err *err)
{
	git_packbuilder *builder = NULL;
	struct repo *repo;
	int rc = 0;

	if (repo_open(j->path, &repo, err) != 0)
		return -1;
	rc = git_packbuilder_new(&builder, repo_git2(repo));
	if (rc == 0)
		rc = git_packbuilder_set_callbacks(builder, on_progress, j);
	(void)git_packbuilder_set_threads(builder, 1); /* returns the number of threads */
	for (size_t i = 0; rc == 0 && i < j->id_count; i++)
		rc = on_progress(0, 0, 0, j) != 0
			     ? GIT_EUSER
			     : git_packbuilder_insert(builder, j->ids + i, NULL);
	if (rc == 0)
		rc = git_packbuilder_write(builder, NULL, 0, NULL, NULL);
	if (rc == 0) {
		memcpy(stem, "pack-", 5);
		memcpy(stem + 5, git_packbuilder_name(builder), OID_HEX + 1);
	}
	git_packbuilder_free(builder);
	repo_free(repo);
	if (j->stop && atomic_load(j->stop))
		return err_set(err, ERR_RETRY, "stopped");
	return rc == 0 ? 0 : git_err(err, rc, "joining packs");
}

/* Nothing is removed before the new pack, read from the disk, is seen to hold all of it. */
static int check_pack(struct join *j, const char *stem, struct err *err)
{
	git_odb_backend *backend;
	git_odb *odb;
	int rc;

	if (open_pack(j, stem, &backend, err) != 0)
		return -1;
	rc = git_odb_new(&odb);
	if (rc != 0)
		return git_err(err, rc, "%s", stem);
	rc = git_odb_add_backend(odb, backend, 1);
	for (size_t i = 0; rc == 0 && i < j->id_count; i++)
		if (!git_odb_exists(odb, j->ids + i))
			rc = GIT_ENOTFOUND;
	git_odb_free(odb);
	return rc == 0 ? 0 : err_set(err, ERR_CORRUPT, "%s: does not hold what was joined", stem);
}

/* --- the old ones --- */

static void remove_pack(int fd, const char *stem)
{
	for (size_t i = 0; endings[i]; i++) {
		char *name = text_format("%s%s", stem, endings[i]);

		(void)unlinkat(fd, name, 0); /* what stays is joined again */
		free(name);
	}
}

static void remove_loose(const struct join *j, const git_oid *id)
{
	char hex[OID_HEX_SIZE], *name;
	struct oid oid = oid_from_git(id);

	(void)oid_hex(&oid, hex);
	name = text_format("%.2s/%s", hex, hex + 2);
	(void)unlinkat(j->objects_fd, name, 0); /* what stays is joined again */
	free(name);
}

static int join_chosen(struct join *j, struct err *err)
{
	char stem[STEM_SIZE + 1];
	git_odb_backend *backend;

	for (size_t i = 0; i < j->count; i++)
		if (open_pack(j, j->packs[i].stem, &backend, err) != 0 ||
		    each_object(backend, on_packed, j, j->packs[i].stem, err) != 0)
			return -1;
	for (size_t i = 0; i < j->loose_count; i++)
		if (on_packed(j->loose + i, j) != 0)
			return err_set(err, ERR_FULL, "more than %u objects", LIMIT_PACK_OBJECTS);
	if (write_pack(j, stem, err) != 0 || check_pack(j, stem, err) != 0)
		return -1;
	for (size_t i = 0; i < j->count; i++)
		/*
		 * after a kill the new pack may be among those that were joined: it has this name
		 */
		if (strcmp(j->packs[i].stem, stem) != 0)
			remove_pack(j->pack_fd, j->packs[i].stem);
	for (size_t i = 0; i < j->loose_count; i++)
		remove_loose(j, j->loose + i);
	return 0;
}

static int join_open(struct join *j, struct err *err)
{
	char *folder = text_format("%s/objects", j->path);
	int rc = fs_open_dir(AT_FDCWD, folder, &j->objects_fd, err);

	free(folder);
	return rc == 0 ? fs_open_dir(j->objects_fd, "pack", &j->pack_fd, err) : rc;
}

static void join_close(struct join *j)
{
	if (j->objects_fd >= 0)
		(void)close(j->objects_fd); /* a folder */
	if (j->pack_fd >= 0)
		(void)close(j->pack_fd); /* a folder */
	free(j->packs);
	free(j->loose);
	free(j->ids);
}

int pack_join(const char *path, atomic_bool *stop, struct err *err)
{
	struct join j = {.path = path, .objects_fd = -1, .pack_fd = -1, .stop = stop};
	int rc = join_open(&j, err);

	if (rc == 0)
		rc = each_name(j.objects_fd, "pack", on_pack_name, &j, err);
	if (rc == 0 && !j.others)
		rc = list_loose(&j, err);
	if (j.loose_count < JOIN_LOOSE)
		j.loose_count = 0;
	choose(&j);
	if (rc == 0 && (j.count > 0 || j.loose_count > 0))
		rc = join_chosen(&j, err);
	join_close(&j);
	return rc;
}

/* --- what a kill left --- */

struct cleaning {
	time_t before; /* what was written to later may be someone's who still does */
};

static bool is_old(int dirfd, const char *name, const struct cleaning *c)
{
	struct stat st;

	return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
	       st.st_mtime <= c->before;
}

/* Names that libgit2 and git give to what is not finished. */
static bool is_temporary(const char *name)
{
	return text_starts(name, "tmp_") || text_starts(name, ".tmp-") || strstr(name, "_git2_");
}

/*
 * A pack without an index or an index without a pack: a kill came between two renames or two
 * removals.
 */
static bool is_half(int dirfd, const char *name)
{
	char stem[STEM_SIZE + 1] = "";
	bool pack, index;

	if (!is_stem(name))
		return false;
	memcpy(stem, name, STEM_SIZE);
	pack = has(dirfd, stem, ".pack");
	index = has(dirfd, stem, ".idx");
	return pack != index && !has(dirfd, stem, ".keep");
}

static int clean_folder(int dirfd, const char *folder, const struct cleaning *c, bool below,
			struct err *err)
{
	int fd = openat(dirfd, folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), rc = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		rc = err_sys(err, "%s", folder);
		if (fd >= 0)
			(void)close(fd); /* only read */
		return rc;
	}
	while (rc == 0 && (entry = readdir(dir))) {
		const char *name = entry->d_name;

		if (below && strlen(name) == 2 && strspn(name, "0123456789abcdef") == 2)
			rc = clean_folder(fd, name, c, false, err);
		else if ((is_temporary(name) || is_half(fd, name)) && is_old(fd, name, c) &&
			 unlinkat(fd, name, 0) != 0 && errno != ENOENT)
			rc = err_sys(err, "%s", name);
	}
	(void)closedir(dir); /* only read */
	return rc;
}

int pack_clean(const char *path, unsigned age, struct err *err)
{
	const struct cleaning c = {.before = time(NULL) - (time_t)age};
	char *folder = text_format("%s/objects", path);
	int rc = clean_folder(AT_FDCWD, folder, &c, true, err);

	if (rc == 0) {
		free(folder);
		folder = text_format("%s/objects/pack", path);
		rc = clean_folder(AT_FDCWD, folder, &c, false, err);
	}
	free(folder);
	return rc;
}
