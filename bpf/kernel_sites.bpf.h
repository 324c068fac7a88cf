/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * From an allocation of the kernel's to its site. Cheap first: a caller is known by its address and its cache, and no
 * stack is walked; whole stacks are taken of callers that user space has armed, because they grow. */
#ifndef DRIP_KERNEL_SITES_BPF_H
#define DRIP_KERNEL_SITES_BPF_H

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, DRIP_KERNEL_CALLERS);
	__type(key, struct drip_kernel_caller);
	__type(value, struct drip_kernel_caller_state);
} callers SEC(".maps");

/* Beside `sites`, as many. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct drip_kernel_origin);
} origins SEC(".maps");

/* All that is known of an allocation. */
struct birth {
	__u64 address;
	__u64 size;
	__u64 caller; /* 0: not known without a walk */
	__u64 cache;
	__u32 flags;
	__u32 bucket_bytes;
	__u32 domain;
};

const volatile __u32 stacks_always = 0;
const volatile __u32 stacks_never = 0;
/* Each process has sites of its own. Otherwise one leak of many short-lived processes is one site. */
const volatile __u32 per_process = 0;
const volatile __u32 kernel_frames = DRIP_KERNEL_FRAMES;

/* The functions in which the kernel serves interrupts, hard and soft: what is done there has nothing to do with the task
 * that happens to run. Where they stand is read from /proc/kallsyms; preempt_count, which tells it too, can be read by no
 * program on kernels without CONFIG_KALLSYMS_ALL. Unused ones are empty. */
const volatile struct drip_kernel_range interrupts[DRIP_KERNEL_INTERRUPTS] = {};

/* What site_of_birth returns for an allocation that belongs to nobody who is watched. */
#define NOT_WANTED 0xffffffff

/* Whether only some thread groups are watched. */
const volatile __u32 groups_on = 0;

static __always_inline bool is_interrupt(__u64 address)
{
	bool inside = false;

	for (int i = 0; i < DRIP_KERNEL_INTERRUPTS; i++)
		inside |= address >= interrupts[i].begin && address < interrupts[i].end;
	return inside;
}

static __always_inline void mix(struct drip_scratch *s, __u64 word)
{
	__u64 hash = s->hash ^ s->hash >> 29 ^ s->hash >> 58, check = s->check ^ s->check >> 32;

	s->hash = hash * 0xF1DE83E19937733DULL ^ word;
	s->check = check * 0xCFEE444D8B59A89BULL - word;
}

/* Eight frames from number `from` on. A function of its own: the verifier goes through it once. */
__noinline int mix_eight(struct drip_scratch *s, __u32 from)
{
	__u32 inside = 0;

	if (!s || from > DRIP_KERNEL_FRAMES)
		return 0;
	for (__u32 i = from; i < from + 8 && i < s->count; i++) {
		mix(s, s->frame[i & (DRIP_FRAMES - 1)]);
		inside |= is_interrupt(s->frame[i & (DRIP_FRAMES - 1)]);
	}
	return inside;
}

/* The identity of the frames in `s`. Whether they are an interrupt's. */
__noinline int mix_frames(struct drip_scratch *s)
{
	__u32 inside = 0;

	if (!s)
		return 0;
	for (__u32 i = 0; i < DRIP_KERNEL_FRAMES && i < s->count; i += 8)
		inside |= mix_eight(s, i);
	return inside;
}

/* Notes once where a site's objects are from. */
static __noinline int note_origin(__u32 site, const struct birth *b, __u64 cgroup, __u32 pid, __u32 caller_only)
{
	struct drip_kernel_origin *o = bpf_map_lookup_elem(&origins, &site);

	if (!o || site == DRIP_NO_SITE)
		return 0;
	if (o->known == 2 && o->pid != pid && !o->mixed)
		o->mixed = 1;
	if (o->known || __sync_val_compare_and_swap(&o->known, 0, 1))
		return 0;
	o->cache = b->cache;
	o->cgroup = cgroup;
	o->caller = b->caller;
	o->pid = pid;
	o->flags = b->flags;
	o->bucket_bytes = b->bucket_bytes;
	o->domain = b->domain;
	o->caller_only = caller_only;
	if (pid)
		bpf_get_current_comm(o->command, sizeof(o->command));
	if (b->cache) {
		struct kmem_cache *cache = (struct kmem_cache *)b->cache;

		bpf_probe_read_kernel_str(o->cache_name, sizeof(o->cache_name), BPF_CORE_READ(cache, name));
	}
	o->known = 2;
	return 0;
}

