/* mimalloc's own functions: the size comes before the alignment. */
#define PREFIX(name) mi_##name
#include "own_prefixed.h"
#include <mimalloc.h>

#undef reallocarray
#define reallocarray mi_reallocarray

#define OWN_SITES \
	SITE(zalloc) { UNUSED; return mi_zalloc(size); } \
	SITE(mallocn) { UNUSED; return mi_mallocn(size / 8, 8); } \
	SITE(malloc_aligned) { UNUSED; return mi_malloc_aligned(size, 256); } \
	SITE(zalloc_aligned) { UNUSED; return mi_zalloc_aligned(size, 64); } \
	SITE(calloc_aligned) { UNUSED; return mi_calloc_aligned(size / 8, 8, 64); } \
	SITE(heap_malloc) { UNUSED; return mi_heap_malloc(mi_heap_get_default(), size); } \
	SITE(heap_aligned) { UNUSED; return mi_heap_malloc_aligned(mi_heap_get_default(), size, 512); } \
	SITE(new) { UNUSED; return mi_new(size); } \
	SITE(new_aligned) { UNUSED; return mi_new_aligned(size, 128); } \
	SITE(new_nothrow) { UNUSED; return mi_new_nothrow(size); } \
	SITE(new_n) { UNUSED; return mi_new_n(size / 8, 8); } \
	SITE(small) { UNUSED; return mi_malloc_small(size); } \
	SITE(reallocn) { UNUSED; return mi_reallocn(old, size / 16, 16); } \
	SITE(rezalloc) { UNUSED; return mi_rezalloc(old, size); } \
	SITE(recalloc) { UNUSED; return mi_recalloc(old, size / 16, 16); } \
	SITE(new_realloc) { UNUSED; return mi_new_realloc(old, size); } \
	SITE(realloc_aligned) { UNUSED; return mi_realloc_aligned(old, size, 64); } \
	SITE(reallocf) { UNUSED; return mi_reallocf(old, size); }

#define OWN_ROWS \
	ROW(zalloc, makes, usual, 20), ROW(mallocn, makes, multiple8, 10), ROW(malloc_aligned, makes, usual, 10), \
	ROW(zalloc_aligned, makes, usual, 10), ROW(calloc_aligned, makes, multiple8, 10), \
	ROW(heap_malloc, makes, usual, 10), ROW(heap_aligned, makes, usual, 10), ROW(new, makes, usual, 20), \
	ROW(new_aligned, makes, usual, 10), ROW(new_nothrow, makes, usual, 10), ROW(new_n, makes, multiple8, 10), \
	ROW(small, makes, tiny, 10), \
	ROW(reallocn, remakes, multiple16, 10), ROW(rezalloc, remakes, usual, 5), \
	ROW(recalloc, remakes, multiple16, 5), ROW(new_realloc, remakes, usual, 5), \
	ROW(realloc_aligned, remakes, usual, 5), ROW(reallocf, remakes, usual, 5),

#define OWN_RELEASE(pointer, size, call) \
	do { \
		if ((call) == site_new) \
			mi_free_size(pointer, size); \
		else if ((call) == site_malloc_aligned) \
			mi_free_aligned(pointer, 256); \
		else if ((call) == site_new_aligned) \
			mi_free_size_aligned(pointer, size, 128); \
		else \
			free(pointer); \
	} while (0)
