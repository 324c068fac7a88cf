/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * The rules of the last addresses, 4,096 for each process. An entry is one word, so that it cannot tear: the page of the
 * address (what is left of it follows from the entry's place), and its rule, spelt out where it is one of the simple
 * ones that most code has (the frame's end is at a fixed distance from rsp or rbp), by its number otherwise.
 *
 *   bits 28 to 63   pc >> 12, plus 1, so that an empty entry is nobody's
 *   bit 27          simple
 *   simple:         bits 0 to 12 (CFA - rsp or rbp) / 8; bit 13 it is rbp; bit 14 rbp is saved; bits 15 to 26
 *                   (CFA - where) / 8
 *   otherwise:      bits 0 to 15 the rule's number */
#ifndef DRIP_CACHE_BPF_H
#define DRIP_CACHE_BPF_H

#define CACHE_TAG_BIT 28
#define CACHE_SIMPLE (1U << 27)
#define CACHE_BY_RBP (1U << 13)
#define CACHE_SAVED_BIT 14
#define CACHE_WHERE_BIT 15
#define CACHE_WHERE_MASK 0xfff
#define CACHE_CFA_MASK 0x1fff

static __always_inline __u64 *cache_entry(struct drip_process *p, __u64 pc)
{
	return &p->pc_cache[(pc ^ (__u32)(pc >> 12) * 0x9E3779B1U >> 20) & (DRIP_PC_CACHE - 1)];
}

static __always_inline bool cache_has(__u64 entry, __u64 pc)
{
	return entry >> CACHE_TAG_BIT == (pc >> 12) + 1;
}

/* The entry for a rule. */
static __always_inline __u64 cache_word(__u64 pc, struct drip_rule *rule, __u32 index)
{
	__u64 tag = ((pc >> 12) + 1) << CACHE_TAG_BIT;
	__u32 cfa = rule->cfa_off, where = -rule->fp_off;
	bool saved = rule->fp == DRIP_FP_AT_CFA, by_rbp = rule->cfa == DRIP_CFA_RBP;

	if ((rule->cfa != DRIP_CFA_RSP && !by_rbp) || cfa & 7 || cfa >> 3 > CACHE_CFA_MASK || !cfa)
		return tag | index;
	if (saved ? where & 7 || where >> 3 > CACHE_WHERE_MASK : rule->fp != DRIP_FP_SAME)
		return tag | index;
	if (!saved)
		where = 0;
	return tag | CACHE_SIMPLE | cfa >> 3 | (by_rbp ? CACHE_BY_RBP : 0) | (__u32)saved << CACHE_SAVED_BIT |
		where >> 3 << CACHE_WHERE_BIT;
}

#endif
