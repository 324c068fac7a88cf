/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * The stack walk. Each step finds the rule for a pc (cache, then table, then the frame pointer), reads the
 * return address and the saved frame pointer, and adds the frame to the hash that is the stack's identity.
 * The user's stack is read in blocks, since one read costs the same for 8 bytes and for 2 KiB; a block that would
 * reach behind the stack's end stops at the page's. Every word that the walk depends on is noted (see memo.bpf.h).
 *
 * Most frames go by simple_step: a cache entry, one word of the window, and the hashes.
 *
 * Cost: see docs/benchmarks.md, "What a stack costs in BPF". */
#ifndef DRIP_STACK_BPF_H
#define DRIP_STACK_BPF_H

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2); /* two for each process */
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct drip_process);
} processes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, DRIP_RULES);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct drip_rule);
} rules SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct drip_page);
} pages SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct drip_row_chunk);
} rows SEC(".maps");

const volatile __u32 max_frames = DRIP_FRAMES;

#define PAGE_BYTES 4096
/* Nothing sane keeps a frame larger than this; beyond it a frame pointer is garbage. */
#define MAX_FRAME_BYTES (64ULL << 20)

/* Reads `words` words at `base` into the window, or as many as the page has if there is nothing behind it (the end
 * of a stack). 0 on success. */
static __always_inline int window_fill(struct drip_scratch *s, __u64 base, __u32 words)
{
	__u32 bytes = words * 8;

	s->window_base = base;
	s->window_words = words;
	OPAQUE(bytes);
	if (bytes < 8 || bytes > DRIP_WINDOW * 8)
		return -1;
	if (!bpf_probe_read_user(s->window, bytes, (void *)base))
		return 0;
	s->window_words = 0;
	bytes = PAGE_BYTES - ((__u32)base & (PAGE_BYTES - 1));
	OPAQUE(bytes);
	if (bytes < 8 || bytes > words * 8)
		return -1;
	if (bpf_probe_read_user(s->window, bytes, (void *)base))
		return -1;
	s->window_words = bytes >> 3;
	s->known_end = base + bytes;
	return 0;
}

/* The next block of the stack, when a walk leaves the window. A function of its own: it is read in many places, and the
 * verifier goes through it once. */
__noinline int window_refill(struct drip_scratch *s, __u64 base)
{
	__u32 words = PAGE_BYTES / 8;
	__u64 left;

	if (!s)
		return -1;
	/* A line earlier where that copies quickly, and is of the same page, so that the block still ends with a page. */
	if (copies_slowly(s->window_in_page, base) && (base & (PAGE_BYTES - 1)) >= DRIP_CACHE_LINE)
		base -= DRIP_CACHE_LINE;
	left = (s->known_end - base) >> 3;
	if (left && left < words)
		words = left;
	return window_fill(s, base, words);
}

/* The first read of a stack: as far as the last walk on this CPU went, for one read is cheaper than two, and a short
 * one than a long one. */
static __always_inline int window_open(struct drip_scratch *s, __u64 base, __u32 least)
{
	__u32 words = s->hint;

	if (words < DRIP_LEAST_READ)
		words = DRIP_LEAST_READ;
	if (words <= least)
		words = least + 1;
	if (words > DRIP_MOST_READ)
		words = DRIP_MOST_READ;
	FORGET(words); /* one state for the read, not one for each of the bounds above */
	return window_fill(s, base, words);
}

/* Notes a word that the walk depends on, if that is wanted. */
__noinline int note_read(struct drip_scratch *s, __u64 address, __u64 word)
{
	__u64 at;
	__u32 n;

	if (!s || s->reads == DRIP_NOT_REMEMBERED)
		return 0;
	at = (address - s->start_sp) >> 3;
	n = s->reads;
	/* Words below the start, or far above, are not in the window that a remembered walk is checked against. */
	if (n >= DRIP_MEMO_WORDS || at >= DRIP_WINDOW - 256) {
		s->reads = DRIP_NOT_REMEMBERED;
		return 0;
	}
	OPAQUE(n);
	if (n < DRIP_MEMO_WORDS) {
		s->read_at[n] = at << 3;
		s->read_word[n] = word;
		if (s->extent <= at)
			s->extent = at + 1;
	}
	s->reads = n + 1;
	return 0;
}

/* Reads one aligned word of the user's stack, that the walk depends on, through the window and into s->word. 0 on success.
 * A function of its own: it is wanted in many places, none of which is a frame of the common kind. */
