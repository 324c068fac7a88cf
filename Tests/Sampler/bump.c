/*
 * An allocator whose malloc may be called from a signal handler in the middle of malloc, which no real one allows. It
 * hands addresses out again so soon that a mistake about whose they are must show: from a ring of blocks of one size.
 */
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

enum { block_size = 1024, block_count = 1 << 14 };

static _Alignas(64) char blocks[block_count][block_size];
static atomic_uchar taken[block_count];
static atomic_uint next;

void *malloc(size_t size)
{
	if (size > block_size)
		return NULL;
	for (unsigned tries = 0; tries < 4 * block_count; tries++) {
		unsigned at = atomic_fetch_add(&next, 1) % block_count;

		if (atomic_exchange(&taken[at], 1) == 0)
			return blocks[at];
	}
	return NULL;
}

void free(void *pointer)
{
	if (pointer != NULL)
		atomic_store(&taken[((char *)pointer - blocks[0]) / block_size], 0);
}

void *calloc(size_t count, size_t size)
{
	void *block = size == 0 || count <= block_size / size ? malloc(count * size) : NULL;

	return block != NULL ? memset(block, 0, count * size) : NULL;
}

void *realloc(void *pointer, size_t size)
{
	return pointer == NULL ? malloc(size) : size <= block_size ? pointer : NULL;
}
