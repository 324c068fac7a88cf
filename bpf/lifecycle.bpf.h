/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * What becomes of a traced process: it forks, it executes another program, its threads end.
 *
 * Attaches: raw tracepoints sched_process_fork, sched_process_exec, sched_process_exit (every kernel since 4.17).
 * Reads: the child's thread group. Writes: the process's state; calls in flight of a thread that is gone.
 * Costs: one hash lookup for each fork, exec and exit of any process. */
#ifndef DRIP_LIFECYCLE_BPF_H
#define DRIP_LIFECYCLE_BPF_H

/* Thread group -> place in `targets`. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} tracked SEC(".maps");

static __always_inline struct drip_target *current_target(void)
{
	__u32 group = bpf_get_current_pid_tgid() >> 32;
	__u32 *process = bpf_map_lookup_elem(&tracked, &group);

	return process ? bpf_map_lookup_elem(&targets, process) : NULL;
}

SEC("raw_tp/sched_process_fork")
int forked(struct bpf_raw_tracepoint_args *ctx)
{
	struct drip_target *t = current_target();
	struct task_struct *child = (struct task_struct *)ctx->args[1];

	/* A new thread is in its parent's group. */
	if (t && BPF_CORE_READ(child, tgid) == BPF_CORE_READ(child, pid))
		__sync_fetch_and_add(&t->forks, 1);
	return 0;
}

/* Runs before the first instruction of the new program: what the old one had is gone, and what the new one does
 * must not be taken for its. */
SEC("raw_tp/sched_process_exec")
int execed(struct bpf_raw_tracepoint_args *ctx)
{
	struct drip_target *t = current_target();

	if (!t)
		return 0;
	__sync_fetch_and_add(&t->execs, 1);
	if (t->state == DRIP_STATE_ON)
		t->state = DRIP_STATE_EXECED;
	return 0;
}

/* A thread that is killed inside of an allocator never returns from it, and its number may be used again. */
SEC("raw_tp/sched_process_exit")
int exited(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 owner = bpf_get_current_pid_tgid();
	struct drip_calls *calls;
	int slot;

	if (!current_target())
		return 0;
	calls = calls_of(owner);
	slot = calls ? call_slot(calls, owner) : -1;
	OPAQUE(slot);
	if (slot < 0)
		return 0;
	slot &= DRIP_CALLS - 1;
	if (calls->call[slot].op != DRIP_REMEMBERED)
		lose(DRIP_LOSS_LOST_RETURNS);
	call_release(calls, slot);
	return 0;
}

#endif
