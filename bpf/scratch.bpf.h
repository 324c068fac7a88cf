/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * Working memory for one stack at a time. Several for each CPU: a program may be interrupted, or preempted, by another
 * one there. */
#ifndef DRIP_SCRATCH_BPF_H
#define DRIP_SCRATCH_BPF_H

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* CPUs * DRIP_SCRATCH_PER_CPU, set before the load */
	__type(key, __u32);
	__type(value, struct drip_scratch);
} scratch SEC(".maps");

static __always_inline struct drip_scratch *scratch_claim(void)
{
	__u32 base = bpf_get_smp_processor_id() * DRIP_SCRATCH_PER_CPU;

	for (__u32 i = 0; i < DRIP_SCRATCH_PER_CPU; i++) {
		__u32 index = base + i;
		struct drip_scratch *s = bpf_map_lookup_elem(&scratch, &index);

		if (s && !__sync_val_compare_and_swap(&s->busy, 0, 1))
			return s;
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
