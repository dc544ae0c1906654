/*
 * The pack writer: see pack.h. It is a backend of libgit2's object database, before those of the
 * disk: what is written stays in it, and whoever reads finds it there.
 */
#include "repo/pack.h"

#include "core/limits.h"
#include "core/text.h"
#include "repo/object.h"

#include <git2/sys/odb_backend.h>

#include <stdlib.h>
#include <string.h>

enum {
	BACKEND_PRIORITY = 999, /* before packs (2) and loose objects (1) */
	SLOTS_FIRST = 64,       /* of the smallest table */
};

struct held {
	struct oid oid;
	git_object_t type;
	size_t size;
	void *data;
};

/* What libgit2 holds, and frees with the database. */
struct backend {
	git_odb_backend parent; /* first: libgit2 knows it as this */
	struct pack_writer *writer; /* NULL: nobody holds objects back any more */
};

struct pack_writer {
	struct repo *repo;
	struct backend *backend;
	struct held *list;
	size_t count, cap;
	uint32_t *slots; /* an open hash table of places in LIST, from 1; 0 is free */
	size_t slot_count; /* a power of two, or 0 */
	size_t bytes; /* of all objects */
	bool spilled; /* some did not fit, and went to the disk as they were */
};

/* --- the table --- */

static uint32_t *slot_of(const struct pack_writer *w, const struct oid *oid)
{
	size_t at;

	memcpy(&at, oid->id, sizeof(at)); /* an id is a hash already */
	for (at &= w->slot_count - 1;; at = (at + 1) & (w->slot_count - 1))
		if (!w->slots[at] || oid_equal(&w->list[w->slots[at] - 1].oid, oid))
			return w->slots + at;
}

static const struct held *find(const struct pack_writer *w, const git_oid *id)
{
	struct oid oid = oid_from_git(id);
	uint32_t place = w && w->slot_count ? *slot_of(w, &oid) : 0;

	return place ? w->list + place - 1 : NULL;
}

static void grow_slots(struct pack_writer *w)
{
	free(w->slots);
	w->slot_count = w->slot_count ? w->slot_count * 2 : SLOTS_FIRST;
	w->slots = mem_new(w->slot_count, sizeof(*w->slots));
	for (size_t i = 0; i < w->count; i++)
		*slot_of(w, &w->list[i].oid) = (uint32_t)(i + 1);
}

static void hold(struct pack_writer *w, const git_oid *id, const void *data, size_t size,
		 git_object_t type)
{
	struct held *held;

	if (w->count == w->cap) {
		w->cap = w->cap ? w->cap * 2 : 16;
		w->list = mem_grow(w->list, w->cap, sizeof(*w->list));
	}
	/* at most three slots of four are used, so a free one ends every search */
	if (w->count >= w->slot_count / 4 * 3)
		grow_slots(w);
	held = w->list + w->count++;
	*held = (struct held){.oid = oid_from_git(id), .type = type, .size = size};
	held->data = mem_new(size + 1, 1);
	memcpy(held->data, data, size);
	w->bytes += size;
	*slot_of(w, &held->oid) = (uint32_t)w->count;
}

/* --- what libgit2 calls --- */

static struct pack_writer *writer_of(git_odb_backend *backend)
{
	return ((struct backend *)backend)->writer;
}

static int on_read(void **data, size_t *size, git_object_t *type, git_odb_backend *backend,
		   const git_oid *id)
{
	const struct held *held = find(writer_of(backend), id);

	if (!held)
		return GIT_ENOTFOUND;
	*data = git_odb_backend_data_alloc(backend, held->size + 1);
	if (!*data)
		return -1;
	memcpy(*data, held->data, held->size + 1);
	*size = held->size;
	*type = held->type;
	return 0;
}

static int on_read_header(size_t *size, git_object_t *type, git_odb_backend *backend,
			  const git_oid *id)
{
	const struct held *held = find(writer_of(backend), id);

	if (!held)
		return GIT_ENOTFOUND;
	*size = held->size;
	*type = held->type;
	return 0;
}

