/* What dlopener loads: it brings an allocator of its own, which nobody else in the program calls. */
#include <mimalloc.h>

static __attribute__((noipa)) void *plugin_block(size_t size)
{
	void *block = mi_malloc(size);

	*(volatile char *)block = 1;
	return block;
}

__attribute__((visibility("default"))) void plugin_allocate(void)
{
	for (int i = 0; i < 25; i++)
		*(void *volatile *)plugin_block(48) = NULL;
	for (int i = 0; i < 5; i++)
		mi_free(plugin_block(48));
}
