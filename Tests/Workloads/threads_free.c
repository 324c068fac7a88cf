/*
 * threads_free THREADS OBJECTS — all threads at once make OBJECTS objects each, of 1 to 4,000 bytes, and free them all,
 * half of them those of the next thread. READY, line, "DONE", line, BYE. The threads are started before READY.
 */
#include <pthread.h>
#include <sys/mman.h>

#include "workload.h"

enum { most_threads = 4096 };

static void ***blocks;
static pthread_t threads[most_threads];
static pthread_barrier_t start, made, end;
static uint64_t thread_count, object_count;

FRAME static void *site_thread(size_t size)
{
	return malloc(size);
}

static void *work(void *argument)
{
	uint64_t me = (uint64_t)(uintptr_t)argument;
	uint64_t next = (me + 1) % thread_count;

	pthread_barrier_wait(&start);
	for (uint64_t i = 0; i < object_count; i++)
		blocks[me][i] = site_thread(1 + (i * 37 + me) % 4000);
	pthread_barrier_wait(&made);
	for (uint64_t i = 0; i < object_count; i++)
		free(i % 2 ? blocks[me][i] : blocks[next][i]);
	pthread_barrier_wait(&end);
	return NULL;
}

static void *room(size_t bytes)
{
	void *address = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (address == MAP_FAILED)
		_exit(3);
	return address;
}

int main(int argc, char **argv)
{
	pthread_attr_t small;

	thread_count = number(argc, argv, 1, 8);
	object_count = number(argc, argv, 2, 1000);
	if (thread_count < 1 || thread_count > most_threads)
		return 2;
	blocks = room(thread_count * sizeof(*blocks));
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 64 << 10);
	pthread_barrier_init(&start, NULL, (unsigned)thread_count + 1);
	pthread_barrier_init(&made, NULL, (unsigned)thread_count);
	pthread_barrier_init(&end, NULL, (unsigned)thread_count + 1);
	for (uint64_t i = 0; i < thread_count; i++) {
		blocks[i] = room(object_count * sizeof(void *));
		if (pthread_create(&threads[i], &small, work, (void *)(uintptr_t)i) != 0) {
			say("pthread_create failed\n");
			return 3;
		}
	}
	ready();
	pthread_barrier_wait(&start);
	pthread_barrier_wait(&end);
	say("DONE\n");
	return bye();
}
