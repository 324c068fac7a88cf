/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * The dynamic linker tells debuggers of every library that comes or goes by calling an empty function; drip listens,
 * too. From the first word of a change until user space has looked, walks ask the kernel what is mapped (vma.bpf.h).
 *
 * Attaches: a uprobe on _dl_debug_state of the process's dynamic linker, by multi or perf links.
 * Reads: r_debug and the list of modules (<link.h>), in the target's memory, untrusted.
 * Writes: drip_linker of the process; a record for each new library, or one without, which wakes user space.
 * Costs: two traps for each dlopen and dlclose; the first dlopen reads the list from its head, a word a module. */
#ifndef DRIP_LINKER_BPF_H
#define DRIP_LINKER_BPF_H

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096); /* bytes, set before the load */
} wakeups SEC(".maps");

/* r_debug and link_map of <link.h>, 64 bits: an interface that every debugger depends on. */
#define DEBUG_MAP 8
#define DEBUG_STATE 24
#define MODULE_BASE 0
#define MODULE_NAME 8
#define MODULE_DYNAMIC 16
#define MODULE_NEXT 24
#define MODULE_PREVIOUS 32

static __always_inline __u64 user_word(__u64 address)
{
	__u64 word = 0;

	if (bpf_probe_read_user(&word, sizeof(word), (void *)address))
		return 0;
	return word;
}

/* The last of 32 modules from this one on; with its lowest bit set if more follow. */
__noinline __u64 module_steps(__u64 module)
{
	for (int i = 0; i < 32; i++) {
		__u64 next = user_word(module + MODULE_NEXT);

		if (!next)
			return module;
		module = next;
	}
	return module | 1;
}

/* The last module of the list; 0 if there is none, or none within the first 4,096. */
__noinline __u64 last_module(__u64 module)
{
	if (!module)
		return 0;
	for (int i = 0; i < 128; i++) {
		module = module_steps(module);
		if (!(module & 1))
			return module;
		module &= ~1ULL;
	}
	return 0;
}

/* Which file was last loaded at an address. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, DRIP_BASES);
	__type(key, __u64);
	__type(value, __u64);
} bases SEC(".maps");

/* Notes where a library lies, and whether another one has lain there before. */
__noinline int note_base(__u64 module, __u32 process)
{
	struct drip_linker *linker = linker_of(process);
	__u64 base = user_word(module + MODULE_BASE), end = user_word(module + MODULE_DYNAMIC);
	__u64 key = object_key(base, process), file = file_at(base), *before;
	bool is_other;

	/* The dynamic section lies in the data, behind the code. */
	if (!linker || end < base)
		return 0;
	/* What cannot be told now may be another one. */
	before = bpf_map_lookup_elem(&bases, &key);
	is_other = !file || (before && *before != file);
	if (file && (!before || is_other))
		bpf_map_update_elem(&bases, &key, &file, BPF_ANY);
	if (!is_other)
		return 0;
	if (!linker->reused_end || linker->reused_begin > base)
		linker->reused_begin = base;
	if (linker->reused_end < end)
		linker->reused_end = end;
	return 0;
}

/* Wakes user space: something has changed. If there is no room it has been woken already. */
static __always_inline void tell_of_change(__u32 process, __u32 change)
{
	struct drip_linker_event_head head = {.time = bpf_ktime_get_ns(), .process = process, .change = change};

	bpf_ringbuf_output(&wakeups, &head, sizeof(head), BPF_RB_FORCE_WAKEUP);
}

/* Tells of one module. */
__noinline int tell_of_module(__u64 module, __u32 process, __u32 change)
{
	struct drip_linker_event *event = bpf_ringbuf_reserve(&wakeups, sizeof(*event), 0);

	if (!event) {
		lose(DRIP_LOSS_LINKER_EVENTS);
		return 0;
	}
	event->head.time = bpf_ktime_get_ns();
	event->head.base = user_word(module + MODULE_BASE);
	event->head.process = process;
	event->head.change = change;
	if (bpf_probe_read_user_str(event->path, sizeof(event->path), (void *)user_word(module + MODULE_NAME)) < 0)
		event->path[0] = 0;
	bpf_ringbuf_submit(event, BPF_RB_FORCE_WAKEUP);
	return 0;
}

/* Tells of the modules behind the one that was last; returns the one that is last now, or 0. */
__noinline __u64 tell_of_new(__u64 module, __u32 process, __u32 change)
{
	int told = 0;

	for (int i = 0; i < DRIP_NEW_MODULES; i++) {
		__u64 next = user_word(module + MODULE_NEXT);

		if (!next)
			break;
		module = next;
		note_base(module, process);
		tell_of_module(module, process, change);
		told += 1;
	}
	if (!told)
		tell_of_change(process, change);
	return told < DRIP_NEW_MODULES ? module : 0;
}

SEC("uprobe")
int linker_changed(struct pt_regs *ctx)
{
	__u32 process = COOKIE_PROCESS(bpf_get_attach_cookie(ctx)), change;
	struct drip_linker *linker = linker_of(process);
	__u32 before, state = DRIP_LINKER_CONSISTENT;

	if (!linker)
		return 0;
	change = __sync_fetch_and_add(&linker->changes, 1) + 1;
	before = linker->state;
	if (linker->debug)
		bpf_probe_read_user(&state, sizeof(state), (void *)(linker->debug + DEBUG_STATE));
	linker->state = state;
	if (state == DRIP_LINKER_ADD) {
		/* The one that comes may be in the list already; telling of one too many does no harm. */
		if (!linker->tail)
			linker->tail = user_word(last_module(user_word(linker->debug + DEBUG_MAP)) + MODULE_PREVIOUS);
	} else if (state == DRIP_LINKER_DELETE) {
		/* What was last may be gone afterwards. */
		linker->tail = 0;
	} else if (before == DRIP_LINKER_ADD && linker->tail) {
		linker->tail = tell_of_new(linker->tail, process, change);
	} else {
		tell_of_change(process, change);
	}
	return 0;
}

#endif
