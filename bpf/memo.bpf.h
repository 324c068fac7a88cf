/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * Remembered walks. A walk depends on where it starts, on the words of the stack that it reads (return addresses,
 * saved frame pointers), and on the process's tables. When the start is one that was seen before, those few words are
 * compared with what they were: if all are the same, the stack is the same, without any doubt, and its site is known.
 * That costs one block read and a comparison of some ns a frame instead of a walk and a search for the site. */
#ifndef DRIP_MEMO_BPF_H
#define DRIP_MEMO_BPF_H

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << DRIP_MEMO_BITS);
	__type(key, __u32);
	__type(value, struct drip_memo);
} memos SEC(".maps");

#define MEMO_BYTES (DRIP_WINDOW * 8 - 8)

/* The slot of walks that begin here, and those beside it: several callers may come to one place with the stack pointer
 * at one height, and take turns. */
static __always_inline struct drip_memo *memo_of(struct drip_scratch *s, __u32 process, __u32 way)
{
	__u64 hash = (s->start_pc ^ s->start_sp << 13 ^ process) * 0x9E3779B97F4A7C15ULL;
	__u32 index = hash >> (64 - DRIP_MEMO_BITS) ^ way;

	return bpf_map_lookup_elem(&memos, &index);
}

/* After so many walks in a row that were not the remembered one, only one in so many is remembered: writing it down
 * costs as much as walking ten frames, for nothing where no stack comes twice in a row. */
#define MEMO_PATIENCE 8

/* Whether the walk that is about to be done is to be remembered. Counting goes wrong now and then where CPUs meet here,
 * and nothing depends on it. */
static __always_inline bool memo_wants(struct drip_memo *m)
{
	__u32 misses = m->misses;

	m->misses = misses + 1;
	return misses < MEMO_PATIENCE || !(misses & (MEMO_PATIENCE - 1));
}

/* Words that one call of memo_same compares, and one turn of its loop. */
#define MEMO_AT_ONCE (DRIP_MEMO_WORDS / 2)
#define MEMO_TURN 8

/* The word so many bytes above `w`. The sum in the offset's register: clang would copy `w` first, for each word. */
#define WORD_ABOVE(w, offset)                                           \
	({                                                              \
		__u64 at_ = (offset) & MEMO_BYTES;                      \
		asm volatile("%0 += %1" : "+r"(at_) : "r"(w));          \
		*(const __u64 *)at_;                                    \
	})
#define DIFFERS(i) (WORD_ABOVE(w, at[i]) != word[i])

/* Whether so many words from the one with number `from` on are the same; s->window + first, in bytes, is the stack's
 * beginning. A comparison a word (sums of differences cost more), a mask and no shift, and turns of eight, whose
 * pointers go on by constants. What a call costs is its return, about 6 ns where returns are guarded: so there is one
 * for most stacks, and a function at all because loops within loops cost the verifier their product. */
__noinline int memo_same(struct drip_memo *m, struct drip_scratch *s, __u32 first, __u32 from)
{
	const char *w;
	const __u64 *word;
	const __u16 *at;
	__u32 left;

	if (!m || !s || first >= 256 * 8 || from > DRIP_MEMO_WORDS - MEMO_AT_ONCE)
		return false;
	w = (const char *)s->window + first;
	word = m->word + from;
	at = m->at + from;
	left = m->count - from;
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < MEMO_AT_ONCE; i += MEMO_TURN) {
		if (i >= left)
			break;
		if (DIFFERS(0) || DIFFERS(1) || DIFFERS(2) || DIFFERS(3) || DIFFERS(4) || DIFFERS(5) || DIFFERS(6) ||
		    DIFFERS(7))
			return false;
		word += MEMO_TURN;
		at += MEMO_TURN;
		OPAQUE(word);
		OPAQUE(at);
	}
	return true;
}

