/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * Poisson sampling by bytes: an allocation of s bytes is kept with the probability 1 - exp(-s / distance), as if
 * every byte were chosen by itself and a block were kept for its first chosen byte. The probability comes from a
 * table that user space computes, interpolated; what counts is that both sides compute the very same P(s), for a
 * kept object stands for 2^32 / P(s). Sources/Profile/ByteSampling.swift has the same functions, bit for bit.
 *
 * Integers only; a table read, a multiplication and shifts for the decision, a division for a kept object.
 * Everything but the draw also compiles for the host. */
#ifndef DRIP_SAMPLING_BPF_H
#define DRIP_SAMPLING_BPF_H

enum {
	SAMPLE_SIZE_BITS = 48, /* larger sizes, which no address space holds, are always kept */
	SAMPLE_SUB_BITS = 3,   /* a power of two is divided into eight */
	SAMPLE_ENTRIES = (SAMPLE_SIZE_BITS - SAMPLE_SUB_BITS + 1) << SAMPLE_SUB_BITS,
	SAMPLE_RISE_BITS = 28,
	SAMPLE_COUNT_BITS = 16, /* scaled counts are in units of 2^-16 objects */
};

/* A threshold that every 32-bit number is below. */
#define SAMPLE_ALWAYS (1ULL << 32)

/* Set before the load. 0: all allocations are kept, and stand for themselves. */
const volatile __u32 sample_on = 0;
/* For the first size of each division: P << SAMPLE_RISE_BITS | rise of P to the next division. */
const volatile __u64 sample_table[SAMPLE_ENTRIES] = {0};

/* 1 << `bits` if value is above `limit`, else 0; both below 2^63. Without a branch, for the verifier would follow
 * both ways of each, 64 in all. */
#define STEP_ABOVE(value, limit, bits)                         \
	({                                                     \
		__u64 difference_ = (limit) - (value);         \
		OPAQUE(difference_);                           \
		difference_ >> 63 << (bits);                   \
	})

/* The position of the highest one of a size that is not 0. BPF has no instruction for it. */
static __always_inline __u64 highest_bit(__u64 size)
{
	__u64 position, step;

	position = step = STEP_ABOVE(size, 0xffffffffULL, 5);
	size >>= step;
	position |= step = STEP_ABOVE(size, 0xffffULL, 4);
	size >>= step;
	position |= step = STEP_ABOVE(size, 0xffULL, 3);
	size >>= step;
	position |= step = STEP_ABOVE(size, 0xfULL, 2);
	size >>= step;
	position |= step = STEP_ABOVE(size, 0x3ULL, 1);
	size >>= step;
	return position | size >> 1;
}

/* P(size), of 2^32: an allocation is kept if a 32-bit random number is below. Never falls as sizes rise. */
static __always_inline __u64 sample_threshold(__u64 size)
{
	__u64 shift, index, entry, into;

	if (!sample_on || size >> SAMPLE_SIZE_BITS)
		return SAMPLE_ALWAYS;
	/* Sizes below 16 have entries of their own. */
	shift = highest_bit(size | 1 << SAMPLE_SUB_BITS) - SAMPLE_SUB_BITS;
	index = (shift << SAMPLE_SUB_BITS) + (size >> shift);
	OPAQUE(index);
	if (index >= SAMPLE_ENTRIES)
		return SAMPLE_ALWAYS;
	entry = sample_table[index];
	into = size & ((1ULL << shift) - 1);
	return (entry >> SAMPLE_RISE_BITS) + ((entry & ((1ULL << SAMPLE_RISE_BITS) - 1)) * into >> shift);
}

/* How many objects a kept one stands for, in units of 2^-16, rounded to the nearest: 1 << 16 if every one is kept.
 * The same at its allocation and at its free, from the size alone. */
static __always_inline __u64 scaled_count(__u64 size)
{
	__u64 threshold = sample_threshold(size);

	if (!threshold)
		return 0; /* never kept; an empty table */
	return ((1ULL << (32 + SAMPLE_COUNT_BITS)) + threshold / 2) / threshold;
}

/* How many bytes a kept object stands for, rounded to the nearest; `count` is its scaled count. No overflow: where
 * one stands for more than itself, size * count is below 2^53. */
static __always_inline __u64 scaled_bytes(__u64 size, __u64 count)
{
	if (count == 1ULL << SAMPLE_COUNT_BITS)
		return size;
	return (size * count + (1ULL << (SAMPLE_COUNT_BITS - 1))) >> SAMPLE_COUNT_BITS;
}

#ifdef __bpf__
static __always_inline bool sample_keeps(__u64 size)
{
	__u64 threshold = sample_threshold(size);

	return threshold == SAMPLE_ALWAYS || bpf_get_prandom_u32() < threshold;
}
#endif

#endif
