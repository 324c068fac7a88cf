/*
 * sampler_stress MODE [N]: what a sampler in the process must survive. Every block is marked with its own address and
 * checked before it is freed; at the end none is left.
 *
 *   threads   N threads at once, which free each other's blocks
 *   short     N threads one after the other in fours, whose thread-specific data is freed by destructors
 *   fork      N children while four threads allocate; each child frees what it inherits
 *   signal    N rounds of malloc and free, interrupted by a handler that does the same
 *   family    N rounds of every function of the C library that allocates; jemalloc has no pvalloc
 *   pages     N rounds of pvalloc
 *   failing   N allocations that must fail, and a realloc that must
 *   exec      N programs in the place of this one, one after the other
 *
 * READY, line, DONE or FAILED, line, BYE.
 */
#define _GNU_SOURCE
#include "workload.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>

enum { shared_count = 1024 };
static _Atomic(uint64_t *) shared[shared_count];

static void fail(const char *why)
{
	say("FAILED %s\n", why);
	_exit(3);
}

FRAME static uint64_t *take(size_t size)
{
	uint64_t *block = malloc(size);

	if (block == NULL)
		fail("out of memory");
	*block = (uintptr_t)block;
	return block;
}

FRAME static void give(uint64_t *block)
{
	if (block == NULL)
		return;
	if (*block != (uintptr_t)block)
		fail("a block was overwritten");
	*block = 0;
	free(block);
}

static void swap_some(struct rng *rng, unsigned rounds)
{
	for (unsigned i = 0; i < rounds; i++)
		give(__atomic_exchange_n(&shared[rng_below(rng, shared_count)], take(8 + rng_below(rng, 1000)),
					 __ATOMIC_ACQ_REL));
}

static void drop_shared(void)
{
	for (unsigned i = 0; i < shared_count; i++)
		give(__atomic_exchange_n(&shared[i], NULL, __ATOMIC_ACQ_REL));
}

static void *swapper(void *seed)
{
	struct rng rng;

	rng_seed(&rng, (uintptr_t)seed);
	swap_some(&rng, 4000);
	return NULL;
}

static void start(pthread_t *thread, void *(*body)(void *), uintptr_t argument)
{
	if (pthread_create(thread, NULL, body, (void *)argument) != 0)
		fail("no thread");
}

static void many_threads(uint64_t n)
{
	static pthread_t threads[1024];

	if (n > 1024)
		fail("too many threads");
	for (uint64_t i = 0; i < n; i++)
		start(&threads[i], swapper, i + 1);
	for (uint64_t i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	drop_shared();
}

static pthread_key_t key;

/* Again and again, as long as destructors are called: each frees and allocates. */
static void destroy(void *value)
{
	static __thread int rounds;

	give(value);
	if (++rounds < 4)
		pthread_setspecific(key, take(200));
}

static void *short_life(void *unused)
{
	(void)unused;
	pthread_setspecific(key, take(100));
	return NULL;
}

static void short_threads(uint64_t n)
{
	if (pthread_key_create(&key, destroy) != 0)
		fail("no key");
	for (uint64_t i = 0; i < n; i += 4) {
		pthread_t four[4];

		for (int j = 0; j < 4; j++)
			start(&four[j], short_life, 0);
		for (int j = 0; j < 4; j++)
			pthread_join(four[j], NULL);
	}
}

static _Atomic int stop;

static void *until_stopped(void *seed)
{
	struct rng rng;

	rng_seed(&rng, (uintptr_t)seed);
	while (!stop)
		swap_some(&rng, 100);
	return NULL;
}

static void fork_storm(uint64_t n)
{
	pthread_t four[4];
	struct rng rng;

	rng_seed(&rng, 99);
	for (uintptr_t i = 0; i < 4; i++)
		start(&four[i], until_stopped, i + 1);
	for (uint64_t i = 0; i < n; i++) {
		int status;
		pid_t child = fork();

		if (child < 0)
			fail("no child");
		if (child == 0) {
			/* A thread of the parent may have been in the middle of a block: only glibc's own forks
			 * keep its heap whole, and marks may be half made. So new blocks only. */
			uint64_t *blocks[64];

			alarm(60);
			for (int j = 0; j < 64; j++)
				blocks[j] = take(8 + rng_below(&rng, 5000));
			for (int j = 0; j < 64; j++)
				give(blocks[j]);
			_exit(0);
		}
		if (waitpid(child, &status, 0) != child || status != 0)
			fail("a child failed");
	}
	stop = 1;
	for (int i = 0; i < 4; i++)
		pthread_join(four[i], NULL);
	drop_shared();
}

static volatile unsigned long interrupts;

static void handler(int number)
{
	uint64_t *one = take(300), *two = take(700);

	(void)number;
	give(one);
	give(two);
	interrupts++;
}

static void signals(uint64_t n)
{
	struct itimerval often = { { 0, 50 }, { 0, 50 } }, never = { { 0, 0 }, { 0, 0 } };
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART };
	struct rng rng;

	rng_seed(&rng, 5);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	for (uint64_t i = 0; i < n || interrupts < 1000; i++)
		give(take(8 + rng_below(&rng, 900)));
	setitimer(ITIMER_REAL, &never, NULL);
}

