// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// User-space allocators: entry and return of malloc and its kin, entry of free.
//
// Attaches: uprobes at sites that user space chose by disassembly (Probes), with the operation and the process
//   in the attach cookie. `call` as a session (6.13+), or `call_enter` and `call_leave` as a pair.
// Reads: arguments, the result, the user's stack; posix_memalign's result from the target's memory.
// Writes: the live table, the sites, the status counters.
// Costs: an allocation is recorded when it returns (one entry trap, one return trap), a free when it is entered
//   (one trap); what runs here is about 0.1 us plus the stack walk.
#include "kernel_types.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "abi.h"
#include "compat.bpf.h"
#include "losses.bpf.h"
#include "table.bpf.h"
#include "sites.bpf.h"
#include "inflight.bpf.h"
#include "stack.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u64 epoch_ns = 0; /* births count from here */
const volatile __u64 min_size = 0;
const volatile __u64 max_size = ~0ULL;

static __always_inline __u32 birth_now(void)
{
	return (bpf_ktime_get_ns() - epoch_ns) >> DRIP_BIRTH_SHIFT;
}

/* The site of the call that returns to ctx's ip. Never fails: without room it is DRIP_NO_SITE. */
static __always_inline __u32 call_site(struct pt_regs *ctx, __u32 process)
{
	struct drip_scratch *s = scratch_claim();
	struct drip_process *p = process_image(process);
	__u32 site;

	if (!s || !p) {
		lose(DRIP_LOSS_SCRATCH_BUSY);
		return DRIP_NO_SITE;
	}
	walk(s, p, PT_REGS_IP(ctx), PT_REGS_SP(ctx), PT_REGS_FP(ctx));
	if (s->end == DRIP_END_TRUNCATED)
		lose(DRIP_LOSS_TRUNCATED_STACKS);
	else if (s->end == DRIP_END_UNREADABLE)
		lose(DRIP_LOSS_UNREADABLE_STACKS);
	site = site_of(s, process);
	__sync_lock_test_and_set(&s->busy, 0);
	return site;
}

/* Remembers a call. 0 if its return is wanted, 1 if not. */
static __always_inline int enter(struct pt_regs *ctx)
{
	__u64 cookie = bpf_get_attach_cookie(ctx), owner = bpf_get_current_pid_tgid(), sp = PT_REGS_SP(ctx);
	__u64 size = 0, pointer = 0;
	struct drip_calls *calls = calls_of(owner);
	__u8 op = cookie, zero = 0;
	struct drip_call *call;
	int slot;

	if (!calls || !enabled())
		return 1;
	switch (op) {
	case DRIP_MALLOC:
		size = PT_REGS_PARM1(ctx);
		break;
	case DRIP_CALLOC:
		/* An overflowing product makes the call fail, and a failed call is not counted. */
		size = PT_REGS_PARM1(ctx) * PT_REGS_PARM2(ctx);
		break;
	case DRIP_REALLOC:
		pointer = PT_REGS_PARM1(ctx);
		size = PT_REGS_PARM2(ctx);
		zero = !size;
		break;
	case DRIP_REALLOCARRAY:
		pointer = PT_REGS_PARM1(ctx);
		size = PT_REGS_PARM2(ctx) * PT_REGS_PARM3(ctx);
		zero = !PT_REGS_PARM2(ctx) || !PT_REGS_PARM3(ctx);
		break;
	case DRIP_ALIGNED_ALLOC:
		size = PT_REGS_PARM2(ctx);
		break;
	case DRIP_POSIX_MEMALIGN:
		pointer = PT_REGS_PARM1(ctx);
		size = PT_REGS_PARM3(ctx);
		break;
	default:
		return 1;
	}
	slot = call_find(calls, owner);
	if (slot >= 0) {
		call = &calls->call[slot & (DRIP_CALLS - 1)];
		if (sp <= call->sp)
			return 1; /* an inner call of the allocator itself */
		/* The outer call was left by a longjmp. Its old object, if any, is gone from our sight. */
		lose(DRIP_LOSS_LOST_RETURNS);
		if (call->has_old)
			count_free(call->old_site, call->old_size);
	} else {
		/* Filtered sizes need no return, unless an old object's fate hangs on it. */
		if (!pointer && (size < min_size || size > max_size))
			return 1;
		slot = call_claim(calls, owner);
		if (slot < 0) {
			lose(DRIP_LOSS_INFLIGHT_FULL);
			return 1;
		}
		call = &calls->call[slot & (DRIP_CALLS - 1)];
	}
	call->sp = sp;
	call->size = size;
	call->pointer = pointer;
	call->op = op;
	call->zero_size = zero;
	call->has_old = 0;
	if (pointer && op != DRIP_POSIX_MEMALIGN) {
		/* Out of the table now: once realloc has freed the block, another thread may be given it. */
		struct drip_object old = {};

		if (table_remove(object_key(pointer, cookie >> 8), &old)) {
			call->has_old = 1;
			call->old_size = old.size;
			call->old_site = old.site;
			call->old_birth = old.birth;
		}
	}
	return 0;
}

