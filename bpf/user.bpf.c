// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// User-space allocators: entry and return of malloc and its kin, entry of free, and sites inside of them that tell
// result and size in one trap.
//
// Attaches: uprobes at sites that user space chose by disassembly (Probes), with the operation, the process and the
//   function in the attach cookie. `call` as a session (6.13+), or `call_enter` and `call_leave` as a pair; `inside`
//   at one-trap sites.
// Reads: arguments, results, the user's stack; posix_memalign's result from the target's memory.
// Writes: the live table, the sites, calls in flight, trials, the status counters.
// Costs: an allocation is recorded when it returns (an entry trap and a return trap, or one trap inside), a free
//   when it is entered (one trap); what runs here is about 0.3 us of that for an allocation and 0.05 us for a free.
#include "kernel_types.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "abi.h"
#include "compat.bpf.h"
#include "losses.bpf.h"
#include "targets.bpf.h"
#include "table.bpf.h"
#include "sampling.bpf.h"
#include "sites.bpf.h"
#include "inflight.bpf.h"
#include "python.bpf.h"
#include "cache.bpf.h"
#include "machine.bpf.h"
#include "scratch.bpf.h"
#include "stack.bpf.h"
#include "memo.bpf.h"
#include "check.bpf.h"
#include "birth.bpf.h"
#include "record.bpf.h"
#include "lifecycle.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define COOKIE_OP(cookie) ((__u8)(cookie))
#define COOKIE_PROCESS(cookie) ((__u32)(cookie) >> 8 & 0xffff)
#define COOKIE_FUNCTION(cookie) ((__u32)(cookie) >> 24)

#include "linker.bpf.h"
#include "regions.bpf.h"

/* Takes a realloc's old object out of the table, now: once realloc has freed the block, another thread may be given it. A
 * function of its own: few calls have one, and the verifier goes through it once. */
__noinline int take_old(struct drip_call *call, __u64 key)
{
	struct drip_object old = {};

	if (!call || !table_remove(key, &old))
		return false;
	call->has_old = 1;
	call->old_size = old.size;
	call->old_site = old.site;
	call->old_birth = old.birth;
	return true;
}