static void check(void *block, size_t alignment)
{
	if (block == NULL || (uintptr_t)block % alignment != 0)
		fail("no block, or not aligned");
	free(block);
}

static void family(uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		size_t size = 1 + i * 37 % 3000;
		void *block;
		unsigned char *bytes = calloc(size, 3);

		if (bytes == NULL || bytes[0] != 0 || bytes[size * 3 - 1] != 0)
			fail("calloc");
		bytes[0] = 77;
		bytes = realloc(bytes, size * 5);
		bytes = reallocarray(bytes, size, 2);
		if (bytes == NULL || bytes[0] != 77 || malloc_usable_size(bytes) < size * 2)
			fail("realloc");
		free(bytes);
		check(realloc(NULL, size), 8);
		check(aligned_alloc(64, (size + 63) & ~63ul), 64);
		check(memalign(256, size), 256);
		check(valloc(size), 4096);
		if (posix_memalign(&block, 128, size) != 0)
			fail("posix_memalign");
		check(block, 128);
		check(strdup("a string that is long enough for a block"), 1);
		free(malloc(0));
		free(NULL);
	}
}

static void pages(uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		check(pvalloc(1 + i * 37 % 9000), 4096);
}

static void failing(uint64_t n)
{
	/* Known to the program, not to the compiler, which would complain. */
	volatile size_t huge = SIZE_MAX / 2 - 4096;

	for (uint64_t i = 0; i < n; i++) {
		uint64_t *block = take(100);

		errno = 0;
		if (malloc(huge) != NULL || errno != ENOMEM || calloc(huge, 16) != NULL || malloc(huge * 2) != NULL ||
		    realloc(block, huge) != NULL || reallocarray(block, huge, 16) != NULL)
			fail("there is not so much memory");
		give(block);
	}
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	uint64_t n = number(argc, argv, 2, 100);

	if (strcmp(mode, "exec") == 0) {
		char left[32];

		free(take(5000));
		snprintf(left, sizeof(left), "%lu", n - 1);
		if (n > 0)
			execl("/proc/self/exe", argv[0], mode, left, NULL);
		say(n > 0 ? "FAILED exec\n" : "DONE\n");
		return n > 0;
	}
	ready();
	if (strcmp(mode, "threads") == 0)
		many_threads(n);
	else if (strcmp(mode, "short") == 0)
		short_threads(n);
	else if (strcmp(mode, "fork") == 0)
		fork_storm(n);
	else if (strcmp(mode, "signal") == 0)
		signals(n);
	else if (strcmp(mode, "family") == 0)
		family(n);
	else if (strcmp(mode, "pages") == 0)
		pages(n);
	else if (strcmp(mode, "failing") == 0)
		failing(n);
	else
		fail("no such mode");
	say("DONE\n");
	return bye();
}
