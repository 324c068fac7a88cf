/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * Probes of the functions that allocate and free. Where their arguments stand is in the cookie, for names and arguments
 * change from kernel to kernel and user space reads them from its BTF. */
#ifndef DRIP_KERNEL_FUNCTIONS_BPF_H
#define DRIP_KERNEL_FUNCTIONS_BPF_H

#define ARG(cookie, place) ((__u32)((cookie) >> (place)) & 15)
#define OP(cookie) ((__u8)(cookie))
#define DOMAIN(cookie) ((__u32)((cookie) >> DRIP_KERNEL_DOMAIN) & 15)

/* All are read and one is chosen: in a switch the compiler would compute an address within the context, which the
 * verifier does not allow. */
static __noinline __u64 register_argument(struct pt_regs *ctx, __u32 number)
{
	volatile __u64 argument[8] = {
		PT_REGS_PARM1(ctx), PT_REGS_PARM2(ctx), PT_REGS_PARM3(ctx), PT_REGS_PARM4(ctx), PT_REGS_PARM5(ctx),
#if defined(__TARGET_ARCH_x86)
		ctx->r9,
#else
		__PT_REGS_CAST(ctx)->regs[5],
#endif
	};

	return argument[number & 7];
}

/* Where the return address of the function that is being entered, or was just left, stands. On arm64 it is in a register,
 * and the stack pointer is the same at both ends. */
#if defined(__TARGET_ARCH_x86)
#define ENTRY_SLOT(ctx) PT_REGS_SP(ctx)
#define LEAVE_SLOT(ctx) (PT_REGS_SP(ctx) - 8)
#else
#define ENTRY_SLOT(ctx) PT_REGS_SP(ctx)
#define LEAVE_SLOT(ctx) PT_REGS_SP(ctx)
#endif

/* What an allocation by a function of this cookie has to do with; `argument` reads the function's arguments. */
#define DESCRIBE(b, cookie, argument)                                                   \
	do {                                                                            \
		(b).domain = DOMAIN(cookie);                                            \
		if (ARG(cookie, DRIP_KERNEL_FLAGS_ARG) != DRIP_KERNEL_NO_ARG)            \
			(b).flags = argument(ctx, ARG(cookie, DRIP_KERNEL_FLAGS_ARG));   \
		/* The caches of kmalloc are named by the size that was asked for. */   \
		if (ARG(cookie, DRIP_KERNEL_SIZE_ARG) != DRIP_KERNEL_NO_ARG)             \
			(b).size = argument(ctx, ARG(cookie, DRIP_KERNEL_SIZE_ARG));     \
		if (ARG(cookie, DRIP_KERNEL_CACHE_ARG) != DRIP_KERNEL_NO_ARG) {          \
			(b).cache = argument(ctx, ARG(cookie, DRIP_KERNEL_CACHE_ARG));   \
			(b).bucket_bytes = slot_size((b).cache);                        \
			if (ARG(cookie, DRIP_KERNEL_SIZE_ARG) == DRIP_KERNEL_NO_ARG)     \
				(b).size = object_size((b).cache);                      \
		}                                                                       \
		if ((b).domain == DRIP_KERNEL_VMALLOC)                                   \
			(b).size = ((b).size + 4095) & ~4095ULL;                        \
	} while (0)

SEC("kprobe")
int function_entered(struct pt_regs *ctx)
{
	__u64 cookie = bpf_get_attach_cookie(ctx), slot = ENTRY_SLOT(ctx);
	struct drip_kernel_pending call = {.op = OP(cookie)};
	struct birth b = {};

	if (!is_counting())
		return 0;
	DESCRIBE(b, cookie, register_argument);
	if (!is_group_wanted() || !wanted(b.size))
		return 0;
#if defined(__TARGET_ARCH_x86)
	if (bpf_probe_read_kernel(&b.caller, sizeof(b.caller), (void *)slot))
		b.caller = 0;
#else
	b.caller = __PT_REGS_CAST(ctx)->regs[30];
#endif
	/* Here, for at the return the stack is that of the caller. */
	call.site = site_of_birth(ctx, &b);
	if (call.site == NOT_WANTED)
		return 0;
	call.size = b.size;
	if (call.op == DRIP_KERNEL_ALLOC_BULK)
		call.array = register_argument(ctx, ARG(cookie, DRIP_KERNEL_POINTER_ARG));
	int error = bpf_map_update_elem(&pending, &slot, &call, BPF_NOEXIST);

	/* 17: EEXIST. A call that was here was not seen to return. */
	if (error == -17) {
		lose(DRIP_LOSS_LOST_RETURNS);
		error = bpf_map_update_elem(&pending, &slot, &call, BPF_ANY);
	}
	if (error)
		lose(DRIP_LOSS_INFLIGHT_FULL);
	return 0;
}

