/*
 * powercut BASE LOG count			the changes of the record LOG (record.c), and syncs
 * powercut BASE LOG syncs			their numbers, from 1
 * powercut BASE LOG list			all of it, a line each
 * powercut BASE LOG build OUT N all		OUT as it was after N changes to BASE: a kill
 * powercut BASE LOG build OUT N strict		a power cut: what was synced, nothing else
 * powercut BASE LOG build OUT N random SEED	the same, and each other change or not
 *
 * A file's data is on the disk once the file was synced, a name once its folder was, and neither
 * speaks for the other. A rename is one change of both its folders; a file that was not synced may
 * be empty, cut, full of zeros, or have any of its writes.
 */
#include "record.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct object;

struct name {
	char *name;
	struct object *object; /* NULL: the name is gone */
	size_t number;	       /* of the change that made it so */
};

struct names {
	struct name *list;
	size_t count;
};

struct change {
	const struct record *record;
	size_t number;
};

struct object {
	mode_t type; /* S_IFDIR, S_IFREG, S_IFLNK */
	uint64_t id;
	char *target;
	struct names names, now; /* of a folder: on the disk; as programs see it */
	struct names pending;
	uint8_t *data; /* of a file: on the disk */
	size_t size;
	mode_t mode;
	struct change *changes; /* of a file: not on the disk yet */
	size_t change_count;
};

static struct object *root;
static uint64_t objects;
static const uint8_t *record_data;
static size_t record_size;

static void die(const char *what, const char *path)
{
	(void)fprintf(stderr, "powercut: %s: %s: %s\n", what, path, strerror(errno));
	exit(1);
}

static void *grow(void *old, size_t size)
{
	void *new = realloc(old, size ? size : 1);

	if (!new)
		abort();
	return new;
}

/* --- names --- */

static struct name *names_find(const struct names *names, const char *name)
{
	for (size_t i = 0; i < names->count; i++)
		if (strcmp(names->list[i].name, name) == 0)
			return names->list + i;
	return NULL;
}

static void names_add(struct names *names, const char *name, struct object *object, size_t number)
{
	names->list = grow(names->list, (names->count + 1) * sizeof(*names->list));
	names->list[names->count++] = (struct name){strdup(name), object, number};
}

static void names_set(struct names *names, const char *name, struct object *object)
{
	struct name *there = names_find(names, name);

	if (there)
		there->object = object;
	else
		names_add(names, name, object, 0);
}

static void folder_change(struct object *folder, const char *name, struct object *object,
			  size_t number)
{
	names_set(&folder->now, name, object);
	names_add(&folder->pending, name, object, number);
}

/* --- what is there before --- */

static struct object *object_new(mode_t type, mode_t mode)
{
	struct object *object = calloc(1, sizeof(*object));

	if (!object)
		abort();
	object->type = type;
	object->mode = mode & 07777;
	object->id = ++objects;
	return object;
}

static void load_file(struct object *file, const char *path, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	file->data = grow(NULL, size);
	file->size = size;
	if (fd < 0 || read(fd, file->data, size) != (ssize_t)size)
		die("read", path);
	(void)close(fd); /* only read */
}

static struct object *load(const char *path);

static void load_folder(struct object *folder, const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	char full[PATH_MAX];

	if (!dir)
		die("open", path);
	while ((entry = readdir(dir))) {
		struct object *object;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (snprintf(full, sizeof(full), "%s/%s", path, entry->d_name) >= (int)sizeof(full))
			abort();
		object = load(full);
		if (object) {
			names_set(&folder->names, entry->d_name, object);
			names_set(&folder->now, entry->d_name, object);
		}
	}
	(void)closedir(dir); /* only read */
}

/* NULL: a socket. */
static struct object *load(const char *path)
{
	struct object *object;
	char target[PATH_MAX] = "";
	struct stat st;

	if (lstat(path, &st) != 0)
		die("stat", path);
	object = object_new(st.st_mode & S_IFMT, st.st_mode);
	if (S_ISDIR(st.st_mode)) {
		load_folder(object, path);
	} else if (S_ISREG(st.st_mode)) {
		load_file(object, path, (size_t)st.st_size);
	} else if (S_ISLNK(st.st_mode)) {
		if (readlink(path, target, sizeof(target) - 1) < 0)
			die("readlink", path);
		object->target = strdup(target);
	} else {
		free(object);
		return NULL;
	}
	return object;
}

/* --- the record --- */

static const char *record_bytes(const struct record *record)
{
	return (const char *)(record + 1);
}

static void record_paths(const struct record *record, char path[static RECORD_PATH_MAX],
			 char other[static RECORD_PATH_MAX])
{
	memcpy(path, record_bytes(record), record->path_size);
	path[record->path_size] = '\0';
	memcpy(other, record_bytes(record) + record->path_size, record->other_size);
	other[record->other_size] = '\0';
}

