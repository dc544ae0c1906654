/* A hash table: see table.h. Open addressing, the index at most half full. */
#include "config/table.h"

#include "core/text.h"

#include <stdlib.h>
#include <string.h>

enum { SIZE_MIN = 128 };

#define UPPER UINT64_C(0xffffffff00000000)

static uint64_t mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ hash >> 29;
}

/* FNV-1a, and the end marked, so that "ab" "c" and "a" "bc" differ. */
static uint64_t mix_text(uint64_t hash, const char *text)
{
	if (!text)
		return mix(hash, 1);
	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
	return mix(hash, 2);
}

static uint64_t hash_of(const struct table_key *key)
{
	uint64_t hash = mix(UINT64_C(0xcbf29ce484222325), (uintptr_t)key->scope);

	hash = mix_text(hash, key->ns);
	hash = mix_text(hash, key->name);
	return mix_text(hash, key->text);
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_key(const struct table_key *a, const struct table_key *b)
{
	return a->scope == b->scope && same_text(a->name, b->name) && same_text(a->ns, b->ns) &&
	       same_text(a->text, b->text);
}

/* Where the index has KEY, or the free place where it belongs. */
static uint64_t *place(const struct table *table, const struct table_key *key, uint64_t hash)
{
	size_t i = hash & (table->size - 1);

	for (; table->index[i]; i = (i + 1) & (table->size - 1)) {
		const struct table_slot *slot;

		if ((table->index[i] & UPPER) != (hash & UPPER))
			continue;
		slot = &table->slots[(table->index[i] & ~UPPER) - 1];
		if (slot->hash == hash && same_key(&slot->key, key))
			break;
	}
	return &table->index[i];
}

static void grow_index(struct table *table)
{
	table->size = table->size ? table->size * 2 : SIZE_MIN;
	free(table->index);
	table->index = mem_new(table->size, sizeof(*table->index));
	for (size_t n = 0; n < table->count; n++) {
		size_t i = table->slots[n].hash & (table->size - 1);

		while (table->index[i])
			i = (i + 1) & (table->size - 1);
		table->index[i] = (table->slots[n].hash & UPPER) | (n + 1);
	}
}

struct table_slot *table_find(const struct table *table, const struct table_key *key)
{
	uint64_t at = table->size ? *place(table, key, hash_of(key)) : 0;

	return at ? &table->slots[(at & ~UPPER) - 1] : NULL;
}

struct table_slot *table_add(struct table *table, const struct table_key *key, bool *fresh)
{
	uint64_t hash = hash_of(key), *at;

	if (table->count >= table->size / 2)
		grow_index(table);
	at = place(table, key, hash);
	if (fresh)
		*fresh = !*at;
	if (*at)
		return &table->slots[(*at & ~UPPER) - 1];
	if (table->count == table->room) {
		table->room = table->room ? table->room * 2 : SIZE_MIN;
		table->slots = mem_grow(table->slots, table->room, sizeof(*table->slots));
	}
	table->slots[table->count] = (struct table_slot){.key = *key, .hash = hash};
	*at = (hash & UPPER) | ++table->count;
	return &table->slots[table->count - 1];
}

void table_clear(struct table *table)
{
	free(table->slots);
	free(table->index);
	*table = (struct table){.slots = NULL};
}