/* The site of the frames in `s`, of the current process unless they are an interrupt's. Gives `s` back. */
static __noinline int site_of_frames(struct drip_scratch *s, const struct birth *b, bool caller_only)
{
	__u64 cgroup = bpf_get_current_cgroup_id();
	__u32 pid = bpf_get_current_pid_tgid() >> 32, site;

	s->hash = 0xcbf29ce484222325ULL;
	s->check = 0;
	mix(s, b->cache ? b->cache : b->domain);
	if (mix_frames(s)) {
		pid = 0;
		cgroup = 0;
		if (groups_on) {
			scratch_release(s);
			return NOT_WANTED;
		}
	}
	if (caller_only)
		mix(s, 1);
	else if (per_process || groups_on)
		mix(s, (__u64)pid << 32);
	site = site_of(s, 0);
	scratch_release(s);
	note_origin(site, b, cgroup, pid, caller_only);
	return site;
}

/* Walks the kernel's stack. */
static __noinline int site_of_kernel_stack(void *ctx, const struct birth *b)
{
	struct drip_scratch *s = scratch_claim(0);
	__u32 most = kernel_frames;
	long bytes;

	if (!s) {
		lose(DRIP_LOSS_SCRATCH_BUSY);
		return DRIP_NO_SITE;
	}
	if (most > DRIP_KERNEL_FRAMES)
		most = DRIP_KERNEL_FRAMES;
	bytes = bpf_get_stack(ctx, s->frame, most * 8, 0);
	if (bytes <= 0) {
		scratch_release(s);
		lose(DRIP_LOSS_UNREADABLE_STACKS);
		return DRIP_NO_SITE;
	}
	s->count = bytes >> 3;
	s->end = DRIP_END_COMPLETE;
	if (s->count >= most) {
		s->end = DRIP_END_TRUNCATED;
		lose(DRIP_LOSS_TRUNCATED_STACKS);
	}
	return site_of_frames(s, b, false);
}

/* The site of a caller alone, which is met for the first time. */
static __noinline int site_of_new_caller(const struct birth *b, const struct drip_kernel_caller *key)
{
	struct drip_kernel_caller_state state = {};
	struct drip_scratch *s = scratch_claim(0);

	if (!s) {
		lose(DRIP_LOSS_SCRATCH_BUSY);
		return DRIP_NO_SITE;
	}
	s->frame[0] = b->caller;
	s->count = 1;
	s->end = DRIP_END_COMPLETE;
	state.site = site_of_frames(s, b, true);
	/* It may be there already, by another CPU, with the same site; or find no room, and cost this again. */
	if (state.site != DRIP_NO_SITE)
		bpf_map_update_elem(&callers, key, &state, BPF_NOEXIST);
	return state.site;
}

/* Never fails: without room it is DRIP_NO_SITE. NOT_WANTED if nobody who is watched has to do with it. */
static __always_inline __u32 site_of_birth(void *ctx, const struct birth *b)
{
	struct drip_kernel_caller key = {.address = b->caller, .cache = b->cache ? b->cache : b->domain};
	struct drip_kernel_caller_state *known;

	/* Whose it is tells the stack. */
	if (stacks_always || groups_on || !b->caller)
		return site_of_kernel_stack(ctx, b);
	known = bpf_map_lookup_elem(&callers, &key);
	if (!known)
		return site_of_new_caller(b, &key);
	if (known->armed && !stacks_never)
		return site_of_kernel_stack(ctx, b);
	return known->site;
}

#endif
