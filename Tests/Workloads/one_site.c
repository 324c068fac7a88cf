/* one_site N SIZE: after GO, N objects of SIZE bytes at one site; after the next line frees them all. */
#include "workload.h"

static void **blocks;

NOINLINE static void *make_block(size_t size)
{
	void *block = malloc(size);

	__asm__ volatile("" : : "r"(block) : "memory");
	return block;
}

int main(int count, char **arguments)
{
	long n = count > 1 ? atol(arguments[1]) : 100;
	size_t size = count > 2 ? strtoul(arguments[2], NULL, 10) : 100;

	blocks = calloc((size_t)n, sizeof(*blocks));
	say("READY\n");
	wait_for_line();
	for (long i = 0; i < n; i++)
		blocks[i] = make_block(size);
	say("DONE %ld objects %zu bytes\n", n, (size_t)n * size);
	wait_for_line();
	for (long i = 0; i < n; i++)
		free(blocks[i]);
	say("FREED\n");
	wait_for_line();
	return 0;
}
