/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * Calls in flight: what a probed function was called with, until it returns. One slot per thread at most, for
 * as long as the call lasts: a second entry on the same thread is an allocator's own inner call (realloc ->
 * malloc) and is not counted again. A table in an array: cheaper than task storage or a hash map by tid, and
 * there on every kernel. */
#ifndef DRIP_INFLIGHT_BPF_H
#define DRIP_INFLIGHT_BPF_H

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << DRIP_CALL_BITS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct drip_calls);
} inflight SEC(".maps");

static __always_inline struct drip_calls *calls_of(__u64 owner)
{
	__u32 index = owner * 0x9E3779B97F4A7C15ULL >> (64 - DRIP_CALL_BITS);

	return bpf_map_lookup_elem(&inflight, &index);
}

/* How many slots are taken, or more: where none is, nobody need be looked up. On a cache line of its own. */
struct {
	__u64 before[16];
	__u64 count;
	__u64 behind[15];
} taken = {};

/* No thread's number. */
#define DRIP_NOBODY 1ULL

/* The slot of this thread's call, or -1. */
static __always_inline int call_find(struct drip_calls *calls, __u64 owner)
{
	int found = -1;

#pragma unroll
	for (int i = 0; i < DRIP_CALLS; i++)
		if (calls->owner[i] == owner)
			found = i;
	return found;
}

/* The same as a function, for 6 ns, and only where the bucket has any call at all, which is seldom. */
__noinline int call_search(struct drip_calls *calls, __u64 owner)
{
	return calls ? call_find(calls, owner) : -1;
}

/* As call_find. Its bounds need hiding from clang, which knows them and would leave out the checks that the verifier
 * wants. */
static __always_inline int call_slot(struct drip_calls *calls, __u64 owner)
{
	__u64 any = 0;

#pragma unroll
	for (int i = 0; i < DRIP_CALLS; i++)
		any |= calls->owner[i];
	return any ? call_search(calls, owner) : -1;
}

/* A free slot, claimed for this thread, or -1. */
static __always_inline int call_claim(struct drip_calls *calls, __u64 owner)
{
	__s64 free = -1;

#pragma unroll
	for (int i = 0; i < DRIP_CALLS && free < 0; i++)
		if (!calls->owner[i] && !__sync_val_compare_and_swap(&calls->owner[i], 0, owner))
			free = i;
	FORGET(free);
	if (free >= 0)
		__sync_fetch_and_add(&taken.count, 1);
	return free;
}

/* Gives a slot back. */
static __always_inline void call_release(struct drip_calls *calls, __u32 slot)
{
	__sync_lock_test_and_set(&calls->owner[slot & (DRIP_CALLS - 1)], 0);
	__sync_fetch_and_add(&taken.count, -1);
}

#endif
