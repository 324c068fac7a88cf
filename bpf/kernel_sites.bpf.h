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
const volatile __u32 kernel_frames = DRIP_KERNEL_FRAMES;

#if defined(__TARGET_ARCH_x86)
/* Linux 6.2 to 6.14 have it among the hot variables of each CPU, those before and after have it alone. */
extern struct pcpu_hot pcpu_hot __ksym __weak;
extern const int __preempt_count __ksym __weak;
#endif

/* What preempt_count says (include/linux/preempt.h): an NMI, a hard interrupt, or a soft one being served. A lock that
 * keeps soft interrupts away counts by twos above that. */
#define IN_INTERRUPT 0x00ff0100

/* Whether the current task has nothing to do with what is going on. Where the kernel does not tell it has. */
static __always_inline bool is_in_interrupt(void)
{
	__u32 count = 0;

#if defined(__TARGET_ARCH_x86)
	if (&__preempt_count) {
		const int *each = bpf_this_cpu_ptr(&__preempt_count);

		count = *each;
	} else if (&pcpu_hot) {
		struct pcpu_hot *each = bpf_this_cpu_ptr(&pcpu_hot);

		count = BPF_CORE_READ(each, preempt_count);
	}
#else
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();

	count = BPF_CORE_READ(task, thread_info.preempt_count);
#endif
	return count & IN_INTERRUPT;
}

static __always_inline void mix(struct drip_scratch *s, __u64 word)
{
	__u64 hash = s->hash ^ s->hash >> 29 ^ s->hash >> 58, check = s->check ^ s->check >> 32;

	s->hash = hash * 0xF1DE83E19937733DULL ^ word;
	s->check = check * 0xCFEE444D8B59A89BULL - word;
}

/* The identity of the frames in `s`. */
__noinline int mix_frames(struct drip_scratch *s)
{
	if (!s)
		return 0;
	for (__u32 i = 0; i < DRIP_KERNEL_FRAMES && i < s->count; i++)
		mix(s, s->frame[i]);
	return 0;
}

/* Notes once where a site's objects are from. */
static __noinline int note_origin(__u32 site, const struct birth *b, __u64 cgroup, __u32 pid, __u32 caller_only)
{
	struct drip_kernel_origin *o = bpf_map_lookup_elem(&origins, &site);

	if (!o || o->known || site == DRIP_NO_SITE || __sync_val_compare_and_swap(&o->known, 0, 1))
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

/* The site of the frames in `s`, of a process unless it is 0. Gives `s` back. */
static __noinline int site_of_frames(struct drip_scratch *s, const struct birth *b, bool caller_only)
{
	__u64 cgroup = 0;
	__u32 pid = 0, site;

	if (!is_in_interrupt()) {
		pid = bpf_get_current_pid_tgid() >> 32;
		cgroup = bpf_get_current_cgroup_id();
	}
	s->hash = 0xcbf29ce484222325ULL;
	s->check = 0;
	mix(s, b->cache ? b->cache : b->domain);
	/* A caller alone is told of for all processes together. */
	mix(s, caller_only ? 0 : cgroup);
	mix(s, caller_only ? 1 : (__u64)pid << 32);
	mix_frames(s);
	site = site_of(s, 0);
	scratch_release(s);
	note_origin(site, b, cgroup, pid, caller_only);
	return site;
}

/* Walks the kernel's stack. */
static __noinline int site_of_kernel_stack(void *ctx, const struct birth *b)
{
	struct drip_scratch *s = scratch_claim();
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
	struct drip_scratch *s = scratch_claim();

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

/* Never fails: without room it is DRIP_NO_SITE. */
static __always_inline __u32 site_of_birth(void *ctx, const struct birth *b)
{
	struct drip_kernel_caller key = {.address = b->caller, .cache = b->cache ? b->cache : b->domain};
	struct drip_kernel_caller_state *known;

	if (stacks_always || !b->caller)
		return site_of_kernel_stack(ctx, b);
	known = bpf_map_lookup_elem(&callers, &key);
	if (!known)
		return site_of_new_caller(b, &key);
	if (known->armed && !stacks_never)
		return site_of_kernel_stack(ctx, b);
	return known->site;
}

#endif
