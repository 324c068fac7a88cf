/* SPDX-License-Identifier: Apache-2.0
 *
 * The allocator below: whatever comes next in the order of the dynamic linker. It is looked up at the first call, which
 * the dynamic linker itself makes, long before any constructor. dlsym may want memory then: it gets some of ours. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sampler.h"

static void *first_malloc(size_t size);
static void first_free(void *pointer);
static void *first_calloc(size_t count, size_t size);
static void *first_realloc(void *pointer, size_t size);
static int first_posix_memalign(void **pointer, size_t alignment, size_t size);
static void *first_aligned_alloc(size_t alignment, size_t size);
static void *first_memalign(size_t alignment, size_t size);
static void *first_valloc(size_t size);
static void *first_pvalloc(size_t size);

struct drip_next drip_next = {
	first_malloc,	     first_free,     first_calloc, first_realloc, first_posix_memalign,
	first_aligned_alloc, first_memalign, first_valloc, first_pvalloc,
};

/* ---- Memory for dlsym ---- */

/* Much more than the one message of dlerror that a dlsym may make. */
static struct {
	_Alignas(64) char bytes[16384];
	uint32_t used;
} early;

bool drip_is_early(const void *block)
{
	return (uintptr_t)block - (uintptr_t)early.bytes < sizeof(early.bytes);
}

/* In the table like a sample, so that a free needs no look of its own for them. */
static void *early_block(size_t size)
{
	uint32_t at, step;

	if (size > sizeof(early.bytes))
		return NULL;
	step = (uint32_t)(size + 15) & ~15u;
	step += step == 0 ? 16 : 0;
	at = __atomic_fetch_add(&early.used, step, __ATOMIC_RELAXED);
	if (at + step > sizeof(early.bytes) || drip_insert(early.bytes + at, size) == DRIP_REFUSED)
		return NULL;
	return early.bytes + at;
}

/* ---- Looking up ---- */

void drip_give_up(const char *why)
{
	static const char name[] = "libdrip-sampler.so: ";

	/* What cannot be written cannot be helped. */
	if (write(STDERR_FILENO, name, sizeof(name) - 1) < 0 || write(STDERR_FILENO, why, strlen(why)) < 0)
		abort();
	abort();
}

/* Nothing is used before all have been found: a block of the real malloc could else meet a realloc of ours. */
#define LOOK_UP(name)                                  \
	do {                                           \
		found.name = drip_next.name;           \
		address = dlsym(RTLD_NEXT, #name);     \
		if (address != NULL)                   \
			found.name = address;          \
	} while (0)

#define USE(name) __atomic_store_n(&drip_next.name, found.name, __ATOMIC_RELEASE)

/* Threads that come here at once find the same. */
void drip_resolve(void)
{
	int error = errno;
	struct drip_next found;
	void *address;

	if (__atomic_load_n(&drip_next.malloc, __ATOMIC_ACQUIRE) != first_malloc || drip_thread.resolving)
		return;
	drip_thread.resolving = true;
	LOOK_UP(malloc);
	LOOK_UP(free);
	LOOK_UP(calloc);
	LOOK_UP(realloc);
	LOOK_UP(posix_memalign);
	LOOK_UP(aligned_alloc);
	LOOK_UP(memalign);
	LOOK_UP(valloc);
	LOOK_UP(pvalloc);
	if (found.malloc == first_malloc || found.free == first_free || found.calloc == first_calloc ||
	    found.realloc == first_realloc)
		drip_give_up("no allocator follows this library\n");
	USE(free);
	USE(calloc);
	USE(realloc);
	USE(posix_memalign);
	USE(aligned_alloc);
	USE(memalign);
	USE(valloc);
	USE(pvalloc);
	/* Once malloc is there, all are. */
	USE(malloc);
	drip_thread.resolving = false;
	errno = error;
}

void *drip_find_next(const char *name, void *caller)
{
	int error = errno;
	struct link_map *map = NULL;
	Dl_info info, found;
	void *function = dlsym(RTLD_NEXT, name), *own = dlsym(RTLD_DEFAULT, name);

	if (function == NULL && dladdr1(caller, &info, (void **)&map, RTLD_DL_LINKMAP) && map != NULL) {
		void *scope = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);

		function = scope != NULL ? dlsym(scope, name) : NULL;
		if (function == own)
			function = NULL;
		/* It is remembered, so it must stay. */
		if (function != NULL && dladdr(function, &found))
			(void)!dlopen(found.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
		if (scope != NULL)
			dlclose(scope);
	}
	errno = error;
	return function;
}

bool drip_same_file(void *one, void *other)
{
	Dl_info first, second;

	return one != NULL && other != NULL && dladdr(one, &first) && dladdr(other, &second) &&
	       first.dli_fbase == second.dli_fbase;
}

/* ---- First calls ---- */

static void *first_malloc(size_t size)
{
	drip_resolve();
	return drip_next.malloc != first_malloc ? drip_next.malloc(size) : early_block(size);
}

static void first_free(void *pointer)
{
	drip_resolve();
	/* While dlsym runs there are only early blocks, which do not come here. */
	if (drip_next.free != first_free)
		drip_next.free(pointer);
}

static void *first_calloc(size_t count, size_t size)
{
	size_t bytes;

	drip_resolve();
	if (drip_next.calloc != first_calloc)
		return drip_next.calloc(count, size);
	/* Never used before, so it is zero. */
	return __builtin_mul_overflow(count, size, &bytes) ? NULL : early_block(bytes);
}

static void *first_realloc(void *pointer, size_t size)
{
	drip_resolve();
	if (drip_next.realloc != first_realloc)
		return drip_next.realloc(pointer, size);
	return pointer == NULL ? early_block(size) : NULL;
}

/* An allocator without one of the functions below has no use for it; the C standard lets them fail. */
static int first_posix_memalign(void **pointer, size_t alignment, size_t size)
{
	drip_resolve();
	return drip_next.posix_memalign != first_posix_memalign ? drip_next.posix_memalign(pointer, alignment, size) :
								  ENOMEM;
}

#define FIRST_ALIGNED(name)                                                        \
	static void *first_##name(size_t alignment, size_t size)                   \
	{                                                                          \
		drip_resolve();                                                    \
		if (drip_next.name != first_##name)                                \
			return drip_next.name(alignment, size);                    \
		errno = ENOMEM;                                                    \
		return NULL;                                                       \
	}
FIRST_ALIGNED(aligned_alloc)
FIRST_ALIGNED(memalign)

#define FIRST_PAGES(name)                                 \
	static void *first_##name(size_t size)            \
	{                                                 \
		drip_resolve();                           \
		if (drip_next.name != first_##name)       \
			return drip_next.name(size);      \
		errno = ENOMEM;                           \
		return NULL;                              \
	}
FIRST_PAGES(valloc)
FIRST_PAGES(pvalloc)