/* Remembers a call. 0 if its return is wanted, 1 if not. */
static __always_inline int enter(struct pt_regs *ctx)
{
	__u64 cookie = bpf_get_attach_cookie(ctx), owner = bpf_get_current_pid_tgid(), sp = PT_REGS_SP(ctx);
	__u64 size = 0, pointer = 0;
	__u32 process = COOKIE_PROCESS(cookie), function = COOKIE_FUNCTION(cookie);
	struct drip_calls *calls = calls_of(owner);
	struct drip_target *t = target_of(process);
	__u8 op = COOKIE_OP(cookie), zero = 0;
	struct drip_call *call;
	int slot;

	if (!calls || !t)
		return 1;
	if (function < DRIP_FUNCTIONS && t->one_trap >> function & 1)
		return 1; /* its inner sites tell; this probe is about to go */
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
	slot = call_slot(calls, owner);
	OPAQUE(slot);
	if (slot >= 0) {
		call = &calls->call[slot & (DRIP_CALLS - 1)];
		if (call->op != DRIP_REMEMBERED) {
			if (sp <= call->sp) {
				call->nested = 1;
				return 1; /* an inner call of the allocator itself */
			}
			/* The outer call was left by a longjmp. Its old object, if any, is gone from our sight. */
			lose(DRIP_LOSS_LOST_RETURNS);
			if (call->has_old)
				count_free(call->old_site, call->old_size);
		}
	} else {
		/* Filtered sizes need no return, unless an old object's fate hangs on it. */
		if (!pointer && !wanted(size))
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
	call->function = function;
	call->hits = 0;
	call->told = 0;
	call->nested = 0;
	call->wrong = 0;
	if (pointer && op != DRIP_POSIX_MEMALIGN)
		take_old(call, object_key(pointer, process));
	return 0;
}

/* Of drip_call.wrong. */
#define CALL_CONTRADICTED 1
#define CALL_UNSEEN 2 /* an inner site was passed and could not look: the call proves nothing */

/* Compares what inner sites told during a call with how it ended. */
static __always_inline void judge(struct drip_call *call, __u32 process, __u64 result)
{
	struct drip_trial *trial = trial_of(process, call->function);
	bool agrees = !call->wrong;

	if (!trial || call->wrong & CALL_UNSEEN)
		return;
	if (call->nested)
		__sync_fetch_and_add(&trial->nested, 1);
	/* A call that fails may pass a site with a null result, or none. */
	agrees = agrees && (result ? call->hits == 1 && call->seen == result : !call->hits || !call->seen);
	__sync_fetch_and_add(agrees ? &trial->agreed : &trial->disagreed, 1);
}

/* What becomes of a realloc's old object when it returns: back into the table, or freed. A function of its own: few
 * calls have one, and the verifier goes through it once. */
__noinline int settle_old(__u64 key, __u64 size, __u32 site, __u32 birth, bool failed)
{
	struct drip_object old = {.size = size, .site = site, .birth = birth};

	if (failed) {
		if (table_insert(key, &old))
			return 0;
		lose(DRIP_LOSS_TABLE_FULL);
	}
	count_free(site, size);
	return 0;
}

/* Settles a call when it returns. */
static __always_inline int leave(struct pt_regs *ctx)
{
	__u64 cookie = bpf_get_attach_cookie(ctx), owner = bpf_get_current_pid_tgid();
	__u64 result = PT_REGS_RC(ctx);
	struct drip_calls *calls = calls_of(owner);
	struct drip_object old = {};
	struct drip_call *call;
	__u32 process = COOKIE_PROCESS(cookie);
	bool has_old, failed;
	__u64 size;
	int slot;

	if (!calls)
		return 0;
	slot = call_slot(calls, owner);
	OPAQUE(slot);
	if (slot < 0)
		return 0; /* entered before the attach, or settled by an inner call's return */
	slot &= DRIP_CALLS - 1;
	call = &calls->call[slot];
	if (call->sp + 8 != PT_REGS_SP(ctx) || call->op == DRIP_REMEMBERED)
		return 0; /* the return of an inner call */
	if (call->function < DRIP_FUNCTIONS)
		judge(call, process, result);
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
	/* A realloc that fails leaves the old block as it was; one to size 0 frees it. */
	if (has_old)
		settle_old(object_key(call->pointer, process), old.size, old.site, old.birth, failed && !call->zero_size);
	call_release(calls, slot);
	if (failed || !chosen(size))
		return 0;
	record(scratch_at_trap(ctx), process, result, size);
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
	int slot = calls ? call_slot(calls, owner) : -1;

	OPAQUE(slot);
	return slot >= 0 && calls->call[slot & (DRIP_CALLS - 1)].pointer == address;
}

SEC("uprobe")
int free_enter(struct pt_regs *ctx)
{
	__u64 address = PT_REGS_PARM1(ctx), cookie;
	struct drip_object object = {};
	__u32 process;

	if (!address)
		return 0;
	cookie = bpf_get_attach_cookie(ctx);
	process = COOKIE_PROCESS(cookie);
	if (!target_of(process))
		return 0;
	if (table_remove(object_key(address, process), &object))
		count_free(object.site, object.size);
	else if (!sample_on && !is_inner_free(address))
		lose(DRIP_LOSS_UNMATCHED_FREES);
	return 0;
}

/* A value of a USDT probe. 0 if it cannot be read. */
static __always_inline __u64 usdt_value(struct pt_regs *ctx, __u64 spec)
{
	__u64 value = register_of(ctx, spec & 15);
	__s64 displacement = (__s64)(spec << (52 - DRIP_USDT_DISPLACEMENT)) >> 52;

	if (spec >> DRIP_USDT_MEMORY & 1) {
		__u64 address = value + displacement;

		value = 0;
		if (bpf_probe_read_user(&value, sizeof(value), (void *)address))
			return 0;
	}
	return spec >> DRIP_USDT_SHORT & 1 ? (__u32)value : value;
}

/* otel_memory:alloc(pointer, size, weighted_bytes): the program has a sampler of its own, and this block stands for
 * so many bytes. */
SEC("uprobe")
int usdt_alloc(struct pt_regs *ctx)
{
	__u64 cookie = bpf_get_attach_cookie(ctx);
	__u64 pointer = usdt_value(ctx, cookie >> DRIP_USDT_POINTER);
	__u64 weight = usdt_value(ctx, cookie >> DRIP_USDT_WEIGHT);
	__u32 process = COOKIE_PROCESS(cookie);

	if (!pointer || !target_of(process))
		return 0;
	record(scratch_at_trap(ctx), process, pointer, weight);
	return 0;
}

SEC("uprobe")
int usdt_free(struct pt_regs *ctx)
{
	__u64 cookie = bpf_get_attach_cookie(ctx);
	__u64 pointer = usdt_value(ctx, cookie >> DRIP_USDT_POINTER);
	struct drip_object object = {};
	__u32 process = COOKIE_PROCESS(cookie);

	if (!pointer || !target_of(process))
		return 0;
	if (table_remove(object_key(pointer, process), &object))
		count_free(object.site, object.size);
	else
		lose(DRIP_LOSS_UNMATCHED_FREES);
	return 0;
}

#define INNER(cookie, field, bits) ((cookie) >> (field) & ((1 << (bits)) - 1))

/* A site inside of a function whose entry is still probed: what it tells is compared, not counted. */
static __always_inline void on_trial(struct drip_call *call, __u32 role, __u64 size, __u64 result)
{
	if (role != DRIP_ROLE_SETTLE) {
		if (size != call->size)
			call->wrong |= CALL_CONTRADICTED;
		call->told = 1;
	} else if (!call->told) {
		call->wrong |= CALL_CONTRADICTED;
	}
	if (role != DRIP_ROLE_REMEMBER) {
		call->seen = result;
		if (call->hits < 2)
			call->hits += 1;
	}
}

/* Keeps the size of a call for a later site of it, unless the thread has a call in flight. */
static __always_inline void remember(struct drip_calls *calls, __u64 owner, __u64 size, __u64 return_at)
{
	int slot = call_slot(calls, owner);
	struct drip_call *call;
	bool is_new = slot < 0;

	if (is_new)
		slot = call_claim(calls, owner);
	OPAQUE(slot);
	if (slot < 0)
		return; /* the settling site finds nothing and counts the loss */
	call = &calls->call[slot & (DRIP_CALLS - 1)];
	if (!is_new && call->op != DRIP_REMEMBERED)
		return;
	call->op = DRIP_REMEMBERED;
	call->pointer = 0;
	call->size = size;
	call->sp = return_at;
}

/* An inner site could not read its own stack: the page is away for a moment, while the kernel moves it. */
__noinline int blind(struct drip_calls *calls, __u64 owner, __u32 role)
{
	int slot;

	if (!calls)
		return 0;
	slot = call_slot(calls, owner);
	OPAQUE(slot);
	if (slot >= 0 && slot < DRIP_CALLS && calls->call[slot].op != DRIP_REMEMBERED)
		calls->call[slot].wrong |= CALL_UNSEEN;
	else if (role != DRIP_ROLE_REMEMBER)
		lose(DRIP_LOSS_UNREADABLE_RESULT);
	return 0;
}

SEC("uprobe")
int inside(struct pt_regs *ctx)
{
	__u64 cookie = bpf_get_attach_cookie(ctx), owner = DRIP_NOBODY, size = 0, result = 0, return_at, unsure;
	__u32 role = INNER(cookie, DRIP_INNER_ROLE, 2), edge = INNER(cookie, DRIP_INNER_EDGE, 2);
	__u32 process = INNER(cookie, DRIP_INNER_PROCESS, 16), function = INNER(cookie, DRIP_INNER_FUNCTION, 8);
	__u32 frame = INNER(cookie, DRIP_INNER_FRAME, 8);
	__u64 sp = PT_REGS_SP(ctx);
	struct drip_target *t = target_of(process);
	struct drip_calls *calls;
	struct drip_scratch *s;
	struct drip_call *call = NULL;
	int slot;

	if (!t || function >= DRIP_FUNCTIONS)
		return 0;
	if (edge && condition_holds(FLAGS(ctx), INNER(cookie, DRIP_INNER_CONDITION, 4)) != (edge == 2))
		return 0;
	/* A site that tells all by itself need not know whose call this is, unless some call is in flight. One condition, of
	 * which the verifier learns nothing: it would go both ways to the end. */
	unsure = (role ^ DRIP_ROLE_RECORD) | *(volatile __u64 *)&taken.count;
	OPAQUE(unsure);
	if (unsure)
		owner = bpf_get_current_pid_tgid();
	FORGET(owner);
	calls = calls_of(owner);
	if (!calls)
		return 0;
	OPAQUE(sp);
	return_at = sp + frame * 8 - 8;
	if (role == DRIP_ROLE_LEAVE) {
		slot = call_slot(calls, owner);
		OPAQUE(slot);
		if (slot < 0)
			return 0;
		call = &calls->call[slot & (DRIP_CALLS - 1)];
		if (call->op != DRIP_REMEMBERED || call->sp != return_at)
			return 0;
		role = DRIP_ROLE_SETTLE;
		call = NULL;
	}
	s = scratch_claim(sp);
	if (!s) {
		lose(DRIP_LOSS_INFLIGHT_FULL);
		return 0;
	}
	/* A site that only remembers needs the stack no further than its own frame. */
	if (window_open(s, sp, frame)) {
		blind(calls, owner, role);
		goto out;
	}
	if (role != DRIP_ROLE_SETTLE)
		size = value_at(ctx, s, INNER(cookie, DRIP_INNER_SIZE, 6));
	if (role != DRIP_ROLE_REMEMBER)
		result = value_at(ctx, s, INNER(cookie, DRIP_INNER_RESULT, 6));
	slot = call_slot(calls, owner);
	OPAQUE(slot);
	if (slot >= 0) {
		slot &= DRIP_CALLS - 1;
		call = &calls->call[slot];
		if (call->op != DRIP_REMEMBERED) {
			/* The call itself was seen to be entered and is counted at its return, or it is an inner call
			 * of another one that is. */
			if (call->function == function && call->sp == return_at)
				on_trial(call, role, size, result);
			else
				call->nested = 1;
			goto out;
		}
	}
	if (!(t->one_trap >> function & 1))
		goto out;
	if (role == DRIP_ROLE_REMEMBER) {
		remember(calls, owner, size, return_at);
		goto out;
	}
	if (role == DRIP_ROLE_SETTLE) {
		if (!call || call->sp != return_at) {
			lose(DRIP_LOSS_LOST_RETURNS);
			goto out;
		}
		size = call->size;
	}
	frame -= 1;
	OPAQUE(frame);
	if (frame >= 256)
		goto out;
	s->start_pc = s->window[frame];
	if (call)
		call_release(calls, slot);
	if (!result || !chosen(size))
		goto out;
	s->start_sp = return_at + 8;
	s->start_fp = value_at(ctx, s, INNER(cookie, DRIP_INNER_FP, 6));
	record(s, process, result, size);
	return 0;
out:
	scratch_release(s);
	return 0;
}
