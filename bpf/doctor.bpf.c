// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// One empty program a probe type, for `drip doctor`: the only way to know what a kernel allows is to try it.
//
// Attaches: one at a time, for an instant. Reads and writes nothing. Costs nothing worth measuring.
#include "kernel_types.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("kprobe/kfree")
int try_kprobe(void *ctx)
{
	return 0;
}

SEC("fentry/kfree")
int try_fentry(void *ctx)
{
	return 0;
}

SEC("raw_tp/kfree")
int try_raw_tracepoint(void *ctx)
{
	return 0;
}

SEC("tp_btf/kfree")
int try_btf_tracepoint(void *ctx)
{
	return 0;
}

SEC("tp/kmem/kfree")
int try_tracepoint(void *ctx)
{
	return 0;
}
