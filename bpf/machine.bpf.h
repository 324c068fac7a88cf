/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * What differs between processors, all of it: where the kernel's signal frame keeps the registers, where return
 * addresses are, and for inner sites whether the jump under them goes the way that they are about and where the values
 * stand (see Binaries/OneTrap for how such sites are found). */
#ifndef DRIP_MACHINE_BPF_H
#define DRIP_MACHINE_BPF_H

#ifdef __TARGET_ARCH_x86

/* struct rt_sigframe behind its return address: ucontext, and in it the registers. */
#define SIGNAL_FP 120
#define SIGNAL_SP 160
#define SIGNAL_PC 168

/* User space ends here. */
#define ADDRESS_BITS 47

#define FLAGS(ctx) ((ctx)->flags)

#define FLAG_CARRY 0x001
#define FLAG_PARITY 0x004
#define FLAG_ZERO 0x040
#define FLAG_SIGN 0x080
#define FLAG_OVERFLOW 0x800

/* Whether a jump of this condition is taken (Intel SDM volume 2, appendix B: the low bit negates). */
static __always_inline bool condition_holds(__u64 flags, __u32 condition)
{
	bool less = !(flags & FLAG_SIGN) != !(flags & FLAG_OVERFLOW), holds;

	switch (condition >> 1) {
	case 2:
		holds = flags & FLAG_ZERO;
		break;
	case 0:
		holds = flags & FLAG_OVERFLOW;
		break;
	case 1:
		holds = flags & FLAG_CARRY;
		break;
	case 3:
		holds = flags & (FLAG_CARRY | FLAG_ZERO);
		break;
	case 4:
		holds = flags & FLAG_SIGN;
		break;
	case 5:
		holds = flags & FLAG_PARITY;
		break;
	case 6:
		holds = less;
		break;
	default:
		holds = less || flags & FLAG_ZERO;
		break;
	}
	return holds != (condition & 1);
}

/* One load for each register: merged into one, it would be a load from a pointer that is no more the context's. */
#define REGISTER(number, field)        \
	case number:                   \
		value = ctx->field;    \
		OPAQUE(value);         \
		break

/* A register by its number in the instruction set. */
static __always_inline __u64 register_of(struct pt_regs *ctx, __u32 number)
{
	__u64 value = 0;

	switch (number) {
	REGISTER(0, ax);
	REGISTER(3, bx);
	REGISTER(5, bp);
	REGISTER(7, di);
	REGISTER(6, si);
	REGISTER(1, cx);
	REGISTER(2, dx);
	REGISTER(4, sp);
	REGISTER(8, r8);
	REGISTER(9, r9);
	REGISTER(10, r10);
	REGISTER(11, r11);
	REGISTER(12, r12);
	REGISTER(13, r13);
	REGISTER(14, r14);
	REGISTER(15, r15);
	}
	return value;
}

/* The value at a place; words of the stack must be in the window. */
static __always_inline __u64 value_at(struct pt_regs *ctx, struct drip_scratch *s, __u32 place)
{
	if (place >= 16) {
		place -= 16;
		OPAQUE(place);
		return place < 64 ? s->window[place] : 0;
	}
	return register_of(ctx, place);
}

#else

/* struct rt_sigframe: siginfo (128 bytes), ucontext with its mask (176, aligned to 16), and in the sigcontext a fault's
 * address, x0 to x30, sp and pc (arch/arm64/include/uapi/asm). */
#define SIGNAL_FP (312 + 29 * 8)
#define SIGNAL_LR (312 + 30 * 8)
#define SIGNAL_SP (312 + 31 * 8)
#define SIGNAL_PC (312 + 32 * 8)

#define ADDRESS_BITS 48

#define FLAGS(ctx) 0

/* No inner sites are chosen on other machines yet. */
static __always_inline bool condition_holds(__u64 flags, __u32 condition)
{
	return false;
}

static __always_inline __u64 value_at(struct pt_regs *ctx, struct drip_scratch *s, __u32 place)
{
	return 0;
}

static __always_inline __u64 register_of(struct pt_regs *ctx, __u32 number)
{
	return 0;
}

#endif
#endif
