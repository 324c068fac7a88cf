/* What dlopener loads: without frame pointers, so that its stacks need its unwind table. */
#include <stdlib.h>

static __attribute__((noipa)) void *plugin_block(size_t size)
{
	void *block = malloc(size);

	*(volatile char *)block = 1;
	return block;
}

__attribute__((visibility("default"))) void plugin_allocate(void)
{
	for (int i = 0; i < 25; i++)
		*(void *volatile *)plugin_block(48) = NULL;
}
