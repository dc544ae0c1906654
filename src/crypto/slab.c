/* Guarded memory for many small secrets: see slab.h. */
#include "crypto/slab.h"

#include "core/text.h"
#include "crypto/key.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { SLAB_ALIGN = 16, SLAB_CHUNK = 64 << 10 }; /* bytes */

/* What a free item holds; the rest of it is zero. */
struct slab_link {
	struct slab_link *next;
};

struct slab {
	size_t size;      /* of an item, rounded up */
	size_t per_chunk; /* items */
	size_t taken;     /* items in use */
	struct slab_link *free;
	uint8_t **chunks;
	size_t chunk_count;
};

static_assert(sizeof(struct slab_link) <= SLAB_ALIGN, "a link fits in the smallest item");

struct slab *slab_new(size_t size)
{
	struct slab *slab = mem_new(1, sizeof(*slab));

	assert(size > 0 && size <= SLAB_CHUNK);
	slab->size = (size + SLAB_ALIGN - 1) / SLAB_ALIGN * SLAB_ALIGN;
	slab->per_chunk = SLAB_CHUNK / slab->size;
	return slab;
}

static void slab_grow(struct slab *slab)
{
	uint8_t *chunk = crypto_new(slab->size * slab->per_chunk);

	slab->chunks = mem_grow(slab->chunks, slab->chunk_count + 1, sizeof(*slab->chunks));
	slab->chunks[slab->chunk_count++] = chunk;
	for (size_t i = slab->per_chunk; i-- > 0;) {
		struct slab_link *link = (void *)(chunk + i * slab->size);

		link->next = slab->free;
		slab->free = link;
	}
}

void *slab_take(struct slab *slab)
{
	struct slab_link *item;

	if (!slab->free)
		slab_grow(slab);
	item = slab->free;
	slab->free = item->next;
	item->next = NULL;
	slab->taken++;
	return item;
}

static bool slab_has(const struct slab *slab, const void *item)
{
	uintptr_t at = (uintptr_t)item;

	for (size_t i = 0; i < slab->chunk_count; i++) {
		uintptr_t start = (uintptr_t)slab->chunks[i];

		if (at >= start && at - start < slab->size * slab->per_chunk)
			return (at - start) % slab->size == 0;
	}
	return false;
}

void slab_give(struct slab *slab, void *item)
{
	struct slab_link *link = item;

	if (!item)
		return;
	assert(slab->taken > 0 && slab_has(slab, item));
	crypto_wipe(item, slab->size);
	link->next = slab->free;
	slab->free = link;
	slab->taken--;
}

void slab_free(struct slab *slab)
{
	if (!slab)
		return;
	assert(slab->taken == 0);
	for (size_t i = 0; i < slab->chunk_count; i++)
		crypto_free(slab->chunks[i]);
	free(slab->chunks);
	free(slab);
}