/* Whether the stack above s->start_sp is the remembered one. The window must hold s->start_sp. */
static __always_inline bool memo_holds(struct drip_memo *m, struct drip_scratch *s, __u32 process, __u32 generation)
{
	struct drip_linker *linker = linker_of(process);
	__u64 version, difference;
	__u32 first, extent, count;

	if (!linker)
		return false;
	version = *(volatile __u64 *)&m->version;
	first = (s->start_sp - s->window_base) >> 3;
	extent = m->extent;
	count = m->count;
	difference = (m->pc ^ s->start_pc) | (m->sp ^ s->start_sp) | ((m->fp ^ s->start_fp) & m->fp_mask) |
		(m->generation ^ generation) | (m->process ^ process) | (version & 1) |
		(linker->changes ^ linker->known);
	if (difference || !count || count > DRIP_MEMO_WORDS || first >= 256 || extent > DRIP_WINDOW - 256)
		return false;
	s->hint = first + extent;
	if (first + extent > s->window_words) {
		/* The first read went as far as most stacks go; here is more to compare. */
		__u32 words = s->window_words, more = first + extent - words;

		OPAQUE(words);
		OPAQUE(more);
		if (words > DRIP_MOST_READ || more > DRIP_WINDOW - DRIP_MOST_READ)
			return false;
		if (bpf_probe_read_user(&s->window[words], more * 8, (void *)(s->window_base + words * 8)))
			return false;
		s->window_words = words + more;
	}
	if (!memo_same(m, s, first * 8, 0))
		return false;
	if (count > MEMO_AT_ONCE && !memo_same(m, s, first * 8, MEMO_AT_ONCE))
		return false;
	return *(volatile __u64 *)&m->version == version;
}

/* The same of one of the other slots. A function of its own, for the verifier. */
__noinline int memo_holds_beside(struct drip_scratch *s, __u32 process, __u32 generation, __u32 way)
{
	struct drip_memo *m;

	if (!s || way >= DRIP_MEMO_WAYS)
		return false;
	m = memo_of(s, process, way);
	return m && memo_holds(m, s, process, generation);
}

/* Which of the other slots holds the stack; 0 if none does. */
static __always_inline __u32 memo_search(struct drip_scratch *s, __u32 process, __u32 generation, __u32 ways)
{
#pragma clang loop unroll(disable)
	for (__u32 way = 1; way < DRIP_MEMO_WAYS && way <= ways; way++)
		if (memo_holds_beside(s, process, generation, way))
			return way;
	return 0;
}

/* Which slot the walk in `s` is to be remembered in: one of its own while there are some, then each in turn. */
static __always_inline __u32 memo_victim(struct drip_memo *m, struct drip_scratch *s)
{
	if (m->pc != s->start_pc || m->sp != s->start_sp || !m->count) {
		m->ways = 0;
		return 0;
	}
	if (m->ways < DRIP_MEMO_WAYS - 1)
		return ++m->ways;
	return m->misses % DRIP_MEMO_WAYS;
}

/* Remembers the walk in `s`. Another CPU that writes the same slot at this moment has the better of it. */
__noinline int memo_write(struct drip_memo *m, struct drip_scratch *s, __u32 process, __u32 generation, __u32 site)
{
	__u32 count;
	__u64 version, *word;
	__u16 *at;

	if (!m || !s)
		return 0;
	version = m->version;
	count = s->reads;
	if (!count || count > DRIP_MEMO_WORDS || version & 1)
		return 0;
	if (__sync_val_compare_and_swap(&m->version, version, version + 1) != version)
		return 0;
	/* Comparing goes by eights: the last word stands for what is missing to the next multiple. */
	OPAQUE(count);
	if (!count || count > DRIP_MEMO_WORDS)
		return 0;
	word = &s->read_word[count];
	at = &s->read_at[count];
#pragma unroll
	for (int i = 0; i < MEMO_TURN - 1; i++) {
		word[i] = word[-1];
		at[i] = at[-1];
	}
	bpf_probe_read_kernel(m->word, sizeof(m->word), s->read_word);
	bpf_probe_read_kernel(m->at, sizeof(m->at), s->read_at);
	m->pc = s->start_pc;
	m->sp = s->start_sp;
	m->fp = s->start_fp;
	m->fp_mask = s->uses_fp ? ~0ULL : 0;
	m->generation = generation;
	m->site = site;
	m->process = process;
	m->count = (count + MEMO_TURN - 1) & ~(MEMO_TURN - 1U);
	m->extent = s->extent;
	m->end = s->end;
	__sync_lock_test_and_set(&m->version, version + 2);
	return 1;
}

/* The same in the slot that is due. */
static __always_inline void memo_remember(
	struct drip_memo *m, struct drip_scratch *s, __u32 process, __u32 generation, __u32 site)
{
	struct drip_memo *slot = memo_of(s, process, memo_victim(m, s));

	if (slot)
		memo_write(slot, s, process, generation, site);
}

#endif
