/*
 * static_malloc N SIZE — as one_site, but linked statically: the allocator is in the program itself, where only its
 * symbol table tells of it.
 *
 * READY, line, "DONE N SIZE", line, BYE.
 */
#include "workload.h"

FRAME static void *allocate_here(size_t size)
{
	return malloc(size);
}

int main(int argc, char **argv)
{
	uint64_t count = number(argc, argv, 1, 1000), size = number(argc, argv, 2, 64);

	ready();
	for (uint64_t i = 0; i < count; i++) {
		if (allocate_here(size) == NULL) {
			say("FAILED out of memory\n");
			return 3;
		}
	}
	say("DONE %lu %lu\n", count, size);
	return bye();
}
