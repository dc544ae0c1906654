/*
 * Guarded memory for many small secrets: one sodium_malloc for many items, since one for each would
 * cost two pages and four mappings. For one thread (the loop).
 */
#ifndef MUSTER_CRYPTO_SLAB_H
#define MUSTER_CRYPTO_SLAB_H

#include <stddef.h>

struct slab;

/* Items of SIZE bytes, aligned to 16. Memory grows by chunks of about 64 kB. */
struct slab *slab_new(size_t size);
/* A zeroed item; aborts when memory is out. */
void *slab_take(struct slab *slab);
/* Wipes the item and keeps it for the next; NULL is fine. */
void slab_give(struct slab *slab, void *item);
/* Frees all; every item must have been given back (asserted). */
void slab_free(struct slab *slab);

#endif
