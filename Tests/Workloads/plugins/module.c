/* What loader loads; built several times under other names. It allocates as soon as it is there, in its constructor, and
 * when it is called; without frame pointers, so that its stacks need its unwind table. */
#include <stdlib.h>

#define JOIN2(a, b, c) a##b##c
#define JOIN(a, b, c) JOIN2(a, b, c)
#define NAMED(what) JOIN(module_, NAME, what)

__attribute__((noipa)) void *NAMED(_block)(size_t size)
{
	void *block = malloc(size);

	*(volatile char *)block = 1;
	return block;
}

__attribute__((constructor)) static void NAMED(_begin)(void)
{
	*(void *volatile *)NAMED(_block)(SIZE + 16) = NULL;
}

void module_allocate(int count)
{
	for (int i = 0; i < count; i++)
		*(void *volatile *)NAMED(_block)(SIZE) = NULL;
}

/* As libraries calls it. */
void plugin_allocate(void)
{
	module_allocate(1);
}
