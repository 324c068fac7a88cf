/*
 * pairs OPS THREADS DEPTH — malloc and free at once, OPS times in all, below DEPTH frames: what a pair costs.
 *
 * READY, line, "DONE", "PAIRS n ns_per_pair_of_one_thread", line, BYE. Nothing is outstanding at DONE. The time
 * is that of the slowest thread over its own share.
 */
#include <pthread.h>

#include "workload.h"

enum { most_threads = 64, most_depth = 10000 };

static struct worker {
	pthread_t thread;
	uint64_t ops, elapsed;
} workers[most_threads];
static pthread_barrier_t start, end, leave;
static uint64_t depth;

FRAME static void pair_loop(uint64_t ops)
{
	for (uint64_t i = 0; i < ops; i++) {
		/* Volatile, so that the pair is not removed. */
		void *volatile pointer = malloc(16 + (i & 127));

		free(pointer);
	}
}

FRAME static void descend(uint64_t left, uint64_t ops)
{
	if (left == 0)
		pair_loop(ops);
	else
		descend(left - 1, ops);
}

static void *work(void *argument)
{
	struct worker *worker = argument;
	uint64_t begin;

	pthread_barrier_wait(&start);
	begin = nanoseconds();
	descend(depth, worker->ops);
	worker->elapsed = nanoseconds() - begin;
	pthread_barrier_wait(&end);
	pthread_barrier_wait(&leave);
	return NULL;
}

int main(int argc, char **argv)
{
	uint64_t ops = number(argc, argv, 1, 1000000), threads = number(argc, argv, 2, 1), slowest = 0;

	depth = number(argc, argv, 3, 0);
	if (threads < 1 || threads > most_threads || depth > most_depth) {
		say("pairs: THREADS must be 1 to %d, DEPTH at most %d\n", most_threads, most_depth);
		return 2;
	}
	pthread_barrier_init(&start, NULL, (unsigned)threads + 1);
	pthread_barrier_init(&end, NULL, (unsigned)threads + 1);
	pthread_barrier_init(&leave, NULL, (unsigned)threads + 1);
	for (uint64_t i = 0; i < threads; i++) {
		workers[i].ops = ops / threads + (i < ops % threads);
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
			return 3;
	}
	ready();
	pthread_barrier_wait(&start);
	pthread_barrier_wait(&end);
	for (uint64_t i = 0; i < threads; i++) {
		uint64_t picoseconds = workers[i].elapsed * 1000 / (workers[i].ops ? workers[i].ops : 1);

		if (picoseconds > slowest)
			slowest = picoseconds;
	}
	say("DONE\nPAIRS %lu %lu.%03lu\n", ops, slowest / 1000, slowest % 1000);
	await_line();
	pthread_barrier_wait(&leave);
	for (uint64_t i = 0; i < threads; i++)
		pthread_join(workers[i].thread, NULL);
	write_all("BYE\n", 4);
	return 0;
}
