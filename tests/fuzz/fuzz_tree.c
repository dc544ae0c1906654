/*
 * Git's tree objects. The input is read as the bytes of one tree; and as a script that makes
 * objects, the last of which is read as a tree with all it holds. A step of the script:
 *
 *   even  u8 size, bytes: a blob
 *   odd   u8 count, then for each entry u8 mode, u8 length, name, u8 which of the objects before: a
 * tree
 */
#include "fuzz.h"
#include "memory_repo.h"

#include "repo/tree.h"

enum { OBJECTS_MAX = 24, ENTRIES_MAX = 8, NAME_ROOM = 64 };

static struct memory_repo memory;
static const char *const modes[] = {"100644", "100755", "40000",  "120000",
				    "160000", "100664", "040000", "0"};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	memory_repo_init(&memory);
	return 0;
}

static void put_entry(struct buf *out, const char *mode, const char *name, const struct oid *oid)
{
	buf_printf(out, "%s %s", mode, name);
	buf_put_u8(out, 0);
	buf_put(out, oid->id, OID_SIZE);
}

/* A tree that is read to its end is what its entries make. */
static void check_bytes(const uint8_t *data, size_t size)
{
	struct tree_reader reader = tree_reader_of(data, size);
	struct tree_entry entry;
	struct err err = {.code = ERR_NONE};
	struct buf again;
	int rc;

	buf_init(&again, size + 16);
	while ((rc = tree_next(&reader, &entry, &err)) == 1) {
		char *mode = text_format("%o", (unsigned)entry.mode);

		assert(fileset_path_valid(entry.name) && !strchr(entry.name, '/'));
		put_entry(&again, mode, entry.name, &entry.oid);
		free(mode);
	}
	if (rc == 0)
		assert(fuzz_same(&again, data, size));
	else
		assert(rc == -1 && (err.code == ERR_CORRUPT || err.code == ERR_REFUSED));
	buf_clear(&again);
}

static void put_tree(struct cursor *c, const struct oid *objects, size_t count, struct buf *out)
{
	static const struct oid nothing;
	size_t entries = cursor_u8(c) % (ENTRIES_MAX + 1);

	for (size_t i = 0; i < entries && c->left > 0; i++) {
		const char *mode = modes[cursor_u8(c) % (sizeof(modes) / sizeof(modes[0]))];
		size_t n = cursor_u8(c) % NAME_ROOM;
		const uint8_t *bytes = cursor_bytes(c, n);
		char *name = fuzz_text(bytes, bytes ? n : 0);
		size_t which = cursor_u8(c);

		put_entry(out, mode, name, count ? &objects[which % count] : &nothing);
		free(name);
	}
}

/* The number of objects made; the last is the root. */
static size_t run_script(struct cursor *c, struct oid *objects)
{
	size_t count = 0;

	while (count < OBJECTS_MAX && c->left > 0) {
		bool tree = cursor_u8(c) % 2;
		struct buf bytes;
		struct err err;

		buf_init(&bytes, 1 << 16);
		if (tree) {
			put_tree(c, objects, count, &bytes);
		} else {
			size_t n = cursor_u8(c);
			const uint8_t *blob = cursor_bytes(c, n);

			buf_put(&bytes, blob, blob ? n : 0);
		}
		assert(!bytes.failed);
		assert(object_write(memory.repo, tree ? GIT_OBJECT_TREE : GIT_OBJECT_BLOB,
				    buf_text(&bytes), bytes.len, &objects[count], &err) == 0);
		buf_clear(&bytes);
		count++;
	}
	return count;
}

/* Files that were read make the same tree: there is one for each set, or a digest would fit
 * several. */
static void check_objects(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_of(data, size);
	struct oid objects[OBJECTS_MAX], again;
	size_t count = run_script(&c, objects);
	struct fileset set = {0};
	struct err err = {.code = ERR_NONE};

	if (count > 0) {
		const struct oid *root = &objects[count - 1];

		if (tree_read(memory.repo, root, &set, &err) == 0) {
			assert(tree_write(memory.repo, &set, &again, &err) == 0);
			assert(oid_equal(root, &again));
		} else {
			assert(set.count == 0);
			assert(err.code == ERR_CORRUPT || err.code == ERR_REFUSED ||
			       err.code == ERR_GONE);
		}
	}
	fileset_clear(&set);
	memory_repo_reset(&memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_bytes(data, size);
	check_objects(data, size);
	return 0;
}
