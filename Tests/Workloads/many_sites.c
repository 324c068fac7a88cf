/* many_sites N: after GO, N allocations of 64 bytes, each with a stack of its own: the bits of its number choose
 * between two functions at each of 16 levels. */
#include "workload.h"

static void *volatile sink;
NOINLINE static void left(unsigned bits, int depth);
NOINLINE static void right(unsigned bits, int depth);

NOINLINE static void descend(unsigned bits, int depth)
{
	if (!depth)
		sink = malloc(64);
	else if (bits & 1)
		left(bits >> 1, depth - 1);
	else
		right(bits >> 1, depth - 1);
	__asm__ volatile("" ::: "memory");
}

NOINLINE static void left(unsigned bits, int depth)
{
	descend(bits, depth);
	__asm__ volatile("" ::: "memory");
}

NOINLINE static void right(unsigned bits, int depth)
{
	descend(bits, depth);
	__asm__ volatile("nop" ::: "memory");
}

int main(int count, char **arguments)
{
	unsigned n = count > 1 ? (unsigned)atol(arguments[1]) : 1000;

	say("READY\n");
	wait_for_line();
	for (unsigned i = 0; i < n; i++)
		descend(i, 16);
	say("DONE\n");
	wait_for_line();
	return 0;
}