static int on_exists(git_odb_backend *backend, const git_oid *id)
{
	return find(writer_of(backend), id) != NULL;
}

/* What does not fit goes on to the loose objects, which libgit2 syncs one by one. */
static int on_write(git_odb_backend *backend, const git_oid *id, const void *data, size_t size,
		    git_object_t type)
{
	struct pack_writer *w = writer_of(backend);

	if (!w)
		return GIT_PASSTHROUGH;
	if (find(w, id))
		return 0;
	if (size > LIMIT_PACK_MEMORY || w->bytes > LIMIT_PACK_MEMORY - size ||
	    w->count >= LIMIT_PACK_OBJECTS) {
		w->spilled = true;
		return GIT_PASSTHROUGH;
	}
	hold(w, id, data, size, type);
	return 0;
}

/* What is written again because it is there already; said of what is on the disk too. */
static int on_freshen(git_odb_backend *backend, const git_oid *id)
{
	return find(writer_of(backend), id) ? 0 : GIT_ENOTFOUND;
}

static int on_foreach(git_odb_backend *backend, git_odb_foreach_cb fn, void *arg)
{
	struct pack_writer *w = writer_of(backend);
	int rc = 0;

	for (size_t i = 0; rc == 0 && w && i < w->count; i++) {
		git_oid id = oid_to_git(&w->list[i].oid);

		rc = fn(&id, arg);
	}
	return rc;
}

static void on_free(git_odb_backend *backend)
{
	struct pack_writer *w = writer_of(backend);

	if (w)
		w->backend = NULL;
	free(backend);
}

/* --- its life --- */

int pack_writer_new(struct repo *repo, struct pack_writer **out, struct err *err)
{
	struct pack_writer *w = mem_new(1, sizeof(*w));
	struct backend *backend = mem_new(1, sizeof(*backend));
	int rc = git_odb_init_backend(&backend->parent, GIT_ODB_BACKEND_VERSION);

	w->repo = repo;
	w->backend = backend;
	backend->writer = w;
	backend->parent.read = on_read;
	backend->parent.read_header = on_read_header;
	backend->parent.exists = on_exists;
	backend->parent.write = on_write;
	backend->parent.freshen = on_freshen;
	backend->parent.foreach = on_foreach;
	backend->parent.free = on_free;
	if (rc == 0)
		rc = git_odb_add_backend(repo_odb(repo), &backend->parent, BACKEND_PRIORITY);
	if (rc != 0) {
		rc = git_err(err, rc, "pack writer");
		free(backend);
		w->backend = NULL;
		pack_writer_free(w);
		return rc;
	}
	*out = w;
	return 0;
}

static int write_pack(struct pack_writer *w)
{
	git_packbuilder *pack;
	int rc = git_packbuilder_new(&pack, repo_git2(w->repo));

	if (rc != 0)
		return rc;
	(void)git_packbuilder_set_threads(pack, 1); /* returns the number of threads */
	for (size_t i = 0; rc == 0 && i < w->count; i++) {
		git_oid id = oid_to_git(&w->list[i].oid);

		rc = git_packbuilder_insert(pack, &id, NULL);
	}
	/*
	 * libgit2 writes the index under its name before the pack is under its own, and syncs both
	 * and the folder. An index without a pack is no fault to readers, and is removed at start.
	 */
	if (rc == 0)
		rc = git_packbuilder_write(pack, NULL, 0, NULL, NULL);
	git_packbuilder_free(pack);
	return rc;
}

int pack_writer_finish(struct pack_writer *w, struct err *err)
{
	int rc = w->count ? write_pack(w) : 0;

	if (rc != 0)
		return git_err(err, rc, "pack");
	return w->spilled ? repo_sync_objects(w->repo, err) : 0;
}

void pack_writer_free(struct pack_writer *w)
{
	if (!w)
		return;
	if (w->backend)
		w->backend->writer = NULL; /* libgit2 cannot take a backend out again */
	for (size_t i = 0; i < w->count; i++)
		free(w->list[i].data);
	free(w->list);
	free(w->slots);
	free(w);
}
