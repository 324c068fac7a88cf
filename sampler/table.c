/* SPDX-License-Identifier: Apache-2.0
 *
 * The sampled addresses: a filter, dense enough for the innermost cache, and behind it buckets with the addresses
 * themselves. No locks: a signal handler may come in between any two instructions, and a fork may leave a thread's
 * work half done in the child. What can be half done is a slot without its bit in the filter, of an object that no
 * one has been given yet, or a bit without its slot, which costs a search and nothing else. */
#include "drip_sampler.h"

__attribute__((aligned(64))) uint64_t drip_filter[DRIP_BUCKETS];

/* Not touched, and no memory of the process, until there is a sample. 0 is a free slot. */
static struct bucket {
	uint64_t addresses[DRIP_BUCKET_SLOTS];
	/* Written and read by the owner of the address alone. */
	uint64_t sizes[DRIP_BUCKET_SLOTS];
} buckets[DRIP_BUCKETS] __attribute__((aligned(64)));

static int find(const struct bucket *bucket, uint64_t address)
{
	for (int i = 0; i < DRIP_BUCKET_SLOTS; i++)
		if (__atomic_load_n(&bucket->addresses[i], __ATOMIC_RELAXED) == address)
			return i;
	return -1;
}

enum drip_insertion drip_insert(const void *pointer, uint64_t size)
{
	uint64_t address = (uintptr_t)pointer, *filter = &drip_filter[drip_bucket(pointer)];
	struct bucket *bucket = &buckets[drip_bucket(pointer)];
	enum drip_insertion result = DRIP_INSERTED;
	uint64_t old, new, bit = 1ULL << drip_kind(pointer);
	int slot = drip_may_have(pointer) ? find(bucket, address) : -1;

	if (slot >= 0) {
		bucket->sizes[slot] = size;
		return DRIP_REPLACED;
	}
	for (slot = 0; slot < DRIP_BUCKET_SLOTS; slot++) {
		uint64_t none = 0;

		if (__atomic_load_n(&bucket->addresses[slot], __ATOMIC_RELAXED) == 0 &&
		    __atomic_compare_exchange_n(&bucket->addresses[slot], &none, address, false, __ATOMIC_SEQ_CST,
						__ATOMIC_RELAXED))
			break;
	}
	if (slot == DRIP_BUCKET_SLOTS)
		return DRIP_REFUSED;
	bucket->sizes[slot] = size;
	/* The count changes also when the bit does not: who is about to clear it must look again. */
	old = __atomic_load_n(filter, __ATOMIC_SEQ_CST);
	do {
		new = (old | bit) + (1ULL << 32);
	} while (!__atomic_compare_exchange_n(filter, &old, new, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
	return result;
}

/* The bits of the addresses that a bucket has now. */
static uint64_t kinds(const struct bucket *bucket)
{
	uint64_t bits = 0;

	for (int i = 0; i < DRIP_BUCKET_SLOTS; i++) {
		uint64_t address = __atomic_load_n(&bucket->addresses[i], __ATOMIC_SEQ_CST);

		if (address != 0)
			bits |= 1ULL << drip_kind((const void *)(uintptr_t)address);
	}
	return bits;
}

bool drip_remove(const void *pointer, uint64_t *size)
{
	uint64_t *filter = &drip_filter[drip_bucket(pointer)];
	struct bucket *bucket = &buckets[drip_bucket(pointer)];
	uint64_t old, new;
	int slot = pointer != NULL ? find(bucket, (uintptr_t)pointer) : -1;

	if (slot < 0)
		return false;
	if (size != NULL)
		*size = bucket->sizes[slot];
	__atomic_store_n(&bucket->addresses[slot], 0, __ATOMIC_SEQ_CST);
	/* An insertion is either in the slots when they are read here, or changes the word afterwards. */
	old = __atomic_load_n(filter, __ATOMIC_SEQ_CST);
	do {
		new = (old & ~0xffffffffULL) | kinds(bucket);
	} while (!__atomic_compare_exchange_n(filter, &old, new, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
	return true;
}
