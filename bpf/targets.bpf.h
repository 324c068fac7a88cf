/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * The traced processes: whether each is being counted, and how its functions are. Nothing counts before user space
 * has put every probe of a process in place, so that no object is seen born by one probe and missed by another. */
#ifndef DRIP_TARGETS_BPF_H
#define DRIP_TARGETS_BPF_H

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* set before the load */
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct drip_target);
} targets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* DRIP_FUNCTIONS for each process */
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct drip_trial);
} trials SEC(".maps");

/* One for each process. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct drip_linker);
} linkers SEC(".maps");

/* A process's number is never used again, its place in the maps is: number & process_mask. */
const volatile __u32 process_mask = 0;

/* The process if it is being counted. */
static __always_inline struct drip_target *target_of(__u32 process)
{
	__u32 index = process & process_mask;
	struct drip_target *t = bpf_map_lookup_elem(&targets, &index);

	return t && t->state == DRIP_STATE_ON ? t : NULL;
}

static __always_inline struct drip_linker *linker_of(__u32 process)
{
	__u32 index = process & process_mask;

	return bpf_map_lookup_elem(&linkers, &index);
}

static __always_inline __u32 linker_changes(__u32 process)
{
	struct drip_linker *linker = linker_of(process);

	return linker ? linker->changes : 0;
}

/* Whether libraries come or go that user space has not looked at. A function of its own, and so one result to the
 * verifier. */
__noinline int is_changing(__u32 process)
{
	struct drip_linker *linker = linker_of(process);

	return linker && linker->changes != linker->known;
}

static __always_inline struct drip_trial *trial_of(__u32 process, __u32 function)
{
	__u32 index = (process & process_mask) * DRIP_FUNCTIONS + function;

	return bpf_map_lookup_elem(&trials, &index);
}

#endif
