/* SPDX-License-Identifier: Apache-2.0
 *
 * Which allocations are samples. Every thread counts down from an exponentially distributed number of bytes; the
 * allocation in which the count ends is a sample, and the count begins anew behind it. As the distribution has no
 * memory, it does not matter where a count began: at the start of a thread, after a fork, behind a large object. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "sampler.h"

__thread struct drip_thread drip_thread __attribute__((tls_model("initial-exec")));

/* Mean distance in bytes; 0 for no samples; `unread` until the environment could be read. */
static const uint64_t unread = UINT64_MAX;
static uint64_t mean = UINT64_MAX;

/* How many samples found no place in the table, and were not told of. For a debugger to read. */
EXPORT uint64_t drip_sampler_refused;

/* A seed that other threads, other processes and the children of a fork do not have. No call that a sandbox could
 * refuse. */
static uint64_t seed(void)
{
	static uint64_t count;
	uint64_t state = (uintptr_t)&drip_thread, words[2] = { 0, 0 };
	const void *given = (const void *)getauxval(AT_RANDOM);

	if (given != NULL)
		memcpy(words, given, sizeof(words));
	state = drip_random(&state) ^ words[0];
	state = drip_random(&state) ^ words[1];
	state = drip_random(&state) ^ (uint64_t)getpid();
	state = drip_random(&state) ^ __atomic_fetch_add(&count, 1, __ATOMIC_RELAXED);
	return drip_random(&state);
}

/* False while there is nothing to count: before libc has its environment, and where no samples are wanted. */
SLOW static bool prepare(void)
{
	uint64_t now = __atomic_load_n(&mean, __ATOMIC_RELAXED);

	if (now == unread) {
		if (environ == NULL)
			return false;
		now = drip_parse_bytes(secure_getenv("DRIP_SAMPLE_BYTES"), DRIP_SAMPLE_DEFAULT);
		__atomic_store_n(&mean, now, __ATOMIC_RELAXED);
	}
	if (now == 0) {
		drip_thread.left = UINT64_MAX;
		return false;
	}
	drip_thread.random = seed();
	drip_thread.left = drip_draw(&drip_thread.random, now);
	drip_thread.seeded = true;
	return true;
}

/* With nothing left, the next allocation of this thread asks drip_due. */
void drip_begin_trial(void)
{
	drip_thread.left_before = drip_thread.left;
	drip_thread.on_trial = true;
	drip_thread.left = 0;
}

bool drip_end_trial(void)
{
	bool called = !drip_thread.on_trial;

	if (!called)
		drip_thread.left = drip_thread.left_before;
	drip_thread.on_trial = false;
	return called;
}

SLOW bool drip_due(size_t size)
{
	if (drip_thread.on_trial) {
		drip_thread.on_trial = false;
		drip_thread.left = drip_thread.left_before;
		if (drip_passes(size))
			return false;
	}
	if (!drip_thread.seeded && (!prepare() || drip_passes(size)))
		return false;
	/* At once: a signal handler's allocations are to find a count that has begun. */
	drip_thread.left = drip_draw(&drip_thread.random, mean);
	return otel_memory_alloc_semaphore > 0;
}

SLOW void drip_born(void *pointer, size_t size)
{
	switch (drip_insert(pointer, size)) {
	case DRIP_REFUSED:
		__atomic_fetch_add(&drip_sampler_refused, 1, __ATOMIC_RELAXED);
		return;
	case DRIP_REPLACED:
		/* Freed by a function that is not ours. Better late than never. */
		if (otel_memory_free_semaphore > 0)
			drip_fire_free(pointer);
		break;
	case DRIP_INSERTED:
		break;
	}
	drip_fire_alloc(pointer, size, drip_weight(size, mean));
}

SLOW bool drip_died(void *pointer, uint64_t *size)
{
	if (!drip_remove(pointer, size))
		return false;
	if (otel_memory_free_semaphore > 0 && !drip_is_early(pointer))
		drip_fire_free(pointer);
	return true;
}

/* The children of a server that forks would else all choose what their parent was about to choose. */
static void forked(void)
{
	drip_thread.seeded = false;
	drip_thread.on_trial = false;
	drip_thread.left = 0;
}

__attribute__((constructor)) static void set_up(void)
{
	int error = errno;

	drip_resolve();
	pthread_atfork(NULL, NULL, forked);
	errno = error;
}
