/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * The functions that CPython 3.11 is running, innermost first: a linked list that begins at the state of the thread
 * that holds the interpreter's lock. They become words of the stack and of its identity, see abi.h; user space names
 * them. Experimental, and off unless asked for: then nothing of it remains in the program.
 *
 * Cost when on: one read of 48 bytes for a frame, four more for a stack, and no walk can be remembered. */
#ifndef DRIP_PYTHON_BPF_H
#define DRIP_PYTHON_BPF_H

const volatile __u32 python_on = 0;

/* Where each process's interpreter keeps the current thread's state; 0: it has none that is known. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* set before the load */
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
} pythons SEC(".maps");

/* _PyInterpreterFrame from f_code on. */
struct python_frame {
	__u64 code;
	__u64 object;
	__u64 previous;
	__u64 instruction;
	__s32 top;
	__u8 is_entry;
	__u8 owner;
	__u16 padding;
};

/* Adds what is in s->frame to the two hashes that are the stack's identity. */
static __always_inline void add_to_identity(struct drip_scratch *s, __u64 word)
{
	__u64 hash = (s->hash ^ word) * 0x9E3779B97F4A7C15ULL, check = (s->check + word) * 0xD6E8FEB86659FD93ULL;

	s->hash = hash ^ hash >> 29;
	s->check = check ^ check >> 32;
}

/* Takes the last word out again, step by step backwards: the factors are the inverse ones modulo 2^64. */
static __always_inline void take_from_identity(struct drip_scratch *s, __u64 word)
{
	__u64 hash = s->hash ^ s->hash >> 29 ^ s->hash >> 58, check = s->check ^ s->check >> 32;

	s->hash = hash * 0xF1DE83E19937733DULL ^ word;
	s->check = check * 0xCFEE444D8B59A89BULL - word;
}

/* The thread's number as it sees it itself. */
static __always_inline __u64 own_thread_number(void)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	__u32 level = BPF_CORE_READ(pid, level);
	struct upid *numbers = (void *)pid + bpf_core_field_offset(pid->numbers);
	int number = 0;

	bpf_probe_read_kernel(&number, sizeof(number), (void *)numbers + level * bpf_core_type_size(struct upid));
	return number;
}

/* Eight frames more; 0 once there are no more. Loops within loops, each in a function of its own, cost the verifier
 * their sum and not their product. */
__noinline int python_steps(struct drip_scratch *s)
{
	if (!s || !python_on)
		return 0;
	for (__u32 i = 0; i < 8; i++) {
		struct python_frame f;
		__u64 unit, word;
		__u32 n = s->marked;

		if (!s->python_frame || n >= DRIP_PYTHON_FRAMES ||
		    bpf_probe_read_user(&f, sizeof(f), (void *)(s->python_frame + DRIP_PYTHON_FRAME_CODE)))
			return 0;
		/* A frame that has not begun points before its code. What has no room becomes all ones; without a branch,
		 * which the verifier would follow twice in each turn. */
		unit = ((__s64)(f.instruction - f.code - DRIP_PYTHON_CODE_UNITS) >> 1) + 1;
		unit |= (__u64)((__s64)-(unit >> DRIP_PYTHON_UNIT_BITS) >> 63);
		unit &= (1ULL << DRIP_PYTHON_UNIT_BITS) - 1;
		word = 1ULL << DRIP_PYTHON_MARK | (__u64)(f.is_entry & 1) << DRIP_PYTHON_ENTRY |
			unit << DRIP_PYTHON_UNIT | (f.code >> 3 & ((1ULL << DRIP_PYTHON_UNIT) - 1));
		OPAQUE(n);
		s->frame[n & (DRIP_PYTHON_FRAMES - 1)] = word;
		s->marked = n + 1;
		add_to_identity(s, word);
		s->python_frame = f.previous;
	}
	return 1;
}

/* Puts the Python frames of the current thread at the beginning of the frame list. What has no room there leaves
 * s->python_frame set. */
__noinline int python_frames(struct drip_scratch *s, __u32 process)
{
	__u64 *current, state = 0, thread = 0, frame = 0;
	__u32 index = process & process_mask;

	/* The verifier looks at every function, called or not: this spares it the rest where nothing is wanted. */
	if (!s || !python_on)
		return 0;
	s->marked = 0;
	s->python_frame = 0;
	current = bpf_map_lookup_elem(&pythons, &index);
	if (!current || !*current)
		return 0;
	if (bpf_probe_read_user(&state, 8, (void *)*current) || !state ||
	    bpf_probe_read_user(&thread, 8, (void *)(state + DRIP_PYTHON_THREAD_ID)))
		return 0;
	/* Another thread holds the lock: this one runs no Python now. */
	if (thread != own_thread_number())
		return 0;
	if (bpf_probe_read_user(&frame, 8, (void *)(state + DRIP_PYTHON_THREAD_CFRAME)) || !frame ||
	    bpf_probe_read_user(&frame, 8, (void *)(frame + DRIP_PYTHON_CFRAME_FRAME)))
		return 0;
	s->python_frame = frame;
	for (__u32 i = 0; i < DRIP_PYTHON_FRAMES; i += 8)
		if (!python_steps(s))
			break;
	s->count = s->marked;
	return s->marked;
}

#endif
