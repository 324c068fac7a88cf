/*
 * random_live LIVE OPS — LIVE objects, then OPS times a random one is freed and made anew with another size: what
 * a profiler's table of live objects costs where nothing is in a cache.
 *
 * READY, line, "DONE", "REPLACED ops ns_per_op", "TOTAL allocs frees allocated_bytes freed_bytes", line, BYE.
 */
#include <sys/mman.h>

#include "workload.h"

struct object {
	void *pointer;
	size_t size;
};

static uint64_t allocs, frees, allocated, freed;

FRAME static void make(struct object *object, size_t size)
{
	object->pointer = malloc(size);
	if (object->pointer == NULL) {
		say("FAILED out of memory\n");
		_exit(3);
	}
	object->size = size;
	allocs++;
	allocated += size;
}

FRAME static void unmake(struct object *object)
{
	frees++;
	freed += object->size;
	free(object->pointer);
}

int main(int argc, char **argv)
{
	uint64_t live = number(argc, argv, 1, 10000), ops = number(argc, argv, 2, 100000), begin, picoseconds;
	struct object *objects;
	struct rng rng;

	if (live < 1 || live > 1u << 28) {
		say("random_live: LIVE must be 1 to %u\n", 1u << 28);
		return 2;
	}
	/* Mapped, not malloced: it is not part of the work. */
	objects = mmap(NULL, live * sizeof(*objects), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (objects == MAP_FAILED) {
		say("FAILED out of memory\n");
		return 3;
	}
	rng_seed(&rng, 1);
	ready();
	for (uint64_t i = 0; i < live; i++)
		make(&objects[i], 16 + rng_below(&rng, 240));
	begin = nanoseconds();
	for (uint64_t i = 0; i < ops; i++) {
		struct object *object = &objects[rng_below(&rng, live)];

		unmake(object);
		make(object, 16 + rng_below(&rng, 240));
	}
	picoseconds = (nanoseconds() - begin) * 1000 / (ops ? ops : 1);
	say("DONE\nREPLACED %lu %lu.%03lu\nTOTAL %lu %lu %lu %lu\n", ops, picoseconds / 1000, picoseconds % 1000, allocs,
		frees, allocated, freed);
	return bye();
}
