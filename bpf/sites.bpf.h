/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * Sites: one slot per distinct stack and process, found by a 64-bit hash of the frames. A new site stores its
 * frames once, whole, in a store of 16-frame blocks. */
#ifndef DRIP_SITES_BPF_H
#define DRIP_SITES_BPF_H

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* a power of two, set before the load */
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct drip_site);
} sites SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct drip_frame_block);
} frames SEC(".maps");

const volatile __u32 site_mask = 0;
const volatile __u32 block_limit = 0;

/* Stores eight blocks of frames from number `from` on, or as many as there are. */
__noinline int store_blocks(struct drip_scratch *s, __u32 first, __u32 from, __u32 blocks)
{
	if (!s || from > DRIP_FRAMES / DRIP_BLOCK_FRAMES - 8)
		return 0;
	for (__u32 i = 0; i < 8 && from + i < blocks; i++) {
		__u32 index = first + from + i;
		struct drip_frame_block *block = bpf_map_lookup_elem(&frames, &index);

		if (!block)
			break;
		bpf_probe_read_kernel(block, sizeof(*block), &s->frame[(from + i) * DRIP_BLOCK_FRAMES]);
	}
	return 0;
}

/* Runs once for a site, on the CPU that claimed its slot. */
static __always_inline void store_frames(struct drip_site *site, struct drip_scratch *s, __u32 process)
{
	struct drip_status *st = the_status();
	__u32 count = s->count, blocks = (count + DRIP_BLOCK_FRAMES - 1) / DRIP_BLOCK_FRAMES;
	__u64 first;

	site->process = process;
	if (!st)
		return;
	first = __sync_fetch_and_add(&st->next_block, blocks);
	if (first + blocks > block_limit) {
		lose(DRIP_LOSS_FRAMES_FULL);
		site->frame_count = 0;
		site->end = DRIP_END_MISSING;
		return;
	}
	for (__u32 i = 0; i < DRIP_FRAMES / DRIP_BLOCK_FRAMES && i < blocks; i += 8)
		store_blocks(s, first, i, blocks);
	site->first_block = first;
	site->frame_count = count;
	/* What the linker had told of by then says what lay at these addresses. Last: a reader takes the frames once this
	 * is set. */
	site->end = s->end | (__u64)linker_changes(process) << 32;
}

/* Tries one slot for the stack in `s`: DRIP_NO_SITE if it is another stack's. A function of its own: the verifier then
 * goes through it once, and not once for each of the slots that are tried. */
__noinline int site_in_slot(struct drip_scratch *s, __u64 hash, __u32 index, __u32 process)
{
	struct drip_site *site;
	__u64 seen, check;

	if (!s || index == DRIP_NO_SITE)
		return DRIP_NO_SITE;
	site = bpf_map_lookup_elem(&sites, &index);
	if (!site)
		return DRIP_NO_SITE;
	check = s->check | 1;
	seen = site->hash;
	if (!seen) {
		struct drip_status *st = the_status();

		seen = __sync_val_compare_and_swap(&site->hash, 0, hash);
		if (!seen) {
			site->check = check;
			store_frames(site, s, process);
			if (st)
				__sync_fetch_and_add(&st->sites, 1);
			return index;
		}
		/* Claimed this moment, and its second hash is not written yet. */
		return seen == hash ? index : DRIP_NO_SITE;
	}
	if (seen != hash)
		return DRIP_NO_SITE;
	/* 0: the CPU that claimed the slot has not written it yet. */
	if (site->check == check || !site->check)
		return index;
	lose(DRIP_LOSS_COLLIDING_SITES);
	return DRIP_NO_SITE;
}

/* Tries eight slots. Loops within loops, each in a function of its own, cost the verifier their sum and not their
 * product. */
__noinline int site_in_slots(struct drip_scratch *s, __u64 hash, __u32 first, __u32 process)
{
	for (__u32 i = 0; i < 8; i++) {
		int site = site_in_slot(s, hash, (first + i) & site_mask, process);

		if (site != DRIP_NO_SITE)
			return site;
	}
	return DRIP_NO_SITE;
}

/* The slot of the stack in `s`; DRIP_NO_SITE when no slot is left. Two stacks with one hash are told apart by the
 * second one, counted, and get a slot each: 128 bits stand between a stack and another's counters. */
__noinline int site_of(struct drip_scratch *s, __u32 process)
{
	__u64 hash;

	if (!s)
		return DRIP_NO_SITE;
	hash = (s->hash ^ process) * 0x9E3779B97F4A7C15ULL;
	hash ^= hash >> 29;
	if (!hash)
		hash = 1;
	for (__u32 i = 0; i < DRIP_SITE_PROBES; i += 8) {
		int site = site_in_slots(s, hash, (__u32)(hash >> 32) + i, process);

		if (site != DRIP_NO_SITE)
			return site;
	}
	lose(DRIP_LOSS_SITES_FULL);
	return DRIP_NO_SITE;
}

/* What one object adds to the counters of its site with sampling: what it stands for. The same when it is born and when
 * it dies, from its size alone. A function of its own: it is needed at five places, and the verifier goes through it once. */
__noinline int count_scaled(__u32 index, __u64 size, __u32 is_free)
{
	struct drip_site *site = bpf_map_lookup_elem(&sites, &index);
	__u64 count, bytes;

	if (!site || !sample_on)
		return 0;
	count = scaled_count(size);
	bytes = scaled_bytes(size, count);
	__sync_fetch_and_add(is_free ? &site->freed_bytes : &site->allocated_bytes, bytes);
	__sync_fetch_and_add(is_free ? &site->frees : &site->allocs, count);
	return 0;
}

static __always_inline void count_alloc(__u32 index, __u64 size)
{
	struct drip_site *site;

	if (sample_on) {
		count_scaled(index, size, false);
		return;
	}
	site = bpf_map_lookup_elem(&sites, &index);
	if (!site)
		return;
	__sync_fetch_and_add(&site->allocated_bytes, size);
	__sync_fetch_and_add(&site->allocs, 1);
}

static __always_inline void count_free(__u32 index, __u64 size)
{
	struct drip_site *site;

	if (sample_on) {
		count_scaled(index, size, true);
		return;
	}
	site = bpf_map_lookup_elem(&sites, &index);
	if (!site)
		return;
	__sync_fetch_and_add(&site->freed_bytes, size);
	__sync_fetch_and_add(&site->frees, 1);
}

#endif
