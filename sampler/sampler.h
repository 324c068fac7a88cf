/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of libdrip-sampler.so share: the allocator below, the thread's countdown, and the probes. */
#ifndef DRIP_SAMPLER_INTERNAL_H
#define DRIP_SAMPLER_INTERNAL_H

#include "drip_sampler.h"

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define EXPORT __attribute__((visibility("default")))
/* Out of the way of the common case, which is a jump to the allocator below. */
#define SLOW __attribute__((noinline, cold))

/* ---- The allocator below (next.c) ---- */

/* Each leads first to a function that looks all of them up, so that no call has to ask whether that has been done. */
struct drip_next {
	void *(*malloc)(size_t);
	void (*free)(void *);
	void *(*calloc)(size_t, size_t);
	void *(*realloc)(void *, size_t);
	int (*posix_memalign)(void **, size_t, size_t);
	void *(*aligned_alloc)(size_t, size_t);
	void *(*memalign)(size_t, size_t);
	void *(*valloc)(size_t);
	void *(*pvalloc)(size_t);
};
extern struct drip_next drip_next;

/* Looks the functions up, if that has not been done. */
void drip_resolve(void);
/* Whether a block is of the memory that dlsym itself gets while the functions are looked up. It is never freed. */
bool drip_is_early(const void *block);
/* The definition of a function behind this library's: in the order of the process, or, of a library that was opened
 * apart from it, in that of the code at `caller`. NULL if there is none. */
void *drip_find_next(const char *name, void *caller);
/* Whether two functions are of the same file. */
bool drip_same_file(void *one, void *other);
/* Says why, and ends the process. */
void drip_give_up(const char *why) __attribute__((noreturn));

/* ---- The countdown (countdown.c) ---- */

/* All zero in a new thread, which leads to the slow path. In the static part of the thread's storage: no call is needed
 * to reach it, it is there in every signal handler, and until the thread's last instruction. */
struct drip_thread {
	uint64_t left; /* bytes to the next sample; at least 1 once `seeded` */
	uint64_t random;
	bool seeded;
	bool resolving;
	/* While an operator is on trial: what `left` was, and whether the operator has called a function of ours. */
	bool on_trial;
	uint64_t left_before;
};
extern __thread struct drip_thread drip_thread __attribute__((tls_model("initial-exec")));

/* Counts an allocation. False if a sample may be due in it; then nothing has been counted yet: ask drip_due.
 * A signal handler between the two lines may have its own allocations forgotten, and does no other harm. */
static inline bool drip_passes(size_t size)
{
	uint64_t left = drip_thread.left;

	if (UNLIKELY(size >= left))
		return false;
	drip_thread.left = left - size;
	return true;
}

/* Counts an allocation that drip_passes did not. True if it is a sample, and somebody listens. */
bool drip_due(size_t size);
/* An operator may be of the allocator's file and yet call aligned_alloc, as jemalloc's does; then its object is counted
 * there. So the first call of each is a trial, and its object is not counted by the operator. */
void drip_begin_trial(void);
/* Whether a function of ours was called since. */
bool drip_end_trial(void);
/* Tells of a new sampled object. */
void drip_born(void *pointer, size_t size);
/* Takes an address out of the table and tells of its end, before the allocator below may hand it out again. False if
 * it was not there. */
bool drip_died(void *pointer, uint64_t *size);

/* ---- The probes (probes.c) ---- */

/* Above 0 while somebody listens. The kernel counts them up in the mapped file. */
extern volatile unsigned short otel_memory_alloc_semaphore, otel_memory_free_semaphore;
void drip_fire_alloc(void *pointer, uint64_t size, uint64_t weighted_bytes);
void drip_fire_free(void *pointer);

#endif
