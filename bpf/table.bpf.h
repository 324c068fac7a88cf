/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * The live table: address -> size, site, birth. A bucketed open table in an array that user space maps, so
 * that a poll costs no system call per object. What a bucket cannot take goes to a hash map; what that cannot
 * take is refused and counted by the caller.
 *
 * Order makes it safe: an object is entered after the allocator has handed it out and removed before the
 * allocator gets it back, so no two CPUs own one address at a time. Compare-and-swap guards the rest: two
 * objects after one slot, and a target that frees the same block twice. */
#ifndef DRIP_TABLE_BPF_H
#define DRIP_TABLE_BPF_H

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* a power of two, set before the load */
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct drip_bucket);
} live SEC(".maps");

/* The overflow map takes memory as it fills, unless who includes this may not allocate. */
#ifndef OVERFLOW_FLAGS
#define OVERFLOW_FLAGS BPF_F_NO_PREALLOC
#endif

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, OVERFLOW_FLAGS);
	__type(key, __u64);
	__type(value, struct drip_object);
} overflow SEC(".maps");

const volatile __u32 bucket_shift = 63; /* 64 less the bits of a bucket's number */

#define SITE_MASK ((1ULL << DRIP_SITE_BITS) - 1)
#define LARGE (1ULL << DRIP_SIZE_BITS)

static __always_inline __u64 object_key(__u64 address, __u32 process)
{
	return address | (__u64)process << 48;
}

/* Allocators align to 8 or 16 bytes: the low bits say nothing. Fibonacci hashing spreads the rest, and it is the
 * highest bits of the product that spread evenly: of a million objects one after the other none overflows its
 * bucket, where bits from the middle send every second one to the overflow map. */
static __always_inline struct drip_bucket *bucket_of(__u64 key)
{
	__u32 index = (key >> 3) * 0x9E3779B97F4A7C15ULL >> bucket_shift;

	return bpf_map_lookup_elem(&live, &index);
}

/* Takes an object out. False if it is not there, or if another CPU was faster. */
static __always_inline bool table_remove(__u64 key, struct drip_object *out)
{
	struct drip_bucket *b = bucket_of(key);
	struct drip_object *o;

	if (!b)
		return false;
#pragma unroll
	for (int i = 0; i < DRIP_WAYS; i++) {
		if (b->key[i] != key)
			continue;
		__u64 value = b->value[i];
		__u32 birth = b->birth[i];

		if (__sync_val_compare_and_swap(&b->key[i], key, 0) != key)
			return false;
		out->size = value >> DRIP_SITE_BITS;
		out->site = value & SITE_MASK;
		out->birth = birth;
		return true;
	}
	if (!b->overflowed)
		return false;
	o = bpf_map_lookup_elem(&overflow, &key);
	if (!o)
		return false;
	*out = *o;
	return bpf_map_delete_elem(&overflow, &key) == 0;
}

/* Enters an object that is not in the table. False if there is no room. */
static __always_inline bool table_insert(__u64 key, const struct drip_object *in)
{
	struct drip_bucket *b = bucket_of(key);

	if (!b)
		return false;
	if (in->size < LARGE) {
		__u64 value = in->size << DRIP_SITE_BITS | in->site;
		__u32 birth = in->birth;

#pragma unroll
		for (int i = 0; i < DRIP_WAYS; i++) {
			if (b->key[i] || __sync_val_compare_and_swap(&b->key[i], 0, key))
				continue;
			b->value[i] = value;
			b->birth[i] = birth;
			return true;
		}
	}
	/* Raised before the object is there and never lowered: a zero tells table_remove, for certain, that
	 * the overflow map need not be asked. */
	__sync_fetch_and_add(&b->overflowed, 1);
	return bpf_map_update_elem(&overflow, &key, in, BPF_ANY) == 0;
}

#endif
