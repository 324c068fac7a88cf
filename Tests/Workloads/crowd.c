/*
 * crowd THREADS FORKERS — many threads that allocate, fork and take signals at once, for a follower that stops each of
 * them for a moment. READY once all threads wait, line, work, "DONE <signals taken> <sum of what they carried>
 * <taken out of order>", line, BYE.
 *
 *   each thread         10 objects of 100 bytes at site_thread
 *   the first FORKERS   a child each: 20 of 200 bytes at site_child, 5 of which are freed
 *   each thread         sends itself 10 real-time signals that carry 1 to 10; such signals queue, and none may be lost,
 *                       taken twice, or overtake another
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "children.h"

enum { most_threads = 2048, signals = 10 };

static uint64_t thread_count, forker_count, taken, sum, disordered, failed;
static pthread_barrier_t start, end;
static __thread int last;

FRAME static void site_thread(void)
{
	void *blocks[10];

	allocate(10, 100, blocks);
}

static void take(int number, siginfo_t *information, void *context)
{
	int value = information->si_value.sival_int;

	(void)number;
	(void)context;
	__atomic_fetch_add(&taken, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&sum, (uint64_t)value, __ATOMIC_RELAXED);
	if (value != last + 1)
		__atomic_fetch_add(&disordered, 1, __ATOMIC_RELAXED);
	last = value;
}

static void *work(void *argument)
{
	uint64_t me = (uint64_t)(uintptr_t)argument;
	pid_t child;
	int status = 0;

	pthread_barrier_wait(&start);
	for (int i = 1; i <= signals; i++)
		if (pthread_sigqueue(pthread_self(), SIGRTMIN + 1, (union sigval){.sival_int = i}) != 0)
			__atomic_fetch_add(&failed, 1, __ATOMIC_RELAXED);
	site_thread();
	if (me < forker_count) {
		child = fork();
		if (child == 0) {
			site_child();
			_exit(0);
		}
		while (waitpid(child, &status, 0) < 0 && errno == EINTR)
			continue;
		if (child < 0 || status != 0)
			__atomic_fetch_add(&failed, 1, __ATOMIC_RELAXED);
	}
	pthread_barrier_wait(&end);
	return NULL;
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_sigaction = take, .sa_flags = SA_SIGINFO | SA_RESTART};
	pthread_attr_t small;
	pthread_t thread;

	thread_count = number(argc, argv, 1, 300);
	forker_count = number(argc, argv, 2, 20);
	if (thread_count < 1 || thread_count > most_threads)
		return 2;
	sigaction(SIGRTMIN + 1, &action, NULL);
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 64 << 10);
	pthread_barrier_init(&start, NULL, (unsigned)thread_count + 1);
	pthread_barrier_init(&end, NULL, (unsigned)thread_count + 1);
	for (uint64_t i = 0; i < thread_count; i++)
		if (pthread_create(&thread, &small, work, (void *)(uintptr_t)i) != 0) {
			say("pthread_create failed\n");
			return 3;
		}
	ready();
	pthread_barrier_wait(&start);
	pthread_barrier_wait(&end);
	if (failed)
		say("%lu calls failed\n", (unsigned long)failed);
	say("DONE %lu %lu %lu\n", (unsigned long)taken, (unsigned long)sum, (unsigned long)disordered);
	return bye();
}
