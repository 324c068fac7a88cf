/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of libdrip-sampler.so that know of no allocator and no thread: how long until the next sample, what a
 * sample stands for, and the table of sampled addresses. The tests use them as they are.
 *
 * Nothing here allocates, locks or calls the system; every function may be entered from a signal handler. */
#ifndef DRIP_SAMPLER_H
#define DRIP_SAMPLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- Draws (draw.c) ---- */

/* Mean distance of two samples in bytes, unless DRIP_SAMPLE_BYTES says another. */
#define DRIP_SAMPLE_DEFAULT ((uint64_t)512 << 10)
/* A mean above that could overflow the countdown; no program allocates as much. */
#define DRIP_SAMPLE_LARGEST ((uint64_t)1 << 56)

/* The next of a sequence of 64-bit numbers that look random: a Weyl sequence, mixed. Any state is a good seed. */
uint64_t drip_random(uint64_t *state);

/* Bytes until the next sample, 1 or more: of an exponential distribution with that mean, rounded up. So the first
 * `size` bytes have a sample in them with the probability 1 - exp(-size / mean), exactly. */
uint64_t drip_draw(uint64_t *state, uint64_t mean);

/* How many bytes a sampled object of `size` bytes stands for: size / (1 - exp(-size / mean)), to the nearest. */
uint64_t drip_weight(uint64_t size, uint64_t mean);

/* Reads "4096", "512KiB", "1M": bytes, with K, M or G for powers of 1024. Returns `otherwise` for anything else, and
 * for more than DRIP_SAMPLE_LARGEST. 0 is read as such: no samples. */
uint64_t drip_parse_bytes(const char *text, uint64_t otherwise);

/* ---- The table (table.c) ---- */

enum {
	DRIP_BUCKET_BITS = 12,
	DRIP_BUCKETS = 1 << DRIP_BUCKET_BITS,
	DRIP_BUCKET_SLOTS = 32,
	/* Neighbours share a bucket, and so the cache line that their frees look at. */
	DRIP_GRANULE_BITS = 8,
};

/* One word a bucket. The lower half: a bit for each of 32 kinds of address, set if the bucket has one of that kind.
 * The upper half counts the insertions, so that a bit is not cleared that has been set meanwhile. */
extern uint64_t drip_filter[DRIP_BUCKETS];

static inline uint32_t drip_hash(const void *pointer)
{
	return (uint32_t)(((uint64_t)(uintptr_t)pointer >> DRIP_GRANULE_BITS) * 0x9e3779b97f4a7c15ULL >> 32);
}

static inline uint32_t drip_bucket(const void *pointer)
{
	return drip_hash(pointer) >> (32 - DRIP_BUCKET_BITS);
}

/* 0 to 31: bits 4 to 8 of the address, turned by what its surroundings are. */
static inline uint32_t drip_kind(const void *pointer)
{
	return ((uint32_t)(uintptr_t)pointer >> 4 ^ drip_hash(pointer)) & 31;
}

/* Whether an address may be in the table; false is certain. One word is read: one cache line. */
static inline bool drip_may_have(const void *pointer)
{
	uint32_t bits = (uint32_t)__atomic_load_n(&drip_filter[drip_bucket(pointer)], __ATOMIC_RELAXED);

	return bits >> drip_kind(pointer) & 1;
}

/* What drip_insert has done. */
enum drip_insertion {
	DRIP_INSERTED,
	DRIP_REPLACED, /* it was there already: the old object is gone, and its end was not seen */
	DRIP_REFUSED,  /* the bucket is full */
};

/* Puts an address in, with the size of the object. No other thread may own that address. */
enum drip_insertion drip_insert(const void *pointer, uint64_t size);

/* Takes an address out. Returns false if it was not there. `size` is what it was put in with; may be NULL. */
bool drip_remove(const void *pointer, uint64_t *size);

#endif
