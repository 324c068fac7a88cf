/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * The dynamic linker tells debuggers of every library that comes or goes by calling an empty function; drip listens,
 * too, so that it knows new code within a millisecond and not only when it looks next.
 *
 * Attaches: a uprobe on _dl_debug_state of the process's dynamic linker, by multi or perf links.
 * Writes: a wake-up to user space, which then reads the memory map.
 * Costs: two traps for each dlopen and dlclose. */
#ifndef DRIP_LINKER_BPF_H
#define DRIP_LINKER_BPF_H

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} wakeups SEC(".maps");

SEC("uprobe")
int linker_changed(struct pt_regs *ctx)
{
	__u64 process = COOKIE_PROCESS(bpf_get_attach_cookie(ctx));

	/* No room: then wake-ups are waiting already. */
	if (target_of(process))
		bpf_ringbuf_output(&wakeups, &process, sizeof(process), BPF_RB_FORCE_WAKEUP);
	return 0;
}

#endif
