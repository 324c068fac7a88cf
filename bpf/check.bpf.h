/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * The self-check: of one stack in N, what the walk began with, what came of it, and a copy of the stack go to user
 * space, where another unwinder does the same work again. Remembered walks are looked at like others.
 *
 * Costs: nothing when it is off, for the switch is a constant that the verifier follows; a few us a stack that is
 * looked at, nearly all of it the copy: at one in 100 the mean run is as long as without (0.6 us, python3). */
#ifndef DRIP_CHECK_BPF_H
#define DRIP_CHECK_BPF_H

/* One stack in so many is looked at; 0: none. */
const volatile __u32 check_every = 0;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096); /* bytes, set before the load */
} checks SEC(".maps");

/* Keeps the registers that a caller finds unchanged; for a trap at which they are the caller's. */
static __always_inline void check_registers(struct drip_scratch *s, struct pt_regs *ctx)
{
#ifdef __TARGET_ARCH_x86
	if (!check_every)
		return;
	s->saved[0] = ctx->bx;
	s->saved[1] = ctx->r12;
	s->saved[2] = ctx->r13;
	s->saved[3] = ctx->r14;
	s->saved[4] = ctx->r15;
	s->has_saved = 1;
#endif
}

/* What a record tells beside the copy; `ending`: how the walk ended, and how often the linker had told of changes above
 * it. */
static __always_inline void check_describe(
	struct drip_check *c, struct drip_scratch *s, __u64 what, __u64 ending, __u32 is_walked)
{
	c->pc = s->start_pc;
	c->sp = s->start_sp;
	c->fp = s->start_fp;
	c->base = s->start_sp & ~(__u64)(DRIP_PAGE_BYTES - 1);
	for (int i = 0; i < 5; i++)
		c->saved[i] = s->saved[i];
	c->has_saved = s->has_saved;
	c->site = what;
	c->process = what >> 32;
	c->end = ending;
	c->change = ending >> 32;
	c->count = is_walked ? s->count : 0;
	bpf_probe_read_kernel(c->frame, sizeof(c->frame), s->frame);
}

/* Copies the stack from c->base on: `known` pages, as far as the walk has read, and of what stands above up to seven more,
 * as many as there are; at most `most`. */
static __always_inline void check_copy(struct drip_check *c, __u64 known, __u32 most)
{
	__u64 pages = 0;

	if (known && known <= most &&
	    !bpf_probe_read_user(c->stack[0], known * DRIP_PAGE_BYTES, (void *)c->base))
		pages = known;
	for (__u32 more = 4; more; more >>= 1) {
		FORGET(pages);
		if (pages > most - more)
			continue;
		if (!bpf_probe_read_user(
			    c->stack[pages], more * DRIP_PAGE_BYTES, (void *)(c->base + pages * DRIP_PAGE_BYTES)))
			pages += more;
	}
	c->pages = pages;
}

/* Pages from c->base to the end of the last frame that was walked; all that may be copied where that is further. */
static __always_inline __u64 check_known(struct drip_check *c, struct drip_scratch *s)
{
	__u64 pages = (s->sp - 1 - c->base) / DRIP_PAGE_BYTES + 1;

	OPAQUE(pages);
	return pages > DRIP_CHECK_MOST_PAGES ? DRIP_CHECK_MOST_PAGES : pages;
}

/* Sends the stack in `s` off; `what` is the process and, in the low half, the site. Whole pages are copied, from the one
 * that holds s->start_sp to the last that can be read. Functions of their own, as all that have loops. */
__noinline int check_send(struct drip_scratch *s, __u64 what, __u64 ending, __u32 is_walked)
{
	struct drip_check *c;

	if (!s || !check_every)
		return 0;
	c = bpf_ringbuf_reserve(&checks, sizeof(*c), 0);
	if (!c) {
		lose(DRIP_LOSS_CHECKS);
		return 0;
	}
	check_describe(c, s, what, ending, is_walked);
	check_copy(c, DRIP_CHECK_PAGES - 1, DRIP_CHECK_PAGES);
	bpf_ringbuf_submit(c, BPF_RB_NO_WAKEUP);
	return 0;
}

/* The same for a stack that is too large for that. */
__noinline int check_send_large(struct drip_scratch *s, __u64 what, __u64 ending, __u32 is_walked)
{
	struct drip_check *c;

	if (!s || !check_every)
		return 0;
	c = bpf_ringbuf_reserve(
		&checks, sizeof(*c) + (DRIP_CHECK_MOST_PAGES - DRIP_CHECK_PAGES) * DRIP_PAGE_BYTES, 0);
	if (!c) {
		lose(DRIP_LOSS_CHECKS);
		return 0;
	}
	check_describe(c, s, what, ending, is_walked);
	check_copy(c, check_known(c, s), DRIP_CHECK_MOST_PAGES);
	bpf_ringbuf_submit(c, BPF_RB_NO_WAKEUP);
	return 0;
}

/* Looks at one stack in `check_every`, by chance, so that no regularity of the program escapes. */
__noinline int check_some(struct drip_scratch *s, __u64 what, __u64 ending, __u32 is_walked)
{
	if (!s || !check_every)
		return 0;
	if (bpf_get_prandom_u32() % check_every == 0) {
		ending |= (__u64)linker_changes(what >> 32) << 32;
		if (is_walked && s->sp - s->start_sp > (DRIP_CHECK_PAGES - 1) * DRIP_PAGE_BYTES)
			check_send_large(s, what, ending, is_walked);
		else
			check_send(s, what, ending, is_walked);
	}
	s->has_saved = 0;
	return 0;
}

static __always_inline void check_stack(struct drip_scratch *s, __u32 process, __u32 site, __u32 end, bool is_walked)
{
	if (check_every)
		check_some(s, (__u64)process << 32 | site, end, is_walked);
}

#endif
