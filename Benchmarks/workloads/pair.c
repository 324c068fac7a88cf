/* Allocation loops, driven from standard input; one line of answer for each command:
 *
 *   pair N SIZE DEPTH     N times malloc(SIZE) and free, DEPTH calls deep         → ns per pair
 *   wide N SIZE DEPTH     the same from a new one of 4^DEPTH stacks each time     → ns per pair
 *   places N SIZE DEPTH   pair at each of the 256 places in a page where a stack can be, 4 times;
 *                         the least of a place, the most of all places            → ns per pair
 *   calloc N SIZE DEPTH   pair with calloc                                        → ns per pair
 *   realloc N SIZE DEPTH  N times realloc of one block between SIZE and SIZE + 1  → ns per call
 *   rand N LIVE           N times free and malloc of a random one of LIVE blocks  → ns per pair
 *   keep N SIZE DEPTH     N blocks that stay, allocated DEPTH calls deep          → N
 *   spread N SIZE SITES   N blocks that stay, from SITES different depths         → N
 *   drop                  frees what rand, keep and spread hold                   → 0
 *
 * Ends at the end of input. */
#include <alloca.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct held {
	void **blocks;
	long count, capacity;
};

static struct held random_blocks, kept_blocks;
static void *volatile sink;

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
}

static unsigned long next_random(void)
{
	static unsigned long state = 88172645463325252ul;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static void fail(const char *why)
{
	fprintf(stderr, "pair: %s\n", why);
	exit(1);
}

static void reserve(struct held *held, long capacity)
{
	if (capacity <= held->capacity)
		return;
	held->blocks = realloc(held->blocks, capacity * sizeof(void *));
	if (!held->blocks)
		fail("out of memory");
	held->capacity = capacity;
}

static void drop(struct held *held)
{
	for (long i = 0; i < held->count; i++)
		free(held->blocks[i]);
	held->count = 0;
}

static __attribute__((noinline)) double pair_loop(long n, long size)
{
	double start = now();

	for (long i = 0; i < n; i++) {
		void *block = malloc(size);

		sink = block;
		free(block);
	}
	return (now() - start) / n;
}

/* A call from one of four places, so that stacks of the same depth differ. */
static __attribute__((noinline)) void wide_step(long depth, unsigned long way, long size)
{
	if (depth == 0) {
		void *block = malloc(size);

		sink = block;
		free(block);
		return;
	}
	/* The empty instructions keep the compiler from making one call of the four. */
#define FROM(place)                              \
	__asm__ volatile("# to " place ::: "memory"); \
	wide_step(depth - 1, way >> 2, size);        \
	__asm__ volatile("# from " place ::: "memory")
	switch (way & 3) {
	case 0:
		FROM("0");
		break;
	case 1:
		FROM("1");
		break;
	case 2:
		FROM("2");
		break;
	default:
		FROM("3");
		break;
	}
#undef FROM
}

static __attribute__((noinline)) double wide_loop(long n, long size, long depth)
{
	double start = now();

	/* 4,096 stacks: that drip remembers one of them is no help. */
	for (long i = 0; i < n; i++)
		wide_step(depth, next_random() & 0xfff, size);
	return (now() - start) / n;
}

static __attribute__((noinline)) double calloc_loop(long n, long size)
{
	double start = now();

	for (long i = 0; i < n; i++) {
		void *block = calloc(1, size);

		sink = block;
		free(block);
	}
	return (now() - start) / n;
}

static __attribute__((noinline)) double realloc_loop(long n, long size)
{
	void *block = malloc(size);
	double start = now();

	for (long i = 0; i < n; i++) {
		block = realloc(block, size + (i & 1));
		sink = block;
	}

	double result = (now() - start) / n;

	free(block);
	return result;
}

static __attribute__((noinline)) double keep_loop(long n, long size)
{
	for (long i = 0; i < n; i++)
		kept_blocks.blocks[kept_blocks.count++] = malloc(size);
	return n;
}

static __attribute__((noinline)) double random_loop(long n, long live)
{
	while (random_blocks.count < live)
		random_blocks.blocks[random_blocks.count++] = malloc(16 + next_random() % 512);

	double start = now();

	for (long i = 0; i < n; i++) {
		unsigned long value = next_random();
		long slot = value % live;

		free(random_blocks.blocks[slot]);
		random_blocks.blocks[slot] = malloc(16 + (value >> 32) % 512);
	}
	return (now() - start) / n;
}

typedef double loop(long n, long size);

static __attribute__((noinline)) double descend(long depth, loop *body, long n, long size)
{
	double result = depth > 0 ? descend(depth - 1, body, n, size) : body(n, size);

	__asm__ volatile("" ::: "memory");
	return result;
}

static __attribute__((noinline)) double place(long offset, long n, long size, long depth)
{
	volatile char *room = alloca(offset + 16);

	room[0] = 1;
	return descend(depth, pair_loop, n, size);
}

static double slowest_place(long n, long size, long depth)
{
	enum { page = 4096, alignment = 16, tries = 4 };
	long calls = n / (page / alignment * tries) + 20;
	double most = 0;

	for (long offset = 0; offset < page; offset += alignment) {
		double least = place(offset, calls, size, depth);

		for (int i = 1; i < tries; i++) {
			double again = place(offset, calls, size, depth);

			least = again < least ? again : least;
		}
		most = least > most ? least : most;
	}
	return most;
}

static double spread(long n, long size, long sites)
{
	long left = n;

	for (long site = 0; site < sites; site++) {
		long share = left / (sites - site);

		descend(site, keep_loop, share, size);
		left -= share;
	}
	return n;
}

static double run(const char *command, long n, long size, long third)
{
	if (!strcmp(command, "pair"))
		return descend(third, pair_loop, n, size);
	if (!strcmp(command, "wide"))
		return wide_loop(n, size, third);
	if (!strcmp(command, "places"))
		return slowest_place(n, size, third);
	if (!strcmp(command, "calloc"))
		return descend(third, calloc_loop, n, size);
	if (!strcmp(command, "realloc"))
		return descend(third, realloc_loop, n, size);
	if (!strcmp(command, "rand")) {
		reserve(&random_blocks, size);
		return random_loop(n, size);
	}
	if (!strcmp(command, "keep")) {
		reserve(&kept_blocks, kept_blocks.count + n);
		return descend(third, keep_loop, n, size);
	}
	if (!strcmp(command, "spread")) {
		reserve(&kept_blocks, kept_blocks.count + n);
		return spread(n, size, third);
	}
	fail("unknown command");
	return 0;
}

int main(void)
{
	static char input[4096], output[4096];
	char line[256], command[32];

	setvbuf(stdin, input, _IOFBF, sizeof(input));
	setvbuf(stdout, output, _IOLBF, sizeof(output));
	while (fgets(line, sizeof(line), stdin)) {
		long n = 0, size = 0, third = 0;

		if (sscanf(line, "%31s %ld %ld %ld", command, &n, &size, &third) < 1)
			continue;
		if (!strcmp(command, "drop")) {
			drop(&random_blocks);
			drop(&kept_blocks);
			printf("0\n");
			continue;
		}
		if (n < 1 || size < 1 || third < 0 || third > 10000 || (!strcmp(command, "spread") && third < 1))
			fail("bad arguments");
		printf("%.2f\n", run(command, n, size, third));
	}
	return 0;
}