SEC("kretprobe")
int function_left(struct pt_regs *ctx)
{
	__u64 slot = LEAVE_SLOT(ctx), result = PT_REGS_RC(ctx);
	struct drip_kernel_pending *found = bpf_map_lookup_elem(&pending, &slot), call;

	if (!found) {
		/* Not wanted, or entered before the watch. */
		if (is_counting() && is_object(result))
			drop_stale(result);
		return 0;
	}
	call = *found;
	bpf_map_delete_elem(&pending, &slot);
	if (call.op == DRIP_KERNEL_ALLOC_BULK)
		return born_array(call.array, (__u32)result, call.size, call.site);
	return is_object(result) ? remember(result, call.size, call.site) : 0;
}

SEC("kprobe")
int function_frees(struct pt_regs *ctx)
{
	__u64 cookie = bpf_get_attach_cookie(ctx);
	__u64 pointer = register_argument(ctx, ARG(cookie, DRIP_KERNEL_POINTER_ARG));

	if (OP(cookie) == DRIP_KERNEL_FREE_BULK)
		return freed_array(pointer, register_argument(ctx, ARG(cookie, DRIP_KERNEL_COUNT_ARG)));
	if (OP(cookie) == DRIP_KERNEL_FREE_RCU)
		return freed_later(pointer, register_argument(ctx, 1));
	return freed(pointer, false);
}

static __always_inline __u64 traced_argument(void *ctx, __u32 number)
{
	__u64 value = 0;

	bpf_get_func_arg(ctx, number, &value);
	return value;
}

/* Who called is told by nobody but the stack. */
static __always_inline int traced_left(void *ctx)
{
	__u64 cookie = bpf_get_attach_cookie(ctx), result = 0;
	struct birth b = {};
	__u32 site;

	if (!is_counting() || bpf_get_func_ret(ctx, &result))
		return 0;
	DESCRIBE(b, cookie, traced_argument);
	if (OP(cookie) != DRIP_KERNEL_ALLOC_BULK) {
		b.address = result;
		return born(ctx, &b);
	}
	if (!is_group_wanted() || !wanted(b.size))
		return 0;
	site = site_of_birth(ctx, &b);
	if (site == NOT_WANTED)
		return 0;
	return born_array(
		traced_argument(ctx, ARG(cookie, DRIP_KERNEL_POINTER_ARG)), (__u32)result, b.size, site);
}

static __always_inline int traced_frees(void *ctx)
{
	__u64 cookie = bpf_get_attach_cookie(ctx);
	__u64 pointer = traced_argument(ctx, ARG(cookie, DRIP_KERNEL_POINTER_ARG));

	if (OP(cookie) == DRIP_KERNEL_FREE_BULK)
		return freed_array(pointer, traced_argument(ctx, ARG(cookie, DRIP_KERNEL_COUNT_ARG)));
	if (OP(cookie) == DRIP_KERNEL_FREE_RCU)
		return freed_later(pointer, traced_argument(ctx, 1));
	return freed(pointer, false);
}

/* A program of this kind is bound to one function when it is loaded, so there is one for each. */
#define FEXIT(n)                                \
	SEC("fexit")                            \
	int traced_left_##n(void *ctx)          \
	{                                       \
		return traced_left(ctx);        \
	}
#define FENTRY(n)                               \
	SEC("fentry")                           \
	int traced_frees_##n(void *ctx)         \
	{                                       \
		return traced_frees(ctx);       \
	}

FEXIT(0) FEXIT(1) FEXIT(2) FEXIT(3) FEXIT(4) FEXIT(5) FEXIT(6) FEXIT(7)
FEXIT(8) FEXIT(9) FEXIT(10) FEXIT(11) FEXIT(12) FEXIT(13) FEXIT(14) FEXIT(15)
FEXIT(16) FEXIT(17) FEXIT(18) FEXIT(19) FEXIT(20) FEXIT(21) FEXIT(22) FEXIT(23)
FENTRY(0) FENTRY(1) FENTRY(2) FENTRY(3) FENTRY(4) FENTRY(5) FENTRY(6) FENTRY(7)
_Static_assert(DRIP_KERNEL_ALLOC_SLOTS == 24 && DRIP_KERNEL_FREE_SLOTS == 8, "as many as there are programs");

#endif
