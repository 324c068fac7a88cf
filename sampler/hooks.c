/* SPDX-License-Identifier: Apache-2.0
 *
 * The functions of C that stand before the allocator's. What is no sample is a countdown, or a look into the filter,
 * and a jump.
 *
 * An object is told of when it is there, and its end before the allocator learns of it: no address has two owners.
 * malloc_usable_size and the allocators' own functions are left alone. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>

#include "sampler.h"

/* A function that returns a block: by `call`, or NULL. */
#define ALLOCATE(size, call)                         \
	do {                                         \
		void *block_;                        \
		if (!drip_due(size))                 \
			return call;                 \
		block_ = call;                       \
		if (block_ != NULL)                  \
			drip_born(block_, size);     \
		return block_;                       \
	} while (0)

SLOW static void *slow_malloc(size_t size)
{
	ALLOCATE(size, drip_next.malloc(size));
}

EXPORT void *malloc(size_t size)
{
	if (LIKELY(drip_passes(size)))
		return drip_next.malloc(size);
	return slow_malloc(size);
}

SLOW static void slow_free(void *pointer)
{
	if (drip_died(pointer, NULL) && drip_is_early(pointer))
		return;
	drip_next.free(pointer);
}

EXPORT void free(void *pointer)
{
	if (LIKELY(!drip_may_have(pointer)))
		drip_next.free(pointer);
	else
		slow_free(pointer);
}

SLOW static void *slow_calloc(size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes))
		return drip_next.calloc(count, size);
	ALLOCATE(bytes, drip_next.calloc(count, size));
}

EXPORT void *calloc(size_t count, size_t size)
{
	size_t bytes;

	if (LIKELY(!__builtin_mul_overflow(count, size, &bytes) && drip_passes(bytes)))
		return drip_next.calloc(count, size);
	return slow_calloc(count, size);
}

/* The old object ends and a new one begins, at the realloc's own call site, whether the block moves or not. If it
 * fails, the old one is told of again, as one of this call site. */
SLOW static void *slow_realloc(void *pointer, size_t size)
{
	uint64_t old = 0;
	bool was = drip_may_have(pointer) && drip_died(pointer, &old), due;
	void *block;

	if (was && drip_is_early(pointer)) {
		block = drip_next.malloc(size);
		if (block != NULL)
			memcpy(block, pointer, old < size ? old : size);
		return block;
	}
	due = !drip_passes(size) && drip_due(size);
	block = drip_next.realloc(pointer, size);
	if (block != NULL && due)
		drip_born(block, size);
	else if (block == NULL && was && size > 0)
		drip_born(pointer, old);
	return block;
}

EXPORT void *realloc(void *pointer, size_t size)
{
	if (LIKELY(!drip_may_have(pointer) && drip_passes(size)))
		return drip_next.realloc(pointer, size);
	return slow_realloc(pointer, size);
}

/* Not every allocator has it, and glibc's calls realloc by its name. */
EXPORT void *reallocarray(void *pointer, size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(pointer, bytes);
}

EXPORT int posix_memalign(void **pointer, size_t alignment, size_t size)
{
	bool due = UNLIKELY(!drip_passes(size)) && drip_due(size);
	int error = drip_next.posix_memalign(pointer, alignment, size);

	if (UNLIKELY(due) && error == 0 && *pointer != NULL)
		drip_born(*pointer, size);
	return error;
}

#define ALIGNED(name)                                                       \
	SLOW static void *slow_##name(size_t alignment, size_t size)        \
	{                                                                   \
		ALLOCATE(size, drip_next.name(alignment, size));            \
	}                                                                   \
	EXPORT void *name(size_t alignment, size_t size)                    \
	{                                                                   \
		if (LIKELY(drip_passes(size)))                              \
			return drip_next.name(alignment, size);             \
		return slow_##name(alignment, size);                        \
	}
ALIGNED(aligned_alloc)
ALIGNED(memalign)

#define PAGES(name)                                          \
	SLOW static void *slow_##name(size_t size)           \
	{                                                    \
		ALLOCATE(size, drip_next.name(size));        \
	}                                                    \
	EXPORT void *name(size_t size)                       \
	{                                                    \
		if (LIKELY(drip_passes(size)))               \
			return drip_next.name(size);         \
		return slow_##name(size);                    \
	}
PAGES(valloc)
PAGES(pvalloc)
