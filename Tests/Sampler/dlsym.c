/*
 * A dlsym that allocates, as those of older C libraries do: whoever looks up malloc by it is asked for memory before it
 * has any to give.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#ifdef __x86_64__
#define FIRST_VERSION "GLIBC_2.2.5"
#else
#define FIRST_VERSION "GLIBC_2.17"
#endif

void *dlsym(void *handle, const char *name)
{
	void *(*real)(void *, const char *) = dlvsym(RTLD_NEXT, "dlsym", FIRST_VERSION);
	unsigned char *block = calloc(5, 20), *other = malloc(64);

	if (real == NULL || block == NULL || other == NULL || block[0] != 0 || block[99] != 0)
		abort();
	memset(block, 7, 100);
	block = realloc(block, 200);
	if (block == NULL || block[0] != 7 || block[99] != 7)
		abort();
	free(block);
	free(other);
	return real(handle, name);
}
