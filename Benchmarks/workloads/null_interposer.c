/* What libdrip-sampler.so is measured against: a library before the allocator that passes on and does nothing else, by
 * the same means (dlsym at the first call, then a jump through a pointer). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>

static void *first_malloc(size_t size);
static void first_free(void *pointer);
static void *first_calloc(size_t count, size_t size);
static void *first_realloc(void *pointer, size_t size);

static struct {
	void *(*malloc)(size_t);
	void (*free)(void *);
	void *(*calloc)(size_t, size_t);
	void *(*realloc)(void *, size_t);
} next = { first_malloc, first_free, first_calloc, first_realloc };

static void look_up(void)
{
	next.free = dlsym(RTLD_NEXT, "free");
	next.calloc = dlsym(RTLD_NEXT, "calloc");
	next.realloc = dlsym(RTLD_NEXT, "realloc");
	next.malloc = dlsym(RTLD_NEXT, "malloc");
}

static void *first_malloc(size_t size)
{
	look_up();
	return next.malloc(size);
}

static void first_free(void *pointer)
{
	look_up();
	next.free(pointer);
}

static void *first_calloc(size_t count, size_t size)
{
	look_up();
	return next.calloc(count, size);
}

static void *first_realloc(void *pointer, size_t size)
{
	look_up();
	return next.realloc(pointer, size);
}

void *malloc(size_t size) { return next.malloc(size); }
void free(void *pointer) { next.free(pointer); }
void *calloc(size_t count, size_t size) { return next.calloc(count, size); }
void *realloc(void *pointer, size_t size) { return next.realloc(pointer, size); }
