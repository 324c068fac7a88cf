/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * Working memory for one stack at a time. Several for each CPU: a program may be interrupted, or preempted, by another
 * one there. */
#ifndef DRIP_SCRATCH_BPF_H
#define DRIP_SCRATCH_BPF_H

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* CPUs * DRIP_SCRATCH_PER_CPU, set before the load */
	__uint(map_flags, BPF_F_MMAPABLE); /* so that it begins with a page, and where in a page a window lies is known */
	__type(key, __u32);
	__type(value, struct drip_scratch);
} scratch SEC(".maps");

/* Where in its page the window of a piece of working memory lies. */
#define WINDOW_IN_PAGE(index) \
	(((index) * sizeof(struct drip_scratch) + __builtin_offsetof(struct drip_scratch, window)) & (DRIP_PAGE_BYTES - 1))

/* Whether the place `to` of a page lies so little above another page's `from` that processors which tell loads from
 * stores by these bits alone copy byte after byte: 1 or 0, without a branch. On AMD's Zen 3 "rep movsb", which is how the
 * kernel reads users' memory there, takes 0.5 ns a byte then, and 0.02 elsewhere: 1.3 us for one stack of 2.4 KiB. */
static __always_inline __u32 copies_slowly(__u64 to, __u64 from)
{
	__u64 above = (to - from - 1) & (DRIP_PAGE_BYTES - 1);

	return (above - (DRIP_CACHE_LINE - 1)) >> 63;
}

/* For what stands at `from` in the user's memory, or 0. */
static __always_inline struct drip_scratch *scratch_claim(__u64 from)
{
	__u32 base = bpf_get_smp_processor_id() * DRIP_SCRATCH_PER_CPU;

	/* The next one's window lies elsewhere. Those after it serve programs that interrupt, however slowly. */
	base += copies_slowly(WINDOW_IN_PAGE(base), from);
	OPAQUE(base);
	for (__u32 i = 0; i < DRIP_SCRATCH_PER_CPU - 1; i++) {
		__u32 index = base + i;
		struct drip_scratch *s = bpf_map_lookup_elem(&scratch, &index);

		if (s && !__sync_val_compare_and_swap(&s->busy, 0, 1)) {
			s->window_in_page = WINDOW_IN_PAGE(index);
			return s;
		}
	}
	return NULL;
}

static __always_inline void scratch_release(struct drip_scratch *s)
{
#ifdef __TARGET_ARCH_x86
	/* Stores are seen in their order there: no locked instruction is needed to give something back. */
	__asm__ volatile("" ::: "memory");
	*(volatile __u32 *)&s->busy = 0;
#else
	__sync_lock_test_and_set(&s->busy, 0);
#endif
}

#endif