__noinline int stack_note(struct drip_scratch *s, __u64 address)
{
	__u64 index;

	if (!s || address & 7)
		return -1;
	index = (address - s->window_base) >> 3;
	if (index >= s->window_words) {
		if (window_refill(s, address))
			return -1;
		index = (address - s->window_base) >> 3;
		if (index >= s->window_words)
			return -1;
	}
	OPAQUE(index);
	if (index >= DRIP_WINDOW)
		return -1;
	s->word = s->window[index];
	if (s->reads != DRIP_NOT_REMEMBERED)
		note_read(s, address, s->word);
	return 0;
}

/* The same into a variable. */
static __always_inline int stack_word(struct drip_scratch *s, __u64 address, __u64 *out)
{
	if (stack_note(s, address))
		return -1;
	*out = s->word;
	return 0;
}

/* From here on the walk depends on the frame pointer. In code without frame pointers that is a register like others,
 * which may hold anything: where it was saved is all that a frame tells, and it is read when a later frame is found by
 * it. 0 on success. */
__noinline int use_fp(struct drip_scratch *s)
{
	if (!s)
		return -1;
	if (s->fp_at == DRIP_FP_FROM_START)
		s->uses_fp = 1;
	else if (s->fp_at != DRIP_FP_NOTED && stack_word(s, s->fp_at, &s->fp))
		return -1;
	s->fp_at = DRIP_FP_NOTED;
	return 0;
}

/* The index of the rule for a place in a file's pages; -2 if there are no rows. A function of its own: two lead to it. */
__noinline int rule_in_pages(__u64 offset, __u32 first_page, __u32 page_count)
{
	__u32 base, length, page_index, key;
	struct drip_page *page;

	if (offset >> 16 >= page_count)
		return -2;
	page_index = first_page + (__u32)(offset >> 16);
	page = bpf_map_lookup_elem(&pages, &page_index);
	if (!page || !page->count)
		return -2;
	base = page->first;
	length = page->count;
	key = (__u32)(offset & 0xffff) << 16 | 0xffff;
	for (int i = 0; i < 17; i++) {
		if (length <= 1)
			break;
		__u32 half = length >> 1;
		__u32 at = base + half, chunk = at / DRIP_ROWS_PER_CHUNK;
		struct drip_row_chunk *c = bpf_map_lookup_elem(&rows, &chunk);

		if (!c)
			return -2;
		__u64 row = c->row[at & (DRIP_ROWS_PER_CHUNK - 1)];

		base += half & (__u32)((__s64)(row - key - 1) >> 63);
		length -= half;
	}
	__u32 chunk = base / DRIP_ROWS_PER_CHUNK;
	struct drip_row_chunk *c = bpf_map_lookup_elem(&rows, &chunk);

	if (!c)
		return -2;
	return c->row[base & (DRIP_ROWS_PER_CHUNK - 1)] & 0xffff;
}

/* The index of the rule for s->pc; -1 if it lies in no mapping, -2 if the mapping has no rows there.
 * Both searches are branch-free (a mask instead of a jump), which keeps the verifier's work small. */
__noinline int find_rule(struct drip_scratch *s, struct drip_process *p)
{
	__u32 base = 0, length;
	struct drip_mapping *m;
	__u64 pc;

	if (!s || !p)
		return -1;
	pc = s->pc;
	length = p->mapping_count;
	if (length > DRIP_MAPPINGS)
		length = DRIP_MAPPINGS;
	if (!length)
		return -1;
	for (int i = 0; i < 12; i++) {
		if (length <= 1)
			break;
		__u32 half = length >> 1;
		__u64 begin = p->mapping[(base + half) & (DRIP_MAPPINGS - 1)].begin;

		base += half & (__u32)((__s64)(begin - pc - 1) >> 63);
		length -= half;
	}
	m = &p->mapping[base & (DRIP_MAPPINGS - 1)];
	if (pc < m->begin || pc >= m->end)
		return -1;
	return rule_in_pages(pc - m->bias, m->first_page, m->page_count);
}

/* Adds the frame that returns to `address`. True when the depth limit is reached. */
static __always_inline bool push_frame(struct drip_scratch *s, __u64 address)
{
	__u32 n = s->count;

	if (n >= s->most || n >= DRIP_FRAMES) {
		s->end = DRIP_END_TRUNCATED;
		return true;
	}
	OPAQUE(n);
	s->frame[n & (DRIP_FRAMES - 1)] = address;
	s->count = n + 1;
	add_to_identity(s, address);
	return false;
}

