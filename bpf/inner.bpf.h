/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * What an inner site knows, decoded from its cookie: whether the jump under it goes the way that it is about, and
 * where the values stand. See Binaries/OneTrap for how such sites are found. */
#ifndef DRIP_INNER_BPF_H
#define DRIP_INNER_BPF_H

#ifdef __TARGET_ARCH_x86

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

/* The value at a place; words of the stack must be in the window. */
static __always_inline __u64 value_at(struct pt_regs *ctx, struct drip_scratch *s, __u32 place)
{
	if (place >= 16) {
		place -= 16;
		OPAQUE(place);
		return place < 64 ? s->window[place] : 0;
	}
	switch (place) {
	case 0: return ctx->ax;
	case 3: return ctx->bx;
	case 5: return ctx->bp;
	case 7: return ctx->di;
	case 6: return ctx->si;
	case 1: return ctx->cx;
	case 2: return ctx->dx;
	case 4: return ctx->sp;
	case 8: return ctx->r8;
	case 9: return ctx->r9;
	case 10: return ctx->r10;
	case 11: return ctx->r11;
	case 12: return ctx->r12;
	case 13: return ctx->r13;
	case 14: return ctx->r14;
	default: return ctx->r15;
	}
}

#else

/* No inner sites are chosen on other machines yet. */
static __always_inline bool condition_holds(__u64 flags, __u32 condition)
{
	return false;
}

static __always_inline __u64 value_at(struct pt_regs *ctx, struct drip_scratch *s, __u32 place)
{
	return 0;
}

#endif
#endif
