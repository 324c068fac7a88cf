/*
 * no_frame_pointers N — N allocations below a known chain of functions, as a distribution builds its programs: -O2
 * and no frame pointers. Every other block is freed.
 *
 * READY, line, "CHAIN leaf … main" (innermost first), "SITE …" and "TOTAL …" as truth.c prints them, line, BYE.
 */
#include "workload.h"

static void *volatile kept;

FRAME static void leaf(uint64_t index)
{
	void *block = malloc(100 + index % 50);

	kept = block;
	if (index % 2 == 0)
		free(block);
}

/* Each has a frame of another size, and something to do after its call, so that none becomes a jump. */
#define LINK(name, next, size)                                                                                         \
	FRAME static uint64_t name(uint64_t index)                                                                     \
	{                                                                                                              \
		volatile char room[size];                                                                              \
                                                                                                                       \
		room[index % (size)] = (char)index;                                                                    \
		next(index);                                                                                           \
		return (uint64_t)room[index % (size)] + 1;                                                             \
	}

LINK(eighth, leaf, 16)
LINK(seventh, eighth, 200)
LINK(sixth, seventh, 40)
LINK(fifth, sixth, 8)
LINK(fourth, fifth, 1000)
LINK(third, fourth, 72)
LINK(second, third, 24)
LINK(first, second, 312)

int main(int argc, char **argv)
{
	uint64_t count = number(argc, argv, 1, 1000), allocated = 0, freed = 0, frees = (count + 1) / 2;

	ready();
	for (uint64_t i = 0; i < count; i++) {
		first(i);
		allocated += 100 + i % 50;
		freed += i % 2 == 0 ? 100 + i % 50 : 0;
	}
	say("CHAIN leaf eighth seventh sixth fifth fourth third second first main\n");
	say("SITE leaf %lu %lu %lu %lu %lu %lu\n", count, frees, allocated, freed, count - frees, allocated - freed);
	say("TOTAL %lu %lu %lu %lu %lu %lu\n", count, frees, allocated, freed, count - frees, allocated - freed);
	return bye();
}