/* Looks for a return probe whose address stands at `slot`, four entries from `from` on in the kernel's list: the entry
 * with its lowest bit set, or where to go on, or 0 at the end. */
__noinline __u64 return_probe_at(__u64 from, __u64 slot)
{
	struct return_instance *instance = (struct return_instance *)from;

	for (int i = 0; i < 4 && instance; i++) {
		if (BPF_CORE_READ(instance, stack) == slot && !BPF_CORE_READ(instance, chained))
			return (__u64)instance | 1;
		instance = BPF_CORE_READ(instance, next);
	}
	return (__u64)instance;
}

/* The address that a function will really return to, if a return probe (drip's own, or anybody's) has put the
 * kernel's in its place; `slot` is where it stands. 0 if there is none. */
static __always_inline __u64 original_return(__u64 slot)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	__u64 at = (__u64)BPF_CORE_READ(task, utask, return_instances);

	for (int i = 0; i < 4 && at; i++) {
		at = return_probe_at(at, slot);
		if (at & 1)
			return BPF_CORE_READ((struct return_instance *)(at - 1), orig_ret_vaddr);
	}
	return 0;
}

/* The last frame is an address outside of all code. If it is a return probe's, the true one takes its place; the walk
 * then hangs on more than the stack's words, and is not to be remembered. */
static __always_inline bool unhide(struct drip_scratch *s)
{
	__u64 address = original_return(s->sp - 8);
	__u32 last = s->count - 1;

	if (!address || last >= DRIP_FRAMES)
		return false;
	OPAQUE(last);
	s->reads = DRIP_NOT_REMEMBERED;
	s->count = last;
	take_from_identity(s, s->frame[last & (DRIP_FRAMES - 1)]);
	s->pc = address - 1;
	push_frame(s, address);
	return true;
}

#include "vma.bpf.h"

#ifdef __TARGET_ARCH_x86

#define CFA_KIND(rule) ((rule)->cfa)
#define LEAST_FRAME 1 /* the return address is on the stack, so that no frame is empty */

/* The return address: always where the call has put it. */
static __always_inline int return_address(struct drip_scratch *s, struct drip_rule *rule, __u64 cfa, __u64 *out)
{
	return stack_word(s, cfa - 8, out);
}

#else

#define CFA_KIND(rule) ((rule)->cfa & DRIP_CFA_MASK)
#define LEAST_FRAME 0

/* The return address: in its register in a function that a signal has interrupted, else where the function has saved
 * it; without the signature that pointer authentication puts into the bits that no address has. */
static __always_inline int return_address(struct drip_scratch *s, struct drip_rule *rule, __u64 cfa, __u64 *out)
{
	__u64 at = cfa + (__s64)rule->fp_off;

	switch (rule->cfa >> DRIP_CFA_BITS) {
	case DRIP_RETURN_IN_REGISTER:
		*out = s->lr;
		s->lr = 0;
		break;
	case DRIP_RETURN_ABOVE_FP:
		at += 8;
		/* fall through */
	case DRIP_RETURN_AT_CFA:
		if (stack_word(s, at, out))
			return -1;
		break;
	default:
		return -1;
	}
	*out &= (1ULL << ADDRESS_BITS) - 1;
	return 0;
}

#endif

/* One step by the frame pointer. The saved value above need not be sane: the caller may use rbp freely. */
static __always_inline int step_by_frame_pointer(struct drip_scratch *s)
{
	__u64 fp, address;

	if (use_fp(s)) {
		s->end = DRIP_END_UNREADABLE;
		return 1;
	}
	fp = s->fp;
	if (fp < s->sp || fp & 7 || fp - s->sp > MAX_FRAME_BYTES) {
		s->end = DRIP_END_BROKEN;
		return 1;
	}
	s->fp_at = fp;
	if (stack_word(s, fp + 8, &address)) {
		s->end = DRIP_END_UNREADABLE;
		return 1;
	}
	if (!address) {
		s->end = DRIP_END_COMPLETE;
		return 1;
	}
	if (address < PAGE_BYTES || address >> ADDRESS_BITS) {
		s->end = DRIP_END_BROKEN;
		return 1;
	}
	s->sp = fp + 16;
	s->pc = address - 1;
	return push_frame(s, address);
}

/* One frame by a simple rule from the cache. False if it takes more than that, and nothing has changed then that
 * matters. Few branches, and the last one at the end: the verifier follows each of them in each turn of the loop. */