static const uint8_t *record_written(const struct record *record)
{
	return (const uint8_t *)record_bytes(record) + record->path_size + record->other_size;
}

/* The next one after *AT, or NULL; copied, since it may stand anywhere. */
static const struct record *record_next(size_t *at)
{
	struct record head, *record;
	size_t whole;

	if (*at == record_size)
		return NULL;
	if (record_size - *at < sizeof(head))
		abort();
	memcpy(&head, record_data + *at, sizeof(head));
	if (head.magic != RECORD_MAGIC || head.size > RECORD_DATA_MAX ||
	    head.path_size >= RECORD_PATH_MAX || head.other_size >= RECORD_PATH_MAX)
		abort();
	whole = sizeof(head) + head.path_size + head.other_size + (size_t)head.size;
	if (record_size - *at < whole)
		abort();
	record = grow(NULL, whole);
	memcpy(record, record_data + *at, whole);
	*at += whole;
	return record;
}

/* The object at PATH as programs see it, or NULL; its folder and last name too when asked for. */
static struct object *find(const char *path, struct object **folder, char last[static NAME_MAX + 1])
{
	struct object *object = root;

	if (strcmp(path, ".") == 0)
		return root;
	while (object && *path) {
		size_t n = strcspn(path, "/");
		struct name *name;

		assert(n <= NAME_MAX);
		memcpy(last, path, n);
		last[n] = '\0';
		*folder = object;
		name = object->type == S_IFDIR ? names_find(&object->now, last) : NULL;
		path += n + (path[n] == '/');
		if (!name && *path)
			return *folder = NULL;
		object = name ? name->object : NULL;
	}
	return object;
}

/* --- data --- */

static void data_resize(struct object *file, size_t size)
{
	file->data = grow(file->data, size);
	if (size > file->size)
		memset(file->data + file->size, 0, size - file->size);
	file->size = size;
}

/* KEPT: with what was written, else only as much room. */
static void data_apply(struct object *file, const struct record *record, bool kept)
{
	size_t end = (size_t)(record->offset + record->size);

	switch (record->kind) {
	case RECORD_TRUNCATE:
		data_resize(file, (size_t)record->offset);
		break;
	case RECORD_CHMOD:
		file->mode = record->mode;
		break;
	default:
		if (end > file->size)
			data_resize(file, end);
		if (kept)
			memcpy(file->data + record->offset, record_written(record),
			       (size_t)record->size);
	}
}

static void sync_object(struct object *object)
{
	for (size_t i = 0; i < object->pending.count; i++)
		names_set(&object->names, object->pending.list[i].name,
			  object->pending.list[i].object);
	for (size_t i = 0; i < object->change_count; i++)
		data_apply(object, object->changes[i].record, true);
	object->pending.count = object->change_count = 0;
}

/* --- the changes, one by one --- */

static void apply_name(const struct record *record, size_t number, const char *path,
		       const char *other)
{
	struct object *folder = NULL, *from = NULL, *object;
	char last[NAME_MAX + 1], from_last[NAME_MAX + 1];

	(void)find(path, &folder, last);
	assert(folder);
	switch (record->kind) {
	case RECORD_CREATE:
		object = object_new(S_IFREG, record->mode);
		break;
	case RECORD_MKDIR:
		object = object_new(S_IFDIR, record->mode);
		break;
	case RECORD_SYMLINK:
		object = object_new(S_IFLNK, 0777);
		object->target = strdup(other);
		break;
	case RECORD_RENAME:
	case RECORD_LINK:
		object = find(other, &from, from_last);
		assert(object);
		if (record->kind == RECORD_RENAME)
			folder_change(from, from_last, NULL, number);
		break;
	default:
		object = NULL;
	}
	folder_change(folder, last, object, number);
}

static void apply(const struct record *record, size_t number)
{
	char path[RECORD_PATH_MAX], other[RECORD_PATH_MAX], last[NAME_MAX + 1];
	struct object *folder, *object;

	record_paths(record, path, other);
	switch (record->kind) {
	case RECORD_WRITE:
	case RECORD_TRUNCATE:
	case RECORD_CHMOD:
		object = find(path, &folder, last);
		assert(object);
		object->changes =
			grow(object->changes, (object->change_count + 1) * sizeof(struct change));
		object->changes[object->change_count++] = (struct change){record, number};
		break;
	case RECORD_SYNC:
		object = find(path, &folder, last);
		if (object)
			sync_object(object);
		break;
	default:
		apply_name(record, number, path, other);
	}
}

