/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * The baseline of the benchmarks: allocation probes the obvious way, as bcc's memleak and its relatives
 * set them. A uprobe on the first instruction of every allocation function, a uretprobe on its return, a
 * uprobe on the first instruction of free; the size waits in a hash by thread, the live allocations are a
 * hash by address, the stacks come from bpf_get_stackid, the totals are a hash by stack. Nothing here is
 * made slow on purpose, and nothing is made fast. */
#include <linux/bpf.h>
#include <linux/types.h>

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long di, si, dx, cx, r8, ax, sp, ip, bp;
} __attribute__((preserve_access_index));
#elif defined(__TARGET_ARCH_arm64)
struct user_pt_regs {
	__u64 regs[31];
	__u64 sp;
	__u64 pc;
	__u64 pstate;
} __attribute__((preserve_access_index));
struct pt_regs;
#endif

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define STACK_DEPTH 127

struct allocation {
	__u64 size;
	__u64 time;
	__s32 stack;
	__u32 unused;
};

struct total {
	__u64 bytes;
	__u64 objects;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, __u32);
	__type(value, __u64);
} pending_sizes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, __u32);
	__type(value, __u64);
} pending_results SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1000000);
	__type(key, __u64);
	__type(value, struct allocation);
} allocations SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct total);
} totals SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 16384);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, STACK_DEPTH * sizeof(__u64));
} stacks SEC(".maps");

static __always_inline __u32 thread_id(void)
{
	return (__u32)bpf_get_current_pid_tgid();
}

static __always_inline int enter(__u64 size)
{
	__u32 thread = thread_id();

	bpf_map_update_elem(&pending_sizes, &thread, &size, BPF_ANY);
	return 0;
}

static __always_inline int leave(void *context, __u64 address)
{
	__u32 thread = thread_id();
	__u64 *size = bpf_map_lookup_elem(&pending_sizes, &thread);
	struct allocation allocation = {};

	if (!size)
		return 0;
	allocation.size = *size;
	bpf_map_delete_elem(&pending_sizes, &thread);
	if (!address)
		return 0;

	allocation.time = bpf_ktime_get_ns();
	allocation.stack = bpf_get_stackid(context, &stacks, BPF_F_USER_STACK);
	bpf_map_update_elem(&allocations, &address, &allocation, BPF_ANY);
	if (allocation.stack < 0)
		return 0;

	__u32 stack = allocation.stack;
	struct total *total = bpf_map_lookup_elem(&totals, &stack);
	if (!total) {
		struct total zero = {};

		bpf_map_update_elem(&totals, &stack, &zero, BPF_NOEXIST);
		total = bpf_map_lookup_elem(&totals, &stack);
		if (!total)
			return 0;
	}
	__sync_fetch_and_add(&total->bytes, allocation.size);
	__sync_fetch_and_add(&total->objects, 1);
	return 0;
}

static __always_inline int release(__u64 address)
{
	struct allocation *found = bpf_map_lookup_elem(&allocations, &address);

	if (!found)
		return 0;

	__u64 size = found->size;
	__s32 stack = found->stack;

	bpf_map_delete_elem(&allocations, &address);
	if (stack < 0)
		return 0;

	struct total *total = bpf_map_lookup_elem(&totals, &stack);

	if (!total)
		return 0;
	__sync_fetch_and_add(&total->bytes, -size);
	__sync_fetch_and_add(&total->objects, -1);
	return 0;
}

/* malloc, valloc, pvalloc */
SEC("uprobe")
int enter_size_first(struct pt_regs *context)
{
	return enter(PT_REGS_PARM1(context));
}

/* aligned_alloc, memalign */
SEC("uprobe")
int enter_size_second(struct pt_regs *context)
{
	return enter(PT_REGS_PARM2(context));
}

SEC("uprobe")
int enter_calloc(struct pt_regs *context)
{
	return enter(PT_REGS_PARM1(context) * PT_REGS_PARM2(context));
}

SEC("uprobe")
int enter_realloc(struct pt_regs *context)
{
	release(PT_REGS_PARM1(context));
	return enter(PT_REGS_PARM2(context));
}

SEC("uprobe")
int enter_posix_memalign(struct pt_regs *context)
{
	__u32 thread = thread_id();
	__u64 result = PT_REGS_PARM1(context);

	bpf_map_update_elem(&pending_results, &thread, &result, BPF_ANY);
	return enter(PT_REGS_PARM3(context));
}

SEC("uretprobe")
int leave_pointer(struct pt_regs *context)
{
	return leave(context, PT_REGS_RC(context));
}

SEC("uretprobe")
int leave_posix_memalign(struct pt_regs *context)
{
	__u32 thread = thread_id();
	__u64 *result = bpf_map_lookup_elem(&pending_results, &thread);
	void *address = 0;

	if (!result)
		return 0;
	bpf_probe_read_user(&address, sizeof(address), (void *)*result);
	bpf_map_delete_elem(&pending_results, &thread);
	return leave(context, (__u64)address);
}

SEC("uprobe")
int enter_free(struct pt_regs *context)
{
	return release(PT_REGS_PARM1(context));
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