static __always_inline bool simple_step(struct drip_scratch *s, struct drip_process *p)
{
	__u64 pc = s->pc, entry = *cache_entry(p, pc), cfa = s->sp, is_saved, saved, at, address;
	__u32 n = s->count;

	if (!cache_has(entry, pc) || !(entry & CACHE_SIMPLE))
		return false;
	if (entry & CACHE_BY_RBP) {
		if (use_fp(s) || s->fp < cfa)
			return false;
		cfa = s->fp;
	}
	cfa += (entry & CACHE_CFA_MASK) << 3;
	at = cfa - 8 - s->window_base;
	/* With its low bits on top, so that one comparison tells an address that is not a word's, too. */
	at = at >> 3 | at << 61;
	if (at >= s->window_words || n >= s->most)
		return false;
	OPAQUE(at);
	OPAQUE(n);
	if (at >= DRIP_WINDOW)
		return false;
	address = s->window[at];
	if (!address)
		return false;
	is_saved = entry >> CACHE_SAVED_BIT & 1;
	OPAQUE(is_saved);
	saved = s->fp_at ^ (cfa - ((entry >> CACHE_WHERE_BIT & CACHE_WHERE_MASK) << 3));
	s->fp_at ^= saved & -is_saved;
	s->sp = cfa;
	s->pc = address - 1;
	s->frame[n & (DRIP_FRAMES - 1)] = address;
	s->count = n + 1;
	add_to_identity(s, address);
	if (s->reads != DRIP_NOT_REMEMBERED)
		note_read(s, cfa - 8, address);
	return true;
}

/* A pc that is not in the list of mappings: the rule as rule_now says, HIDDEN if it was a return probe's address and
 * the true one has taken its place, or ENDED. */
#define HIDDEN (-4)
#define ENDED (-5)

__noinline int not_listed(struct drip_scratch *s, struct drip_process *p)
{
	int index;

	if (!s || !p)
		return ENDED;
	if (s->pc != s->hidden_pc && unhide(s)) {
		s->hidden_pc = s->pc;
		return HIDDEN;
	}
	index = rule_now(s, p);
	if (index == NOT_KNOWN_YET) {
		/* The stacks of two callers are no one stack because they end at one place. */
		add_to_identity(s, s->sp);
		s->end = DRIP_END_UNMAPPED;
		return ENDED;
	}
	if (index != -1)
		return index;
	/* Outside of all code: what led here was not a return address. */
	if (s->count > 1 + (python_on ? s->marked : 0))
		s->count -= 1;
	s->end = DRIP_END_BROKEN;
	return ENDED;
}

/* One frame. 0 to go on, 1 when the walk has ended (s->end says how). */
__noinline int unwind_step(struct drip_scratch *s, struct drip_process *p)
{
	__u64 pc, cached, cfa, word = 0, back = 1;
	struct drip_rule *rule;
	__u32 slot;
	int index;

	if (!s || !p)
		return 1;
	pc = s->pc;
	cached = *cache_entry(p, pc);
	if (cache_has(cached, pc) && !(cached & CACHE_SIMPLE) && !s->changing) {
		index = cached & 0xffff;
	} else {
		index = s->changing ? -1 : find_rule(s, p);
		if (index == -1 && p->mapping_count)
			index = not_listed(s, p);
		if (index == HIDDEN)
			return 0;
		if (index < -2)
			return 1;
		if (index < 0)
			return step_by_frame_pointer(s);
	}
	slot = index;
	rule = bpf_map_lookup_elem(&rules, &slot);
	if (!rule)
		return step_by_frame_pointer(s);
	/* Not while mappings change: what is true now is not what the cache is for. */
	if (!s->changing)
		*cache_entry(p, pc) = cache_word(pc, rule, slot);
	__s64 offset = rule->cfa_off;

	switch (CFA_KIND(rule)) {
	case DRIP_CFA_RSP:
		cfa = s->sp + offset;
		break;
	case DRIP_CFA_RBP:
		if (use_fp(s))
			goto unreadable;
		cfa = s->fp + offset;
		break;
	case DRIP_CFA_PLT:
		cfa = s->sp + 8 + ((pc & 15) >= (__u64)offset ? 8 : 0);
		break;
	case DRIP_CFA_DEREF_RBP:
		if (use_fp(s) || stack_word(s, s->fp + (__s64)(__s16)offset, &word))
			goto unreadable;
		cfa = word + (offset >> 16);
		break;
	case DRIP_CFA_DEREF_RSP:
		if (stack_word(s, s->sp + (__s64)(__s16)offset, &word))
			goto unreadable;
		cfa = word + (offset >> 16);
		break;
	case DRIP_CFA_SIGNAL:
		cfa = s->sp;
		if (stack_word(s, cfa + SIGNAL_FP, &word))
			goto unreadable;
		s->fp = word;
		s->fp_at = DRIP_FP_NOTED;
		if (stack_word(s, cfa + SIGNAL_PC, &word))
			goto unreadable;
		pc = word;
#ifdef SIGNAL_LR
		if (stack_word(s, cfa + SIGNAL_LR, &s->lr))
			goto unreadable;
#endif
		if (stack_word(s, cfa + SIGNAL_SP, &word))
			goto unreadable;
		s->sp = word;
		back = 0; /* it was interrupted there, it does not return there */
		word = pc;
		goto found;
	case DRIP_CFA_STOP:
		s->end = DRIP_END_COMPLETE;
		return 1;
	case DRIP_CFA_NONE:
		return step_by_frame_pointer(s);
	default:
		s->end = DRIP_END_BROKEN;
		return 1;
	}
	if (cfa < s->sp + LEAST_FRAME) {
		s->end = DRIP_END_BROKEN;
		return 1;
	}
	switch (rule->fp) {
	case DRIP_FP_AT_CFA:
		s->fp_at = cfa + (__s64)rule->fp_off;
		break;
	case DRIP_FP_AT_RBP:
		if (use_fp(s))
			goto unreadable;
		s->fp_at = s->fp + (__s64)rule->fp_off;
		break;
	case DRIP_FP_AT_RSP:
		s->fp_at = s->sp + (__s64)rule->fp_off;
		break;
	}
	if (return_address(s, rule, cfa, &word))
		goto unreadable;
	s->sp = cfa;
found:
	if (!word) {
		s->end = DRIP_END_COMPLETE;
		return 1;
	}
	s->pc = word - back;
	return push_frame(s, word);
unreadable:
	s->end = DRIP_END_UNREADABLE;
	return 1;
}

