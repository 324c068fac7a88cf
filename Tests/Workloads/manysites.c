/*
 * manysites N — N different stacks, one object of 32 bytes each: the bits of the object's number decide which of two
 * functions calls next, 20 frames deep. All objects stay outstanding.
 *
 * READY, line, "DONE N", line, BYE. N is at most 2^20.
 */
#include "workload.h"

enum { bits = 20, object_size = 32 };

FRAME static void *turn_b(uint64_t path, int left);

FRAME static void *turn_a(uint64_t path, int left)
{
	if (left == 0)
		return malloc(object_size);
	return path & 1 ? turn_b(path >> 1, left - 1) : turn_a(path >> 1, left - 1);
}

FRAME static void *turn_b(uint64_t path, int left)
{
	if (left == 0)
		return malloc(object_size);
	return path & 1 ? turn_b(path >> 1, left - 1) : turn_a(path >> 1, left - 1);
}

int main(int argc, char **argv)
{
	uint64_t count = number(argc, argv, 1, 1000);

	if (count > 1u << bits) {
		say("manysites: N must be at most %u\n", 1u << bits);
		return 2;
	}
	ready();
	for (uint64_t i = 0; i < count; i++) {
		if (turn_a(i, bits) == NULL) {
			say("FAILED out of memory\n");
			return 3;
		}
	}
	say("DONE %lu\n", count);
	return bye();
}
