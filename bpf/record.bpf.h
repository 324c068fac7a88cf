/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * From a call stack to its site, and from a result to an object in the table. */
#ifndef DRIP_RECORD_BPF_H
#define DRIP_RECORD_BPF_H

/* The site of the stack that starts where `s` says, whose first words are in the window. Never fails: without room
 * it is DRIP_NO_SITE. */
static __always_inline __u32 site_of_stack(struct drip_scratch *s, __u32 process)
{
	struct drip_process *p = process_image(process);
	struct drip_memo *m = memo_of(s, process, 0), *other;
	__u32 site, end, way;
	bool is_walked = false;

	if (!p || !m)
		return DRIP_NO_SITE;
	/* What Python runs is not told by the words of the stack. */
	if (!python_on && memo_holds(m, s, process, p->generation)) {
		site = m->site;
		end = m->end;
		if (m->misses)
			m->misses = 0;
	} else if (!python_on && (way = memo_search(s, process, p->generation, m->ways)) &&
		   (other = memo_of(s, process, way))) {
		site = other->site;
		end = other->end;
		m->misses = 0;
	} else {
		s->reads = python_on || !memo_wants(m) ? DRIP_NOT_REMEMBERED : 0;
		walk(s, p, process);
		is_walked = true;
		site = site_of(s, process);
		end = s->end;
		if (s->reads <= DRIP_MEMO_WORDS && !s->changing && site != DRIP_NO_SITE)
			memo_remember(m, s, process, p->generation, site);
	}
	check_stack(s, process, site, end, is_walked);
	if (end == DRIP_END_TRUNCATED)
		lose(DRIP_LOSS_TRUNCATED_STACKS);
	else if (end == DRIP_END_UNREADABLE)
		lose(DRIP_LOSS_UNREADABLE_STACKS);
	else if (end == DRIP_END_UNMAPPED)
		lose(DRIP_LOSS_UNMAPPED_STACKS);
	return site;
}

/* Makes ready for a walk from where the trap was: at a return, from the caller. NULL, and counted, if there is no room to
 * walk in. */
static __always_inline struct drip_scratch *scratch_at_trap(struct pt_regs *ctx)
{
	__u64 sp = PT_REGS_SP(ctx);
	struct drip_scratch *s;

	OPAQUE(sp);
	s = scratch_claim(sp);
	if (!s) {
		lose(DRIP_LOSS_SCRATCH_BUSY);
		return NULL;
	}
	s->start_pc = PT_REGS_IP(ctx);
	s->start_sp = sp;
	s->start_fp = PT_REGS_FP(ctx);
	check_registers(s, ctx);
	window_open(s, sp, 0);
	return s;
}

/* The site of that stack. */
static __always_inline __u32 site_at_trap(struct pt_regs *ctx, __u32 process)
{
	struct drip_scratch *s = scratch_at_trap(ctx);
	__u32 site;

	if (!s)
		return DRIP_NO_SITE;
	site = site_of_stack(s, process);
	scratch_release(s);
	return site;
}

/* Whether an allocation of this size is to be recorded. */
static __always_inline bool chosen(__u64 size)
{
	return wanted(size) && sample_keeps(size);
}

/* Enters a new object and counts it at the site of the stack in `s`, which is given back; without one it has no site. The
 * old object at this address, if there is one, was freed unseen. A function of its own, all of it in one: the verifier
 * meets it in states of many kinds, and a call costs its return. */
__noinline int record(struct drip_scratch *s, __u32 process, __u64 address, __u64 size)
{
	struct drip_object object = {.size = size, .site = DRIP_NO_SITE, .birth = birth_now()}, stale = {};
	__u64 key = object_key(address, process);

	if (s) {
		object.site = site_of_stack(s, process);
		scratch_release(s);
	}
	/* Or the verifier would go through the table once with a site and once without. */
	FORGET(object.site);
	if (table_remove(key, &stale)) {
		lose(DRIP_LOSS_STALE_ADDRESSES);
		count_free(stale.site, stale.size);
	}
	if (table_insert(key, &object))
		count_alloc(object.site, size);
	else
		lose(DRIP_LOSS_TABLE_FULL);
	return 0;
}

#endif
