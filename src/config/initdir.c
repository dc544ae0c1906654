/* etc/init and what was loaded of it: see initdir.h. */
#include "config/initdir.h"

#include "config/cluster.h"
#include "config/document.h"
#include "core/fs.h"
#include "core/limits.h"
#include "core/text.h"
#include "crypto/key.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	/*
	 * bytes; a cluster file has some hundred, and none larger is parsed to see whether it is
	 * one
	 */
	CLUSTER_FILE_SIZE = 64 << 10,
	TOLD_MAX = 10,		      /* files named in one line */
};

/* --- the files --- */

void initdir_clear(struct fileset *files)
{
	for (size_t i = 0; i < files->count; i++)
		crypto_wipe(files->files[i].data, files->files[i].size);
	fileset_clear(files);
}

static int read_one(struct fileset *out, int dirfd, const char *name, struct err *err)
{
	struct buf data;
	int rc;

	buf_init(&data, LIMIT_XML_SIZE);
	rc = fs_read_follow(dirfd, name, &data, err);
	if (rc == 0 && out->count >= LIMIT_XML_FILES)
		rc = err_set(err, ERR_REFUSED, "more than %u files", LIMIT_XML_FILES);
	if (rc == 0)
		rc = fileset_add(out, name, FILE_PLAIN, buf_text(&data), data.len, err);
	if (data.data)
		crypto_wipe(data.data, data.len);
	buf_clear(&data);
	return rc;
}

int initdir_read(const struct home *home, struct fileset *out, struct err *err)
{
	/* what is mounted there may be a link */
	int fd = openat(home->etc_fd, INITDIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		rc = errno == ENOENT ? 0 : err_sys(err, "%s/" INITDIR, home->etc);
		if (fd >= 0)
			(void)close(fd); /* only read */
		return rc;
	}
	while (rc == 0 && (entry = readdir(dir)))
		if (entry->d_name[0] != '.' && text_ends(entry->d_name, ".xml"))
			rc = read_one(out, fd, entry->d_name, err);
	(void)closedir(dir); /* only read */
	if (rc == 0)
		return 0;
	initdir_clear(out);
	return err_prefix(err, "%s/" INITDIR, home->etc);
}

/* --- marks --- */

void initdir_marks_clear(struct initdir_marks *marks)
{
	for (size_t i = 0; i < marks->count; i++)
		free(marks->items[i].name);
	free(marks->items);
	*marks = (struct initdir_marks){.known = false};
}

static const struct initdir_mark *find(const struct initdir_marks *marks, const char *name)
{
	for (size_t i = 0; i < marks->count; i++)
		if (strcmp(marks->items[i].name, name) == 0)
			return marks->items + i;
	return NULL;
}

/* NAME moves in. Two names that look the same count as one. */
static struct initdir_mark *add(struct initdir_marks *marks, char *name)
{
	if (find(marks, name)) {
		free(name);
		return NULL;
	}
	if ((marks->count & (marks->count - 1)) == 0) /* doubled when it is a power of two */
		marks->items = mem_grow(marks->items, marks->count ? 2 * marks->count : 1,
					sizeof(*marks->items));
	marks->items[marks->count] = (struct initdir_mark){.name = name};
	return marks->items + marks->count++;
}

/* A file may have any name; JSON takes UTF-8. */
static char *name_of(const struct file *file)
{
	char *name = text_copy(file->path);
	json_t *good = json_string(name);

	for (char *p = name; !good && *p; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	json_decref(good);
	return name;
}

static bool is_cluster_file(const struct file *file)
{
	struct document *doc = NULL;
	bool alone;

	if (file->size > CLUSTER_FILE_SIZE ||
	    document_parse(file->path, file->data, file->size, &doc, NULL) != 0)
		return false;
	alone = cluster_alone(doc);
	document_free(doc);
	return alone;
}

void initdir_mark(const struct fileset *files, bool but_cluster, struct initdir_marks *out)
{
	*out = (struct initdir_marks){.known = true};
	for (size_t i = 0; i < files->count; i++) {
		const struct file *file = files->files + i;
		struct initdir_mark *mark;
		uint8_t digest[DIGEST_SIZE];

		if (but_cluster && is_cluster_file(file))
			continue;
		mark = add(out, name_of(file));
		if (!mark)
			continue;
		digest_bytes(file->data, file->size, digest);
		(void)digest_hex(digest, mark->digest);
	}
}

static void tell(struct buf *out, size_t *told, const char *name, const char *how)
{
	if (++*told <= TOLD_MAX)
		buf_printf(out, "%s%s (%s)", *told > 1 ? ", " : "", name, how);
}

char *initdir_difference(const struct initdir_marks *loaded, const struct initdir_marks *now)
{
	size_t told = 0;
	struct buf out;
	char *text = NULL;

	if (!loaded->known || !now->known)
		return NULL;
	buf_init(&out, (TOLD_MAX + 1) * (NAME_MAX + 16));
	for (size_t i = 0; i < now->count; i++) {
		const struct initdir_mark *mark = now->items + i, *old = find(loaded, mark->name);

		if (!old)
			tell(&out, &told, mark->name, "new");
		else if (strcmp(old->digest, mark->digest) != 0)
			tell(&out, &told, mark->name, "changed");
	}
	for (size_t i = 0; i < loaded->count; i++)
		if (!find(now, loaded->items[i].name))
			tell(&out, &told, loaded->items[i].name, "gone");
	if (told > TOLD_MAX)
		buf_printf(&out, " and %zu more", told - TOLD_MAX);
	if (told > 0)
		text = text_copy(buf_text(&out));
	buf_clear(&out);
	return text;
}

/* --- JSON --- */

json_t *initdir_marks_json(const struct initdir_marks *marks)
{
	json_t *out = json_object();
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < marks->count; i++)
		rc = json_object_set_new(out, marks->items[i].name,
					 json_string(marks->items[i].digest));
	assert(rc == 0); /* the names are UTF-8 */
	return out;
}

static bool digest_valid(const char *text)
{
	return text && strlen(text) == DIGEST_HEX_SIZE - 1 &&
	       strspn(text, "0123456789abcdef") == DIGEST_HEX_SIZE - 1;
}

int initdir_marks_parse(const json_t *doc, struct initdir_marks *out)
{
	struct initdir_marks marks = {.known = true};
	const char *name;
	json_t *value;

	if (!json_is_object(doc) || json_object_size(doc) > LIMIT_XML_FILES)
		return -1;
	json_object_foreach((json_t *)doc, name, value) {
		const char *digest = json_string_value(value);
		struct initdir_mark *mark;

		if (!digest_valid(digest) || strlen(name) > NAME_MAX || strchr(name, '/') ||
		    name[0] == '.' || !text_ends(name, ".xml")) {
			initdir_marks_clear(&marks);
			return -1;
		}
		mark = add(&marks, text_copy(name));
		memcpy(mark->digest, digest, DIGEST_HEX_SIZE);
	}
	*out = marks;
	return 0;
}
