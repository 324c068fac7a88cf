/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * One named counter for each way to lose an event. Rare by nature, so shared and atomic. */
#ifndef DRIP_LOSSES_BPF_H
#define DRIP_LOSSES_BPF_H

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct drip_status);
} status SEC(".maps");

static __always_inline struct drip_status *the_status(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&status, &zero);
}

static __always_inline void lose(enum drip_loss kind)
{
	struct drip_status *s = the_status();

	if (s)
		__sync_fetch_and_add(&s->losses[kind], 1);
}

#endif