/* --- the cut --- */

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15U;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
	return x ^ (x >> 31);
}

static uint64_t seed;

/* Of 100, how many changes this seed keeps. */
static unsigned share(void)
{
	static const unsigned shares[] = {10, 50, 50, 90};

	return shares[mix(seed) % 4];
}

static bool kept(size_t number)
{
	return mix(seed ^ mix(number)) % 100 < share();
}

static void cut_file(struct object *file)
{
	uint64_t random = mix(seed ^ mix(file->id << 32));
	enum { LOST, WHOLE, ZEROS, CUT, SOME, WAYS } way = (unsigned)(random % WAYS);

	for (size_t i = 0; i < file->change_count; i++) {
		const struct change *change = file->changes + i;

		if (change->record->kind == RECORD_CHMOD || way == SOME) {
			if (kept(change->number))
				data_apply(file, change->record, true);
		} else if (way != LOST) {
			data_apply(file, change->record, way != ZEROS);
		}
	}
	if (way == CUT && file->change_count && file->size)
		data_resize(file, (size_t)(mix(random) % file->size));
}

/* What the cut leaves of what was not synced; ALL or nothing where it is not left to chance. */
static void cut(struct object *object, const char *model)
{
	if (strcmp(model, "all") == 0) {
		sync_object(object);
	} else if (strcmp(model, "random") == 0) {
		for (size_t i = 0; i < object->pending.count; i++)
			if (kept(object->pending.list[i].number))
				names_set(&object->names, object->pending.list[i].name,
					  object->pending.list[i].object);
		cut_file(object);
	}
	object->pending.count = object->change_count = 0;
}

static void put(struct object *object, const char *path, const char *model);

static void put_folder(const struct object *folder, const char *path, const char *model)
{
	char full[PATH_MAX];

	if (mkdir(path, 0700) != 0)
		die("mkdir", path);
	for (size_t i = 0; i < folder->names.count; i++) {
		const struct name *name = folder->names.list + i;

		if (snprintf(full, sizeof(full), "%s/%s", path, name->name) >= (int)sizeof(full))
			abort();
		if (name->object)
			put(name->object, full, model);
	}
}

static void put_file(const struct object *file, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, file->data, file->size) != (ssize_t)file->size || close(fd) != 0)
		die("write", path);
}

static void put(struct object *object, const char *path, const char *model)
{
	cut(object, model);
	switch (object->type) {
	case S_IFDIR:
		put_folder(object, path, model);
		break;
	case S_IFREG:
		put_file(object, path);
		break;
	default:
		if (symlink(object->target, path) != 0)
			die("symlink", path);
		return;
	}
	if (chmod(path, object->mode) != 0)
		die("chmod", path);
}

/* --- commands --- */

static void open_record(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0)
		die("open", path);
	record_size = (size_t)st.st_size;
	record_data = record_size ? mmap(NULL, record_size, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
	if (record_data == MAP_FAILED)
		die("read", path);
	(void)close(fd); /* only read */
}

static void list(const char *command)
{
	const struct record *record;
	size_t at = 0, number = 0, syncs = 0;
	char path[RECORD_PATH_MAX], other[RECORD_PATH_MAX];

	for (; (record = record_next(&at)); number++) {
		record_paths(record, path, other);
		syncs += record->kind == RECORD_SYNC;
		if (strcmp(command, "list") == 0)
			printf("%zu %c %s %s %llu+%llu\n", number + 1, (char)record->kind, path,
			       other, (unsigned long long)record->offset,
			       (unsigned long long)record->size);
		else if (strcmp(command, "syncs") == 0 && record->kind == RECORD_SYNC)
			printf("%zu\n", number + 1);
	}
	if (strcmp(command, "count") == 0)
		printf("%zu %zu\n", number, syncs);
}

static void build(const char *out, size_t count, const char *model)
{
	const struct record *record;
	size_t at = 0, number = 0;

	while (number < count && (record = record_next(&at)))
		apply(record, ++number);
	put(root, out, model);
}

int main(int argc, char **argv)
{
	bool building = argc >= 7 && strcmp(argv[3], "build") == 0;

	if (!building && argc != 4) {
		(void)fputs("usage: powercut BASE LOG count|syncs|list\n"
			    "       powercut BASE LOG build OUT N all|strict|random [SEED]\n",
			    stderr);
		return 2;
	}
	open_record(argv[2]);
	if (!building) {
		list(argv[3]);
		return fflush(stdout) == 0 ? 0 : 1;
	}
	root = load(argv[1]);
	seed = mix(argc > 7 ? strtoull(argv[7], NULL, 10) : 0);
	build(argv[4], strtoul(argv[5], NULL, 10), argv[6]);
	return 0;
}