/* Enters a new object and counts it at its site. */
static __always_inline void record(struct pt_regs *ctx, __u32 process, __u64 address, __u64 size)
{
	struct drip_object object = {.size = size}, stale = {};
	__u64 key = object_key(address, process);

	if (table_remove(key, &stale)) {
		lose(DRIP_LOSS_STALE_ADDRESSES);
		count_free(stale.site, stale.size);
	}
	object.site = call_site(ctx, process);
	object.birth = birth_now();
	if (table_insert(key, &object))
		count_alloc(object.site, size);
	else
		lose(DRIP_LOSS_TABLE_FULL);
}

/* Settles a call when it returns. */
static __always_inline int leave(struct pt_regs *ctx)
{
	__u64 cookie = bpf_get_attach_cookie(ctx), owner = bpf_get_current_pid_tgid();
	__u64 result = PT_REGS_RC(ctx);
	struct drip_calls *calls = calls_of(owner);
	struct drip_object old = {};
	struct drip_call *call;
	__u32 process = cookie >> 8;
	bool has_old, failed;
	__u64 size;
	int slot;

	if (!calls)
		return 0;
	slot = call_find(calls, owner);
	if (slot < 0)
		return 0; /* entered before the attach, or settled by an inner call's return */
	slot &= DRIP_CALLS - 1;
	call = &calls->call[slot];
	if (call->sp + 8 != PT_REGS_SP(ctx))
		return 0; /* the return of an inner call */
	size = call->size;
	has_old = call->has_old;
	old.size = call->old_size;
	old.site = call->old_site;
	old.birth = call->old_birth;
	failed = !result;
	if (call->op == DRIP_POSIX_MEMALIGN) {
		failed = (__u32)result != 0;
		if (!failed && bpf_probe_read_user(&call->pointer, sizeof(call->pointer), (void *)call->pointer)) {
			lose(DRIP_LOSS_UNREADABLE_RESULT);
			failed = true;
		}
		result = call->pointer;
	}
	if (has_old) {
		/* A realloc that fails leaves the old block as it was; one to size 0 frees it. */
		if (failed && !call->zero_size) {
			if (!table_insert(object_key(call->pointer, process), &old)) {
				lose(DRIP_LOSS_TABLE_FULL);
				count_free(old.site, old.size);
			}
		} else {
			count_free(old.site, old.size);
		}
	}
	__sync_lock_test_and_set(&calls->owner[slot], 0);
	if (!failed && size >= min_size && size <= max_size)
		record(ctx, process, result, size);
	return 0;
}

SEC("uprobe")
int call(struct pt_regs *ctx)
{
	if (bpf_session_is_return())
		return leave(ctx);
	return enter(ctx);
}

/* Below 6.13 the return cannot be skipped: it finds no slot and costs its trap. */
SEC("uprobe")
int call_enter(struct pt_regs *ctx)
{
	enter(ctx);
	return 0;
}

SEC("uprobe")
int call_leave(struct pt_regs *ctx)
{
	return leave(ctx);
}

/* realloc(p, 0) calls free(p) itself; the object was taken out when realloc was entered. */
static __always_inline bool is_inner_free(__u64 address)
{
	__u64 owner = bpf_get_current_pid_tgid();
	struct drip_calls *calls = calls_of(owner);
	int slot = calls ? call_find(calls, owner) : -1;

	return slot >= 0 && calls->call[slot & (DRIP_CALLS - 1)].pointer == address;
}

SEC("uprobe")
int free_enter(struct pt_regs *ctx)
{
	__u64 address = PT_REGS_PARM1(ctx);
	struct drip_object object = {};

	if (!address || !enabled())
		return 0;
	if (table_remove(object_key(address, bpf_get_attach_cookie(ctx) >> 8), &object))
		count_free(object.site, object.size);
	else if (!is_inner_free(address))
		lose(DRIP_LOSS_UNMATCHED_FREES);
	return 0;
}
