/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * When an object is born, and whether its size is wanted. */
#ifndef DRIP_BIRTH_BPF_H
#define DRIP_BIRTH_BPF_H

const volatile __u64 epoch_ns = 0; /* births count from here */
const volatile __u64 min_size = 0;
const volatile __u64 max_size = ~0ULL;

/* The last birth that was told, above the low half of the jiffies at which it was. */
volatile __u64 birth_clock = 0;

/* The time in units of births. The clock is asked once a jiffy, which is as fine as ages need be: asking it costs as
 * much as half of all else that recording does. */
static __always_inline __u32 birth_now(void)
{
	__u64 known = birth_clock, birth;
	__u32 jiffy = bpf_jiffies64();

	if ((__u32)known == jiffy)
		return known >> 32;
	birth = (bpf_ktime_get_ns() - epoch_ns) >> DRIP_BIRTH_SHIFT;
	birth_clock = birth << 32 | jiffy;
	return birth;
}

static __always_inline bool wanted(__u64 size)
{
	return size >= min_size && size <= max_size;
}

#endif