/* Four simple frames; 0 if there were fewer. */
__noinline int simple_steps(struct drip_scratch *s, struct drip_process *p)
{
	if (!s || !p || s->changing)
		return 0;
	/* A loop in the code, too: at its head the verifier finds that it has been there. */
#pragma clang loop unroll(disable)
	for (int i = 0; i < 4; i++)
		if (!simple_step(s, p))
			return 0;
	return 1;
}

/* Eight frames at least, and 64; both return as unwind_step. Each loop in a function of its own: they cost the verifier
 * their sum, not their product. */
#define STEPS 8

__noinline int unwind_steps(struct drip_scratch *s, struct drip_process *p)
{
	for (int i = 0; i < STEPS; i++) {
		if (simple_steps(s, p))
			continue;
		if (unwind_step(s, p))
			return 1;
	}
	return 0;
}

__noinline int unwind_many(struct drip_scratch *s, struct drip_process *p)
{
	for (int i = 0; i < STEPS; i++)
		if (unwind_steps(s, p))
			return 1;
	return 0;
}

static __always_inline struct drip_process *process_image(__u32 process)
{
	__u32 index = (process & process_mask) * 2;
	struct drip_process *p = bpf_map_lookup_elem(&processes, &index);

	if (!p || !p->active)
		return p;
	index += 1;
	return bpf_map_lookup_elem(&processes, &index);
}

/* Walks the stack of a function that is about to be returned to at s->start_pc. s->reads says whether to note what it
 * depends on: 0, or DRIP_NOT_REMEMBERED. */
static __always_inline void walk(struct drip_scratch *s, struct drip_process *p, __u32 process)
{
	s->count = 0;
	s->end = DRIP_END_TRUNCATED;
	s->hash = 0xcbf29ce484222325ULL;
	s->check = 0;
	s->extent = 0;
	s->hidden_pc = 0;
	s->sp = s->start_sp;
	s->fp = s->start_fp;
	s->fp_at = DRIP_FP_FROM_START;
	s->uses_fp = 0;
	s->lr = 0;
	s->pc = s->start_pc - 1;
	s->most = max_frames;
	s->changing = is_changing(process);
	if (python_on)
		s->most += python_frames(s, process);
	if (push_frame(s, s->start_pc))
		return;
	for (int i = 0; i < DRIP_FRAMES; i += STEPS * STEPS)
		if (unwind_many(s, p))
			break;
	identify_files(s, process);
	if (python_on && s->python_frame && s->end == DRIP_END_COMPLETE)
		s->end = DRIP_END_TRUNCATED;
}

#endif
