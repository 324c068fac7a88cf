/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * Mapped memory: the C library's mmap, munmap, mremap and brk. Regions may be unmapped in parts, replaced and moved, so
 * they are kept in user space; the kernel half tells of each call, with the site of its stack, through a ring buffer.
 *
 * Attaches: uprobes on entry and return of those functions, by session or as a pair.
 * Order: memory that goes away is told of when the call is entered, memory that comes when it has returned. So a
 *   mapping can never be told of before the unmapping that made room for it, on whatever CPUs the two run.
 * Costs: some us a call, beside a system call of its own that changes the address space. */
#ifndef DRIP_REGIONS_BPF_H
#define DRIP_REGIONS_BPF_H

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096); /* bytes, set before the load */
} region_events SEC(".maps");

struct region_call {
	__u64 sp;
	__u64 address;
	__u64 length;
	__u64 new_length;
	__u64 op;
};

/* Calls in flight, apart from the allocators': an mmap may well be inside of a malloc. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct region_call);
} region_calls SEC(".maps");

static __always_inline void tell(__u32 process, __u32 op, __u64 address, __u64 length, __u32 site)
{
	struct drip_region_event *e = bpf_ringbuf_reserve(&region_events, sizeof(*e), 0);

	if (!e) {
		lose(DRIP_LOSS_REGION_EVENTS);
		return;
	}
	e->thread = bpf_get_current_pid_tgid();
	e->address = address;
	e->length = length;
	e->birth = birth_now();
	e->site = site;
	e->process = process;
	e->op = op;
	e->reserved = 0;
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
}

static __always_inline int region_enter(struct pt_regs *ctx)
{
	__u64 cookie = bpf_get_attach_cookie(ctx), owner = bpf_get_current_pid_tgid();
	__u32 process = COOKIE_PROCESS(cookie);
	struct region_call call = {
		.sp = PT_REGS_SP(ctx),
		.address = PT_REGS_PARM1(ctx),
		.length = PT_REGS_PARM2(ctx),
		.new_length = PT_REGS_PARM3(ctx),
		.op = COOKIE_OP(cookie),
	};

	if (!target_of(process))
		return 1;
	if (bpf_map_update_elem(&region_calls, &owner, &call, BPF_ANY)) {
		lose(DRIP_LOSS_REGION_EVENTS);
		return 1;
	}
	if (call.op == DRIP_MUNMAP || (call.op == DRIP_MREMAP && call.length))
		tell(process, DRIP_REGION_GONE, call.address, call.length, DRIP_NO_SITE);
	return 0;
}

static __always_inline int region_leave(struct pt_regs *ctx)
{
	__u64 cookie = bpf_get_attach_cookie(ctx), owner = bpf_get_current_pid_tgid(), result = PT_REGS_RC(ctx);
	struct region_call *known = bpf_map_lookup_elem(&region_calls, &owner), call;
	__u32 process = COOKIE_PROCESS(cookie), site = DRIP_NO_SITE;

	if (!known)
		return 0;
	call = *known;
	if (call.sp + 8 != PT_REGS_SP(ctx))
		return 0;
	bpf_map_delete_elem(&region_calls, &owner);
	/* In one place, for the verifier goes through it each time. */
	if (call.op == DRIP_BRK ? !result : call.op != DRIP_MUNMAP && result != ~0ULL)
		site = site_at_trap(ctx, process);
	switch (call.op) {
	case DRIP_MMAP:
		if (result != ~0ULL)
			tell(process, DRIP_REGION_MAPPED, result, call.length, site);
		break;
	case DRIP_MUNMAP:
		if (result)
			tell(process, DRIP_REGION_STAYED, call.address, call.length, DRIP_NO_SITE);
		break;
	case DRIP_MREMAP:
		if (result != ~0ULL)
			tell(process, DRIP_REGION_MAPPED, result, call.new_length, site);
		else if (call.length)
			tell(process, DRIP_REGION_STAYED, call.address, call.length, DRIP_NO_SITE);
		break;
	case DRIP_BRK:
		if (!result)
			tell(process, DRIP_REGION_BREAK, call.address, 0, site);
		break;
	}
	return 0;
}

SEC("uprobe")
int region(struct pt_regs *ctx)
{
	if (bpf_session_is_return())
		return region_leave(ctx);
	return region_enter(ctx);
}

SEC("uprobe")
int region_entered(struct pt_regs *ctx)
{
	region_enter(ctx);
	return 0;
}

SEC("uprobe")
int region_left(struct pt_regs *ctx)
{
	return region_leave(ctx);
}

#endif
